/**
 * Carries opaque bytes between roles: at least once, in order per partition, the same key always to the same partition.
 *
 * - `publish` resolves once the records are safe with the carrier: acknowledged by every in-sync replica (Kafka), or handled to
 *   the end by every subscriber (embedded, where nothing else would keep them). It rejects when that cannot be said; the
 *   caller may publish again, so handlers see duplicates and must be idempotent.
 * - A partition has one owner per group. Before its first record `assigned` is asked where to go on (a checkpoint's offset);
 *   positions never come from anywhere else when it answers. No other call for that partition runs at the same time.
 * - The position moves when `handle` resolves. When it throws, the same records come again after a pause; a FencedError
 *   makes the transport ask `assigned` again. A handler that cannot ever handle a record must dead-letter it itself.
 * - Bounded: a slow handler slows `publish` (embedded) or fetching (Kafka), never fills memory.
 */

export interface OutRecord {
  readonly partition: number
  readonly value: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

export interface InRecord {
  readonly offset: number
  readonly value: Uint8Array
  readonly key: string
  readonly headers: Readonly<Record<string, string>>
  /** When the carrier took it, ms since the epoch. */
  readonly timestampMs: number
}

export interface RecordBatch {
  readonly topic: string
  readonly partition: number
  /** Never empty; offsets ascending. The next position is the last offset + 1. */
  readonly records: readonly InRecord[]
}

export interface BatchHandler {
  /** The partition is ours: load its state and say which offset comes next; undefined: the group's committed one, else the earliest. */
  assigned?(partition: number): Promise<number | undefined>
  /** The partition is no longer ours, or the subscription ends: last chance to save. Nothing for it is under way. */
  revoked?(partition: number): Promise<void>
  handle(batch: RecordBatch, signal: AbortSignal): Promise<void>
}

export interface Transport extends AsyncDisposable {
  /** Makes sure the topic exists and, where the carrier can grow it, has at least so many partitions. Idempotent. */
  ensureTopic(topic: string, partitions: number): Promise<void>
  /** How many partitions the topic has now; it may get more. */
  partitions(topic: string): Promise<number>
  /** Rejects with a PermanentError that names the records that can never be taken, after the others of the same call are safe. */
  publish(topic: string, records: readonly OutRecord[], signal?: AbortSignal): Promise<void>
  /** Disposing waits for the batch under way, then calls `revoked` for each partition. */
  subscribe(topic: string, group: string, handler: BatchHandler): Promise<AsyncDisposable>
}

/** A carrier that keeps what it carried; the embedded one does not. */
export interface LogReader {
  /**
   * One partition from the offset (or the first that is still there) up to where it ends when asked; no position moves. The
   * next record is not fetched before it is asked for, beyond a batch or two.
   */
  read(topic: string, partition: number, fromOffset: number, signal?: AbortSignal): AsyncIterable<InRecord>
}

/** FNV-1a over UTF-16 code units: stable over processes and restarts. */
export function partitionFor(key: string, partitions: number): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) {
    hash ^= key.charCodeAt(i)
    hash = Math.imul(hash, 0x01000193)
  }
  return (hash >>> 0) % partitions
}
