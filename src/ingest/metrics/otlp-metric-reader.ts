/** The fields of OTLP's data points in protobuf, which differ in their numbers from one shape to the next. metrics/v1/metrics.proto */
import type { DecodeContext } from '../decode-context.ts'
import type { PointValues } from './otlp-metric-points.ts'
import { MAX_BUCKETS, MAX_QUANTILES, resetPoint } from './otlp-metric-points.ts'
import type { MetricShape } from './otlp-metric-series.ts'
import { MAX_ATTRIBUTES, readAnyValue } from '../otlp/otlp-protobuf.ts'
import { malformed } from '../wire/protobuf-reader.ts'
import type { ProtobufReader } from '../wire/protobuf-reader.ts'

/** Where the attributes of a point stand in the body: one block, unless they are scattered. */
export interface PointPlaces {
  from: number
  to: number
  scattered: boolean
}

/** Tags of what all points have. */
const ATTRIBUTES: Readonly<Record<MetricShape, number>> = { gauge: 0x3a, sum: 0x3a, histogram: 0x4a, exponential: 0x0a, summary: 0x3a }
const FLAGS: Readonly<Record<MetricShape, number>> = { gauge: 0x40, sum: 0x40, histogram: 0x50, exponential: 0x50, summary: 0x40 }
const EXEMPLARS: Readonly<Record<MetricShape, number>> = { gauge: 0x2a, sum: 0x2a, histogram: 0x42, exponential: 0x5a, summary: 0 }
const TIME = 0x19

/** They stand behind the points, so they are looked for first. The reader stays where it is. */
export function readTemporality(reader: ProtobufReader, shape: MetricShape): { temporality: number; monotonic: boolean } {
  let temporality = 0
  let monotonic = false
  if (shape === 'gauge' || shape === 'summary') return { temporality, monotonic }
  const start = reader.at
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x10) temporality = reader.uint32()
    else if (tag === 0x18 && shape === 'sum') monotonic = reader.int64() !== 0
    else reader.skip(tag)
  }
  reader.at = start
  // Anything else has no meaning, and must fit into the key of its family.
  return { temporality: temporality <= 2 ? temporality : 0, monotonic }
}

/** The point that the reader is in. */
export function readPoint(reader: ProtobufReader, shape: MetricShape, point: PointValues, places: PointPlaces): void {
  resetPoint(point)
  // Not optional there: what is not sent is 0.
  if (shape === 'summary') point.sum = 0
  places.from = places.to = -1
  places.scattered = false
  const attributes = ATTRIBUTES[shape]
  const flags = FLAGS[shape]
  const exemplars = EXEMPLARS[shape]
  let tagAt = reader.at
  for (let tag = reader.next(); tag !== 0; tagAt = reader.at, tag = reader.next()) {
    if (tag === attributes) {
      if (places.from < 0) places.from = tagAt
      else if (tagAt !== places.to) places.scattered = true
      reader.take(reader.uint32())
      places.to = reader.at
    } else if (tag === TIME) point.timeMs = millisAt(reader.view, reader.take(8))
    else if (tag === flags) point.flags = reader.uint32()
    else if (tag === exemplars) {
      point.exemplars++
      reader.skip(tag)
    } else if (shape === 'gauge' || shape === 'sum') readNumberField(reader, tag, point)
    else if (shape === 'histogram') readHistogramField(reader, tag, point)
    else if (shape === 'exponential') readExponentialField(reader, tag, point)
    else readSummaryField(reader, tag, point)
  }
}

function readNumberField(reader: ProtobufReader, tag: number, point: PointValues): void {
  if (tag === 0x21) point.value = reader.double()
  else if (tag === 0x31) point.value = signedAt(reader.view, reader.take(8))
  else {
    reader.skip(tag)
    return
  }
  point.valued = true
}

function readHistogramField(reader: ProtobufReader, tag: number, point: PointValues): void {
  if (tag === 0x21) point.count = unsignedAt(reader.view, reader.take(8))
  else if (tag === 0x29) point.sum = reader.double()
  else if (tag === 0x32 || tag === 0x31) readFixed(reader, tag, point.counts, unsignedAt)
  else if (tag === 0x3a || tag === 0x39) readFixed(reader, tag, point.bounds, doubleAt)
  else reader.skip(tag)
}

