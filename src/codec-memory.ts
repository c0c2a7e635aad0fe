/**
 * What was read before: texts and series that come again are given back as the same objects, without making strings, labels and keys anew.
 * Found by a hash of their bytes or ids, and compared with what is there, so that a collision costs time and never a mix-up. Bounded: when it
 * is full it starts anew, and chains that crafted input makes long are not followed.
 */
import type { Series, Source } from './model.ts'

/** Above this many series or texts, or characters in them, everything is forgotten. About 150 MB at worst. */
const MAX_SERIES = 2 ** 17
const MAX_TEXTS = 2 ** 18
const MAX_CHARS = 2 ** 25
const MAX_SOURCES = 2 ** 14
const MAX_PROBES = 32

/** Owns the names of metrics, services and instances, and of labels. */
export const NO_OWNER = -1

/** Of the tables kept whole: bytes, and series in them. */
const MAX_TABLE_BYTES = 2 ** 24
const MAX_TABLE_SERIES = 2 ** 19

type Pair = readonly [name: string, value: string]

export interface SeriesTable {
  readonly series: readonly Series[]
  /** As it stands in a record. */
  readonly bytes: Uint8Array
}

/** Tables of series that were written or read last. Senders repeat themselves: often the next record has the very same table. */
export class RecentTables<K> {
  readonly #tables = new Map<K, SeriesTable>()
  #bytes = 0
  #series = 0

  get size(): { readonly bytes: number; readonly series: number } {
    return { bytes: this.#bytes, series: this.#series }
  }

  get(key: K): SeriesTable | undefined {
    return this.#tables.get(key)
  }

  /** In place of what was there; those that have been there longest make room. */
  put(key: K, table: SeriesTable): void {
    this.#remove(key)
    this.#tables.set(key, table)
    this.#bytes += table.bytes.length
    this.#series += table.series.length
    for (const oldest of this.#tables.keys()) {
      if (this.#bytes <= MAX_TABLE_BYTES && this.#series <= MAX_TABLE_SERIES) break
      this.#remove(oldest)
    }
  }

  clear(): void {
    this.#tables.clear()
    this.#bytes = this.#series = 0
  }

  #remove(key: K): void {
    const table = this.#tables.get(key)
    if (table === undefined) return
    this.#tables.delete(key)
    this.#bytes -= table.bytes.length
    this.#series -= table.series.length
  }
}

/** Slots with open addressing: the number of an entry plus one, 0 where there is none. */
class Slots {
  #slots = new Int32Array(1024)
  #used = 0

  get mask(): number {
    return this.#slots.length - 1
  }

  at(slot: number): number {
    return this.#slots[slot]! - 1
  }

  /** Entry `id` goes where its hash says. `hashes` are those of all entries, for when the slots have become too few. */
  put(id: number, hashes: readonly number[]): void {
    if (this.#used * 2 >= this.#slots.length) {
      const old = this.#slots
      this.#slots = new Int32Array(old.length * 2)
      for (let i = 0; i < old.length; i++) if (old[i] !== 0) this.#place(old[i]! - 1, hashes)
    }
    this.#place(id, hashes)
    this.#used++
  }

  #place(id: number, hashes: readonly number[]): void {
    const slots = this.#slots
    const mask = slots.length - 1
    let slot = hashes[id]! & mask
    for (let probe = 0; slots[slot] !== 0; probe++) {
      // Not found again, and so made again each time: dearer for who sends it, bounded for us.
      if (probe >= MAX_PROBES) return
      slot = (slot + 1) & mask
    }
    slots[slot] = id + 1
  }
}

class Texts {
  readonly texts: string[] = []
  chars = 0
  readonly #owners: number[] = []
  readonly #hashes: number[] = []
  readonly #byteCounts: number[] = []
  readonly #pairs: (Pair | undefined)[] = []
  readonly #slots = new Slots()

