/**
 * What is usual for a quantity that is never negative, one number at a time: its running median, and its upper tail as an exponential one
 * above a running quantile. Both are in the quantity's own unit and move by shares of themselves, so that the scale does not matter; zeros
 * teach nothing. The state lies inside an array of its owner, from `at`.
 */

const MEDIAN_RATE = 0.005
const TAIL_SHARE = 0.3
const TAIL_RATE = 0.04
/** A tail is never thinner than this share of where it begins: equal values would make it nothing. */
const THINNEST = 1e-6

/** ln(1 + z ÷ median). One word. */
export function ratioToMedian(state: Float32Array, at: number, z: number): number {
  const median = state[at]!
  return median > 0 ? Math.log1p(z / median) : z > 0 ? 1 : 0
}

export function learnMedian(state: Float32Array, at: number, z: number, rows: number): void {
  if (!(z > 0)) return
  const median = state[at]!
  const rate = Math.max(MEDIAN_RATE, 0.5 / (rows + 1))
  state[at] = median === 0 ? z : median * (z > median ? 1 + rate : 1 - rate)
}

/** How far out in the tail, in powers of ten, 1 where it begins; below that the share of the way. Two words. */
export function tailScore(state: Float32Array, at: number, z: number): number {
  const start = state[at]!
  if (!(z > 0)) return 0
  if (start === 0) return 1
  return z > start ? 1 + (z - start) / (Math.max(state[at + 1]!, start * THINNEST) * Math.LN10) : z / start
}

export function learnTail(state: Float32Array, at: number, z: number, rows: number): void {
  if (!(z > 0)) return
  const start = state[at]!
  if (start === 0) {
    state[at] = z
    state[at + 1] = z
    return
  }
  const rate = Math.max(TAIL_RATE, 1 / (rows + 1))
  if (z > start) state[at + 1] = state[at + 1]! + rate * (z - start - state[at + 1]!)
  state[at] = start * (z > start ? 1 + rate * (1 - TAIL_SHARE) : 1 - rate * TAIL_SHARE)
}
