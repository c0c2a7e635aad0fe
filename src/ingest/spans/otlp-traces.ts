/**
 * OTLP traces, protobuf and JSON, into a span batch: only the columns that detection uses are read, the rest is stepped over.
 * Attributes are looked at only where a span calls somebody. https://opentelemetry.io/docs/specs/otlp/ , trace/v1/trace.proto
 */
import type { Source, SpanBatch } from '../../model.ts'
import { SpanKind } from '../../model.ts'
import { SpanColumns, emptySpan } from '../columns.ts'
import type { SpanRow } from '../columns.ts'
import type { DecodeContext } from '../decode-context.ts'
import { get, integer, isObject, jsonAttributes, jsonSource, nanos, objects, rootGroups, text } from '../otlp/otlp-json.ts'
import type { JsonObject } from '../otlp/otlp-json.ts'
import { eachItem, nanosAt, nanosBetween } from '../otlp/otlp-protobuf.ts'
import { ProtobufReader, malformed, truncated } from '../wire/protobuf-reader.ts'
import { SeenBytes } from '../wire/seen-bytes.ts'
import { SpanPeer } from './span-peer.ts'

export function decodeOtlpTraces(body: Uint8Array, context: DecodeContext): SpanBatch {
  const reader = new ProtobufReader(body)
  const columns = new SpanColumns(context)
  const spans = new SpanReader(reader, columns, context)
  eachItem(
    reader,
    context,
    (source: Source) => columns.sourceIndex(source),
    (sourceIndex) => spans.read(sourceIndex),
  )
  return columns.finish()
}

/** Reads the Span messages of one body. It keeps its own position: through the reader's fields each step costs twice as much. */
class SpanReader {
  readonly #reader: ProtobufReader
  readonly #columns: SpanColumns
  readonly #context: DecodeContext
  readonly #span: SpanRow = emptySpan()
  readonly #names: SeenBytes
  readonly #peer: SpanPeer

  constructor(reader: ProtobufReader, columns: SpanColumns, context: DecodeContext) {
    this.#reader = reader
    this.#columns = columns
    this.#context = context
    this.#names = new SeenBytes(reader.bytes)
    this.#peer = new SpanPeer(reader, context.naming, context.limits.maxNameChars * 4)
  }

  /** The message that the reader is in, up to its end. */
  read(sourceIndex: number): void {
    const reader = this.#reader
    const peer = this.#peer
    const { bytes, view, end } = reader
    const { ids } = this.#columns
    ids.begin()
    peer.begin()
    let operationAt = 0
    let operationBytes = 0
    let kind = 0
    let status = 0
    let startAt = -1
    let endAt = -1
    let at = reader.at
    while (at < end) {
      let tag = bytes[at++]!
      if (tag >= 0x80) {
        reader.at = at - 1
        tag = reader.uint32()
        at = reader.at
      }
      switch (tag & 7) {
        case 2: {
          let length = at < end ? bytes[at++]! : 0x80
          if (length >= 0x80) {
            reader.at = at - 1
            length = reader.uint32()
            at = reader.at
          }
          const from = at
          at += length
          if (at > end) throw truncated()
          if (tag === 0x4a) peer.note(from, at)
          else if (tag === 0x0a) ids.setTrace(view, from, length)
          else if (tag === 0x12) ids.setSpan(view, from, length)
          else if (tag === 0x22) ids.setParent(view, from, length)
          else if (tag === 0x2a) {
            operationAt = from
            operationBytes = length
          } else if (tag === 0x7a) status = this.#status(from, at, status)
          break
        }
        case 1:
          if (tag === 0x39) startAt = at
          else if (tag === 0x41) endAt = at
          at += 8
          if (at > end) throw truncated()
          break
        case 5:
          at += 4
          if (at > end) throw truncated()
          break
        case 0: {
          reader.at = at
          const value = reader.uint32()
          at = reader.at
          if (tag === 0x30) kind = value
          break
        }
        default:
          reader.skip(tag)
      }
      if (tag < 8) throw malformed('a field has the number 0')
    }
    reader.at = end
    const span = this.#span
    span.kind = kind
    span.status = status
    // A field that is not sent is 0.
    span.startMs = startAt >= 0 ? nanosAt(view, startAt) : 0
    span.durationMs = endAt < 0 ? 0 : startAt >= 0 ? nanosBetween(view, startAt, endAt) : nanosAt(view, endAt)
    if (!this.#columns.takes(sourceIndex, span)) return
    this.#columns.push(sourceIndex, span, this.#operation(operationAt, operationBytes), calls(kind) ? peer.read() : '')
  }

  #status(from: number, to: number, before: number): number {
    const reader = this.#reader
    const { end } = reader
    let status = before
    reader.at = from
    reader.end = to
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag === 0x18) status = reader.uint32()
      else reader.skip(tag)
    }
    reader.end = end
    return status
  }

  #operation(at: number, byteCount: number): number {
    const known = this.#names.find(at, byteCount)
    if (known >= 0) return known
    const maxBytes = this.#context.limits.maxNameChars * 4
    const index = this.#columns.operation(this.#reader.bytes.toString('utf8', at, at + Math.min(byteCount, maxBytes)))
    this.#names.remember(at, byteCount, index)
    return index
  }
}

export function decodeOtlpTracesJson(body: Uint8Array, context: DecodeContext): SpanBatch {
  const columns = new SpanColumns(context)
  const { ids } = columns
  const span = emptySpan()
  for (const group of rootGroups(body, 'resourceSpans')) {
    const sourceIndex = columns.sourceIndex(jsonSource(group, context))
    for (const scope of objects(group, 'scopeSpans')) {
      for (const item of objects(scope, 'spans')) {
        ids.begin()
        ids.setTraceHex(text(item, 'traceId'))
        ids.setSpanHex(text(item, 'spanId'))
        ids.setParentHex(text(item, 'parentSpanId'))
        span.kind = integer(item, 'kind')
        const start = nanos(item, 'startTimeUnixNano')
        const end = nanos(item, 'endTimeUnixNano')
        span.startMs = start.ms + start.rest / 1e6
        span.durationMs = end.ms - start.ms + (end.rest - start.rest) / 1e6
        const status = get(item, 'status')
        span.status = isObject(status) ? integer(status, 'code') : 0
        const name = text(item, 'name')
        if (columns.takes(sourceIndex, span)) columns.push(sourceIndex, span, columns.operation(name), jsonPeer(span, item, context))
      }
    }
  }
  return columns.finish()
}

function jsonPeer(span: SpanRow, item: JsonObject, context: DecodeContext): string {
  if (!calls(span.kind)) return ''
  const attributes = jsonAttributes(item)
  return context.naming.peer((name) => attributes.get(name))
}

function calls(kind: number): boolean {
  return kind === SpanKind.client || kind === SpanKind.producer
}
