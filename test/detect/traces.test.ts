import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import { spansConfig } from '../../src/detect/spans/spans-config.ts'
import type { SpansConfig } from '../../src/detect/spans/spans-config.ts'
import { SpansDetector } from '../../src/detect/spans/spans.ts'
import type { Finding, Flow } from '../../src/model.ts'
import { spanBatch } from './span-fixtures.ts'
import type { TestSpan } from './span-fixtures.ts'

const START = 1_700_000_000_000

describe('joined traces', () => {
  it('say who called whom, how long it took on both sides, and whose time it was', () => {
    const [flow] = flows(checkout('t1'))
    expect(flow).toMatchObject({ kind: 'flow', partition: 3, startMs: START, endMs: START + 10_000 })
    expect(flow!.services).toEqual([
      { service: 'frontend', requests: 1, errors: 0, errorsStarted: 0, durationMs: 100, selfMs: 20 },
      { service: 'inventory', requests: 1, errors: 0, errorsStarted: 0, durationMs: 60, selfMs: 20 },
      { service: 'postgresql', requests: 1, errors: 0, errorsStarted: 0, durationMs: 40, selfMs: 40 },
    ])
    expect(flow!.calls).toEqual([
      { caller: 'frontend', callee: 'inventory', inferred: false, calls: 1, errors: 0, clientMs: 80, serverMs: 60 },
      { caller: 'inventory', callee: 'postgresql', inferred: true, calls: 1, errors: 0, clientMs: 40, serverMs: 0 },
    ])
  })

  it.each([
    ['in the database', ['sql', 'list', 'call', 'root'], { postgresql: 1 }],
    ['in the service in the middle', ['list', 'call', 'root'], { inventory: 1 }],
    ['on the way between two services', ['call', 'root'], { frontend: 1 }],
    ['at the top', ['root'], { frontend: 1 }],
    ['in two places, one of which was caught', ['sql', 'root'], { postgresql: 1, frontend: 1 }],
    ['nowhere', [], {}],
  ] as [string, string[], Record<string, number>][])('an error starts %s', (_where, failed, started) => {
    const [flow] = flows(checkout('t1').map((span) => ({ ...span, failed: failed.includes(span.id!.slice(3)) })))
    const found = Object.fromEntries(flow!.services.filter((one) => one.errorsStarted > 0).map((one) => [one.service, one.errorsStarted]))
    expect(found).toEqual(started)
  })

  it('count an error of a call once, whether the caller or the callee says so', () => {
    for (const failed of [['t1-call'], ['t1-list'], ['t1-call', 't1-list']]) {
      const [flow] = flows(checkout('t1').map((span) => ({ ...span, failed: failed.includes(span.id!) })))
      expect(flow!.calls[0]).toMatchObject({ caller: 'frontend', callee: 'inventory', errors: 1 })
    }
  })

  it('count time that several children share once', () => {
    const spans: TestSpan[] = [
      { service: 'a', id: 'r', startMs: START, durationMs: 100 },
      { service: 'a', id: 'c1', parent: 'r', kind: 'internal', startMs: START + 10, durationMs: 30 },
      { service: 'a', id: 'c2', parent: 'r', kind: 'internal', startMs: START + 20, durationMs: 40 },
      { service: 'a', id: 'c3', parent: 'r', kind: 'internal', startMs: START + 25, durationMs: 5 },
      { service: 'a', id: 'c4', parent: 'r', kind: 'internal', startMs: START + 90, durationMs: 500 },
    ]
    // 10–60 and 90–100 are covered: 40 ms of the root's own, and all of the children's.
    expect(flows(spans)[0]!.services).toEqual([
      { service: 'a', requests: 1, errors: 0, errorsStarted: 0, durationMs: 100, selfMs: 40 + 30 + 40 + 5 + 500 },
    ])
  })

  it('learn who answers at an address, and charge calls that were not answered to that service', () => {
    const answered = checkout('t1')
    const lost = checkout('t2', 1000)
      .filter((span) => span.id === 't2-root' || span.id === 't2-call')
      .map((span) => ({ ...span, failed: true }))
    const [flow] = flows([...answered, ...lost])
    expect(flow!.calls[0]).toMatchObject({ caller: 'frontend', callee: 'inventory', inferred: false, calls: 2, errors: 1 })
    expect(flow!.services.find((one) => one.service === 'inventory')).toMatchObject({ requests: 2, errors: 1, errorsStarted: 1 })
    expect(flow!.services.some((one) => one.service.includes(':'))).toBe(false)
  })

  it('count only the innermost of nested calls', () => {
    const spans: TestSpan[] = [
      { service: 'a', id: 'r', startMs: START, durationMs: 100 },
      { service: 'a', id: 'pool', parent: 'r', kind: 'client', peer: 'postgresql', startMs: START + 10, durationMs: 50 },
      { service: 'a', id: 'query', parent: 'pool', kind: 'client', peer: 'postgresql', startMs: START + 20, durationMs: 30 },
    ]
    expect(flows(spans)[0]!.calls).toEqual([
      { caller: 'a', callee: 'postgresql', inferred: true, calls: 1, errors: 0, clientMs: 30, serverMs: 0 },
    ])
  })

  it('do not take the time a message waits for network time', () => {
    const spans: TestSpan[] = [
      { service: 'a', id: 'p', kind: 'producer', peer: 'kafka', startMs: START, durationMs: 2 },
      { service: 'b', id: 'c', parent: 'p', kind: 'consumer', startMs: START + 4000, durationMs: 50 },
    ]
    expect(flows(spans)[0]!.calls).toEqual([{ caller: 'a', callee: 'b', inferred: false, calls: 1, errors: 0, clientMs: 0, serverMs: 0 }])
    expect(flows(spans.slice(0, 1))[0]!.calls).toMatchObject([{ caller: 'a', callee: 'kafka', inferred: true, calls: 1 }])
  })

  it('leave out spans that were sent twice', () => {
    const { found, detector } = play([...checkout('t1'), ...checkout('t1')])
    expect(found).toEqual(play(checkout('t1')).found)
    expect(detector.joiner.repeatedSpans).toBe(4)
  })

  it.each([
    ['the caller', false],
    ['the callee', true],
  ])('meet where both ends of a call share one id, whichever comes first: %s', (_first, reversed) => {
    const spans: TestSpan[] = [
      { service: 'web', id: 'r', startMs: START, durationMs: 100 },
      { service: 'web', id: 'shared', parent: 'r', kind: 'client', startMs: START + 10, durationMs: 80 },
      { service: 'stock', id: 'shared', parent: 'shared', kind: 'server', startMs: START + 15, durationMs: 60 },
      { service: 'stock', id: 'q', parent: 'shared', kind: 'client', peer: 'mysql', startMs: START + 20, durationMs: 40 },
    ]
    const sent = reversed ? spans.toReversed() : spans
    const { found, detector } = play([...sent, ...sent])
    expect(detector.joiner.repeatedSpans).toBe(4)
    expect(found[0]!.calls).toEqual([
      { caller: 'stock', callee: 'mysql', inferred: true, calls: 1, errors: 0, clientMs: 40, serverMs: 0 },
      { caller: 'web', callee: 'stock', inferred: false, calls: 1, errors: 0, clientMs: 80, serverMs: 60 },
    ])
    expect(found[0]!.services.find(({ service }) => service === 'stock')).toMatchObject({ requests: 1, selfMs: 20 })
  })

  it('survive parents that are missing, their own, or in a circle, and names of object properties', () => {
    const spans: TestSpan[] = [
      { service: 'a', id: '1', parent: '1', startMs: START, durationMs: 10 },
      { service: 'b', id: '2', parent: '3', startMs: START, durationMs: 10 },
      { service: 'c', id: '3', parent: '2', startMs: START, durationMs: 10 },
      { service: '__proto__', id: '__proto__', parent: 'nowhere', kind: 'client', peer: 'constructor', startMs: START, durationMs: 10 },
      { service: 'd', id: '', parent: '', startMs: START, durationMs: 10 },
    ]
    expect(flows(spans)[0]!.services.map((one) => one.service)).toEqual(['__proto__', 'a', 'b', 'c', 'constructor', 'd'])
  })

  it('wait for spans that come later, and count those that come too late', () => {
    const spans = checkout('t1')
    const inTime = play(spans, { delays: { 't1-sql': 9_000, 't1-list': 5_000 } })
    expect(inTime.found).toEqual(play(spans).found)
    const tooLate = play(spans, { delays: { 't1-list': 40_000 } })
    expect(tooLate.detector.joiner.lateSpans).toBe(1)
    const all = tooLate.found.flatMap((flow) => flow.services).filter((one) => one.service === 'inventory')
    expect(all.reduce((sum, one) => sum + one.requests, 0)).toBe(1)
    expect(all.every((one) => one.errorsStarted === 0)).toBe(true)
  })

  it('are bounded: the oldest is joined early, and a huge one is cut', () => {
    const many = Array.from({ length: 50 }, (_, i) => checkout(`t${i}`, i * 10)).flat()
    const few = play(many, { config: { maxOpenTraces: 10 } })
    expect(few.detector.joiner.hurriedTraces).toBe(40)
    expect(few.found[0]!.services[0]).toMatchObject({ service: 'frontend', requests: 50 })
    const small = play(many, { config: { maxOpenSpans: 20 } })
    expect(small.detector.joiner.hurriedTraces).toBeGreaterThan(40)
    expect(small.found[0]!.services[0]).toMatchObject({ service: 'frontend', requests: 50 })
    const huge = Array.from({ length: 100 }, (_, i): TestSpan => ({ service: 'a', id: `s${i}`, startMs: START, durationMs: 1 }))
    const cut = play(huge, { config: { maxSpansPerTrace: 30 } })
    expect(cut.detector.joiner.ignoredSpans).toBe(70)
    expect(cut.found[0]!.services[0]!.requests).toBe(30)
  })

  it('forget the oldest address when there are too many', () => {
    const config = { maxPeers: 1 }
    const other: TestSpan[] = [
      { service: 'x', id: 'x', trace: 'u', kind: 'client', peer: 'y:1', startMs: START + 500, durationMs: 5 },
      { service: 'y', id: 'y', parent: 'x', trace: 'u', startMs: START + 500, durationMs: 4 },
    ]
    const lost = checkout('t2', 1000).slice(0, 2)
    const [flow] = play([...checkout('t1'), ...other, ...lost], { config }).found
    expect(flow!.calls.map((one) => one.callee)).toContain('inventory:8080')
  })

  it('are the same whatever the batches, and after a restore at any point; windows add up', () => {
    const step = fc.record({ delay: fc.nat(20_000), failed: fc.boolean(), gap: fc.nat(3_000) })
    fc.assert(
      fc.property(fc.array(step, { minLength: 3, maxLength: 25 }), fc.integer({ min: 1, max: 9 }), (steps, size) => {
        let atMs = 0
        const delays: Record<string, number> = {}
        const spans = steps.flatMap(({ delay, failed, gap }, i) => {
          delays[`t${i}-list`] = delay
          return checkout(`t${i}`, (atMs += gap)).map((span) => (span.id!.endsWith('sql') ? { ...span, failed } : span))
        })
        const whole = play(spans, { delays })
        expect(play(spans, { delays, size }).found).toEqual(whole.found)
        expect(play(spans, { delays, size, restoreEvery: 1 }).found).toEqual(whole.found)
        const requests = whole.found.flatMap((flow) => flow.services).filter((one) => one.service === 'frontend')
        expect(requests.reduce((sum, one) => sum + one.requests, 0)).toBe(steps.length)
        // The same traces over two partitions give sums that add up to the same.
        const [even, odd] = [0, 1].map(
          (rest) =>
            play(
              spans.filter((span) => Number(span.trace!.slice(1)) % 2 === rest),
              { delays },
            ).found,
        )
        expect(totals([...even!, ...odd!])).toEqual(totals(whole.found))
      }),
      { numRuns: 60, seed: 5 },
    )
  })
})

