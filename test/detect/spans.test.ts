import { describe, expect, it } from 'vitest'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import { spansConfig } from '../../src/detect/spans/spans-config.ts'
import { SpansDetector, spansDetector } from '../../src/detect/spans/spans.ts'
import type { Anomaly, Finding } from '../../src/model.ts'
import { spanBatch } from './span-fixtures.ts'
import type { TestSpan } from './span-fixtures.ts'

const START = 1_700_000_000_000

/** What one request is like at second `s`; undefined: there is none. */
type Shape = (s: number, i: number) => (Partial<Omit<TestSpan, 'durationMs'>> & { readonly durationMs?: number | undefined }) | undefined

describe('the span detector', () => {
  it('is silent while everything is as usual, at any volume', () => {
    for (const rps of [0.2, 1, 4, 50]) expect(run(requests(900, rps, () => ({}))), `${rps} requests/s`).toEqual([])
  })

  it('stays silent through an hour of ordinary chance: uneven arrivals, long tails, an error in a hundred', () => {
    for (const rps of [0.3, 2, 15]) expect(run(chance(3600, rps)), `${rps} requests/s`).toEqual([])
  })

  it('takes a few more of the slow operations than of the quick ones for what it is', () => {
    // A median of 5 ms becomes one of 60.
    const mixed = requests(900, 4.5, (second, i) => {
      const slow = (i * 7) % 20 < (second >= 600 && second < 640 ? 11 : 8)
      return { operation: slow ? 'login' : 'whoami', durationMs: i % 30 === 0 ? 100 : slow ? 60 : 5 }
    })
    expect(run(mixed)).toEqual([])
  })

  it('tells of errors within half a minute, with impact, and ends them', () => {
    const told = run(requests(900, 4, (s, i) => ({ failed: s >= 500 && s < 600 && i % 2 === 0 })))
    expect(told[0]).toMatchObject({
      detector: 'spans',
      signal: 'spans',
      service: 'shop',
      subject: 'POST /checkout error ratio',
      symptom: 'errors',
      impact: true,
      direction: 'up',
      startMs: START + 500_000,
      endMs: undefined,
      unit: 'ratio',
    })
    expect(told[0]!.atMs).toBeLessThanOrEqual(START + 530_000)
    expect(told[0]!.volume).toBeGreaterThanOrEqual(20)
    expect(told[0]!.evidence[0]).toMatch(/^50 % of \d+ requests failed \(POST \/checkout\); usual are 0 %\.$/)
    expect(told.at(-1)!.endMs).toBe(START + 600_000)
    expect(new Set(told.map((one) => one.id)).size).toBe(1)
  })

  it.each([
    ['1 of 2', 2, 1],
    ['2 of 2', 2, 2],
    ['1 of 40', 40, 1],
  ])('is not impressed by %s failing', (_what, count, failed) => {
    const spans = requests(600, 0.3, (s) => (s >= 480 ? undefined : {}))
    for (let i = 0; i < count; i++) spans.push(request(500_000 + i * 100, { failed: i < failed }))
    expect(run(spans).filter((one) => one.symptom === 'errors')).toEqual([])
  })

  it('tells of a trickle of errors within a minute, though no window alone says enough, and ends it at once', () => {
    const told = run(requests(1500, 6, (s, i) => ({ failed: s >= 1000 && s < 1200 && i % 20 === 0 })))
    expect(told[0]).toMatchObject({ symptom: 'errors', impact: true })
    expect(told[0]!.atMs).toBeLessThanOrEqual(START + 1_060_000)
    expect(told.at(-1)!.endMs).toBe(START + 1_200_000)
    expect(new Set(told.map((one) => one.id)).size).toBe(1)
  })

  it('learns an error ratio that is usual', () => {
    expect(run(requests(1200, 10, (_s, i) => ({ failed: i % 20 === 3 })))).toEqual([])
  })

  it('tells of latency at 4 requests a second within half a minute', () => {
    const told = run(requests(900, 4, (s) => ({ durationMs: s >= 500 && s < 620 ? 900 : undefined })))
    expect(told[0]).toMatchObject({
      subject: 'POST /checkout latency p95',
      symptom: 'latency',
      impact: true,
      unit: 'ms',
      startMs: START + 500_000,
    })
    expect(told[0]!.atMs).toBeLessThanOrEqual(START + 530_000)
    expect(told[0]!.observed).toBeGreaterThan(800)
    expect(told[0]!.expected).toBeLessThan(150)
    expect(told[0]!.points.observed.length).toBeGreaterThan(10)
    // The last slow requests end in the window that begins then, too few of its requests to make it a slow one.
    expect(told.at(-1)!.endMs).toBe(START + 620_000)
  })

  it('combines windows when there are few requests', () => {
    const told = run(requests(1500, 0.5, (s) => ({ durationMs: s >= 1000 ? 2000 : undefined })))
    expect(told[0]).toMatchObject({ symptom: 'latency' })
    expect(told[0]!.volume).toBeGreaterThanOrEqual(20)
    expect(told[0]!.atMs).toBeLessThanOrEqual(START + 1_060_000)
  })

  it('judges the newest few where requests are rare', () => {
    const shape = (s: number) => ({ durationMs: s >= 3000 && s < 3200 ? 900 : 80 + (s % 50) })
    const told = run(requests(3600, 0.05, shape))
    expect(told[0]).toMatchObject({ symptom: 'latency', impact: true, volume: 5, startMs: START + 3_080_000 })
    expect(told[0]!.atMs).toBeLessThanOrEqual(START + 3_120_000)
    expect(told.at(-1)!.endMs).toBeLessThanOrEqual(START + 3_260_000)
    // Two slow ones in a row are nothing, nor are those that are little slower.
    expect(run(requests(3600, 0.05, (s) => (s === 3000 || s === 3020 ? { durationMs: 2000 } : shape(0))))).toEqual([])
    expect(run(requests(3600, 0.05, (s) => (s >= 3000 ? { durationMs: 140 } : shape(s))))).toEqual([])
  })

  it('does not learn an outage, until it has been so for as long as the config says', () => {
    const config = { absorbMs: 1_800_000 }
    const told = run(
      requests(4200, 2, (s) => ({ durationMs: s >= 600 ? 900 : undefined })),
      { config },
    )
    expect(told.findLast((one) => one.endMs === undefined)!.atMs).toBeGreaterThan(START + 2_300_000)
    expect(told.at(-1)!.endMs).toBeLessThan(START + 2_600_000)
  })

  it('tells of traffic that goes away, without impact', () => {
    const told = run(requests(900, 10, (s) => (s >= 500 && s < 600 ? undefined : {})))
    expect(told[0]).toMatchObject({
      subject: 'all requests rate',
      symptom: 'traffic',
      direction: 'down',
      impact: false,
      observed: 0,
      startMs: START + 500_000,
    })
    expect(told.at(-1)!.endMs).toBe(START + 600_000)
    expect(told.every((one) => one.symptom === 'traffic')).toBe(true)
  })

  it('tells of the service as a whole once it has several operations', () => {
    const spans = requests(900, 8, (s, i) => ({ operation: i % 2 === 0 ? 'GET /cart' : 'POST /checkout', failed: s >= 500 && i % 2 === 0 }))
    const subjects = new Set(run(spans).map((one) => one.subject))
    expect(subjects).toEqual(new Set(['all requests error ratio', 'GET /cart error ratio']))
  })

  it.each([
    ['a long poll by its duration', { durationMs: 20_000 }],
    ['a long poll by its name', { operation: 'GET /orders/watch' }],
    ['a consumer', { kind: 'consumer' }],
    ['a job', { kind: 'internal' }],
  ] as const)('does not page for the latency of %s', (_what, shape) => {
    const usual = 'durationMs' in shape ? shape.durationMs : 100
    const told = run(requests(900, 5, (s) => ({ ...shape, durationMs: s >= 500 ? usual * 4 : usual + (s % 7) })))
    const latency = told.filter((one) => one.symptom === 'latency')
    expect(latency.length).toBeGreaterThan(0)
    expect(latency.every((one) => !one.impact)).toBe(true)
  })

  it('sees a database through its caller, without impact, and so a peer at an address that no service is known to answer at', () => {
    const slow = (peer: string): TestSpan[] =>
      requests(600, 5, (s) => ({
        service: 'inventory',
        kind: 'client',
        operation: 'SELECT stock',
        peer,
        parent: 'p',
        durationMs: s >= 500 ? 800 : undefined,
      }))
    const subjectOf = (peer: string, links: readonly TestSpan[], board: ResidualBoard) =>
      new Set(run(slow(peer), { board, links }).map(({ service, subject, impact }) => `${service}: ${subject}, ${impact}`))
    const [database, alone, known] = [new ResidualBoard(), new ResidualBoard(), new ResidualBoard()]
    expect(subjectOf('postgresql', [], database)).toEqual(
      new Set(['inventory: postgresql SELECT stock latency p95 (as seen by inventory), false']),
    )
    expect(subjectOf('cart:8080', [], alone)).toEqual(new Set(['inventory: calls to cart:8080 latency p95 (as seen by inventory), false']))
    // A joined call shows that the cart answers there, which tells of itself.
    const call: TestSpan[] = [
      { service: 'inventory', kind: 'client', startMs: START, durationMs: 9, id: 'a', peer: 'cart:8080' },
      { service: 'cart', kind: 'server', startMs: START, durationMs: 8, id: 'b', parent: 'a' },
    ]
    expect(subjectOf('cart:8080', call, known)).toEqual(new Set())
    for (const board of [database, alone, known]) expect(residualsOf(board, 'inventory')[14]).toBeGreaterThan(5)
  })

  it('keeps a bounded number of operations, the rest together', () => {
    const config = { maxOperations: 5 }
    const spans = requests(600, 20, (s, i) => ({ operation: `item ${s * 20 + i}`, failed: s >= 500 }))
    const subjects = new Set(run(spans, { config }).map((one) => one.subject))
    expect(subjects).toEqual(new Set(['all requests error ratio', 'other requests error ratio']))
  })

  it('looks at no more services than it may, and counts the rest', () => {
    const detector = new SpansDetector(spansConfig.parse({ maxServices: 2 }), { partition: 0, residuals: new ResidualBoard() })
    for (const service of ['a', 'b', 'c', 'a']) detector.detect(spanBatch('spans', [request(0, { service })]), () => {})
    expect(detector.ignoredSpans).toBe(1)
  })

  it('survives times and durations that make no sense', () => {
    const spans = requests(300, 4, () => ({}))
    for (const startMs of [NaN, Infinity, -Infinity, 1e15, -1e15])
      for (const durationMs of [NaN, -5, Infinity, 1e300]) spans.push({ ...request(0, {}), startMs, durationMs })
    expect(() => run(spans)).not.toThrow()
  })

  it('says the same whatever the batches, and after a restore at any point', () => {
    const spans = requests(700, 4, (s, i) => ({
      operation: i % 3 === 0 ? 'GET /cart' : 'POST /checkout',
      failed: s > 400 && s < 450 && i % 2 === 0,
      durationMs: s > 500 && s < 560 ? 700 : undefined,
    }))
    spans.push(...requests(700, 2, (s) => ({ kind: 'client', peer: 'redis', operation: 'GET', parent: 'p', failed: s > 420 && s < 470 })))
    const whole = JSON.stringify(run(spans))
    expect(JSON.parse(whole).length).toBeGreaterThan(4)
    expect(JSON.stringify(run(spans, { size: 1 }))).toBe(whole)
    expect(JSON.stringify(run(spans, { size: 7, restoreEvery: 23 }))).toBe(whole)
    expect(JSON.stringify(run(spans, { restoreEvery: 1 }))).toBe(whole)
  })

  it('refuses a snapshot of a newer version, and a damaged one', () => {
    const detector = spansDetector.create(spansConfig.parse({}), { partition: 0, residuals: new ResidualBoard() })
    const bytes = detector.snapshot()
    expect(() => detector.restore(bytes.slice(0, bytes.length - 3))).toThrow(/damaged/)
    bytes[0] = 99
    expect(() => detector.restore(bytes)).toThrow(/version 99/)
  })
})

