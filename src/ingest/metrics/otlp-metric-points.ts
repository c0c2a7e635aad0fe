/**
 * Data points of OTLP metrics as rows: what protobuf and JSON read alike becomes the same samples. A point that cannot be taken is
 * counted by its reason, and costs the others nothing. https://opentelemetry.io/docs/specs/otel/metrics/data-model/
 */
import type { MetricColumns } from '../columns.ts'
import { timeFault } from '../decode-context.ts'
import type { DecodeContext } from '../decode-context.ts'
import { CUMULATIVE_BUCKETS, CUMULATIVE_SKETCH, DELTA, pushDistribution, pushStaleDistribution } from './metric-series.ts'
import { NO_BUCKETS, denseBuckets, explicitGrid, gridOf } from './native-histogram.ts'
import { Temporality } from './otlp-metric-series.ts'
import type { MetricFamily } from './otlp-metric-series.ts'
import type { SeriesEntry } from './series-registry.ts'

/** DataPointFlags: the series has ended, or its source could not be asked. */
export const NO_RECORDED_VALUE = 1

/** A data point, reused from one to the next; which fields count depends on the metric. */
export interface PointValues {
  timeMs: number
  flags: number
  exemplars: number
  /** NaN where none was sent; `valued` tells it from one that is not a number. */
  value: number
  valued: boolean
  count: number
  /** NaN where none was sent. */
  sum: number
  bounds: number[]
  counts: number[]
  scale: number
  zeroCount: number
  zeroThreshold: number
  offset: number
  negativeOffset: number
  negativeCounts: number[]
  /** Of a summary, in turn: quantile, value. */
  quantiles: number[]
}

export function newPoint(): PointValues {
  const none = { bounds: [], counts: [], negativeCounts: [], quantiles: [] }
  const point = { ...none, timeMs: 0, flags: 0, exemplars: 0, value: 0, valued: false, count: 0, sum: 0 }
  return { ...point, scale: 0, zeroCount: 0, zeroThreshold: 0, offset: 0, negativeOffset: 0 }
}

export function resetPoint(point: PointValues): void {
  point.timeMs = point.flags = point.exemplars = point.count = point.scale = 0
  point.zeroCount = point.zeroThreshold = point.offset = point.negativeOffset = 0
  point.value = point.sum = Number.NaN
  point.valued = false
  if (point.bounds.length > 0) point.bounds = []
  if (point.counts.length > 0) point.counts = []
  if (point.negativeCounts.length > 0) point.negativeCounts = []
  if (point.quantiles.length > 0) point.quantiles = []
}

/** More than any sender's: the SDKs stop at 160 buckets, Prometheus at a few hundred. */
export const MAX_BUCKETS = 10_000
export const MAX_QUANTILES = 100
const MIN_SCALE = -11
const MAX_SCALE = 20

/** Why the point is not taken, or ''; looked at before its series is. */
export function pointFault({ shape }: MetricFamily, point: PointValues, context: DecodeContext): string {
  const fault = timeFault(point.timeMs, context)
  if (fault !== '' || (point.flags & NO_RECORDED_VALUE) !== 0) return fault
  switch (shape) {
    case 'gauge':
    case 'sum':
      return point.valued ? '' : 'no-value'
    case 'histogram':
      return explicitFault(point)
    case 'exponential':
      if (!(point.scale >= MIN_SCALE && point.scale <= MAX_SCALE)) return 'bad-scale'
      return point.counts.length + point.negativeCounts.length > MAX_BUCKETS ? 'too-many-buckets' : ''
    default:
      return point.quantiles.length > 2 * MAX_QUANTILES ? 'too-many-quantiles' : ''
  }
}

function explicitFault({ bounds, counts }: PointValues): string {
  if (counts.length > MAX_BUCKETS) return 'too-many-buckets'
  if (counts.length !== bounds.length + 1 && counts.length + bounds.length > 0) return 'bad-buckets'
  for (let i = 0; i < bounds.length; i++) {
    if (!Number.isFinite(bounds[i]!) || (i > 0 && !(bounds[i]! > bounds[i - 1]!))) return 'bad-bounds'
  }
  return ''
}

export function pushNumber(columns: MetricColumns, entry: SeriesEntry, point: PointValues): void {
  const stale = (point.flags & NO_RECORDED_VALUE) !== 0
  columns.add(entry, point.timeMs, stale ? Number.NaN : point.value, stale)
}

/** `base` is the series under the name of the metric itself. Returns why the point is not taken, or ''. */
export function pushHistogram(
  columns: MetricColumns,
  base: SeriesEntry,
  family: MetricFamily,
  point: PointValues,
  context: DecodeContext,
): string {
  if ((point.flags & NO_RECORDED_VALUE) !== 0) {
    base.seenMs = context.receivedMs
    pushStaleDistribution(columns, base, point.timeMs)
    return ''
  }
  const { shape, temporality } = family
  const { count, sum } = point
  const positive = denseBuckets(point.offset, point.counts)
  const negative = point.negativeCounts.length === 0 ? NO_BUCKETS : denseBuckets(point.negativeOffset, point.negativeCounts)
  const distribution =
    shape === 'histogram'
      ? explicitGrid(point.bounds, point.counts, count, sum)
      : gridOf(point.scale, point.zeroThreshold, point.zeroCount, positive, negative, count, sum)
  const types = temporality === Temporality.delta ? DELTA : shape === 'histogram' ? CUMULATIVE_BUCKETS : CUMULATIVE_SKETCH
  return pushDistribution(columns, base, point.timeMs, distribution, types, context)
}
