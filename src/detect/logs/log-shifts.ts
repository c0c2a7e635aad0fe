/**
 * What changes inside lines that come as often as ever: numbers that grow (durations, sizes), statuses that turn into server errors, and a
 * template that is now logged at a worse severity. Few at a time per service; each ends when it is as before, or with its lines.
 */
import type { Reckoning } from '../../model.ts'
import type { Emit } from '../detector.ts'
import type { Echoes } from './log-echoes.ts'
import type { Habit } from './log-habits.ts'
import type { Observation, Reckon } from '../episode.ts'
import { POSITIONS, type TemplateTally } from './log-tally.ts'
import type { LogsShared, ServiceVoice } from './log-voice.ts'
import { example, figure, ordinal, rarity } from './log-wording.ts'
import { MAX_SCORE, reckoning, shareScore, weeksOfScore } from '../reckon.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import { MOST_SCORE, type ValueJudgement } from './template-values.ts'

/** Windows with it before a template's numbers are watched. */
const FREQUENT_WINDOWS = 12
/** Lines whose severity is judged together. */
const SEVERITY_LINES = 3
const SEVERITY_MEMORY = 1000
const ODD_WEIGHT = 0.02
/** An open anomaly whose lines have not come for so long is over. */
const STALE_MS = 600_000
const SEVERITY = POSITIONS

export class LineShifts {
  readonly #voice: ServiceVoice
  readonly #shared: LogsShared
  readonly #echoes: Echoes
  readonly #habit: Habit
  /** Open or building up: when it was last looked at, by slot and what of it. */
  readonly #watched = new Map<number, number>()
  #valued = 0

  constructor(voice: ServiceVoice, shared: LogsShared, echoes: Echoes, firstMs: number) {
    this.#voice = voice
    this.#shared = shared
    this.#echoes = echoes
    this.#habit = voice.habit(firstMs)
  }

