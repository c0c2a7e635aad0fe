/** Incidents as JSON, for the API and for the commands that print them. Times are ISO 8601 in UTC, or null; NaN is null. */
import type { Anomaly, Incident, IncidentStatus, Severity, TimelineEntry } from '../model.ts'
import type { ListedNotice } from '../store/outbox.ts'
import type { CaseFile } from './case-file.ts'
import { isoTime } from '../wording.ts'

export interface CauseJson {
  readonly service: string
  readonly probability: number
  readonly evidence: readonly { readonly kind: string; readonly points: number; readonly text: string }[]
  readonly refutedBy: string
}

export interface IncidentJson {
  readonly id: string
  readonly title: string
  readonly severity: Severity
  readonly status: IncidentStatus
  readonly services: readonly string[]
  readonly impact: string
  readonly causes: readonly CauseJson[]
  readonly openedAt: string | null
  readonly acknowledgedAt: string | null
  readonly resolvedAt: string | null
}

export function incidentJson(incident: Incident): IncidentJson {
  return {
    id: incident.id,
    title: incident.title,
    severity: incident.severity,
    status: incident.status,
    services: incident.services,
    impact: incident.impact,
    causes: incident.causes.map(({ service, probability, evidence, refutedBy }) => ({
      service,
      probability,
      evidence: evidence.map(({ kind, points, text }) => ({ kind, points, text })),
      refutedBy,
    })),
    openedAt: timeJson(incident.openedMs),
    acknowledgedAt: timeJson(incident.acknowledgedMs),
    resolvedAt: timeJson(incident.resolvedMs),
  }
}

/** The incident with all that belongs to it. */
export function caseFileJson({ incident, timeline, anomalies, notices }: CaseFile): object {
  return {
    ...incidentJson(incident),
    timeline: timeline.map(entryJson),
    anomalies: anomalies.map(anomalyJson),
    notices: notices.map(noticeJson),
  }
}

function entryJson({ id, atMs, kind, service, text, ref }: TimelineEntry): object {
  return { id, at: timeJson(atMs), kind, service, text, ref }
}

export function anomalyJson({ startMs, endMs, atMs, ...anomaly }: Anomaly): object {
  return { ...anomaly, startedAt: timeJson(startMs), endedAt: timeJson(endMs), updatedAt: timeJson(atMs) }
}

function noticeJson({ id, channel, kind, reason, atMs, status, attempts, externalId, lastError }: ListedNotice): object {
  return { id, channel, kind, reason, at: timeJson(atMs), status, attempts, externalId, lastError }
}

function timeJson(ms: number | undefined): string | null {
  return ms === undefined ? null : isoTime(ms) || null
}
