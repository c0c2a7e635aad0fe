/**
 * Finds a few named fields of a JSON object in its bytes, in one pass that checks all of it: what JSON.parse takes is taken, and nothing
 * else. Values stay where they are and are read when they are wanted, so a line of which two fields matter makes two strings. Linear
 * and without recursion, however deep the nesting. Grammar: https://www.rfc-editor.org/rfc/rfc8259
 */

/** What stands in a field. `plain`: a string of ASCII without escapes; `wide`: one with other characters; `escaped`: one with a backslash. */
export const JsonKind = { absent: 0, plain: 1, wide: 2, escaped: 3, number: 4, object: 5, array: 6, literal: 7 } as const

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_OBJECT = 0x7b
const OPEN_ARRAY = 0x5b
const MINUS = 0x2d

/** 1 where a run of plain characters of a string ends. */
const STOPS = Uint8Array.from({ length: 256 }, (_, byte) => (byte < 0x20 || byte === QUOTE || byte === BACKSLASH ? 1 : 0))

const MAX_NAMES = 127
/** Room for open brackets that one huge line needed is not kept. */
const MAX_KEPT_BYTES = 256 * 1024

/** Places of wanted names, found again by length, first and last byte: most names of a line are told to be unwanted without a comparison. */
export class NameTable {
  readonly names: readonly string[]
  readonly #bytes: readonly Buffer[]
  readonly #first = new Int8Array(256).fill(-1)
  readonly #next: Int8Array

  constructor(names: readonly string[]) {
    if (names.length > MAX_NAMES) throw new Error(`${names.length} names are wanted, the limit is ${MAX_NAMES}`)
    this.names = names
    this.#bytes = names.map((name) => Buffer.from(name))
    this.#next = new Int8Array(names.length).fill(-1)
    for (const [slot, bytes] of this.#bytes.entries()) {
      const place = placeOf(bytes, 0, bytes.length)
      this.#next[slot] = this.#first[place]!
      this.#first[place] = slot
    }
  }

  /** The number of the name in these bytes, or -1. */
  slotOf(bytes: Uint8Array, from: number, to: number): number {
    if (from === to) return -1
    for (let slot = this.#first[placeOf(bytes, from, to)]!; slot >= 0; slot = this.#next[slot]!) {
      const name = this.#bytes[slot]!
      if (name.length !== to - from) continue
      let i = 0
      while (i < name.length && bytes[from + i] === name[i]) i++
      if (i === name.length) return slot
    }
    return -1
  }

  /** Bits of these names, which must be among the first 31. */
  maskOf(names: readonly string[]): number {
    return names.reduce((mask, name) => mask | (1 << this.names.indexOf(name)), 0)
  }
}

function placeOf(bytes: Uint8Array, from: number, to: number): number {
  return ((to - from) * 37 + bytes[from]! * 3 + bytes[to - 1]!) & 255
}

export class JsonFields {
  readonly table: NameTable
  /** Bit i is set when name i was found, for the first 31; `has` knows of all. Of equal names the last counts, as with JSON.parse. */
  found = 0
  /** By slot, of what was found: its kind and where it stands, without the quotes of a string. */
  readonly kind: Uint8Array
  readonly from: Int32Array
  readonly to: Int32Array
  /** The scan in which a field was found last. */
  readonly #foundIn: Int32Array
  #scan = 0
  /** Brackets that are open inside a value; there cannot be more than the object has bytes. */
  #open = new Uint8Array(1024)
  /** Of the string that was passed last. */
  #stringKind = 0

  constructor(names: readonly string[]) {
    this.table = new NameTable(names)
    this.kind = new Uint8Array(names.length)
    this.#foundIn = new Int32Array(names.length)
    this.from = new Int32Array(names.length)
    this.to = new Int32Array(names.length)
  }

