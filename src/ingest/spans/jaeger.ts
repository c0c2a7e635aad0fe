/**
 * Jaeger's Span message, one per record as the Collector writes it to Kafka: `jaeger_proto`, and `jaeger_json`, which is its jsonpb form
 * (ids in base64). https://github.com/jaegertracing/jaeger-idl/blob/main/proto/api_v2/model.proto
 */
import { DecodeError } from '../../errors.ts'
import { SpanKind } from '../../model.ts'
import type { SpanBatch } from '../../model.ts'
import { SpanColumns, emptySpan } from '../columns.ts'
import type { DecodeContext } from '../decode-context.ts'
import { parseJson } from '../wire/json-body.ts'
import { get, integer, isObject, objects, text } from '../otlp/otlp-json.ts'
import type { JsonObject } from '../otlp/otlp-json.ts'
import { MAX_ATTRIBUTES, sourceOf } from '../otlp/otlp-protobuf.ts'
import type { Attributes } from '../otlp/otlp-protobuf.ts'
import { ProtobufReader, readTimestampMs } from '../wire/protobuf-reader.ts'
import type { SpanIds } from './span-ids.ts'
import { peerOfTags, spanKindOf, statusOfTags } from './span-tags.ts'

const CHILD_OF = 0
const FOLLOWS_FROM = 1
const NO_BYTES = new Uint8Array()
/** References of one span that are looked at. */
const MAX_REFERENCES = 1024

interface Reference {
  traceId: Uint8Array
  spanId: Uint8Array
  type: number
}

interface JaegerSpan {
  traceId: Uint8Array
  spanId: Uint8Array
  operation: string
  startMs: number
  durationMs: number
  readonly references: Reference[]
  readonly tags: Attributes
  readonly process: Attributes
}

export function decodeJaegerProto(body: Uint8Array, context: DecodeContext): SpanBatch {
  const reader = new ProtobufReader(body)
  const { maxNameChars, maxLabelValueChars } = context.limits
  const span = newSpan()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    switch (tag) {
      case 0x0a:
        span.traceId = bytesOf(reader)
        break
      case 0x12:
        span.spanId = bytesOf(reader)
        break
      case 0x1a:
        span.operation = reader.text(maxNameChars * 4)
        break
      case 0x22:
        if (span.references.length < MAX_REFERENCES) span.references.push(readReference(reader))
        else reader.skip(tag)
        break
      case 0x32:
        span.startMs = readTime(reader)
        break
      case 0x3a:
        span.durationMs = readTime(reader)
        break
      case 0x42:
        readTag(reader, span.tags, maxLabelValueChars)
        break
      case 0x52:
        readProcess(reader, span.process, maxLabelValueChars)
        break
      default:
        reader.skip(tag)
    }
  }
  return batchOf(span, context)
}

function newSpan(): JaegerSpan {
  return {
    traceId: NO_BYTES,
    spanId: NO_BYTES,
    operation: '',
    startMs: 0,
    durationMs: 0,
    references: [],
    tags: new Map(),
    process: new Map(),
  }
}

function bytesOf(reader: ProtobufReader): Uint8Array {
  const length = reader.uint32()
  const at = reader.take(length)
  return reader.bytes.subarray(at, at + length)
}

function readReference(reader: ProtobufReader): Reference {
  const reference: Reference = { traceId: NO_BYTES, spanId: NO_BYTES, type: CHILD_OF }
  const outer = reader.enter()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) reference.traceId = bytesOf(reader)
    else if (tag === 0x12) reference.spanId = bytesOf(reader)
    else if (tag === 0x18) reference.type = reader.uint32()
    else reader.skip(tag)
  }
  reader.leave(outer)
  return reference
}

function readTime(reader: ProtobufReader): number {
  const outer = reader.enter()
  const ms = readTimestampMs(reader)
  reader.leave(outer)
  return ms
}

function readProcess(reader: ProtobufReader, process: Attributes, maxBytes: number): void {
  const outer = reader.enter()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) process.set('service.name', reader.text(maxBytes))
    else if (tag === 0x12) readTag(reader, process, maxBytes)
    else reader.skip(tag)
  }
  reader.leave(outer)
}

/** A KeyValue: its type says which of its fields counts. A process names its service beside its tags, so no tag takes that place. */
function readTag(reader: ProtobufReader, tags: Attributes, maxBytes: number): void {
  if (tags.size >= MAX_ATTRIBUTES) {
    reader.take(reader.uint32())
    return
  }
  const outer = reader.enter()
  let name = ''
  let type = 0
  const values = ['', 'false', '0', '0']
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) name = reader.text(maxBytes)
    else if (tag === 0x10) type = reader.uint32()
    else if (tag === 0x1a) values[0] = reader.text(maxBytes)
    else if (tag === 0x20) values[1] = reader.int64() === 0 ? 'false' : 'true'
    else if (tag === 0x28) values[2] = String(reader.int64())
    else if (tag === 0x31) values[3] = String(reader.double())
    else reader.skip(tag)
  }
  reader.leave(outer)
  setTag(tags, name, values[type] ?? '')
}

