/**
 * A native (Prometheus) or exponential (OpenTelemetry) histogram as a classic one with few buckets: cumulative counts at bounds that are
 * powers of the square root of two, or of two, four, … where the observations are spread so widely that more would be needed. Buckets are only ever
 * merged, so every count is exact. The highest bucket in use is always kept, because a slow minute is a thin tail of all that was
 * counted before; at the low end at most one in a hundred observations goes into the first bucket.
 * https://prometheus.io/docs/specs/native_histograms/, https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
 */

/** How observations are spread. `cumulative[i]` of them are at most `bounds[i]`; `count` are at most infinity. */
export interface Distribution {
  readonly count: number
  readonly sum: number
  /** Upper bounds, ascending, without +Inf. */
  readonly bounds: Float64Array
  readonly cumulative: Float64Array
}

/** Bucket `indexes[i]` covers (base^index, base^(index + 1)] with base = 2^(2^-scale), as in OpenTelemetry; Prometheus counts from one more. Ascending. */
export interface Buckets {
  readonly indexes: ArrayLike<number>
  readonly counts: ArrayLike<number>
}

export const NO_BUCKETS: Buckets = { indexes: [], counts: [] }

/** The finest resolution that is kept: two buckets for each doubling. */
const FINEST_SCALE = 1
/** At this one a single bucket holds every double above 1, another one all below. */
const COARSEST_SCALE = -11
const MAX_BUCKETS = 24
/** So much of all observations may lie below the lowest bound that is kept. */
const MAX_TRIMMED = 0.01

/** Buckets without gaps, as OpenTelemetry sends them. */
export function denseBuckets(offset: number, counts: ArrayLike<number>): Buckets {
  return { indexes: Array.from(counts, (_, i) => offset + i), counts }
}

/** `scale`: what Prometheus calls the schema, any from -11 on. Counts must not be negative. */
export function gridOf(
  scale: number,
  zeroThreshold: number,
  zeroCount: number,
  positive: Buckets,
  negative: Buckets,
  count: number,
  sum: number,
): Distribution {
  const above = usedRange(positive)
  const below = usedRange(negative)
  let kept = Math.min(scale, FINEST_SCALE)
  let trimTo = Number.NEGATIVE_INFINITY
  for (; kept > COARSEST_SCALE; kept--) {
    const negatives = below === undefined ? 0 : merged(below.last, scale, kept) - merged(below.first, scale, kept) + 1
    const room = MAX_BUCKETS - negatives
    if (room < 1) continue
    if (above === undefined) break
    const last = merged(above.last, scale, kept)
    const first = last - room + 1
    if (merged(above.first, scale, kept) >= first) break
    // Only what nobody looks at is given up for a finer grid: not the numbers around or below zero, where there are such.
    if (below === undefined && zeroCount === 0 && countBelow(positive, first, scale, kept) <= count * MAX_TRIMMED) {
      trimTo = first
      break
    }
  }
  const bounds: number[] = []
  const cumulative: number[] = []
  let total = 0
  if (below !== undefined) {
    const counts = merge(negative, below, scale, kept, Number.NEGATIVE_INFINITY)
    const first = merged(below.first, scale, kept)
    extend(bounds, cumulative, -boundAt(first + counts.length, kept), 0)
    for (let i = counts.length - 1; i >= 0; i--) extend(bounds, cumulative, -boundAt(first + i, kept), (total += counts[i]!))
  }
  if (zeroCount > 0) extend(bounds, cumulative, zeroThreshold, (total += zeroCount))
  if (above !== undefined) {
    const counts = merge(positive, above, scale, kept, trimTo)
    const first = Math.max(merged(above.first, scale, kept), trimTo)
    if (trimTo > Number.NEGATIVE_INFINITY) total += countBelow(positive, trimTo, scale, kept)
    // Where the first bucket begins inside the zero bucket, its lower bound says nothing.
    if (bounds.length === 0 || boundAt(first, kept) > bounds.at(-1)!) extend(bounds, cumulative, boundAt(first, kept), total)
    for (let i = 0; i < counts.length; i++) extend(bounds, cumulative, boundAt(first + i + 1, kept), (total += counts[i]!))
  }
  return { count, sum, bounds: Float64Array.from(bounds), cumulative: Float64Array.from(cumulative) }
}

/** A histogram with bounds of its own; `counts` of each bucket, the last beyond the last bound. Of many bounds some are left out, always the same. */
export function explicitGrid(bounds: ArrayLike<number>, counts: ArrayLike<number>, count: number, sum: number): Distribution {
  const step = Math.ceil(bounds.length / MAX_BUCKETS)
  const kept = step <= 1 ? bounds.length : Math.floor((bounds.length - 1) / step) + 1
  const distribution: Distribution = { count, sum, bounds: new Float64Array(kept), cumulative: new Float64Array(kept) }
  let total = 0
  let at = 0
  for (let i = 0; i < bounds.length; i++) {
    total += counts[i] ?? 0
    // Counted from the end, so that the highest bound is among them.
    if (step > 1 && (bounds.length - 1 - i) % step !== 0) continue
    distribution.bounds[at] = bounds[i]!
    distribution.cumulative[at++] = total
  }
  return distribution
}

/** Bounds that are the same to a double, or infinite, are no bounds of their own. */
function extend(bounds: number[], cumulative: number[], bound: number, total: number): void {
  if (!Number.isFinite(bound)) return
  const last = bounds.length - 1
  if (last >= 0 && bound <= bounds[last]!) cumulative[last] = total
  else {
    bounds.push(bound)
    cumulative.push(total)
  }
}

/** base^index exactly where it is a power of two. */
function boundAt(index: number, scale: number): number {
  if (scale <= 0) return 2 ** (index * 2 ** -scale)
  return index % 2 === 0 ? 2 ** (index / 2) : 2 ** ((index - 1) / 2) * Math.SQRT2
}

/** The bucket of the kept scale; those beyond what a double can be are all the same one, so that a grid stays small whatever the indexes. */
function merged(index: number, scale: number, kept: number): number {
  const at = Math.floor(index / 2 ** (scale - kept))
  const perDoubling = 2 ** kept
  return Math.min(Math.max(at, Math.floor(-1075 * perDoubling)), Math.ceil(1024 * perDoubling))
}

function usedRange({ indexes, counts }: Buckets): { first: number; last: number } | undefined {
  let from = 0
  let to = counts.length - 1
  while (from <= to && !(counts[from]! > 0)) from++
  while (to > from && !(counts[to]! > 0)) to--
  return from > to ? undefined : { first: indexes[from]!, last: indexes[to]! }
}

function countBelow({ indexes, counts }: Buckets, first: number, scale: number, kept: number): number {
  let total = 0
  for (let i = 0; i < counts.length && merged(indexes[i]!, scale, kept) < first; i++) total += counts[i]!
  return total
}

function merge(
  { indexes, counts }: Buckets,
  range: { first: number; last: number },
  scale: number,
  kept: number,
  from: number,
): Float64Array {
  const first = Math.max(merged(range.first, scale, kept), from)
  const grid = new Float64Array(merged(range.last, scale, kept) - first + 1)
  for (let i = 0; i < counts.length; i++) {
    if (!(counts[i]! > 0)) continue
    const at = merged(indexes[i]!, scale, kept) - first
    if (at >= 0) grid[at] = grid[at]! + counts[i]!
  }
  return grid
}