  /** False when these bytes are not a JSON object and nothing else. */
  scan(bytes: Uint8Array, start: number, end: number): boolean {
    this.found = 0
    this.#scan = (this.#scan + 1) | 0
    if (end - start < 2 || bytes[start] !== OPEN_OBJECT) return false
    let at = pastSpace(bytes, start + 1, end)
    if (at < end && bytes[at] === OPEN_OBJECT + 2) return at + 1 === end
    for (;;) {
      if (at >= end || bytes[at] !== QUOTE) return false
      const nameFrom = at + 1
      let nameTo = nameFrom
      while (nameTo < end && STOPS[bytes[nameTo]!] === 0) nameTo++
      let slot: number
      if (nameTo < end && bytes[nameTo] === QUOTE) slot = this.table.slotOf(bytes, nameFrom, nameTo)
      else {
        nameTo = this.#pastString(bytes, nameFrom, end) - 1
        if (nameTo < 0) return false
        slot = this.table.names.indexOf(unescaped(bytes, nameFrom, nameTo))
      }
      at = nameTo + 1
      if (bytes[at] !== COLON) at = pastSpace(bytes, at, end)
      if (at >= end || bytes[at] !== COLON) return false
      at++
      if (bytes[at]! <= 0x20) at = pastSpace(bytes, at, end)
      if (at >= end) return false
      const from = at
      const first = bytes[at]!
      let kind: number
      if (first === QUOTE) {
        at = this.#pastString(bytes, from + 1, end)
        kind = this.#stringKind
      } else if (first === OPEN_OBJECT || first === OPEN_ARRAY) {
        at = this.#pastContainer(bytes, from, end)
        kind = first === OPEN_OBJECT ? JsonKind.object : JsonKind.array
      } else if (first === MINUS || (first >= 0x30 && first <= 0x39)) {
        at = pastNumber(bytes, from, end)
        kind = JsonKind.number
      } else {
        at = pastLiteral(bytes, from, end)
        kind = JsonKind.literal
      }
      if (at < 0) return false
      if (slot >= 0) {
        const quotes = first === QUOTE ? 1 : 0
        this.found |= 1 << slot
        this.#foundIn[slot] = this.#scan
        this.kind[slot] = kind
        this.from[slot] = from + quotes
        this.to[slot] = at - quotes
      }
      if (at < end && bytes[at]! <= 0x20) at = pastSpace(bytes, at, end)
      if (at >= end) return false
      const next = bytes[at]!
      if (next === OPEN_OBJECT + 2) return at + 1 === end
      if (next !== COMMA) return false
      at++
      if (bytes[at]! <= 0x20) at = pastSpace(bytes, at, end)
    }
  }

  has(slot: number): boolean {
    return this.#foundIn[slot] === this.#scan
  }

  /** The text of a string field; undefined when it is missing or something else. */
  text(slot: number, bytes: Buffer): string | undefined {
    if (!this.has(slot)) return undefined
    const from = this.from[slot]!
    const to = this.to[slot]!
    switch (this.kind[slot]) {
      case JsonKind.plain:
        return bytes.toString('latin1', from, to)
      case JsonKind.wide:
        return bytes.toString('utf8', from, to)
      case JsonKind.escaped:
        return unescaped(bytes, from, to)
      default:
        return undefined
    }
  }

  /** The value of a number field; undefined when it is missing or something else. */
  number(slot: number, bytes: Buffer): number | undefined {
    if (!this.has(slot) || this.kind[slot] !== JsonKind.number) return undefined
    const from = this.from[slot]!
    const to = this.to[slot]!
    if (to - from < 10 && bytes[from] !== MINUS) {
      let value = 0
      let at = from
      for (; at < to; at++) {
        const digit = bytes[at]! - 0x30
        if (digit < 0 || digit > 9) break
        value = value * 10 + digit
      }
      if (at === to) return value
    }
    return Number(bytes.toString('latin1', from, to))
  }

