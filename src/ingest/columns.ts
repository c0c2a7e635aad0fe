/**
 * Growing columns that decoders write rows into and that become a batch at the end. They double as they fill, never by a number that a
 * sender declared, and refuse more rows than a request may have.
 */
import type { LogBatch, MetricBatch, Series, Source, SpanBatch } from '../model.ts'
import { cleanText } from './wire/clean-text.ts'
import type { DecodeContext } from './decode-context.ts'
import { timeFault, tooManyRows } from './decode-context.ts'
import type { SeriesEntry } from './metrics/series-registry.ts'
import { SpanIds } from './spans/span-ids.ts'

const FIRST_ROWS = 256

let batches = 0

interface MetricArrays {
  readonly seriesIndex: Uint32Array<ArrayBuffer>
  readonly timeMs: Float64Array<ArrayBuffer>
  readonly value: Float64Array<ArrayBuffer>
  readonly stale: Uint8Array<ArrayBuffer>
}

/** The arrays of the batch before, which was copied out of them: requests come one after the other, and new ones cost more than what is written to them. */
let spare: MetricArrays | undefined
/** Larger ones are not kept. */
const MAX_SPARE_ROWS = 32_768

export class MetricColumns {
  readonly series: Series[] = []
  rows = 0
  /** Of this batch, so that an entry knows whether it is in its table already. */
  readonly #batch = ++batches
  #capacity: number
  #seriesIndex: Uint32Array<ArrayBuffer>
  #timeMs: Float64Array<ArrayBuffer>
  #value: Float64Array<ArrayBuffer>
  #stale: Uint8Array<ArrayBuffer>
  readonly #context: DecodeContext

  constructor(context: DecodeContext) {
    this.#context = context
    const arrays = spare ?? metricArrays(FIRST_ROWS)
    spare = undefined
    this.#capacity = Math.min(arrays.timeMs.length, context.limits.maxRowsPerRequest)
    this.#seriesIndex = arrays.seriesIndex
    this.#timeMs = arrays.timeMs
    this.#value = arrays.value
    this.#stale = arrays.stale
  }

