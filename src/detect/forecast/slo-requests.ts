/**
 * Counts the requests of one service, minute by minute, each once: of several metrics that count the same requests the plainest is believed,
 * and where metrics count, spans do not. A histogram says how many were too slow to the bound that is next above the threshold.
 */
import type { Series } from '../../model.ts'
import { boundOf } from '../series/histogram.ts'
import { classifyMetric, failedRequests } from '../series/metric-kind.ts'
import type { Objective } from './slo-config.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

/** Metrics that were there so lately are still there. */
const METRICS_MS = 600_000
const MOST_FAMILIES = 32
const MOST_BOUNDS = 64
const MOST_INSTANCES = 10_000
const FRESH_AFTER_MS = 90_000
/** A counter that is new is believed to have counted since the last scrape up to so many times what is usual in a minute, and so much at least. */
const BELIEVED_TIMES = 5
const BELIEVED = 100
/** What is usual fades by so much a minute: to a half in two hours. */
const FADING = 0.994

interface Family {
  readonly name: string
  /** Plain counters before counts of histograms. */
  readonly rank: number
  total: number
  bad: number
  /** Counts of the buckets at and above the threshold, by bound. */
  readonly bounds: Map<number, number>
}

export interface Minute {
  total: number
  bad: number
  /** Of those whose duration is known. */
  timed: number
  slow: number
}

/** What a series of request metrics counts. */
export interface RequestCounter {
  readonly series: Series
  readonly family: string
  readonly rank: number
  readonly failed: boolean
  /** NaN: it counts requests, not those within a bound. */
  readonly bound: number
  last: number
  lastMs: number
}

export class SloRequests {
  readonly #objective: Objective
  readonly #spans: Minute = { total: 0, bad: 0, timed: 0, slow: 0 }
  readonly #families = new Map<string, Family>()
  /** When each was first and last heard. */
  readonly #instances = new Map<string, { firstMs: number; lastMs: number }>()
  #metricsMs = 0
  /** Requests of a busy minute, lately. */
  #usual = 0

  constructor(objective: Objective) {
    this.#objective = objective
  }

  span(failed: boolean, durationMs: number): void {
    const { latency } = this.#objective
    this.#spans.total++
    this.#spans.timed++
    if (failed) this.#spans.bad++
    if (latency !== undefined && durationMs > latency.thresholdMs) this.#spans.slow++
  }

