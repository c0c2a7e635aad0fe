/** What the span detector knows by shape: who calls whom, schedules, waiting, hours of the day, names with ids; and how often it is wrong. */
import * as fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { describe, expect, it, test } from 'vitest'
import { evaluate } from '../../bench/detect/spans-quiet.ts'
import { DurationSketch } from '../../src/detect/spans/duration-sketch.ts'
import { ErrorHistory } from '../../src/detect/spans/error-history.ts'
import { withoutIds } from '../../src/detect/spans/operation-name.ts'
import { Precedent } from '../../src/detect/spans/precedent.ts'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import { surpriseNeeded } from '../../src/detect/spans/span-role.ts'
import { spansConfig } from '../../src/detect/spans/spans-config.ts'
import { SpansDetector } from '../../src/detect/spans/spans.ts'
import type { Anomaly, Batch } from '../../src/model.ts'
import { spanBatch } from './span-fixtures.ts'
import type { TestSpan } from './span-fixtures.ts'

const START = 1_700_000_000_000
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

interface Play {
  readonly minutes: number
  /** What ends in the window of ten seconds that begins then, in milliseconds after the start. */
  readonly spans: (atMs: number) => readonly TestSpan[]
  readonly also?: (atMs: number) => Batch | undefined
  readonly restoreEvery?: number
  readonly config?: Partial<Record<string, number>>
}

function run({ minutes, spans, also, restoreEvery = 0, config = {} }: Play): Anomaly[] {
  const told: Anomaly[] = []
  const create = () => new SpansDetector(spansConfig.parse(config), { partition: 0, residuals: new ResidualBoard() })
  let detector = create()
  const emit = (finding: { readonly kind: string }): void => void (finding.kind === 'anomaly' && told.push(finding as Anomaly))
  for (let atMs = 0; atMs < minutes * MINUTE_MS; atMs += 10_000) {
    detector.detect({ kind: 'tick', nowMs: START + atMs }, emit)
    const more = also?.(atMs)
    if (more !== undefined) detector.detect(more, emit)
    const batch = spans(atMs)
    if (batch.length > 0) detector.detect(spanBatch('spans', batch), emit)
    if (restoreEvery === 0 || (atMs / 10_000) % restoreEvery !== 0) continue
    const bytes = detector.snapshot()
    detector = create()
    detector.restore(bytes)
  }
  return told
}

const served = (atMs: number, count: number, more: Partial<TestSpan> = {}): TestSpan[] =>
  Array.from({ length: count }, (_, i) => ({
    service: 'shop',
    operation: 'POST /checkout',
    startMs: START + atMs + (i * 9_000) / count,
    durationMs: 40 + ((i * 7 + atMs / 10_000) % 20),
    ...more,
  }))
const calls = (atMs: number, peer: string, count: number): TestSpan[] =>
  served(atMs, count, { kind: 'client', operation: 'call', peer, parent: 'p' })
const deploy = (atMs: number): Batch => ({
  kind: 'events',
  events: [{ kind: 'change', id: 'd', type: 'deploy', service: 'shop', version: '2', title: 'shop 2', atMs: START + atMs, url: '' }],
})

