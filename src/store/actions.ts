/**
 * What people do to an incident. `act` changes it and writes the action down; followers read the actions by `seq`. Sequence
 * numbers are given out under a lock that is held until the commit, so an action never appears behind a later one.
 */
import type { Incident } from '../model.ts'
import type { Queryable } from './db.ts'
import { lockIncident, saveIncidents } from './incidents.ts'
import { toText } from './json.ts'
import { addTimeline, timelineId } from './timeline.ts'

export interface Action {
  readonly seq: number
  readonly incidentId: string
  readonly kind: 'acknowledge' | 'resolve'
  readonly by: string
  readonly atMs: number
}

/** Any number that no other lock of this program has. */
const actionsLock = 7_036_873_002
const longestName = 200

/**
 * Must run in a transaction. When the incident has already come as far, nothing is written and `before === after`.
 * undefined: there is no such incident.
 */
export async function act(tx: Queryable, action: Omit<Action, 'seq'>): Promise<{ before: Incident; after: Incident } | undefined> {
  const before = await lockIncident(tx, action.incidentId)
  if (!before) return undefined
  const after = apply(before, action)
  if (after === before) return { before, after }
  const by = toText(action.by).slice(0, longestName)
  await saveIncidents(tx, [after])
  await tx.query(`select pg_advisory_xact_lock(${actionsLock})`)
  await tx.query(
    `insert into actions (seq, incident_id, kind, by_whom, at_ms)
     select coalesce(max(seq), 0) + 1, $1, $2, $3, $4 from actions`,
    [action.incidentId, action.kind, by, action.atMs],
  )
  const ref = action.kind
  const entry = { incidentId: action.incidentId, kind: 'person', ref, atMs: action.atMs } as const
  const text = `${by} ${action.kind === 'acknowledge' ? 'acknowledged' : 'resolved'} the incident.`
  await addTimeline(tx, [{ ...entry, id: timelineId(entry), service: '', text }])
  return { before, after }
}

/** Those after `seq`, in order. Once a `seq` has been seen no smaller one appears. */
export function actionsAfter(q: Queryable, seq: number, limit: number): Promise<Action[]> {
  return q.query<Action>(
    `select seq, incident_id as "incidentId", kind, by_whom as by, at_ms as "atMs" from actions where seq > $1 order by seq limit $2`,
    [seq, limit],
  )
}

function apply(incident: Incident, { kind, atMs }: Pick<Action, 'kind' | 'atMs'>): Incident {
  const updatedMs = Math.max(incident.updatedMs, atMs)
  if (kind === 'acknowledge' && incident.status === 'open') return { ...incident, status: 'acknowledged', acknowledgedMs: atMs, updatedMs }
  if (kind === 'resolve' && incident.status !== 'resolved') return { ...incident, status: 'resolved', resolvedMs: atMs, updatedMs }
  return incident
}
