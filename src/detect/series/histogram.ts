/**
 * Numbers out of counted requests: a quantile from the cumulative buckets of a classic histogram, and how many of a few requests
 * must fail before the ratio is worth believing.
 */

/** Seconds (or whatever the bounds are) of a bucket's `le`; NaN when it is no number. */
export function boundOf(le: string): number {
  if (le === '+Inf' || le === 'Inf' || le === 'inf' || le === '+inf') return Number.POSITIVE_INFINITY
  return le.trim() === '' ? Number.NaN : Number(le)
}

/**
 * The quantile as PromQL's histogram_quantile has it: linear inside its bucket, the highest finite bound when it lies beyond,
 * NaN when nothing was counted. `bounds` ascend, the last is +Inf; `cumulative` are the increments of each, and are made to
 * ascend where instances with different bounds were added up.
 */
export function bucketQuantile(q: number, bounds: readonly number[], cumulative: readonly number[]): number {
  const last = bounds.length - 1
  if (last < 1 || bounds[last] !== Number.POSITIVE_INFINITY) return Number.NaN
  let total = 0
  for (let i = 0; i <= last; i++) total = Math.max(total, cumulative[i]!)
  if (!(total > 0)) return Number.NaN
  const rank = q * total
  let below = 0
  for (let i = 0; i <= last; i++) {
    const upTo = Math.max(below, cumulative[i]!)
    if (upTo >= rank) {
      if (i === last) return bounds[last - 1]!
      const upper = bounds[i]!
      if (i === 0) return upper <= 0 ? upper : upper * (rank / upTo)
      const lower = bounds[i - 1]!
      return lower + (upper - lower) * ((rank - below) / (upTo - below))
    }
    below = upTo
  }
  return bounds[last - 1]!
}

/** The rank whose value the quantile `q` of so many has at least, `z` standard errors off: ranks of a sample spread like a binomial count. */
export function surelyAbove(q: number, trials: number, z: number): number {
  return trials <= 0 ? 0 : Math.max(0, q - z * Math.sqrt((q * (1 - q)) / trials))
}

/** Lower end of Wilson's score interval for `hits` of `trials`: what the ratio is at least, `z` standard errors off (Wilson, 1927). */
export function wilsonLower(hits: number, trials: number, z: number): number {
  if (trials <= 0) return 0
  const p = hits / trials
  const zz = (z * z) / trials
  const centre = p + zz / 2
  const margin = z * Math.sqrt((p * (1 - p)) / trials + zz / (4 * trials))
  return Math.max(0, (centre - margin) / (1 + zz))
}