  push(timeMs: number, value: number, stale: boolean): void {
    const row = this.rows
    if (row === this.#capacity) this.#grow()
    this.#timeMs[row] = timeMs
    this.#value[row] = value
    this.#stale[row] = stale ? 1 : 0
    this.rows = row + 1
  }

  /** All rows from `firstRow` on belong to this series. */
  assign(firstRow: number, entry: SeriesEntry): void {
    const index = this.#indexOf(entry)
    const seriesIndex = this.#seriesIndex
    for (let row = firstRow; row < this.rows; row++) seriesIndex[row] = index
  }

  /** One row of a series. */
  add(entry: SeriesEntry, timeMs: number, value: number, stale: boolean): void {
    this.push(timeMs, value, stale)
    this.#seriesIndex[this.rows - 1] = this.#indexOf(entry)
  }

  /** The batch; nothing can be added after that. */
  finish(): MetricBatch {
    const rows = this.rows
    const columns = metricArrays(rows)
    columns.seriesIndex.set(this.#seriesIndex.subarray(0, rows))
    columns.timeMs.set(this.#timeMs.subarray(0, rows))
    columns.value.set(this.#value.subarray(0, rows))
    columns.stale.set(this.#stale.subarray(0, rows))
    this.#capacity = rows
    if (this.#timeMs.length <= MAX_SPARE_ROWS)
      spare = { seriesIndex: this.#seriesIndex, timeMs: this.#timeMs, value: this.#value, stale: this.#stale }
    return { kind: 'metrics', rows, series: this.series, ...columns }
  }

  #indexOf(entry: SeriesEntry): number {
    if (entry.batch !== this.#batch) {
      entry.batch = this.#batch
      this.#context.series.use(entry, this.#context.receivedMs)
      entry.index = this.series.push(entry.series) - 1
    }
    return entry.index
  }

  #grow(): void {
    const rows = grownRows(this.rows, this.#context)
    const fresh = metricArrays(rows)
    this.#capacity = rows
    this.#seriesIndex = grown(this.#seriesIndex, fresh.seriesIndex)
    this.#timeMs = grown(this.#timeMs, fresh.timeMs)
    this.#value = grown(this.#value, fresh.value)
    this.#stale = grown(this.#stale, fresh.stale)
  }
}

/** In one piece of memory: taking it costs more than dividing it. */
function metricArrays(rows: number): MetricArrays {
  const buffer = new ArrayBuffer(21 * rows)
  return {
    timeMs: new Float64Array(buffer, 0, rows),
    value: new Float64Array(buffer, 8 * rows, rows),
    seriesIndex: new Uint32Array(buffer, 16 * rows, rows),
    stale: new Uint8Array(buffer, 20 * rows, rows),
  }
}

/** Sources are few per request: found again by what they say. -1 where there are too many services. */
class SourceTable {
  readonly sources: Source[] = []
  readonly #index = new Map<string, number>()
  readonly #context: DecodeContext

  constructor(context: DecodeContext) {
    this.#context = context
  }

  indexOf(source: Source): number {
    const key = `${source.service}\0${source.instance}\0${source.version}`
    const known = this.#index.get(key)
    if (known !== undefined) return known
    if (!this.#context.services.admit(source.service, this.#context.receivedMs)) return -1
    this.#index.set(key, this.sources.length)
    return this.sources.push(source) - 1
  }
}

export class LogColumns {
  rows = 0
  readonly #context: DecodeContext
  readonly #table: SourceTable
  #sourceIndex: Uint32Array<ArrayBuffer>
  #timeMs: Float64Array<ArrayBuffer>
  #severity: Uint8Array<ArrayBuffer>
  readonly #body: string[] = []
  readonly #traceId: string[] = []

  constructor(context: DecodeContext) {
    this.#context = context
    this.#table = new SourceTable(context)
    const rows = firstRows(context)
    this.#sourceIndex = new Uint32Array(rows)
    this.#timeMs = new Float64Array(rows)
    this.#severity = new Uint8Array(rows)
  }

  /** Where the source stands in the batch; -1: there are too many services, reject its rows. */
  sourceIndex(source: Source): number {
    return this.#table.indexOf(source)
  }

  push(sourceIndex: number, timeMs: number, severity: number, body: string, traceId: string): void {
    const row = this.rows
    if (row === this.#timeMs.length) this.#grow()
    this.#sourceIndex[row] = sourceIndex
    this.#timeMs[row] = timeMs
    this.#severity[row] = severity
    this.#body.push(cleanText(body, this.#context.limits.maxLineBytes))
    this.#traceId.push(traceId)
    this.rows = row + 1
  }

  /** For ids that are known only when all rows are. */
  setTraceId(row: number, traceId: string): void {
    this.#traceId[row] = traceId
  }

  finish(): LogBatch {
    const rows = this.rows
    return {
      kind: 'logs',
      rows,
      sources: this.#table.sources,
      sourceIndex: this.#sourceIndex.slice(0, rows),
      timeMs: this.#timeMs.slice(0, rows),
      severity: this.#severity.slice(0, rows),
      body: this.#body,
      traceId: this.#traceId,
    }
  }

  #grow(): void {
    const rows = grownRows(this.rows, this.#context)
    this.#sourceIndex = grown(this.#sourceIndex, new Uint32Array(rows))
    this.#timeMs = grown(this.#timeMs, new Float64Array(rows))
    this.#severity = grown(this.#severity, new Uint8Array(rows))
  }
}

/** The numbers of one span as a decoder reads them; the same object is filled again and again. */
export interface SpanRow {
  kind: number
  status: number
  startMs: number
  durationMs: number
}

export function emptySpan(): SpanRow {
  return { kind: 0, status: 0, startMs: 0, durationMs: 0 }
}

/** For each span: `ids.begin()`, its ids, then `push` if it `takes` it. */
export class SpanColumns {
  rows = 0
  readonly ids = new SpanIds()
  readonly #context: DecodeContext
  readonly #table: SourceTable
  readonly #operations: string[] = []
  readonly #operationIndexOf = new Map<string, number>()
  #sourceIndex: Uint32Array<ArrayBuffer>
  #operationIndex: Uint32Array<ArrayBuffer>
  #spanKind: Uint8Array<ArrayBuffer>
  #status: Uint8Array<ArrayBuffer>
  #startMs: Float64Array<ArrayBuffer>
  #durationMs: Float64Array<ArrayBuffer>
  readonly #peer: string[] = []

  constructor(context: DecodeContext) {
    this.#context = context
    this.#table = new SourceTable(context)
    const rows = firstRows(context)
    this.#sourceIndex = new Uint32Array(rows)
    this.#operationIndex = new Uint32Array(rows)
    this.#spanKind = new Uint8Array(rows)
    this.#status = new Uint8Array(rows)
    this.#startMs = new Float64Array(rows)
    this.#durationMs = new Float64Array(rows)
  }

  /** Where the source stands in the batch; -1: there are too many services, its rows are rejected. */
  sourceIndex(source: Source): number {
    return this.#table.indexOf(source)
  }

  operation(name: string): number {
    const known = this.#operationIndexOf.get(name)
    if (known !== undefined) return known
    const index = this.#operations.length
    this.#operationIndexOf.set(name, index)
    this.#operations.push(cleanText(name, this.#context.limits.maxNameChars))
    return index
  }

  /** False when the row is no good; it is then counted as rejected. Ends that come before their start become the start. */
  takes(sourceIndex: number, span: SpanRow): boolean {
    const context = this.#context
    if (!(span.durationMs >= 0)) span.durationMs = 0
    const fault =
      this.ids.fault() ||
      timeFault(span.startMs, context) ||
      timeFault(span.startMs + span.durationMs, context) ||
      (sourceIndex < 0 ? 'service-limit' : '')
    if (fault === '') return true
    context.rejected.add(fault)
    return false
  }

  push(sourceIndex: number, span: SpanRow, operation: number, peer: string): void {
    const row = this.rows
    if (row === this.#startMs.length) this.#grow()
    this.#sourceIndex[row] = sourceIndex
    this.#operationIndex[row] = operation
    this.#spanKind[row] = span.kind >= 0 && span.kind <= 5 ? span.kind : 0
    this.#status[row] = span.status >= 0 && span.status <= 2 ? span.status : 0
    this.#startMs[row] = span.startMs
    this.#durationMs[row] = span.durationMs
    this.#peer.push(peer)
    this.ids.keep()
    this.rows = row + 1
  }

  finish(): SpanBatch {
    const rows = this.rows
    return {
      kind: 'spans',
      rows,
      sources: this.#table.sources,
      sourceIndex: this.#sourceIndex.slice(0, rows),
      operations: this.#operations,
      operationIndex: this.#operationIndex.slice(0, rows),
      spanKind: this.#spanKind.slice(0, rows),
      status: this.#status.slice(0, rows),
      startMs: this.#startMs.slice(0, rows),
      durationMs: this.#durationMs.slice(0, rows),
      ...this.ids.columns(),
      peer: this.#peer,
    }
  }

  #grow(): void {
    const rows = grownRows(this.rows, this.#context)
    this.#sourceIndex = grown(this.#sourceIndex, new Uint32Array(rows))
    this.#operationIndex = grown(this.#operationIndex, new Uint32Array(rows))
    this.#spanKind = grown(this.#spanKind, new Uint8Array(rows))
    this.#status = grown(this.#status, new Uint8Array(rows))
    this.#startMs = grown(this.#startMs, new Float64Array(rows))
    this.#durationMs = grown(this.#durationMs, new Float64Array(rows))
  }
}

function firstRows(context: DecodeContext): number {
  return Math.min(FIRST_ROWS, context.limits.maxRowsPerRequest)
}

function grownRows(rows: number, context: DecodeContext): number {
  if (rows >= context.limits.maxRowsPerRequest) throw tooManyRows(context.limits)
  return Math.min(rows * 2, context.limits.maxRowsPerRequest)
}

function grown<A extends Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(old: A, fresh: A): A {
  fresh.set(old)
  return fresh
}
