import { expect, test } from 'vitest'
import { Baselines, Side, type BaselineOf, type BaselineRules } from '../../src/detect/series/seasonal.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'
import { noise, START_MS } from './metric-feed.ts'

const RULES: BaselineRules = { warmupRows: 12, warmupMs: 180_000, falseAlarmsPerWeek: 1, leastZ: 4, persistence: 3 }
const OF: BaselineOf = { side: Side.both, floor: 0, relativeFloor: 0.05, whole: true, holdMs: 1_800_000 }
const STEP_MS = 5000
/** Of the detector's snapshots: those before had fewer columns. */
const NEWEST = 5

/** Scores of a made-up series; 0 stands for not judged yet. */
function scores(steps: number, value: (step: number) => number, of: Partial<BaselineOf> = {}, stepMs = STEP_MS): number[] {
  const baselines = new Baselines(RULES)
  const slot = baselines.add({ ...OF, ...of })
  return Array.from({ length: steps }, (_, step) => baselines.judge(slot, START_MS + step * stepMs, value(step)).score || 0)
}

/** Runs of three or more scores of 1 and above: what would become anomalies. */
function runs(of: readonly number[]): number {
  let count = 0
  let run = 0
  for (const score of of) {
    run = score >= 1 ? run + 1 : 0
    if (run === 3) count++
  }
  return count
}

test.each<[string, number, (z: () => number, step: number) => number, number]>([
  ['noise for a day', 17_280, (z) => 100 + 10 * z(), 0],
  ['noise with single spikes', 5000, (z, step) => 100 + 5 * z() + (step % 97 === 96 ? 500 : 0), 0],
  ['noise → spike of a minute → noise', 400, (z, step) => 100 + 5 * z() + (step >= 300 && step < 312 ? 150 : 0), 1],
  ['flat → tiny wiggle', 400, (_, step) => (step < 200 ? 100 : 100 + 0.001 * (step % 7)), 0],
  ['flat zero → one now and then', 2000, (_, step) => (step > 300 && step % 50 < 2 ? 1 : 0), 0],
  ['flat → quite something else', 400, (_, step) => (step < 300 ? 100 : 200), 1],
  ['whole numbers that move by one', 2000, (z) => Math.round(5 + 0.6 * z()), 0],
  ['whole numbers → ten times as many', 400, (z, step) => Math.round(5 + 0.6 * z()) + (step >= 300 ? 50 : 0), 1],
  ['a slow climb', 4000, (z, step) => 100 + step * 0.05 + 3 * z(), 0],
  ['a day with a season', 2 * 17_280, (z, step) => 100 + 50 * Math.sin((step / 17_280) * 2 * Math.PI) + 3 * z(), 0],
  ['saw teeth', 4000, (z, step) => 50 + (step % 40) + z(), 0],
])('%s', (_, steps, value, expected) => {
  const z = noise(7)
  expect(runs(scores(steps, (step) => value(z, step)))).toBe(expected)
})

test('nothing is scored before the warm-up, in rows and in time', () => {
  const z = noise(1)
  const quick = scores(60, (step) => (step < 20 ? 10 + z() : 1000), {}, 1000)
  expect(quick.every((score) => score === 0)).toBe(true)
  const slow = scores(12, (step) => (step < 8 ? 10 + z() : 1000), {}, 60_000)
  expect(slow.every((score) => score === 0)).toBe(true)
})

test('a new level is abnormal until holdMs have passed, then it is the new normal, and it is not told twice', () => {
  const z = noise(3)
  const of = scores(1500, (step) => (step < 300 ? 100 : 200) + 4 * z())
  expect(of.slice(305, 300 + 350).every((score) => score >= 1)).toBe(true)
  expect(of.slice(300 + 420).every((score) => score < 1)).toBe(true)
  expect(runs(of)).toBe(1)
})

test('only the side that is bad counts', () => {
  const drop = (step: number): number => (step < 300 ? 100 : 10)
  expect(runs(scores(340, drop, { side: Side.up }))).toBe(0)
  expect(runs(scores(340, drop, { side: Side.down }))).toBe(1)
})

test('a season in hourly samples is learnt: the same peak is unusual on the second day and expected after a week', () => {
  const z = noise(5)
  const stepMs = 300_000
  const peak = (step: number): number => 100 + ((step / 12) % 24 >= 12 && (step / 12) % 24 < 14 ? 60 : 0) + 2 * z()
  const baselines = new Baselines(RULES)
  const slot = baselines.add({ ...OF, relativeFloor: 0.01 })
  const errors: number[] = []
  for (let step = 0; step < 288 * 14; step++)
    errors.push(Math.abs(baselines.judge(slot, START_MS + step * stepMs, peak(step)).expected - peak(step)))
  const noon = (day: number): number => Math.max(...errors.slice(288 * day + 146, 288 * day + 166))
  expect(noon(13)).toBeLessThan(noon(1) * 0.5)
})

test('a gap starts the warm-up again instead of comparing with another time', () => {
  const baselines = new Baselines(RULES)
  const slot = baselines.add(OF)
  const z = noise(9)
  let timeMs = START_MS
  for (let step = 0; step < 300; step++) baselines.judge(slot, (timeMs += STEP_MS), 100 + z())
  expect(baselines.judge(slot, (timeMs += 3_600_000), 500).warm).toBe(false)
})

test('a slot that was given back serves another series without a trace of the first', () => {
  const used = new Baselines(RULES)
  const first = used.add(OF)
  for (let step = 0; step < 500; step++) used.judge(first, START_MS + step * STEP_MS, 1e6)
  used.remove(first)
  const again = used.add(OF)
  expect(again).toBe(first)
  const fresh = new Baselines(RULES)
  const slot = fresh.add(OF)
  const z = noise(2)
  for (let step = 0; step < 100; step++) {
    const value = 5 + z()
    const timeMs = START_MS + (step + 600) * STEP_MS
    expect({ ...used.judge(again, timeMs, value) }).toEqual({ ...fresh.judge(slot, timeMs, value) })
  }
})

test('restore goes on to the last bit', () => {
  const a = new Baselines(RULES)
  for (let i = 0; i < 100; i++) a.add({ ...OF, side: i % 2 === 0 ? Side.up : Side.both })
  const z = noise(4)
  const feed = (to: Baselines, from: number, steps: number, value: () => number): unknown[] =>
    Array.from({ length: steps }, (_, step) =>
      Array.from({ length: 100 }, (_, slot) => ({ ...to.judge(slot, START_MS + (from + step) * STEP_MS, value() * (slot + 1)) })),
    )
  feed(a, 0, 60, () => 10 + z())
  a.remove(17)
  const to = new SnapshotWriter(NEWEST)
  a.snapshot(to)
  const b = new Baselines(RULES)
  b.restore(new SnapshotReader(to.finish(), 'a test', NEWEST))
  const again = new SnapshotWriter(NEWEST)
  b.snapshot(again)
  expect(again.finish()).toEqual(to.finish())
  expect(feed(b, 60, 60, noise(6))).toEqual(feed(a, 60, 60, noise(6)))
  expect(b.add(OF)).toBe(a.add(OF))
})
