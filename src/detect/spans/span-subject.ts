/**
 * One thing whose requests are judged: all of a service's, one operation's, or one kind of call to something that sends no spans.
 * Windows with few requests are judged together with those before them, and nothing is concluded from a handful. What was anomalous
 * moves the baseline by a fraction only.
 */
import type { Emit } from '../detector.ts'
import type { Observation } from '../episode.ts'
import { ErrorHistory, SLOW_MS } from './error-history.ts'
import { JobSchedule } from './job-schedule.ts'
import { Level } from '../level.ts'
import { Precedent } from './precedent.ts'
import { halfSlowSurprise, slowSurprise, surpriseZ } from './span-health.ts'
import { errorSurpriseScore, reckoning, slowness, weeksOfSurprise } from '../reckon.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import { LEARNT, subjectOf, surpriseNeeded } from './span-role.ts'
import type { Role, SpansShared } from './span-role.ts'
import { addTally, newTally, readTally, writeTally } from './span-tally.ts'
import type { SpanTally } from './span-tally.ts'
import { SpanTraffic } from './span-traffic.ts'

/** Spreads that are never believed to be smaller: 7 % of a latency. */
const LATENCY_FLOOR = 0.07
/** Of a logarithm: a latency that was as long yesterday and the day before, give or take a quarter, is that hour's. */
const PRECEDENT_SLACK = 0.25
const MAX_ERROR_SCORE = 50
/** Errors that must have been possible lately for their absence to say that it is over. */
const EXPECTED_ERRORS = 2
/**
 * Where `minRequests` never come together the newest few are judged, out of at most so many windows: nearly all of them must be slow (five
 * of five have a surprise of 6.5, four of five 4.6), and by more than is asked of many.
 */
const FEW_REQUESTS = 5
const FEW_WINDOWS = 18
const FEW_SURPRISE = 5
const FEW_LEARNT = 2
const FEW_STRICTER = 0.5
/** Times of a long poll: nobody waits so long for an answer. */
const STREAM_POLLS = 6
/** p95 by median of what always takes the same time, and what it then takes: timeouts are round. */
const CONSTANT = 1.06
const ROUND_MS = [1000, 2000, 5000, 10_000]
const ROUND_SLACK = 0.04
/** A schedule is kept for so many of its distances. */
const SCHEDULE_KEPT = 3

export class SpanSubject {
  lastMs = 0
  readonly #key: string
  readonly #shared: SpansShared
  readonly #p95 = new Level()
  readonly #median = new Level()
  readonly #slowHours = new Precedent()
  readonly #history: ErrorHistory
  readonly #traffic: SpanTraffic
  readonly #schedule = new JobSchedule()
  #oddErrors = 0
  #told = false
  /** Subjects of the service that are watched with it. */
  #watched = 1
  /** The last windows, oldest first. */
  #pieces: SpanTally[] = []
  /** Requests of windows that were too small to learn from, until they are enough together. */
  #waiting = newTally()

  constructor(key: string, shared: SpansShared) {
    this.#key = key
    this.#shared = shared
    this.#history = new ErrorHistory(shared.config.windowMs)
    this.#traffic = new SpanTraffic(key, shared)
  }

