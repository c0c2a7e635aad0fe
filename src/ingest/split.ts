/**
 * Divides a batch by partition: metrics, logs and events by service, spans by service, links by trace. Rows keep their order; tables are
 * cut down to what the rows use. Also cuts a batch in halves, for records that would be too large for the carrier.
 */
import type { Alert, Batch, Change, EventBatch, LogBatch, MetricBatch, SpanBatch } from '../model.ts'
import { partitionFor } from '../transport/transport.ts'

export type RowBatch = Exclude<Batch, { kind: 'tick' }>

/** The non-empty parts by partition, in order of partition. */
export function splitByPartition(batch: RowBatch, partitions: number): [partition: number, part: RowBatch][] {
  const rows = rowsOf(batch)
  if (rows === 0) return []
  const partitionOfRow = partitionsOf(batch, partitions)
  // Sorted by counting: where the rows of each partition end, which become where they begin as the rows are put there from the back.
  const at = new Uint32Array(partitions + 1)
  for (let row = 0; row < rows; row++) at[partitionOfRow[row]!]!++
  if (at[partitionOfRow[0]!] === rows) return [[partitionOfRow[0]!, batch]]
  for (let partition = 0, end = 0; partition <= partitions; partition++) at[partition] = end += at[partition]!
  const sorted = new Uint32Array(rows)
  for (let row = rows - 1; row >= 0; row--) sorted[--at[partitionOfRow[row]!]!] = row
  const parts: [number, RowBatch][] = []
  for (let partition = 0; partition < partitions; partition++) {
    const [start, end] = [at[partition]!, at[partition + 1]!]
    if (end > start) parts.push([partition, selectRows(batch, sorted.subarray(start, end))])
  }
  return parts
}

/** The same rows in two batches; undefined when there is one row only. */
export function halves(batch: RowBatch): [RowBatch, RowBatch] | undefined {
  const rows = rowsOf(batch)
  if (rows < 2) return undefined
  const all = Uint32Array.from({ length: rows }, (_, row) => row)
  return [selectRows(batch, all.subarray(0, rows >>> 1)), selectRows(batch, all.subarray(rows >>> 1))]
}

export function rowsOf(batch: RowBatch): number {
  return batch.kind === 'events' ? batch.events.length : batch.rows
}

function partitionsOf(batch: RowBatch, partitions: number): Uint32Array {
  switch (batch.kind) {
    case 'metrics':
      return through(batch.seriesIndex, servicePartitions(batch.series, partitions))
    case 'logs':
    case 'spans':
      return through(batch.sourceIndex, servicePartitions(batch.sources, partitions))
    case 'links':
      return Uint32Array.from(batch.traceId, (traceId) => partitionFor(traceId, partitions))
    default:
      return Uint32Array.from(batch.events, (event) => partitionFor(event.service, partitions))
  }
}

/** What is of one service mostly comes together. */
function servicePartitions(table: readonly { readonly service: string }[], partitions: number): Uint32Array {
  const found = new Uint32Array(table.length)
  let last = ''
  let partition = partitionFor(last, partitions)
  for (let i = 0; i < table.length; i++) {
    const { service } = table[i]!
    if (service !== last) {
      last = service
      partition = partitionFor(service, partitions)
    }
    found[i] = partition
  }
  return found
}

function through(index: Uint32Array, table: Uint32Array): Uint32Array {
  const column = new Uint32Array(index.length)
  for (let row = 0; row < index.length; row++) column[row] = table[index[row]!]!
  return column
}

/** These rows, in this order, with tables of what they use. */
export function selectRows(batch: RowBatch, rows: Uint32Array): RowBatch {
  switch (batch.kind) {
    case 'metrics':
      return selectMetrics(batch, rows)
    case 'logs':
      return selectLogs(batch, rows)
    case 'spans':
    case 'links':
      return selectSpans(batch, rows)
    default:
      return { kind: 'events', events: Array.from(rows, (row): Change | Alert => batch.events[row]!) } satisfies EventBatch
  }
}

function selectMetrics(batch: MetricBatch, rows: Uint32Array): MetricBatch {
  const [series, seriesIndex] = compact(batch.series, batch.seriesIndex, rows)
  return {
    kind: 'metrics',
    rows: rows.length,
    series,
    seriesIndex,
    timeMs: floats(batch.timeMs, rows),
    value: floats(batch.value, rows),
    stale: bytes(batch.stale, rows),
  }
}

function selectLogs(batch: LogBatch, rows: Uint32Array): LogBatch {
  const [sources, sourceIndex] = compact(batch.sources, batch.sourceIndex, rows)
  return {
    kind: 'logs',
    rows: rows.length,
    sources,
    sourceIndex,
    timeMs: floats(batch.timeMs, rows),
    severity: bytes(batch.severity, rows),
    body: texts(batch.body, rows),
    traceId: texts(batch.traceId, rows),
  }
}

function selectSpans(batch: SpanBatch, rows: Uint32Array): SpanBatch {
  const [sources, sourceIndex] = compact(batch.sources, batch.sourceIndex, rows)
  const [operations, operationIndex] = compact(batch.operations, batch.operationIndex, rows)
  return {
    kind: batch.kind,
    rows: rows.length,
    sources,
    sourceIndex,
    operations,
    operationIndex,
    spanKind: bytes(batch.spanKind, rows),
    status: bytes(batch.status, rows),
    startMs: floats(batch.startMs, rows),
    durationMs: floats(batch.durationMs, rows),
    traceId: texts(batch.traceId, rows),
    spanId: texts(batch.spanId, rows),
    parentId: texts(batch.parentId, rows),
    peer: texts(batch.peer, rows),
  }
}

/** The table with only what these rows use, in order of first use, and their indexes into it. */
function compact<T>(table: readonly T[], index: Uint32Array, rows: Uint32Array): [T[], Uint32Array] {
  const kept: T[] = []
  const moved = new Int32Array(table.length).fill(-1)
  const column = new Uint32Array(rows.length)
  for (let i = 0; i < rows.length; i++) {
    const old = index[rows[i]!]!
    if (moved[old]! < 0) moved[old] = kept.push(table[old]!) - 1
    column[i] = moved[old]!
  }
  return [kept, column]
}

function floats(column: Float64Array, rows: Uint32Array): Float64Array {
  const selected = new Float64Array(rows.length)
  for (let i = 0; i < rows.length; i++) selected[i] = column[rows[i]!]!
  return selected
}

function bytes(column: Uint8Array, rows: Uint32Array): Uint8Array {
  const selected = new Uint8Array(rows.length)
  for (let i = 0; i < rows.length; i++) selected[i] = column[rows[i]!]!
  return selected
}

function texts(column: readonly string[], rows: Uint32Array): string[] {
  const selected: string[] = []
  for (let i = 0; i < rows.length; i++) selected.push(column[rows[i]!]!)
  return selected
}
