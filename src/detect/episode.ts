/**
 * Turns the scored observations of subjects into anomalies with a start and an end. An anomaly opens after `openAfter` scores of 1
 * or more in a row, on the same side (after two where these are most of a minute apart and the second is far out; at once where an
 * observation says so), and starts at the first of them; it closes after `closeAfter` scores below 1 in a row
 * (scores just below 1 count half) and ends at the first of them. It is told when it opens, when it has become half again as
 * bad, when it comes to be felt, every `updateEveryMs` of event time, and when it ends. Deterministic; a subject costs a fixed number of bytes.
 */
import { createHash } from 'node:crypto'
import type { Anomaly, Reckoning, Symptom } from '../model.ts'
import type { Emit } from './detector.ts'
import { addPoint, columnsOf, newChart, type Chart } from './episode-chart.ts'
import { MAX_SCORE } from './reckon.ts'
import type { SnapshotReader, SnapshotWriter } from './snapshot.ts'

export interface EpisodeRules {
  readonly openAfter: number
  readonly closeAfter: number
  readonly updateEveryMs: number
  /** A chart never has more points; a long anomaly's chart is thinned, its peaks are kept. */
  readonly chartPoints: number
}

export interface Subject {
  readonly detector: string
  readonly signal: Anomaly['signal']
  readonly service: string
  readonly instance: string
  readonly subject: string
  readonly symptom: Symptom
  readonly unit: string
  readonly impact: boolean
}

export interface Observation {
  readonly timeMs: number
  readonly observed: number
  readonly expected: number
  /** Where normal ends. Infinite on a side that does not matter. */
  readonly low: number
  readonly high: number
  /** 1 is the threshold. NaN: not judged, it only goes into the chart. */
  readonly score: number
  readonly direction: 'up' | 'down'
  readonly volume: number
  /** What counts towards opening, where that is not the score: below 1 it opens nothing, though what is open goes on; Infinity opens at once. */
  readonly opening?: number
}

/** Says how the score of an observation came about. Called at once, and only for one that is the worst of its anomaly so far. */
export type Reckon = (worst: Observation) => Reckoning

/** Points kept of every subject, for the part of the chart before the start. 24 bytes each, most of what a quiet one costs here. */
const HISTORY = 12
const GROWTH = 1.5
/** Observations that each stand for most of a minute: a third would come when a short fault is over. */
export const SLOW_MS = 45_000
const FAR_OUT = 3
/** Below this an observation is clearly normal. */
const CLEAR = 0.8
const MAX_EVIDENCE = 12
const MAX_SENTENCE = 500

interface Episode {
  subject: Subject
  startMs: number
  /** Scores of 1 or more in a row while it is not open yet. */
  run: number
  open: boolean
  worst: Observation
  reckoning: Reckoning | undefined
  /** Normal observations in a row, in halves. */
  quiet: number
  quietSinceMs: number
  toldMs: number
  toldScore: number
  chart: Chart
}

export class Episodes {
  readonly #rules: EpisodeRules
  readonly #slots = new Map<string, number>()
  readonly #episodes = new Map<string, Episode>()
  readonly #free: number[] = []
  #times = new Float64Array(0)
  /** Observed, expected, low, high. */
  #values = new Float32Array(0)
  #counts = new Uint32Array(0)

  constructor(rules: EpisodeRules) {
    this.#rules = rules
  }

  /** Subjects it keeps points of. */
  get size(): number {
    return this.#slots.size
  }

