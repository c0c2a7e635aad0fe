/**
 * From labels to a series that is admitted: checked against the limits, cleaned, sorted, named by service and instance, and counted against
 * the budgets. Every door that takes metrics ends here, so that one label set is one series however it came.
 */
import type { Series, SeriesType } from '../model.ts'
import { seriesKey } from '../series-key.ts'
import { cleanText } from './clean-text.ts'
import type { DecodeContext } from './decode-context.ts'
import type { SeriesEntry } from './series-registry.ts'

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

function byName(a: readonly [string, string], b: readonly [string, string]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0
}
