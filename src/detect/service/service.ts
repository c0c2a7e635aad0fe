/**
 * Looks at a service as a whole: do the residuals of its series, logs and spans still fit together? It reads the residual board, gathers one
 * vector per service and window, and scores it with the autoencoder. CPU that rises with traffic is nothing; CPU that rises alone is. That model
 * knows services in general, from the first minutes on; beside it a service gets a model of its own series (`service-series.ts`).
 * Must be the last detector of a partition: it sees what the others wrote in the same tick. Its anomalies explain, they never page.
 */
import { z } from 'zod'
import { PermanentError } from '../../errors.ts'
import type { Batch } from '../../model.ts'
import type { Autoencoder } from './autoencoder.ts'
import type { Detector, DetectorContext, DetectorKind, Emit, VectorSink } from '../detector.ts'
import { Episodes, type Subject } from '../episode.ts'
import { FEATURES, type ResidualBoard } from '../residuals.ts'
import { reckoning, reconstructionLimit } from '../reckon.ts'
import { follow, freshLevel, readLevel, writeLevel, type RunningLevel } from './running-level.ts'
import { ServiceSeries } from './service-series.ts'
import { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import { StepBoard } from './step-board.ts'

/** 2: with the services' own series. */
const VERSION = 2
const SERIES_SINCE = 2
/** A new error counts half at once, so that one odd window is damped and two are not; it fades more slowly than it came. */
const RISE = 0.5
const FALL = 0.3
const NAMED = 4
const NAMED_SHARE = 0.08

const configSchema = z.strictObject({
  model: z
    .string()
    .min(1)
    .default('service')
    .describe('The autoencoder: the name of a shipped model, or the path of a folder that `tocsin train` has written.'),
  windowMs: z
    .int()
    .min(1000)
    .max(3_600_000)
    .default(60_000)
    .describe('Residuals of one window are looked at together. Not below the longest scrape interval, or half of the picture is missing.'),
  warmUpWindows: z.int().min(0).max(100_000).default(30).describe('A service is not judged before this many windows.'),
  threshold: z.number().min(0.1).max(100).default(1).describe('Multiplies the threshold that comes with the model: higher is quieter.'),
  minimum: z.number().min(0).max(50).default(1).describe('A reconstruction error below this is never an anomaly.'),
  openAfter: z.int().min(1).max(100).default(2).describe('Windows above the threshold, in a row, that make an anomaly.'),
  closeAfter: z.int().min(1).max(100).default(3).describe('Windows below the threshold, in a row, that end it.'),
  updateEveryMs: z.int().min(1000).default(300_000).describe('How often a lasting anomaly is told again.'),
  chartPoints: z.int().min(10).max(1000).default(120).describe('Most points in the chart of an anomaly.'),
  maxServices: z
    .int()
    .min(1)
    .max(100_000)
    .default(5000)
    .describe('Services watched per partition; when it is full, new ones wait until others are forgotten.'),
  maxSeriesPerService: z
    .int()
    .min(2)
    .max(512)
    .default(64)
    .describe('Series of a service that its own model watches; copies of the service count once.'),
  historyMegabytes: z
    .number()
    .min(0.1)
    .max(4096)
    .default(16)
    .describe('History of all services of a partition that their own models are fitted to. The more services, the fewer rows of each.'),
  seriesThreshold: z
    .number()
    .min(0.1)
    .max(100)
    .default(3)
    .describe('Multiplies the running 99 % quantile of how oddly a service’s series move together: higher is quieter.'),
  forgetAfterMs: z.int().min(60_000).default(86_400_000).describe('A service that has been silent for this long is forgotten.'),
})
export type ServiceConfig = z.infer<typeof configSchema>

export const serviceDetector: DetectorKind<ServiceConfig> = {
  name: 'service',
  config: configSchema,
  create(config, context) {
    const model = context.models?.get(config.model)
    if (model === undefined) {
      const known = [...(context.models?.keys() ?? [])].join(', ') || 'none'
      throw new PermanentError(
        `service detector: model ${config.model} has not been loaded (loaded: ${known}): load it before the detectors are created`,
      )
    }
    return new ServiceDetector(config, context, model)
  },
}

interface ServiceState {
  /** The window that is being gathered, in the order of FEATURES; 0 is not observed. */
  readonly pending: Float32Array
  gathered: boolean
  /** The vector with the largest error of the anomaly that is going on, kept to explain it. */
  readonly worst: Float32Array
  worstError: number
  smoothed: number
  readonly level: RunningLevel
  windows: number
  seenMs: number
}

class ServiceDetector implements Detector {
  readonly #config: ServiceConfig
  readonly #board: ResidualBoard
  readonly #model: Autoencoder
  readonly #vectors: VectorSink | undefined
  readonly #episodes: Episodes
  readonly #series: ServiceSeries
  readonly #services = new Map<string, ServiceState>()
  /** End of the window last scored. */
  #scoredMs = Number.NEGATIVE_INFINITY
  #refused = 0

  constructor(config: ServiceConfig, context: DetectorContext, model: Autoencoder) {
    this.#config = config
    this.#board = context.residuals
    this.#model = model
    this.#vectors = context.vectors
    this.#episodes = new Episodes(config)
    this.#series = new ServiceSeries(config, context.steps ?? new StepBoard(), context.scores)
  }

  detect(batch: Batch, emit: Emit): void {
    if (batch.kind !== 'tick') return
    this.#gather()
    const endMs = Math.floor(batch.nowMs / this.#config.windowMs) * this.#config.windowMs
    const first = this.#scoredMs === Number.NEGATIVE_INFINITY
    if (!(endMs > this.#scoredMs)) return
    this.#scoredMs = endMs
    // Where it starts inside a window it waits for the end of a whole one.
    if (first) return
    for (const [service, state] of this.#services) {
      if (state.gathered) this.#judge(service, state, endMs, emit)
      else this.#miss(service, state, endMs, emit)
    }
    this.#series.close(endMs, emit)
  }

  fitNow(): void {
    this.#series.fitNow()
  }

  snapshot(): Uint8Array {
    const to = new SnapshotWriter(VERSION)
    to.f64(this.#scoredMs)
    to.u32(FEATURES.length)
    to.u32(this.#services.size)
    for (const [service, state] of this.#services) {
      to.string(service)
      to.u8(state.gathered ? 1 : 0)
      to.column(state.pending)
      to.column(state.worst)
      for (const value of [state.worstError, state.smoothed]) to.f64(value)
      writeLevel(to, state.level)
      to.f64(state.windows)
      to.f64(state.seenMs)
    }
    this.#episodes.snapshot(to)
    this.#series.snapshot(to)
    return to.finish()
  }

  restore(bytes: Uint8Array): void {
    const from = new SnapshotReader(bytes, 'the service detector', VERSION)
    this.#scoredMs = from.f64()
    const width = from.u32()
    if (width > FEATURES.length) {
      throw new PermanentError(
        `snapshot of the service detector has ${width} features, this program knows ${FEATURES.length}: run the newer program, or drop the checkpoint`,
      )
    }
    this.#services.clear()
    for (let left = from.count(50); left > 0; left--) {
      const service = from.string()
      const state = freshState(0, 0)
      state.gathered = from.u8() === 1
      state.pending.set(from.f32s().subarray(0, width))
      state.worst.set(from.f32s().subarray(0, width))
      state.worstError = from.f64()
      state.smoothed = from.f64()
      Object.assign(state.level, readLevel(from))
      state.windows = from.f64()
      state.seenMs = from.f64()
      this.#services.set(service, state)
    }
    this.#episodes.restore(from)
    if (from.version >= SERIES_SINCE) this.#series.restore(from)
    from.end()
  }

  counts(): Readonly<Record<string, number>> {
    return { services: this.#services.size, refused_vectors: this.#refused, ...this.#series.counts() }
  }

  /** Largest residual wins, as on the board itself: how often it is read changes nothing. */
  #gather(): void {
    this.#board.drain((service, vector) => {
      let state = this.#services.get(service)
      if (state === undefined) {
        if (this.#services.size >= this.#config.maxServices) {
          this.#refused++
          return
        }
        this.#services.set(service, (state = freshState(this.#model.model.error.median, this.#scoredMs)))
      }
      state.gathered = true
      for (let i = 0; i < vector.length; i++) {
        if (Math.abs(vector[i]!) > Math.abs(state.pending[i]!)) state.pending[i] = vector[i]!
      }
    })
  }

  #judge(service: string, state: ServiceState, timeMs: number, emit: Emit): void {
    const config = this.#config
    const fitted = this.#model.model.error
    this.#vectors?.(service, timeMs, state.pending)
    const error = this.#model.score(state.pending)
    state.smoothed += (error > state.smoothed ? RISE : FALL) * (error - state.smoothed)
    const { times } = state.level
    const limit = reconstructionLimit(config.minimum, fitted.threshold, times, config.threshold)
    const warm = state.windows >= config.warmUpWindows
    const score = state.smoothed / limit
    if (score >= 1 && error > state.worstError) {
      state.worst.set(state.pending)
      state.worstError = error
    }
    const o = {
      timeMs,
      observed: state.smoothed,
      expected: state.level.usual,
      low: 0,
      high: limit,
      score: warm ? score : Number.NaN,
      direction: 'up',
      volume: state.windows,
    } as const
    this.#episodes.observe(
      service,
      subjectOf(service),
      o,
      (worst) => this.#explain(state, worst.observed, worst.expected, worst.high),
      emit,
      () =>
        reckoning('reconstruction', [
          ['error', state.smoothed],
          ['error of this window', error],
          ['minimum', config.minimum],
          ['model threshold', fitted.threshold],
          ['usual level', times],
          ['threshold', config.threshold],
          ...this.#parts(),
        ]),
    )
    if (score < 1 && !this.#episodes.isOpen(service)) state.worstError = 0
    follow(state.level, state.smoothed, fitted.q99, state.windows, warm && score >= 1)
    state.windows++
    state.seenMs = timeMs
    state.pending.fill(0)
    state.gathered = false
  }

  /** A window without any residual. Silence is the absence detector's business; here it only must not keep an anomaly open for ever. */
  #miss(service: string, state: ServiceState, timeMs: number, emit: Emit): void {
    const silentMs = timeMs - state.seenMs
    const forgotten = silentMs >= this.#config.forgetAfterMs
    if (forgotten || silentMs > this.#config.windowMs * (this.#config.closeAfter + 1)) this.#episodes.end(service, timeMs, emit)
    if (!forgotten) return
    this.#episodes.forget(service)
    this.#services.delete(service)
  }

  /** What the window that was scored last is odd in, most of it first. */
  #parts(): (readonly [string, number])[] {
    const { contributions, features } = this.#model
    const parts = features.map((feature, i) => [`part: ${feature.replaceAll('_', ' ')}`, contributions[i]!] as const)
    return parts.filter(([, part]) => part > 0).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
  }

  #explain(state: ServiceState, observed: number, expected: number, limit: number): string[] {
    const model = this.#model
    model.score(state.worst)
    const { contributions, suggested, features } = model
    const sum = contributions.reduce((total, part) => total + part, 0)
    const order = Array.from(features.keys()).sort((a, b) => contributions[b]! - contributions[a]! || a - b)
    const sentences = [
      `Its residuals do not fit together: reconstruction error ${observed.toFixed(1)}, usually ${expected.toFixed(1)}, anomalous from ${limit.toFixed(1)}.`,
    ]
    for (const i of order.slice(0, NAMED)) {
      const share = contributions[i]! / sum
      if (!(share >= NAMED_SHARE)) break
      const seen = state.worst[FEATURES.indexOf(features[i]!)]!
      sentences.push(
        `${features[i]!.replaceAll('_', ' ')}: ${signed(seen)} deviations from its baseline where the rest suggests ${signed(suggested[i]!)} (${Math.round(share * 100)} % of the error).`,
      )
    }
    return sentences
  }
}

function freshState(median: number, seenMs: number): ServiceState {
  return {
    pending: new Float32Array(FEATURES.length),
    gathered: false,
    worst: new Float32Array(FEATURES.length),
    worstError: 0,
    smoothed: median,
    level: freshLevel(median),
    windows: 0,
    seenMs,
  }
}

function subjectOf(service: string): Subject {
  return {
    detector: 'service',
    signal: 'mixed',
    service,
    instance: '',
    subject: 'how its signals move together',
    symptom: 'other',
    unit: 'reconstruction error',
    impact: false,
  }
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(1)}`
}
