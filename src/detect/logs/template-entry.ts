/** One template as the miner keeps it: its text, what it is cut into, hashes to find those that resemble it by, and what became of it. */
import { bothHashes, ChunkHashes, chunksOf, MAX_CHUNKS } from './template-chunks.ts'

/** A template with this many lines outlives a flood of so many others that come now and then. */
const LINES_OUTLIVED = 1000
const MAX_STANDING = 10_000
const NO_HASHES = new Float64Array(0)
const NO_CHUNKS = new Int32Array(0)

const scratch = new ChunkHashes()

/** A key, or a merged template. */
export class Entry {
  readonly id: number
  readonly text: string
  /** Undefined for those the learner leaves alone. */
  readonly chunks: readonly string[] | undefined
  /** Per chunk, what the template is without it. */
  readonly hashes: Float64Array
  readonly chunkHashes: Int32Array
  readonly outline: number
  /** Positions that were merged; empty for a key as it was read. */
  merged: readonly number[]
  lines = 0
  seen = 0
  /** How many merges had been made when it was last compared with the merged templates. */
  checked = -1
  isDropped = false
  /** The template it was merged into; itself when it was not. */
  root: Entry

  constructor(id: number, text: string, merged: readonly number[]) {
    const chunks = chunksOf(text)
    this.id = id
    this.text = text
    this.merged = merged
    this.root = this
    if (chunks.length > MAX_CHUNKS) {
      this.chunks = undefined
      this.hashes = NO_HASHES
      this.chunkHashes = NO_CHUNKS
      this.outline = 0
      return
    }
    this.chunks = chunks
    scratch.read(chunks)
    this.hashes = scratch.leaveOneOut()
    this.chunkHashes = scratch.chunks()
    this.outline = scratch.outline
  }
}

/** The template it has become. */
export function rootOf(entry: Entry): Entry {
  let root = entry
  while (root.root !== root) root = root.root
  if (entry.root !== root) entry.root = root
  return root
}

/** Its id as a number: 52 bits, never 0, beyond what counting up from one could reach. */
export function idOfText(text: string): number {
  const { a, b } = bothHashes(text)
  return (b >>> 12) * 0x1_0000_0000 + (a >>> 0) + 0x1_0000_0000
}

/** Once or twice is chance; after that, every line is worth so many of the others. */
export function worthOf({ lines, seen }: Entry): number {
  return lines > 2 ? seen + LINES_OUTLIVED * Math.min(lines, MAX_STANDING) : seen - 1e15
}

/** The two places in which they differ, as one number; -1 when they differ in fewer or more. */
export function differingPair(x: Int32Array, y: Int32Array): number {
  let first = -1
  let second = -1
  for (let i = 0; i < x.length; i++) {
    if (x[i] === y[i]) continue
    if (first < 0) first = i
    else if (second < 0) second = i
    else return -1
  }
  return second < 0 ? -1 : first * MAX_CHUNKS + second
}
