/**
 * Prometheus remote write 1.0, decompressed, into a metric batch. Exemplars, native histograms and metadata are counted and left out.
 * Identity does not depend on the order of labels, and fields may come in any order. A stale marker is told from an ordinary NaN by
 * its eight bytes. Spec: https://prometheus.io/docs/specs/prw/remote_write_spec/
 */
import type { MetricBatch } from '../model.ts'
import { MetricColumns } from './columns.ts'
import { timeFault } from './decode-context.ts'
import type { DecodeContext } from './decode-context.ts'
import { admitSeries, labelFault } from './metric-series.ts'
import { ProtobufReader } from './protobuf-reader.ts'
import type { SeriesEntry } from './series-registry.ts'

const TIME_SERIES = 0x0a
const METADATA = 0x1a
const LABEL = 0x0a
const SAMPLE = 0x12
const EXEMPLAR = 0x1a
const HISTOGRAM = 0x22

let requests = 0

export function decodeRemoteWrite(body: Uint8Array, context: DecodeContext): MetricBatch {
  const reader = new ProtobufReader(body)
  const columns = new MetricColumns(context)
  const request = ++requests
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TIME_SERIES) {
      const outer = reader.enter()
      readTimeSeries(reader, columns, request, context)
      reader.leave(outer)
    } else {
      if (tag === METADATA) context.skipped.add('metadata')
      reader.skip(tag)
    }
  }
  return columns.finish()
}

function readTimeSeries(reader: ProtobufReader, columns: MetricColumns, request: number, context: DecodeContext): void {
  const start = reader.at
  const firstRow = columns.rows
  let labelsEnd = start
  let scattered = false
  let samples = 0
  let others = 0
  let tagAt = start
  for (let tag = reader.next(); tag !== 0; tagAt = reader.at, tag = reader.next()) {
    switch (tag) {
      case LABEL:
        // Labels normally come first, in one block that can be looked up as it is.
        if (tagAt !== labelsEnd) scattered = true
        reader.take(reader.uint32())
        if (!scattered) labelsEnd = reader.at
        break
      case SAMPLE:
        samples++
        readSample(reader, columns, context)
        break
      case EXEMPLAR:
        others++
        context.skipped.add('exemplar')
        reader.skip(tag)
        break
      case HISTOGRAM:
        others++
        context.skipped.add('native-histogram')
        reader.skip(tag)
        break
      default:
        reader.skip(tag)
    }
  }
  if (samples === 0) {
    if (others === 0) context.rejected.add('empty-series')
    return
  }
  if (columns.rows === firstRow) return
  const entry = scattered ? readSeries(reader, start, reader.end, context) : findSeries(reader, start, labelsEnd, context)
  if (typeof entry === 'string') {
    context.rejected.add(entry, columns.rows - firstRow)
    columns.rows = firstRow
    return
  }
  if (entry.request !== request) {
    entry.request = request
    entry.seenMs = context.receivedMs
    entry.index = columns.series.push(entry.series) - 1
  }
  columns.assign(firstRow, entry.index)
}

function readSample(reader: ProtobufReader, columns: MetricColumns, context: DecodeContext): void {
  const outer = reader.enter()
  let value = 0
  let stale = false
  let timeMs = 0
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x09) {
      const at = reader.take(8)
      // The bytes, not the number: arithmetic and plain arrays do not keep the payload of a NaN.
      stale = reader.view.getUint32(at, true) === 2 && reader.view.getUint32(at + 4, true) === 0x7ff00000
      value = reader.view.getFloat64(at, true)
    } else if (tag === 0x10) timeMs = reader.int64()
    else reader.skip(tag)
  }
  reader.leave(outer)
  const fault = timeFault(timeMs, context)
  if (fault !== '') context.rejected.add(fault)
  else columns.push(timeMs, stale ? NaN : value, stale)
}

function findSeries(reader: ProtobufReader, start: number, end: number, context: DecodeContext): SeriesEntry | string {
  const known = context.series.find(reader.view, start, end)
  if (known !== undefined) return known
  const entry = readSeries(reader, start, end, context)
  if (typeof entry !== 'string') context.series.remember(entry, reader.view, start, end)
  return entry
}

/** Decodes the labels between two positions of the message, whatever else lies there. */
function readSeries(reader: ProtobufReader, start: number, end: number, context: DecodeContext): SeriesEntry | string {
  const { at, end: outerEnd } = reader
  reader.at = start
  reader.end = end
  const labels: [string, string][] = []
  let fault = ''
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag !== LABEL) {
      reader.skip(tag)
      continue
    }
    const outer = reader.enter()
    let name = ''
    let value = ''
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 0x0a) name = reader.text()
      else if (field === 0x12) value = reader.text()
      else reader.skip(field)
    }
    reader.leave(outer)
    fault ||= labelFault(labels.length, name, value, context)
    // An empty value is the same as no label: https://prometheus.io/docs/concepts/data_model/
    if (fault === '' && value !== '') labels.push([name, value])
  }
  reader.at = at
  reader.end = outerEnd
  return fault || admitSeries(labels, context)
}
