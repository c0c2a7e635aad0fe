/**
 * From an OTLP metric, its resource and the attributes of a data point to a series under the names that Prometheus gives it. Service and
 * instance come from the resource by the rules that spans and logs go by; `job` and `instance` are what Prometheus makes of it.
 * https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#resource-attributes
 */
import type { Series, SeriesType } from '../../model.ts'
import { seriesKey } from '../../series-key.ts'
import { cleanText } from '../wire/clean-text.ts'
import type { DecodeContext } from '../decode-context.ts'
import { byName, labelFault } from './metric-series.ts'
import { sourceOf } from '../otlp/otlp-protobuf.ts'
import type { Attributes } from '../otlp/otlp-protobuf.ts'
import { prometheusLabel, prometheusName } from './prometheus-names.ts'
import type { SeriesEntry } from './series-registry.ts'

export type MetricShape = 'gauge' | 'sum' | 'histogram' | 'exponential' | 'summary'

export const Temporality = { unspecified: 0, delta: 1, cumulative: 2 } as const

/** What is common to the data points of one metric. */
export interface MetricFamily {
  readonly name: string
  readonly unit: string
  readonly shape: MetricShape
  /** Of sums and histograms. */
  readonly temporality: number
  /** Of sums. */
  readonly monotonic: boolean
}

/** Of a resource: what its series are called by. */
export interface MetricResource {
  readonly service: string
  readonly instance: string
  readonly job: string
  readonly instanceLabel: string
}

export function resourceOf(attributes: Attributes, context: DecodeContext): MetricResource {
  const { service, instance } = sourceOf(attributes, context)
  const name = attributes.get('service.name') ?? ''
  const namespace = attributes.get('service.namespace') ?? ''
  const id = attributes.get('service.instance.id') ?? ''
  // Without these two Prometheus has no label, and the series of all such resources would be one: what the rules found tells them apart.
  const job = name === '' ? (service === context.naming.named('') ? '' : service) : namespace === '' ? name : `${namespace}/${name}`
  return { service, instance, job, instanceLabel: id === '' ? instance : id }
}

/** Of the series that is written for a number, and under which a histogram or summary has its pieces. */
export function typeOfFamily({ shape, temporality, monotonic }: MetricFamily): SeriesType {
  if (shape === 'gauge') return 'gauge'
  if (shape !== 'sum') return 'unknown'
  if (temporality === Temporality.delta) return 'delta'
  return monotonic ? 'counter' : 'gauge'
}

/** Why no data point of the metric is taken, or ''. A name that is too long is seen here, once, and not translated for each point. */
export function familyFault({ name, unit, shape, temporality }: MetricFamily, context: DecodeContext): string {
  if (name === '') return 'no-name'
  const { maxLabelValueChars } = context.limits
  if (name.length > maxLabelValueChars || unit.length > maxLabelValueChars) return 'label-value-too-long'
  const aggregated = shape === 'sum' || shape === 'histogram' || shape === 'exponential'
  return aggregated && temporality !== Temporality.delta && temporality !== Temporality.cumulative ? 'no-temporality' : ''
}

/**
 * The series of a data point; or why it is not taken. `attributes` as they were sent. `suffix` and `quantile` make the pieces of a summary.
 */
export function admitPoint(
  family: MetricFamily,
  resource: MetricResource,
  attributes: readonly (readonly [name: string, value: string])[],
  context: DecodeContext,
  suffix: '' | '_sum' | '_count' = '',
  quantile = '',
): SeriesEntry | string {
  const { shape, monotonic } = family
  const named = shape === 'gauge' ? 'gauge' : shape === 'sum' && monotonic ? 'counter' : 'other'
  const name = prometheusName(family.name, family.unit, named)
  if (name === '') return 'no-name'
  if (name.length > context.limits.maxLabelValueChars) return 'label-value-too-long'
  const labels = labelsOf(resource, attributes, quantile, context)
  if (typeof labels === 'string') return labels
  if (!context.services.admit(resource.service, context.receivedMs)) return 'service-limit'
  const own = cleanText(name + suffix, context.limits.maxLabelValueChars)
  const type = shape === 'summary' && suffix === '' ? 'gauge' : typeOfFamily(family)
  const series: Series = { key: seriesKey(own, labels), name: own, type, labels, service: resource.service, instance: resource.instance }
  const entry = context.series.admit(series, context.receivedMs)
  if (typeof entry !== 'string' && type !== 'unknown') context.series.setType(entry, type)
  return entry
}

function labelsOf(
  resource: MetricResource,
  attributes: readonly (readonly [string, string])[],
  quantile: string,
  context: DecodeContext,
): [string, string][] | string {
  const labels = new Map<string, string>()
  // Values whose names become the same are joined in the order of the names that were sent.
  const sorted = [...attributes].sort(byName)
  for (const [raw, value] of sorted) {
    const fault = labelFault(labels.size, raw, value, context)
    if (fault !== '') return fault
    if (value === '') continue
    const label = prometheusLabel(raw)
    if (label === '') return 'empty-label-name'
    if (label === '__name__') continue
    const known = labels.get(label)
    labels.set(label, known === undefined ? value : `${known};${value}`)
  }
  if (resource.job !== '') labels.set('job', resource.job)
  if (resource.instanceLabel !== '') labels.set('instance', resource.instanceLabel)
  if (quantile !== '') labels.set('quantile', quantile)
  const { maxLabelNameChars, maxLabelValueChars } = context.limits
  const pairs: [string, string][] = []
  for (const [label, value] of labels) pairs.push([cleanText(label, maxLabelNameChars), cleanText(value, maxLabelValueChars)])
  return pairs.sort(byName)
}
