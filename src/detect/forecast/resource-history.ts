/**
 * What is remembered of the level of a bounded resource: three rings of 96 extremes, over minutes, tens of minutes and two hours each (an hour and a half, 16
 * hours and eight days), and its last 16 cycles: where each rise began, where it turned back, how long it took. 2.6 KB a resource, in columns.
 * What has turned back many times is expected to turn back again; that is what keeps sawteeth and days from being taken for a trend.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const MINUTE_MS = 60_000
/** Of one point of each ring. */
export const RING_MS = [MINUTE_MS, 10 * MINUTE_MS, 120 * MINUTE_MS] as const
export const RING_POINTS = 96
const RINGS = RING_MS.length
const SLOT_POINTS = RINGS * RING_POINTS
export const MOST_CYCLES = 16
/** A turn is a fall (or a rise) of so much of what it undoes, and of so much of the limit, or near the limit of the room that is left. */
const TURN_SHARE = 0.4
const LEAST_TURN = 0.02
const LEAST_OF_ROOM = 0.25
const NO_TURN = 0.002

function columns(slots: number) {
  return {
    /** Number of the point's stretch of time since 1970; ascending from `head`. */
    stretch: new Uint32Array(slots * SLOT_POINTS),
    level: new Float32Array(slots * SLOT_POINTS),
    /** By ring: how many there are, and where the next one goes. */
    count: new Uint32Array(slots * RINGS),
    head: new Uint32Array(slots * RINGS),
    firstMs: new Float64Array(slots),
    lastMs: new Float64Array(slots),
    /** 1 while it rises from its trough, 0 while it falls from its peak. */
    rising: new Uint8Array(slots),
    trough: new Float64Array(slots),
    /** When it was last as low as that, and its fastest step since then, per millisecond. */
    leftMs: new Float64Array(slots),
    fastest: new Float64Array(slots),
    previous: new Float64Array(slots),
    previousMs: new Float64Array(slots),
    peak: new Float64Array(slots),
    peakMs: new Float64Array(slots),
    cycles: new Uint32Array(slots),
    cycleLow: new Float32Array(slots * MOST_CYCLES),
    cycleHigh: new Float32Array(slots * MOST_CYCLES),
    cycleHighMs: new Float64Array(slots * MOST_CYCLES),
    cycleRiseMs: new Float64Array(slots * MOST_CYCLES),
    cyclePace: new Float64Array(slots * MOST_CYCLES),
  }
}

/** How the rises of a resource ended so far. */
export interface Turns {
  count: number
  highest: number
  /** Largest amplitude, and how much they differ. */
  rise: number
  spread: number
  /** Per millisecond: the fastest step of ten minutes in any of them. */
  pace: number
  /** The longest of them. */
  riseMs: number
}

export class ResourceHistory {
  #c = columns(0)

  get columns(): ReturnType<typeof columns> {
    return this.#c
  }

