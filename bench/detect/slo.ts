/**
 * Error budgets by replay: bursts of errors of several sizes at several traffic levels, through the detector as it ships. Told is how long it took,
 * beside what the windows take by arithmetic, and how often a service that stays within half of its budget was told all the same.
 */
import type { Anomaly, MetricBatch, Series } from '../../src/model.ts'
import { normal, seededRandom } from '../../src/detect/random.ts'
import { BURN_TIERS } from '../../src/detect/forecast/slo-budget.ts'
import { sloConfig } from '../../src/detect/forecast/slo-config.ts'
import { SloDetector } from '../../src/detect/forecast/slo.ts'

const MINUTE_MS = 60_000
const DAY_MINUTES = 1440
const START_MS = Date.UTC(2026, 0, 5)
const TARGET = 99.9
const ALLOWED = 1 - TARGET / 100

export interface BurstFigures {
  readonly requestsPerMinute: number
  readonly failing: number
  /** Of those there were: told as something that is felt. */
  readonly bursts: number
  readonly told: number
  /** Median, and what a stream of exactly so many failures takes. Undefined: by arithmetic it is not to be told. */
  readonly minutes: number | undefined
  readonly minutesInTheory: number | undefined
  /** Median, of the end. */
  readonly minutesToEnd: number | undefined
}

export interface QuietFigures {
  readonly requestsPerMinute: number
  readonly serviceWeeks: number
  /** Felt and slow ones, per service and week, at half of the errors that the objective allows. */
  readonly pagesPerWeek: number
  readonly slowPerWeek: number
}

/** `burstMinutes` long bursts after three quiet days, and `quietDays` without any. */
export function evaluateSlo({
  runs = 5,
  quietDays = 30,
  traffic = [1, 10, 60, 1000, 60_000],
  failing = [1, 0.1, 0.02, 0.008],
  seed = 1,
} = {}): {
  bursts: BurstFigures[]
  quiet: QuietFigures[]
} {
  const bursts: BurstFigures[] = []
  for (const requestsPerMinute of traffic) {
    for (const share of failing) {
      const took: number[] = []
      const ended: number[] = []
      for (let run = 0; run < runs; run++) {
        const beginMinute = 3 * DAY_MINUTES
        const lastsMinutes = 480
        const { told } = replay(4 * DAY_MINUTES, requestsPerMinute, seed * 1000 + run, (minute) =>
          minute >= beginMinute && minute < beginMinute + lastsMinutes ? share : ALLOWED / 10,
        )
        const first = told.find((one) => one.impact)
        if (first === undefined) continue
        took.push((first.atMs - START_MS) / MINUTE_MS - beginMinute)
        const last = told.findLast((one) => one.id === first.id)
        if (last?.endMs !== undefined) ended.push((last.endMs - START_MS) / MINUTE_MS - beginMinute - lastsMinutes)
      }
      bursts.push({
        requestsPerMinute,
        failing: share,
        bursts: runs,
        told: took.length,
        minutes: median(took),
        minutesInTheory: theory(share),
        minutesToEnd: median(ended),
      })
    }
  }
  const quiet = traffic.map((requestsPerMinute): QuietFigures => {
    let [pages, slow] = [0, 0]
    for (let run = 0; run < runs; run++) {
      const { told } = replay(quietDays * DAY_MINUTES, requestsPerMinute, seed * 1000 + 500 + run, () => ALLOWED / 2)
      const ids = new Map(told.map((one) => [one.id, one.impact]))
      for (const impact of ids.values()) {
        if (impact) pages++
        else slow++
      }
    }
    const serviceWeeks = (runs * quietDays) / 7
    return {
      requestsPerMinute,
      serviceWeeks: round(serviceWeeks),
      pagesPerWeek: round(pages / serviceWeeks),
      slowPerWeek: round(slow / serviceWeeks),
    }
  })
  return { bursts, quiet }
}

/** When the long window has seen enough, of the tier that is first and pages; the short one has by then. */
function theory(failing: number): number | undefined {
  const burn = failing / ALLOWED
  const times = BURN_TIERS.filter((tier) => tier.name !== 'slow' && burn >= tier.burn).map(
    (tier) => ((tier.burn - 0.1) / (burn - 0.1)) * tier.longMs,
  )
  return times.length === 0 ? undefined : Math.ceil(Math.min(...times) / MINUTE_MS)
}

function replay(minutes: number, requestsPerMinute: number, seed: number, failing: (minute: number) => number): { told: Anomaly[] } {
  const random = seededRandom(seed)
  const detector = new SloDetector(sloConfig.parse({ objectives: [{ service: '*', availability: TARGET }] }))
  const told: Anomaly[] = []
  for (let minute = 0; minute < minutes; minute++) {
    const timeMs = START_MS + minute * MINUTE_MS
    const requests = drawn(requestsPerMinute, random)
    const bad = Math.min(requests, drawn(requests * failing(minute), random))
    detector.detect({ kind: 'tick', nowMs: timeMs + 1 }, (finding) => finding.kind === 'anomaly' && told.push(finding))
    detector.detect(batchOf(timeMs + 30_000, requests - bad, bad), () => {})
  }
  return { told }
}

/** Poisson's distribution; of many the normal one. */
function drawn(mean: number, random: () => number): number {
  if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)))
  const limit = Math.exp(-mean)
  let count = 0
  for (let product = random(); product > limit; product *= random()) count++
  return count
}

function seriesOf(status: string): Series {
  return {
    key: status,
    name: 'http_requests_total',
    type: 'delta',
    labels: [['status', status]],
    service: 'checkout',
    instance: 'checkout-1',
  }
}
const SERIES = [seriesOf('200'), seriesOf('500')]

function batchOf(timeMs: number, good: number, bad: number): MetricBatch {
  return {
    kind: 'metrics',
    rows: 2,
    series: SERIES,
    seriesIndex: Uint32Array.of(0, 1),
    timeMs: Float64Array.of(timeMs, timeMs),
    value: Float64Array.of(good, bad),
    stale: new Uint8Array(2),
  }
}

function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted.length === 0 ? undefined : round(sorted[sorted.length >> 1]!)
}

function round(value: number): number {
  return Number(value.toPrecision(3))
}
