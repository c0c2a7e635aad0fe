/**
 * Finds out how a Kafka record is encoded: by configuration, else by its headers, else by its first bytes, and makes of it the request that
 * the matching door takes. What cannot be told apart is not guessed at: it comes back as a DecodeError for the dead letters.
 */
import { DecodeError } from '../errors.ts'
import type { InRecord } from '../transport/transport.ts'
import { PAYLOAD_ENCODINGS, type SourceConfig } from './config.ts'
import type { DoorRequest } from './door.ts'
import { lineRequest } from './json-line.ts'
import { ProtobufReader } from './protobuf-reader.ts'
import { parseMediaType, unsnappy } from './request-body.ts'

type Encoding = (typeof PAYLOAD_ENCODINGS)[number]

const JSON_TYPE = { 'content-type': 'application/json' }
const PROTOBUF_TYPE = { 'content-type': 'application/x-protobuf', 'content-encoding': 'identity' }

/** Throws a DecodeError when the record is in no form that a door takes. */
export function requestOf(record: InRecord, source: SourceConfig, maxDecodedBytes: number, receivedMs: number): DoorRequest {
  const { value } = record
  if (value.length === 0) throw new DecodeError('empty', 'the record is empty')
  const encoding = source.encoding === 'auto' ? (byHeaders(record, source) ?? byBytes(value, source, maxDecodedBytes)) : source.encoding
  const request = (path: string, headers: Readonly<Record<string, string>>, body: Uint8Array = value): DoorRequest => ({
    path,
    headers,
    body,
    receivedMs,
    isOwnPace: true,
  })
  switch (encoding) {
    case 'otlp_proto':
      return request(otlpPath(source), PROTOBUF_TYPE)
    case 'otlp_json':
      return request(otlpPath(source), JSON_TYPE)
    case 'remote_write':
      return request('/api/v1/write', PROTOBUF_TYPE, unsnapped(value, maxDecodedBytes) ?? value)
    case 'loki_proto':
      return request('/loki/api/v1/push', PROTOBUF_TYPE, unsnapped(value, maxDecodedBytes) ?? value)
    case 'loki_json':
      return request('/loki/api/v1/push', JSON_TYPE)
    case 'loki_stream':
      return request('/loki/api/v1/push', PROTOBUF_TYPE, pushOfStream(value))
    case 'alerts':
      return request('/api/v2/alerts', JSON_TYPE)
    case 'changes':
      return request('/api/v1/events', JSON_TYPE)
    default:
      return lineRequest(record, source.service, receivedMs)
  }
}

function otlpPath(source: SourceConfig): string {
  if (source.signal === 'traces') return '/v1/traces'
  if (source.signal === 'logs') return '/v1/logs'
  if (source.signal === 'metrics') return '/v1/metrics'
  throw new DecodeError('unsupported', `OTLP ${source.signal} are not read`)
}

function byHeaders(record: InRecord, source: SourceConfig): Encoding | undefined {
  const headers = new Map(Object.entries(record.headers).map(([name, value]) => [name.toLowerCase(), value]))
  const own = headers.get('x-tocsin-encoding')
  if (own !== undefined) {
    const known: readonly string[] = PAYLOAD_ENCODINGS
    if (!known.includes(own)) throw new DecodeError('unsupported', `x-tocsin-encoding is none of ${known.join(', ')}`)
    return own as Encoding
  }
  const type = parseMediaType(headers.get('content-type') ?? '')?.type
  if (headers.has('ce_specversion') || type?.startsWith('application/cloudevents') === true)
    throw new DecodeError('unsupported', 'CloudEvents are not read')
  // Grafana Mimir's ingest storage: four bytes, 0 and 1 are remote write 1.0 without compression.
  const version = headers.get('version')
  if (version?.length === 4 && source.signal === 'metrics') {
    if (version.charCodeAt(3) > 1) throw new DecodeError('unsupported', `Mimir's record version ${version.charCodeAt(3)} is not read`)
    return 'remote_write'
  }
  if (type === 'application/x-protobuf' && source.signal === 'traces') return 'otlp_proto'
  return undefined
}

