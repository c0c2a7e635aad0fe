/**
 * How dense the recent past of a series is around what it does now: a random sample of its shingles (four values in a row), mostly of the
 * last rows, and the mean distance of the current one to the two nearest. The sample lies inside an array of its owner, from `at`.
 */

export const LAGS = 4

/** Mean distance to the two nearest of the sample; 0 while it holds fewer. */
export interface Nearness {
  /** Over the last two values. */
  short: number
  /** Over all four. */
  long: number
  /** Over the three steps between them: the way it moves, wherever it is. */
  shape: number
}

/** Of the shingle `a, b, c, d`, newest first. */
export function distances(
  values: Float32Array,
  at: number,
  count: number,
  a: number,
  b: number,
  c: number,
  d: number,
  out: Nearness,
): void {
  let short1 = Number.POSITIVE_INFINITY
  let short2 = Number.POSITIVE_INFINITY
  let long1 = Number.POSITIVE_INFINITY
  let long2 = Number.POSITIVE_INFINITY
  let shape1 = Number.POSITIVE_INFINITY
  let shape2 = Number.POSITIVE_INFINITY
  for (let i = at, end = at + count * LAGS; i < end; i += LAGS) {
    const p = values[i]! - a
    const q = values[i + 1]! - b
    const r = values[i + 2]! - c
    const s = values[i + 3]! - d
    const short = p * p + q * q
    const long = short + r * r + s * s
    const shape = (p - q) * (p - q) + (q - r) * (q - r) + (r - s) * (r - s)
    if (short < short2) {
      if (short < short1) {
        short2 = short1
        short1 = short
      } else short2 = short
    }
    if (long < long2) {
      if (long < long1) {
        long2 = long1
        long1 = long
      } else long2 = long
    }
    if (shape < shape2) {
      if (shape < shape1) {
        shape2 = shape1
        shape1 = shape
      } else shape2 = shape
    }
  }
  const enough = count >= 2
  out.short = enough ? (Math.sqrt(short1) + Math.sqrt(short2)) / 2 : 0
  out.long = enough ? (Math.sqrt(long1) + Math.sqrt(long2)) / 2 : 0
  out.shape = enough ? (Math.sqrt(shape1) + Math.sqrt(shape2)) / 2 : 0
}

/**
 * Where the next shingle goes, as an index into the sample; -1: nowhere. Once full, each row has the same chance to be in it until
 * `memoryRows` were seen; from then on older ones fade. `random` is uniform in [0, 1).
 */
export function sampleAt(count: number, capacity: number, seen: number, memoryRows: number, random: number): number {
  if (count < capacity) return count
  const chance = capacity / Math.max(capacity, Math.min(seen, memoryRows))
  return random < chance ? Math.floor((random / chance) * capacity) : -1
}
