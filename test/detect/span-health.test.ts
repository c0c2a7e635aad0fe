import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DurationSketch } from '../../src/detect/spans/duration-sketch.ts'
import { errorSurprise, logGamma, slowSurprise, surpriseZ } from '../../src/detect/spans/span-health.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'

describe('the sketch of durations', () => {
  it('is right to 2 % at every quantile', () => {
    const duration = fc.double({ min: 0.01, max: 1e7, noNaN: true })
    fc.assert(
      fc.property(fc.array(duration, { minLength: 1, maxLength: 200 }), fc.constantFrom(0.01, 0.5, 0.95, 0.99, 1), (values, q) => {
        const sketch = new DurationSketch()
        for (const value of values) sketch.add(value)
        const exact = [...values].sort((a, b) => a - b)[Math.max(1, Math.ceil(q * values.length)) - 1]!
        expect(Math.abs(sketch.quantile(q) / exact - 1)).toBeLessThan(0.0201)
      }),
    )
  })

  it('merges to what one sketch of everything would be, and survives a snapshot', () => {
    const [one, two, both] = [new DurationSketch(), new DurationSketch(), new DurationSketch()]
    for (let i = 1; i < 500; i++) {
      ;(i % 3 === 0 ? one : two).add(i * 1.7)
      both.add(i * 1.7)
    }
    one.merge(two)
    const to = new SnapshotWriter(1)
    one.snapshot(to)
    const restored = new DurationSketch()
    restored.restore(new SnapshotReader(to.finish(), 'test', 1))
    for (const q of [0.1, 0.5, 0.95, 0.999]) {
      expect(one.quantile(q)).toBe(both.quantile(q))
      expect(restored.quantile(q)).toBe(both.quantile(q))
    }
    expect(restored.count).toBe(499)
  })

  it.each([0, -1, NaN, Infinity, 1e300, 1e-300])('takes %d without complaint', (value) => {
    const sketch = new DurationSketch()
    sketch.add(value)
    expect(sketch.count).toBe(1)
    expect(sketch.quantile(0.5)).toBeGreaterThanOrEqual(0)
    expect(sketch.quantile(0.5)).toBeLessThan(1.1e9)
  })

  it('has no quantile when it is empty', () => {
    expect(new DurationSketch().quantile(0.5)).toBeNaN()
  })
})

describe('the surprise of slow requests', () => {
  it.each([
    ['two slow ones of thirty', 2, 30, 0, 1],
    ['one in twenty, as always', 50, 1000, 0, 1],
    ['a third of thirty', 10, 30, 4, 12],
    ['all of twenty', 20, 20, 10, 40],
  ])('%s', (_, slow, requests, least, most) => {
    const surprise = slowSurprise(slow, requests)
    expect(surprise).toBeGreaterThanOrEqual(least)
    expect(surprise).toBeLessThanOrEqual(most)
  })

  it('counts what took longer', () => {
    const sketch = new DurationSketch()
    for (const ms of [1, 2, 3, 100, 200]) sketch.add(ms)
    expect([0.5, 2.5, 50, 150, 1000].map((ms) => sketch.countAbove(ms))).toEqual([5, 3, 2, 1, 0])
  })
})

describe('the surprise of errors', () => {
  it.each([
    ['one of two, nothing known', 1, 2, 0, 0, 0, 3],
    ['two of two, nothing known', 2, 2, 0, 0, 2, 4],
    ['one of two after a clean hour', 1, 2, 0, 2000, 2, 4],
    ['four of four after a clean hour', 4, 4, 0, 2000, 9, 20],
    ['three of a hundred where one in a hundred is usual', 3, 100, 20, 2000, 0.5, 3],
    ['thirty of a hundred where one in a hundred is usual', 30, 100, 20, 2000, 20, 60],
    ['no more than usual', 20, 2000, 20, 2000, 0, 0.5],
    ['fewer than usual', 0, 2000, 200, 2000, 0, 0],
    ['everything of a great deal', 100_000, 100_000, 0, 2000, 100, 1e6],
  ])('%s', (_what, errors, requests, usualErrors, usualRequests, least, most) => {
    const surprise = errorSurprise(errors, requests, usualErrors, usualRequests)
    expect(surprise).toBeGreaterThanOrEqual(least)
    expect(surprise).toBeLessThanOrEqual(most)
  })

  it('is the exact tail of the beta-binomial distribution', () => {
    // Polya urn: draw with success probability (a + successes) / (a + b + draws), by enumeration.
    const [a, b, n] = [2.5, 60.5 - 2.5, 12]
    let states = [1]
    for (let draw = 0; draw < n; draw++) {
      const next = Array.from({ length: draw + 2 }, () => 0)
      for (let k = 0; k <= draw; k++) {
        const p = (a + k) / (a + b + draw)
        next[k + 1]! += states[k]! * p
        next[k]! += states[k]! * (1 - p)
      }
      states = next
    }
    for (const k of [1, 3, 6, 12]) {
      const tail = states.slice(k).reduce((sum, p) => sum + p, 0)
      expect(errorSurprise(k, n, a - 0.5, 10.5)).toBeCloseTo(-Math.log10(tail), 6)
    }
  })

  it('grows with the number of errors', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.double({ min: 0, max: 50, noNaN: true }), (requests, usual) => {
        let before = 0
        for (let errors = 0; errors <= requests; errors += 1 + Math.floor(requests / 20)) {
          const surprise = errorSurprise(errors, requests, usual, 1000)
          expect(surprise).toBeGreaterThanOrEqual(before - 1e-9)
          before = surprise
        }
      }),
      { numRuns: 200 },
    )
  })

  it('as standard deviations: one in a million is about five', () => {
    expect(surpriseZ(6)).toBeGreaterThan(4.5)
    expect(surpriseZ(6)).toBeLessThan(5.5)
  })
})

it('logGamma is the logarithm of the factorial', () => {
  let sum = 0
  for (let n = 1; n < 170; n++) {
    expect(logGamma(n + 1)).toBeCloseTo((sum += Math.log(n)), 8)
  }
  expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 10)
})
