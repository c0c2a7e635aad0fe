/**
 * Says what a client or producer span calls, out of its attributes. Where each stands is noted in passing; names are compared as bytes,
 * only values that naming asks for are decoded, and an answer is remembered by the bytes that it came from: a service
 * calls the same few others again and again.
 */
import type { Naming } from '../naming/naming.ts'
import { readScalar } from '../otlp/otlp-protobuf.ts'
import { truncated } from '../wire/protobuf-reader.ts'
import type { ProtobufReader } from '../wire/protobuf-reader.ts'
import { SeenBytes } from '../wire/seen-bytes.ts'

/** Wanted names and different values, each so many at most, make a key that is a safe integer for two attributes together. */
const MAX_NAMES = 63
const MAX_VALUES = 2 ** 20
const MAX_NAME_BYTES = 255
/** Attributes of one span that are looked at, two numbers each. */
const MAX_NOTED = 2 * 1024

export class SpanPeer {
  readonly #reader: ProtobufReader
  readonly #naming: Naming
  readonly #maxBytes: number
  readonly #names: readonly Buffer[]
  /** Of each number of bytes, the first of the names that are so long; the names are sorted by length. */
  readonly #firstOfLength = new Uint8Array(MAX_NAME_BYTES + 1)
  readonly #indexOf: ReadonlyMap<string, number>
  /** Of each wanted name where its value is, and which span it is of. */
  readonly #valueAt: Int32Array
  readonly #valueOf: Int32Array
  #span = 0
  /** From and to of each attribute noted. */
  #noted = new Int32Array(256)
  #count = 0
  readonly #values: SeenBytes
  #valuesSeen = 0
  readonly #peers = new Map<number, string>()

  constructor(reader: ProtobufReader, naming: Naming, maxBytes: number) {
    this.#reader = reader
    this.#naming = naming
    this.#maxBytes = maxBytes
    this.#values = new SeenBytes(reader.bytes)
    const names = [...new Set(naming.peerAttributes)].map((name) => Buffer.from(name)).filter(({ length }) => length <= MAX_NAME_BYTES)
    names.sort((a, b) => a.length - b.length)
    this.#names = names
    this.#firstOfLength.fill(names.length)
    for (let index = names.length - 1; index >= 0; index--) this.#firstOfLength[names[index]!.length] = index
    this.#indexOf = new Map(names.map((name, index) => [name.toString(), index]))
    this.#valueAt = new Int32Array(names.length)
    this.#valueOf = new Int32Array(names.length)
  }

  /** Starts with the next span. */
  begin(): void {
    this.#count = 0
    this.#span++
  }

  /** A KeyValue stands there, without its length. */
  note(from: number, to: number): void {
    const count = this.#count
    if (count >= MAX_NOTED) return
    if (count === this.#noted.length) {
      const larger = new Int32Array(count * 2)
      larger.set(this.#noted)
      this.#noted = larger
    }
    this.#noted[count] = from
    this.#noted[count + 1] = to
    this.#count = count + 2
  }

  /** What the attributes noted say, or ''. */
  read(): string {
    let found = 0
    let key = 0
    for (let i = 0; i < this.#count; i += 2) {
      const index = this.#readAttribute(this.#noted[i]!, this.#noted[i + 1]!)
      if (index < 0) continue
      found++
      key = (key * (MAX_NAMES + 1) + index + 1) * MAX_VALUES + this.#valueNumber(this.#valueAt[index]!)
    }
    if (found === 0) return ''
    const cacheable = found <= 2 && this.#names.length <= MAX_NAMES && this.#valuesSeen < MAX_VALUES
    const known = cacheable ? this.#peers.get(key) : undefined
    if (known !== undefined) return known
    const peer = this.#naming.peer((name) => this.#value(name))
    if (cacheable) this.#peers.set(key, peer)
    return peer
  }

  /** The index of its name when it is wanted, else -1. */
  #readAttribute(from: number, to: number): number {
    const reader = this.#reader
    const { bytes } = reader
    let nameAt = 0
    let nameBytes = 0
    let valueAt = -1
    // Senders write the name first or, like the Collector, the value.
    for (let at = from; at < to;) {
      const tag = bytes[at]!
      let length = at + 1 < to ? bytes[at + 1]! : 0x80
      if ((tag !== 0x0a && tag !== 0x12) || length >= 0x80) {
        // The long way round: a field that is no name and no value, or a long one.
        const { at: outerAt, end: outerEnd } = reader
        reader.at = at
        reader.end = to
        const field = reader.next()
        if (field !== 0x0a && field !== 0x12) {
          reader.skip(field)
          at = reader.at
        } else {
          const lengthAt = reader.at
          length = reader.uint32()
          if (field === 0x0a) {
            nameAt = reader.at
            nameBytes = length
          } else valueAt = lengthAt
          reader.take(length)
          at = reader.at
        }
        reader.at = outerAt
        reader.end = outerEnd
        continue
      }
      if (tag === 0x0a) {
        nameAt = at + 2
        nameBytes = length
      } else valueAt = at + 1
      at += 2 + length
      if (at > to) throw truncated()
    }
    if (valueAt < 0 || nameBytes > MAX_NAME_BYTES) return -1
    const index = this.#match(bytes, nameAt, nameBytes)
    if (index < 0) return -1
    // The last of equal names wins.
    this.#valueAt[index] = valueAt
    this.#valueOf[index] = this.#span
    return index
  }

  #match(bytes: Buffer, at: number, byteCount: number): number {
    const names = this.#names
    for (let index = this.#firstOfLength[byteCount]!; index < names.length; index++) {
      const name = names[index]!
      if (name.length !== byteCount) return -1
      let i = 0
      while (i < byteCount && name[i] === bytes[at + i]) i++
      if (i === byteCount) return index
    }
    return -1
  }

  /** A number for the bytes of the value there, length first. */
  #valueNumber(at: number): number {
    const reader = this.#reader
    const outerAt = reader.at
    reader.at = at
    const byteCount = reader.uint32()
    const bytesAt = reader.at
    reader.at = outerAt
    const known = this.#values.find(bytesAt, byteCount)
    if (known >= 0) return known
    this.#values.remember(bytesAt, byteCount, this.#valuesSeen)
    return this.#valuesSeen++
  }

  #value(name: string): string | undefined {
    const index = this.#indexOf.get(name)
    if (index === undefined || this.#valueOf[index] !== this.#span) return undefined
    const reader = this.#reader
    const { at } = reader
    reader.at = this.#valueAt[index]!
    const value = readScalar(reader, this.#maxBytes)
    reader.at = at
    return value
  }
}
