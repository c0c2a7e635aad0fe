/**
 * Requests as their service's users feel them: what buckets, sums, counts and status labels say is added up over the instances and outcomes of a
 * service, and each window that closes is held against its own baseline: latency quantiles, means, error ratios. Knows which windows
 * the samples of a series go into.
 */
import { BucketGroup } from './bucket-group.ts'
import type { DetectorContext, Emit } from '../detector.ts'
import { Episodes, type Observation, type Subject } from '../episode.ts'
import { boundOf, bucketQuantile, surelyAbove } from './histogram.ts'
import { classifyMetric, isPlaceLabel, isStatusLabel } from './metric-kind.ts'
import { QUANTILE, RequestWindows, type Measure, type RequestWindow } from './request-windows.ts'
import { errorRatioScore, reckoning, towards } from '../reckon.ts'
import type { Feature, ResidualBoard } from '../residuals.ts'
import { Baselines, deviationReckoning, Side, type BaselineOf, type Judgement } from './seasonal.ts'
import type { SeriesConfig } from './series-config.ts'
import { SILENT_MS, type Entry } from './series-table.ts'
import { isRate, isRatio, sentences, sideOf, windowSubject } from './series-wording.ts'

/** The rules of windows: they hold many requests each, so two in a row are enough. */
const OPEN_AFTER = 2
const CLOSE_AFTER = 3
const LEAST_FAILED = 3
const WILSON_Z = 2.5
/** The least share of an error ratio's variance that is taken for more than luck. */
const LEAST_LUCKLESS = 0.1

/** Where the samples of a series go. */
export interface Route {
  readonly bound: number
  readonly latency: RequestWindow | undefined
  readonly errors: RequestWindow | undefined
}

export class RequestHealth {
  readonly baselines: Baselines
  readonly windows: RequestWindows
  readonly episodes: Episodes
  readonly #config: SeriesConfig
  readonly #residuals: ResidualBoard
  readonly #group = new BucketGroup()
  /** By the id of the series. */
  readonly #routes: (Route | undefined)[] = []
  /** What `explain` speaks of. */
  #subject: Subject | undefined

