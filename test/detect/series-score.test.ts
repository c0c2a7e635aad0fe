/** How strange each value of a series is: the parts as small truths, then whole stories. */
import { describe, expect, test } from 'vitest'
import { cover, distanceTo, uncover } from '../../src/detect/series/coverage.ts'
import type { ScoreSink } from '../../src/detect/detector.ts'
import { seededRandom } from '../../src/detect/random.ts'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import { learnMedian, learnTail, ratioToMedian, tailScore } from '../../src/detect/series/running.ts'
import { SeriesDetector } from '../../src/detect/series/series.ts'
import { seriesConfig } from '../../src/detect/series/series-config.ts'
import { SeriesScores } from '../../src/detect/series/series-score.ts'
import { distances, sampleAt } from '../../src/detect/series/shingles.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'
import { batchOf, noise, seriesOf, START_MS } from './metric-feed.ts'

const STEP_MS = 60_000

interface Told {
  readonly point: number[]
  readonly onset: number[]
  readonly incident: number[]
}

function told(values: Iterable<number>, scores = new SeriesScores(32), slot = 0, fromRow = 0): Told {
  const all: Told = { point: [], onset: [], incident: [] }
  const out = { point: 0, onset: 0, incident: 0, decision: 0 }
  let row = fromRow
  for (const value of values) {
    scores.judge(slot, START_MS + row++ * STEP_MS, value, out)
    all.point.push(out.point)
    all.onset.push(out.onset)
    all.incident.push(out.incident)
  }
  return all
}

/** A day's swing and noise. */
function daily(rows: number, seed = 1): number[] {
  const z = noise(seed)
  return Array.from({ length: rows }, (_, row) => 100 + 20 * Math.sin((2 * Math.PI * row) / 1440) + z())
}

describe('a covering set', () => {
  function covering(values: number[], capacity: number): Float32Array {
    const set = new Float32Array(capacity + 2)
    let count = 0
    for (const value of values) count = cover(set, 1, count, capacity, value)
    expect([set[0], set[capacity + 1]], 'its neighbours in the array are left alone').toEqual([0, 0])
    return set.slice(1, count + 1)
  }

  test.each([
    ['is sorted, equal values once', [3, 1, 2, 2, 1], [1, 2, 3]],
    ['gives up a new value in the closest pair', [0, 10, 20, 30, 11], [0, 11, 20, 30]],
    ['gives up an old one where the new one fills a gap', [0, 1, 2, 30, 15], [0, 2, 15, 30]],
    ['keeps a new least', [0, 10, 20, 30, -5], [-5, 10, 20, 30]],
    ['keeps a new greatest', [0, 10, 20, 30, 99], [0, 10, 20, 99]],
  ])('%s', (_, values, expected) => {
    const set = covering(values, 4)
    expect(set[0]).toBe(Math.min(...values))
    expect(set.at(-1)).toBe(Math.max(...values))
    expect(set.length).toBe(expected.length)
    expect([...set]).toEqual([...set].toSorted((a, b) => a - b))
  })

  test('leaves no stretch of the line empty where many values came from', () => {
    const random = seededRandom(5)
    const set = covering(
      Array.from({ length: 20_000 }, () => 100 * random()),
      32,
    )
    expect(set.length).toBe(32)
    const gaps = Array.from(set.slice(1), (value, i) => value - set[i]!)
    expect(Math.max(...gaps)).toBeLessThan(100 / 8)
  })

  test('tells the distance to the nearest, on both sides and outside; nothing is near or far from an empty one', () => {
    const set = Float32Array.of(-1, 2, 6)
    expect([-4, -1, 0, 1, 5, 9].map((value) => distanceTo(set, 0, 3, value))).toEqual([3, 0, 1, 1, 1, 3])
    expect(distanceTo(set, 0, 0, 9)).toBe(0)
  })

  test('forgets one value and keeps the others', () => {
    const set = Float32Array.of(1, 2, 3, 4)
    expect(uncover(set, 0, 4, 1)).toBe(3)
    expect([...set.subarray(0, 3)]).toEqual([1, 3, 4])
  })
})

describe('a sample of shingles', () => {
  test('tells how far the two nearest are: the last two values, all four, and the steps between them', () => {
    const sample = Float32Array.of(0, 0, 0, 0, 3, 4, 0, 0, 100, 100, 100, 100)
    const near = { short: 0, long: 0, shape: 0 }
    distances(sample, 0, 3, 0, 0, 0, 0, near)
    expect(near.short).toBe(2.5)
    expect(near.long).toBe(2.5)
    // The third one is the first one, a hundred higher.
    expect(near.shape).toBe(0)
    distances(sample, 0, 1, 5, 5, 5, 5, near)
    expect(near).toEqual({ short: 0, long: 0, shape: 0 })
  })

  test('is full after as many rows as it holds, then takes one in so many, anywhere in it', () => {
    expect(sampleAt(3, 8, 3, 320, 0.99)).toBe(3)
    expect(sampleAt(8, 8, 8, 320, 0.99)).toBe(7)
    expect(sampleAt(8, 8, 80, 320, 0.2)).toBe(-1)
    expect(sampleAt(8, 8, 80, 320, 0.05)).toBe(4)
    // However long it was: as if the last 320 rows were all.
    expect(sampleAt(8, 8, 1e6, 320, 0.02)).toBe(6)
  })
})

