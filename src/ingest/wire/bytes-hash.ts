/** Bytes kept as words of four, hashed and compared with bytes in place: how what senders repeat is found again without decoding it. */

export interface KeptBytes {
  readonly byteCount: number
  /** They begin at `first`; what is kept next lies behind them. */
  words: Uint32Array
  first: number
}

const FIRST_WORDS = 1024
const MAX_WORDS = 65_536

/**
 * Keeps bytes one behind the other in large pieces: those that are compared one after the other then lie so in memory, too, and each costs no
 * array of its own. A piece goes when all that is in it has gone, so whoever forgets some has the others `move` to another store now and then.
 */
export class KeptWords {
  #words = new Uint32Array(0)
  #used = 0
  /** Words taken so far. */
  taken = 0

  keep(view: DataView, start: number, end: number): KeptBytes {
    const count = (end - start + 3) >>> 2
    const first = this.#room(count)
    const words = this.#words
    let i = first
    let at = start
    for (; at + 4 <= end; at += 4) words[i++] = view.getUint32(at, true)
    if (at < end) words[i] = tailWord(view, at, end)
    return { byteCount: end - start, words, first }
  }

  move(kept: KeptBytes): void {
    const count = (kept.byteCount + 3) >>> 2
    const first = this.#room(count)
    this.#words.set(kept.words.subarray(kept.first, kept.first + count), first)
    kept.words = this.#words
    kept.first = first
  }

  #room(count: number): number {
    if (this.#used + count > this.#words.length) {
      this.#words = new Uint32Array(Math.max(count, Math.min(MAX_WORDS, Math.max(FIRST_WORDS, this.#words.length * 2))))
      this.#used = 0
    }
    const first = this.#used
    this.#used += count
    this.taken += count
    return first
  }
}

function tailWord(view: DataView, at: number, end: number): number {
  let word = 0
  for (let shift = 0; at < end; at++, shift += 8) word |= view.getUint8(at) << shift
  return word >>> 0
}

export function matches(kept: KeptBytes, view: DataView, start: number, end: number): boolean {
  if (kept.byteCount !== end - start) return false
  const words = kept.words
  let i = kept.first
  const whole = i + ((end - start) >>> 2)
  let at = start
  // Eight at a time: most of what is compared is equal, and one branch for it is cheaper than eight.
  for (; i + 8 <= whole; i += 8, at += 32) {
    const differing =
      (view.getUint32(at, true) ^ words[i]!) |
      (view.getUint32(at + 4, true) ^ words[i + 1]!) |
      (view.getUint32(at + 8, true) ^ words[i + 2]!) |
      (view.getUint32(at + 12, true) ^ words[i + 3]!) |
      (view.getUint32(at + 16, true) ^ words[i + 4]!) |
      (view.getUint32(at + 20, true) ^ words[i + 5]!) |
      (view.getUint32(at + 24, true) ^ words[i + 6]!) |
      (view.getUint32(at + 28, true) ^ words[i + 7]!)
    if (differing !== 0) return false
  }
  for (; i < whole; i++, at += 4) if (view.getUint32(at, true) !== words[i]) return false
  return at >= end || tailWord(view, at, end) === words[i]
}

/** Not secure: whoever looks something up by it bounds how many may collide. */
export function hashOf(view: DataView, start: number, end: number): number {
  let hash = 0x811c9dc5 ^ (end - start)
  let at = start
  for (; at + 4 <= end; at += 4) {
    hash = Math.imul(hash ^ view.getUint32(at, true), 0x9e3779b1)
    hash ^= hash >>> 15
  }
  if (at < end) hash = Math.imul(hash ^ tailWord(view, at, end), 0x9e3779b1)
  return (hash ^ (hash >>> 13)) >>> 0
}
