/**
 * Who is missing. A service whose metrics have all gone silent for several of its intervals, or a target Prometheus cannot
 * scrape (`up` is 0), is an anomaly; one copy less while others report is scaling, and a service that was taken out of
 * discovery (its `up` was marked stale) is nobody's loss. When everything is silent at once it is the sender that is missing, and
 * nothing can be said of the services.
 */
import type { Emit } from '../detector.ts'
import type { Episodes, Observation, Subject } from '../episode.ts'
import { reckoning, silenceScore } from '../reckon.ts'
import type { Entry, SeriesTable, Service } from './series-table.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

export interface PresenceRules {
  readonly absentAfterIntervals: number
  readonly absentAfterMs: number
  /** A service must have been heard for so long before its silence means anything. */
  readonly warmupMs: number
  /** Whether the telemetry of a service goes into this partition; what goes into another one now is missed by nobody. */
  readonly belongs?: ((service: string) => boolean) | undefined
}

const MAX_SCORE = 3

export class Presence {
  readonly #rules: PresenceRules
  readonly #table: SeriesTable
  readonly #episodes: Episodes
  /** Since when nothing has come from anybody; 0: it comes. */
  #senderGoneMs = 0

  constructor(rules: PresenceRules, table: SeriesTable, episodes: Episodes) {
    this.#rules = rules
    this.#table = table
    this.#episodes = episodes
  }

  /** A sample of `up`. */
  up(entry: Entry, timeMs: number, value: number, emit: Emit): void {
    const { instance, service } = entry
    instance.up = value
    if (value > 0) instance.wasUp = true
    let down = 0
    for (const other of service.instances.values()) if (other.up === 0) down++
    const score = !instance.wasUp ? Number.NaN : value > 0 ? 0 : MAX_SCORE
    const explain = (): string[] => [
      `Prometheus has not been able to scrape ${instance.name === '' ? 'it' : instance.name} (up = 0).`,
      `${down} of ${service.instances.size} targets of ${service.name} are down.`,
    ]
    const reckon = () =>
      reckoning('target-down', [
        ['up', value],
        ['score of a target that is down', MAX_SCORE],
      ])
    this.#episodes.observe(entry.series.key, upSubject(entry), observation(timeMs, value > 0 ? 1 : 0, 1, score, 1), explain, emit, reckon)
  }

  /** `up` was marked stale: the target is gone from service discovery. */
  upGone(entry: Entry, timeMs: number, emit: Emit): void {
    this.#episodes.end(entry.series.key, timeMs, emit)
    entry.instance.up = Number.NaN
    let others = 0
    for (const instance of entry.service.instances.values()) if (!Number.isNaN(instance.up)) others++
    entry.service.removed = others === 0
  }

  /** Tocsin itself was away: that time counts as nobody's silence. */
  paused(ms: number): void {
    for (const service of this.#table.services.values()) service.heardMs += ms
  }

  tick(nowMs: number, emit: Emit): void {
    const { services } = this.#table
    let newestMs = 0
    let shortestMs = Number.POSITIVE_INFINITY
    for (const service of services.values()) {
      newestMs = Math.max(newestMs, service.heardMs)
      shortestMs = Math.min(shortestMs, this.#limitMs(service))
    }
    // Before anybody can be called missing: services with other intervals are not to wait for one another.
    const everything = services.size > 1 && nowMs - newestMs > shortestMs / 2
    if (everything) this.#senderGoneMs ||= newestMs
    else if (this.#senderGoneMs > 0) {
      // They do not all come back in one moment.
      for (const service of services.values()) service.heardMs = Math.min(newestMs, service.heardMs + newestMs - this.#senderGoneMs)
      this.#senderGoneMs = 0
    }
    for (const service of services.values()) this.#look(service, nowMs, everything, emit)
  }

  snapshot(to: SnapshotWriter): void {
    to.f64(this.#senderGoneMs)
  }

  restore(from: SnapshotReader): void {
    this.#senderGoneMs = from.f64()
  }

  forget(service: string): void {
    this.#episodes.forget(keyOf(service))
  }

  #look(service: Service, nowMs: number, everything: boolean, emit: Emit): void {
    const key = keyOf(service.name)
    const limitMs = this.#limitMs(service)
    const silentMs = nowMs - service.heardMs
    const absent =
      silentMs > limitMs &&
      !everything &&
      !service.removed &&
      service.heardMs - service.firstHeardMs >= this.#rules.warmupMs &&
      this.#rules.belongs?.(service.name) !== false
    const open = this.#episodes.isOpen(key)
    if (!absent && !open) return
    if (open && service.removed) {
      this.#episodes.end(key, nowMs, emit)
      return
    }
    // While the sender itself is silent, what is open stays as it is.
    if (open && everything) return
    const subject: Subject = {
      detector: 'series',
      signal: 'metrics',
      service: service.name,
      instance: '',
      subject: 'all metrics',
      symptom: 'absence',
      unit: 'reporting',
      impact: false,
    }
    const explain = (): string[] => [
      `None of the ${service.series} series of ${service.name} has arrived since ${new Date(service.heardMs).toISOString()}; they come every ${Math.round(intervalMs(service) / 1000)} s.`,
    ]
    const score = absent ? silenceScore(silentMs, limitMs, MAX_SCORE) : 0
    const reckon = () =>
      reckoning('silence', [
        ['silent for (s)', silentMs / 1000],
        ['limit (s)', limitMs / 1000],
        ['cap', MAX_SCORE],
      ])
    // It has been missing since it was last heard: that is the first of the two observations that open an anomaly.
    if (absent && !open)
      this.#episodes.observe(key, subject, observation(service.heardMs, 0, 1, score, service.series), explain, emit, reckon)
    this.#episodes.observe(key, subject, observation(nowMs, absent ? 0 : 1, 1, score, service.series), explain, emit, reckon)
  }

  #limitMs(service: Service): number {
    return Math.max(this.#rules.absentAfterMs, intervalMs(service) * this.#rules.absentAfterIntervals)
  }
}

function intervalMs(service: Service): number {
  let longest = 0
  for (const instance of service.instances.values()) if (instance.intervalMs > longest) longest = instance.intervalMs
  return longest
}

function keyOf(service: string): string {
  return `absence\0${service}`
}

function upSubject(entry: Entry): Subject {
  const { service, instance } = entry
  return {
    detector: 'series',
    signal: 'metrics',
    service: service.name,
    instance: instance.name,
    subject: 'up',
    symptom: 'absence',
    unit: 'up',
    impact: false,
  }
}

function observation(timeMs: number, observed: number, expected: number, score: number, volume: number): Observation {
  return { timeMs, observed, expected, low: 0.5, high: Number.POSITIVE_INFINITY, score, direction: 'down', volume }
}
