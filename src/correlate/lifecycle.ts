/**
 * An open incident from step to step: its severity (never falls while it is open), title and impact, its causes, and its end. It is
 * over when nothing has been felt for a while. Symptoms that return within that while keep it open, and returning again and again
 * makes the while longer: flapping is one incident and one page.
 */
import type { Alert, Anomaly, Cause, Incident } from '../model.ts'
import { rankCauses } from './cause.ts'
import { isOpen, isStanding, type Draft } from './draft.ts'
import { WINDOW_MS } from './excess.ts'
import { FINE_MS } from './flow-history.ts'
import { reachOf } from './grouping.ts'
import { alertPages, worse } from './severity.ts'
import { returnsOf, type TrackedIncident } from './state.ts'
import { alertEndedEntry, causeEntry, openedEntry, resolvedEntry } from './timeline.ts'
import { impressionOf } from './title.ts'

interface Members {
  readonly anomalies: Anomaly[]
  readonly alerts: Alert[]
}

/** Doubles the time of quiet that is asked for, at most this many times. */
const MAX_DOUBLINGS = 2
/** Below this a cause is shown but not called probable. */
const WORTH_SAYING = 0.4
/** A new favourite must be ahead of the announced one by this much to be announced. */
const CLEARLY_AHEAD = 0.05

export function advance(draft: Draft): void {
  tellEndedAlerts(draft)
  const members = membersOf(draft)
  for (const [id, before] of draft.incidents) {
    if (isOpen(before)) {
      let tracked = felt(draft, before, members.get(id) ?? { anomalies: [], alerts: [] })
      const isNew = before.incident.title === ''
      if (isNew) draft.timeline.push(openedEntry(tracked.incident))
      tracked = withCauses(draft, tracked, members.get(id) ?? { anomalies: [], alerts: [] })
      tracked = resolved(draft, tracked, members.get(id)?.anomalies ?? [])
      draft.put({ ...tracked, incident: stamped(before.incident, tracked.incident, draft.nowMs) })
    }
    draft.tell(id, draft.nowMs)
  }
}

function felt(draft: Draft, tracked: TrackedIncident, members: Members): TrackedIncident {
  const { nowMs, config } = draft
  let standing = false
  let lastImpactMs = tracked.onsetMs
  for (const anomaly of members.anomalies) {
    if (!anomaly.impact) continue
    if (isStanding(anomaly, nowMs, config.staleMs)) standing = true
    lastImpactMs = Math.max(lastImpactMs, anomaly.endMs ?? anomaly.atMs)
  }
  for (const alert of members.alerts) {
    if (!alertPages(alert)) continue
    if (alert.endMs > nowMs) standing = true
    lastImpactMs = Math.max(lastImpactMs, Math.min(alert.endMs, nowMs))
  }
  if (standing) lastImpactMs = nowMs
  const cameBack = standing && !tracked.standing && nowMs - tracked.lastImpactMs >= config.resolveAfterMs / 2
  const impression = impressionOf(members.anomalies, members.alerts, draft.graph)
  const incident: Incident = {
    ...tracked.incident,
    title: impression.title,
    impact: impression.impact,
    severity: worse(tracked.incident.severity, impression.severity),
    services: impression.services,
  }
  return { ...tracked, standing, lastImpactMs, returns: tracked.returns + (cameBack ? 1 : 0), incident }
}

function withCauses(draft: Draft, tracked: TrackedIncident, members: Members): TrackedIncident {
  const { nowMs, config } = draft
  if (!tracked.causesDue || nowMs - tracked.causesMs < config.causeEveryMs) return tracked
  const causes = rankCauses({
    onsetMs: tracked.onsetMs,
    nowMs,
    core: tracked.core,
    anomalies: members.anomalies,
    alerts: members.alerts,
    changes: tracked.changeIds.flatMap((id) => draft.changes.get(id) ?? []),
    history: draft.history,
    graph: draft.graph,
    disturbed: disturbances(draft, tracked),
    maxHops: config.maxHops,
  })
  const announcedCause = announce(draft, tracked, causes)
  return { ...tracked, causesDue: false, causesMs: nowMs, announcedCause, incident: { ...tracked.incident, causes } }
}

