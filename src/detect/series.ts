/**
 * Watches metrics. Counters become rates, histograms latency quantiles, status labels error ratios, gauges stay; each is held
 * against its own seasonal baseline and told as an anomaly when it stays outside. What only moves the wrong way counts: a faster
 * service is no incident. Time is the samples' own; silence is measured in ticks.
 */
import { PermanentError } from '../errors.ts'
import type { Batch, MetricBatch, Series } from '../model.ts'
import { BucketGroup } from './bucket-group.ts'
import type { Detector, DetectorContext, DetectorKind, Emit } from './detector.ts'
import { Episodes, type Observation, type Subject } from './episode.ts'
import { boundOf, bucketQuantile, surelyAbove, wilsonLower } from './histogram.ts'
import { classifyMetric, isPlaceLabel, isStatusLabel } from './metric-kind.ts'
import { Presence } from './presence.ts'
import { QUANTILE, RequestWindows, type Measure, type RequestWindow } from './request-windows.ts'
import type { Feature } from './residuals.ts'
import { Baselines, Side, type BaselineOf, type Judgement } from './seasonal.ts'
import { seriesConfig, type SeriesConfig } from './series-config.ts'
import { SeriesTable, type Entry } from './series-table.ts'
import { isRate, isRatio, sentences, seriesSubject, sideOf, windowSubject } from './series-wording.ts'
import { SnapshotReader, SnapshotWriter } from './snapshot.ts'

const SNAPSHOT = 'the series detector'
/** 3: with the types of series. */
const VERSION = 3
const SWEEP_MS = 30_000
const AHEAD_MS = 3_600_000
/** https://tc39.es/ecma262/#sec-time-values-and-time-range */
const MAX_TIME_MS = 8.64e15
const SILENT_MS = 300_000
/** The rules of windows: they hold many requests each, so two in a row are enough. */
const WINDOW_OPEN_AFTER = 2
const WINDOW_CLOSE_AFTER = 3
const LEAST_FAILED = 3
const WILSON_Z = 2.5
/** Work that has piled up for so long, without a step back, and so many times as far out as it takes to be unusual, is somebody's who waits. */
const PILING_UP_MS = 300_000
const PILING_UP_SCORE = 3
/** The least share of an error ratio's variance that is taken for more than luck. */
const LEAST_LUCKLESS = 0.1

/** What a series' samples go into. */
interface Route {
  readonly subject: Subject
  readonly bound: number
  readonly latency: RequestWindow | undefined
  readonly errors: RequestWindow | undefined
}

export class SeriesDetector implements Detector {
  readonly #config: SeriesConfig
  readonly #context: DetectorContext
  readonly #table: SeriesTable
  readonly #rows: Baselines
  readonly #windowed: Baselines
  readonly #windows: RequestWindows
  readonly #episodes: Episodes
  readonly #windowEpisodes: Episodes
  readonly #presenceEpisodes: Episodes
  readonly #presence: Presence
  readonly #routes: (Route | undefined)[] = []
  readonly #group = new BucketGroup()
  readonly #counts = { late: 0, refused: 0 }
  #nowMs = 0
  #sweptMs = 0
  /** What `explain` speaks of. */
  #subject: Subject | undefined

