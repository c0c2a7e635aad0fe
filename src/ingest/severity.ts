/**
 * Levels of all makes on one scale, OpenTelemetry's severity numbers (1–24, 0 unknown), and severities of alerts on PagerDuty's four.
 * https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
 */
import type { Severity } from '../model.ts'

const WORDS = new Map<string, number>([
  ['trace', 1],
  ['trc', 1],
  ['verbose', 1],
  ['finest', 1],
  ['debug', 5],
  ['dbg', 5],
  ['fine', 5],
  ['info', 9],
  ['inf', 9],
  ['information', 9],
  ['informational', 9],
  ['log', 9],
  ['notice', 10],
  ['warn', 13],
  ['warning', 13],
  ['wrn', 13],
  ['error', 17],
  ['err', 17],
  ['severe', 17],
  ['alert', 19],
  ['critical', 18],
  ['crit', 18],
  ['fatal', 21],
  ['panic', 21],
  ['emerg', 22],
  ['emergency', 22],
])

/** `warn`, `WARNING`, `W`, pino's 40, `"30"`; 0 when it is no level that we know. */
export function severityOfLevel(level: unknown): number {
  if (typeof level === 'number') return severityOfNumber(level)
  if (typeof level !== 'string' || level.length > 16) return 0
  const word = level.trim().toLowerCase()
  const known = WORDS.get(word)
  if (known !== undefined) return known
  if (/^\d+$/.test(word)) return severityOfNumber(Number(word))
  if (word.length === 1) return { t: 1, d: 5, i: 9, w: 13, e: 17, c: 18, f: 21 }[word] ?? 0
  // INFO2, ERROR4: the numbered short names of OpenTelemetry.
  const numbered = /^([a-z]+)([2-4])$/.exec(word)
  const base = numbered === null ? undefined : WORDS.get(numbered[1]!)
  return base === undefined ? 0 : Math.min(24, base + Number(numbered![2]) - 1)
}

/** pino and bunyan count 10 trace … 60 fatal, Python 10 debug … 50 critical: where they differ, pino's. Below 10: no convention rules. */
function severityOfNumber(level: number): number {
  if (!(level >= 10 && level < 100)) return 0
  return [1, 5, 9, 13, 17, 21][Math.min(5, Math.floor(level / 10) - 1)]!
}

const UPPER = /\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|CRITICAL|CRIT|FATAL|PANIC|SEVERE|ALERT|EMERG)\b/
const BRACKETED = /[[(<](trace|debug|info|notice|warn|warning|error|err|critical|crit|fatal|panic|alert|emerg)[\])>]/i
const LEADING = /^\W*(trace|debug|info|notice|warn|warning|error|critical|fatal|panic)\b\s*[:|-]/i
const KLOG = /^([IWEF])\d{4} \d\d:\d\d/

/** The level word in a plain line, near its start; lower case only where it stands like a level: `no error found` is none. */
export function severityInText(line: string): number {
  const head = line.length > 160 ? line.slice(0, 160) : line
  const match = KLOG.exec(head) ?? UPPER.exec(head) ?? BRACKETED.exec(head) ?? LEADING.exec(head)
  return match === null ? 0 : severityOfLevel(match[1])
}

const ALERT_SEVERITIES = new Map<string, Severity>([
  ['critical', 'critical'],
  ['crit', 'critical'],
  ['page', 'critical'],
  ['fatal', 'critical'],
  ['emergency', 'critical'],
  ['disaster', 'critical'],
  ['p1', 'critical'],
  ['sev1', 'critical'],
  ['error', 'error'],
  ['major', 'error'],
  ['high', 'error'],
  ['p2', 'error'],
  ['sev2', 'error'],
  ['warning', 'warning'],
  ['warn', 'warning'],
  ['minor', 'warning'],
  ['medium', 'warning'],
  ['ticket', 'warning'],
  ['p3', 'warning'],
  ['sev3', 'warning'],
  ['info', 'info'],
  ['informational', 'info'],
  ['low', 'info'],
  ['none', 'info'],
  ['p4', 'info'],
  ['p5', 'info'],
  ['sev4', 'info'],
])

/** The `severity` label of an alert; `warning` where it says nothing that we know. */
export function severityOfAlert(label: string | undefined): Severity {
  return ALERT_SEVERITIES.get(label?.trim().toLowerCase() ?? '') ?? 'warning'
}
