/**
 * Takes zstd frames apart, into a buffer that grows with what comes out and never beyond the limit, whatever the frames declare.
 * Node has zstd from 22.15 on, but Tocsin runs on 20, and the libraries for it either cannot be told a limit or move a whole window
 * per block. Matches are copied within the output, so no window is kept. Dictionaries are refused, checksums not verified.
 * https://www.rfc-editor.org/rfc/rfc8878
 */
import { DecodeError } from '../../errors.ts'
import { BackwardBits, corrupt, fseOf, fseTable, readFseTable, readHuffmanTable } from './zstd-entropy.ts'
import type { FseTable, HuffmanTable } from './zstd-entropy.ts'

const MAX_BLOCK_BYTES = 128 * 1024
/** Reads of four bytes at a time, and tables that are cut short, look a little beyond the end before that is noticed. */
const PADDING = 32

// Codes of literal lengths and match lengths: what each begins at and how many bits are added.
const LITERAL_BITS = extraBits(16, [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
const MATCH_BITS = extraBits(32, [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
const LITERAL_BASE = basesOf(LITERAL_BITS, 0)
const MATCH_BASE = basesOf(MATCH_BITS, 3)
const MAX_OFFSET_CODE = 31

const DEFAULT_LITERALS = fseTable([4, 3, ...times(11, 2), 1, 1, 1, ...times(9, 2), 3, 2, ...times(5, 1), ...times(4, -1)], 6)
const DEFAULT_OFFSETS = fseTable([...times(6, 1), 2, 2, 2, ...times(15, 1), ...times(5, -1)], 5)
const DEFAULT_MATCHES = fseTable([1, 4, 3, ...times(6, 2), ...times(37, 1), ...times(7, -1)], 6)

/** Each block may bring tables of its own, which cost more to build than the few bytes that describe them: tiny blocks are allowed a number of. */
const SMALL_BLOCKS = 4096
const BLOCK_BYTES = 1024

/** One frame or several, frames to be skipped among them. */
export function unzstd(body: Uint8Array, maxBytes: number): Uint8Array {
  return new ZstdReader(body, maxBytes).read()
}

class ZstdReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #end: number
  readonly #maxBytes: number
  readonly #bits: BackwardBits
  readonly #literals = new Uint8Array(MAX_BLOCK_BYTES)
  #at = 0
  #out: Uint8Array
  #outAt = 0
  #blocks = 0
  /** What one block leaves to the next of its frame. */
  #frameAt = 0
  #blockMax = MAX_BLOCK_BYTES
  #huffman: HuffmanTable | undefined
  #literalTable: FseTable | undefined
  #offsetTable: FseTable | undefined
  #matchTable: FseTable | undefined
  readonly #offsets = new Int32Array(3)
  /** Where the literals of the block are, and how many. */
  #from: Uint8Array
  #fromAt = 0
  #fromBytes = 0

  constructor(body: Uint8Array, maxBytes: number) {
    this.#end = body.length
    this.#bytes = new Uint8Array(body.length + PADDING)
    this.#bytes.set(body)
    this.#view = new DataView(this.#bytes.buffer)
    this.#bits = new BackwardBits(this.#view)
    this.#maxBytes = maxBytes
    this.#out = new Uint8Array(Math.min(maxBytes, body.length * 4 + 1024))
    this.#from = this.#bytes
  }

  read(): Uint8Array {
    while (this.#at < this.#end) {
      const magic = this.#view.getUint32(this.#take(4), true)
      if (magic >>> 4 === 0x184d2a5) this.#take(this.#view.getUint32(this.#take(4), true))
      else if (magic === 0xfd2fb528) this.#readFrame()
      else throw corrupt('this is no zstd frame')
    }
    return this.#out.subarray(0, this.#outAt)
  }

  #readFrame(): void {
    const view = this.#view
    const descriptor = view.getUint8(this.#take(1))
    const oneSegment = (descriptor & 0x20) !== 0
    if ((descriptor & 0x08) !== 0) throw corrupt('a reserved bit is set')
    let window = MAX_BLOCK_BYTES
    if (!oneSegment) {
      const byte = view.getUint8(this.#take(1))
      window = 2 ** (10 + (byte >>> 3)) * (1 + (byte & 7) / 8)
    }
    const dictionaryAt = this.#take([0, 1, 2, 4][descriptor & 3]!)
    for (let at = dictionaryAt; at < this.#at; at++) if (view.getUint8(at) !== 0) throw corrupt('it needs a dictionary')
    const declared = this.#contentBytes(descriptor >>> 6, oneSegment)
    if (declared > this.#maxBytes - this.#outAt) throw this.#tooLarge()
    this.#frameAt = this.#outAt
    this.#blockMax = Math.min(MAX_BLOCK_BYTES, oneSegment ? declared : window)
    this.#huffman = this.#literalTable = this.#offsetTable = this.#matchTable = undefined
    this.#offsets.set([1, 4, 8])
    for (let last = false; !last;) {
      const at = this.#take(3)
      const header = view.getUint16(at, true) + view.getUint8(at + 2) * 65_536
      last = (header & 1) === 1
      this.#readBlock((header >>> 1) & 3, header >>> 3)
    }
    if (declared >= 0 && this.#outAt - this.#frameAt !== declared) throw corrupt('it holds more or less than it declares')
    if ((descriptor & 0x04) !== 0) this.#take(4)
  }

  /** -1 when the frame does not say. */
  #contentBytes(flag: number, oneSegment: boolean): number {
    const view = this.#view
    if (flag === 0) return oneSegment ? view.getUint8(this.#take(1)) : -1
    if (flag === 1) return view.getUint16(this.#take(2), true) + 256
    if (flag === 2) return view.getUint32(this.#take(4), true)
    const at = this.#take(8)
    return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
  }

  #readBlock(type: number, size: number): void {
    if (type === 3) throw corrupt('a block is of a reserved type')
    if (size > this.#blockMax) throw corrupt('a block is too large')
    if (++this.#blocks > SMALL_BLOCKS + this.#outAt / BLOCK_BYTES) throw corrupt('it is made of too many small blocks')
    if (type === 2) {
      const end = this.#at + size
      if (end > this.#end) throw corrupt('it is cut short')
      this.#readLiterals(end)
      this.#readSequences(end)
      this.#at = end
      return
    }
    this.#reserve(size)
    const at = this.#take(type === 0 ? size : 1)
    if (type === 0) this.#out.set(this.#bytes.subarray(at, at + size), this.#outAt)
    else this.#out.fill(this.#bytes[at]!, this.#outAt, this.#outAt + size)
    this.#advance(size)
  }

  #readLiterals(end: number): void {
    const view = this.#view
    const head = view.getUint8(this.#at)
    const type = head & 3
    const format = (head >>> 2) & 3
    if (type < 2) {
      const headBytes = [1, 2, 1, 3][format]!
      const bytes = format % 2 === 0 ? head >>> 3 : (view.getUint32(this.#at, true) & (format === 1 ? 0xffff : 0xffffff)) >>> 4
      const at = this.#at + headBytes
      this.#at = at + (type === 0 ? bytes : 1)
      if (this.#at > end || bytes > this.#blockMax) throw corrupt('literals are too many')
      this.#fromBytes = bytes
      if (type === 0) {
        this.#from = this.#bytes
        this.#fromAt = at
      } else {
        this.#from = this.#literals.fill(this.#bytes[at]!, 0, bytes)
        this.#fromAt = 0
      }
      return
    }
    const sizeBits = [10, 10, 14, 18][format]!
    const headBytes = [3, 3, 4, 5][format]!
    const mask = (1 << sizeBits) - 1
    const low = view.getUint32(this.#at, true)
    const bytes = (low >>> 4) & mask
    const packed = format === 3 ? (low >>> 22) | (view.getUint8(this.#at + 4) << 10) : (low >>> (4 + sizeBits)) & mask
    let at = this.#at + headBytes
    this.#at = at + packed
    if (this.#at > end || bytes > this.#blockMax) throw corrupt('literals are too many')
    if (type === 2) [this.#huffman, at] = readHuffmanTable(view, at, this.#at)
    const table = this.#huffman
    if (table === undefined) throw corrupt('a Huffman code is missing')
    this.#readStreams(table, at, this.#at, bytes, format === 0)
    this.#from = this.#literals
    this.#fromAt = 0
    this.#fromBytes = bytes
  }

  #readStreams(table: HuffmanTable, at: number, end: number, bytes: number, one: boolean): void {
    const bits = this.#bits
    if (one) {
      bits.start(at, end)
      bits.readHuffman(table, this.#literals, 0, bytes)
      return
    }
    const view = this.#view
    const each = (bytes + 3) >>> 2
    let from = at + 6
    if (from > end || bytes < each * 3) throw corrupt('literals are cut short')
    for (let stream = 0; stream < 4; stream++) {
      const to = stream === 3 ? end : from + view.getUint16(at + stream * 2, true)
      if (to > end) throw corrupt('literals are cut short')
      bits.start(from, to)
      bits.readHuffman(table, this.#literals, stream * each, stream === 3 ? bytes - each * 3 : each)
      from = to
    }
  }

  #readSequences(end: number): void {
    const view = this.#view
    if (this.#at >= end) throw corrupt('sequences are missing')
    let count = view.getUint8(this.#at++)
    if (count === 255) {
      count = view.getUint16(this.#at, true) + 0x7f00
      this.#at += 2
    } else if (count > 127) count = (count - 128) * 256 + view.getUint8(this.#at++)
    if (count > 0) {
      const modes = view.getUint8(this.#at++)
      if ((modes & 3) !== 0) throw corrupt('a reserved bit is set')
      this.#literalTable = this.#readTable(modes >>> 6, this.#literalTable, DEFAULT_LITERALS, 9, LITERAL_BITS.length - 1, end)
      this.#offsetTable = this.#readTable((modes >>> 4) & 3, this.#offsetTable, DEFAULT_OFFSETS, 8, MAX_OFFSET_CODE, end)
      this.#matchTable = this.#readTable((modes >>> 2) & 3, this.#matchTable, DEFAULT_MATCHES, 9, MATCH_BITS.length - 1, end)
      this.#bits.start(this.#at, end)
    }
    // A block never gives more than this; what is left of the literals follows the last sequence.
    this.#reserve(this.#blockMax)
    const outEnd = this.#outAt + this.#blockMax
    if (count > 0) this.#runSequences(count, this.#literalTable!, this.#offsetTable!, this.#matchTable!, outEnd)
    if (this.#outAt + this.#fromBytes > outEnd) throw corrupt('a block gives too much')
    this.#out.set(this.#from.subarray(this.#fromAt, this.#fromAt + this.#fromBytes), this.#outAt)
    this.#advance(this.#fromBytes)
  }

  #readTable(mode: number, before: FseTable | undefined, usual: FseTable, maxLog: number, maxSymbol: number, end: number): FseTable {
    if (mode === 0) return usual
    if (mode === 1) {
      const symbol = this.#view.getUint8(this.#at++)
      if (symbol > maxSymbol) throw corrupt('a code is out of range')
      return fseOf(symbol)
    }
    if (mode === 3) {
      if (before === undefined) throw corrupt('a table is missing')
      return before
    }
    const [table, at] = readFseTable(this.#view, this.#at, end, maxLog, maxSymbol)
    this.#at = at
    return table
  }

  #runSequences(count: number, literals: FseTable, offsets: FseTable, matches: FseTable, outEnd: number): void {
    const bits = this.#bits
    const out = this.#out
    const from = this.#from
    const recent = this.#offsets
    const frameAt = this.#frameAt
    let fromAt = this.#fromAt
    const fromEnd = fromAt + this.#fromBytes
    let outAt = this.#outAt
    let literalState = bits.read(literals.log)
    let offsetState = bits.read(offsets.log)
    let matchState = bits.read(matches.log)
    for (let left = count; left > 0; left--) {
      const offsetCode = offsets.symbol[offsetState]!
      const matchCode = matches.symbol[matchState]!
      const literalCode = literals.symbol[literalState]!
      // More than 24 bits at once cannot be read; an offset that takes them points before any frame that is allowed, or is refused below.
      const high = offsetCode > 24 ? bits.read(offsetCode - 24) * 0x1000000 : 0
      const value = 2 ** offsetCode + high + bits.read(offsetCode > 24 ? 24 : offsetCode)
      const matchBytes = MATCH_BASE[matchCode]! + bits.read(MATCH_BITS[matchCode]!)
      const literalBytes = LITERAL_BASE[literalCode]! + bits.read(LITERAL_BITS[literalCode]!)
      if (left > 1) {
        literalState = literals.base[literalState]! + bits.read(literals.bits[literalState]!)
        matchState = matches.base[matchState]! + bits.read(matches.bits[matchState]!)
        offsetState = offsets.base[offsetState]! + bits.read(offsets.bits[offsetState]!)
      }
      const offset = offsetOf(value, literalBytes === 0, recent)
      const matchAt = outAt + literalBytes
      if (literalBytes > fromEnd - fromAt || matchAt + matchBytes > outEnd) throw corrupt('a block gives too much')
      if (offset <= 0 || offset > matchAt - frameAt) throw corrupt('a match points before the start')
      for (; outAt < matchAt; outAt++) out[outAt] = from[fromAt++]!
      const matchEnd = matchAt + matchBytes
      if (matchBytes > 64 && offset >= matchBytes) out.copyWithin(matchAt, matchAt - offset, matchEnd - offset)
      else for (let at = matchAt; at < matchEnd; at++) out[at] = out[at - offset]!
      outAt = matchEnd
    }
    if (bits.left !== 0) throw corrupt('sequences do not fill their stream')
    this.#outAt = outAt
    this.#fromAt = fromAt
    this.#fromBytes = fromEnd - fromAt
  }

  /** Moves on by so many bytes and answers where they start. */
  #take(byteCount: number): number {
    const at = this.#at
    if (byteCount > this.#end - at) throw corrupt('it is cut short')
    this.#at = at + byteCount
    return at
  }

  /** Room for what a block may give, which is more than the limit by one block at most. */
  #reserve(byteCount: number): void {
    const needed = this.#outAt + byteCount
    if (needed <= this.#out.length) return
    const larger = new Uint8Array(Math.min(this.#maxBytes + MAX_BLOCK_BYTES, Math.max(needed, this.#out.length * 2)))
    larger.set(this.#out.subarray(0, this.#outAt))
    this.#out = larger
  }

  #advance(byteCount: number): void {
    this.#outAt += byteCount
    if (this.#outAt > this.#maxBytes) throw this.#tooLarge()
  }

  #tooLarge(): DecodeError {
    return new DecodeError('too-large', `the body is larger than ${this.#maxBytes} bytes when it is decompressed`)
  }
}

/** The offset that a value stands for: the three last ones have numbers of their own. */
function offsetOf(value: number, noLiterals: boolean, recent: Int32Array): number {
  if (value > 3) {
    // Beyond 2^31 it points before any frame; -1 is refused, as such an offset would be.
    const offset = value - 3 > 0x7fffffff ? -1 : value - 3
    recent[2] = recent[1]!
    recent[1] = recent[0]!
    recent[0] = offset
    return offset
  }
  const which = noLiterals ? value : value - 1
  if (which === 0) return recent[0]!
  const offset = which === 3 ? recent[0]! - 1 : recent[which]!
  if (which > 1) recent[2] = recent[1]!
  recent[1] = recent[0]!
  recent[0] = offset
  return offset
}

function times(count: number, value: number): number[] {
  return Array.from({ length: count }, () => value)
}

function extraBits(zeros: number, rest: readonly number[]): Uint8Array {
  return Uint8Array.from([...times(zeros, 0), ...rest])
}

function basesOf(bits: Uint8Array, first: number): Uint32Array {
  const bases = new Uint32Array(bits.length)
  for (let code = 0, base = first; code < bits.length; code++) {
    bases[code] = base
    base += 2 ** bits[code]!
  }
  return bases
}
