/**
 * Writing and reading the pieces that records are made of. The writer keeps a table of repeating strings and puts it in front at the end.
 * The reader checks every count against the bytes that are left before it allocates, so a damaged record costs no memory.
 */

const MAX_VARINT = Number.MAX_SAFE_INTEGER

export class ByteWriter {
  #buffer = Buffer.allocUnsafe(16 * 1024)
  #view = viewOf(this.#buffer)
  #at = 0
  readonly #names = new Map<string, number>()

  /** Version and kind, the table of names, then what was written. */
  finish(version: number, kind: number): Uint8Array {
    const body = this.#buffer.subarray(0, this.#at)
    const head = new ByteWriter()
    head.#byte(version)
    head.#byte(kind)
    head.count(this.#names.size)
    for (const name of this.#names.keys()) head.text(name)
    return Buffer.concat([head.#buffer.subarray(0, head.#at), body])
  }

  count(value: number): void {
    this.#reserve(8)
    this.#varint(value)
  }

  /** Text that is not expected to repeat. */
  text(value: string): void {
    // Three bytes are the most that a UTF-16 unit takes in UTF-8.
    this.#reserve(value.length * 3 + 8)
    if (value.length <= 40) {
      const lengthAt = this.#at
      if (this.#ascii(value, lengthAt + 1)) {
        this.#buffer[lengthAt] = value.length
        this.#at = lengthAt + 1 + value.length
        return
      }
    }
    const byteCount = Buffer.byteLength(value)
    this.#varint(byteCount)
    this.#at += this.#buffer.write(value, this.#at, 'utf8')
  }

  /** Text that repeats within the record: an index into the table in front. */
  name(value: string): void {
    let index = this.#names.get(value)
    if (index === undefined) this.#names.set(value, (index = this.#names.size))
    this.count(index)
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

  indexes(column: Uint32Array): void {
    this.#reserve(column.length * 5)
    for (let i = 0; i < column.length; i++) this.#varint(column[i]!)
  }

  /** Whole milliseconds as deltas, which are small; anything finer as it is. */
  times(column: Float64Array): void {
    this.#reserve(column.length * 9 + 1)
    let whole = true
    for (let i = 0; whole && i < column.length; i++)
      whole = Number.isSafeInteger(column[i]) && Math.abs(column[i]!) < 2 ** 50 && !Object.is(column[i], -0)
    this.#byte(whole ? 1 : 0)
    if (!whole) {
      this.floats(column)
      return
    }
    let before = 0
    for (let i = 0; i < column.length; i++) {
      const delta = column[i]! - before
      this.#varint(delta < 0 ? -2 * delta - 1 : 2 * delta)
      before = column[i]!
    }
  }

  /** Hex ids as bytes; one that repeats the one before it costs a byte. */
  ids(column: readonly string[]): void {
    let before = ''
    for (const id of column) {
      if (id === '') this.count(0)
      else if (id === before) this.count(1)
      else if (/^(?:[0-9a-f]{2})+$/.test(id)) {
        this.#reserve(id.length + 8)
        this.#varint((id.length / 2) * 4 + 2)
        this.#at += this.#buffer.write(id, this.#at, 'hex')
      } else {
        const bytes = Buffer.from(id)
        this.count(bytes.length * 4 + 3)
        this.bytes(bytes)
      }
      before = id
    }
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#at++] = value
  }

  #ascii(value: string, at: number): boolean {
    const buffer = this.#buffer
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i)
      if (code > 127) return false
      buffer[at + i] = code
    }
    return true
  }

  /** Room must have been made. */
  #varint(value: number): void {
    const buffer = this.#buffer
    let at = this.#at
    let rest = value
    while (rest >= 0x80) {
      buffer[at++] = (rest % 128) | 0x80
      rest = rest < 0x80000000 ? rest >>> 7 : Math.floor(rest / 128)
    }
    buffer[at++] = rest
    this.#at = at
  }

  #reserve(byteCount: number): void {
    const needed = this.#at + byteCount
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
    this.#view = viewOf(larger)
  }
}

export class ByteReader {
  readonly #buffer: Buffer
  readonly #view: DataView
  readonly #names: string[] = []
  #at: number

  constructor(bytes: Uint8Array, start: number) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = viewOf(this.#buffer)
    this.#at = start
    for (let left = this.count(); left > 0; left--) this.#names.push(this.text())
  }

  expectEnd(): void {
    if (this.#at !== this.#buffer.length) throw new RangeError(`${this.#buffer.length - this.#at} bytes too many`)
  }

  /** A number of things that follow, each of which takes a byte at least. */
  count(): number {
    const value = this.#varint()
    if (value > this.#buffer.length - this.#at)
      throw new RangeError(`${value} things announced, ${this.#buffer.length - this.#at} bytes left`)
    return value
  }

  text(): string {
    const byteCount = this.#varint()
    const at = this.#take(byteCount)
    return byteCount === 0 ? '' : this.#buffer.toString('utf8', at, at + byteCount)
  }

  texts(rows: number): string[] {
    const column: string[] = []
    for (let i = 0; i < rows; i++) column.push(this.text())
    return column
  }

  name(): string {
    const name = this.#names[this.#varint()]
    if (name === undefined) throw new RangeError('a name is not in the table')
    return name
  }

  names(rows: number): string[] {
    const column: string[] = []
    for (let i = 0; i < rows; i++) column.push(this.name())
    return column
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), true)
  }

  floats(rows: number): Float64Array {
    let at = this.#take(rows * 8)
    const column = new Float64Array(rows)
    for (let i = 0; i < rows; i++, at += 8) column[i] = this.#view.getFloat64(at, true)
    return column
  }

  bytes(rows: number): Uint8Array {
    const at = this.#take(rows)
    return new Uint8Array(this.#buffer.subarray(at, at + rows))
  }

  /** Every index must point into a table of `tableRows`. */
  indexes(rows: number, tableRows: number): Uint32Array {
    const column = new Uint32Array(rows)
    for (let i = 0; i < rows; i++) {
      const index = this.#varint()
      if (index >= tableRows) throw new RangeError(`an index points to ${index} of ${tableRows}`)
      column[i] = index
    }
    return column
  }

  times(rows: number): Float64Array {
    const whole = this.#buffer[this.#take(1)] === 1
    if (!whole) return this.floats(rows)
    const column = new Float64Array(rows)
    let before = 0
    for (let i = 0; i < rows; i++) {
      const delta = this.#varint()
      before += delta % 2 === 1 ? -(delta + 1) / 2 : delta / 2
      column[i] = before
    }
    return column
  }

  ids(rows: number): string[] {
    const column: string[] = []
    let before = ''
    for (let i = 0; i < rows; i++) {
      const head = this.#varint()
      if (head === 0) before = ''
      else if (head !== 1) {
        const byteCount = Math.floor(head / 4)
        const at = this.#take(byteCount)
        before = this.#buffer.toString(head % 4 === 2 ? 'hex' : 'utf8', at, at + byteCount)
      }
      column.push(before)
    }
    return column
  }

  #take(byteCount: number): number {
    const at = this.#at
    if (byteCount > this.#buffer.length - at) throw new RangeError(`${byteCount} bytes announced, ${this.#buffer.length - at} left`)
    this.#at = at + byteCount
    return at
  }

  #varint(): number {
    const buffer = this.#buffer
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      if (this.#at >= buffer.length) throw new RangeError('it ends in the middle of a number')
      const byte = buffer[this.#at++]!
      value += (byte & 0x7f) * scale
      if (value > MAX_VARINT) throw new RangeError('a number is too large')
      if (byte < 0x80) return value
    }
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
