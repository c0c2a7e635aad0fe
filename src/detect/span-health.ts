/**
 * The arithmetic of request health: a mergeable sketch of durations whose quantiles are right to 2 %, and how surprising a number of
 * errors is, given what was usual and how few requests there were. Pure; no time, no names.
 */
import type { SnapshotReader, SnapshotWriter } from './snapshot.ts'

/** Buckets grow by 4 %, so the middle of one is at most 2 % off. DDSketch: Masson et al., VLDB 2019, https://arxiv.org/abs/1908.10693 */
const GAMMA = 1.04
const LN_GAMMA = Math.log(GAMMA)
const SMALLEST_MS = 0.001
/** Over eleven days in milliseconds; what is longer is counted there. */
const LARGEST_MS = 1e9
const BUCKETS = 1 + bucketOf(LARGEST_MS)

export class DurationSketch {
  count = 0
  readonly #buckets = new Map<number, number>()

  /** What is not a duration counts as 0. */
  add(ms: number): void {
    const bucket = bucketOf(ms)
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1)
    this.count++
  }

  merge(other: DurationSketch): void {
    for (const [bucket, count] of other.#buckets) this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + count)
    this.count += other.count
  }

  /** The value that a share `q` of the durations does not exceed, in milliseconds; NaN when there are none. */
  quantile(q: number): number {
    if (this.count === 0) return NaN
    const rank = Math.max(1, Math.ceil(q * this.count))
    let below = 0
    let value = NaN
    for (const bucket of [...this.#buckets.keys()].sort(ascending)) {
      below += this.#buckets.get(bucket)!
      value = middleOf(bucket)
      if (below >= rank) break
    }
    return value
  }

  /** How many were longer than this, to the sketch's 2 %. */
  countAbove(ms: number): number {
    const limit = bucketOf(ms)
    let above = 0
    for (const [bucket, count] of this.#buckets) if (bucket > limit) above += count
    return above
  }

  snapshot(to: SnapshotWriter): void {
    const columns = new Uint32Array(this.#buckets.size * 2)
    let i = 0
    for (const [bucket, count] of this.#buckets) {
      columns[i++] = bucket
      columns[i++] = count
    }
    to.column(columns)
  }

  restore(from: SnapshotReader): void {
    const columns = from.u32s()
    this.#buckets.clear()
    this.count = 0
    for (let i = 0; i + 1 < columns.length; i += 2) {
      this.#buckets.set(Math.min(BUCKETS - 1, columns[i]!), columns[i + 1]!)
      this.count += columns[i + 1]!
    }
  }
}

/** Before anything was seen: one error in a hundred requests, held with the weight of fifty. */
const PRIOR_ERRORS = 0.5
const PRIOR_SUCCESSES = 49.5

/**
 * How surprising `errors` or more of `requests` are, as −log10 of the probability, after `usualErrors` of `usualRequests`: the upper
 * tail of the beta-binomial distribution. One of two is nothing; thirty of a hundred after a clean hour is far beyond any threshold.
 * 0 when there are no more errors than expected.
 */
export function errorSurprise(errors: number, requests: number, usualErrors: number, usualRequests: number): number {
  const alpha = usualErrors + PRIOR_ERRORS
  const beta = Math.max(0, usualRequests - usualErrors) + PRIOR_SUCCESSES
  if (errors <= 0 || errors / requests <= alpha / (alpha + beta)) return 0
  const first =
    logGamma(requests + 1) -
    logGamma(errors + 1) -
    logGamma(requests - errors + 1) +
    logGamma(errors + alpha) +
    logGamma(requests - errors + beta) -
    logGamma(requests + alpha + beta) -
    (logGamma(alpha) + logGamma(beta) - logGamma(alpha + beta))
  // Above the mean the terms fall; the sum relative to the first one ends when they no longer count.
  let term = 1
  let sum = 1
  for (let k = errors; k < requests && term > sum * 1e-9; k++) {
    term *= ((requests - k) / (k + 1)) * ((k + alpha) / (requests - k - 1 + beta))
    sum += term
  }
  return Math.max(0, -(first + Math.log(sum)) / Math.LN10)
}

/**
 * How surprising it is that `slow` of `requests` took longer than 95 % usually do, as −log10 of the probability. Two slow ones of thirty
 * move a p95 by any factor and mean nothing.
 */
export function slowSurprise(slow: number, requests: number): number {
  return errorSurprise(slow, requests, 10, 200)
}

/** The same for half of them: where quick and slow operations are mixed, a few more of the slow ones move a median from the one to the other. */
export function halfSlowSurprise(slow: number, requests: number): number {
  return errorSurprise(slow, requests, 100, 200)
}

/** The normal distribution's standard deviations of the same surprise, near enough for a residual. */
export function surpriseZ(surprise: number): number {
  return Math.sqrt(2 * Math.LN10 * surprise)
}

/** Share of requests that usually fail. */
export function usualRatio(usualErrors: number, usualRequests: number): number {
  return (usualErrors + PRIOR_ERRORS) / (usualRequests + PRIOR_ERRORS + PRIOR_SUCCESSES)
}

/** Lanczos' approximation (g = 7), good to 1e-13 for x > 0.5. */
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]

export function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x)
  const t = x + 6.5
  let sum = LANCZOS[0]!
  for (let i = 1; i < LANCZOS.length; i++) sum += LANCZOS[i]! / (x - 1 + i)
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum)
}

function bucketOf(ms: number): number {
  if (!(ms > SMALLEST_MS)) return 0
  return Math.ceil(Math.log(Math.min(ms, LARGEST_MS) / SMALLEST_MS) / LN_GAMMA)
}

function middleOf(bucket: number): number {
  return bucket === 0 ? 0 : (2 * SMALLEST_MS * GAMMA ** bucket) / (GAMMA + 1)
}

function ascending(a: number, b: number): number {
  return a - b
}
