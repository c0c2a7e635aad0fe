/** What people read on the pages. */
import { describe, expect, test } from 'vitest'
import { duration, isoTime, measured, offset, percent, plain } from '../../src/web/wording.ts'

describe('wording', () => {
  test.each([
    [0, '0 s'],
    [-5000, '0 s'],
    [99_400, '99 s'],
    [100_000, '2 min'],
    [90 * 60_000, '90 min'],
    [200 * 60_000, '3 h 20 min'],
    [120 * 60_000, '2 h'],
    [52 * 3_600_000, '2 d 4 h'],
    [NaN, 'unknown'],
  ])('duration of %d ms is %s', (ms, expected) => expect(duration(ms)).toBe(expected))

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

  test.each([
    ['control characters', 'a\u0000b\u001b[31mc', 'a b [31mc'],
    ['marks that turn the direction', 'user\u202Etxt.exe', 'user txt.exe'],
    ['line breaks', 'one\r\ntwo\u2028three', 'one two three'],
    ['half a pair', 'x\uD83Dy', 'x y'],
  ])('plain text without %s', (_, text, expected) => expect(plain(text, 50)).toBe(expected))

  test('plain text is cut between characters, however long it was', () => {
    expect(plain('🔔'.repeat(10_000), 3)).toBe('🔔🔔…')
  })

  test('what is no date is no time', () => {
    expect([isoTime(NaN), isoTime(9e15), isoTime(0)]).toEqual(['', '', '1970-01-01T00:00:00.000Z'])
  })
})
