/**
 * The bytes of a snapshot: a version byte, then whatever the detector writes, little-endian whatever the machine.
 * Writing never fails; reading past the end, or a length that cannot be true, is a PermanentError before anything is allocated.
 * Arrays that are read are fresh copies: they may be kept and written to.
 */
import { PermanentError } from '../errors.ts'

const HOST_IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1
/** Set in a string's length where it is UTF-16: UTF-8 cannot carry half a surrogate pair, and clipped text may end in one. */
const UTF16 = 0x8000_0000
const LONE_SURROGATE = /\p{Surrogate}/u

type Column = Uint8Array | Uint16Array | Int32Array | Uint32Array | Float32Array | Float64Array

/** The array's bytes in little-endian order; a view where the machine already has them so. */
function littleEndian(values: Column): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return HOST_IS_LITTLE_ENDIAN || values.BYTES_PER_ELEMENT === 1 ? bytes : swapped(bytes, values.BYTES_PER_ELEMENT)
}

function swapped(bytes: Uint8Array, width: number): Uint8Array {
  const out = new Uint8Array(bytes.length)
  for (let i = 0; i < bytes.length; i++) out[i] = bytes[i - (i % width) + (width - 1 - (i % width))]!
  return out
}

export class SnapshotWriter {
  #bytes: Uint8Array
  #view: DataView
  #end = 0

  constructor(version: number) {
    this.#bytes = new Uint8Array(1024)
    this.#view = new DataView(this.#bytes.buffer)
    this.u8(version)
  }

  u8(value: number): void {
    this.#room(1)
    this.#view.setUint8(this.#end, value)
    this.#end += 1
  }

  u32(value: number): void {
    this.#room(4)
    this.#view.setUint32(this.#end, value, true)
    this.#end += 4
  }

  f32(value: number): void {
    this.#room(4)
    this.#view.setFloat32(this.#end, value, true)
    this.#end += 4
  }

  f64(value: number): void {
    this.#room(8)
    this.#view.setFloat64(this.#end, value, true)
    this.#end += 8
  }

  string(value: string): void {
    const utf16 = LONE_SURROGATE.test(value)
    const bytes = Buffer.from(value, utf16 ? 'utf16le' : 'utf8')
    this.u32((bytes.length | (utf16 ? UTF16 : 0)) >>> 0)
    this.#raw(bytes)
  }

  /** Length and elements. Read back with the method of the same element type. */
  column(values: Column): void {
    this.u32(values.length)
    this.#raw(littleEndian(values))
  }

  /** What was written, as a copy that nothing else holds. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#end)
  }

  #raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#end)
    this.#end += bytes.length
  }

  #room(more: number): void {
    if (this.#end + more <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#end + more))
    grown.set(this.#bytes.subarray(0, this.#end))
    this.#bytes = grown
    this.#view = new DataView(grown.buffer)
  }
}

export class SnapshotReader {
  readonly version: number
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #what: string
  #at = 0

  /** `what` names the owner in errors. Throws a PermanentError when the bytes are of a newer version than `newest`. */
  constructor(bytes: Uint8Array, what: string, newest: number) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
    this.version = this.u8()
    if (this.version > newest || this.version === 0) {
      throw new PermanentError(
        `snapshot of ${what} has version ${this.version}, this program reads 1 to ${newest}: run the newer program, or drop the checkpoint`,
      )
    }
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  f32(): number {
    return this.#view.getFloat32(this.#take(4), true)
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true)
  }

  string(): string {
    const head = this.u32()
    const length = head & ~UTF16
    const start = this.#take(length)
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, length).toString(head & UTF16 ? 'utf16le' : 'utf8')
  }

  u8s(): Uint8Array {
    return this.#copy(1)
  }

  u16s(): Uint16Array {
    return new Uint16Array(this.#copy(2).buffer)
  }

  i32s(): Int32Array {
    return new Int32Array(this.#copy(4).buffer)
  }

  u32s(): Uint32Array {
    return new Uint32Array(this.#copy(4).buffer)
  }

  f32s(): Float32Array {
    return new Float32Array(this.#copy(4).buffer)
  }

  f64s(): Float64Array {
    return new Float64Array(this.#copy(8).buffer)
  }

  /** A count of things that take at least `leastBytes` each: one that cannot fit in what is left is refused. */
  count(leastBytes = 1): number {
    const count = this.u32()
    if (count * leastBytes > this.#bytes.length - this.#at) this.#tooShort(count * leastBytes)
    return count
  }

  /** Throws when something is left: then writer and reader disagree. */
  end(): void {
    if (this.#at !== this.#bytes.length) {
      throw new PermanentError(
        `snapshot of ${this.#what} has ${this.#bytes.length - this.#at} bytes after its end: it is damaged, drop the checkpoint`,
      )
    }
  }

  #copy(width: number): Uint8Array<ArrayBuffer> {
    const length = this.u32() * width
    const start = this.#take(length)
    const bytes = this.#bytes.slice(start, start + length)
    return new Uint8Array(HOST_IS_LITTLE_ENDIAN || width === 1 ? bytes : swapped(bytes, width))
  }

  #take(bytes: number): number {
    const start = this.#at
    if (start + bytes > this.#bytes.length) this.#tooShort(bytes)
    this.#at = start + bytes
    return start
  }

  #tooShort(bytes: number): never {
    throw new PermanentError(
      `snapshot of ${this.#what} ends at byte ${this.#bytes.length}, ${bytes} more were expected at ${this.#at}: it is damaged, drop the checkpoint`,
    )
  }
}
