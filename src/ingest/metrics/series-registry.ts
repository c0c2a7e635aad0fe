/**
 * The metric series that are active: finds a series by the bytes of its label block without decoding them, and bounds how many there
 * are, in all and per service. Senders repeat themselves: first the series that followed this one last time is compared, then the hash of
 * the bytes is looked up (and the bytes verified), and only then are labels decoded.
 */
import type { Series, SeriesType } from '../../model.ts'
import type { Limits } from '../config.ts'
import { KeptWords, hashOf, matches } from '../wire/bytes-hash.ts'
import type { KeptBytes } from '../wire/bytes-hash.ts'
import { FamilyTypes } from './family-types.ts'
import { SymbolRegistry } from './symbol-registry.ts'

export interface SeriesEntry {
  /** Replaced by another object when its type becomes known, never changed: others keep what they found out about it. */
  series: Series
  seenMs: number
  /** The batch that used it last, and its index there. */
  batch: number
  index: number
  variants: number
  /** Of `FamilyTypes`, when the type of the series was looked up last. */
  typesVersion: number
  /** When it came as samples although it is a piece of a histogram that comes whole, too; 0: never. */
  classicMs: number
  /** What the histograms of this label set are written as; they are series of their own. */
  pieces: HistogramPieces | undefined
  /** `_gcount` and `_gsum` of histograms that say what is there now. */
  gauges: readonly [count: SeriesEntry, sum: SeriesEntry] | undefined
}

/** The series that stand for the histograms of one label set, found once and used with every sample. */
export interface HistogramPieces {
  readonly count: SeriesEntry
  readonly sum: SeriesEntry
  readonly all: SeriesEntry
  /** Ascending, one entry each. */
  bounds: Float64Array
  buckets: SeriesEntry[]
  /** The latest sample, and how many it counted. */
  timeMs: number
  total: number
}

export interface KnownLabels {
  readonly entry: SeriesEntry
  readonly byteCount: number
}

/** One byte sequence that stands for a series; a sender may write the same labels in several orders. */
export interface Variant extends KnownLabels, KeptBytes {
  readonly byteCount: number
  readonly hash: number
  next: Variant | undefined
  forgotten: boolean
}

/** Bounds what crafted collisions or shuffled labels can make us keep and compare. */
const MAX_VARIANTS = 4
const MAX_COLLISIONS = 4
const NO_WORDS = new Uint32Array(0)
/** What the keys of all series, and of those of a service, may have on average: labels may be a hundred times as long, but not of as many series. */
const MEAN_KEY_CHARS = 1024

/** The series of one service, or of all. */
interface Held {
  series: number
  keyChars: number
}

export class SeriesRegistry {
  /** What metadata said about families of metrics. */
  readonly families = new FamilyTypes()
  /** Names and values of labels that come by reference. */
  readonly symbols: SymbolRegistry
  readonly #limits: Limits
  readonly #byKey = new Map<string, SeriesEntry>()
  readonly #byHash = new Map<number, Variant[]>()
  readonly #perService = new Map<string, Held>()
  #keyChars = 0
  #kept = new KeptWords()
  #last: Variant | undefined

