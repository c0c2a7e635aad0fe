/**
 * Incidents as they stand. The correlator writes what it knows, people move the status (actions.ts); both only ever move it
 * forward, so neither can undo the other. Every write tells the channel `incidents` the ids. Save an incident before
 * its notices in the same transaction: the lock on its row is what keeps two writers' notices in order.
 */
import type { Cause, Incident, IncidentStatus, Severity } from '../model.ts'
import type { Queryable } from './db.ts'
import { toJson } from './json.ts'

interface IncidentRow {
  readonly id: string
  readonly title: string
  readonly severity: Severity
  readonly status: IncidentStatus
  readonly services: readonly string[]
  readonly impact: string
  readonly causes: readonly Cause[]
  readonly opened_ms: number
  readonly acknowledged_ms: number | null
  readonly resolved_ms: number | null
  readonly updated_ms: number
}

const columns = 'id, title, severity, status, services, impact, causes, opened_ms, acknowledged_ms, resolved_ms, updated_ms'

/** Upserts. A later status, and the times of acknowledging and resolving, stay once they are there. */
export async function saveIncidents(q: Queryable, incidents: readonly Incident[]): Promise<void> {
  if (incidents.length === 0) return
  // One statement may touch a row only once; ordered, so that two writers lock rows in the same order.
  const last = [...new Map(incidents.map((incident) => [incident.id, incident])).values()]
  await q.query(
    `insert into incidents (${columns})
     select i.id, i.title, i.severity, i.status, i.services, i.impact, i.causes, i."openedMs", i."acknowledgedMs", i."resolvedMs", i."updatedMs"
     from jsonb_to_recordset($1::jsonb) as i (id text, title text, severity text, status text, services jsonb, impact text, causes jsonb,
       "openedMs" bigint, "acknowledgedMs" bigint, "resolvedMs" bigint, "updatedMs" bigint)
     order by i.id
     on conflict (id) do update set
       title = excluded.title, severity = excluded.severity, services = excluded.services, impact = excluded.impact,
       causes = excluded.causes, opened_ms = excluded.opened_ms,
       status = case when incidents.status = 'resolved' or (incidents.status = 'acknowledged' and excluded.status = 'open')
         then incidents.status else excluded.status end,
       acknowledged_ms = coalesce(incidents.acknowledged_ms, excluded.acknowledged_ms),
       resolved_ms = coalesce(incidents.resolved_ms, excluded.resolved_ms),
       updated_ms = greatest(incidents.updated_ms, excluded.updated_ms)`,
    [toJson(last)],
  )
  await notifyIncidents(
    q,
    last.map((incident) => incident.id),
  )
}

/** Unresolved ones first, then the newest. */
export async function listIncidents(
  q: Queryable,
  { status, limit }: { status: 'open' | 'resolved' | 'all'; limit: number },
): Promise<Incident[]> {
  const where = { open: `where status <> 'resolved'`, resolved: `where status = 'resolved'`, all: '' }[status]
  const rows = await q.query<IncidentRow>(
    `select ${columns} from incidents ${where} order by (status = 'resolved'), opened_ms desc, id limit $1`,
    [limit],
  )
  return rows.map(toIncident)
}

export async function readIncident(q: Queryable, id: string): Promise<Incident | undefined> {
  const [row] = await q.query<IncidentRow>(`select ${columns} from incidents where id = $1`, [id])
  return row && toIncident(row)
}

/** Reads it and keeps others from writing it until the transaction ends. */
export async function lockIncident(tx: Queryable, id: string): Promise<Incident | undefined> {
  const [row] = await tx.query<IncidentRow>(`select ${columns} from incidents where id = $1 for update`, [id])
  return row && toIncident(row)
}

export async function notifyIncidents(q: Queryable, ids: readonly string[]): Promise<void> {
  await q.query(`select pg_notify('incidents', id) from unnest($1::text[]) as id`, [[...new Set(ids)]])
}

function toIncident(row: IncidentRow): Incident {
  return {
    id: row.id,
    title: row.title,
    severity: row.severity,
    status: row.status,
    services: row.services,
    impact: row.impact,
    causes: row.causes,
    openedMs: row.opened_ms,
    acknowledgedMs: row.acknowledged_ms ?? undefined,
    resolvedMs: row.resolved_ms ?? undefined,
    updatedMs: row.updated_ms,
  }
}
