/**
 * An anomaly as text for people at a terminal: what was seen, how unlikely it is, and how its score came about, made again beside the one
 * that was told. Whatever telemetry put into it, the terminal obeys none of it.
 */
import { agrees, recompute } from './detect/reckon.ts'
import type { Anomaly, Points, Reckoning } from './model.ts'
import { rarityText, ruleText } from './reckoning.ts'
import { digits, measured, utcTime } from './web/wording.ts'
import { duration, oneLine } from './wording.ts'

const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const
const CHART_COLUMNS = 60
const MOST_INPUTS = 60
const VOLUME = { metrics: 'samples', logs: 'lines', spans: 'requests', mixed: 'samples' } as const

export interface Checked {
  /** NaN: the rule is of another version, or nothing was told of it. */
  readonly recomputed: number
  readonly fate: 'agrees' | 'differs' | 'unknown'
}

/** `unknown` only where nothing was told of how the score came about. */
export function check({ score, reckoning }: Anomaly): Checked {
  if (reckoning === undefined) return { recomputed: Number.NaN, fate: 'unknown' }
  const recomputed = recompute(reckoning)
  return { recomputed, fate: agrees(score, recomputed) ? 'agrees' : 'differs' }
}

export function anomalyText(anomaly: Anomaly, incidentId: string): string {
  const { service, instance, subject, unit, observed, expected, volume, startMs, endMs, detector, reckoning } = anomaly
  const behind = volume > 0 ? `, ${digits(volume)} ${VOLUME[anomaly.signal]} behind it` : ''
  const ended = endMs === undefined ? 'still going on' : `to ${utcTime(endMs)}, ${duration(endMs - startMs)}`
  const rows: (readonly [string, string])[] = [
    ['observed', `${measured(observed, unit)}${behind}`],
    ['expected', measured(expected, unit)],
    ['since', `${utcTime(startMs)}, ${ended}`],
    ['how unlikely', unlikely(reckoning)],
    ['felt', anomaly.impact ? 'yes, by users or other services' : 'no'],
    ['detector', oneLine(detector, 40)],
    ...(instance === '' ? [] : [['instance', oneLine(instance, 120)] as const]),
    ['incident', oneLine(incidentId, 80)],
  ]
  const lines = [
    `${oneLine(service, 80) || 'unnamed service'}: ${oneLine(subject, 200)}  (anomaly ${oneLine(anomaly.id, 64)})`,
    ...rows.map(([name, value]) => `  ${name.padEnd(14)}${value}`),
    '',
    ...workedOut(anomaly),
    '',
    ...anomaly.evidence.map((sentence) => `  - ${oneLine(sentence, 500)}`),
    ...sparkline(anomaly.points, startMs, endMs, anomaly.direction, unit),
  ]
  return `${lines.join('\n')}\n`
}

/** One line each. */
export function anomalyLine(anomaly: Anomaly): string {
  const { id, service, subject, observed, expected, unit, startMs, detector, score, reckoning } = anomaly
  const { fate } = check(anomaly)
  const rarity = reckoning === undefined ? '' : rarityText(reckoning)
  return `${oneLine(id, 64)}  ${utcTime(startMs)}  ${oneLine(service, 60)}: ${oneLine(subject, 100)} was ${measured(observed, unit)} instead of ${measured(expected, unit)}; ${oneLine(detector, 40)}, score ${digits(score)} (${FATES[fate]})${rarity === '' ? '' : `; ${rarity}`}\n`
}

const FATES: Readonly<Record<Checked['fate'], string>> = {
  agrees: 'agrees',
  differs: 'DIFFERS from its inputs',
  unknown: 'not told how it came about',
}

function unlikely(reckoning: Reckoning | undefined): string {
  const text = reckoning === undefined ? '' : rarityText(reckoning)
  return text === '' ? 'not known in weeks' : text
}

function workedOut(anomaly: Anomaly): string[] {
  const { score, reckoning } = anomaly
  if (reckoning === undefined)
    return ['  How this was worked out was not kept: it was told by an earlier version.', `  score         ${exact(score)}`]
  const { rule, inputs } = reckoning
  const text = ruleText(rule)
  const { recomputed, fate } = check(anomaly)
  const shownInputs = inputs.slice(0, MOST_INPUTS).map(([name, value]) => [oneLine(name, 100), exact(value)] as const)
  const width = Math.max(12, ...shownInputs.map(([name]) => name.length))
  const more = inputs.length - shownInputs.length
  return [
    `  Rule ${oneLine(rule, 40)}: ${text?.title ?? 'of another version of Tocsin'}`,
    ...shownInputs.map(([name, value]) => `    ${name.padEnd(width)}  ${value}`),
    ...(more > 0 ? [`    and ${more} more`] : []),
    ...(text === undefined ? [] : [`  score = ${text.formula}`]),
    `  recomputed    ${exact(recomputed)}`,
    `  stored        ${exact(score)}`,
    fate === 'agrees'
      ? '  They agree; 1 is the threshold.'
      : '  They DO NOT agree: this score cannot be made from these inputs by this version.',
  ]
}

function exact(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(9))) : 'unknown'
}

/** The chart in two lines: what was observed, and below it where the anomaly is. Of the values that share a column the worst is shown. */
function sparkline(
  { timeMs, observed }: Points,
  startMs: number,
  endMs: number | undefined,
  direction: 'up' | 'down',
  unit: string,
): string[] {
  const count = Math.min(timeMs.length, observed.length)
  const values: number[] = []
  const marks: boolean[] = []
  const columns = Math.min(CHART_COLUMNS, count)
  for (let column = 0; column < columns; column++) {
    const from = Math.floor((column * count) / columns)
    const to = Math.max(from + 1, Math.floor(((column + 1) * count) / columns))
    const part = observed.slice(from, to).filter((value) => Number.isFinite(value))
    values.push(part.length === 0 ? Number.NaN : direction === 'up' ? Math.max(...part) : Math.min(...part))
    marks.push(timeMs.slice(from, to).some((ms) => ms >= startMs && (endMs === undefined || ms < endMs)))
  }
  const known = values.filter((value) => !Number.isNaN(value))
  if (known.length < 2) return []
  const [low, high] = [Math.min(...known), Math.max(...known)]
  const bar = (value: number) =>
    Number.isNaN(value) ? ' ' : BARS[high > low ? Math.min(BARS.length - 1, Math.floor(((value - low) / (high - low)) * BARS.length)) : 0]!
  return [
    '',
    `  ${values.map(bar).join('')}  ${measured(low, unit)} to ${measured(high, unit)}`,
    `  ${marks.map((mark) => (mark ? '^' : ' ')).join('')}  ${utcTime(timeMs[0]!)} to ${utcTime(timeMs[count - 1]!)}`,
  ]
}
