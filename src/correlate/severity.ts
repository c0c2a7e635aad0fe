/**
 * How bad it is, from what is felt: a pure table. Severity of an incident is the worst of its symptoms so far.
 */
import type { Alert, Anomaly, Severity } from '../model.ts'
import { failingShare, latencyMs } from './wording.ts'

const RANK: Readonly<Record<Severity, number>> = { critical: 3, error: 2, warning: 1, info: 0 }

export function worse(a: Severity, b: Severity): Severity {
  return RANK[a] >= RANK[b] ? a : b
}

export function severityRank(severity: Severity): number {
  return RANK[severity]
}

export function isWorse(a: Severity, than: Severity): boolean {
  return RANK[a] > RANK[than]
}

/** Alerts of this severity and worse are a reason to open an incident. */
export function alertPages(alert: Alert): boolean {
  return RANK[alert.severity] >= RANK.warning
}

/** Fewer requests than this behind a ratio do not make anything critical. */
const MIN_VOLUME = 20

/** Shares of failing requests, and how many times slower than normal, from which on it is this bad. `entry`: what users call. */
const TABLE = {
  failing: { entry: { critical: 0.1, error: 0.01 }, inner: { critical: 0.5, error: 0.05 } },
  /** Critical also needs `farOutMs`: five times 4 ms is no reason to wake anybody. */
  slower: { entry: { critical: 5, error: 2 }, inner: { critical: Infinity, error: 3 }, farOutMs: 1000, feltMs: 100 },
  /** For impact that is neither a share nor a time: how many times beyond the threshold. */
  score: { entry: { critical: 10, error: 2 }, inner: { critical: Infinity, error: 4 } },
} as const

export function severityOfAnomaly(anomaly: Anomaly, isEntry: boolean): Severity {
  if (!anomaly.impact) return 'info'
  const place = isEntry ? 'entry' : 'inner'
  const enough = !(anomaly.volume < MIN_VOLUME)
  const share = failingShare(anomaly, anomaly.observed)
  if (share !== undefined) {
    const from = TABLE.failing[place]
    if (share >= from.critical && enough) return 'critical'
    return share >= from.error ? 'error' : 'warning'
  }
  const ms = latencyMs(anomaly, anomaly.observed)
  if (ms !== undefined) {
    const from = TABLE.slower[place]
    const times = anomaly.observed / Math.max(anomaly.expected, Number.MIN_VALUE)
    if (times >= from.critical && ms >= TABLE.slower.farOutMs && enough) return 'critical'
    return times >= from.error && ms >= TABLE.slower.feltMs ? 'error' : 'warning'
  }
  const from = TABLE.score[place]
  if (anomaly.score >= from.critical && enough) return 'critical'
  return anomaly.score >= from.error ? 'error' : 'warning'
}