describe('who calls whom', () => {
  const NEW_MS = 80 * MINUTE_MS
  const shop = (atMs: number, peer: string) => [
    ...served(atMs, 20),
    ...calls(atMs, 'postgresql', 10),
    ...(atMs >= NEW_MS ? calls(atMs, peer, 5) : []),
  ]

  it('tells of a call that was never made before, once, without impact, and that a deploy is near', () => {
    const told = run({
      minutes: 100,
      spans: (atMs) => shop(atMs, 'redis'),
      also: (atMs) => (atMs === NEW_MS - 5 * MINUTE_MS ? deploy(atMs) : undefined),
    })
    expect(new Set(told.map(({ id }) => id)).size).toBe(1)
    expect(told[0]).toMatchObject({ service: 'shop', subject: 'calls to redis (new)', symptom: 'other', impact: false, direction: 'up' })
    expect(told[0]!.atMs - START - NEW_MS).toBeLessThanOrEqual(2 * MINUTE_MS)
    expect(told[0]!.evidence).toEqual([
      expect.stringMatching(/^shop calls redis since .*, \d+ times so far, and never did before\.$/),
      expect.stringMatching(/most likely that brought it/),
    ])
    expect(told.at(-1)!.endMs).toBeDefined()
  })

  it.each([
    ['pods have addresses of the day', 80, '10.1.2.3:8080'],
    ['and so with IPv6', 80, '[fd00::12]:8080'],
    ['nothing is known of a service that has just begun', 30, 'redis'],
  ])('is silent where %s', (_what, warmMinutes, peer) => {
    const shiftMs = NEW_MS - warmMinutes * MINUTE_MS
    expect(run({ minutes: warmMinutes + 15, spans: (atMs) => shop(atMs + shiftMs, peer) })).toEqual([])
  })

  const gone = (fromMs: number, toMs: number, alive: boolean) => (atMs: number) => {
    const isGone = atMs >= fromMs && atMs < toMs
    return [...(isGone && !alive ? [] : served(atMs, 20)), ...(isGone ? [] : calls(atMs, 'postgresql', 10))]
  }

  it('tells of a regular call that stops while its caller goes on, and ends that when it comes back', () => {
    const [fromMs, toMs] = [30 * MINUTE_MS, 40 * MINUTE_MS]
    const told = run({ minutes: 50, spans: gone(fromMs, toMs, true) })
    expect(new Set(told.map(({ subject }) => subject))).toEqual(new Set(['calls to postgresql (missing)']))
    expect(told[0]).toMatchObject({ symptom: 'other', impact: false, direction: 'down', observed: 0, endMs: undefined })
    expect(told[0]!.atMs - START - fromMs).toBeLessThanOrEqual(3 * MINUTE_MS)
    expect(told.at(-1)!.endMs).toBe(START + toMs)
  })

  it('says nothing of its calls when the caller itself is silent', () => {
    const told = run({ minutes: 50, spans: gone(30 * MINUTE_MS, 40 * MINUTE_MS, false) })
    expect(new Set(told.map(({ subject }) => subject))).toEqual(new Set(['all requests rate']))
  })

  it('is used to calls that come in bursts', () => {
    const bursts = (atMs: number) => [...served(atMs, 20), ...(atMs % (10 * MINUTE_MS) < MINUTE_MS ? calls(atMs, 'backup', 30) : [])]
    expect(run({ minutes: 90, spans: bursts }).filter(({ subject }) => subject.includes('missing'))).toEqual([])
  })

  it('tells the same after a restore at any point', () => {
    const play: Play = { minutes: 100, spans: (atMs) => (atMs > 90 * MINUTE_MS ? served(atMs, 20) : shop(atMs, 'redis')) }
    const whole = JSON.stringify(run(play))
    expect(JSON.parse(whole).length).toBeGreaterThan(3)
    expect(JSON.stringify(run({ ...play, restoreEvery: 7 }))).toBe(whole)
  })
})

describe('scheduled jobs', () => {
  const job = (atMs: number): TestSpan => ({
    service: 'billing',
    operation: 'close the books',
    kind: 'internal',
    startMs: START + atMs,
    durationMs: 900,
  })
  const every = (minutes: number, missing: (run: number) => boolean) => (atMs: number) =>
    atMs % (minutes * MINUTE_MS) === 0 && !missing(atMs / (minutes * MINUTE_MS)) ? [job(atMs)] : []

  it('misses a run that was due, and says when the last one was', () => {
    const told = run({ minutes: 400, spans: every(15, (run_) => run_ === 20 || run_ === 21) })
    expect(new Set(told.map(({ id }) => id)).size).toBe(1)
    expect(told[0]).toMatchObject({ service: 'billing', subject: 'close the books runs', symptom: 'traffic', impact: false })
    expect(told[0]!.evidence[0]).toMatch(/^close the books ran every 15 min and last at 2023-.*: a run is missing\.$/)
    expect(told.at(-1)!.endMs).toBe(START + 22 * 15 * MINUTE_MS)
    expect(run({ minutes: 400, spans: every(15, () => false) })).toEqual([])
  })

  it('finds no schedule where runs come as they like', () => {
    expect(run({ minutes: 400, spans: every(5, (run_) => (run_ * run_) % 7 > 2) })).toEqual([])
  })
})

