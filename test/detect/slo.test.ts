/** Stories of objectives: what counts as a request, when a budget burns, and what is said of it. */
import { describe, expect, it } from 'vitest'
import { evaluateSlo } from '../../bench/detect/slo.ts'
import { SloDetector } from '../../src/detect/forecast/slo.ts'
import { BURN_TIERS, SloBudget } from '../../src/detect/forecast/slo-budget.ts'
import { fits, sloConfig } from '../../src/detect/forecast/slo-config.ts'
import { SpanKind, SpanStatus, type Anomaly, type Batch, type Series, type SpanBatch } from '../../src/model.ts'
import { batchOf, seriesOf, START_MS, type Row } from './metric-feed.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

class Watch {
  readonly told: Anomaly[] = []
  detector: SloDetector
  readonly config: Record<string, unknown>
  constructor(config: Record<string, unknown> = { objectives: [{ service: '*', availability: 99.9 }] }) {
    this.config = config
    this.detector = new SloDetector(sloConfig.parse(config))
  }

  feed(...batches: Batch[]): void {
    for (const batch of batches) this.detector.detect(batch, (finding) => finding.kind === 'anomaly' && this.told.push(finding))
  }

  /** What comes in each minute. */
  play(minutes: number, make: (minute: number, timeMs: number) => readonly Batch[], from = 0): this {
    for (let minute = from; minute < from + minutes; minute++) {
      const timeMs = START_MS + minute * MINUTE
      this.feed({ kind: 'tick', nowMs: timeMs }, ...make(minute, timeMs + 30_000))
    }
    return this
  }

  get anomalies(): readonly Anomaly[] {
    return [...new Map(this.told.map((anomaly) => [anomaly.id, anomaly])).values()]
  }
}

const requests = (status: string, labels: Record<string, string> = {}, name = 'http_requests_total'): Series =>
  seriesOf(name, { status, ...labels })

/** Counters of a service that gets 600 requests a minute, of which a share fails. */
function counters(share: (minute: number) => number, names = ['http_requests_total']): (minute: number, timeMs: number) => Batch[] {
  let [good, bad] = [0, 0]
  return (minute, timeMs) => {
    bad += Math.round(600 * share(minute))
    good += 600 - Math.round(600 * share(minute))
    return [
      batchOf(
        names.flatMap((name): Row[] => [
          [requests('200', {}, name), timeMs, good],
          [requests('503', {}, name), timeMs, bad],
        ]),
      ),
    ]
  }
}

function spansOf(count: number, failed: number, ms: number, timeMs: number, kind: number = SpanKind.server): SpanBatch {
  const text = Array.from({ length: count }, (_, i) => String(i))
  return {
    kind: 'spans',
    rows: count,
    sources: [{ service: 'shop', instance: 'a', version: '' }],
    sourceIndex: new Uint32Array(count),
    operations: ['GET /'],
    operationIndex: new Uint32Array(count),
    spanKind: new Uint8Array(count).fill(kind),
    status: Uint8Array.from(text, (_, i) => (i < failed ? SpanStatus.error : SpanStatus.ok)),
    startMs: new Float64Array(count).fill(timeMs),
    durationMs: new Float64Array(count).fill(ms),
    traceId: text,
    spanId: text,
    parentId: text.map(() => ''),
    peer: text.map(() => ''),
  }
}

