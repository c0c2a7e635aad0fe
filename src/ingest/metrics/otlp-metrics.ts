/**
 * OTLP metrics in protobuf, in one pass, into a metric batch. Most data points are of series seen before: their resource, metric and attributes
 * are looked up by their bytes, and names are translated only when that fails. Fields may come in any order; unknown ones are
 * stepped over. metrics/v1/metrics.proto of https://github.com/open-telemetry/opentelemetry-proto
 */
import type { MetricBatch } from '../../model.ts'
import { MetricColumns } from '../columns.ts'
import type { DecodeContext } from '../decode-context.ts'
import { newPoint, pointFault, pushHistogram, pushNumber } from './otlp-metric-points.ts'
import { readAttributes, readPoint, readTemporality } from './otlp-metric-reader.ts'
import type { PointPlaces } from './otlp-metric-reader.ts'
import { admitPoint, familyFault, resourceOf, typeOfFamily } from './otlp-metric-series.ts'
import type { MetricFamily, MetricResource, MetricShape } from './otlp-metric-series.ts'
import { eachScopedItem, readAttribute } from '../otlp/otlp-protobuf.ts'
import type { Attributes } from '../otlp/otlp-protobuf.ts'
import { ProtobufReader } from '../wire/protobuf-reader.ts'
import type { SeriesEntry } from './series-registry.ts'

/** Field numbers of Metric: what holds the data points of each shape. */
const SHAPES: ReadonlyMap<number, MetricShape> = new Map([
  [0x2a, 'gauge'],
  [0x3a, 'sum'],
  [0x4a, 'histogram'],
  [0x52, 'exponential'],
  [0x5a, 'summary'],
])
const SHAPE_NUMBER: Readonly<Record<MetricShape, number>> = { gauge: 1, sum: 2, histogram: 3, exponential: 4, summary: 5 }

const KEY_HEAD = 16
const MAX_KEY_BYTES = 16 * 1024
const KEY = Buffer.alloc(MAX_KEY_BYTES)
const KEY_VIEW = new DataView(KEY.buffer, KEY.byteOffset, KEY.length)
/** Keeps these keys apart from the label blocks of other doors: no field begins so. */
const KEY_MAGIC = 0x4f544c07

export function decodeOtlpMetrics(body: Uint8Array, context: DecodeContext): MetricBatch {
  const decoder = new Decoder(body, context)
  return decoder.decode()
}

class Decoder {
  readonly #reader: ProtobufReader
  readonly #context: DecodeContext
  readonly #columns: MetricColumns
  readonly #point = newPoint()
  readonly #places: PointPlaces = { from: -1, to: -1, scattered: false }
  #resourceId = 0
  #groupStart = 0
  #groupEnd = 0
  #resource: MetricResource | undefined
  #familyId = 0

  constructor(body: Uint8Array, context: DecodeContext) {
    this.#reader = new ProtobufReader(body)
    this.#context = context
    this.#columns = new MetricColumns(context)
    context.series.symbols.makeRoom()
  }

