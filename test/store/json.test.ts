import { describe, expect, test } from 'vitest'
import { toJson, toText } from '../../src/store/json.ts'

describe('text for PostgreSQL', () => {
  test.each([
    ['plain text', 'a "b" \\ c', 'a "b" \\ c'],
    ['NUL', 'a\u0000b', 'a\ufffdb'],
    ['the letters of an escape', '\\u0000', '\\u0000'],
    ['a backslash before a NUL', '\\\u0000', '\\\ufffd'],
    ['half a pair, first', '\ud83d', '\ufffd'],
    ['half a pair, second', 'x\ude00y', 'x\ufffdy'],
    ['the letters of half a pair', '\\ud83d', '\\ud83d'],
    ['a whole pair', '\u{1f600}', '\u{1f600}'],
  ])('%s', (_, given, kept) => {
    expect(toText(given)).toBe(kept)
    expect(JSON.parse(toJson({ [given]: [given] }))).toEqual({ [kept]: [kept] })
  })
})
