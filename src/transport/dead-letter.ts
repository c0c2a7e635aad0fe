/** A record that cannot be handled, as it came, with the reason and where it came from in its headers. */
import type { InRecord, OutRecord, RecordBatch } from './transport.ts'

const longestError = 1000

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
  }
  return { partition: 0, value: record.value, headers }
}