function announce(draft: Draft, tracked: TrackedIncident, causes: readonly Cause[]): string {
  const first = causes[0]
  if (first === undefined || first.probability < WORTH_SAYING || first.service === tracked.announcedCause) return tracked.announcedCause
  const announced = causes.find((cause) => cause.service === tracked.announcedCause)
  if (announced !== undefined && first.probability - announced.probability < CLEARLY_AHEAD) return tracked.announcedCause
  draft.timeline.push(causeEntry(tracked.incident.id, first, draft.nowMs))
  return first.service
}

/** When other incidents around the same services were felt: no reference for what is normal. */
function disturbances(draft: Draft, tracked: TrackedIncident): { fromMs: number; toMs: number }[] {
  const reach = reachOf(draft.graph, tracked.core, draft.config.maxHops)
  const spans: { fromMs: number; toMs: number }[] = []
  for (const other of draft.incidents.values()) {
    if (other.incident.id === tracked.incident.id || !other.core.some((service) => reach.direct.has(service))) continue
    spans.push({ fromMs: other.onsetMs - FINE_MS, toMs: Math.max(other.lastImpactMs, other.onsetMs + WINDOW_MS) })
  }
  return spans
}

function resolved(draft: Draft, tracked: TrackedIncident, anomalies: readonly Anomaly[]): TrackedIncident {
  const { nowMs, config } = draft
  if (tracked.standing) return tracked
  const quietMs = nowMs - tracked.lastImpactMs
  const holdMs = config.resolveAfterMs * 2 ** Math.min(returnsOf(tracked), MAX_DOUBLINGS)
  if (quietMs < holdMs) return tracked
  const lingering = anomalies.some((anomaly) => holdsOpen(anomaly) && isStanding(anomaly, nowMs, config.staleMs))
  if (lingering && quietMs < Math.max(holdMs, config.lingerMs)) return tracked
  const incident: Incident = { ...tracked.incident, status: 'resolved', resolvedMs: nowMs }
  draft.timeline.push(resolvedEntry(incident, nowMs, quietMs))
  return { ...tracked, incident, closedMs: nowMs, closedBy: 'recovery' }
}

/** Lines in a log, odd traffic and what does not fit together explain a fault; that they fade slowly does not say that it goes on. */
function holdsOpen({ symptom }: Anomaly): boolean {
  return symptom !== 'log' && symptom !== 'traffic' && symptom !== 'other'
}

/** The very same object when nothing about it changed. */
function stamped(before: Incident, after: Incident, nowMs: number): Incident {
  if (JSON.stringify(before) === JSON.stringify(after)) return before
  return { ...after, updatedMs: Math.max(nowMs, after.openedMs) }
}

function tellEndedAlerts(draft: Draft): void {
  for (const [id, tracked] of draft.alerts) {
    if (tracked.incidentId === '' || tracked.endTold || tracked.alert.endMs > draft.nowMs) continue
    draft.timeline.push(alertEndedEntry(tracked.incidentId, tracked.alert))
    draft.alerts.set(id, { ...tracked, endTold: true })
    const incident = draft.incidents.get(tracked.incidentId)
    if (incident !== undefined && isOpen(incident)) draft.put({ ...incident, causesDue: true })
  }
}

function membersOf(draft: Draft): Map<string, Members> {
  const members = new Map<string, Members>()
  const of = (id: string) => {
    let found = members.get(id)
    if (found === undefined) members.set(id, (found = { anomalies: [], alerts: [] }))
    return found
  }
  for (const { anomaly, incidentId } of draft.anomalies.values()) if (incidentId !== '') of(incidentId).anomalies.push(anomaly)
  for (const { alert, incidentId } of draft.alerts.values()) if (incidentId !== '') of(incidentId).alerts.push(alert)
  // By start, so that a restored state, whose maps are in another order, gives the same answers.
  for (const { anomalies, alerts } of members.values()) {
    anomalies.sort(byStart)
    alerts.sort(byStart)
  }
  return members
}

function byStart(a: { startMs: number; id: string }, b: { startMs: number; id: string }): number {
  return a.startMs - b.startMs || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}
