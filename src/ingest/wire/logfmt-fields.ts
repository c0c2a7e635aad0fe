/**
 * Finds a few named fields of a logfmt line in its bytes: `level=warn msg="two words" id=7`, https://brandur.org/logfmt. Values stay where
 * they are and are read when they are wanted. Of equal names the first counts. Words that are no pair are passed over.
 */
import type { NameTable } from './json-fields.ts'

const QUOTE = 0x22
const EQUALS = 0x3d
const BACKSLASH = 0x5c

export class LogfmtFields {
  readonly table: NameTable
  /** Bit i is set when name i was found. */
  found = 0
  pairs = 0
  /** By slot, of what was found, without quotes. */
  readonly from: Int32Array
  readonly to: Int32Array
  /** Bit i: the value of name i has escapes. */
  #escaped = 0

  constructor(table: NameTable) {
    this.table = table
    this.from = new Int32Array(table.names.length)
    this.to = new Int32Array(table.names.length)
  }

  scan(bytes: Uint8Array, start: number, end: number): void {
    this.found = 0
    this.pairs = 0
    this.#escaped = 0
    let at = start
    while (at < end) {
      const first = at
      let byte = 0
      while (at < end && (byte = bytes[at]!) > 0x20 && byte !== EQUALS && byte !== QUOTE) at++
      if (at === end) return
      if (byte === EQUALS && at > first) at = this.#pair(bytes, first, at, end)
      while (at < end && bytes[at]! > 0x20) at++
      at++
    }
  }

  isEscaped(slot: number): boolean {
    return (this.#escaped & (1 << slot)) !== 0
  }

  /** From the equals sign to behind the value. */
  #pair(bytes: Uint8Array, nameFrom: number, equals: number, end: number): number {
    let at = equals + 1
    let from = at
    let to = at
    let escapes = 0
    if (at < end && bytes[at] === QUOTE) {
      from = to = at + 1
      for (; to < end && bytes[to] !== QUOTE; to++) {
        if (bytes[to] !== BACKSLASH) continue
        escapes++
        to++
      }
      // A quote that nothing closes: the value is empty, the words behind it are words.
      if (to >= end) to = from
      else at = to + 1
    } else {
      let byte = 0
      while (at < end && (byte = bytes[at]!) > 0x20 && byte !== QUOTE) at++
      to = at
    }
    this.pairs++
    const slot = this.table.slotOf(bytes, nameFrom, equals)
    if (slot >= 0 && (this.found & (1 << slot)) === 0) {
      this.found |= 1 << slot
      this.from[slot] = from
      this.to[slot] = to
      if (escapes > 0) this.#escaped |= 1 << slot
    }
    return at
  }
}

export function withoutEscapes(text: string): string {
  return text.replace(/\\([^])/g, (_, char: string) => (char === 'n' ? '\n' : char === 't' ? '\t' : char))
}

export function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 9 && byte <= 13)
}
