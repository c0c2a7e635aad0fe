/**
 * The pieces that telemetry records are made of: varints, floats and texts, written into a buffer that is used again and again, and read
 * back. The reader checks every length against the bytes that are left before it takes memory. Rows are the exception: compact columns hold
 * many rows in few bytes, so their number is bounded on its own.
 */

const MAX_VARINT = Number.MAX_SAFE_INTEGER
/** Rows of one record, and entries of its tables. 250,000 samples take 5 MB of columns. */
export const MAX_ROWS = 2 ** 18
/** A buffer that one huge record has made larger than this is not kept. */
const KEPT_BYTES = 4 * 1024 * 1024
/** The most that a text may share with the one before it, so that a few bytes never stand for a long text. */
const MAX_SHARED = 127
/** Sharing less does not pay for saying so. */
const MIN_SHARED = 3

export class ByteWriter {
  #buffer = Buffer.allocUnsafeSlow(64 * 1024)
  #view = viewOf(this.#buffer)
  #at = 0

  /** What was written since the last call, in memory of its own. */
  finish(): Uint8Array {
    const bytes = Buffer.allocUnsafeSlow(this.#at)
    this.#buffer.copy(bytes, 0, 0, this.#at)
    this.reset()
    return bytes
  }

  reset(): void {
    this.#at = 0
    if (this.#buffer.length <= KEPT_BYTES) return
    this.#buffer = Buffer.allocUnsafeSlow(64 * 1024)
    this.#view = viewOf(this.#buffer)
  }

  get at(): number {
    return this.#at
  }

  /** A copy of what was written from there on. */
  since(start: number): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#buffer, start, this.#at)
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#at++] = value
  }

  /** Room for the length of what follows, which `measure` fills in when it is known. */
  length(): number {
    this.#reserve(4)
    this.#at += 4
    return this.#at
  }

  measure(start: number): void {
    this.#view.setUint32(start - 4, this.#at - start, true)
  }

  /** Whole, from 0 to 2^53 - 1. */
  varint(value: number): void {
    this.#reserve(8)
    const buffer = this.#buffer
    let at = this.#at
    let rest = value
    if (rest >= 0x10000000) {
      const low = rest % 0x10000000
      rest = (rest - low) / 0x10000000
      buffer[at++] = low | 0x80
      buffer[at++] = (low >>> 7) | 0x80
      buffer[at++] = (low >>> 14) | 0x80
      buffer[at++] = (low >>> 21) | 0x80
    }
    while (rest >= 0x80) {
      buffer[at++] = rest | 0x80
      rest >>>= 7
    }
    buffer[at++] = rest
    this.#at = at
  }

  /** Whole, of a magnitude below 2^52; small ones of either sign are short. */
  signed(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value)
  }

  float64(value: number): void {
    this.#reserve(8)
    this.#view.setFloat64(this.#at, value, true)
    this.#at += 8
  }

  floats(column: Float64Array): void {
    this.#reserve(column.length * 8)
    const view = this.#view
    let at = this.#at
    for (let i = 0; i < column.length; i++, at += 8) view.setFloat64(at, column[i]!, true)
    this.#at = at
  }

  bytes(column: Uint8Array): void {
    this.#reserve(column.length)
    this.#buffer.set(column, this.#at)
    this.#at += column.length
  }

  text(value: string): void {
    // Three bytes are the most that a UTF-16 unit takes in UTF-8.
    this.#reserve(value.length * 3 + 8)
    if (value.length <= 60) {
      const lengthAt = this.#at
      if (this.#ascii(value, 0, lengthAt + 1)) {
        this.#buffer[lengthAt] = value.length
        this.#at = lengthAt + 1 + value.length
        return
      }
    }
    this.varint(Buffer.byteLength(value))
    this.#at += this.#buffer.write(value, this.#at, 'utf8')
  }

  /** Text in a table whose neighbours are alike: says how much of the one before it comes again, if that pays. */
  textAfter(value: string, before: string): void {
    const most = Math.min(value.length, before.length, MAX_SHARED)
    let shared = 0
    for (; shared < most; shared++) {
      const code = value.charCodeAt(shared)
      // Beyond ASCII the number of bytes is not that of the characters.
      if (code !== before.charCodeAt(shared) || code > 127) break
    }
    if (shared < MIN_SHARED) shared = 0
    this.#reserve((value.length - shared) * 3 + 16)
    const mark = shared === 0 ? 0 : 1
    const start = this.#at
    const units = value.length - shared
    if (units < 64) {
      const textAt = start + 1 + mark
      if (this.#ascii(value, shared, textAt)) {
        this.#buffer[start] = units * 2 + mark
        if (mark === 1) this.#buffer[start + 1] = shared
        this.#at = textAt + units
        return
      }
    }
    const rest = shared === 0 ? value : value.slice(shared)
    this.varint(Buffer.byteLength(rest) * 2 + mark)
    if (mark === 1) this.#buffer[this.#at++] = shared
    this.#at += this.#buffer.write(rest, this.#at, 'utf8')
  }

