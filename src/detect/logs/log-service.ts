/**
 * The log lines of one service, judged window by window: each template for bursts, for having stopped, for a shift inside its lines; new ones for
 * what they say; and how much the service complains. What is no more than the growth of everything the service says is traffic, not news;
 * what comes back at its time, as nightly jobs do, is none either.
 */
import type { Emit } from '../detector.ts'
import type { Observation } from '../episode.ts'
import { countOf, Level, stabilised } from '../level.ts'
import { growthOf } from './log-complaints.ts'
import { Echoes } from './log-echoes.ts'
import type { Habit } from './log-habits.ts'
import { ServiceOutcry } from './log-outcry.ts'
import { LineShifts } from './log-shifts.ts'
import { StoppedLines } from './log-stopped.ts'
import { addTally, ERROR, newTally, WARN, type ServiceTally, type TemplateTally } from './log-tally.ts'
import { OTHER_TEMPLATE, templateHash } from './log-templates.ts'
import { type LogsShared, ServiceVoice } from './log-voice.ts'
import { count, example, guessedSeverity, rarity, times } from './log-wording.ts'
import { oneLine } from '../../wording.ts'
import { noveltyScore, reckoning, weeksOfScore } from '../reckon.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import type { Clocks } from './template-gaps.ts'

/** Below so many windows a level is no more than a guess. */
const LEARNT = 6
/** Plain information bursts for many good reasons. */
const INFO_PATIENCE = 1.5
/** Without a line for so long a service is asleep, and what it does not say means nothing. */
const AWAKE_MS = 300_000
const MAX_VERSIONS = 16
const MAX_AHEAD_MS = 3_600_000
const TITLE_CHARS = 120
/** Newcomers expected by now from which one more is no news, the span that is asked about, and how many times enough lines it takes then. */
const DISCOVERING = 0.5
const DISCOVERY_MS = 600_000
const LOUD = 8
const MAX_DISCOVERIES = 64
/** Until then a service has not shown the whole of its day, and what is no error means less. */
const DAY_MS = 86_400_000
/** From here on it is remembered when it was: what comes every night is not every night over the threshold. */
const REMEMBERED = 0.5

interface Fresh {
  readonly id: number
  readonly slot: number
  readonly tally: TemplateTally
  /** Lines that count for it, and from how many on it is worth telling. */
  readonly came: number
  readonly enough: number
  readonly score: number
}

const NOTHING: ServiceTally = newTally()

export class ServiceLogs {
  readonly name: string
  lastMs: number
  #firstMs: number
  /** The generation of the miner that ids were last resolved with. */
  #generation: number
  readonly #shared: LogsShared
  readonly #voice: ServiceVoice
  readonly #volume = new Level()
  readonly #outcry: ServiceOutcry
  readonly #newcomers: Habit
  readonly #bursts: Habit
  readonly #echoes = new Echoes()
  readonly #shifts: LineShifts
  readonly #stopped: StoppedLines
  readonly #clocks: Clocks = { nowMs: 0, awake: 0, awakeSinceMs: 0, kinds: 0 }
  /** The slots of its templates, by the miner's id. */
  readonly #slots = new Map<number, number>()
  /** Ids of those that still count as new. */
  readonly #unsettled = new Set<number>()
  /** Ids of those with an anomaly that is open or building up: looked at in silent windows too. */
  readonly #watched = new Set<number>()
  readonly #versions: string[] = []
  /** When the last templates were met. */
  readonly #discoveries: number[] = []

  constructor(name: string, firstMs: number, shared: LogsShared) {
    this.name = name
    this.#firstMs = firstMs
    this.lastMs = firstMs
    this.#clocks.awakeSinceMs = firstMs
    this.#shared = shared
    this.#generation = shared.templates.generation
    this.#voice = new ServiceVoice(name, shared)
    this.#outcry = new ServiceOutcry(this.#voice, shared, this.#echoes, firstMs)
    this.#newcomers = this.#voice.habit(firstMs, false)
    this.#bursts = this.#voice.habit(firstMs)
    this.#shifts = new LineShifts(this.#voice, shared, this.#echoes, firstMs)
    this.#stopped = new StoppedLines(this.#voice, shared, firstMs)
  }

