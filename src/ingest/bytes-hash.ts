/** Bytes kept as words of four, hashed and compared with bytes in place: how what senders repeat is found again without decoding it. */

export interface KeptBytes {
  readonly byteCount: number
  readonly words: Uint32Array
}

function tailWord(view: DataView, at: number, end: number): number {
  let word = 0
  for (let shift = 0; at < end; at++, shift += 8) word |= view.getUint8(at) << shift
  return word >>> 0
}

export function wordsOf(view: DataView, start: number, end: number): Uint32Array {
  const words = new Uint32Array((end - start + 3) >>> 2)
  let at = start
  let i = 0
  for (; at + 4 <= end; at += 4) words[i++] = view.getUint32(at, true)
  if (at < end) words[i] = tailWord(view, at, end)
  return words
}

export function matches(kept: KeptBytes, view: DataView, start: number, end: number): boolean {
  if (kept.byteCount !== end - start) return false
  const words = kept.words
  let at = start
  let i = 0
  for (; at + 4 <= end; at += 4) if (view.getUint32(at, true) !== words[i++]) return false
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
