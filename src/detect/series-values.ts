/**
 * Each series against its own baseline: the rate of a counter, the mean of a gauge, over steps of a few seconds. What stays outside of it is
 * told. Knows when work only piles up.
 */
import type { Emit } from './detector.ts'
import { Episodes, type Observation, type Subject } from './episode.ts'
import type { ResidualBoard } from './residuals.ts'
import { Baselines, type BaselineOf } from './seasonal.ts'
import type { SeriesConfig } from './series-config.ts'
import type { Entry, SeriesTable } from './series-table.ts'
import { sentences, seriesSubject, sideOf } from './series-wording.ts'

/** Work that has piled up for so long, without a step back, and so many times as far out as it takes to be unusual, is somebody's who waits. */
const PILING_UP_MS = 300_000
const PILING_UP_SCORE = 3

export class SeriesValues {
  readonly baselines: Baselines
  readonly episodes: Episodes
  readonly #config: SeriesConfig
  readonly #table: SeriesTable
  readonly #residuals: ResidualBoard
  /** By the id of the series. */
  readonly #subjects: (Subject | undefined)[] = []
  /** What `explain` speaks of. */
  #subject: Subject | undefined

  constructor(config: SeriesConfig, table: SeriesTable, residuals: ResidualBoard) {
    const { openAfter, closeAfter, updateEveryMs, chartPoints } = config
    this.#config = config
    this.#table = table
    this.#residuals = residuals
    this.baselines = new Baselines({ ...config, persistence: openAfter })
    this.episodes = new Episodes({ openAfter, closeAfter, updateEveryMs, chartPoints })
  }

  /** What a counter counted since its last sample; NaN: nobody knows, what comes is a new beginning. */
  rate(entry: Entry, timeMs: number, increment: number, emit: Emit): void {
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
    this.#judge(entry, timeMs, rate, counted, emit)
  }

  /** Gauges: the mean over a step. */
  step(entry: Entry, timeMs: number, value: number, emit: Emit): void {
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
    this.#judge(entry, timeMs, mean, samples, emit)
  }

  #judge(entry: Entry, timeMs: number, observed: number, volume: number, emit: Emit): void {
    const c = this.#table.columns
    const { id, kind, series } = entry
    if (c.slot[id]! < 0) c.slot[id] = this.baselines.add(this.#baselineOf(entry))
    const j = this.baselines.judge(c.slot[id]!, timeMs, observed)
    if (j.warm && kind.feature !== undefined) this.#residuals.observe(series.service, kind.feature, kind.bad === 'down' ? -j.z : j.z)
    const { expected, low, high, score, direction } = j
    const own = (this.#subjects[id] ??= seriesSubject(entry))
    const subject = kind.backlog && this.#pilesUp(id, timeMs, observed, score) ? { ...own, impact: true } : own
    this.#subject = subject
    this.episodes.observe(series.key, subject, { timeMs, observed, expected, low, high, score, direction, volume }, this.#explain, emit)
  }

  /** A burst is worked off; what is only added to for minutes has nobody who takes from it. */
  #pilesUp(id: number, timeMs: number, observed: number, score: number): boolean {
    const c = this.#table.columns
    if (!(score >= PILING_UP_SCORE && observed > c.previous[id]!)) c.risingMs[id] = 0
    else if (c.risingMs[id] === 0) c.risingMs[id] = timeMs
    c.previous[id] = observed
    return c.risingMs[id]! > 0 && timeMs - c.risingMs[id]! >= PILING_UP_MS
  }

  /** A counter of errors that appears at a known instance has been zero: without that its first errors would be its normal. */
  wasZero(entry: Entry, timeMs: number): void {
    const slot = this.baselines.add(this.#baselineOf(entry))
    this.#table.columns.slot[entry.id] = slot
    const rows = this.#config.warmupRows
    const pastMs = Math.max(this.#config.warmupMs, rows * this.#config.stepMs)
    if (timeMs - entry.instance.firstMs < pastMs) return
    for (let i = 0; i <= rows; i++) this.baselines.judge(slot, timeMs - this.#table.spanMs - pastMs + (pastMs * i) / rows, 0)
  }

  /** The process is a new one: what its series does while it starts is no anomaly. */
  settle({ id, kind }: Entry, timeMs: number): void {
    const slot = this.#table.columns.slot[id]!
    if (kind.process && slot >= 0) this.baselines.settle(slot, timeMs)
  }

  /** What was learned of the series is of no use any more. */
  forget({ id, series }: Entry): void {
    const { slot } = this.#table.columns
    if (slot[id]! >= 0) this.baselines.remove(slot[id]!)
    slot[id] = -1
    this.#subjects[id] = undefined
    this.episodes.forget(series.key)
  }

  /** The series goes on under another name. */
  renamed(id: number): void {
    this.#subjects[id] = undefined
  }

  /** To be called when the table has been restored. */
  restored(): void {
    this.#subjects.length = 0
  }

  readonly #explain = (worst: Observation): string[] => sentences(this.#subject!, worst)

  #baselineOf({ kind }: Entry): BaselineOf {
    return {
      side: sideOf(kind.bad),
      floor: kind.floor,
      relativeFloor: kind.relativeFloor,
      whole: kind.shape === 'gauge',
      holdMs: kind.backlog ? this.#config.impactHoldMs : this.#config.holdMs,
    }
  }
}
