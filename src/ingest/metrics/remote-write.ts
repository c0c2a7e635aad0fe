/**
 * Prometheus remote write 1.0, decompressed, into a metric batch. Identity does not depend on the order of labels, and fields may come in
 * any order. Metadata, which comes in requests of its own, is kept to say what a series is. Spec: https://prometheus.io/docs/specs/prw/remote_write_spec/
 */
import { MetricColumns } from '../columns.ts'
import type { DecodeContext } from '../decode-context.ts'
import { typeOfMetadata } from './family-types.ts'
import { admitSeries, labelFault } from './metric-series.ts'
import { ProtobufReader } from '../wire/protobuf-reader.ts'
import { RemoteWriteSeries } from './remote-write-series.ts'
import type { RemoteWriteBatch } from './remote-write-series.ts'
import type { SeriesEntry } from './series-registry.ts'

const TIME_SERIES = 0x0a
const METADATA = 0x1a
const LABEL = 0x0a
const SAMPLE = 0x12
const EXEMPLAR = 0x1a
const HISTOGRAM = 0x22

const MAX_FAMILY_BYTES = 2048

export function decodeRemoteWrite(body: Uint8Array, context: DecodeContext): RemoteWriteBatch {
  const reader = new ProtobufReader(body)
  const series = new RemoteWriteSeries(reader, new MetricColumns(context), context)
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TIME_SERIES) {
      const outer = reader.enter()
      readTimeSeries(reader, series, context)
      reader.leave(outer)
    } else if (tag === METADATA) readMetadata(reader, context)
    else reader.skip(tag)
  }
  return series.finish()
}

function readTimeSeries(reader: ProtobufReader, series: RemoteWriteSeries, context: DecodeContext): void {
  const start = reader.at
  let scattered = false
  series.begin()
  const known = context.series.expected(reader.view, start, reader.end)
  if (known !== undefined) reader.at = start + known.byteCount
  const knownEnd = reader.at
  let labelsEnd = knownEnd
  let tagAt = knownEnd
  for (let tag = reader.next(); tag !== 0; tagAt = reader.at, tag = reader.next()) {
    switch (tag) {
      case LABEL:
        // Labels normally come first, in one block that can be looked up as it is.
        if (tagAt !== labelsEnd) scattered = true
        reader.take(reader.uint32())
        if (!scattered) labelsEnd = reader.at
        break
      case SAMPLE:
        series.readSample()
        break
      case EXEMPLAR:
        series.exemplars++
        reader.skip(tag)
        break
      case HISTOGRAM:
        series.histograms++
        reader.skip(tag)
        break
      default:
        reader.skip(tag)
    }
  }
  if (series.samples + series.histograms === 0) {
    // Exemplars come without their samples, too: senders read them from a log of their own.
    if (series.exemplars === 0) context.rejected.add('empty-series')
    else series.takeExemplars()
    return
  }
  const entry = scattered
    ? readSeries(reader, start, reader.end, context)
    : known !== undefined && labelsEnd === knownEnd
      ? known.entry
      : findSeries(reader, start, labelsEnd, context)
  if (typeof entry === 'string') series.reject(entry)
  else series.take(entry, labelsEnd, HISTOGRAM)
}

function readMetadata(reader: ProtobufReader, context: DecodeContext): void {
  const outer = reader.enter()
  let type = 0
  let family = ''
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x08) type = reader.uint32()
    else if (tag === 0x12) family = reader.text(MAX_FAMILY_BYTES)
    else reader.skip(tag)
  }
  reader.leave(outer)
  if (!context.series.families.learn(family, typeOfMetadata(type))) context.skipped.add('metadata')
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
