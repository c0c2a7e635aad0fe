/** Near in time, near in the call graph. */
import { describe, expect, it } from 'vitest'
import { correlateConfig } from '../../src/correlate/config.ts'
import { reachOf, relation } from '../../src/correlate/grouping.ts'
import { emptyTopology, graphOf, learn } from '../../src/correlate/topology.ts'
import { flow, MAILROOM, MINUTE, SECOND, START_MS } from '../support/findings.ts'

const config = correlateConfig.parse({})
const graph = graphOf(
  learn(emptyTopology, [flow(START_MS), flow(START_MS, {}, { stations: MAILROOM, entry: 'mailer' })], START_MS, {
    halfLifeMs: 3_600_000,
    maxEdges: 100,
  }),
)
/** Felt from minute 20 to minute 25. */
const span = { onsetMs: 20 * MINUTE, lastMs: 25 * MINUTE }

describe('an incident at checkout, minutes 20 to 25', () => {
  it.each([
    ['the service itself, at once', 'checkout', 20, undefined, true],
    ['the service itself, four minutes after', 'checkout', 29, undefined, true],
    ['the service itself, six minutes after', 'checkout', 31, undefined, false],
    ['its caller, meanwhile', 'gateway', 22, undefined, true],
    ['its callee’s callee, meanwhile', 'postgresql', 22, undefined, true],
    ['its callee’s callee, almost five minutes after: too far for being so late', 'postgresql', 29.75, undefined, false],
    ['its callee, begun nine minutes before and going on', 'inventory', 11, undefined, true],
    ['its callee, begun eleven minutes before', 'inventory', 9, undefined, false],
    ['its callee, over six minutes before', 'inventory', 12, 14, false],
    ['its callee, over two minutes before', 'inventory', 12, 18, true],
    ['a caller of its callee, at the same time', 'catalog', 20.5, undefined, true],
    ['a caller of its callee, four minutes later', 'catalog', 24, undefined, false],
    ['something unrelated, at the same second', 'mailer', 20, undefined, false],
    ['something nobody knows, at the same time', 'node-exporter', 20.5, undefined, true],
    ['something nobody knows, five minutes later', 'node-exporter', 25, undefined, false],
  ])('%s', (_, service, startMin, endMin, expected) => {
    const subject = { service, startMs: startMin * MINUTE, endMs: endMin === undefined ? undefined : endMin * MINUTE }
    expect(relation(subject, span, reachOf(graph, ['checkout'], 3), graph, config) > 0).toBe(expected)
  })

  it('prefers the nearer of two', () => {
    const subject = { service: 'inventory', startMs: 20 * MINUTE + 30 * SECOND, endMs: undefined }
    const near = relation(subject, span, reachOf(graph, ['checkout'], 3), graph, config)
    const far = relation(subject, span, reachOf(graph, ['gateway'], 3), graph, config)
    expect(near).toBeGreaterThan(far)
    expect(far).toBeGreaterThan(0)
  })
})

describe('an incident where no calls are known', () => {
  it.each([
    ['another unknown service that began with it', 'worker', 21, true],
    ['a known one that began with it', 'gateway', 21, true],
    ['one that began later', 'worker', 24, false],
    ['itself, later', 'cron', 24, true],
  ])('%s', (_, service, startMin, expected) => {
    expect(relation({ service, startMs: startMin * MINUTE, endMs: undefined }, span, reachOf(graph, ['cron'], 3), graph, config) > 0).toBe(
      expected,
    )
  })
})
