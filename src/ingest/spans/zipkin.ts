/**
 * Zipkin v2 spans, a list of them in JSON or protobuf. Times are microseconds, trace ids 8 or 16 bytes. A server span that shares the
 * id of the client span that called it becomes that span's child: its parent id is its own id.
 * https://github.com/openzipkin/zipkin-api (zipkin2-api.yaml, zipkin.proto)
 */
import { DecodeError } from '../../errors.ts'
import { SpanKind } from '../../model.ts'
import type { SpanBatch } from '../../model.ts'
import { SpanColumns, emptySpan } from '../columns.ts'
import type { DecodeContext } from '../decode-context.ts'
import { parseJson } from '../wire/json-body.ts'
import { get, integer, isObject, text } from '../otlp/otlp-json.ts'
import type { JsonObject } from '../otlp/otlp-json.ts'
import { MAX_ATTRIBUTES, sourceOf } from '../otlp/otlp-protobuf.ts'
import type { Attributes } from '../otlp/otlp-protobuf.ts'
import { ProtobufReader } from '../wire/protobuf-reader.ts'
import { peerOfTags, spanKindOf, statusOfTags } from './span-tags.ts'

interface Endpoint {
  service: string
  address: string
  port: number
}

interface ZipkinSpan {
  operation: string
  kind: number
  startMs: number
  durationMs: number
  shared: boolean
  readonly local: Endpoint
  readonly remote: Endpoint
  readonly tags: Attributes
}

/** By their number in zipkin.proto. A span without a kind is local. */
const PROTO_KINDS = [SpanKind.internal, SpanKind.client, SpanKind.server, SpanKind.producer, SpanKind.consumer]

export function decodeZipkinProto(body: Uint8Array, context: DecodeContext): SpanBatch {
  const reader = new ProtobufReader(body)
  const columns = new SpanColumns(context)
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag !== 0x0a) {
      reader.skip(tag)
      continue
    }
    const outer = reader.enter()
    columns.ids.begin()
    keep(readSpan(reader, columns, context), columns, context)
    reader.leave(outer)
  }
  return columns.finish()
}

function readSpan(reader: ProtobufReader, columns: SpanColumns, context: DecodeContext): ZipkinSpan {
  const { ids } = columns
  const { maxNameChars, maxLabelValueChars } = context.limits
  const span = newSpan()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    switch (tag) {
      case 0x0a: {
        const length = reader.uint32()
        const at = reader.take(length)
        if (length === 8) ids.setShortTrace(reader.view, at)
        else ids.setTrace(reader.view, at, length)
        break
      }
      case 0x12: {
        const length = reader.uint32()
        ids.setParent(reader.view, reader.take(length), length)
        break
      }
      case 0x1a: {
        const length = reader.uint32()
        ids.setSpan(reader.view, reader.take(length), length)
        break
      }
      case 0x20:
        span.kind = PROTO_KINDS[reader.uint32()] ?? SpanKind.unspecified
        break
      case 0x2a:
        span.operation = reader.text(maxNameChars * 4)
        break
      case 0x31:
        span.startMs = microsAt(reader.view, reader.take(8))
        break
      case 0x38:
        span.durationMs = reader.int64() / 1000
        break
      case 0x42:
        readEndpoint(reader, span.local, maxLabelValueChars)
        break
      case 0x4a:
        readEndpoint(reader, span.remote, maxLabelValueChars)
        break
      case 0x5a:
        readTag(reader, span.tags, maxLabelValueChars)
        break
      case 0x68:
        span.shared = reader.int64() !== 0
        break
      default:
        reader.skip(tag)
    }
  }
  return span
}

/** fixed64 microseconds in milliseconds. */
function microsAt(view: DataView, at: number): number {
  return (view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true)) / 1000
}

function newSpan(): ZipkinSpan {
  return {
    operation: '',
    kind: SpanKind.internal,
    startMs: 0,
    durationMs: 0,
    shared: false,
    local: { service: '', address: '', port: 0 },
    remote: { service: '', address: '', port: 0 },
    tags: new Map(),
  }
}

