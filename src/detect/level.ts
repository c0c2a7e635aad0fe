/**
 * What is usual for one number, learned as it comes: a location and a spread (mean absolute deviation), both with a memory of some
 * hundred observations. A single observation moves it by at most three spreads, a tenth of that while it is anomalous, so that an
 * outage does not become the baseline; what has stayed different for `absorbAfter` observations in a row is the new normal.
 */
import type { SnapshotReader, SnapshotWriter } from './snapshot.ts'

const RATE = 0.01
const CLIP = 3
/** So many observations are taken as they come. */
const FIRST = 8
/** Mean absolute deviation to standard deviation, for a normal distribution. */
const TO_SIGMA = 1.2533

export class Level {
  count = 0
  location = 0
  deviation = 0
  /** Anomalous observations in a row. */
  odd = 0

  /** In units of x; never below `floor`, which stands for what cannot be known from few observations. */
  spread(floor: number): number {
    return Math.max(floor, this.deviation * TO_SIGMA)
  }

  z(x: number, floor: number): number {
    return (x - this.location) / this.spread(floor)
  }

  learn(x: number, floor: number, isAnomalous: boolean, absorbAfter: number): void {
    if (this.count === 0) {
      this.location = x
      this.count = 1
      return
    }
    this.odd = isAnomalous ? this.odd + 1 : 0
    if (this.odd > absorbAfter) {
      this.location = x
      this.odd = 0
      return
    }
    let rate = Math.max(RATE, 1 / (this.count + 1))
    if (isAnomalous) rate *= 0.1
    const limit = this.count < FIRST ? Infinity : CLIP * this.spread(floor)
    const step = Math.max(-limit, Math.min(limit, x - this.location))
    this.deviation += rate * (Math.abs(step) - this.deviation)
    this.location += rate * step
    this.count++
  }

  /** The same as `times` normal observations of `x`, near enough, in one step. */
  learnTimes(x: number, times: number): void {
    if (times <= 0) return
    const rate = Math.max(RATE, 1 / (this.count + 1))
    const moved = 1 - (1 - rate) ** times
    const away = Math.abs(x - this.location)
    this.location += moved * (x - this.location)
    this.deviation += moved * (Math.min(away, this.deviation) - this.deviation)
    this.count += times
    this.odd = 0
  }

  snapshot(to: SnapshotWriter): void {
    to.f64(this.count)
    to.f64(this.location)
    to.f64(this.deviation)
    to.f64(this.odd)
  }

  restore(from: SnapshotReader): void {
    this.count = from.f64()
    this.location = from.f64()
    this.deviation = from.f64()
    this.odd = from.f64()
  }
}

/** Counts on a scale where a Poisson count has a spread of 1 whatever its size (Anscombe 1948, https://doi.org/10.1093/biomet/35.3-4.246). */
export function stabilised(count: number): number {
  return 2 * Math.sqrt(count + 0.375)
}

export function countOf(stable: number): number {
  return Math.max(0, (stable / 2) ** 2 - 0.375)
}
