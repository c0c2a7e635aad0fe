/** What is told about a subject and to whom it matters, and what all subjects of the detector share. */
import type { DetectorContext } from '../detector.ts'
import type { Episodes, Subject } from '../episode.ts'
import type { Feature } from '../residuals.ts'
import type { SpansConfig } from './spans-config.ts'

/** Observations of a level before it is judged by. */
export const LEARNT = 6
const WEEK_MS = 604_800_000
/** Errors and latency. */
const MEASURES = 2

export interface SpansShared {
  readonly config: SpansConfig
  readonly board: DetectorContext['residuals']
  readonly episodes: Episodes
  /** The service that joined traces have shown to answer at an address. */
  readonly serviceAt: (peer: string) => string | undefined
}

export interface Role {
  readonly service: string
  /** `POST /checkout`, `all requests`, `postgresql SELECT`. */
  readonly title: string
  /** What comes after the measure: ` (as seen by inventory)`. */
  readonly suffix: string
  readonly errors: Feature
  readonly latency: Feature
  /** Anomalies of errors and latency are told; else only residuals are written. */
  readonly tells: boolean
  /** All that a service serves: how much it is, is judged. */
  readonly judgesTraffic: boolean
  /** Not called from outside: a consumer's or a job's own work, which may run on a schedule. */
  readonly isWork: boolean
  /** By its name it waits on purpose: long polls, streams. */
  readonly waits: boolean
}

export function subjectOf(role: Role, measure: string, symptom: Subject['symptom'], unit: string, impact: boolean): Subject {
  return {
    detector: 'spans',
    signal: 'spans',
    service: role.service,
    instance: '',
    subject: `${role.title} ${measure}${role.suffix}`,
    symptom,
    unit,
    impact,
  }
}

/**
 * The surprise, as −log10 of a probability, from which one of so many subjects of a service may be called anomalous when each is looked at
 * every `windows` windows, for the false alarms per week that are set to be those of the service (Bonferroni's correction).
 */
export function surpriseNeeded({ windowMs, falseAlarmsPerWeek }: SpansConfig, subjects: number, windows: number): number {
  return Math.log10((WEEK_MS / (windowMs * windows)) * ((MEASURES * Math.max(1, subjects)) / falseAlarmsPerWeek))
}
