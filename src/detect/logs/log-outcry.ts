/**
 * A service's error lines and warning lines as anomalies: outbursts by the window, shifts of their share over five minutes.
 */
import type { Emit } from '../detector.ts'
import type { Observation } from '../episode.ts'
import { countOf, Level, stabilised } from '../level.ts'
import { ComplaintLevel, type ComplaintRules, growthOf } from './log-complaints.ts'
import type { Echoes } from './log-echoes.ts'
import type { Habit } from './log-habits.ts'
import type { ServiceTally } from './log-tally.ts'
import type { LogsShared, ServiceVoice } from './log-voice.ts'
import { count, example, rarity } from './log-wording.ts'
import { duration } from '../../wording.ts'
import { reckoning, weeksOfScore } from '../reckon.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const SLOW_MS = 300_000
/** The longer look needs more lines. */
const SLOW_LINES = 2
/** Warnings are told later than errors. */
const WARNING_PATIENCE = 1.5
const SLOW_LEARNT = 6
/** From here on it is remembered when it was. */
const REMEMBERED = 0.5

interface Watched {
  readonly key: string
  readonly subject: string
  readonly what: string
  readonly level: ComplaintLevel
  readonly rules: ComplaintRules
  /** One for all. */
  readonly habit: Habit
}

export class ServiceOutcry {
  readonly #voice: ServiceVoice
  readonly #shared: LogsShared
  readonly #echoes: Echoes
  readonly #errors: Watched
  readonly #slowErrors: Watched
  readonly #slowWarnings: Watched
  readonly #slowVolume = new Level()
  #slowIndex = -1
  #slowLines = 0
  #slowErrorLines = 0
  #slowWarningLines = 0
  #errorExample = ''
  #warningExample = ''

  constructor(voice: ServiceVoice, shared: LogsShared, echoes: Echoes, firstMs: number) {
    this.#voice = voice
    this.#shared = shared
    this.#echoes = echoes
    const { config } = shared
    const { falseAlarmsPerWeek, absorbMs } = config
    const fast: ComplaintRules = {
      leastZ: config.errorThreshold,
      leastLines: config.errorMinLines,
      falseAlarmsPerWeek,
      everyMs: config.windowMs,
      absorbMs,
      lasting: false,
    }
    const slow = { ...fast, lasting: true, leastLines: config.errorMinLines * SLOW_LINES, everyMs: Math.max(SLOW_MS, config.windowMs) }
    const warnings = { ...slow, leastZ: slow.leastZ * WARNING_PATIENCE, leastLines: slow.leastLines * 2 }
    const habit = voice.habit(firstMs)
    const watched = (key: string, subject: string, what: string, rules: ComplaintRules): Watched => ({
      key: `${key}\0${voice.name}`,
      subject,
      what,
      level: new ComplaintLevel(),
      rules,
      habit,
    })
    this.#errors = watched('errors', 'error lines', 'severity error or worse', fast)
    this.#slowErrors = watched('errors-slow', `error lines in ${duration(slow.everyMs)}`, 'severity error or worse', slow)
    this.#slowWarnings = watched('warnings-slow', `warning lines in ${duration(slow.everyMs)}`, 'severity warning', warnings)
  }

