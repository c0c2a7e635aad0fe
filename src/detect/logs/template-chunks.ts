/**
 * What templates are cut into, and hashes of what one is without some of its chunks: two that differ in one place have the same without it.
 * A leave-one-out hash per position needs no tree and no depth to choose, which is what trips the parsers that have one
 * (Drain: He et al., ICWS 2017, https://jiemingzhu.github.io/pub/pjhe_icws2017.pdf).
 */
import { WILD } from './log-repeats.ts'

/** Longer templates are taken as they are: learning from them costs more than it gives. */
export const MAX_CHUNKS = 40
const QUOTED_CHARS = 80

/** Split at spaces, but a quoted string of up to 80 characters stays whole. Joined with spaces it is the text again. */
export function chunksOf(text: string): string[] {
  const chunks: string[] = []
  let start = 0
  let quoteEnd = -1
  for (let i = 0; i <= text.length; i++) {
    if (i === text.length || (text.charCodeAt(i) === 32 && i > quoteEnd)) {
      chunks.push(text.slice(start, i))
      start = i + 1
      if (chunks.length > MAX_CHUNKS) break
    } else if (text.charCodeAt(i) === 34 && i > quoteEnd) {
      const close = text.indexOf('"', i + 1)
      quoteEnd = close > 0 && close - i <= QUOTED_CHARS ? close : i
    }
  }
  return chunks
}

function hashOf(chunk: string, seed: number): number {
  let h = seed
  for (let i = 0; i < chunk.length; i++) h = Math.imul(h ^ chunk.charCodeAt(i), 0x01000193)
  return h ^ (h >>> 15)
}

function placed(hash: number, position: number): number {
  const h = Math.imul(hash ^ Math.imul(position + 1, 0x9e3779b1), 0x85ebca6b)
  return h ^ (h >>> 13)
}

/** Two 32-bit hashes of a text. */
export function bothHashes(text: string): { a: number; b: number } {
  return { a: hashOf(text, 0x811c9dc5), b: hashOf(text, 0x1b873593) }
}

/** The hashes of a template's chunks, from which what it is without some of them can be told. Reused: read what it holds before the next one. */
export class ChunkHashes {
  /** Of the number of chunks and of those with a wildcard: templates that differ in words only have the same. */
  outline = 0
  #count = 0
  #sumA = 0
  #sumB = 0
  readonly #a = new Int32Array(MAX_CHUNKS)
  readonly #b = new Int32Array(MAX_CHUNKS)

  read(chunks: readonly string[]): void {
    const count = Math.min(chunks.length, MAX_CHUNKS)
    this.#count = count
    this.outline = Math.imul(count, 0x27d4eb2f)
    this.#sumA = Math.imul(count, 0x27d4eb2f)
    this.#sumB = Math.imul(count, 0x165667b1)
    for (let i = 0; i < count; i++) {
      const chunk = chunks[i]!
      const a = placed(hashOf(chunk, 0x811c9dc5), i)
      const b = placed(hashOf(chunk, 0x1b873593), i + 101)
      this.#a[i] = a
      this.#b[i] = b
      this.#sumA = (this.#sumA + a) | 0
      this.#sumB = (this.#sumB + b) | 0
      if (chunk.includes(WILD)) this.outline = (this.outline + placed(a, 7)) | 0
    }
  }

  chunks(): Int32Array {
    return this.#a.slice(0, this.#count)
  }

  /** Per position a 52-bit hash of all other chunks, the position and the number of chunks. */
  leaveOneOut(): Float64Array {
    const out = new Float64Array(this.#count)
    for (let i = 0; i < out.length; i++) out[i] = this.#mixed((this.#sumA - this.#a[i]!) | 0, (this.#sumB - this.#b[i]!) | 0, i + 1)
    return out
  }

  /** The same without several. */
  without(positions: readonly number[]): number {
    let a = this.#sumA
    let b = this.#sumB
    let which = 0
    for (const position of positions) {
      a = (a - this.#a[position]!) | 0
      b = (b - this.#b[position]!) | 0
      which = Math.imul(which, 41) + position + 1
    }
    return this.#mixed(a, b, which)
  }

  #mixed(a: number, b: number, which: number): number {
    return (placed(a, which + 211) >>> 0) * 0x100000 + (placed(b, which + 307) >>> 12)
  }
}
