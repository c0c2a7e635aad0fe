/**
 * Rows of a service's series, as far back as there is room: whole blocks of consecutive rows. When they are full every other block goes,
 * so that what is left still spans all of the past and still shows how one row follows another. Single precision, less the column's first value.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

export const BLOCK_ROWS = 64

export interface Block {
  rows: number
  /** Of the row: may grow from block to block, and is fixed inside one. */
  readonly width: number
  readonly timeMs: Float64Array
  /** Row by row; NaN: not observed. */
  readonly values: Float32Array
  /** Whether rows between the block before it and this one have gone. */
  gap: boolean
}

export class StepHistory {
  readonly blocks: Block[] = []
  /** Ever written, thinned out or not. */
  rows = 0
  /** Of every so many blocks one is kept. */
  #stride = 1
  #written = 0

  get kept(): number {
    let rows = 0
    for (const block of this.blocks) rows += block.rows
    return rows
  }

  get bytes(): number {
    let bytes = 0
    for (const block of this.blocks) bytes += block.values.byteLength + block.timeMs.byteLength
    return bytes
  }

  push(timeMs: number, row: Float64Array, width: number, maxBlocks: number): void {
    let block = this.blocks.at(-1)
    if (block === undefined || block.rows === BLOCK_ROWS || block.width < width) block = this.#begin(width, maxBlocks)
    const at = block.rows * block.width
    for (let i = 0; i < width; i++) block.values[at + i] = row[i]!
    for (let i = width; i < block.width; i++) block.values[at + i] = Number.NaN
    block.timeMs[block.rows++] = timeMs
    this.rows++
  }

  /** Leaves at most `maxBlocks`, but one at least. True when the newest one went too. */
  thin(maxBlocks: number): boolean {
    const { blocks } = this
    let endWent = false
    while (blocks.length > Math.max(1, maxBlocks)) {
      this.#stride *= 2
      for (let i = 1; i < blocks.length; i++) {
        blocks.splice(i, 1)
        endWent = i === blocks.length
        if (!endWent) blocks[i]!.gap = true
      }
    }
    return endWent
  }

  /** Forgets every row; how many there were is kept. */
  drop(): void {
    this.blocks.length = 0
    this.#stride = 1
    this.#written = 0
  }

  /** Another series takes the column: what the last one did in it is forgotten. */
  clear(column: number): void {
    for (const { rows, width, values } of this.blocks) {
      if (column < width) for (let r = 0; r < rows; r++) values[r * width + column] = Number.NaN
    }
  }

  snapshot(to: SnapshotWriter): void {
    for (const value of [this.rows, this.#stride, this.#written]) to.f64(value)
    to.u32(this.blocks.length)
    for (const { rows, width, timeMs, values, gap } of this.blocks) {
      to.u32(width)
      to.u8(gap ? 1 : 0)
      to.column(timeMs.subarray(0, rows))
      to.column(values.subarray(0, rows * width))
    }
  }

  restore(from: SnapshotReader): void {
    this.rows = from.f64()
    this.#stride = Math.max(1, from.f64())
    this.#written = from.f64()
    this.blocks.length = 0
    for (let left = from.count(13); left > 0; left--) {
      const width = from.u32()
      const gap = from.u8() === 1
      const times = from.f64s()
      const rows = Math.min(times.length, BLOCK_ROWS)
      const block = newBlock(width, gap)
      block.timeMs.set(times.subarray(0, rows))
      block.values.set(from.f32s().subarray(0, rows * width))
      block.rows = rows
      this.blocks.push(block)
    }
  }

  /** A block that is not to be kept makes room for the next one; thinning keeps the newest. */
  #begin(width: number, maxBlocks: number): Block {
    const { blocks } = this
    let gap = false
    if (blocks.length > 0 && (this.#written - 1) % this.#stride !== 0) {
      blocks.pop()
      gap = true
    }
    if (this.thin(maxBlocks - 1)) gap = true
    this.#written++
    const block = newBlock(width, gap)
    blocks.push(block)
    return block
  }
}

function newBlock(width: number, gap: boolean): Block {
  return { rows: 0, width, gap, timeMs: new Float64Array(BLOCK_ROWS), values: new Float32Array(BLOCK_ROWS * width) }
}