describe('what is usual', () => {
  test('the running median and tail of an exponential quantity are found, at any scale', () => {
    for (const scale of [1e-20, 1, 1e20]) {
      const state = new Float32Array(3)
      const random = seededRandom(8)
      let atMedian = 0
      let tails = 0
      for (let row = 0; row < 20_000; row++) {
        const z = -Math.log(1 - random()) * scale
        if (row >= 10_000) {
          if (z > state[0]!) atMedian++
          if (tailScore(state, 1, z) > 2) tails++
        }
        learnMedian(state, 0, z, row)
        learnTail(state, 1, z, row)
      }
      expect(atMedian / 10_000).toBeCloseTo(0.5, 1)
      // A fifth lies above the start, of which a tenth lies a power of ten out.
      expect(tails / 10_000).toBeGreaterThan(0.01)
      expect(tails / 10_000).toBeLessThan(0.035)
    }
  })

  test('zeros are nothing and teach nothing; the first that is not is of a middling size', () => {
    const state = new Float32Array(3)
    for (let row = 0; row < 100; row++) {
      learnMedian(state, 0, 0, row)
      learnTail(state, 1, 0, row)
    }
    expect([...state]).toEqual([0, 0, 0])
    expect([ratioToMedian(state, 0, 0), ratioToMedian(state, 0, 5), tailScore(state, 1, 0), tailScore(state, 1, 5)]).toEqual([0, 1, 0, 1])
  })
})

