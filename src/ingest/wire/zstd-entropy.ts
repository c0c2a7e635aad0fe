/**
 * The entropy coding of zstd: tables of finite state entropy and of Huffman codes, and bit streams that are read from their end to their
 * start. Tables are bounded by the format (9 and 11 bits), and every read by its stream. https://www.rfc-editor.org/rfc/rfc8878#section-4
 */
import { DecodeError } from '../../errors.ts'

/** Entry by state: symbol, and how the next state is made: base plus so many bits. */
export interface FseTable {
  readonly log: number
  readonly symbol: Uint8Array
  readonly bits: Uint8Array
  readonly base: Uint16Array
}

/** Entry by the next `log` bits: symbol × 16 + how many of them it takes. */
export interface HuffmanTable {
  readonly log: number
  readonly entries: Uint16Array
}

export function corrupt(what: string): DecodeError {
  return new DecodeError('corrupt-zstd', `the body cannot be decompressed: ${what}`)
}

/** A stream that is read backwards; its last byte holds a 1 above the first bit. Four bytes must follow it in memory. */
export class BackwardBits {
  readonly #view: DataView
  #from = 0
  /** Bits left. */
  left = 0

  constructor(view: DataView) {
    this.#view = view
  }

  start(from: number, to: number): void {
    const last = to > from ? this.#view.getUint8(to - 1) : 0
    if (last === 0) throw corrupt('a bit stream has no end mark')
    this.#from = from
    this.left = (to - from) * 8 - 1 - Math.clz32(last) + 24
  }

