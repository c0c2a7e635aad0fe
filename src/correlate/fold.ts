/**
 * Takes inputs into the working copy, in a fixed order whatever the order they came in, and ignores what it has seen: the same anomaly
 * or alert told no later, the same window of the same partition, a change or action known by its id.
 */
import type { Alert, Anomaly, Change, Finding, Flow } from '../model.ts'
import type { Draft } from './draft.ts'
import { isOpen } from './draft.ts'
import { WINDOW_MS } from './excess.ts'
import { addFlows, unseenFlows } from './flow-history.ts'
import type { Input, PersonAction } from './state.ts'
import { recoveredEntry } from './timeline.ts'
import { learn } from './topology.ts'

export function fold(draft: Draft, inputs: readonly Input[]): void {
  const flows: Flow[] = []
  for (const input of inputs.toSorted(inOrder)) {
    if (input.kind === 'flow') flows.push(input)
    else if (input.kind === 'anomaly') foldAnomaly(draft, input)
    else if (input.kind === 'alert') foldAlert(draft, input)
    else if (input.kind === 'change') foldChange(draft, input)
    else if (input.kind === 'action') foldAction(draft, input)
  }
  foldFlows(draft, flows)
}

/** When a finding is about. */
export function timeOf(input: Input): number {
  return input.kind === 'flow' ? input.endMs : input.kind === 'progress' ? input.nowMs : input.atMs
}

function inOrder(a: Input, b: Input): number {
  if (a.kind === 'action' && b.kind === 'action') return a.seq - b.seq
  return timeOf(a) - timeOf(b) || compare(a.kind, b.kind) || compare(nameOf(a), nameOf(b)) || weightOf(a) - weightOf(b)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function nameOf(input: Finding | PersonAction): string {
  if (input.kind === 'flow') return `${input.partition}:${input.startMs}`
  if (input.kind === 'progress') return String(input.partition)
  return input.kind === 'action' ? String(input.seq) : input.id
}

/** Of two reports about the same thing at the same time the one that says it is over, or worse, comes last. */
function weightOf(input: Input): number {
  if (input.kind === 'anomaly')
    return (input.endMs === undefined ? 0 : 1e9) + (Number.isFinite(input.score) ? Math.min(input.score, 1e6) : 0)
  return input.kind === 'alert' ? -input.endMs : 0
}

function foldAnomaly(draft: Draft, anomaly: Anomaly): void {
  const known = draft.anomalies.get(anomaly.id)
  if (known === undefined) {
    if ((anomaly.endMs ?? anomaly.atMs) >= draft.nowMs - draft.config.keepMs)
      draft.anomalies.set(anomaly.id, { anomaly, incidentId: '', listed: false })
    return
  }
  // What has ended does not begin again: that would be another anomaly, with another start.
  if (anomaly.endMs === undefined && known.anomaly.endMs !== undefined) return
  const ended = anomaly.endMs !== undefined && known.anomaly.endMs === undefined
  if (anomaly.atMs < known.anomaly.atMs || (anomaly.atMs === known.anomaly.atMs && !ended)) return
  const { incidentId } = known
  draft.anomalies.set(anomaly.id, { ...known, anomaly: incidentId === '' ? anomaly : withoutChart(anomaly) })
  const tracked = draft.incidents.get(incidentId)
  if (tracked === undefined) return
  if (isOpen(tracked)) draft.put({ ...tracked, causesDue: true })
  if (!known.listed) return
  draft.links.push({ incidentId, anomaly })
  if (ended) draft.timeline.push(recoveredEntry(incidentId, anomaly, anomaly.endMs))
}

/** The store has the chart; carrying it in every checkpoint would make those ten times as large. */
export function withoutChart(anomaly: Anomaly): Anomaly {
  return { ...anomaly, points: { timeMs: [], observed: [], expected: [], low: [], high: [] } }
}

function foldAlert(draft: Draft, alert: Alert): void {
  const known = draft.alerts.get(alert.id)
  if (known === undefined) {
    if (alert.endMs >= draft.nowMs - draft.config.keepMs) draft.alerts.set(alert.id, { alert, incidentId: '', endTold: false })
    return
  }
  if (alert.atMs < known.alert.atMs || alert.endMs === known.alert.endMs) return
  const again = known.alert.endMs <= draft.nowMs && alert.endMs > draft.nowMs
  const incident = draft.incidents.get(known.incidentId)
  // Its incident is closed and it fires once more: free to open another.
  const incidentId = again && incident !== undefined && !isOpen(incident) ? '' : known.incidentId
  draft.alerts.set(alert.id, { alert, incidentId, endTold: known.endTold && !again })
}

function foldChange(draft: Draft, change: Change): void {
  if (draft.changes.has(change.id)) return
  draft.newChanges.push(change)
  if (change.atMs >= draft.nowMs - draft.config.changeLookBackMs - draft.config.keepMs) draft.changes.set(change.id, change)
}

function foldAction(draft: Draft, action: PersonAction): void {
  if (action.seq <= draft.lastActionSeq) return
  draft.lastActionSeq = action.seq
  const tracked = draft.incidents.get(action.incidentId)
  if (tracked === undefined || !isOpen(tracked)) return
  const { incident } = tracked
  const updatedMs = Math.max(incident.updatedMs, action.atMs)
  if (action.action === 'resolve') {
    draft.put({
      ...tracked,
      closedMs: draft.nowMs,
      closedBy: 'person',
      incident: { ...incident, status: 'resolved', resolvedMs: action.atMs, updatedMs },
    })
  } else if (incident.status === 'open') {
    draft.put({ ...tracked, incident: { ...incident, status: 'acknowledged', acknowledgedMs: action.atMs, updatedMs } })
  }
  draft.tell(incident.id, action.atMs)
}

function foldFlows(draft: Draft, flows: readonly Flow[]): void {
  const fresh = unseenFlows(draft.history, flows, draft.nowMs)
  if (fresh.length === 0) return
  const { topologyHalfLifeMs: halfLifeMs, limits } = draft.config
  draft.topology = learn(draft.topology, fresh, draft.nowMs, { halfLifeMs, maxEdges: limits.edges })
  draft.history = addFlows(draft.history, fresh, draft.nowMs, limits)
  // Later traffic says nothing new about the cause.
  const firstMs = fresh.reduce((first, flow) => Math.min(first, flow.startMs), Infinity)
  for (const tracked of draft.incidents.values()) {
    if (isOpen(tracked) && firstMs < tracked.onsetMs + WINDOW_MS) draft.put({ ...tracked, causesDue: true })
  }
}