  look(startMs: number, now: ServiceTally, usualVolume: number, warm: boolean, emit: Emit): void {
    if (now.errorExample !== '') this.#errorExample = now.errorExample
    if (now.warningExample !== '') this.#warningExample = now.warningExample
    const judged = this.#errors.level.judge(now.errors, growthOf(now.lines - now.errors, usualVolume), warm, this.#errors.rules)
    if (warm) this.#shared.board.observe(this.#voice.name, 'log_errors', judged.z)
    this.#tell(this.#errors, startMs, now.errorExample, false, emit)
    const index = Math.floor(startMs / this.#slowErrors.rules.everyMs)
    if (index !== this.#slowIndex) {
      if (this.#slowIndex >= 0) this.#closeSlow(warm, emit)
      this.#slowIndex = index
      this.#slowLines = this.#slowErrorLines = this.#slowWarningLines = 0
    }
    this.#slowLines += now.lines
    this.#slowErrorLines += now.errors
    this.#slowWarningLines += now.warnings
  }

  forget(atMs: number, emit: Emit): void {
    const { episodes } = this.#shared
    for (const { key } of [this.#errors, this.#slowErrors, this.#slowWarnings]) {
      episodes.end(key, atMs, emit)
      episodes.forget(key)
    }
  }

  snapshot(to: SnapshotWriter): void {
    this.#errors.level.snapshot(to)
    this.#errors.habit.snapshot(to)
    this.#slowErrors.level.snapshot(to)
    this.#slowWarnings.level.snapshot(to)
    this.#slowVolume.snapshot(to)
    for (const value of [this.#slowIndex, this.#slowLines, this.#slowErrorLines, this.#slowWarningLines]) to.f64(value)
    to.string(this.#errorExample)
    to.string(this.#warningExample)
  }

  restore(from: SnapshotReader): void {
    this.#errors.level.restore(from)
    if (from.version === 1) return
    this.#errors.habit.restore(from)
    this.#slowErrors.level.restore(from)
    this.#slowWarnings.level.restore(from)
    this.#slowVolume.restore(from)
    this.#slowIndex = from.f64()
    this.#slowLines = from.f64()
    this.#slowErrorLines = from.f64()
    this.#slowWarningLines = from.f64()
    this.#errorExample = from.string()
    this.#warningExample = from.string()
  }

  #closeSlow(warm: boolean, emit: Emit): void {
    const { rules } = this.#slowErrors
    const timeMs = this.#slowIndex * rules.everyMs
    const isLearnt = warm && this.#slowVolume.count >= SLOW_LEARNT
    const usual = countOf(this.#slowVolume.location)
    // What is an outburst already needs no second anomaly.
    const isTold = this.#shared.episodes.isOpen(this.#errors.key)
    this.#slowErrors.level.judge(this.#slowErrorLines, growthOf(this.#slowLines - this.#slowErrorLines, usual), isLearnt, rules)
    this.#tell(this.#slowErrors, timeMs, this.#errorExample, isTold, emit)
    const growth = growthOf(this.#slowLines - this.#slowWarningLines, usual)
    this.#slowWarnings.level.judge(this.#slowWarningLines, growth, isLearnt, this.#slowWarnings.rules)
    this.#tell(this.#slowWarnings, timeMs, this.#warningExample, false, emit)
    this.#slowVolume.learn(stabilised(this.#slowLines), 1, false, Infinity)
  }

  #tell(watched: Watched, timeMs: number, line: string, isTold: boolean, emit: Emit): void {
    const { episodes, config } = this.#shared
    const { key, level, rules, habit } = watched
    const { lines, expected, high, score: strayed } = level.judged
    const isOpen = episodes.isOpen(key)
    const isEcho = strayed >= REMEMBERED && this.#echoes.isEcho(key, timeMs, lines)
    const isHabit = !isEcho && strayed >= 1 && habit.isHabit(strayed, timeMs) && !isOpen
    level.learn(isEcho, rules)
    if (!isOpen && ((lines === 0 && expected < 0.1) || isTold)) return
    const score = isEcho || isHabit ? 0 : strayed
    const seen = this.#voice.observation(timeMs, lines, expected, high, score, rules.everyMs)
    const nats = this.#voice.nats(rules.everyMs, 1)
    const explain = (worst: Observation): string[] => {
      const usual = count((worst.expected * rules.everyMs) / 1000)
      const sentences = [
        `${this.#voice.name} wrote ${worst.volume} lines of ${watched.what} in ${duration(rules.everyMs)}; ${usual} were expected.`,
        rarity(worst.score, nats, config.falseAlarmsPerWeek),
      ]
      if (line !== '') sentences.push(example(line))
      return [...sentences, ...this.#voice.deploy(worst.timeMs)]
    }
    const reckon = () =>
      reckoning(
        'burst',
        [
          ['lines', lines],
          ['expected lines', expected],
          ['spread', level.judged.spread],
          ...(rules.lasting ? [['distance before', level.judged.previousZ] as const] : []),
          ['threshold', level.judged.threshold],
        ],
        weeksOfScore(score, nats, config.falseAlarmsPerWeek),
      )
    episodes.observe(key, this.#voice.subject(watched.subject), seen, explain, emit, reckon)
  }
}
