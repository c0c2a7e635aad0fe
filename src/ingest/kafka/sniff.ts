/**
 * Finds out by the first bytes of a Kafka record how it is encoded, where neither the configuration nor a header says so. What cannot be told
 * apart is not guessed at: it comes back as a DecodeError that says what to do about it. Whether a record is whole is for its decoder
 * to say.
 */
import { isUtf8 } from 'node:buffer'
import { DecodeError } from '../../errors.ts'
import { isAlertmanagerWebhook } from '../events/alertmanager-webhook.ts'
import { isBareCdEvent } from '../events/cd-events.ts'
import type { PayloadEncoding, SourceConfig, SourceSignal } from '../config.ts'
import { parseJson } from '../wire/json-body.ts'
import { unsnappy } from '../wire/request-body.ts'
import { afterSpace, jsonOutline } from './sniff-json.ts'
import { protobufShape } from './sniff-protobuf.ts'

const OPEN_OBJECT = 0x7b
const OPEN_ARRAY = 0x5b

/** OTLP/JSON says by its first name what it carries. */
const OTLP_NAMES: ReadonlyMap<string, SourceSignal> = new Map([
  ['resourceSpans', 'traces'],
  ['resourceMetrics', 'metrics'],
  ['resourceLogs', 'logs'],
])
const DECISIVE = new Set([...OTLP_NAMES.keys(), 'streams', 'operationName'])

export function sniff(value: Uint8Array, source: SourceConfig, maxDecodedBytes: number): PayloadEncoding {
  // Before JSON behind white space: a line feed is the tag of field 1, too.
  const found = isJsonStart(value[0]) ? undefined : byShape(value, source.signal, maxDecodedBytes)
  if (found !== undefined) return found
  if (isJsonStart(value[afterSpace(value, 0)])) {
    const encoding = source.signal === 'events' ? byEvent(value) : byNames(value, source)
    if (encoding !== undefined) return encoding
    throw new DecodeError('unrecognised', `the record is JSON, but none of ${source.signal} that is known: ${advice(source)}`)
  }
  const foreign = foreignFormat(value)
  if (foreign !== undefined) throw new DecodeError('unsupported', foreign)
  if (source.signal === 'logs' && isText(value)) return 'lines'
  throw new DecodeError('unrecognised', `the record is no encoding of ${source.signal} that is known: ${advice(source)}`)
}

function isJsonStart(byte: number | undefined): boolean {
  return byte === OPEN_OBJECT || byte === OPEN_ARRAY
}

function advice(source: SourceConfig): string {
  return `check ingest.sources.signal and set ingest.sources.encoding for topic ${source.topic}`
}

function byNames(value: Uint8Array, source: SourceConfig): PayloadEncoding | undefined {
  const { signal } = source
  const { names, isArray } = jsonOutline(value, DECISIVE)
  for (const [name, of] of OTLP_NAMES) {
    if (names.get(name) !== OPEN_ARRAY || isArray) continue
    if (of === signal) return 'otlp_json'
    throw new DecodeError('wrong-signal', `the record holds OTLP ${of}, but topic ${source.topic} is configured for ${signal}`)
  }
  if (signal === 'logs') return names.get('streams') === OPEN_ARRAY && !isArray ? 'loki_json' : 'lines'
  if (signal === 'metrics') return names.has('labels') && names.has('value') && names.has('timestamp') ? 'adapter_json' : undefined
  if (isArray) return names.has('traceId') && names.has('id') ? 'zipkin_json' : undefined
  return names.has('traceId') && (names.has('operationName') || names.has('spanId')) ? 'jaeger_json' : undefined
}

/** Events are few and small: they are parsed. */
function byEvent(value: Uint8Array): PayloadEncoding | undefined {
  const root = parseJson(value)
  if (isAlertmanagerWebhook(root)) return 'alertmanager_webhook'
  const item: unknown = Array.isArray(root) ? root[0] : root
  const has = (name: string) => typeof item === 'object' && item !== null && Object.hasOwn(item, name)
  if (has('specversion') || isBareCdEvent(item) || (has('type') && has('service'))) return 'changes'
  return Array.isArray(root) && has('labels') ? 'alerts' : undefined
}

function byShape(value: Uint8Array, signal: SourceSignal, maxDecodedBytes: number): PayloadEncoding | undefined {
  if (signal === 'events') return undefined
  const plain = encodingOfShape(value, signal)
  if (plain !== undefined || signal === 'traces') return plain
  // Only remote write and Loki pushes are compressed by their senders, as one block.
  const unpacked = unsnapped(value, maxDecodedBytes)
  const packed = unpacked === undefined ? undefined : encodingOfShape(unpacked, signal)
  return packed === 'remote_write' || packed === 'loki_proto' ? packed : undefined
}

function encodingOfShape(bytes: Uint8Array, signal: SourceSignal): PayloadEncoding | undefined {
  const shape = protobufShape(bytes)
  if (shape === 'otlp') return 'otlp_proto'
  if (signal === 'metrics') return shape === 'remote-write' || shape === 'remote-write-2' ? 'remote_write' : undefined
  if (signal === 'logs') return shape === 'loki-push' ? 'loki_proto' : shape === 'loki-stream' ? 'loki_stream' : undefined
  return shape === 'jaeger-span' ? 'jaeger_proto' : shape === 'zipkin-spans' ? 'zipkin_proto' : undefined
}

/**
 * Whether a snappy block may begin so that holds one of the messages that come packed: its length, a literal, and in that the tag of a field. Nearly
 * no text does, and finding out by unpacking it costs more than reading the line. https://github.com/google/snappy/blob/main/format_description.txt
 */
function mayBeSnappy(value: Uint8Array): boolean {
  let at = 0
  while (at < 5 && value[at]! >= 0x80) at++
  const tag = value[at + 1] ?? 1
  if ((tag & 3) !== 0) return false
  const lengthBytes = Math.max(0, (tag >> 2) - 59)
  const first = value[at + 2 + lengthBytes]
  return first === 0x0a || first === 0x1a || first === 0x22 || first === 0x2a
}

/** The bytes of a snappy block, valid until the next call; undefined when it is none. */
export function unsnapped(value: Uint8Array, maxBytes: number): Uint8Array | undefined {
  if (!mayBeSnappy(value)) return undefined
  try {
    return unsnappy(value, maxBytes)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

/** What producers are known to write that no door reads, and what to do about it. */
function foreignFormat(value: Uint8Array): string | undefined {
  const [first = 0, second = 0, third = 0, fourth = 0, fifth = 0] = value
  if (first === 0 && value.length > 5) {
    const schema = second * 2 ** 24 + third * 2 ** 16 + fourth * 2 ** 8 + fifth
    return `the record is framed for a schema registry (schema ${schema}): let its producer write JSON or OTLP instead, or convert it into another topic`
  }
  if (first === 0x4f && second === 0x62 && third === 0x6a && fourth === 1)
    return 'the record is an Avro file: let its producer write JSON instead'
  if (first === 0x1f && second === 0x8b)
    return "the record's value is packed with gzip: let its producer use Kafka's own compression (compression.type) instead"
  if (first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd)
    return "the record's value is packed with zstd: let its producer use Kafka's own compression (compression.type) instead"
  // A map or an array; neither can begin a text in UTF-8.
  if ((first >= 0x80 && first <= 0x9f) || (first >= 0xdc && first <= 0xdf && !isText(value)))
    return 'the record looks like MessagePack: let its producer write JSON instead (Fluent Bit: `format json`)'
  return undefined
}

function isText(value: Uint8Array): boolean {
  return !value.includes(0) && isUtf8(value)
}
