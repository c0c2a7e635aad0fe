/**
 * From labels to a series that is admitted: checked against the limits, cleaned, sorted, named by service and instance, and counted against
 * the budgets. Every door that takes metrics ends here, so that one label set is one series however it came.
 */
import type { Series, SeriesType } from '../../model.ts'
import { seriesKey } from '../../series-key.ts'
import { cleanText } from '../wire/clean-text.ts'
import type { MetricColumns } from '../columns.ts'
import type { DecodeContext } from '../decode-context.ts'
import type { Distribution } from './native-histogram.ts'
import type { HistogramPieces, SeriesEntry } from './series-registry.ts'

/** Why a label cannot be taken, or ''. `count`: labels of the series before it. */
export function labelFault(count: number, name: string, value: string, context: DecodeContext): string {
  const { maxLabels, maxLabelNameChars, maxLabelValueChars } = context.limits
  if (count >= maxLabels) return 'too-many-labels'
  if (name === '') return 'empty-label-name'
  if (name.length > maxLabelNameChars) return 'label-name-too-long'
  return value.length > maxLabelValueChars ? 'label-value-too-long' : ''
}

/** Makes a series of labels in any order (`__name__` among them), which are sorted in place; or says why it is not taken. */
export function admitSeries(pairs: [string, string][], context: DecodeContext, type: SeriesType = 'unknown'): SeriesEntry | string {
  pairs.sort(byName)
  const labels: [string, string][] = []
  let name = ''
  for (let i = 0; i < pairs.length; i++) {
    const [label, raw] = pairs[i]!
    if (i > 0 && pairs[i - 1]![0] === label) return 'duplicate-label'
    const value = cleanText(raw, context.limits.maxLabelValueChars)
    if (label === '__name__') name = value
    else labels.push([cleanText(label, context.limits.maxLabelNameChars), value])
  }
  if (name === '') return 'no-name'
  const lookup = (wanted: string) => labels.find((pair) => pair[0] === wanted)?.[1]
  const service = context.naming.metricService(lookup)
  if (!context.services.admit(service, context.receivedMs)) return 'service-limit'
  const series: Series = { key: seriesKey(name, labels), name, type, labels, service, instance: context.naming.metricInstance(lookup) }
  return context.series.admit(series, context.receivedMs)
}

/** What the pieces of a histogram are: counted since the start, or since the sample before. */
export interface DistributionTypes {
  /** Of `_count` and `_sum`. */
  readonly count: SeriesType
  /** Of `_bucket`. */
  readonly bucket: SeriesType
}

/** Bounds follow what was observed. */
export const CUMULATIVE_SKETCH: DistributionTypes = { count: 'counter', bucket: 'sketch' }
/** Bounds were set by people. */
export const CUMULATIVE_BUCKETS: DistributionTypes = { count: 'counter', bucket: 'counter' }
export const DELTA: DistributionTypes = { count: 'delta', bucket: 'delta' }

/** Bounds of earlier samples are kept up to here; beyond it only those of the latest. */
const MAX_BOUNDS = 32
/** A histogram that came as ready-made buckets within this time is not counted a second time. */
const ALSO_CLASSIC_MS = 120_000

/**
 * Writes a distribution as the rows of a classic histogram: `NAME_count`, `NAME_sum` and `NAME_bucket{le="…"}` for each bound and +Inf,
 * where `base` is the label set under NAME itself, which has no rows and counts as one series more. Returns why it is not taken,
 * or ''. A bound that was used stays in use, so that its count goes on; for a new one above all before it the sample before is written, too,
 * because what it had then is known, and the first slow requests are not lost.
 */
export function pushDistribution(
  columns: MetricColumns,
  base: SeriesEntry,
  timeMs: number,
  distribution: Distribution,
  types: DistributionTypes,
  context: DecodeContext,
): string {
  let { pieces } = base
  if (pieces !== undefined && types.bucket !== 'counter' && context.receivedMs - pieces.all.classicMs < ALSO_CLASSIC_MS) {
    context.skipped.add('histogram-also-classic')
    // It is there all the same: forgotten as idle, its next sample would be taken for the first, which is written.
    base.seenMs = context.receivedMs
    return ''
  }
  if (pieces === undefined || pieces.all.series.type !== types.bucket) {
    // Also where its sender has gone over to another temporality.
    const fresh = newPieces(base, types, context)
    if (typeof fresh === 'string') return fresh
    pieces = fresh
  }
  base.pieces = pieces
  base.seenMs = context.receivedMs
  const { bounds, cumulative, count, sum } = distribution
  if (!covers(pieces.bounds, distribution)) {
    const fault = widen(columns, base, pieces, timeMs, distribution, types, context)
    if (fault !== '') return fault
  }
  columns.add(pieces.count, timeMs, count, false)
  columns.add(pieces.sum, timeMs, sum, false)
  const kept = pieces.bounds
  let at = 0
  for (let i = 0; i < kept.length; i++) {
    while (at < bounds.length && bounds[at]! < kept[i]!) at++
    const upTo = at === bounds.length ? count : bounds[at] === kept[i] ? cumulative[at]! : 0
    columns.add(pieces.buckets[i]!, timeMs, upTo, false)
  }
  columns.add(pieces.all, timeMs, count, false)
  if (timeMs >= pieces.timeMs) {
    pieces.timeMs = timeMs
    pieces.total = count
  }
  return ''
}

