/** Who is to blame, and how sure one may be. */
import { describe, expect, it } from 'vitest'
import { rankCauses, type CauseInput } from '../../src/correlate/cause.ts'
import { addFlows, emptyHistory } from '../../src/correlate/flow-history.ts'
import { WEIGHTS } from '../../src/correlate/ledger.ts'
import { emptyTopology, graphOf, learn } from '../../src/correlate/topology.ts'
import type { Cause, Flow } from '../../src/model.ts'
import {
  alert,
  anomaly,
  cpu,
  deploy,
  errors,
  flow,
  latency,
  logBurst,
  MINUTE,
  SECOND,
  START_MS,
  traffic,
  type Troubles,
} from '../support/findings.ts'

const ONSET_MS = START_MS + 14 * MINUTE
const graph = graphOf(learn(emptyTopology, [flow(START_MS)], START_MS, { halfLifeMs: 3_600_000, maxEdges: 100 }))

function given(flows: readonly Flow[], over: Partial<CauseInput> = {}): Cause[] {
  const history = addFlows(emptyHistory, flows, ONSET_MS, { servicesPerWindow: 100, edgesPerWindow: 100 })
  const nothing = { anomalies: [], alerts: [], changes: [], disturbed: [] }
  return rankCauses({
    onsetMs: ONSET_MS,
    nowMs: ONSET_MS + 3 * MINUTE,
    core: ['checkout', 'gateway'],
    history,
    graph,
    maxHops: 3,
    ...nothing,
    ...over,
  })
}

function fault(troubles: Troubles, before: Troubles = {}): Flow[] {
  return [...traffic(START_MS, ONSET_MS, before), ...traffic(ONSET_MS, ONSET_MS + 3 * MINUTE, troubles)]
}

const bothFail = [errors('checkout', ONSET_MS), errors('gateway', ONSET_MS, 0.1)]

describe('the ledger', () => {
  it('adds up: the more points, the more probable, and no certainty', () => {
    const causes = given(fault({ payments: { failing: 0.4 }, inventory: { selfMs: 40 } }), {
      anomalies: bothFail,
      changes: [deploy('payments', ONSET_MS - 10 * SECOND)],
    })
    const points = causes.map((cause) => cause.evidence.reduce((sum, one) => sum + one.points, 0))
    expect(causes.length).toBeGreaterThan(1)
    expect(points).toEqual(points.toSorted((a, b) => b - a))
    expect(causes.map((cause) => cause.probability)).toEqual(causes.map((cause) => cause.probability).toSorted((a, b) => b - a))
    expect(causes.reduce((sum, cause) => sum + cause.probability, 0)).toBeLessThan(0.96)
    for (const cause of causes) {
      expect(cause.refutedBy).not.toBe('')
      for (const one of cause.evidence)
        expect(one.points).toBeLessThanOrEqual(one.kind === 'explained' ? 0 : WEIGHTS[one.kind as keyof typeof WEIGHTS].points)
    }
  })

  it('counts each kind once, however many anomalies say the same', () => {
    const once = given([], { anomalies: [...bothFail, cpu('checkout', ONSET_MS)] })
    const often = given([], {
      anomalies: [...bothFail, ...Array.from({ length: 50 }, (_, i) => cpu('checkout', ONSET_MS, { id: `cpu-${i}`, subject: `cpu ${i}` }))],
    })
    expect(often.map((cause) => [cause.service, cause.probability])).toEqual(once.map((cause) => [cause.service, cause.probability]))
  })

  it('is humble where there is nothing but a symptom', () => {
    const [first] = given([], { anomalies: [anomaly('checkout', ONSET_MS, { score: 1.5 })], core: ['checkout'] })
    expect(first!.service).toBe('checkout')
    expect(first!.probability).toBeLessThan(0.3)
  })

  it('names the deepest affected service when there is no evidence at all, and says how thin that is', () => {
    const causes = given([], { core: ['checkout', 'gateway', 'payments'] })
    expect(causes[0]).toMatchObject({ service: 'payments', evidence: [{ kind: 'fallback' }] })
    expect(causes[0]!.probability).toBeLessThan(0.1)
  })

  it('says nothing about nobody', () => {
    expect(given([], { core: [] })).toEqual([])
  })
})

