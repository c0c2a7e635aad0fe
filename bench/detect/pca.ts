/**
 * The yardstick of the service detector's net: what the first principal components of a row do not explain. Found by Jacobi's rotations.
 */
import type { Reconstruction } from '../../src/detect/service/random-net.ts'

const COMPONENTS = 8
const SWEEPS = 30

export function fitPca(values: Float64Array, rows: number, width: number): Reconstruction {
  const mean = new Float64Array(width)
  const covariance = new Float64Array(width * width)
  for (let at = 0; at < rows * width; at++) mean[at % width]! += values[at]! / rows
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < width; i++) {
      const x = values[r * width + i]! - mean[i]!
      for (let k = 0; k < width; k++) covariance[i * width + k]! += (x * (values[r * width + k]! - mean[k]!)) / rows
    }
  }
  const vectors = eigenvectors(covariance, width)
  const order = Array.from({ length: width }, (_, i) => i).sort((a, b) => covariance[b * width + b]! - covariance[a * width + a]!)
  const kept = order.slice(0, COMPONENTS)
  return {
    width,
    pass(input, out) {
      out.set(mean)
      for (const c of kept) {
        let along = 0
        for (let i = 0; i < width; i++) along += (input[i]! - mean[i]!) * vectors[i * width + c]!
        for (let i = 0; i < width; i++) out[i]! += along * vectors[i * width + c]!
      }
    },
  }
}

/** Column by column; `a` becomes diagonal (Jacobi 1846, https://doi.org/10.1515/crll.1846.30.51). */
function eigenvectors(a: Float64Array, n: number): Float64Array {
  const vectors = new Float64Array(n * n)
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(a[p * n + q]!) < 1e-14) continue
        const theta = (a[q * n + q]! - a[p * n + p]!) / (2 * a[p * n + q]!)
        const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1))
        const cosine = 1 / Math.sqrt(tangent * tangent + 1)
        for (let k = 0; k < n; k++) rotate(a, k * n + p, k * n + q, cosine, tangent * cosine)
        for (let k = 0; k < n; k++) rotate(a, p * n + k, q * n + k, cosine, tangent * cosine)
        for (let k = 0; k < n; k++) rotate(vectors, k * n + p, k * n + q, cosine, tangent * cosine)
      }
    }
  }
  return vectors
}

function rotate(a: Float64Array, p: number, q: number, cosine: number, sine: number): void {
  const [x, y] = [a[p]!, a[q]!]
  a[p] = cosine * x - sine * y
  a[q] = sine * x + cosine * y
}
