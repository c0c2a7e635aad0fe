/**
 * The log lines of one service, judged window by window: error lines against their level, known templates for bursts, new ones for what
 * they say. Counts are compared with their own running level, so that "often" means often for this line in this service, and what is no
 * more than the growth of everything the service says is traffic, not news.
 */
import type { DetectorContext, Emit } from './detector.ts'
import type { Episodes, Observation, Subject } from './episode.ts'
import { countOf, Level, stabilised } from './level.ts'
import { OTHER_TEMPLATE, templateHash } from './log-templates.ts'
import type { LogTemplates } from './log-templates.ts'
import { guessedSeverity, shortened, times } from './log-wording.ts'
import type { LogsConfig } from './logs-config.ts'
import type { SnapshotReader, SnapshotWriter } from './snapshot.ts'

const WARN = 13
const ERROR = 17
/** Below so many windows a level is no more than a guess. */
const LEARNT = 6
const MAX_GROWTH = 10
/** Plain information bursts for many good reasons. */
const INFO_PATIENCE = 1.5
/** Windows that a level is taught in one step when a template comes back after a pause. */
const MAX_CATCH_UP = 1000

/** One template in one window of one service. */
export interface TemplateTally {
  lines: number
  severity: number
  readonly example: string
}

export interface ServiceTally {
  lines: number
  errors: number
  errorExample: string
  readonly templates: Map<number, TemplateTally>
}

export interface LogsShared {
  readonly config: LogsConfig
  readonly board: DetectorContext['residuals']
  readonly templates: LogTemplates
  readonly episodes: Episodes
}

interface Known {
  readonly text: string
  readonly hash: string
  severity: number
  readonly level: Level
  readonly firstMs: number
  /** Window up to which the level has been taught. */
  lastMs: number
  example: string
  /** From the warm-up, or not new any more. */
  settled: boolean
}

interface Fresh {
  readonly id: number
  readonly known: Known
  readonly tally: TemplateTally
  readonly score: number
}

const NOTHING: ServiceTally = { lines: 0, errors: 0, errorExample: '', templates: new Map() }

export class ServiceLogs {
  readonly name: string
  lastMs: number
  #firstMs: number
  /** The generation of the miner that ids were last resolved with. */
  #generation: number
  readonly #shared: LogsShared
  readonly #volume = new Level()
  readonly #errors = new Level()
  readonly #known = new Map<number, Known>()
  /** Templates with an anomaly that is open or building up: looked at in silent windows too. */
  readonly #watched = new Set<number>()

  constructor(name: string, firstMs: number, shared: LogsShared) {
    this.name = name
    this.#firstMs = firstMs
    this.lastMs = firstMs
    this.#shared = shared
    this.#generation = shared.templates.generation
  }

