/**
 * What the Loki door does with a push request, done the ordinary way on what protobufjs made of it: labels by a regular expression, the source
 * named once per stream, JSON.parse for lines in braces, regular expressions for logfmt and for the level in plain text.
 */

interface Push {
  readonly streams: {
    readonly labels: string
    readonly entries: {
      readonly timestamp: { readonly seconds: number | { toString(): string }; readonly nanos: number }
      readonly line: string
      readonly structuredMetadata: readonly { readonly name: string; readonly value: string }[]
    }[]
  }[]
}

interface Row {
  readonly service: string
  readonly timeMs: number
  readonly severity: number
  readonly body: string
  readonly traceId: string
}

const LABEL = /([\w.]+)="((?:[^"\\]|\\.)*)"/g
const PAIR = /([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))/g
const LOGFMT = /(?:^|\s)(?:level|lvl|severity|msg)=\S/
const LEVEL = /\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|CRITICAL|CRIT|FATAL|PANIC|SEVERE|ALERT|EMERG)\b/
const TRACE_ID = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i
const SEVERITIES: Readonly<Record<string, number>> = {
  trace: 1,
  debug: 5,
  info: 9,
  notice: 10,
  warn: 13,
  warning: 13,
  error: 17,
  err: 17,
  critical: 18,
  fatal: 21,
}

export function parseLines(message: unknown): Row[] {
  const rows: Row[] = []
  for (const { labels, entries } of (message as Push).streams) {
    const found = new Map([...labels.matchAll(LABEL)].map((match) => [match[1]!, match[2]!]))
    const service = found.get('service_name') ?? found.get('service') ?? found.get('app') ?? 'unknown'
    const ofStream = severityOf(found.get('level'))
    for (const { timestamp, line, structuredMetadata } of entries) {
      const timeMs = Number(timestamp.seconds) * 1000 + timestamp.nanos / 1e6
      const fields = fieldsOf(line)
      const message_ = fields?.['msg'] ?? fields?.['message'] ?? fields?.['log']
      const body = typeof message_ === 'string' ? message_ : line.trimEnd()
      const level = fields?.['level'] ?? fields?.['severity'] ?? fields?.['lvl']
      const trace = fields?.['trace_id'] ?? fields?.['traceId'] ?? structuredMetadata.find(({ name }) => name === 'trace_id')?.value
      const severity = severityOf(level) || ofStream || severityOf(LEVEL.exec(body.slice(0, 160))?.[1])
      rows.push({ service, timeMs, severity, body, traceId: typeof trace === 'string' && TRACE_ID.test(trace) ? trace.toLowerCase() : '' })
    }
  }
  return rows
}

function fieldsOf(line: string): Readonly<Record<string, unknown>> | undefined {
  if (line.startsWith('{')) {
    try {
      return JSON.parse(line) as Record<string, unknown>
    } catch (error) {
      // Text in braces.
      if (error instanceof SyntaxError) return undefined
      throw error
    }
  }
  if (!LOGFMT.test(line)) return undefined
  return Object.fromEntries([...line.matchAll(PAIR)].map((match) => [match[1]!, match[2] ?? match[3]!]))
}

function severityOf(level: unknown): number {
  return typeof level === 'string' ? (SEVERITIES[level.toLowerCase()] ?? 0) : 0
}
