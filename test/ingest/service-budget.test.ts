/** One noisy service spends its own budget: what it sends too much is refused and told, and its neighbours notice nothing. */
import { compressSync } from 'snappy'
import { describe, expect, it } from 'vitest'
import { RateBudget } from '../../src/ingest/service-budget.ts'
import { NOW_MS, linesOf, openDoors, post, postJson, samplesOf, spansOf } from './doors-fixture.ts'
import type { Opened } from './doors-fixture.ts'
import { encode } from './protobuf-oracle.ts'

describe('a budget', () => {
  it.each<[story: string, steps: readonly (readonly [atS: number, rows: number, granted: number])[]]>([
    ['a burst, then nothing, then what has come back', [[0, 100, 100], [0, 1, 0], [1, 100, 10], [3, 15, 15], [3, 10, 5]]], // prettier-ignore
    ['steady within the rate for ever', Array.from({ length: 50 }, (_, second) => [second, 10, 10] as const)],
    ['more than a burst at once', [[0, 1_000, 100], [0, 1, 0]]], // prettier-ignore
    ['never holds more than a burst', [[0, 1, 1], [10_000, 1_000, 100]]], // prettier-ignore
    ['a clock that goes back starves nobody for longer than a burst', [[1_000, 100, 100], [0, 5, 0], [5, 100, 50], [1_000, 100, 100]]], // prettier-ignore
  ])('%s', (_story, steps) => {
    const budget = new RateBudget(10, 10, 5)
    expect(steps.map(([atS, rows]) => budget.spend('a', rows, NOW_MS + atS * 1000))).toEqual(steps.map(([, , granted]) => granted))
  })

  it('gets back what came to nothing', () => {
    const budget = new RateBudget(10, 10, 5)
    budget.spend('a', 100, NOW_MS)
    budget.giveBack('a', 60)
    expect(budget.spend('a', 100, NOW_MS)).toBe(60)
  })

  it('remembers a bounded number of services, and only those that have spent lately', () => {
    const budget = new RateBudget(10, 10, 100)
    for (let i = 0; i < 1_000; i++) budget.spend(`service-${i}`, 10, NOW_MS)
    expect(budget.size).toBe(100)
    expect(budget.spend('service-5', 100, NOW_MS)).toBe(90)
    budget.spend('another', 10, NOW_MS + 60_000)
    expect(budget.size).toBe(1)
  })
})

const limits = { maxLinesPerServiceS: 5, maxSpansPerServiceS: 5, maxSamplesPerServiceS: 5, serviceBurstS: 2 }
const ns = `${NOW_MS}000000`
const push = (lines: Record<string, number>, receivedMs = NOW_MS) => {
  const streams = Object.entries(lines).map(([app, count]) => ({
    stream: { app },
    values: Array.from({ length: count }, (_, i) => [ns, `${i}`]),
  }))
  return { ...postJson('/loki/api/v1/push', { streams }), receivedMs }
}
const perService = (opened: Opened) => {
  const counts: Record<string, number> = {}
  for (const { service } of opened.transport.of('logs').flatMap(linesOf)) counts[service] = (counts[service] ?? 0) + 1
  return counts
}