describe('work that waits', () => {
  it.each([
    ['a poll that nothing answers within five seconds', (i: number) => 5000 + (i % 10)],
    ['a stream: many of minutes, some of seconds', (i: number) => (i % 3 === 0 ? 2000 : 90_000)],
  ])('does not page for %s', (_what, usualMs) => {
    const told = run({
      minutes: 60,
      spans: (atMs) => served(atMs, 30).map((span, i) => ({ ...span, durationMs: usualMs(i) * (atMs > 40 * MINUTE_MS ? 4 : 1) })),
    })
    expect(told.filter(({ impact }) => impact)).toEqual([])
  })
})

describe('hours of the day', () => {
  const value = 5
  test.each([
    ['on two of the last three days', [1, 2], true],
    ['yesterday only', [1], false],
    ['the day before yesterday and the one before', [2, 3], true],
    ['four and five days ago', [4, 5], false],
  ])('what was so %s', (_, daysAgo, usual) => {
    const precedent = new Precedent()
    for (const ago of [...daysAgo].sort((a, b) => b - a)) precedent.remember(START - ago * 24 * HOUR_MS, value)
    expect(precedent.isUsual(START, value, 0.2)).toBe(usual)
    expect(precedent.isUsual(START + 20 * MINUTE_MS, value, 0.2)).toBe(usual)
    expect(precedent.isUsual(START + 3 * HOUR_MS, value, 0.2)).toBe(false)
    expect(precedent.isUsual(START, value + 1, 0.2)).toBe(false)
  })

  it('tells of a nightly batch that slows requests on the first days, then no more', () => {
    const nightly = (atMs: number) => atMs % (24 * HOUR_MS) >= 2 * HOUR_MS && atMs % (24 * HOUR_MS) < 2.3 * HOUR_MS
    const told = run({
      minutes: 4 * 24 * 60,
      spans: (atMs) => served(atMs, 6).map((span) => ({ ...span, durationMs: span.durationMs * (nightly(atMs) ? 5 : 1) })),
    })
    const days = new Set(told.map(({ startMs }) => Math.floor((startMs - START) / (24 * HOUR_MS))))
    expect(days).toEqual(new Set([0, 1]))
  })
})

test.each([
  ['GET /orders/4711/items', 'GET /orders/{id}/items'],
  ['GET /users/123e4567-e89b-12d3-a456-426614174000', 'GET /users/{id}'],
  ['/blob/9f86d081884c7d659a2feaa0c55ad015?x=1', '/blob/{id}?x=1'],
  ['GET /api/v1/orders', 'GET /api/v1/orders'],
  ['GET /cart/deadbeeffacade', 'GET /cart/deadbeeffacade'],
  ['GET /resource-17', 'GET /resource-17'],
  ['SELECT 1', 'SELECT 1'],
  ['', ''],
])('operation %j is %j', (name, general) => {
  expect(withoutIds(name)).toBe(general)
})

it('looks at names of any length in no time', () => {
  const long = `GET ${'/1a'.repeat(100_000)}`
  expect(withoutIds(long).length).toBeLessThanOrEqual(500)
})