  look(slot: number, tally: TemplateTally, startMs: number, warm: boolean, templates: number, emit: Emit): void {
    this.#lookAtSeverity(slot, tally, startMs, warm, templates, emit)
    const { values, table, config } = this.#shared
    if (tally.numbers === undefined) return
    if (!values.has(slot)) {
      if (table.c.windows[slot]! < FREQUENT_WINDOWS || this.#valued >= config.maxValuesPerService) return
      values.watch(slot)
      this.#valued++
    }
    const everyMs = config.windowMs * Math.max(1, table.c.gapMean[slot]!)
    const nats = this.#voice.nats(everyMs, Math.min(templates, config.maxValuesPerService))
    const judged = values.take(slot, tally, nats)
    for (let i = 0; i < judged; i++) this.#tellValue(slot, tally, values.judged[i]!, startMs, warm, nats, emit)
  }

  /** At the end of a window: what is open but was not looked at for long has gone with its lines. */
  sweep(startMs: number, emit: Emit): void {
    for (const [code, lastMs] of this.#watched) if (startMs - lastMs > STALE_MS) this.#end(code, startMs, emit)
  }

  /** The template is no longer followed. */
  drop(slot: number, atMs: number, emit: Emit): void {
    for (let part = 0; part <= SEVERITY; part++) this.#end(slot * (SEVERITY + 1) + part, atMs, emit)
    if (this.#shared.values.has(slot)) this.#valued--
    this.#shared.values.forget(slot)
  }

  snapshot(to: SnapshotWriter): void {
    to.f64(this.#valued)
    this.#habit.snapshot(to)
    to.column(Float64Array.from(this.#watched.keys()))
    to.column(Float64Array.from(this.#watched.values()))
  }

  restore(from: SnapshotReader): void {
    this.#valued = from.f64()
    this.#habit.restore(from)
    const codes = from.f64s()
    const times = from.f64s()
    for (let i = 0; i < codes.length; i++) this.#watched.set(codes[i]!, times[i]!)
  }

  #tellValue(
    slot: number,
    tally: TemplateTally,
    one: Readonly<ValueJudgement>,
    startMs: number,
    warm: boolean,
    nats: number,
    emit: Emit,
  ): void {
    const { position, isStatus, observed, expected, high, lines } = one
    const code = slot * (SEVERITY + 1) + position
    const key = `${this.#voice.key('value', slot)}\0${position}`
    let score = warm ? one.score : 0
    if (score >= 1 && this.#echoes.isEcho(key, startMs, isStatus ? observed : observed / Math.max(1e-9, expected))) score = 0
    if (!this.#isWatched(code, score, startMs)) return
    const { config } = this.#shared
    const seen: Observation = { timeMs: startMs, observed, expected, low: 0, high, score, direction: 'up', volume: lines }
    const explain = (worst: Observation): string[] => [
      isStatus
        ? `${figure(worst.observed * 100)} % of the last ${worst.volume} of these lines of ${this.#voice.name} had a status of 500 or more, ${figure(worst.expected * 100)} % were expected: "${this.#voice.text(slot)}"`
        : `The ${ordinal(position)} number in this line of ${this.#voice.name} was ${figure(worst.observed)} (median of ${worst.volume} lines), ${figure(worst.expected)} was expected: "${this.#voice.text(slot)}"`,
      rarity(worst.score, nats, config.falseAlarmsPerWeek),
      example(tally.example),
      ...this.#voice.deploy(worst.timeMs),
    ]
    const subject = isStatus
      ? `server errors in log line: ${this.#voice.text(slot)}`
      : `${ordinal(position)} number in log line: ${this.#voice.text(slot)}`
    const reckon = () => {
      const weeks = weeksOfScore(score, nats, config.falseAlarmsPerWeek)
      if (!isStatus) {
        const { spread, previousZ, threshold, least } = one
        return reckoning(
          'value-shift',
          [
            ['observed', observed],
            ['expected', expected],
            ['spread', spread],
            ['distance before', previousZ],
            ['threshold', threshold],
            ['least score', least],
          ],
          weeks,
        )
      }
      return shareReckoning(Math.round(observed * lines), lines, one.failedBefore, one.passedBefore, nats, MOST_SCORE, 0, weeks)
    }
    this.#observe(code, key, this.#voice.subject(subject, isStatus ? 'ratio' : ''), seen, explain, emit, reckon)
  }

  #lookAtSeverity(slot: number, tally: TemplateTally, startMs: number, warm: boolean, templates: number, emit: Emit): void {
    const { c } = this.#shared.table
    if (tally.severity === 0) return
    const lines = c.pending[slot]! + tally.lines
    const errors = c.pendingErrors[slot]! + tally.errors
    const complaints = c.pendingComplaints[slot]! + tally.errors + tally.warnings
    const isEnough = lines >= SEVERITY_LINES
    c.pending[slot] = isEnough ? 0 : lines
    c.pendingErrors[slot] = isEnough ? 0 : errors
    c.pendingComplaints[slot] = isEnough ? 0 : complaints
    if (!isEnough) return
    const { config } = this.#shared
    const recent = c.recent[slot]!
    const nats = this.#voice.nats(config.windowMs * Math.max(1, c.gapMean[slot]!), templates)
    let worse = errors
    let before = c.recentErrors[slot]!
    const complaintsBefore = c.recentComplaints[slot]!
    let strange = shareScore(errors, lines, before + 0.5, Math.max(0, recent - before) + 0.5, nats)
    const ofComplaints = shareScore(complaints, lines, complaintsBefore + 0.5, Math.max(0, recent - complaintsBefore) + 0.5, nats)
    const isError = strange >= ofComplaints
    if (!isError) {
      worse = complaints
      before = complaintsBefore
      strange = ofComplaints
    }
    const code = slot * (SEVERITY + 1) + SEVERITY
    const isOpen = this.#watched.has(code)
    let score = warm && recent >= SEVERITY_LINES && worse >= SEVERITY_LINES ? strange : 0
    // Once told it lasts until the share is half way back.
    const lasts = isOpen && worse / lines > (1 + before / Math.max(1, recent)) / 2
    if (lasts) score = Math.max(1, score)
    const weight = score >= 1 ? ODD_WEIGHT : 1
    const kept = Math.min(1, SEVERITY_MEMORY / (recent + lines))
    c.recent[slot] = (recent + weight * lines) * kept
    c.recentErrors[slot] = (c.recentErrors[slot]! + weight * errors) * kept
    c.recentComplaints[slot] = (c.recentComplaints[slot]! + weight * complaints) * kept
    if (!isOpen && !(score >= 1)) return
    if (!this.#isWatched(code, score, startMs)) return
    const share = recent > 0 ? before / recent : 0
    const seen: Observation = {
      timeMs: startMs,
      observed: worse / lines,
      expected: share,
      low: 0,
      high: Math.min(1, share + 4 * Math.sqrt((share + 0.02) / lines)),
      score,
      direction: 'up',
      volume: lines,
    }
    const explain = (worst: Observation): string[] => [
      `${figure(worst.observed * 100)} % of the last ${worst.volume} of these lines of ${this.#voice.name} were ${isError ? 'errors' : 'warnings or worse'}, ${figure(worst.expected * 100)} % were expected: "${this.#voice.text(slot)}"`,
      rarity(worst.score, nats, config.falseAlarmsPerWeek),
      example(tally.example),
      ...this.#voice.deploy(worst.timeMs),
    ]
    this.#observe(
      code,
      this.#voice.key('severity', slot),
      this.#voice.subject(`severity of log line: ${this.#voice.text(slot)}`, 'ratio'),
      seen,
      explain,
      emit,
      () =>
        shareReckoning(
          worse,
          lines,
          before + 0.5,
          Math.max(0, recent - before) + 0.5,
          nats,
          MAX_SCORE,
          lasts ? 1 : 0,
          weeksOfScore(score, nats, config.falseAlarmsPerWeek),
        ),
    )
  }

  /** Whether it is, or may be, followed. */
  #isWatched(code: number, score: number, startMs: number): boolean {
    const isKnown = this.#watched.has(code)
    if (!isKnown && (!(score >= 1) || this.#watched.size >= this.#shared.config.maxNewPerService)) return false
    if (score >= 1 && this.#habit.isHabit(score, startMs) && !isKnown) return false
    this.#watched.set(code, startMs)
    return true
  }

  #observe(
    code: number,
    key: string,
    subject: ReturnType<ServiceVoice['subject']>,
    seen: Observation,
    explain: (worst: Observation) => string[],
    emit: Emit,
    reckon: Reckon,
  ): void {
    const { episodes } = this.#shared
    episodes.observe(key, subject, seen, explain, emit, reckon)
    if (seen.score >= 1 || episodes.isOpen(key)) return
    this.#watched.delete(code)
    episodes.forget(key)
  }

  #end(code: number, atMs: number, emit: Emit): void {
    if (!this.#watched.delete(code)) return
    const slot = Math.floor(code / (SEVERITY + 1))
    const part = code % (SEVERITY + 1)
    const key = part === SEVERITY ? this.#voice.key('severity', slot) : `${this.#voice.key('value', slot)}\0${part}`
    this.#shared.episodes.end(key, atMs, emit)
    this.#shared.episodes.forget(key)
  }
}

function shareReckoning(
  hits: number,
  lines: number,
  hitsBefore: number,
  missesBefore: number,
  nats: number,
  cap: number,
  least: number,
  weeks: number,
): Reckoning {
  return reckoning(
    'share-shift',
    [
      ['hits', hits],
      ['lines', lines],
      ['hits before', hitsBefore],
      ['misses before', missesBefore],
      ['nats needed', nats],
      ['cap', cap],
      ['least score', least],
    ],
    weeks,
  )
}
