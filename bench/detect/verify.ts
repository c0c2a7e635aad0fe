/**
 * Do the scorers give the figures that others published? NAB: four detectors' own scores, published with the benchmark; KPI: the
 * spectral residual method (Ren et al., KDD 2019) done again; VUS-PR: HBOS and COPOD (as PyOD has them) on the SMD machines of TSB-AD-M,
 * against TSB-AD's table. The methods here read whole files: they are yardsticks, not detectors.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { bestDelayF1, delaySeries } from '../../src/evaluate/delay-f1.ts'
import { NAB_PROFILES, NabCorpus } from '../../src/evaluate/nab.ts'
import { vusPr, windowRowsOf } from '../../src/evaluate/vus-pr.ts'
import { readKpi, readNab } from './data.ts'
import { readSmd, type Recording } from './multivariate-data.ts'
import { spectralResidual } from './spectral-residual.ts'

export interface Check {
  readonly what: string
  readonly published: number
  readonly ours: number
  readonly tolerance: number
}

/** The standard scores of the files of the data folder, by NAB's own program. */
const NAB_PUBLISHED = { numenta: 68.86, randomCutForest: 51.56, skyline: 37.24, windowedGaussian: 36.92 }

/** https://github.com/TheDatumOrg/TSB-AD/blob/main/benchmark_exp/benchmark_eval_results/multi_mergedTable_VUS-PR.csv */
const VUS_PUBLISHED: Readonly<Record<string, readonly [hbos: number, copod: number]>> = {
  'machine-1-2': [0.0715346982612793, 0.0688558746161324],
  'machine-1-7': [0.1561782151923113, 0.1245984571599303],
  'machine-2-2': [0.1444191459987747, 0.1226165252597495],
  'machine-2-3': [0.3127266557406587, 0.2708716511176586],
  'machine-2-7': [0.3005786367529113, 0.3120713327611145],
  'machine-2-8': [0.8921596436120691, 0.8366562510081014],
}

export function verifyScorers(dir: string): Check[] {
  return [...verifyNab(dir), ...verifyKpi(dir), ...verifyVus(dir)]
}

function verifyNab(dir: string): Check[] {
  const files = readNab(dir) ?? []
  return Object.entries(NAB_PUBLISHED).flatMap(([detector, published]) => {
    const path = join(dir, `nab/published/${detector}.csv.gz`)
    if (files.length === 0 || !existsSync(path)) return []
    const scores = publishedScores(path)
    const corpus = new NabCorpus(files.map(({ name, timeMs, windows }) => ({ timeMs, windows, score: scores.get(name)! })))
    return [{ what: `NAB standard, ${detector}`, published, ours: corpus.best(NAB_PROFILES.standard).score, tolerance: 0.005 }]
  })
}

/** `file,row,anomaly_score`; the file is named on its first row only. */
function publishedScores(path: string): Map<string, Float64Array> {
  const found = new Map<string, number[]>()
  let current: number[] = []
  for (const line of gunzipSync(readFileSync(path)).toString('utf8').trim().split('\n').slice(1)) {
    const [file = '', , score] = line.split(',')
    if (file !== '') found.set(file, (current = []))
    current.push(Number(score))
  }
  return new Map([...found].map(([file, scores]) => [file, Float64Array.from(scores)]))
}

function verifyKpi(dir: string): Check[] {
  const files = readKpi(dir) ?? []
  if (files.length !== 17) return []
  const series = files.map(({ timeMs, value, label }) => delaySeries({ timeMs, label, score: spectralResidual(value) }, 7))
  return [{ what: 'KPI F1, spectral residual, 17 series', published: 0.723, ours: bestDelayF1(series).f1, tolerance: 0.0006 }]
}

