/**
 * What an incident is called and who feels what, from the anomalies and alerts that are felt. Every number in it is one of an anomaly.
 */
import type { Alert, Anomaly, Severity } from '../model.ts'
import { oneLine } from '../wording.ts'
import { alertPages, severityOfAnomaly, severityRank, worse } from './severity.ts'
import type { Graph } from './topology.ts'
import { failingShare, formatDuration, formatPercent, formatValue, latencyMs, listed, named } from './wording.ts'

export interface Impression {
  readonly title: string
  readonly impact: string
  readonly severity: Severity
  /** Worst first. */
  readonly services: readonly string[]
}

interface Felt {
  readonly service: string
  readonly severity: Severity
  readonly isEntry: boolean
  readonly isAlert: boolean
  /** About all that the service does, not one operation. */
  readonly isWide: boolean
  readonly symptom: string
  readonly score: number
  readonly id: string
  readonly text: string
}

/** `anomalies` and `alerts` are those of the incident, over or not: an incident is named after the worst of its life. */
export function impressionOf(anomalies: readonly Anomaly[], alerts: readonly Alert[], graph: Graph): Impression {
  const felt: Felt[] = []
  for (const anomaly of anomalies) {
    if (!anomaly.impact) continue
    const isEntry = graph.isEntry(anomaly.service)
    const score = Number.isFinite(anomaly.score) ? anomaly.score : 0
    felt.push({
      service: anomaly.service,
      severity: severityOfAnomaly(anomaly, isEntry),
      isEntry,
      isAlert: false,
      isWide: operationOf(anomaly) === '',
      symptom: anomaly.symptom,
      score,
      id: anomaly.id,
      text: symptomText(anomaly, operationOf(anomaly)),
    })
  }
  for (const alert of alerts) {
    if (!alertPages(alert)) continue
    const text = oneLine(alert.summary === '' ? alert.name : alert.summary, 140)
    const isEntry = graph.isEntry(alert.service)
    felt.push({
      service: alert.service,
      severity: alert.severity,
      isEntry,
      isAlert: true,
      isWide: true,
      symptom: 'alert',
      score: 0,
      id: alert.id,
      text,
    })
  }
  felt.sort(worstFirst)
  const worst = felt[0]
  const services = [...new Set(felt.map((one) => one.service).filter((service) => service !== ''))]
  if (worst === undefined) return { title: 'Nothing is felt', impact: '', severity: 'info', services }
  return {
    title: titled(worst),
    impact: impactText(felt, worst, services),
    severity: felt.reduce<Severity>((severity, one) => worse(severity, one.severity), 'info'),
    services,
  }
}

/** What people outside feel comes before what services feel of each other, what was measured before what another system says. */
function worstFirst(a: Felt, b: Felt): number {
  return (
    severityRank(b.severity) - severityRank(a.severity) ||
    Number(b.isEntry) - Number(a.isEntry) ||
    Number(a.isAlert) - Number(b.isAlert) ||
    Number(b.isWide) - Number(a.isWide) ||
    b.score - a.score ||
    (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
  )
}

function titled(felt: Felt): string {
  return oneLine(felt.service === '' ? felt.text : `${named(felt.service)}: ${felt.text}`, 200)
}

function impactText(felt: readonly Felt[], worst: Felt, services: readonly string[]): string {
  const who = worst.isEntry
    ? `Users of ${named(worst.service)} feel it`
    : worst.service === ''
      ? 'An alert says so'
      : worst.symptom === 'saturation'
        ? `Work piles up at ${named(worst.service)}`
        : `Callers of ${named(worst.service)} feel it`
  const alsoHere = felt.find((one) => one.service === worst.service && !one.isAlert && one.symptom !== worst.symptom)
  const others = services.filter((service) => service !== worst.service)
  const also = others.length === 0 ? '' : ` Also affected: ${listed(others, 5)}.`
  return `${who}: ${worst.text}${alsoHere === undefined ? '' : `; ${alsoHere.text}`}.${also}`
}

const MEASURE = / (error ratio|latency p\d{2,3})$/i

/** Which of a service's requests it is about: '' for all of them, or when its subject does not say. */
function operationOf(anomaly: Anomaly): string {
  // What stands before the measure of a metric is the metric's name.
  if (anomaly.signal === 'metrics') return ''
  const operation = MEASURE.test(anomaly.subject) ? anomaly.subject.replace(MEASURE, '') : ''
  return operation === 'all requests' ? '' : oneLine(operation, 80)
}

/** `38 % of requests fail (normally 0.2 %)`, `p95 latency of GET /cart 1.9 s (normally 85 ms)`. */
function symptomText(anomaly: Anomaly, operation = ''): string {
  const share = failingShare(anomaly, anomaly.observed)
  if (share !== undefined) {
    const normally = failingShare(anomaly, anomaly.expected)
    const what = operation === '' ? 'requests' : `${operation} requests`
    return `${formatPercent(share)} of ${what} fail${normally === undefined ? '' : ` (normally ${formatPercent(normally)})`}`
  }
  const ms = latencyMs(anomaly, anomaly.observed)
  if (ms !== undefined) {
    const quantile = /\bp\d{2,3}\b/i.exec(anomaly.subject)?.[0].toLowerCase()
    const normally = latencyMs(anomaly, anomaly.expected)
    const usual = normally === undefined ? '' : ` (normally ${formatDuration(normally)})`
    return `${quantile === undefined ? '' : `${quantile} `}latency${operation === '' ? '' : ` of ${operation}`} ${formatDuration(ms)}${usual}`
  }
  const usual = Number.isFinite(anomaly.expected) ? ` (normally ${formatValue(anomaly.expected, anomaly.unit)})` : ''
  return `${oneLine(anomaly.subject, 100)} ${formatValue(anomaly.observed, anomaly.unit)}${usual}`
}

/** One line about any anomaly: what was watched and what it did. */
export function anomalyText(anomaly: Anomaly): string {
  const told = anomaly.impact ? '' : oneLine(anomaly.evidence[0] ?? '', 300)
  if (told === '' && failingShare(anomaly, anomaly.observed) === undefined && latencyMs(anomaly, anomaly.observed) === undefined)
    return symptomText(anomaly)
  // The measure is in the sentence that follows.
  return told === '' ? `${oneLine(anomaly.subject.replace(MEASURE, ''), 120)}: ${symptomText(anomaly)}` : told
}
