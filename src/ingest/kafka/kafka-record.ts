/**
 * How a Kafka record is encoded, by its topic's configuration, else by its headers, else by its first bytes; and the request that brings the same
 * to the door that reads it. A record in no form that a door takes is a DecodeError.
 */
import { DecodeError } from '../../errors.ts'
import type { InRecord } from '../../transport/transport.ts'
import { cloudEventRequest } from '../events/cloud-events.ts'
import { PAYLOAD_ENCODINGS, type PayloadEncoding, type SourceConfig } from '../config.ts'
import type { DoorRequest } from '../door.ts'
import { JAEGER_PATH } from '../spans/jaeger-endpoint.ts'
import { framedRequest, linesRequest } from '../logs/line-records.ts'
import { mimirVersionOf } from '../metrics/mimir-record.ts'
import { varint } from '../wire/protobuf-writer.ts'
import { ADAPTER_SAMPLES_PATH, MIMIR_RECORDS_PATH, MIMIR_VERSION_HEADER } from '../metrics/remote-write-endpoint.ts'
import { parseMediaType } from '../wire/request-body.ts'
import { sniff, unsnapped } from './sniff.ts'

export interface FoundEncoding {
  readonly encoding: PayloadEncoding
  readonly by: 'configuration' | 'header' | 'bytes'
}

export function encodingOf(record: InRecord, source: SourceConfig, maxDecodedBytes: number): FoundEncoding {
  if (record.value.length === 0) throw new DecodeError('empty', 'the record is empty')
  if (source.encoding !== 'auto') return { encoding: source.encoding, by: 'configuration' }
  const byHeader = encodingInHeaders(record.headers, source)
  if (byHeader !== undefined) return { encoding: byHeader, by: 'header' }
  return { encoding: sniff(record.value, source, maxDecodedBytes), by: 'bytes' }
}

function encodingInHeaders(given: InRecord['headers'], source: SourceConfig): PayloadEncoding | undefined {
  let own: string | undefined
  let contentType = ''
  let isCloudEvent = false
  let version: string | undefined
  for (const name of Object.keys(given)) {
    switch (name.toLowerCase()) {
      case 'x-tocsin-encoding':
        own = given[name]!
        break
      case 'content-type':
        contentType = given[name]!
        break
      case 'ce_specversion':
        isCloudEvent = true
        break
      case 'version':
        version = given[name]!
    }
  }
  if (own !== undefined) {
    const known = PAYLOAD_ENCODINGS.find((encoding) => encoding === own)
    if (known === undefined) throw new DecodeError('unsupported', `x-tocsin-encoding is none of ${PAYLOAD_ENCODINGS.join(', ')}`)
    return known
  }
  // Around anything else a CloudEvent is only an envelope: in binary mode the value is the thing itself.
  if (source.signal === 'events' && (isCloudEvent || /^application\/cloudevents/i.test(contentType))) return 'changes'
  // A small number in four bytes; `2.10` is somebody else's.
  if (version?.length === 4 && version.startsWith('\0\0\0') && source.signal === 'metrics') return 'mimir'
  return contentType === '' ? undefined : encodingOfType(contentType, source)
}

const FOREIGN_TYPES = /^(?:application\/(?:vnd\.confluent\.)?(?:avro|protobuf-schema|x-avro|msgpack|x-msgpack|vnd\.msgpack)|avro\/binary)/

function encodingOfType(header: string, source: SourceConfig): PayloadEncoding | undefined {
  const media = parseMediaType(header)
  const type = media?.type ?? ''
  if (FOREIGN_TYPES.test(type))
    throw new DecodeError('unsupported', `records of type ${type.slice(0, 100)} are not read: let the producer write JSON or OTLP instead`)
  const proto = media?.parameters.get('proto') ?? ''
  if (type === 'application/x-protobuf' && /^(?:prometheus|io\.prometheus)\./.test(proto)) return 'remote_write'
  if (type === 'text/plain' && source.signal === 'logs') return 'lines'
  // Several encodings share each of the others.
  return undefined
}

