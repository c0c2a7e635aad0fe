/**
 * One thing whose requests are judged: all of a service's, one operation's, or one kind of call to something that sends no spans.
 * Windows with few requests are judged together with those before them, and nothing is concluded from a handful. What was anomalous
 * moves the baseline by a fraction only.
 */
import type { DetectorContext, Emit } from './detector.ts'
import type { Episodes, Observation, Subject } from './episode.ts'
import { countOf, Level, stabilised } from './level.ts'
import type { Feature } from './residuals.ts'
import { DurationSketch, errorSurprise, halfSlowSurprise, slowSurprise, surpriseZ, usualRatio } from './span-health.ts'
import type { SnapshotReader, SnapshotWriter } from './snapshot.ts'
import type { SpansConfig } from './spans-config.ts'

const LEARNT = 6
/** Requests that the memory of the error ratio holds. A window adds at most a twentieth of it, an anomalous one a two-thousandth. */
const ERROR_MEMORY = 2000
const MOST_LEARNT = 100
const MOST_LEARNT_ANOMALOUS = 1
/** Spreads that are never believed to be smaller: 10 % of a latency. */
const LATENCY_FLOOR = 0.1
const TRAFFIC_GONE = 0.1
const MAX_ERROR_SCORE = 50
/**
 * Where `minRequests` never come together the newest few are judged, out of at most so many windows: nearly all of them must be slow (five
 * of five have a surprise of 6.5, four of five 4.6), and by more than is asked of many.
 */
const FEW_REQUESTS = 5
const FEW_WINDOWS = 18
const FEW_SURPRISE = 5
const FEW_LEARNT = 2
const FEW_STRICTER = 0.5

export interface SpanTally {
  requests: number
  errors: number
  readonly durations: DurationSketch
  /** Whether one of them was a server span: only these have somebody outside who waits. */
  served: boolean
}

export interface SpansShared {
  readonly config: SpansConfig
  readonly board: DetectorContext['residuals']
  readonly episodes: Episodes
}

/** What is told about a subject, and to whom it matters. */
export interface Role {
  readonly service: string
  /** `POST /checkout`, `all requests`, `postgresql SELECT`. */
  readonly title: string
  /** What comes after the measure: ` (as seen by inventory)`. */
  readonly suffix: string
  readonly errors: Feature
  readonly latency: Feature
  /** Anomalies of errors and latency are told; else only residuals are written. */
  readonly tells: boolean
  readonly judgesTraffic: boolean
  /** By its name it waits on purpose: long polls, streams. */
  readonly waits: boolean
}

export class SpanSubject {
  lastMs = 0
  readonly #key: string
  readonly #shared: SpansShared
  readonly #p95 = new Level()
  readonly #median = new Level()
  readonly #traffic = new Level()
  #usualRequests = 0
  #usualErrors = 0
  #oddErrors = 0
  /** The last windows, oldest first. */
  #pieces: SpanTally[] = []
  /** Requests of windows that were too small to learn from, until they are enough together. */
  #waiting = newTally()

  constructor(key: string, shared: SpansShared) {
    this.#key = key
    this.#shared = shared
  }

  /** Whether what it does is wait: its latency is not judged as impact, nor counted with the rest of the service. */
  get isLongPoll(): boolean {
    return this.#median.count >= LEARNT && Math.exp(this.#median.location) >= this.#shared.config.longPollMs
  }

