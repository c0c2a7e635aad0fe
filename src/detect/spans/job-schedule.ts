/**
 * A job that runs on a schedule, recognised by its shape: runs that begin at equal distances, whatever it is called. One that is due and
 * does not come is missing. Runs of one window are one; distances are known to the length of a window.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

/** Distances in a row that must agree. */
const LEARNT = 4
/** Shorter ones are a stream of work, not a schedule. */
const LEAST_WINDOWS = 6
const TOLERANCE = 0.1
/** Missing after so much of a distance, and so many windows more: a run that takes longer than others is counted when it ends. */
const DUE = 1.5
const GRACE_WINDOWS = 3
const RATE = 0.2

export class JobSchedule {
  #lastMs = NaN
  #intervalMs = NaN
  #agreed = 0

  /** Whether its runs come on a schedule. */
  get isRegular(): boolean {
    return this.#agreed >= LEARNT
  }

  get intervalMs(): number {
    return this.#intervalMs
  }

  get lastMs(): number {
    return this.#lastMs
  }

  /** A window in which it ran. */
  ran(startMs: number, windowMs: number): void {
    const tookMs = startMs - this.#lastMs
    this.#lastMs = startMs
    if (!(tookMs > 0)) return
    if (tookMs < LEAST_WINDOWS * windowMs) {
      this.#agreed = 0
      this.#intervalMs = NaN
      return
    }
    const slackMs = Math.max(2 * windowMs, TOLERANCE * this.#intervalMs)
    if (Math.abs(tookMs - this.#intervalMs) <= slackMs) {
      this.#agreed++
      this.#intervalMs += RATE * (tookMs - this.#intervalMs)
    } else if (this.isRegular && isMultiple(tookMs, this.#intervalMs)) {
      // Runs were missed; the schedule is still the same.
    } else {
      this.#agreed = 0
      this.#intervalMs = tookMs
    }
  }

  /** How late it is, where 1 is missing; 0 when it has no schedule. */
  lateness(startMs: number, windowMs: number): number {
    if (!this.isRegular) return 0
    return (startMs - this.#lastMs) / (DUE * this.#intervalMs + GRACE_WINDOWS * windowMs)
  }

  snapshot(to: SnapshotWriter): void {
    to.column(Float64Array.of(this.#lastMs, this.#intervalMs, this.#agreed))
  }

  restore(from: SnapshotReader): void {
    const [lastMs = NaN, intervalMs = NaN, agreed = 0] = from.f64s()
    this.#lastMs = lastMs
    this.#intervalMs = intervalMs
    this.#agreed = agreed
  }
}

function isMultiple(tookMs: number, intervalMs: number): boolean {
  const times = tookMs / intervalMs
  return Math.abs(times - Math.round(times)) <= TOLERANCE * 2
}
