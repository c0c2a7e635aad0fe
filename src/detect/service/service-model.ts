/**
 * How the series of one service move together, learnt from its own history: a net that gives back a row as far as it has seen the like, and how
 * far columns usually jump. The score of a row adds three parts, each in its own standard deviations: what the net cannot give back, what
 * jumped, and what drifts. Fitting is one pass of algebra; judging takes microseconds and allocates nothing.
 */
import { compress, decompress } from './autoencoder.ts'
import { ChangeScore } from './change-score.ts'
import { DailyProfile } from './daily-profile.ts'
import { RandomNet, type FitReconstruction, type Reconstruction } from './random-net.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import type { StepHistory } from './step-history.ts'
import { TOP, topMean } from './top-mean.ts'

/** A spread is never taken to be less than this, nor than this share of the mean, nor than this share of the range. */
const LEAST_SPREAD = 1e-9
const LEAST_MEAN_SHARE = 0.01
const LEAST_RANGE_SHARE = 0.01
const Z_LIMIT = 1000
/** Beyond this, further is not worse. */
const DECODED_LIMIT = 50
/** A part half follows a rise at once, so that one odd row is damped and two are not, and fades more slowly than it came. */
const RISE = 0.5
const NET_FALL = 0.3
const CHANGE_FALL = 0.04
const LEAST_SD = 1e-6
/**
 * Few rows, alike because they follow one another, show little of what is usual: a model of so many takes twice the deviations it found for its
 * parts. On services with nothing known before, VUS-PR rose on three of three collections: .55, .37, .37 without, .58, .48, .43 with 400 rows,
 * .59, .54, .47 with 1,500.
 */
const YOUTH_ROWS = 1000
/** From the second fit on, rows in so small a share that the model before could not give back by far do not teach the next one. */
const DROPPED_SHARE = 0.02
const DROPPED_TIMES = 10
const PARTS = 3

export class ServiceModel {
  /** Columns of a row that it knows. */
  readonly columns: Int32Array
  /** Of its own rows: 99 of 100 score less. */
  q99 = 1
  /** After `judge`, by position in `columns`: the share of the score, and what the others suggest, as rows are. */
  readonly contributions: Float64Array
  readonly suggested: Float64Array
  readonly observed: Float64Array
  /** Rows it was fitted on. */
  rows = 0
  readonly #dropped = new Set<number>()
  /** By position in `columns`: what one deviation is. */
  readonly spread: Float64Array
  readonly #mean: Float64Array
  readonly #change: ChangeScore
  readonly #profile: DailyProfile
  #net: Reconstruction
  /** Net, jumps, drift: smoothed, and the mean and deviation of each over the fitted rows. */
  readonly #parts = new Float64Array(PARTS)
  readonly #partMeans = new Float64Array(PARTS)
  readonly #partDeviations = new Float64Array(PARTS).fill(1)
  readonly #values: Float64Array
  readonly #inputs: Float64Array
  readonly #outputs: Float64Array
  readonly #errors: Float64Array
  readonly #season: Float64Array

  private constructor(columns: Int32Array, net: Reconstruction, profile: DailyProfile) {
    const width = columns.length
    this.columns = columns
    this.#net = net
    this.#profile = profile
    this.#change = new ChangeScore(width)
    this.contributions = new Float64Array(width)
    this.suggested = new Float64Array(width)
    this.observed = new Float64Array(width)
    this.#mean = new Float64Array(width)
    this.spread = new Float64Array(width).fill(1)
    this.#values = new Float64Array(width)
    this.#inputs = new Float64Array(width)
    this.#outputs = new Float64Array(width)
    this.#errors = new Float64Array(width)
    this.#season = new Float64Array(width)
  }

