/**
 * How many false alarms the shipped default raises where nothing is wrong, against the number that is set: on made-up series without
 * faults, and on those stretches of labelled series that are further than a day from any label (further than their labels are long, if that
 * is more). Alarms in the first days count like all others.
 */
import { detectConfig } from '../../src/detect/config.ts'
import { stretchesOf, type Alarm } from '../../src/evaluate/events.ts'
import { watchHistory } from '../../src/watch-history.ts'
import { readCloud, readKpi, readNab, type LabelledSeries } from './data.ts'
import { faultFree } from './fault-free.ts'

const DAY_MS = 86_400_000
const WEEK_MS = 7 * DAY_MS
/** What `falseAlarmsPerWeek` is set to, one after the other. */
const SETTINGS = [0.2, 1, 5] as const
const PER_FAMILY = 4
const WEEKS = 6

/** One series through the detectors as they are shipped. Silence is not counted as an alarm. */
function alarmsOf(name: string, { timeMs, value }: Pick<LabelledSeries, 'timeMs' | 'value'>, falseAlarmsPerWeek: number): readonly Alarm[] {
  const config = detectConfig.parse({ detectors: { series: { falseAlarmsPerWeek } }, off: ['logs', 'spans', 'service'] })
  return watchHistory(name, timeMs, value, { config, models: new Map() }).alarms
}

export interface Quiet {
  readonly weeks: number
  readonly alarms: number
}

function perWeek({ weeks, alarms }: Quiet): number {
  return weeks === 0 ? Number.NaN : alarms / weeks
}

/** Alarms and weeks outside of the neighbourhood of labels. */
export function quietPart(
  { timeMs, label, windows }: Omit<LabelledSeries, 'value' | 'name' | 'category'>,
  alarms: readonly Alarm[],
): Quiet {
  const near = (windows.length > 0 ? windows : stretchesOf(timeMs, label)).map(([fromMs, toMs]) => {
    const marginMs = Math.max(DAY_MS, toMs - fromMs)
    return [fromMs - marginMs, toMs + marginMs] as const
  })
  const isNear = (atMs: number): boolean => near.some(([fromMs, toMs]) => atMs >= fromMs && atMs <= toMs)
  let quietMs = 0
  for (let row = 1; row < timeMs.length; row++) {
    const apartMs = timeMs[row]! - timeMs[row - 1]!
    if (apartMs > 0 && !isNear(timeMs[row]!)) quietMs += Math.min(apartMs, DAY_MS)
  }
  return { weeks: quietMs / WEEK_MS, alarms: alarms.filter((alarm) => !isNear(alarm.startMs)).length }
}

function add(sums: Map<string, Quiet>, name: string, { weeks, alarms }: Quiet): void {
  const before = sums.get(name) ?? { weeks: 0, alarms: 0 }
  sums.set(name, { weeks: before.weeks + weeks, alarms: before.alarms + alarms })
}

function table(sums: ReadonlyMap<string, Quiet>): Record<string, number> {
  return Object.fromEntries([...sums].map(([name, quiet]) => [name, Number(perWeek(quiet).toFixed(3))]))
}

function total(sums: ReadonlyMap<string, Quiet>): number {
  let weeks = 0
  let alarms = 0
  for (const quiet of sums.values()) {
    weeks += quiet.weeks
    alarms += quiet.alarms
  }
  return Number(perWeek({ weeks, alarms }).toFixed(3))
}

/** Alarms per series and week of every family, for each setting; made-up series need no folder. */
export function evaluate(dir: string): Record<string, unknown> {
  const answer: Record<string, unknown> = {}
  const sets = Object.entries({ nab: readNab(dir), kpi: readKpi(dir), cloud: readCloud(dir) })
  for (const falseAlarmsPerWeek of SETTINGS) {
    const madeUp = new Map<string, Quiet>()
    for (const plain of faultFree(PER_FAMILY, WEEKS)) {
      const alarms = alarmsOf(plain.family, plain, falseAlarmsPerWeek).length
      add(madeUp, plain.family, { weeks: WEEKS, alarms })
    }
    const real = new Map<string, Quiet>()
    for (const [set, files] of sets)
      for (const file of files ?? []) add(real, set, quietPart(file, alarmsOf(file.name, file, falseAlarmsPerWeek)))
    answer[`at${falseAlarmsPerWeek}PerWeek`] = {
      madeUp: total(madeUp),
      worstFamily: Math.max(...[...madeUp.values()].map(perWeek)),
      perFamily: table(madeUp),
      farFromLabels: table(real),
    }
  }
  return answer
}
