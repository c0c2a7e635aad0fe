/**
 * An autoencoder that needs no training: a hidden layer of random tanh features, and an output layer that ridge regression finds in one step
 * (extreme learning machine, https://doi.org/10.1016/j.neucom.2005.12.126). The ridge and the bends of tanh keep it from
 * giving back what it has not seen. The same rows make the same net; tens of milliseconds for thousands of rows.
 */
import { normal, seededRandom } from '../random.ts'
import { solvePositive } from './ridge.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

/** What gives back its input as far as it has seen the like. */
export interface Reconstruction {
  readonly width: number
  /** `out` becomes what the row `input` suggests of itself. */
  pass(input: Float64Array, out: Float64Array): void
}

/** `rows` rows of `width`, one after the other. */
export type FitReconstruction = (values: Float64Array, rows: number, width: number) => Reconstruction

const HIDDEN = 32
/** Spread of a unit's input when those of the net have a spread of 1: tanh is bent there, but seldom flat. */
const GAIN = 2
const BIAS = 0.5
const RIDGE = 0.01
const SEED = 1

export class RandomNet implements Reconstruction {
  readonly width: number
  /** By unit: weights of the inputs. */
  readonly #hidden: Float64Array
  readonly #bias = new Float64Array(HIDDEN)
  /** By unit and then the constant: what each adds to every output. */
  readonly #output: Float32Array
  readonly #units = new Float64Array(HIDDEN + 1)

  constructor(width: number, output: Float32Array = new Float32Array((HIDDEN + 1) * width)) {
    this.width = width
    const random = seededRandom(SEED)
    this.#hidden = Float64Array.from({ length: HIDDEN * width }, () => (normal(random) * GAIN) / Math.sqrt(width))
    for (let j = 0; j < HIDDEN; j++) this.#bias[j] = normal(random) * BIAS
    this.#output = output
    this.#units[HIDDEN] = 1
  }

  static fit(this: void, values: Float64Array, rows: number, width: number): RandomNet {
    const net = new RandomNet(width)
    const units = net.#units
    const size = HIDDEN + 1
    const gram = new Float64Array(size * size)
    const target = new Float64Array(size * width)
    for (let r = 0; r < rows; r++) {
      const at = r * width
      net.#activate(values, at)
      for (let j = 0; j < size; j++) {
        const unit = units[j]!
        for (let k = 0; k <= j; k++) gram[j * size + k]! += unit * units[k]!
        for (let c = 0; c < width; c++) target[j * width + c]! += unit * values[at + c]!
      }
    }
    for (let j = 0; j < HIDDEN; j++) gram[j * size + j]! += RIDGE * rows
    solvePositive(gram, size, target, width)
    net.#output.set(target)
    return net
  }

  pass(input: Float64Array, out: Float64Array): void {
    this.#activate(input, 0)
    out.fill(0)
    const { width } = this
    for (let j = 0, at = 0; j <= HIDDEN; j++) {
      const unit = this.#units[j]!
      for (let c = 0; c < width; c++, at++) out[c]! += unit * this.#output[at]!
    }
  }

  snapshot(to: SnapshotWriter): void {
    to.column(this.#output)
  }

  /** Undefined where the bytes are of a net of another shape. */
  static restore(from: SnapshotReader, width: number): RandomNet | undefined {
    const output = from.f32s()
    return output.length === (HIDDEN + 1) * width ? new RandomNet(width, output) : undefined
  }

  #activate(values: Float64Array, from: number): void {
    const { width } = this
    for (let j = 0, at = 0; j < HIDDEN; j++) {
      let sum = this.#bias[j]!
      for (let i = 0; i < width; i++, at++) sum += this.#hidden[at]! * values[from + i]!
      this.#units[j] = Math.tanh(sum)
    }
  }
}
