/**
 * What one TimeSeries of remote write holds beside its labels, the same in 1.0 and 2.0 but for the numbers of the fields: samples go to the columns
 * as they are read, histograms once the series is known. Counts what was taken, as a receiver of 2.0 has to say it.
 * A stale marker is told from an ordinary NaN by its eight bytes.
 */
import type { MetricBatch } from '../../model.ts'
import type { MetricColumns } from '../columns.ts'
import { timeFault } from '../decode-context.ts'
import type { DecodeContext } from '../decode-context.ts'
import { CUMULATIVE_BUCKETS, CUMULATIVE_SKETCH, pushDistribution, pushGaugeDistribution, pushStaleDistribution } from './metric-series.ts'
import { PrometheusHistogram } from './prometheus-histogram.ts'
import type { ProtobufReader } from '../wire/protobuf-reader.ts'
import type { SeriesEntry } from './series-registry.ts'

/** What was taken of a request. */
export interface Written {
  samples: number
  histograms: number
  exemplars: number
}

export interface RemoteWriteBatch extends MetricBatch {
  readonly written: Readonly<Written>
}

const histogram = new PrometheusHistogram()

export class RemoteWriteSeries {
  readonly written: Written = { samples: 0, histograms: 0, exemplars: 0 }
  /** Of the series being read. */
  samples = 0
  histograms = 0
  exemplars = 0
  firstRow = 0
  readonly #reader: ProtobufReader
  readonly #columns: MetricColumns
  readonly #context: DecodeContext
  #startTimes = 0

  constructor(reader: ProtobufReader, columns: MetricColumns, context: DecodeContext) {
    this.#reader = reader
    this.#columns = columns
    this.#context = context
  }

  begin(): void {
    this.samples = 0
    this.histograms = 0
    this.exemplars = 0
    this.firstRow = this.#columns.rows
  }

  /** The Sample that comes next: {1: value, 2: milliseconds, 3: when it began to count}. Nearly all have a value and then a time. */
  readSample(): void {
    const reader = this.#reader
    const { bytes, view, at } = reader
    const length = bytes[at]!
    const end = at + 1 + length
    if (length > 10 && length <= 20 && end <= reader.end && bytes[at + 1] === 0x09 && bytes[at + 10] === 0x10) {
      reader.at = at + 11
      const timeMs = reader.int64()
      if (reader.at === end) {
        this.#take(timeMs, view.getFloat64(at + 2, true), isStaleMarker(view, at + 2))
        return
      }
      reader.at = at
    }
    this.#readAnySample()
  }

  #readAnySample(): void {
    const reader = this.#reader
    const outer = reader.enter()
    let value = 0
    let stale = false
    let timeMs = 0
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag === 0x09) {
        const at = reader.take(8)
        stale = isStaleMarker(reader.view, at)
        value = reader.view.getFloat64(at, true)
      } else if (tag === 0x10) timeMs = reader.int64()
      else if (tag === 0x18) this.startTime(reader.int64())
      else reader.skip(tag)
    }
    reader.leave(outer)
    this.#take(timeMs, value, stale)
  }

  #take(timeMs: number, value: number, stale: boolean): void {
    this.samples++
    const fault = timeFault(timeMs, this.#context)
    if (fault !== '') this.#context.rejected.add(fault)
    else this.#columns.push(timeMs, stale ? NaN : value, stale)
  }

  /** When a series began to count is told, and not used: a reset shows in the numbers. */
  startTime(timeMs: number): void {
    if (timeMs !== 0) this.#startTimes++
  }

  /** Nothing of the series is taken. */
  reject(fault: string): void {
    const columns = this.#columns
    this.#context.rejected.add(fault, Math.max(1, columns.rows - this.firstRow + this.histograms))
    columns.rows = this.firstRow
  }

  /** The series of what was read since `begin`. Its histograms, if any, lie between `start` and the end of the message. */
  take(entry: SeriesEntry, start: number, histogramTag: number): void {
    const columns = this.#columns
    const rows = columns.rows - this.firstRow
    this.written.samples += rows
    if (rows > 0) {
      this.#context.series.usePlain(entry, this.#context.receivedMs)
      columns.assign(this.firstRow, entry)
    }
    if (this.histograms > 0) this.#takeHistograms(entry, start, histogramTag)
    this.takeExemplars()
  }

  /** Exemplars are read, checked and counted as written; nothing is made of them yet. */
  takeExemplars(): void {
    this.written.exemplars += this.exemplars
  }

  finish(): RemoteWriteBatch {
    const { skipped } = this.#context
    if (this.#startTimes > 0) skipped.add('start-timestamp', this.#startTimes)
    if (this.written.exemplars > 0) skipped.add('exemplar', this.written.exemplars)
    return { ...this.#columns.finish(), written: this.written }
  }

  #takeHistograms(entry: SeriesEntry, start: number, histogramTag: number): void {
    const reader = this.#reader
    reader.at = start
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag !== histogramTag) {
        reader.skip(tag)
        continue
      }
      histogram.read(reader)
      const fault = timeFault(histogram.timeMs, this.#context) || this.#takeHistogram(entry)
      if (fault === '') this.written.histograms++
      else this.#context.rejected.add(fault)
    }
  }

  #takeHistogram(entry: SeriesEntry): string {
    const { timeMs, startMs, stale, gauge, custom } = histogram
    this.startTime(startMs)
    const columns = this.#columns
    if (stale) {
      pushStaleDistribution(columns, entry, timeMs)
      return ''
    }
    const distribution = histogram.distribution()
    if (typeof distribution === 'string') return distribution
    if (!gauge)
      return pushDistribution(columns, entry, timeMs, distribution, custom ? CUMULATIVE_BUCKETS : CUMULATIVE_SKETCH, this.#context)
    this.#context.skipped.add('gauge-histogram-buckets')
    return pushGaugeDistribution(columns, entry, timeMs, distribution, this.#context)
  }
}

/** The bytes, not the number: arithmetic and plain arrays do not keep the payload of a NaN. */
function isStaleMarker(view: DataView, at: number): boolean {
  return view.getUint32(at, true) === 2 && view.getUint32(at + 4, true) === 0x7ff00000
}
