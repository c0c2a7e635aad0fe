/**
 * Reads the protobuf wire format in place, forwards only, without a schema. Every read is checked against the end of the message
 * it is in, nothing is allocated by a length that a sender declared, and nesting is bounded: whatever the bytes, the worst that comes
 * out is a DecodeError. Wire format: https://protobuf.dev/programming-guides/encoding/
 */
import { DecodeError } from '../../errors.ts'

const MAX_DEPTH = 64

export class ProtobufReader {
  readonly bytes: Buffer
  readonly view: DataView
  /** Next byte to read. */
  at = 0
  /** End of the message being read. */
  end: number
  #depth = 0

  constructor(body: Uint8Array) {
    this.bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    this.view = new DataView(body.buffer, body.byteOffset, body.byteLength)
    this.end = body.byteLength
  }

  /** The next tag (field number × 8 + wire type), or 0 at the end of the message. */
  next(): number {
    if (this.at >= this.end) return 0
    const tag = this.uint32()
    if (tag >>> 3 === 0) throw malformed('a field has the number 0')
    return tag
  }

  /** A varint of which the low 32 bits matter: tags, lengths, enums. */
  uint32(): number {
    const bytes = this.bytes
    let at = this.at
    const end = this.end
    if (at < end && bytes[at]! < 0x80) {
      this.at = at + 1
      return bytes[at]!
    }
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) throw truncated()
      const byte = bytes[at++]!
      if (shift < 32) value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.at = at
        return value >>> 0
      }
    }
    throw malformed('a varint is longer than ten bytes')
  }

  /** A signed 32-bit varint: of longer ones the low bits count. */
  int32(): number {
    return this.uint32() | 0
  }

  /** A signed 64-bit varint as a number: exact up to 2^53 either way. */
  int64(): number {
    const bytes = this.bytes
    let at = this.at
    const end = this.end
    let low = 0
    let middle = 0
    let high = 0
    for (let i = 0; i < 10; i++) {
      if (at >= end) throw truncated()
      const byte = bytes[at++]!
      const bits = byte & 0x7f
      if (i < 4) low |= bits << (7 * i)
      else if (i < 8) middle |= bits << (7 * (i - 4))
      else high |= bits << (7 * (i - 8))
      if (byte < 0x80) {
        this.at = at
        return ((middle >>> 4) | (high << 24)) * 4294967296 + ((low | (middle << 28)) >>> 0)
      }
    }
    throw malformed('a varint is longer than ten bytes')
  }

  double(): number {
    const at = this.take(8)
    return this.view.getFloat64(at, true)
  }

  /** Moves on by `byteCount` and returns where they start. */
  take(byteCount: number): number {
    const at = this.at
    if (byteCount > this.end - at) throw truncated()
    this.at = at + byteCount
    return at
  }

  /** Reads a length, makes that message the current one and returns the end of the outer one, for `leave`. */
  enter(): number {
    const length = this.uint32()
    const outer = this.end
    if (length > outer - this.at) throw truncated()
    if (++this.#depth > MAX_DEPTH) throw new DecodeError('too-deep', `messages are nested more than ${MAX_DEPTH} deep`)
    this.end = this.at + length
    return outer
  }

  /** Ends the current message, read or not, and goes on in the outer one. */
  leave(outer: number): void {
    this.#depth--
    this.at = this.end
    this.end = outer
  }

  /** A length-delimited field as text; bytes that are no UTF-8 become U+FFFD. At most `maxBytes` are kept. */
  text(maxBytes = 0x7fffffff): string {
    const length = this.uint32()
    const at = this.take(length)
    return length === 0 ? '' : this.bytes.toString('utf8', at, at + (length < maxBytes ? length : maxBytes))
  }

  /** A length-delimited field as lower-case hex: trace and span ids. More than 32 bytes are no id and come out as '?'. */
  hex(): string {
    const length = this.uint32()
    const at = this.take(length)
    return length > 32 ? '?' : this.bytes.toString('hex', at, at + length)
  }

  skip(tag: number): void {
    switch (tag & 7) {
      case 0:
        this.int64()
        return
      case 1:
        this.take(8)
        return
      case 2:
        this.take(this.uint32())
        return
      case 5:
        this.take(4)
        return
      default:
        throw malformed(`wire type ${tag & 7} is not in use`)
    }
  }
}

/** A Timestamp or a Duration of google.protobuf, which look the same, in milliseconds; the reader is inside the message. */
export function readTimestampMs(reader: ProtobufReader): number {
  let seconds = 0
  let nanoseconds = 0
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x08) seconds = reader.int64()
    else if (tag === 0x10) nanoseconds = reader.int32()
    else reader.skip(tag)
  }
  return seconds * 1000 + nanoseconds / 1e6
}

export function truncated(): DecodeError {
  return new DecodeError('truncated', 'the protobuf message ends in the middle of a field')
}

export function malformed(what: string): DecodeError {
  return new DecodeError('malformed', `this is not the protobuf message expected here: ${what}`)
}
