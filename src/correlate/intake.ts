/**
 * From a record of the findings topic to arrivals. A record comes from one telemetry partition: its header `partition` says which, else
 * the flows and progress in it do. Times become whole milliseconds; a finding without a usable time is refused by name.
 */
import { decodeFindings } from '../codec.ts'
import type { Finding } from '../model.ts'
import type { InRecord } from '../transport/transport.ts'
import type { Arrival } from './stepper.ts'

export interface Intake {
  readonly arrivals: readonly Arrival[]
  /** One sentence per finding that was left out. */
  readonly refused: readonly string[]
}

/** Throws a PermanentError when the record as a whole cannot be read. */
export function readRecord(record: InRecord): Intake {
  const findings = decodeFindings(record.value)
  const partition = partitionOf(record, findings)
  const arrivals: Arrival[] = []
  const refused: string[] = []
  for (const finding of findings) {
    const whole = wholeTimes(finding)
    if (whole === undefined) refused.push(`${String((finding as { kind?: unknown } | null)?.kind)} without usable times`)
    else arrivals.push({ partition, finding: whole })
  }
  return { arrivals, refused }
}

function partitionOf(record: InRecord, findings: readonly Finding[]): number | undefined {
  const header = Number(record.headers['partition'] ?? NaN)
  if (Number.isInteger(header)) return header
  for (const finding of findings) if (finding !== null && (finding.kind === 'flow' || finding.kind === 'progress')) return finding.partition
  return undefined
}

/** Columns of the store are whole milliseconds; spans bring fractions. */
function wholeTimes(finding: Finding): Finding | undefined {
  switch (finding?.kind) {
    case 'anomaly': {
      const { startMs, atMs, endMs } = finding
      if (!isTime(startMs) || !isTime(atMs) || (endMs !== undefined && !isTime(endMs))) return undefined
      return {
        ...finding,
        startMs: Math.round(startMs),
        atMs: Math.round(atMs),
        endMs: endMs === undefined ? undefined : Math.round(endMs),
      }
    }
    case 'alert': {
      const { startMs, atMs, endMs } = finding
      if (!isTime(startMs) || !isTime(atMs) || !isTime(endMs)) return undefined
      return { ...finding, startMs: Math.round(startMs), atMs: Math.round(atMs), endMs: Math.round(endMs) }
    }
    case 'change':
      return isTime(finding.atMs) ? { ...finding, atMs: Math.round(finding.atMs) } : undefined
    case 'flow':
      return isTime(finding.startMs) && isTime(finding.endMs) && Number.isInteger(finding.partition) ? finding : undefined
    case 'progress':
      return isTime(finding.nowMs) && Number.isInteger(finding.partition) ? finding : undefined
    default:
      return undefined
  }
}

const FAR_FUTURE_MS = 8.64e15

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= FAR_FUTURE_MS
}
