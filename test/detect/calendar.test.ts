import { describe, expect, test } from 'vitest'
import { Calendar, calendarConfig } from '../../src/detect/calendar.ts'
import { detectConfig } from '../../src/detect/config.ts'
import { Baselines, Side, type BaselineOf, type BaselineRules } from '../../src/detect/series/seasonal.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'
import { noise } from './metric-feed.ts'

const RULES: BaselineRules = { warmupRows: 12, warmupMs: 180_000, falseAlarmsPerWeek: 1, leastZ: 4, persistence: 3 }
const OF: BaselineOf = { side: Side.both, floor: 0, relativeFloor: 0.01, whole: false, holdMs: 1_800_000 }
const STEP_MS = 300_000
const DAY_MS = 86_400_000
const at = (text: string): number => Date.parse(`${text}Z`)
const calendar = (settings: Record<string, unknown>): Calendar => new Calendar(calendarConfig.parse(settings))

/** Hour of the day, as HH:MM. */
function clock(of: Calendar, timeMs: number): string {
  const hours = of.localHours(timeMs)
  const minutes = Math.round((((hours % 24) + 24) % 24) * 60)
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
}

describe('the clock on the wall', () => {
  test.each([
    ['UTC', '2026-07-01T12:00', '12:00'],
    ['Europe/Berlin', '2026-01-01T12:00', '13:00'],
    ['Europe/Berlin', '2026-03-29T00:59', '01:59'],
    ['Europe/Berlin', '2026-03-29T01:00', '03:00'],
    ['Europe/Berlin', '2026-10-25T00:59', '02:59'],
    ['Europe/Berlin', '2026-10-25T01:00', '02:00'],
    ['Asia/Kathmandu', '2026-01-01T00:00', '05:45'],
    // Half an hour, https://en.wikipedia.org/wiki/Lord_Howe_Island
    ['Australia/Lord_Howe', '2026-04-04T14:59', '01:59'],
    ['Australia/Lord_Howe', '2026-04-04T15:00', '01:30'],
    ['America/New_York', '1969-12-31T23:00', '18:00'],
  ])('in %s at %s UTC it is %s', (timeZone, utc, expected) => {
    const of = calendar({ timeZone })
    expect(clock(of, at(utc))).toBe(expected)
    // Whatever was asked before.
    for (let day = -200; day < 200; day++) of.localHours(at(utc) + day * DAY_MS)
    expect(clock(of, at(utc))).toBe(expected)
  })

  test('weekends and holidays are local days', () => {
    const of = calendar({ timeZone: 'Asia/Tokyo', holidays: ['2026-05-05', '2026-12-29/2027-01-03'] })
    const isOff = (text: string): boolean => of.isOff(Math.floor(of.localHours(at(text))))
    expect(isOff('2026-01-02T14:59')).toBe(false)
    expect(isOff('2026-01-02T15:00')).toBe(true)
    expect(isOff('2026-01-04T14:59')).toBe(true)
    expect(isOff('2026-01-04T15:00')).toBe(false)
    expect(isOff('2026-05-04T15:00')).toBe(true)
    expect(isOff('2026-05-05T15:00')).toBe(false)
    expect(isOff('2026-12-31T03:00')).toBe(true)
    const sundayToThursday = calendar({ weekend: ['friday', 'saturday'] })
    expect([2, 3, 4].map((day) => sundayToThursday.isOff((at(`2026-01-0${day}T00:00`) / DAY_MS) * 24))).toEqual([true, true, false])
  })

  test.each([
    [{ timeZone: 'Europe/Bärlin' }, 'calendar.timeZone', /“Europe\/Bärlin” is no time zone/],
    [{ timeZone: '' }, 'calendar.timeZone', /no time zone/],
    [{ holidays: ['2026-02-30'] }, 'calendar.holidays.0', /“2026-02-30” is neither a date/],
    [{ holidays: ['2026-01-01', '25.12.2026'] }, 'calendar.holidays.1', /neither a date/],
    [{ holidays: ['2026-12-26/2026-12-24'] }, 'calendar.holidays.0', /ends before it begins/],
    [{ holidays: ['2026-01-01/2028-01-01'] }, 'calendar.holidays.0', /longer than a year/],
    [{ holidays: ['2026-01-01/2026-01-02/2026-01-03'] }, 'calendar.holidays.0', /neither a date/],
    [{ weekend: ['caturday'] }, 'calendar.weekend.0', /saturday/],
    [{ timezone: 'UTC' }, 'calendar', /timezone/],
  ])('%j is refused by name', (settings, path, message) => {
    const issue = detectConfig.safeParse({ calendar: settings }).error?.issues[0]
    expect(issue?.path.join('.')).toBe(path)
    expect(issue?.message).toMatch(message)
  })
})

