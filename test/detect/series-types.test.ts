/** What a sender said about a series goes before what its name looks like. */
import { inflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { Series, SeriesType } from '../../src/model.ts'
import { classifyMetric } from '../../src/detect/series/metric-kind.ts'
import { noise, seriesOf, START_MS, story, Watch, batchOf, type Row } from './metric-feed.ts'

const STEP_MS = 5000
/** What version 3 wrote of one delta, deflated: before scores, days off and alarms were kept. */
const ONE_DELTA =
  'Y2ZwOK5+bUelE5xGA4wo9AqwGka4LIcDpji6GlQzGDHMxM7+////f0YYh4WBgaE4I78AZjicBkmyQSV1DTGkUcCPejgN0qbAwMAQrZSVn1Qcn5Kfl6qkowQy' +
  'BErpGirpRMfGgpQzczIwMMCVwVyCbOkoGMoAAA=='
const typed = (type: SeriesType, name: string, labels: Record<string, string> = {}, instance = 'shop-1'): Series => ({
  ...seriesOf(name, labels, 'shop', instance),
  type,
})

describe('the shape of a metric', () => {
  test.each([
    ['jobs_done_total', 'unknown', 'counter', 'jobs_done'],
    ['jobs_done_total', 'gauge', 'gauge', 'jobs_done_total'],
    ['jobs_done', 'unknown', 'gauge', 'jobs_done'],
    ['jobs_done', 'counter', 'counter', 'jobs_done'],
    ['connections_active_total', 'counter', 'counter', 'connections_active'],
    ['jobs_done', 'delta', 'counter', 'jobs_done'],
    ['jobs_seconds_sum', 'delta', 'sum', 'jobs_seconds'],
    ['jobs_seconds_count', 'gauge', 'gauge', 'jobs_seconds_count'],
    ['build_info', 'gauge', 'ignored', 'build_info'],
    ['up', 'gauge', 'up', 'up'],
  ] as const)('%s said to be %s is a %s of %s', (name, type, shape, family) => {
    const kind = classifyMetric(name, [], type)
    expect([kind.shape, kind.family]).toEqual([shape, family])
  })
})

describe('deltas', () => {
  /** Requests per step: steady, then none at all for a while. */
  const counts = (seed: number) => {
    const z = noise(seed)
    return Array.from({ length: 400 }, (_, step) => (step >= 300 && step < 340 ? 0 : Math.max(1, Math.round(500 + 15 * z()))))
  }

  function watched(type: 'counter' | 'delta', sent: (step: number) => boolean = () => true) {
    const perStep = counts(4)
    const watch = new Watch()
    const series = typed(type, 'http_requests_total')
    let total = 0
    watch.feed(
      ...story(400, STEP_MS, (step, timeMs) => {
        total += perStep[step]!
        // Something else of the instance, so that its rhythm is known.
        const rows: Row[] = [[typed('gauge', 'temperature'), timeMs, 20]]
        if (sent(step)) rows.push([series, timeMs, type === 'delta' ? perStep[step]! : total])
        return rows
      }),
    )
    return watch.anomalies
      .filter((one) => one.subject.startsWith('http_requests'))
      .map(({ symptom, direction, startMs, endMs, observed, expected, unit }) => ({
        symptom,
        direction,
        startMs,
        endMs,
        observed,
        expected,
        unit,
      }))
  }

  test('have the rate of the counter that counts the same', () => {
    const delta = watched('delta')
    expect(delta).toMatchObject([{ symptom: 'traffic', direction: 'down', unit: '/s', observed: 0 }])
    expect(delta[0]!.startMs).toBe(START_MS + 300 * STEP_MS)
    const counter = watched('counter')
    expect(delta).toEqual(counter.map((one) => ({ ...one, expected: delta[0]!.expected })))
    // The first sample of a delta counts, of a counter it does not: the baselines began one row apart.
    expect(delta[0]!.expected).toBeCloseTo(counter[0]!.expected, 0)
  })

  test('that fall are no resets, and those of zero that are not sent are zero', () => {
    const z = noise(7)
    const watch = new Watch()
    const errors = typed('delta', 'failed_logins_total')
    watch.feed(
      ...story(400, STEP_MS, (step, timeMs) => {
        const rows: Row[] = [[typed('gauge', 'temperature'), timeMs, 20]]
        // One or two each minute; what is left out is zero.
        if (step % 12 === 0) rows.push([errors, timeMs, 1 + (z() > 0 ? 1 : 0)])
        return rows
      }),
    )
    expect(watch.anomalies).toEqual([])
    watch.feed(batchOf([[errors, START_MS + 400 * STEP_MS, 1]]))
    expect(watch.detector.counts()['refused_samples']).toBe(0)
  })

  test('after a silence that is too long to be filled count for one interval only', () => {
    const z = noise(9)
    const watch = new Watch()
    const requests = typed('delta', 'http_requests_total')
    watch.feed(
      ...story(500, STEP_MS, (step, timeMs) => {
        const rows: Row[] = [[typed('gauge', 'temperature'), timeMs, 20]]
        if (step < 300 || step >= 372) rows.push([requests, timeMs, Math.round(500 + 15 * z())])
        return rows
      }),
    )
    expect(watch.anomalies.filter((one) => one.subject.startsWith('http'))).toEqual([])
  })
})

describe('histograms whose bounds come and go', () => {
  /** 20 requests per step and instance; rows as the doors write them. */
  function latency(slowAt: (step: number) => boolean, type: 'sketch' | 'delta') {
    const watch = new Watch()
    const totals = new Map<string, number>()
    const counted = (key: string, n: number): number => {
      const total = (totals.get(key) ?? 0) + n
      totals.set(key, total)
      return type === 'delta' ? n : total
    }
    const rowsOf = (instance: string, timeMs: number, counts: readonly (readonly [string, number])[], n: number): Row[] => [
      [
        typed(type === 'delta' ? 'delta' : 'unknown', 'http_request_duration_seconds_count', {}, instance),
        timeMs,
        counted(`${instance} count`, n),
      ],
      ...counts.map(([le, m]): Row => [
        typed(type, 'http_request_duration_seconds_bucket', { le }, instance),
        timeMs,
        counted(`${instance} ${le}`, m),
      ]),
    ]
    watch.feed(
      ...story(500, STEP_MS, (step, timeMs) => {
        const slow = slowAt(step)
        // One instance has seen a slow request long ago and has a bound for it; the other has none, and one more in between from step 250 on.
        const a = rowsOf(
          'a',
          timeMs,
          [
            ['0.125', 0],
            ['0.25', slow ? 0 : 20],
            ['8', 20],
            ['+Inf', 20],
          ],
          20,
        )
        const b = rowsOf('b', timeMs, [...(step < 250 ? [] : [['0.0625', 100] as const]), ['0.125', 200], ['+Inf', 200]], 200)
        return [...a, ...b]
      }),
    )
    return watch.anomalies.filter((one) => one.symptom === 'latency')
  }

  test.each(['sketch', 'delta'] as const)('%s: a bound that another instance does not have is no slow request', (type) => {
    expect(latency(() => false, type)).toEqual([])
  })

  test.each(['sketch', 'delta'] as const)('%s: slow requests are seen all the same', (type) => {
    const [first, ...more] = latency((step) => step >= 400, type)
    expect(more).toEqual([])
    expect(first).toMatchObject({ direction: 'up', subject: 'http_request_duration_seconds p95', impact: true })
    expect(first!.startMs).toBeGreaterThanOrEqual(START_MS + 390 * STEP_MS)
  })
})

test('a delta is about the same time as all of its histogram, however long its bucket was away', () => {
  const watch = new Watch()
  const z = noise(5)
  let timeMs = START_MS
  for (let step = 0; step < 400; step++) {
    // An exporter is never quite on time.
    timeMs += STEP_MS + Math.round(20 * z())
    // Requests that are hardly slower go into other buckets for once.
    const beyond = step >= 300 && step < 306 ? String(0.13 + 0.001 * (step - 300)) : '0.2'
    const buckets = (instance: string, counts: readonly (readonly [string, number])[]): Row[] =>
      counts.map(([le, n]): Row => [typed('delta', 'http_request_duration_seconds_bucket', { le }, instance), timeMs, n])
    const other: Row = [typed('gauge', 'temperature', {}, 'a'), timeMs, 20]
    watch.feed(
      batchOf([
        other,
        ...buckets('a', [
          ['0.125', 180],
          [beyond, 200],
          ['+Inf', 200],
        ]),
      ]),
      batchOf([
        [typed('gauge', 'temperature', {}, 'b'), timeMs, 20],
        ...buckets('b', [
          ['0.125', 4],
          ['8', 4],
          ['+Inf', 4],
        ]),
      ]),
      { kind: 'tick', nowMs: timeMs + 500 },
    )
  }
  expect(watch.anomalies).toEqual([])
})

describe('what is known of a type', () => {
  test('of a counter that was taken for a gauge since it fell so often, is believed', () => {
    const watch = new Watch()
    let total = 0
    watch.feed(
      ...story(500, STEP_MS, (step, timeMs) => {
        // One thread counts for all and is replaced every minute; from step 100 on its sender says that it is a counter.
        total = step % 12 === 0 ? 0 : total + 500 + (step >= 400 ? 5000 : 0)
        return [[typed(step < 100 ? 'unknown' : 'counter', 'http_requests_total'), timeMs, total]]
      }),
    )
    const told = watch.anomalies.filter(({ startMs }) => startMs >= START_MS + 100 * STEP_MS)
    expect(told).toMatchObject([{ symptom: 'traffic', direction: 'up', startMs: START_MS + 400 * STEP_MS, unit: '/s' }])
    expect(told[0]!.expected).toBeCloseTo(100, 0)
  })

  test('is that of the sender who was first, while two say different things', () => {
    const watch = new Watch()
    const z = noise(6)
    let total = 0
    for (let step = 0; step < 600; step++) {
      const timeMs = START_MS + step * STEP_MS
      const now = Math.max(0, Math.round((step >= 500 && step < 540 ? 2500 : 500) + 15 * z()))
      total += now
      watch.feed(
        batchOf([[typed('counter', 'http_requests_total'), timeMs, total]]),
        batchOf([[typed('delta', 'http_requests_total'), timeMs + 200, now]]),
        { kind: 'tick', nowMs: timeMs + 500 },
      )
    }
    expect(watch.anomalies).toMatchObject([{ symptom: 'traffic', direction: 'up', startMs: START_MS + 500 * STEP_MS }])
    expect(watch.detector.counts()['refused_samples']).toBe(600)
  })

  test('changes when nobody says any more what was said before', () => {
    const watch = new Watch()
    const z = noise(8)
    let total = 0
    watch.feed(
      ...story(700, STEP_MS, (step, timeMs) => {
        const now = Math.max(0, Math.round((step >= 600 && step < 640 ? 2500 : 500) + 15 * z()))
        total += now
        return [
          [typed('gauge', 'temperature'), timeMs, 20],
          step < 300 ? [typed('counter', 'http_requests_total'), timeMs, total] : [typed('delta', 'http_requests_total'), timeMs, now],
        ]
      }),
    )
    expect(watch.anomalies.filter(({ symptom }) => symptom === 'traffic')).toMatchObject([
      { direction: 'up', startMs: START_MS + 600 * STEP_MS },
    ])
  })

  test('is kept in a snapshot; those of versions before are read', () => {
    const watch = new Watch()
    watch.feed(batchOf([[typed('delta', 'jobs_done'), START_MS, 3]]), { kind: 'tick', nowMs: START_MS + 500 })
    const bytes = watch.detector.snapshot()
    const other = new Watch()
    other.detector.restore(bytes)
    expect(other.detector.snapshot()).toEqual(bytes)
    const third = inflateRawSync(Buffer.from(ONE_DELTA, 'base64'))
    other.detector.restore(third)
    expect(other.detector.counts().series).toBe(1)
    // Version 2 had no byte for the type, which stands between the number of the series and its name.
    const at = third.indexOf('jobs_done', third.indexOf('jobs_done') + 9) - 5
    expect([third[0], third[at]]).toEqual([3, 3])
    other.detector.restore(Buffer.concat([Buffer.of(2), third.subarray(1, at), third.subarray(at + 1)]))
    expect(other.detector.counts().series).toBe(1)
    expect(Buffer.from(other.detector.snapshot()).subarray(at, at + 1)).toEqual(Buffer.of(0))
  })

  test('that comes later makes another series of it', () => {
    const watch = new Watch()
    const z = noise(3)
    let total = 0
    watch.feed(
      ...story(600, STEP_MS, (step, timeMs) => {
        total += Math.max(0, Math.round(500 + 15 * z()))
        return [[typed(step < 50 ? 'unknown' : 'counter', 'http_requests'), timeMs, total]]
      }),
    )
    expect(watch.anomalies.filter((one) => one.startMs > START_MS + 60 * STEP_MS)).toEqual([])
  })
})
