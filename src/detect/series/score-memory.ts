/**
 * The memory of the series scores: one record per series, in chunks that are allocated when they are needed. A record begins small and moves
 * to a larger class as its series grows older: what lives for minutes never costs the full size.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const RECORDS = 128

export interface RecordClass {
  /** 32-bit words of a record. */
  readonly words: number
}

interface Pool {
  readonly words: number
  readonly chunks: Uint32Array<ArrayBuffer>[]
  readonly floats: Float32Array[]
  readonly free: number[]
  end: number
}

/** Where a record is: views of its chunk and its first word. Overwritten by the next `locate`. */
export interface Located {
  u32: Uint32Array
  f32: Float32Array
  at: number
}

export class ScoreMemory {
  readonly #pools: readonly Pool[]

  constructor(classes: readonly RecordClass[]) {
    this.#pools = classes.map(({ words }) => ({ words, chunks: [], floats: [], free: [], end: 0 }))
  }

  /** Bytes that are held, used or not. */
  get bytes(): number {
    let bytes = 0
    for (const pool of this.#pools) bytes += pool.chunks.length * pool.words * RECORDS * 4
    return bytes
  }

  /** A zeroed record of the class. */
  take(size: number): number {
    const pool = this.#pools[size]!
    const record = pool.free.pop() ?? pool.end++
    while (record >= pool.chunks.length * RECORDS) {
      const chunk = new Uint32Array(pool.words * RECORDS)
      pool.chunks.push(chunk)
      pool.floats.push(new Float32Array(chunk.buffer))
    }
    const at = (record % RECORDS) * pool.words
    pool.chunks[Math.floor(record / RECORDS)]!.fill(0, at, at + pool.words)
    return record
  }

  /** Series that started together grow up together: a class that nobody needs any more gives its memory back. */
  release(size: number, record: number): void {
    const pool = this.#pools[size]!
    pool.free.push(record)
    if (pool.free.length === pool.end) pool.chunks.length = pool.floats.length = pool.free.length = pool.end = 0
  }

  locate(size: number, record: number, out: Located): void {
    const pool = this.#pools[size]!
    const chunk = (record / RECORDS) | 0
    out.u32 = pool.chunks[chunk]!
    out.f32 = pool.floats[chunk]!
    out.at = (record % RECORDS) * pool.words
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#pools.length)
    for (const pool of this.#pools) {
      to.u32(pool.words)
      to.u32(pool.end)
      to.column(Uint32Array.from(pool.free))
      for (let i = 0; i * RECORDS < pool.end; i++) {
        to.column(pool.chunks[i]!.subarray(0, Math.min(RECORDS, pool.end - i * RECORDS) * pool.words))
      }
    }
  }

  /** False when the records are of other sizes: nothing of them is kept then. */
  restore(from: SnapshotReader): boolean {
    for (const pool of this.#pools) {
      pool.chunks.length = pool.floats.length = pool.free.length = pool.end = 0
    }
    const pools = from.count(12)
    let same = pools === this.#pools.length
    for (let p = 0; p < pools; p++) {
      const pool = this.#pools[p]
      const words = from.u32()
      if (pool?.words !== words) same = false
      const end = from.count()
      const free = from.u32s()
      for (let i = 0; i * RECORDS < end; i++) {
        const saved = from.u32s()
        if (!same || pool === undefined) continue
        const chunk = new Uint32Array(words * RECORDS)
        chunk.set(saved.subarray(0, chunk.length))
        pool.chunks.push(chunk)
        pool.floats.push(new Float32Array(chunk.buffer))
      }
      if (!same || pool === undefined) continue
      pool.end = end
      for (const record of free) if (record < end) pool.free.push(record)
    }
    return same
  }
}