  #ascii(value: string, from: number, at: number): boolean {
    const buffer = this.#buffer
    for (let i = from; i < value.length; i++) {
      const code = value.charCodeAt(i)
      if (code > 127) return false
      buffer[at++] = code
    }
    return true
  }

  #reserve(byteCount: number): void {
    const needed = this.#at + byteCount
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
    this.#view = viewOf(larger)
  }
}

export class ByteReader {
  readonly #buffer: Buffer
  readonly #view: DataView
  #at: number
  /** Where the text lies that `textAfter` read last. */
  textBytes: Buffer
  textAt = 0
  textEnd = 0
  #shared = Buffer.alloc(0)

  constructor(bytes: Uint8Array, start: number) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = viewOf(this.#buffer)
    this.#at = start
    this.textBytes = this.#buffer
  }

  get left(): number {
    return this.#buffer.length - this.#at
  }

  expectEnd(): void {
    if (this.left !== 0) throw new RangeError(`${this.left} bytes too many`)
  }

  byte(): number {
    return this.#buffer[this.take(1)]!
  }

  varint(): number {
    const buffer = this.#buffer
    let at = this.#at
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= buffer.length) throw new RangeError('it ends in the middle of a number')
      const byte = buffer[at++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.#at = at
        return value
      }
    }
    for (let scale = 0x10000000; ; scale *= 128) {
      if (at >= buffer.length) throw new RangeError('it ends in the middle of a number')
      const byte = buffer[at++]!
      value += (byte & 0x7f) * scale
      if (value > MAX_VARINT) throw new RangeError('a number is too large')
      if (byte < 0x80) {
        this.#at = at
        return value
      }
    }
  }

  signed(): number {
    const value = this.varint()
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2
  }

  /** A number of things that follow, each of which takes a byte at least. */
  count(): number {
    const value = this.varint()
    if (value > this.left) throw new RangeError(`${value} things announced, ${this.left} bytes left`)
    return value
  }

  /** A number of rows, which may take no bytes. */
  rows(): number {
    const value = this.varint()
    if (value > MAX_ROWS) throw new RangeError(`${value} rows announced, ${MAX_ROWS} are the most`)
    return value
  }

  /** What `ByteWriter.length` made room for. */
  length(): number {
    return this.#view.getUint32(this.take(4), true)
  }

  float64(): number {
    return this.#view.getFloat64(this.take(8), true)
  }

  floats(rows: number): Float64Array {
    let at = this.take(rows * 8)
    const column = new Float64Array(rows)
    for (let i = 0; i < rows; i++, at += 8) column[i] = this.#view.getFloat64(at, true)
    return column
  }

  /** A view of the next bytes, not a copy. */
  bytes(byteCount: number): Buffer {
    const at = this.take(byteCount)
    return this.#buffer.subarray(at, at + byteCount)
  }

  text(): string {
    const byteCount = this.varint()
    const at = this.take(byteCount)
    return byteCount === 0 ? '' : this.#buffer.toString('utf8', at, at + byteCount)
  }

  texts(rows: number): string[] {
    const column: string[] = []
    for (let i = 0; i < rows; i++) column.push(this.text())
    return column
  }

  /** The first text of a table has none before it. */
  startTexts(): void {
    this.textAt = this.textEnd = 0
  }

  /** Text as `ByteWriter.textAfter` wrote it: where its bytes lie until the next call. */
  textAfter(): void {
    const head = this.varint()
    const marked = head % 2 === 1
    const shared = marked ? this.byte() : 0
    const byteCount = (head - (marked ? 1 : 0)) / 2
    const at = this.take(byteCount)
    if (shared === 0) {
      this.textBytes = this.#buffer
      this.textAt = at
      this.textEnd = at + byteCount
      return
    }
    if (shared > MAX_SHARED || shared > this.textEnd - this.textAt)
      throw new RangeError(`a text shares ${shared} bytes with one of ${this.textEnd - this.textAt}`)
    const needed = shared + byteCount
    const before = this.textBytes
    if (needed > this.#shared.length) this.#shared = Buffer.allocUnsafe(Math.max(256, needed * 2))
    const together = this.#shared
    if (before !== together) for (let i = 0; i < shared; i++) together[i] = before[this.textAt + i]!
    for (let i = 0; i < byteCount; i++) together[shared + i] = this.#buffer[at + i]!
    this.textBytes = together
    this.textAt = 0
    this.textEnd = needed
  }

  take(byteCount: number): number {
    const at = this.#at
    if (byteCount > this.#buffer.length - at) throw new RangeError(`${byteCount} bytes announced, ${this.#buffer.length - at} left`)
    this.#at = at + byteCount
    return at
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