describe('the sketch of durations', () => {
  it('merges in any order to the same quantiles as one of everything', () => {
    const durations = fc.array(fc.double({ min: 1e-4, max: 1e10, noNaN: true }), { maxLength: 60 })
    fc.assert(
      fc.property(durations, durations, (some, others) => {
        const [one, two, all] = [new DurationSketch(), new DurationSketch(), new DurationSketch()]
        for (const ms of some) one.add(ms)
        for (const ms of others) two.add(ms)
        for (const ms of [...others, ...some]) all.add(ms)
        one.merge(two)
        expect(one.count).toBe(all.count)
        for (const q of [0, 0.25, 0.5, 0.95, 1]) expect(one.quantile(q)).toBe(all.quantile(q))
        for (const ms of [0, 1, 1e3, 1e6]) expect(one.countAbove(ms)).toBe(all.countAbove(ms))
      }),
    )
  })
})

describe('what share of requests usually fails', () => {
  const WINDOW_MS = 10_000
  const learnt = (errorsOf: (window: number) => number, requests: number): ErrorHistory => {
    const history = new ErrorHistory(WINDOW_MS)
    for (let window = 0; window < 2000; window++) history.learn(errorsOf(window), requests, false)
    return history
  }

  it('judges the few of the night by what was learnt by day', () => {
    const clean = learnt((window) => (window % 10 === 0 ? 1 : 0), 100)
    expect(clean.surprise(2, 3)).toBeGreaterThan(4)
    const often = learnt(() => 30, 100)
    expect(often.surprise(2, 3)).toBeLessThan(1)
  })

  it('is less surprised where the share varies from window to window than where it is always the same', () => {
    const steady = learnt((window) => 9 + (window % 3), 1000)
    const bursty = learnt((window) => (window % 10 === 0 ? 100 : 0), 1000)
    expect(steady.usual).toBeCloseTo(bursty.usual, 3)
    expect(steady.surprise(60, 1000)).toBeGreaterThan(20)
    expect(bursty.surprise(60, 1000)).toBeLessThan(4)
  })
})

test('half the false alarms, or twice the subjects, ask for a surprise that is log10 of 2 larger', () => {
  const [usual, half] = [spansConfig.parse({}), spansConfig.parse({ falseAlarmsPerWeek: 0.5 })]
  expect(surpriseNeeded(half, 10, 1) - surpriseNeeded(usual, 10, 1)).toBeCloseTo(Math.log10(2), 9)
  expect(surpriseNeeded(usual, 20, 1) - surpriseNeeded(usual, 10, 1)).toBeCloseTo(Math.log10(2), 9)
})

it('reads what version 2 wrote, and goes on with what that had learnt', () => {
  const detector = new SpansDetector(spansConfig.parse({}), { partition: 0, residuals: new ResidualBoard() })
  detector.restore(readFileSync(new URL('spans-version-2.snapshot', import.meta.url)))
  const told: Anomaly[] = []
  for (let atMs = 300_000; atMs < 360_000; atMs += 10_000) {
    detector.detect({ kind: 'tick', nowMs: START + atMs }, (finding) => void (finding.kind === 'anomaly' && told.push(finding)))
    detector.detect(spanBatch('spans', served(atMs, 30, { failed: true })), () => {})
  }
  expect(told[0]).toMatchObject({ service: 'shop', symptom: 'errors', impact: true })
  expect(told[0]!.atMs).toBeLessThanOrEqual(START + 340_000)
})

it('keeps its false alarms, at a few requests a minute and at one a second, and finds what is large', () => {
  const { quiet, faults } = evaluate(0.05, [1 / 60, 1])
  // A fifth of a service-week at one alarm a week: two would be chance of one in fifty.
  expect(quiet.reduce((sum, { anomalies }) => sum + anomalies, 0)).toBeLessThanOrEqual(2)
  for (const { fault, found, trials, perSecond } of faults)
    if (fault === '100 % errors' || (fault === 'one peer fails half' && perSecond === 1))
      expect(found, `${fault} at ${perSecond}/s`).toBe(trials)
})
