/** What people read on the pages. */
import { describe, expect, test } from 'vitest'
import { measured, offset, percent } from '../../src/web/wording.ts'

describe('wording', () => {
  test.each([
    [0, 'at onset'],
    [-999, 'at onset'],
    [-70_000, '−70 s'],
    [4 * 60_000, '+4 min'],
  ])('offset of %d ms is %s', (ms, expected) => expect(offset(ms)).toBe(expected))

  test.each([
    [0.3812, 'ratio', '38.1 %'],
    [14_620, 'ms', '14.6 s'],
    [0.002, 'ratio', '0.2 %'],
    [1460, 'ms', '1.5 s'],
    [0.085, 's', '85 ms'],
    [300, 's', '5 min'],
    [398e6, 'bytes', '398 MB'],
    [12_345.6, '', '12,346'],
    [22.6, '/s', '22.6 /s'],
    [NaN, 'ms', 'unknown'],
    [5, 'constructor', '5 constructor'],
    [5, '__proto__', '5 __proto__'],
  ])('%d in %s is %s', (value, unit, expected) => expect(measured(value, unit)).toBe(expected))

  test.each([
    [0.714, '71 %'],
    [7, '100 %'],
    [-1, '0 %'],
    [NaN, '? %'],
  ])('a probability of %d is %s', (value, expected) => expect(percent(value)).toBe(expected))
})
