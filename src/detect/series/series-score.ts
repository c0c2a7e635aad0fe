/**
 * How strange each observation of a series is, by two questions: is it unlike its recent past (density of short sequences), and has anything
 * like it been seen for weeks (coverage of values, residuals and slow drifts)? Scores are in the series' own terms: another unit, scale or
 * offset gives the same ones. One record per series, small while the series is young; nothing is allocated per observation.
 */
import { cover, distanceTo, uncover } from './coverage.ts'
import type { Scores } from '../detector.ts'
import { learnMedian, learnTail, ratioToMedian, tailScore } from './running.ts'
import { ScoreMemory, type Located } from './score-memory.ts'
import { distances, LAGS, sampleAt, type Nearness } from './shingles.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

/** Words of a record. Values are kept less the first one: then single precision costs nothing. */
const ROWS = 0
const SHINGLES = 1
/** How many each of the covering sets holds: of values, of residuals, of their running means. */
const COVERED = 2
const INTERVAL = 5
/** The last four values, the last two residuals, newest first. */
const VALUES = 6
const RESIDUALS = 10
const DRIFT = 12
const LEVEL = 13
const SPREAD = 14
const SHORT_MEDIAN = 15
const LONG_MEDIAN = 16
const SHAPE_MEDIAN = 17
/** Two words each. */
const VALUE_TAIL = 18
const RESIDUAL_TAIL = 20
const DRIFT_TAIL = 22
const POINT_PEAK = 24
const INCIDENT_PEAK = 25
const HEAD = 26

const SETS = 3
const SMALLEST = 8
const HOUR_MS = 3_600_000
const BINS = 24
/** Nothing is said of the first rows, and residuals teach as they are for a few more. */
const SILENT_ROWS = 5
const FIRST_ROWS = 10
/** Residuals further out than this many spreads teach no more than one that is exactly so far out. */
const CLIP = 5
const LEVEL_RATE = 0.02
const SPREAD_RATE = 0.005
const PROFILE_SHARE = 0.2
/** A time of day that was visited once or twice learns faster. */
const PROFILE_SHARE_EARLY = 0.5
const EARLY_HOURS = 72
const DRIFT_ROWS = 20
/** Of the way a sequence moves, beside where it is. */
const SHAPE_WEIGHT = 0.5
/** In rows per place of the memory: shingles are mostly of the last so many, a covered value is forgotten every so many. */
const SHINGLE_ROWS = 30
const COVERED_ROWS = 15
const PEAK_ROWS = 5
/** An incident is told once: who comes later has to be stranger than what is left of the peak. */
const HOLD_MS = 57_600_000
const HOLD_ROWS = 80
/** Squares of it are numbers still, itself fits single precision. */
const LARGEST = 1e37

interface RecordClass {
  readonly capacity: number
  readonly bins: number
  readonly words: number
}

/** The first rows need no time of day. */
function recordClasses(reservoir: number): RecordClass[] {
  const of = (capacity: number, bins: number) => ({ capacity, bins, words: HEAD + bins + capacity * (LAGS + SETS) })
  const classes = [of(SMALLEST, 0)]
  let capacity = SMALLEST
  do {
    capacity = Math.min(capacity * 2, reservoir)
    classes.push(of(capacity, BINS))
  } while (capacity < reservoir)
  return classes
}

export class SeriesScores {
  readonly #classes: readonly RecordClass[]
  readonly #memory: ScoreMemory
  readonly #located: Located = { u32: new Uint32Array(0), f32: new Float32Array(0), at: 0 }
  readonly #before: Located = { ...this.#located }
  readonly #nearness: Nearness = { short: 0, long: 0, shape: 0 }
  /** By the slot: class + 1, record, first value, time of the last. */
  #size: Uint8Array = new Uint8Array(0)
  #record: Uint32Array = new Uint32Array(0)
  #base: Float64Array = new Float64Array(0)
  #lastMs: Float64Array = new Float64Array(0)

  /** `reservoir`: how many values and how many shingles of a series are kept, at least 8. */
  constructor(reservoir: number) {
    this.#classes = recordClasses(reservoir)
    this.#memory = new ScoreMemory(this.#classes)
  }

  /** Bytes that are held for all series. */
  get bytes(): number {
    return this.#memory.bytes + this.#size.length * 21
  }

