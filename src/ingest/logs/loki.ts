/**
 * Loki push requests, protobuf (decompressed) and JSON, into a log batch. Streams name the source, lines are taken apart by log-line.ts.
 * What is too old or over a limit is counted and the rest is kept; what cannot be read refuses the whole request.
 * https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs
 */
import { DecodeError } from '../../errors.ts'
import type { LogBatch } from '../../model.ts'
import { parseTime } from '../wire/rfc3339.ts'
import { LogColumns } from '../columns.ts'
import { timeFault } from '../decode-context.ts'
import type { DecodeContext } from '../decode-context.ts'
import { parseJson } from '../wire/json-body.ts'
import { LineReader, severityOfFields, traceIdOfFields } from './log-line.ts'
import { lineSource, openStream, streamOf, streamOfText } from './log-stream.ts'
import type { LogStream, OpenStream, Pairs } from './log-stream.ts'
import { ProtobufReader, readTimestampMs } from '../wire/protobuf-reader.ts'
import { severityInText } from './severity.ts'

type Fields = Record<string, unknown>

const NONE: Pairs = []
const lines = new LineReader()

export function decodeLokiProtobuf(body: Uint8Array, context: DecodeContext): LogBatch {
  const reader = new ProtobufReader(body)
  const columns = new LogColumns(context)
  lines.begin(reader.bytes)
  let streams = 0
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag !== 0x0a) {
      reader.skip(tag)
      continue
    }
    streams++
    const outer = reader.enter()
    readStream(reader, columns, context)
    reader.leave(outer)
  }
  if (streams === 0) throw noStreams()
  return columns.finish()
}

function readStream(reader: ProtobufReader, columns: LogColumns, context: DecodeContext): void {
  // Labels may follow the entries: look for them first, then read the entries.
  const start = reader.at
  let labels = '{}'
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) labels = reader.text() || '{}'
    else reader.skip(tag)
  }
  const open = openStream(streamOfText(labels, context), columns)
  reader.at = start
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag !== 0x12) {
      reader.skip(tag)
      continue
    }
    const outer = reader.enter()
    readEntry(reader, open, columns, context)
    reader.leave(outer)
  }
}

function readEntry(reader: ProtobufReader, open: OpenStream, columns: LogColumns, context: DecodeContext): void {
  let timeMs = 0
  let from = 0
  let to = 0
  let metadata: [string, string][] | undefined
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x12) {
      const length = reader.uint32()
      from = reader.take(length)
      to = from + length
    } else if (tag === 0x0a) {
      const outer = reader.enter()
      timeMs = readTimestampMs(reader)
      reader.leave(outer)
    } else if (tag === 0x1a) {
      const outer = reader.enter()
      metadata ??= []
      readMetadata(reader, metadata, context)
      reader.leave(outer)
    } else reader.skip(tag)
  }
  const sourceIndex = metadata === undefined ? open.sourceIndex : lineSource(open, metadata, columns, context)
  const fault = faultOf(open, sourceIndex, timeMs, context)
  if (fault !== '') {
    context.rejected.add(fault)
    return
  }
  if (to - from > context.limits.maxLineBytes) {
    context.skipped.add('line-cut')
    to = from + lengthCut(reader.bytes, from, context.limits.maxLineBytes)
  }
  lines.readBytes(from, to)
  pushLine(sourceIndex, timeMs, open.stream, metadata ?? NONE, columns)
}

function readMetadata(reader: ProtobufReader, metadata: [string, string][], context: DecodeContext): void {
  const { maxLabels, maxLabelNameChars, maxLabelValueChars } = context.limits
  let name = ''
  let value = ''
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) name = reader.text(maxLabelNameChars)
    else if (tag === 0x12) value = reader.text(maxLabelValueChars)
    else reader.skip(tag)
  }
  if (metadata.length < maxLabels) metadata.push([name, value])
}

/** `{"streams": [{"stream": {name: text}, "values": [["<ns>", "<line>", {name: text}?]]}]}` */
export function decodeLokiJson(body: Uint8Array, context: DecodeContext): LogBatch {
  const columns = new LogColumns(context)
  for (const item of streamsIn(body)) {
    const labels = isObject(item) ? (item['stream'] ?? {}) : undefined
    const values = isObject(item) ? (item['values'] ?? []) : undefined
    if (!isObject(labels) || !Array.isArray(values)) throw bad('a stream must have an object "stream" and an array "values"')
    // Lines in a field that nobody reads would be lost without a word.
    if ((item as Fields)['values'] === undefined && (item as Fields)['entries'] !== undefined)
      throw bad('streams with "labels" and "entries" belong to /api/prom/push')
    const open = openStream(streamOf(stringPairs(labels, 'a label'), context), columns)
    for (const entry of values as unknown[]) {
      if (!Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'string') {
        throw bad('a value must be ["<nanoseconds as a string>", "<line>", {structured metadata}?]')
      }
      const third: unknown = entry[2]
      if (third !== undefined && third !== null && !isObject(third)) throw bad('structured metadata must be an object')
      const metadata = isObject(third) ? stringPairs(third, 'structured metadata') : NONE
      addText(open, nanosecondsToMs(entry[0]), entry[1], metadata, columns, context)
    }
  }
  return columns.finish()
}

