/** What the reducer promises whatever it is fed: order does not matter, repetition does not matter, memory is bounded. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { correlateConfig } from '../../src/correlate/config.ts'
import { reduce } from '../../src/correlate/incident.ts'
import { decodeState, encodeState } from '../../src/correlate/state-codec.ts'
import { initialState, type Effects, type State } from '../../src/correlate/state.ts'
import { collect, type Arrival } from '../../src/correlate/stepper.ts'
import type { Finding } from '../../src/model.ts'
import { Correlator } from '../support/correlator.ts'
import {
  alert,
  cpu,
  deploy,
  ended,
  errors,
  heardMs,
  latency,
  logBurst,
  MAILROOM,
  MINUTE,
  SECOND,
  START_MS,
  traffic,
} from '../support/findings.ts'

const config = correlateConfig.parse({})
const FAULT_MS = START_MS + 6 * MINUTE

/** A slow database, errors in the mail room, an alert, a deploy: by the telemetry partition they come from. */
function story(): Finding[][] {
  const overMs = FAULT_MS + 2 * MINUTE
  const both = (one: ReturnType<typeof errors>) => [one, ended(one, overMs)]
  return [
    [
      ...traffic(START_MS, FAULT_MS),
      ...traffic(FAULT_MS, overMs, { postgresql: { calleeMs: 900 } }),
      ...[latency('gateway', FAULT_MS + 10 * SECOND), latency('inventory', FAULT_MS)].flatMap(both),
    ],
    [
      ...traffic(START_MS, overMs, {}, { stations: MAILROOM, entry: 'mailer', partition: 1 }),
      ...[
        latency('catalog', FAULT_MS),
        latency('checkout', FAULT_MS),
        errors('mailer', FAULT_MS, 0.6),
        cpu('inventory', FAULT_MS - MINUTE),
        logBurst('checkout', FAULT_MS),
      ].flatMap(both),
      deploy('catalog', FAULT_MS - 3 * MINUTE),
      alert('gateway', FAULT_MS + 30 * SECOND, { severity: 'critical' }),
    ],
  ]
}

/** Each partition's arrivals in the order it sends them, with its ticks. */
function lanes(): Arrival[][] {
  const untilMs = FAULT_MS + 9 * MINUTE
  return story().map((findings, partition) => {
    const sorted = findings.toSorted((a, b) => heardMs(a) - heardMs(b))
    const lane: Arrival[] = []
    let next = 0
    for (let nowMs = START_MS; nowMs <= untilMs; nowMs += 5 * SECOND) {
      for (; next < sorted.length && heardMs(sorted[next]!) <= nowMs; next++) lane.push({ partition, finding: sorted[next]! })
      lane.push({ partition, finding: { kind: 'progress', partition, nowMs } })
    }
    return lane
  })
}

function run(
  arrivals: readonly (readonly Arrival[])[],
  between: (state: State) => State = (state) => state,
): { state: State; effects: Effects[] } {
  let state = initialState()
  const effects: Effects[] = []
  for (const batch of arrivals) {
    const result = collect(state, batch, [], config)
    state = between(result.state)
    if (Object.values(result.effects).some((list) => list.length > 0)) effects.push(result.effects)
  }
  return { state, effects }
}

/** Everything that came of it, in order, however it was cut into batches: one line each, so that a difference is readable. */
function told(effects: readonly Effects[]): string[] {
  const all = [
    effects.flatMap((one) => one.transitions),
    effects.flatMap((one) => one.timeline),
    effects.flatMap((one) => one.anomalies),
    effects.flatMap((one) => one.changes),
  ]
  return all.flat().map((one) => JSON.stringify(one))
}

const allLanes = lanes()

/** Merges the lanes, keeping the order within each; `choices` says who is next. No lane gets more than 11 ticks (55 s) ahead. */
function interleave(choices: readonly number[]): Arrival[] {
  const all = allLanes
  const at = all.map(() => 0)
  const ticks = all.map(() => 0)
  const merged: Arrival[] = []
  // Both are heard from before time counts.
  for (const [lane, arrivals] of all.entries()) {
    merged.push(arrivals[0]!)
    at[lane] = 1
  }
  for (let n = 0; at.some((index, lane) => index < all[lane]!.length); n++) {
    const open = all
      .map((_, lane) => lane)
      .filter(
        (lane) =>
          at[lane]! < all[lane]!.length && ticks[lane]! <= Math.min(...ticks.filter((_, other) => at[other]! < all[other]!.length)) + 10,
      )
    const lane = open[choices[n % choices.length]! % open.length]!
    const arrival = all[lane]![at[lane]!++]!
    if (arrival.finding.kind === 'progress') ticks[lane]!++
    merged.push(arrival)
  }
  return merged
}

const usual = run([interleave([0, 1])])