describe('a burst of errors', () => {
  it('is told in the time the windows take, with what it costs, and is over half an hour after it', () => {
    const beginMinute = 3 * 1440
    const watch = new Watch().play(
      beginMinute + 240,
      counters((minute) => (minute >= beginMinute && minute < beginMinute + 60 ? 0.05 : 0)),
    )
    const [felt, slow] = watch.anomalies
    expect(watch.anomalies.length).toBeLessThanOrEqual(2)
    expect(felt).toMatchObject({
      detector: 'slo',
      service: 'shop',
      symptom: 'errors',
      impact: true,
      subject: 'burn of the budget of 99.9 % availability',
      unit: '×',
    })
    // 14.4 times 0.1 % of an hour at 5 %: 17 minutes and a bit.
    const delay = (watch.told[0]!.atMs - START_MS) / MINUTE - beginMinute
    expect(delay).toBeGreaterThanOrEqual(17)
    expect(delay).toBeLessThanOrEqual(19)
    expect(watch.told[0]!.evidence).toEqual([
      expect.stringMatching(
        /^The budget burns 1[45](?:\.\d)? times as fast as it may over 60 min and 50 times over 5 min; from 14\.4 times on it is told\. 1\.[45]\d? % of \d+ requests failed, 0\.1 % may\.$/,
      ),
      // 17 of 4,320 minutes at fifty times the pace, of a budget of thirty days.
      expect.stringMatching(/^9[78](?:\.\d)? % of the budget of 30 d is left; at this pace it lasts \d+ (?:d|h)(?: \d+ \w+)?\.$/),
    ])
    expect((felt!.endMs! - START_MS) / MINUTE - beginMinute - 60).toBeLessThanOrEqual(32)
    expect(slow === undefined || !slow.impact).toBe(true)
  })

  it('agrees with arithmetic at every traffic, and half of the allowed errors page nobody', () => {
    const { bursts, quiet } = evaluateSlo({ runs: 1, quietDays: 7, traffic: [60, 1000], failing: [1, 0.1, 0.02] })
    for (const { minutes, minutesInTheory } of bursts)
      expect(Math.abs(minutes! - minutesInTheory!)).toBeLessThanOrEqual(4 + 0.3 * minutesInTheory!)
    expect(quiet.map(({ pagesPerWeek }) => pagesPerWeek)).toEqual([0, 0])
  })

  it('of last month is not counted again when its counters get another name', () => {
    let [good, bad] = [900_000, 100_000]
    const watch = new Watch().play(120, (minute, timeMs) => {
      good += 600
      const labels = { version: minute < 60 ? '1' : '2' }
      return [
        batchOf([
          [requests('200', labels), timeMs, good],
          [requests('503', labels), timeMs, bad],
        ]),
      ]
    })
    expect(watch.told).toEqual([])
    // The first failures of a counter that was not there before are counted all the same.
    watch.play(
      60,
      (_, timeMs) => {
        good += 600
        bad += 60
        return [
          batchOf([
            [requests('200', { version: '2' }), timeMs, good],
            [requests('500', { version: '2' }), timeMs, bad - 100_000],
          ]),
        ]
      },
      120,
    )
    expect(watch.anomalies.some(({ impact }) => impact)).toBe(true)
  })

  it('of a handful of requests says nothing', () => {
    const watch = new Watch().play(480, (minute, timeMs) => (minute % 60 === 0 ? [spansOf(3, 1, 10, timeMs)] : []))
    expect(watch.told).toEqual([])
  })

  it('that is slow is told, but not as something that is felt, unless the configuration says so', () => {
    const burning = counters(() => 0.002)
    const config = { objectives: [{ service: 'shop', availability: 99.9 }] }
    expect(new Watch(config).play(4 * 1440, burning).anomalies).toMatchObject([{ impact: false, score: expect.closeTo(1 / 0.6, 1) }])
    expect(
      new Watch({ ...config, slowBurnIsFelt: true }).play(
        4 * 1440,
        counters(() => 0.002),
      ).anomalies,
    ).toMatchObject([{ impact: true }])
  })
})

describe('a request counts once', () => {
  /** Share of bad ones as the budget sees it, in times the allowed share. */
  const burnOf = (watch: Watch) => watch.told.at(-1)?.observed

  it('whatever metrics and spans tell of it', () => {
    const names = ['http_requests_total', 'http_server_requests_seconds_count']
    const both = (make: (minute: number, timeMs: number) => Batch[]) => (minute: number, timeMs: number) => [
      ...make(minute, timeMs),
      spansOf(20, 20, 5, timeMs),
    ]
    const watch = new Watch().play(120, both(counters(() => 0.1, names)))
    expect(burnOf(watch)).toBeCloseTo(100, 0)
    expect(watch.told.at(-1)!.volume).toBeLessThanOrEqual(60 * 600)
    const spansOnly = new Watch({ objectives: [{ service: '*', availability: 99.9, source: 'spans' }] }).play(
      120,
      both(counters(() => 0.1)),
    )
    expect(burnOf(spansOnly)).toBeCloseTo(1000, 0)
  })

  it('where it was served, not where it was called', () => {
    expect(new Watch().play(120, (_, timeMs) => [spansOf(50, 50, 5, timeMs, SpanKind.client)]).told).toEqual([])
  })

  it.each<[string, (minute: number) => number]>([
    ['a restart', (minute) => ((minute % 45) + 1) * 600],
    ['what it had counted before it was first seen', (minute) => 1e9 + minute * 600],
  ])('%s is no flood of requests', (_, value) => {
    const failing = (minute: number) => Math.min(value(minute), minute < 60 ? 0 : (minute - 59) * 60)
    const watch = new Watch().play(100, (minute, timeMs) => [
      batchOf([
        [requests('200'), timeMs, value(minute)],
        [requests('500'), timeMs, failing(minute)],
      ]),
    ])
    expect(watch.told.at(-1)!.volume).toBeLessThanOrEqual(61 * 660)
  })

  it('the first failures of an instance come with a series of their own', () => {
    const watch = new Watch().play(70, (minute, timeMs) => [
      batchOf([[requests('200'), timeMs, minute * 100], ...(minute >= 60 ? [[requests('500'), timeMs, 80] as const] : [])]),
    ])
    expect(watch.told[0]!.evidence[0]).toContain('requests failed')
  })
})

