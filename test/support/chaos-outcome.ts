/**
 * What came of a run: what the database says and what the receivers remember, without what legitimately differs from run to run (how often
 * something was tried, whose lease it was, a receiver's own numbers). Two runs of one scene must have equal ones.
 */
import type { Pool } from 'pg'
import type { Channel } from './chaos-plan.ts'
import type { FakeJira } from './fakes/jira.ts'
import type { FakePagerDuty } from './fakes/pagerduty.ts'
import type { FakeSlack } from './fakes/slack.ts'
import type { FakeWebhook } from './fakes/webhook.ts'

export interface Receivers extends AsyncDisposable {
  readonly pagerduty: FakePagerDuty
  readonly slack: FakeSlack
  readonly jira: FakeJira
  readonly webhook: FakeWebhook
}

export interface NoticeRow {
  readonly id: string
  readonly incident_id: string
  readonly channel: Channel
  readonly kind: string
  readonly status: string
}

export interface Outcome {
  readonly incidents: readonly object[]
  readonly timeline: readonly object[]
  readonly anomalies: readonly object[]
  readonly changes: readonly object[]
  /** In the order they were planned, per incident and channel. */
  readonly notices: readonly NoticeRow[]
  readonly pagerduty: readonly object[]
  readonly slack: readonly object[]
  readonly jira: readonly object[]
  readonly webhook: readonly object[]
}

/** `timeless`: somebody acted at a time of the clock, which is then left out wherever it shows. */
export async function outcomeOf(db: Pool, receivers: Receivers, timeless: boolean): Promise<Outcome> {
  const rows = async (query: string) => (await db.query<NoticeRow>(query)).rows
  const timeline = await rows('select * from timeline order by id')
  const outcome: Outcome = {
    incidents: await rows('select * from incidents order by id'),
    timeline: timeless ? timeline.map(withoutTime).sort(byText) : timeline,
    anomalies: await rows('select * from anomalies order by id'),
    changes: await rows('select * from changes order by id'),
    notices: await rows(
      'select id, incident_id, channel, kind, reason, at_ms, incident, status from outbox order by incident_id, channel, seq',
    ),
    pagerduty: receivers.pagerduty.incidents().map(({ dedupKey, severity, status, summary }) => ({ dedupKey, severity, status, summary })),
    slack: receivers.slack.parents().map(({ blocks, metadata, text, ts }) => ({
      text,
      blocks,
      metadata,
      replies: receivers.slack.replies(ts).map((reply) => ({ text: reply.text, metadata: reply.metadata })),
    })),
    jira: receivers.jira.issues.map(({ comments, fields, status }) => ({ comments, fields, status })),
    webhook: receivers.webhook.deliveries.map(({ data, id, type }) => ({ data, id, type })).sort(byId),
  }
  // As JSON has it, so that what was made by a database and what was made here compare alike.
  return JSON.parse(JSON.stringify(outcome, timeless ? withoutClock : undefined)) as Outcome
}

const OF_THE_CLOCK = new Set(['acknowledged_ms', 'updated_ms', 'acknowledgedMs', 'updatedMs', 'acknowledgedAt', 'updatedAt'])

function withoutClock(this: unknown, key: string, value: unknown): unknown {
  if (OF_THE_CLOCK.has(key)) return undefined
  return key === 'at_ms' && (this as { readonly kind?: unknown }).kind === 'acknowledged' ? undefined : value
}

/** Entries about what a person did have that time, and ids made from it. */
function withoutTime(entry: object): object {
  const { at_ms: _at, id: _id, ...rest } = entry as Record<string, unknown>
  return rest['kind'] === 'person' || String(rest['body']).includes('(acknowledged)') ? rest : entry
}

function byText(a: object, b: object): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1
}

/**
 * What is promised also where a request came twice: which incidents there are, how bad, when, where and why, and who was told what. Numbers in
 * their evidence may differ: what came twice counts twice.
 */
export function essenceOf({ incidents, jira, notices, pagerduty, slack, webhook }: Outcome): object {
  const rows = incidents as readonly Record<string, unknown>[]
  return {
    incidents: rows.map(({ causes, id, opened_ms, resolved_ms, services, severity, status }) => {
      const [first] = causes as readonly { readonly service: string }[]
      return { id, severity, status, services, opened_ms, resolved_ms, cause: first?.service }
    }),
    notices: notices.map(({ id, incident_id, channel, kind, status }) => ({ id, incident_id, channel, kind, status })),
    pagerduty: pagerduty.map((incident) => ({ ...incident, summary: '' })),
    slack: slack.map((message) => (message as { readonly replies: readonly object[] }).replies.length),
    jira: jira.map((issue) => (issue as { readonly comments: readonly object[] }).comments.length),
    webhook: webhook.map((delivery) => (delivery as { readonly id: string }).id),
  }
}

function byId(a: { id: string }, b: { id: string }): number {
  return a.id < b.id ? -1 : 1
}

/** What holds of any outcome, whatever the baseline: told in order, nothing left over, nothing given up. */
export function disorder({ notices, pagerduty }: Outcome): string[] {
  const problems: string[] = []
  const open = new Map<string, string[]>()
  for (const { channel, incident_id, kind, status } of notices) {
    const key = `${incident_id} ${channel}`
    const before = open.get(key) ?? []
    if (status !== 'sent') problems.push(`${key}: '${kind}' is ${status}`)
    if (before.length === 0 && kind !== 'opened') problems.push(`${key}: '${kind}' before 'opened'`)
    if (before.includes('resolved')) problems.push(`${key}: '${kind}' after 'resolved'`)
    open.set(key, [...before, kind])
  }
  const keys = pagerduty.map((incident) => (incident as { dedupKey: string }).dedupKey)
  if (new Set(keys).size < keys.length) problems.push(`PagerDuty was paged twice for one incident: ${keys.join(', ')}`)
  return problems
}

/** Where two outcomes differ, one line each, at most `most`. */
export function differences(expected: unknown, actual: unknown, most = 12, path = ''): string[] {
  if (Object.is(expected, actual)) return []
  if (typeof expected === 'object' && typeof actual === 'object' && expected !== null && actual !== null) {
    const found: string[] = []
    const keys = new Set([...Object.keys(expected), ...Object.keys(actual)])
    for (const key of keys) {
      if (found.length >= most) break
      const [a, b] = [(expected as Record<string, unknown>)[key], (actual as Record<string, unknown>)[key]]
      found.push(...differences(a, b, most - found.length, path === '' ? key : `${path}.${key}`))
    }
    return found
  }
  return [`${path}: ${brief(expected)} became ${brief(actual)}`]
}

function brief(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 160)
}