/** The form of `/api/prom/push`: `{"streams": [{"labels": "{app=\"shop\"}", "entries": [{"ts": "<RFC 3339>", "line": "…"}]}]}` */
export function decodeLegacyLokiJson(body: Uint8Array, context: DecodeContext): LogBatch {
  const columns = new LogColumns(context)
  for (const item of streamsIn(body)) {
    const labels = isObject(item) ? (item['labels'] ?? '{}') : undefined
    const entries = isObject(item) ? (item['entries'] ?? []) : undefined
    if (typeof labels !== 'string' || !Array.isArray(entries)) throw bad('a stream must have a text "labels" and an array "entries"')
    if ((item as Fields)['entries'] === undefined && (item as Fields)['values'] !== undefined)
      throw bad('streams with "stream" and "values" belong to /loki/api/v1/push')
    const open = openStream(streamOfText(labels, context), columns)
    for (const entry of entries as unknown[]) {
      const ts = isObject(entry) ? entry['ts'] : undefined
      const line = isObject(entry) ? (entry['line'] ?? '') : undefined
      const timeMs = typeof ts === 'string' ? parseTime(ts) : undefined
      if (timeMs === undefined || typeof line !== 'string') throw bad('an entry must be {"ts": "<time as in RFC 3339>", "line": "<text>"}')
      addText(open, timeMs, line, NONE, columns, context)
    }
  }
  return columns.finish()
}

function streamsIn(body: Uint8Array): readonly unknown[] {
  const root = parseJson(body)
  const streams = isObject(root) ? root['streams'] : undefined
  if (!Array.isArray(streams)) throw bad('the body must be an object with an array "streams"')
  if (streams.length === 0) throw noStreams()
  return streams as unknown[]
}

function addText(open: OpenStream, timeMs: number, line: string, metadata: Pairs, columns: LogColumns, context: DecodeContext): void {
  const sourceIndex = lineSource(open, metadata, columns, context)
  const fault = faultOf(open, sourceIndex, timeMs, context)
  if (fault !== '') {
    context.rejected.add(fault)
    return
  }
  lines.readText(cutLine(line, context))
  pushLine(sourceIndex, timeMs, open.stream, metadata, columns)
}

function faultOf(open: OpenStream, sourceIndex: number, timeMs: number, context: DecodeContext): string {
  return open.fault || (sourceIndex < 0 ? 'service-limit' : timeFault(timeMs, context))
}

/** The line that was read last. What it says itself wins over its metadata, and that over its stream. */
function pushLine(sourceIndex: number, timeMs: number, stream: LogStream, metadata: Pairs, columns: LogColumns): void {
  const { body } = lines
  const said = lines.severity || (metadata.length === 0 ? 0 : severityOfFields(metadata)) || stream.severity
  const traceId = lines.traceId || (metadata.length === 0 ? '' : traceIdOfFields(metadata))
  columns.push(sourceIndex, timeMs, said || severityInText(body), body, traceId)
}

/** The part of a line that is looked at; counts what is cut. */
export function cutLine(line: string, context: DecodeContext): string {
  const { maxLineBytes } = context.limits
  // A character takes at least a byte and at most three here (four for two): measure only where it may matter.
  if (line.length * 3 <= maxLineBytes || Buffer.byteLength(line) <= maxLineBytes) return line
  context.skipped.add('line-cut')
  const bytes = Buffer.from(line.slice(0, maxLineBytes))
  return bytes.toString('utf8', 0, lengthCut(bytes, 0, maxLineBytes))
}

/** At most so many bytes, without the beginning of a character that would be cut in two. */
export function lengthCut(bytes: Uint8Array, from: number, maxBytes: number): number {
  let length = maxBytes
  while (length > maxBytes - 3 && length > 0 && (bytes[from + length]! & 0xc0) === 0x80) length--
  return length
}

/** Nanoseconds exceed what a number holds exactly, so they are split as text. */
export function nanosecondsToMs(text: string): number {
  if (!/^-?\d{1,19}$/.test(text)) throw bad(`the timestamp ${JSON.stringify(text.slice(0, 40))} is not a number of nanoseconds`)
  return text.length <= 6 || text.startsWith('-') ? Number(text) / 1e6 : Number(text.slice(0, -6)) + Number(text.slice(-6)) / 1e6
}

function stringPairs(object: Record<string, unknown>, what: string): Pairs {
  const pairs = Object.entries(object)
  for (const [name, value] of pairs)
    if (typeof value !== 'string') throw bad(`${what} must be text, ${JSON.stringify(name.slice(0, 64))} is not`)
  return pairs as [string, string][]
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function bad(message: string): DecodeError {
  return new DecodeError('malformed', message)
}

function noStreams(): DecodeError {
  return new DecodeError('no-streams', 'at least one valid stream is required for ingestion')
}