describe('a noisy service and a quiet one', () => {
  it('in the same request: the first lines of the noisy one and all of the quiet one are kept', async () => {
    const opened = openDoors({ limits }, 1)
    const response = await opened.door.accept(push({ noisy: 100, quiet: 3 }))
    expect([response.status, String(response.body)]).toEqual([400, '90 lines rejected (90 service-rate); everything else was stored\n'])
    const rows = linesOf(opened.transport.of('logs')[0]!)
    expect(rows.filter(({ service }) => service === 'noisy').map(({ body }) => body)).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`))
    expect(rows.filter(({ service }) => service === 'quiet')).toHaveLength(3)
    expect(await opened.telemetry.registry.metrics()).toContain('tocsin_door_rows_rejected_total{door="loki",reason="service-rate"} 90')
  })

  it('in different requests', async () => {
    const opened = openDoors({ limits }, 1)
    const statuses: number[] = []
    for (let second = 0; second < 10; second++) {
      for (const lines of [{ noisy: 50 }, { quiet: 2 }])
        statuses.push((await opened.door.accept(push(lines, NOW_MS + second * 1000))).status)
    }
    expect(statuses.filter((_, i) => i % 2 === 1)).toEqual(Array.from({ length: 10 }, () => 204))
    // A burst of 10, then 5 per second.
    expect(perService(opened)).toEqual({ noisy: 10 + 9 * 5, quiet: 20 })
  })

  it('a stream of another pod of the same service spends the same budget', async () => {
    const opened = openDoors({ limits }, 1)
    const streams = ['a', 'b'].map((pod) => ({ stream: { app: 'noisy', pod }, values: Array.from({ length: 8 }, () => [ns, pod]) }))
    await opened.door.accept(postJson('/loki/api/v1/push', { streams }))
    expect(linesOf(opened.transport.of('logs')[0]!).map(({ body }) => body)).toEqual('aaaaaaaabb'.split(''))
  })

  it('of spans: OTLP is told in its own way, and both copies of a span go or stay', async () => {
    const { door, transport } = openDoors({ limits }, 1)
    const spans = (count: number, service: string) => ({
      resource: { attributes: [{ key: 'service.name', value: { stringValue: service } }] },
      scopeSpans: [
        {
          spans: Array.from({ length: count }, (_, i) => ({
            traceId: '1'.repeat(32),
            spanId: String(i + 1).padStart(16, '0'),
            name: 'op',
            startTimeUnixNano: ns,
            endTimeUnixNano: ns,
          })),
        },
      ],
    })
    const response = await door.accept(postJson('/v1/traces', { resourceSpans: [spans(25, 'noisy'), spans(2, 'quiet')] }))
    expect([response.status, JSON.parse(String(response.body))]).toEqual([
      200,
      { partialSuccess: { rejectedSpans: '15', errorMessage: expect.stringContaining('15 service-rate') as string } },
    ])
    for (const kind of ['spans', 'links'] as const) {
      const services = spansOf(transport.of(kind)[0]!).map(({ service }) => service)
      expect([services.filter((one) => one === 'noisy').length, services.filter((one) => one === 'quiet').length]).toEqual([10, 2])
    }
  })

  it('of samples: remote write answers 400, which is not sent again', async () => {
    const { door, transport } = openDoors({ limits }, 1)
    const series = (job: string, count: number) =>
      Array.from({ length: count }, (_, i) => ({
        labels: [
          { name: '__name__', value: 'up' },
          { name: 'i', value: `${i}` },
          { name: 'job', value: job },
        ],
        samples: [{ value: 1, timestamp: NOW_MS }],
      }))
    const body = compressSync(Buffer.from(encode('WriteRequest', { timeseries: [...series('noisy', 12), ...series('quiet', 3)] })))
    const response = await door.accept(
      post('/api/v1/write', { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' }, body),
    )
    expect([response.status, String(response.body)]).toEqual([400, expect.stringContaining('2 service-rate') as string])
    const keys = samplesOf(transport.of('metrics')[0]!).map(({ key }) => key)
    expect([keys.filter((key) => key.includes('noisy')).length, keys.filter((key) => key.includes('quiet')).length]).toEqual([10, 3])
  })

  it('a failure of ours costs no budget: what is sent again is taken', async () => {
    const opened = openDoors({ limits }, 1)
    opened.transport.failWith = new Error('no leader')
    for (let i = 0; i < 5; i++) expect((await opened.door.accept(push({ a: 10 }))).status).toBe(503)
    opened.transport.failWith = undefined
    expect((await opened.door.accept(push({ a: 10 }))).status).toBe(204)
  })

  it('what waits in a topic and is read at our own pace spends none', async () => {
    const opened = openDoors({ limits }, 1)
    expect((await opened.door.accept({ ...push({ a: 500 }), isOwnPace: true })).status).toBe(204)
    expect(perService(opened)).toEqual({ a: 500 })
  })
})
