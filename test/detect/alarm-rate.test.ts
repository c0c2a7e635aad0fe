/** How often each series is told of, whatever its noise is like; what is told at once, and what never is. */
import { describe, expect, test } from 'vitest'
import { AlarmRate, distanceFactor } from '../../src/detect/series/alarm-rate.ts'
import { recompute } from '../../src/detect/reckon.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'
import { noise, seriesOf, START_MS, story, Watch } from './metric-feed.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const WEEK_MS = 7 * DAY_MS

/** A series that would alarm whenever its strangeness, drawn from an exponential tail, reaches the usual threshold and the raise. */
function alarmsPerWeek(setting: number, perHour: number, weeks: number): number {
  const rate = new AlarmRate(setting)
  const z = noise(11)
  let alarms = 0
  for (let hour = 0; hour < weeks * 168; hour++) {
    const timeMs = START_MS + hour * HOUR_MS
    // Two squared normals make an exponential one.
    const strange = (z() ** 2 + z() ** 2) / 2 + Math.log(perHour)
    if (strange < rate.raise(0, timeMs)) continue
    rate.told(0, timeMs)
    if (hour >= weeks * 84) alarms++
  }
  return alarms / (weeks / 2)
}

describe('the rate of alarms', () => {
  test.each([
    ['rare as set', 1, 1 / 168],
    ['ten times as often', 1, 10 / 168],
    ['a hundred times as often', 1, 100 / 168],
    ['a hundred times as often, fewer are wanted', 0.2, 100 / 168],
    ['a hundred times as often, more are allowed', 5, 100 / 168],
  ])('%s', (_, setting, perHour) => {
    const told = alarmsPerWeek(setting, perHour, 60)
    expect(told).toBeGreaterThan(setting / 4)
    expect(told).toBeLessThan(setting * 4)
  })

  test('an alarm raises what the next one takes; weeks of quiet forget it, and nothing is kept', () => {
    const rate = new AlarmRate(1)
    expect(rate.raise(3, START_MS)).toBe(0)
    rate.told(3, START_MS)
    const once = rate.raise(3, START_MS)
    expect(distanceFactor(once)).toBeGreaterThan(1)
    expect(distanceFactor(once)).toBeLessThan(1.2)
    for (let i = 0; i < 10; i++) rate.told(3, START_MS + i)
    expect(rate.raise(3, START_MS + 10)).toBeGreaterThan(20 * once)
    expect(rate.raise(4, START_MS + 10)).toBe(0)
    expect(rate.raise(3, START_MS + 2 * WEEK_MS)).toBeLessThan(rate.raise(3, START_MS + WEEK_MS) + 1e-9)
    expect(rate.raise(3, START_MS + 20 * WEEK_MS)).toBe(0)
    expect(rate.size).toBe(0)
  })

  test('is kept in a snapshot, and is not inherited by the next series in its slot', () => {
    const rate = new AlarmRate(1)
    for (const slot of [7, 2]) rate.told(slot, START_MS + slot)
    rate.told(2, START_MS + HOUR_MS)
    const to = new SnapshotWriter(1)
    rate.snapshot(to)
    const other = new AlarmRate(1)
    other.restore(new SnapshotReader(to.finish(), 'a test', 1))
    for (const slot of [7, 2, 5]) expect(other.raise(slot, START_MS + DAY_MS)).toBe(rate.raise(slot, START_MS + DAY_MS))
    other.forget(2)
    expect(other.raise(2, START_MS + DAY_MS)).toBe(0)
  })
})

const MINUTE_MS = 60_000
const STEPS_PER_DAY = 1440

/** Days after the start on which something was told of a series that is scraped once a minute. */
function daysTold(days: number, value: (step: number, z: () => number) => number, name = 'queue_depth', config = {}) {
  const watch = new Watch(config)
  const z = noise(5)
  for (let day = 0; day < days; day++) {
    watch.feed(
      ...story(STEPS_PER_DAY, MINUTE_MS, (step, timeMs) => [
        [seriesOf(name), timeMs + day * DAY_MS, value(day * STEPS_PER_DAY + step, z)],
      ]).filter((batch) => batch.kind === 'metrics'),
    )
  }
  return watch.anomalies.map((anomaly) => ({ ...anomaly, day: Math.floor((anomaly.startMs - START_MS) / DAY_MS) }))
}

describe('a series once a minute', () => {
  test('one value unlike any before is told at once, by how strange it is, and its score can be made again', () => {
    const told = daysTold(3, (step, z) => 100 + 5 * z() + (step === 3000 ? 250 : 0))
    expect(told).toHaveLength(1)
    const [{ startMs, endMs, direction, score, reckoning }] = told as [(typeof told)[0]]
    expect([startMs, endMs, direction]).toEqual([START_MS + 3000 * MINUTE_MS, START_MS + 3001 * MINUTE_MS, 'up'])
    expect(recompute(reckoning!)).toBeCloseTo(score, 6)
  })

  test.each([
    ['an hourly job of five minutes', (step: number) => (step % 60 < 5 ? 60 : 0)],
    ['an hourly job of a minute', (step: number) => (step % 60 === 17 ? 60 : 0)],
    ['a nightly backup', (step: number) => (step % STEPS_PER_DAY < 30 ? 200 : 0)],
  ])('%s is told a few times, then hardly ever', (_, job) => {
    const told = daysTold(21, (step, z) => 50 + 3 * z() + job(step))
    expect(told.filter(({ day }) => day < 7).length).toBeLessThanOrEqual(12)
    expect(told.filter(({ day }) => day >= 14).length).toBeLessThanOrEqual(4)
  })

  test('a fault after weeks of an hourly job is still told', () => {
    const told = daysTold(
      9,
      (step, z) => 50 + 3 * z() + (step % 60 < 5 ? 60 : 0) + (step >= 8 * STEPS_PER_DAY + 700 && step < 8 * STEPS_PER_DAY + 760 ? 900 : 0),
    )
    expect(told.filter(({ day }) => day === 8)).toMatchObject([{ direction: 'up' }])
  })

  test('a new level is told once', () => {
    const told = daysTold(5, (step, z) => (step < 3000 ? 100 : 160) + 3 * z())
    expect(told.map(({ day, direction }) => [day, direction])).toEqual([[2, 'up']])
  })

  test('a faster service is never told', () => {
    const told = daysTold(4, (step, z) => (step === 2500 || step > 4000 ? 0.01 : 0.2 + 0.01 * z()), 'http_request_duration_seconds_mean')
    expect(told).toEqual([])
  })
})

test('seconds apart, one value alone says little', () => {
  const watch = new Watch()
  const z = noise(7)
  watch.feed(...story(5000, 5000, (step, timeMs) => [[seriesOf('queue_depth'), timeMs, 100 + 5 * z() + (step % 97 === 96 ? 500 : 0)]]))
  expect(watch.anomalies).toEqual([])
})
