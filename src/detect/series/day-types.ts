/**
 * What days off make of the time of day: per series and hour, how far it is then from what workdays teach. Used in so far as it has foretold
 * earlier days off, so that a series without a weekly rhythm loses nothing. Kept apart, and only for series that are old enough to know
 * their workdays: what lives for minutes pays nothing.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const BINS = 24
/** Days off are few: each teaches more than a workday does. */
const DAY_SHARE = 0.3
/** What has been foretold counts for about so many hours of days off: two weekends. */
const MEMORY_HOURS = 96
/** In squared spreads times hours: evidence that has to be outweighed before a difference is believed. */
const DOUBT = 12
/** Nothing counts for more than a difference of so many spreads. */
const FAR = 10
const CLIP = 5
/** Single precision holds what becomes of it. */
const LARGEST = 1e36

/** An observation’s place in local time: past the middle of `hour`, `share` of the way to that of the next one. */
export interface LocalClock {
  readonly hour: number
  readonly share: number
}

function columns(records: number) {
  return {
    /** Where the level would be by now if days off were like workdays, and if they were as they are thought to be. */
    plain: new Float32Array(records),
    told: new Float32Array(records),
    agreement: new Float32Array(records),
    power: new Float32Array(records),
    /** What the earlier and the later hour that are being watched have taught so far: sums, and their weights. */
    sumA: new Float32Array(records),
    weightA: new Float32Array(records),
    sumB: new Float32Array(records),
    weightB: new Float32Array(records),
    hour: new Int32Array(records),
    hours: new Uint32Array(records),
  }
}

type Columns = ReturnType<typeof columns>

export class DayTypes {
  /** The last `foretell`: what a day off is believed to make of the hour, and how far that is believed, 0 to 1. */
  raw = 0
  belief = 0
  /** By the slot of the series: record + 1, 0 without one. */
  #record: Uint32Array = new Uint32Array(0)
  #c: Columns = columns(0)
  readonly #bins: (Float32Array | undefined)[] = Array.from({ length: BINS }, () => undefined)
  readonly #free: number[] = []
  #capacity = 0
  #end = 0

  /** How many series have one. */
  get size(): number {
    return this.#end - this.#free.length
  }

  forget(slot: number): void {
    const record = this.#record[slot] ?? 0
    if (record === 0) return
    this.#free.push(record - 1)
    this.#record[slot] = 0
  }