  /**
   * `bases`: what was taken off each column; `rows`: of the history, from its beginning. Undefined when there is nothing to learn from: fewer than
   * two columns. Goes on where these rows end.
   */
  static fit(
    history: StepHistory,
    bases: Float64Array,
    before: ServiceModel | undefined,
    fitNet: FitReconstruction = RandomNet.fit,
    rows = history.kept,
  ): ServiceModel | undefined {
    const columns = wellKnown(history, bases.length, rows)
    if (columns.length < 2) return undefined
    const { values, timeMs, begins } = gather(history, columns, rows)
    const odd = before === undefined ? undefined : before.#oddRows(history, rows)
    const profile = DailyProfile.fit(timeMs, values, rows, columns.length)
    const season = new Float64Array(columns.length)
    for (let r = 0; r < rows; r++) {
      profile.at(timeMs[r]!, season)
      for (let i = 0; i < columns.length; i++) values[r * columns.length + i]! -= season[i]!
    }
    const scale = scaleOf(values, rows, columns.length, odd)
    for (let i = 0; i < columns.length; i++) {
      const share = LEAST_MEAN_SHARE * Math.abs(scale.mean[i]! + bases[columns[i]!]!)
      scale.spread[i] = Math.max(scale.spread[i]!, share)
    }
    const model = new ServiceModel(columns, NOTHING, profile)
    model.#mean.set(scale.mean)
    model.spread.set(scale.spread)
    model.rows = rows
    model.#fitNet(values, rows, odd, fitNet)
    model.#change.fit(values, rows, begins, model.spread)
    model.#fitParts(values, rows, begins, odd)
    return model
  }

  /** Scores a row, then moves on. Larger is stranger; of the rows it knows, 99 of 100 are below `q99`. `row` is in the columns of the history. */
  judge(timeMs: number, row: Float64Array): number {
    this.#read(timeMs, row)
    const score = this.#advance(this.#values, 0, false)
    const [net, jumps, drift] = this.#partDeviations
    const width = this.columns.length
    const top = Math.min(TOP, width)
    for (let i = 0; i < width; i++) {
      const { quickJumps, slowJumps } = this.#change
      this.contributions[i] = this.#errors[i]! / (top * net!) + quickJumps[i]! / (top * jumps!) + slowJumps[i]! / (width * drift!)
    }
    this.#tellSuggested()
    return score
  }

