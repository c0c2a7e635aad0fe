/** Every change that was heard of, whether or not it belongs to an incident. */
import type { Change } from '../model.ts'
import type { Queryable } from './db.ts'
import { toJson } from './json.ts'

export async function saveChanges(q: Queryable, changes: readonly Change[]): Promise<void> {
  if (changes.length === 0) return
  await q.query(
    `insert into changes (id, at_ms, service, body)
     select c->>'id', (c->>'atMs')::bigint, c->>'service', c from jsonb_array_elements($1::jsonb) as c
     on conflict (id) do nothing`,
    [toJson(changes)],
  )
}

/** From `fromMs` up to and without `toMs`, by time, then id. */
export async function readChanges(q: Queryable, fromMs: number, toMs: number): Promise<Change[]> {
  const rows = await q.query<{ body: Change }>('select body from changes where at_ms >= $1 and at_ms < $2 order by at_ms, id', [
    fromMs,
    toMs,
  ])
  return rows.map((row) => row.body)
}
