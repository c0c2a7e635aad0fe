/**
 * What the person on call sees: alarms against the stretches of time somebody called wrong. An alarm is right when it overlaps such a
 * stretch, a stretch is caught when an alarm overlaps it; the delay runs from its start to when the first of them was told.
 */

/** `toldMs` is when it was first known, `startMs` to `endMs` what it is about. */
export interface Alarm {
  readonly toldMs: number
  readonly startMs: number
  readonly endMs: number
}

/** Both ends included. */
export type Stretch = readonly [startMs: number, endMs: number]

/** One series with all its alarms and labels; `watchedMs` is how long it was looked at. */
export interface WatchedSeries {
  readonly alarms: readonly Alarm[]
  readonly stretches: readonly Stretch[]
  readonly watchedMs: number
}

/** Counts, which add up. */
export interface EventTally {
  readonly alarms: number
  readonly rightAlarms: number
  readonly stretches: number
  /** One for each stretch that was caught. */
  readonly delaysMs: readonly number[]
  readonly watchedMs: number
}

export interface EventFigures {
  readonly alarms: number
  readonly rightAlarms: number
  readonly stretches: number
  readonly caught: number
  readonly seriesDays: number
  /** Of all alarms those that are right; NaN without alarms. */
  readonly precision: number
  /** Of all stretches those that were caught; NaN without stretches. */
  readonly recall: number
  /** Over the caught ones; NaN without any. */
  readonly medianDelayS: number
  readonly alarmsPerSeriesDay: number
  readonly falseAlarmsPerSeriesDay: number
}

const DAY_MS = 86_400_000

export function eventTally({ alarms, stretches, watchedMs }: WatchedSeries): EventTally {
  const delaysMs: number[] = []
  for (const stretch of stretches) {
    let toldMs = Infinity
    for (const alarm of alarms) if (overlaps(alarm, stretch)) toldMs = Math.min(toldMs, alarm.toldMs)
    if (toldMs < Infinity) delaysMs.push(Math.max(0, toldMs - stretch[0]))
  }
  const rightAlarms = alarms.filter((alarm) => stretches.some((stretch) => overlaps(alarm, stretch))).length
  return { alarms: alarms.length, rightAlarms, stretches: stretches.length, delaysMs, watchedMs }
}

/** All of them together. */
export function eventFigures(tallies: readonly EventTally[]): EventFigures {
  const sum = (of: (tally: EventTally) => number) => tallies.reduce((total, tally) => total + of(tally), 0)
  const alarms = sum((tally) => tally.alarms)
  const rightAlarms = sum((tally) => tally.rightAlarms)
  const stretches = sum((tally) => tally.stretches)
  const seriesDays = sum((tally) => tally.watchedMs) / DAY_MS
  const delaysMs = tallies.flatMap((tally) => tally.delaysMs)
  return {
    alarms,
    rightAlarms,
    stretches,
    caught: delaysMs.length,
    seriesDays,
    precision: rightAlarms / alarms,
    recall: delaysMs.length / stretches,
    medianDelayS: median(delaysMs) / 1000,
    alarmsPerSeriesDay: alarms / seriesDays,
    falseAlarmsPerSeriesDay: (alarms - rightAlarms) / seriesDays,
  }
}

/** Labelled rows that follow each other are one stretch. Rows in order of time. */
export function stretchesOf(timeMs: Float64Array, label: Uint8Array): Stretch[] {
  const found: [number, number][] = []
  for (let i = 0; i < label.length; i++) {
    if (label[i] === 0) continue
    if (i > 0 && label[i - 1] !== 0) found.at(-1)![1] = timeMs[i]!
    else found.push([timeMs[i]!, timeMs[i]!])
  }
  return found
}

export function overlaps(alarm: Alarm, [startMs, endMs]: Stretch): boolean {
  return alarm.startMs <= endMs && alarm.endMs >= startMs
}

function median(values: number[]): number {
  if (values.length === 0) return Number.NaN
  values.sort((a, b) => a - b)
  const middle = values.length >> 1
  return values.length % 2 === 1 ? values[middle]! : (values[middle - 1]! + values[middle]!) / 2
}
