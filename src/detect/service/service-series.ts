/**
 * Watches how the series of each service move together, with a model of that service's own: fitted when there are enough rows and again
 * whenever these have doubled, a few per tick, so that no tick takes long. Memory is bounded for all services of the partition together;
 * the more there are, the fewer rows each keeps. A threshold follows the running 99 % quantile of the score, within bounds.
 */
import { oneLine } from '../../wording.ts'
import type { Emit, ScoreSink, Scores } from '../detector.ts'
import { Episodes, type EpisodeRules, type Observation, type Subject } from '../episode.ts'
import { passesTrial, rowsBeforeTrial } from './model-trial.ts'
import { RandomNet, type FitReconstruction } from './random-net.ts'
import { movementLimit, reckoning } from '../reckon.ts'
import { follow, freshLevel, readLevel, writeLevel, type RunningLevel } from './running-level.ts'
import { ServiceModel } from './service-model.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import type { ServiceSteps, StepBoard } from './step-board.ts'
import { BLOCK_ROWS, StepHistory } from './step-history.ts'

export interface ServiceSeriesRules extends EpisodeRules {
  readonly maxServices: number
  readonly maxSeriesPerService: number
  readonly historyMegabytes: number
  readonly warmUpWindows: number
  readonly forgetAfterMs: number
  readonly windowMs: number
  /** Times the running quantile. */
  readonly seriesThreshold: number
}

interface Watched {
  readonly history: StepHistory
  model: ServiceModel | undefined
  /** Rows at which the next fit is due. */
  dueRows: number
  /** Its history was said to be normal, or is long enough. */
  settled: boolean
  fittedMs: number
  /** Rows judged by any model. */
  judged: number
  readonly level: RunningLevel
  worstScore: number
  worst: readonly string[]
  seenMs: number
}

const FIRST_ROWS = 64
/**
 * From here on, or once it was fitted on request, a model is left alone for a month, and longer while an anomaly is open: what it would learn
 * anew is mostly what it should tell.
 */
const SETTLED_ROWS = 8192
const SETTLED_MS = 30 * 86_400_000
const MAX_BLOCKS = 32
const MIN_BLOCKS = 4
/** Values that the fits of one tick may go through, some 50 ms; one fit is always made. */
const VALUES_PER_TICK = 100_000
const NAMED = 4
const NAMED_SHARE = 0.08
const MOST_PARTS = 12
const MAX_PART_NAME = 120
const MEGABYTE = 1_048_576

export class ServiceSeries {
  readonly #rules: ServiceSeriesRules
  readonly #board: StepBoard
  readonly #episodes: Episodes
  readonly #told: ScoreSink | undefined
  readonly #fit: FitReconstruction
  readonly #services = new Map<string, Watched>()
  readonly #row: Float64Array
  readonly #scores: Scores = { point: 0, onset: 0, incident: 0, decision: Number.NaN }
  #maxBlocks = MAX_BLOCKS
  #grown = false
  #fits = 0
  /** New models that did worse than the running one on rows that neither had seen, and were not taken. */
  #refused = 0

  constructor(rules: ServiceSeriesRules, board: StepBoard, told?: ScoreSink, fit: FitReconstruction = RandomNet.fit) {
    this.#rules = rules
    this.#board = board
    this.#told = told
    this.#fit = fit
    this.#episodes = new Episodes(rules)
    this.#row = new Float64Array(rules.maxSeriesPerService)
    board.open({ maxServices: rules.maxServices, maxColumns: rules.maxSeriesPerService })
  }

