/** How lines were sorted into templates, on ten lines by hand. */
import { expect, test } from 'vitest'
import { groupFigures, templateFigures } from '../../src/evaluate/grouping.ts'

/** Each line a letter. */
const TRUTH = 'aaaabbbccd'.split('')

test.each<[string, string, number, number]>([
  ['all right, whatever the groups are called', '1111222334', 1, 1],
  ['one group cut in two: all its lines are wrong', '1155222334', 0.6, 6 / 9],
  ['two groups thrown together: the lines of both are wrong', '1111111334', 0.3, 4 / 7],
  ['one line strayed: two groups are wrong', '1111223334', 0.5, 4 / 8],
  ['everything one group', '1111111111', 0, 0],
  ['every line its own group', '0123456789', 0.1, 2 / 14],
])('groups: %s', (_, found, ga, fga) => {
  const figures = groupFigures(found.split(''), TRUTH)
  expect(figures.ga).toBeCloseTo(ga, 12)
  expect(figures.fga).toBeCloseTo(fga, 12)
})

test.each<[string, string, number, number]>([
  ['to the letter', 'aaaabbbccd', 1, 1],
  ['a template with another text: right group, wrong words', 'aaaaBBBccd', 0.7, 3 / 4],
  ['a template that took a stray line', 'aaaabbbccc', 0.9, 4 / 7],
  ['a template that lost a line: what it has is right', 'aaaXbbbccd', 0.9, 8 / 9],
])('templates: %s', (_, found, pa, fta) => {
  const figures = templateFigures(found.split(''), TRUTH)
  expect(figures.pa).toBeCloseTo(pa, 12)
  expect(figures.fta).toBeCloseTo(fta, 12)
})

test('no lines, no figures', () => expect(groupFigures([], [])).toEqual({ ga: Number.NaN, fga: Number.NaN }))