function byBytes(value: Uint8Array, source: SourceConfig, maxDecodedBytes: number): Encoding {
  const first = value[0]!
  if (first === 0x7b || first === 0x5b) return byJson(value, source)
  if (first === 0 && value.length > 5)
    throw new DecodeError('unsupported', 'the record is framed for a schema registry: configure its encoding at the producer')
  if (source.signal === 'logs' && isLokiStream(value)) return 'loki_stream'
  const plain = byProtobuf(value, source)
  if (plain !== undefined) return plain
  const unpacked = unsnapped(value, maxDecodedBytes)
  const packed = unpacked === undefined ? undefined : byProtobuf(unpacked, source)
  if (packed === 'remote_write' || packed === 'loki_proto') return packed
  if (source.signal === 'logs' && isText(value)) return 'lines'
  throw new DecodeError(
    'unrecognised',
    `the record is no encoding of ${source.signal} that is known: set sources.encoding for topic ${source.topic}`,
  )
}

function byJson(value: Uint8Array, source: SourceConfig): Encoding {
  let root: unknown
  try {
    root = JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8'))
  } catch (error) {
    if (source.signal === 'logs') return 'lines'
    throw new DecodeError('malformed', 'the record starts like JSON and is none', { cause: error })
  }
  const item: unknown = Array.isArray(root) ? root[0] : root
  const has = (name: string) => typeof item === 'object' && item !== null && Object.hasOwn(item, name)
  if (has('specversion')) throw new DecodeError('unsupported', 'CloudEvents are not read')
  if (source.signal === 'metrics' && has('resourceMetrics')) return 'otlp_json'
  if (source.signal === 'traces' && has('resourceSpans')) return 'otlp_json'
  if (source.signal === 'logs') return has('resourceLogs') ? 'otlp_json' : has('streams') ? 'loki_json' : 'lines'
  if (source.signal === 'events') {
    if (Array.isArray(root) && has('labels')) return 'alerts'
    if (has('type') && has('service')) return 'changes'
  }
  throw new DecodeError('unrecognised', `the record is JSON, but no ${source.signal} that are known`)
}

/** Looks one or two levels deep: remote write, Loki and OTLP all begin with a message in field 1. */
function byProtobuf(bytes: Uint8Array, source: SourceConfig): Encoding | undefined {
  if (bytes[0] !== 0x0a || source.signal === 'events') return undefined
  try {
    const reader = new ProtobufReader(bytes)
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) reader.skip(tag)
    reader.at = 0
    reader.next()
    reader.enter()
    let shape = 'empty'
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag !== 0x0a) {
        reader.skip(tag)
        continue
      }
      const start = reader.at
      const outer = reader.enter()
      shape = reader.bytes[reader.at] === 0x7b ? 'selector' : isLabel(reader) ? 'label' : 'other'
      reader.at = start
      reader.end = outer
      break
    }
    if (source.signal === 'metrics') return shape === 'label' ? 'remote_write' : 'otlp_proto'
    if (source.signal === 'logs' && shape === 'selector') return 'loki_proto'
    return 'otlp_proto'
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

/** {1: text, 2: text} and nothing else. A Resource may look so, too, but its field 1 is a message, and no name begins with a control character. */
function isLabel(reader: ProtobufReader): boolean {
  let names = 0
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) {
      const length = reader.uint32()
      const at = reader.take(length)
      if (++names > 1 || length === 0 || reader.bytes[at]! < 0x20) return false
    } else if (tag === 0x12) reader.skip(tag)
    else return false
  }
  return names === 1
}

/** A stream by itself begins with its labels, a push request with a stream. */
function isLokiStream(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0x0a) return false
  try {
    const reader = new ProtobufReader(bytes)
    reader.next()
    const labels = reader.uint32()
    if (labels < 2 || reader.bytes[reader.take(labels)] !== 0x7b || reader.bytes[reader.at - 1] !== 0x7d) return false
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) reader.skip(tag)
    return true
  } catch (error) {
    if (error instanceof DecodeError) return false
    throw error
  }
}

/** What Loki writes to its own topics is one stream per record: https://github.com/grafana/loki/blob/main/pkg/kafka/encoding.go */
function pushOfStream(stream: Uint8Array): Uint8Array {
  const head: number[] = [0x0a]
  let rest = stream.length
  for (; rest > 127; rest >>>= 7) head.push((rest & 127) | 128)
  return Buffer.concat([Buffer.from([...head, rest]), stream])
}

/** A copy of what the snappy block holds; undefined when it is none. */
function unsnapped(value: Uint8Array, maxBytes: number): Uint8Array | undefined {
  try {
    return unsnappy(value, maxBytes).slice()
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function isText(value: Uint8Array): boolean {
  if (value.includes(0)) return false
  try {
    utf8.decode(value)
    return true
  } catch (error) {
    if (error instanceof TypeError) return false
    throw error
  }
}