  /** Makes room for a slot, and starts it afresh. */
  open(slot: number): void {
    if (slot >= this.#c.lastMs.length) {
      const wider = columns(Math.max(16, this.#c.lastMs.length * 2, slot + 1))
      for (const name of Object.keys(wider) as (keyof typeof wider)[]) wider[name].set(this.#c[name])
      this.#c = wider
    }
    const c = this.#c
    for (let ring = 0; ring < RINGS; ring++) c.count[slot * RINGS + ring] = c.head[slot * RINGS + ring] = 0
    c.firstMs[slot] = c.lastMs[slot] = 0
    c.cycles[slot] = 0
  }

  /** In order of time. `floors`: what counts is how low it comes (a heap that is collected), else how high it gets. */
  add(slot: number, timeMs: number, level: number, limit: number, floors: boolean): void {
    const c = this.#c
    if (c.lastMs[slot] === 0) {
      c.firstMs[slot] = timeMs
      c.rising[slot] = 1
      c.trough[slot] = c.peak[slot] = level
      c.peakMs[slot] = c.leftMs[slot] = timeMs
      c.fastest[slot] = c.previousMs[slot] = 0
    }
    c.lastMs[slot] = timeMs
    for (let ring = 0; ring < RINGS; ring++) {
      const stretch = Math.floor(timeMs / RING_MS[ring]!)
      const at = slot * RINGS + ring
      const base = slot * SLOT_POINTS + ring * RING_POINTS
      const newest = base + ((c.head[at]! + RING_POINTS - 1) % RING_POINTS)
      if (c.count[at]! > 0 && c.stretch[newest] === stretch) {
        if (floors ? level < c.level[newest]! : level > c.level[newest]!) c.level[newest] = level
        continue
      }
      // The stretch of ten minutes that is over is the step in which cycles are seen: shorter ones are within it.
      if (ring === 1 && c.count[at]! > 0) this.#turn(slot, c.stretch[newest]! * RING_MS[1], c.level[newest]!, limit)
      const here = base + c.head[at]!
      c.stretch[here] = stretch
      c.level[here] = level
      c.head[at] = (c.head[at]! + 1) % RING_POINTS
      if (c.count[at]! < RING_POINTS) c.count[at] = c.count[at]! + 1
    }
  }

  /** Points of a ring since `fromMs`, oldest first; the one that is not over yet is left out where there are others. Answers how many. */
  read(slot: number, ring: number, fromMs: number, floors: boolean, timeMs: Float64Array, level: Float64Array): number {
    const c = this.#c
    const at = slot * RINGS + ring
    const base = slot * SLOT_POINTS + ring * RING_POINTS
    const kept = c.count[at]!
    let points = 0
    for (let i = 0; i < kept; i++) {
      const here = base + ((c.head[at]! + RING_POINTS - kept + i) % RING_POINTS)
      // What rises is highest at the end of a stretch and lowest at its beginning.
      const atMs = (c.stretch[here]! + (floors ? 0 : 1)) * RING_MS[ring]!
      if (atMs < fromMs || (ring > 0 && i === kept - 1)) continue
      timeMs[points] = Math.min(atMs, c.lastMs[slot]!)
      level[points++] = c.level[here]!
    }
    return points
  }

  /** How many it has of the finest ring. */
  pointsOf(slot: number): number {
    return this.#c.count[slot * RINGS]!
  }

  /** Peaks (troughs where floors count) of the cycles since `fromMs`, oldest first. */
  readCycles(slot: number, fromMs: number, floors: boolean, timeMs: Float64Array, level: Float64Array): number {
    const c = this.#c
    const kept = Math.min(MOST_CYCLES, c.cycles[slot]!)
    let points = 0
    for (let i = c.cycles[slot]! - kept; i < c.cycles[slot]!; i++) {
      const at = slot * MOST_CYCLES + (i % MOST_CYCLES)
      if (c.cycleHighMs[at]! < fromMs) continue
      timeMs[points] = c.cycleHighMs[at]!
      level[points++] = floors ? c.cycleLow[at]! : c.cycleHigh[at]!
    }
    return points
  }

  turns(slot: number, fromMs: number, out: Turns): void {
    const c = this.#c
    out.count = out.rise = out.spread = out.pace = out.riseMs = 0
    out.highest = Number.NEGATIVE_INFINITY
    const kept = Math.min(MOST_CYCLES, c.cycles[slot]!)
    // Those that matter are as large as the largest: small waves between them turn back for other reasons.
    let largest = 0
    for (let i = 0; i < kept; i++) {
      const at = slot * MOST_CYCLES + i
      if (c.cycleHighMs[at]! >= fromMs) largest = Math.max(largest, c.cycleHigh[at]! - c.cycleLow[at]!)
    }
    let sum = 0
    let squares = 0
    for (let i = 0; i < kept; i++) {
      const at = slot * MOST_CYCLES + i
      const rise = c.cycleHigh[at]! - c.cycleLow[at]!
      if (c.cycleHighMs[at]! < fromMs || rise < largest / 2) continue
      out.count++
      sum += rise
      squares += rise * rise
      out.rise = Math.max(out.rise, rise)
      out.highest = Math.max(out.highest, c.cycleHigh[at]!)
      out.riseMs = Math.max(out.riseMs, c.cycleRiseMs[at]!)
      out.pace = Math.max(out.pace, c.cyclePace[at]!)
    }
    if (out.count > 1) out.spread = Math.sqrt(Math.max(0, squares - (sum * sum) / out.count) / (out.count - 1))
  }

  /** Follows the zigzag from one stretch of ten minutes to the next. */
  #turn(slot: number, timeMs: number, level: number, limit: number): void {
    const c = this.#c
    const least = Math.max(NO_TURN * limit, Math.min(LEAST_TURN * limit, LEAST_OF_ROOM * (limit - level)))
    if (c.previousMs[slot]! > 0) c.fastest[slot] = Math.max(c.fastest[slot]!, (level - c.previous[slot]!) / (timeMs - c.previousMs[slot]!))
    c.previous[slot] = level
    c.previousMs[slot] = timeMs
    const height = c.peak[slot]! - c.trough[slot]!
    if (c.rising[slot] === 0) {
      if (level <= c.trough[slot]!) this.#leave(slot, timeMs, level)
      else if (level - c.trough[slot]! >= Math.max(least, (TURN_SHARE * height) / 4)) {
        c.rising[slot] = 1
        c.peak[slot] = level
        c.peakMs[slot] = timeMs
      }
      return
    }
    if (level <= c.trough[slot]! + least && height < least * 2) c.leftMs[slot] = timeMs
    if (level >= c.peak[slot]!) {
      c.peak[slot] = level
      c.peakMs[slot] = timeMs
    } else if (level < c.trough[slot]! && height < least) {
      c.peak[slot] = level
      c.peakMs[slot] = timeMs
      this.#leave(slot, timeMs, level)
    } else if (c.peak[slot]! - level >= Math.max(least, TURN_SHARE * height)) {
      if (height >= least) {
        const at = slot * MOST_CYCLES + (c.cycles[slot]! % MOST_CYCLES)
        c.cycleLow[at] = c.trough[slot]!
        c.cycleHigh[at] = c.peak[slot]!
        c.cycleHighMs[at] = c.peakMs[slot]!
        c.cycleRiseMs[at] = c.peakMs[slot]! - c.leftMs[slot]!
        c.cyclePace[at] = c.fastest[slot]!
        c.cycles[slot] = c.cycles[slot]! + 1
      }
      c.rising[slot] = 0
      this.#leave(slot, timeMs, level)
    }
  }

  #leave(slot: number, timeMs: number, level: number): void {
    const c = this.#c
    c.trough[slot] = level
    c.leftMs[slot] = timeMs
    c.fastest[slot] = 0
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#c.lastMs.length)
    for (const column of Object.values(this.#c)) to.column(column)
  }

  restore(from: SnapshotReader): void {
    const fresh = columns(from.count(SLOT_POINTS))
    for (const column of Object.values(fresh)) {
      const saved =
        column instanceof Float64Array
          ? from.f64s()
          : column instanceof Float32Array
            ? from.f32s()
            : column instanceof Uint32Array
              ? from.u32s()
              : from.u8s()
      column.set(saved.subarray(0, column.length))
    }
    this.#c = fresh
  }
}
