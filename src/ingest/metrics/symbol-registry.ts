/**
 * Numbers for texts that come by reference: the same bytes get the same number from one request to the next, so that a series is known
 * by the numbers of its labels whatever table its sender made this time. Bytes are compared, never only hashed. Numbers are not used twice;
 * when there are too many they are all forgotten, and whoever kept some is told.
 */
import { KeptWords, hashOf, matches } from '../wire/bytes-hash.ts'
import type { KeptBytes } from '../wire/bytes-hash.ts'

const MAX_SYMBOLS = 2 ** 19
const MAX_WORDS = 2 ** 23
/** Longer ones get no number. */
const MAX_SYMBOL_BYTES = 8192
const MAX_COLLISIONS = 8

interface Symbol extends KeptBytes {
  readonly id: number
  /** What followed it last time: senders repeat themselves. */
  next: Symbol | undefined
}

export class SymbolRegistry {
  readonly #byHash = new Map<number, Symbol[]>()
  readonly #onForget: () => void
  readonly #maxSymbols: number
  #last: Symbol | undefined
  #nextId = 1
  #count = 0
  #kept = new KeptWords()

  constructor(onForget: () => void, maxSymbols = MAX_SYMBOLS) {
    this.#onForget = onForget
    this.#maxSymbols = maxSymbols
  }

  get size(): number {
    return this.#count
  }

  /** To be called between requests: numbers stay good within one. */
  makeRoom(): void {
    if (this.#count < this.#maxSymbols && this.#kept.taken < MAX_WORDS) return
    this.#byHash.clear()
    this.#last = undefined
    this.#count = 0
    this.#kept = new KeptWords()
    this.#onForget()
  }

  /** The number of these bytes; 0 when they cannot have one. */
  idOf(view: DataView, start: number, end: number): number {
    const expected = this.#last?.next
    if (expected !== undefined && matches(expected, view, start, end)) {
      this.#last = expected
      return expected.id
    }
    if (end - start > MAX_SYMBOL_BYTES) return 0
    const hash = hashOf(view, start, end)
    const candidates = this.#byHash.get(hash)
    if (candidates !== undefined) {
      for (const symbol of candidates) if (matches(symbol, view, start, end)) return this.#follow(symbol)
      if (candidates.length >= MAX_COLLISIONS) return 0
    }
    if (this.#count >= this.#maxSymbols * 2 || this.#kept.taken >= MAX_WORDS * 2) return 0
    const { byteCount, words, first } = this.#kept.keep(view, start, end)
    const symbol: Symbol = { id: this.#nextId++, byteCount, words, first, next: undefined }
    if (candidates === undefined) this.#byHash.set(hash, [symbol])
    else candidates.push(symbol)
    this.#count++
    return this.#follow(symbol)
  }

  #follow(symbol: Symbol): number {
    if (this.#last !== undefined) this.#last.next = symbol
    this.#last = symbol
    return symbol.id
  }
}
