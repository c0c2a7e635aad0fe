/**
 * Takes a log line apart: message, level and trace id out of JSON and logfmt lines. A line that only looks structured is a plain line. Linear in the length of the line; what it cannot read it leaves as it is.
 */
import { cleanText } from './clean-text.ts'
import { severityOfLevel } from './severity.ts'

export interface LineParts {
  body: string
  /** Of its level field; 0 when it has none. */
  severity: number
  /** Lower-case hex, '' when the line has none. */
  traceId: string
}

const MESSAGE_FIELDS = ['msg', 'message', 'MESSAGE', '@message', 'short_message', 'log', 'event', 'text']
export const LEVEL_FIELDS = [
  'level',
  'severity',
  'lvl',
  'loglevel',
  'log_level',
  'log.level',
  'levelname',
  'severity_text',
  'severityText',
  'detected_level',
]
export const TRACE_FIELDS = ['trace_id', 'traceId', 'traceID', 'traceid', 'trace.id', 'otelTraceID', 'trace']
const ERROR_FIELDS = ['err', 'error', 'exception']
const MAX_ERROR_CHARS = 300

export function readLine(line: string): LineParts {
  const text = line.trimEnd()
  if (text.startsWith('{')) {
    const fields = parseObject(text)
    if (fields !== undefined) return fromFields(text, (name) => fields[name], 1)
  } else if (LOGFMT.test(text)) {
    const fields = parseLogfmt(text)
    if (fields.size > 1) return fromFields(text, (name) => fields.get(name), 0)
  }
  return { body: text, severity: 0, traceId: '' }
}

/** A trace id as it is written anywhere: 16 or 32 hex digits, not all zero; else ''. */
export function traceIdOf(value: unknown): string {
  return typeof value === 'string' && /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i.test(value) && !/^0+$/.test(value) ? value.toLowerCase() : ''
}

function fromFields(line: string, field: (name: string) => unknown, unwraps: number): LineParts {
  const parts: LineParts = { body: line, severity: 0, traceId: '' }
  for (const name of LEVEL_FIELDS) if ((parts.severity = severityOfLevel(field(name))) !== 0) break
  const nested = field('log')
  if (parts.severity === 0 && isObject(nested)) parts.severity = severityOfLevel(own(nested, 'level'))
  for (const name of TRACE_FIELDS) if ((parts.traceId = traceIdOf(field(name))) !== '') break
  const message = MESSAGE_FIELDS.map(field).find((value) => typeof value === 'string' && value !== '') as string | undefined
  if (message === undefined) return parts
  // A container runtime wraps the line of the program, which may be structured itself.
  if (unwraps > 0 && message.startsWith('{')) {
    const inner = parseObject(message.trimEnd())
    if (inner !== undefined) {
      const within = fromFields(message, (name) => inner[name], unwraps - 1)
      return { body: within.body, severity: within.severity || parts.severity, traceId: within.traceId || parts.traceId }
    }
  }
  parts.body = withError(message.trimEnd(), field)
  return parts
}

/** `request failed` alone names nothing: what failed stands beside it. */
function withError(message: string, field: (name: string) => unknown): string {
  for (const name of ERROR_FIELDS) {
    const value = field(name)
    const text = typeof value === 'string' ? value : isObject(value) ? own(value, 'message') : undefined
    if (typeof text !== 'string' || text === '') continue
    const firstLine = cleanText(text.split('\n', 1)[0]!, MAX_ERROR_CHARS)
    return message.includes(firstLine) ? message : `${message}: ${firstLine}`
  }
  return message
}

function parseObject(text: string): Record<string, unknown> | undefined {
  if (!text.endsWith('}')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch (error) {
    // Braces do not make JSON: such a line is a plain one.
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function own(object: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

const LOGFMT = /(?:^|\s)(?:level|lvl|severity|msg)=\S/

/** `a=1 b="two words" c`: https://brandur.org/logfmt. The first of equal names wins. */
function parseLogfmt(line: string): Map<string, string> {
  const fields = new Map<string, string>()
  const pair = /([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))/gy
  let at = 0
  while (at < line.length && fields.size < 64) {
    if (line.charCodeAt(at) === 32) {
      at++
      continue
    }
    pair.lastIndex = at
    const match = pair.exec(line)
    if (match === null) {
      const space = line.indexOf(' ', at)
      at = space < 0 ? line.length : space + 1
      continue
    }
    at = pair.lastIndex
    if (!fields.has(match[1]!)) fields.set(match[1]!, match[2] === undefined ? match[3]! : unescape(match[2]))
  }
  return fields
}

function unescape(text: string): string {
  return text.includes('\\') ? text.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char === 't' ? '\t' : char)) : text
}