  /** In order of time per key. True when an anomaly has opened. `explain` is called only when it is told, with its worst observation. */
  observe(
    key: string,
    subject: Subject,
    o: Observation,
    explain: (worst: Observation) => readonly string[],
    emit: Emit,
    reckon?: Reckon,
  ): boolean {
    this.#remember(key, o)
    let episode = this.#episodes.get(key)
    if (Number.isNaN(o.score)) {
      if (episode?.open) this.#draw(episode, o)
      return false
    }
    const { opening = o.score } = o
    if (o.score < 1 || (opening < 1 && episode?.open !== true)) {
      if (episode === undefined) return false
      if (episode.open) this.#calm(key, episode, o, explain, emit)
      else this.#episodes.delete(key)
      return false
    }
    let felt = false
    if (episode === undefined || (!episode.open && episode.worst.direction !== o.direction)) {
      this.#episodes.set(key, (episode = started(subject, o, reckon)))
    } else {
      felt = subject.impact && !episode.subject.impact
      // Once felt it stays so until it ends: that it grows no longer does not undo it.
      episode.subject = episode.subject.impact && !subject.impact ? { ...subject, impact: true } : subject
      episode.run++
      episode.quiet = 0
      if (scoreOf(o) > scoreOf(episode.worst)) {
        episode.worst = o
        episode.reckoning = reckon?.(o)
      }
    }
    if (episode.open) {
      this.#draw(episode, o)
      const grown = scoreOf(episode.worst) >= episode.toldScore * GROWTH
      if (grown || felt || o.timeMs - episode.toldMs >= this.#rules.updateEveryMs)
        this.#tell(key, episode, o.timeMs, undefined, explain, emit)
      return false
    }
    const soon = opening === Infinity || (episode.run === 2 && opening >= FAR_OUT && o.timeMs - episode.startMs >= SLOW_MS)
    if (!soon && episode.run < this.#rules.openAfter) return false
    episode.open = true
    this.#recall(key, episode)
    this.#tell(key, episode, o.timeMs, undefined, explain, emit)
    return true
  }

  isOpen(key: string): boolean {
    return this.#episodes.get(key)?.open === true
  }

  /** The subject went away: what is open ends here, what was building up is dropped. */
  end(key: string, atMs: number, emit: Emit): void {
    const episode = this.#episodes.get(key)
    this.#episodes.delete(key)
    if (episode?.open) this.#tell(key, episode, atMs, atMs, (worst) => [lastWord(episode.subject, worst)], emit)
  }

  /** Drops everything known of it, without a word. */
  forget(key: string): void {
    this.#episodes.delete(key)
    const slot = this.#slots.get(key)
    if (slot === undefined) return
    this.#slots.delete(key)
    this.#counts[slot] = 0
    this.#free.push(slot)
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#slots.size)
    for (const [key, slot] of this.#slots) {
      to.string(key)
      to.u32(this.#counts[slot]!)
      const kept = Math.min(HISTORY, this.#counts[slot]!)
      to.column(this.#times.subarray(slot * HISTORY, slot * HISTORY + kept))
      to.column(this.#values.subarray(slot * HISTORY * 4, (slot * HISTORY + kept) * 4))
    }
    to.u32(this.#episodes.size)
    for (const [key, episode] of this.#episodes) {
      to.string(key)
      writeEpisode(to, episode)
    }
  }

  restore(from: SnapshotReader): void {
    this.#slots.clear()
    this.#episodes.clear()
    this.#free.length = 0
    this.#counts = new Uint32Array(0)
    const subjects = from.count(16)
    for (let i = 0; i < subjects; i++) {
      const slot = this.#slot(from.string())
      this.#counts[slot] = from.u32()
      this.#fill(slot, from.f64s(), from.f32s())
    }
    const episodes = from.count(32)
    for (let i = 0; i < episodes; i++) this.#episodes.set(from.string(), readEpisode(from))
  }

  #calm(key: string, episode: Episode, o: Observation, explain: (worst: Observation) => readonly string[], emit: Emit): void {
    if (episode.quiet === 0) episode.quietSinceMs = o.timeMs
    episode.quiet += o.score < CLEAR ? 2 : 1
    this.#draw(episode, o)
    if (episode.quiet >= this.#rules.closeAfter * 2) {
      this.#episodes.delete(key)
      this.#tell(key, episode, o.timeMs, episode.quietSinceMs, explain, emit)
    } else if (o.timeMs - episode.toldMs >= this.#rules.updateEveryMs) this.#tell(key, episode, o.timeMs, undefined, explain, emit)
  }

  #tell(
    key: string,
    episode: Episode,
    atMs: number,
    endMs: number | undefined,
    explain: (worst: Observation) => readonly string[],
    emit: Emit,
  ): void {
    const { subject, worst, chart } = episode
    // Two observations of one moment must not hide one another: the later telling is the one that counts.
    const laterMs = Math.max(atMs, episode.toldMs + 1)
    episode.toldMs = laterMs
    episode.toldScore = scoreOf(worst)
    emit({
      kind: 'anomaly',
      id: createHash('sha256').update(`${subject.detector}\0${key}\0${episode.startMs}`).digest('hex').slice(0, 16),
      detector: subject.detector,
      signal: subject.signal,
      service: subject.service,
      instance: subject.instance,
      subject: subject.subject,
      symptom: subject.symptom,
      direction: worst.direction,
      startMs: episode.startMs,
      endMs,
      atMs: laterMs,
      score: scoreOf(worst),
      observed: worst.observed,
      expected: worst.expected,
      unit: subject.unit,
      volume: worst.volume,
      impact: subject.impact,
      evidence: explain(worst)
        .slice(0, MAX_EVIDENCE)
        .map((sentence) => (sentence.length > MAX_SENTENCE ? `${sentence.slice(0, MAX_SENTENCE - 1)}…` : sentence)),
      points: {
        timeMs: chart.timeMs.slice(),
        observed: chart.observed.slice(),
        expected: chart.expected.slice(),
        low: chart.low.slice(),
        high: chart.high.slice(),
      },
      reckoning: episode.reckoning,
    })
  }

  #remember(key: string, o: Observation): void {
    const slot = this.#slot(key)
    const at = slot * HISTORY + (this.#counts[slot]! % HISTORY)
    this.#counts[slot] = this.#counts[slot]! + 1
    this.#times[at] = o.timeMs
    this.#values[at * 4] = o.observed
    this.#values[at * 4 + 1] = o.expected
    this.#values[at * 4 + 2] = Number.isFinite(o.low) ? o.low : Math.min(o.observed, o.expected)
    this.#values[at * 4 + 3] = Number.isFinite(o.high) ? o.high : Math.max(o.observed, o.expected)
  }

  #slot(key: string): number {
    const known = this.#slots.get(key)
    if (known !== undefined) return known
    const slot = this.#free.pop() ?? this.#slots.size
    if (slot >= this.#counts.length) {
      const slots = Math.max(16, this.#counts.length * 2)
      this.#counts = grown(this.#counts, new Uint32Array(slots))
      this.#times = grown(this.#times, new Float64Array(slots * HISTORY))
      this.#values = grown(this.#values, new Float32Array(slots * HISTORY * 4))
    }
    this.#slots.set(key, slot)
    return slot
  }

  /** The newest points of a saved ring, which may have been of another size. */
  #fill(slot: number, times: Float64Array, values: Float32Array): void {
    const count = this.#counts[slot]!
    for (let i = Math.max(0, count - Math.min(HISTORY, times.length)); i < count; i++) {
      const saved = i % Math.max(times.length, 1)
      const at = slot * HISTORY + (i % HISTORY)
      this.#times[at] = times[saved]!
      this.#values.set(values.subarray(saved * 4, saved * 4 + 4), at * 4)
    }
  }

  /** What led up to the start, oldest first, into the chart of an anomaly that has just opened. */
  #recall(key: string, episode: Episode): void {
    const slot = this.#slots.get(key)!
    const count = this.#counts[slot]!
    for (let i = Math.max(0, count - HISTORY); i < count; i++) {
      const at = slot * HISTORY + (i % HISTORY)
      const timeMs = this.#times[at]!
      const [observed, expected, low, high] = this.#values.subarray(at * 4, at * 4 + 4)
      const score = timeMs >= episode.startMs ? 1 : 0
      addPoint(episode.chart, timeMs, observed!, expected!, low!, high!, score, this.#rules.chartPoints)
    }
  }

  #draw(episode: Episode, o: Observation): void {
    const low = Number.isFinite(o.low) ? o.low : Math.min(o.observed, o.expected)
    const high = Number.isFinite(o.high) ? o.high : Math.max(o.observed, o.expected)
    addPoint(episode.chart, o.timeMs, o.observed, o.expected, low, high, o.score, this.#rules.chartPoints)
  }
}

function started(subject: Subject, o: Observation, reckon: Reckon | undefined): Episode {
  // The score told last is 0 so that the first telling needs no rule of its own.
  return {
    subject,
    startMs: o.timeMs,
    run: 1,
    open: false,
    worst: o,
    reckoning: reckon?.(o),
    quiet: 0,
    quietSinceMs: 0,
    toldMs: 0,
    toldScore: 0,
    chart: newChart(),
  }
}

/** There is nothing more to say than how it was at its worst. */
function lastWord({ subject, unit }: Subject, { observed, expected }: Observation): string {
  const figure = (value: number) => `${Number(value.toPrecision(3))}${unit === '' ? '' : ` ${unit}`}`
  return `${subject} was ${figure(observed)} at its worst, expected ${figure(expected)}; it is no longer reported.`
}

function scoreOf(o: Observation): number {
  return Math.min(MAX_SCORE, o.score)
}

function grown<A extends Float64Array | Float32Array | Uint32Array>(from: A, to: A): A {
  to.set(from)
  return to
}

const SIGNALS = ['metrics', 'logs', 'spans', 'mixed'] as const
const SYMPTOMS = ['errors', 'latency', 'traffic', 'saturation', 'log', 'absence', 'other'] as const

/** What stands in the byte that says whether it is open. Snapshots of earlier versions have no reckoning. */
const OPEN = 1
const RECKONED = 2

function writeEpisode(to: SnapshotWriter, { subject, worst, chart, reckoning, ...rest }: Episode): void {
  for (const text of [subject.detector, subject.service, subject.instance, subject.subject, subject.unit]) to.string(text)
  to.u8(SIGNALS.indexOf(subject.signal))
  to.u8(SYMPTOMS.indexOf(subject.symptom))
  to.u8(subject.impact ? 1 : 0)
  for (const value of [worst.timeMs, worst.observed, worst.expected, worst.low, worst.high, worst.score, worst.volume]) to.f64(value)
  to.u8(worst.direction === 'up' ? 1 : 0)
  to.u8((rest.open ? OPEN : 0) | (reckoning === undefined ? 0 : RECKONED))
  for (const value of [rest.startMs, rest.run, rest.quiet, rest.quietSinceMs, rest.toldMs, rest.toldScore, chart.stride, chart.inLast])
    to.f64(value)
  for (const column of columnsOf(chart)) to.column(Float64Array.from(column))
  if (reckoning === undefined) return
  to.string(reckoning.rule)
  to.f64(reckoning.oncePerWeeks)
  to.u32(reckoning.inputs.length)
  for (const [name, value] of reckoning.inputs) {
    to.string(name)
    to.f64(value)
  }
}

function readEpisode(from: SnapshotReader): Episode {
  const [detector, service, instance, text, unit] = [from.string(), from.string(), from.string(), from.string(), from.string()]
  const signal = SIGNALS[from.u8()] ?? 'mixed'
  const symptom = SYMPTOMS[from.u8()] ?? 'other'
  const subject: Subject = { detector, signal, service, instance, subject: text, symptom, unit, impact: from.u8() === 1 }
  const [timeMs, observed, expected, low, high, score, volume] = [
    from.f64(),
    from.f64(),
    from.f64(),
    from.f64(),
    from.f64(),
    from.f64(),
    from.f64(),
  ]
  const worst: Observation = { timeMs, observed, expected, low, high, score, direction: from.u8() === 1 ? 'up' : 'down', volume }
  const flags = from.u8()
  const open = (flags & OPEN) !== 0
  const [startMs, run, quiet, quietSinceMs, toldMs, toldScore, stride, inLast] = [
    from.f64(),
    from.f64(),
    from.f64(),
    from.f64(),
    from.f64(),
    from.f64(),
    from.f64(),
    from.f64(),
  ]
  const column = (): number[] => Array.from(from.f64s())
  const chart: Chart = {
    timeMs: column(),
    observed: column(),
    expected: column(),
    low: column(),
    high: column(),
    score: column(),
    stride,
    inLast,
  }
  const reckoning = (flags & RECKONED) === 0 ? undefined : readReckoning(from)
  return { subject, startMs, run, open, worst, reckoning, quiet, quietSinceMs, toldMs, toldScore, chart }
}

function readReckoning(from: SnapshotReader): Reckoning {
  const [rule, oncePerWeeks] = [from.string(), from.f64()]
  return { rule, inputs: Array.from({ length: from.count(12) }, () => [from.string(), from.f64()] as const), oncePerWeeks }
}
