/**
 * Dead letters in the store, for installations whose transport keeps nothing: the newest ones, bounded by number and bytes, each with what is
 * known of its origin and whether it was replayed.
 */
import type { DeadLetter } from '../model.ts'
import type { Queryable } from './db.ts'
import { toJson } from './json.ts'

export interface StoredLetterRow extends DeadLetter {
  readonly id: string
  readonly valueBytes: number
  readonly replayedMs: number | undefined
}

/** Each undefined: any. */
export interface StoredLetterFilter {
  readonly topic?: string | undefined
  readonly reason?: string | undefined
  readonly sinceMs?: number | undefined
  /** The newest so many. */
  readonly limit: number
}

/** A header may hold what no text of PostgreSQL can. */
const clean = (text: string) => text.replaceAll('\0', '�')

export async function saveDeadLetters(q: Queryable, letters: readonly DeadLetter[]): Promise<void> {
  for (const one of letters) {
    await q.query(
      `insert into dead_letters
         (at_ms, reason, error, topic, partition, first_offset, last_offset, key, content, headers, origin_ms, value)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12)`,
      [
        one.timestampMs,
        clean(one.reason),
        clean(one.error),
        clean(one.topic),
        one.partition,
        one.offset,
        one.lastOffset,
        clean(one.key),
        one.content,
        toJson(one.headers),
        one.originMs,
        one.value,
      ],
    )
  }
}

/** Drops the oldest beyond the newest `maxLetters` and `maxBytes` of values, and says how many. */
export async function dropOldDeadLetters(q: Queryable, maxLetters: number, maxBytes: number): Promise<number> {
  const dropped = await q.query(
    `delete from dead_letters where id in (
       select id from (
         select id, row_number() over newest_first as number, sum(octet_length(value)) over newest_first as bytes
         from dead_letters window newest_first as (order by id desc)
       ) as counted where number > $1 or (bytes > $2 and number > 1)
     ) returning id`,
    [maxLetters, maxBytes],
  )
  return dropped.length
}

interface Row {
  readonly id: number
  readonly at_ms: number
  readonly reason: string
  readonly error: string
  readonly topic: string
  readonly partition: number
  readonly first_offset: number
  readonly last_offset: number
  readonly key: string
  readonly content: DeadLetter['content']
  readonly headers: Record<string, string>
  readonly origin_ms: number
  readonly value_bytes: number
  readonly value?: Uint8Array
  readonly replayed_ms: number | null
}

const columns = `id, at_ms, reason, error, topic, partition, first_offset, last_offset, key, content, headers, origin_ms,
  octet_length(value) as value_bytes, replayed_ms`

/** Oldest first, without their values. */
export async function listDeadLetters(q: Queryable, { topic, reason, sinceMs, limit }: StoredLetterFilter): Promise<StoredLetterRow[]> {
  const rows = await q.query<Row>(
    `select ${columns} from dead_letters
     where ($1::text is null or topic = $1) and ($2::text is null or reason = $2) and ($3::bigint is null or at_ms >= $3)
     order by id desc limit $4`,
    [topic ?? null, reason ?? null, sinceMs ?? null, limit],
  )
  return rows.reverse().map(letterOf)
}

export async function readStoredLetter(q: Queryable, id: string): Promise<StoredLetterRow | undefined> {
  if (!/^\d{1,15}$/.test(id)) return undefined
  const [row] = await q.query<Row>(`select ${columns}, value from dead_letters where id = $1`, [Number(id)])
  return row && letterOf(row)
}

export async function markReplayed(q: Queryable, id: string, nowMs: number): Promise<void> {
  await q.query('update dead_letters set replayed_ms = $2 where id = $1', [Number(id), nowMs])
}

function letterOf(row: Row): StoredLetterRow {
  return {
    id: String(row.id),
    reason: row.reason,
    error: row.error,
    topic: row.topic,
    partition: row.partition,
    offset: row.first_offset,
    lastOffset: row.last_offset,
    key: row.key,
    content: row.content,
    headers: row.headers,
    value: row.value ?? new Uint8Array(0),
    valueBytes: row.value_bytes,
    originMs: row.origin_ms,
    timestampMs: row.at_ms,
    replayedMs: row.replayed_ms ?? undefined,
  }
}
