import { describe, expect, test } from 'vitest'
import { PermanentError } from '../../src/errors.ts'
import type { Anomaly, Batch, MetricBatch } from '../../src/model.ts'
import { batchOf, noise, seriesOf, START_MS, story, Watch, type Row } from './metric-feed.ts'

const STEP_MS = 5000
const minutes = (n: number): number => (n * 60_000) / STEP_MS

function facts(anomaly: Anomaly) {
  const { symptom, direction, service, instance, impact, startMs, endMs } = anomaly
  return { symptom, direction, service, instance, impact, step: (startMs - START_MS) / STEP_MS, over: endMs !== undefined }
}

describe('gauges and counters', () => {
  test('a queue that grows: quiet → full → quiet', () => {
    const z = noise(1)
    const queue = seriesOf('jobs_queue_depth')
    const watch = new Watch()
    watch.feed(
      ...story(400, STEP_MS, (step, timeMs) => [[queue, timeMs, Math.abs(Math.round(3 + z())) + (step >= 200 && step < 230 ? 200 : 0)]]),
    )
    expect(watch.anomalies.map(facts)).toEqual([
      { symptom: 'saturation', direction: 'up', service: 'shop', instance: 'shop-1', impact: false, step: 200, over: true },
    ])
    const last = watch.anomalies[0]!
    expect(last.subject).toBe('jobs_queue_depth')
    expect(last.observed).toBeGreaterThan(150)
    expect(last.expected).toBeLessThan(10)
    expect(last.evidence[0]).toMatch(/jobs_queue_depth was 20\d at 2026.*expected .*normal is up to/)
    expect(last.points.timeMs[0]).toBeLessThan(last.startMs)
  })

  test('what comes before the first tick is not forgotten with it', () => {
    const watch = new Watch()
    watch.feed(batchOf([[seriesOf('jobs_queue_depth'), START_MS, 3]]), { kind: 'tick', nowMs: START_MS + 500 })
    expect(watch.detector.counts().series).toBe(1)
  })

  test('a backlog that nobody works off is felt after five minutes, until it is gone', () => {
    const z = noise(1)
    const lag = seriesOf('kafka_consumergroup_lag', { consumergroup: 'mailer' })
    const watch = new Watch()
    const stuck = (step: number): number => (step < 200 ? 0 : step < 300 ? (step - 200) * 40 : Math.max(0, 4000 - (step - 300) * 200))
    watch.feed(...story(400, STEP_MS, (step, timeMs) => [[lag, timeMs, Math.abs(Math.round(3 + z())) + stuck(step)]]))
    expect(watch.anomalies.map(facts)).toMatchObject([{ symptom: 'saturation', impact: true, over: true }])
    const { startMs } = watch.anomalies[0]!
    const firstFelt = watch.told.find((one) => one.impact)!
    expect(firstFelt.atMs - startMs).toBeGreaterThanOrEqual(300_000)
    expect(firstFelt.atMs - startMs).toBeLessThanOrEqual(330_000)
    expect(watch.told.filter((one) => one.atMs > firstFelt.atMs).every((one) => one.impact)).toBe(true)
  })

  test('a backlog that has been stuck for an hour has not become normal', () => {
    const z = noise(1)
    const lag = seriesOf('kafka_consumergroup_lag')
    const watch = new Watch()
    watch.feed(...story(950, STEP_MS, (step, timeMs) => [[lag, timeMs, Math.abs(Math.round(3 + z())) + Math.max(0, step - 200) * 40]]))
    expect(watch.anomalies.map(facts)).toMatchObject([{ impact: true, over: false }])
  })

  test('a burst of work that is worked off is not felt, however large', () => {
    const z = noise(1)
    const queue = seriesOf('jobs_queue_depth')
    const watch = new Watch()
    const burst = (step: number): number => (step < 200 ? 0 : step < 240 ? (step - 200) * 100 : Math.max(0, 4000 - (step - 240) * 50))
    watch.feed(...story(400, STEP_MS, (step, timeMs) => [[queue, timeMs, Math.abs(Math.round(3 + z())) + burst(step)]]))
    expect(watch.anomalies.map(facts)).toMatchObject([{ symptom: 'saturation', impact: false, over: true }])
  })

  test('an empty queue is no incident', () => {
    const z = noise(1)
    const queue = seriesOf('jobs_queue_depth')
    const watch = new Watch()
    watch.feed(...story(400, STEP_MS, (step, timeMs) => [[queue, timeMs, step < 200 ? 100 + 3 * z() : 0]]))
    expect(watch.told).toEqual([])
  })

  test('a counter is watched as a rate, and a restart is neither a peak nor a hole', () => {
    const z = noise(2)
    const requests = seriesOf('http_requests_total', { method: 'GET' })
    let count = 0
    const watch = new Watch()
    watch.feed(
      ...story(600, STEP_MS, (step, timeMs) => {
        if (step === 200 || step === 400) count = 0
        count += Math.max(0, Math.round(100 + 5 * z()))
        return [[requests, timeMs, count]]
      }),
    )
    expect(watch.told).toEqual([])
  })

  test('traffic that goes away is seen', () => {
    const z = noise(2)
    const requests = seriesOf('http_requests_total', { method: 'GET' })
    let count = 0
    const watch = new Watch()
    watch.feed(...story(300, STEP_MS, (step, timeMs) => [[requests, timeMs, (count += step < 200 ? Math.round(100 + 5 * z()) : 0)]]))
    expect(watch.anomalies.map(facts)).toMatchObject([{ symptom: 'traffic', direction: 'down', step: 200 }])
    expect(watch.anomalies[0]!.subject).toBe('http_requests_total rate {method="GET"}')
  })

  test('a gap of ten minutes is no rate of ten minutes', () => {
    const z = noise(3)
    const requests = seriesOf('http_requests_total', { method: 'GET' })
    let count = 0
    const watch = new Watch()
    watch.feed(
      ...story(500, STEP_MS, (step, timeMs) => {
        count += Math.round(100 + 5 * z())
        return step >= 200 && step < 320 ? [] : [[requests, timeMs, count]]
      }),
    )
    expect(watch.anomalies.filter((a) => a.symptom !== 'absence')).toEqual([])
  })

  test('a stale marker ends what is open and starts anew', () => {
    const z = noise(4)
    const queue = seriesOf('jobs_queue_depth')
    const watch = new Watch()
    watch.feed(
      ...story(210, STEP_MS, (step, timeMs) => [
        [queue, timeMs, step === 209 ? Number.NaN : 3 + z() + (step >= 200 ? 100 : 0), step === 209],
      ]),
    )
    expect(watch.anomalies.map(facts)).toMatchObject([{ step: 200, over: true }])
    expect(watch.anomalies[0]!.evidence).toEqual([
      expect.stringMatching(/^jobs_queue_depth was 10\d at its worst, expected \d.*; it is no longer reported\.$/),
    ])
  })

  test('duplicates and late samples change nothing', () => {
    const feed = (twice: boolean): Watch => {
      const z = noise(5)
      const queue = seriesOf('jobs_queue_depth')
      const watch = new Watch()
      watch.feed(
        ...story(300, STEP_MS, (step, timeMs) => {
          const row: Row = [queue, timeMs, 3 + z() + (step >= 200 && step < 220 ? 100 : 0)]
          return twice ? [row, row, [queue, timeMs - 60_000, 1e9]] : [row]
        }),
      )
      return watch
    }
    expect(feed(true).told).toEqual(feed(false).told)
    expect(feed(true).detector.counts().late_samples).toBe(600)
  })

  test('a gauge that is called a counter is found out', () => {
    const z = noise(6)
    const odd = seriesOf('items_count')
    const watch = new Watch()
    watch.feed(...story(400, STEP_MS, (step, timeMs) => [[odd, timeMs, Math.round(50 + 5 * z()) + (step >= 300 && step < 330 ? 500 : 0)]]))
    expect(watch.anomalies.map(facts)).toMatchObject([{ direction: 'up', step: 300, over: true }])
  })

  test('samples every second are averaged: three odd ones are not three observations', () => {
    const z = noise(7)
    const queue = seriesOf('jobs_queue_depth')
    const watch = new Watch()
    watch.feed(...story(900, 1000, (step, timeMs) => [[queue, timeMs, 30 + z() + (step >= 600 && step < 603 ? 500 : 0)]]))
    expect(watch.told).toEqual([])
  })

  test('an error counter that did not exist before had counted nothing', () => {
    const z = noise(8)
    const queue = seriesOf('jobs_queue_depth')
    const failed = seriesOf('orders_failed_total', { reason: 'card' })
    const watch = new Watch()
    watch.feed(
      ...story(240, STEP_MS, (step, timeMs) => [
        [queue, timeMs, 30 + z()],
        ...(step < 200 ? [] : [[failed, timeMs, (step - 199) * 20] satisfies Row]),
      ]),
    )
    expect(watch.anomalies.map(facts)).toMatchObject([{ symptom: 'errors', direction: 'up', step: 200 }])
  })

  test('what a process uses while it starts is no anomaly', () => {
    const z = noise(9)
    const memory = seriesOf('process_resident_memory_bytes')
    const start = seriesOf('process_start_time_seconds')
    const quiet = (restarts: boolean): number => {
      const watch = new Watch()
      watch.feed(
        ...story(400, STEP_MS, (step, timeMs) => [
          [start, timeMs, restarts && step >= 200 ? 2000 : 1000],
          [memory, timeMs, 1e8 * (step >= 200 ? 1.6 : 1) + 1e6 * z()],
        ]),
      )
      return watch.anomalies.length
    }
    expect(quiet(true)).toBe(0)
    expect(quiet(false)).toBe(1)
  })

  test('versions, limits and times of creation are not watched', () => {
    const watch = new Watch()
    const info = seriesOf('build_info', { version: '1' })
    watch.feed(
      ...story(10, STEP_MS, (step, timeMs) => [
        [info, timeMs, 1],
        [seriesOf('foo_created'), timeMs, step],
      ]),
    )
    expect(watch.detector.counts().series).toBe(0)
  })
})