  constructor(limits: Limits, maxSymbols?: number) {
    this.#limits = limits
    this.symbols = new SymbolRegistry(() => this.#forgetVariants(), maxSymbols)
  }

  get size(): number {
    return this.#byKey.size
  }

  hasService(service: string): boolean {
    return this.#perService.has(service)
  }

  /** What came next last time: for whoever can compare it without its bytes, and says so by `follow`. */
  next(): Variant | undefined {
    const expected = this.#last?.next
    return expected === undefined || expected.forgotten ? undefined : expected
  }

  follow(variant: Variant): SeriesEntry {
    this.#last = variant
    return variant.entry
  }

  /** The label block that came next last time, if it begins here: it need not be gone through label by label. More labels may follow it. */
  expected(view: DataView, start: number, end: number): KnownLabels | undefined {
    const expected = this.next()
    if (expected === undefined || expected.byteCount > end - start) return undefined
    if (!matches(expected, view, start, start + expected.byteCount)) return undefined
    this.#last = expected
    return expected
  }

  /** The series whose label block is these bytes, if it is known. */
  find(view: DataView, start: number, end: number): SeriesEntry | undefined {
    const expected = this.next()
    if (expected !== undefined && matches(expected, view, start, end)) return this.follow(expected)
    const candidates = this.#byHash.get(hashOf(view, start, end))
    if (candidates === undefined) return undefined
    for (const variant of candidates) {
      if (!matches(variant, view, start, end)) continue
      if (this.#last !== undefined) this.#last.next = variant
      this.#last = variant
      return variant.entry
    }
    return undefined
  }

  /** Takes a decoded series in, or says why not. */
  admit(series: Series, nowMs: number): SeriesEntry | 'series-limit' | 'service-series-limit' {
    const known = this.#byKey.get(series.key)
    if (known !== undefined) return known
    const { maxSeries, maxSeriesPerService } = this.#limits
    const chars = series.key.length
    if (this.#byKey.size >= maxSeries || this.#keyChars + chars > maxSeries * MEAN_KEY_CHARS) return 'series-limit'
    const siblings = this.#perService.get(series.service) ?? { series: 0, keyChars: 0 }
    if (siblings.series >= maxSeriesPerService || siblings.keyChars + chars > maxSeriesPerService * MEAN_KEY_CHARS)
      return 'service-series-limit'
    const entry: SeriesEntry = {
      series,
      seenMs: nowMs,
      batch: -1,
      index: 0,
      variants: 0,
      typesVersion: -1,
      classicMs: 0,
      pieces: undefined,
      gauges: undefined,
    }
    this.#byKey.set(series.key, entry)
    siblings.series++
    siblings.keyChars += chars
    this.#keyChars += chars
    this.#perService.set(series.service, siblings)
    return entry
  }

  /** To be called once per batch that has rows of it. */
  use(entry: SeriesEntry, nowMs: number): void {
    entry.seenMs = nowMs
    if (entry.typesVersion === this.families.version) return
    entry.typesVersion = this.families.version
    if (entry.series.type === 'unknown') this.setType(entry, this.families.typeOf(entry.series.name))
  }

  setType(entry: SeriesEntry, type: SeriesType): void {
    if (entry.series.type !== type) entry.series = { ...entry.series, type }
  }

  /** Prometheus sends samples of it: they are of a counter, and its bounds are set. */
  usePlain(entry: SeriesEntry, nowMs: number): void {
    const { type } = entry.series
    if (type !== 'sketch' && type !== 'delta' && entry.classicMs === 0) return
    entry.classicMs = nowMs
    this.setType(entry, 'counter')
  }

  /** Next time these bytes mean this series. */
  remember(entry: SeriesEntry, view: DataView, start: number, end: number): void {
    if (entry.variants >= MAX_VARIANTS) return
    const hash = hashOf(view, start, end)
    const candidates = this.#byHash.get(hash)
    if (candidates !== undefined && candidates.length >= MAX_COLLISIONS) return
    const { byteCount, words, first } = this.#kept.keep(view, start, end)
    const variant: Variant = { entry, hash, byteCount, words, first, next: undefined, forgotten: false }
    if (candidates === undefined) this.#byHash.set(hash, [variant])
    else candidates.push(variant)
    entry.variants++
    if (this.#last !== undefined) this.#last.next = variant
    this.#last = variant
  }

  /** Drops what has not been seen for `seriesIdleMs`. */
  forgetIdle(nowMs: number): void {
    this.families.makeRoom()
    const oldestMs = nowMs - this.#limits.seriesIdleMs
    for (const [key, entry] of this.#byKey) {
      if (entry.seenMs >= oldestMs) continue
      this.#byKey.delete(key)
      this.#keyChars -= key.length
      const siblings = this.#perService.get(entry.series.service)
      if (siblings === undefined) continue
      siblings.series--
      siblings.keyChars -= key.length
      if (siblings.series === 0) this.#perService.delete(entry.series.service)
    }
    for (const [hash, variants] of this.#byHash) {
      const kept = variants.filter((variant) => variant.entry.seenMs >= oldestMs)
      if (kept.length === variants.length) continue
      for (const variant of variants) if (variant.entry.seenMs < oldestMs) forget(variant)
      if (kept.length === 0) this.#byHash.delete(hash)
      else this.#byHash.set(hash, kept)
    }
    this.#last = undefined
    this.#compact()
  }

  /** What is kept lies between what is not: moved together once that is more than half. */
  #compact(): void {
    let words = 0
    for (const variants of this.#byHash.values()) for (const { byteCount } of variants) words += (byteCount + 3) >>> 2
    if (words * 2 >= this.#kept.taken) return
    this.#kept = new KeptWords()
    for (const variants of this.#byHash.values()) for (const variant of variants) this.#kept.move(variant)
  }

  #forgetVariants(): void {
    for (const variants of this.#byHash.values()) for (const variant of variants) forget(variant)
    this.#byHash.clear()
    this.#kept = new KeptWords()
    for (const entry of this.#byKey.values()) entry.variants = 0
    this.#last = undefined
  }
}

/** Another may still lead to it. */
function forget(variant: Variant): void {
  variant.forgotten = true
  variant.next = undefined
  variant.words = NO_WORDS
}
