/**
 * Residual vectors of healthy services that never were: what the shipped model is trained on until there is a recording of your own.
 * Reasoned, not measured: three things move a healthy service (load, slowness, faults), every feature follows them by a loading and
 * adds noise with heavy tails, and a slot of the residual board holds the largest of its series. Load surges hit all it moves at once.
 */
import { heavyTailed, normal, seededRandom } from '../random.ts'
import { FEATURES, type Feature } from '../residuals.ts'

/** How much of a feature's variance each of the three explains: loadings, so squares. The rest is its own noise. */
const LOADINGS: Readonly<Record<Feature, readonly [load: number, slowness: number, fault: number]>> = {
  traffic: [0.92, 0, 0],
  errors: [0, 0.3, 0.65],
  latency: [0.3, 0.8, 0],
  saturation: [0.55, 0.5, 0],
  cpu: [0.87, 0, 0],
  memory: [0.3, 0, 0],
  network: [0.92, 0, 0],
  disk: [0.4, 0, 0],
  pool: [0.5, 0.55, 0],
  queue: [0.35, 0.6, 0],
  runtime: [0.6, 0.3, 0],
  log_volume: [0.82, 0, 0.2],
  log_errors: [0, 0.2, 0.75],
  log_new: [0, 0, 0.3],
  downstream_latency: [0.1, 0.8, 0],
  downstream_errors: [0, 0.2, 0.75],
}
/** What a service may not send at all, and how often it does not. */
const ABSENT: readonly (readonly [features: readonly Feature[], probability: number])[] = [
  [['latency', 'errors', 'downstream_latency', 'downstream_errors'], 0.15],
  [['traffic'], 0.05],
  [['log_volume', 'log_errors', 'log_new'], 0.2],
  [['cpu', 'memory', 'network', 'disk'], 0.15],
  [['saturation'], 0.3],
  [['pool'], 0.5],
  [['queue'], 0.6],
  [['runtime'], 0.4],
]
const WINDOWS_PER_SERVICE = 200
const PERSISTENCE = 0.6
const SURGE_PROBABILITY = 0.01
const SURGE_WINDOWS = 4
const MAX_SERIES = 8
const LIMIT = 50

/** `rows` vectors in the order of `FEATURES`, service after service, each a walk through time. */
export function syntheticResiduals(rows: number, seed: number): Float32Array {
  const random = seededRandom(seed)
  const width = FEATURES.length
  const out = new Float32Array(rows * width)
  const series = new Uint8Array(width)
  const factors = new Float64Array(3)
  let surge = 0
  let surgeLeft = 0
  for (let row = 0; row < rows; row++) {
    if (row % WINDOWS_PER_SERVICE === 0) {
      drawService(series, random)
      surgeLeft = 0
    }
    if (surgeLeft > 0) surgeLeft--
    else if (random() < SURGE_PROBABILITY) {
      surgeLeft = SURGE_WINDOWS
      surge = (random() < 0.75 ? 1 : -1) * (3 + 12 * random())
    }
    for (let f = 0; f < 3; f++) {
      factors[f] = PERSISTENCE * factors[f]! + Math.sqrt(1 - PERSISTENCE ** 2) * heavyTailed(random, 5)
    }
    const load = factors[0]! + (surgeLeft > 0 ? surge : 0)
    for (let i = 0; i < width; i++) out[row * width + i] = drawFeature(FEATURES[i]!, series[i]!, load, factors, random)
  }
  return out
}

function drawService(series: Uint8Array, random: () => number): void {
  for (let i = 0; i < series.length; i++) series[i] = 1 + Math.floor(MAX_SERIES * random() ** 2)
  for (const [features, probability] of ABSENT) {
    if (random() < probability) for (const feature of features) series[FEATURES.indexOf(feature)] = 0
  }
}

function drawFeature(feature: Feature, series: number, load: number, factors: Float64Array, random: () => number): number {
  const [byLoad, bySlowness, byFault] = LOADINGS[feature]
  const common = byLoad * load + bySlowness * factors[1]! + byFault * factors[2]!
  const own = Math.sqrt(1 - byLoad ** 2 - bySlowness ** 2 - byFault ** 2)
  let largest = 0
  for (let s = 0; s < series; s++) {
    // A tenth of the series are jumpy, the others nearly normal.
    const noise = random() < 0.1 ? heavyTailed(random, 3) : normal(random)
    const z = common + own * noise
    if (Math.abs(z) > Math.abs(largest)) largest = z
  }
  return Math.max(-LIMIT, Math.min(LIMIT, largest))
}
