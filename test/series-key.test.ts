import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seriesKey } from '../src/series-key.ts'

describe('the key of a series', () => {
  it.each<[name: string, labels: [string, string][], key: string]>([
    ['up', [], 'up{}'],
    [
      'up',
      [
        ['a', 'x'],
        ['b_9', ''],
      ],
      'up{a="x",b_9=""}',
    ],
    [
      'up',
      [
        ['a b', '1'],
        ['9a', '2'],
        ['', '3'],
      ],
      'up{"a b"="1","9a"="2",""="3"}',
    ],
    ['up', [['a', 'q"\\\n']], 'up{a="q\\"\\\\\\n"}'],
    ['höhe', [['é', 'é']], 'höhe{"é"="é"}'],
    ['up', [['a', 'x'.repeat(9_000)]], `up{a="${'x'.repeat(9_000)}"}`],
  ])('%s %j', (name, labels, key) => {
    expect(seriesKey(name, labels)).toBe(key)
  })

  it('is the same only for the same name and labels', () => {
    const text = fc.oneof(fc.string({ maxLength: 6 }), fc.constantFrom('a', 'a="', '",b="', 'a}', '{', 'é', '\\'))
    const metric = fc.constantFrom('up', 'down_total')
    const labels = fc.array(fc.tuple(text, text), { maxLength: 3 })
    fc.assert(
      fc.property(metric, labels, metric, labels, (nameA, a, nameB, b) => {
        expect(seriesKey(nameA, a) === seriesKey(nameB, b)).toBe(JSON.stringify([nameA, a]) === JSON.stringify([nameB, b]))
      }),
      { numRuns: 3_000 },
    )
  })
})
