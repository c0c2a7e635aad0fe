/**
 * How much a service complains: its lines of error severity, and those of warning severity, each per window and per five minutes, against
 * their own level and tail and in proportion to what else it says. The short look finds outbursts, the long one a share that has shifted.
 */
import { countOf, Level, stabilised } from '../level.ts'
import { natsFor, TAIL_MEAN, TAIL_START, tailMeanAfter, tailStartAfter, tailThreshold } from './log-chance.ts'
import { countZ } from '../reckon.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const MAX_GROWTH = 10
/** So many are taken as they come. */
const FIRST = 8

export interface ComplaintRules {
  readonly leastZ: number
  readonly leastLines: number
  readonly falseAlarmsPerWeek: number
  readonly everyMs: number
  readonly absorbMs: number
  /** Two in a row: a share that has shifted stays so, a clump of lines does not. */
  readonly lasting: boolean
}

/** Overwritten by the next one. */
export interface ComplaintJudgement {
  lines: number
  expected: number
  high: number
  z: number
  spread: number
  /** Of the look before. */
  previousZ: number
  threshold: number
  score: number
}

/** One count of one service at one pace. */
export class ComplaintLevel {
  readonly judged: ComplaintJudgement = { lines: 0, expected: 0, high: 0, z: 0, spread: 1, previousZ: 0, threshold: 0, score: 0 }
  readonly #level = new Level()
  #tailStart = TAIL_START
  #tailMean = TAIL_MEAN
  #tailCount = 0
  #lastZ = 0
  /** The last one was above the quantile. */
  #wasAbove = false

  /** `growth`: how many times as much as usual the service says besides. */
  judge(lines: number, growth: number, warm: boolean, rules: ComplaintRules): ComplaintJudgement {
    const level = this.#level
    const out = this.judged
    out.lines = lines
    out.expected = countOf(level.location) * growth
    const expected = stabilised(out.expected)
    const spread = level.spread(1)
    const z = countZ(lines, out.expected, spread)
    out.spread = spread
    out.previousZ = this.#lastZ
    out.z = rules.lasting ? Math.min(z, this.#lastZ) : z
    this.#lastZ = z
    const nats = natsFor(rules.everyMs, 1, rules.falseAlarmsPerWeek)
    out.threshold = Math.max(rules.leastZ, tailThreshold(this.#tailStart, this.#tailMean, nats) * (1 + 10 / (level.count + 10)))
    out.high = countOf(expected + out.threshold * spread)
    const many = lines >= rules.leastLines && lines >= 2 * out.expected
    out.score = warm ? Math.min(many ? Infinity : 0.5, Math.max(0, out.z / out.threshold)) : NaN
    return out
  }

  /** What was judged last; `isNormal`: an echo of something known, or not judged. */
  learn(isNormal: boolean, rules: ComplaintRules): void {
    const { lines, z, threshold, score } = this.judged
    const isOdd = score >= 1
    const n = this.#level.count
    this.#level.learn(stabilised(lines), 1, isOdd, Math.ceil(rules.absorbMs / rules.everyMs))
    if (n < FIRST) return
    if (!isOdd) this.#tailStart = tailStartAfter(this.#tailStart, z, Math.max(0.01, 2 / (n + 20)))
    const wasAbove = this.#wasAbove
    this.#wasAbove = z > this.#tailStart
    if (wasAbove || !this.#wasAbove || (isOdd && isNormal)) return
    if (!isOdd) this.#tailCount++
    this.#tailMean = tailMeanAfter(this.#tailMean, Math.min(z, threshold) - this.#tailStart, this.#tailCount, z / threshold)
  }

  snapshot(to: SnapshotWriter): void {
    this.#level.snapshot(to)
    for (const value of [this.#tailStart, this.#tailMean, this.#tailCount, this.#lastZ]) to.f64(value)
    to.u8(this.#wasAbove ? 1 : 0)
  }

  restore(from: SnapshotReader): void {
    this.#level.restore(from)
    if (from.version === 1) return
    this.#tailStart = from.f64()
    this.#tailMean = from.f64()
    this.#tailCount = from.f64()
    this.#lastZ = from.f64()
    this.#wasAbove = from.u8() === 1
  }
}

/** How much more than usual a service says besides; 1 when it says less. */
export function growthOf(lines: number, usual: number): number {
  return Math.max(1, Math.min(MAX_GROWTH, lines / Math.max(1, usual)))
}
