/**
 * What happens again at its time: an hourly job, a nightly batch. Of everything that was out of the ordinary the last eight times are kept; what
 * begins when the same thing began a day or a week earlier, or as long after the last time as that after the one before, and is neither
 * much larger nor much longer, is no news. Bounded: the keys unheard of for longest are dropped.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const KEPT = 8
const MAX_KEYS = 128
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
/** Two times with no more than this between them are one. */
const SAME_MS = 5 * MINUTE_MS
const NATURAL_MS = [DAY_MS, 7 * DAY_MS]
const NATURAL_TOLERANCE_MS = 10 * MINUTE_MS
const LEAST_PERIOD_MS = 10 * MINUTE_MS
const TOLERANCE = 0.05
const LARGER = 3

/** Oldest first: start, end and size of each time. */
type Times = number[]

export class Echoes {
  readonly #times = new Map<string, Times>()

  /** Notes that it was out of the ordinary at this moment, and says whether that was to be expected. Times of one key ascend. */
  isEcho(key: string, atMs: number, size: number): boolean {
    let times = this.#times.get(key)
    // Last in the order of the map: dropped last.
    if (times !== undefined) this.#times.delete(key)
    else {
      times = []
      if (this.#times.size >= MAX_KEYS) for (const oldest of this.#times.keys()) if (this.#times.delete(oldest)) break
    }
    this.#times.set(key, times)
    const last = times.length - 3
    if (last >= 0 && atMs - times[last + 1]! <= SAME_MS) {
      times[last + 1] = atMs
      times[last + 2] = Math.max(times[last + 2]!, size)
    } else {
      times.push(atMs, atMs, size)
      if (times.length > KEPT * 3) times.splice(0, 3)
    }
    return echoes(times, atMs, size)
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#times.size)
    for (const [key, times] of this.#times) {
      to.string(key)
      to.column(Float64Array.from(times))
    }
  }

  restore(from: SnapshotReader): void {
    this.#times.clear()
    for (let left = from.count(8); left > 0; left--) this.#times.set(from.string(), Array.from(from.f64s()))
  }
}

function echoes(times: Times, atMs: number, size: number): boolean {
  const current = times.length - 3
  const startMs = times[current]!
  for (let i = 0; i < current; i += 3) {
    const sinceMs = startMs - times[i]!
    for (const periodMs of NATURAL_MS) {
      if (Math.abs(sinceMs - periodMs) <= NATURAL_TOLERANCE_MS && isLike(times, i, atMs - startMs, size, NATURAL_TOLERANCE_MS)) return true
    }
  }
  if (current < 6) return false
  const periodMs = times[current - 3]! - times[current - 6]!
  const tolerance = TOLERANCE * periodMs
  const isRegular = periodMs >= LEAST_PERIOD_MS && Math.abs(startMs - times[current - 3]! - periodMs) <= tolerance
  return isRegular && isLike(times, current - 3, atMs - startMs, size, tolerance)
}

function isLike(times: Times, i: number, lastedMs: number, size: number, toleranceMs: number): boolean {
  return size <= LARGER * times[i + 2]! && lastedMs <= 2 * (times[i + 1]! - times[i]!) + toleranceMs
}
