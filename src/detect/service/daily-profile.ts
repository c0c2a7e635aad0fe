/**
 * What the time of day makes of each column: the mean of each hour (UTC) less the mean of all, read off between the middles of hours. Nothing is
 * subtracted before every hour was seen on two days: a ramp that was seen once is no habit.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const HOURS = 24
const HOUR_MS = 3_600_000

export class DailyProfile {
  readonly #width: number
  /** By hour, then column. */
  readonly #means: Float32Array
  #known: boolean

  private constructor(width: number, means: Float32Array, known: boolean) {
    this.#width = width
    this.#means = means
    this.#known = known
  }

  /** Of rows in order of time; NaN is not observed. */
  static fit(timeMs: Float64Array, values: Float64Array, rows: number, width: number): DailyProfile {
    const means = new Float32Array(HOURS * width)
    if (!everyHourTwice(timeMs, rows)) return new DailyProfile(width, means, false)
    const sums = new Float64Array((HOURS + 1) * width)
    const counts = new Uint32Array((HOURS + 1) * width)
    for (let r = 0; r < rows; r++) {
      const hour = Math.floor(timeMs[r]! / HOUR_MS) % HOURS
      for (let i = 0; i < width; i++) {
        const value = values[r * width + i]!
        if (Number.isNaN(value)) continue
        sums[hour * width + i]! += value
        sums[HOURS * width + i]! += value
        counts[hour * width + i]!++
        counts[HOURS * width + i]!++
      }
    }
    for (let h = 0; h < HOURS; h++) {
      for (let i = 0; i < width; i++) {
        const at = h * width + i
        if (counts[at]! > 0) means[at] = sums[at]! / counts[at]! - sums[HOURS * width + i]! / counts[HOURS * width + i]!
      }
    }
    return new DailyProfile(width, means, true)
  }

  /** `out` becomes what the time of day adds to each column. */
  at(timeMs: number, out: Float64Array): void {
    if (!this.#known) {
      out.fill(0)
      return
    }
    const hour = (timeMs / HOUR_MS - 0.5 + HOURS) % HOURS
    const early = Math.floor(hour)
    const share = hour - early
    const a = early * this.#width
    const b = ((early + 1) % HOURS) * this.#width
    for (let i = 0; i < this.#width; i++) out[i] = (1 - share) * this.#means[a + i]! + share * this.#means[b + i]!
  }

  snapshot(to: SnapshotWriter): void {
    to.u8(this.#known ? 1 : 0)
    to.column(this.#means)
  }

  static restore(from: SnapshotReader, width: number): DailyProfile {
    const known = from.u8() === 1
    const means = new Float32Array(HOURS * width)
    means.set(from.f32s().subarray(0, means.length))
    return new DailyProfile(width, means, known)
  }
}

function everyHourTwice(timeMs: Float64Array, rows: number): boolean {
  const last = new Float64Array(HOURS).fill(Number.NaN)
  const days = new Uint32Array(HOURS)
  for (let r = 0; r < rows; r++) {
    const at = Math.floor(timeMs[r]! / HOUR_MS)
    const hour = at % HOURS
    if (last[hour] === at) continue
    last[hour] = at
    days[hour]!++
  }
  return days.every((seen) => seen >= 2)
}
