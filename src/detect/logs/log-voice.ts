/**
 * How the log detector speaks of one service: subjects, observations in lines per second, and the sentence that names a deploy just before.
 * Logs never page: `impact` is always false.
 */
import type { DetectorContext } from '../detector.ts'
import type { Episodes, Observation, Subject } from '../episode.ts'
import { natsFor } from './log-chance.ts'
import { Habit } from './log-habits.ts'
import type { LogTemplates } from './log-templates.ts'
import { at, example, shortened } from './log-wording.ts'
import type { LogsConfig } from './logs-config.ts'
import type { TemplateGaps } from './template-gaps.ts'
import type { TemplateRates } from './template-rates.ts'
import type { TemplateTable } from './template-table.ts'
import type { TemplateValues } from './template-values.ts'

/** What the services of a partition have in common. */
export interface LogsShared {
  readonly config: LogsConfig
  readonly board: DetectorContext['residuals']
  readonly templates: LogTemplates
  readonly table: TemplateTable
  readonly rates: TemplateRates
  readonly gaps: TemplateGaps
  readonly values: TemplateValues
  readonly episodes: Episodes
  /** Opens with the second observation: the first one says since when. */
  readonly stoppedEpisodes: Episodes
}

/** A silence or a newcomer is laid to a deploy that began up to so long after it: deploys are told when they are done. */
const DEPLOY_TAKES_MS = 300_000

export class ServiceVoice {
  readonly name: string
  /** When it was last deployed; -Infinity: not that is known. */
  deployMs = -Infinity
  deployText = ''
  readonly #shared: LogsShared

  constructor(name: string, shared: LogsShared) {
    this.name = name
    this.#shared = shared
  }

  /** What of one kind is told although it is false; the budget is that of all kinds, of which few are ever used up in one service. */
  habit(fromMs: number, lasts = true): Habit {
    return new Habit(this.#shared.config.falseAlarmsPerWeek, fromMs, lasts)
  }

  /** Whether what began at this moment may be a deploy's doing. */
  isDeploying(atMs: number): boolean {
    return atMs >= this.deployMs - DEPLOY_TAKES_MS && atMs < this.deployMs + this.#shared.config.deployGraceMs
  }

  /** Whether what was last heard of at this moment may have been taken out by a deploy. */
  wasDeployedSince(lastMs: number): boolean {
    return lastMs < this.deployMs + this.#shared.config.deployGraceMs
  }

  key(kind: string, slot: number): string {
    return `${kind}\0${this.name}\0${this.#shared.table.hashes[slot]!}`
  }

  /** The text of the template, in as many characters as a subject has. */
  text(slot: number): string {
    return shortened(this.#shared.table.texts[slot]!)
  }

  example(slot: number): string {
    return example(this.#shared.table.examples[slot]!)
  }

  deploy(timeMs: number): string[] {
    return this.isDeploying(timeMs) ? [`${this.deployText} at ${at(this.deployMs)}: it may be the doing of that.`] : []
  }

  /** What a test asks for that is made once per `everyMs` for each of so many templates. */
  nats(everyMs: number, templates: number): number {
    return natsFor(everyMs, Math.max(10, templates), this.#shared.config.falseAlarmsPerWeek)
  }

  subject(subject: string, unit = 'lines/s'): Subject {
    return { detector: 'logs', signal: 'logs', service: this.name, instance: '', subject, symptom: 'log', unit, impact: false }
  }

  observation(timeMs: number, lines: number, expected: number, high: number, score: number, spanMs?: number): Observation {
    const perSecond = 1000 / (spanMs ?? this.#shared.config.windowMs)
    return {
      timeMs,
      observed: lines * perSecond,
      expected: expected * perSecond,
      low: 0,
      high: high * perSecond,
      score,
      direction: 'up',
      volume: lines,
    }
  }
}
