/**
 * Names of OpenTelemetry metrics and attributes as Prometheus writes them, so that a metric is one series whichever way it comes.
 * https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ leaves details open; they are decided as Prometheus'
 * own receiver decides them: https://github.com/prometheus/otlptranslator
 */

export type NamedKind = 'counter' | 'gauge' | 'other'

const UNITS: ReadonlyMap<string, string> = new Map([
  ['d', 'days'],
  ['h', 'hours'],
  ['min', 'minutes'],
  ['s', 'seconds'],
  ['ms', 'milliseconds'],
  ['us', 'microseconds'],
  ['ns', 'nanoseconds'],
  ['By', 'bytes'],
  ['KiBy', 'kibibytes'],
  ['MiBy', 'mebibytes'],
  ['GiBy', 'gibibytes'],
  ['TiBy', 'tibibytes'],
  ['KBy', 'kilobytes'],
  ['MBy', 'megabytes'],
  ['GBy', 'gigabytes'],
  ['TBy', 'terabytes'],
  ['m', 'meters'],
  ['V', 'volts'],
  ['A', 'amperes'],
  ['J', 'joules'],
  ['W', 'watts'],
  ['g', 'grams'],
  ['Cel', 'celsius'],
  ['Hz', 'hertz'],
  ['1', ''],
  ['%', 'percent'],
])
const PER_UNITS: ReadonlyMap<string, string> = new Map([
  ['s', 'second'],
  ['m', 'minute'],
  ['h', 'hour'],
  ['d', 'day'],
  ['w', 'week'],
  ['mo', 'month'],
  ['y', 'year'],
])

/** `http.server.request.duration` in `s` is `http_server_request_duration_seconds`; '' when nothing of the name can be kept. */
export function prometheusName(name: string, unit: string, kind: NamedKind): string {
  let tokens = tokensOf(name)
  if (tokens.length === 0) return ''
  const slash = unit.indexOf('/')
  const main = unitWord(slash < 0 ? unit : unit.slice(0, slash), UNITS)
  const per = slash < 0 ? '' : unitWord(unit.slice(slash + 1), PER_UNITS)
  if (main !== '' && !tokens.includes(main)) tokens.push(main)
  if (per !== '' && !tokens.includes(`per_${per}`)) tokens.push(`per_${per}`)
  if (kind === 'counter') tokens = [...tokens.filter((token) => token !== 'total'), 'total']
  // Many senders count things in the unit `1`: only a gauge of it is a ratio.
  if (kind === 'gauge' && unit === '1') tokens = [...tokens.filter((token) => token !== 'ratio'), 'ratio']
  const joined = tokens.join('_')
  return startsWithDigit(joined) ? `_${joined}` : joined
}

/** `http.request.method` is `http_request_method`; '' when nothing of the name can be kept. */
export function prometheusLabel(name: string): string {
  const label = name.replace(/[^a-zA-Z0-9_]/gu, '_')
  if (/^_*$/.test(label)) return label === name ? label : ''
  if (startsWithDigit(label)) return `key_${label}`
  return label.startsWith('_') && !label.startsWith('__') ? `key${label}` : label
}

/** Annotations in braces are no unit; a unit that is not in the table stands for itself. */
function unitWord(unit: string, words: ReadonlyMap<string, string>): string {
  const symbol = unit.trim()
  if (symbol === '' || symbol.includes('{') || symbol.includes('}')) return ''
  return words.get(symbol) ?? tokensOf(symbol).join('_')
}

function tokensOf(text: string): string[] {
  return text.split(/[^a-zA-Z0-9:]+/).filter((token) => token !== '')
}

function startsWithDigit(text: string): boolean {
  const code = text.charCodeAt(0)
  return code >= 48 && code <= 57
}
