/**
 * Numbers, times and names as people read them at night: few digits, a unit, one line. Text from telemetry is clipped and
 * loses its control characters and the marks that turn the reading direction.
 */

const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]+/gu

/** One line of at most `maxChars` characters, cut between characters. */
export function plain(text: string, maxChars: number): string {
  const line = text
    .slice(0, 4 * maxChars)
    .replace(invisible, ' ')
    .trim()
  const characters = Array.from(line)
  return characters.length <= maxChars ? line : `${characters.slice(0, maxChars - 1).join('')}…`
}

export function serviceName(service: string): string {
  return plain(service, 80) || 'unnamed service'
}

/** `40 s`, `23 min`, `3 h 20 min`, `2 d 4 h`. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return 'unknown'
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 100) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 100) return `${minutes} min`
  if (minutes < 48 * 60) return withRest(Math.floor(minutes / 60), 'h', minutes % 60, 'min')
  const hours = Math.round(minutes / 60)
  return withRest(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

function withRest(count: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${count} ${unit}` : `${count} ${unit} ${rest} ${restUnit}`
}

/** `+4 min` after, `−2 min` before; `at onset` within a second. */
export function offset(ms: number): string {
  if (Math.abs(ms) < 1000) return 'at onset'
  return `${ms < 0 ? '−' : '+'}${duration(Math.abs(ms))}`
}

export function percent(share: number): string {
  return Number.isFinite(share) ? `${Math.round(100 * Math.min(1, Math.max(0, share)))} %` : '? %'
}

/** ISO 8601, or '' for what is no date. */
export function isoTime(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : ''
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
  if (unit === 'bytes' || unit === 'By') return bytes(value)
  return unit === '' ? digits(value) : `${digits(value)} ${plain(unit, 20)}`
}

/** Two or three significant digits; thousands separated. */
export function digits(value: number): string {
  const size = Math.abs(value)
  if (size >= 100) return String(Math.round(value)).replace(/(?<=\d)(?=(?:\d{3})+$)/g, ',')
  if (size === 0) return '0'
  return size < 1e-4 ? value.toExponential(1) : String(Number(value.toPrecision(size < 10 ? 2 : 3)))
}

/** How many milliseconds one of these is; undefined: it is no unit of time. */
export function millisecondsPer(unit: string): number | undefined {
  if (unit === 'ms' || unit === 'milliseconds') return 1
  if (unit === 's' || unit === 'seconds') return 1000
  if (unit === 'us' || unit === 'µs' || unit === 'microseconds') return 1e-3
  if (unit === 'ns' || unit === 'nanoseconds') return 1e-6
  return undefined
}

function shortTime(ms: number): string {
  const size = Math.abs(ms)
  if (size < 1000) return `${digits(ms)} ms`
  return size < 100_000 ? `${digits(ms / 1000)} s` : `${ms < 0 ? '−' : ''}${duration(size)}`
}

function bytes(value: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']
  let size = value
  let unit = 0
  while (Math.abs(size) >= 1000 && unit < units.length - 1) {
    size /= 1000
    unit++
  }
  return `${digits(size)} ${units[unit] ?? ''}`
}