describe('the reducer', () => {
  it('has a story worth the name', () => {
    const { transitions, timeline } = usual.effects[0]!
    expect(transitions.filter((one) => one.before === undefined)).toHaveLength(2)
    expect(transitions.filter((one) => one.after.status === 'resolved')).toHaveLength(2)
    expect(new Set(timeline.map((entry) => entry.kind))).toEqual(
      new Set(['opened', 'anomaly', 'recovered', 'change', 'alert', 'alert-ended', 'cause', 'severity', 'resolved']),
    )
  })

  it('gives the same effects to the byte in whatever order the partitions are heard', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1), { minLength: 3, maxLength: 200 }), fc.integer({ min: 1, max: 40 }), (choices, size) => {
        const merged = interleave(choices.some((choice) => choice !== choices[0]) ? choices : [0, 1])
        const batches = Array.from({ length: Math.ceil(merged.length / size) }, (_, i) => merged.slice(i * size, (i + 1) * size))
        expect(told(run(batches).effects)).toEqual(told(usual.effects))
      }),
      { numRuns: 10 },
    )
  })

  it('does not care for the order within a step', () => {
    const quiet = reduce(initialState(), traffic(START_MS, FAULT_MS), FAULT_MS, config).state
    const step: Finding[] = [
      ...story()
        .flat()
        .filter((one) => one.kind !== 'flow'),
      ...traffic(FAULT_MS, FAULT_MS + MINUTE, { postgresql: { calleeMs: 900 } }),
    ]
    const straight = reduce(quiet, step, FAULT_MS + MINUTE, config)
    expect(straight.effects.incidents.length).toBeGreaterThan(0)
    fc.assert(
      fc.property(fc.shuffledSubarray(step, { minLength: step.length }), (shuffled) => {
        const other = reduce(quiet, shuffled, FAULT_MS + MINUTE, config)
        expect(JSON.stringify(other.effects)).toBe(JSON.stringify(straight.effects))
        expect(encodeState(other.state)).toEqual(encodeState(straight.state))
      }),
      { numRuns: 15 },
    )
  })

  it('goes on identically from its own bytes', () => {
    const arrivals = interleave([0, 1, 1, 0, 0, 1])
    const batches = arrivals.map((one) => [one])
    const restarted = run(batches, (state) => decodeState(encodeState(state)))
    expect(told(restarted.effects)).toEqual(told(usual.effects))
    const bytes = encodeState(restarted.state)
    expect(encodeState(decodeState(bytes))).toEqual(bytes)
  })

  it('leaves the state it was given as it was', () => {
    const arrivals = interleave([0, 1])
    const half = collect(initialState(), arrivals.slice(0, arrivals.length / 2), [], config).state
    const before = encodeState(half)
    const once = collect(half, arrivals.slice(arrivals.length / 2), [], config)
    expect(encodeState(half)).toEqual(before)
    expect(told([collect(half, arrivals.slice(arrivals.length / 2), [], config).effects])).toEqual(told([once.effects]))
  })

  it('replayed findings change nothing', () => {
    const again = collect(usual.state, interleave([0, 1]), [], config)
    expect(again.effects).toEqual({ incidents: [], transitions: [], timeline: [], anomalies: [], changes: [] })
    const later: Arrival[] = [0, 1].map((partition) => ({
      partition,
      finding: { kind: 'progress', partition, nowMs: usual.state.nowMs + MINUTE },
    }))
    expect(collect(again.state, later, [], config).effects.transitions).toEqual([])
  })

  it('does not let what has ended begin again, nor an older word replace a newer one', () => {
    const first = errors('checkout', FAULT_MS, 0.3)
    const over = ended(first, FAULT_MS + MINUTE)
    const correlator = new Correlator().play([first, over], FAULT_MS + 2 * MINUTE)
    correlator.play([{ ...first, atMs: over.atMs + 5 }], FAULT_MS + 10 * MINUTE)
    expect(correlator.only.status).toBe('resolved')
  })

  it('stays within its limits in a storm', () => {
    const limits = { ...config.limits, anomalies: 200, alerts: 50, changes: 30, incidents: 5, anomaliesPerIncident: 20 }
    const correlator = new Correlator({ limits, coOccurMs: 0 })
    const storm: Finding[] = []
    for (let i = 0; i < 1000; i++) {
      const atMs = FAULT_MS + i * 100
      storm.push(
        errors(`service-${i % 100}`, atMs, 0.3, { subject: `GET /${i} error ratio` }),
        alert(`service-${i}`, atMs),
        deploy(`service-${i}`, atMs),
      )
    }
    correlator.play(storm, FAULT_MS + 3 * MINUTE)
    expect(correlator.incidents).toHaveLength(5)
    const { anomalies, alerts, changes } = correlator.state
    expect([anomalies.size, alerts.size, changes.size]).toEqual([200, 50, 30])
    for (const incident of correlator.incidents) {
      expect(correlator.anomaliesOf(incident).length).toBeLessThanOrEqual(20)
      expect(correlator.entriesOf(incident, 'anomaly').filter((entry) => entry.ref === 'overflow').length).toBeLessThanOrEqual(1)
    }
    expect(correlator.changes, 'every change is kept in the store').toHaveLength(1000)
  })

  it('forgets what is over', () => {
    const { state } = new Correlator().play(story().flat(), FAULT_MS + 4 * 60 * MINUTE)
    expect([state.incidents.size, state.anomalies.size, state.alerts.size, state.changes.size, state.pending.length]).toEqual([
      0, 0, 0, 0, 0,
    ])
  })
})
