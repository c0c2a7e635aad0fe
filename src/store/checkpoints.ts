/**
 * Position and state of a partition as one thing. Saving is a compare-and-set on the position: of two processes that both believe
 * to own the partition one wins and the other gets a FencedError, before any effect of the same transaction counts.
 */
import { FencedError } from '../errors.ts'
import type { Queryable } from './db.ts'

export interface Checkpoint {
  /** The NEXT offset to read. */
  readonly offset: number
  readonly state: Uint8Array
}

export async function loadCheckpoint(q: Queryable, role: string, partition: number): Promise<Checkpoint | undefined> {
  const [row] = await q.query<{ next_offset: number; state: Uint8Array }>(
    'select next_offset, state from checkpoints where role = $1 and partition = $2',
    [role, partition],
  )
  // Copied, so that it starts at byte 0 of its own buffer and typed arrays can be laid over it.
  return row && { offset: row.next_offset, state: new Uint8Array(row.state) }
}

/** `expectedOffset` is the offset last loaded or saved; undefined: there was none. */
export async function saveCheckpoint(
  q: Queryable,
  role: string,
  partition: number,
  expectedOffset: number | undefined,
  offset: number,
  state: Uint8Array,
): Promise<void> {
  const written =
    expectedOffset === undefined
      ? await q.query(
          'insert into checkpoints (role, partition, next_offset, state) values ($1, $2, $3, $4) on conflict do nothing returning 1',
          [role, partition, offset, state],
        )
      : await q.query(
          'update checkpoints set next_offset = $4, state = $5 where role = $1 and partition = $2 and next_offset = $3 returning 1',
          [role, partition, expectedOffset, offset, state],
        )
  if (written.length === 0) {
    throw new FencedError(
      `The checkpoint of ${role}, partition ${partition}, is no longer at ${expectedOffset ?? 'its beginning'}: another process has moved it on.`,
    )
  }
}
