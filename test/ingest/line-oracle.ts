/** Log lines taken apart the simple way, with JSON.parse and regular expressions on strings: what the reader of bytes is compared with. */
import { severityOfLevel, severityOfOtel, severityOfSyslog } from '../../src/ingest/logs/severity.ts'

interface Parts {
  body: string
  severity: number
  traceId: string
}
type Field = (name: string) => unknown

const MESSAGES = ['msg', 'message', 'MESSAGE', '@message', 'short_message', 'log', 'event', 'text', 'body']
const LEVELS = 'level severity lvl loglevel log_level log.level levelname severity_text severityText detected_level'.split(' ')
const TRACES = ['trace_id', 'traceId', 'traceID', 'traceid', 'trace.id', 'otelTraceID', 'trace']

export function oracleLine(line: string): Parts {
  const text = line.trimEnd()
  const object = objectIn(text)
  if (object !== undefined) return ofFields(text, (name) => (Object.hasOwn(object, name) ? object[name] : undefined), true)
  const pairs = text.startsWith('{') ? new Map<string, string>() : pairsIn(text)
  const isLogfmt = pairs.get('#') !== '1' && ['level', 'lvl', 'severity', 'msg'].some((name) => pairs.has(name))
  return isLogfmt ? ofFields(text, (name) => pairs.get(name), false) : { body: text, severity: 0, traceId: '' }
}

function ofFields(line: string, field: Field, unwraps: boolean): Parts {
  const severity = severityIn(field)
  const traceId = TRACES.map((name) => idIn(field(name))).find((id) => id !== '') ?? ''
  const message = MESSAGES.map(field).find((value) => typeof value === 'string' && value !== '') as string | undefined
  if (message === undefined) return { body: line, severity, traceId }
  const inner = unwraps && message.startsWith('{') ? objectIn(message.trimEnd()) : undefined
  if (inner !== undefined) {
    const within = ofFields(message.trimEnd(), (name) => (Object.hasOwn(inner, name) ? inner[name] : undefined), false)
    return { body: within.body, severity: within.severity || severity, traceId: within.traceId || traceId }
  }
  let body = message.trimEnd()
  for (const name of ['err', 'error', 'exception']) {
    const value = field(name)
    const error = typeof value === 'string' ? value : isObject(value) && Object.hasOwn(value, 'message') ? value['message'] : ''
    if (typeof error !== 'string' || error === '') continue
    const first = error.split('\n')[0]!.slice(0, 300).replaceAll('\0', '\ufffd')
    if (!body.includes(first)) body = `${body}: ${first}`
    break
  }
  return { body, severity, traceId }
}

function severityIn(field: Field): number {
  for (const name of LEVELS) {
    const level = field(name)
    const isGelf = field('short_message') !== undefined && typeof level === 'number' && level < 8
    const severity = isGelf ? severityOfSyslog(level) : severityOfLevel(level)
    if (severity !== 0) return severity
  }
  const priority = scaled(field('PRIORITY'))
  if (priority !== undefined && severityOfSyslog(priority) !== 0) return severityOfSyslog(priority)
  const otel = scaled(field('severity_number'))
  if (otel !== undefined && severityOfOtel(otel) !== 0) return severityOfOtel(otel)
  const log = field('log')
  return isObject(log) && Object.hasOwn(log, 'level') ? severityOfLevel(log['level']) : 0
}

function scaled(value: unknown): number | undefined {
  return typeof value === 'number' ? value : typeof value === 'string' && value !== '' ? Number(value) : undefined
}

function idIn(value: unknown): string {
  return typeof value === 'string' && /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i.test(value) && !/^0+$/.test(value) ? value.toLowerCase() : ''
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function objectIn(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith('{') || !text.endsWith('}')) return undefined
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return undefined
  }
}

/** The first of equal names; `#` says how many pairs there are, as far as that is 1 or not. No name can be `#` in the lines compared. */
function pairsIn(line: string): Map<string, string> {
  const pairs = new Map<string, string>()
  let count = 0
  for (let rest = line.replace(/^[\0-\x20]+/, ''); rest !== '';) {
    const match = /^([^\0-\x20="]+)=(?:"((?:[^"\\]|\\[^])*)"|([^\0-\x20"]*))/.exec(rest)
    if (match !== null) {
      count++
      const value = match[3] ?? match[2]!.replace(/\\([^])/g, (_, char: string) => (char === 'n' ? '\n' : char === 't' ? '\t' : char))
      if (!pairs.has(match[1]!)) pairs.set(match[1]!, value)
      rest = rest.slice(match[0].length)
    }
    rest = rest.replace(/^[^\0-\x20]*[\0-\x20]*/, '')
  }
  return pairs.set('#', String(count))
}
