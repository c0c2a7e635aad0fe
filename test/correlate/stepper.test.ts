/** When findings are reduced. */
import { describe, expect, it } from 'vitest'
import { correlateConfig } from '../../src/correlate/config.ts'
import { initialState, type State } from '../../src/correlate/state.ts'
import { collect, type Arrival } from '../../src/correlate/stepper.ts'
import type { Finding } from '../../src/model.ts'
import { deploy, errors, SECOND, START_MS } from '../support/findings.ts'

const config = correlateConfig.parse({})

const at = (seconds: number) => START_MS + seconds * SECOND
const progress = (partition: number, seconds: number): Arrival => ({
  partition,
  finding: { kind: 'progress', partition, nowMs: at(seconds) },
})
const from = (partition: number | undefined, finding: Finding): Arrival => ({ partition, finding })

function steps(arrivals: readonly Arrival[], start: State = initialState()) {
  let state = start
  const nows: number[] = []
  const opened: number[] = []
  for (const arrival of arrivals) {
    const result = collect(state, [arrival], [], config)
    if (result.state.nowMs !== state.nowMs) nows.push((result.state.nowMs - START_MS) / SECOND)
    for (const { before, after } of result.effects.transitions) if (before === undefined) opened.push((after.openedMs - START_MS) / SECOND)
    state = result.state
  }
  return { state, nows, opened }
}

describe('now', () => {
  it.each([
    ['one partition: each of its ticks', [progress(0, 0), progress(0, 5), progress(0, 10)], [0, 5, 10]],
    ['two: the slower one', [progress(0, 0), progress(1, 0), progress(0, 5), progress(0, 10), progress(1, 5), progress(1, 10)], [0, 5, 10]],
    ['a grid of five seconds', [progress(0, 1), progress(0, 4), progress(0, 8), progress(0, 13)], [0, 5, 10]],
    ['never back', [progress(0, 10), progress(0, 5), progress(1, 5), progress(0, 15)], [10]],
    [
      'one that is silent while others go on is left out after a minute',
      [progress(0, 0), progress(1, 0), progress(0, 60), progress(0, 65), progress(0, 70)],
      [0, 65, 70],
    ],
  ])('%s', (_, arrivals, expected) => {
    expect(steps(arrivals).nows).toEqual(expected)
  })
})

describe('a finding', () => {
  it('waits for the slowest partition', () => {
    const before = [progress(0, 0), progress(1, 0), from(0, errors('checkout', at(0), 0.3, { atMs: at(4) })), progress(0, 5)]
    expect(steps(before).opened).toEqual([])
    expect(steps([...before, progress(1, 5)]).opened).toEqual([5])
  })

  it('of a known partition is due after that partition’s last tick, whatever its own time', () => {
    const late = [progress(0, 0), progress(1, 0), progress(0, 5), from(0, errors('checkout', at(0), 0.3, { atMs: at(1) })), progress(1, 5)]
    expect(steps(late).opened).toEqual([])
    expect(steps([...late, progress(0, 10), progress(1, 10)]).opened).toEqual([10])
  })

  it('from beyond all clocks is not waited for', () => {
    const { state } = steps([
      progress(0, 0),
      from(0, deploy('checkout', at(9_999_999))),
      from(0, errors('checkout', at(0), 0.3, { atMs: at(9_999_999) })),
      progress(0, 5),
    ])
    expect(state.pending).toEqual([])
    expect([state.changes.size, state.anomalies.size]).toEqual([1, 1])
  })

  it('does not wait when too many do', () => {
    const small = { ...config, limits: { ...config.limits, pending: 3 } }
    const arrivals = [
      progress(0, 0),
      progress(1, 0),
      progress(0, 30),
      ...Array.from({ length: 4 }, (_, i) => from(0, errors(`s${i}`, at(20), 0.3, { atMs: at(25) }))),
      progress(0, 35),
    ]
    const { state } = collect(initialState(), arrivals, [], small)
    expect(state.pending).toEqual([])
    expect(state.nowMs).toBe(at(35))
  })

  it('does not make a week of silence a hundred thousand steps', () => {
    const week = 7 * 24 * 3600
    const started = performance.now()
    const { opened } = steps([progress(0, 0), from(0, errors('checkout', at(week - 3), 0.3, { atMs: at(week - 1) })), progress(0, week)])
    expect(opened).toEqual([week])
    expect(performance.now() - started).toBeLessThan(1000)
  })
})
