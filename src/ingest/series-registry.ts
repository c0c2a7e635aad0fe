/**
 * The metric series that are active: finds a series by the bytes of its label block without decoding them, and bounds how many there
 * are, in all and per service. Senders repeat themselves: first the series that followed this one last time is compared, then the hash of
 * the bytes is looked up (and the bytes verified), and only then are labels decoded.
 */
import type { Series } from '../model.ts'
import type { Limits } from './config.ts'

export interface SeriesEntry {
  readonly series: Series
  seenMs: number
  /** The request that used it last, and its index in that request's batch. */
  request: number
  index: number
  variants: number
}

/** One byte sequence that stands for a series; a sender may write the same labels in several orders. */
interface Variant {
  readonly entry: SeriesEntry
  readonly hash: number
  readonly byteCount: number
  readonly words: Uint32Array
  next: Variant | undefined
  forgotten: boolean
}

/** Bounds what crafted collisions or shuffled labels can make us keep and compare. */
const MAX_VARIANTS = 4
const MAX_COLLISIONS = 4

export class SeriesRegistry {
  readonly #limits: Limits
  readonly #byKey = new Map<string, SeriesEntry>()
  readonly #byHash = new Map<number, Variant[]>()
  readonly #perService = new Map<string, number>()
  #last: Variant | undefined

  constructor(limits: Limits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#byKey.size
  }

  hasService(service: string): boolean {
    return this.#perService.has(service)
  }

  /** The series whose label block is these bytes, if it is known. */
  find(view: DataView, start: number, end: number): SeriesEntry | undefined {
    const expected = this.#last?.next
    if (expected !== undefined && !expected.forgotten && matches(expected, view, start, end)) {
      this.#last = expected
      return expected.entry
    }
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
    if (this.#byKey.size >= this.#limits.maxSeries) return 'series-limit'
    const siblings = this.#perService.get(series.service) ?? 0
    if (siblings >= this.#limits.maxSeriesPerService) return 'service-series-limit'
    const entry: SeriesEntry = { series, seenMs: nowMs, request: -1, index: 0, variants: 0 }
    this.#byKey.set(series.key, entry)
    this.#perService.set(series.service, siblings + 1)
    return entry
  }

  /** Next time these bytes mean this series. */
  remember(entry: SeriesEntry, view: DataView, start: number, end: number): void {
    if (entry.variants >= MAX_VARIANTS) return
    const hash = hashOf(view, start, end)
    const candidates = this.#byHash.get(hash)
    if (candidates !== undefined && candidates.length >= MAX_COLLISIONS) return
    const variant: Variant = { entry, hash, byteCount: end - start, words: wordsOf(view, start, end), next: undefined, forgotten: false }
    if (candidates === undefined) this.#byHash.set(hash, [variant])
    else candidates.push(variant)
    entry.variants++
    if (this.#last !== undefined) this.#last.next = variant
    this.#last = variant
  }

  /** Drops what has not been seen for `seriesIdleMs`. */
  forgetIdle(nowMs: number): void {
    const oldestMs = nowMs - this.#limits.seriesIdleMs
    for (const [key, entry] of this.#byKey) {
      if (entry.seenMs >= oldestMs) continue
      this.#byKey.delete(key)
      const left = (this.#perService.get(entry.series.service) ?? 1) - 1
      if (left <= 0) this.#perService.delete(entry.series.service)
      else this.#perService.set(entry.series.service, left)
    }
    for (const [hash, variants] of this.#byHash) {
      const kept = variants.filter((variant) => variant.entry.seenMs >= oldestMs)
      if (kept.length === variants.length) continue
      for (const variant of variants) variant.forgotten = variant.entry.seenMs < oldestMs
      if (kept.length === 0) this.#byHash.delete(hash)
      else this.#byHash.set(hash, kept)
    }
    this.#last = undefined
  }
}

function tailWord(view: DataView, at: number, end: number): number {
  let word = 0
  for (let shift = 0; at < end; at++, shift += 8) word |= view.getUint8(at) << shift
  return word >>> 0
}

function wordsOf(view: DataView, start: number, end: number): Uint32Array {
  const words = new Uint32Array((end - start + 3) >>> 2)
  let at = start
  let i = 0
  for (; at + 4 <= end; at += 4) words[i++] = view.getUint32(at, true)
  if (at < end) words[i] = tailWord(view, at, end)
  return words
}

function matches(variant: Variant, view: DataView, start: number, end: number): boolean {
  if (variant.byteCount !== end - start) return false
  const words = variant.words
  let at = start
  let i = 0
  for (; at + 4 <= end; at += 4) if (view.getUint32(at, true) !== words[i++]) return false
  return at >= end || tailWord(view, at, end) === words[i]
}

function hashOf(view: DataView, start: number, end: number): number {
  let hash = 0x811c9dc5 ^ (end - start)
  let at = start
  for (; at + 4 <= end; at += 4) {
    hash = Math.imul(hash ^ view.getUint32(at, true), 0x9e3779b1)
    hash ^= hash >>> 15
  }
  if (at < end) hash = Math.imul(hash ^ tailWord(view, at, end), 0x9e3779b1)
  return (hash ^ (hash >>> 13)) >>> 0
}
