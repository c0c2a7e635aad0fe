/**
 * Writes telemetry records of version 1, as Tocsin did before version 2: what the codec suite compares with, and what readers of version 1
 * can be tried on. Nothing that ships writes it any more.
 */
import type { Batch, LogBatch, MetricBatch, Series, Source, SpanBatch } from '../src/model.ts'
import { seriesKey } from '../src/series-key.ts'

const KINDS = ['metrics', 'logs', 'spans', 'links'] as const

export function encodeFirst(batch: Exclude<Batch, { kind: 'events' | 'tick' }>): Uint8Array {
  const writer = new FirstWriter()
  if (batch.kind === 'metrics') writeMetrics(writer, batch)
  else if (batch.kind === 'logs') writeLogs(writer, batch)
  else writeSpans(writer, batch)
  return writer.finish(1, KINDS.indexOf(batch.kind))
}

function writeMetrics(writer: FirstWriter, batch: MetricBatch): void {
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

/** Ingest uses the same objects again and again, so what was found out about one is kept as long as it lives. */
const derived = new WeakSet<Series>()

function isDerived(series: Series): boolean {
  if (derived.has(series)) return true
  if (series.key !== seriesKey(series.name, series.labels)) return false
  derived.add(series)
  return true
}

function writeSources(writer: FirstWriter, sources: readonly Source[]): void {
  writer.count(sources.length)
  for (const source of sources) {
    writer.name(source.service)
    writer.name(source.instance)
    writer.name(source.version)
  }
}

function writeLogs(writer: FirstWriter, batch: LogBatch): void {
  writeSources(writer, batch.sources)
  writer.count(batch.rows)
  writer.indexes(batch.sourceIndex)
  writer.times(batch.timeMs)
  writer.bytes(batch.severity)
  for (const body of batch.body) writer.text(body)
  writer.ids(batch.traceId)
}

function writeSpans(writer: FirstWriter, batch: SpanBatch): void {
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

class FirstWriter {
  #buffer = Buffer.allocUnsafe(16 * 1024)
  #view = viewOf(this.#buffer)
  #at = 0
  readonly #names = new Map<string, number>()

  /** Version and kind, the table of names, then what was written. */
  finish(version: number, kind: number): Uint8Array {
    const body = this.#buffer.subarray(0, this.#at)
    const head = new FirstWriter()
    head.#byte(version)
    head.#byte(kind)
    head.count(this.#names.size)
    for (const name of this.#names.keys()) head.text(name)
    return Buffer.concat([head.#buffer.subarray(0, head.#at), body])
  }

  count(value: number): void {
    this.#reserve(8)
    this.#varint(value)
  }

  /** Text that is not expected to repeat. */
  text(value: string): void {
    // Three bytes are the most that a UTF-16 unit takes in UTF-8.
    this.#reserve(value.length * 3 + 8)
    if (value.length <= 40) {
      const lengthAt = this.#at
      if (this.#ascii(value, lengthAt + 1)) {
        this.#buffer[lengthAt] = value.length
        this.#at = lengthAt + 1 + value.length
        return
      }
    }
    const byteCount = Buffer.byteLength(value)
    this.#varint(byteCount)
    this.#at += this.#buffer.write(value, this.#at, 'utf8')
  }

  /** Text that repeats within the record: an index into the table in front. */
  name(value: string): void {
    let index = this.#names.get(value)
    if (index === undefined) this.#names.set(value, (index = this.#names.size))
    this.count(index)
  }

  float64(value: number): void {
    this.#reserve(8)
    this.#view.setFloat64(this.#at, value, true)
    this.#at += 8
  }

  floats(column: Float64Array): void {
    this.#reserve(column.length * 8)
    const view = this.#view
    let at = this.#at
    for (let i = 0; i < column.length; i++, at += 8) view.setFloat64(at, column[i]!, true)
    this.#at = at
  }

  bytes(column: Uint8Array): void {
    this.#reserve(column.length)
    this.#buffer.set(column, this.#at)
    this.#at += column.length
  }

  indexes(column: Uint32Array): void {
    this.#reserve(column.length * 5)
    for (let i = 0; i < column.length; i++) this.#varint(column[i]!)
  }

  /** Whole milliseconds as deltas, which are small; anything finer as it is. */
  times(column: Float64Array): void {
    this.#reserve(column.length * 9 + 1)
    let whole = true
    for (let i = 0; whole && i < column.length; i++)
      whole = Number.isSafeInteger(column[i]) && Math.abs(column[i]!) < 2 ** 50 && !Object.is(column[i], -0)
    this.#byte(whole ? 1 : 0)
    if (!whole) {
      this.floats(column)
      return
    }
    let before = 0
    for (let i = 0; i < column.length; i++) {
      const delta = column[i]! - before
      this.#varint(delta < 0 ? -2 * delta - 1 : 2 * delta)
      before = column[i]!
    }
  }

  /** Hex ids as bytes; one that repeats the one before it costs a byte. */
  ids(column: readonly string[]): void {
    let before = ''
    for (const id of column) {
      if (id === '') this.count(0)
      else if (id === before) this.count(1)
      else if (/^(?:[0-9a-f]{2})+$/.test(id)) {
        this.#reserve(id.length + 8)
        this.#varint((id.length / 2) * 4 + 2)
        this.#at += this.#buffer.write(id, this.#at, 'hex')
      } else {
        const bytes = Buffer.from(id)
        this.count(bytes.length * 4 + 3)
        this.bytes(bytes)
      }
      before = id
    }
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#at++] = value
  }

  #ascii(value: string, at: number): boolean {
    const buffer = this.#buffer
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i)
      if (code > 127) return false
      buffer[at + i] = code
    }
    return true
  }

  /** Room must have been made. */
  #varint(value: number): void {
    const buffer = this.#buffer
    let at = this.#at
    let rest = value
    while (rest >= 0x80) {
      buffer[at++] = (rest % 128) | 0x80
      rest = rest < 0x80000000 ? rest >>> 7 : Math.floor(rest / 128)
    }
    buffer[at++] = rest
    this.#at = at
  }

  #reserve(byteCount: number): void {
    const needed = this.#at + byteCount
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
    this.#view = viewOf(larger)
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