  /** From behind the opening quote to behind the closing one; -1 when the string is not good. Says in #stringKind what is in it. */
  #pastString(bytes: Uint8Array, start: number, end: number): number {
    let seen = 0
    let escapes = 0
    let byte = 0
    for (let at = start; at < end; at++) {
      while (at < end && STOPS[(byte = bytes[at]!)] === 0) {
        seen |= byte
        at++
      }
      if (at >= end || byte < 0x20) return -1
      if (byte === QUOTE) {
        this.#stringKind = escapes > 0 ? JsonKind.escaped : seen < 0x80 ? JsonKind.plain : JsonKind.wide
        return at + 1
      }
      at = pastEscape(bytes, at, end)
      if (at < 0) return -1
      escapes++
    }
    return -1
  }

  /** From an opening bracket to behind the one that closes it; -1 when what is between is not JSON. */
  #pastContainer(bytes: Uint8Array, start: number, end: number): number {
    let open = this.#open
    if (open.length < end - start) {
      open = new Uint8Array(2 * (end - start))
      if (open.length <= MAX_KEPT_BYTES) this.#open = open
    }
    let depth = 0
    let at = start
    for (;;) {
      if (at >= end) return -1
      const first = bytes[at]!
      if (first === OPEN_OBJECT || first === OPEN_ARRAY) {
        at = pastSpace(bytes, at + 1, end)
        if (at >= end) return -1
        if (bytes[at] === first + 2) at++
        else {
          open[depth++] = first
          if (first === OPEN_OBJECT && (at = this.#pastName(bytes, at, end)) < 0) return -1
          continue
        }
      } else if (first === QUOTE) at = this.#pastString(bytes, at + 1, end)
      else if (first === MINUS || (first >= 0x30 && first <= 0x39)) at = pastNumber(bytes, at, end)
      else at = pastLiteral(bytes, at, end)
      if (at < 0) return -1
      // Behind a value: what closes here, until something else follows.
      for (;;) {
        if (depth === 0) return at
        at = pastSpace(bytes, at, end)
        if (at >= end) return -1
        const container = open[depth - 1]!
        const next = bytes[at]!
        at++
        if (next === container + 2) {
          depth--
          continue
        }
        if (next !== COMMA) return -1
        at = pastSpace(bytes, at, end)
        if (container === OPEN_OBJECT && (at = this.#pastName(bytes, at, end)) < 0) return -1
        break
      }
    }
  }

  /** From the quote that opens a name to its value. */
  #pastName(bytes: Uint8Array, start: number, end: number): number {
    if (start >= end || bytes[start] !== QUOTE) return -1
    let at = this.#pastString(bytes, start + 1, end)
    if (at < 0) return -1
    at = pastSpace(bytes, at, end)
    return at < end && bytes[at] === COLON ? pastSpace(bytes, at + 1, end) : -1
  }
}

/** What a string with escapes says; it has been checked. */
function unescaped(bytes: Uint8Array, from: number, to: number): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + from - 1, to - from + 2).toString('utf8')
  return JSON.parse(text) as string
}

function pastSpace(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end) {
    const byte = bytes[at]!
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
    at++
  }
  return at
}

/** From the backslash to the last byte of the escape. */
function pastEscape(bytes: Uint8Array, backslash: number, end: number): number {
  const at = backslash + 1
  if (at >= end) return -1
  switch (bytes[at]) {
    case 0x22: // "
    case 0x5c: // \
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at
    case 0x75: // u
      if (at + 4 >= end) return -1
      for (let i = 1; i <= 4; i++) if (!isHex(bytes[at + i]!)) return -1
      return at + 4
    default:
      return -1
  }
}

export function isHex(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66) || (byte >= 0x41 && byte <= 0x46)
}

function pastDigits(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at++
  return at
}

function pastNumber(bytes: Uint8Array, start: number, end: number): number {
  const whole = bytes[start] === MINUS ? start + 1 : start
  let at = pastDigits(bytes, whole, end)
  if (at === whole || (bytes[whole] === 0x30 && at > whole + 1)) return -1
  if (at < end && bytes[at] === 0x2e) {
    const fraction = at + 1
    at = pastDigits(bytes, fraction, end)
    if (at === fraction) return -1
  }
  if (at < end && (bytes[at] === 0x65 || bytes[at] === 0x45)) {
    const sign = bytes[at + 1]
    const exponent = sign === 0x2b || sign === MINUS ? at + 2 : at + 1
    at = pastDigits(bytes, exponent, end)
    if (at === exponent || exponent > end) return -1
  }
  return at
}

const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const NULL = Buffer.from('null')

function pastLiteral(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start]
  const word = first === 0x74 ? TRUE : first === 0x66 ? FALSE : first === 0x6e ? NULL : undefined
  if (word === undefined || start + word.length > end) return -1
  for (let i = 1; i < word.length; i++) if (bytes[start + i] !== word[i]) return -1
  return start + word.length
}