function request(atMs: number, shape: NonNullable<ReturnType<Shape>>): TestSpan {
  return {
    service: 'shop',
    operation: 'POST /checkout',
    startMs: START + atMs,
    ...shape,
    durationMs: shape.durationMs ?? 50 + (atMs % 37) + (atMs % 11) * 3,
  }
}

/** Spread a little unevenly over time, as requests are. */
function requests(seconds: number, perSecond: number, shape: Shape): TestSpan[] {
  const spans: TestSpan[] = []
  for (let i = 0; i < seconds * perSecond; i++) {
    const atMs = Math.floor((i / perSecond) * 1000) + ((i * 7919) % 97)
    const made = shape(Math.floor(atMs / 1000), i)
    if (made !== undefined) spans.push(request(atMs, made))
  }
  return spans
}

/** Poisson arrivals, log-normal durations (p95 is four times the median). */
function chance(seconds: number, perSecond: number): TestSpan[] {
  let state = 12345
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  const spans: TestSpan[] = []
  for (let s = 0; s < seconds; s -= Math.log(random()) / perSecond) {
    const normal = Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random())
    spans.push(request(s * 1000, { durationMs: 40 * Math.exp(0.85 * normal), failed: random() < 0.01 }))
  }
  return spans
}

interface Play {
  readonly config?: Partial<Record<string, number>>
  readonly board?: ResidualBoard
  readonly size?: number
  readonly restoreEvery?: number
  /** Of a trace, at the very beginning. */
  readonly links?: readonly TestSpan[]
}

