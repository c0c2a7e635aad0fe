/**
 * Kafka's records as ours. Keys and header values are bytes in Kafka: UTF-8 where they are that, else each byte one character
 * (Latin-1), so that nothing is lost. The values are views into what was fetched: keeping one keeps the whole fetch in memory.
 */
import { isUtf8 } from 'node:buffer'
import type { Batch, KafkaMessage } from 'kafkajs'
import { undecodableReason } from './kafka-codecs.ts'
import type { FetchedBatch } from './kafka-partition.ts'
import type { InRecord } from './transport.ts'

const nothing = new Uint8Array(0)
const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

/** A run of offsets that no codec could read. */
export interface Undecodable {
  readonly firstOffset: number
  lastOffset: number
  readonly reason: string
}

export function readBatch(batch: Batch): { readonly fetched: FetchedBatch; readonly undecodable: readonly Undecodable[] } {
  const records: InRecord[] = []
  const undecodable: Undecodable[] = []
  for (const message of batch.messages) {
    const offset = Number(message.offset)
    const reason = undecodableReason(message.headers)
    if (reason === undefined) records.push(recordOf(message, offset))
    // The first record of a batch has the reason, the others an empty one.
    else if (reason !== '' || undecodable.length === 0) undecodable.push({ firstOffset: offset, lastOffset: offset, reason })
    else undecodable.at(-1)!.lastOffset = offset
  }
  // kafkajs' types leave out the offset that the fetch asked for.
  const { fetchedOffset } = batch as Batch & { readonly fetchedOffset: string }
  return { fetched: { fetchedOffset: Number(fetchedOffset), nextOffset: Number(batch.lastOffset()) + 1, records }, undecodable }
}

function recordOf({ key, value, headers, timestamp }: KafkaMessage, offset: number): InRecord {
  return {
    offset,
    value: value ?? nothing,
    key: key === null ? '' : textOf(key),
    headers: headersOf(headers),
    timestampMs: Number(timestamp),
  }
}

function headersOf(headers: KafkaMessage['headers']): Readonly<Record<string, string>> {
  if (headers === undefined) return noHeaders
  const texts: Record<string, string> = Object.create(null) as Record<string, string>
  let some = false
  for (const name of Object.keys(headers)) {
    const given = headers[name]
    const value = Array.isArray(given) ? given.at(-1) : given
    if (value === undefined || value === null) continue
    texts[name] = typeof value === 'string' ? value : textOf(value)
    some = true
  }
  return some ? texts : noHeaders
}

function textOf(bytes: Buffer): string {
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
}