it('latency: a bucket at the threshold, or the durations of spans', () => {
  const config = { objectives: [{ service: 'shop', latency: { thresholdMs: 300, percent: 99 } }] }
  const bucket = (le: string) => seriesOf('http_request_duration_seconds_bucket', { le })
  const bySamples = new Watch(config).play(120, (minute, timeMs) => [
    batchOf([
      [bucket('0.1'), timeMs, minute * 10],
      [bucket('0.3'), timeMs, minute * 70],
      [bucket('1'), timeMs, minute * 90],
      [bucket('+Inf'), timeMs, minute * 100],
    ]),
  ])
  const bySpans = new Watch(config).play(120, (_, timeMs) => [spansOf(70, 0, 200, timeMs), spansOf(30, 0, 400, timeMs)])
  for (const watch of [bySamples, bySpans]) {
    expect(watch.anomalies[0]).toMatchObject({ symptom: 'latency', impact: true, subject: 'burn of the budget of 99 % within 300 ms' })
    expect(watch.anomalies[0]!.observed).toBeCloseTo(30, 0)
  }
})

it('without objectives nothing is counted', () => {
  const watch = new Watch({}).play(
    60,
    counters(() => 1),
  )
  expect(watch.told).toEqual([])
  expect(watch.detector.counts()).toEqual({ objectives: 0, burning: 0, spent_budgets: 0, refused_series: 0 })
})

it.each<[string, string, boolean]>([
  ['checkout', 'checkout', true],
  ['checkout', 'checkout-2', false],
  ['*', '', true],
  ['shop-*', 'shop-cart', true],
  ['shop-*', 'ashop-cart', false],
  ['*-api', 'cart-api', true],
  ['a*b*c', 'a__b__c', true],
  ['a*b*c', 'ac', false],
  ['a*a', 'a', false],
  ['.*', 'x', false],
])('the pattern %s and the service %s: %s', (pattern, service, isOne) => {
  expect(fits(pattern, service)).toBe(isOne)
})

it('a budget over all its windows is what a list of its minutes says', () => {
  const budget = new SloBudget(0.001)
  const minutes: number[] = []
  for (let minute = 0; minute < 5 * 1440; minute++) {
    const bad = (minute * 7919) % 13 === 0 ? 5 : 0
    minutes.push(bad)
    budget.add(START_MS + minute * MINUTE, 100, bad)
  }
  for (const { longMs, shortMs } of BURN_TIERS) {
    for (const windowMs of [longMs, shortMs]) {
      const last = minutes.slice(-windowMs / MINUTE)
      const share = last.reduce((sum, bad) => sum + bad, 0) / (100 * last.length)
      expect(budget.burnOver(windowMs)).toBeCloseTo(share / 0.001, 0)
    }
  }
  budget.add(START_MS + 40 * DAY, 100, 0)
  expect(budget.burnOver(HOUR), 'what is long over is forgotten').toBe(0)
})

it('a restored detector goes on as if nothing had happened, whatever the batches', () => {
  const make = counters((minute) => (minute % 700 > 600 ? 0.2 : 0))
  const whole = new Watch()
  const broken = new Watch()
  for (let minute = 0; minute < 2000; minute++) {
    const batches = make(minute, START_MS + minute * MINUTE + 30_000)
    whole.play(1, () => batches, minute)
    broken.play(1, () => batches.flatMap((batch) => (batch.kind === 'metrics' ? [rowOf(batch, 0), rowOf(batch, 1)] : [batch])), minute)
    if (minute % 331 !== 330) continue
    const bytes = broken.detector.snapshot()
    broken.detector = new Watch().detector
    broken.detector.restore(bytes)
    expect(broken.detector.snapshot()).toEqual(bytes)
  }
  expect(whole.told.length).toBeGreaterThan(10)
  expect(broken.told).toEqual(whole.told)
})

function rowOf(batch: Extract<Batch, { kind: 'metrics' }>, row: number): Batch {
  return batchOf([[batch.series[batch.seriesIndex[row]!]!, batch.timeMs[row]!, batch.value[row]!]])
}
