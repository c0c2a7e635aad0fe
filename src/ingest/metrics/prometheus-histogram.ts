/**
 * The native histogram message of remote write, the same in 1.0 and 2.0: read, checked as Prometheus checks it, and made a distribution.
 * https://github.com/prometheus/prometheus/blob/main/prompb/types.proto, https://prometheus.io/docs/specs/native_histograms/
 */
import { NO_BUCKETS, explicitGrid, gridOf } from './native-histogram.ts'
import type { Buckets, Distribution } from './native-histogram.ts'
import { malformed } from '../wire/protobuf-reader.ts'
import type { ProtobufReader } from '../wire/protobuf-reader.ts'

/** Buckets have bounds of their own. */
const CUSTOM_BUCKETS = -53
const LEAST_SCHEMA = -4
const MOST_SCHEMA = 52
const RESET_HINT_GAUGE = 3
/** Histograms with more buckets than this are refused; Prometheus makes 160 by default. */
const MAX_BUCKETS = 65_536

interface Side {
  /** Pairs of offset and length. */
  readonly spans: number[]
  /** Of integer histograms: each the difference to the one before. */
  readonly deltas: number[]
  /** Of float histograms. */
  readonly counts: number[]
}

/** As it came. The same object is filled again and again. */
export class PrometheusHistogram {
  timeMs = 0
  startMs = 0
  stale = false
  gauge = false
  /** Its bounds were set by people. */
  custom = false
  /** As the field of its count says, the last if there are both. */
  #isFloat = false
  #zeroIsFloat = false
  #count = 0
  #sum = 0
  #schema = 0
  #zeroThreshold = 0
  #zeroCount = 0
  readonly #positive: Side = { spans: [], deltas: [], counts: [] }
  readonly #negative: Side = { spans: [], deltas: [], counts: [] }
  readonly #bounds: number[] = []

