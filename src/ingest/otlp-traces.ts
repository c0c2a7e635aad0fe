/**
 * OTLP traces, protobuf and JSON, into a span batch: only the columns that detection uses are read, the rest is stepped over.
 * Attributes are looked at only where a span calls somebody. https://opentelemetry.io/docs/specs/otlp/ , trace/v1/trace.proto
 */
import type { Source, SpanBatch } from '../model.ts'
import { SpanKind } from '../model.ts'
import { SpanColumns } from './columns.ts'
import type { SpanRow } from './columns.ts'
import { timeFault } from './decode-context.ts'
import type { DecodeContext } from './decode-context.ts'
import { hexId, integer, isObject, get, jsonAttributes, jsonSource, nanos, objects, rootGroups, text } from './otlp-json.ts'
import { WantedNames, nanosAt, nanosBetween, eachItem, readWantedAttribute } from './otlp-protobuf.ts'
import type { Attributes } from './otlp-protobuf.ts'
import { ProtobufReader } from './protobuf-reader.ts'

const ZEROS = /^0*$/

export function decodeOtlpTraces(body: Uint8Array, context: DecodeContext): SpanBatch {
  const reader = new ProtobufReader(body)
  const columns = new SpanColumns(context)
  const span = emptySpan()
  const wanted = new WantedNames(context.naming.peerAttributes)
  const begin = (source: Source) => columns.sourceIndex(source)
  eachItem(reader, context, begin, (sourceIndex) => {
    readSpan(reader, span, wanted, context)
    keep(span, sourceIndex, columns, context)
  })
  return columns.finish()
}

function readSpan(reader: ProtobufReader, span: SpanRow, wanted: WantedNames, context: DecodeContext): void {
  reset(span)
  const start = reader.at
  let startAt = -1
  let endAt = -1
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    switch (tag) {
      case 0x0a:
        span.traceId = reader.hex()
        break
      case 0x12:
        span.spanId = reader.hex()
        break
      case 0x22:
        span.parentId = reader.hex()
        break
      case 0x2a:
        span.operation = reader.text(context.limits.maxNameChars * 4)
        break
      case 0x30:
        span.kind = reader.uint32()
        break
      case 0x39:
        startAt = reader.take(8)
        break
      case 0x41:
        endAt = reader.take(8)
        break
      case 0x7a: {
        const outer = reader.enter()
        for (let field = reader.next(); field !== 0; field = reader.next()) {
          if (field === 0x18) span.status = reader.uint32()
          else reader.skip(field)
        }
        reader.leave(outer)
        break
      }
      default:
        reader.skip(tag)
    }
  }
  // A field that is not sent is 0.
  if (startAt >= 0) span.startMs = nanosAt(reader.view, startAt)
  if (endAt >= 0) span.durationMs = startAt >= 0 ? nanosBetween(reader.view, startAt, endAt) : nanosAt(reader.view, endAt)
  if (!calls(span)) return
  // The kind may stand after the attributes, so they are read in a second pass, and only here.
  const attributes: Attributes = new Map()
  reader.at = start
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x4a) readWantedAttribute(reader, wanted, attributes, context.limits.maxNameChars * 4)
    else reader.skip(tag)
  }
  span.peer = context.naming.peer((name) => attributes.get(name))
}

export function decodeOtlpTracesJson(body: Uint8Array, context: DecodeContext): SpanBatch {
  const columns = new SpanColumns(context)
  const span = emptySpan()
  for (const group of rootGroups(body, 'resourceSpans')) {
    const sourceIndex = columns.sourceIndex(jsonSource(group, context))
    for (const scope of objects(group, 'scopeSpans')) {
      for (const item of objects(scope, 'spans')) {
        reset(span)
        span.traceId = hexId(item, 'traceId')
        span.spanId = hexId(item, 'spanId')
        span.parentId = hexId(item, 'parentSpanId')
        span.operation = text(item, 'name')
        span.kind = integer(item, 'kind')
        const start = nanos(item, 'startTimeUnixNano')
        const end = nanos(item, 'endTimeUnixNano')
        span.startMs = start.ms + start.rest / 1e6
        span.durationMs = end.ms - start.ms + (end.rest - start.rest) / 1e6
        const status = get(item, 'status')
        span.status = isObject(status) ? integer(status, 'code') : 0
        if (calls(span)) {
          const attributes = jsonAttributes(item)
          span.peer = context.naming.peer((name) => attributes.get(name))
        }
        keep(span, sourceIndex, columns, context)
      }
    }
  }
  return columns.finish()
}

function keep(span: SpanRow, sourceIndex: number, columns: SpanColumns, context: DecodeContext): void {
  if (!(span.durationMs >= 0)) span.durationMs = 0
  const fault =
    faultOf(span) ||
    timeFault(span.startMs, context) ||
    timeFault(span.startMs + span.durationMs, context) ||
    (sourceIndex < 0 ? 'service-limit' : '')
  if (fault !== '') context.rejected.add(fault)
  else columns.push(sourceIndex, span)
}

/** https://opentelemetry.io/docs/specs/otel/trace/api/#spancontext: 16 and 8 bytes, not all zero. */
function faultOf(span: SpanRow): string {
  if (span.traceId.length !== 32 || ZEROS.test(span.traceId)) return 'bad-trace-id'
  if (span.spanId.length !== 16 || ZEROS.test(span.spanId)) return 'bad-span-id'
  if (span.parentId.length !== 16 || ZEROS.test(span.parentId)) {
    if (!ZEROS.test(span.parentId)) return 'bad-parent-id'
    span.parentId = ''
  }
  return ''
}

function calls(span: SpanRow): boolean {
  return span.kind === SpanKind.client || span.kind === SpanKind.producer
}

function emptySpan(): SpanRow {
  return { traceId: '', spanId: '', parentId: '', operation: '', kind: 0, status: 0, startMs: 0, durationMs: 0, peer: '' }
}

function reset(span: SpanRow): void {
  span.traceId = span.spanId = span.parentId = span.operation = span.peer = ''
  span.kind = span.status = span.startMs = span.durationMs = 0
}
