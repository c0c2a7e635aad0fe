/**
 * What every channel says about an incident, made once: plain, clipped, in one wording. How it is laid out, and the
 * escaping of a receiver's markup, is each channel's own.
 */
import type { Incident, IncidentStatus, Notice, NoticeKind, Severity } from '../model.ts'
import { duration, isoTime } from '../wording.ts'
import { clip, plain } from './plain-text.ts'

export interface BriefCause {
  readonly service: string
  readonly percent: number
  readonly evidence: readonly string[]
  readonly refutedBy: string
}

/** Everything in it is plain text of bounded length. */
export interface Brief {
  readonly id: string
  readonly title: string
  readonly severity: Severity
  readonly status: IncidentStatus
  readonly impact: string
  readonly services: readonly string[]
  readonly causes: readonly BriefCause[]
  readonly openedAt: string
  /** '' while it goes on. */
  readonly lasted: string
  readonly reason: string
  readonly url: string
}

const limits = { title: 300, impact: 1000, reason: 500, service: 100, services: 20, causes: 3, evidence: 6, evidenceText: 300 }

export function briefOf(notice: Pick<Notice, 'incident' | 'reason'>, publicUrl: string): Brief {
  const { incident } = notice
  const text = (value: string, max: number) => clip(plain(value), max)
  return {
    id: incident.id,
    title: text(incident.title, limits.title) || 'Incident',
    severity: incident.severity,
    status: incident.status,
    impact: text(incident.impact, limits.impact),
    services: incident.services.slice(0, limits.services).map((service) => text(service, limits.service)),
    causes: incident.causes.slice(0, limits.causes).map((cause) => ({
      service: text(cause.service, limits.service),
      percent: Math.round(100 * cause.probability),
      evidence: [...cause.evidence]
        .sort((a, b) => b.points - a.points)
        .slice(0, limits.evidence)
        .map((one) => text(one.text, limits.evidenceText)),
      refutedBy: text(cause.refutedBy, limits.evidenceText),
    })),
    openedAt: isoTime(incident.openedMs),
    lasted: incident.resolvedMs === undefined ? '' : duration(incident.resolvedMs - incident.openedMs),
    reason: text(notice.reason, limits.reason),
    url: incidentUrl(publicUrl, incident.id),
  }
}

export function incidentUrl(publicUrl: string, id: string): string {
  return `${publicUrl}/incidents/${encodeURIComponent(id)}`
}

export function causeLine(cause: BriefCause): string {
  return `${cause.service} (${cause.percent} %)`
}

/** `checkout: 38 % of requests fail. Users of checkout feel it: … Probable cause: payments (71 %).` */
export function summaryLine(brief: Brief): string {
  const cause = brief.causes[0]
  return [brief.title, brief.impact, cause && `Probable cause: ${causeLine(cause)}`]
    .filter((part) => part)
    .map((part) => (/[.!?…]$/.test(String(part)) ? part : `${part}.`))
    .join(' ')
}

const headings: Readonly<Record<NoticeKind, string>> = {
  opened: 'New incident',
  escalated: 'Got worse',
  updated: 'Update',
  acknowledged: 'Acknowledged',
  resolved: 'Resolved',
}

export function heading(kind: NoticeKind): string {
  return headings[kind]
}

/** The same incident with bounded lists and texts: what is kept and sent on as data must not grow with the telemetry. */
export function bounded(incident: Incident): Incident {
  return {
    ...incident,
    title: clip(incident.title, 500),
    impact: clip(incident.impact, 2000),
    services: incident.services.slice(0, 50).map((service) => clip(service, 200)),
    causes: incident.causes.slice(0, 5).map((cause) => ({
      service: clip(cause.service, 200),
      probability: cause.probability,
      evidence: cause.evidence.slice(0, 12).map((one) => ({ ...one, text: clip(one.text, 500) })),
      refutedBy: clip(cause.refutedBy, 500),
    })),
  }
}
