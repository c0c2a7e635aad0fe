/**
 * OTLP logs, protobuf and JSON, into a log batch. The record's own severity and trace id win; a body that is itself a structured line (a
 * collector that tails files sends those) is taken apart. https://opentelemetry.io/docs/specs/otel/logs/data-model/
 */
import type { LogBatch, Source } from '../../model.ts'
import { LogColumns } from '../columns.ts'
import { timeFault } from '../decode-context.ts'
import type { DecodeContext } from '../decode-context.ts'
import { LineReader, traceIdOf } from './log-line.ts'
import { cutLine, lengthCut } from './loki.ts'
import { get, integer, jsonAnyValue, jsonSource, nanos, objects, rootGroups, text } from '../otlp/otlp-json.ts'
import { eachItem, nanosAt, readAnyValue } from '../otlp/otlp-protobuf.ts'
import { ProtobufReader } from '../wire/protobuf-reader.ts'
import { severityInText, severityOfLevel, severityOfOtel } from './severity.ts'

interface LogRecord {
  timeMs: number
  observedMs: number
  severity: number
  /** Lower-case hex; '' when it has none, or when its bytes were noted. */
  traceId: string
}

const lines = new LineReader()

export function decodeOtlpLogs(body: Uint8Array, context: DecodeContext): LogBatch {
  const reader = new ProtobufReader(body)
  const columns = new LogColumns(context)
  const records = new RecordReader(reader, columns, context)
  lines.begin(reader.bytes)
  eachItem(
    reader,
    context,
    (source: Source) => columns.sourceIndex(source),
    (sourceIndex) => records.read(sourceIndex),
  )
  records.finish()
  return columns.finish()
}

/** Reads the LogRecord messages of one body. */
class RecordReader {
  readonly #reader: ProtobufReader
  readonly #columns: LogColumns
  readonly #context: DecodeContext
  readonly #record = emptyRecord()
  /** Trace ids of rows, 16 bytes each: made hex all at once at the end, because a call into the runtime for each costs as much as the record. */
  #traces = Buffer.alloc(64 * 16)
  readonly #tracedRows: number[] = []

  constructor(reader: ProtobufReader, columns: LogColumns, context: DecodeContext) {
    this.#reader = reader
    this.#columns = columns
    this.#context = context
  }

