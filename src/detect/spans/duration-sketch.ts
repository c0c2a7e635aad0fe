/**
 * Durations as counts in buckets that grow by 4 %: any quantile is right to 2 %, two sketches merge to what one of everything would be,
 * and no input makes one larger than its 708 buckets. A stretch of buckets from the shortest duration to the longest, in one typed column.
 * DDSketch: Masson et al., VLDB 2019, https://arxiv.org/abs/1908.10693
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const GAMMA = 1.04
const PER_LN = 1 / Math.log(GAMMA)
const SMALLEST_MS = 0.001
/** Over eleven days in milliseconds; what is longer is counted there. */
const LARGEST_MS = 1e9
const BUCKETS = 1 + bucketOf(LARGEST_MS)
/** Buckets that a column begins with: a factor of two in duration. */
const FIRST = 16
const NONE = new Uint32Array(0)

export class DurationSketch {
  count = 0
  #counts = NONE
  /** The bucket that `#counts` begins with. */
  #from = 0

  /** What is not a duration counts as 0. */
  add(ms: number): void {
    const bucket = bucketOf(ms)
    const at = bucket - this.#from
    if (at >= 0 && at < this.#counts.length) this.#counts[at]!++
    else this.#put(bucket, 1)
    this.count++
  }

  merge(other: DurationSketch): void {
    const counts = other.#counts
    for (let i = 0; i < counts.length; i++) if (counts[i]! > 0) this.#put(other.#from + i, counts[i]!)
    this.count += other.count
  }

  /** The value that a share `q` of the durations does not exceed, in milliseconds; NaN when there are none. */
  quantile(q: number): number {
    if (this.count === 0) return NaN
    const rank = Math.max(1, Math.ceil(q * this.count))
    const counts = this.#counts
    let below = 0
    let last = 0
    for (let i = 0; i < counts.length; i++) {
      if (counts[i] === 0) continue
      below += counts[i]!
      last = i
      if (below >= rank) break
    }
    return middleOf(this.#from + last)
  }

  /** How many were longer than this, to the sketch's 2 %. */
  countAbove(ms: number): number {
    const counts = this.#counts
    let above = 0
    for (let i = Math.max(0, bucketOf(ms) + 1 - this.#from); i < counts.length; i++) above += counts[i]!
    return above
  }

  snapshot(to: SnapshotWriter): void {
    const counts = this.#counts
    const columns: number[] = []
    for (let i = 0; i < counts.length; i++) if (counts[i]! > 0) columns.push(this.#from + i, counts[i]!)
    to.column(Uint32Array.from(columns))
  }

  restore(from: SnapshotReader): void {
    const columns = from.u32s()
    this.#counts = NONE
    this.#from = 0
    this.count = 0
    for (let i = 0; i + 1 < columns.length; i += 2) {
      this.#put(Math.min(BUCKETS - 1, columns[i]!), columns[i + 1]!)
      this.count += columns[i + 1]!
    }
  }

  #put(bucket: number, count: number): void {
    let at = bucket - this.#from
    if (at < 0 || at >= this.#counts.length) {
      this.#cover(bucket)
      at = bucket - this.#from
    }
    this.#counts[at]! += count
  }

  /** Room for this bucket, and half as much again where it grows to. */
  #cover(bucket: number): void {
    const old = this.#counts
    const end = this.#from + old.length
    const more = old.length === 0 ? FIRST / 2 : Math.max(FIRST, old.length >>> 1)
    const from =
      old.length === 0 ? Math.max(0, bucket - more) : bucket < this.#from ? Math.max(0, Math.min(bucket, this.#from - more)) : this.#from
    const to = Math.min(BUCKETS, old.length === 0 ? bucket + more : bucket >= end ? Math.max(bucket + 1, end + more) : end)
    this.#counts = new Uint32Array(to - from)
    this.#counts.set(old, old.length === 0 ? 0 : this.#from - from)
    this.#from = from
  }
}

function bucketOf(ms: number): number {
  if (!(ms > SMALLEST_MS)) return 0
  return Math.ceil(Math.log(Math.min(ms, LARGEST_MS) / SMALLEST_MS) * PER_LN)
}

function middleOf(bucket: number): number {
  return bucket === 0 ? 0 : (2 * SMALLEST_MS * GAMMA ** bucket) / (GAMMA + 1)
}
