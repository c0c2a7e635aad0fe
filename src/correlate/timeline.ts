/** The sentences of an incident's timeline, and ids that are hashes of what they name. */
import { createHash } from 'node:crypto'
import type { Alert, Anomaly, Cause, Change, Incident, TimelineEntry, TimelineKind } from '../model.ts'
import { timelineId } from '../store/timeline.ts'
import { oneLine } from '../wording.ts'
import { anomalyText } from './title.ts'
import { formatDuration, named } from './wording.ts'

/** Named after what opened it and when: replayed, the same thing opens the same incident; an alert that fires again opens another. */
export function incidentId(openedBy: string, openedMs: number): string {
  return createHash('sha256')
    .update(JSON.stringify(['incident', openedBy, openedMs]))
    .digest('hex')
    .slice(0, 20)
}

function entry(incidentId: string, kind: TimelineKind, atMs: number, service: string, text: string, ref: string): TimelineEntry {
  const named = { incidentId, kind, ref, atMs }
  return { ...named, id: timelineId(named), service, text }
}

export function openedEntry(incident: Incident): TimelineEntry {
  return entry(incident.id, 'opened', incident.openedMs, incident.services[0] ?? '', incident.title, incident.id)
}

export function anomalyEntry(incident: string, anomaly: Anomaly): TimelineEntry {
  return entry(incident, 'anomaly', anomaly.startMs, anomaly.service, anomalyText(anomaly), anomaly.id)
}

export function recoveredEntry(incident: string, anomaly: Anomaly, endMs: number): TimelineEntry {
  const text = `${oneLine(anomaly.subject, 120)} is back to normal after ${formatDuration(Math.max(0, endMs - anomaly.startMs))}`
  return entry(incident, 'recovered', endMs, anomaly.service, text, anomaly.id)
}

export function alertEntry(incident: string, alert: Alert): TimelineEntry {
  const summary = alert.summary === '' ? '' : `: ${oneLine(alert.summary, 300)}`
  return entry(incident, 'alert', alert.startMs, alert.service, `Alert ${oneLine(alert.name, 120)} (${alert.severity})${summary}`, alert.id)
}

export function alertEndedEntry(incident: string, alert: Alert): TimelineEntry {
  return entry(incident, 'alert-ended', alert.endMs, alert.service, `Alert ${oneLine(alert.name, 120)} has ended`, alert.id)
}

export function changeEntry(incident: string, change: Change): TimelineEntry {
  return entry(incident, 'change', change.atMs, change.service, changeText(change), change.id)
}

/** `deploy of payments 2.4: new risk rules`; a title that says no more than that is left out. */
export function changeText(change: Change): string {
  const what = change.service === '' ? change.type : `${change.type} of ${named(change.service)}`
  const version = change.version === '' ? '' : ` ${oneLine(change.version, 60)}`
  const saysNoMore = [change.service, change.version, `${change.service} ${change.version}`].includes(change.title)
  return `${what}${version}${change.title === '' || saysNoMore ? '' : `: ${oneLine(change.title, 160)}`}`
}

export function causeEntry(incident: string, cause: Cause, atMs: number): TimelineEntry {
  const strongest = cause.evidence[0]
  const why = strongest === undefined ? '' : `: ${strongest.text}`
  return entry(
    incident,
    'cause',
    atMs,
    cause.service,
    `Probable cause: ${named(cause.service)} (${Math.round(cause.probability * 100)} %)${why}`,
    cause.service,
  )
}

export function severityEntry(before: Incident, after: Incident, atMs: number): TimelineEntry {
  return entry(
    after.id,
    'severity',
    atMs,
    after.services[0] ?? '',
    `Severity raised from ${before.severity} to ${after.severity}: ${after.title}`,
    after.severity,
  )
}

export function resolvedEntry(incident: Incident, atMs: number, quietMs: number): TimelineEntry {
  const text = `Resolved: nothing has been felt for ${formatDuration(quietMs)}, after ${formatDuration(Math.max(0, atMs - quietMs - incident.openedMs))}`
  return entry(incident.id, 'resolved', atMs, '', text, incident.id)
}

export function overflowEntry(incident: string, atMs: number, limit: number): TimelineEntry {
  return entry(incident, 'anomaly', atMs, '', `More than ${limit} anomalies: further ones count, but are not listed`, 'overflow')
}