  knowsVersion(version: string): boolean {
    return this.#versions.includes(oneLine(version, 60))
  }

  /** A change that may alter what it writes. */
  deployed(atMs: number, title: string, type: string): void {
    if (!(atMs > this.#voice.deployMs) || atMs > this.lastMs + MAX_AHEAD_MS) return
    this.#voice.deployMs = atMs
    const named = oneLine(title, TITLE_CHARS)
    this.#voice.deployText = `There was a change of ${this.name} (${named === '' ? type : `${type}: ${named}`})`
  }

  close(startMs: number, tally: ServiceTally | undefined, emit: Emit): void {
    const { config, board, templates } = this.#shared
    const now = tally ?? NOTHING
    this.#advance(startMs, now)
    if (this.#generation !== templates.generation) this.#followMerges(startMs, emit)
    const warm = startMs - this.#firstMs >= config.warmUpMs && this.#volume.count >= LEARNT
    const usual = countOf(this.#volume.location)
    const volume = stabilised(now.lines)
    if (warm) board.observe(this.name, 'log_volume', this.#volume.z(volume, 1))
    if (now.version !== '') this.#noteVersion(now.version, startMs, warm)
    this.#outcry.look(startMs, now, usual, warm, emit)
    this.#judgeTemplates(startMs, now, usual, warm, emit)
    this.#shifts.sweep(startMs, emit)
    this.#stopped.look(this.#slots, this.#clocks, emit)
    this.#volume.learn(volume, 1, false, Infinity)
  }

  /** The service has been silent for long: what is open ends. */
  forget(atMs: number, emit: Emit): void {
    this.#stopped.forget(atMs, emit)
    for (const id of this.#slots.keys()) this.#drop(id, atMs, emit)
    this.#outcry.forget(atMs, emit)
  }

  snapshot(to: SnapshotWriter): void {
    to.string(this.name)
    for (const value of [this.#firstMs, this.lastMs, this.#generation]) to.f64(value)
    this.#volume.snapshot(to)
    this.#outcry.snapshot(to)
    to.column(Float64Array.from(this.#slots.keys()))
    to.column(Float64Array.from(this.#slots.values()))
    to.column(Float64Array.from(this.#watched))
    to.column(Float64Array.from(this.#unsettled))
    const { nowMs, awake, awakeSinceMs, kinds } = this.#clocks
    for (const value of [nowMs, awake, awakeSinceMs, kinds, this.#voice.deployMs]) to.f64(value)
    to.string(this.#voice.deployText)
    to.column(Float64Array.from(this.#discoveries))
    to.u32(this.#versions.length)
    for (const version of this.#versions) to.string(version)
    this.#newcomers.snapshot(to)
    this.#bursts.snapshot(to)
    this.#echoes.snapshot(to)
    this.#shifts.snapshot(to)
    this.#stopped.snapshot(to)
  }

  static restore(from: SnapshotReader, shared: LogsShared): ServiceLogs {
    const name = from.string()
    const service = new ServiceLogs(name, from.f64(), shared)
    service.lastMs = from.f64()
    service.#generation = from.f64()
    service.#volume.restore(from)
    service.#outcry.restore(from)
    if (from.version === 1) service.#restoreFirstVersion(from)
    else service.#restoreRest(from)
    return service
  }

  #restoreRest(from: SnapshotReader): void {
    const ids = from.f64s()
    const slots = from.f64s()
    for (let i = 0; i < ids.length; i++) this.#slots.set(ids[i]!, slots[i]!)
    for (const id of from.f64s()) this.#watched.add(id)
    for (const id of from.f64s()) this.#unsettled.add(id)
    const clocks = this.#clocks
    clocks.nowMs = from.f64()
    clocks.awake = from.f64()
    clocks.awakeSinceMs = from.f64()
    clocks.kinds = from.f64()
    this.#voice.deployMs = from.f64()
    this.#voice.deployText = from.string()
    this.#discoveries.push(...from.f64s())
    for (let left = from.count(4); left > 0; left--) this.#versions.push(from.string())
    this.#newcomers.restore(from)
    this.#bursts.restore(from)
    this.#echoes.restore(from)
    this.#shifts.restore(from)
    this.#stopped.restore(from)
  }

  /** Which templates are known is kept; how often they come is learnt anew. */
  #restoreFirstVersion(from: SnapshotReader): void {
    const { table, rates } = this.#shared
    for (let left = from.count(60); left > 0; left--) {
      const [id, text, line] = [from.f64(), from.string(), from.string()]
      const slot = table.add(id, text, templateHash(text), line)
      rates.begin(slot)
      this.#slots.set(id, slot)
      table.c.severity[slot] = from.f64()
      table.c.firstMs[slot] = from.f64()
      table.c.lastMs[slot] = from.f64()
      table.c.settled[slot] = from.u8()
      if (table.c.settled[slot] === 0) this.#unsettled.add(id)
      new Level().restore(from)
    }
    for (const id of from.f64s()) this.#watched.add(id)
  }

  #advance(startMs: number, now: ServiceTally): void {
    const clocks = this.#clocks
    const before = this.lastMs
    if (now.lines > 0) this.lastMs = startMs
    clocks.kinds += now.templates.size
    if (startMs - this.lastMs <= AWAKE_MS) {
      // Also after a jump in time: nobody listened then.
      if (clocks.nowMs - before > AWAKE_MS || startMs - clocks.nowMs > AWAKE_MS) clocks.awakeSinceMs = startMs
      clocks.awake++
    }
    clocks.nowMs = startMs
  }

  #noteVersion(version: string, startMs: number, warm: boolean): void {
    if (this.knowsVersion(version)) return
    if (warm && this.#versions.length > 0) this.deployed(startMs, version, 'version')
    this.#versions.push(version)
    if (this.#versions.length > MAX_VERSIONS) this.#versions.shift()
  }

  #judgeTemplates(startMs: number, now: ServiceTally, usualVolume: number, warm: boolean, emit: Emit): void {
    const { table, gaps } = this.#shared
    const fresh: Fresh[] = []
    let freshLines = 0
    this.#settleOld(startMs)
    for (const [id, tally] of this.#resolved(now.templates)) {
      const slot = this.#slots.get(id) ?? this.#meet(id, tally, startMs, !warm, emit)
      const { c } = table
      if (tally.severity > c.severity[slot]!) c.severity[slot] = tally.severity
      c.lines[slot] = c.lines[slot]! + tally.lines
      c.comings[slot] = c.comings[slot]! + 1
      gaps.came(slot, this.#clocks)
      const isSettled = c.settled[slot] === 1
      if (!isSettled) {
        const severity = c.severity[slot]!
        if (severity >= WARN) freshLines += tally.lines
        // Of an error all since it was new: one that keeps coming back is no chance find.
        const came = severity >= ERROR ? c.lines[slot] : tally.lines
        const enough = this.#enough(severity, startMs)
        fresh.push({ id, slot, tally, came, enough, score: this.#newness(slot, came, enough, startMs) })
      }
      this.#judgeBurst(id, slot, tally, startMs, growthOf(now.lines - tally.lines, usualVolume), warm && isSettled, emit)
      this.#shifts.look(slot, tally, startMs, warm && isSettled, this.#slots.size, emit)
    }
    if (freshLines > 0) this.#shared.board.observe(this.name, 'log_new', stabilised(freshLines) - stabilised(0))
    if (fresh.length > 0) this.#tellNew(fresh, startMs, emit)
    for (const id of this.#watched) {
      const slot = this.#slots.get(id)
      if (slot === undefined) this.#watched.delete(id)
      else if (table.c.lastMs[slot]! < startMs) this.#judgeSilence(id, slot, startMs, emit)
    }
  }

  /** Judges and learns; while it is not `judged`, it only learns. */
  #judgeBurst(id: number, slot: number, tally: TemplateTally, startMs: number, growth: number, judged: boolean, emit: Emit): void {
    const { config, episodes, rates, table } = this.#shared
    const { c } = table
    const everyMs = config.windowMs * Math.max(1, c.gapMean[slot]!)
    const nats = this.#voice.nats(everyMs, this.#slots.size)
    const isInfo = c.severity[slot]! < WARN
    const one = rates.judge(
      slot,
      tally.lines,
      growth,
      config.burstThreshold * (isInfo ? INFO_PATIENCE ** (1 + this.#youth(startMs)) : 1),
      nats,
    )
    const many = tally.lines >= config.burstMinLines && tally.lines >= 3 * one.expected
    let score = judged && many && rates.isLearnt(slot) ? Math.max(0, one.z / one.threshold) : 0
    // Once told it lasts until it is clearly less: a job that hovers about the threshold is one burst.
    if (score >= REMEMBERED && episodes.isOpen(this.#key(slot))) score = Math.max(1, score)
    const expected = c.gaps[slot]! > 0 ? one.expected / Math.max(1, c.gapMean[slot]!) : one.expected
    const { high } = one
    rates.learn(slot, tally.lines, one, score >= 1, Math.ceil(config.absorbMs / config.windowMs))
    if (!judged) return
    const key = this.#key(slot)
    if (score >= REMEMBERED && this.#echoes.isEcho(key, startMs, tally.lines)) score = 0
    else if (score >= 1 && this.#bursts.isHabit(score, startMs) && !episodes.isOpen(key)) score = 0
    if (score < 1 && !episodes.isOpen(key)) {
      this.#unwatch(id, slot)
      return
    }
    if (!this.#watched.has(id) && this.#watched.size >= config.maxNewPerService) return
    this.#watched.add(id)
    const seen = this.#voice.observation(startMs, tally.lines, expected, high, score)
    const explain = (worst: Observation): string[] => [
      `${this.name} wrote this ${times(worst.volume)} in ${this.#span()}, ${this.#count(worst.expected)} were expected: "${this.#voice.text(slot)}"`,
      rarity(worst.score, nats, config.falseAlarmsPerWeek),
      example(tally.example),
      ...this.#voice.deploy(worst.timeMs),
    ]
    const reckon = () =>
      reckoning(
        'burst',
        [
          ['lines', tally.lines],
          ['expected lines', one.expected],
          ['spread', one.spread],
          ['threshold', one.threshold],
        ],
        weeksOfScore(score, nats, config.falseAlarmsPerWeek),
      )
    episodes.observe(key, this.#voice.subject(`log line: ${this.#voice.text(slot)}`), seen, explain, emit, reckon)
  }

  #tellNew(fresh: readonly Fresh[], startMs: number, emit: Emit): void {
    const { config, episodes, table } = this.#shared
    const ranked = [...fresh].sort((x, y) => y.score - x.score || (table.hashes[x.slot]! < table.hashes[y.slot]! ? -1 : 1))
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
    for (const { id, slot, tally, came, enough, score } of chosen) {
      const explain = (worst: Observation): string[] => {
        const sentences = [
          `${this.name} had never written this before and now wrote it ${times(worst.volume)} in ${this.#span()}: "${this.#voice.text(slot)}"`,
          example(tally.example),
          ...this.#voice.deploy(worst.timeMs),
        ]
        if (hidden > 0) sentences.push(`${hidden} more new kinds of log lines came in the same window.`)
        return sentences
      }
      const seen = this.#voice.observation(startMs, tally.lines, 0, 0, score)
      const wasOpen = episodes.isOpen(this.#key(slot))
      const reckon = () =>
        reckoning('novelty', [
          ['lines', came],
          ['lines that are enough', enough],
        ])
      episodes.observe(this.#key(slot), this.#voice.subject(`new log line: ${this.#voice.text(slot)}`), seen, explain, emit, reckon)
      if (!wasOpen || episodes.isOpen(this.#key(slot))) continue
      this.#settle(id, slot)
      this.#unwatch(id, slot)
    }
  }

  /** A watched template did not come in this window. */
  #judgeSilence(id: number, slot: number, startMs: number, emit: Emit): void {
    const { episodes, table } = this.#shared
    const { c } = table
    const key = this.#key(slot)
    const isSettled = c.settled[slot] === 1
    const expected = isSettled ? countOf(c.location[slot]!) / Math.max(1, c.gapMean[slot]!) : 0
    const seen = this.#voice.observation(startMs, 0, expected, expected, 0)
    const explain = (worst: Observation): string[] => [
      `${this.name} wrote this ${times(worst.volume)} in ${this.#span()} at its worst: "${this.#voice.text(slot)}"`,
      this.#voice.example(slot),
    ]
    const wasOpen = episodes.isOpen(key)
    const subject = `${isSettled ? 'log line' : 'new log line'}: ${this.#voice.text(slot)}`
    episodes.observe(key, this.#voice.subject(subject), seen, explain, emit)
    if (episodes.isOpen(key)) return
    // It has been told: when it comes back it is not new.
    if (wasOpen) this.#settle(id, slot)
    this.#unwatch(id, slot)
  }

  /** Two ids of a window may have become one template since they were counted; dropped ones are left out. */
  #resolved(counted: ReadonlyMap<number, TemplateTally>): ReadonlyMap<number, TemplateTally> {
    const { templates } = this.#shared
    const resolved = new Map<number, TemplateTally>()
    for (const [mined, tally] of counted) {
      const id = templates.resolve(mined)
      if (id === OTHER_TEMPLATE) continue
      const same = resolved.get(id)
      if (same === undefined) resolved.set(id, tally)
      else addTally(same, tally)
    }
    return resolved
  }

  #meet(id: number, tally: TemplateTally, startMs: number, settled: boolean, emit: Emit): number {
    const { config, table, rates, templates } = this.#shared
    if (this.#slots.size >= config.maxTemplatesPerService) this.#dropOldest(startMs, emit)
    const text = templates.textOf(id)
    const slot = table.add(id, text, templateHash(text), tally.example)
    rates.begin(slot)
    const { c } = table
    c.severity[slot] = tally.severity > 0 ? tally.severity : guessedSeverity(tally.example)
    c.firstMs[slot] = startMs
    c.lastMs[slot] = startMs
    const isExpected = settled || (c.severity[slot] < ERROR && this.#voice.isDeploying(startMs))
    c.settled[slot] = isExpected ? 1 : 0
    this.#slots.set(id, slot)
    this.#discoveries.push(startMs)
    if (this.#discoveries.length > MAX_DISCOVERIES) this.#discoveries.shift()
    if (!isExpected) this.#unsettled.add(id)
    return slot
  }

  #settleOld(startMs: number): void {
    const { config, table } = this.#shared
    for (const id of this.#unsettled) {
      const slot = this.#slots.get(id)
      if (slot === undefined) this.#unsettled.delete(id)
      else if (startMs - table.c.firstMs[slot]! >= config.newForMs) this.#settle(id, slot)
    }
  }

  #settle(id: number, slot: number): void {
    this.#shared.table.c.settled[slot] = 1
    this.#unsettled.delete(id)
  }

  /** Lines from which a new kind is worth telling: an error the first time, a warning the second, anything else when there is a lot of it. */
  #enough(severity: number, startMs: number): number {
    if (severity >= ERROR) return 1
    return (severity >= WARN ? 2 : this.#shared.config.newInfoLines) * LOUD ** this.#youth(startMs)
  }

  /** How much what is new deserves to be told; nothing when it is an old story. */
  #newness(slot: number, came: number, enough: number, startMs: number): number {
    const { episodes } = this.#shared
    if (came < enough) return came / enough / 2
    if (came < LOUD * enough && this.#isDiscovering(startMs) && !episodes.isOpen(this.#key(slot))) return 0
    if (this.#newcomers.isHabit(came / enough, startMs) && !episodes.isOpen(this.#key(slot))) return 0
    return noveltyScore(came, enough)
  }

  /** 1 for a service that was just met, 0 for one that has shown the whole of its day: what is no error must be louder until then. */
  #youth(startMs: number): number {
    return Math.max(0, 1 - (startMs - this.#firstMs) / DAY_MS)
  }

  /** In its first hours a service goes on showing new kinds of lines: whether one more was to be expected now, as far as its second half tells. */
  #isDiscovering(startMs: number): boolean {
    const ageMs = startMs - this.#firstMs
    const spanMs = Math.min(DISCOVERY_MS, ageMs / 8)
    const [fromMs, toMs] = [this.#firstMs + ageMs / 2, startMs - spanMs]
    let met = 0
    for (const atMs of this.#discoveries) if (atMs >= fromMs && atMs < toMs) met++
    return (met * spanMs) / Math.max(1, toMs - fromMs) > DISCOVERING
  }

  #dropOldest(startMs: number, emit: Emit): void {
    const { c } = this.#shared.table
    let oldest = -1
    let oldestMs = Infinity
    for (const [id, slot] of this.#slots) {
      if (c.lastMs[slot]! < oldestMs) {
        oldest = id
        oldestMs = c.lastMs[slot]!
      }
    }
    this.#drop(oldest, startMs, emit)
  }

  #drop(id: number, atMs: number, emit: Emit): void {
    const slot = this.#slots.get(id)
    if (slot === undefined) return
    this.#shared.episodes.end(this.#key(slot), atMs, emit)
    this.#unwatch(id, slot)
    this.#stopped.drop(slot, atMs, emit)
    this.#shifts.drop(slot, atMs, emit)
    this.#slots.delete(id)
    this.#unsettled.delete(id)
    this.#shared.table.remove(slot)
  }

  /** Templates were merged or dropped by the miner: what was followed under their ids is, too. */
  #followMerges(startMs: number, emit: Emit): void {
    const { templates, table } = this.#shared
    this.#generation = templates.generation
    for (const [id, slot] of this.#slots) {
      const root = templates.resolve(id)
      if (root === id) continue
      const target = root === OTHER_TEMPLATE ? undefined : this.#slots.get(root)
      if (root === OTHER_TEMPLATE || target !== undefined) {
        if (target !== undefined) table.merge(target, slot)
        this.#drop(id, startMs, emit)
        continue
      }
      // What is open was told under the old name, and ends with it.
      this.#shared.episodes.end(this.#key(slot), startMs, emit)
      this.#unwatch(id, slot)
      this.#stopped.drop(slot, startMs, emit)
      this.#shifts.drop(slot, startMs, emit)
      this.#slots.delete(id)
      this.#slots.set(root, slot)
      if (this.#unsettled.delete(id)) this.#unsettled.add(root)
      const text = templates.textOf(root)
      table.rename(slot, root, text, templateHash(text))
    }
  }

  #unwatch(id: number, slot: number): void {
    if (this.#watched.delete(id)) this.#shared.episodes.forget(this.#key(slot))
  }

  #key(slot: number): string {
    return this.#voice.key('line', slot)
  }

  #span(): string {
    return `${this.#shared.config.windowMs / 1000} s`
  }

  #count(perSecond: number): string {
    return count((perSecond * this.#shared.config.windowMs) / 1000)
  }
}
