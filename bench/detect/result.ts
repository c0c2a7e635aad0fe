/**
 * What the process of a set answers with, and what is made of several answers. Loads no detector.
 */
import { eventFigures, type EventTally } from '../../src/evaluate/events.ts'
import type { NabProfileName } from '../../src/evaluate/nab.ts'
import type { SeriesPicture } from './pictures.ts'

export interface Thresholds {
  readonly nab: Readonly<Record<NabProfileName, number>>
  readonly kpi: number
  readonly cloud: number
}

export interface SetResult {
  readonly figures: Readonly<Record<string, unknown>>
  /** What these files say the threshold should be. */
  readonly fitted: Partial<Thresholds>
  readonly tallies: readonly EventTally[]
  readonly pictures: readonly SeriesPicture[]
}

/** What the person on call would have had of it. */
export function shippedFigures(tallies: readonly EventTally[]) {
  const { alarmsPerSeriesDay, precision, recall, medianDelayS, falseAlarmsPerSeriesDay, seriesDays, alarms } = eventFigures(tallies)
  return {
    alertsPerSeriesDay: digits(alarmsPerSeriesDay),
    eventPrecision: digits(precision),
    eventRecall: digits(recall),
    medianDelayS: Math.round(medianDelayS),
    falseAlertsPerSeriesWeek: digits(falseAlarmsPerSeriesDay * 7),
    seriesDays: Math.round(seriesDays),
    alerts: alarms,
  }
}

/** More decimals than any of these figures is worth. */
export const digits = (value: number): number => Number(value.toFixed(4))
