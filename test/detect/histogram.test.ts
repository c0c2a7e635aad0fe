import { expect, test } from 'vitest'
import { boundOf, bucketQuantile, wilsonLower } from '../../src/detect/series/histogram.ts'

const BOUNDS = [0.1, 0.5, 1, Number.POSITIVE_INFINITY]

test.each<[string, number[], number]>([
  ['all in one bucket: linear inside it', [0, 100, 100, 100], 0.48],
  ['the first bucket starts at 0', [100, 100, 100, 100], 0.095],
  ['beyond the last bound: the highest finite one', [0, 0, 0, 10], 1],
  ['counts of mixed instances that do not ascend', [50, 20, 100, 60], 0.95],
])('%s', (_, cumulative, expected) => {
  expect(bucketQuantile(0.95, BOUNDS, cumulative)).toBeCloseTo(expected, 9)
})

test('of nothing, and without a +Inf bucket, nothing can be said', () => {
  expect(bucketQuantile(0.95, BOUNDS, [0, 0, 0, 0])).toBeNaN()
  expect(bucketQuantile(0.95, [0.1, 0.5], [1, 2])).toBeNaN()
  expect(bucketQuantile(0.95, [Number.POSITIVE_INFINITY], [2])).toBeNaN()
})

test.each([
  ['0.5', 0.5],
  ['+Inf', Number.POSITIVE_INFINITY],
  ['1e-3', 0.001],
  ['', Number.NaN],
  ['wide', Number.NaN],
])('le="%s"', (le, expected) => {
  expect(boundOf(le)).toBe(expected)
})

test('one failure of two says little, a hundred of two hundred says it all', () => {
  expect(wilsonLower(1, 2, 2.5)).toBeLessThan(0.1)
  expect(wilsonLower(100, 200, 2.5)).toBeGreaterThan(0.4)
  expect(wilsonLower(0, 0, 2.5)).toBe(0)
  expect(wilsonLower(0, 100, 2.5)).toBe(0)
})
