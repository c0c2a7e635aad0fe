/**
 * What the correlator knows. A value: `reduce` and `collect` give a new one and leave the old one as it was, so a transaction
 * that is rolled back needs no undoing. All of it is bounded by the configuration's limits.
 */
import type { Alert, Anomaly, Change, Finding, Incident, TimelineEntry } from '../model.ts'
import { emptyHistory, type FlowHistory } from './flow-history.ts'
import { emptyTopology, type Topology } from './topology.ts'

/** What a person did to an incident. */
export interface PersonAction {
  readonly kind: 'action'
  readonly seq: number
  readonly incidentId: string
  readonly action: 'acknowledge' | 'resolve'
  readonly by: string
  readonly atMs: number
}

export type Input = Finding | PersonAction

/** `incidentId` is '' while it belongs to none. */
export interface TrackedAnomaly {
  /** Once it belongs to an incident its chart lives in the store and is left out here. */
  readonly anomaly: Anomaly
  readonly incidentId: string
  /** Told about in its incident; false beyond the limit of anomalies per incident. */
  readonly listed: boolean
}

export interface TrackedAlert {
  readonly alert: Alert
  readonly incidentId: string
  readonly endTold: boolean
}

export interface TrackedIncident {
  readonly incident: Incident
  /** When the first symptom that was felt began. */
  readonly onsetMs: number
  /** Services where something is felt, or that an alert names: what else belongs here is near one of them. Sorted. */
  readonly core: readonly string[]
  /** Until when something was felt. */
  readonly lastImpactMs: number
  readonly standing: boolean
  /** How often symptoms came back after they were thought gone. */
  readonly returns: number
  /** One around the same services that was resolved not long before this one opened. */
  readonly previous: { readonly cause: string; readonly returns: number } | null
  readonly changeIds: readonly string[]
  readonly listedAnomalies: number
  /** Something was learnt since the causes were weighed. */
  readonly causesDue: boolean
  readonly causesMs: number
  readonly announcedCause: string
  /** Event time of the step it was closed in. */
  readonly closedMs: number | undefined
  readonly closedBy: '' | 'recovery' | 'person'
}

/** How often it came back, counting its earlier lives when they had the same cause. */
export function returnsOf({ returns, previous, announcedCause }: TrackedIncident): number {
  return returns + (previous !== null && previous.cause === announcedCause ? previous.returns + 1 : 0)
}

/** A finding that waits for now to come as far as `dueMs`. */
export interface Pending {
  readonly dueMs: number
  readonly finding: Finding
}

export interface State {
  /** The last step. */
  readonly nowMs: number
  /** How far each telemetry partition has come. */
  readonly progress: ReadonlyMap<number, number>
  readonly pending: readonly Pending[]
  readonly lastActionSeq: number
  readonly anomalies: ReadonlyMap<string, TrackedAnomaly>
  readonly alerts: ReadonlyMap<string, TrackedAlert>
  readonly changes: ReadonlyMap<string, Change>
  readonly incidents: ReadonlyMap<string, TrackedIncident>
  readonly topology: Topology
  readonly history: FlowHistory
}

export function initialState(): State {
  return {
    nowMs: 0,
    progress: new Map(),
    pending: [],
    lastActionSeq: 0,
    anomalies: new Map(),
    alerts: new Map(),
    changes: new Map(),
    incidents: new Map(),
    topology: emptyTopology,
    history: emptyHistory,
  }
}

/** An incident that changed, as it was before the step and as it is now. */
export interface Transition {
  readonly before: Incident | undefined
  readonly after: Incident
  readonly atMs: number
}

/** What is to be written and told. */
export interface Effects {
  /** Each changed incident once, as it is at the end. */
  readonly incidents: readonly Incident[]
  readonly transitions: readonly Transition[]
  readonly timeline: readonly TimelineEntry[]
  readonly anomalies: readonly { readonly incidentId: string; readonly anomaly: Anomaly }[]
  /** Changes heard of for the first time, whether or not they belong to an incident. */
  readonly changes: readonly Change[]
}

export const noEffects: Effects = { incidents: [], transitions: [], timeline: [], anomalies: [], changes: [] }

/** Effects of two reductions, one after the other. */
export function joinEffects(first: Effects, second: Effects): Effects {
  return {
    incidents: [...new Map([...first.incidents, ...second.incidents].map((incident) => [incident.id, incident])).values()],
    transitions: [...first.transitions, ...second.transitions],
    timeline: [...first.timeline, ...second.timeline],
    anomalies: [...first.anomalies, ...second.anomalies],
    changes: [...first.changes, ...second.changes],
  }
}
