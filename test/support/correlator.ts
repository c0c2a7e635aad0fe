/**
 * Plays findings to the reducer the way detect would: in order of time, with a tick's progress every five seconds, and keeps what came
 * of it as a database would. Virtual time only.
 */
import { correlateConfig, type CorrelateConfig } from '../../src/correlate/config.ts'
import { initialState, type Effects, type PersonAction, type State } from '../../src/correlate/state.ts'
import { collect, type Arrival } from '../../src/correlate/stepper.ts'
import type { Anomaly, Change, Finding, Incident, TimelineEntry } from '../../src/model.ts'
import { heardMs } from './findings.ts'

const TICK_MS = 5_000

export class Correlator {
  readonly config: CorrelateConfig
  state: State = initialState()
  readonly effects: Effects[] = []
  readonly timeline: TimelineEntry[] = []
  readonly #incidents = new Map<string, Incident>()
  readonly #anomalies = new Map<string, { incidentId: string; anomaly: Anomaly }>()
  readonly changes: Change[] = []
  #seq = 0

  constructor(over: Partial<CorrelateConfig> = {}) {
    this.config = { ...correlateConfig.parse({}), ...over }
  }

  /** In order of opening. */
  get incidents(): Incident[] {
    return [...this.#incidents.values()]
  }

  get only(): Incident {
    const [first, ...more] = this.incidents
    if (first === undefined || more.length > 0)
      throw new Error(`${this.incidents.length} incidents: ${this.incidents.map((one) => one.title).join(' | ')}`)
    return first
  }

  anomaliesOf(incident: Incident): Anomaly[] {
    return [...this.#anomalies.values()].filter((link) => link.incidentId === incident.id).map((link) => link.anomaly)
  }

  entriesOf(incident: Incident, ...kinds: string[]): TimelineEntry[] {
    return this.timeline.filter((entry) => entry.incidentId === incident.id && (kinds.length === 0 || kinds.includes(entry.kind)))
  }

  take(arrivals: readonly Arrival[], actions: readonly PersonAction[] = []): Effects {
    const { state, effects } = collect(this.state, arrivals, actions, this.config)
    this.state = state
    this.effects.push(effects)
    for (const incident of effects.incidents) this.#incidents.set(incident.id, incident)
    for (const link of effects.anomalies) this.#anomalies.set(link.anomaly.id, link)
    this.timeline.push(...effects.timeline)
    this.changes.push(...effects.changes)
    return effects
  }

  /** Everything until `untilMs`, in the order it would be heard of. */
  play(findings: readonly Finding[], untilMs: number): this {
    const ordered = findings
      .map((finding, index) => ({ finding, index }))
      .sort((a, b) => heardMs(a.finding) - heardMs(b.finding) || a.index - b.index)
    const first = ordered[0] === undefined ? untilMs : heardMs(ordered[0].finding)
    let tickMs = Math.max(this.state.nowMs + TICK_MS, Math.ceil(first / TICK_MS) * TICK_MS)
    let next = 0
    for (; tickMs <= untilMs; tickMs += TICK_MS) {
      const arrivals: Arrival[] = []
      for (; next < ordered.length && heardMs(ordered[next]!.finding) <= tickMs; next++)
        arrivals.push({ partition: 0, finding: ordered[next]!.finding })
      this.take([...arrivals, { partition: 0, finding: { kind: 'progress', partition: 0, nowMs: tickMs } }])
    }
    return this
  }

  act(action: 'acknowledge' | 'resolve', incident: Incident, by = 'ana'): Effects {
    return this.take([], [{ kind: 'action', seq: ++this.#seq, incidentId: incident.id, action, by, atMs: this.state.nowMs + 1 }])
  }
}
