/** The volume under the precision-recall surface: against its definition written out plainly, and against a published figure. */
import { describe, expect, test } from 'vitest'
import { vusPr, windowRowsOf } from '../../src/evaluate/vus-pr.ts'
import { readTable } from './published.ts'

/** The definition, threshold by threshold and row by row. */
function plainly(label: Uint8Array, score: Float64Array, windowRows: number): number {
  const rows = label.length
  const starts = [...label.keys()].filter((i) => label[i] === 1 && label[i - 1] !== 1)
  const segments = starts.map((first) => [first, [...label.keys()].find((i) => i >= first && label[i + 1] !== 1)!] as const)
  const falling = score.slice().sort().reverse()
  const thresholds = Array.from({ length: 250 }, (_, k) => falling[Math.floor((k * (rows - 1)) / 249)]!)
  let volume = 0
  for (let window = 0; window <= windowRows; window++) {
    const half = Math.floor(window / 2)
    const soft = Float64Array.from(label, (mark, i) => {
      let sum: number = mark
      for (const [first, last] of segments) {
        const d = i < first ? first - i : i > last ? i - last : 0
        if (d > 0 && d <= half) sum += Math.sqrt(1 - d / window)
      }
      return Math.min(1, sum)
    })
    const groups: [number, number][] = []
    for (const [first, last] of segments) {
      const group = groups.at(-1)
      if (group !== undefined && group[1] >= first - half) group[1] = last + half
      else groups.push([first - half, last + half])
    }
    let before = 0
    for (const threshold of thresholds) {
      const met = (i: number) => score[i]! >= threshold
      let hits = 0
      let positives = 0
      let predicted = 0
      for (let i = 0; i < rows; i++) {
        if (met(i)) predicted++
        if (met(i)) hits += soft[i]!
        positives += label[i] === 1 ? 1 : met(i) ? soft[i]! / 2 : 0
      }
      const exist = groups.filter(([a, b]) => [...label.keys()].some((i) => i >= a && i <= b && met(i))).length / groups.length
      const recall = Math.min(1, hits / positives) * exist
      volume += ((recall - before) * hits) / predicted
      before = recall
    }
  }
  return volume / (windowRows + 1)
}

describe('the fast way', () => {
  test.each([
    [
      'segments far apart',
      600,
      [
        [100, 110],
        [300, 340],
      ],
      20,
      1,
    ],
    [
      'segments whose margins touch',
      400,
      [
        [100, 110],
        [116, 120],
        [131, 131],
      ],
      30,
      2,
    ],
    [
      'segments at both ends',
      300,
      [
        [0, 5],
        [290, 299],
      ],
      24,
      3,
    ],
    [
      'no tolerance',
      300,
      [
        [50, 60],
        [200, 220],
      ],
      0,
      4,
    ],
    [
      'fewer rows than thresholds',
      80,
      [
        [10, 14],
        [40, 40],
      ],
      9,
      5,
    ],
  ] as const)('%s: agrees with the definition', (_, rows, segments, windowRows, seed) => {
    const label = new Uint8Array(rows)
    for (const [first, last] of segments) label.fill(1, first, last + 1)
    let state: number = seed
    const score = Float64Array.from(label, (mark) => {
      state = (state * 48_271) % 2_147_483_647
      return Math.round(((state % 1000) / 1000 + mark * 0.4) * 50)
    })
    expect(vusPr(label, score, windowRows)).toBeCloseTo(plainly(label, score, windowRows), 10)
  })

  test.each<[string, number[], number]>([
    ['everything right', [0, 0, 1, 1, 0, 0], 1],
    ['not judged is less than anything', [Number.NaN, Number.NaN, 1, 1, Number.NaN, 0], 1],
    ['all the same: as many as are labelled', [3, 3, 3, 3, 3, 3], 2 / 6],
  ])('%s', (_, score, expected) => {
    expect(vusPr(Uint8Array.of(0, 0, 1, 1, 0, 0), Float64Array.from(score), 0)).toBeCloseTo(expected, 12)
  })

  test('without labels there is nothing to measure', () => expect(vusPr(new Uint8Array(9), new Float64Array(9), 3)).toBeNaN())
})

describe('the window', () => {
  const wave = (rows: number, period: number) => Float64Array.from({ length: rows }, (_, i) => Math.sin((2 * Math.PI * i) / period))
  test.each<[string, Float64Array, number]>([
    ['is the period', wave(2000, 48), 48],
    ['is of the first 20,000 rows', Float64Array.of(...wave(20_000, 60), ...wave(20_000, 90)), 60],
    ['has a default where nothing repeats', new Float64Array(500).fill(7), 125],
    ['has a default where the period is too long', wave(4000, 350), 125],
    ['has a default where there is next to nothing', wave(5, 3), 125],
  ])('%s', (_, values, expected) => expect(windowRowsOf(values)).toBe(expected))
})

test("a machine of the Server Machine Dataset: TSB-AD's figure for HBOS", () => {
  const rows = readTable('smd-machine-2-3-hbos.csv.gz')
  const window = windowRowsOf(Float64Array.from(rows, ([first]) => Number(first)))
  const score = Float64Array.from(rows, ([, rank]) => Number(rank))
  const label = Uint8Array.from(rows, ([, , mark]) => Number(mark))
  expect(window).toBe(19)
  expect(vusPr(label, score, window)).toBeCloseTo(0.3127266557406587, 9)
})
