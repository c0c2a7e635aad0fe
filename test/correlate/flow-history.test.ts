/** The hour of traffic that causes are weighed against. */
import { describe, expect, it } from 'vitest'
import { addFlows, emptyHistory, unseenFlows, type FlowHistory } from '../../src/correlate/flow-history.ts'
import type { Flow } from '../../src/model.ts'
import { flow, MINUTE, START_MS, traffic } from '../support/findings.ts'

const limits = { servicesPerWindow: 100, edgesPerWindow: 100 }

function add(history: FlowHistory, flows: readonly Flow[], nowMs: number): FlowHistory {
  return addFlows(history, unseenFlows(history, flows, nowMs), nowMs, limits)
}

function requestsAtGateway(history: FlowHistory): number {
  return history.windows.reduce((sum, window) => sum + (window.services.get('gateway')?.requests ?? 0), 0)
}

describe('the traffic history', () => {
  it('adds up what several partitions saw of the same window', () => {
    const history = add(emptyHistory, [flow(START_MS), flow(START_MS, {}, { partition: 1, requests: 50 })], START_MS + MINUTE)
    expect(history.windows).toHaveLength(1)
    expect(requestsAtGateway(history)).toBe(250)
  })

  it('counts a window of a partition once, in one batch or in two', () => {
    const once = add(emptyHistory, [flow(START_MS), flow(START_MS)], START_MS + MINUTE)
    const twice = add(once, [flow(START_MS)], START_MS + MINUTE)
    expect(requestsAtGateway(twice)).toBe(200)
    expect(twice).toBe(once)
  })

  it('leaves windows that stand as they are', () => {
    const before = add(emptyHistory, [flow(START_MS)], START_MS)
    const after = add(before, [flow(START_MS + 10_000)], START_MS + 10_000)
    expect(after.windows[0]).toBe(before.windows[0])
  })

  it('merges what is older than a quarter of an hour into minutes, losing nothing, and drops what is older than an hour', () => {
    let history = emptyHistory
    for (const one of traffic(START_MS, START_MS + 50 * MINUTE)) history = add(history, [one], one.endMs)
    expect(requestsAtGateway(history)).toBe(50 * 6 * 200)
    expect(history.windows.length).toBeLessThanOrEqual(35 + 96)
    const spans = new Set(history.windows.map((window) => window.endMs - window.startMs))
    expect(spans).toEqual(new Set([10_000, 60_000]))
    const starts = history.windows.map((window) => window.startMs)
    expect(starts).toEqual(starts.toSorted((a, b) => a - b))
    for (const one of traffic(START_MS + 50 * MINUTE, START_MS + 200 * MINUTE)) history = add(history, [one], one.endMs)
    expect(history.windows.length).toBeLessThanOrEqual(46 + 96)
    expect(history.windows[0]!.startMs).toBeGreaterThanOrEqual(START_MS + 138 * MINUTE)
    expect(history.seen.size).toBeLessThanOrEqual(92)
  })

  it('takes no window that comes later than a quarter of an hour: it may have been counted', () => {
    const history = add(emptyHistory, [flow(START_MS)], START_MS)
    expect(unseenFlows(history, [flow(START_MS, {}, { partition: 3 })], START_MS + 16 * MINUTE)).toEqual([])
  })

  it('is bounded against made-up names', () => {
    const services = Array.from({ length: 500 }, (_, i) => ({
      service: `s${i}`,
      requests: 1,
      errors: 0,
      errorsStarted: 0,
      durationMs: 1,
      selfMs: 1,
    }))
    const history = add(
      emptyHistory,
      [{ kind: 'flow', partition: 0, startMs: START_MS, endMs: START_MS + 10_000, services, calls: [] }],
      START_MS,
    )
    expect(history.windows[0]!.services.size).toBe(100)
  })
})