describe('the scores of a series', () => {
  const spiked = daily(6000)
  spiked[5000] = 200
  const scores = told(spiked)
  const greatest = (values: number[], from: number, to: number) => Math.max(...values.slice(from, to))

  test('a spike stands out, in all three', () => {
    for (const name of ['point', 'onset', 'incident'] as const) {
      expect(greatest(scores[name], 5000, 5001), name).toBeGreaterThan(1.3 * greatest(scores[name], 2000, 5000))
    }
  })

  test('its peak decays over the rows after it; its onset is told once', () => {
    for (let row = 5001; row < 5004; row++) {
      expect(scores.point[row]).toBeLessThan(scores.point[row - 1]!)
      expect(scores.onset[row]).toBe(0)
    }
    expect(scores.point[5030]).toBeLessThan(scores.point[5000]! / 2)
  })

  test('the same spike an hour later is no new incident', () => {
    const twice = [...spiked]
    twice[5060] = 200
    expect(told(twice).incident[5060]).toBe(0)
  })

  test('a value between two levels is new though it is no extreme', () => {
    const z = noise(4)
    const levels = Array.from({ length: 4000 }, (_, row) => (Math.floor(row / 200) % 2 === 0 ? 0 : 100) + z())
    levels[3050] = 50
    const { incident } = told(levels)
    expect(incident[3050]).toBeGreaterThan(greatest(incident, 1000, 3050))
  })

  test.each([
    ['a thousand times smaller', (x: number) => x / 1024],
    ['a million times larger', (x: number) => x * 1_048_576],
    ['elsewhere', (x: number) => x + 4096],
    ['far away', (x: number) => x - 2 ** 30],
  ])('are the same for the same series %s', (_, change) => {
    // Values on a grid, so that only what the scores do can differ.
    const values = spiked.map((x) => Math.round(x * 1024) / 1024)
    const there = told(values.map(change))
    const here = told(values)
    for (const name of ['point', 'onset', 'incident'] as const) {
      for (let row = 0; row < values.length; row += 7) expect(there[name][row]).toBeCloseTo(here[name][row]!, 3)
    }
  })

  test('nothing is strange about the first rows, nor about what never changes', () => {
    const constant = told(Array.from({ length: 500 }, () => 42))
    expect([...constant.point, ...constant.onset, ...constant.incident].every((score) => score === 0)).toBe(true)
    expect(told([1, 1e9, -7, 3, 1e5]).point).toEqual([0, 0, 0, 0, 0])
  })

  test.each([
    ['the largest numbers there are, of either sign', (row: number) => (row % 3 === 0 ? 1.7e308 : -1.7e308)],
    ['a jump to 1e308', (row: number) => (row < 300 ? Math.sin(row) : 1e308)],
    ['alternating', (row: number) => row % 2],
    ['the smallest number there is', (row: number) => (row % 7) * 5e-324],
    ['tiny steps on a huge offset', (row: number) => 9e15 + (row % 5)],
    ['ever faster growth', (row: number) => 2 ** Math.min(1000, row)],
    ['constant, then one blip', (row: number) => (row === 700 ? 1 : 0)],
  ])('are finite and never negative: %s', (_, value) => {
    const { point, onset, incident } = told(Array.from({ length: 1500 }, (_, row) => value(row)))
    for (const score of [...point, ...onset, ...incident]) expect(Number.isFinite(score) && score >= 0).toBe(true)
  })

  test('one series does not see another, nor who had its slot before', () => {
    const alone = told(daily(900, 2))
    const together = new SeriesScores(32)
    told(daily(300, 9), together, 1)
    told(daily(500, 7), together, 0)
    together.forget(0)
    const parts = [0, 300, 600].map((from) => {
      const part = told(daily(900, 2).slice(from, from + 300), together, 0, from)
      told(daily(50, from), together, 1, 1000 + from)
      return part
    })
    expect(parts.flatMap(({ point }) => point)).toEqual(alone.point)
    expect(parts.flatMap(({ incident }) => incident)).toEqual(alone.incident)
  })

  test.each([3, 7, 8, 20, 31, 32, 33, 700])('go on as if nothing had been when they are restored after %i rows', (rows) => {
    const values = daily(1200, 3)
    const first = new SeriesScores(32)
    told(values.slice(0, rows), first)
    const to = new SnapshotWriter(1)
    first.snapshot(to)
    const second = new SeriesScores(32)
    second.restore(new SnapshotReader(to.finish(), 'a test', 1))
    const again = new SnapshotWriter(1)
    second.snapshot(again)
    expect(again.finish()).toEqual(to.finish())
    expect(told(values.slice(rows), second, 0, rows)).toEqual(told(values.slice(rows), first, 0, rows))
  })

  test('begin anew when the reservoir has another size than the one that was kept', () => {
    const kept = new SeriesScores(32)
    told(daily(500), kept)
    const to = new SnapshotWriter(1)
    kept.snapshot(to)
    const other = new SeriesScores(64)
    const from = new SnapshotReader(to.finish(), 'a test', 1)
    other.restore(from)
    from.end()
    expect(told(daily(500), other)).toEqual(told(daily(500), new SeriesScores(64)))
  })

  test('take little memory while a series is young, and 1.2 KB when it is old', () => {
    const bytesAt = (rows: number) => {
      const scores = new SeriesScores(32)
      const out = { point: 0, onset: 0, incident: 0, decision: 0 }
      for (let row = 0; row < rows; row++) {
        for (let slot = 0; slot < 4096; slot++) scores.judge(slot, START_MS + row * STEP_MS, (row * 7 + slot) % 13, out)
      }
      return scores.bytes / 4096
    }
    expect(bytesAt(7)).toBeLessThan(400)
    expect(bytesAt(40)).toBeLessThan(1200)
  })
})

describe('the detector', () => {
  const config = seriesConfig.parse({})
  const series = seriesOf('temperature')
  const rows = daily(400)

  function detector(): { detector: SeriesDetector; lines: string[] } {
    const lines: string[] = []
    const scores: ScoreSink = (name, subject, timeMs, { point, onset, incident, decision }) => {
      lines.push([name, subject, timeMs, point, onset, incident, decision].join(' '))
    }
    return { detector: new SeriesDetector(config, { partition: 0, residuals: new ResidualBoard(), scores }), lines }
  }

  function feed(to: SeriesDetector, from: number, until: number, rowsPerBatch: number): void {
    for (let row = from; row < until; row += rowsPerBatch) {
      const batch = rows
        .slice(row, Math.min(until, row + rowsPerBatch))
        .map((value, i) => [series, START_MS + (row + i) * STEP_MS, value] as const)
      to.detect(batchOf(batch), () => undefined)
    }
  }

  test('tells a score for every value, whatever the batches', () => {
    const [one, many] = [detector(), detector()]
    feed(one.detector, 0, 400, 1)
    feed(many.detector, 0, 400, 57)
    expect(one.lines.length).toBe(400)
    expect(one.lines.at(-1)).toMatch(new RegExp(`^series \\S.* ${START_MS + 399 * STEP_MS} [\\d.]+ [\\d.]+ [\\d.]+ [\\d.]+$`))
    expect(many.lines).toEqual(one.lines)
  })

  test('goes on from a snapshot with the same scores', () => {
    const [through, before, after] = [detector(), detector(), detector()]
    feed(through.detector, 0, 400, 10)
    feed(before.detector, 0, 200, 10)
    after.detector.restore(before.detector.snapshot())
    feed(after.detector, 200, 400, 10)
    expect([...before.lines, ...after.lines]).toEqual(through.lines)
  })
})
