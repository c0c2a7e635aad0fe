import { describe, expect, it } from 'vitest'
import { countOf, Level, stabilised } from '../../src/detect/level.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'
import { Windows } from '../../src/detect/windows.ts'

type Tally = { names: string[] }

function played(): { windows: Windows<Tally>; closed: string[]; tick: (nowMs: number) => void } {
  const windows = new Windows<Tally>(10, 5, () => ({ names: [] }))
  const closed: string[] = []
  const tick = (nowMs: number): void => windows.tick(nowMs, (startMs, tally) => closed.push(`${startMs}:${tally?.names.join('') ?? '-'}`))
  return { windows, closed, tick }
}

describe('windows of event time', () => {
  it('close in order, once, when a tick is past their end and the lateness; empty ones too', () => {
    const { windows, closed, tick } = played()
    tick(1000)
    windows.at(1001).names.push('a')
    windows.at(1025).names.push('b')
    tick(1014)
    windows.at(1009).names.push('c')
    expect(closed).toEqual(['990:-'])
    tick(1036)
    expect(closed).toEqual(['990:-', '1000:ac', '1010:-', '1020:b'])
    tick(1036)
    tick(900)
    expect(closed.length).toBe(4)
  })

  it.each([
    ['late', 3, '990:x', 'late'],
    ['no time at all', NaN, '990:x', 'late'],
    ['far ahead', 1e15, '1060:x', 'early'],
  ])('count what is %s where it does least harm', (_what, timeMs, where, counter) => {
    const { windows, closed, tick } = played()
    tick(1000)
    windows.at(timeMs).names.push('x')
    tick(1100)
    expect(closed).toContain(where)
    expect(windows[counter as 'late' | 'early']).toBe(1)
  })

  it('take what comes before the first tick as the first window, whatever its time', () => {
    const { windows, closed, tick } = played()
    for (const timeMs of [5, 1e15, NaN]) windows.at(timeMs).names.push('x')
    tick(1000)
    tick(1010)
    expect(closed).toEqual(['990:xxx'])
  })

  it('jump over a silence of years, losing nothing', () => {
    const { windows, closed, tick } = played()
    tick(1000)
    windows.at(1005).names.push('a')
    windows.at(1030).names.push('b')
    tick(1e14)
    expect(closed).toEqual(['1000:a', '1030:b'])
  })

  it('go on after a restore', () => {
    const { windows, tick } = played()
    tick(1000)
    windows.at(1005).names.push('a')
    const to = new SnapshotWriter(1)
    windows.snapshot(to, (writer, tally) => writer.string(tally.names.join('')))
    const other = played()
    other.windows.restore(new SnapshotReader(to.finish(), 'test', 1), (from) => ({ names: [from.string()] }))
    other.windows.at(1006).names.push('b')
    other.tick(1016)
    expect(other.closed).toEqual(['990:-', '1000:ab'])
  })
})

describe('a level', () => {
  const learned = (values: readonly number[]): Level => {
    const level = new Level()
    for (const value of values) level.learn(value, 1, false, 100)
    return level
  }

  it('finds location and spread', () => {
    const level = learned(Array.from({ length: 400 }, (_, i) => 50 + [-4, -1, 0, 1, 4][i % 5]!))
    expect(level.location).toBeCloseTo(50, 0)
    expect(level.spread(1)).toBeGreaterThan(2)
    expect(level.spread(1)).toBeLessThan(4)
    expect(level.z(80, 1)).toBeGreaterThan(7)
  })

  it('is hardly moved by an outage, and follows what stays', () => {
    const level = learned(Array.from({ length: 200 }, () => 50))
    for (let i = 0; i < 100; i++) level.learn(1000, 1, true, 100)
    expect(level.location).toBeLessThan(52)
    level.learn(1000, 1, true, 100)
    expect(level.location).toBe(1000)
  })

  it('learns many equal observations in one step about as it does one by one', () => {
    const [one, many] = [learned([20, 22, 21, 19, 20, 21, 20, 22, 20, 21]), learned([20, 22, 21, 19, 20, 21, 20, 22, 20, 21])]
    for (let i = 0; i < 500; i++) one.learn(1.2, 20, false, 1e9)
    many.learnTimes(1.2, 500)
    expect(many.location).toBeCloseTo(one.location, 0)
    expect(many.count).toBe(one.count)
  })

  it('stabilised counts have a spread of one at any rate, and go back', () => {
    for (const count of [0, 1, 7, 10_000]) expect(countOf(stabilised(count))).toBeCloseTo(count, 6)
    expect(stabilised(1010) - stabilised(1010 - Math.sqrt(1010))).toBeCloseTo(1, 1)
  })
})