/** One record by itself. */
export function requestOf(record: InRecord, source: SourceConfig, maxDecodedBytes: number, receivedMs: number): DoorRequest {
  return requestAs(record, encodingOf(record, source, maxDecodedBytes).encoding, source, maxDecodedBytes, receivedMs)
}

/** Encodings of which many records make one request. */
export function isFramedEncoding(encoding: PayloadEncoding): boolean {
  return encoding === 'lines' || encoding === 'adapter_json'
}

export function framedRequestOf(
  records: readonly InRecord[],
  encoding: PayloadEncoding,
  source: SourceConfig,
  receivedMs: number,
): DoorRequest {
  if (encoding === 'lines') return linesRequest(records, source.service, receivedMs)
  return framedRequest(ADAPTER_SAMPLES_PATH, records, receivedMs)
}

const JSON_TYPE = { 'content-type': 'application/json' }
const PROTOBUF_TYPE = { 'content-type': 'application/x-protobuf', 'content-encoding': 'identity' }
const VERSION_2_TYPE = { ...PROTOBUF_TYPE, 'content-type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request' }

export function requestAs(
  record: InRecord,
  encoding: PayloadEncoding,
  source: SourceConfig,
  maxDecodedBytes: number,
  receivedMs: number,
): DoorRequest {
  const { value } = record
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
    case 'remote_write': {
      // A copy: what is unpacked is valid until the next record is.
      const body = unsnapped(value, maxDecodedBytes)?.slice() ?? value
      return request('/api/v1/write', isVersion2(body) ? VERSION_2_TYPE : PROTOBUF_TYPE, body)
    }
    case 'mimir':
      return request(MIMIR_RECORDS_PATH, { [MIMIR_VERSION_HEADER]: String(mimirVersion(record)) })
    case 'adapter_json':
    case 'lines':
      return framedRequestOf([record], encoding, source, receivedMs)
    case 'loki_proto':
      return request('/loki/api/v1/push', PROTOBUF_TYPE, unsnapped(value, maxDecodedBytes)?.slice() ?? value)
    case 'loki_json':
      return request('/loki/api/v1/push', JSON_TYPE)
    case 'loki_stream':
      return request('/loki/api/v1/push', PROTOBUF_TYPE, pushOfStream(value))
    case 'jaeger_proto':
      return request(JAEGER_PATH, PROTOBUF_TYPE)
    case 'jaeger_json':
      return request(JAEGER_PATH, JSON_TYPE)
    case 'zipkin_proto':
      return request('/api/v2/spans', PROTOBUF_TYPE)
    case 'zipkin_json':
      return request('/api/v2/spans', JSON_TYPE)
    case 'alerts':
      return request('/api/v2/alerts', JSON_TYPE)
    case 'alertmanager_webhook':
      return request('/api/v1/alertmanager', JSON_TYPE)
    default: {
      const event = cloudEventRequest(record.headers, value, receivedMs)
      return event === undefined ? request('/api/v1/events', JSON_TYPE) : { ...event, isOwnPace: true }
    }
  }
}

function otlpPath(source: SourceConfig): string {
  if (source.signal === 'events') throw new DecodeError('unsupported', 'OTLP carries no events: set ingest.sources.signal')
  return `/v1/${source.signal}`
}

/** 1.0 has the fields 1 and 3 only, 2.0 has 4 and 5: what is not said by a header is said by the first tag. */
function isVersion2(body: Uint8Array): boolean {
  return body[0] === 0x22 || body[0] === 0x2a
}

function mimirVersion(record: InRecord): number {
  for (const name of Object.keys(record.headers))
    if (name.toLowerCase() === 'version') return mimirVersionOf(Buffer.from(record.headers[name]!, 'latin1'))
  return 0
}

/** What Loki writes to its own topics is one stream per record: https://github.com/grafana/loki/blob/main/pkg/kafka/encoding.go */
function pushOfStream(stream: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.of(0x0a), varint(stream.length), stream])
}
