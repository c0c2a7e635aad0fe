/**
 * `tocsin evaluate`: how well Tocsin would have done on somebody's own history, by what they called wrong in it. The history is a folder of CSV
 * files, a series each, or a recording; it goes through the detectors as they are configured, in event time, and nothing is kept or sent.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from './app.ts'
import { decodeBatch } from './codec.ts'
import { telemetryFor } from './commands.ts'
import type { Config } from './config.ts'
import { loadModels } from './detect/service/model-files.ts'
import { mishapText, PartitionDetectors } from './detect/partition.ts'
import { PermanentError } from './errors.ts'
import { bestDelayF1, delaySeries, type DelaySeries } from './evaluate/delay-f1.ts'
import { eventFigures, eventTally, type EventFigures, type EventTally, type Stretch } from './evaluate/events.ts'
import { historyNames, readHistory } from './evaluate/history.ts'
import { labelsByName, readLabels, stretchesIn, type Label } from './evaluate/labels.ts'
import { vusPr, windowRowsOf } from './evaluate/vus-pr.ts'
import { createDoors } from './ingest/doors.ts'
import { readManifest } from './ingest/recording/recording.ts'
import { replay } from './ingest/recording/replay.ts'
import type { Batch } from './model.ts'
import type { Telemetry } from './telemetry.ts'
import type { OutRecord, Transport } from './transport/transport.ts'
import { duration } from './wording.ts'
import { AlarmLog, watchHistory, type ToldAlarm, type WatchOptions } from './watch-history.ts'

export interface EvaluateOptions {
  readonly data: string
  readonly labels: string
  /** A labelled stretch is found for F1 when it is noticed within so many rows of its start. */
  readonly delay: number
}

/** Figures of events, and of rows where there are rows: a recording has none. */
export interface Evaluation extends EventFigures {
  readonly bestF1?: number
  readonly vusPr?: number
}

export interface EvaluationReport {
  /** What the entries of `each` are. */
  readonly of: 'files' | 'services'
  readonly all: Evaluation
  readonly each: Readonly<Record<string, Evaluation>>
}

export async function evaluateCommand(config: Config, options: EvaluateOptions & { readonly json: boolean }): Promise<void> {
  const onTerminal = process.stderr.isTTY
  const tell = (text: string) => void (onTerminal && process.stderr.write(`\r\u001b[2K${text}`))
  const report = await evaluate(config, options, telemetryFor(config), tell).finally(() => tell(''))
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : reportText(report, options.delay))
}

/** How far it is. */
export type Tell = (text: string) => void

/** Throws a PermanentError that names what is wrong with the data or the labels. */
export async function evaluate(
  config: Config,
  { data, labels: file, delay }: EvaluateOptions,
  telemetry: Telemetry,
  tell: Tell = () => undefined,
): Promise<EvaluationReport> {
  const labels = readLabels(file)
  const watch: WatchOptions = { config: config.detect, models: loadModels(config.detect, telemetry.log) }
  if (existsSync(join(data, 'manifest.json'))) return evaluateRecording(config, data, labels, watch, telemetry)
  return evaluateFiles(data, labels, delay, watch, tell)
}

function evaluateFiles(folder: string, labels: readonly Label[], delay: number, watch: WatchOptions, tell: Tell): EvaluationReport {
  const names = historyNames(folder)
  const labelled = labelsByName(labels, names)
  const tallies: EventTally[] = []
  const points: DelaySeries[] = []
  const volumes: number[] = []
  const each = new Map<string, Evaluation>()
  for (const [i, name] of names.entries()) {
    tell(`${i + 1} of ${names.length}, ${name}`)
    const { timeMs, value } = readHistory(folder, name)
    const stretches = stretchesIn(labelled.get(name)!, name, [timeMs[0]!, timeMs.at(-1)!])
    const label = labelOf(timeMs, stretches)
    const history = watchHistory(name, timeMs, value, watch)
    const tally = eventTally({ alarms: history.alarms, stretches, watchedMs: timeMs.at(-1)! - timeMs[0]! })
    // The delay is so many rows, whatever lies between them: one pair of rows that are close would else make a grid of it that nothing meets.
    const one = delaySeries({ timeMs: Float64Array.from(timeMs, (_, row) => row), label, score: history.onset }, delay)
    const volume = vusPr(label, history.point, windowRowsOf(value))
    if (!Number.isNaN(volume)) volumes.push(volume)
    tallies.push(tally)
    points.push(one)
    each.set(name, { ...eventFigures([tally]), ...(stretches.length > 0 && { bestF1: bestDelayF1([one]).f1, vusPr: volume }) })
  }
  const vus = volumes.reduce((sum, volume) => sum + volume, 0) / volumes.length
  const all = { ...eventFigures(tallies), ...(volumes.length > 0 && { bestF1: bestDelayF1(points).f1, vusPr: vus }) }
  return { of: 'files', all, each: Object.fromEntries(each) }
}

