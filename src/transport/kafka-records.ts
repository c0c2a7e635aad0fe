/**
 * Kafka's records as ours. Keys and header values are bytes in Kafka: UTF-8 where they are that, else each byte one character
 * (Latin-1), so that nothing is lost. The values are views into what was fetched: keeping one keeps the whole fetch in memory.
 */
import { isUtf8 } from 'node:buffer'
import type { Batch, KafkaMessage } from 'kafkajs'
import { undecodableOf, type Undecodable } from './kafka-codecs.ts'
import type { FetchedBatch } from './kafka-partition.ts'
import type { InRecord } from './transport.ts'

const nothing = new Uint8Array(0)
const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

export function readBatch(batch: Batch): FetchedBatch {
  const records: InRecord[] = []
  const undecodable = new Set<Undecodable>()
  for (const message of batch.messages) {
    const unread = undecodableOf(message.headers)
    if (unread === undefined) records.push(recordOf(message, Number(message.offset)))
    else undecodable.add(unread)
  }
  // kafkajs' types leave out the offset that the fetch asked for.
  const { fetchedOffset } = batch as Batch & { readonly fetchedOffset: string }
  return { fetchedOffset: Number(fetchedOffset), nextOffset: Number(batch.lastOffset()) + 1, records, undecodable: [...undecodable] }
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
