/**
 * Puts small batches of one kind together, rows in their order, tables without doubles: a topic that brings one sample per record must not make one
 * record of each again. What is large already stays as it is.
 */
import type { LogBatch, MetricBatch, Source, SpanBatch } from '../../model.ts'
import { rowsOf } from '../split.ts'
import type { RowBatch } from '../split.ts'

/** From here on putting batches together saves less than copying them costs. */
const LARGE_ROWS = 1000

/** Rows of one kind keep their order. */
export function merged(batches: readonly RowBatch[]): RowBatch[] {
  const whole: RowBatch[] = []
  const small = new Map<RowBatch['kind'], RowBatch[]>()
  const flush = (kind: RowBatch['kind']) => {
    const parts = small.get(kind) ?? []
    small.delete(kind)
    if (parts.length > 0) whole.push(parts.length === 1 ? parts[0]! : joined(parts))
  }
  for (const batch of batches) {
    const rows = rowsOf(batch)
    if (rows === 0) continue
    if (rows >= LARGE_ROWS) {
      flush(batch.kind)
      whole.push(batch)
      continue
    }
    const parts = small.get(batch.kind)
    if (parts === undefined) small.set(batch.kind, [batch])
    else parts.push(batch)
  }
  for (const kind of small.keys()) flush(kind)
  return whole
}

/** All of one kind. */
function joined(parts: readonly RowBatch[]): RowBatch {
  const { kind } = parts[0]!
  if (kind === 'metrics') return joinedMetrics(parts as readonly MetricBatch[])
  if (kind === 'logs') return joinedLogs(parts as readonly LogBatch[])
  if (kind === 'events') return { kind, events: parts.flatMap((part) => (part.kind === 'events' ? part.events : [])) }
  return joinedSpans(parts as readonly SpanBatch[])
}

function joinedMetrics(parts: readonly MetricBatch[]): MetricBatch {
  // Series are interned: the same one is the same object.
  const [series, seriesIndex] = joinedTable(
    parts,
    (part) => part.series,
    (part) => part.seriesIndex,
    (one) => one,
  )
  return {
    kind: 'metrics',
    rows: seriesIndex.length,
    series,
    seriesIndex,
    timeMs: joinedFloats(parts, (part) => part.timeMs),
    value: joinedFloats(parts, (part) => part.value),
    stale: joinedBytes(parts, (part) => part.stale),
  }
}

function joinedLogs(parts: readonly LogBatch[]): LogBatch {
  const [sources, sourceIndex] = joinedTable(
    parts,
    (part) => part.sources,
    (part) => part.sourceIndex,
    sourceKey,
  )
  return {
    kind: 'logs',
    rows: sourceIndex.length,
    sources,
    sourceIndex,
    timeMs: joinedFloats(parts, (part) => part.timeMs),
    severity: joinedBytes(parts, (part) => part.severity),
    body: parts.flatMap((part) => part.body),
    traceId: parts.flatMap((part) => part.traceId),
  }
}

function joinedSpans(parts: readonly SpanBatch[]): SpanBatch {
  const [sources, sourceIndex] = joinedTable(
    parts,
    (part) => part.sources,
    (part) => part.sourceIndex,
    sourceKey,
  )
  const [operations, operationIndex] = joinedTable(
    parts,
    (part) => part.operations,
    (part) => part.operationIndex,
    (one) => one,
  )
  return {
    kind: parts[0]!.kind,
    rows: sourceIndex.length,
    sources,
    sourceIndex,
    operations,
    operationIndex,
    spanKind: joinedBytes(parts, (part) => part.spanKind),
    status: joinedBytes(parts, (part) => part.status),
    startMs: joinedFloats(parts, (part) => part.startMs),
    durationMs: joinedFloats(parts, (part) => part.durationMs),
    traceId: parts.flatMap((part) => part.traceId),
    spanId: parts.flatMap((part) => part.spanId),
    parentId: parts.flatMap((part) => part.parentId),
    peer: parts.flatMap((part) => part.peer),
  }
}

function sourceKey({ service, instance, version }: Source): string {
  return `${service}\0${instance}\0${version}`
}

/** The entries of all tables, each once, and the index columns that point into that one. */
function joinedTable<B, T>(
  parts: readonly B[],
  tableOf: (part: B) => readonly T[],
  indexOf: (part: B) => Uint32Array,
  keyOf: (entry: T) => unknown,
): [T[], Uint32Array] {
  const table: T[] = []
  const places = new Map<unknown, number>()
  const index = new Uint32Array(parts.reduce((rows, part) => rows + indexOf(part).length, 0))
  let row = 0
  for (const part of parts) {
    const moved = tableOf(part).map((entry) => {
      const key = keyOf(entry)
      let place = places.get(key)
      if (place === undefined) places.set(key, (place = table.push(entry) - 1))
      return place
    })
    const column = indexOf(part)
    for (let i = 0; i < column.length; i++) index[row++] = moved[column[i]!]!
  }
  return [table, index]
}

function joinedFloats<B>(parts: readonly B[], columnOf: (part: B) => Float64Array): Float64Array {
  return joinedColumn(parts.map(columnOf), (rows) => new Float64Array(rows))
}

function joinedBytes<B>(parts: readonly B[], columnOf: (part: B) => Uint8Array): Uint8Array {
  return joinedColumn(parts.map(columnOf), (rows) => new Uint8Array(rows))
}

function joinedColumn<C extends Float64Array | Uint8Array>(columns: readonly C[], ofRows: (rows: number) => C): C {
  const joined = ofRows(columns.reduce((rows, column) => rows + column.length, 0))
  let at = 0
  for (const column of columns) {
    joined.set(column, at)
    at += column.length
  }
  return joined
}