describe('what was already so is no evidence', () => {
  const failing = (cause: Cause | undefined) => cause?.evidence.find((one) => one.kind === 'errors-started')

  it('failures that came at the same rate for the whole hour', () => {
    const always: Troubles = { payments: { failing: 0.2 } }
    expect(given(fault(always, always), { anomalies: bothFail }).map(failing)).not.toContainEqual(expect.anything())
    expect(failing(given(fault(always), { anomalies: bothFail })[0])).toBeDefined()
  })

  it('failures that began five minutes before the onset', () => {
    const creeping = [
      ...traffic(START_MS, ONSET_MS - 5 * MINUTE),
      ...traffic(ONSET_MS - 5 * MINUTE, ONSET_MS + 3 * MINUTE, { payments: { failing: 0.2 } }),
    ]
    expect(given(creeping, { anomalies: bothFail }).map(failing)).not.toContainEqual(expect.anything())
  })

  it('but the fault before this one does not hide it', () => {
    const fromMs = START_MS + 4 * MINUTE
    const twice = [
      ...traffic(START_MS, fromMs),
      ...traffic(fromMs, fromMs + 4 * MINUTE, { payments: { failing: 0.4 } }),
      ...traffic(fromMs + 4 * MINUTE, ONSET_MS),
      ...traffic(ONSET_MS, ONSET_MS + 3 * MINUTE, { payments: { failing: 0.4 } }),
    ]
    const share = (causes: readonly Cause[]) => Number(/of ([\d,]+)\)/.exec(failing(causes[0])!.text)![1]!.replace(',', ''))
    const muddled = share(given(twice, { anomalies: bothFail }))
    const clear = share(given(twice, { anomalies: bothFail, disturbed: [{ fromMs, toMs: fromMs + 4 * MINUTE }] }))
    expect(clear).toBeGreaterThan(muddled * 1.2)
  })

  it('twice the traffic is no fault', () => {
    const surge = [
      ...traffic(START_MS, ONSET_MS, { payments: { failing: 0.01 } }),
      ...traffic(ONSET_MS, ONSET_MS + 3 * MINUTE, { payments: { failing: 0.01 } }, { requests: 800 }),
    ]
    const kinds = given(surge, { anomalies: bothFail }).flatMap((cause) => cause.evidence.map((one) => one.kind))
    expect(kinds).not.toContain('errors-started')
    expect(kinds).not.toContain('self-time')
    expect(kinds).not.toContain('slow-callee')
  })
})

describe('a change', () => {
  const pointsOf = (change: ReturnType<typeof deploy>, troubles: Troubles = { payments: { failing: 0.4 } }) =>
    given(fault(troubles), { anomalies: [...bothFail, errors('payments', ONSET_MS, 0.4)], changes: [change] })
      .find((cause) => cause.service === change.service)
      ?.evidence.find((one) => one.kind === 'change')?.points ?? 0

  it.each([
    ['right before', 10 * SECOND, 3.4, 4],
    ['five minutes before', 5 * MINUTE, 1.3, 1.6],
    ['ten minutes before', 10 * MINUTE, 0.4, 0.7],
    ['an hour before', 60 * MINUTE, 0, 0],
    ['as the onset is noticed', -20 * SECOND, 3.4, 4],
    ['after the onset', -2 * MINUTE, 0, 0],
  ])('%s weighs accordingly', (_, beforeMs, least, most) => {
    const points = pointsOf(deploy('payments', ONSET_MS - beforeMs))
    expect(points).toBeGreaterThanOrEqual(least)
    expect(points).toBeLessThanOrEqual(most)
  })

  it('of a service that only passes failures on weighs nothing', () => {
    expect(pointsOf(deploy('gateway', ONSET_MS - 10 * SECOND))).toBe(0)
  })

  it('of a service without traces weighs by its own symptoms', () => {
    const [first] = given([], {
      anomalies: [errors('worker', ONSET_MS)],
      core: ['worker'],
      changes: [deploy('worker', ONSET_MS - 20 * SECOND)],
    })
    expect(first!.evidence[0]!.kind).toBe('change')
  })
})

