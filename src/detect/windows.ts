/**
 * Event time cut into windows of equal length, each with a tally. A window is closed, in order and exactly once, by the first tick
 * that is `latenessMs` past its end; what comes for a closed window is counted in the oldest open one, what claims to come from the
 * future in the newest that the clock allows. Before the first tick nothing is known of the time, and all goes into the first window.
 */
import type { Emit } from './detector.ts'
import type { SnapshotReader, SnapshotWriter } from './snapshot.ts'

/** Windows ahead of the last tick that a thing may be: clocks differ, and ticks come only every few seconds. */
const AHEAD = 6
/** Empty windows that are closed one by one; a longer silence is jumped over. */
const MAX_GAP = 360
const UNKNOWN = -1

export class Windows<T> {
  late = 0
  early = 0
  readonly #windowMs: number
  readonly #latenessMs: number
  readonly #create: () => T
  readonly #tallies = new Map<number, T>()
  #next = UNKNOWN
  #newest = UNKNOWN
  #nowMs = -Infinity
  #lastIndex = NaN
  #last: T | undefined

  constructor(windowMs: number, latenessMs: number, create: () => T) {
    this.#windowMs = windowMs
    this.#latenessMs = latenessMs
    this.#create = create
  }

  /** The last tick; -Infinity before the first. */
  get nowMs(): number {
    return this.#nowMs
  }

  /** Where something of this time is to be counted. */
  at(timeMs: number): T {
    let index = UNKNOWN
    if (this.#next !== UNKNOWN) {
      index = Math.floor(timeMs / this.#windowMs)
      if (index > this.#newest) {
        index = this.#newest
        this.early++
      } else if (!(index >= this.#next)) {
        // NaN comes here too.
        index = this.#next
        this.late++
      }
    }
    if (index === this.#lastIndex) return this.#last!
    let tally = this.#tallies.get(index)
    if (tally === undefined) this.#tallies.set(index, (tally = this.#create()))
    this.#lastIndex = index
    this.#last = tally
    return tally
  }

  /** Closes what is due, oldest first; `tally` is undefined where nothing came. */
  tick(nowMs: number, close: (startMs: number, tally: T | undefined) => void): void {
    if (!(nowMs > this.#nowMs) || nowMs === Infinity) return
    this.#nowMs = nowMs
    const due = Math.max(0, Math.floor((nowMs - this.#latenessMs) / this.#windowMs))
    this.#newest = Math.max(due, Math.floor(nowMs / this.#windowMs)) + AHEAD
    this.#lastIndex = NaN
    if (this.#next === UNKNOWN) {
      this.#next = due
      const first = this.#tallies.get(UNKNOWN)
      this.#tallies.delete(UNKNOWN)
      if (first !== undefined) this.#tallies.set(due, first)
      return
    }
    if (due - this.#next > MAX_GAP) {
      // At most AHEAD + a few of them hold anything.
      for (const index of [...this.#tallies.keys()].sort((a, b) => a - b)) if (index < due) this.#close(index, close)
      this.#next = due
    }
    while (this.#next < due) this.#close(this.#next++, close)
  }

  snapshot(to: SnapshotWriter, write: (to: SnapshotWriter, tally: T) => void): void {
    for (const value of [this.#nowMs, this.#next, this.#newest, this.late, this.early]) to.f64(value)
    to.u32(this.#tallies.size)
    for (const [index, tally] of this.#tallies) {
      to.f64(index)
      write(to, tally)
    }
  }

  restore(from: SnapshotReader, read: (from: SnapshotReader) => T): void {
    this.#nowMs = from.f64()
    this.#next = from.f64()
    this.#newest = from.f64()
    this.late = from.f64()
    this.early = from.f64()
    this.#tallies.clear()
    this.#lastIndex = NaN
    for (let left = from.count(8); left > 0; left--) this.#tallies.set(from.f64(), read(from))
  }

  #close(index: number, close: (startMs: number, tally: T | undefined) => void): void {
    const tally = this.#tallies.get(index)
    this.#tallies.delete(index)
    close(index * this.#windowMs, tally)
  }
}

/** Something that is followed for as long as it is heard of. */
interface Followed<Tally> {
  readonly lastMs: number
  close(startMs: number, tally: Tally | undefined, emit: Emit): void
  forget(atMs: number, emit: Emit): void
}

/** Closes a window of every service that is followed: new ones begin with it, those that were silent for `forgetMs` are forgotten. */
export function closeServices<Tally, Service extends Followed<Tally>>(
  services: Map<string, Service>,
  window: ReadonlyMap<string, Tally> | undefined,
  startMs: number,
  forgetMs: number,
  follow: (name: string) => Service,
  emit: Emit,
): void {
  if (window !== undefined) {
    for (const name of window.keys()) if (!services.has(name)) services.set(name, follow(name))
  }
  for (const [name, service] of services) {
    const tally = window?.get(name)
    if (tally === undefined && startMs - service.lastMs > forgetMs) {
      service.forget(startMs, emit)
      services.delete(name)
    } else service.close(startMs, tally, emit)
  }
}