  /**
   * Whether what it does is wait, by the shape of its durations: long ones as a rule (a long poll), many of minutes (a stream), or nearly all
   * as long as one another and a round time (a poll that nothing answers). Its latency is not judged as impact, nor counted with the rest.
   */
  get isLongPoll(): boolean {
    if (this.#median.count < LEARNT) return false
    const { longPollMs } = this.#shared.config
    const medianMs = Math.exp(this.#median.location)
    const p95Ms = Math.exp(this.#p95.location)
    return medianMs >= longPollMs || p95Ms >= STREAM_POLLS * longPollMs || (p95Ms <= medianMs * CONSTANT && isRound(medianMs))
  }

  /** Until when it is expected to be silent: a job that runs once a day is not forgotten in between. */
  get silentUntilMs(): number {
    return this.lastMs + (this.#schedule.isRegular ? SCHEDULE_KEPT * this.#schedule.intervalMs : 0)
  }

  close(startMs: number, tally: SpanTally | undefined, role: Role, warm: boolean, watched: number, emit: Emit): void {
    const now = tally ?? newTally()
    if (tally !== undefined) this.lastMs = startMs
    if (this.#told && !role.tells) this.forget(startMs, emit)
    this.#told = role.tells
    this.#watched = watched
    this.#pieces.push(now)
    if (this.#pieces.length > Math.max(FEW_WINDOWS, this.#shared.config.combineWindows)) this.#pieces.shift()
    const combined = this.#combine(this.#shared.config.minRequests, this.#shared.config.combineWindows)
    this.#judgeErrors(startMs, now, combined, role, warm, emit)
    this.#judgeLatency(startMs, now, combined, role, warm, emit)
    if (role.judgesTraffic) this.#traffic.judge(startMs, now.requests, role, warm, emit)
    else this.#judgeSchedule(startMs, tally, role, emit)
  }

  forget(atMs: number, emit: Emit): void {
    for (const what of ['errors', 'latency', 'schedule']) {
      this.#shared.episodes.end(`${what}\0${this.#key}`, atMs, emit)
      this.#shared.episodes.forget(`${what}\0${this.#key}`)
    }
    this.#traffic.forget(atMs, emit)
  }

  snapshot(to: SnapshotWriter): void {
    for (const value of [this.lastMs, this.#oddErrors, this.#told ? 1 : 0]) to.f64(value)
    for (const level of [this.#p95, this.#median]) level.snapshot(to)
    this.#traffic.snapshotLevel(to)
    to.u32(this.#pieces.length)
    for (const piece of this.#pieces) writeTally(to, piece)
    writeTally(to, this.#waiting)
    for (const part of [this.#history, this.#slowHours, this.#traffic, this.#schedule]) part.snapshot(to)
  }

  restore(from: SnapshotReader): void {
    this.lastMs = from.f64()
    const isOld = from.version < 3
    if (isOld) {
      const requests = from.f64()
      this.#history.restart(from.f64(), requests)
    }
    this.#oddErrors = from.f64()
    if (!isOld) this.#told = from.f64() === 1
    for (const level of [this.#p95, this.#median]) level.restore(from)
    this.#traffic.restoreLevel(from)
    this.#pieces = []
    for (let left = from.count(21); left > 0; left--) this.#pieces.push(readTally(from))
    this.#waiting = readTally(from)
    if (!isOld) for (const part of [this.#history, this.#slowHours, this.#traffic, this.#schedule]) part.restore(from)
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
    const history = this.#history
    const { usual } = history
    history.count(now.errors, now.requests)
    let worst = this.#errorVerdict(combined.tally, combined.windows)
    if (warm && now.requests > 0) board.observe(role.service, role.errors, surpriseZ(worst.surprise))
    if (worst.score < 1 && warm && history.mayBeMore(config.errorMinRequests, config.errorMinRatio)) {
      const lately = this.#combine(Infinity, config.combineWindows)
      // A trickle that one window cannot tell from luck shows over several; the newest must have it too, so that it ends when the fault does.
      if (worst.ratio >= config.errorMinRatio && combined.windows < config.combineWindows)
        worst = worse(worst, this.#errorVerdict(lately.tally, lately.windows))
      for (let scale = 0; scale < SLOW_MS.length; scale++) {
        const slow = this.#errorVerdict(history.recent(scale), (2 * SLOW_MS[scale]!) / config.windowMs)
        if (slow.score <= worst.score) continue
        // As few of the newest as tell whether it goes on, so that it ends when the fault does.
        const ratio = Math.max(slow.ratio, ratioOf(lately.tally))
        const newest = this.#combine(EXPECTED_ERRORS / ratio, config.combineWindows).tally
        const expected = ratio * newest.requests
        const goesOn = expected < EXPECTED_ERRORS ? history.goesOn(ratio) : newest.errors * 2 >= expected
        if (goesOn) worst = slow
      }
    }
    const { requests, errors, ratio, windows } = worst
    let { score } = worst
    const served = combined.tally.served
    if (!warm || (now.requests === 0 && requests > 0)) score = NaN
    this.#learnErrors(now, score >= 1)
    const key = `errors\0${this.#key}`
    if (!role.tells || (errors === 0 && !episodes.isOpen(key) && !(score >= 1) && history.errors === 0)) return
    const high = Math.max(config.errorMinRatio, 2 * usual)
    const volume = Math.round(requests)
    const seen: Observation = { timeMs: startMs, observed: ratio, expected: usual, low: 0, high, score, direction: 'up', volume }
    const explain = (told: Observation): string[] => [
      `${percent(told.observed)} of ${told.volume} requests failed (${role.title}${role.suffix}); usual are ${percent(told.expected)}.`,
    ]
    const reckon = () =>
      reckoning(
        'error-surprise',
        [
          ['errors', errors],
          ['requests', requests],
          ['errors before', usual * worst.weight],
          ['successes before', (1 - usual) * worst.weight],
          ['surprise needed', worst.needed],
          ['cap', MAX_ERROR_SCORE],
        ],
        weeksOfSurprise(worst.surprise, config.windowMs * windows),
      )
    episodes.observe(key, subjectOf(role, 'error ratio', 'errors', 'ratio', served), seen, explain, emit, reckon)
  }

  #errorVerdict({ requests, errors }: { readonly requests: number; readonly errors: number }, windows: number): ErrorVerdict {
    const { config } = this.#shared
    const ratio = requests > 0 ? errors / requests : 0
    const { weight } = this.#history
    const surprise = requests > 0 ? this.#history.surprise(errors, requests, weight) : 0
    const enough = errors >= config.errorMinRequests && ratio >= config.errorMinRatio && ratio >= 2 * this.#history.usual
    const needed = Math.max(config.errorThreshold, surpriseNeeded(config, this.#watched, windows))
    const score = errorSurpriseScore(surprise, needed, enough ? MAX_ERROR_SCORE : 0.5)
    return { requests, errors, ratio, surprise, score, weight, needed, windows }
  }

  #learnErrors(now: SpanTally, isAnomalous: boolean): void {
    const { config } = this.#shared
    // What is over must not be told again when few requests are left to outweigh it.
    if (!isAnomalous && this.#oddErrors > 0) this.#history.forgetRecent()
    this.#oddErrors = isAnomalous ? this.#oddErrors + 1 : 0
    if (this.#oddErrors * config.windowMs > config.absorbMs) {
      this.#oddErrors = 0
      const lately = this.#combine(Infinity, Infinity).tally
      this.#history.restart(lately.errors, lately.requests)
    }
    this.#history.learn(now.errors, now.requests, isAnomalous)
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
      episodes.observe(key, subjectOf(role, 'latency p95', 'latency', 'ms', served && !role.waits && !this.isLongPoll), seen, few, emit)
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
    const needed = Math.max(config.latencySurprise, surpriseNeeded(config, this.#watched, combined.windows))
    const slower = durations.countAbove(usualP95 * config.latencyMinRatio)
    const slowerHalf = durations.countAbove(usualMedian * config.latencyMinRatio)
    const many = slowSurprise(slower, durations.count) / needed
    const half = halfSlowSurprise(slowerHalf, durations.count) / needed
    let worse = Math.max(Math.min(many, this.#slowness(p95, usualP95, p95Z)), Math.min(half, this.#slowness(median, usualMedian, medianZ)))
    // Windows that are judged together share requests: what opens an anomaly must have happened in the newest one too.
    if (!episodes.isOpen(key) && now.durations.countAbove(usualP95 * config.latencyMinRatio) === 0) worse = Math.min(worse, 0.5)
    if (judged && worse >= 1) {
      const isUsual = this.#slowHours.isUsual(startMs, Math.log(p95), PRECEDENT_SLACK)
      this.#slowHours.remember(startMs, Math.log(p95))
      if (isUsual) worse = 0.5
    }
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
    const reckon = () =>
      reckoning(
        'slow',
        [
          ['requests', durations.count],
          ['p95 (ms)', p95],
          ['usual p95 (ms)', usualP95],
          ['p95 distance', p95Z],
          ['slower than usual p95', slower],
          ['median (ms)', median],
          ['usual median (ms)', usualMedian],
          ['median distance', medianZ],
          ['slower than usual median', slowerHalf],
          ['surprise needed', needed],
          ...this.#latencyRules(),
        ],
        weeksOfSurprise(score * needed, config.windowMs * combined.windows),
      )
    episodes.observe(
      key,
      subjectOf(role, 'latency p95', 'latency', 'ms', served && !role.waits && !this.isLongPoll),
      seen,
      explain,
      emit,
      reckon,
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
    const slower = durations.countAbove(usualP95 * config.latencyMinRatio)
    const slow = slowSurprise(slower, durations.count) / FEW_SURPRISE
    const usualMedian = Math.exp(this.#median.location)
    const medianZ = this.#median.z(Math.log(median), LATENCY_FLOOR)
    const far = this.#slowness(median, usualMedian, medianZ)
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
    const reckon = () =>
      reckoning('few-slow', [
        ['requests', durations.count],
        ['slower than usual p95', slower],
        ['surprise needed', FEW_SURPRISE],
        ['median (ms)', median],
        ['usual median (ms)', usualMedian],
        ['median distance', medianZ],
        ['strictness', FEW_STRICTER],
        ...this.#latencyRules(),
      ])
    episodes.observe(
      `latency\0${this.#key}`,
      subjectOf(role, 'latency p95', 'latency', 'ms', served && !role.waits && !this.isLongPoll),
      seen,
      explain,
      emit,
      reckon,
    )
  }

  #latencyRules(): (readonly [string, number])[] {
    const { latencyThreshold, latencyMinRatio, latencyMinIncreaseMs } = this.#shared.config
    return [
      ['threshold', latencyThreshold],
      ['least ratio', latencyMinRatio],
      ['least increase (ms)', latencyMinIncreaseMs],
    ]
  }

  /** All three must hold: far out, markedly longer, and by an amount that somebody can notice. */
  #slowness(ms: number, usualMs: number, zScore: number): number {
    const { latencyThreshold, latencyMinRatio, latencyMinIncreaseMs } = this.#shared.config
    return slowness(ms, usualMs, zScore, latencyThreshold, latencyMinRatio, latencyMinIncreaseMs)
  }

  /** Work that nobody calls for and that comes at equal distances: a run that is due and does not come is told. */
  #judgeSchedule(startMs: number, tally: SpanTally | undefined, role: Role, emit: Emit): void {
    const { config, episodes } = this.#shared
    const schedule = this.#schedule
    const key = `schedule\0${this.#key}`
    if (tally !== undefined && tally.requests > 0) {
      if (tally.served || !role.isWork) return
      schedule.ran(startMs, config.windowMs)
      if (!episodes.isOpen(key)) return
      episodes.end(key, startMs, emit)
      episodes.forget(key)
      return
    }
    const lateness = schedule.lateness(startMs, config.windowMs)
    if (lateness < 1) return
    const seen: Observation = {
      timeMs: startMs,
      observed: 0,
      expected: 60_000 / schedule.intervalMs,
      low: 60_000 / schedule.intervalMs,
      high: Infinity,
      score: 1,
      direction: 'down',
      volume: Math.floor((startMs - schedule.lastMs) / schedule.intervalMs),
    }
    const explain = (worst: Observation): string[] => [
      `${role.title} ran every ${seconds(schedule.intervalMs)} and last at ${new Date(schedule.lastMs).toISOString()}: ${worst.volume === 1 ? 'a run is' : `${worst.volume} runs are`} missing.`,
    ]
    const reckon = () =>
      reckoning('missed-run', [
        ['lateness', lateness],
        ['runs every (s)', schedule.intervalMs / 1000],
        ['since the last run (s)', (startMs - schedule.lastMs) / 1000],
      ])
    episodes.observe(key, subjectOf(role, 'runs', 'traffic', 'runs/min', false), seen, explain, emit, reckon)
  }
}

type Combined = { readonly tally: SpanTally; readonly windows: number }

interface ErrorVerdict {
  readonly requests: number
  readonly errors: number
  readonly ratio: number
  readonly surprise: number
  readonly score: number
  /** Of what was known of its errors, in requests. */
  readonly weight: number
  readonly needed: number
  readonly windows: number
}

function ratioOf({ requests, errors }: { readonly requests: number; readonly errors: number }): number {
  return requests > 0 ? errors / requests : 0
}

function worse(one: ErrorVerdict, other: ErrorVerdict): ErrorVerdict {
  return other.score > one.score ? other : one
}

function isRound(ms: number): boolean {
  for (const roundMs of ROUND_MS) if (Math.abs(ms / roundMs - 1) <= ROUND_SLACK) return true
  return false
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

function seconds(ms: number): string {
  return ms >= 120_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 1000)} s`
}