  /** The message that the reader is in. */
  read(sourceIndex: number): void {
    const reader = this.#reader
    const record = this.#record
    record.timeMs = record.observedMs = record.severity = 0
    let severityTextAt = -1
    let traceAt = -1
    let bodyAt = -1
    let eventName = ''
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      switch (tag) {
        case 0x09:
          record.timeMs = nanosAt(reader.view, reader.take(8))
          break
        case 0x10:
          record.severity = reader.uint32()
          break
        case 0x1a:
          severityTextAt = reader.at
          reader.skip(tag)
          break
        case 0x2a:
          bodyAt = reader.at
          reader.skip(tag)
          break
        case 0x4a: {
          const length = reader.uint32()
          const at = reader.take(length)
          traceAt = length === 16 ? at : -1
          break
        }
        case 0x59:
          record.observedMs = nanosAt(reader.view, reader.take(8))
          break
        case 0x62:
          eventName = reader.text(this.#context.limits.maxNameChars)
          break
        default:
          reader.skip(tag)
      }
    }
    if (!takes(record, sourceIndex, this.#context)) return
    const { at } = reader
    if (severityTextAt >= 0 && severityOfOtel(record.severity) === 0) {
      reader.at = severityTextAt
      record.severity = severityOfLevel(reader.text(64))
    }
    if (bodyAt < 0) lines.readText(eventName)
    else this.#readBody(bodyAt, eventName)
    reader.at = at
    if (traceAt >= 0) this.#noteTrace(traceAt)
    push(record, sourceIndex, this.#columns)
  }

  /** The hex of the ids that were noted goes into their rows. */
  finish(): void {
    const hex = this.#traces.toString('hex', 0, this.#tracedRows.length * 16)
    for (const [i, row] of this.#tracedRows.entries()) this.#columns.setTraceId(row, hex.slice(i * 32, i * 32 + 32))
  }

  /** For the row that comes next; zeros are no id. */
  #noteTrace(from: number): void {
    const { view } = this.#reader
    if ((view.getInt32(from) | view.getInt32(from + 4) | view.getInt32(from + 8) | view.getInt32(from + 12)) === 0) return
    const at = this.#tracedRows.length * 16
    if (at === this.#traces.length) this.#traces = Buffer.concat([this.#traces, Buffer.alloc(at)])
    for (let i = 0; i < 16; i += 4) this.#traces.writeInt32BE(view.getInt32(from + i), at + i)
    this.#tracedRows.push(this.#columns.rows)
  }

  /** An ordinary body is text and read where it stands. */
  #readBody(bodyAt: number, eventName: string): void {
    const reader = this.#reader
    const context = this.#context
    const { maxLineBytes } = context.limits
    reader.at = bodyAt
    const outer = reader.enter()
    if (reader.at < reader.end && reader.next() === 0x0a) {
      const length = reader.uint32()
      const from = reader.take(length)
      if (reader.at === reader.end && length > 0) {
        if (length > maxLineBytes) context.skipped.add('line-cut')
        lines.readBytes(from, from + (length > maxLineBytes ? lengthCut(reader.bytes, from, maxLineBytes) : length))
        reader.leave(outer)
        return
      }
    }
    reader.leave(outer)
    reader.at = bodyAt
    lines.readText(cutLine(bodyText(readAnyValue(reader, maxLineBytes + 1)) || eventName, context))
  }
}

export function decodeOtlpLogsJson(body: Uint8Array, context: DecodeContext): LogBatch {
  const columns = new LogColumns(context)
  const record = emptyRecord()
  for (const group of rootGroups(body, 'resourceLogs')) {
    const sourceIndex = columns.sourceIndex(jsonSource(group, context))
    for (const scope of objects(group, 'scopeLogs')) {
      for (const item of objects(scope, 'logRecords')) {
        const time = nanos(item, 'timeUnixNano')
        const observed = nanos(item, 'observedTimeUnixNano')
        record.timeMs = time.ms + time.rest / 1e6
        record.observedMs = observed.ms + observed.rest / 1e6
        record.severity = severityOfOtel(integer(item, 'severityNumber')) || severityOfLevel(text(item, 'severityText'))
        const traceId = text(item, 'traceId')
        record.traceId = traceId.length === 32 ? traceIdOf(traceId) : ''
        const line = bodyText(jsonAnyValue(get(item, 'body'))) || text(item, 'eventName')
        if (!takes(record, sourceIndex, context)) continue
        lines.readText(cutLine(line, context))
        push(record, sourceIndex, columns)
      }
    }
  }
  return columns.finish()
}

function emptyRecord(): LogRecord {
  return { timeMs: 0, observedMs: 0, severity: 0, traceId: '' }
}

/** False when the record is no good; it is then counted as rejected. */
function takes(record: LogRecord, sourceIndex: number, context: DecodeContext): boolean {
  // 0 means unknown; whoever first saw the record wrote when.
  record.timeMs ||= record.observedMs || context.receivedMs
  const fault = timeFault(record.timeMs, context) || (sourceIndex < 0 ? 'service-limit' : '')
  if (fault === '') return true
  context.rejected.add(fault)
  return false
}

/** The record with the line that was read last. */
function push(record: LogRecord, sourceIndex: number, columns: LogColumns): void {
  const { body } = lines
  const severity = severityOfOtel(record.severity) || lines.severity || severityInText(body)
  columns.push(sourceIndex, record.timeMs, severity, body, record.traceId || lines.traceId)
}

/** A structured body becomes the JSON line that it would have been elsewhere. */
function bodyText(body: unknown): string {
  return typeof body === 'string' ? body : JSON.stringify(plain(body))
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (!(value instanceof Map)) return value
  // Object.fromEntries defines properties, so `__proto__` is a name like any other.
  return Object.fromEntries([...value].map(([name, item]) => [String(name), plain(item)]))
}
