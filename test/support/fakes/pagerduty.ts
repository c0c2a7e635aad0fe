/**
 * PagerDuty's Events API v2 as published (https://developer.pagerduty.com/docs/send-alert-event): validates events, folds them by `dedup_key`, ignores
 * acknowledging and resolving what is not open; a trigger after a resolve opens a new incident.
 */
import { parseBody, startFake } from './server.ts'
import type { Answer, Fake, FakeRequest } from './server.ts'

export interface PagerDutyEvent {
  readonly routing_key: string
  readonly event_action: 'trigger' | 'acknowledge' | 'resolve'
  readonly dedup_key: string
  readonly payload?: {
    readonly summary: string
    readonly source: string
    readonly severity: string
    readonly custom_details?: unknown
    readonly timestamp?: string
  }
  readonly links?: readonly { readonly href: string; readonly text?: string }[]
}

export interface PagerDutyIncident {
  readonly dedupKey: string
  status: 'triggered' | 'acknowledged' | 'resolved'
  summary: string
  severity: string
  triggers: number
}

export interface FakePagerDuty extends Fake {
  /** Those accepted, in order. */
  readonly events: readonly PagerDutyEvent[]
  incidents(): readonly PagerDutyIncident[]
}

export async function startPagerDuty(options: { readonly port?: number } = {}): Promise<FakePagerDuty> {
  const events: PagerDutyEvent[] = []
  const incidents: PagerDutyIncident[] = []
  const fake = await startFake((request) => enqueue(request, events, incidents), options.port)
  return { ...fake, url: `${fake.url}/v2/enqueue`, events, incidents: () => incidents }
}

function enqueue(request: FakeRequest, events: PagerDutyEvent[], incidents: PagerDutyIncident[]): Answer {
  if (request.method !== 'POST' || request.path !== '/v2/enqueue') return { status: 404, body: 'Not Found' }
  if (request.body.length > 512_000) return { status: 413, body: 'Payload too large' }
  const body = parseBody(request)
  const errors = body ? problemsOf(body) : ['body must be a JSON object']
  if (!body || errors.length > 0) return { status: 400, body: { status: 'invalid event', message: 'Event object is invalid', errors } }
  const event = { dedup_key: `generated-${events.length}`, ...body } as unknown as PagerDutyEvent
  events.push(event)
  fold(event, incidents)
  return { status: 202, body: { status: 'success', message: 'Event processed', dedup_key: event.dedup_key } }
}

function fold(event: PagerDutyEvent, incidents: PagerDutyIncident[]): void {
  const open = incidents.find(({ dedupKey, status }) => dedupKey === event.dedup_key && status !== 'resolved')
  if (event.event_action === 'acknowledge') {
    if (open) open.status = 'acknowledged'
  } else if (event.event_action === 'resolve') {
    if (open) open.status = 'resolved'
  } else {
    const { severity = '', summary = '' } = event.payload ?? {}
    if (!open) incidents.push({ dedupKey: event.dedup_key, status: 'triggered', summary, severity, triggers: 1 })
    else Object.assign(open, { summary, severity, triggers: open.triggers + 1 })
  }
}

function problemsOf(event: Record<string, unknown>): string[] {
  const problems: string[] = []
  const isText = (value: unknown, max: number) => typeof value === 'string' && value !== '' && value.length <= max
  if (typeof event['routing_key'] !== 'string' || event['routing_key'].length !== 32) problems.push("'routing_key' must have 32 characters")
  const action = event['event_action']
  if (action !== 'trigger' && action !== 'acknowledge' && action !== 'resolve') problems.push("'event_action' is missing or unknown")
  const key = event['dedup_key']
  if (key === undefined ? action !== 'trigger' : !isText(key, 255)) problems.push("'dedup_key' is missing or longer than 255")
  if (action === 'trigger') problems.push(...payloadProblems(event['payload']))
  const links = event['links']
  if (links !== undefined && !(Array.isArray(links) && links.every((link: { href?: unknown }) => isText(link.href, 2048)))) {
    problems.push("'links' must be a list of objects with an href")
  }
  return problems
}

function payloadProblems(payload: unknown): string[] {
  if (typeof payload !== 'object' || payload === null) return ["'payload' is missing or blank"]
  const { severity, source, summary, timestamp } = payload as Record<string, unknown>
  const problems: string[] = []
  if (typeof summary !== 'string' || summary === '' || summary.length > 1024)
    problems.push("'payload.summary' is missing or longer than 1024")
  if (typeof source !== 'string' || source === '') problems.push("'payload.source' is missing or blank")
  if (!['critical', 'error', 'warning', 'info'].includes(String(severity))) problems.push("'payload.severity' is invalid")
  if (timestamp !== undefined && !(typeof timestamp === 'string' && Date.parse(timestamp) > 0))
    problems.push("'payload.timestamp' is no ISO 8601 date")
  return problems
}
