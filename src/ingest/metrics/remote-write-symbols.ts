/**
 * The table of symbols of one request of remote write 2.0: where they lie in the message, and the lasting numbers of those that were asked for. It
 * grows with what is there, never by a number that a sender declared, and takes no more symbols than a request may have rows. A symbol stands
 * for its text as often as it is referred to, so the texts that are made of symbols are bounded like the body that would hold them.
 */
import { DecodeError } from '../../errors.ts'
import { tooManyRows } from '../decode-context.ts'
import type { KeptBytes } from '../wire/bytes-hash.ts'
import type { DecodeContext } from '../decode-context.ts'
import type { ProtobufReader } from '../wire/protobuf-reader.ts'

/** Symbols that every request of a dialect may refer to without sending them; its own come after `offset`. */
export interface CommonSymbols {
  readonly symbols: readonly string[]
  readonly offset: number
}

interface SymbolArrays {
  readonly starts: Uint32Array<ArrayBuffer>
  readonly ends: Uint32Array<ArrayBuffer>
  /** 0 where none was asked for, and behind the last symbol. */
  readonly numbers: Uint32Array<ArrayBuffer>
}

/** Those of the request before: requests come one after the other. */
let spare: SymbolArrays | undefined
/** Larger ones are not kept. */
const MAX_SPARE_SYMBOLS = 65_536
const FIRST_SYMBOLS = 1024

export class SymbolTable {
  readonly #reader: ProtobufReader
  readonly #context: DecodeContext
  readonly #offset: number
  readonly #common: readonly Buffer[]
  readonly #commonNumbers: Uint32Array
  #starts: Uint32Array<ArrayBuffer>
  #ends: Uint32Array<ArrayBuffer>
  #numbers: Uint32Array<ArrayBuffer>
  #count = 0
  /** Of the texts made so far. */
  #textBytes = 0

  constructor(reader: ProtobufReader, context: DecodeContext, common: CommonSymbols | undefined) {
    this.#reader = reader
    this.#context = context
    this.#offset = common?.offset ?? 0
    this.#common = common?.symbols.map((text) => Buffer.from(text)) ?? []
    this.#commonNumbers = new Uint32Array(this.#common.length)
    this.#starts = spare?.starts ?? new Uint32Array(FIRST_SYMBOLS)
    this.#ends = spare?.ends ?? new Uint32Array(FIRST_SYMBOLS)
    this.#numbers = spare?.numbers ?? new Uint32Array(FIRST_SYMBOLS)
    spare = undefined
  }

  /** Nothing is asked of it after that. */
  release(): void {
    if (this.#starts.length > MAX_SPARE_SYMBOLS) return
    spare = { starts: this.#starts, ends: this.#ends, numbers: this.#numbers.fill(0, 0, this.#count) }
  }

  /** The symbol that comes next in the message. */
  add(): void {
    if (this.#count === this.#starts.length) this.#grow()
    const length = this.#reader.uint32()
    const start = this.#reader.take(length)
    this.#starts[this.#count] = start
    this.#ends[this.#count++] = start + length
  }

  expectEmptyFirst(): void {
    if (this.#count > 0 && this.#starts[0] !== this.#ends[0])
      throw new DecodeError('malformed', 'the first symbol must be the empty string, so that a missing reference means no text')
  }

  has(ref: number): boolean {
    return ref < this.#offset ? ref < this.#common.length : ref - this.#offset < this.#count
  }

  /** The lasting number of a symbol; 0 when it has none, -1 when there is no such symbol. */
  numberOf(ref: number): number {
    const at = ref - this.#offset
    if (at < 0) return this.#commonNumber(ref)
    if (at >= this.#count) return -1
    const known = this.#numbers[at]!
    if (known !== 0) return known
    const number = this.#context.series.symbols.idOf(this.#reader.view, this.#starts[at]!, this.#ends[at]!)
    this.#numbers[at] = number
    return number
  }

  /** Whether the references that lie here are those of the lasting numbers that were kept, behind one word more. */
  areNumbers({ words, first, byteCount }: KeptBytes, start: number, end: number): boolean {
    const { bytes } = this.#reader
    const numbers = this.#numbers
    const offset = this.#offset
    let at = start
    const past = first + (byteCount >>> 2)
    for (let i = first + 1; i < past; i++) {
      if (at >= end) return false
      let ref = bytes[at++]!
      if (ref >= 0x80) {
        const second = bytes[at++]!
        ref = (ref & 0x7f) | ((second & 0x7f) << 7)
        if (second >= 0x80) {
          const third = bytes[at++]!
          // No table has so many symbols: what is wrong with it is found where references are read one by one.
          if (third >= 0x80) return false
          ref |= third << 14
        }
      }
      const index = ref - offset
      const known = index >= 0 && index < numbers.length ? numbers[index]! : 0
      if ((known === 0 ? this.numberOf(ref) : known) !== words[i]) return false
    }
    return at === end
  }

  /** Whether the text is longer than that for sure: no character takes more than three bytes where it counts as one. */
  isLonger(ref: number, maxChars: number): boolean {
    return this.#bytesOf(ref) > 3 * maxChars
  }

  textOf(ref: number): string {
    const { maxDecodedBytes } = this.#context.limits
    if ((this.#textBytes += this.#bytesOf(ref)) > maxDecodedBytes)
      throw new DecodeError('too-large', `with its symbols written out the request is larger than ${maxDecodedBytes} bytes`)
    const at = ref - this.#offset
    if (at < 0) return this.#common[ref]!.toString('utf8')
    return this.#reader.bytes.toString('utf8', this.#starts[at], this.#ends[at])
  }

  #bytesOf(ref: number): number {
    const at = ref - this.#offset
    return at < 0 ? this.#common[ref]!.length : this.#ends[at]! - this.#starts[at]!
  }

  #commonNumber(ref: number): number {
    const bytes = this.#common[ref]
    if (bytes === undefined) return -1
    const known = this.#commonNumbers[ref]!
    if (known !== 0) return known
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    return (this.#commonNumbers[ref] = this.#context.series.symbols.idOf(view, 0, bytes.length))
  }

  #grow(): void {
    const { limits } = this.#context
    if (this.#count >= limits.maxRowsPerRequest) throw tooManyRows(limits)
    const size = Math.min(this.#count * 2, Math.max(limits.maxRowsPerRequest, this.#count + 1))
    this.#starts = grown(this.#starts, size)
    this.#ends = grown(this.#ends, size)
    this.#numbers = grown(this.#numbers, size)
  }
}

function grown(old: Uint32Array<ArrayBuffer>, size: number): Uint32Array<ArrayBuffer> {
  const fresh = new Uint32Array(size)
  fresh.set(old)
  return fresh
}
