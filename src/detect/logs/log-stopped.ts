/**
 * Lines of a service that came regularly and have stopped: one anomaly per service, about the one that is latest for what it was; others
 * that stop meanwhile are named in its evidence. It ends when the line is back, and after `absorbMs` as the new normal. What stopped with a
 * deploy of the service was taken out by it.
 */
import type { Emit } from '../detector.ts'
import type { Observation } from '../episode.ts'
import type { Habit } from './log-habits.ts'
import { countOf } from '../level.ts'
import type { LogsShared, ServiceVoice } from './log-voice.ts'
import { at, rarity, shortened } from './log-wording.ts'
import { duration } from '../../wording.ts'
import { reckoning, weeksOfScore } from '../reckon.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import type { Clocks } from './template-gaps.ts'

const NONE = -1
/** Silence is looked for so seldom: it takes minutes anyway. */
const LOOK_EVERY_WINDOWS = 6
const MAX_COMPANIONS = 20
const NAMED = 3
const MAX_SCORE = 10

export class StoppedLines {
  readonly #voice: ServiceVoice
  readonly #shared: LogsShared
  readonly #habit: Habit
  #leader = NONE
  #missedMs = 0
  #silentSinceMs = 0
  #companions: number[] = []
  #sinceLook = 0

  constructor(voice: ServiceVoice, shared: LogsShared, firstMs: number) {
    this.#voice = voice
    this.#shared = shared
    this.#habit = voice.habit(firstMs)
  }

