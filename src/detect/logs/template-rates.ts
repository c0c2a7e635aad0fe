/**
 * How many lines a template has in a window in which it comes at all, and when that is a burst. Counts live on a scale where a Poisson count has
 * spread 1; templates that come in clumps have learnt a wider one and a longer tail, and the threshold follows from the tail and the
 * budget of false alarms. Windows without it cost and teach nothing: how often it comes is for template-gaps.ts.
 */
import { countOf, stabilised } from '../level.ts'
import { ODD_SHARE, TAIL_MEAN, TAIL_START, tailMeanAfter, tailStartAfter, tailThreshold } from './log-chance.ts'
import { countZ } from '../reckon.ts'
import type { TemplateTable } from './template-table.ts'

/** Below so many windows a level is no more than a guess. */
const LEARNT = 6
const RATE = 0.01
const CLIP = 3
/** So many windows are taken as they come. */
const FIRST = 4
/** Mean absolute deviation to standard deviation, for a normal distribution. */
const TO_SIGMA = 1.2533
const ODD_WEIGHT = 0.1

/** What became of one window. Overwritten by the next one. */
export interface BurstJudgement {
  /** Lines expected in a window in which it comes. */
  expected: number
  /** Lines at which a burst begins. */
  high: number
  z: number
  spread: number
  threshold: number
}

export class TemplateRates {
  readonly #table: TemplateTable
  readonly #out: BurstJudgement = { expected: 0, high: 0, z: 0, spread: 1, threshold: 0 }

  constructor(table: TemplateTable) {
    this.#table = table
  }

  begin(slot: number): void {
    const { c } = this.#table
    c.tailStart[slot] = TAIL_START
    c.tailMean[slot] = TAIL_MEAN
  }

  isLearnt(slot: number): boolean {
    return this.#table.c.windows[slot]! >= LEARNT
  }

  /** `growth`: how many times as much as usual the service says besides. `nats`: what the budget asks for. */
  judge(slot: number, lines: number, growth: number, leastZ: number, nats: number): Readonly<BurstJudgement> {
    const { c } = this.#table
    const out = this.#out
    out.expected = countOf(c.location[slot]!) * growth
    const expected = stabilised(out.expected)
    const spread = Math.max(1, c.deviation[slot]! * TO_SIGMA)
    out.spread = spread
    out.z = countZ(lines, out.expected, spread)
    out.threshold = Math.max(leastZ, tailThreshold(c.tailStart[slot]!, c.tailMean[slot]!, nats))
    out.high = countOf(expected + out.threshold * spread)
    return out
  }

  learn(slot: number, lines: number, judged: Readonly<BurstJudgement>, isAnomalous: boolean, absorbAfter: number): void {
    const { c } = this.#table
    const x = stabilised(lines)
    const windows = c.windows[slot]!
    c.windows[slot] = windows + 1
    if (windows === 0) {
      c.location[slot] = x
      return
    }
    const odd = isAnomalous ? c.odd[slot]! + 1 : 0
    c.odd[slot] = odd
    if (odd > absorbAfter) {
      c.location[slot] = x
      c.odd[slot] = 0
      return
    }
    let rate = Math.max(RATE, 1 / (windows + 1))
    if (isAnomalous || (windows >= FIRST && judged.z >= ODD_SHARE * judged.threshold)) rate *= ODD_WEIGHT
    const limit = windows < FIRST ? Infinity : CLIP * Math.max(1, c.deviation[slot]! * TO_SIGMA)
    const step = Math.max(-limit, Math.min(limit, x - c.location[slot]!))
    c.deviation[slot] = c.deviation[slot]! + rate * (Math.abs(step) - c.deviation[slot]!)
    c.location[slot] = c.location[slot]! + rate * step
    if (windows >= FIRST) this.#learnTail(slot, judged, windows, isAnomalous)
  }

  #learnTail(slot: number, { z, threshold }: Readonly<BurstJudgement>, windows: number, isAnomalous: boolean): void {
    const { c } = this.#table
    const start = c.tailStart[slot]!
    if (!isAnomalous) c.tailStart[slot] = tailStartAfter(start, z, Math.max(0.01, 2 / (windows + 20)))
    const wasAbove = c.above[slot] === 1
    c.above[slot] = z > start ? 1 : 0
    if (wasAbove || z <= start) return
    const count = isAnomalous ? c.tailCount[slot]! : c.tailCount[slot]! + 1
    c.tailCount[slot] = count
    c.tailMean[slot] = tailMeanAfter(c.tailMean[slot]!, Math.min(z, threshold) - start, count, z / threshold)
  }
}
