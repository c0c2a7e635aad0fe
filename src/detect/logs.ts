/**
 * What log lines say about a service: a template never seen before, a burst of a known one, more error lines than usual.
 * This file counts lines per window, service and template; log-service.ts judges the counts. Logs never page: `impact` is always false.
 * Bounded: services, templates per service and per window; what is over a bound is counted, never kept.
 */
import type { Batch, LogBatch } from '../model.ts'
import type { Detector, DetectorContext, DetectorKind, Emit } from './detector.ts'
import { Episodes } from './episode.ts'
import { ServiceLogs } from './log-service.ts'
import type { LogsShared, ServiceTally, TemplateTally } from './log-service.ts'
import { clipped } from './log-wording.ts'
import { LogTemplates } from './log-templates.ts'
import { logsConfig } from './logs-config.ts'
import type { LogsConfig } from './logs-config.ts'
import { SnapshotReader, SnapshotWriter } from './snapshot.ts'
import { closeServices, Windows } from './windows.ts'

const VERSION = 1
const ERROR = 17

export class LogsDetector implements Detector {
  /** Lines of services beyond `maxServices`. */
  ignoredLines = 0
  readonly #shared: LogsShared
  readonly #windows: Windows<Map<string, ServiceTally>>
  readonly #services = new Map<string, ServiceLogs>()

  constructor(config: LogsConfig, context: DetectorContext) {
    this.#shared = { config, board: context.residuals, templates: new LogTemplates(config), episodes: new Episodes(config) }
    this.#windows = new Windows(config.windowMs, config.latenessMs, newWindow)
  }

  detect(batch: Batch, emit: Emit): void {
    if (batch.kind === 'logs') this.#count(batch)
    else if (batch.kind === 'tick') this.#windows.tick(batch.nowMs, (startMs, window) => this.#close(startMs, window, emit))
  }

  snapshot(): Uint8Array {
    const to = new SnapshotWriter(VERSION)
    to.f64(this.ignoredLines)
    this.#shared.templates.snapshot(to)
    this.#shared.episodes.snapshot(to)
    this.#windows.snapshot(to, writeWindow)
    to.u32(this.#services.size)
    for (const service of this.#services.values()) service.snapshot(to)
    return to.finish()
  }

  restore(bytes: Uint8Array): void {
    const from = new SnapshotReader(bytes, 'the log detector', VERSION)
    this.ignoredLines = from.f64()
    this.#shared.templates.restore(from)
    this.#shared.episodes.restore(from)
    this.#windows.restore(from, readWindow)
    this.#services.clear()
    for (let left = from.count(16); left > 0; left--) {
      const service = ServiceLogs.restore(from, this.#shared)
      this.#services.set(service.name, service)
    }
    from.end()
  }

  #count(batch: LogBatch): void {
    const { rows, sources, sourceIndex, timeMs, severity, body } = batch
    const { templates, config } = this.#shared
    const limit = config.maxTemplatesPerService
    for (let row = 0; row < rows; row++) {
      const window = this.#windows.at(timeMs[row]!)
      const service = sources[sourceIndex[row]!]!.service
      let tally = window.get(service)
      if (tally === undefined) {
        if (!this.#services.has(service) && this.#services.size + window.size >= config.maxServices) {
          this.ignoredLines++
          continue
        }
        window.set(service, (tally = { lines: 0, errors: 0, errorExample: '', templates: new Map() }))
      }
      const text = body[row]!
      const level = severity[row]!
      tally.lines++
      if (level >= ERROR && tally.errors++ === 0) tally.errorExample = clipped(text)
      const id = templates.idOf(text)
      const count = tally.templates.get(id)
      if (count !== undefined) {
        count.lines++
        if (level > count.severity) count.severity = level
      } else if (tally.templates.size < limit) tally.templates.set(id, { lines: 1, severity: level, example: clipped(text) })
    }
  }

  #close(startMs: number, window: Map<string, ServiceTally> | undefined, emit: Emit): void {
    const follow = (name: string) => new ServiceLogs(name, startMs, this.#shared)
    closeServices(this.#services, window, startMs, this.#shared.config.forgetMs, follow, emit)
  }
}

export const logsDetector: DetectorKind<LogsConfig> = {
  name: 'logs',
  config: logsConfig,
  create: (config, context) => new LogsDetector(config, context),
}

function newWindow(): Map<string, ServiceTally> {
  return new Map()
}

function writeWindow(to: SnapshotWriter, window: Map<string, ServiceTally>): void {
  to.u32(window.size)
  for (const [name, tally] of window) {
    to.string(name)
    to.f64(tally.lines)
    to.f64(tally.errors)
    to.string(tally.errorExample)
    to.u32(tally.templates.size)
    for (const [id, count] of tally.templates) {
      to.f64(id)
      to.f64(count.lines)
      to.u8(count.severity)
      to.string(count.example)
    }
  }
}

function readWindow(from: SnapshotReader): Map<string, ServiceTally> {
  const window = newWindow()
  for (let left = from.count(24); left > 0; left--) {
    const name = from.string()
    const [lines, errors, errorExample] = [from.f64(), from.f64(), from.string()]
    const templates = new Map<number, TemplateTally>()
    for (let more = from.count(21); more > 0; more--)
      templates.set(from.f64(), { lines: from.f64(), severity: from.u8(), example: from.string() })
    window.set(name, { lines, errors, errorExample, templates })
  }
  return window
}