describe('single pieces of evidence', () => {
  const kindsOf = (service: string, causes: readonly Cause[]) =>
    causes.find((cause) => cause.service === service)?.evidence.map((one) => one.kind) ?? []

  it.each([
    ['an alert', { alerts: [alert('checkout', ONSET_MS)] }, 'alert'],
    ['a log template never seen', { anomalies: [logBurst('checkout', ONSET_MS)] }, 'logs'],
    ['silence', { anomalies: [anomaly('checkout', ONSET_MS, { symptom: 'absence', impact: false })] }, 'absence'],
    [
      'the service detector',
      { anomalies: [anomaly('checkout', ONSET_MS, { symptom: 'other', signal: 'mixed', impact: false })] },
      'detector',
    ],
    [
      'a queue',
      { anomalies: [anomaly('checkout', ONSET_MS, { symptom: 'saturation', subject: 'queue_length', impact: false })] },
      'saturation',
    ],
    ['anything else', { anomalies: [anomaly('checkout', ONSET_MS, { symptom: 'other', signal: 'metrics', impact: false })] }, 'unusual'],
  ] satisfies [string, Partial<CauseInput>, string][])('%s', (_, over, kind) => {
    expect(kindsOf('checkout', given([], over))).toContain(kind)
  })

  it('less memory than usual, fewer log lines and what began long after are none', () => {
    const anomalies = [
      cpu('checkout', ONSET_MS, { direction: 'down' }),
      logBurst('checkout', ONSET_MS, { direction: 'down' }),
      cpu('checkout', ONSET_MS + 10 * MINUTE, { subject: 'memory' }),
    ]
    expect(kindsOf('checkout', given([], { anomalies, core: ['gateway', 'checkout'] }))).not.toContain('saturation')
    expect(kindsOf('checkout', given([], { anomalies, core: ['gateway', 'checkout'] }))).not.toContain('logs')
  })

  it('more traffic counts at the entry only', () => {
    const more = (service: string) => given([], { anomalies: [anomaly(service, ONSET_MS, { symptom: 'traffic', impact: false })] })
    expect(kindsOf('gateway', more('gateway'))).toContain('surge')
    expect(kindsOf('checkout', more('checkout'))).not.toContain('surge')
  })

  it('who left the baseline first, if clearly', () => {
    const first = (leadMs: number) =>
      kindsOf(
        'payments',
        given([], { anomalies: [latency('payments', ONSET_MS), latency('checkout', ONSET_MS + leadMs)], core: ['checkout', 'payments'] }),
      )
    expect(first(30 * SECOND)).toContain('onset')
    expect(first(5 * SECOND)).not.toContain('onset')
  })

  it('a slow database seen by two callers names both', () => {
    const two = graphOf(learn(emptyTopology, [shared(START_MS, 4)], START_MS, { halfLifeMs: 3_600_000, maxEdges: 100 }))
    const flows: Flow[] = []
    for (let startMs = START_MS; startMs < ONSET_MS + 3 * MINUTE; startMs += 10 * SECOND)
      flows.push(shared(startMs, startMs < ONSET_MS ? 4 : 400))
    const causes = given(flows, { graph: two, core: ['orders', 'users'] })
    expect(causes[0]!.service).toBe('mysql')
    expect(causes[0]!.evidence[0]!.text).toBe(
      'Calls to it by orders and users (3,600 calls) take 400 ms (normally 4 ms): 100 % of the extra time',
    )
    expect(
      causes.slice(1).flatMap((cause) => cause.evidence.map((one) => one.kind)),
      'two callers: neither is the owner',
    ).not.toContain('owner')
  })
})

