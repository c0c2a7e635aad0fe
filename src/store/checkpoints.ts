/**
 * Position and state of a partition as one thing. Saving is a compare-and-set on the position: of two processes that both believe
 * to own the partition one wins and the other gets a FencedError, before any effect of the same transaction counts. A state is
 * written in parts of a megabyte, and a part that is as it was before is not written again.
 */
import { createHash } from 'node:crypto'
import { FencedError } from '../errors.ts'
import type { Queryable } from './db.ts'

export interface Checkpoint {
  /** The NEXT offset to read. */
  readonly offset: number
  readonly state: Uint8Array
}

const PART_BYTES = 1024 * 1024

export async function loadCheckpoint(q: Queryable, role: string, partition: number): Promise<Checkpoint | undefined> {
  // One statement, so that all parts are of one checkpoint whoever saves at the same time.
  const rows = await q.query<{ next_offset: number; part: number; bytes: Uint8Array }>(
    `select next_offset, 0 as part, state as bytes from checkpoints where role = $1 and partition = $2
     union all
     select next_offset, part, bytes from checkpoints join checkpoint_parts using (role, partition)
     where role = $1 and partition = $2 and part < parts
     order by part`,
    [role, partition],
  )
  const [first] = rows
  if (first === undefined) return undefined
  // Copied, so that it starts at byte 0 of its own buffer and typed arrays can be laid over it.
  const state = new Uint8Array(rows.reduce((sum, { bytes }) => sum + bytes.length, 0))
  let at = 0
  for (const { bytes } of rows) {
    state.set(bytes, at)
    at += bytes.length
  }
  return { offset: first.next_offset, state }
}

/** In a transaction. `expectedOffset` is the offset last loaded or saved; undefined: there was none. */
export async function saveCheckpoint(
  tx: Queryable,
  role: string,
  partition: number,
  expectedOffset: number | undefined,
  offset: number,
  state: Uint8Array,
): Promise<void> {
  const parts = Math.max(1, Math.ceil(state.length / PART_BYTES))
  const first = state.subarray(0, PART_BYTES)
  const written =
    expectedOffset === undefined
      ? await tx.query(
          `insert into checkpoints (role, partition, next_offset, state, parts) values ($1, $2, $3, $4, $5)
           on conflict do nothing returning 1`,
          [role, partition, offset, first, parts],
        )
      : await tx.query(
          `update checkpoints set next_offset = $4, state = $5, parts = $6
           where role = $1 and partition = $2 and next_offset = $3 returning 1`,
          [role, partition, expectedOffset, offset, first, parts],
        )
  if (written.length === 0) {
    throw new FencedError(
      `The checkpoint of ${role}, partition ${partition}, is no longer at ${expectedOffset ?? 'its beginning'}: another process has moved it on.`,
    )
  }
  if (parts > 1) await saveParts(tx, role, partition, parts, state)
}

/** Those after the first; what is left of a larger state before it goes. */
async function saveParts(tx: Queryable, role: string, partition: number, parts: number, state: Uint8Array): Promise<void> {
  await tx.query('delete from checkpoint_parts where role = $1 and partition = $2 and part >= $3', [role, partition, parts])
  const known = await tx.query<{ part: number; hash: Uint8Array }>(
    'select part, hash from checkpoint_parts where role = $1 and partition = $2',
    [role, partition],
  )
  const hashes = new Map(known.map(({ part, hash }) => [part, Buffer.from(hash)]))
  for (let part = 1; part < parts; part++) {
    const bytes = state.subarray(part * PART_BYTES, (part + 1) * PART_BYTES)
    const hash = createHash('sha256').update(bytes).digest()
    if (hashes.get(part)?.equals(hash) === true) continue
    await tx.query(
      `insert into checkpoint_parts (role, partition, part, hash, bytes) values ($1, $2, $3, $4, $5)
       on conflict (role, partition, part) do update set hash = excluded.hash, bytes = excluded.bytes`,
      [role, partition, part, hash, bytes],
    )
  }
}
