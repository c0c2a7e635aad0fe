/**
 * Lines that carry their source and time in themselves, JSON of any make (Filebeat and Logstash, Fluent Bit, Vector, rsyslog, journald, GELF,
 * Kubernetes, OpenTelemetry-like, a program's own) or text, into one log batch. What names a service as the label of a stream names it as
 * the field of a line; time comes from the line, else from its carrier.
 */
import type { LogBatch } from '../../model.ts'
import { parseTime } from '../wire/rfc3339.ts'
import { LogColumns } from '../columns.ts'
import { timeFault } from '../decode-context.ts'
import type { DecodeContext } from '../decode-context.ts'
import type { JsonFields } from '../wire/json-fields.ts'
import { LineReader } from './log-line.ts'
import { isSpace } from '../wire/logfmt-fields.ts'
import type { LineRecord } from './line-records.ts'
import { sourceFieldsOf } from './line-source.ts'
import type { SourceFields } from './line-source.ts'
import { streamOfPairs } from './log-stream.ts'
import type { LogStream } from './log-stream.ts'
import { lengthCut } from './loki.ts'
import { severityInText } from './severity.ts'

const TIME_FIELDS = [
  '@timestamp',
  'timestamp',
  'time',
  'ts',
  'Timestamp',
  'timeUnixNano',
  'date',
  '_SOURCE_REALTIME_TIMESTAMP',
  '__REALTIME_TIMESTAMP',
]

const lines = new LineReader()

/** `service`: of lines that name none. Never fails: what a line does not say in a known form it does not say. */
export function decodeLines(records: readonly LineRecord[], service: string, context: DecodeContext): LogBatch {
  const columns = new LogColumns(context)
  const fields = sourceFieldsOf(context.naming, TIME_FIELDS)
  for (const { value, timestampMs } of records) {
    const whole = lineIn(value)
    const isObject = fields.json.scan(whole, 0, trimmedEnd(whole))
    const stream = streamOfLine(isObject ? fields : undefined, whole, service, context)
    const timeMs = (isObject ? timeIn(fields.json, whole) : undefined) ?? timestampMs
    const sourceIndex = columns.sourceIndex(stream.source)
    const fault = sourceIndex < 0 ? 'service-limit' : timeFault(timeMs, context)
    if (fault !== '') {
      context.rejected.add(fault)
      continue
    }
    lines.begin(whole)
    lines.readBytes(0, cutEnd(whole, context))
    const { body, traceId } = lines
    columns.push(sourceIndex, timeMs, lines.severity || severityInText(body), body, traceId)
  }
  return columns.finish()
}

/** The Collector's `raw` encoding puts a body that is text into quotes. */
function lineIn(value: Uint8Array): Buffer {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (bytes[0] !== 0x22 || bytes.at(-1) !== 0x22) return bytes
  try {
    return Buffer.from(JSON.parse(bytes.toString('utf8')) as string)
  } catch (error) {
    // Text that begins and ends with a quote.
    if (error instanceof SyntaxError) return bytes
    throw error
  }
}

function trimmedEnd(bytes: Uint8Array): number {
  let end = bytes.length
  while (end > 0 && isSpace(bytes[end - 1]!)) end--
  return end
}

/** Where the part of a line ends that is looked at; counts what is cut. */
function cutEnd(bytes: Uint8Array, context: DecodeContext): number {
  if (bytes.length <= context.limits.maxLineBytes) return bytes.length
  context.skipped.add('line-cut')
  return lengthCut(bytes, 0, context.limits.maxLineBytes)
}

function streamOfLine(fields: SourceFields | undefined, bytes: Buffer, service: string, context: DecodeContext): LogStream {
  const labels: [string, string][] = []
  fields?.collect(bytes, context.limits.maxLabelValueChars, labels)
  const stream = streamOfPairs(labels, context)
  if (stream.isNamed || service === '') return stream
  return streamOfPairs([['service_name', service], ...labels], context)
}

function timeIn(json: JsonFields, bytes: Buffer): number | undefined {
  for (let slot = 0; slot < TIME_FIELDS.length; slot++) {
    if (!json.has(slot)) continue
    const number = json.number(slot, bytes)
    const timeMs = number === undefined ? timeOfText(json.text(slot, bytes) ?? '') : timeOfNumber(number)
    if (timeMs !== undefined) return timeMs
  }
  return undefined
}

/** Seconds, milliseconds, microseconds or nanoseconds: their size tells them apart for centuries. */
function timeOfNumber(value: number): number | undefined {
  if (!(value > 1e8)) return undefined
  return value < 1e11 ? value * 1e3 : value < 1e14 ? value : value < 1e17 ? value / 1e3 : value / 1e6
}

/** RFC 3339 and its neighbours (a space for the T, a comma, a zone without its colon), or a number as text. Without a zone nobody knows when it was. */
function timeOfText(text: string): number | undefined {
  if (/^\d{9,19}(?:\.\d+)?$/.test(text)) return timeOfNumber(Number(text))
  const match = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,12}))? ?(Z|[+-]\d\d)(?::?(\d\d))?$/i.exec(text)
  if (match === null) return undefined
  const [, day, time, decimals, zone, minutes] = match
  return parseTime(
    `${day}T${time}${decimals === undefined ? '' : `.${decimals}`}${zone!.length === 1 ? 'Z' : `${zone}:${minutes ?? '00'}`}`,
  )
}