function run(
  spans: readonly TestSpan[],
  { config = {}, board = new ResidualBoard(), size = 1000, restoreEvery = 0, links = [] }: Play = {},
): Anomaly[] {
  const found: Finding[] = []
  const emit = (finding: Finding): void => void found.push(finding)
  const parsed = spansConfig.parse(config)
  const context = { partition: 0, residuals: board }
  let detector = spansDetector.create(parsed, context)
  if (links.length > 0) detector.detect(spanBatch('links', links), emit)
  const sorted = [...spans].sort((a, b) => orderOf(a) - orderOf(b))
  const untilMs = orderOf(sorted.at(-1)!) + 18_000
  let next = 0
  let ticks = 0
  for (let nowMs = START; nowMs <= untilMs; nowMs += 5000) {
    let batch: TestSpan[] = []
    for (; next < sorted.length && orderOf(sorted[next]!) < nowMs; next++) {
      batch.push(sorted[next]!)
      if (batch.length === size) {
        detector.detect(spanBatch('spans', batch), emit)
        batch = []
      }
    }
    if (batch.length > 0) detector.detect(spanBatch('spans', batch), emit)
    detector.detect({ kind: 'tick', nowMs }, emit)
    ticks++
    if (restoreEvery > 0 && ticks % restoreEvery === 0) {
      const bytes = detector.snapshot()
      detector = spansDetector.create(parsed, context)
      detector.restore(bytes)
    }
  }
  return found.filter((finding) => finding.kind === 'anomaly')
}

/** Spans are sent when they end. */
function orderOf(span: TestSpan): number {
  const endMs = span.startMs + span.durationMs
  return Math.abs(endMs - START) < 1e8 ? endMs : START
}

function residualsOf(board: ResidualBoard, service: string): number[] {
  let found: number[] = []
  board.drain((name, vector) => {
    if (name === service) found = [...vector]
  })
  return found
}
