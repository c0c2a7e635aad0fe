/**
 * A threshold for F1 that is meant for other series than those it is chosen on. F1 falls steeply on one side of its best threshold; which
 * side that is, series that are left out tell.
 */
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