  close(startMs: number, tally: SpanTally | undefined, role: Role, warm: boolean, emit: Emit): void {
    const now = tally ?? newTally()
    if (tally !== undefined) this.lastMs = startMs
    this.#pieces.push(now)
    if (this.#pieces.length > Math.max(FEW_WINDOWS, this.#shared.config.combineWindows)) this.#pieces.shift()
    const combined = this.#combine(this.#shared.config.minRequests, this.#shared.config.combineWindows)
    this.#judgeErrors(startMs, now, combined, role, warm, emit)
    this.#judgeLatency(startMs, now, combined, role, warm, emit)
    if (role.judgesTraffic) this.#judgeTraffic(startMs, now, role, warm, emit)
  }

  forget(atMs: number, emit: Emit): void {
    for (const what of ['errors', 'latency', 'traffic']) {
      this.#shared.episodes.end(`${what}\0${this.#key}`, atMs, emit)
      this.#shared.episodes.forget(`${what}\0${this.#key}`)
    }
  }

  snapshot(to: SnapshotWriter): void {
    for (const value of [this.lastMs, this.#usualRequests, this.#usualErrors, this.#oddErrors]) to.f64(value)
    for (const level of [this.#p95, this.#median, this.#traffic]) level.snapshot(to)
    to.u32(this.#pieces.length)
    for (const piece of this.#pieces) writeTally(to, piece)
    writeTally(to, this.#waiting)
  }

  restore(from: SnapshotReader): void {
    this.lastMs = from.f64()
    this.#usualRequests = from.f64()
    this.#usualErrors = from.f64()
    this.#oddErrors = from.f64()
    for (const level of [this.#p95, this.#median, this.#traffic]) level.restore(from)
    this.#pieces = []
    for (let left = from.count(21); left > 0; left--) this.#pieces.push(readTally(from))
    this.#waiting = readTally(from)
  }

  /** The newest window and as many before it, up to `most`, as it takes to have enough requests. */
  #combine(enough: number, most: number): { readonly tally: SpanTally; readonly windows: number } {
    const newest = this.#pieces.at(-1)!
    if (newest.requests >= enough || this.#pieces.length === 1) return { tally: newest, windows: 1 }
    const sum = newTally()
    let windows = 0
    for (let i = this.#pieces.length - 1; i >= 0 && sum.requests < enough && windows < most; i--, windows++) addTally(sum, this.#pieces[i]!)
    return { tally: sum, windows }
  }

  #judgeErrors(startMs: number, now: SpanTally, combined: Combined, role: Role, warm: boolean, emit: Emit): void {
    const { config, board, episodes } = this.#shared
    const usual = usualRatio(this.#usualErrors, this.#usualRequests)
    const judge = ({ requests, errors }: SpanTally) => {
      const surprise = requests > 0 ? errorSurprise(errors, requests, this.#usualErrors, this.#usualRequests) : 0
      const ratio = requests > 0 ? errors / requests : 0
      const enough = errors >= config.errorMinRequests && ratio >= config.errorMinRatio && ratio >= 2 * usual
      return { surprise, ratio, score: Math.min(enough ? MAX_ERROR_SCORE : 0.5, surprise / config.errorThreshold) }
    }
    let { tally } = combined
    let verdict = judge(tally)
    if (warm && now.requests > 0) board.observe(role.service, role.errors, surpriseZ(verdict.surprise))
    // A trickle that one window cannot tell from luck shows over several; the newest must have it too, so that it ends when the fault does.
    if (verdict.score < 1 && verdict.ratio >= config.errorMinRatio && combined.windows < config.combineWindows) {
      const longer = this.#combine(Infinity, config.combineWindows).tally
      const longVerdict = judge(longer)
      if (longVerdict.score > verdict.score) [tally, verdict] = [longer, longVerdict]
    }
    const { requests, errors, served } = tally
    const { ratio } = verdict
    let { score } = verdict
    if (!warm || (now.requests === 0 && requests > 0)) score = NaN
    this.#learnErrors(now, score >= 1)
    const key = `errors\0${this.#key}`
    if (!role.tells || (errors === 0 && !episodes.isOpen(key) && !(score >= 1) && this.#usualErrors === 0)) return
    const high = Math.max(config.errorMinRatio, 2 * usual)
    const seen: Observation = { timeMs: startMs, observed: ratio, expected: usual, low: 0, high, score, direction: 'up', volume: requests }
    const explain = (worst: Observation): string[] => [
      `${percent(worst.observed)} of ${worst.volume} requests failed (${role.title}${role.suffix}); usual are ${percent(worst.expected)}.`,
    ]
    episodes.observe(key, this.#subject(role, 'error ratio', 'errors', 'ratio', served), seen, explain, emit)
  }

  #learnErrors(now: SpanTally, isAnomalous: boolean): void {
    const { config } = this.#shared
    this.#oddErrors = isAnomalous ? this.#oddErrors + 1 : 0
    if (this.#oddErrors * config.windowMs > config.absorbMs) {
      this.#usualErrors = this.#usualRequests = this.#oddErrors = 0
      for (const piece of this.#pieces) {
        this.#usualErrors += piece.errors
        this.#usualRequests += piece.requests
      }
    }
    if (now.requests === 0) return
    const weight = Math.min(1, (isAnomalous ? MOST_LEARNT_ANOMALOUS : MOST_LEARNT) / now.requests)
    this.#usualErrors += now.errors * weight
    this.#usualRequests += now.requests * weight
    if (this.#usualRequests > ERROR_MEMORY) {
      this.#usualErrors *= ERROR_MEMORY / this.#usualRequests
      this.#usualRequests = ERROR_MEMORY
    }
  }

  #judgeLatency(startMs: number, now: SpanTally, combined: Combined, role: Role, warm: boolean, emit: Emit): void {
    const { config, board, episodes } = this.#shared
    const { durations, served } = combined.tally
    const key = `latency\0${this.#key}`
    if (durations.count < config.minRequests && durations.count > 0) {
      this.#judgeFew(startMs, now, role, warm, emit)
      return
    }
    this.#waiting = newTally()
    if (durations.count < config.minRequests || now.durations.count === 0) {
      // Too few to say; when it stays so, what was open is over.
      if (!episodes.isOpen(key)) return
      const score = durations.count < config.minRequests / 2 ? 0 : NaN
      const expected = Math.exp(this.#p95.location)
      const seen: Observation = {
        timeMs: startMs,
        observed: expected,
        expected,
        low: 0,
        high: expected,
        score,
        direction: 'up',
        volume: durations.count,
      }
      episodes.observe(key, this.#subject(role, 'latency p95', 'latency', 'ms', served && !role.waits && !this.isLongPoll), seen, few, emit)
      return
    }
    const p95 = Math.max(0.001, durations.quantile(0.95))
    const median = Math.max(0.001, durations.quantile(0.5))
    const judged = warm && this.#p95.count >= LEARNT
    const usualP95 = Math.exp(this.#p95.location)
    const usualMedian = Math.exp(this.#median.location)
    const p95Z = this.#p95.z(Math.log(p95), LATENCY_FLOOR)
    const medianZ = this.#median.z(Math.log(median), LATENCY_FLOOR)
    if (judged) board.observe(role.service, role.latency, Math.abs(medianZ) > Math.abs(p95Z) ? medianZ : p95Z)
    const high = usualP95 * Math.max(config.latencyMinRatio, Math.exp(config.latencyThreshold * this.#p95.spread(LATENCY_FLOOR)))
    const many = slowSurprise(durations.countAbove(usualP95 * config.latencyMinRatio), durations.count) / config.latencySurprise
    const half = halfSlowSurprise(durations.countAbove(usualMedian * config.latencyMinRatio), durations.count) / config.latencySurprise
    let worse = Math.max(Math.min(many, this.#slowness(p95, usualP95, p95Z)), Math.min(half, this.#slowness(median, usualMedian, medianZ)))
    // Windows that are judged together share requests: what opens an anomaly must have happened in the newest one too.
    if (!episodes.isOpen(key) && now.durations.countAbove(usualP95 * config.latencyMinRatio) === 0) worse = Math.min(worse, 0.5)
    const score = judged ? worse : NaN
    const absorbAfter = config.absorbMs / config.windowMs
    this.#p95.learn(Math.log(p95), LATENCY_FLOOR, score >= 1, absorbAfter)
    this.#median.learn(Math.log(median), LATENCY_FLOOR, score >= 1, absorbAfter)
    if (!role.tells) return
    const seen: Observation = {
      timeMs: startMs,
      observed: p95,
      expected: judged ? usualP95 : p95,
      low: 0,
      high: judged ? high : p95,
      score,
      direction: 'up',
      volume: durations.count,
    }
    const explain = (worst: Observation): string[] => [
      `95 % of ${worst.volume} requests took up to ${milliseconds(worst.observed)} (${role.title}${role.suffix}); ${milliseconds(worst.expected)} were expected.`,
      `Their median is ${milliseconds(median)} now; usual are ${milliseconds(usualMedian)}.`,
    ]
    episodes.observe(
      key,
      this.#subject(role, 'latency p95', 'latency', 'ms', served && !role.waits && !this.isLongPoll),
      seen,
      explain,
      emit,
    )
  }

  /** As `#judgeLatency`, by what the newest few say. They are learnt from when enough of them have come together. */
  #judgeFew(startMs: number, now: SpanTally, role: Role, warm: boolean, emit: Emit): void {
    const { config, episodes } = this.#shared
    if (now.durations.count === 0) return
    const { durations, served } = this.#combine(FEW_REQUESTS, FEW_WINDOWS).tally
    const usualP95 = Math.exp(this.#p95.location)
    const median = Math.max(0.001, durations.quantile(0.5))
    const p95 = Math.max(0.001, durations.quantile(0.95))
    const judged = warm && this.#p95.count >= FEW_LEARNT && durations.count >= FEW_REQUESTS
    const slow = slowSurprise(durations.countAbove(usualP95 * config.latencyMinRatio), durations.count) / FEW_SURPRISE
    const usualMedian = Math.exp(this.#median.location)
    const far = this.#slowness(median, usualMedian, this.#median.z(Math.log(median), LATENCY_FLOOR))
    const score = judged ? Math.min(slow, FEW_STRICTER * far) : NaN
    addTally(this.#waiting, now)
    if (this.#waiting.durations.count >= config.minRequests) {
      const absorbAfter = config.absorbMs / config.windowMs
      for (const [level, q] of [[this.#p95, 0.95] as const, [this.#median, 0.5] as const])
        level.learn(Math.log(Math.max(0.001, this.#waiting.durations.quantile(q))), LATENCY_FLOOR, score >= 1, absorbAfter)
      this.#waiting = newTally()
    }
    if (!role.tells) return
    const seen: Observation = {
      timeMs: startMs,
      observed: p95,
      expected: judged ? usualP95 : p95,
      low: 0,
      high: judged ? usualP95 * config.latencyMinRatio : p95,
      score,
      direction: 'up',
      volume: durations.count,
    }
    const explain = (worst: Observation): string[] => [
      `Of few requests nearly all were slow: the newest ${worst.volume} took up to ${milliseconds(worst.observed)} (${role.title}${role.suffix}); 95 % usually take up to ${milliseconds(worst.expected)}.`,
    ]
    episodes.observe(
      `latency\0${this.#key}`,
      this.#subject(role, 'latency p95', 'latency', 'ms', served && !role.waits && !this.isLongPoll),
      seen,
      explain,
      emit,
    )
  }

  /** All three must hold: far out, markedly longer, and by an amount that somebody can notice. */
  #slowness(ms: number, usualMs: number, zScore: number): number {
    const { latencyThreshold, latencyMinRatio, latencyMinIncreaseMs } = this.#shared.config
    const byRatio = Math.log(ms / usualMs) / Math.log(latencyMinRatio)
    const byIncrease = latencyMinIncreaseMs > 0 ? (ms - usualMs) / latencyMinIncreaseMs : Infinity
    return Math.max(0, Math.min(zScore / latencyThreshold, byRatio, byIncrease))
  }

  #judgeTraffic(startMs: number, now: SpanTally, role: Role, warm: boolean, emit: Emit): void {
    const { config, board, episodes } = this.#shared
    const value = stabilised(now.requests)
    const usual = countOf(this.#traffic.location)
    const distance = this.#traffic.z(value, 1)
    const judged = warm && this.#traffic.count >= LEARNT
    if (judged) board.observe(role.service, 'traffic', distance)
    const gone = now.requests <= TRAFFIC_GONE * usual
    const score = judged ? Math.min(gone ? Infinity : 0.5, Math.max(0, -distance / config.trafficThreshold)) : NaN
    this.#traffic.learn(value, 1, score >= 1, config.absorbMs / config.windowMs)
    const perSecond = 1000 / config.windowMs
    const seen: Observation = {
      timeMs: startMs,
      observed: now.requests * perSecond,
      expected: usual * perSecond,
      low: TRAFFIC_GONE * usual * perSecond,
      high: Infinity,
      score,
      direction: 'down',
      volume: now.requests,
    }
    const explain = (worst: Observation): string[] => [
      `${role.service} served ${worst.volume} requests in ${config.windowMs / 1000} s; about ${Math.round(worst.expected / perSecond)} were expected.`,
    ]
    episodes.observe(`traffic\0${this.#key}`, this.#subject(role, 'rate', 'traffic', 'requests/s', false), seen, explain, emit)
  }

  #subject(role: Role, measure: string, symptom: Subject['symptom'], unit: string, impact: boolean): Subject {
    return {
      detector: 'spans',
      signal: 'spans',
      service: role.service,
      instance: '',
      subject: `${role.title} ${measure}${role.suffix}`,
      symptom,
      unit,
      impact,
    }
  }
}

type Combined = { readonly tally: SpanTally; readonly windows: number }

export function newTally(): SpanTally {
  return { requests: 0, errors: 0, durations: new DurationSketch(), served: false }
}

/** Adds the second to the first. */
export function addTally(to: SpanTally, from: SpanTally): void {
  to.requests += from.requests
  to.errors += from.errors
  to.served ||= from.served
  to.durations.merge(from.durations)
}

export function writeTally(to: SnapshotWriter, tally: SpanTally): void {
  to.f64(tally.requests)
  to.f64(tally.errors)
  to.u8(tally.served ? 1 : 0)
  tally.durations.snapshot(to)
}

export function readTally(from: SnapshotReader): SpanTally {
  const tally = newTally()
  tally.requests = from.f64()
  tally.errors = from.f64()
  tally.served = from.u8() === 1
  tally.durations.restore(from)
  return tally
}

function few(): string[] {
  return ['There are too few requests to judge it further.']
}

function percent(ratio: number): string {
  const value = ratio * 100
  return `${value < 10 ? Math.round(value * 10) / 10 : Math.round(value)} %`
}

function milliseconds(ms: number): string {
  if (ms >= 10_000) return `${Math.round(ms / 100) / 10} s`
  return ms >= 10 ? `${Math.round(ms)} ms` : `${Math.round(ms * 100) / 100} ms`
}