it('a slow way to a service counts against it, although what is felt is two calls further up and nobody between says a word', () => {
  const chain = graphOf(learn(emptyTopology, [relayed(START_MS, 1)], START_MS, { halfLifeMs: 3_600_000, maxEdges: 100 }))
  const flows: Flow[] = []
  for (let startMs = START_MS; startMs < ONSET_MS + 3 * MINUTE; startMs += 10 * SECOND)
    flows.push(relayed(startMs, startMs < ONSET_MS ? 1 : 1000))
  const causes = given(flows, { graph: chain, core: ['front'], anomalies: [latency('front', ONSET_MS)] })
  const kinds = (service: string) => causes.find((cause) => cause.service === service)?.evidence.map((one) => one.kind) ?? []
  expect(causes[0]!.service).toBe('prices')
  expect(kinds('prices')).toEqual(['network', 'position'])
  expect(kinds('front'), 'what it calls through others has symptoms').not.toContain('position')
})

it('what a seldom used path lost is not made small by everybody else’s traffic, nor by what is merely unusual elsewhere', () => {
  const busy = (startMs: number, gapMs: number): Flow => {
    const { services, calls, ...rest } = relayed(startMs, gapMs)
    const bulk = { service: 'bulk', requests: 5000, errors: 0, errorsStarted: 0, durationMs: 250_000, selfMs: 250_000 }
    const call = { caller: 'front', callee: 'bulk', inferred: false, calls: 5000, errors: 0, clientMs: 255_000, serverMs: 250_000 }
    return { ...rest, services: [...services.filter(({ service }) => service !== 'front'), bulk], calls: [...calls, call] }
  }
  const busyGraph = graphOf(learn(emptyTopology, [busy(START_MS, 1)], START_MS, { halfLifeMs: 3_600_000, maxEdges: 100 }))
  const flows: Flow[] = []
  for (let startMs = START_MS; startMs < ONSET_MS + 3 * MINUTE; startMs += 10 * SECOND)
    flows.push(busy(startMs, startMs < ONSET_MS ? 1 : 1000))
  const odd = anomaly('bulk', ONSET_MS, { symptom: 'other', signal: 'metrics', impact: false, score: 1000 })
  const causes = given(flows, { graph: busyGraph, core: ['front'], anomalies: [odd] })
  const points = (service: string, kind: string) =>
    causes.find((cause) => cause.service === service)?.evidence.find((one) => one.kind === kind)?.points
  expect(points('prices', 'network')).toBeGreaterThan(2)
  expect(causes.map((cause) => cause.service)).not.toContain('bulk')
})

/** front calls relay, relay calls prices, and each call to prices loses `gapMs` on the way; front waits as long again for somebody unknown. */
function relayed(startMs: number, gapMs: number): Flow {
  const service = (name: string, selfMs: number) => ({
    service: name,
    requests: 10,
    errors: 0,
    errorsStarted: 0,
    durationMs: 10 * (gapMs + selfMs),
    selfMs: 10 * selfMs,
  })
  const call = (caller: string, callee: string, gap: number) => ({
    caller,
    callee,
    inferred: false,
    calls: 10,
    errors: 0,
    clientMs: 10 * (20 + gap),
    serverMs: 10 * 20,
  })
  return {
    kind: 'flow',
    partition: 0,
    startMs,
    endMs: startMs + 10 * SECOND,
    services: [service('front', gapMs), service('relay', 3), service('prices', 3)],
    calls: [call('front', 'relay', 1), call('relay', 'prices', gapMs)],
  }
}

/** orders and users, both calling mysql. */
function shared(startMs: number, ms: number): Flow {
  const service = (name: string, selfMs: number) => ({
    service: name,
    requests: 100,
    errors: 0,
    errorsStarted: 0,
    durationMs: 100 * (selfMs + ms),
    selfMs: 100 * selfMs,
  })
  const call = (caller: string) => ({ caller, callee: 'mysql', inferred: true, calls: 100, errors: 0, clientMs: 100 * ms, serverMs: 0 })
  return {
    kind: 'flow',
    partition: 0,
    startMs,
    endMs: startMs + 10 * SECOND,
    services: [service('orders', 3), service('users', 3), service('mysql', ms)],
    calls: [call('orders'), call('users')],
  }
}
