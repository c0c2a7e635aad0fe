/**
 * How the series detector speaks of what it watches: subjects, and sentences that a person can check.
 */
import type { Observation, Subject } from '../episode.ts'
import { labelText, type MetricKind } from './metric-kind.ts'
import type { Measure, RequestWindow } from './request-windows.ts'
import { Side } from './seasonal.ts'
import type { Entry } from './series-table.ts'

export function isRatio(measure: Measure): boolean {
  return measure === 'errors' || measure === 'timed-errors'
}

export function isRate(kind: MetricKind): boolean {
  return kind.shape === 'counter' || kind.shape === 'count'
}

export function seriesSubject({ series, kind }: Entry): Subject {
  return {
    detector: 'series',
    signal: 'metrics',
    service: series.service,
    instance: series.instance,
    subject: `${clipName(series.name)}${isRate(kind) ? ' rate' : ''}${labelText(series.labels, () => false)}`,
    symptom: kind.symptom,
    unit: kind.unit,
    impact: false,
  }
}

export function windowSubject(window: RequestWindow, kind: MetricKind): Subject {
  const ratio = isRatio(window.measure)
  return {
    detector: 'series',
    signal: 'metrics',
    service: window.service,
    instance: '',
    subject: `${clipName(window.family)} ${ratio ? 'error ratio' : window.measure}${labelText(window.labels, () => false)}`,
    symptom: ratio ? 'errors' : kind.symptom,
    unit: ratio ? 'ratio' : kind.unit,
    impact: ratio || (kind.served && kind.symptom === 'latency'),
  }
}

/** What was seen at the worst moment, against what was expected. */
export function sentences(subject: Subject, worst: Observation): string[] {
  const edge = worst.direction === 'up' ? worst.high : worst.low
  const within = worst.direction === 'up' ? worst.observed < edge : worst.observed > edge
  const usual = `, normal is ${worst.direction === 'up' ? 'up to' : 'down to'} ${figure(edge, subject.unit)}`
  const bound = !Number.isFinite(edge) ? '' : within ? ', and unlike anything it did lately' : usual
  const at = new Date(worst.timeMs).toISOString()
  const said = [
    `${subject.subject} was ${figure(worst.observed, subject.unit)} at ${at}, expected ${figure(worst.expected, subject.unit)}${bound}.`,
  ]
  if (subject.impact) said.push(`Measured over ${Math.round(worst.volume)} requests.`)
  return said
}

export function sideOf(bad: MetricKind['bad']): Side {
  return bad === 'up' ? Side.up : bad === 'down' ? Side.down : Side.both
}

function clipName(name: string): string {
  return name.length > 120 ? `${name.slice(0, 119)}…` : name
}

/** Three significant figures are what a person compares. */
function figure(value: number, unit: string): string {
  if (unit === 'ratio') return `${Number((value * 100).toPrecision(3))} %`
  const text = String(Number(value.toPrecision(3)))
  return unit === '' ? text : `${text} ${unit}`
}