  constructor(config: SeriesConfig, { residuals, calendar }: Pick<DetectorContext, 'residuals' | 'calendar'>) {
    const { updateEveryMs, chartPoints, maxSeries } = config
    this.#config = config
    this.#residuals = residuals
    this.baselines = new Baselines({ ...config, persistence: OPEN_AFTER }, calendar)
    this.windows = new RequestWindows({ ...config, maxWindows: Math.max(100, Math.ceil(maxSeries / 4)) }, (window) =>
      this.baselines.add(this.#baselineOf(window)),
    )
    this.episodes = new Episodes({ openAfter: OPEN_AFTER, closeAfter: CLOSE_AFTER, updateEveryMs, chartPoints })
  }

  /** Where the samples of a series go; found once. */
  routeOf(entry: Entry): Route {
    return (this.#routes[entry.id] ??= this.#newRoute(entry))
  }

  /** A batch begins. */
  begin(): void {
    this.#group.begin()
  }

  /** A sample that is of no bucket came. */
  interrupt(): void {
    this.#group.interrupt()
  }

  /** Adds what a counter counted in `spanMs` to the windows of its service. */
  count(entry: Entry, { bound, latency, errors }: Route, timeMs: number, spanMs: number, increment: number, emit: Emit): void {
    const fromMs = timeMs - spanMs
    const close = (window: RequestWindow, value: number): void => this.#closed(window, value, emit)
    if (latency !== undefined) {
      this.windows.open(latency, fromMs, timeMs, close)
      if (entry.kind.shape === 'sum') latency.total += increment
      else if (entry.kind.shape === 'count') latency.requests += increment
      else {
        const at = this.windows.boundIndex(latency, bound)
        if (at >= 0) latency.counts[at] = latency.counts[at]! + increment
      }
    }
    if (errors !== undefined) {
      this.windows.open(errors, fromMs, timeMs, close)
      errors.requests += increment
      if (entry.failed === true) errors.total += increment
    }
  }

  /** A bucket whose bound may come and go: counted with all others of its sample. */
  countBucket({ series }: Entry, { latency, bound }: Route, timeMs: number, spanMs: number, increment: number, emit: Emit): void {
    if (latency === undefined) return
    // A delta is about the same time as the others of its histogram, however long its bucket was away.
    if (!this.#group.add(latency, timeMs, bound, increment, series.type === 'delta' ? 0 : spanMs)) return
    if (increment >= 0) this.windows.open(latency, timeMs - spanMs, timeMs, (window, value) => this.#closed(window, value, emit))
    this.#group.addTo(latency, (window, at) => this.windows.boundIndex(window, at))
  }

  tick(nowMs: number, emit: Emit): void {
    this.windows.tick(nowMs, (window, value) => this.#closed(window, value, emit))
  }

  /** Ends what is open of windows that went silent, forgets those that stayed so. */
  sweep(nowMs: number, emit: Emit): void {
    for (const window of this.windows.all()) {
      const silentMs = nowMs - window.untilMs
      if (silentMs > SILENT_MS && this.episodes.isOpen(window.key)) this.episodes.end(window.key, nowMs, emit)
      if (window.startMs > 0 || silentMs <= this.#config.forgetMs) continue
      this.episodes.forget(window.key)
      this.baselines.remove(window.slot)
      this.windows.remove(window)
      for (let id = 0; id < this.#routes.length; id++) {
        const route = this.#routes[id]
        if (route?.latency === window || route?.errors === window) this.#routes[id] = undefined
      }
    }
  }

  /** The series is there no more, or is another one. */
  forget(id: number): void {
    this.#routes[id] = undefined
  }

  /** To be called when the windows have been restored. */
  restored(): void {
    this.#routes.length = 0
  }

  #closed(window: RequestWindow, observed: number, emit: Emit): void {
    if (this.windows.outdone(window) || (window.measure === 'mean' && window.total === 0)) return
    const ratio = isRatio(window.measure)
    const kind = classifyMetric(window.family + (window.measure === 'p95' ? '_bucket' : '_sum'), [['le', '']])
    const subject = windowSubject(window, kind)
    const timeMs = window.untilMs
    const j = this.baselines.judge(window.slot, timeMs, observed)
    const feature: Feature | undefined = ratio ? 'errors' : kind.feature
    if (j.warm && feature !== undefined) this.#residuals.observe(window.service, feature, j.z)
    let { score, high } = j
    let sure = Number.NaN
    if (ratio) {
      high = Math.max(this.#config.leastErrorRatio, errorLimit(j, window.requests))
      // How far the ratio is out even if luck was bad; a handful of failures says nothing either way.
      if (j.warm) score = errorRatioScore(window.total, window.requests, WILSON_Z, LEAST_FAILED, high)
    } else if (window.measure === 'p95' && score >= 1 && j.direction === 'up') {
      // One slow request more or less moves the p95 of twenty by a bucket: what counts is how far it is out even if luck was bad.
      sure = bucketQuantile(surelyAbove(QUANTILE, window.requests, WILSON_Z), window.bounds, window.counts)
      score = Math.min(score, towards(sure, j.expected, high))
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
    const reckon = () => {
      if (ratio)
        return reckoning('error-ratio', [
          ['failed', window.total],
          ['requests', window.requests],
          ['expected', j.expected],
          ['standard errors', WILSON_Z],
          ['least failed', LEAST_FAILED],
          ['limit', high],
        ])
      if (Number.isNaN(sure)) return deviationReckoning(observed, j)
      const { rule: _, inputs, oncePerWeeks } = deviationReckoning(observed, j)
      return reckoning('sure-quantile', [...inputs, ['surely', sure], ['limit', high]], oncePerWeeks)
    }
    this.episodes.observe(window.key, subject, o, this.#explain, emit, reckon)
  }

  readonly #explain = (worst: Observation): string[] => sentences(this.#subject!, worst)

  #newRoute({ series, kind, failed }: Entry): Route {
    const common = series.labels.filter(([name]) => name !== 'le' && !isPlaceLabel(name) && !isStatusLabel(name))
    const bound = kind.shape === 'bucket' ? boundOf(series.labels.find(([name]) => name === 'le')?.[1] ?? '') : Number.NaN
    let latency: RequestWindow | undefined
    if (kind.shape === 'bucket' && !Number.isNaN(bound)) latency = this.windows.of('p95', series.service, kind.family, common)
    else if (kind.shape === 'sum' || kind.shape === 'count') latency = this.windows.of('mean', series.service, kind.family, common)
    const errors =
      isRate(kind) && failed !== undefined
        ? this.windows.of(kind.shape === 'count' ? 'timed-errors' : 'errors', series.service, kind.family, [])
        : undefined
    return { bound, latency, errors }
  }

  #baselineOf(window: { measure: Measure; family: string }): BaselineOf {
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
