/**
 * What could not be handled, as it came, with the reason and where it came from in its headers. One format for all: a record that a
 * stage could not read, and a whole batch that no codec could unpack.
 *
 * A record keeps its own headers beside these: `x-error-reason` (a short label), `x-error` (the same in words), `x-origin-topic`,
 * `x-origin-partition`, `x-origin-offset`, `x-origin-key`, `x-origin-timestamp`. A batch has `x-origin-last-offset`,
 * `x-origin-records` and `x-content: record-batch` besides: its value is Kafka's record batch, header and packed records. What
 * would be too large for the topic has no value (`x-content: left-out`); it stays in the origin until its retention is over.
 */
import type { DeadLetter } from '../model.ts'
import type { InRecord, OutRecord, RecordBatch } from './transport.ts'

const longestError = 1000
const undecodableReason = 'undecodable_batch'

/** `reason` is a short label, `error` says it in words. Headers of the record itself stay. */
export function deadLetter(batch: RecordBatch, record: InRecord, reason: string, error: string): OutRecord {
  const headers = {
    ...record.headers,
    'x-error': error.slice(0, longestError),
    'x-error-reason': reason,
    'x-origin-topic': batch.topic,
    'x-origin-partition': String(batch.partition),
    'x-origin-offset': String(record.offset),
    'x-origin-key': record.key,
    'x-origin-timestamp': String(record.timestampMs),
  }
  return { partition: 0, value: record.value, headers }
}

/** The same without its value, where the topic would not take it. */
export function withoutValue({ partition, value, headers }: OutRecord): OutRecord {
  const error = `${headers?.['x-error'] ?? ''}; its ${value.byteLength} bytes do not fit in here`
  return {
    partition,
    value: new Uint8Array(0),
    headers: { ...headers, 'x-error': error, 'x-content': 'left-out', 'x-origin-records': '1' },
  }
}

export interface UnreadBatch {
  readonly topic: string
  readonly partition: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly records: number
  readonly reason: string
  readonly bytes: Uint8Array
}

/** The bytes are left out where they are more than `maxBytes`. */
export function deadBatch({ topic, partition, firstOffset, lastOffset, records, reason, bytes }: UnreadBatch, maxBytes: number): OutRecord {
  const fits = bytes.byteLength <= maxBytes
  const headers = {
    'x-error': (fits ? reason : `${reason}; its ${bytes.byteLength} bytes do not fit in here`).slice(0, longestError),
    'x-error-reason': undecodableReason,
    'x-content': fits ? 'record-batch' : 'left-out',
    'x-origin-topic': topic,
    'x-origin-partition': String(partition),
    'x-origin-offset': String(firstOffset),
    'x-origin-last-offset': String(lastOffset),
    'x-origin-records': String(records),
  }
  return { partition: 0, value: fits ? bytes : new Uint8Array(0), headers }
}

/** Undefined: not one of ours. */
export function readDeadLetter({ headers, value, timestampMs }: InRecord): DeadLetter | undefined {
  const {
    'x-error': error = '',
    'x-error-reason': reason,
    'x-origin-topic': topic,
    'x-origin-partition': partition,
    'x-origin-offset': offset,
    'x-origin-last-offset': lastOffset = offset,
    'x-origin-key': key = '',
    'x-origin-timestamp': originMs,
    'x-origin-records': records,
    'x-content': content,
    ...own
  } = headers
  if (reason === undefined || topic === undefined || !isCount(partition) || !isCount(offset) || !isCount(lastOffset)) return undefined
  // A record may have a header of that name itself, but not this one.
  const isOurs = records !== undefined && (content === 'record-batch' || content === 'left-out')
  return {
    reason,
    error,
    topic,
    partition: Number(partition),
    offset: Number(offset),
    lastOffset: Number(lastOffset),
    key,
    content: isOurs ? content : 'record',
    headers: isOurs || content === undefined ? own : { ...own, 'x-content': content },
    value,
    originMs: isCount(originMs) ? Number(originMs) : 0,
    timestampMs,
  }
}

/** Stands behind a dead letter in its topic and says that it was replayed. */
export function replayMarker(id: string, nowMs: number): OutRecord {
  return { partition: 0, value: new Uint8Array(0), headers: { 'x-replayed': id, 'x-replayed-ms': String(nowMs) } }
}

export function readReplayMarker({ headers }: InRecord): { readonly id: string; readonly atMs: number } | undefined {
  const { 'x-replayed': id, 'x-replayed-ms': atMs, 'x-error-reason': reason } = headers
  return id === undefined || reason !== undefined || !isCount(atMs) ? undefined : { id, atMs: Number(atMs) }
}

function isCount(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,16}$/.test(text)
}