/** frontend → inventory → postgresql: 100 ms, of which the call takes 80, the other side 60, and the query 40. */
function checkout(trace: string, afterMs = 0): TestSpan[] {
  const at = START + afterMs
  return [
    { trace, service: 'frontend', id: `${trace}-root`, operation: 'POST /checkout', startMs: at, durationMs: 100 },
    {
      trace,
      service: 'frontend',
      id: `${trace}-call`,
      parent: `${trace}-root`,
      kind: 'client',
      peer: 'inventory:8080',
      startMs: at + 10,
      durationMs: 80,
    },
    { trace, service: 'inventory', id: `${trace}-list`, parent: `${trace}-call`, startMs: at + 20, durationMs: 60 },
    {
      trace,
      service: 'inventory',
      id: `${trace}-sql`,
      parent: `${trace}-list`,
      kind: 'client',
      peer: 'postgresql',
      startMs: at + 30,
      durationMs: 40,
    },
  ]
}

interface Play {
  readonly config?: Partial<SpansConfig>
  /** Milliseconds by which spans arrive later than they ended, by span id. */
  readonly delays?: Readonly<Record<string, number>>
  readonly size?: number
  readonly restoreEvery?: number
}

function play(
  spans: readonly TestSpan[],
  { config = {}, delays = {}, size = 1000, restoreEvery = 0 }: Play = {},
): { found: Flow[]; detector: SpansDetector } {
  const parsed = spansConfig.parse(config)
  const context = { partition: 3, residuals: new ResidualBoard() }
  const found: Finding[] = []
  const emit = (finding: Finding): void => void found.push(finding)
  const arrival = (span: TestSpan): number => span.startMs + span.durationMs + (Object.hasOwn(delays, span.id!) ? delays[span.id!]! : 0)
  const sorted = spans
    .map((span, i) => ({ span, i }))
    .sort((a, b) => arrival(a.span) - arrival(b.span) || a.i - b.i)
    .map(({ span }) => span)
  let detector = new SpansDetector(parsed, context)
  let next = 0
  let ticks = 0
  for (let nowMs = START; nowMs < START + 240_000; nowMs += 2000) {
    let batch: TestSpan[] = []
    for (; next < sorted.length && arrival(sorted[next]!) < nowMs; next++) {
      batch.push(sorted[next]!)
      if (batch.length === size) {
        detector.detect(spanBatch('links', batch), emit)
        batch = []
      }
    }
    if (batch.length > 0) detector.detect(spanBatch('links', batch), emit)
    detector.detect({ kind: 'tick', nowMs }, emit)
    ticks++
    if (restoreEvery > 0 && ticks % restoreEvery === 0) {
      const bytes = detector.snapshot()
      detector = new SpansDetector(parsed, context)
      detector.restore(bytes)
    }
  }
  return { found: found.filter((finding) => finding.kind === 'flow'), detector }
}

function flows(spans: readonly TestSpan[]): Flow[] {
  return play(spans).found
}

/** Requests and started errors per service, except where an address had to be learnt first. */
function totals(found: readonly Flow[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const flow of found) {
    for (const one of flow.services) {
      if (one.service !== 'frontend' && one.service !== 'postgresql') continue
      sums[`${one.service} requests`] = (sums[`${one.service} requests`] ?? 0) + one.requests
    }
  }
  return sums
}
