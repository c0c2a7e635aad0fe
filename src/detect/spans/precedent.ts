/**
 * What happens every day at the same hour: a nightly batch, a quiet lunch break. Only odd moments are remembered, per half-hour of the day
 * and for the last three days, so that a subject without any costs nothing. What was so on two of the last three days is no news.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const DAY_MS = 86_400_000
const BINS = 48
const BIN_MS = DAY_MS / BINS
const DAYS = 3
/** Day and value. */
const CELL = 2
const OFTEN_ENOUGH = 2

export class Precedent {
  /** On a scale where more is worse; per half-hour, per day in turn. */
  #cells: Float64Array | undefined

  /** Whether on two of the three days before it was as far as this (less `slack`) within half an hour of this time of day. */
  isUsual(timeMs: number, value: number, slack: number): boolean {
    const cells = this.#cells
    if (cells === undefined) return false
    let days = 0
    for (let ago = 1; ago <= DAYS; ago++) {
      let seen = false
      for (let off = -1; off <= 1; off++) {
        const bin = Math.floor(timeMs / BIN_MS) + off - ago * BINS
        const at = cellOf(bin)
        if (cells[at] === Math.floor(bin / BINS) + 1 && cells[at + 1]! >= value - slack) seen = true
      }
      if (seen) days++
    }
    return days >= OFTEN_ENOUGH
  }

  /** An odd moment. */
  remember(timeMs: number, value: number): void {
    const cells = (this.#cells ??= new Float64Array(BINS * DAYS_KEPT * CELL))
    const bin = Math.floor(timeMs / BIN_MS)
    const at = cellOf(bin)
    // Days are counted from 1: 0 is an empty cell.
    const day = Math.floor(bin / BINS) + 1
    cells[at + 1] = cells[at] === day ? Math.max(cells[at + 1]!, value) : value
    cells[at] = day
  }

  snapshot(to: SnapshotWriter): void {
    to.column(this.#cells ?? new Float64Array(0))
  }

  restore(from: SnapshotReader): void {
    const cells = from.f64s()
    this.#cells = cells.length === BINS * DAYS_KEPT * CELL ? cells : undefined
  }
}

/** Today's cells must not overwrite those of the third day before it. */
const DAYS_KEPT = DAYS + 1

function cellOf(bin: number): number {
  const inDay = ((bin % BINS) + BINS) % BINS
  const day = Math.floor(bin / BINS)
  return (inDay * DAYS_KEPT + (((day % DAYS_KEPT) + DAYS_KEPT) % DAYS_KEPT)) * CELL
}
