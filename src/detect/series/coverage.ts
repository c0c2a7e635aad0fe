/**
 * Which values a series has taken: a small sorted set that covers them, so that the distance to the nearest one says how new a value is.
 * A full set gives up the value whose neighbours are closest: it keeps its extremes, and no stretch of the line where the series has been
 * stays empty. The set lies inside an array of its owner, from `at`; nothing is allocated.
 */

/** Distance of a value to the nearest of the set's; 0 for an empty set. */
export function distanceTo(values: Float32Array, at: number, count: number, value: number): number {
  if (count === 0) return 0
  const next = firstAbove(values, at, count, value)
  if (next === 0) return values[at]! - value
  const below = value - values[at + next - 1]!
  return next === count ? below : Math.min(below, values[at + next]! - value)
}

/** Takes a value into the set and answers how many it holds then. */
export function cover(values: Float32Array, at: number, count: number, capacity: number, value: number): number {
  let next = firstAbove(values, at, count, value)
  if (next > 0 && values[at + next - 1] === value) return count
  if (count < capacity) {
    for (let i = count; i > next; i--) values[at + i] = values[at + i - 1]!
    values[at + next] = value
    return count + 1
  }
  // With the new value in its place, which interior one would be missed least? Often it is the new one itself.
  let least = next > 0 && next < count ? values[at + next]! - values[at + next - 1]! : Number.POSITIVE_INFINITY
  let drop = -1
  for (let i = 0; i < count; i++) {
    const left = i === next ? value : i === 0 ? Number.NEGATIVE_INFINITY : values[at + i - 1]!
    const right = i + 1 === next ? value : i + 1 === count ? Number.POSITIVE_INFINITY : values[at + i + 1]!
    if (right - left >= least) continue
    least = right - left
    drop = i
  }
  if (drop < 0) return count
  if (drop < next) {
    next--
    for (let i = drop; i < next; i++) values[at + i] = values[at + i + 1]!
  } else for (let i = drop; i > next; i--) values[at + i] = values[at + i - 1]!
  values[at + next] = value
  return count
}

/** Forgets the set's value at `index`; what is still visited comes back by itself. Answers how many it holds then. */
export function uncover(values: Float32Array, at: number, count: number, index: number): number {
  values.copyWithin(at + index, at + index + 1, at + count)
  return count - 1
}

/** How many of the set's values are not above this one. */
function firstAbove(values: Float32Array, at: number, count: number, value: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >> 1
    if (values[at + middle]! <= value) low = middle + 1
    else high = middle
  }
  return low
}
