/**
 * A small autoencoder over the residual vector of a service, as a forward pass over typed arrays: no TensorFlow, no allocation per row.
 * It has learnt which residuals move together; what it cannot reconstruct is what does not fit together, and the error per
 * feature says which. Equal to `tf.predict` of the same weights within 1e-5 (tested on every backend).
 */
import { PermanentError } from '../../errors.ts'
import { FEATURES, type Feature } from '../residuals.ts'

export type Activation = 'tanh' | 'relu' | 'linear'

/** `kernel` as TensorFlow.js lays it out: `inputs` rows of `units`. */
export interface DenseLayer {
  readonly name: string
  readonly inputs: number
  readonly units: number
  readonly activation: Activation
  readonly kernel: Float32Array
  readonly bias: Float32Array
}

/** A trained model as data; `model-files.ts` reads and writes it. */
export interface AutoencoderModel {
  readonly name: string
  /** Inputs and outputs of the net, in order; some or all of `FEATURES`. */
  readonly features: readonly Feature[]
  /** Subtracted from, and divided by, before the net sees a residual. */
  readonly mean: Float32Array
  readonly deviation: Float32Array
  readonly layers: readonly DenseLayer[]
  /** Of rows it has not been trained on. `threshold` is where an anomaly begins. */
  readonly error: { readonly median: number; readonly q99: number; readonly threshold: number }
  readonly training: {
    readonly data: string
    readonly rows: number
    readonly seed: number
    readonly loss: number
    readonly validationLoss: number
  }
}

/** An error is the mean of this many of the largest: one lone feature still shows, five that moved show five times as much. */
const WORST = 5
const Z_LIMIT = 1000
/** Beyond this, further is not worse. */
const DECODED_LIMIT = 50

/*
 * A difference is measured against what the net suggests: |z − ẑ| / (1 + |ẑ|). Where it suggests the baseline that is |z − ẑ| itself; in a
 * surge that it understands, where 14 comes for 12, it is little. Without the divisor surges set the threshold: on made-up services
 * (synthetic-residuals.ts, threshold at 99.9 %) CPU 12 deviations off alone was found in 0 % of windows, with it in 42 %; CPU up while
 * traffic falls, 8 each, in 0 % and 77 %; errors and log errors up with latency while traffic falls, 5 to 8 each, in 49 % and 94 %.
 */

interface Pass {
  readonly inputs: number
  readonly units: number
  readonly activation: Activation
  /** By unit, so that the inner loop runs along memory. */
  readonly kernel: Float32Array
  readonly bias: Float32Array
  readonly out: Float32Array
}

export class Autoencoder {
  readonly model: AutoencoderModel
  readonly features: readonly Feature[]
  /** After `score`: what each feature of the model adds to the error. Owned here, overwritten by the next call. */
  readonly contributions: Float32Array
  /** After `score`: the residual that the others suggest, in the units of the vector. Owned here, overwritten by the next call. */
  readonly suggested: Float32Array
  readonly #columns: Int32Array
  readonly #passes: readonly Pass[]
  readonly #z: Float32Array
  readonly #compressed: Float32Array
  readonly #worst = new Float64Array(WORST)

  constructor(model: AutoencoderModel) {
    const width = model.features.length
    const last = model.layers.at(-1)
    if (last === undefined || model.layers[0]!.inputs !== width || last.units !== width) {
      throw new PermanentError(`model ${model.name}: its net does not go from ${width} features to ${width}`)
    }
    this.model = model
    this.features = model.features
    this.contributions = new Float32Array(width)
    this.suggested = new Float32Array(width)
    this.#columns = Int32Array.from(model.features, (feature) => FEATURES.indexOf(feature))
    this.#passes = model.layers.map(passOf)
    this.#z = new Float32Array(width)
    this.#compressed = new Float32Array(width)
  }

  /**
   * Reconstruction error of a vector in the order of `FEATURES`: the mean of the five largest differences, each in deviations where the baseline
   * was to be expected and less where more was. A feature that is exactly 0 was not observed: it is neither blamed nor counted, though the
   * net sees it as being at its mean.
   */
  score(vector: Float32Array): number {
    const { mean, deviation } = this.model
    const width = this.#columns.length
    for (let i = 0; i < width; i++) {
      const residual = vector[this.#columns[i]!]!
      const z = residual === 0 ? 0 : clip((residual - mean[i]!) / deviation[i]!, Z_LIMIT)
      this.#z[i] = z
      this.#compressed[i] = compress(z)
    }
    const out = this.forward(this.#compressed)
    const worst = this.#worst.fill(0)
    for (let i = 0; i < width; i++) {
      const decoded = clip(decompress(out[i]!), DECODED_LIMIT)
      this.suggested[i] = decoded * deviation[i]! + mean[i]!
      const seen = vector[this.#columns[i]!]! !== 0
      const error = seen ? Math.abs(clip(this.#z[i]!, DECODED_LIMIT) - decoded) / (1 + Math.abs(decoded)) : 0
      this.contributions[i] = error
      keepWorst(worst, error)
    }
    let sum = 0
    for (let k = 0; k < WORST; k++) sum += worst[k]!
    return sum / Math.min(WORST, width)
  }

  /** The bare net, on standardised and compressed inputs. The result is owned here and overwritten by the next call. */
  forward(input: Float32Array): Float32Array {
    let from = input
    for (let l = 0; l < this.#passes.length; l++) {
      const { inputs, units, activation, kernel, bias, out } = this.#passes[l]!
      for (let j = 0, at = 0; j < units; j++) {
        let sum = bias[j]!
        for (let i = 0; i < inputs; i++, at++) sum += from[i]! * kernel[at]!
        out[j] = activation === 'tanh' ? Math.tanh(sum) : activation === 'relu' && sum < 0 ? 0 : sum
      }
      from = out
    }
    return from
  }
}

/** Keeps ±50 within reach of a net whose inputs are mostly within ±2. */
export function compress(z: number): number {
  return z < 0 ? -Math.log1p(-z) : Math.log1p(z)
}

export function decompress(u: number): number {
  return u < 0 ? -Math.expm1(-u) : Math.expm1(u)
}

function clip(value: number, limit: number): number {
  return value > limit ? limit : value < -limit ? -limit : value
}

/** `worst` in falling order. */
function keepWorst(worst: Float64Array, error: number): void {
  if (!(error > worst[WORST - 1]!)) return
  let k = WORST - 1
  for (; k > 0 && worst[k - 1]! < error; k--) worst[k] = worst[k - 1]!
  worst[k] = error
}

function passOf(layer: DenseLayer): Pass {
  const { inputs, units, activation, bias } = layer
  const kernel = new Float32Array(inputs * units)
  for (let i = 0; i < inputs; i++) for (let j = 0; j < units; j++) kernel[j * inputs + i] = layer.kernel[i * units + j]!
  return { inputs, units, activation, kernel, bias, out: new Float32Array(units) }
}