  close(startMs: number, tally: ServiceTally | undefined, emit: Emit): void {
    const { config, board, templates } = this.#shared
    if (tally !== undefined) this.lastMs = startMs
    if (this.#generation !== templates.generation) this.#followMerges(startMs, emit)
    const now = tally ?? NOTHING
    const warm = startMs - this.#firstMs >= config.warmUpMs && this.#volume.count >= LEARNT
    const usual = countOf(this.#volume.location)
    const volume = stabilised(now.lines)
    if (warm) board.observe(this.name, 'log_volume', this.#volume.z(volume, 1))
    this.#judgeErrors(startMs, now, usual, warm, emit)
    this.#judgeTemplates(startMs, now, usual, warm, emit)
    this.#volume.learn(volume, 1, false, Infinity)
  }

  /** The service has been silent for long: what is open ends. */
  forget(atMs: number, emit: Emit): void {
    const { episodes } = this.#shared
    for (const known of this.#known.values()) {
      episodes.end(this.#key(known), atMs, emit)
      episodes.forget(this.#key(known))
    }
    episodes.end(`errors\0${this.name}`, atMs, emit)
    episodes.forget(`errors\0${this.name}`)
  }

  snapshot(to: SnapshotWriter): void {
    to.string(this.name)
    for (const value of [this.#firstMs, this.lastMs, this.#generation]) to.f64(value)
    this.#volume.snapshot(to)
    this.#errors.snapshot(to)
    to.u32(this.#known.size)
    for (const [id, known] of this.#known) {
      to.f64(id)
      to.string(known.text)
      to.string(known.example)
      for (const value of [known.severity, known.firstMs, known.lastMs]) to.f64(value)
      to.u8(known.settled ? 1 : 0)
      known.level.snapshot(to)
    }
    to.column(Float64Array.from(this.#watched))
  }

  static restore(from: SnapshotReader, shared: LogsShared): ServiceLogs {
    const name = from.string()
    const service = new ServiceLogs(name, from.f64(), shared)
    service.lastMs = from.f64()
    service.#generation = from.f64()
    service.#volume.restore(from)
    service.#errors.restore(from)
    for (let left = from.count(60); left > 0; left--) {
      const [id, text, example] = [from.f64(), from.string(), from.string()]
      const [severity, firstMs, lastMs, settled] = [from.f64(), from.f64(), from.f64(), from.u8() === 1]
      const level = new Level()
      level.restore(from)
      service.#known.set(id, { text, hash: templateHash(text), severity, level, firstMs, lastMs, example, settled })
    }
    for (const id of from.f64s()) service.#watched.add(id)
    return service
  }

  #judgeErrors(startMs: number, now: ServiceTally, usualVolume: number, warm: boolean, emit: Emit): void {
    const { config, board, episodes } = this.#shared
    const expected = countOf(this.#errors.location) * growthOf(now.lines - now.errors, usualVolume)
    const spread = this.#errors.spread(1)
    const value = stabilised(now.errors)
    const distance = (value - stabilised(expected)) / spread
    if (warm) board.observe(this.name, 'log_errors', distance)
    const many = now.errors >= config.errorMinLines && now.errors >= 2 * expected
    const score = warm ? Math.min(many ? Infinity : 0.5, Math.max(0, distance / config.errorThreshold)) : NaN
    this.#errors.learn(value, 1, score >= 1, this.#absorbAfter())
    const key = `errors\0${this.name}`
    if (now.errors === 0 && expected < 0.1 && !episodes.isOpen(key)) return
    const seen = this.#observation(startMs, now.errors, expected, stabilised(expected) + config.errorThreshold * spread, score)
    const explain = (worst: Observation): string[] => {
      const sentences = [
        `${this.name} wrote ${worst.volume} lines of severity error or worse in ${this.#span()}; ${this.#count(worst.expected)} were expected.`,
      ]
      if (now.errorExample !== '') sentences.push(`For example: "${now.errorExample}"`)
      return sentences
    }
    episodes.observe(key, this.#subject('error lines'), seen, explain, emit)
  }

  #judgeTemplates(startMs: number, now: ServiceTally, usualVolume: number, warm: boolean, emit: Emit): void {
    const fresh: Fresh[] = []
    let freshLines = 0
    for (const [id, tally] of this.#resolved(now.templates)) {
      const known = this.#known.get(id) ?? this.#meet(id, tally, startMs, !warm, emit)
      known.severity = Math.max(known.severity, tally.severity)
      this.#settle(known, startMs)
      const score = known.settled
        ? this.#judgeBurst(id, known, tally, startMs, growthOf(now.lines - tally.lines, usualVolume), warm, emit)
        : 0
      if (!known.settled) {
        if (known.severity >= WARN) freshLines += tally.lines
        fresh.push({ id, known, tally, score: this.#newness(known.severity, tally.lines) })
      }
      known.level.learn(stabilised(tally.lines), 1, score >= 1, this.#absorbAfter())
      known.lastMs = startMs
    }
    if (freshLines > 0) this.#shared.board.observe(this.name, 'log_new', stabilised(freshLines) - stabilised(0))
    if (fresh.length > 0) this.#tellNew(fresh, startMs, emit)
    for (const id of this.#watched) {
      const known = this.#known.get(id)
      if (known === undefined) this.#watched.delete(id)
      else if (known.lastMs < startMs) this.#judgeSilence(id, known, startMs, emit)
    }
  }

  /** Returns the score. */
  #judgeBurst(id: number, known: Known, tally: TemplateTally, startMs: number, growth: number, warm: boolean, emit: Emit): number {
    const { config, episodes } = this.#shared
    this.#catchUp(known, startMs)
    const expected = countOf(known.level.location) * growth
    const spread = known.level.spread(1)
    const threshold = known.severity >= WARN ? config.burstThreshold : config.burstThreshold * INFO_PATIENCE
    const many = tally.lines >= config.burstMinLines && tally.lines >= 3 * expected
    const judged = warm && known.level.count >= LEARNT && many
    const score = judged ? Math.max(0, (stabilised(tally.lines) - stabilised(expected)) / spread / threshold) : 0
    const key = this.#key(known)
    if (score < 1 && !episodes.isOpen(key)) {
      this.#unwatch(id, known)
      return score
    }
    if (!this.#watched.has(id) && this.#watched.size >= config.maxNewPerService) return score
    this.#watched.add(id)
    const seen = this.#observation(startMs, tally.lines, expected, stabilised(expected) + threshold * spread, score)
    const explain = (worst: Observation): string[] => [
      `${this.name} wrote this ${times(worst.volume)} in ${this.#span()}, ${this.#count(worst.expected)} were expected: "${shortened(known.text)}"`,
      `For example: "${tally.example}"`,
    ]
    episodes.observe(key, this.#subject(`log line: ${shortened(known.text)}`), seen, explain, emit)
    return score
  }

  #tellNew(fresh: readonly Fresh[], startMs: number, emit: Emit): void {
    const { config, episodes } = this.#shared
    const ranked = [...fresh].sort((x, y) => y.score - x.score || (x.known.hash < y.known.hash ? -1 : 1))
    const chosen: Fresh[] = []
    let hidden = 0
    for (const one of ranked) {
      if (!this.#watched.has(one.id)) {
        if (one.score < 1) continue
        if (this.#watched.size >= config.maxNewPerService) {
          hidden++
          continue
        }
        this.#watched.add(one.id)
      }
      chosen.push(one)
    }
    for (const { known, tally, score } of chosen) {
      const explain = (worst: Observation): string[] => {
        const sentences = [
          `${this.name} had never written this before and now wrote it ${times(worst.volume)} in ${this.#span()}: "${shortened(known.text)}"`,
          `For example: "${tally.example}"`,
        ]
        if (hidden > 0) sentences.push(`${hidden} more new kinds of log lines came in the same window.`)
        return sentences
      }
      const seen = this.#observation(startMs, tally.lines, 0, stabilised(0), score)
      episodes.observe(this.#key(known), this.#subject(`new log line: ${shortened(known.text)}`), seen, explain, emit)
    }
  }

  /** A watched template did not come in this window. */
  #judgeSilence(id: number, known: Known, startMs: number, emit: Emit): void {
    const { episodes } = this.#shared
    const key = this.#key(known)
    const subject = this.#subject(`${known.settled ? 'log line' : 'new log line'}: ${shortened(known.text)}`)
    const expected = known.settled ? countOf(known.level.location) : 0
    const seen = this.#observation(startMs, 0, expected, stabilised(expected), 0)
    const explain = (worst: Observation): string[] => [
      `${this.name} wrote this ${times(worst.volume)} in ${this.#span()} at its worst: "${shortened(known.text)}"`,
      `For example: "${known.example}"`,
    ]
    const wasOpen = episodes.isOpen(key)
    episodes.observe(key, subject, seen, explain, emit)
    this.#settle(known, startMs)
    if (episodes.isOpen(key)) return
    // It has been told: when it comes back it is not new.
    if (wasOpen) known.settled = true
    this.#unwatch(id, known)
  }

  /** Two ids of a window may have become one template since they were counted; dropped ones are left out. */
  #resolved(counted: ReadonlyMap<number, TemplateTally>): ReadonlyMap<number, TemplateTally> {
    const { templates } = this.#shared
    const resolved = new Map<number, TemplateTally>()
    for (const [mined, tally] of counted) {
      const id = templates.resolve(mined)
      if (id === OTHER_TEMPLATE) continue
      const same = resolved.get(id)
      if (same === undefined) resolved.set(id, { ...tally })
      else {
        same.lines += tally.lines
        same.severity = Math.max(same.severity, tally.severity)
      }
    }
    return resolved
  }

  #meet(id: number, tally: TemplateTally, startMs: number, settled: boolean, emit: Emit): Known {
    if (this.#known.size >= this.#shared.config.maxTemplatesPerService) this.#dropOldest(startMs, emit)
    const text = this.#shared.templates.textOf(id)
    const severity = tally.severity > 0 ? tally.severity : guessedSeverity(tally.example)
    const level = new Level()
    const known = { text, hash: templateHash(text), severity, level, firstMs: startMs, lastMs: startMs, example: tally.example, settled }
    this.#known.set(id, known)
    return known
  }

  #settle(known: Known, startMs: number): void {
    if (!known.settled && startMs - known.firstMs >= this.#shared.config.newForMs) known.settled = true
  }

  /** An error is worth telling the first time, a warning the second, anything else when there is a lot of it. */
  #newness(severity: number, lines: number): number {
    const enough = severity >= ERROR ? 1 : severity >= WARN ? 2 : this.#shared.config.newInfoLines
    return lines >= enough ? 1 + Math.log2(lines / enough) / 4 : lines / enough / 2
  }

  /** The windows without it since it was last seen. */
  #catchUp(known: Known, startMs: number): void {
    const silent = Math.round((startMs - known.lastMs) / this.#shared.config.windowMs) - 1
    known.level.learnTimes(stabilised(0), Math.min(MAX_CATCH_UP, silent))
  }

  #dropOldest(startMs: number, emit: Emit): void {
    let oldest = -1
    let oldestMs = Infinity
    for (const [id, known] of this.#known) {
      if (known.lastMs < oldestMs) {
        oldest = id
        oldestMs = known.lastMs
      }
    }
    this.#drop(oldest, startMs, emit)
  }

  #drop(id: number, atMs: number, emit: Emit): void {
    const known = this.#known.get(id)
    if (known === undefined) return
    this.#shared.episodes.end(this.#key(known), atMs, emit)
    this.#unwatch(id, known)
    this.#known.delete(id)
  }

  /** Templates were merged or dropped by the miner: what was followed under their ids is, too. */
  #followMerges(startMs: number, emit: Emit): void {
    const { templates } = this.#shared
    this.#generation = templates.generation
    for (const [id, known] of this.#known) {
      const root = templates.resolve(id)
      if (root === id) continue
      this.#drop(id, startMs, emit)
      if (root === OTHER_TEMPLATE) continue
      const text = templates.textOf(root)
      const target = this.#known.get(root)
      if (target === undefined) {
        this.#known.set(root, { ...known, text, hash: templateHash(text) })
        continue
      }
      const lines = countOf(target.level.location) + countOf(known.level.location)
      if (known.level.count > target.level.count) target.level.count = known.level.count
      target.level.location = stabilised(lines)
      target.severity = Math.max(target.severity, known.severity)
      target.lastMs = Math.max(target.lastMs, known.lastMs)
      target.settled ||= known.settled
    }
  }

  #unwatch(id: number, known: Known): void {
    if (this.#watched.delete(id)) this.#shared.episodes.forget(this.#key(known))
  }

  #key(known: Known): string {
    return `line\0${this.name}\0${known.hash}`
  }

  #absorbAfter(): number {
    return Math.ceil(this.#shared.config.absorbMs / this.#shared.config.windowMs)
  }

  #subject(subject: string): Subject {
    return { detector: 'logs', signal: 'logs', service: this.name, instance: '', subject, symptom: 'log', unit: 'lines/s', impact: false }
  }

  #observation(timeMs: number, lines: number, expected: number, stableHigh: number, score: number): Observation {
    const perSecond = 1000 / this.#shared.config.windowMs
    const high = countOf(stableHigh) * perSecond
    return { timeMs, observed: lines * perSecond, expected: expected * perSecond, low: 0, high, score, direction: 'up', volume: lines }
  }

  #span(): string {
    return `${this.#shared.config.windowMs / 1000} s`
  }

  #count(perSecond: number): string {
    const lines = (perSecond * this.#shared.config.windowMs) / 1000
    return lines < 10 ? String(Math.round(lines * 10) / 10) : String(Math.round(lines))
  }
}

/** How much more than usual a service says besides; 1 when it says less. */
function growthOf(lines: number, usual: number): number {
  return Math.max(1, Math.min(MAX_GROWTH, lines / Math.max(1, usual)))
}
