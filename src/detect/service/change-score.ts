/**
 * How far each column jumps from where it has been, against how far it usually jumps: one exponentially weighted mean with a short memory and one
 * with a longer one. The quick one sees what begins; the slow one what has been drifting together.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import { topMean } from './top-mean.ts'

const QUICK_RATE = 0.6
const SLOW_RATE = 0.1
/** A column that hardly ever moves is not judged in hundredths of nothing: this share of its own spread counts as usual. */
const FLOOR_SHARE = 0.05
const FURTHEST = 50

export class ChangeScore {
  /** Mean of the five largest jumps, after `judge`. */
  quick = 0
  /** Mean of all slow ones, after `judge`. */
  slow = 0
  /** By column, after `judge`. */
  readonly quickJumps: Float64Array
  readonly slowJumps: Float64Array
  readonly #width: number
  readonly #quickMean: Float64Array
  readonly #slowMean: Float64Array
  readonly #quickUsual: Float64Array
  readonly #slowUsual: Float64Array

  constructor(width: number) {
    this.#width = width
    this.quickJumps = new Float64Array(width)
    this.slowJumps = new Float64Array(width)
    this.#quickMean = new Float64Array(width).fill(Number.NaN)
    this.#slowMean = new Float64Array(width).fill(Number.NaN)
    this.#quickUsual = new Float64Array(width).fill(1)
    this.#slowUsual = new Float64Array(width).fill(1)
  }

  /** Learns how far columns usually jump. `begins[r]` is 1 where the row before `r` is not the one that came before it. */
  fit(values: Float64Array, rows: number, begins: Uint8Array, spread: Float64Array): void {
    const width = this.#width
    const quick = this.#quickUsual.fill(0)
    const slow = this.#slowUsual.fill(0)
    const counts = new Uint32Array(width)
    for (let r = 0; r < rows; r++) {
      if (begins[r] === 1) this.#begin()
      for (let i = 0; i < width; i++) {
        const value = values[r * width + i]!
        if (Number.isNaN(value)) continue
        quick[i]! += this.#step(this.#quickMean, i, value, QUICK_RATE) ** 2
        slow[i]! += this.#step(this.#slowMean, i, value, SLOW_RATE) ** 2
        counts[i]!++
      }
    }
    for (let i = 0; i < width; i++) {
      const floor = FLOOR_SHARE * spread[i]!
      quick[i] = Math.max(floor, Math.sqrt(quick[i]! / Math.max(1, counts[i]!)))
      slow[i] = Math.max(floor, Math.sqrt(slow[i]! / Math.max(1, counts[i]!)))
    }
    this.#begin()
  }

  judge(values: Float64Array, from: number, begins: boolean): void {
    if (begins) this.#begin()
    const width = this.#width
    let sum = 0
    for (let i = 0; i < width; i++) {
      const value = values[from + i]!
      const seen = !Number.isNaN(value)
      const quick = seen ? Math.abs(this.#step(this.#quickMean, i, value, QUICK_RATE)) / this.#quickUsual[i]! : 0
      const slow = seen ? Math.abs(this.#step(this.#slowMean, i, value, SLOW_RATE)) / this.#slowUsual[i]! : 0
      this.quickJumps[i] = Math.min(FURTHEST, quick)
      sum += this.slowJumps[i] = Math.min(FURTHEST, slow)
    }
    this.quick = topMean(this.quickJumps)
    this.slow = sum / width
  }

  snapshot(to: SnapshotWriter): void {
    for (const column of [this.#quickMean, this.#slowMean, this.#quickUsual, this.#slowUsual]) to.column(column)
  }

  restore(from: SnapshotReader): void {
    for (const column of [this.#quickMean, this.#slowMean, this.#quickUsual, this.#slowUsual])
      column.set(from.f64s().subarray(0, this.#width))
  }

  #begin(): void {
    this.#quickMean.fill(Number.NaN)
    this.#slowMean.fill(Number.NaN)
  }

  #step(mean: Float64Array, i: number, value: number, rate: number): number {
    const before = mean[i]!
    if (Number.isNaN(before)) {
      mean[i] = value
      return 0
    }
    const jump = value - before
    mean[i] = before + rate * jump
    return jump
  }
}