  /** At the end of a window, when those that came are known. */
  look(slots: ReadonlyMap<number, number>, clocks: Readonly<Clocks>, emit: Emit): void {
    if (this.#leader !== NONE) this.#follow(clocks, slots.size, emit)
    if (++this.#sinceLook < LOOK_EVERY_WINDOWS) return
    this.#sinceLook = 0
    const { gaps, table } = this.#shared
    const late: number[] = []
    let worst = NONE
    let worstScore = 1
    for (const slot of slots.values()) {
      if (slot === this.#leader || table.c.settled[slot] === 0) continue
      const { score } = gaps.silence(slot, clocks, slots.size)
      if (!(score >= 1) || this.#companions.includes(slot)) continue
      if (this.#voice.wasDeployedSince(table.c.lastMs[slot]!)) {
        gaps.forget(slot)
        continue
      }
      late.push(slot)
      if (worst === NONE || score > worstScore) {
        worst = slot
        worstScore = score
      }
    }
    if (late.length === 0) return
    for (const slot of late) {
      if (slot === worst && this.#leader === NONE) continue
      gaps.missing(slot)
      if (this.#companions.length < MAX_COMPANIONS) this.#companions.push(slot)
      else gaps.forget(slot)
    }
    if (this.#leader !== NONE) return
    if (this.#habit.isHabit(worstScore, clocks.nowMs)) {
      for (const slot of late) gaps.forget(slot)
      this.#companions = []
    } else this.#open(worst, clocks, slots.size, emit)
  }

  /** The template is no longer followed. */
  drop(slot: number, atMs: number, emit: Emit): void {
    if (slot === this.#leader) this.#end(atMs, emit)
    else this.#companions = this.#companions.filter((other) => other !== slot)
  }

  forget(atMs: number, emit: Emit): void {
    if (this.#leader !== NONE) this.#end(atMs, emit)
  }

  snapshot(to: SnapshotWriter): void {
    for (const value of [this.#leader, this.#missedMs, this.#silentSinceMs, this.#sinceLook]) to.f64(value)
    to.column(Float64Array.from(this.#companions))
    this.#habit.snapshot(to)
  }

  restore(from: SnapshotReader): void {
    this.#leader = from.f64()
    this.#missedMs = from.f64()
    this.#silentSinceMs = from.f64()
    this.#sinceLook = from.f64()
    this.#companions = Array.from(from.f64s())
    this.#habit.restore(from)
  }

  #open(slot: number, clocks: Readonly<Clocks>, templates: number, emit: Emit): void {
    const { missedMs } = this.#shared.gaps.silence(slot, clocks, templates)
    this.#leader = slot
    this.#shared.gaps.missing(slot)
    this.#missedMs = Math.min(missedMs, clocks.nowMs - 1)
    this.#silentSinceMs = this.#shared.table.c.lastMs[slot]!
    this.#observe(this.#missedMs, clocks, templates, emit)
    this.#observe(clocks.nowMs, clocks, templates, emit)
  }

  #follow(clocks: Readonly<Clocks>, templates: number, emit: Emit): void {
    const slot = this.#leader
    if (clocks.nowMs - this.#missedMs > this.#shared.config.absorbMs) {
      this.#end(clocks.nowMs, emit)
      return
    }
    this.#observe(clocks.nowMs, clocks, templates, emit)
    if (this.#shared.stoppedEpisodes.isOpen(this.#voice.key('stopped', slot))) return
    this.#end(clocks.nowMs, emit)
  }

  #observe(timeMs: number, clocks: Readonly<Clocks>, templates: number, emit: Emit): void {
    const { stoppedEpisodes, table, config, gaps } = this.#shared
    const slot = this.#leader
    const isBack = table.c.lastMs[slot]! > this.#silentSinceMs
    const silence = gaps.silence(slot, clocks, templates)
    const score = isBack ? 0 : Math.max(1, Math.min(MAX_SCORE, silence.score))
    const { everyMs, longestMs, isScheduled } = silence
    const expected = countOf(table.c.location[slot]!) / Math.max(1, everyMs / config.windowMs)
    const seen: Observation = {
      ...this.#voice.observation(timeMs, isBack ? countOf(table.c.location[slot]!) : 0, expected, Infinity, score),
      direction: 'down',
      volume: Math.min(table.c.lines[slot]!, 1e6),
    }
    const lastMs = this.#silentSinceMs
    const nowMs = clocks.nowMs
    const explain = (worst: Observation): string[] => {
      const sentences = [`${this.#voice.name} has not written this since ${at(lastMs)}: "${this.#voice.text(slot)}"`]
      if (isBack) sentences.push(`It is back since ${at(table.c.lastMs[slot]!)}.`)
      else if (isScheduled)
        sentences.push(`It came every ${duration(everyMs)}, ${duration(longestMs)} apart at most, and was due at ${at(this.#missedMs)}.`)
      else
        sentences.push(
          `It came every ${duration(everyMs)} and never stayed away for longer than ${duration(longestMs)}; it has been silent for ${duration(nowMs - lastMs)} while ${this.#voice.name} went on writing other lines.`,
          rarity(worst.score, this.#voice.nats(everyMs, templates), config.falseAlarmsPerWeek),
        )
      sentences.push(this.#voice.example(slot))
      const more = this.#companions.length
      if (more > 0) {
        const named = this.#companions.slice(0, NAMED).map((other) => `"${shortened(table.texts[other]!).slice(0, 80)}"`)
        sentences.push(`${more} more kinds of lines have stopped, too: ${named.join(', ')}${more > NAMED ? ', …' : ''}`)
      }
      return sentences
    }
    stoppedEpisodes.observe(
      this.#voice.key('stopped', slot),
      this.#voice.subject(`log line stopped: ${this.#voice.text(slot)}`),
      seen,
      explain,
      emit,
      () =>
        isScheduled
          ? reckoning('silence', [
              ['silent for (s)', silence.gap / 1000],
              ['limit (s)', silence.gapLimit / 1000],
              ['cap', MAX_SCORE],
            ])
          : reckoning(
              'stopped',
              [
                ['windows silent', silence.gap],
                ['windows silent, limit', silence.gapLimit],
                ['other lines meanwhile', silence.others],
                ['other lines meanwhile, limit', silence.othersLimit],
                ['cap', MAX_SCORE],
              ],
              weeksOfScore(score, this.#voice.nats(everyMs, templates), config.falseAlarmsPerWeek),
            ),
    )
  }

  /** What has been told is not told again: what is still missing has to come regularly again first. */
  #end(atMs: number, emit: Emit): void {
    const { stoppedEpisodes, gaps, table } = this.#shared
    const key = this.#voice.key('stopped', this.#leader)
    stoppedEpisodes.end(key, atMs, emit)
    stoppedEpisodes.forget(key)
    if (table.c.lastMs[this.#leader]! <= this.#silentSinceMs) gaps.forget(this.#leader)
    for (const slot of this.#companions) if (table.c.lastMs[slot]! <= this.#missedMs) gaps.forget(slot)
    this.#companions = []
    this.#leader = NONE
  }
}