interface Told {
  /** The worst distance from what was expected, and the mean one. */
  worst: number
  error: number
  anomalies: number
}

/** What is told between two days of a series; its value depends on the local hour and the day. */
function watch(
  by: Calendar,
  value: (timeMs: number) => number,
  days: readonly [from: string, count: number],
  look: readonly string[],
): Told {
  const baselines = new Baselines(RULES, by)
  const slot = baselines.add(OF)
  const told: Told = { worst: 0, error: 0, anomalies: 0 }
  const rows = (look.length * DAY_MS) / STEP_MS
  let run = 0
  for (let timeMs = at(days[0]); timeMs < at(days[0]) + days[1] * DAY_MS; timeMs += STEP_MS) {
    const observed = value(timeMs)
    const { expected, score } = baselines.judge(slot, timeMs, observed)
    if (!look.includes(new Date(timeMs).toISOString().slice(0, 10))) continue
    told.worst = Math.max(told.worst, Math.abs(observed - expected))
    told.error += Math.abs(observed - expected) / rows
    run = score >= 1 ? run + 1 : 0
    if (run === 3) told.anomalies++
  }
  return told
}

/** A steep rise between 8 and 9 in the morning, back in the evening. */
function office(by: Calendar, z: () => number, open: (timeMs: number) => number = () => 1): (timeMs: number) => number {
  return (timeMs) => {
    const hour = ((by.localHours(timeMs) % 24) + 24) % 24
    const busy = Math.max(0, Math.min(1, hour - 8, 20 - hour))
    return 200 + open(timeMs) * 800 * busy + 10 * z()
  }
}

describe('daylight saving', () => {
  const berlin = calendar({ timeZone: 'Europe/Berlin', weekend: [] })
  const utc = calendar({ weekend: [] })
  test.each([
    ['spring', '2026-03-01T00:00', ['2026-03-29', '2026-03-30']],
    ['autumn', '2026-09-27T00:00', ['2026-10-25', '2026-10-26']],
  ])('in %s moves nothing for who knows the clock', (_, from, days) => {
    const known = watch(berlin, office(berlin, noise(1)), [from, 32], days)
    const unknown = watch(utc, office(berlin, noise(1)), [from, 32], days)
    expect(known.anomalies).toBe(0)
    // An hour of the rise away: how wrong it is without.
    expect(unknown.worst).toBeGreaterThan(2 * known.worst)
    expect(unknown.anomalies).toBeGreaterThan(0)
  })
})

