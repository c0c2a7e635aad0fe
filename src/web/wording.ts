/** Numbers, times and names as people read them at night: few digits, a unit, one line. */
import { byteSize, duration, isoTime, millisecondsPer, oneLine, wholeNumber } from '../wording.ts'

export function serviceName(service: string): string {
  return oneLine(service, 80) || 'unnamed service'
}

/** `+4 min` after, `−2 min` before; `at onset` within a second. */
export function offset(ms: number): string {
  if (Math.abs(ms) < 1000) return 'at onset'
  return `${ms < 0 ? '−' : '+'}${duration(Math.abs(ms))}`
}

export function percent(share: number): string {
  return Number.isFinite(share) ? `${Math.round(100 * Math.min(1, Math.max(0, share)))} %` : '? %'
}

/** `2026-03-01 03:04:05 UTC`, what a browser without scripts shows. */
export function utcTime(ms: number): string {
  return `${isoTime(ms).slice(0, 19).replace('T', ' ')} UTC`
}

/** `1.9 s`, `38 %`, `512 MB`, `12 /s`. */
export function measured(value: number, unit: string): string {
  if (!Number.isFinite(value)) return 'unknown'
  const ms = millisecondsPer(unit)
  if (ms !== undefined) return shortTime(value * ms)
  if (unit === 'ratio' || unit === 'share' || unit === 'fraction') return `${digits(100 * value)} %`
  if (unit === 'bytes' || unit === 'By') return byteSize(value, digits)
  return unit === '' ? digits(value) : `${digits(value)} ${oneLine(unit, 20)}`
}

/** Two or three significant digits; thousands separated. */
export function digits(value: number): string {
  const size = Math.abs(value)
  if (size >= 100) return wholeNumber(value)
  if (size === 0) return '0'
  return size < 1e-4 ? value.toExponential(1) : String(Number(value.toPrecision(size < 10 ? 2 : 3)))
}

function shortTime(ms: number): string {
  const size = Math.abs(ms)
  if (size < 1000) return `${digits(ms)} ms`
  return size < 100_000 ? `${digits(ms / 1000)} s` : `${ms < 0 ? '−' : ''}${duration(size)}`
}
