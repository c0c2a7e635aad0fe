/**
 * The working copy of one reduction: maps copied from the state, effects as they come up. Lives for one call of `reduce`.
 */
import type { Anomaly, Change, Incident, TimelineEntry } from '../model.ts'
import type { CorrelateConfig } from './config.ts'
import type { FlowHistory } from './flow-history.ts'
import { isWorse } from './severity.ts'
import type { Effects, State, TrackedAlert, TrackedAnomaly, TrackedIncident, Transition } from './state.ts'
import { severityEntry } from './timeline.ts'
import { graphOf, type Graph, type Topology } from './topology.ts'

export class Draft {
  readonly nowMs: number
  readonly config: CorrelateConfig
  readonly anomalies: Map<string, TrackedAnomaly>
  readonly alerts: Map<string, TrackedAlert>
  readonly changes: Map<string, Change>
  readonly incidents: Map<string, TrackedIncident>
  readonly timeline: TimelineEntry[] = []
  readonly links: { incidentId: string; anomaly: Anomaly }[] = []
  readonly newChanges: Change[] = []
  topology: Topology
  history: FlowHistory
  lastActionSeq: number
  readonly #from: State
  readonly #transitions: Transition[] = []
  /** Incidents as they were last told of. */
  readonly #told = new Map<string, Incident>()

  constructor(state: State, nowMs: number, config: CorrelateConfig) {
    this.#from = state
    this.nowMs = nowMs
    this.config = config
    this.anomalies = new Map(state.anomalies)
    this.alerts = new Map(state.alerts)
    this.changes = new Map(state.changes)
    this.incidents = new Map(state.incidents)
    this.topology = state.topology
    this.history = state.history
    this.lastActionSeq = state.lastActionSeq
    for (const [id, tracked] of state.incidents) this.#told.set(id, tracked.incident)
  }

  get graph(): Graph {
    return graphOf(this.topology)
  }

  put(tracked: TrackedIncident): void {
    this.incidents.set(tracked.incident.id, tracked)
  }

  /** Closes a change of the incident off as a transition of its own. */
  tell(id: string, atMs: number): void {
    const before = this.#told.get(id)
    const after = this.incidents.get(id)?.incident
    if (after === undefined || after === before) return
    if (before !== undefined && isWorse(after.severity, before.severity)) this.timeline.push(severityEntry(before, after, atMs))
    this.#transitions.push({ before, after, atMs })
    this.#told.set(id, after)
  }

  finish(): { state: State; effects: Effects } {
    const changed = new Map(this.#transitions.map(({ after }) => [after.id, after]))
    return {
      state: {
        ...this.#from,
        nowMs: this.nowMs,
        lastActionSeq: this.lastActionSeq,
        anomalies: this.anomalies,
        alerts: this.alerts,
        changes: this.changes,
        incidents: this.incidents,
        topology: this.topology,
        history: this.history,
      },
      effects: {
        incidents: [...changed.values()],
        transitions: this.#transitions,
        timeline: this.timeline,
        anomalies: this.links,
        changes: this.newChanges,
      },
    }
  }
}

export function isOpen(tracked: TrackedIncident): boolean {
  return tracked.closedMs === undefined
}

/** It goes on, as far as is known. */
export function isStanding(anomaly: Anomaly, nowMs: number, staleMs: number): boolean {
  return anomaly.endMs === undefined && nowMs - anomaly.atMs <= staleMs
}