  /** At most 25 bits. */
  read(count: number): number {
    const left = this.left - count
    if (left < 0) throw corrupt('a bit stream ends too early')
    this.left = left
    return (this.#view.getUint32(this.#from + (left >>> 3), true) >>> (left & 7)) & ((1 << count) - 1)
  }

  /** So many codes of the table into `out`; they must take all of the stream. */
  readHuffman(table: HuffmanTable, out: Uint8Array, outAt: number, count: number): void {
    const view = this.#view
    const from = this.#from
    const { log, entries } = table
    const mask = (1 << log) - 1
    let { left } = this
    for (let i = outAt; i < outAt + count; i++) {
      const at = left - log
      // Before the first bit there are zeros.
      const peeked = at >= 0 ? view.getUint32(from + (at >>> 3), true) >>> (at & 7) : view.getUint32(from, true) << -at
      const entry = entries[peeked & mask]!
      out[i] = entry >>> 4
      left -= entry & 15
    }
    if (left !== 0) throw corrupt('literals do not fill their stream')
  }
}

/** Reads the description of a table at `at`, which must end before `end`; answers with the table and where it ended. */
export function readFseTable(view: DataView, at: number, end: number, maxLog: number, maxSymbol: number): [FseTable, number] {
  if (at >= end) throw corrupt('a table is missing')
  const log = (view.getUint8(at) & 15) + 5
  if (log > maxLog) throw corrupt('a table is too large')
  const counts: number[] = []
  let bit = at * 8 + 4
  let left = 1 << log
  const peek = (count: number) => (view.getUint32(bit >>> 3, true) >>> (bit & 7)) & ((1 << count) - 1)
  while (left > 0) {
    // Each number takes as many bits as the probability that is left needs; small ones one less.
    const bits = 32 - Math.clz32(left + 1)
    const small = (1 << bits) - 2 - left
    let value = peek(bits - 1)
    if (value < small) bit += bits - 1
    else {
      value = peek(bits)
      bit += bits
      if (value >= 1 << (bits - 1)) value -= small
    }
    const count = value - 1
    counts.push(count)
    left -= Math.abs(count)
    if (count === 0) {
      for (let zeros = 3; zeros === 3;) {
        zeros = peek(2)
        bit += 2
        for (let i = 0; i < zeros; i++) counts.push(0)
        if (counts.length > maxSymbol + 1) throw corrupt('a table has too many symbols')
      }
    }
    if (counts.length > maxSymbol + 1 || bit > end * 8) throw corrupt('a table has too many symbols')
  }
  if (left < 0) throw corrupt('a table does not add up')
  return [fseTable(counts, log), (bit + 7) >>> 3]
}

/** `counts`: how often each symbol stands in the table; -1 for those that are less than once. */
export function fseTable(counts: readonly number[], log: number): FseTable {
  const size = 1 << log
  const table = { log, symbol: new Uint8Array(size), bits: new Uint8Array(size), base: new Uint16Array(size) }
  const next = new Uint16Array(counts.length)
  let high = size - 1
  for (let symbol = 0; symbol < counts.length; symbol++) {
    next[symbol] = Math.abs(counts[symbol]!)
    if (counts[symbol] === -1) table.symbol[high--] = symbol
  }
  const step = (size >>> 1) + (size >>> 3) + 3
  let at = 0
  for (let symbol = 0; symbol < counts.length; symbol++) {
    for (let i = 0; i < counts[symbol]!; i++) {
      table.symbol[at] = symbol
      do at = (at + step) & (size - 1)
      while (at > high)
    }
  }
  for (let state = 0; state < size; state++) {
    const symbol = table.symbol[state]!
    const number = next[symbol]!++
    const bits = log - 31 + Math.clz32(number)
    table.bits[state] = bits
    table.base[state] = (number << bits) - size
  }
  return table
}

/** A table of one symbol, which takes no bits. */
export function fseOf(symbol: number): FseTable {
  return { log: 0, symbol: Uint8Array.of(symbol), bits: new Uint8Array(1), base: new Uint16Array(1) }
}

/** Reads the description of a Huffman code at `at`; answers with the table and where it ended. */
export function readHuffmanTable(view: DataView, at: number, end: number): [HuffmanTable, number] {
  if (at >= end) throw corrupt('a Huffman code is missing')
  const head = view.getUint8(at)
  const weights: number[] = []
  let to = at + 1
  if (head < 128) {
    to += head
    if (to > end) throw corrupt('a Huffman code is cut short')
    readWeights(view, at + 1, to, weights)
  } else {
    const count = head - 127
    to += (count + 1) >>> 1
    if (to > end) throw corrupt('a Huffman code is cut short')
    for (let i = 0; i < count; i++) {
      const pair = view.getUint8(at + 1 + (i >>> 1))
      weights.push(i % 2 === 0 ? pair >>> 4 : pair & 15)
    }
  }
  return [huffmanTable(weights), to]
}

/** Two states take turns until the stream has no more bits for one. */
function readWeights(view: DataView, at: number, end: number, weights: number[]): void {
  const [table, streamAt] = readFseTable(view, at, end, 6, 11)
  const stream = new BackwardBits(view)
  stream.start(streamAt, end)
  const states = [0, 0]
  const needs = [table.log, table.log]
  for (let turn = 0; stream.left >= needs[turn]!; turn ^= 1) {
    const state = states[turn]! + stream.read(needs[turn]!)
    weights.push(table.symbol[state]!)
    if (weights.length > 255) throw corrupt('a Huffman code has too many symbols')
    states[turn] = table.base[state]!
    needs[turn] = table.bits[state]!
  }
}

function huffmanTable(weights: number[]): HuffmanTable {
  let sum = 0
  for (const weight of weights) {
    if (weight > 11) throw corrupt('a Huffman code is too long')
    if (weight > 0) sum += 1 << (weight - 1)
  }
  if (sum === 0) throw corrupt('a Huffman code has no symbols')
  const log = 32 - Math.clz32(sum)
  if (log > 11) throw corrupt('a Huffman code is too long')
  // The last weight is what makes the sum a power of two.
  const rest = (1 << log) - sum
  if ((rest & (rest - 1)) !== 0) throw corrupt('a Huffman code does not add up')
  weights.push(32 - Math.clz32(rest))
  const entries = new Uint16Array(1 << log)
  let at = 0
  for (let weight = 1; weight <= log; weight++) {
    for (let symbol = 0; symbol < weights.length; symbol++) {
      if (weights[symbol] !== weight) continue
      const length = 1 << (weight - 1)
      entries.fill(symbol * 16 + log + 1 - weight, at, at + length)
      at += length
    }
  }
  return { log, entries }
}
