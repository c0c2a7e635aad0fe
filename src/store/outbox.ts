/**
 * Every notice until it is delivered. A sender claims notices under a lease, sends, and settles; when it dies the lease runs out and
 * another one sends again under the same id. Within one incident and channel notices go out one after the other
 * in the order they were planned; one that is dead no longer holds up the later ones. Times of leases and back-off are the database's.
 */
import type { Incident, Notice, NoticeKind, PlannedNotice } from '../model.ts'
import type { Queryable } from './db.ts'
import { toJson, toText } from './json.ts'

const firstRetryMs = 1000
const longestRetryMs = 300_000
const longestError = 1000

/**
 * Ids that are known are left alone. Who was not told of the opening is not told how it went on: a later notice without an 'opened' one
 * for its incident and channel is left out. After 'resolved' nothing more is told of an incident: a notice that another writer planned
 * without knowing of it is kept as dead, with that reason.
 */
export async function enqueueNotices(q: Queryable, notices: readonly PlannedNotice[]): Promise<void> {
  if (notices.length === 0) return
  await q.query(
    `with planned as (
       select position, n->>'id' as id, n->'incident'->>'id' as incident_id, n->>'channel' as channel, n->>'kind' as kind,
         n->>'reason' as reason, (n->>'atMs')::bigint as at_ms, n->'incident' as incident
       from jsonb_array_elements($1::jsonb) with ordinality as list (n, position)),
     known as (
       select incident_id, channel, kind from outbox where incident_id in (select incident_id from planned) and kind in ('opened', 'resolved'))
     insert into outbox (id, incident_id, channel, kind, reason, at_ms, incident, status, last_error)
     select p.id, p.incident_id, p.channel, p.kind, p.reason, p.at_ms, p.incident,
       case when late.yes then 'dead' else 'due' end,
       case when late.yes then 'Not sent: this channel had been told before that the incident is resolved.' else '' end
     from planned as p
     cross join lateral (select exists (select from known as k
       where k.incident_id = p.incident_id and k.channel = p.channel and k.kind = 'resolved') as yes) as late
     where p.kind = 'opened'
       or exists (select from known as k where k.incident_id = p.incident_id and k.channel = p.channel and k.kind = 'opened')
       or exists (select from planned as o where o.incident_id = p.incident_id and o.channel = p.channel and o.kind = 'opened' and o.position < p.position)
     order by p.position
     on conflict (id) do nothing`,
    [toJson(notices)],
  )
  await q.query(`select pg_notify('outbox', '')`)
}

export interface Claim {
  readonly owner: string
  readonly leaseMs: number
  readonly limit: number
  /** Only this channel's. */
  readonly channel?: string
}

/** The longest due first. Sending must end well within the lease. */
export async function claimNotices(db: Queryable, { owner, leaseMs, limit, channel }: Claim): Promise<Notice[]> {
  const rows = await db.query<ClaimedRow>(
    `with claimed as (
       update outbox set attempts = attempts + 1, lease_owner = $1, lease_until = now() + $2::float8 * interval '1 ms'
       where id in (
         select id from outbox as o
         where status = 'due' and due_at <= now() and (lease_until is null or lease_until <= now()) and ($4::text is null or channel = $4)
           and not exists (select from outbox as earlier
             where earlier.incident_id = o.incident_id and earlier.channel = o.channel and earlier.seq < o.seq and earlier.status = 'due')
         order by due_at, seq limit $3
         for update skip locked)
       returning id, channel, kind, reason, at_ms, incident, incident_id, attempts, seq)
     select c.id, c.channel, c.kind, c.reason, c.at_ms, c.incident, c.attempts, coalesce(t.external_id, '') as external_id
     from claimed as c left join threads as t using (incident_id, channel)
     order by c.seq`,
    [owner, leaseMs, limit, channel ?? null],
  )
  return rows.map((row) => ({
    id: row.id,
    channel: row.channel,
    kind: row.kind,
    reason: row.reason,
    atMs: row.at_ms,
    incident: revive(row.incident),
    externalId: row.external_id,
    attempts: row.attempts - 1,
  }))
}