  /** A window has ended. */
  close(endMs: number, emit: Emit): void {
    for (const [service, steps] of this.#board.services) {
      if (steps.gathered) this.#judge(service, steps, endMs, emit)
      else this.#miss(service, endMs, emit)
    }
    if (this.#grown) this.#makeRoom()
    this.#grown = false
    this.#refit(VALUES_PER_TICK, false)
  }

  /** Fits every service to all that has been seen of it, whether it is due or not: what has been played so far is what is normal. */
  fitNow(): void {
    this.#refit(Number.POSITIVE_INFINITY, true)
  }

  counts(): Readonly<Record<string, number>> {
    let modelled = 0
    let bytes = 0
    for (const { model, history } of this.#services.values()) {
      if (model !== undefined) modelled++
      bytes += history.bytes
    }
    return {
      modelled_services: modelled,
      model_fits: this.#fits,
      refused_models: this.#refused,
      history_bytes: bytes,
      refused_series: this.#board.refused,
    }
  }

  snapshot(to: SnapshotWriter): void {
    this.#board.snapshot(to)
    to.f64(this.#fits)
    to.f64(this.#refused)
    to.u32(this.#maxBlocks)
    to.u32(this.#services.size)
    for (const [name, service] of this.#services) {
      to.string(name)
      for (const value of [service.dueRows, service.fittedMs, service.judged, service.worstScore, service.seenMs]) to.f64(value)
      to.u8(service.settled ? 1 : 0)
      writeLevel(to, service.level)
      to.u32(service.worst.length)
      for (const sentence of service.worst) to.string(sentence)
      service.history.snapshot(to)
      to.u8(service.model === undefined ? 0 : 1)
      service.model?.snapshot(to)
    }
    this.#episodes.snapshot(to)
  }

  restore(from: SnapshotReader): void {
    const { maxSeriesPerService } = this.#rules
    this.#board.restore(from)
    this.#fits = from.f64()
    this.#refused = from.f64()
    this.#maxBlocks = from.u32()
    this.#services.clear()
    for (let left = from.count(50); left > 0; left--) {
      const name = from.string()
      const [dueRows, fittedMs, judged, worstScore, seenMs] = [from.f64(), from.f64(), from.f64(), from.f64(), from.f64()]
      const settled = from.u8() === 1
      const level = readLevel(from)
      const worst = Array.from({ length: from.count(4) }, () => from.string())
      const history = new StepHistory()
      history.restore(from)
      const model = from.u8() === 1 ? ServiceModel.restore(from) : undefined
      const service: Watched = { history, model, dueRows, settled, fittedMs, judged, level, worstScore, worst, seenMs }
      const columns = this.#board.services.get(name)?.columns.length ?? Number.POSITIVE_INFINITY
      // Fewer series are allowed now than when it was saved: columns that are left out cannot be told from those that stay.
      if (columns <= maxSeriesPerService) this.#services.set(name, service)
      else this.#board.forget(name)
    }
    this.#episodes.restore(from)
  }

  #judge(service: string, steps: ServiceSteps, timeMs: number, emit: Emit): void {
    let it = this.#services.get(service)
    if (it === undefined) {
      it = freshlyWatched()
      this.#services.set(service, it)
    }
    for (const column of steps.replaced.splice(0)) {
      it.history.clear(column)
      it.model?.drop(column)
    }
    const width = this.#board.take(steps, this.#row)
    if (it.model !== undefined) this.#score(service, it, it.model, steps, timeMs, emit)
    it.history.push(timeMs, this.#row, width, this.#maxBlocks)
    it.seenMs = timeMs
    if (it.history.rows % BLOCK_ROWS === 1) this.#grown = true
  }

  #score(service: string, it: Watched, model: ServiceModel, steps: ServiceSteps, timeMs: number, emit: Emit): void {
    const rules = this.#rules
    const score = model.judge(timeMs, this.#row)
    const warm = it.judged >= rules.warmUpWindows
    const { times } = it.level
    const limit = movementLimit(model.q99, times, rules.seriesThreshold)
    const ratio = Math.max(0, score / limit)
    if (ratio >= 1 && score > it.worstScore) {
      it.worstScore = score
      it.worst = this.#sentences(model, steps)
    }
    const worst = it.worst
    const observed = Math.max(0, score)
    const observation: Observation = {
      timeMs,
      observed,
      expected: it.level.usual,
      low: 0,
      high: limit,
      score: warm ? ratio : Number.NaN,
      direction: 'up',
      volume: it.judged,
    }
    const key = keyOf(service)
    this.#episodes.observe(
      key,
      subjectOf(service),
      observation,
      (o) => [
        `Its series do not move together as usual: ${o.observed.toFixed(1)} deviations, usually ${o.expected.toFixed(1)}, anomalous from ${o.high.toFixed(1)}.`,
        ...worst,
      ],
      emit,
      () =>
        reckoning('movement', [
          ['error', observed],
          ['99 % quantile', model.q99],
          ['usual level', times],
          ['threshold', rules.seriesThreshold],
          ...parts(model, steps),
        ]),
    )
    if (this.#told !== undefined) {
      const scores = this.#scores
      scores.point = score
      scores.onset = ratio
      scores.incident = ratio
      scores.decision = warm ? ratio : Number.NaN
      this.#told('service', service, timeMs, scores)
    }
    if (ratio < 1 && !this.#episodes.isOpen(key)) it.worstScore = 0
    follow(it.level, observed, model.q99, it.judged, warm && ratio >= 1)
    it.judged++
  }

  #miss(service: string, timeMs: number, emit: Emit): void {
    const it = this.#services.get(service)
    const silentMs = it === undefined ? 0 : timeMs - it.seenMs
    if (silentMs > this.#rules.windowMs * (this.#rules.closeAfter + 1)) this.#episodes.end(keyOf(service), timeMs, emit)
    if (silentMs < this.#rules.forgetAfterMs) return
    this.#episodes.forget(keyOf(service))
    this.#services.delete(service)
    this.#board.forget(service)
  }

  /** Which series, and what the others suggest of it. */
  #sentences(model: ServiceModel, steps: ServiceSteps): string[] {
    const { contributions, suggested, observed, columns } = model
    const sum = contributions.reduce((total, part) => total + part, 0)
    const order = Array.from(columns.keys()).sort((a, b) => contributions[b]! - contributions[a]! || a - b)
    const sentences: string[] = []
    for (const i of order.slice(0, NAMED)) {
      const share = contributions[i]! / sum
      if (!(share >= NAMED_SHARE)) break
      const { name, unit, base } = steps.columns[columns[i]!]!
      const of = unit === '' ? '' : ` ${unit}`
      sentences.push(
        `${name}: ${figure(observed[i]! + base)}${of} where the rest suggests ${figure(suggested[i]! + base)}${of} (${Math.round(share * 100)} % of the score).`,
      )
    }
    return sentences
  }

  /** Those that are due, oldest service first, as far as the tick allows. */
  #refit(values: number, all: boolean): void {
    let left = values
    for (const [name, it] of this.#services) {
      const { history } = it
      if (!all && !this.#isDue(name, it)) continue
      const columns = this.#board.services.get(name)?.columns
      const rows = history.kept
      if (columns === undefined || rows < FIRST_ROWS / 2) continue
      const cost = rows * columns.length * (all || it.model === undefined ? 1 : 2)
      if (left < values && cost > left) return
      left -= cost
      const { fittedMs } = it
      it.dueRows = Math.max(FIRST_ROWS, history.rows) * 2
      it.fittedMs = it.seenMs
      const model = this.#fitted(
        it,
        Float64Array.from(columns, (column) => column.base),
        all,
        fittedMs,
      )
      if (model === undefined) continue
      it.model = model
      it.level.times = 1
      it.settled ||= all || history.rows >= SETTLED_ROWS
      this.#fits++
    }
  }

  /** Undefined where there is nothing to learn from, or the running model is better. */
  #fitted(it: Watched, bases: Float64Array, unconditionally: boolean, fittedMs: number): ServiceModel | undefined {
    const { history, model: running } = it
    if (unconditionally || running === undefined) return ServiceModel.fit(history, bases, undefined, this.#fit)
    const candidate = ServiceModel.fit(history, bases, running, this.#fit, rowsBeforeTrial(history))
    if (candidate !== undefined && !passesTrial(running, candidate, history, fittedMs)) {
      this.#refused++
      return undefined
    }
    return ServiceModel.fit(history, bases, running, this.#fit)
  }

  #isDue(name: string, { settled, history, dueRows, seenMs, fittedMs }: Watched): boolean {
    return settled ? seenMs - fittedMs >= SETTLED_MS && !this.#episodes.isOpen(name) : history.rows >= dueRows
  }

  /** All services keep fewer rows when there is no room; not fewer than a model needs to be of use. */
  #makeRoom(): void {
    let bytes = 0
    for (const { history } of this.#services.values()) bytes += history.bytes
    const most = this.#rules.historyMegabytes * MEGABYTE
    while (bytes > most && this.#maxBlocks > MIN_BLOCKS) {
      this.#maxBlocks = Math.max(MIN_BLOCKS, this.#maxBlocks >> 1)
      bytes = 0
      for (const { history } of this.#services.values()) {
        history.thin(this.#maxBlocks)
        bytes += history.bytes
      }
    }
    if (bytes <= most) return
    // The last ones to come are the ones there is no room for: they begin anew when there is.
    for (const [name, { history }] of [...this.#services].reverse()) {
      if (bytes <= most) return
      bytes -= history.bytes
      this.#services.get(name)!.history.drop()
    }
  }
}

function freshlyWatched(): Watched {
  return {
    history: new StepHistory(),
    model: undefined,
    dueRows: FIRST_ROWS,
    settled: false,
    fittedMs: 0,
    judged: 0,
    level: freshLevel(0),
    worstScore: 0,
    worst: [],
    seenMs: 0,
  }
}

/** What each series added to the score, most first; named after series, so clipped. */
function parts({ contributions, columns }: ServiceModel, steps: ServiceSteps): (readonly [string, number])[] {
  const order = Array.from(columns.keys()).sort((a, b) => contributions[b]! - contributions[a]! || a - b)
  return order
    .slice(0, MOST_PARTS)
    .map((i) => [`part: ${oneLine(steps.columns[columns[i]!]!.name, MAX_PART_NAME)}`, contributions[i]!] as const)
}

/** The service itself is the key of the model of services in general: the ids of anomalies are made of keys. */
function keyOf(service: string): string {
  return `series\0${service}`
}

function subjectOf(service: string): Subject {
  return {
    detector: 'service',
    signal: 'metrics',
    service,
    instance: '',
    subject: 'how its series move together',
    symptom: 'other',
    unit: 'deviations',
    impact: false,
  }
}

function figure(value: number): string {
  return String(Number(value.toPrecision(3)))
}