  constructor(config: SeriesConfig, context: DetectorContext) {
    this.#config = config
    this.#context = context
    const { openAfter, closeAfter, updateEveryMs, chartPoints, warmupMs } = config
    this.#table = new SeriesTable(config)
    this.#rows = new Baselines({ ...config, persistence: openAfter })
    this.#windowed = new Baselines({ ...config, persistence: WINDOW_OPEN_AFTER })
    this.#windows = new RequestWindows({ ...config, maxWindows: Math.max(100, Math.ceil(config.maxSeries / 4)) }, (window) =>
      this.#windowed.add(this.#windowBaseline(window)),
    )
    this.#episodes = new Episodes({ openAfter, closeAfter, updateEveryMs, chartPoints })
    this.#windowEpisodes = new Episodes({ openAfter: WINDOW_OPEN_AFTER, closeAfter: WINDOW_CLOSE_AFTER, updateEveryMs, chartPoints })
    this.#presenceEpisodes = new Episodes({ openAfter: 2, closeAfter: 1, updateEveryMs, chartPoints })
    this.#presence = new Presence({ ...config, warmupMs }, this.#table, this.#presenceEpisodes)
  }

  detect(batch: Batch, emit: Emit): void {
    if (batch.kind === 'metrics') this.#take(batch, emit)
    else if (batch.kind === 'tick') this.#tick(batch.nowMs, emit)
  }

  counts(): Readonly<Record<string, number>> {
    const { refused } = this.#table
    return {
      series: this.#table.size,
      windows: this.#windows.size,
      refused_series: refused.total + refused.perService,
      refused_windows: this.#windows.refused,
      late_samples: this.#counts.late,
      refused_samples: this.#counts.refused,
    }
  }

  /** What a snapshot holds, in the order of its format. */
  get #parts() {
    return [
      this.#table,
      this.#rows,
      this.#windowed,
      this.#windows,
      this.#episodes,
      this.#windowEpisodes,
      this.#presenceEpisodes,
      this.#presence,
    ] as const
  }

  snapshot(): Uint8Array {
    const to = new SnapshotWriter(VERSION)
    to.f64(this.#nowMs)
    to.f64(this.#sweptMs)
    to.f64(this.#counts.late)
    to.f64(this.#counts.refused)
    for (const part of this.#parts) part.snapshot(to)
    return to.finish()
  }

  restore(bytes: Uint8Array): void {
    const from = new SnapshotReader(bytes, SNAPSHOT, VERSION)
    this.#nowMs = from.f64()
    this.#sweptMs = from.f64()
    this.#counts.late = from.f64()
    this.#counts.refused = from.f64()
    this.#routes.length = 0
    for (const part of this.#parts) part.restore(from)
    from.end()
  }

  #take(batch: MetricBatch, emit: Emit): void {
    const { series, seriesIndex, timeMs, value, stale } = batch
    const ids = new Int32Array(series.length)
    for (let i = 0; i < series.length; i++) {
      const of = series[i]!
      const id = this.#table.find(of.key) ?? -1
      ids[i] = id
      if (id >= 0 && of.type !== 'unknown' && this.#table.entry(id).series.type !== of.type) this.#retype(id, of, emit)
    }
    this.#group.begin()
    for (let row = 0; row < batch.rows; row++) {
      const index = seriesIndex[row]!
      const of = series[index]
      if (of === undefined) throw new PermanentError(`row ${row} of a metric batch points at series ${index} of ${series.length}`)
      let id = ids[index]!
      if (id < 0) {
        // A refused series is tried again with each of its samples: room may have been made.
        if (classifyMetric(of.name, of.labels, of.type).shape === 'ignored') continue
        id = this.#table.find(of.key) ?? this.#table.add(of) ?? -1
        if (id < 0) continue
        ids[index] = id
      }
      const entry = this.#table.entry(id)
      if (stale[row] === 1) this.#gone(entry, timeMs[row]!, emit)
      else this.#sample(entry, timeMs[row]!, value[row]!, emit)
    }
  }

  #sample(entry: Entry, timeMs: number, value: number, emit: Emit): void {
    const { id, kind } = entry
    const c = this.#table.columns
    if (kind.shape !== 'bucket') this.#group.interrupt()
    // A sample from the far future would make all that follow look late.
    if (!Number.isFinite(value) || !(timeMs > 0 && timeMs <= (this.#nowMs > 0 ? this.#nowMs + AHEAD_MS : MAX_TIME_MS))) {
      this.#counts.refused++
      return
    }
    if (timeMs <= c.lastMs[id]!) {
      this.#counts.late++
      return
    }
    // Before the first tick the sample is all that tells the time.
    this.#table.heard(entry, timeMs, this.#nowMs > 0 ? this.#nowMs : timeMs)
    const route = (this.#routes[id] ??= this.#routeOf(entry))
    switch (kind.shape) {
      case 'ignored':
        return
      case 'up':
        c.lastMs[id] = timeMs
        this.#presence.up(entry, timeMs, value, emit)
        return
      case 'start':
        c.lastMs[id] = timeMs
        if (entry.instance.startValue !== value && !Number.isNaN(entry.instance.startValue)) this.#restarted(entry, timeMs)
        entry.instance.startValue = value
        return
      case 'gauge':
        c.lastMs[id] = timeMs
        c.lastValue[id] = value
        this.#step(entry, route, timeMs, value, emit)
        return
      default: {
        const firstEver = c.samples[id] === 0
        const increment = this.#table.increment(entry, timeMs, value)
        if (c.gauge[id] === 1) {
          this.#step(entry, route, timeMs, value, emit)
          return
        }
        if (kind.shape === 'bucket' && entry.series.type !== 'unknown' && entry.series.type !== 'counter') {
          this.#countBucket(route, timeMs, increment, emit)
          return
        }
        const known = !Number.isNaN(increment)
        if (known) this.#count(entry, route, timeMs, increment, emit)
        // Failed requests are watched as a ratio; each label set of them on its own would say the same ten times.
        if (isRate(kind) && entry.failed !== true) {
          if (known && firstEver && kind.symptom === 'errors') this.#wasZero(entry, timeMs)
          // A first delta of which nobody knows how long it took is no rate.
          this.#rate(entry, route, timeMs, known && this.#table.spanMs > 0 ? increment : Number.NaN, emit)
        }
      }
    }
  }

  /** A bucket whose bound may come and go: counted with all others of its sample. */
  #countBucket({ latency, bound }: Route, timeMs: number, increment: number, emit: Emit): void {
    if (latency === undefined) return
    const { spanMs } = this.#table
    if (!this.#group.add(latency, timeMs, bound, increment, spanMs)) return
    if (increment >= 0) this.#windows.open(latency, timeMs - spanMs, timeMs, (window, value) => this.#closed(window, value, emit))
    this.#group.addTo(latency, (window, at) => this.#windows.boundIndex(window, at))
  }

  /** Its sender has said what it is: what was learned of it as something else is forgotten. */
  #retype(id: number, series: Series, emit: Emit): void {
    const { slot } = this.#table.columns
    if (!this.#table.retype(id, series)) return
    if (slot[id]! >= 0) this.#rows.remove(slot[id]!)
    slot[id] = -1
    this.#routes[id] = undefined
    this.#episodes.end(series.key, this.#nowMs, emit)
    this.#episodes.forget(series.key)
  }

  /** Adds what was counted to the windows of its service. */
  #count(entry: Entry, route: Route, timeMs: number, increment: number, emit: Emit): void {
    const fromMs = timeMs - this.#table.spanMs
    const { latency, errors } = route
    const close = (window: RequestWindow, value: number): void => this.#closed(window, value, emit)
    if (latency !== undefined) {
      this.#windows.open(latency, fromMs, timeMs, close)
      if (entry.kind.shape === 'sum') latency.total += increment
      else if (entry.kind.shape === 'count') latency.requests += increment
      else {
        const at = this.#windows.boundIndex(latency, route.bound)
        if (at >= 0) latency.counts[at] = latency.counts[at]! + increment
      }
    }
    if (errors !== undefined) {
      this.#windows.open(errors, fromMs, timeMs, close)
      errors.requests += increment
      if (entry.failed === true) errors.total += increment
    }
  }

  #rate(entry: Entry, route: Route, timeMs: number, increment: number, emit: Emit): void {
    const c = this.#table.columns
    const { id } = entry
    if (Number.isNaN(increment)) {
      c.stepMs[id] = timeMs
      c.sum[id] = 0
      return
    }
    if (c.stepMs[id] === 0) c.stepMs[id] = timeMs - this.#table.spanMs
    c.sum[id] = c.sum[id]! + increment
    const spanMs = timeMs - c.stepMs[id]!
    if (spanMs <= 0 || spanMs < this.#config.stepMs * 0.9) return
    const rate = (c.sum[id] * 1000) / spanMs
    const counted = c.sum[id]
    c.stepMs[id] = timeMs
    c.sum[id] = 0
    this.#judge(entry, route, timeMs, rate, counted, emit)
  }

  /** Gauges: the mean over a step. */
  #step(entry: Entry, route: Route, timeMs: number, value: number, emit: Emit): void {
    const c = this.#table.columns
    const { id } = entry
    c.sum[id] = c.sum[id]! + value
    c.count[id] = c.count[id]! + 1
    if (timeMs - c.stepMs[id]! < this.#config.stepMs * 0.9) return
    const mean = c.sum[id] / c.count[id]
    const samples = c.count[id]
    c.stepMs[id] = timeMs
    c.sum[id] = 0
    c.count[id] = 0
    this.#judge(entry, route, timeMs, mean, samples, emit)
  }

  #judge(entry: Entry, route: Route, timeMs: number, observed: number, volume: number, emit: Emit): void {
    const c = this.#table.columns
    const { id, kind, series } = entry
    if (c.slot[id]! < 0) c.slot[id] = this.#rows.add(this.#rowBaseline(entry))
    const j = this.#rows.judge(c.slot[id]!, timeMs, observed)
    if (j.warm && kind.feature !== undefined)
      this.#context.residuals.observe(series.service, kind.feature, kind.bad === 'down' ? -j.z : j.z)
    const { expected, low, high, score, direction } = j
    const subject = kind.backlog && this.#pilesUp(id, timeMs, observed, score) ? { ...route.subject, impact: true } : route.subject
    this.#subject = subject
    this.#episodes.observe(series.key, subject, { timeMs, observed, expected, low, high, score, direction, volume }, this.#explain, emit)
  }

  /** A burst is worked off; what is only added to for minutes has nobody who takes from it. */
  #pilesUp(id: number, timeMs: number, observed: number, score: number): boolean {
    const c = this.#table.columns
    if (!(score >= PILING_UP_SCORE && observed > c.previous[id]!)) c.risingMs[id] = 0
    else if (c.risingMs[id] === 0) c.risingMs[id] = timeMs
    c.previous[id] = observed
    return c.risingMs[id]! > 0 && timeMs - c.risingMs[id]! >= PILING_UP_MS
  }

  #closed(window: RequestWindow, observed: number, emit: Emit): void {
    if (this.#windows.outdone(window) || (window.measure === 'mean' && window.total === 0)) return
    const ratio = isRatio(window.measure)
    const kind = classifyMetric(window.family + (window.measure === 'p95' ? '_bucket' : '_sum'), [['le', '']])
    const subject = windowSubject(window, kind)
    const timeMs = window.untilMs
    const j = this.#windowed.judge(window.slot, timeMs, observed)
    const feature: Feature | undefined = ratio ? 'errors' : kind.feature
    if (j.warm && feature !== undefined) this.#context.residuals.observe(window.service, feature, j.z)
    let { score, high } = j
    if (ratio) {
      high = Math.max(this.#config.leastErrorRatio, errorLimit(j, window.requests))
      // How far the ratio is out even if luck was bad; a handful of failures says nothing either way.
      const sure = window.total >= LEAST_FAILED ? wilsonLower(window.total, window.requests, WILSON_Z) : 0
      if (j.warm) score = sure / high
    } else if (window.measure === 'p95' && score >= 1 && j.direction === 'up') {
      // One slow request more or less moves the p95 of twenty by a bucket: what counts is how far it is out even if luck was bad.
      const sure = bucketQuantile(surelyAbove(QUANTILE, window.requests, WILSON_Z), window.bounds, window.counts)
      score = Math.min(score, Math.max(0, (sure - j.expected) / (high - j.expected)))
    }
    this.#subject = subject
    const o: Observation = {
      timeMs,
      observed,
      expected: j.expected,
      low: j.low,
      high,
      score,
      direction: j.direction,
      volume: window.requests,
    }
    this.#windowEpisodes.observe(window.key, subject, o, this.#explain, emit)
  }

  readonly #explain = (worst: Observation): string[] => sentences(this.#subject!, worst)

  /** A counter of errors that appears at a known instance has been zero: without that its first errors would be its normal. */
  #wasZero(entry: Entry, timeMs: number): void {
    const slot = this.#rows.add(this.#rowBaseline(entry))
    this.#table.columns.slot[entry.id] = slot
    const rows = this.#config.warmupRows
    const pastMs = Math.max(this.#config.warmupMs, rows * this.#config.stepMs)
    if (timeMs - entry.instance.firstMs < pastMs) return
    for (let i = 0; i <= rows; i++) this.#rows.judge(slot, timeMs - this.#table.spanMs - pastMs + (pastMs * i) / rows, 0)
  }

  #gone(entry: Entry, timeMs: number, emit: Emit): void {
    if (timeMs <= this.#table.columns.lastMs[entry.id]!) return
    if (entry.kind.shape === 'up') this.#presence.upGone(entry, timeMs, emit)
    this.#episodes.end(entry.series.key, timeMs, emit)
    this.#table.interrupt(entry.id)
  }

  /** The process is a new one: what it uses while it starts is no anomaly. */
  #restarted(entry: Entry, timeMs: number): void {
    const c = this.#table.columns
    for (const id of entry.instance.series) {
      if (this.#table.entry(id).kind.process && c.slot[id]! >= 0) this.#rows.settle(c.slot[id]!, timeMs)
    }
  }

  #tick(nowMs: number, emit: Emit): void {
    if (nowMs <= this.#nowMs) return
    if (this.#nowMs > 0 && nowMs - this.#nowMs > this.#config.absentAfterMs) this.#presence.paused(nowMs - this.#nowMs)
    this.#nowMs = nowMs
    this.#windows.tick(nowMs, (window, value) => this.#closed(window, value, emit))
    this.#presence.tick(nowMs, emit)
    if (nowMs - this.#sweptMs >= SWEEP_MS) this.#sweep(nowMs, emit)
  }

  /** Ends what is open of series that went silent, forgets those that stayed so. */
  #sweep(nowMs: number, emit: Emit): void {
    this.#sweptMs = nowMs
    const c = this.#table.columns
    const full = this.#table.size >= this.#config.maxSeries * 0.9
    for (const entry of this.#table.entries()) {
      const { id, series, instance, service } = entry
      const silentMs = nowMs - c.heardMs[id]!
      if (silentMs <= Math.max(SILENT_MS, instance.intervalMs * this.#config.absentAfterIntervals)) continue
      if (entry.kind.shape !== 'up' && this.#episodes.isOpen(series.key)) this.#episodes.end(series.key, nowMs, emit)
      // The last series of a service that is missing stays, else its absence would be forgotten with it.
      if (silentMs <= (full ? SILENT_MS * 2 : this.#config.forgetMs)) continue
      this.#episodes.forget(series.key)
      this.#presenceEpisodes.end(series.key, nowMs, emit)
      this.#presenceEpisodes.forget(series.key)
      if (c.slot[id]! >= 0) this.#rows.remove(c.slot[id]!)
      this.#routes[id] = undefined
      this.#table.remove(id)
      if (service.series > 0) continue
      this.#presenceEpisodes.end(`absence\0${service.name}`, nowMs, emit)
      this.#presence.forget(service.name)
    }
    for (const window of this.#windows.all()) {
      const silentMs = nowMs - window.untilMs
      if (silentMs > SILENT_MS && this.#windowEpisodes.isOpen(window.key)) this.#windowEpisodes.end(window.key, nowMs, emit)
      if (window.startMs > 0 || silentMs <= this.#config.forgetMs) continue
      this.#windowEpisodes.forget(window.key)
      this.#windowed.remove(window.slot)
      this.#windows.remove(window)
      for (let id = 0; id < this.#routes.length; id++) {
        const route = this.#routes[id]
        if (route?.latency === window || route?.errors === window) this.#routes[id] = undefined
      }
    }
  }

  #routeOf(entry: Entry): Route {
    const { series, kind, failed } = entry
    const subject = seriesSubject(entry)
    const common = series.labels.filter(([name]) => name !== 'le' && !isPlaceLabel(name) && !isStatusLabel(name))
    const bound = kind.shape === 'bucket' ? boundOf(series.labels.find(([name]) => name === 'le')?.[1] ?? '') : Number.NaN
    let latency: RequestWindow | undefined
    if (kind.shape === 'bucket' && !Number.isNaN(bound)) latency = this.#windows.of('p95', series.service, kind.family, common)
    else if (kind.shape === 'sum' || kind.shape === 'count') latency = this.#windows.of('mean', series.service, kind.family, common)
    const errors =
      isRate(kind) && failed !== undefined
        ? this.#windows.of(kind.shape === 'count' ? 'timed-errors' : 'errors', series.service, kind.family, [])
        : undefined
    return { subject, bound, latency, errors }
  }

  #rowBaseline({ kind }: Entry): BaselineOf {
    return {
      side: sideOf(kind.bad),
      floor: kind.floor,
      relativeFloor: kind.relativeFloor,
      whole: kind.shape === 'gauge',
      holdMs: kind.backlog ? this.#config.impactHoldMs : this.#config.holdMs,
    }
  }

  #windowBaseline(window: { measure: Measure; family: string }): BaselineOf {
    if (isRatio(window.measure)) return { side: Side.up, floor: 0.003, relativeFloor: 0.1, whole: false, holdMs: this.#config.impactHoldMs }
    const kind = classifyMetric(`${window.family}_bucket`, [['le', '']])
    return {
      side: sideOf(kind.bad),
      floor: kind.floor,
      relativeFloor: kind.relativeFloor,
      whole: false,
      holdMs: kind.served ? this.#config.impactHoldMs : this.#config.holdMs,
    }
  }
}

/** Where an error ratio stops being normal: luck is left out of the spread, because the score leaves it out of the ratio. */
function errorLimit({ expected, high, spread }: Readonly<Judgement>, requests: number): number {
  const ratio = Math.max(0, Math.min(1, expected))
  const luck = (ratio * (1 - ratio)) / requests
  return expected + (high - expected) * Math.sqrt(Math.max(LEAST_LUCKLESS, 1 - luck / spread ** 2))
}

export const seriesDetector: DetectorKind<SeriesConfig> = {
  name: 'series',
  config: seriesConfig,
  create: (config, context) => new SeriesDetector(config, context),
}
