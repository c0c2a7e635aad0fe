/**
 * Growing columns that decoders write rows into and that become a batch at the end. They double as they fill, never by a number that a
 * sender declared, and refuse more rows than a request may have.
 */
import type { LogBatch, MetricBatch, Series, Source, SpanBatch } from '../model.ts'
import { cleanText } from './clean-text.ts'
import type { DecodeContext } from './decode-context.ts'
import { tooManyRows } from './decode-context.ts'

const FIRST_ROWS = 256

export class MetricColumns {
  readonly series: Series[] = []
  rows = 0
  #seriesIndex: Uint32Array<ArrayBuffer>
  #timeMs: Float64Array<ArrayBuffer>
  #value: Float64Array<ArrayBuffer>
  #stale: Uint8Array<ArrayBuffer>
  readonly #context: DecodeContext

  constructor(context: DecodeContext) {
    this.#context = context
    const rows = firstRows(context)
    this.#seriesIndex = new Uint32Array(rows)
    this.#timeMs = new Float64Array(rows)
    this.#value = new Float64Array(rows)
    this.#stale = new Uint8Array(rows)
  }

  push(timeMs: number, value: number, stale: boolean): void {
    const row = this.rows
    if (row === this.#timeMs.length) this.#grow()
    this.#timeMs[row] = timeMs
    this.#value[row] = value
    this.#stale[row] = stale ? 1 : 0
    this.rows = row + 1
  }

  /** All rows from `firstRow` on belong to this series. */
  assign(firstRow: number, seriesIndex: number): void {
    this.#seriesIndex.fill(seriesIndex, firstRow, this.rows)
  }

  finish(): MetricBatch {
    const rows = this.rows
    return {
      kind: 'metrics',
      rows,
      series: this.series,
      seriesIndex: this.#seriesIndex.slice(0, rows),
      timeMs: this.#timeMs.slice(0, rows),
      value: this.#value.slice(0, rows),
      stale: this.#stale.slice(0, rows),
    }
  }

  #grow(): void {
    const rows = grownRows(this.rows, this.#context)
    this.#seriesIndex = grown(this.#seriesIndex, new Uint32Array(rows))
    this.#timeMs = grown(this.#timeMs, new Float64Array(rows))
    this.#value = grown(this.#value, new Float64Array(rows))
    this.#stale = grown(this.#stale, new Uint8Array(rows))
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

/** One span as a decoder reads it; the same object is filled again and again. */
export interface SpanRow {
  traceId: string
  spanId: string
  parentId: string
  operation: string
  kind: number
  status: number
  startMs: number
  durationMs: number
  peer: string
}

export class SpanColumns {
  rows = 0
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
  readonly #traceId: string[] = []
  readonly #spanId: string[] = []
  readonly #parentId: string[] = []
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

  sourceIndex(source: Source): number {
    return this.#table.indexOf(source)
  }

  push(sourceIndex: number, span: SpanRow): void {
    const row = this.rows
    if (row === this.#startMs.length) this.#grow()
    this.#sourceIndex[row] = sourceIndex
    this.#operationIndex[row] = this.#operation(span.operation)
    this.#spanKind[row] = span.kind >= 0 && span.kind <= 5 ? span.kind : 0
    this.#status[row] = span.status >= 0 && span.status <= 2 ? span.status : 0
    this.#startMs[row] = span.startMs
    this.#durationMs[row] = span.durationMs
    this.#traceId.push(span.traceId)
    this.#spanId.push(span.spanId)
    this.#parentId.push(span.parentId)
    this.#peer.push(span.peer)
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
      traceId: this.#traceId,
      spanId: this.#spanId,
      parentId: this.#parentId,
      peer: this.#peer,
    }
  }

  #operation(name: string): number {
    const known = this.#operationIndexOf.get(name)
    if (known !== undefined) return known
    const index = this.#operations.length
    this.#operationIndexOf.set(name, index)
    this.#operations.push(cleanText(name, this.#context.limits.maxNameChars))
    return index
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
