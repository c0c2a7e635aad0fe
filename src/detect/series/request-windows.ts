/**
 * Requests counted over a short window, added up over the instances and outcomes of a service: latency quantiles from histogram
 * buckets, means from sums and counts, error ratios from status labels. A window is judged when it is long enough and holds
 * enough requests; with few of them it waits, and is given up when it has waited too long: a ratio of 1 in 2 is no news.
 */
import type { Labels } from '../../model.ts'
import { bucketQuantile } from './histogram.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

/** `timed-errors`: the error ratio told by the labels of a histogram's count, which often stands beside a plain counter's. */
export type Measure = 'p95' | 'mean' | 'errors' | 'timed-errors'
const MEASURES: readonly Measure[] = ['p95', 'mean', 'errors', 'timed-errors']

export interface RequestWindow {
  readonly key: string
  readonly measure: Measure
  readonly service: string
  readonly family: string
  /** What is common to its members. */
  readonly labels: Labels
  /** Bounds ascend; counts are cumulative increments. Only for p95. */
  readonly bounds: number[]
  readonly counts: number[]
  /** Sum of values (mean) or of failed requests (errors, timed-errors). */
  total: number
  requests: number
  /** 0: empty. */
  startMs: number
  /** Time of the latest sample, also of windows before. */
  untilMs: number
  /** Slot of its baseline. */
  slot: number
}

export interface WindowRules {
  readonly windowMs: number
  readonly maxWindowMs: number
  readonly leastRequests: number
  readonly maxWindows: number
}

export type CloseWindow = (window: RequestWindow, value: number) => void

const MAX_BOUNDS = 256
const RECENT_MS = 300_000
export const QUANTILE = 0.95
/** A quantile needs more requests than a mean or a ratio. */
const QUANTILE_NEEDS = 2

export class RequestWindows {
  /** Measures that found no room. */
  refused = 0
  readonly #rules: WindowRules
  readonly #addSlot: (window: Omit<RequestWindow, 'slot'>) => number
  readonly #windows = new Map<string, RequestWindow>()

  constructor(rules: WindowRules, addSlot: (window: Omit<RequestWindow, 'slot'>) => number) {
    this.#rules = rules
    this.#addSlot = addSlot
  }

  get size(): number {
    return this.#windows.size
  }

  /** The window of a measure; undefined when there are too many. */
  of(measure: Measure, service: string, family: string, labels: Labels): RequestWindow | undefined {
    const key = keyOf(measure, service, family, labels)
    const known = this.#windows.get(key)
    if (known !== undefined) return known
    if (this.#windows.size >= this.#rules.maxWindows) {
      this.refused++
      return undefined
    }
    const window = { key, measure, service, family, labels, bounds: [], counts: [], total: 0, requests: 0, startMs: 0, untilMs: 0 }
    const created = { ...window, slot: this.#addSlot(window) }
    this.#windows.set(key, created)
    return created
  }

  /** Whether the same requests are told better by another window: a quantile says more than a mean, and one error ratio is enough. */
  outdone(window: RequestWindow): boolean {
    const { measure, service, family, labels, untilMs } = window
    if (measure === 'mean') return this.#windows.has(keyOf('p95', service, family, labels))
    if (measure !== 'timed-errors') return false
    const protocol = family.split('_', 1)[0]
    for (const other of this.#windows.values()) {
      const better = other.measure === 'errors' || (other.measure === 'timed-errors' && other.family < family)
      if (!better || other.service !== service || other.family.split('_', 1)[0] !== protocol) continue
      if (untilMs - other.untilMs < RECENT_MS) return true
    }
    return false
  }

  /** Where a bucket bound has its count, -1 when there are too many of them. */
  boundIndex(window: RequestWindow, bound: number): number {
    let at = 0
    while (at < window.bounds.length && window.bounds[at]! < bound) at++
    if (window.bounds[at] === bound) return at
    if (window.bounds.length >= MAX_BOUNDS) return -1
    window.bounds.splice(at, 0, bound)
    window.counts.splice(at, 0, 0)
    return at
  }

  /** To be called before increments of (fromMs, toMs] are added; closes what a sender far ahead of the ticks left behind. */
  open(window: RequestWindow, fromMs: number, toMs: number, close: CloseWindow): void {
    if (window.startMs > 0 && toMs > window.untilMs && toMs >= window.startMs + 2 * this.#rules.windowMs) this.#settle(window, toMs, close)
    if (window.startMs === 0) window.startMs = fromMs
    if (toMs > window.untilMs) window.untilMs = toMs
  }

  /** Judges the windows that are due, in order of their appearance. */
  tick(nowMs: number, close: CloseWindow): void {
    for (const window of this.#windows.values()) {
      if (window.startMs > 0 && nowMs - window.startMs >= this.#rules.windowMs) this.#settle(window, nowMs, close)
    }
  }

  *all(): Generator<RequestWindow> {
    yield* this.#windows.values()
  }

  remove(window: RequestWindow): void {
    this.#windows.delete(window.key)
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#windows.size)
    for (const w of this.#windows.values()) {
      to.string(w.key)
      to.u8(MEASURES.indexOf(w.measure))
      to.string(w.service)
      to.string(w.family)
      to.u32(w.labels.length)
      for (const [name, value] of w.labels) {
        to.string(name)
        to.string(value)
      }
      to.column(Float64Array.from(w.bounds))
      to.column(Float64Array.from(w.counts))
      for (const value of [w.total, w.requests, w.startMs, w.untilMs, w.slot]) to.f64(value)
    }
    to.f64(this.refused)
  }

  restore(from: SnapshotReader): void {
    this.#windows.clear()
    const windows = from.count(60)
    for (let i = 0; i < windows; i++) {
      const key = from.string()
      const measure = MEASURES[from.u8()] ?? 'mean'
      const [service, family] = [from.string(), from.string()]
      const labels: [string, string][] = []
      const pairs = from.count(8)
      for (let j = 0; j < pairs; j++) labels.push([from.string(), from.string()])
      const bounds = Array.from(from.f64s())
      const counts = Array.from(from.f64s())
      const [total, requests, startMs, untilMs, slot] = [from.f64(), from.f64(), from.f64(), from.f64(), from.f64()]
      this.#windows.set(key, { key, measure, service, family, labels, bounds, counts, total, requests, startMs, untilMs, slot })
    }
    this.refused = from.f64()
  }

  #settle(window: RequestWindow, nowMs: number, close: CloseWindow): void {
    const { measure, bounds, counts } = window
    const requests = measure === 'p95' ? (counts.at(-1) ?? 0) : window.requests
    const least = measure === 'p95' ? this.#rules.leastRequests * QUANTILE_NEEDS : this.#rules.leastRequests
    if (requests < least && nowMs - window.startMs < this.#rules.maxWindowMs) return
    window.requests = requests
    const value = measure === 'p95' ? bucketQuantile(QUANTILE, bounds, counts) : requests > 0 ? window.total / requests : Number.NaN
    if (requests >= least && Number.isFinite(value)) close(window, value)
    window.counts.fill(0)
    window.total = 0
    window.requests = 0
    window.startMs = 0
  }
}

function keyOf(measure: Measure, service: string, family: string, labels: Labels): string {
  return JSON.stringify([measure, service, family, labels])
}
