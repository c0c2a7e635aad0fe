/**
 * Reads telemetry records of version 1, which wrote each series with all its labels out of one table of strings in front of the record, and
 * columns as varints, floats and bytes. Records of a topic stay there for days: what was written before an upgrade is read after it.
 */
import type { ByteReader } from './codec-bytes.ts'
import type { LogBatch, MetricBatch, Series, Source, SpanBatch } from './model.ts'
import { seriesKey } from './series-key.ts'

/** The table of names, then what stands for them. */
export class FirstReader {
  readonly #reader: ByteReader
  readonly #names: readonly string[]

  constructor(reader: ByteReader) {
    this.#reader = reader
    this.#names = reader.texts(reader.count())
  }

  metrics(): MetricBatch {
    const reader = this.#reader
    const series: Series[] = []
    for (let left = reader.count(); left > 0; left--) {
      const givenKey = reader.count() === 0 ? undefined : reader.text()
      const name = this.#name()
      const service = this.#name()
      const instance = this.#name()
      const labels: [string, string][] = []
      for (let pairs = reader.count(); pairs > 0; pairs--) labels.push([this.#name(), this.#name()])
      series.push({ key: givenKey ?? seriesKey(name, labels), name, type: 'unknown', labels, service, instance })
    }
    const rows = reader.count()
    return {
      kind: 'metrics',
      rows,
      series,
      seriesIndex: this.#indexes(rows, series.length),
      timeMs: this.#times(rows),
      value: reader.floats(rows),
      stale: this.#bytes(rows),
    }
  }

  logs(): LogBatch {
    const sources = this.#sources()
    const rows = this.#reader.count()
    return {
      kind: 'logs',
      rows,
      sources,
      sourceIndex: this.#indexes(rows, sources.length),
      timeMs: this.#times(rows),
      severity: this.#bytes(rows),
      body: this.#reader.texts(rows),
      traceId: this.#ids(rows),
    }
  }

  spans(kind: 'spans' | 'links'): SpanBatch {
    const sources = this.#sources()
    const operations = this.#namesOf(this.#reader.count())
    const rows = this.#reader.count()
    return {
      kind,
      rows,
      sources,
      sourceIndex: this.#indexes(rows, sources.length),
      operations,
      operationIndex: this.#indexes(rows, operations.length),
      spanKind: this.#bytes(rows),
      status: this.#bytes(rows),
      startMs: this.#times(rows),
      durationMs: this.#reader.floats(rows),
      traceId: this.#ids(rows),
      spanId: this.#ids(rows),
      parentId: this.#ids(rows),
      peer: this.#namesOf(rows),
    }
  }

  #sources(): Source[] {
    const sources: Source[] = []
    for (let left = this.#reader.count(); left > 0; left--)
      sources.push({ service: this.#name(), instance: this.#name(), version: this.#name() })
    return sources
  }

  #name(): string {
    const name = this.#names[this.#reader.varint()]
    if (name === undefined) throw new RangeError('a name is not in the table')
    return name
  }

  #namesOf(rows: number): string[] {
    const column: string[] = []
    for (let i = 0; i < rows; i++) column.push(this.#name())
    return column
  }

  #bytes(rows: number): Uint8Array {
    return new Uint8Array(this.#reader.bytes(rows))
  }

  #indexes(rows: number, tableRows: number): Uint32Array {
    const column = new Uint32Array(rows)
    for (let i = 0; i < rows; i++) {
      const index = this.#reader.varint()
      if (index >= tableRows) throw new RangeError(`an index points to ${index} of ${tableRows}`)
      column[i] = index
    }
    return column
  }

  #times(rows: number): Float64Array {
    const whole = this.#reader.byte() === 1
    if (!whole) return this.#reader.floats(rows)
    const column = new Float64Array(rows)
    let before = 0
    for (let i = 0; i < rows; i++) column[i] = before += this.#reader.signed()
    return column
  }

  #ids(rows: number): string[] {
    const column: string[] = []
    let before = ''
    for (let i = 0; i < rows; i++) {
      const head = this.#reader.varint()
      if (head === 0) before = ''
      else if (head !== 1) before = this.#reader.bytes(Math.floor(head / 4)).toString(head % 4 === 2 ? 'hex' : 'utf8')
      column.push(before)
    }
    return column
  }
}