describe('requests', () => {
  const BOUNDS = ['0.05', '0.1', '0.25', '0.5', '1', '+Inf']
  /** A histogram of a service with two instances and two outcomes, `perStep` requests each. */
  function histogram(
    slow: (step: number) => boolean,
    failing: (step: number) => number,
    steps: number,
    perStep = 20,
    name = 'http_request_duration_seconds',
  ): Batch[] {
    const z = noise(11)
    const totals = new Map<string, number>()
    const add = (key: string, by: number): number => {
      totals.set(key, (totals.get(key) ?? 0) + by)
      return totals.get(key)!
    }
    return story(steps, STEP_MS, (step, timeMs) => {
      const rows: Row[] = []
      for (const instance of ['a', 'b']) {
        const requests = Math.max(0, Math.round(perStep + z()))
        const failed = Math.round(requests * failing(step))
        for (const [code, n] of [
          ['200', requests - failed],
          ['500', failed],
        ] as const) {
          for (const le of BOUNDS) {
            const share = slow(step)
              ? { '0.05': 0, '0.1': 0, '0.25': 0.1, '0.5': 0.4, '1': 0.95, '+Inf': 1 }[le]!
              : { '0.05': 0.6, '0.1': 0.9, '0.25': 0.99, '0.5': 1, '1': 1, '+Inf': 1 }[le]!
            rows.push([
              seriesOf(`${name}_bucket`, { code, route: '/buy', le }, 'shop', instance),
              timeMs,
              add(`${instance}${code}${le}`, Math.round(n * share)),
            ])
          }
          rows.push([seriesOf(`${name}_count`, { code, route: '/buy' }, 'shop', instance), timeMs, add(`${instance}${code}count`, n)])
        }
      }
      return rows
    })
  }
  const never = (): boolean => false
  const none = (): number => 0

  test('slow requests are an anomaly with impact within 30 seconds, over all instances and outcomes', () => {
    const watch = new Watch()
    watch.feed(...histogram((step) => step >= minutes(10) && step < minutes(12), none, minutes(20)))
    expect(watch.anomalies.map(facts)).toMatchObject([{ symptom: 'latency', direction: 'up', impact: true, instance: '', over: true }])
    const [first] = watch.told
    expect(first!.subject).toBe('http_request_duration_seconds p95 {route="/buy"}')
    expect(first!.atMs - (START_MS + minutes(10) * STEP_MS)).toBeLessThanOrEqual(30_000)
    expect(watch.anomalies[0]!.observed).toBeGreaterThan(0.5)
  })

  test('a few slow requests of twenty are luck, also where they move the p95 by a bucket', () => {
    const z = noise(2)
    const counts = BOUNDS.map(() => 0)
    const watch = new Watch()
    watch.feed(
      ...story(minutes(600), STEP_MS, (_step, timeMs) => {
        for (let request = 0; request < 12; request++) {
          const seconds = 0.05 * Math.exp(0.35 * z())
          for (const [i, le] of BOUNDS.entries()) if (le === '+Inf' || seconds <= Number(le)) counts[i]!++
        }
        return BOUNDS.map((le, i): Row => [seriesOf('http_request_duration_seconds_bucket', { le }), timeMs, counts[i]!])
      }),
    )
    expect(watch.told).toEqual([])
  })

  test('failed requests are one anomaly of their ratio, with its volume, within 30 seconds', () => {
    const watch = new Watch()
    watch.feed(...histogram(never, (step) => (step >= minutes(10) && step < minutes(12) ? 0.3 : 0.005), minutes(20)))
    expect(watch.anomalies.map(facts)).toMatchObject([{ symptom: 'errors', direction: 'up', impact: true, over: true }])
    const [first] = watch.told
    expect(first!.unit).toBe('ratio')
    expect(first!.volume).toBeGreaterThan(40)
    expect(first!.atMs - (START_MS + minutes(10) * STEP_MS)).toBeLessThanOrEqual(30_000)
  })

  test('one failure of two requests a minute is no anomaly', () => {
    const watch = new Watch()
    watch.feed(...histogram(never, (step) => (step % 12 === 0 && step >= minutes(10) ? 0.5 : 0), minutes(20), 0.2))
    expect(watch.anomalies.filter((a) => a.symptom === 'errors')).toEqual([])
  })

  test('requests that get faster are no anomaly', () => {
    const watch = new Watch()
    watch.feed(...histogram((step) => step < minutes(10), none, minutes(20)))
    expect(watch.anomalies.filter((a) => a.symptom === 'latency')).toEqual([])
  })

  test('a slow client call has no impact of its own', () => {
    const watch = new Watch()
    watch.feed(
      ...histogram((step) => step >= minutes(10) && step < minutes(12), none, minutes(20), 20, 'http_client_request_duration_seconds'),
    )
    expect(watch.anomalies.filter((a) => a.symptom === 'latency').map((a) => a.impact)).toEqual([false])
  })

  test('the same errors counted by a plain counter and by a histogram are told once', () => {
    const plain = (step: number): readonly [number, number] => (step >= minutes(10) ? [14, 6] : [20, 0])
    const totals = [0, 0]
    const counters = story(minutes(13), STEP_MS, (step, timeMs) =>
      plain(step).map((n, i): Row => [
        seriesOf('http_requests_total', { status: i === 0 ? '200' : '500' }, 'shop', 'a'),
        timeMs,
        (totals[i] = totals[i]! + n),
      ]),
    )
    const watch = new Watch()
    histogram(never, (step) => (step >= minutes(10) ? 0.3 : 0), minutes(13)).forEach((batch, i) => {
      if (batch.kind === 'metrics') watch.feed(counters[i]!)
      watch.feed(batch)
    })
    expect(watch.anomalies.filter((a) => a.symptom === 'errors').map((a) => a.subject)).toEqual(['http_requests error ratio'])
  })
})