  forget(slot: number): void {
    if (slot >= this.#size.length || this.#size[slot] === 0) return
    this.#memory.release(this.#size[slot]! - 1, this.#record[slot]!)
    this.#size[slot] = 0
  }

  /** Scores an observation, then learns from it; `decision` is left as it is. Slots are small whole numbers, times of one ascend. */
  judge(slot: number, timeMs: number, value: number, out: Scores): void {
    if (slot >= this.#size.length) this.#grow(slot + 1)
    if (this.#size[slot] === 0) this.#begin(slot, timeMs, value)
    const it = this.#located
    this.#memory.locate(this.#size[slot]! - 1, this.#record[slot]!, it)
    const { u32, f32, at } = it
    const { capacity, bins } = this.#classes[this.#size[slot]! - 1]!
    const rows = u32[at + ROWS]!
    const dtMs = timeMs - this.#lastMs[slot]!
    this.#lastMs[slot] = timeMs
    const interval = f32[at + INTERVAL]!
    if (dtMs > 0) f32[at + INTERVAL] = interval === 0 ? dtMs : interval + 0.1 * (Math.min(dtMs, interval * 3) - interval)

    const shinglesAt = at + HEAD + bins
    const setsAt = shinglesAt + capacity * LAGS
    const shingles = u32[at + SHINGLES]!
    const x = bounded(value - this.#base[slot]!)
    const residual = this.#residual(x, timeMs, rows, bins)
    const drift = f32[at + DRIFT]! + Math.max(1 / DRIFT_ROWS, 1 / (rows + 1)) * (residual - f32[at + DRIFT]!)
    f32[at + DRIFT] = drift

    const near = this.#nearness
    distances(f32, shinglesAt, shingles, x, f32[at + VALUES]!, f32[at + VALUES + 1]!, f32[at + VALUES + 2]!, near)
    const newValue = distanceTo(f32, setsAt, u32[at + COVERED]!, x)
    const newResidual = distanceTo(f32, setsAt + capacity, u32[at + COVERED + 1]!, residual)
    const newDrift = distanceTo(f32, setsAt + 2 * capacity, u32[at + COVERED + 2]!, drift)

    const novelty =
      rows < SILENT_ROWS
        ? 0
        : tailScore(f32, at + VALUE_TAIL, newValue) +
          tailScore(f32, at + RESIDUAL_TAIL, newResidual) +
          tailScore(f32, at + DRIFT_TAIL, newDrift)
    const point =
      rows < SILENT_ROWS
        ? 0
        : ratioToMedian(f32, at + LONG_MEDIAN, near.long) +
          ratioToMedian(f32, at + SHORT_MEDIAN, near.short) +
          SHAPE_WEIGHT * ratioToMedian(f32, at + SHAPE_MEDIAN, near.shape) +
          Math.log1p(novelty)
    this.#tell(point, novelty, out)

    learnMedian(f32, at + LONG_MEDIAN, near.long, rows)
    learnMedian(f32, at + SHORT_MEDIAN, near.short, rows)
    learnMedian(f32, at + SHAPE_MEDIAN, near.shape, rows)
    learnTail(f32, at + VALUE_TAIL, newValue, rows)
    learnTail(f32, at + RESIDUAL_TAIL, newResidual, rows)
    learnTail(f32, at + DRIFT_TAIL, newDrift, rows)

    const random = hashed(rows)
    if (rows % (capacity * COVERED_ROWS) === capacity * COVERED_ROWS - 1) {
      for (let set = 0; set < SETS; set++) {
        const count = u32[at + COVERED + set]!
        if (count > SMALLEST) u32[at + COVERED + set] = uncover(f32, setsAt + set * capacity, count, Math.floor(random * count))
      }
    }
    // What is new stays new for two rows, drifts for none: they are slow enough.
    if (rows >= 2) {
      u32[at + COVERED] = cover(f32, setsAt, u32[at + COVERED]!, capacity, f32[at + VALUES + 1]!)
      u32[at + COVERED + 1] = cover(f32, setsAt + capacity, u32[at + COVERED + 1]!, capacity, f32[at + RESIDUALS + 1]!)
    }
    if (rows > DRIFT_ROWS) u32[at + COVERED + 2] = cover(f32, setsAt + 2 * capacity, u32[at + COVERED + 2]!, capacity, f32[at + DRIFT]!)
    if (rows >= LAGS) {
      const into = sampleAt(shingles, capacity, rows, capacity * SHINGLE_ROWS, random)
      if (into >= 0) for (let lag = 0; lag < LAGS; lag++) f32[shinglesAt + into * LAGS + lag] = f32[at + VALUES + lag]!
      if (into === shingles) u32[at + SHINGLES] = shingles + 1
    }
    for (let lag = LAGS - 1; lag > 0; lag--) f32[at + VALUES + lag] = f32[at + VALUES + lag - 1]!
    f32[at + VALUES] = x
    f32[at + RESIDUALS + 1] = f32[at + RESIDUALS]!
    f32[at + RESIDUALS] = residual
    u32[at + ROWS] = rows + 1
    if (rows + 1 >= capacity && this.#size[slot]! < this.#classes.length) this.#widen(slot)
  }

  snapshot(to: SnapshotWriter): void {
    to.column(this.#size)
    to.column(this.#record)
    to.column(this.#base)
    to.column(this.#lastMs)
    this.#memory.snapshot(to)
  }

  /** Scores that were kept with another reservoir begin anew. */
  restore(from: SnapshotReader): void {
    this.#size = from.u8s()
    this.#record = from.u32s()
    this.#base = from.f64s()
    this.#lastMs = from.f64s()
    if (!this.#memory.restore(from)) this.#size.fill(0)
  }

  /** What level and time of day do not explain. Level, spread and profile learn at once; no hold: a new level is soon the usual one. */
  #residual(x: number, timeMs: number, rows: number, bins: number): number {
    const { f32, at } = this.#located
    const hour = (((timeMs / HOUR_MS - 0.5) % BINS) + BINS) % BINS
    const early = Math.floor(hour)
    const share = hour - early
    const binA = at + HEAD + early
    const binB = at + HEAD + ((early + 1) % BINS)
    const profile = bins === 0 ? 0 : (1 - share) * f32[binA]! + share * f32[binB]!
    const residual = bounded(x - f32[at + LEVEL]! - profile)
    const spread = f32[at + SPREAD]!
    const clipped = rows < FIRST_ROWS ? residual : Math.max(-CLIP * spread, Math.min(CLIP * spread, residual))
    f32[at + LEVEL] = f32[at + LEVEL]! + Math.max(LEVEL_RATE, 1 / (rows + 1)) * clipped
    const spreadRate = Math.max(SPREAD_RATE, 1 / (rows + 1))
    f32[at + SPREAD] = Math.sqrt((1 - spreadRate) * spread * spread + spreadRate * clipped * clipped)
    if (bins > 0 && rows >= FIRST_ROWS) {
      const hours = Math.max(1, f32[at + INTERVAL]!) / HOUR_MS
      const rate = Math.min(0.5, (rows * hours < EARLY_HOURS ? PROFILE_SHARE_EARLY : PROFILE_SHARE) * Math.min(1, hours))
      f32[binA] = f32[binA]! + rate * (1 - share) * clipped
      f32[binB] = f32[binB]! + rate * share * clipped
    }
    return residual
  }

  /** An excursion counts where it begins, and for the rows after it as what is left of its peak. */
  #tell(point: number, novelty: number, out: Scores): void {
    const { f32, at } = this.#located
    const peak = f32[at + POINT_PEAK]!
    out.onset = point > peak ? point : 0
    out.point = point > peak ? point : peak + (point - peak) / PEAK_ROWS
    f32[at + POINT_PEAK] = out.point
    const before = f32[at + INCIDENT_PEAK]!
    const holdRows = Math.max(HOLD_ROWS, HOLD_MS / Math.max(1, f32[at + INTERVAL]!))
    out.incident = novelty > before ? novelty : 0
    f32[at + INCIDENT_PEAK] = Math.max(novelty, before * (1 - 1 / holdRows))
  }

  #begin(slot: number, timeMs: number, value: number): void {
    this.#size[slot] = 1
    this.#record[slot] = this.#memory.take(0)
    this.#base[slot] = value
    this.#lastMs[slot] = timeMs
  }

  /** Moves a series to the next larger class of records. */
  #widen(slot: number): void {
    const from = this.#before
    const to = this.#located
    const size = this.#size[slot]!
    const record = this.#record[slot]!
    const less = this.#classes[size - 1]!
    const more = this.#classes[size]!
    const wider = this.#memory.take(size)
    this.#memory.locate(size - 1, record, from)
    this.#memory.locate(size, wider, to)
    to.u32.set(from.u32.subarray(from.at, from.at + HEAD + less.bins), to.at)
    let oldAt = from.at + HEAD + less.bins
    let newAt = to.at + HEAD + more.bins
    to.u32.set(from.u32.subarray(oldAt, oldAt + less.capacity * LAGS), newAt)
    oldAt += less.capacity * LAGS
    newAt += more.capacity * LAGS
    for (let set = 0; set < SETS; set++) {
      const old = oldAt + set * less.capacity
      to.u32.set(from.u32.subarray(old, old + less.capacity), newAt + set * more.capacity)
    }
    this.#memory.release(size - 1, record)
    this.#size[slot] = size + 1
    this.#record[slot] = wider
  }

  #grow(slots: number): void {
    const capacity = Math.max(64, slots, this.#size.length * 2)
    const [size, record, base, lastMs] = [this.#size, this.#record, this.#base, this.#lastMs]
    this.#size = new Uint8Array(capacity)
    this.#record = new Uint32Array(capacity)
    this.#base = new Float64Array(capacity)
    this.#lastMs = new Float64Array(capacity)
    this.#size.set(size)
    this.#record.set(record)
    this.#base.set(base)
    this.#lastMs.set(lastMs)
  }
}

function bounded(x: number): number {
  return x > LARGEST ? LARGEST : x < -LARGEST ? -LARGEST : x
}

/** Uniform in [0, 1), a hash of the row: the same series gets the same scores wherever it is watched (finaliser of MurmurHash3, public domain). */
function hashed(row: number): number {
  let h = Math.imul(row + 1, 0x9e37_79b1)
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35)
  return ((h ^ (h >>> 16)) >>> 0) / 4_294_967_296
}