/** The three ways a claim ends; each answers false, and changes nothing, when the lease has gone to somebody else. */
export async function settleSent(
  q: Queryable,
  { owner, id, externalId }: { owner: string; id: string; externalId?: string | undefined },
): Promise<boolean> {
  const rows = await q.query(
    `with settled as (
       update outbox set status = 'sent', lease_owner = null, lease_until = null, last_error = '', settled_at = now()
       where id = $1 and lease_owner = $2 and status = 'due' returning incident_id, channel),
     kept as (
       insert into threads (incident_id, channel, external_id)
       select incident_id, channel, $3::text from settled where $3::text <> ''
       on conflict (incident_id, channel) do update set external_id = excluded.external_id)
     select 1 from settled`,
    [id, owner, externalId ?? ''],
  )
  return rows.length === 1
}

/** Due again when the receiver said, or after a pause that doubles with each attempt: 1 s, 2 s, … up to 5 minutes. */
export async function settleRetry(
  q: Queryable,
  { owner, id, error, retryAfterMs }: { owner: string; id: string; error: string; retryAfterMs?: number | undefined },
): Promise<boolean> {
  const rows = await q.query(
    `update outbox set lease_owner = null, lease_until = null, last_error = $3,
       due_at = now() + interval '1 ms' * coalesce($4::float8, least(${longestRetryMs}, ${firstRetryMs} * 2 ^ least(attempts - 1, 20)))
     where id = $1 and lease_owner = $2 and status = 'due' returning 1`,
    [id, owner, clipError(error), retryAfterMs ?? null],
  )
  return rows.length === 1
}

export async function settleDead(q: Queryable, { owner, id, error }: { owner: string; id: string; error: string }): Promise<boolean> {
  const rows = await q.query(
    `update outbox set status = 'dead', lease_owner = null, lease_until = null, last_error = $3, settled_at = now()
     where id = $1 and lease_owner = $2 and status = 'due' returning 1`,
    [id, owner, clipError(error)],
  )
  return rows.length === 1
}

export interface ListedNotice {
  readonly id: string
  readonly incidentId: string
  readonly channel: string
  readonly kind: NoticeKind
  readonly reason: string
  readonly atMs: number
  readonly status: 'due' | 'sent' | 'dead'
  readonly attempts: number
  readonly externalId: string
  readonly lastError: string
}

/** In the order they were planned; without an incident the newest 1,000 of all. */
export function listNotices(q: Queryable, incidentId?: string): Promise<ListedNotice[]> {
  return q.query<ListedNotice>(
    `select id, "incidentId", channel, kind, reason, "atMs", status, attempts, "externalId", "lastError" from (
       select o.id, o.incident_id as "incidentId", o.channel, o.kind, o.reason, o.at_ms as "atMs", o.status, o.attempts,
         coalesce(t.external_id, '') as "externalId", o.last_error as "lastError", o.seq
       from outbox as o left join threads as t using (incident_id, channel)
       where $1::text is null or o.incident_id = $1
       order by o.seq desc limit 1000) as newest
     order by seq`,
    [incidentId ?? null],
  )
}

/** Whether one of these channels has something to send now, or this owner has something under way. */
export async function hasWork(q: Queryable, { owner, channels }: { owner: string; channels: readonly string[] }): Promise<boolean> {
  const [row] = await q.query<{ yes: boolean }>(
    `select exists (select from outbox as o
       where status = 'due' and channel = any($2::text[])
         and (lease_owner = $1 or (due_at <= now() and not exists (select from outbox as earlier
           where earlier.incident_id = o.incident_id and earlier.channel = o.channel and earlier.seq < o.seq and earlier.status = 'due')))) as yes`,
    [owner, channels],
  )
  return row?.yes === true
}

/** How many notices of each channel have not been settled. */
export function dueByChannel(q: Queryable): Promise<{ channel: string; due: number }[]> {
  return q.query(`select channel, count(*) as due from outbox where status = 'due' group by channel order by channel`)
}

interface ClaimedRow {
  readonly id: string
  readonly channel: string
  readonly kind: NoticeKind
  readonly reason: string
  readonly at_ms: number
  readonly incident: Incident
  readonly attempts: number
  readonly external_id: string
}

/** JSON leaves out what is undefined. */
function revive(incident: Incident): Incident {
  return { ...incident, acknowledgedMs: incident.acknowledgedMs, resolvedMs: incident.resolvedMs }
}

function clipError(error: string): string {
  return toText(error).slice(0, longestError)
}