  decode(): MetricBatch {
    const reader = this.#reader
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag !== 0x0a) {
        reader.skip(tag)
        continue
      }
      const outer = reader.enter()
      this.#readResourceGroup()
      reader.leave(outer)
    }
    return this.#columns.finish()
  }

  #readResourceGroup(): void {
    const reader = this.#reader
    const start = reader.at
    this.#resource = undefined
    this.#groupStart = start
    this.#groupEnd = reader.end
    let resources = 0
    let resourceAt = start
    let resourceEnd = start
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      const at = reader.at
      reader.skip(tag)
      if (tag !== 0x0a) continue
      resources++
      resourceAt = at
      resourceEnd = reader.at
    }
    // A message that comes twice is merged: too rare to be looked up.
    this.#resourceId = resources > 1 ? 0 : this.#context.series.symbols.idOf(reader.view, resourceAt, resourceEnd)
    reader.at = start
    eachScopedItem(reader, () => this.#readMetric())
  }

  #readMetric(): void {
    const reader = this.#reader
    let nameAt = 0
    let nameEnd = 0
    let unitAt = 0
    let unitEnd = 0
    let shape: MetricShape | undefined
    let dataAt = 0
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag === 0x0a) {
        const length = reader.uint32()
        nameAt = reader.take(length)
        nameEnd = reader.at
      } else if (tag === 0x1a) {
        const length = reader.uint32()
        unitAt = reader.take(length)
        unitEnd = reader.at
      } else {
        const found = SHAPES.get(tag)
        if (found !== undefined) {
          shape = found
          dataAt = reader.at
        }
        reader.skip(tag)
      }
    }
    if (shape === undefined) {
      // Of a kind that came after this was written, or without data points.
      this.#context.skipped.add('empty-metric')
      return
    }
    reader.at = dataAt
    const outer = reader.enter()
    const { temporality, monotonic } = readTemporality(reader, shape)
    const names = reader.bytes
    const family: MetricFamily = {
      name: names.toString('utf8', nameAt, nameEnd),
      unit: names.toString('utf8', unitAt, unitEnd),
      shape,
      temporality,
      monotonic,
    }
    const fault = familyFault(family, this.#context)
    this.#familyId = fault === '' ? this.#idOfFamily(family, nameAt, nameEnd, unitAt, unitEnd) : 0
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag !== 0x0a) reader.skip(tag)
      else if (fault !== '') {
        this.#context.rejected.add(fault)
        reader.skip(tag)
      } else this.#readPoint(family)
    }
    reader.leave(outer)
  }

  /** 0 when it cannot have a number. */
  #idOfFamily({ shape, temporality, monotonic }: MetricFamily, nameAt: number, nameEnd: number, unitAt: number, unitEnd: number): number {
    const nameBytes = nameEnd - nameAt
    const unitBytes = unitEnd - unitAt
    if (nameBytes + unitBytes + KEY_HEAD > MAX_KEY_BYTES) return 0
    const { bytes } = this.#reader
    KEY[0] = SHAPE_NUMBER[shape] * 16 + temporality * 4 + (monotonic ? 1 : 0)
    KEY_VIEW.setUint32(1, nameBytes, true)
    bytes.copy(KEY, 5, nameAt, nameEnd)
    bytes.copy(KEY, 5 + nameBytes, unitAt, unitEnd)
    return this.#context.series.symbols.idOf(KEY_VIEW, 0, 5 + nameBytes + unitBytes)
  }

  #readPoint(family: MetricFamily): void {
    const reader = this.#reader
    const point = this.#point
    const context = this.#context
    const outer = reader.enter()
    const start = reader.at
    const end = reader.end
    readPoint(reader, family.shape, point, this.#places)
    if (point.exemplars > 0) context.skipped.add('exemplar', point.exemplars)
    let fault = pointFault(family, point, context)
    if (fault === '') fault = this.#push(family, start, end)
    if (fault !== '') context.rejected.add(fault)
    reader.leave(outer)
  }

  #push(family: MetricFamily, start: number, end: number): string {
    const columns = this.#columns
    const context = this.#context
    const point = this.#point
    if (family.shape === 'summary') return this.#pushSummary(family, start, end)
    const entry = this.#entryOf(family, start, end, '', '')
    if (typeof entry === 'string') return entry
    if (family.shape === 'gauge' || family.shape === 'sum') pushNumber(columns, entry, point)
    else return pushHistogram(columns, entry, family, point, context)
    return ''
  }

  #pushSummary(family: MetricFamily, start: number, end: number): string {
    const point = this.#point
    const { quantiles } = point
    for (let i = -4; i < quantiles.length; i += 2) {
      const suffix = i === -4 ? '_count' : i === -2 ? '_sum' : ''
      const entry = this.#entryOf(family, start, end, suffix, suffix === '' ? String(quantiles[i]!) : '')
      if (typeof entry === 'string') return entry
      point.value = suffix === '_count' ? point.count : suffix === '_sum' ? point.sum : quantiles[i + 1]!
      pushNumber(this.#columns, entry, point)
    }
    return ''
  }

  /** The series of the point between `start` and `end`; its bytes tell which, if they were seen before. */
  #entryOf(family: MetricFamily, start: number, end: number, suffix: '' | '_sum' | '_count', quantile: string): SeriesEntry | string {
    const { from, to, scattered } = this.#places
    const { series } = this.#context
    const keyBytes = KEY_HEAD + quantile.length + to - from
    const findable = this.#resourceId > 0 && this.#familyId > 0 && !scattered && keyBytes <= MAX_KEY_BYTES
    if (findable) {
      KEY_VIEW.setUint32(0, KEY_MAGIC, true)
      KEY_VIEW.setUint32(4, this.#resourceId, true)
      KEY_VIEW.setUint32(8, this.#familyId, true)
      KEY_VIEW.setUint32(12, quantile.length * 4 + (suffix === '_sum' ? 1 : suffix === '_count' ? 2 : 0), true)
      if (quantile !== '') KEY.write(quantile, KEY_HEAD, 'latin1')
      if (to > from) this.#reader.bytes.copy(KEY, KEY_HEAD + quantile.length, from, to)
      const known = series.find(KEY_VIEW, 0, keyBytes)
      if (known !== undefined) {
        // Senders that disagree about what it is have a key each for the same series.
        const type = typeOfFamily(family)
        if (type !== 'unknown') series.setType(known, type)
        return known
      }
    }
    this.#resource ??= this.#readResource()
    const attributes = readAttributes(this.#reader, family.shape, start, end, this.#context)
    const entry = admitPoint(family, this.#resource, attributes, this.#context, suffix, quantile)
    if (findable && typeof entry !== 'string') series.remember(entry, KEY_VIEW, 0, keyBytes)
    return entry
  }

  #readResource(): MetricResource {
    const reader = this.#reader
    const { at, end } = reader
    reader.at = this.#groupStart
    reader.end = this.#groupEnd
    const attributes: Attributes = new Map()
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag !== 0x0a) {
        reader.skip(tag)
        continue
      }
      const outer = reader.enter()
      for (let field = reader.next(); field !== 0; field = reader.next()) {
        if (field === 0x0a) readAttribute(reader, attributes, this.#context.limits.maxLabelValueChars)
        else reader.skip(field)
      }
      reader.leave(outer)
    }
    reader.at = at
    reader.end = end
    return resourceOf(attributes, this.#context)
  }
}
