/**
 * What is known of every log template of every service, a column per quantity, a slot per template and service. Times in ms, gaps in
 * windows (awake ones) and in comings of the service's other templates. Memory: about 220 bytes a slot and its three texts.
 */
import { countOf, stabilised } from '../level.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

/** Starts of the last visits kept per template. */
export const VISITS = 7

function columns(slots: number) {
  return {
    /** The miner's number for it. */
    id: new Float64Array(slots),
    firstMs: new Float64Array(slots),
    /** Start of the last window it came in. */
    lastMs: new Float64Array(slots),
    lines: new Float64Array(slots),
    /** Windows it came in, since it was first seen by the clocks. */
    comings: new Float64Array(slots),
    /** Lines of late, how many of them were of error severity, and of warning severity or worse; then the same of those not judged yet. */
    recent: new Float32Array(slots),
    recentErrors: new Float32Array(slots),
    recentComplaints: new Float32Array(slots),
    pending: new Uint32Array(slots),
    pendingErrors: new Uint32Array(slots),
    pendingComplaints: new Uint32Array(slots),
    /** Readings of the service's clocks when it last came: windows awake, comings of others. */
    lastAwake: new Float64Array(slots),
    lastOthers: new Float64Array(slots),
    /** Starts of the last visits: coming back after a long gap. */
    visits: new Float64Array(slots * VISITS),
    /** Windows it came in, and how many lines they had, on the stabilised scale. */
    windows: new Uint32Array(slots),
    location: new Float32Array(slots),
    deviation: new Float32Array(slots),
    odd: new Uint32Array(slots),
    /** How far windows stray upwards: the 90 % quantile and the mean of what is above it. */
    tailStart: new Float32Array(slots),
    tailMean: new Float32Array(slots),
    tailCount: new Uint32Array(slots),
    /** The last window was above the quantile. */
    above: new Uint8Array(slots),
    gaps: new Uint32Array(slots),
    gapMean: new Float32Array(slots),
    gapDeviation: new Float32Array(slots),
    gapMost: new Float32Array(slots),
    othersMean: new Float32Array(slots),
    othersDeviation: new Float32Array(slots),
    othersMost: new Float32Array(slots),
    visitCount: new Uint8Array(slots),
    /** Its silence has been told. */
    missing: new Uint8Array(slots),
    severity: new Uint8Array(slots),
    /** From the warm-up, or not new any more. */
    settled: new Uint8Array(slots),
  }
}

type Columns = ReturnType<typeof columns>
const WIDE = new Set<string>(['visits'])

export class TemplateTable {
  /** Replaced when the table grows: do not keep it. */
  c: Columns = columns(0)
  readonly texts: string[] = []
  readonly hashes: string[] = []
  readonly examples: string[] = []
  readonly #free: number[] = []
  #capacity = 0
  #end = 0

  get size(): number {
    return this.#end - this.#free.length
  }

  add(id: number, text: string, hash: string, example: string): number {
    const slot = this.#free.pop() ?? this.#end++
    if (slot >= this.#capacity) this.#grow(Math.max(64, this.#capacity * 2))
    for (const [name, column] of Object.entries(this.c)) {
      const width = WIDE.has(name) ? VISITS : 1
      column.fill(0, slot * width, (slot + 1) * width)
    }
    this.c.id[slot] = id
    this.texts[slot] = text
    this.hashes[slot] = hash
    this.examples[slot] = example
    return slot
  }

  /** The slot may be given to another template. */
  remove(slot: number): void {
    this.texts[slot] = ''
    this.hashes[slot] = ''
    this.examples[slot] = ''
    this.#free.push(slot)
  }

  rename(slot: number, id: number, text: string, hash: string): void {
    this.c.id[slot] = id
    this.texts[slot] = text
    this.hashes[slot] = hash
  }

  /** Two templates turned out to be one: what is known of the one that came more often, with the lines of both. */
  merge(into: number, from: number): void {
    const { c } = this
    const lines = countOf(c.location[into]!) + countOf(c.location[from]!)
    if (c.windows[from]! > c.windows[into]!) {
      for (const name of Object.keys(c) as (keyof Columns)[]) {
        if (name === 'id') continue
        const width = WIDE.has(name) ? VISITS : 1
        c[name].copyWithin(into * width, from * width, (from + 1) * width)
      }
    }
    if (lines > 0) c.location[into] = stabilised(lines)
    c.firstMs[into] = Math.min(c.firstMs[into]!, c.firstMs[from]!)
    c.lastMs[into] = Math.max(c.lastMs[into]!, c.lastMs[from]!)
    c.severity[into] = Math.max(c.severity[into]!, c.severity[from]!)
    c.settled[into] = Math.max(c.settled[into]!, c.settled[from]!)
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#end)
    to.column(Uint32Array.from(this.#free))
    for (const [name, column] of Object.entries(this.c)) to.column(column.subarray(0, this.#end * (WIDE.has(name) ? VISITS : 1)))
    for (let slot = 0; slot < this.#end; slot++) {
      to.string(this.texts[slot]!)
      to.string(this.hashes[slot]!)
      to.string(this.examples[slot]!)
    }
  }

  restore(from: SnapshotReader): void {
    this.#end = from.count(12)
    this.#free.length = 0
    for (const slot of from.u32s()) if (slot < this.#end) this.#free.push(slot)
    this.#capacity = 0
    this.c = columns(0)
    this.#grow(Math.max(64, this.#end))
    for (const [name, column] of Object.entries(this.c)) {
      const saved =
        column instanceof Float64Array
          ? from.f64s()
          : column instanceof Float32Array
            ? from.f32s()
            : column instanceof Uint32Array
              ? from.u32s()
              : from.u8s()
      column.set(saved.subarray(0, this.#end * (WIDE.has(name) ? VISITS : 1)))
    }
    for (let slot = 0; slot < this.#end; slot++) {
      this.texts[slot] = from.string()
      this.hashes[slot] = from.string()
      this.examples[slot] = from.string()
    }
    this.texts.length = this.hashes.length = this.examples.length = this.#end
  }

  #grow(capacity: number): void {
    const before = this.c
    this.c = columns(capacity)
    for (const name of Object.keys(before) as (keyof Columns)[]) this.c[name].set(before[name])
    this.#capacity = capacity
  }
}
