/**
 * The bytes of the two topics. A batch is a version byte, a kind byte and columns, each written in the shortest of a few ways; what was
 * written by version 1 is still read. Findings are JSON, so that they can be read with any Kafka client; numbers that JSON lacks and
 * `undefined` survive. What a newer version wrote is refused by name, what is damaged is refused as such: both are PermanentErrors,
 * so the caller dead-letters the record. Strings come back well-formed (no lone surrogates).
 */
import { ByteReader, ByteWriter, MAX_ROWS } from './codec-bytes.ts'
import {
  readBytes,
  readIds,
  readIndexes,
  readRepeating,
  readTable,
  readTimes,
  readValues,
  writeCodes,
  writeIds,
  writeRepeating,
  writeTable,
  writeTimes,
  writeValues,
} from './codec-columns.ts'
import { ReadMemory } from './codec-memory.ts'
import { MAX_KEY_CHARS, MAX_LABELS, readSeries, SeriesWriter } from './codec-series.ts'
import { FirstReader } from './codec-v1.ts'
import { PermanentError, messageOf } from './errors.ts'
import type { Alert, Batch, Change, EventBatch, Finding, LogBatch, MetricBatch, Source, SpanBatch } from './model.ts'

const BATCH_VERSION = 2
const FINDINGS_VERSION = 1

const KINDS = ['metrics', 'logs', 'spans', 'links', 'events', 'tick'] as const satisfies readonly Batch['kind'][]

/* One of each per process: what they remember of series pays over all partitions. Bounded, and no result depends on it. */
const writer = new ByteWriter()
const seriesWriter = new SeriesWriter()
const memory = new ReadMemory()

/** Whether one record may hold it: readers refuse more rows, because compact columns hold many in few bytes. */
export function fitsRecord(batch: Batch): boolean {
  if (!('rows' in batch)) return true
  if (batch.rows > MAX_ROWS) return false
  if (batch.kind !== 'metrics') return true
  let labels = 0
  let keyChars = 0
  for (const one of batch.series) {
    labels += one.labels.length
    keyChars += one.key.length
  }
  return labels <= MAX_LABELS && keyChars <= MAX_KEY_CHARS
}

/** Series of metric batches are taken to never change. Throws a RangeError for what does not fit. */
export function encodeBatch(batch: Batch): Uint8Array {
  if (!fitsRecord(batch)) throw new RangeError(`a batch of ${batch.kind} is too long for one record, which has ${MAX_ROWS} rows at most`)
  writer.reset()
  writer.byte(BATCH_VERSION)
  writer.byte(KINDS.indexOf(batch.kind))
  switch (batch.kind) {
    case 'metrics':
      writeMetrics(batch)
      break
    case 'logs':
      writeLogs(batch)
      break
    case 'spans':
    case 'links':
      writeSpans(batch)
      break
    case 'events':
      writer.text(JSON.stringify(batch.events.map(toJson)))
      break
    case 'tick':
      writer.float64(batch.nowMs)
  }
  return writer.finish()
}

/** Series and sources that come again in later records are the same objects: they must not be changed. */
export function decodeBatch(bytes: Uint8Array): Batch {
  if (bytes.length < 2) throw new PermanentError('a telemetry record is empty')
  const version = bytes[0]!
  if (version !== BATCH_VERSION && version !== 1) throw unknownVersion('telemetry record', version, BATCH_VERSION)
  const kind = KINDS[bytes[1]!]
  if (kind === undefined) throw new PermanentError(`a telemetry record has the unknown kind ${bytes[1]}`)
  try {
    const reader = new ByteReader(bytes, 2)
    const batch = version === 1 ? readFirst(reader, kind) : readBatch(reader, kind)
    reader.expectEnd()
    return batch
  } catch (error) {
    throw new PermanentError(`a telemetry record (${kind}, ${bytes.length} bytes) is damaged: ${messageOf(error)}`, { cause: error })
  }
}

export function encodeFindings(findings: readonly Finding[]): Uint8Array {
  return Buffer.from(JSON.stringify({ version: FINDINGS_VERSION, findings: findings.map(toJson) }))
}

export function decodeFindings(bytes: Uint8Array): Finding[] {
  let root: { version?: unknown; findings?: unknown }
  try {
    root = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')) as typeof root
  } catch (error) {
    throw new PermanentError(`a findings record (${bytes.length} bytes) is not JSON: ${messageOf(error)}`, { cause: error })
  }
  if (typeof root !== 'object' || root === null || !Array.isArray(root.findings))
    throw new PermanentError('a findings record holds no findings')
  if (root.version !== FINDINGS_VERSION) throw unknownVersion('findings record', root.version, FINDINGS_VERSION)
  return root.findings.map((finding) => fromJson(finding)) as Finding[]
}

function unknownVersion(what: string, found: unknown, known: number): PermanentError {
  return new PermanentError(`a ${what} has version ${String(found)}, this program reads version ${known}: upgrade it, or empty the topic`)
}

function readBatch(reader: ByteReader, kind: Batch['kind']): Batch {
  memory.begin()
  switch (kind) {
    case 'metrics':
      return readMetrics(reader)
    case 'logs':
      return readLogs(reader)
    case 'spans':
    case 'links':
      return readSpans(reader, kind)
    case 'events':
      return readEvents(reader)
    default:
      return { kind, nowMs: reader.float64() }
  }
}

