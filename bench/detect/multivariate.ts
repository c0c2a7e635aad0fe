/**
 * The service detector on machines and services of many series: SMD, ASD and JumpStarter through the product's own PartitionDetectors, one
 * service per machine, one gauge per column. The training rows are played first, then everything is fitted (`fitNow`, what a recording of normal
 * operation is for), then the test rows are streamed and scored, refits and all. `cold` is the test file alone, with nothing known before.
 * Beside it the residual of a PCA in the same place: same rows, same changes, same fusion.
 */
import { detectConfig } from '../../src/detect/config.ts'
import { loadModels } from '../../src/detect/service/model-files.ts'
import { PartitionDetectors } from '../../src/detect/partition.ts'
import { SeriesTable } from '../../src/detect/series/series-table.ts'
import { ServiceSeries } from '../../src/detect/service/service-series.ts'
import { StepBoard } from '../../src/detect/service/step-board.ts'
import type { ScoreSink } from '../../src/detect/detector.ts'
import type { Batch, Finding, Series } from '../../src/model.ts'
import { eventFigures, eventTally, stretchesOf, type Alarm, type EventTally } from '../../src/evaluate/events.ts'
import { vusPr, windowRowsOf } from '../../src/evaluate/vus-pr.ts'
import { readRecordings, type Recording } from './multivariate-data.ts'
import { fitPca } from './pca.ts'

const DAY_MS = 86_400_000
const START_MS = Date.UTC(2024, 0, 1)

interface Played {
  readonly score: Float64Array
  readonly alarms: readonly Alarm[]
  readonly timeMs: Float64Array
}

/** Anything that takes rows in order of time. */
interface Player {
  row(timeMs: number, values: Float64Array, from: number): void
  fitNow(): void
}

export async function evaluate(dir: string): Promise<Record<string, unknown> | undefined> {
  const recordings = readRecordings(dir)
  if (recordings.length === 0) return undefined
  const figures: Record<string, unknown> = {}
  for (const set of new Set(recordings.map((recording) => recording.set))) {
    const own = recordings.filter((recording) => recording.set === set)
    const perMachine: Record<string, { vusPr: number; pca: number; cold: number }> = {}
    const tallies: EventTally[] = []
    for (const recording of own) {
      const windowRows = windowRowsOf(columnOf(recording, 0))
      const vus = ({ score }: Played): number => vusPr(recording.label, score, windowRows)
      const played = play(recording, true, productPlayer)
      const { timeMs, alarms } = played
      perMachine[recording.name] = {
        vusPr: digits(vus(played)),
        pca: digits(vus(play(recording, true, pcaPlayer))),
        cold: digits(vus(play(recording, false, productPlayer))),
      }
      const watchedMs = timeMs.at(-1)! - timeMs[0]!
      tallies.push(eventTally({ alarms, stretches: stretchesOf(timeMs, recording.label), watchedMs }))
    }
    const mean = (of: 'vusPr' | 'pca' | 'cold'): number =>
      digits(Object.values(perMachine).reduce((sum, each) => sum + each[of], 0) / own.length)
    figures[set] = { vusPr: mean('vusPr'), pca: mean('pca'), cold: mean('cold'), asShipped: eventFigures(tallies), perMachine }
  }
  return figures
}

function play(recording: Recording, trained: boolean, playerOf: typeof productPlayer): Played {
  const { stepMs, columns, train, test, label } = recording
  const score = new Float64Array(label.length)
  const timeMs = new Float64Array(label.length)
  const alarms = new Map<string, Alarm>()
  const trainRows = trained ? train.length / columns : 0
  // SMD is trained on the head of the test file: whole days later, so that the time of day stays what it was.
  const beginMs = START_MS + (recording.set === 'smd' ? Math.ceil((trainRows * stepMs) / DAY_MS) * DAY_MS : trainRows * stepMs)
  let at = -1
  const tell: ScoreSink = (detector, _subject, _timeMs, { point }) => {
    if (detector === 'service' && at >= 0) score[at] = point
  }
  const emit = (finding: Finding): void => {
    if (finding.kind !== 'anomaly' || finding.detector !== 'service' || finding.startMs < beginMs) return
    alarms.set(finding.id, {
      startMs: finding.startMs,
      endMs: finding.endMs ?? finding.atMs,
      toldMs: alarms.get(finding.id)?.toldMs ?? finding.atMs,
    })
  }
  const player = playerOf(recording, tell, emit)
  for (let r = 0; r < trainRows; r++) player.row(START_MS + r * stepMs, train, r * columns)
  if (trained) player.fitNow()
  for (at = 0; at < label.length; at++) {
    timeMs[at] = beginMs + at * stepMs
    player.row(timeMs[at]!, test, at * columns)
  }
  return { score, timeMs, alarms: [...alarms.values()] }
}

function productPlayer(recording: Recording, scores: ScoreSink, emit: (finding: Finding) => void): Player {
  const config = detectConfig.parse({ off: ['logs', 'spans', 'forecast', 'slo'] })
  const detectors = new PartitionDetectors({ partition: 0, config, models: loadModels(config, { info: () => undefined }), scores })
  const { columns, stepMs } = recording
  const series = seriesOf(recording)
  const seriesIndex = Uint32Array.from(series.keys())
  const stale = new Uint8Array(columns)
  const feed = (batch: Batch): void => {
    for (const { detector, error } of detectors.feed(batch, emit)) throw new Error(`${detector} failed`, { cause: error })
  }
  feed({ kind: 'tick', nowMs: START_MS })
  return {
    row(timeMs, values, from) {
      const value = values.slice(from, from + columns)
      feed({ kind: 'metrics', rows: columns, series, seriesIndex, timeMs: new Float64Array(columns).fill(timeMs), value, stale })
      feed({ kind: 'tick', nowMs: timeMs + Math.min(stepMs, 60_000) })
    },
    fitNow: () => detectors.fitNow(),
  }
}

function pcaPlayer(recording: Recording, scores: ScoreSink, emit: (finding: Finding) => void): Player {
  const { detectors } = detectConfig.parse({})
  const board = new StepBoard()
  const watch = new ServiceSeries(detectors.service, board, scores, fitPca)
  const table = new SeriesTable(detectors.series)
  const entries = seriesOf(recording).map((each) => table.entry(table.add(each)!))
  return {
    row(timeMs, values, from) {
      entries.forEach((entry, i) => board.observe(entry, values[from + i]!))
      watch.close(timeMs + Math.min(recording.stepMs, 60_000), emit)
    },
    fitNow: () => watch.fitNow(),
  }
}

function seriesOf({ name, columns }: Recording): Series[] {
  return Array.from({ length: columns }, (_, i) => {
    const metric = `column_${String(i).padStart(2, '0')}`
    return { key: `${name} ${metric}`, name: metric, type: 'gauge', labels: [], service: name, instance: name }
  })
}

function columnOf({ test, columns, label }: Recording, column: number): Float64Array {
  return Float64Array.from(label, (_, row) => test[row * columns + column]!)
}

function digits(value: number): number {
  return Number(value.toFixed(4))
}
