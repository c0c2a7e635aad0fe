/**
 * Each series against its own baseline: the rate of a counter, the mean of a gauge, over steps of a few seconds. What stays outside of it is
 * told. Knows when work only piles up.
 */
import type { Reckoning } from '../../model.ts'
import { AlarmRate, distanceFactor } from './alarm-rate.ts'
import type { DetectorContext, Emit, ScoreSink } from '../detector.ts'
import { Episodes, SLOW_MS, type Observation, type Subject } from '../episode.ts'
import { reckoning, strangeness } from '../reckon.ts'
import type { ResidualBoard } from '../residuals.ts'
import { Baselines, deviationReckoning, type BaselineOf, type Judgement } from './seasonal.ts'
import type { SeriesConfig } from './series-config.ts'
import { SeriesFamilies } from './series-family.ts'
import { SeriesScores } from './series-score.ts'
import type { Entry, SeriesTable } from './series-table.ts'
import { sentences, seriesSubject, sideOf } from './series-wording.ts'
import type { StepBoard } from '../service/step-board.ts'

/** Work that has piled up for so long, without a step back, and so many times as far out as it takes to be unusual, is somebody's who waits. */
const PILING_UP_MS = 300_000
const PILING_UP_SCORE = 3
/** A value as strange as this is told as soon as it is seen, where each stands for most of a minute; where they come faster one alone says little. With one alarm
 * allowed in a week; each that is e times as rare takes 1 more. */
const STRANGE = 8
const SLOW_ROWS_PER_WEEK = 604_800_000 / SLOW_MS

export class SeriesValues {
  readonly baselines: Baselines
  readonly scores: SeriesScores
  readonly episodes: Episodes
  readonly alarmRate: AlarmRate
  readonly #config: SeriesConfig
  readonly #table: SeriesTable
  readonly #families: SeriesFamilies
  readonly #residuals: ResidualBoard
  readonly #strange: number
  readonly #told: ScoreSink | undefined
  readonly #steps: StepBoard | undefined
  readonly #score = { point: 0, onset: 0, incident: 0, decision: Number.NaN }
  /** By the id of the series. */
  readonly #subjects: (Subject | undefined)[] = []
  /** What `explain` and `reckon` speak of. */
  #subject: Subject | undefined
  #judgement: Readonly<Judgement> | undefined
  #raise = 0

  constructor(config: SeriesConfig, table: SeriesTable, context: DetectorContext) {
    const { openAfter, closeAfter, updateEveryMs, chartPoints } = config
    this.#config = config
    this.#table = table
    this.#families = new SeriesFamilies(table)
    this.#residuals = context.residuals
    this.#told = context.scores
    this.#steps = context.steps
    this.baselines = new Baselines({ ...config, persistence: openAfter }, context.calendar)
    this.scores = new SeriesScores(config.scoreReservoir)
    this.alarmRate = new AlarmRate(config.falseAlarmsPerWeek)
    this.#strange = Math.max(1, STRANGE - Math.log(config.falseAlarmsPerWeek))
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
    const slot = c.slot[id]!
    if (this.baselines.isDue(slot, timeMs)) this.#inherit(entry, slot, timeMs)
    this.#steps?.observe(entry, observed)
    const j = this.baselines.judge(slot, timeMs, observed)
    this.scores.judge(slot, timeMs, observed, this.#score)
    const strange = strangeness(this.#score.onset, this.#score.incident)
    let { score } = j
    let opening = score
    if (score >= 1 || strange >= this.#strange) {
      this.#raise = this.alarmRate.raise(slot, timeMs)
      opening = score / distanceFactor(this.#raise)
      if (strange >= this.#strange + this.#raise && this.#standsAlone(j)) {
        opening = Infinity
        score = Math.max(score, strange / (this.#strange + this.#raise))
      }
    }
    if (this.#told !== undefined) {
      this.#score.decision = score
      this.#told('series', series.key, timeMs, this.#score)
    }
    if (j.warm && kind.feature !== undefined) this.#residuals.observe(series.service, kind.feature, kind.bad === 'down' ? -j.z : j.z)
    const { expected, low, high, direction } = j
    const own = (this.#subjects[id] ??= seriesSubject(entry))
    const subject = kind.backlog && this.#pilesUp(id, timeMs, observed, j.score) ? { ...own, impact: true } : own
    this.#subject = subject
    this.#judgement = j
    const o = { timeMs, observed, expected, low, high, score, direction, volume, opening }
    if (this.episodes.observe(series.key, subject, o, this.#explain, emit, this.#reckon)) this.alarmRate.told(slot, timeMs)
  }

  /** Its distance is on the side that is bad and large enough to be called unusual; it is one of values that come slowly. */
  #standsAlone(j: Readonly<Judgement>): boolean {
    return j.rowsPerWeek <= SLOW_ROWS_PER_WEEK && j.score * j.threshold >= this.#config.leastZ
  }

  /** A new copy of something need not find out by itself what is normal. What a process uses depends on how long it has been up: that it does. */
  #inherit(entry: Entry, slot: number, timeMs: number): void {
    const { slot: slots } = this.#table.columns
    const siblings = this.#families
      .siblings(entry)
      .map((id) => slots[id]!)
      .filter((of) => of >= 0)
    if (siblings.length > 0) this.baselines.inherit(slot, siblings, timeMs, !entry.kind.process)
  }

  /** Series were taken away. */
  swept(): void {
    this.#families.clear()
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
    for (let i = 0; i <= rows; i++) {
      const atMs = timeMs - this.#table.spanMs - pastMs + (pastMs * i) / rows
      this.baselines.judge(slot, atMs, 0)
      this.scores.judge(slot, atMs, 0, this.#score)
    }
  }

  /** The process is a new one: what its series does while it starts is no anomaly. */
  settle({ id, kind }: Entry, timeMs: number): void {
    const slot = this.#table.columns.slot[id]!
    if (kind.process && slot >= 0) this.baselines.settle(slot, timeMs)
  }

  /** What was learned of the series is of no use any more. */
  forget({ id, series }: Entry): void {
    const { slot } = this.#table.columns
    if (slot[id]! >= 0) {
      this.baselines.remove(slot[id]!)
      this.scores.forget(slot[id]!)
      this.alarmRate.forget(slot[id]!)
    }
    slot[id] = -1
    this.#subjects[id] = undefined
    this.#families.clear()
    this.episodes.forget(series.key)
  }

  /** The series goes on under another name. */
  renamed(id: number): void {
    this.#families.clear()
    this.#subjects[id] = undefined
  }

  /** To be called when the table has been restored. */
  restored(): void {
    this.#families.clear()
    this.#subjects.length = 0
  }

  readonly #explain = (worst: Observation): string[] => sentences(this.#subject!, worst)
  readonly #reckon = (worst: Observation): Reckoning => {
    if (!(worst.score > this.#judgement!.score)) return deviationReckoning(worst.observed, this.#judgement!)
    const { onset, incident } = this.#score
    return reckoning('strangeness', [
      ['onset', onset],
      ['incident', incident],
      ['threshold', this.#strange],
      ['raise', this.#raise],
    ])
  }

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
