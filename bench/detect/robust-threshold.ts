/**
 * Thresholds that are meant for other series than those they are chosen on. F1 falls steeply on one side of its best threshold; which
 * side that is, series that are left out tell. NAB's score has teeth: the highest one is chance.
 */
import type { NabCorpus, NabProfile } from '../../src/evaluate/nab.ts'
import { bestDelayF1, delayCounts, f1Of, type DelaySeries, type F1 } from '../../src/evaluate/delay-f1.ts'

/** What the best threshold is multiplied by. */
const FACTORS = [0.85, 0.9, 0.95, 1, 1.05, 1.1] as const

export interface RobustThreshold {
  readonly threshold: number
  /** What the folds get with thresholds and factors that were chosen without them, all points pooled; NaN where there is but one fold. */
  readonly heldOut: F1
}

const NOT_KNOWN: F1 = { f1: Number.NaN, precision: Number.NaN, recall: Number.NaN }

/** `wanted` are the indices that are left out together; where nothing or everything would be, nothing can be held out. */
export function robustThreshold(series: readonly DelaySeries[], wanted: readonly (readonly number[])[]): RobustThreshold {
  const best = bestDelayF1(series).threshold
  const folds = wanted.filter((left) => left.length > 0 && left.length < series.length)
  if (folds.length < 2) return { threshold: justBelow(best), heldOut: NOT_KNOWN }
  const chosen = folds.map((left) => bestDelayF1(series.filter((_, i) => !left.includes(i))).threshold)
  /** By factor, then by fold. */
  const counts = FACTORS.map((factor) =>
    folds.map((left, fold) =>
      delayCounts(
        left.map((i) => series[i]!),
        chosen[fold]! * factor,
      ),
    ),
  )
  const bestFactor = (of: readonly number[]): number => {
    const f1 = counts.map((byFold) => f1Of(of.map((fold) => byFold[fold]!)).f1)
    return f1.reduce((winner, figure, i) => (figure > f1[winner]! ? i : winner), FACTORS.indexOf(1))
  }
  const all = folds.map((_, fold) => fold)
  // What a fold is judged by, its own series have no part in.
  const held = folds.map((left, fold) => counts[bestFactor(all.filter((other) => !folds[other]!.some((i) => left.includes(i))))]![fold]!)
  return { threshold: justBelow(best * FACTORS[bestFactor(all)]!), heldOut: f1Of(held) }
}

/** How far a threshold may be off on other files. */
const OFF = [0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.15] as const
const TRIED = 200

/**
 * A threshold for NAB that is meant for other files: not where the score has its highest tooth, but where it is high on both sides. The best
 * one of two hundred, each by the mean of what it gets when it is up to 15 % too low or too high.
 */
export function steadyThreshold(corpus: NabCorpus, profile: NabProfile): number {
  const { threshold: best } = corpus.best(profile)
  if (!(best > 0) || !Number.isFinite(best)) return justBelow(best)
  let [steady, most] = [best, Number.NEGATIVE_INFINITY]
  for (let i = 0; i < TRIED; i++) {
    // From a quarter of the best to four times as much.
    const threshold = best * 16 ** (i / (TRIED - 1) - 0.5)
    const sum = OFF.reduce((total, factor) => total + corpus.raw(threshold * factor, profile).raw, 0)
    if (sum > most) [steady, most] = [threshold, sum]
  }
  return justBelow(steady)
}

/** Ten times two halves, drawn with a fixed seed. */
export function halvings(count: number): number[][] {
  let state = 1
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  return Array.from({ length: 10 }, () => {
    const order = Array.from({ length: count }, (_, i) => i)
    for (let i = count - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1))
      ;[order[i], order[j]] = [order[j]!, order[i]!]
    }
    return [order.slice(0, count >> 1), order.slice(count >> 1)]
  }).flat()
}

/** Few enough digits to be written down, and met by whatever meets the threshold itself. */
export const justBelow = (threshold: number): number => Number((threshold * (1 - 5e-6)).toPrecision(6))
