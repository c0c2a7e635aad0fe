/**
 * OTLP metrics in JSON, into the same batch as protobuf. 64-bit integers are text or numbers, doubles may be the texts NaN and Infinity.
 * https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
import { DecodeError } from '../../errors.ts'
import type { MetricBatch } from '../../model.ts'
import { MetricColumns } from '../columns.ts'
import type { DecodeContext } from '../decode-context.ts'
import { get, integer, isObject, jsonAnyValue, jsonAttributes, nanos, objects, rootGroups, text } from '../otlp/otlp-json.ts'
import type { JsonObject } from '../otlp/otlp-json.ts'
import { newPoint, pointFault, pushHistogram, pushNumber, resetPoint } from './otlp-metric-points.ts'
import type { PointValues } from './otlp-metric-points.ts'
import { attributeText } from './otlp-metric-reader.ts'
import { admitPoint, familyFault, resourceOf } from './otlp-metric-series.ts'
import type { MetricFamily, MetricResource, MetricShape } from './otlp-metric-series.ts'

const SHAPES: readonly (readonly [field: string, shape: MetricShape])[] = [
  ['gauge', 'gauge'],
  ['sum', 'sum'],
  ['histogram', 'histogram'],
  ['exponentialHistogram', 'exponential'],
  ['summary', 'summary'],
]

export function decodeOtlpMetricsJson(body: Uint8Array, context: DecodeContext): MetricBatch {
  const columns = new MetricColumns(context)
  const point = newPoint()
  for (const group of rootGroups(body, 'resourceMetrics')) {
    const described = get(group, 'resource')
    const resource = resourceOf(isObject(described) ? jsonAttributes(described) : new Map(), context)
    for (const scope of objects(group, 'scopeMetrics')) {
      for (const metric of objects(scope, 'metrics')) readMetric(metric, resource, point, columns, context)
    }
  }
  return columns.finish()
}

function readMetric(
  metric: JsonObject,
  resource: MetricResource,
  point: PointValues,
  columns: MetricColumns,
  context: DecodeContext,
): void {
  const found = SHAPES.find(([field]) => isObject(get(metric, field)))
  if (found === undefined) {
    context.skipped.add('empty-metric')
    return
  }
  const data = get(metric, found[0]) as JsonObject
  const shape = found[1]
  const aggregated = shape !== 'gauge' && shape !== 'summary'
  const family: MetricFamily = {
    name: text(metric, 'name'),
    unit: text(metric, 'unit'),
    shape,
    temporality: aggregated ? integer(data, 'aggregationTemporality') : 0,
    monotonic: shape === 'sum' && get(data, 'isMonotonic') === true,
  }
  const refused = familyFault(family, context)
  for (const item of objects(data, 'dataPoints')) {
    if (refused !== '') {
      context.rejected.add(refused)
      continue
    }
    resetPoint(point)
    readPoint(item, shape, point)
    if (point.exemplars > 0) context.skipped.add('exemplar', point.exemplars)
    const fault = pointFault(family, point, context) || push(item, family, resource, point, columns, context)
    if (fault !== '') context.rejected.add(fault)
  }
}

function push(
  item: JsonObject,
  family: MetricFamily,
  resource: MetricResource,
  point: PointValues,
  columns: MetricColumns,
  context: DecodeContext,
): string {
  const attributes = new Map<string, string>()
  for (const pair of objects(item, 'attributes')) attributes.set(text(pair, 'key'), attributeText(jsonAnyValue(get(pair, 'value'))))
  const all = [...attributes]
  if (family.shape === 'summary') return pushSummary(all, family, resource, point, columns, context)
  const entry = admitPoint(family, resource, all, context)
  if (typeof entry === 'string') return entry
  if (family.shape !== 'gauge' && family.shape !== 'sum') return pushHistogram(columns, entry, family, point, context)
  pushNumber(columns, entry, point)
  return ''
}

function pushSummary(
  attributes: [string, string][],
  family: MetricFamily,
  resource: MetricResource,
  point: PointValues,
  columns: MetricColumns,
  context: DecodeContext,
): string {
  const { quantiles } = point
  for (let i = -4; i < quantiles.length; i += 2) {
    const suffix = i === -4 ? '_count' : i === -2 ? '_sum' : ''
    const entry = admitPoint(family, resource, attributes, context, suffix, suffix === '' ? String(quantiles[i]!) : '')
    if (typeof entry === 'string') return entry
    point.value = suffix === '_count' ? point.count : suffix === '_sum' ? point.sum : quantiles[i + 1]!
    pushNumber(columns, entry, point)
  }
  return ''
}

function readPoint(item: JsonObject, shape: MetricShape, point: PointValues): void {
  point.timeMs = nanos(item, 'timeUnixNano').ms
  point.flags = integer(item, 'flags')
  if (shape !== 'summary') point.exemplars = objects(item, 'exemplars').length
  if (shape === 'gauge' || shape === 'sum') {
    const whole = get(item, 'asInt') !== undefined && get(item, 'asInt') !== null
    const field = whole ? 'asInt' : 'asDouble'
    point.value = whole ? integer(item, field) : number(get(item, field), field)
    point.valued = get(item, field) !== undefined && get(item, field) !== null
    return
  }
  point.count = integer(item, 'count')
  point.sum = number(get(item, 'sum'), 'sum', shape === 'summary' ? 0 : Number.NaN)
  if (shape === 'histogram') {
    point.counts = numbers(item, 'bucketCounts')
    point.bounds = numbers(item, 'explicitBounds')
  } else if (shape === 'exponential') {
    point.scale = integer(item, 'scale')
    point.zeroCount = integer(item, 'zeroCount')
    point.zeroThreshold = number(get(item, 'zeroThreshold'), 'zeroThreshold', 0)
    const positive = get(item, 'positive')
    const negative = get(item, 'negative')
    if (isObject(positive)) {
      point.offset = integer(positive, 'offset')
      point.counts = numbers(positive, 'bucketCounts')
    }
    if (isObject(negative)) {
      point.negativeOffset = integer(negative, 'offset')
      point.negativeCounts = numbers(negative, 'bucketCounts')
    }
  } else {
    for (const one of objects(item, 'quantileValues')) {
      point.quantiles.push(number(get(one, 'quantile'), 'quantile', 0), number(get(one, 'value'), 'value', 0))
    }
  }
}

function numbers(parent: JsonObject, field: string): number[] {
  const value = get(parent, field)
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw new DecodeError('malformed', `"${field}" must be an array of numbers`)
  return value.map((item) => number(item, field))
}

function number(value: unknown, field: string, missing = Number.NaN): number {
  if (value === undefined || value === null) return missing
  if (typeof value === 'number') return value
  const parsed = typeof value !== 'string' || value.trim() === '' ? Number.NaN : value === 'NaN' ? Number.NaN : Number(value)
  if (Number.isNaN(parsed) && value !== 'NaN') throw new DecodeError('malformed', `"${field}" must be a number`)
  return parsed
}
