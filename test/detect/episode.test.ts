import { expect, test } from 'vitest'
import type { Anomaly, Finding } from '../../src/model.ts'
import { Episodes, type EpisodeRules, type Observation, type Subject } from '../../src/detect/episode.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'

const RULES: EpisodeRules = { openAfter: 3, closeAfter: 2, updateEveryMs: 60_000, chartPoints: 40 }
const SUBJECT: Subject = {
  detector: 'series',
  signal: 'metrics',
  service: 'shop',
  instance: 'a',
  subject: 'queue depth',
  symptom: 'saturation',
  unit: '',
  impact: false,
}
const STEP_MS = 5000

function at(step: number, score: number, extra: Partial<Observation> = {}): Observation {
  return { timeMs: step * STEP_MS, observed: score * 10, expected: 1, low: 0, high: 10, score, direction: 'up', volume: 7, ...extra }
}

class Told {
  readonly all: Anomaly[] = []
  readonly episodes: Episodes
  #step = 0
  constructor(rules: Partial<EpisodeRules> = {}) {
    this.episodes = new Episodes({ ...RULES, ...rules })
  }
  readonly emit = (finding: Finding): void => {
    if (finding.kind === 'anomaly') this.all.push(finding)
  }
  scores(...scores: number[]): this {
    for (const score of scores)
      this.episodes.observe('k', SUBJECT, at(this.#step++, score), (worst) => [`worst was ${worst.observed}`], this.emit)
    return this
  }
}

test.each([
  ['quiet', [0, 0.5, 0.9, 0], []],
  ['quiet → two loud → quiet', [0, 2, 2, 0, 2, 2, 0], []],
  ['quiet → three loud', [0, 2, 2, 2], ['open 1']],
  ['quiet → loud → quiet', [0, 2, 2, 2, 0, 0], ['open 1', 'end 1-4']],
  ['loud → one quiet → loud → quiet', [2, 2, 2, 0, 2, 0, 0], ['open 0', 'end 0-5']],
  ['loud → almost loud counts half → quiet', [2, 2, 2, 0.9, 0.9, 0.9, 0.9, 0], ['open 0', 'end 0-3']],
  ['loud → half as loud again is told', [2, 2, 2, 2.9, 3, 3.1, 4.5], ['open 0', 'open 0', 'open 0']],
  ['loud → louder before it opens is told once', [2, 9, 2, 2], ['open 0']],
  ['not judged is not quiet', [2, 2, 2, Number.NaN, Number.NaN, Number.NaN, 0, 0], ['open 0', 'end 0-6']],
])('%s', (_, scores, expected) => {
  const { all } = new Told().scores(...scores)
  const step = (ms: number): number => ms / STEP_MS
  expect(all.map((a) => (a.endMs === undefined ? `open ${step(a.startMs)}` : `end ${step(a.startMs)}-${step(a.endMs)}`))).toEqual(expected)
})

test.each([
  ['two far out, a minute apart', 60_000, [0, 2, 5], true],
  ['two not far out, a minute apart', 60_000, [0, 5, 2], false],
  ['two far out, seconds apart', 15_000, [0, 5, 5], false],
])('%s', (_, stepMs, scores, opens) => {
  const told = new Told()
  for (const [i, score] of scores.entries())
    told.episodes.observe('k', SUBJECT, { ...at(0, score), timeMs: i * stepMs }, () => [], told.emit)
  expect(told.all.map((a) => a.startMs)).toEqual(opens ? [stepMs] : [])
})

test('what goes on is told again every updateEveryMs of event time, always later than before', () => {
  const { all } = new Told().scores(...Array.from({ length: 40 }, () => 2))
  expect(all.map((a) => a.atMs / STEP_MS)).toEqual([2, 14, 26, 38])
  expect(new Set(all.map((a) => a.id)).size).toBe(1)
})

test('two observations of one moment do not hide one another', () => {
  const told = new Told({ openAfter: 1 })
  for (const score of [2, 5]) told.episodes.observe('k', SUBJECT, at(1, score), () => [], told.emit)
  expect(told.all[1]!.atMs).toBeGreaterThan(told.all[0]!.atMs)
})

test('a run that changes sides starts anew', () => {
  const told = new Told()
  const sides = ['up', 'down', 'up', 'down', 'up', 'up', 'up'] as const
  sides.forEach((direction, step) => told.episodes.observe('k', SUBJECT, at(step, 2, { direction }), () => [], told.emit))
  expect(told.all.map((a) => [a.startMs / STEP_MS, a.direction])).toEqual([[4, 'up']])
})

test('it carries the worst moment, and evidence of that moment', () => {
  const { all } = new Told().scores(0, 2, 5, 3, 0, 0)
  expect(all.at(-1)).toMatchObject({ score: 5, observed: 50, expected: 1, volume: 7, evidence: ['worst was 50'], service: 'shop' })
})

test('the id names detector, subject and start, and nothing else', () => {
  const first = new Told().scores(0, 2, 2, 2).all[0]!
  const worse = new Told().scores(0, 9, 9, 9).all[0]!
  const later = new Told().scores(0, 0, 2, 2, 2).all[0]!
  expect(first.id).toMatch(/^[0-9a-f]{16}$/)
  expect(worse.id).toBe(first.id)
  expect(later.id).not.toBe(first.id)
})

test('the chart shows what came before, and an hour of anomaly still fits with its peak', () => {
  const scores = [
    ...Array.from({ length: 30 }, () => 0.1),
    ...Array.from({ length: 700 }, () => 2),
    90,
    ...Array.from({ length: 20 }, () => 2),
  ]
  const last = new Told().scores(...scores).all.at(-1)!
  expect(last.points.timeMs[0]! < last.startMs).toBe(true)
  expect(last.points.timeMs.length).toBeLessThanOrEqual(RULES.chartPoints)
  for (const column of Object.values(last.points) as number[][]) expect(column.length).toBe(last.points.timeMs.length)
  expect(last.points.timeMs).toEqual([...last.points.timeMs].sort((a, b) => a - b))
  expect(Math.max(...last.points.observed)).toBe(900)
})

test('bounds that do not matter never leave the chart infinite', () => {
  const told = new Told({ openAfter: 1 })
  told.episodes.observe('k', SUBJECT, at(0, 2, { low: Number.NEGATIVE_INFINITY }), () => [], told.emit)
  expect(told.all[0]!.points.low.every(Number.isFinite)).toBe(true)
})

test('a subject that goes away ends its anomaly, and is forgotten without a word', () => {
  const told = new Told().scores(2, 2, 2)
  expect(told.episodes.isOpen('k')).toBe(true)
  told.episodes.end('k', 99_000, told.emit)
  expect(told.all.at(-1)).toMatchObject({ endMs: 99_000, atMs: 99_000 })
  told.episodes.end('k', 100_000, told.emit)
  told.episodes.forget('k')
  expect(told.all.length).toBe(2)
  expect(told.episodes.size).toBe(0)
})

test('sentences from telemetry are clipped', () => {
  const told = new Told({ openAfter: 1 })
  told.episodes.observe('k', SUBJECT, at(0, 2), () => ['x'.repeat(100_000)], told.emit)
  expect(told.all[0]!.evidence[0]!.length).toBeLessThanOrEqual(500)
})

test('a snapshot taken anywhere goes on the same way', () => {
  const scores = [0, 2, 2, 2, 3, 5, 0, 2, 0, 0.9, 0, 0, 2, 2, 0, 2, 2, 2, 2]
  const whole = new Told().scores(...scores).all
  for (let cut = 0; cut <= scores.length; cut++) {
    const before = new Told().scores(...scores.slice(0, cut))
    const to = new SnapshotWriter(1)
    before.episodes.snapshot(to)
    const after = new Episodes(RULES)
    after.restore(new SnapshotReader(to.finish(), 'a test', 1))
    const again = new SnapshotWriter(1)
    after.snapshot(again)
    expect(again.finish()).toEqual(to.finish())
    scores
      .slice(cut)
      .forEach((score, i) => after.observe('k', SUBJECT, at(cut + i, score), (worst) => [`worst was ${worst.observed}`], before.emit))
    expect(before.all).toEqual(whole)
  }
})

test.each([5, 24, 30, 47])('of a snapshot that kept more points the newest of %d stay, in order', (count) => {
  const ring = 24
  const to = new SnapshotWriter(1)
  to.u32(1)
  to.string('k')
  to.u32(count)
  const kept = Math.min(ring, count)
  const times = new Float64Array(kept)
  const values = new Float32Array(kept * 4)
  for (let step = 0; step < count; step++) {
    times[step % ring] = step * STEP_MS
    values.set([step, step, step, step], (step % ring) * 4)
  }
  to.column(times)
  to.column(values)
  to.u32(0)
  const told = new Told({ openAfter: 1 })
  told.episodes.restore(new SnapshotReader(to.finish(), 'a test', 1))
  told.episodes.observe('k', SUBJECT, at(count, 2), () => [], told.emit)
  const { timeMs, expected } = told.all[0]!.points
  const steps = timeMs.map((ms) => ms / STEP_MS)
  expect(steps.at(-1)).toBe(count)
  expect(steps.length).toBeGreaterThan(Math.min(count, 6))
  expect(steps).toEqual(steps.map((_, i) => count - (steps.length - 1) + i))
  expect(expected.slice(0, -1)).toEqual(steps.slice(0, -1))
})
