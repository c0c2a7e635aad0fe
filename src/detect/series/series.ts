/**
 * Watches metrics. Counters become rates, histograms latency quantiles, status labels error ratios, gauges stay; each is held
 * against its own seasonal baseline and told as an anomaly when it stays outside. What only moves the wrong way counts: a faster
 * service is no incident. Time is the samples' own; silence is measured in ticks.
 */
import { PermanentError } from '../../errors.ts'
import type { Batch, MetricBatch, Series } from '../../model.ts'
import type { Detector, DetectorContext, DetectorKind, Emit } from '../detector.ts'
import { Episodes } from '../episode.ts'
import { classifyMetric } from './metric-kind.ts'
import { Presence } from './presence.ts'
import { RequestHealth } from './request-health.ts'
import { seriesConfig, type SeriesConfig } from './series-config.ts'
import { SeriesTable, SILENT_MS, type Entry } from './series-table.ts'
import { SeriesValues } from './series-values.ts'
import { isRate } from './series-wording.ts'
import { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const SNAPSHOT = 'the series detector'
/** 3: with the types of series. 4: with what is known of how strange each value is. 5: with how often each was told of lately, and with days off. */
const VERSION = 5
const SCORED_SINCE = 4
const ALARMS_SINCE = 5
const SWEEP_MS = 30_000
const AHEAD_MS = 3_600_000
/** https://tc39.es/ecma262/#sec-time-values-and-time-range */
const MAX_TIME_MS = 8.64e15
/** What a series was said to be holds for so long after its last sample. */
const CONTRADICTED_MS = 60_000
/** The same for the names of its service and instance. */
const RENAMED_MS = 60_000
/** In place of the id of a series whose type is not the one it has. */
const CONTRADICTED = -2

export class SeriesDetector implements Detector {
  readonly #config: SeriesConfig
  readonly #table: SeriesTable
  readonly #values: SeriesValues
  readonly #requests: RequestHealth
  readonly #presenceEpisodes: Episodes
  readonly #presence: Presence
  readonly #counts = { late: 0, refused: 0 }
  /** By the id of a series: when it was last heard under the names that it has. */
  readonly #namedMs: number[] = []
  #nowMs = 0
  #sweptMs = 0

  constructor(config: SeriesConfig, context: DetectorContext) {
    this.#config = config
    const { updateEveryMs, chartPoints, warmupMs } = config
    this.#table = new SeriesTable(config)
    this.#values = new SeriesValues(config, this.#table, context)
    this.#requests = new RequestHealth(config, context)
    this.#presenceEpisodes = new Episodes({ openAfter: 2, closeAfter: 1, updateEveryMs, chartPoints })
    this.#presence = new Presence({ ...config, warmupMs, belongs: context.belongs }, this.#table, this.#presenceEpisodes)
  }

  detect(batch: Batch, emit: Emit): void {
    if (batch.kind === 'metrics') this.#take(batch, emit)
    else if (batch.kind === 'tick') this.#tick(batch.nowMs, emit)
  }

  counts(): Readonly<Record<string, number>> {
    const { refused } = this.#table
    return {
      series: this.#table.size,
      windows: this.#requests.windows.size,
      refused_series: refused.total + refused.perService,
      refused_windows: this.#requests.windows.refused,
      late_samples: this.#counts.late,
      refused_samples: this.#counts.refused,
    }
  }

  /** What a snapshot holds, in the order of its format. */
  get #parts() {
    return [
      this.#table,
      this.#values.baselines,
      this.#requests.baselines,
      this.#requests.windows,
      this.#values.episodes,
      this.#requests.episodes,
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
    this.#values.scores.snapshot(to)
    this.#values.alarmRate.snapshot(to)
    return to.finish()
  }

  restore(bytes: Uint8Array): void {
    const from = new SnapshotReader(bytes, SNAPSHOT, VERSION)
    this.#nowMs = from.f64()
    this.#sweptMs = from.f64()
    this.#counts.late = from.f64()
    this.#counts.refused = from.f64()
    for (const part of this.#parts) part.restore(from)
    if (from.version >= SCORED_SINCE) this.#values.scores.restore(from)
    if (from.version >= ALARMS_SINCE) this.#values.alarmRate.restore(from)
    this.#namedMs.length = 0
    this.#values.restored()
    this.#requests.restored()
    from.end()
  }

  #take(batch: MetricBatch, emit: Emit): void {
    const { series, seriesIndex, timeMs, value, stale } = batch
    const ids = new Int32Array(series.length)
    for (let i = 0; i < series.length; i++) {
      const of = series[i]!
      const id = this.#table.find(of.key) ?? -1
      ids[i] = id
      if (id >= 0) this.#name(id, of, emit)
      if (id < 0 || of.type === 'unknown' || this.#table.entry(id).series.type === of.type) continue
      if (this.#contradicts(id, of)) ids[i] = CONTRADICTED
      else this.#retype(id, of, emit)
    }
    this.#requests.begin()
    for (let row = 0; row < batch.rows; row++) {
      const index = seriesIndex[row]!
      const of = series[index]
      if (of === undefined) throw new PermanentError(`row ${row} of a metric batch points at series ${index} of ${series.length}`)
      let id = ids[index]!
      if (id === CONTRADICTED) {
        this.#counts.refused++
        continue
      }
      if (id < 0) {
        // A refused series is tried again with each of its samples: room may have been made.
        if (classifyMetric(of.name, of.labels, of.type).shape === 'ignored') continue
        id = this.#table.find(of.key) ?? this.#table.add(of) ?? -1
        if (id < 0) continue
        ids[index] = id
        this.#namedMs[id] = this.#nowMs
      }
      const entry = this.#table.entry(id)
      if (stale[row] === 1) this.#gone(entry, timeMs[row]!, emit)
      else this.#sample(entry, timeMs[row]!, value[row]!, emit)
    }
  }

  #sample(entry: Entry, timeMs: number, value: number, emit: Emit): void {
    const { id, kind } = entry
    const c = this.#table.columns
    if (kind.shape !== 'bucket') this.#requests.interrupt()
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
    const route = this.#requests.routeOf(entry)
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
        this.#values.step(entry, timeMs, value, emit)
        return
      default: {
        const firstEver = c.samples[id] === 0
        const increment = this.#table.increment(entry, timeMs, value)
        if (c.gauge[id] === 1) {
          this.#values.step(entry, timeMs, value, emit)
          return
        }
        if (kind.shape === 'bucket' && entry.series.type !== 'unknown' && entry.series.type !== 'counter') {
          this.#requests.countBucket(entry, route, timeMs, this.#table.spanMs, increment, emit)
          return
        }
        const known = !Number.isNaN(increment)
        if (known) this.#requests.count(entry, route, timeMs, this.#table.spanMs, increment, emit)
        // Failed requests are watched as a ratio; each label set of them on its own would say the same ten times.
        if (isRate(kind) && entry.failed !== true) {
          if (known && firstEver && kind.symptom === 'errors') this.#values.wasZero(entry, timeMs)
          // A first delta of which nobody knows how long it took is no rate.
          this.#values.rate(entry, timeMs, known && this.#table.spanMs > 0 ? increment : Number.NaN, emit)
        }
      }
    }
  }

  /** Its service or instance has another name: the rules of naming were changed. Of senders that disagree the first is believed. */
  #name(id: number, of: Series, emit: Emit): void {
    const { series } = this.#table.entry(id)
    if (series.service === of.service && series.instance === of.instance) {
      this.#namedMs[id] = this.#nowMs
      return
    }
    if (this.#nowMs - (this.#namedMs[id] ?? 0) <= RENAMED_MS) return
    this.#namedMs[id] = this.#nowMs
    // What is open under the old name ends; the values that make it go on.
    this.#values.episodes.end(series.key, this.#nowMs, emit)
    this.#presenceEpisodes.end(series.key, this.#nowMs, emit)
    this.#presenceEpisodes.forget(series.key)
    const left = this.#table.rename(id, of)
    this.#values.renamed(id)
    this.#requests.forget(id)
    if (left !== undefined) this.#forgetService(left, this.#nowMs, emit)
  }

  #forgetService(service: string, nowMs: number, emit: Emit): void {
    this.#presenceEpisodes.end(`absence\0${service}`, nowMs, emit)
    this.#presence.forget(service)
  }

  /** Something else was said of it lately: of two senders that disagree the first is believed, or neither would ever be learned. */
  #contradicts(id: number, of: Series): boolean {
    const { series, instance } = this.#table.entry(id)
    const silentMs = this.#nowMs - this.#table.columns.heardMs[id]!
    const heldMs = Math.max(CONTRADICTED_MS, instance.intervalMs * this.#config.absentAfterIntervals)
    return series.type !== 'unknown' && silentMs <= heldMs && this.#table.countsOtherwise(id, of)
  }

  /** Its sender has said what it is: what was learned of it as something else is forgotten. */
  #retype(id: number, series: Series, emit: Emit): void {
    if (!this.#table.retype(id, series)) return
    this.#values.episodes.end(series.key, this.#nowMs, emit)
    this.#values.forget(this.#table.entry(id))
    this.#requests.forget(id)
  }

  #gone(entry: Entry, timeMs: number, emit: Emit): void {
    if (timeMs <= this.#table.columns.lastMs[entry.id]!) return
    if (entry.kind.shape === 'up') this.#presence.upGone(entry, timeMs, emit)
    this.#values.episodes.end(entry.series.key, timeMs, emit)
    this.#table.interrupt(entry.id)
  }

  #restarted(entry: Entry, timeMs: number): void {
    for (const id of entry.instance.series) this.#values.settle(this.#table.entry(id), timeMs)
  }

  #tick(nowMs: number, emit: Emit): void {
    if (nowMs <= this.#nowMs) return
    if (this.#nowMs > 0 && nowMs - this.#nowMs > this.#config.absentAfterMs) this.#presence.paused(nowMs - this.#nowMs)
    this.#nowMs = nowMs
    this.#requests.tick(nowMs, emit)
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
      if (entry.kind.shape !== 'up' && this.#values.episodes.isOpen(series.key)) this.#values.episodes.end(series.key, nowMs, emit)
      // The last series of a service that is missing stays, else its absence would be forgotten with it.
      if (silentMs <= (full ? SILENT_MS * 2 : this.#config.forgetMs)) continue
      this.#values.forget(entry)
      this.#requests.forget(id)
      this.#presenceEpisodes.end(series.key, nowMs, emit)
      this.#presenceEpisodes.forget(series.key)
      this.#table.remove(id)
      if (service.series === 0) this.#forgetService(service.name, nowMs, emit)
    }
    this.#values.swept()
    this.#requests.sweep(nowMs, emit)
  }
}

export const seriesDetector: DetectorKind<SeriesConfig> = {
  name: 'series',
  config: seriesConfig,
  create: (config, context) => new SeriesDetector(config, context),
}
