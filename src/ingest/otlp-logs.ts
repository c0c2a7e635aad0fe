/**
 * OTLP logs, protobuf and JSON, into a log batch. The record's own severity and trace id win; a body that is itself a structured line (a
 * collector that tails files sends those) is taken apart. https://opentelemetry.io/docs/specs/otel/logs/data-model/
 */
import type { LogBatch, Source } from '../model.ts'
import { LogColumns } from './columns.ts'
import { timeFault } from './decode-context.ts'
import type { DecodeContext } from './decode-context.ts'
import { readLine, traceIdOf } from './log-line.ts'
import { cutLine } from './loki.ts'
import { get, hexId, integer, jsonAnyValue, jsonSource, nanos, objects, rootGroups, text } from './otlp-json.ts'
import { nanosAt, readAnyValue, eachItem } from './otlp-protobuf.ts'
import { ProtobufReader } from './protobuf-reader.ts'
import { severityInText, severityOfLevel } from './severity.ts'

interface LogRecord {
  timeMs: number
  observedMs: number
  severity: number
  severityText: string
  body: unknown
  traceId: string
}

export function decodeOtlpLogs(body: Uint8Array, context: DecodeContext): LogBatch {
  const reader = new ProtobufReader(body)
  const columns = new LogColumns(context)
  const begin = (source: Source) => columns.sourceIndex(source)
  eachItem(reader, context, begin, (sourceIndex) => keep(readRecord(reader, context), sourceIndex, columns, context))
  return columns.finish()
}

function readRecord(reader: ProtobufReader, context: DecodeContext): LogRecord {
  const record: LogRecord = { timeMs: 0, observedMs: 0, severity: 0, severityText: '', body: '', traceId: '' }
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    switch (tag) {
      case 0x09:
        record.timeMs = nanosAt(reader.view, reader.take(8))
        break
      case 0x10:
        record.severity = reader.uint32()
        break
      case 0x1a:
        record.severityText = reader.text(64)
        break
      case 0x2a:
        record.body = readAnyValue(reader, context.limits.maxLineBytes + 1)
        break
      case 0x4a:
        record.traceId = reader.hex()
        break
      case 0x59:
        record.observedMs = nanosAt(reader.view, reader.take(8))
        break
      default:
        reader.skip(tag)
    }
  }
  return record
}

export function decodeOtlpLogsJson(body: Uint8Array, context: DecodeContext): LogBatch {
  const columns = new LogColumns(context)
  for (const group of rootGroups(body, 'resourceLogs')) {
    const sourceIndex = columns.sourceIndex(jsonSource(group, context))
    for (const scope of objects(group, 'scopeLogs')) {
      for (const item of objects(scope, 'logRecords')) {
        const time = nanos(item, 'timeUnixNano')
        const observed = nanos(item, 'observedTimeUnixNano')
        const record: LogRecord = {
          timeMs: time.ms + time.rest / 1e6,
          observedMs: observed.ms + observed.rest / 1e6,
          severity: integer(item, 'severityNumber'),
          severityText: text(item, 'severityText'),
          body: jsonAnyValue(get(item, 'body')),
          traceId: hexId(item, 'traceId'),
        }
        keep(record, sourceIndex, columns, context)
      }
    }
  }
  return columns.finish()
}

function keep(record: LogRecord, sourceIndex: number, columns: LogColumns, context: DecodeContext): void {
  // 0 means unknown; whoever first saw the record wrote when.
  const timeMs = record.timeMs || record.observedMs || context.receivedMs
  const fault = timeFault(timeMs, context) || (sourceIndex < 0 ? 'service-limit' : '')
  if (fault !== '') {
    context.rejected.add(fault)
    return
  }
  const parts = readLine(cutLine(bodyText(record.body), context))
  const own = record.severity >= 1 && record.severity <= 24 ? record.severity : severityOfLevel(record.severityText)
  const severity = own || parts.severity || severityInText(parts.body)
  columns.push(sourceIndex, timeMs, severity, parts.body, traceIdOf(record.traceId) || parts.traceId)
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