describe('days off', () => {
  const by = calendar({ holidays: ['2026-04-06'] })
  const openOn =
    (of: Calendar) =>
    (timeMs: number): number =>
      of.isOff(Math.floor(of.localHours(timeMs))) ? 0.1 : 1
  const days: readonly [string, number] = ['2026-03-02T00:00', 36]

  test('are foretold from the third weekend, and workdays are no longer mixed up with them', () => {
    const flat = calendar({ weekend: [] })
    const value = (seed: number) => office(by, noise(seed), openOn(by))
    const weekend = ['2026-03-21', '2026-03-22']
    expect(watch(by, value(2), days, weekend).error).toBeLessThan(0.85 * watch(flat, value(2), days, weekend).error)
    expect(watch(by, value(2), days, weekend).worst).toBeLessThan(0.6 * watch(flat, value(2), days, weekend).worst)
    const wednesday = ['2026-03-25']
    expect(watch(by, value(2), days, wednesday).error).toBeLessThan(0.7 * watch(flat, value(2), days, wednesday).error)
  })

  test('a holiday is like a Sunday when the calendar has it', () => {
    const value = (seed: number) => office(by, noise(seed), openOn(by))
    const easterMonday = ['2026-04-06']
    const known = watch(by, value(3), days, easterMonday)
    expect(known.anomalies).toBe(0)
    expect(known.error).toBeLessThan(0.5 * watch(calendar({}), value(3), days, easterMonday).error)
  })

  test('a series without a week in it is expected as it would be without them', () => {
    const value = (seed: number) => office(by, noise(seed))
    const all = Array.from({ length: 36 }, (_, day) => new Date(at(days[0]) + day * DAY_MS).toISOString().slice(0, 10)).slice(7)
    const known = watch(by, value(4), days, all)
    const flat = watch(calendar({ weekend: [] }), value(4), days, all)
    expect(known.anomalies).toBeLessThanOrEqual(flat.anomalies)
    expect(known.error).toBeLessThan(1.02 * flat.error)
  })

  test('restore goes on to the last bit in the middle of a weekend, and reads what the version before has written', () => {
    const value = office(by, noise(5), openOn(by))
    const first = new Baselines(RULES, by)
    const slots = [first.add(OF), first.add(OF)]
    const cut = at('2026-03-14T10:00')
    for (let timeMs = at(days[0]); timeMs < cut; timeMs += STEP_MS)
      for (const slot of slots) first.judge(slot, timeMs, value(timeMs) * (slot + 1))
    const to = new SnapshotWriter(5)
    first.snapshot(to)
    const second = new Baselines(RULES, by)
    second.restore(new SnapshotReader(to.finish(), 'a test', 5))
    const again = new SnapshotWriter(5)
    second.snapshot(again)
    expect(again.finish()).toEqual(to.finish())
    for (let timeMs = cut; timeMs < cut + 9 * DAY_MS; timeMs += STEP_MS) {
      const observed = value(timeMs)
      for (const slot of slots) expect({ ...second.judge(slot, timeMs, observed) }).toEqual({ ...first.judge(slot, timeMs, observed) })
    }
  })
})

describe('what telemetry is like', () => {
  test.each<[string, (step: number, z: () => number) => number]>([
    ['as large as numbers get', (step, z) => (step % 50 === 49 ? -1e308 : 1e308 * (1 + 1e-9 * z()))],
    ['one number too large for single precision', (step, z) => (step === 700 ? 1e308 : 100 + z())],
    ['as small as they get', (_, z) => 5e-324 * Math.round(3 + z())],
    ['tiny', (_, z) => 1e-30 * (5 + z())],
    ['negative', (_, z) => -1e6 + 10 * z()],
    ['flat', () => 7],
    ['of two values', (_, z) => (z() > 0 ? 1 : 0)],
    ['far from nought', (_, z) => 1.7e12 + z()],
  ])('values that are %s leave a baseline that goes on', (_, value) => {
    const baselines = new Baselines(RULES)
    const slot = baselines.add({ ...OF, relativeFloor: 0.05 })
    const z = noise(6)
    let anomalies = 0
    let run = 0
    // Over two weekends, or days off would not be learnt.
    for (let step = 0; step < 12 * 288; step++) {
      const j = baselines.judge(slot, at('2026-01-05T00:00') + step * STEP_MS, value(step, z))
      expect([j.expected, j.spread, j.z].every(Number.isFinite)).toBe(true)
      run = j.score >= 1 ? run + 1 : 0
      if (run === 3) anomalies++
    }
    expect(anomalies).toBe(0)
    // What comes after is judged as ever.
    const after = (level: number): number => {
      let score = 0
      for (let i = 0; i < 500; i++) score = baselines.judge(slot, at('2026-01-18T00:00') + i * STEP_MS, level + (i % 2)).score
      return score
    }
    expect(after(50)).toBeLessThan(1)
  })

  test('what lives for minutes is not told of, whenever it lives', () => {
    const baselines = new Baselines(RULES)
    const z = noise(7)
    for (let life = 0; life < 200; life++) {
      const slot = baselines.add(OF)
      for (let step = 0; step < 40; step++) {
        const { score } = baselines.judge(slot, at('2026-01-09T20:00') + life * 3_600_000 + step * 5000, 1000 * (life % 7) + 20 * z())
        expect(score >= 1).toBe(false)
      }
      baselines.remove(slot)
    }
    expect(baselines.size).toBe(0)
  })
})
