/**
 * Loki push requests, JSON and protobuf (decompressed), into a log batch. Streams name the source, lines are taken apart by log-line.ts.
 * https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs
 */
import { DecodeError } from '../errors.ts'
import type { LogBatch } from '../model.ts'
import { LogColumns } from './columns.ts'
import { timeFault } from './decode-context.ts'
import type { DecodeContext } from './decode-context.ts'
import { parseJson } from './json-body.ts'
import { LEVEL_FIELDS, TRACE_FIELDS, readLine, traceIdOf } from './log-line.ts'
import { parseLokiLabels } from './loki-labels.ts'
import { ProtobufReader } from './protobuf-reader.ts'
import { severityInText, severityOfLevel } from './severity.ts'

type Pairs = readonly (readonly [name: string, value: string])[]

interface Stream {
  readonly sourceIndex: number
  readonly severity: number
}

export function decodeLokiJson(body: Uint8Array, context: DecodeContext): LogBatch {
  const root = parseJson(body)
  const streams = isObject(root) ? root['streams'] : undefined
  if (!Array.isArray(streams)) throw bad('the body must be an object with an array "streams"')
  if (streams.length === 0) throw noStreams()
  const columns = new LogColumns(context)
  for (const item of streams as unknown[]) {
    const labels = isObject(item) ? (item['stream'] ?? {}) : undefined
    const values = isObject(item) ? (item['values'] ?? []) : undefined
    if (!isObject(labels) || !Array.isArray(values)) throw bad('a stream must have an object "stream" and an array "values"')
    const stream = openStream(stringPairs(labels, 'a label'), columns, context)
    for (const entry of values as unknown[]) {
      if (!Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'string') {
        throw bad('a value must be ["<nanoseconds as a string>", "<line>", {structured metadata}?]')
      }
      const metadata =
        entry[2] === undefined || entry[2] === null ? [] : isObject(entry[2]) ? stringPairs(entry[2], 'structured metadata') : undefined
      if (metadata === undefined) throw bad('structured metadata must be an object')
      addLine(stream, nanosecondsToMs(entry[0]), entry[1], metadata, columns, context)
    }
  }
  return columns.finish()
}

export function decodeLokiProtobuf(body: Uint8Array, context: DecodeContext): LogBatch {
  const reader = new ProtobufReader(body)
  const columns = new LogColumns(context)
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
    if (tag === 0x0a) labels = reader.text()
    else reader.skip(tag)
  }
  const stream = openStream(parseLokiLabels(labels, context.limits.maxLabels), columns, context)
  reader.at = start
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag !== 0x12) {
      reader.skip(tag)
      continue
    }
    const outer = reader.enter()
    readEntry(reader, stream, columns, context)
    reader.leave(outer)
  }
}

function readEntry(reader: ProtobufReader, stream: Stream, columns: LogColumns, context: DecodeContext): void {
  let seconds = 0
  let nanoseconds = 0
  let line = ''
  let metadata: [string, string][] | undefined
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) {
      const outer = reader.enter()
      for (let field = reader.next(); field !== 0; field = reader.next()) {
        if (field === 0x08) seconds = reader.int64()
        else if (field === 0x10) nanoseconds = reader.int64()
        else reader.skip(field)
      }
      reader.leave(outer)
    } else if (tag === 0x12) {
      // One byte more than the limit, so that the cut is seen and counted later.
      line = reader.text(context.limits.maxLineBytes + 1)
    } else if (tag === 0x1a) {
      const outer = reader.enter()
      let name = ''
      let value = ''
      for (let field = reader.next(); field !== 0; field = reader.next()) {
        if (field === 0x0a) name = reader.text(context.limits.maxLabelNameChars)
        else if (field === 0x12) value = reader.text(context.limits.maxLabelValueChars)
        else reader.skip(field)
      }
      reader.leave(outer)
      metadata ??= []
      if (metadata.length < context.limits.maxLabels) metadata.push([name, value])
    } else reader.skip(tag)
  }
  addLine(stream, seconds * 1000 + nanoseconds / 1e6, line, metadata ?? [], columns, context)
}

function openStream(labels: Pairs, columns: LogColumns, context: DecodeContext): Stream {
  const { maxLabels, maxLabelNameChars, maxLabelValueChars } = context.limits
  if (labels.length > maxLabels) throw new DecodeError('too-many-labels', `a stream has ${labels.length} labels, the limit is ${maxLabels}`)
  const tooLong = labels.find(([name, value]) => name.length > maxLabelNameChars || value.length > maxLabelValueChars)
  if (tooLong !== undefined) throw new DecodeError('too-large', `stream label ${JSON.stringify(tooLong[0].slice(0, 64))} is too long`)
  const lookup = (wanted: string) => labels.find(([name]) => name === wanted)?.[1]
  const sourceIndex = columns.sourceIndex({
    service: context.naming.logService(lookup),
    instance: context.naming.logInstance(lookup),
    version: context.naming.version(lookup),
  })
  return { sourceIndex, severity: severityIn(labels) }
}

function addLine(stream: Stream, timeMs: number, line: string, metadata: Pairs, columns: LogColumns, context: DecodeContext): void {
  const fault = stream.sourceIndex < 0 ? 'service-limit' : timeFault(timeMs, context)
  if (fault !== '') {
    context.rejected.add(fault)
    return
  }
  const parts = readLine(cutLine(line, context))
  let traceId = parts.traceId
  for (let i = 0; traceId === '' && i < metadata.length; i++)
    if (TRACE_FIELDS.includes(metadata[i]![0])) traceId = traceIdOf(metadata[i]![1])
  const severity = parts.severity || severityIn(metadata) || stream.severity || severityInText(parts.body)
  columns.push(stream.sourceIndex, timeMs, severity, parts.body, traceId)
}

/** The part of a line that is looked at; counts what is cut. */
export function cutLine(line: string, context: DecodeContext): string {
  const { maxLineBytes } = context.limits
  // A character takes at least a byte and at most three here (four for two): measure only where it may matter.
  if (line.length * 3 <= maxLineBytes || Buffer.byteLength(line) <= maxLineBytes) return line
  context.skipped.add('line-cut')
  const cut = Buffer.from(line.slice(0, maxLineBytes)).toString('utf8', 0, maxLineBytes)
  return cut.endsWith('\ufffd') ? cut.slice(0, -1) : cut
}

function severityIn(pairs: Pairs): number {
  for (let i = 0; i < pairs.length; i++) {
    if (!LEVEL_FIELDS.includes(pairs[i]![0])) continue
    const severity = severityOfLevel(pairs[i]![1])
    if (severity !== 0) return severity
  }
  return 0
}

/** Nanoseconds exceed what a number holds exactly, so they are split as text. */
export function nanosecondsToMs(text: string): number {
  if (!/^\d{1,20}$/.test(text)) throw bad(`the timestamp ${JSON.stringify(text.slice(0, 40))} is not a number of nanoseconds`)
  return text.length <= 6 ? Number(text) / 1e6 : Number(text.slice(0, -6)) + Number(text.slice(-6)) / 1e6
}

function stringPairs(object: Record<string, unknown>, what: string): Pairs {
  const pairs = Object.entries(object)
  for (const [name, value] of pairs)
    if (typeof value !== 'string') throw bad(`${what} must be text, ${JSON.stringify(name.slice(0, 64))} is not`)
  return pairs as [string, string][]
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function bad(message: string): DecodeError {
  return new DecodeError('malformed', message)
}

function noStreams(): DecodeError {
  return new DecodeError('no-streams', 'at least one valid stream is required for ingestion')
}
