/**
 * What a service does anyway. A budget of false alarms holds only where it is measured: of every kind of anomaly, what was over its threshold before
 * is counted by size, and what has been as large more often than the budget allows is a habit and not told. A first and a second time
 * always are. Forgotten within weeks. One event counts once, with its largest size; of what begins ever anew, every ten minutes are one.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const WEEK_MS = 604_800_000
/** Sizes in half octaves. */
const SIZES = 24
/** Once alone proves no habit: as if a week had been seen without. */
const PRIOR_WEEKS = 1
const EVENT_MS = 600_000

export class Habit {
  readonly #counts = new Float64Array(SIZES)
  readonly #perWeek: number
  /** Whether an event goes on for as long as it is heard of. */
  readonly #lasts: boolean
  #fromMs: number
  #atMs: number
  #beganMs = -Infinity
  #heardMs = -Infinity
  #place = 0

  constructor(perWeek: number, fromMs: number, lasts: boolean) {
    this.#perWeek = perWeek
    this.#lasts = lasts
    this.#fromMs = fromMs
    this.#atMs = fromMs
  }

  /** Notes something that is over its threshold, and says whether that is a habit. What is noted within one event is judged without it. */
  isHabit(size: number, atMs: number): boolean {
    this.#fade(atMs)
    const goesOn = atMs - (this.#lasts ? this.#heardMs : this.#beganMs) <= EVENT_MS
    const place = placeOf(size)
    if (!goesOn) {
      this.#beganMs = atMs
      this.#place = place
      this.#counts[place] = this.#counts[place]! + 1
    } else if (place > this.#place) {
      this.#counts[this.#place] = Math.max(0, this.#counts[this.#place]! - 1)
      this.#counts[place] = this.#counts[place]! + 1
      this.#place = place
    }
    this.#heardMs = Math.max(this.#heardMs, atMs)
    let others = -1
    for (let i = place; i < SIZES; i++) others += this.#counts[i]!
    const weeks = PRIOR_WEEKS + 1 - Math.exp(-Math.max(0, atMs - this.#fromMs) / WEEK_MS)
    return others / weeks > this.#perWeek
  }

  snapshot(to: SnapshotWriter): void {
    for (const value of [this.#fromMs, this.#atMs, this.#beganMs, this.#heardMs, this.#place]) to.f64(value)
    to.column(this.#counts)
  }

  restore(from: SnapshotReader): void {
    this.#fromMs = from.f64()
    this.#atMs = from.f64()
    this.#beganMs = from.f64()
    this.#heardMs = from.f64()
    this.#place = Math.min(SIZES - 1, from.f64())
    this.#counts.set(from.f64s().subarray(0, SIZES))
  }

  #fade(atMs: number): void {
    if (!(atMs > this.#atMs)) return
    const kept = Math.exp((this.#atMs - atMs) / WEEK_MS)
    for (let i = 0; i < SIZES; i++) this.#counts[i] = this.#counts[i]! * kept
    this.#atMs = atMs
  }
}

function placeOf(size: number): number {
  return Math.max(0, Math.min(SIZES - 1, Math.floor(2 * Math.log2(Math.max(1, size)))))
}
