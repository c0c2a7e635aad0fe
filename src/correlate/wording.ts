/**
 * Numbers, spans of time and names as titles and sentences have them: two significant digits, a unit, no markup.
 */
import type { Anomaly } from '../model.ts'
import { byteSize, millisecondsPer, oneLine, wholeNumber } from '../wording.ts'

/** Two significant digits, whole numbers from 100 on, with thousands separated. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return 'unknown'
  const size = Math.abs(value)
  if (size >= 100) return wholeNumber(value)
  if (size === 0) return '0'
  return size < 1e-4 ? value.toExponential(1) : String(Number(value.toPrecision(2)))
}

/** Something that comes in whole pieces. */
export function formatCount(count: number): string {
  return Number.isFinite(count) ? wholeNumber(count) : 'unknown'
}

export function formatPercent(share: number): string {
  return `${formatNumber(share * 100)} %`
}

export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return 'unknown'
  const size = Math.abs(ms)
  if (size < 1000) return `${formatNumber(ms)} ms`
  if (size < 120_000) return `${formatNumber(ms / 1000)} s`
  if (size < 2 * 3_600_000) return `${Math.round(ms / 60_000)} min`
  return `${formatNumber(ms / 3_600_000)} h`
}

/** `1.9 s`, `38 %`, `512 MB`, `12 /s`. */
export function formatValue(value: number, unit: string): string {
  const ms = millisecondsPer(unit)
  if (ms !== undefined) return formatDuration(value * ms)
  if (isShare(unit)) return formatPercent(value)
  if (unit === '%') return `${formatNumber(value)} %`
  if (unit === 'bytes' || unit === 'By') return byteSize(value, formatNumber)
  return unit === '' ? formatNumber(value) : `${formatNumber(value)} ${oneLine(unit, 20)}`
}

function isShare(unit: string): boolean {
  return unit === 'ratio' || unit === 'share' || unit === 'fraction'
}

/** The share of requests that fail, when the anomaly is about such a share. */
export function failingShare(anomaly: Anomaly, value: number): number | undefined {
  if (anomaly.symptom !== 'errors' || !Number.isFinite(value)) return undefined
  if (anomaly.unit === '%') return value / 100
  return isShare(anomaly.unit) || (anomaly.unit === '' && value >= 0 && value <= 1) ? value : undefined
}

/** Latency in milliseconds, when the anomaly is about that. */
export function latencyMs(anomaly: Anomaly, value: number): number | undefined {
  const ms = anomaly.symptom === 'latency' && Number.isFinite(value) ? millisecondsPer(anomaly.unit) : undefined
  return ms === undefined ? undefined : value * ms
}

/** A service's name inside a sentence. */
export function named(service: string): string {
  return service === '' ? 'an unnamed service' : oneLine(service, 80)
}

/** `a, b and 3 more`. */
export function listed(names: readonly string[], atMost = 3): string {
  const shown = names.slice(0, atMost).map(named)
  const more = names.length - shown.length
  if (more > 0) return `${shown.join(', ')} and ${more} more`
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)!}`
}
