/**
 * Times, sizes and foreign text as people read them, the same in an incident's title, in a notice and on a page. Text from telemetry
 * is clipped and loses its control characters and the marks that turn the reading direction; markup is the business of whoever shows it.
 */

const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]+/gu

/** One line of at most `maxChars` characters, cut between characters. */
export function oneLine(text: string, maxChars: number): string {
  const line = text
    .slice(0, 4 * maxChars)
    .replace(invisible, ' ')
    .trim()
  if (line.length <= maxChars) return line
  const characters = Array.from(line)
  return characters.length <= maxChars ? line : `${characters.slice(0, maxChars - 1).join('')}…`
}

/** For a terminal: control characters, and those that hide text or turn its direction, as escapes. */
export function shown(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => {
    const code = char.codePointAt(0)!.toString(16)
    return code.length <= 4 ? `\\u${code.padStart(4, '0')}` : `\\u{${code}}`
  })
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

/** ISO 8601, or '' for what is no date. */
export function isoTime(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : ''
}

/** How many milliseconds one of these is; undefined: it is no unit of time. */
export function millisecondsPer(unit: string): number | undefined {
  if (unit === 'ms' || unit === 'milliseconds') return 1
  if (unit === 's' || unit === 'seconds') return 1000
  if (unit === 'us' || unit === 'µs' || unit === 'microseconds') return 1e-3
  if (unit === 'ns' || unit === 'nanoseconds') return 1e-6
  return undefined
}

/** `12,346`. */
export function wholeNumber(value: number): string {
  return String(Math.round(value)).replace(/(?<=\d)(?=(?:\d{3})+$)/g, ',')
}

/** `398 MB`; `digits` writes the number. */
export function byteSize(value: number, digits: (value: number) => string): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']
  let size = value
  let unit = 0
  while (Math.abs(size) >= 1000 && unit < units.length - 1) {
    size /= 1000
    unit++
  }
  return `${digits(size)} ${units[unit]!}`
}
