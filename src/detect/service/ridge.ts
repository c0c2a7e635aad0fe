/**
 * Solves the normal equations of a ridge regression by Cholesky's decomposition, in place: a few dozen unknowns take well under a millisecond.
 */

/** Keeps a direction that no row has shown from being divided by nothing. */
const LEAST_PIVOT = 1e-9

/**
 * Solves A X = B. `a` is symmetric, positive and `n` × `n`, of which the lower half is read and overwritten; `b` is `n` × `m` and becomes X. Both
 * row by row.
 */
export function solvePositive(a: Float64Array, n: number, b: Float64Array, m: number): void {
  for (let j = 0; j < n; j++) {
    let pivot = a[j * n + j]!
    for (let k = 0; k < j; k++) pivot -= a[j * n + k]! * a[j * n + k]!
    const root = Math.sqrt(Math.max(pivot, LEAST_PIVOT))
    a[j * n + j] = root
    for (let i = j + 1; i < n; i++) {
      let sum = a[i * n + j]!
      for (let k = 0; k < j; k++) sum -= a[i * n + k]! * a[j * n + k]!
      a[i * n + j] = sum / root
    }
  }
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) subtract(b, i, k, a[i * n + k]!, m)
    divide(b, i, a[i * n + i]!, m)
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) subtract(b, i, k, a[k * n + i]!, m)
    divide(b, i, a[i * n + i]!, m)
  }
}

function subtract(b: Float64Array, from: number, row: number, times: number, m: number): void {
  for (let c = 0; c < m; c++) b[from * m + c]! -= times * b[row * m + c]!
}

function divide(b: Float64Array, row: number, by: number, m: number): void {
  for (let c = 0; c < m; c++) b[row * m + c]! /= by
}
