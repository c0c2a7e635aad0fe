/**
 * The spectral residual of a whole series and how far it stands above its recent mean: Ren et al., KDD 2019, section 3.2
 * (https://arxiv.org/abs/1906.03821); the mean over as many rows as suit the KPI set best, as the figure it is compared with. A yardstick: it
 * reads the series to its end before it scores the first row.
 */

const SPECTRUM_ROWS = 3
const SCORE_ROWS = 10_000
/** The series is continued by this many points, estimated from as many before the end. */
const EXTENSION = 5
const EPSILON = 1e-8

export function spectralResidual(value: Float64Array): Float64Array {
  const rows = value.length
  const real = new Float64Array(rows + EXTENSION)
  real.set(value)
  real.fill(nextValue(value), rows)
  const imaginary = new Float64Array(real.length)
  transform(real, imaginary, false)
  const logs = Float64Array.from(real, (x, i) => {
    const magnitude = Math.hypot(x, imaginary[i]!)
    return magnitude <= EPSILON ? 0 : Math.log(magnitude)
  })
  const means = runningMean(logs, SPECTRUM_ROWS)
  for (let i = 0; i < real.length; i++) {
    const magnitude = Math.hypot(real[i]!, imaginary[i]!)
    const factor = magnitude <= EPSILON ? 0 : Math.exp(logs[i]! - means[i]!) / magnitude
    real[i]! *= factor
    imaginary[i]! *= factor
  }
  transform(real, imaginary, true)
  const saliency = Float64Array.from({ length: rows }, (_, i) => Math.hypot(real[i]!, imaginary[i]!))
  const recent = runningMean(saliency, SCORE_ROWS)
  return saliency.map((s, i) => Math.abs(s - recent[i]!) / Math.max(recent[i]!, EPSILON))
}

/** From the mean slope between the last point but one and the points before it. */
function nextValue(value: Float64Array): number {
  const recent = value.subarray(-EXTENSION - 2, -1)
  const last = recent.length - 1
  let slopes = 0
  for (let i = 0; i < last; i++) slopes += (recent[last]! - recent[i]!) / (last - i)
  return recent[1]! + slopes
}

function runningMean(values: Float64Array, rows: number): Float64Array {
  let sum = 0
  return values.map((value, i) => {
    sum += value - (i >= rows ? values[i - rows]! : 0)
    return sum / Math.min(rows, i + 1)
  })
}

/** Discrete Fourier transform of any length, in place: Bluestein's, on a power of two. */
function transform(real: Float64Array, imaginary: Float64Array, inverse: boolean): void {
  const n = real.length
  const size = 2 ** Math.ceil(Math.log2(2 * n - 1))
  const sign = inverse ? 1 : -1
  const cos = new Float64Array(n)
  const sin = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const angle = (Math.PI * ((i * i) % (2 * n))) / n
    cos[i] = Math.cos(angle)
    sin[i] = sign * Math.sin(angle)
  }
  const aReal = new Float64Array(size)
  const aImaginary = new Float64Array(size)
  const bReal = new Float64Array(size)
  const bImaginary = new Float64Array(size)
  for (let i = 0; i < n; i++) {
    aReal[i] = real[i]! * cos[i]! - imaginary[i]! * sin[i]!
    aImaginary[i] = real[i]! * sin[i]! + imaginary[i]! * cos[i]!
    bReal[i] = bReal[(size - i) % size] = cos[i]!
    bImaginary[i] = bImaginary[(size - i) % size] = -sin[i]!
  }
  fft(aReal, aImaginary)
  fft(bReal, bImaginary)
  // The inverse of the product, by transforming it with real and imaginary part exchanged.
  for (let i = 0; i < size; i++) {
    const x = aReal[i]! * bReal[i]! - aImaginary[i]! * bImaginary[i]!
    aImaginary[i] = aReal[i]! * bImaginary[i]! + aImaginary[i]! * bReal[i]!
    aReal[i] = x
  }
  fft(aImaginary, aReal)
  const scale = 1 / size / (inverse ? n : 1)
  for (let i = 0; i < n; i++) {
    real[i] = (aReal[i]! * cos[i]! - aImaginary[i]! * sin[i]!) * scale
    imaginary[i] = (aReal[i]! * sin[i]! + aImaginary[i]! * cos[i]!) * scale
  }
}

/** Cooley and Tukey's, for powers of two, in place. */
function fft(real: Float64Array, imaginary: Float64Array): void {
  const n = real.length
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1
    for (; (j & bit) !== 0; bit >>= 1) j ^= bit
    j ^= bit
    if (i < j) {
      ;[real[i], real[j]] = [real[j]!, real[i]!]
      ;[imaginary[i], imaginary[j]] = [imaginary[j]!, imaginary[i]!]
    }
  }
  for (let length = 2; length <= n; length <<= 1) {
    const half = length >> 1
    for (let k = 0; k < half; k++) {
      const angle = (-2 * Math.PI * k) / length
      const cos = Math.cos(angle)
      const sin = Math.sin(angle)
      for (let i = k; i < n; i += length) {
        const j = i + half
        const x = real[j]! * cos - imaginary[j]! * sin
        const y = real[j]! * sin + imaginary[j]! * cos
        real[j] = real[i]! - x
        imaginary[j] = imaginary[i]! - y
        real[i]! += x
        imaginary[i]! += y
      }
    }
  }
}
