/** Histograms of one service whose bounds differ, and come and go, add up to what all of them are sure of. */
import { describe, expect, it } from 'vitest'
import { BucketGroup } from '../../src/detect/series/bucket-group.ts'
import { RequestWindows, type RequestWindow } from '../../src/detect/series/request-windows.ts'
import { SeriesTable } from '../../src/detect/series/series-table.ts'
import { seriesOf, START_MS } from './metric-feed.ts'

const INF = Number.POSITIVE_INFINITY
type Bucket = readonly [bound: number, increment: number, spanMs?: number]

/** Samples of several instances, one after the other, into one window. */
class Gathering {
  readonly group = new BucketGroup()
  readonly #windows = new RequestWindows({ windowMs: 10_000, maxWindowMs: 60_000, leastRequests: 1, maxWindows: 9 }, () => 0)
  readonly window: RequestWindow = this.#windows.of('p95', 'shop', 'latency_seconds', [])!

  sample(buckets: readonly Bucket[], timeMs = START_MS): this {
    for (const [bound, increment, spanMs = 5000] of buckets) {
      if (this.group.add(this.window, timeMs, bound, increment, spanMs))
        this.group.addTo(this.window, (window, at) => this.#windows.boundIndex(window, at))
    }
    return this
  }

  /** Another instance: something else of it comes before its buckets. */
  next(): this {
    this.group.interrupt()
    return this
  }

  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.window.bounds.map((bound, i) => [bound, this.window.counts[i]!]))
  }
}

const whole: readonly Bucket[] = [
  [0.1, 5],
  [0.2, 8],
  [INF, 10],
]

describe('the histograms of one window', () => {
  it('with the same bounds are added bound by bound', () => {
    expect(new Gathering().sample(whole).next().sample(whole).counts).toEqual({ 0.1: 10, 0.2: 16, Infinity: 20 })
  })

  it.each<[what: string, first: readonly Bucket[], second: readonly Bucket[], counts: Record<string, number>]>([
    [
      'one with a bound less counts there as much as at the bound below',
      whole,
      [
        [0.1, 2],
        [INF, 3],
      ],
      { 0.1: 7, 0.2: 10, Infinity: 13 },
    ],
    [
      'one with a higher first bound counts nothing below it',
      whole,
      [
        [0.2, 2],
        [INF, 3],
      ],
      { 0.1: 5, 0.2: 10, Infinity: 13 },
    ],
    [
      'a bound that is new gets what lay below it before',
      whole,
      [
        [0.15, 2],
        [0.3, 2],
        [INF, 3],
      ],
      { 0.1: 5, 0.15: 7, 0.2: 10, 0.3: 10, Infinity: 13 },
    ],
    [
      'a new lowest bound has nothing below it',
      whole,
      [
        [0.05, 2],
        [INF, 3],
      ],
      { 0.05: 2, 0.1: 7, 0.2: 10, Infinity: 13 },
    ],
    ['without any bounds only their number counts', whole, [[INF, 3]], { 0.1: 5, 0.2: 8, Infinity: 13 }],
  ])('%s', (_what, first, second, counts) => {
    expect(new Gathering().sample(first).next().sample(second).counts).toEqual(counts)
  })

  it.each<[what: string, buckets: readonly Bucket[], counts: Record<string, number>]>([
    [
      'whose increment is not known says no more than the one below',
      [
        [0.1, 5],
        [0.2, Number.NaN],
        [INF, 10],
      ],
      { 0.1: 5, Infinity: 10 },
    ],
    [
      'that tells of a longer time than the others says no more than the one below',
      [
        [0.1, 5],
        [0.2, 9, 15_000],
        [INF, 10],
      ],
      { 0.1: 5, 0.2: 5, Infinity: 10 },
    ],
    [
      'that counts more than there were counts all',
      [
        [0.1, 5],
        [0.2, 12],
        [INF, 10],
      ],
      { 0.1: 5, 0.2: 10, Infinity: 10 },
    ],
    [
      'that counts less than the one below counts the same',
      [
        [0.1, 5],
        [0.2, 3],
        [INF, 10],
      ],
      { 0.1: 5, 0.2: 5, Infinity: 10 },
    ],
  ])('a bucket %s', (_what, buckets, counts) => {
    expect(new Gathering().sample(buckets).counts).toEqual(counts)
  })
})

describe('a sample that is not whole is left out', () => {
  it('where it has no last bucket', () => {
    expect(new Gathering().sample([[0.1, 9]]).sample(whole).counts).toEqual({ 0.1: 5, 0.2: 8, Infinity: 10 })
  })

  it('where the next one is of a later time', () => {
    const gathering = new Gathering().sample(whole.slice(0, 1))
    expect(gathering.sample(whole.slice(1), START_MS + 5000).counts).toEqual({ 0.2: 8, Infinity: 10 })
  })

  it('where how many there were is not known', () => {
    expect(
      new Gathering()
        .sample([
          [0.1, 5],
          [INF, Number.NaN],
        ])
        .next()
        .sample(whole).counts,
    ).toEqual({ 0.1: 5, 0.2: 8, Infinity: 10 })
  })

  it('where the batch before ended in the middle of it; the next one counts', () => {
    const gathering = new Gathering().sample(whole.slice(0, 2))
    gathering.group.begin()
    gathering.sample(whole.slice(2))
    expect(gathering.counts).toEqual({})
    expect(gathering.sample(whole, START_MS + 5000).counts).toEqual({ 0.1: 5, 0.2: 8, Infinity: 10 })
  })

  it('where the batch begins with a part of it that is not the last', () => {
    const gathering = new Gathering()
    gathering.group.begin()
    gathering.sample(whole.slice(1, 2))
    expect(gathering.sample(whole, START_MS + 5000).counts).toEqual({ 0.1: 5, 0.2: 8, Infinity: 10 })
  })
})

it('a bucket that is seen for the first time has counted something long before, whatever its instance is known for', () => {
  const table = new SeriesTable({ maxSeries: 9, maxSeriesPerService: 9 })
  const entryOf = (name: string, type: 'sketch' | 'unknown') => table.entry(table.add({ ...seriesOf(name, { le: '0.5' }), type })!)
  const other = entryOf('other_bucket', 'unknown')
  for (let i = 0; i < 5; i++) table.heard(other, START_MS + i * 5000, START_MS + i * 5000)
  expect(table.increment(entryOf('a_bucket', 'unknown'), START_MS + 20_000, 70)).toBe(70)
  expect(table.increment(entryOf('b_bucket', 'sketch'), START_MS + 20_000, 70)).toBeNaN()
})