function setTag(tags: Attributes, name: string, value: string): void {
  if (name !== 'service.name') tags.set(name, value)
}

export function decodeJaegerJson(body: Uint8Array, context: DecodeContext): SpanBatch {
  const root = parseJson(body)
  if (!isObject(root)) throw new DecodeError('malformed', 'the record must be an object: one Jaeger span')
  const span = newSpan()
  span.traceId = jsonId(root, 'traceId', 16)
  span.spanId = jsonId(root, 'spanId', 8)
  span.operation = text(root, 'operationName')
  span.startMs = jsonTime(text(root, 'startTime'))
  span.durationMs = jsonDuration(text(root, 'duration'))
  for (const item of objects(root, 'references')) {
    const type = get(item, 'refType')
    span.references.push({
      traceId: jsonId(item, 'traceId', 16),
      spanId: jsonId(item, 'spanId', 8),
      type: type === 'FOLLOWS_FROM' || type === FOLLOWS_FROM ? FOLLOWS_FROM : CHILD_OF,
    })
  }
  readJsonTags(root, span.tags)
  const process = get(root, 'process')
  if (isObject(process)) {
    readJsonTags(process, span.process)
    span.process.set('service.name', text(process, 'serviceName'))
  }
  return batchOf(span, context)
}

/** Base64 as jsonpb writes bytes; hex where its length says so. What is neither becomes no id. */
function jsonId(parent: JsonObject, field: string, byteCount: number): Uint8Array {
  const id = text(parent, field)
  const isHex = id.length === byteCount * 2 && /^[0-9a-f]*$/i.test(id)
  const bytes = Buffer.from(id, isHex ? 'hex' : 'base64')
  return bytes.length === byteCount ? bytes : NO_BYTES
}

const TYPES = ['STRING', 'BOOL', 'INT64', 'FLOAT64', 'BINARY']
const VALUES = ['vStr', 'vBool', 'vInt64', 'vFloat64']

function readJsonTags(parent: JsonObject, tags: Attributes): void {
  for (const pair of objects(parent, 'tags')) {
    const given = get(pair, 'vType') ?? 0
    const type = typeof given === 'string' ? TYPES.indexOf(given) : integer(pair, 'vType')
    const value = get(pair, VALUES[type] ?? '') ?? ['', false, 0, 0][type]
    setTag(
      tags,
      text(pair, 'key'),
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '',
    )
  }
}

/** RFC 3339 with up to nine digits after the point. */
function jsonTime(value: string): number {
  const parts = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.exec(value)
  const ms = parts === null ? NaN : Date.parse(parts[1]! + parts[3]!)
  if (Number.isNaN(ms)) throw new DecodeError('malformed', '"startTime" must be a time as in RFC 3339')
  return ms + Number(parts![2] ?? 0) * 1000
}

/** `0.000123s` */
function jsonDuration(value: string): number {
  if (value === '') return 0
  const parts = /^(-?\d{1,12}(?:\.\d{1,9})?)s$/.exec(value)
  if (parts === null) throw new DecodeError('malformed', '"duration" must be a number of seconds with an s')
  return Number(parts[1]) * 1000
}

function batchOf(span: JaegerSpan, context: DecodeContext): SpanBatch {
  const columns = new SpanColumns(context)
  const { ids } = columns
  const { tags, process } = span
  ids.begin()
  setIds(span, ids)
  // The clients of Jaeger name the host so.
  if (!process.has('host.name') && process.has('hostname')) process.set('host.name', process.get('hostname')!)
  const row = emptySpan()
  row.kind = spanKindOf(tags.get('span.kind') ?? '') ?? SpanKind.internal
  row.status = statusOfTags(tags)
  row.startMs = span.startMs
  row.durationMs = span.durationMs
  const sourceIndex = columns.sourceIndex(sourceOf(process, context))
  if (columns.takes(sourceIndex, row))
    columns.push(sourceIndex, row, columns.operation(span.operation), peerOfTags(row.kind, tags, context.naming))
  return columns.finish()
}

/** The parent is the first span of the same trace that this one is a child of, else the first that it follows, as Jaeger has it. */
function setIds(span: JaegerSpan, ids: SpanIds): void {
  const { traceId, spanId, references } = span
  ids.setTrace(viewOf(traceId), 0, traceId.length)
  ids.setSpan(viewOf(spanId), 0, spanId.length)
  const ofTrace = references.filter((reference) => Buffer.compare(reference.traceId, traceId) === 0)
  const parent = ofTrace.find(({ type }) => type === CHILD_OF) ?? ofTrace.find(({ type }) => type === FOLLOWS_FROM)
  if (parent !== undefined) ids.setParent(viewOf(parent.spanId), 0, parent.spanId.length)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
