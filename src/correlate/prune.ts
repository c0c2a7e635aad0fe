/**
 * Forgets what is over and keeps within the limits: oldest first, and never what belongs to an open incident before what does not.
 */
import { isOpen, isStanding, type Draft } from './draft.ts'

export function prune(draft: Draft): void {
  const { nowMs, config } = draft
  const busy = new Set<string>()
  for (const { anomaly, incidentId } of draft.anomalies.values()) if (isStanding(anomaly, nowMs, config.staleMs)) busy.add(incidentId)
  for (const { alert, incidentId } of draft.alerts.values()) if (alert.endMs > nowMs) busy.add(incidentId)
  for (const [id, tracked] of draft.incidents) {
    // One closed by a person stays known while its symptoms stand: they must not open another.
    if (tracked.closedMs !== undefined && !busy.has(id) && tracked.closedMs < nowMs - config.keepMs) draft.incidents.delete(id)
  }
  for (const [id, { anomaly, incidentId }] of draft.anomalies) {
    if (incidentId !== '' && draft.incidents.has(incidentId)) continue
    const usefulUntilMs = anomaly.endMs === undefined ? anomaly.atMs + config.staleMs : anomaly.endMs + config.lookBackMs
    if (incidentId !== '' || usefulUntilMs < nowMs) draft.anomalies.delete(id)
  }
  for (const [id, { alert, incidentId }] of draft.alerts) {
    if (incidentId !== '' && draft.incidents.has(incidentId)) continue
    if (incidentId !== '' || alert.endMs < nowMs - config.lookBackMs) draft.alerts.delete(id)
  }
  for (const [id, change] of draft.changes) if (change.atMs < nowMs - config.changeLookBackMs - config.keepMs) draft.changes.delete(id)
  const held = (incidentId: string) => {
    const tracked = draft.incidents.get(incidentId)
    return tracked !== undefined && isOpen(tracked) ? 1 : 0
  }
  trim(draft.anomalies, config.limits.anomalies, ({ anomaly, incidentId }) => [held(incidentId), anomaly.atMs])
  trim(draft.alerts, config.limits.alerts, ({ alert, incidentId }) => [held(incidentId), alert.atMs])
  trim(draft.changes, config.limits.changes, (change) => [0, change.atMs])
}

function trim<V>(map: Map<string, V>, limit: number, worth: (value: V) => readonly [number, number]): void {
  if (map.size <= limit) return
  const order = [...map].map(([key, value]) => ({ key, worth: worth(value) }))
  order.sort((a, b) => a.worth[0] - b.worth[0] || a.worth[1] - b.worth[1] || (a.key < b.key ? -1 : 1))
  for (const { key } of order.slice(0, map.size - limit)) map.delete(key)
}
