/**
 * Keeps the alarms of each series near the number per week that is set, whatever its noise is like: every alarm raises what the next one
 * takes, the more the oftener the series was told of lately, and the raise wears off at a steady pace. A threshold that follows its own
 * errors holds its rate without knowing how the data are distributed (adaptive conformal inference: Gibbs and Candès 2021,
 * https://arxiv.org/abs/2106.00170). Costs nothing for a series that was never told of.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const WEEK_MS = 604_800_000
/** In the units of the scores it is added to: what an alarm within the rate adds, and at most so many times as much where they are too many. */
const RAISE_PER_ALARM = 0.2
const MOST_TIMES = 5
/** What wears off in the time in which one alarm is allowed. */
const RAISE_LOST_PER_ALLOWED = 2
/** A raise of 1 makes so much more of a distance in spreads necessary, as a power of e. */
const DISTANCE_PER_RAISE = 0.4
/** Alarms of so long ago that they are no longer counted. */
const FORGOTTEN = 0.02

interface Lately {
  raise: number
  /** Those of the last week count 1 each, older ones less by the week. */
  alarms: number
  atMs: number
}

export class AlarmRate {
  readonly #perWeek: number
  /** By slot, those of series that were told of lately. */
  readonly #lately = new Map<number, Lately>()

  constructor(alarmsPerWeek: number) {
    this.#perWeek = alarmsPerWeek
  }

  /** Series that were told of lately. */
  get size(): number {
    return this.#lately.size
  }

  /** How much more strangeness than usual an alarm takes now. Times of one slot ascend. */
  raise(slot: number, timeMs: number): number {
    const lately = this.#lately.get(slot)
    if (lately === undefined) return 0
    const weeks = Math.max(0, timeMs - lately.atMs) / WEEK_MS
    lately.raise = Math.max(0, lately.raise - RAISE_LOST_PER_ALLOWED * this.#perWeek * weeks)
    lately.alarms *= Math.exp(-weeks)
    lately.atMs = timeMs
    if (lately.raise === 0 && lately.alarms < FORGOTTEN) this.#lately.delete(slot)
    return lately.raise
  }

  /** An alarm was told of it. */
  told(slot: number, timeMs: number): void {
    this.raise(slot, timeMs)
    let lately = this.#lately.get(slot)
    if (lately === undefined) this.#lately.set(slot, (lately = { raise: 0, alarms: 0, atMs: timeMs }))
    lately.alarms++
    lately.raise += RAISE_PER_ALARM * Math.min(MOST_TIMES, Math.max(1, lately.alarms / this.#perWeek))
  }

  /** The slot may be given to another series. */
  forget(slot: number): void {
    this.#lately.delete(slot)
  }

  snapshot(to: SnapshotWriter): void {
    to.column(Uint32Array.from(this.#lately.keys()))
    to.column(Float64Array.from([...this.#lately.values()].flatMap(({ raise, alarms, atMs }) => [raise, alarms, atMs])))
  }

  restore(from: SnapshotReader): void {
    this.#lately.clear()
    const slots = from.u32s()
    const values = from.f64s()
    for (let i = 0; i < slots.length; i++) {
      const [raise, alarms, atMs] = [values[i * 3], values[i * 3 + 1], values[i * 3 + 2]]
      if (raise !== undefined && alarms !== undefined && atMs !== undefined) this.#lately.set(slots[i]!, { raise, alarms, atMs })
    }
  }
}

/** How many times as far out as usual a series with this raise has to be. */
export function distanceFactor(raise: number): number {
  return Math.exp(DISTANCE_PER_RAISE * raise)
}