/** Both in order of time. */
function labelOf(timeMs: Float64Array, stretches: readonly Stretch[]): Uint8Array {
  const label = new Uint8Array(timeMs.length)
  let from = 0
  for (const [startMs, endMs] of stretches) {
    while (from < timeMs.length && timeMs[from]! < startMs) from++
    for (let i = from; i < timeMs.length && timeMs[i]! <= endMs; i++) label[i] = 1
  }
  return label
}

async function evaluateRecording(
  config: Config,
  folder: string,
  labels: readonly Label[],
  watch: WatchOptions,
  telemetry: Telemetry,
): Promise<EvaluationReport> {
  const { firstMs, lastMs } = await readManifest(folder)
  const lookout = new Lookout(watch)
  const topics = { telemetry: 'telemetry', findings: 'findings', deadLetters: 'dead-letters' }
  const door = createDoors({ transport: lookout, topics, partitions: 1, config: config.ingest, telemetry, clock: systemClock })
  await replay(folder, door, { tickMs: config.ingest.tickMs, tailMs: config.ingest.tickMs })
  const services = [...lookout.services].sort()
  const labelled = labelsByName(labels, services)
  const alarms = lookout.alarms(lastMs)
  const tallies = new Map(
    services.map((service) => {
      const own = alarms.filter((alarm) => alarm.service === service)
      const stretches = stretchesIn(labelled.get(service)!, service, [firstMs, lastMs])
      return [service, eventTally({ alarms: own, stretches, watchedMs: lastMs - firstMs })]
    }),
  )
  const each = Object.fromEntries([...tallies].map(([service, tally]) => [service, eventFigures([tally])]))
  return { of: 'services', all: eventFigures([...tallies.values()]), each }
}

/** Stands where the transport does: what the doors publish is looked at at once, by detectors that see all of it. */
class Lookout implements Transport {
  readonly services = new Set<string>()
  readonly #detectors: PartitionDetectors
  readonly #told = new AlarmLog()

  constructor({ config, models }: WatchOptions) {
    this.#detectors = new PartitionDetectors({ partition: 0, config, models })
  }

  /** That something went silent is an alarm here: whoever labels a service means that too. */
  alarms(lastMs: number): ToldAlarm[] {
    return [...this.#told.alarms(lastMs, false), ...this.#told.alarms(lastMs, true)]
  }

  async publish(_: string, records: readonly OutRecord[]): Promise<void> {
    for (const { value } of records) {
      const batch = decodeBatch(value)
      for (const service of servicesOf(batch)) this.services.add(service)
      const mishaps = this.#detectors.feed(batch, this.#told.hear)
      if (mishaps.length > 0) throw new PermanentError(mishaps.map(mishapText).join('; '))
    }
  }

  async partitions(): Promise<number> {
    return 1
  }

  async ensureTopic(): Promise<void> {}

  subscribe(): Promise<AsyncDisposable> {
    throw new Error('nobody listens here')
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function servicesOf(batch: Batch): readonly string[] {
  if (batch.kind === 'metrics') return batch.series.map((series) => series.service)
  return batch.kind === 'logs' || batch.kind === 'spans' ? batch.sources.map((source) => source.service) : []
}

export function reportText({ of, all, each }: EvaluationReport, delay: number): string {
  const number = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? '–' : value.toFixed(2))
  const row = (name: string, one: Evaluation) => [
    name,
    `${one.caught} of ${one.stretches}`,
    number(one.recall),
    `${one.rightAlarms} of ${one.alarms}`,
    number(one.precision),
    Number.isNaN(one.medianDelayS) ? '–' : duration(one.medianDelayS * 1000),
    number(one.alarmsPerSeriesDay),
    ...(of === 'files' ? [number(one.bestF1), number(one.vusPr)] : []),
  ]
  const head = [
    of === 'files' ? 'file' : 'service',
    'caught',
    'recall',
    'right alarms',
    'precision',
    'delay',
    'alarms a day',
    ...(of === 'files' ? ['F1', 'VUS-PR'] : []),
  ]
  const rows = [head, ...Object.entries(each).map(([name, one]) => row(name, one)), row(`all ${Object.keys(each).length}`, all)]
  const widths = head.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)))
  const lines = rows.map((cells) => cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
  const notes =
    of === 'files'
      ? `F1: the best any one threshold gives, a labelled stretch found when it is noticed within ${delay} rows of its start. VUS-PR: mean over the files with labels.\n`
      : ''
  return `${lines.join('\n')}\n\nCaught: labelled stretches that an alarm overlaps; delay: from their start to when it was told, the median. ${notes === '' ? '\n' : `\n${notes}`}`
}