function verifyVus(dir: string): Check[] {
  return readSmd(join(dir, 'multivariate/smd'))
    .map(channelsOf)
    .flatMap((machine) => {
      const published = VUS_PUBLISHED[machine.name]
      if (published === undefined) return []
      const window = windowRowsOf(machine.channels[0]!)
      const check = (what: string, value: number, score: Float64Array): Check => ({
        what: `VUS-PR, ${what}, SMD ${machine.name}`,
        published: value,
        ours: vusPr(machine.label, score, window),
        tolerance: 1e-4,
      })
      const rows = standardisedRows(machine)
      return [check('HBOS', published[0], hbos(rows)), check('COPOD', published[1], copod(rows))]
    })
}

interface Machine {
  readonly name: string
  /** One array per channel. */
  readonly channels: readonly Float64Array[]
  readonly label: Uint8Array
}

function channelsOf({ name, test, columns, label }: Recording): Machine {
  const channels = Array.from({ length: columns }, (_, column) => Float64Array.from(label, (_one, row) => test[row * columns + column]!))
  return { name, channels, label }
}

/** TSB-AD standardises every row over its channels before it hands the data to these two. */
function standardisedRows({ channels, label }: Machine): Float64Array[] {
  const out = channels.map((values) => new Float64Array(values.length))
  for (let row = 0; row < label.length; row++) {
    let mean = 0
    for (const values of channels) mean += values[row]! / channels.length
    let squares = 0
    for (const values of channels) squares += (values[row]! - mean) ** 2
    const spread = Math.sqrt(squares / (channels.length - 1))
    for (let c = 0; c < channels.length; c++) out[c]![row] = (channels[c]![row]! - mean) / spread
  }
  return out
}

/** Goldstein & Dengel, KI 2012: how empty the bins of the channels' histograms are, 30 bins, in bits. */
function hbos(channels: readonly Float64Array[]): Float64Array {
  const BINS = 30
  const score = new Float64Array(channels[0]!.length)
  for (const values of channels) {
    let low = values.reduce((a, b) => Math.min(a, b))
    let high = values.reduce((a, b) => Math.max(a, b))
    if (low === high) [low, high] = [low - 0.5, high + 0.5]
    const edges = Float64Array.from({ length: BINS + 1 }, (_, i) => (i === BINS ? high : low + i * ((high - low) / BINS)))
    const counts = new Float64Array(BINS)
    for (const value of values) {
      let bin = Math.min(BINS - 1, Math.floor(((value - low) / (high - low)) * BINS))
      if (value < edges[bin]!) bin--
      else if (bin < BINS - 1 && value >= edges[bin + 1]!) bin++
      counts[bin]!++
    }
    // Where a value stands it is compared with bins closed to the right, as PyOD does it.
    const bits = counts.map((count, i) => Math.log2(count / values.length / (edges[i + 1]! - edges[i]!) + 0.1))
    values.forEach((value, row) => {
      let bin = 0
      while (bin < BINS - 1 && value > edges[bin + 1]!) bin++
      score[row]! -= bits[bin]!
    })
  }
  return score
}

/** Li et al., ICDM 2020: tail probabilities of the channels, of the side each leans to. */
function copod(channels: readonly Float64Array[]): Float64Array {
  const rows = channels[0]!.length
  const score = new Float64Array(rows)
  for (const values of channels) {
    const rising = values.slice().sort()
    const mean = values.reduce((a, b) => a + b, 0) / rows
    const third = values.reduce((a, b) => a + (b - mean) ** 3, 0)
    const second = values.reduce((a, b) => a + (b - mean) ** 2, 0)
    const skew = second === 0 ? 0 : Math.sign(third)
    for (let i = 0; i < rows; i++) {
      const left = -Math.log(countBelow(rising, values[i]!, true) / rows)
      const right = -Math.log((rows - countBelow(rising, values[i]!, false)) / rows)
      const leaning = -left * Math.sign(skew - 1) + right * Math.sign(skew + 1)
      score[i]! += Math.max(leaning, (left + right) / 2)
    }
  }
  return score
}

function countBelow(rising: Float64Array, value: number, orEqual: boolean): number {
  let low = 0
  let high = rising.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (rising[middle]! < value || (orEqual && rising[middle] === value)) low = middle + 1
    else high = middle
  }
  return low
}