  /** The first series takes over what is known of the second. */
  inherit(slot: number, from: number): void {
    this.forget(slot)
    const record = (this.#record[from] ?? 0) - 1
    if (record < 0) return
    if (slot >= this.#record.length) this.#widen(slot + 1)
    const taken = this.#take(slot)
    for (const column of Object.values(this.#c)) column[taken] = column[record]!
    for (const bin of this.#bins) if (bin) bin[taken] = bin[record]!
    // Levels and sums are those of the other series.
    this.#c.hour[taken] = this.#c.weightA[taken] = this.#c.weightB[taken] = 0
  }

  /** On a day off: what is to be added to what workdays teach. */
  foretell({ hour, share }: Readonly<LocalClock>, slot: number): number {
    this.raw = this.belief = 0
    const record = (this.#record[slot] ?? 0) - 1
    if (record < 0) return 0
    const a = this.#bins[binOf(hour)]?.[record] ?? 0
    const b = this.#bins[binOf(hour + 1)]?.[record] ?? 0
    this.raw = (1 - share) * a + share * b
    this.belief = Math.max(0, Math.min(1, this.#c.agreement[record]! / (this.#c.power[record]! + DOUBT)))
    return this.belief * this.raw
  }

  /**
   * `value`: less what workdays teach of the hour; `level`: of the series before it; `rate`: how much a value teaches the level; `hours`: what part
   * of an hour it stands for. To be called after `foretell`. An hour is learnt from when it is over: what it teaches is tried on another day,
   * never on itself. Both ways of seeing the day keep a level of their own: the common one would follow, and prove right, whichever is used.
   */
  learn(clock: Readonly<LocalClock>, slot: number, value: number, level: number, spread: number, rate: number, hours: number): void {
    if (!(spread > 0 && spread + Math.abs(value) + Math.abs(level) < LARGEST)) return
    const { hour, share } = clock
    if (slot >= this.#record.length) this.#widen(slot + 1)
    const record = this.#record[slot]! > 0 ? this.#record[slot]! - 1 : this.#take(slot)
    const c = this.#c
    if (c.hour[record] !== hour) this.#close(record, hour, level)
    const plain = bounded((value - c.plain[record]!) / spread, FAR)
    const left = bounded((value - this.raw - c.told[record]!) / spread, CLIP)
    const differ = bounded((this.raw + c.told[record]! - c.plain[record]!) / spread, FAR)
    const keep = 1 - Math.min(1, hours / MEMORY_HOURS)
    c.agreement[record] = keep * c.agreement[record]! + hours * differ * plain
    c.power[record] = keep * c.power[record]! + hours * differ * differ
    c.plain[record] = c.plain[record]! + rate * spread * bounded(plain, CLIP)
    c.told[record] = c.told[record]! + rate * spread * left
    c.sumA[record] = c.sumA[record]! + (1 - share) * spread * left
    c.weightA[record] = c.weightA[record]! + 1 - share
    c.sumB[record] = c.sumB[record]! + share * spread * left
    c.weightB[record] = c.weightB[record]! + share
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#end)
    to.column(this.#record)
    to.column(Uint32Array.from(this.#free))
    for (const column of Object.values(this.#c)) to.column(column.subarray(0, this.#end))
    for (const bin of this.#bins) to.column(bin === undefined ? new Float32Array(0) : bin.subarray(0, this.#end))
  }

  restore(from: SnapshotReader): void {
    this.#end = from.count()
    this.#record = from.u32s().map((record) => (record <= this.#end ? record : 0))
    this.#free.length = 0
    for (const record of from.u32s()) if (record < this.#end) this.#free.push(record)
    this.#capacity = 0
    this.#c = columns(0)
    this.#bins.fill(undefined)
    this.#grow(Math.max(64, this.#end))
    for (const column of Object.values(this.#c)) {
      const saved = column instanceof Float32Array ? from.f32s() : column instanceof Int32Array ? from.i32s() : from.u32s()
      column.set(saved.subarray(0, this.#end))
    }
    for (let bin = 0; bin < BINS; bin++) {
      const saved = from.f32s()
      if (saved.length > 0) this.#bin(bin).set(saved.subarray(0, this.#end))
    }
  }

  /** The hour that is watched is over: what it taught is kept. */
  #close(record: number, hour: number, level: number): void {
    const c = this.#c
    const before = c.hour[record]!
    this.#teach(record, before, c.sumA[record]!, c.weightA[record]!)
    if (hour === before + 1) {
      c.sumA[record] = c.sumB[record]!
      c.weightA[record] = c.weightB[record]!
    } else {
      this.#teach(record, before + 1, c.sumB[record]!, c.weightB[record]!)
      c.sumA[record] = c.weightA[record] = 0
      c.plain[record] = c.told[record] = level
    }
    c.sumB[record] = c.weightB[record] = 0
    c.hour[record] = hour
  }

  #teach(record: number, hour: number, sum: number, weight: number): void {
    if (!(weight > 0)) return
    const bin = this.#bin(binOf(hour))
    const days = this.#c.hours[record]! / BINS
    bin[record] = bin[record]! + Math.max(DAY_SHARE, 1 / (days + 1)) * (sum / weight)
    this.#c.hours[record] = this.#c.hours[record]! + 1
  }

  #take(slot: number): number {
    const record = this.#free.pop() ?? this.#end++
    if (record >= this.#capacity) this.#grow(Math.max(64, this.#capacity * 2))
    for (const column of Object.values(this.#c)) column[record] = 0
    for (const bin of this.#bins) if (bin) bin[record] = 0
    this.#record[slot] = record + 1
    return record
  }

  #bin(index: number): Float32Array {
    return (this.#bins[index] ??= new Float32Array(this.#capacity))
  }

  #widen(slots: number): void {
    const wider = new Uint32Array(Math.max(64, slots, this.#record.length * 2))
    wider.set(this.#record)
    this.#record = wider
  }

  #grow(capacity: number): void {
    const before = this.#c
    this.#c = columns(capacity)
    for (const name of Object.keys(before) as (keyof Columns)[]) this.#c[name].set(before[name])
    for (let i = 0; i < BINS; i++) {
      const bin = this.#bins[i]
      if (bin === undefined) continue
      const wider = new Float32Array(capacity)
      wider.set(bin)
      this.#bins[i] = wider
    }
    this.#capacity = capacity
  }
}

function binOf(hour: number): number {
  return ((hour % BINS) + BINS) % BINS
}

function bounded(x: number, most: number): number {
  return x > most ? most : x < -most ? -most : x
}