  /** Fills `observed` and `suggested` without moving on. Answers with how odd the row is to the net, in deviations of the rows it was fitted on. */
  suggest(timeMs: number, row: Float64Array): number {
    this.#read(timeMs, row)
    const error = this.#netError(this.#values, 0)
    this.#tellSuggested()
    return (error - this.#partMeans[0]!) / this.#partDeviations[0]!
  }

  /** Another series has taken the column: it is not judged until the next fit. */
  drop(column: number): void {
    this.#dropped.add(column)
  }

  snapshot(to: SnapshotWriter): void {
    to.column(this.columns)
    to.column(Uint32Array.from(this.#dropped))
    this.#profile.snapshot(to)
    ;(this.#net as RandomNet).snapshot(to)
    for (const column of [this.#mean, this.spread, this.#parts, this.#partMeans, this.#partDeviations]) to.column(column)
    this.#change.snapshot(to)
    to.f64(this.q99)
    to.f64(this.rows)
  }

  /** Undefined where the snapshot's net has another shape: a new one is fitted when its turn comes. */
  static restore(from: SnapshotReader): ServiceModel | undefined {
    const columns = from.i32s()
    const dropped = from.u32s()
    const profile = DailyProfile.restore(from, columns.length)
    const net = RandomNet.restore(from, columns.length)
    const model = new ServiceModel(columns, net ?? NOTHING, profile)
    for (const column of [model.#mean, model.spread, model.#parts, model.#partMeans, model.#partDeviations])
      column.set(from.f64s().subarray(0, column.length))
    model.#change.restore(from)
    for (const column of dropped) model.drop(column)
    model.q99 = from.f64()
    model.rows = from.f64()
    return net === undefined ? undefined : model
  }

  #read(timeMs: number, row: Float64Array): void {
    const { columns } = this
    this.#profile.at(timeMs, this.#season)
    for (let i = 0; i < columns.length; i++) {
      const value = this.#dropped.has(columns[i]!) ? Number.NaN : row[columns[i]!]!
      this.observed[i] = value
      this.#values[i] = value - this.#season[i]!
    }
  }

  #tellSuggested(): void {
    for (let i = 0; i < this.columns.length; i++)
      this.suggested[i] = decompress(this.#outputs[i]!) * this.spread[i]! + this.#mean[i]! + this.#season[i]!
  }

  /** What the net cannot give back of a row, in deviations: the mean of the five largest. */
  #netError(values: Float64Array, from: number): number {
    const width = this.columns.length
    for (let i = 0; i < width; i++) {
      const value = values[from + i]!
      this.#inputs[i] = Number.isNaN(value) ? 0 : compress(clip((value - this.#mean[i]!) / this.spread[i]!, Z_LIMIT))
    }
    this.#net.pass(this.#inputs, this.#outputs)
    for (let i = 0; i < width; i++) {
      const seen = !Number.isNaN(values[from + i]!)
      const z = clip(decompress(this.#inputs[i]!), DECODED_LIMIT)
      this.#errors[i] = seen ? Math.abs(z - clip(decompress(this.#outputs[i]!), DECODED_LIMIT)) : 0
    }
    return topMean(this.#errors)
  }

  #advance(values: Float64Array, from: number, begins: boolean): number {
    this.#change.judge(values, from, begins)
    follow(this.#parts, 0, this.#netError(values, from), NET_FALL)
    follow(this.#parts, 1, this.#change.quick, CHANGE_FALL)
    follow(this.#parts, 2, this.#change.slow, CHANGE_FALL)
    let sum = 0
    for (let p = 0; p < PARTS; p++) sum += (this.#parts[p]! - this.#partMeans[p]!) / this.#partDeviations[p]!
    return sum / PARTS
  }

  #fitNet(values: Float64Array, rows: number, odd: Uint8Array | undefined, fitNet: FitReconstruction): void {
    const width = this.columns.length
    const inputs = new Float64Array(rows * width)
    let used = 0
    for (let r = 0; r < rows; r++) {
      if (odd?.[r] === 1) continue
      for (let i = 0; i < width; i++) {
        const value = values[r * width + i]!
        if (!Number.isNaN(value)) inputs[used * width + i] = compress(clip((value - this.#mean[i]!) / this.spread[i]!, Z_LIMIT))
      }
      used++
    }
    this.#net = fitNet(inputs, used, width)
  }

  /** Goes through the history as if it came once more, to learn what is usual for each part and for their sum. */
  #fitParts(values: Float64Array, rows: number, begins: Uint8Array, odd: Uint8Array | undefined): void {
    const width = this.columns.length
    const parts = new Float64Array(rows * PARTS)
    const sums = new Float64Array(PARTS)
    const squares = new Float64Array(PARTS)
    let used = 0
    for (let r = 0; r < rows; r++) {
      this.#advance(values, r * width, begins[r] === 1)
      parts.set(this.#parts, r * PARTS)
      if (odd?.[r] === 1) continue
      used++
      for (let p = 0; p < PARTS; p++) {
        sums[p]! += this.#parts[p]!
        squares[p]! += this.#parts[p]! ** 2
      }
    }
    for (let p = 0; p < PARTS; p++) {
      const mean = sums[p]! / Math.max(1, used)
      this.#partMeans[p] = mean
      const deviation = Math.sqrt(Math.max(0, squares[p]! / Math.max(1, used) - mean * mean))
      this.#partDeviations[p] = Math.max(LEAST_SD, deviation) * (1 + YOUTH_ROWS / Math.max(1, used))
    }
    const scores = new Float64Array(rows)
    for (let r = 0; r < rows; r++) {
      for (let p = 0; p < PARTS; p++) scores[r]! += (parts[r * PARTS + p]! - this.#partMeans[p]!) / this.#partDeviations[p]! / PARTS
    }
    scores.sort()
    this.q99 = Math.max(1, scores[Math.floor(rows * 0.99)]!)
  }

  /** 1 for rows of the history that it could not give back by far. */
  #oddRows(history: StepHistory, rows: number): Uint8Array {
    const errors = new Float64Array(rows)
    const { values, timeMs } = gather(history, this.columns, rows)
    const width = this.columns.length
    for (let r = 0; r < rows; r++) {
      this.#profile.at(timeMs[r]!, this.#season)
      for (let i = 0; i < width; i++) values[r * width + i]! -= this.#season[i]!
      errors[r] = this.#netError(values, r * width)
    }
    const sorted = Float64Array.from(errors).sort()
    const limit = Math.max(sorted[Math.floor(rows * (1 - DROPPED_SHARE))]!, DROPPED_TIMES * sorted[Math.floor(rows * 0.9)]!)
    return Uint8Array.from(errors, (error) => (error > limit ? 1 : 0))
  }
}

const NOTHING: Reconstruction = { width: 0, pass: () => undefined }

/** Columns that were observed in at least half of the rows. */
function wellKnown(history: StepHistory, width: number, rows: number): Int32Array {
  const seen = new Uint32Array(width)
  let before = 0
  for (const block of history.blocks) {
    const columns = Math.min(width, block.width)
    const taken = Math.min(block.rows, rows - before)
    for (let r = 0; r < taken; r++) {
      for (let i = 0; i < columns; i++) if (!Number.isNaN(block.values[r * block.width + i]!)) seen[i]!++
    }
    before += block.rows
  }
  return Int32Array.from(seen.keys()).filter((i) => seen[i]! * 2 >= rows)
}

/** The first `rows` of the history. */
function gather(history: StepHistory, columns: Int32Array, rows: number) {
  const width = columns.length
  const values = new Float64Array(rows * width)
  const timeMs = new Float64Array(rows)
  const begins = new Uint8Array(rows)
  let at = 0
  for (const block of history.blocks) {
    if (block.gap && at < rows) begins[at] = 1
    for (let r = 0; r < block.rows && at < rows; r++, at++) {
      timeMs[at] = block.timeMs[r]!
      for (let i = 0; i < width; i++) {
        const column = columns[i]!
        values[at * width + i] = column < block.width ? block.values[r * block.width + column]! : Number.NaN
      }
    }
  }
  if (rows > 0) begins[0] = 1
  return { values, timeMs, begins }
}

function scaleOf(values: Float64Array, rows: number, width: number, odd: Uint8Array | undefined) {
  const mean = new Float64Array(width)
  const spread = new Float64Array(width)
  for (let i = 0; i < width; i++) {
    let count = 0
    let sum = 0
    let least = Number.POSITIVE_INFINITY
    let most = Number.NEGATIVE_INFINITY
    for (let r = 0; r < rows; r++) {
      const value = values[r * width + i]!
      if (odd?.[r] === 1 || Number.isNaN(value)) continue
      count++
      sum += value
      if (value < least) least = value
      if (value > most) most = value
    }
    mean[i] = count === 0 ? 0 : sum / count
    let squares = 0
    for (let r = 0; r < rows; r++) {
      const value = values[r * width + i]!
      if (odd?.[r] !== 1 && !Number.isNaN(value)) squares += (value - mean[i]!) ** 2
    }
    const range = count === 0 ? 0 : most - least
    spread[i] = Math.max(Math.sqrt(squares / Math.max(1, count)), LEAST_SPREAD, LEAST_RANGE_SHARE * range)
  }
  return { mean, spread }
}

function follow(parts: Float64Array, p: number, value: number, fall: number): void {
  const before = parts[p]!
  parts[p] = before + (value > before ? RISE : fall) * (value - before)
}

function clip(value: number, limit: number): number {
  return value > limit ? limit : value < -limit ? -limit : value
}
