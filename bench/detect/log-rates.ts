/**
 * What the log detector tells of a company in which nothing is wrong, per service and week, and how much of what is wrong it tells, and when. The
 * same weeks once without and once with faults; an anomaly that is of no fault is false in both.
 */
import type { Detector } from '../../src/detect/detector.ts'
import { logsDetector } from '../../src/detect/logs/logs.ts'
import { logsConfig } from '../../src/detect/logs/logs-config.ts'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import type { Anomaly, Finding } from '../../src/model.ts'
import { FROM_MS, QuietCompany, WINDOW_MS, type Fault } from './quiet-company.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

export interface LogRates {
  readonly falseAlarmsPerServiceWeek: number
  /** The same without each service's first day. */
  readonly falseAlarmsPerServiceWeekAfterFirstDay: number
  readonly falseByKind: Readonly<Record<string, number>>
  readonly recall: number
  readonly medianDelayS: number
  readonly byFault: Readonly<Record<string, { readonly faults: number; readonly told: number; readonly medianDelayS: number }>>
  readonly lines: number
}

export interface LogRatesOptions {
  readonly seed?: number
  readonly services?: number
  readonly days?: number
  readonly create?: () => Detector
  /** Told what is of no fault. */
  readonly onFalse?: (anomaly: Anomaly) => void
}

export function evaluate({ seed = 1, services = 12, days = 14, create = shipped, onFalse }: LogRatesOptions = {}): LogRates {
  const quiet = play(new QuietCompany(seed, services, days, false), days, create)
  const company = new QuietCompany(seed, services, days, true)
  const faulty = company.faults.length === 0 ? { openings: [], lines: 0 } : play(company, days, create)
  const falseByKind: Record<string, number> = {}
  let settled = 0
  for (const anomaly of quiet.told.values()) {
    const kind = kindOf(anomaly.subject)
    falseByKind[kind] = (falseByKind[kind] ?? 0) + 1
    if (anomaly.startMs >= FROM_MS + DAY_MS) settled++
    onFalse?.(anomaly)
  }
  const byFault: Record<string, { faults: number; told: number; delays: number[] }> = {}
  const delays: number[] = []
  for (const fault of company.faults) {
    const row = (byFault[fault.kind] ??= { faults: 0, told: 0, delays: [] })
    row.faults++
    const first = firstTelling(fault, faulty.openings)
    if (first === undefined) continue
    row.told++
    const delayS = (first - fault.fromMs) / 1000
    row.delays.push(delayS)
    delays.push(delayS)
  }
  return {
    falseAlarmsPerServiceWeek: quiet.told.size / services / (days / 7),
    falseAlarmsPerServiceWeekAfterFirstDay: settled / services / ((days - 1) / 7),
    falseByKind,
    recall: delays.length / Math.max(1, company.faults.length),
    medianDelayS: median(delays),
    byFault: Object.fromEntries(
      Object.entries(byFault).map(([kind, row]) => [kind, { faults: row.faults, told: row.told, medianDelayS: median(row.delays) }]),
    ),
    lines: quiet.lines + faulty.lines,
  }
}

function shipped(): Detector {
  return logsDetector.create(logsConfig.parse({}), { partition: 0, residuals: new ResidualBoard() })
}

function play(company: QuietCompany, days: number, create: () => Detector) {
  const detector = create()
  const told = new Map<string, Anomaly>()
  const openings: Anomaly[] = []
  const emit = (finding: Finding): void => {
    if (finding.kind !== 'anomaly') return
    if (!told.has(finding.id)) openings.push(finding)
    told.set(finding.id, finding)
  }
  let lines = 0
  detector.detect({ kind: 'tick', nowMs: FROM_MS }, emit)
  for (let startMs = FROM_MS; startMs < FROM_MS + days * DAY_MS; startMs += WINDOW_MS) {
    const { logs, changes } = company.window(startMs)
    lines += logs.rows
    detector.detect(logs, emit)
    if (changes.length > 0) detector.detect({ kind: 'events', events: changes }, emit)
    detector.detect({ kind: 'tick', nowMs: startMs + WINDOW_MS + 5_000 }, emit)
  }
  return { told, openings, lines }
}

/** When an anomaly about its lines was first told, while it lasted; a missed job may be told an hour later. */
function firstTelling(fault: Fault, openings: readonly Anomaly[]): number | undefined {
  for (const { service, subject, evidence, atMs } of openings) {
    if (service !== fault.service || atMs < fault.fromMs || atMs > fault.toMs + HOUR_MS) continue
    const isOutcry =
      subject.startsWith('error lines') && (fault.kind === 'error burst' || fault.kind === 'severity shift' || fault.kind === 'new error')
    const words = fault.words.split(' ')[0]!
    if (isOutcry || subject.includes(words) || evidence.some((sentence) => sentence.includes(words))) return atMs
  }
  return undefined
}

function kindOf(subject: string): string {
  return subject.includes(':') ? subject.slice(0, subject.indexOf(':')).replace(/^(first|second|third|fourth) /, '') : subject
}

function median(values: readonly number[]): number {
  if (values.length === 0) return NaN
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1]!
}