function readExponentialField(reader: ProtobufReader, tag: number, point: PointValues): void {
  if (tag === 0x21) point.count = unsignedAt(reader.view, reader.take(8))
  else if (tag === 0x29) point.sum = reader.double()
  else if (tag === 0x30) point.scale = zigzag(reader.uint32())
  else if (tag === 0x39) point.zeroCount = unsignedAt(reader.view, reader.take(8))
  else if (tag === 0x42) point.offset = readBuckets(reader, point.counts, point.offset)
  else if (tag === 0x4a) point.negativeOffset = readBuckets(reader, point.negativeCounts, point.negativeOffset)
  else if (tag === 0x71) point.zeroThreshold = reader.double()
  else reader.skip(tag)
}

function readSummaryField(reader: ProtobufReader, tag: number, point: PointValues): void {
  if (tag === 0x21) point.count = unsignedAt(reader.view, reader.take(8))
  else if (tag === 0x29) point.sum = reader.double()
  else if (tag === 0x32) {
    const outer = reader.enter()
    let quantile = 0
    let value = 0
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 0x09) quantile = reader.double()
      else if (field === 0x11) value = reader.double()
      else reader.skip(field)
    }
    reader.leave(outer)
    if (point.quantiles.length <= 2 * MAX_QUANTILES) point.quantiles.push(quantile, value)
  } else reader.skip(tag)
}

/** Returns the offset: of a message that comes twice the later one counts, and the counts are one list. */
function readBuckets(reader: ProtobufReader, counts: number[], offset: number): number {
  const outer = reader.enter()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x08) offset = zigzag(reader.uint32())
    else if (tag === 0x10 && counts.length <= MAX_BUCKETS) counts.push(unsigned(reader))
    else if (tag === 0x12) {
      const packed = reader.enter()
      while (reader.at < reader.end && counts.length <= MAX_BUCKETS) counts.push(unsigned(reader))
      reader.leave(packed)
    } else reader.skip(tag)
  }
  reader.leave(outer)
  return offset
}

/** A repeated fixed64 or double, packed or not. One more than is allowed, so that there being too many is seen. */
function readFixed(reader: ProtobufReader, tag: number, into: number[], at: (view: DataView, at: number) => number): void {
  if ((tag & 7) === 1) {
    const from = reader.take(8)
    if (into.length <= MAX_BUCKETS) into.push(at(reader.view, from))
    return
  }
  const length = reader.uint32()
  const from = reader.take(length)
  if (length % 8 !== 0) throw malformed('a list of 64-bit numbers has a part of one')
  for (let i = from; i < from + length && into.length <= MAX_BUCKETS; i += 8) into.push(at(reader.view, i))
}

/** All attributes of a point, decoded, later ones of a name winning. Those that are no scalars become JSON, as Prometheus has it. */
export function readAttributes(
  reader: ProtobufReader,
  shape: MetricShape,
  start: number,
  end: number,
  context: DecodeContext,
): [string, string][] {
  const { at, end: outerEnd } = reader
  // One more than is allowed, so that what is too long is seen to be. A character has at most four bytes.
  const maxBytes = (context.limits.maxLabelValueChars + 1) * 4
  const attributes = new Map<string, string>()
  reader.at = start
  reader.end = end
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag !== ATTRIBUTES[shape] || attributes.size >= MAX_ATTRIBUTES) {
      reader.skip(tag)
      continue
    }
    const outer = reader.enter()
    let name = ''
    let value: unknown = ''
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 0x0a) name = reader.text(maxBytes)
      else if (field === 0x12) value = readAnyValue(reader, maxBytes)
      else reader.skip(field)
    }
    reader.leave(outer)
    attributes.set(name, attributeText(value))
  }
  reader.at = at
  reader.end = outerEnd
  return [...attributes]
}

export function attributeText(value: unknown): string {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' ? value : JSON.stringify(plain(value))
}

function plain(value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]))
  return Array.isArray(value) ? value.map(plain) : value
}

/** fixed64 nanoseconds in whole milliseconds, exactly: 2^32 = 4294 × 10^6 + 967296. */
function millisAt(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true)
  return high * 4294 + Math.floor((high * 967296 + view.getUint32(at, true)) / 1e6)
}

function unsignedAt(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true)
}

function signedAt(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 4294967296 + view.getUint32(at, true)
}

function doubleAt(view: DataView, at: number): number {
  return view.getFloat64(at, true)
}

/** A uint64 varint: int64 has it negative from 2^63 on. */
function unsigned(reader: ProtobufReader): number {
  const value = reader.int64()
  return value < 0 ? value + 2 ** 64 : value
}

function zigzag(value: number): number {
  return (value >>> 1) ^ -(value & 1)
}