function readFirst(reader: ByteReader, kind: Batch['kind']): Batch {
  const first = new FirstReader(reader)
  switch (kind) {
    case 'metrics':
      return first.metrics()
    case 'logs':
      return first.logs()
    case 'spans':
    case 'links':
      return first.spans(kind)
    case 'events':
      return readEvents(reader)
    default:
      return { kind, nowMs: reader.float64() }
  }
}

function readEvents(reader: ByteReader): EventBatch {
  return { kind: 'events', events: (JSON.parse(reader.text()) as unknown[]).map((event) => fromJson(event)) as (Change | Alert)[] }
}

function writeMetrics(batch: MetricBatch): void {
  seriesWriter.write(writer, batch.series)
  writer.varint(batch.rows)
  writeCodes(writer, batch.seriesIndex, batch.rows)
  writeTimes(writer, batch.timeMs, true)
  writeValues(writer, batch.value)
  writeCodes(writer, batch.stale, batch.rows)
}

function readMetrics(reader: ByteReader): MetricBatch {
  const series = readSeries(reader, memory)
  const rows = reader.rows()
  return {
    kind: 'metrics',
    rows,
    series,
    seriesIndex: readIndexes(reader, rows, series.length),
    timeMs: readTimes(reader, rows, true),
    value: readValues(reader, rows),
    stale: readBytes(reader, rows),
  }
}

function writeSources(sources: readonly Source[]): void {
  writer.varint(sources.length)
  for (const source of sources) {
    writer.text(source.service)
    writer.text(source.instance)
    writer.text(source.version)
  }
}

function readSources(reader: ByteReader): Source[] {
  const sources: Source[] = []
  for (let left = reader.count(); left > 0; left--) sources.push(memory.source(reader.text(), reader.text(), reader.text()))
  return sources
}

function writeLogs(batch: LogBatch): void {
  writeSources(batch.sources)
  writer.varint(batch.rows)
  writeCodes(writer, batch.sourceIndex, batch.rows)
  writeTimes(writer, batch.timeMs, true)
  writeCodes(writer, batch.severity, batch.rows)
  for (const body of batch.body) writer.text(body)
  writeIds(writer, batch.traceId)
}

function readLogs(reader: ByteReader): LogBatch {
  const sources = readSources(reader)
  const rows = reader.rows()
  return {
    kind: 'logs',
    rows,
    sources,
    sourceIndex: readIndexes(reader, rows, sources.length),
    timeMs: readTimes(reader, rows, true),
    severity: readBytes(reader, rows),
    body: reader.texts(rows),
    traceId: readIds(reader, rows),
  }
}

function writeSpans(batch: SpanBatch): void {
  writeSources(batch.sources)
  writeTable(writer, batch.operations)
  writer.varint(batch.rows)
  writeCodes(writer, batch.sourceIndex, batch.rows)
  writeCodes(writer, batch.operationIndex, batch.rows)
  writeCodes(writer, batch.spanKind, batch.rows)
  writeCodes(writer, batch.status, batch.rows)
  writeTimes(writer, batch.startMs, true)
  writeTimes(writer, batch.durationMs, false)
  writeIds(writer, batch.traceId)
  writeIds(writer, batch.spanId)
  writeIds(writer, batch.parentId)
  writeRepeating(writer, batch.peer)
}

function readSpans(reader: ByteReader, kind: 'spans' | 'links'): SpanBatch {
  const sources = readSources(reader)
  const operations = readTable(reader)
  const rows = reader.rows()
  return {
    kind,
    rows,
    sources,
    sourceIndex: readIndexes(reader, rows, sources.length),
    operations,
    operationIndex: readIndexes(reader, rows, operations.length),
    spanKind: readBytes(reader, rows),
    status: readBytes(reader, rows),
    startMs: readTimes(reader, rows, true),
    durationMs: readTimes(reader, rows, false),
    traceId: readIds(reader, rows),
    spanId: readIds(reader, rows),
    parentId: readIds(reader, rows),
    peer: readRepeating(reader, rows),
  }
}

/* ---- JSON with the values that JSON lacks: each becomes {"$": name}. Nothing in the model has a field of that name. */

const LACKING: Readonly<Record<string, number | undefined>> = {
  NaN: NaN,
  Infinity: Infinity,
  '-Infinity': -Infinity,
  '-0': -0,
  undefined: undefined,
}

function toJson(value: unknown): unknown {
  if (value === undefined) return { $: 'undefined' }
  if (typeof value === 'number') return Number.isFinite(value) ? (Object.is(value, -0) ? { $: '-0' } : value) : { $: String(value) }
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value !== 'object' || value === null) return value
  const copy: Record<string, unknown> = {}
  for (const [name, item] of Object.entries(value)) copy[name] = toJson(item)
  return copy
}

function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = fromJson(value[i])
    return value
  }
  if (typeof value !== 'object' || value === null) return value
  const object = value as Record<string, unknown>
  if (typeof object['$'] === 'string' && Object.hasOwn(LACKING, object['$'])) return LACKING[object['$']]
  for (const name of Object.keys(object)) object[name] = fromJson(object[name])
  return object
}