  /** A sample; increments are those of Prometheus' `increase`: what a counter shows after a reset was counted since. */
  sample(counter: RequestCounter, timeMs: number, value: number): void {
    if (!(value >= 0 && Number.isFinite(value)) || !(timeMs > counter.lastMs)) return
    const delta = counter.series.type === 'delta'
    const first = counter.lastMs === 0
    const fresh = this.#isFresh(counter.series.instance, timeMs)
    // One that appears with more than that is an old one under a new name: what it counted, it counted before.
    const believed = fresh && value <= Math.max(BELIEVED, BELIEVED_TIMES * this.#usual)
    const increment = delta || (first && believed) ? value : first ? 0 : value >= counter.last ? value - counter.last : value
    counter.last = value
    counter.lastMs = timeMs
    let family = this.#families.get(counter.family)
    if (family === undefined) {
      if (this.#families.size >= MOST_FAMILIES) return
      const { family: name, rank } = counter
      this.#families.set(counter.family, (family = { name, rank, total: 0, bad: 0, bounds: new Map() }))
    }
    if (Number.isNaN(counter.bound)) {
      family.total += increment
      if (counter.failed) family.bad += increment
    } else if (family.bounds.has(counter.bound) || family.bounds.size < MOST_BOUNDS) {
      family.bounds.set(counter.bound, (family.bounds.get(counter.bound) ?? 0) + increment)
    }
  }

  forgetInstances(sinceMs: number): void {
    for (const [instance, { lastMs }] of this.#instances) if (lastMs < sinceMs) this.#instances.delete(instance)
  }

  /** Whether a counter that appears now has counted since it appeared: the instance was there before without it, as with the first failure. */
  #isFresh(instance: string, timeMs: number): boolean {
    const known = this.#instances.get(instance)
    if (known === undefined) {
      if (this.#instances.size < MOST_INSTANCES) this.#instances.set(instance, { firstMs: timeMs, lastMs: timeMs })
      return false
    }
    known.lastMs = timeMs
    return timeMs - known.firstMs > FRESH_AFTER_MS
  }

  /** What the minute that is over counted, in `out`; then starts the next. */
  close(minuteMs: number, out: Minute): void {
    out.total = out.bad = out.timed = out.slow = 0
    const { source, latency } = this.#objective
    const chosen = [this.#best('http'), this.#best('grpc')]
    if (this.#families.size > 0) this.#metricsMs = minuteMs
    const metrics = source === 'metrics' || (source === 'auto' && this.#metricsMs > 0 && minuteMs - this.#metricsMs <= METRICS_MS)
    if (metrics) {
      for (const family of chosen) {
        out.total += family?.total ?? 0
        out.bad += family?.bad ?? 0
      }
      for (const protocol of ['http', 'grpc']) this.#addTimed(protocol, latency?.thresholdMs ?? Number.POSITIVE_INFINITY, out)
    } else Object.assign(out, this.#spans)
    this.#usual = Math.max(this.#usual * FADING, out.total, out.timed)
    this.#families.clear()
    this.#spans.total = this.#spans.bad = this.#spans.timed = this.#spans.slow = 0
  }

  snapshot(to: SnapshotWriter): void {
    to.f64(this.#metricsMs)
    to.f64(this.#usual)
    for (const value of [this.#spans.total, this.#spans.bad, this.#spans.timed, this.#spans.slow]) to.f64(value)
    to.u32(this.#instances.size)
    for (const [instance, { firstMs, lastMs }] of this.#instances) {
      to.string(instance)
      to.f64(firstMs)
      to.f64(lastMs)
    }
    to.u32(this.#families.size)
    for (const { name, rank, total, bad, bounds } of this.#families.values()) {
      to.string(name)
      for (const value of [rank, total, bad]) to.f64(value)
      to.column(Float64Array.from([...bounds].flat()))
    }
  }

  restore(from: SnapshotReader): void {
    this.#metricsMs = from.f64()
    this.#usual = from.f64()
    Object.assign(this.#spans, { total: from.f64(), bad: from.f64(), timed: from.f64(), slow: from.f64() })
    this.#instances.clear()
    for (let left = from.count(20); left > 0; left--) this.#instances.set(from.string(), { firstMs: from.f64(), lastMs: from.f64() })
    this.#families.clear()
    for (let left = from.count(32); left > 0; left--) {
      const [name, rank, total, bad] = [from.string(), from.f64(), from.f64(), from.f64()]
      const flat = from.f64s()
      const bounds = new Map<number, number>()
      for (let i = 0; i + 1 < flat.length; i += 2) bounds.set(flat[i]!, flat[i + 1]!)
      this.#families.set(name, { name, rank, total, bad, bounds })
    }
  }

  /** Of the families that count requests of a protocol the plainest, by name where several are. */
  #best(protocol: string): Family | undefined {
    let best: Family | undefined
    for (const family of this.#families.values()) {
      if (protocolOf(family.name) !== protocol || (family.bounds.size > 0 && family.total === 0)) continue
      if (best === undefined || family.rank < best.rank || (family.rank === best.rank && family.name < best.name)) best = family
    }
    return best
  }

  #addTimed(protocol: string, thresholdMs: number, out: Minute): void {
    let best: Family | undefined
    for (const family of this.#families.values()) {
      if (protocolOf(family.name) !== protocol || !family.bounds.has(Number.POSITIVE_INFINITY)) continue
      if (best === undefined || family.name < best.name) best = family
    }
    if (best === undefined) return
    const unitMs = unitMsOf(best.name)
    let next = Number.POSITIVE_INFINITY
    // The bounds that people set are round in their unit, the threshold is round in milliseconds.
    for (const bound of best.bounds.keys()) if (bound * unitMs >= thresholdMs * 0.999 && bound < next) next = bound
    const all = best.bounds.get(Number.POSITIVE_INFINITY)!
    out.timed += all
    out.slow += Math.max(0, all - best.bounds.get(next)!)
  }
}

/** undefined where the series says nothing about requests that are served. */
export function counterOf(series: Series, objective: Objective): RequestCounter | undefined {
  const kind = classifyMetric(series.name, series.labels, series.type)
  const counter = { series, family: kind.family, failed: false, rank: 0, bound: Number.NaN, last: 0, lastMs: 0 }
  if (kind.shape === 'bucket') {
    // Bounds that come and go say nothing about one threshold.
    if (objective.latency === undefined || !kind.served || kind.symptom !== 'latency' || series.type === 'sketch') return undefined
    const bound = boundOf(series.labels.find(([name]) => name === 'le')?.[1] ?? '')
    if (!(bound * unitMsOf(kind.family) >= objective.latency.thresholdMs * 0.999)) return undefined
    return { ...counter, family: `${kind.family}_bucket`, bound }
  }
  if (objective.availability === undefined || !kind.served || (kind.shape !== 'counter' && kind.shape !== 'count')) return undefined
  const failed = failedRequests(series.labels)
  return failed === undefined ? undefined : { ...counter, failed, rank: kind.shape === 'counter' ? 0 : 1 }
}

function protocolOf(family: string): 'http' | 'grpc' {
  return /^(?:grpc|rpc)_/.test(family) ? 'grpc' : 'http'
}

function unitMsOf(family: string): number {
  if (/(?:^|_)(?:milliseconds|millis|ms|msec)(?:_|$)/.test(family)) return 1
  if (/(?:^|_)(?:microseconds|micros|us|usec)(?:_|$)/.test(family)) return 1e-3
  if (/(?:^|_)(?:nanoseconds|nanos|ns)(?:_|$)/.test(family)) return 1e-6
  return 1000
}
