/**
 * How the forecast detector speaks: when something is full, by what it has done so far, and how sure that is.
 */
import { byteSize, duration, isoTime } from '../../wording.ts'
import { FULL_ROOM } from './forecast-config.ts'
import type { Outlook } from './foresight.ts'
import type { Resource } from './resource-table.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

export function outlookSentences(resource: Readonly<Resource>, outlook: Readonly<Outlook>): string[] {
  const { limit, used, unit, whole } = resource
  // A share is not so many of a hundred.
  const isShare = limit === whole && unit === ''
  const state = isShare
    ? `It is ${percent(used / limit)} full now.`
    : `It is ${percent(used / limit)} of ${amount(limit, unit)} now, ${amount(Math.max(0, limit - used), unit)} are left.`
  if (outlook.midMs <= 0) return [used >= limit * (1 - FULL_ROOM) ? 'It is full.' : 'It is about to be full.', state]
  if (!Number.isFinite(outlook.midMs)) return ['It no longer rises towards its limit.', state]
  const late = Number.isFinite(outlook.lateMs) ? duration(outlook.lateMs) : 'not known'
  const seen =
    outlook.basis === 'cycles'
      ? `at the pace of its last peaks, over ${duration(outlook.spanMs)}`
      : `at the pace of the last ${duration(outlook.spanMs)}`
  return [
    `Full in ${duration(outlook.midMs)} (four of five times between ${duration(outlook.earlyMs)} and ${late}) ${seen}.`,
    state,
    `It rises by ${isShare ? percent((outlook.pace * HOUR_MS) / limit) : amount(outlook.pace * HOUR_MS, unit)} an hour; that is ${outlook.sureness.toFixed(1)} standard errors from not rising.`,
  ]
}

export function certificateSentences(leftMs: number, endMs: number, lifeMs: number): string[] {
  const sentences = [
    leftMs > 0 ? `It ends in ${duration(leftMs)}, at ${isoTime(endMs)}.` : `It ended ${duration(-leftMs)} ago, at ${isoTime(endMs)}.`,
  ]
  if (lifeMs > 0) {
    const life = lifeMs > 2 * DAY_MS ? `${Math.round(lifeMs / DAY_MS)} days` : duration(lifeMs)
    sentences.push(`When it was renewed before, it was good for ${life}.`)
  }
  return sentences
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`
}

function amount(value: number, unit: string): string {
  const digits = (number: number) => String(Number(number.toPrecision(3)))
  return unit === 'bytes' ? byteSize(value, digits) : digits(value)
}
