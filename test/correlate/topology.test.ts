/** The call graph as flows teach it. */
import { describe, expect, it } from 'vitest'
import { emptyTopology, graphOf, learn } from '../../src/correlate/topology.ts'
import type { Flow } from '../../src/model.ts'
import { flow, MAILROOM, MINUTE, START_MS } from '../support/findings.ts'

const settings = { halfLifeMs: 60 * MINUTE, maxEdges: 1000 }
const shop = graphOf(
  learn(emptyTopology, [flow(START_MS), flow(START_MS, {}, { stations: MAILROOM, entry: 'mailer' })], START_MS, settings),
)

describe('the call graph', () => {
  it('knows callers, callees, entries and what is only called', () => {
    expect(shop.callees('checkout')).toEqual(['inventory', 'payments'])
    expect(shop.callers('inventory')).toEqual(['catalog', 'checkout'])
    expect(['gateway', 'checkout', 'mailer', 'postgresql', 'nobody'].map((service) => shop.isEntry(service))).toEqual([
      true,
      false,
      true,
      false,
      false,
    ])
    expect(['postgresql', 'queue', 'inventory', 'nobody'].map((service) => shop.isInferred(service))).toEqual([true, true, false, false])
    expect(shop.knows('postgresql')).toBe(true)
    expect(shop.knows('nobody')).toBe(false)
  })

  it.each([
    ['gateway', 'gateway', 0],
    ['gateway', 'postgresql', 3],
    ['postgresql', 'gateway', 3],
    ['payments', 'gateway', 2],
    ['payments', 'inventory', undefined],
    ['payments', 'catalog', undefined],
    ['mailer', 'gateway', undefined],
  ] as const)('from %s to %s: %s', (from, to, hops) => {
    expect(shop.distance(from, to, 3)).toBe(hops)
  })

  it('goes no further than asked', () => {
    expect([...shop.below('gateway', 1).keys()]).toEqual(['catalog', 'checkout'])
    expect(shop.distance('gateway', 'postgresql', 2)).toBeUndefined()
  })

  it('walks a circle once', () => {
    const edge = (caller: string, callee: string) => ({ caller, callee, inferred: false, calls: 1, errors: 0, clientMs: 1, serverMs: 1 })
    const circle: Flow = {
      kind: 'flow',
      partition: 0,
      startMs: 0,
      endMs: 10_000,
      services: [],
      calls: [edge('a', 'b'), edge('b', 'c'), edge('c', 'a'), edge('a', 'a')],
    }
    const graph = graphOf(learn(emptyTopology, [circle], 0, settings))
    expect([...graph.below('a', 10)]).toEqual([
      ['b', 1],
      ['c', 2],
      ['a', 3],
    ])
  })

  it('forgets a path that is no longer used, the busier the later', () => {
    const later = (hours: number) =>
      graphOf(
        learn(
          learn(emptyTopology, [flow(START_MS)], START_MS, settings),
          [flow(START_MS, {}, { stations: MAILROOM, entry: 'mailer' })],
          START_MS + hours * 60 * MINUTE,
          settings,
        ),
      )
    expect(later(10).knows('checkout')).toBe(true)
    expect(later(24).knows('checkout')).toBe(false)
    expect(later(24).knows('mailer')).toBe(true)
  })

  it('keeps the most used edges when there are too many', () => {
    const calls = Array.from({ length: 100 }, (_, i) => ({
      caller: 'a',
      callee: `b${i}`,
      inferred: true,
      calls: i + 1,
      errors: 0,
      clientMs: 1,
      serverMs: 0,
    }))
    const learnt = learn(emptyTopology, [{ kind: 'flow', partition: 0, startMs: 0, endMs: 1, services: [], calls }], 0, {
      ...settings,
      maxEdges: 10,
    })
    expect([...learnt.edges.values()].map((edge) => edge.weight)).toEqual([91, 92, 93, 94, 95, 96, 97, 98, 99, 100])
  })
})