function readEndpoint(reader: ProtobufReader, endpoint: Endpoint, maxBytes: number): void {
  const outer = reader.enter()
  let ipv4 = ''
  let ipv6 = ''
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) endpoint.service = reader.text(maxBytes)
    else if (tag === 0x12) {
      const length = reader.uint32()
      const at = reader.take(length)
      ipv4 = length === 4 ? reader.bytes.subarray(at, at + 4).join('.') : ''
    } else if (tag === 0x1a) {
      const length = reader.uint32()
      const at = reader.take(length)
      ipv6 = length === 16 ? ipv6Of(reader.view, at) : ''
    } else if (tag === 0x20) endpoint.port = reader.int32()
    else reader.skip(tag)
  }
  reader.leave(outer)
  endpoint.address = ipv4 || ipv6
}

/** Not shortened: it only has to be the same each time. */
function ipv6Of(view: DataView, at: number): string {
  return `[${Array.from({ length: 8 }, (_, i) => view.getUint16(at + i * 2).toString(16)).join(':')}]`
}

function readTag(reader: ProtobufReader, tags: Attributes, maxBytes: number): void {
  if (tags.size >= MAX_ATTRIBUTES) {
    reader.take(reader.uint32())
    return
  }
  const outer = reader.enter()
  let name = ''
  let value = ''
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) name = reader.text(maxBytes)
    else if (tag === 0x12) value = reader.text(maxBytes)
    else reader.skip(tag)
  }
  reader.leave(outer)
  tags.set(name, value)
}

export function decodeZipkinJson(body: Uint8Array, context: DecodeContext): SpanBatch {
  const root = parseJson(body)
  if (!Array.isArray(root) || !root.every(isObject)) throw new DecodeError('malformed', 'the body must be an array of Zipkin v2 spans')
  const columns = new SpanColumns(context)
  const { ids } = columns
  for (const item of root) {
    ids.begin()
    // Ids may be written without the zeros that they begin with.
    ids.setTraceHex(padded(text(item, 'traceId'), 32))
    ids.setSpanHex(padded(text(item, 'id'), 16))
    ids.setParentHex(padded(text(item, 'parentId'), 16))
    const span = newSpan()
    span.operation = text(item, 'name')
    const kind = text(item, 'kind')
    if (kind !== '') span.kind = spanKindOf(kind) ?? SpanKind.unspecified
    span.startMs = integer(item, 'timestamp') / 1000
    span.durationMs = integer(item, 'duration') / 1000
    span.shared = get(item, 'shared') === true
    readJsonEndpoint(item, 'localEndpoint', span.local)
    readJsonEndpoint(item, 'remoteEndpoint', span.remote)
    const tags = get(item, 'tags')
    if (isObject(tags)) for (const [name, value] of Object.entries(tags)) if (typeof value === 'string') span.tags.set(name, value)
    keep(span, columns, context)
  }
  return columns.finish()
}

function padded(id: string, digits: number): string {
  return id === '' ? '' : id.padStart(digits, '0')
}

function readJsonEndpoint(item: JsonObject, field: string, endpoint: Endpoint): void {
  const value = get(item, field)
  if (!isObject(value)) return
  const ipv6 = text(value, 'ipv6')
  endpoint.service = text(value, 'serviceName')
  endpoint.address = text(value, 'ipv4') || (ipv6 === '' ? '' : `[${ipv6}]`)
  endpoint.port = integer(value, 'port')
}

function keep(span: ZipkinSpan, columns: SpanColumns, context: DecodeContext): void {
  const { local, remote, tags } = span
  // Incomplete spans have no time; there is no place for them.
  if (span.startMs === 0) {
    context.rejected.add('no-time')
    return
  }
  if (span.shared) columns.ids.setParentToSpan()
  const attributes: Attributes = new Map([['service.name', local.service]])
  if (local.address !== '') attributes.set('host.name', local.port === 0 ? local.address : `${local.address}:${local.port}`)
  const row = emptySpan()
  row.kind = span.kind
  row.status = statusOfTags(tags)
  row.startMs = span.startMs
  row.durationMs = span.durationMs
  const sourceIndex = columns.sourceIndex(sourceOf(attributes, context))
  if (!columns.takes(sourceIndex, row)) return
  if (remote.service !== '' && !tags.has('peer.service')) tags.set('peer.service', remote.service)
  if (remote.address !== '' && !tags.has('net.peer.name')) {
    tags.set('net.peer.name', remote.address)
    if (remote.port !== 0) tags.set('net.peer.port', String(remote.port))
  }
  columns.push(sourceIndex, row, columns.operation(span.operation), peerOfTags(row.kind, tags, context.naming))
}
