/**
 * What log lines say about a service: a template never seen before, a burst of a known one, one that has stopped, one whose severity or whose
 * numbers have shifted, more error or warning lines than usual. This file counts lines per window, service and template;
 * log-service.ts judges the counts. Logs never page: `impact` is always false.
 * Bounded: services, templates per service and per window; what is over a bound is counted, never kept.
 */
import type { Batch, ChangeType, EventBatch, LogBatch, Source } from '../../model.ts'
import { oneLine } from '../../wording.ts'
import type { Detector, DetectorContext, DetectorKind, Emit, TemplateSink } from '../detector.ts'
import { Episodes } from '../episode.ts'
import { ServiceLogs } from './log-service.ts'
import {
  addLine,
  ERROR,
  newTally,
  newTemplateTally,
  readWindow,
  type ServiceTally,
  type TemplateTally,
  WARN,
  writeWindow,
} from './log-tally.ts'
import { continuesTrace, type LastLine, OpenTraces } from './log-open-traces.ts'
import { LogTemplates } from './log-templates.ts'
import type { LogsShared } from './log-voice.ts'
import { clipped } from './log-wording.ts'
import { logsConfig } from './logs-config.ts'
import type { LogsConfig } from './logs-config.ts'
import { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import { TemplateGaps } from './template-gaps.ts'
import { TemplateRates } from './template-rates.ts'
import { TemplateTable } from './template-table.ts'
import { TemplateValues } from './template-values.ts'
import { closeServices, Windows } from '../windows.ts'

/** 2: rates, gaps and values per template; before, only levels. */
const VERSION = 2
/** A power of two. */
const RECENT = 1024
/** Changes after which other lines are to be expected. */
const DEPLOYS: ReadonlySet<ChangeType> = new Set(['deploy', 'rollback', 'sync', 'rollout', 'flag', 'config'])

export class LogsDetector implements Detector {
  /** Lines of services beyond `maxServices`. */
  ignoredLines = 0
  /** Lines of a stack trace that an earlier line of the same instance began: part of that line, neither more errors nor templates. */
  continuedLines = 0
  readonly #told: TemplateSink | undefined
  readonly #shared: LogsShared
  readonly #windows: Windows<Map<string, ServiceTally>>
  readonly #services = new Map<string, ServiceLogs>()
  readonly #traces = new OpenTraces()
  /** Where the last lines were counted: most lines are like one of the last. Forgotten with every window. */
  readonly #recentIds = new Float64Array(RECENT)
  readonly #recentTallies: (ServiceTally | undefined)[] = Array.from({ length: RECENT }, () => undefined)
  readonly #recentCounts: (TemplateTally | undefined)[] = Array.from({ length: RECENT }, () => undefined)

  constructor(config: LogsConfig, context: DetectorContext) {
    this.#told = context.templates
    const { windowMs, falseAlarmsPerWeek, stoppedAfterMs } = config
    const table = new TemplateTable()
    this.#shared = {
      config,
      board: context.residuals,
      templates: new LogTemplates(config),
      table,
      rates: new TemplateRates(table),
      gaps: new TemplateGaps(table, { windowMs, falseAlarmsPerWeek, leastMs: stoppedAfterMs }),
      values: new TemplateValues({ leastZ: config.valueThreshold, absorbAfter: Math.ceil(config.absorbMs / windowMs) }),
      episodes: new Episodes(config),
      stoppedEpisodes: new Episodes({ ...config, openAfter: 2 }),
    }
    this.#windows = new Windows(windowMs, config.latenessMs, () => new Map())
  }

  detect(batch: Batch, emit: Emit): void {
    if (batch.kind === 'logs') this.#count(batch)
    else if (batch.kind === 'events') this.#noteDeploys(batch)
    else if (batch.kind === 'tick') this.#windows.tick(batch.nowMs, (startMs, window) => this.#close(startMs, window, emit))
  }

  counts(): Readonly<Record<string, number>> {
    const { templates, table } = this.#shared
    return {
      services: this.#services.size,
      templates: table.size,
      mined: templates.size,
      evicted: templates.evicted,
      ignored: this.ignoredLines,
      continued: this.continuedLines,
    }
  }

  snapshot(): Uint8Array {
    const to = new SnapshotWriter(VERSION)
    to.f64(this.ignoredLines)
    const { templates, episodes, stoppedEpisodes, table, values } = this.#shared
    templates.snapshot(to)
    episodes.snapshot(to)
    this.#windows.snapshot(to, writeWindow)
    stoppedEpisodes.snapshot(to)
    table.snapshot(to)
    values.snapshot(to)
    this.#traces.snapshot(to)
    to.u32(this.#services.size)
    for (const service of this.#services.values()) service.snapshot(to)
    return to.finish()
  }

  restore(bytes: Uint8Array): void {
    const from = new SnapshotReader(bytes, 'the log detector', VERSION)
    this.ignoredLines = from.f64()
    const { templates, episodes, stoppedEpisodes, table, values } = this.#shared
    templates.restore(from)
    episodes.restore(from)
    this.#windows.restore(from, readWindow)
    if (from.version > 1) {
      stoppedEpisodes.restore(from)
      table.restore(from)
      values.restore(from)
      this.#traces.restore(from)
    }
    this.#forgetRecent()
    this.#services.clear()
    for (let left = from.count(16); left > 0; left--) {
      const service = ServiceLogs.restore(from, this.#shared)
      this.#services.set(service.name, service)
    }
    from.end()
  }

  #count(batch: LogBatch): void {
    const { rows, sources, sourceIndex, timeMs, severity, body } = batch
    const { templates } = this.#shared
    const isNewVersion = sources.map(
      ({ service, version }) => version !== '' && this.#services.get(service)?.knowsVersion(version) === false,
    )
    // By source: a look-up by name once per window and not once per line.
    const tallies: (ServiceTally | undefined)[] = sources.map(() => undefined)
    const lastLines: (LastLine | undefined)[] = sources.map(() => undefined)
    let counted: Map<string, ServiceTally> | undefined
    for (let row = 0; row < rows; row++) {
      const window = this.#windows.at(timeMs[row]!)
      if (window !== counted) {
        counted = window
        tallies.fill(undefined)
      }
      const at = sourceIndex[row]!
      const tally = (tallies[at] ??= this.#tallyOf(window, sources[at]!))
      if (tally === undefined) {
        this.ignoredLines++
        continue
      }
      const text = body[row]!
      const last = (lastLines[at] ??= this.#traces.of(sources[at]!))
      if (continuesTrace(last, text, timeMs[row]!)) {
        this.continuedLines++
        continue
      }
      const level = severity[row]!
      tally.lines++
      if (level >= ERROR) {
        if (tally.errors++ === 0) tally.errorExample = clipped(text)
      } else if (level >= WARN && tally.warnings++ === 0) tally.warningExample = clipped(text)
      if (isNewVersion[at]) tally.version = oneLine(sources[at]!.version, 60)
      const id = templates.idOf(text)
      this.#told?.(sources[at]!.service, timeMs[row]!, id, templates)
      const place = (id ^ Math.imul(at, 0x9e3779b1)) & (RECENT - 1)
      if (this.#recentIds[place] !== id || this.#recentTallies[place] !== tally) {
        const count = this.#countOf(tally, id, level, text)
        if (count === undefined) continue
        this.#recentIds[place] = id
        this.#recentTallies[place] = tally
        this.#recentCounts[place] = count
      }
      addLine(this.#recentCounts[place]!, level, text)
    }
  }

  /** Undefined when there are too many services to follow one more. */
  #tallyOf(window: Map<string, ServiceTally>, { service, version }: Source): ServiceTally | undefined {
    let tally = window.get(service)
    if (tally !== undefined) return tally
    const isKnown = this.#services.has(service)
    if (!isKnown && this.#services.size + window.size >= this.#shared.config.maxServices) return undefined
    window.set(service, (tally = newTally()))
    if (!isKnown) tally.version = oneLine(version, 60)
    return tally
  }

  /** Undefined when the service has too many templates in this window. */
  #countOf({ templates }: ServiceTally, id: number, level: number, text: string): TemplateTally | undefined {
    let count = templates.get(id)
    if (count !== undefined || templates.size >= this.#shared.config.maxTemplatesPerService) return count
    templates.set(id, (count = newTemplateTally(level, text)))
    return count
  }

  #noteDeploys({ events }: EventBatch): void {
    for (const event of events) {
      if (event.kind === 'change' && DEPLOYS.has(event.type))
        this.#services.get(event.service)?.deployed(event.atMs, event.title, event.type)
    }
  }

  #forgetRecent(): void {
    this.#recentTallies.fill(undefined)
    this.#recentCounts.fill(undefined)
  }

  #close(startMs: number, window: Map<string, ServiceTally> | undefined, emit: Emit): void {
    this.#forgetRecent()
    this.#traces.forget(startMs)
    const follow = (name: string) => new ServiceLogs(name, startMs, this.#shared)
    closeServices(this.#services, window, startMs, this.#shared.config.forgetMs, follow, emit)
  }
}

export const logsDetector: DetectorKind<LogsConfig> = {
  name: 'logs',
  config: logsConfig,
  create: (config, context) => new LogsDetector(config, context),
}
