/**
 * Texts repeat within a body: operation names, hosts. This finds one again by its bytes, so that it is decoded once. It keeps
 * positions in the body, not copies, in a table of fixed size: what it has forgotten is decoded again.
 */

const SLOTS = 256
/** Of each: where, how many bytes, the number that was given to them. */
const FIELDS = 3

export class SeenBytes {
  readonly #bytes: Uint8Array
  readonly #table = new Int32Array(SLOTS * FIELDS)
  #slot = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** The number that was remembered for equal bytes, or -1; then `remember` may follow. */
  find(at: number, byteCount: number): number {
    const bytes = this.#bytes
    // The ends tell most texts apart, the comparison below the rest.
    let hash = byteCount
    const end = at + byteCount
    for (let i = byteCount > 8 ? end - 8 : at; i < end; i++) hash = Math.imul(hash, 31) + bytes[i]!
    if (byteCount > 16) hash = Math.imul(hash, 31) + bytes[at + (byteCount >>> 1)]!
    const slot = ((hash ^ (hash >>> 8)) & (SLOTS - 1)) * FIELDS
    this.#slot = slot
    const table = this.#table
    const found = table[slot + 2]!
    // Numbers are kept plus one: 0 is an empty slot.
    if (found === 0 || table[slot + 1] !== byteCount) return -1
    const seenAt = table[slot]!
    for (let i = 0; i < byteCount; i++) if (bytes[seenAt + i] !== bytes[at + i]) return -1
    return found - 1
  }

  /** For the bytes that `find` was asked for last; what stood there before is forgotten. */
  remember(at: number, byteCount: number, number: number): void {
    const table = this.#table
    table[this.#slot] = at
    table[this.#slot + 1] = byteCount
    table[this.#slot + 2] = number + 1
  }
}
