/** What titles, notices and pages write in the same way. */
import { describe, expect, test } from 'vitest'
import { duration, isoTime, oneLine } from '../src/wording.ts'

describe('what people read', () => {
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
    ['control characters', 'a\u0000b\u001b[31mc', 'a b [31mc'],
    ['marks that turn the direction', 'user\u202Etxt.exe', 'user txt.exe'],
    ['line breaks', 'one\r\ntwo\u2028three', 'one two three'],
    ['half a pair', 'x\uD83Dy', 'x y'],
  ])('foreign text without %s', (_, text, expected) => expect(oneLine(text, 50)).toBe(expected))

  test('foreign text is cut between characters, however long it was', () => {
    expect(oneLine('🔔'.repeat(10_000), 3)).toBe('🔔🔔…')
  })

  test('what is no date is no time', () => {
    expect([isoTime(NaN), isoTime(9e15), isoTime(0)]).toEqual(['', '', '1970-01-01T00:00:00.000Z'])
  })
})
