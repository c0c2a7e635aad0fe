/**
 * What the clock on the wall says, and whether people are at work: local hours follow a time zone, so that a change to summer time moves no
 * habit, and days are days of work or days off. Deterministic: the zone's rules come from the runtime, the days off from the configuration.
 */
import { z } from 'zod'
import { messageOf } from '../errors.ts'

const DAY_MS = 86_400_000
const HOURS = 24
export const HOUR_MS = DAY_MS / HOURS
/** Zones change their offset at quarters of an hour of universal time. */
const QUARTER_MS = 900_000
/** Offsets kept, by the quarter's number modulo this: the rows of an hour and of a backfill beside it. */
const KEPT = 256
const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const
/** 1 January 1970 was a Thursday. */
const FIRST_WEEKDAY = 4
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/
const LONGEST_RANGE_DAYS = 366

/** Days since the epoch; undefined for what is no date. */
function dayOf(text: string): number | undefined {
  const [, year, month, day] = DATE.exec(text) ?? []
  if (year === undefined) return undefined
  const ms = Date.UTC(Number(year), Number(month) - 1, Number(day))
  return new Date(ms).toISOString().startsWith(text) ? ms / DAY_MS : undefined
}

/** First and last day, or what is wrong with them. */
function rangeOf(text: string): readonly [first: number, last: number] | string {
  const parts = text.split('/')
  const days = parts.map(dayOf)
  const [first, last] = [days[0], days.at(-1)]
  if (parts.length > 2 || first === undefined || last === undefined) {
    return `“${text}” is neither a date (2026-12-25) nor two dates with a slash between them (2026-12-24/2026-12-26)`
  }
  if (last < first) return `“${text}” ends before it begins`
  if (last - first >= LONGEST_RANGE_DAYS) return `“${text}” is longer than a year`
  return [first, last]
}

/** What is wrong with the name of a time zone; undefined when nothing is. */
function zoneFault(timeZone: string): string | undefined {
  try {
    // Throws for a name it does not know.
    Intl.DateTimeFormat('en-US', { timeZone })
    return undefined
  } catch (error) {
    return `“${timeZone}” is no time zone this runtime knows, such as Europe/Berlin or UTC (${messageOf(error)})`
  }
}

export const calendarConfig = z.strictObject({
  timeZone: z
    .string()
    .default('UTC')
    .superRefine((timeZone, context) => {
      const message = zoneFault(timeZone)
      if (message !== undefined) context.addIssue({ code: 'custom', message })
    })
    .describe(
      'The clock that people and their jobs go by, as an IANA name such as Europe/Berlin: what is normal at an hour moves with it.',
    ),
  weekend: z
    .array(z.enum(WEEKDAYS))
    .max(6)
    .default(['saturday', 'sunday'])
    .describe('Days of the week on which people do something else; what is normal then is learnt apart. Empty: all days are alike.'),
  holidays: z
    .array(
      z.string().superRefine((text, context) => {
        const range = rangeOf(text)
        if (typeof range === 'string') context.addIssue({ code: 'custom', message: range })
      }),
    )
    .max(1000)
    .default([])
    .describe('Other days that are like a weekend: dates such as 2026-12-25, or ranges such as 2026-12-24/2026-12-26.'),
})
export type CalendarConfig = z.output<typeof calendarConfig>

export class Calendar {
  /** Undefined: universal time. */
  readonly #format: Intl.DateTimeFormat | undefined
  readonly #weekend: readonly boolean[]
  readonly #holidays = new Set<number>()
  readonly #quarters = new Float64Array(KEPT).fill(Number.NaN)
  readonly #offsets = new Float64Array(KEPT)

  constructor({ timeZone, weekend, holidays }: CalendarConfig = calendarConfig.parse({})) {
    this.#weekend = WEEKDAYS.map((name) => weekend.includes(name))
    for (const text of holidays) {
      const range = rangeOf(text)
      if (typeof range === 'string') throw new RangeError(range)
      for (let day = range[0]; day <= range[1]; day++) this.#holidays.add(day)
    }
    if (timeZone === 'UTC') return
    // Numbers only, of the Gregorian calendar: nothing of the language shows. Years below 1000 are of no interest.
    this.#format = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  }

  /** Hours since the epoch as the clock on the wall counts them, with a fraction. An hour comes twice, and one is left out, when the clock is changed. */
  localHours(timeMs: number): number {
    return (timeMs + this.#offsetMs(timeMs)) / HOUR_MS
  }

  /** Whether a local hour, counted as above, lies on a day off. */
  isOff(localHour: number): boolean {
    const day = Math.floor(localHour / HOURS)
    const weekday = (((day + FIRST_WEEKDAY) % 7) + 7) % 7
    return this.#weekend[weekday]! || (this.#holidays.size > 0 && this.#holidays.has(day))
  }

  #offsetMs(timeMs: number): number {
    if (this.#format === undefined) return 0
    const quarter = Math.floor(timeMs / QUARTER_MS)
    const at = ((quarter % KEPT) + KEPT) % KEPT
    if (this.#quarters[at] !== quarter) {
      this.#quarters[at] = quarter
      this.#offsets[at] = offsetMs(this.#format, quarter * QUARTER_MS)
    }
    return this.#offsets[at]!
  }
}

function offsetMs(format: Intl.DateTimeFormat, timeMs: number): number {
  const of: Record<string, number> = {}
  for (const { type, value } of format.formatToParts(timeMs)) of[type] = Number(value)
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = of
  return Date.UTC(year, month - 1, day, hour, minute, second) - timeMs
}