  /** The message that comes next in `reader`, its length first. */
  read(reader: ProtobufReader): void {
    this.#clear()
    const outer = reader.enter()
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) this.#field(reader, tag)
    reader.leave(outer)
  }

  /** What it says, or why it cannot be. */
  distribution(): Distribution | string {
    const schema = this.#schema
    const { custom } = this
    // Of the other kind than the count it is none, as with Prometheus.
    if (this.#zeroIsFloat !== this.#isFloat) this.#zeroCount = 0
    if (!custom && (schema < LEAST_SCHEMA || schema > MOST_SCHEMA)) return 'histogram-schema'
    if (!(this.#zeroCount >= 0) || !(this.#count >= 0)) return 'histogram-negative-count'
    const positive = bucketsOf(this.#positive, this.#isFloat, custom)
    if (typeof positive === 'string') return positive
    const negative = bucketsOf(this.#negative, this.#isFloat, custom)
    if (typeof negative === 'string') return negative
    const observed = total(positive) + total(negative) + this.#zeroCount
    // Observations of NaN are counted and are in no bucket; sums of floats do not come out to the last bit.
    const matches = this.#isFloat
      ? Math.abs(observed - this.#count) <= 1e-6 * Math.max(1, this.#count) || Number.isNaN(this.#sum)
      : Number.isNaN(this.#sum)
        ? observed <= this.#count
        : observed === this.#count
    if (!matches) return 'histogram-count-mismatch'
    if (!custom) return gridOf(schema, this.#zeroThreshold, this.#zeroCount, positive, negative, this.#count, this.#sum)
    if (this.#zeroCount > 0 || negative.counts.length > 0) return 'histogram-custom-bounds'
    return this.#withBounds(positive)
  }

  #withBounds(buckets: Buckets): Distribution | string {
    const bounds = this.#bounds
    for (let i = 0; i < bounds.length; i++) {
      if (!Number.isFinite(bounds[i]!) || (i > 0 && bounds[i]! <= bounds[i - 1]!)) return 'histogram-custom-bounds'
    }
    const counts = new Float64Array(bounds.length + 1)
    for (let i = 0; i < buckets.counts.length; i++) {
      const at = buckets.indexes[i]!
      if (at < 0 || at > bounds.length) return 'histogram-custom-bounds'
      counts[at] = buckets.counts[i]!
    }
    return explicitGrid(bounds, counts, this.#count, this.#sum)
  }

  #clear(): void {
    this.timeMs = 0
    this.startMs = 0
    this.stale = false
    this.gauge = false
    this.custom = false
    this.#isFloat = false
    this.#zeroIsFloat = false
    this.#count = 0
    this.#sum = 0
    this.#schema = 0
    this.#zeroThreshold = 0
    this.#zeroCount = 0
    this.#bounds.length = 0
    for (const side of [this.#positive, this.#negative]) {
      side.spans.length = 0
      side.deltas.length = 0
      side.counts.length = 0
    }
  }

  #field(reader: ProtobufReader, tag: number): void {
    const { view } = reader
    switch (tag) {
      case 0x08:
        this.#isFloat = false
        this.#count = reader.int64()
        break
      case 0x11:
        this.#isFloat = true
        this.#count = reader.double()
        break
      case 0x19: {
        const at = reader.take(8)
        this.stale = view.getUint32(at, true) === 2 && view.getUint32(at + 4, true) === 0x7ff00000
        this.#sum = view.getFloat64(at, true)
        break
      }
      case 0x20:
        this.#schema = zigzag32(reader.uint32())
        this.custom = this.#schema === CUSTOM_BUCKETS
        break
      case 0x29:
        this.#zeroThreshold = reader.double()
        break
      case 0x30:
        this.#zeroIsFloat = false
        this.#zeroCount = reader.int64()
        break
      case 0x39:
        this.#zeroIsFloat = true
        this.#zeroCount = reader.double()
        break
      case 0x42:
        readSpan(reader, this.#negative.spans)
        break
      case 0x48:
      case 0x4a:
        readDeltas(reader, tag, this.#negative.deltas)
        break
      case 0x51:
      case 0x52:
        readDoubles(reader, tag, this.#negative.counts)
        break
      case 0x5a:
        readSpan(reader, this.#positive.spans)
        break
      case 0x60:
      case 0x62:
        readDeltas(reader, tag, this.#positive.deltas)
        break
      case 0x69:
      case 0x6a:
        readDoubles(reader, tag, this.#positive.counts)
        break
      case 0x70:
        this.gauge = reader.uint32() === RESET_HINT_GAUGE
        break
      case 0x78:
        this.timeMs = reader.int64()
        break
      case 0x81:
      case 0x82:
        readDoubles(reader, tag, this.#bounds)
        break
      case 0x88:
        this.startMs = reader.int64()
        break
      default:
        reader.skip(tag)
    }
  }
}

function readSpan(reader: ProtobufReader, spans: number[]): void {
  const outer = reader.enter()
  let offset = 0
  let length = 0
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x08) offset = zigzag32(reader.uint32())
    else if (tag === 0x10) length = reader.uint32()
    else reader.skip(tag)
  }
  reader.leave(outer)
  if (spans.length >= MAX_BUCKETS) throw malformed('a histogram has too many spans')
  spans.push(offset, length)
}

function readDeltas(reader: ProtobufReader, tag: number, to: number[]): void {
  if ((tag & 7) === 0) to.push(zigzag64(reader.int64()))
  else {
    const outer = reader.enter()
    while (reader.at < reader.end && to.length <= MAX_BUCKETS) to.push(zigzag64(reader.int64()))
    reader.leave(outer)
  }
  if (to.length > MAX_BUCKETS) throw malformed('a histogram has too many buckets')
}

function readDoubles(reader: ProtobufReader, tag: number, to: number[]): void {
  if ((tag & 7) === 1) to.push(reader.double())
  else {
    const outer = reader.enter()
    while (reader.at < reader.end && to.length <= MAX_BUCKETS) to.push(reader.double())
    reader.leave(outer)
  }
  if (to.length > MAX_BUCKETS) throw malformed('a histogram has too many buckets')
}

/** Spans and their counts as buckets with indexes; Prometheus names a bucket by its upper bound, custom ones by their place. */
function bucketsOf(side: Side, isFloat: boolean, custom: boolean): Buckets | string {
  const raw = isFloat ? side.counts : side.deltas
  if (side.spans.length === 0 && raw.length === 0) return NO_BUCKETS
  const indexes: number[] = []
  const counts: number[] = []
  let index = custom ? 0 : -1
  let running = 0
  for (let span = 0; span < side.spans.length; span += 2) {
    const offset = side.spans[span]!
    const length = side.spans[span + 1]!
    if (span > 0 && offset < 0) return 'histogram-spans'
    index += offset
    if (length > raw.length - counts.length) return 'histogram-spans'
    for (let i = 0; i < length; i++) {
      const value = raw[counts.length]!
      running = isFloat ? value : running + value
      if (!(running >= 0)) return 'histogram-negative-count'
      indexes.push(index++)
      counts.push(running)
    }
  }
  return counts.length === raw.length ? { indexes, counts } : 'histogram-spans'
}

function total({ counts }: Buckets): number {
  let sum = 0
  for (let i = 0; i < counts.length; i++) sum += counts[i]!
  return sum
}

function zigzag32(value: number): number {
  return (value >>> 1) ^ -(value & 1)
}

/** `int64` gives what is 2^63 or more as a negative number. Exact for counts up to 2^52. */
function zigzag64(value: number): number {
  const unsigned = value < 0 ? value + 2 ** 64 : value
  return unsigned % 2 === 0 ? unsigned / 2 : -(unsigned + 1) / 2
}