  /** The number of a text in UTF-8. `owner`: the label whose value it is. */
  idOf(owner: number, bytes: Buffer, start: number, end: number): number {
    const hash = hashOfBytes(owner, bytes, start, end)
    const mask = this.#slots.mask
    for (let slot = hash & mask, probe = 0; probe <= MAX_PROBES; slot = (slot + 1) & mask, probe++) {
      const id = this.#slots.at(slot)
      if (id < 0) break
      if (this.#hashes[id] === hash && this.#owners[id] === owner && this.#is(id, bytes, start, end)) return id
    }
    const text = bytes.toString('utf8', start, end)
    const id = this.texts.push(text) - 1
    this.chars += text.length
    this.#owners.push(owner)
    this.#hashes.push(hash)
    this.#byteCounts.push(end - start)
    this.#pairs.push(undefined)
    this.#slots.put(id, this.#hashes)
    return id
  }

  /** The label whose value this text is: one pair for all series that have it. */
  pair(id: number): Pair {
    return (this.#pairs[id] ??= [this.texts[this.#owners[id]!]!, this.texts[id]!])
  }

  #is(id: number, bytes: Buffer, start: number, end: number): boolean {
    const byteCount = end - start
    if (this.#byteCounts[id] !== byteCount) return false
    const text = this.texts[id]!
    // As many characters as bytes: it is ASCII.
    if (text.length !== byteCount) return bytes.toString('utf8', start, end) === text
    for (let i = 0; i < byteCount; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false
    return true
  }
}

function hashOfBytes(owner: number, bytes: Buffer, start: number, end: number): number {
  let hash = Math.imul(owner ^ (end - start), 0x85ebca6b)
  let at = start
  for (; at + 4 <= end; at += 4) {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    hash = Math.imul(hash ^ word, 0x9e3779b1)
    hash ^= hash >>> 15
  }
  for (; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

export class ReadMemory {
  #texts = new Texts()
  #series: Series[] = []
  #hashes: number[] = []
  /** What each series is made of, one after the other: numbers of texts and of its type. */
  #parts = new Int32Array(4096)
  #partsAt: number[] = [0]
  #keyChars = 0
  #slots = new Slots()
  #sources = new Map<string, Source>()
  readonly #tables = new RecentTables<number>()

  get size(): { readonly series: number; readonly texts: number; readonly sources: number } {
    return { series: this.#series.length, texts: this.#texts.texts.length, sources: this.#sources.size }
  }

  /** Before a record is read. Numbers of texts and of series hold until the next call only. */
  begin(): void {
    const full =
      this.#series.length >= MAX_SERIES || this.#texts.texts.length >= MAX_TEXTS || this.#texts.chars + this.#keyChars >= MAX_CHARS
    if (full) {
      this.#texts = new Texts()
      this.#series = []
      this.#hashes = []
      this.#parts = new Int32Array(4096)
      this.#partsAt = [0]
      this.#keyChars = 0
      this.#slots = new Slots()
      this.#tables.clear()
    }
    if (this.#sources.size >= MAX_SOURCES) this.#sources = new Map()
  }

  /** The series of a whole table that was read before. */
  table(bytes: Buffer): readonly Series[] | undefined {
    const known = this.#tables.get(hashOfEnds(bytes))
    return known !== undefined && bytes.equals(known.bytes) ? known.series : undefined
  }

  keepTable(bytes: Buffer, series: readonly Series[]): void {
    this.#tables.put(hashOfEnds(bytes), { series, bytes: Uint8Array.prototype.slice.call(bytes) })
  }

  textId(owner: number, bytes: Buffer, start: number, end: number): number {
    return this.#texts.idOf(owner, bytes, start, end)
  }

  text(id: number): string {
    return this.#texts.texts[id]!
  }

  pair(id: number): Pair {
    return this.#texts.pair(id)
  }

  /** The series made of these parts, if it was read before. */
  find(parts: Int32Array, length: number): Series | undefined {
    const hash = hashOfParts(parts, length)
    const mask = this.#slots.mask
    for (let slot = hash & mask, probe = 0; probe <= MAX_PROBES; slot = (slot + 1) & mask, probe++) {
      const id = this.#slots.at(slot)
      if (id < 0) return undefined
      if (this.#hashes[id] === hash && this.#is(id, parts, length)) return this.#series[id]
    }
    return undefined
  }

  keep(parts: Int32Array, length: number, series: Series): void {
    const start = this.#partsAt.at(-1)!
    if (start + length > this.#parts.length) {
      const larger = new Int32Array(Math.max(start + length, this.#parts.length * 2))
      larger.set(this.#parts)
      this.#parts = larger
    }
    this.#parts.set(parts.subarray(0, length), start)
    this.#partsAt.push(start + length)
    this.#hashes.push(hashOfParts(parts, length))
    this.#keyChars += series.key.length
    this.#slots.put(this.#series.push(series) - 1, this.#hashes)
  }

  source(service: string, instance: string, version: string): Source {
    const key = `${service.length} ${instance.length} ${service}${instance}${version}`
    let source = this.#sources.get(key)
    if (source === undefined) this.#sources.set(key, (source = { service, instance, version }))
    return source
  }

  #is(id: number, parts: Int32Array, length: number): boolean {
    const start = this.#partsAt[id]!
    if (this.#partsAt[id + 1]! - start !== length) return false
    for (let i = 0; i < length; i++) if (this.#parts[start + i] !== parts[i]) return false
    return true
  }
}

function hashOfParts(parts: Int32Array, length: number): number {
  let hash = Math.imul(length, 0x85ebca6b)
  for (let i = 0; i < length; i++) {
    hash = Math.imul(hash ^ parts[i]!, 0x9e3779b1)
    hash ^= hash >>> 15
  }
  hash = Math.imul(hash, 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

/** Tables of one length that begin and end alike take one another's place. */
function hashOfEnds(bytes: Buffer): number {
  const hash = hashOfBytes(bytes.length, bytes, 0, Math.min(bytes.length, 128))
  return hashOfBytes(hash, bytes, Math.max(0, bytes.length - 128), bytes.length)
}
