/** What is said of log lines, and what a line says of itself. Text from outside is cut and never trusted. */
import { often } from '../../reckoning.ts'
import { isoTime, oneLine } from '../../wording.ts'
import { weeksOfScore } from '../reckon.ts'

const EXAMPLE_CHARS = 200
const SUBJECT_CHARS = 140
const ERROR = 17
const TROUBLE = ['error', 'exception', 'fail', 'fatal', 'panic', 'refused', 'timeout', 'timed out', 'denied', 'out of memory']
const ORDINALS = ['first', 'second', 'third', 'fourth']

/** The beginning of a line, as a string of its own: a slice would keep the whole line alive. Control characters become spaces. */
export function clipped(text: string): string {
  return Buffer.from(oneLine(text, EXAMPLE_CHARS), 'utf8').toString('utf8')
}

export function shortened(text: string): string {
  return text.length > SUBJECT_CHARS ? `${text.slice(0, SUBJECT_CHARS - 1)}…` : text
}

/** Many senders name no severity; the line itself often does. */
export function guessedSeverity(text: string): number {
  const lower = text.toLowerCase()
  return TROUBLE.some((word) => lower.includes(word)) ? ERROR : 0
}

export function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}

export function ordinal(position: number): string {
  return ORDINALS[position] ?? `${position + 1}th`
}

export function count(lines: number): string {
  return lines < 10 ? String(Math.round(lines * 10) / 10) : String(Math.round(lines))
}

export function figure(value: number): string {
  return Math.abs(value) >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}

export function example(text: string): string {
  return `For example: "${text}"`
}

/** `score` 1 is what the budget of false alarms allows, of which `nats` are asked for; beyond it chance falls off exponentially. */
export function rarity(score: number, nats: number, falseAlarmsPerWeek: number): string {
  return `By chance that would come ${often(weeksOfScore(score, nats, falseAlarmsPerWeek))}.`
}

/** When, to the second. */
export function at(timeMs: number): string {
  return isoTime(timeMs).replace('.000Z', 'Z')
}
