/** What happened in an incident, in order. Entries are never changed: the same id again is the same entry. */
import { createHash } from 'node:crypto'
import type { TimelineEntry, TimelineKind } from '../model.ts'
import type { Queryable } from './db.ts'
import { notifyIncidents } from './incidents.ts'
import { toJson } from './json.ts'

interface TimelineRow {
  readonly id: string
  readonly incident_id: string
  readonly at_ms: number
  readonly kind: TimelineKind
  readonly service: string
  readonly body: string
  readonly ref: string
}

export async function addTimeline(q: Queryable, entries: readonly TimelineEntry[]): Promise<void> {
  if (entries.length === 0) return
  await q.query(
    `insert into timeline (id, incident_id, at_ms, kind, service, body, ref)
     select e.id, e."incidentId", e."atMs", e.kind, e.service, e.text, e.ref
     from jsonb_to_recordset($1::jsonb) as e (id text, "incidentId" text, "atMs" bigint, kind text, service text, text text, ref text)
     on conflict (id) do nothing`,
    [toJson(entries)],
  )
  await notifyIncidents(
    q,
    entries.map((entry) => entry.incidentId),
  )
}

export async function readTimeline(q: Queryable, incidentId: string): Promise<TimelineEntry[]> {
  const rows = await q.query<TimelineRow>(
    'select id, incident_id, at_ms, kind, service, body, ref from timeline where incident_id = $1 order by at_ms, id',
    [incidentId],
  )
  return rows.map((row) => ({
    id: row.id,
    incidentId: row.incident_id,
    atMs: row.at_ms,
    kind: row.kind,
    service: row.service,
    text: row.body,
    ref: row.ref,
  }))
}

/** The id of an entry: a hash of what it names. */
export function timelineId(entry: Pick<TimelineEntry, 'incidentId' | 'kind' | 'ref' | 'atMs'>): string {
  return createHash('sha256')
    .update(JSON.stringify([entry.incidentId, entry.kind, entry.ref, entry.atMs]))
    .digest('hex')
    .slice(0, 24)
}
