/**
 * One series of somebody's history through the detectors as they are configured, in event time: what they thought of each row, and
 * what they would have told. Rows go in one at a time with time passing before each, as they do in a partition that is alive.
 */
import type { Autoencoder } from './detect/service/autoencoder.ts'
import type { DetectConfig } from './detect/config.ts'
import { mishapText, PartitionDetectors, type Mishap } from './detect/partition.ts'
import type { ScoreSink } from './detect/detector.ts'
import { PermanentError } from './errors.ts'
import type { Alarm } from './evaluate/events.ts'
import type { Finding, MetricBatch, Series } from './model.ts'

/** Columns with one value per row; NaN: nothing was thought of it. */
export interface WatchedHistory {
  readonly point: Float64Array
  readonly onset: Float64Array
  readonly incident: Float64Array
  readonly decision: Float64Array
  readonly alarms: readonly Alarm[]
  /** Times it was told that the series had gone silent. They are no alarms here: labels speak of values. */
  readonly absences: number
}

export interface WatchOptions {
  readonly config: DetectConfig
  /** Those that the configuration names. */
  readonly models: ReadonlyMap<string, Autoencoder>
}

/** Rows oldest first. Throws when a detector fails on one. */
export function watchHistory(name: string, timeMs: Float64Array, value: Float64Array, { config, models }: WatchOptions): WatchedHistory {
  const rows = timeMs.length
  const columns = { point: nothing(rows), onset: nothing(rows), incident: nothing(rows), decision: nothing(rows) }
  const alarms = new AlarmLog()
  let row = 0
  const scores: ScoreSink = (detector, subject, _, { point, onset, incident, decision }) => {
    if (detector !== 'series' || subject !== name) return
    columns.point[row] = point
    columns.onset[row] = onset
    columns.incident[row] = incident
    columns.decision[row] = decision
  }
  const detectors = new PartitionDetectors({ partition: 0, config, models, scores })
  const series: readonly Series[] = [{ key: name, name: 'observed', type: 'gauge', labels: [], service: 'history', instance: '' }]
  const [seriesIndex, stale] = [new Uint32Array(1), new Uint8Array(1)]
  const feed = (batch: Parameters<PartitionDetectors['feed']>[0]) => check(name, row, detectors.feed(batch, alarms.hear))
  for (row = 0; row < rows; row++) {
    const batch: MetricBatch = {
      kind: 'metrics',
      rows: 1,
      series,
      seriesIndex,
      timeMs: timeMs.subarray(row, row + 1),
      value: value.subarray(row, row + 1),
      stale,
    }
    feed({ kind: 'tick', nowMs: timeMs[row]! })
    feed(batch)
  }
  const lastMs = timeMs[rows - 1] ?? 0
  return { ...columns, alarms: alarms.alarms(lastMs, false), absences: alarms.alarms(lastMs, true).length }
}

/** An alarm and whose it is. */
export type ToldAlarm = Alarm & { readonly service: string }

/** Anomalies as they are told, folded by id. */
export class AlarmLog {
  readonly #found = new Map<string, { toldMs: number; startMs: number; endMs: number | undefined; service: string; absence: boolean }>()

  readonly hear = (finding: Finding): void => {
    if (finding.kind !== 'anomaly') return
    const { id, atMs: toldMs, startMs, endMs, service, symptom } = finding
    const known = this.#found.get(id)
    if (known === undefined) this.#found.set(id, { toldMs, startMs, endMs, service, absence: symptom === 'absence' })
    else known.endMs = endMs
  }

  /** What goes on at the end lasts until then. */
  alarms(lastMs: number, absence: boolean): ToldAlarm[] {
    return [...this.#found.values()]
      .filter((alarm) => alarm.absence === absence)
      .map(({ toldMs, startMs, endMs = Math.max(lastMs, toldMs), service }) => ({ toldMs, startMs, endMs, service }))
  }
}

function check(name: string, row: number, mishaps: readonly Mishap[]): void {
  if (mishaps.length > 0) throw new PermanentError(`${name}, row ${row + 1}: ${mishaps.map(mishapText).join('; ')}`)
}

const nothing = (rows: number): Float64Array => new Float64Array(rows).fill(Number.NaN)
