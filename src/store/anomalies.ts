/** The anomalies of incidents. One comes again as it grows: the one with the later `atMs` stays. */
import type { Anomaly, Points, Reckoning } from '../model.ts'
import type { Queryable } from './db.ts'
import { toJson } from './json.ts'

export interface AnomalyLink {
  readonly incidentId: string
  readonly anomaly: Anomaly
}

export async function saveAnomalies(q: Queryable, links: readonly AnomalyLink[]): Promise<void> {
  if (links.length === 0) return
  const latest = new Map<string, AnomalyLink>()
  for (const link of links) {
    const known = latest.get(link.anomaly.id)
    if (!known || link.anomaly.atMs >= known.anomaly.atMs) latest.set(link.anomaly.id, link)
  }
  await q.query(
    `insert into anomalies (id, incident_id, start_ms, at_ms, body)
     select l.anomaly->>'id', l."incidentId", (l.anomaly->>'startMs')::bigint, (l.anomaly->>'atMs')::bigint, l.anomaly
     from jsonb_to_recordset($1::jsonb) as l ("incidentId" text, anomaly jsonb)
     order by l.anomaly->>'id'
     on conflict (id) do update set
       incident_id = excluded.incident_id, start_ms = excluded.start_ms, at_ms = excluded.at_ms, body = excluded.body
     where excluded.at_ms >= anomalies.at_ms`,
    [toJson([...latest.values()])],
  )
}

/** By start, then id. */
export async function readAnomalies(q: Queryable, incidentId: string): Promise<Anomaly[]> {
  const rows = await q.query<{ body: Stored }>('select body from anomalies where incident_id = $1 order by start_ms, id', [incidentId])
  return rows.map(({ body }) => fromStored(body))
}

/** One, with the incident that it belongs to. */
export async function readAnomaly(q: Queryable, id: string): Promise<AnomalyLink | undefined> {
  const rows = await q.query<{ incident_id: string; body: Stored }>('select incident_id, body from anomalies where id = $1', [id])
  const row = rows[0]
  return row && { incidentId: row.incident_id, anomaly: fromStored(row.body) }
}

function fromStored({ reckoning, ...body }: Stored): Anomaly {
  return {
    ...body,
    endMs: body.endMs,
    score: toNumber(body.score),
    observed: toNumber(body.observed),
    expected: toNumber(body.expected),
    points: {
      timeMs: body.points.timeMs.map(toNumber),
      observed: body.points.observed.map(toNumber),
      expected: body.points.expected.map(toNumber),
      low: body.points.low.map(toNumber),
      high: body.points.high.map(toNumber),
    },
    ...(reckoning && {
      reckoning: {
        rule: reckoning.rule,
        inputs: reckoning.inputs.map(([name, value]) => [name, toNumber(value)] as const),
        oncePerWeeks: toNumber(reckoning.oncePerWeeks),
      },
    }),
  }
}

/** JSON knows neither NaN nor infinity and says null for both; a chart has a gap there. */
type Stored = Omit<Anomaly, 'score' | 'observed' | 'expected' | 'points' | 'reckoning'> & {
  readonly score: number | null
  readonly observed: number | null
  readonly expected: number | null
  readonly points: { readonly [Column in keyof Points]: readonly (number | null)[] }
  readonly reckoning?: Pick<Reckoning, 'rule'> & {
    readonly inputs: readonly (readonly [name: string, value: number | null])[]
    readonly oncePerWeeks: number | null
  }
}

function toNumber(value: number | null): number {
  return value ?? NaN
}
