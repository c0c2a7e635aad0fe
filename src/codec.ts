/**
 * The bytes of the two topics. A batch is a version byte, a kind byte, a table of the strings that repeat, and columns (little-endian
 * floats, varints, deltas where times are whole milliseconds). Findings are JSON, so that they can be read with any Kafka client;
 * numbers that JSON lacks and `undefined` survive. What a newer version wrote is refused by name, what is damaged is refused
 * as such: both are PermanentErrors, so the caller dead-letters the record. Strings come back well-formed (no lone surrogates).
 */
import { ByteReader, ByteWriter } from './codec-bytes.ts'
import { PermanentError, messageOf } from './errors.ts'
import type { Alert, Batch, Change, EventBatch, Finding, Labels, LogBatch, MetricBatch, Series, Source, SpanBatch } from './model.ts'
import { seriesKey } from './series-key.ts'

const BATCH_VERSION = 1
const FINDINGS_VERSION = 1

const KINDS = ['metrics', 'logs', 'spans', 'links', 'events', 'tick'] as const satisfies readonly Batch['kind'][]

export function encodeBatch(batch: Batch): Uint8Array {
  const writer = new ByteWriter()
  switch (batch.kind) {
    case 'metrics':
      writeMetrics(writer, batch)
      break
    case 'logs':
      writeLogs(writer, batch)
      break
    case 'spans':
    case 'links':
      writeSpans(writer, batch)
      break
    case 'events':
      writer.text(JSON.stringify(batch.events.map(toJson)))
      break
    case 'tick':
      writer.float64(batch.nowMs)
  }
  return writer.finish(BATCH_VERSION, KINDS.indexOf(batch.kind))
}

export function decodeBatch(bytes: Uint8Array): Batch {
  if (bytes.length < 2) throw new PermanentError('a telemetry record is empty')
  if (bytes[0] !== BATCH_VERSION) throw unknownVersion('telemetry record', bytes[0]!, BATCH_VERSION)
  const kind = KINDS[bytes[1]!]
  if (kind === undefined) throw new PermanentError(`a telemetry record has the unknown kind ${bytes[1]}`)
  try {
    const reader = new ByteReader(bytes, 2)
    const batch = readBatch(reader, kind)
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
  switch (kind) {
    case 'metrics':
      return readMetrics(reader)
    case 'logs':
      return readLogs(reader)
    case 'spans':
    case 'links':
      return readSpans(reader, kind)
    case 'events':
      return {
        kind,
        events: (JSON.parse(reader.text()) as unknown[]).map((event) => fromJson(event)) as (Change | Alert)[],
      } satisfies EventBatch
    default:
      return { kind, nowMs: reader.float64() }
  }
}

function writeMetrics(writer: ByteWriter, batch: MetricBatch): void {
  writer.count(batch.series.length)
  for (const series of batch.series) {
    // The key repeats what follows: it is written only where it was made in another way.
    const given = !isDerived(series)
    writer.count(given ? 1 : 0)
    if (given) writer.text(series.key)
    writer.name(series.name)
    writer.name(series.service)
    writer.name(series.instance)
    writer.count(series.labels.length)
    for (const [name, value] of series.labels) {
      writer.name(name)
      writer.name(value)
    }
  }
  writer.count(batch.rows)
  writer.indexes(batch.seriesIndex)
  writer.times(batch.timeMs)
  writer.floats(batch.value)
  writer.bytes(batch.stale)
}

function readMetrics(reader: ByteReader): MetricBatch {
  const series: Series[] = []
  for (let left = reader.count(); left > 0; left--) {
    const givenKey = reader.count() === 0 ? undefined : reader.text()
    const name = reader.name()
    const service = reader.name()
    const instance = reader.name()
    const labels: [string, string][] = []
    for (let pairs = reader.count(); pairs > 0; pairs--) labels.push([reader.name(), reader.name()])
    series.push({ key: givenKey ?? seriesKey(name, labels), name, type: 'unknown', labels: labels satisfies Labels, service, instance })
  }
  const rows = reader.count()
  return {
    kind: 'metrics',
    rows,
    series,
    seriesIndex: reader.indexes(rows, series.length),
    timeMs: reader.times(rows),
    value: reader.floats(rows),
    stale: reader.bytes(rows),
  }
}

/** Ingest uses the same objects again and again, so what was found out about one is kept as long as it lives. */
const derived = new WeakSet<Series>()

function isDerived(series: Series): boolean {
  if (derived.has(series)) return true
  if (series.key !== seriesKey(series.name, series.labels)) return false
  derived.add(series)
  return true
}

function writeSources(writer: ByteWriter, sources: readonly Source[]): void {
  writer.count(sources.length)
  for (const source of sources) {
    writer.name(source.service)
    writer.name(source.instance)
    writer.name(source.version)
  }
}

function readSources(reader: ByteReader): Source[] {
  const sources: Source[] = []
  for (let left = reader.count(); left > 0; left--)
    sources.push({ service: reader.name(), instance: reader.name(), version: reader.name() })
  return sources
}

function writeLogs(writer: ByteWriter, batch: LogBatch): void {
  writeSources(writer, batch.sources)
  writer.count(batch.rows)
  writer.indexes(batch.sourceIndex)
  writer.times(batch.timeMs)
  writer.bytes(batch.severity)
  for (const body of batch.body) writer.text(body)
  writer.ids(batch.traceId)
}

function readLogs(reader: ByteReader): LogBatch {
  const sources = readSources(reader)
  const rows = reader.count()
  return {
    kind: 'logs',
    rows,
    sources,
    sourceIndex: reader.indexes(rows, sources.length),
    timeMs: reader.times(rows),
    severity: reader.bytes(rows),
    body: reader.texts(rows),
    traceId: reader.ids(rows),
  }
}

function writeSpans(writer: ByteWriter, batch: SpanBatch): void {
  writeSources(writer, batch.sources)
  writer.count(batch.operations.length)
  for (const operation of batch.operations) writer.name(operation)
  writer.count(batch.rows)
  writer.indexes(batch.sourceIndex)
  writer.indexes(batch.operationIndex)
  writer.bytes(batch.spanKind)
  writer.bytes(batch.status)
  writer.times(batch.startMs)
  writer.floats(batch.durationMs)
  writer.ids(batch.traceId)
  writer.ids(batch.spanId)
  writer.ids(batch.parentId)
  for (const peer of batch.peer) writer.name(peer)
}

function readSpans(reader: ByteReader, kind: 'spans' | 'links'): SpanBatch {
  const sources = readSources(reader)
  const operations: string[] = []
  for (let left = reader.count(); left > 0; left--) operations.push(reader.name())
  const rows = reader.count()
  return {
    kind,
    rows,
    sources,
    sourceIndex: reader.indexes(rows, sources.length),
    operations,
    operationIndex: reader.indexes(rows, operations.length),
    spanKind: reader.bytes(rows),
    status: reader.bytes(rows),
    startMs: reader.times(rows),
    durationMs: reader.floats(rows),
    traceId: reader.ids(rows),
    spanId: reader.ids(rows),
    parentId: reader.ids(rows),
    peer: reader.names(rows),
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