describe('who is missing', () => {
  const queue = seriesOf('jobs_queue_depth')
  const other = seriesOf('jobs_queue_depth', {}, 'cart', 'cart-1')
  const second = seriesOf('jobs_queue_depth', {}, 'shop', 'shop-2')

  test('a service that goes silent, and comes back', () => {
    const watch = new Watch()
    watch.feed(
      ...story(300, STEP_MS, (step, timeMs) => [
        [other, timeMs, 3],
        ...(step >= 200 && step < 250 ? [] : [[queue, timeMs, 3] satisfies Row]),
      ]),
    )
    expect(watch.anomalies.map(facts)).toEqual([
      { symptom: 'absence', direction: 'down', service: 'shop', instance: '', impact: false, step: 199 - 0.9, over: true },
    ])
    expect(watch.told[0]!.atMs - (START_MS + 200 * STEP_MS)).toBeLessThanOrEqual(30_000)
  })

  test('one copy less while another reports is scaling', () => {
    const watch = new Watch()
    watch.feed(...story(300, STEP_MS, (step, timeMs) => [[queue, timeMs, 3], ...(step < 200 ? [[second, timeMs, 3] satisfies Row] : [])]))
    expect(watch.told).toEqual([])
  })

  test('when everything is silent it is the sender that is missing', () => {
    const watch = new Watch()
    watch.feed(
      ...story(300, STEP_MS, (step, timeMs) =>
        step >= 200 && step < 250
          ? []
          : [
              [queue, timeMs, 3],
              [other, timeMs, 3],
            ],
      ),
    )
    expect(watch.told).toEqual([])
  })

  test('a sender that was away misses nobody, whatever the intervals and in whatever order they come back', () => {
    const watch = new Watch()
    watch.feed(
      ...story(600, STEP_MS, (step, timeMs) => {
        const away = step >= 300 && step < 360
        const due = (every: number, from: number): boolean => !away && step % every === from
        return [
          ...(due(1, 0) ? [[seriesOf('memory_bytes', {}, 'quick'), timeMs, 1e9] as const] : []),
          ...(due(6, 4) ? [[seriesOf('memory_bytes', {}, 'slow'), timeMs, 1e9] as const] : []),
          ...(due(12, 7) ? [[seriesOf('memory_bytes', {}, 'slower'), timeMs, 1e9] as const] : []),
        ]
      }),
    )
    expect(watch.told).toEqual([])
  })

  test('time in which Tocsin itself was away is nobody’s silence', () => {
    const watch = new Watch()
    watch.feed(...story(200, STEP_MS, (_, timeMs) => [[queue, timeMs, 3]]))
    for (let tick = 0; tick < 4; tick++) watch.feed({ kind: 'tick', nowMs: START_MS + 3_600_000 + tick * STEP_MS })
    expect(watch.told).toEqual([])
    for (let tick = 4; tick < 10; tick++) watch.feed({ kind: 'tick', nowMs: START_MS + 3_600_000 + tick * STEP_MS })
    expect(watch.anomalies.map((a) => a.symptom)).toEqual(['absence'])
  })

  test('a target that cannot be scraped', () => {
    const up = seriesOf('up')
    const watch = new Watch()
    watch.feed(...story(300, STEP_MS, (step, timeMs) => [[up, timeMs, step >= 200 && step < 250 ? 0 : 1]]))
    expect(watch.anomalies.map(facts)).toEqual([
      { symptom: 'absence', direction: 'down', service: 'shop', instance: 'shop-1', impact: false, step: 200, over: true },
    ])
    expect(watch.anomalies[0]!.evidence[0]).toContain('up = 0')
  })

  test('a target that never was up is somebody’s mistake in a configuration, not an incident', () => {
    const up = seriesOf('up')
    const watch = new Watch()
    watch.feed(...story(300, STEP_MS, (_, timeMs) => [[up, timeMs, 0]]))
    expect(watch.told).toEqual([])
  })

  test('a service that is taken out of discovery is nobody’s loss', () => {
    const up = seriesOf('up')
    const watch = new Watch()
    watch.feed(
      ...story(300, STEP_MS, (step, timeMs) => [
        [other, timeMs, 3],
        ...(step < 200
          ? ([
              [up, timeMs, 1],
              [queue, timeMs, 3],
            ] as Row[])
          : step === 200
            ? ([
                [up, timeMs, Number.NaN, true],
                [queue, timeMs, Number.NaN, true],
              ] as Row[])
            : []),
      ]),
    )
    expect(watch.told).toEqual([])
  })
})

