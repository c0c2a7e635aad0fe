/**
 * The mean of the five largest: one lone column still shows, five that moved show five times as much, and a hundred quiet ones hide nothing.
 */
export const TOP = 5

const largest = new Float64Array(TOP)

/** Of values that are not negative. */
export function topMean(values: Float64Array): number {
  largest.fill(0)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (!(value > largest[TOP - 1]!)) continue
    let k = TOP - 1
    for (; k > 0 && largest[k - 1]! < value; k--) largest[k] = largest[k - 1]!
    largest[k] = value
  }
  let sum = 0
  for (let k = 0; k < TOP; k++) sum += largest[k]!
  return values.length === 0 ? 0 : sum / Math.min(TOP, values.length)
}
