/**
 * Levels of all makes on one scale, OpenTelemetry's severity numbers (1–24, 0 unknown), and severities of alerts on PagerDuty's four.
 * https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
 */
import type { Severity } from '../../model.ts'

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

/** Syslog's 0 (emergency) to 7 (debug), as in GELF and journald: https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1 */
export function severityOfSyslog(level: number): number {
  return [22, 19, 18, 17, 13, 10, 9, 5][level] ?? 0
}

/** A severity number of OpenTelemetry as it is; 0 when it is none. */
export function severityOfOtel(level: number): number {
  return level >= 1 && level <= 24 ? Math.floor(level) : 0
}

const HEAD_CHARS = 160
/** Level words that count where they stand alone in capitals, and in any case where they stand in brackets. */
const UPPER = wordsOf('trace debug info notice warn warning error err critical crit fatal panic severe alert emerg')
const BRACKETED = wordsOf('trace debug info notice warn warning error err critical crit fatal panic alert emerg')
const LEADING = /^\W*(trace|debug|info|notice|warn|warning|error|critical|fatal|panic)\b\s*[:|-]/i
const KLOG = /^([IWEF])\d{4} \d\d:\d\d/
const WORD = 1
/** First letter of a level word, in capitals or not. */
const UPPER_FIRST = 2
const LOWER_FIRST = 4
/** What each character may be part of. */
const CLASS = Uint8Array.from({ length: 128 }, (_, code) => {
  const char = String.fromCharCode(code)
  if (!/\w/.test(char)) return 0
  return WORD | ('TDINWECFPSA'.includes(char) ? UPPER_FIRST : 0) | ('tdinwecfpsa'.includes(char) ? LOWER_FIRST : 0)
})

/** The level word in a plain line, near its start; lower case only where it stands like a level: `no error found` is none. */
export function severityInText(line: string): number {
  const end = line.length > HEAD_CHARS ? HEAD_CHARS : line.length
  let bracketed = 0
  for (let at = 0; at < end; at++) {
    const code = line.charCodeAt(at)
    const kind = code < 128 ? CLASS[code]! : 0
    if (kind === 0) continue
    const from = at
    // To the end of the word.
    do at++
    while (at < end && isWord(line.charCodeAt(at)))
    const length = at - from
    if (kind === WORD || length < 3 || length > 8) continue
    const inBrackets = bracketed === 0 && from > 0 && at < end && isOpening(line.charCodeAt(from - 1)) && isClosing(line.charCodeAt(at))
    if (kind === (WORD | LOWER_FIRST) && !inBrackets) continue
    const word = line.slice(from, at)
    const severity = (kind & UPPER_FIRST) === 0 ? undefined : UPPER.get(word)
    if (severity !== undefined) return severityOfKlog(line) || severity
    if (inBrackets) bracketed = BRACKETED.get(word.toUpperCase()) ?? 0
  }
  return severityOfKlog(line) || bracketed || severityOfLevel(LEADING.exec(end === line.length ? line : line.slice(0, end))?.[1])
}

function severityOfKlog(line: string): number {
  const first = line.charCodeAt(0)
  // I, W, E, F: what is no klog line is told by one character.
  if (first !== 0x49 && first !== 0x57 && first !== 0x45 && first !== 0x46) return 0
  return severityOfLevel(KLOG.exec(line)?.[1])
}

function wordsOf(words: string): ReadonlyMap<string, number> {
  return new Map(words.split(' ').map((word) => [word.toUpperCase(), WORDS.get(word)!]))
}

function isWord(code: number): boolean {
  return code < 128 && CLASS[code] !== 0
}

function isOpening(code: number): boolean {
  return code === 0x5b || code === 0x28 || code === 0x3c
}

function isClosing(code: number): boolean {
  return code === 0x5d || code === 0x29 || code === 0x3e
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