describe('the promises of a detector', () => {
  /** A bit of everything, with an incident in the middle. */
  function everything(): Batch[] {
    const z = noise(21)
    const requests = [0, 0]
    return story(320, STEP_MS, (step, timeMs) => {
      const bad = step >= 150 && step < 200
      const counts = requests.map((_, i) => (requests[i] = requests[i]! + (i === 0 ? (bad ? 60 : 100) : bad ? 40 : 0)))
      const rows: Row[] = [
        [seriesOf('up'), timeMs, step >= 170 && step < 180 ? 0 : 1],
        [seriesOf('jobs_queue_depth'), timeMs, 20 + 2 * z() + (bad ? 500 : 0)],
        [seriesOf('http_requests_total', { code: '200' }), timeMs, counts[0]!],
        [seriesOf('http_requests_total', { code: '500' }), timeMs, counts[1]!],
        [seriesOf('jobs_queue_depth', {}, 'cart'), timeMs, 5 + z(), step === 220],
      ]
      return step > 260 && step < 300 ? rows.slice(4) : rows
    })
  }

  test('the same batches give the same findings, in parts or whole', () => {
    const [whole, again, parts] = [new Watch(), new Watch(), new Watch()]
    const story = everything()
    whole.feed(...story)
    again.feed(...everything())
    for (const batch of story) for (const part of batch.kind === 'metrics' ? rowsOf(batch) : [batch]) parts.feed(part)
    expect(whole.anomalies.length).toBeGreaterThan(3)
    expect(again.findings).toEqual(whole.findings)
    expect(parts.findings).toEqual(whole.findings)
    expect(parts.detector.snapshot()).toEqual(whole.detector.snapshot())
  })

  test('restore(snapshot()) goes on identically, wherever it is taken', () => {
    const whole = new Watch()
    const story = everything()
    whole.feed(...story)
    for (let cut = 40; cut < story.length; cut += 61) {
      const before = new Watch()
      before.feed(...story.slice(0, cut))
      const after = new Watch()
      after.detector.restore(before.detector.snapshot())
      expect(after.detector.snapshot()).toEqual(before.detector.snapshot())
      after.feed(...story.slice(cut))
      expect([...before.findings, ...after.findings]).toEqual(whole.findings)
      expect(after.detector.snapshot()).toEqual(whole.detector.snapshot())
    }
  })

  test('more series than there is room for are refused and counted, the others stay watched', () => {
    const watch = new Watch({ maxSeries: 10, maxSeriesPerService: 6 })
    const many = Array.from({ length: 100 }, (_, i) => seriesOf('jobs_queue_depth', { id: String(i) }))
    const others = Array.from({ length: 100 }, (_, i) => seriesOf('jobs_queue_depth', { id: String(i) }, 'cart'))
    watch.feed(batchOf([...many, ...others].map((of) => [of, START_MS, 1])))
    expect(watch.detector.counts()).toMatchObject({ series: 10, refused_series: 190 })
  })

  test('series that stay silent are forgotten', () => {
    const watch = new Watch({ forgetMs: 600_000 })
    const stays = seriesOf('jobs_queue_depth')
    watch.feed(
      ...story(400, STEP_MS, (step, timeMs) => [
        [stays, timeMs, 1],
        ...(step < 10 ? [[seriesOf('jobs_queue_depth', { id: String(step) }), timeMs, 1] satisfies Row] : []),
      ]),
    )
    expect(watch.detector.counts().series).toBe(1)
  })

  test('hostile names, labels and values are numbers and text like any other', () => {
    const watch = new Watch()
    const names = ['__proto__', 'constructor', 'x'.repeat(10_000), '', '<script>']
    const values = [Number.NaN, Number.POSITIVE_INFINITY, -0, 1e308, -1e308, 5e-324]
    watch.feed(
      ...story(60, STEP_MS, (step, timeMs) =>
        names.flatMap((name) =>
          [name, `${name}_total`, `${name}_bucket`].map((n): Row => [
            seriesOf(n, { le: name, ['__proto__']: name }, name, name),
            timeMs,
            values[step % values.length]!,
          ]),
        ),
      ),
    )
    for (const anomaly of watch.told)
      for (const number of [anomaly.score, anomaly.observed, anomaly.expected]) expect(Number.isFinite(number)).toBe(true)
    expect(watch.detector.snapshot().length).toBeGreaterThan(0)
  })

  test('a sample from the far future is refused and blocks nothing', () => {
    const z = noise(13)
    const queue = seriesOf('jobs_queue_depth')
    const watch = new Watch()
    watch.feed(...story(300, STEP_MS, (step, timeMs) => [[queue, step === 20 ? 1e300 : timeMs, 30 + z() + (step >= 200 ? 500 : 0)]]))
    expect(watch.detector.counts()).toMatchObject({ refused_samples: 1, late_samples: 0 })
    expect(watch.anomalies.map(facts)).toMatchObject([{ step: 200 }])
  })

  test('a row that points nowhere is a PermanentError', () => {
    const bad: MetricBatch = { ...batchOf([[seriesOf('up'), START_MS, 1]]), seriesIndex: Uint32Array.of(7) }
    expect(() => new Watch().feed(bad)).toThrow(PermanentError)
  })

  test('an hour that came late in one piece is judged in its own time', () => {
    const z = noise(12)
    const queue = seriesOf('jobs_queue_depth')
    const rows = Array.from({ length: 720 }, (_, step): Row => [
      queue,
      START_MS + step * STEP_MS,
      30 + z() + (step >= 400 && step < 420 ? 500 : 0),
    ])
    const watch = new Watch()
    watch.feed({ kind: 'tick', nowMs: START_MS + 3_600_000 }, batchOf(rows), { kind: 'tick', nowMs: START_MS + 3_605_000 })
    expect(watch.anomalies.map(facts)).toMatchObject([{ step: 400, over: true }])
  })
})

function rowsOf(batch: MetricBatch): MetricBatch[] {
  return Array.from({ length: batch.rows }, (_, row) =>
    batchOf([[batch.series[batch.seriesIndex[row]!]!, batch.timeMs[row]!, batch.value[row]!, batch.stale[row] === 1]]),
  )
}