/**
 * A histogram of what is there now (queue lengths, ages): `NAME_gcount` and `NAME_gsum` as gauges, as OpenMetrics names them. Its buckets are
 * left out: quantiles are made of what buckets gained, and these do not only gain.
 */
export function pushGaugeDistribution(
  columns: MetricColumns,
  base: SeriesEntry,
  timeMs: number,
  { count, sum }: Distribution,
  context: DecodeContext,
): string {
  if (base.gauges === undefined) {
    const counts = siblingSeries(base, '_gcount', '', 'gauge', context)
    if (typeof counts === 'string') return counts
    const sums = siblingSeries(base, '_gsum', '', 'gauge', context)
    if (typeof sums === 'string') return sums
    base.gauges = [counts, sums]
  }
  base.seenMs = context.receivedMs
  columns.add(base.gauges[0], timeMs, count, false)
  columns.add(base.gauges[1], timeMs, sum, false)
  return ''
}

/** The histogram is gone: so is each of its series. */
export function pushStaleDistribution(columns: MetricColumns, base: SeriesEntry, timeMs: number): void {
  const { pieces, gauges } = base
  if (gauges !== undefined) for (const gauge of gauges) columns.add(gauge, timeMs, Number.NaN, true)
  if (pieces === undefined) return
  columns.add(pieces.count, timeMs, Number.NaN, true)
  columns.add(pieces.sum, timeMs, Number.NaN, true)
  for (const bucket of pieces.buckets) columns.add(bucket, timeMs, Number.NaN, true)
  columns.add(pieces.all, timeMs, Number.NaN, true)
  pieces.timeMs = 0
}

/** A series like `base`, but for its name, its type and perhaps its `le`. */
export function siblingSeries(
  base: SeriesEntry,
  suffix: string,
  le: string,
  type: SeriesType,
  context: DecodeContext,
): SeriesEntry | string {
  const { name, service, instance } = base.series
  const labels =
    le === '' ? base.series.labels : [...base.series.labels.filter(([label]) => label !== 'le'), ['le', le] as const].sort(byName)
  const own = name + suffix
  const entry = context.series.admit({ key: seriesKey(own, labels), name: own, type, labels, service, instance }, context.receivedMs)
  if (typeof entry !== 'string' && type !== 'unknown') context.series.setType(entry, type)
  return entry
}

function newPieces(base: SeriesEntry, types: DistributionTypes, context: DecodeContext): HistogramPieces | string {
  const count = siblingSeries(base, '_count', '', types.count, context)
  if (typeof count === 'string') return count
  const sum = siblingSeries(base, '_sum', '', types.count, context)
  if (typeof sum === 'string') return sum
  const all = siblingSeries(base, '_bucket', '+Inf', types.bucket, context)
  if (typeof all === 'string') return all
  return { count, sum, all, bounds: new Float64Array(0), buckets: [], timeMs: 0, total: 0 }
}

/** Whether a distribution tells how many there were at each of the bounds in use, and needs no others. */
function covers(kept: Float64Array, distribution: Distribution): boolean {
  const { bounds } = distribution
  let at = 0
  for (let i = 0; i < kept.length; i++) {
    if (at < bounds.length && bounds[at] === kept[i]) at++
    else if (at === 0 ? !tellsBelow(distribution) : at < bounds.length) return false
  }
  return at === bounds.length
}

/** Nobody is below the first bound, so that there is nobody at any lower one either. */
function tellsBelow({ bounds, cumulative, count }: Distribution): boolean {
  return bounds.length === 0 ? count === 0 : cumulative[0] === 0
}

/** Adds the bounds of a distribution to those in use, and drops those at which it does not tell how many there were. */
function widen(
  columns: MetricColumns,
  base: SeriesEntry,
  pieces: HistogramPieces,
  timeMs: number,
  distribution: Distribution,
  types: DistributionTypes,
  context: DecodeContext,
): string {
  const { bounds, count } = distribution
  const old = pieces.bounds
  const first = bounds[0] ?? Number.POSITIVE_INFINITY
  const last = bounds.at(-1) ?? Number.NEGATIVE_INFINITY
  const wanted = new Set(bounds)
  for (const bound of old) if (bound > last || (bound < first && tellsBelow(distribution))) wanted.add(bound)
  const next = wanted.size > MAX_BOUNDS ? bounds : Float64Array.from(wanted).sort()
  // The latest sample came before this one and counted no more: nothing was reset between them.
  const follows = pieces.timeMs > 0 && pieces.timeMs < timeMs && pieces.total <= count && types.bucket !== 'delta'
  const oldTop = old.at(-1) ?? Number.POSITIVE_INFINITY
  const buckets: SeriesEntry[] = []
  for (const bound of next) {
    const at = old.indexOf(bound)
    const bucket = at >= 0 ? pieces.buckets[at]! : siblingSeries(base, '_bucket', String(bound), types.bucket, context)
    if (typeof bucket === 'string') return bucket
    buckets.push(bucket)
  }
  if (follows) {
    for (let i = next.length - 1; i >= 0 && next[i]! > oldTop; i--) columns.add(buckets[i]!, pieces.timeMs, pieces.total, false)
  }
  pieces.bounds = next
  pieces.buckets = buckets
  return ''
}

export function byName(a: readonly [string, string], b: readonly [string, string]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0
}
