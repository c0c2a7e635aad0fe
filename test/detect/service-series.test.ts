import { describe, expect, test } from 'vitest'
import type { Anomaly, Finding, Series } from '../../src/model.ts'
import type { Scores } from '../../src/detect/detector.ts'
import { RandomNet } from '../../src/detect/service/random-net.ts'
import { SeriesTable, type Entry } from '../../src/detect/series/series-table.ts'
import { seriesConfig } from '../../src/detect/series/series-config.ts'
import { serviceDetector } from '../../src/detect/service/service.ts'
import { ServiceModel } from '../../src/detect/service/service-model.ts'
import { ServiceSeries } from '../../src/detect/service/service-series.ts'
import { SnapshotReader, SnapshotWriter } from '../../src/detect/snapshot.ts'
import { StepBoard } from '../../src/detect/service/step-board.ts'
import { BLOCK_ROWS, StepHistory } from '../../src/detect/service/step-history.ts'
import { noise } from './metric-feed.ts'

const MINUTE = 60_000
const START = Date.UTC(2026, 0, 5)
const table = new SeriesTable(seriesConfig.parse({}))

function entryOf(name: string, service = 'shop', instance = 'shop-1', labels: Readonly<Record<string, string>> = {}): Entry {
  const pairs = Object.entries({ ...labels, instance }).sort(([a], [b]) => (a < b ? -1 : 1))
  const key = JSON.stringify([name, service, pairs])
  const series: Series = { key, name, type: 'gauge', labels: pairs, service, instance }
  return table.entry(table.find(key) ?? table.add(series)!)
}

class Bench {
  readonly board = new StepBoard()
  readonly found: Finding[] = []
  readonly scores: number[] = []
  readonly watch: ServiceSeries
  constructor(config: Record<string, unknown> = {}) {
    const tell = (_detector: string, _subject: string, _timeMs: number, { point }: Readonly<Scores>) => this.scores.push(point)
    this.watch = new ServiceSeries(serviceDetector.config.parse(config), this.board, tell)
  }

  row(at: number, values: Readonly<Record<string, number>>, service = 'shop', instance?: string): void {
    for (const [name, value] of Object.entries(values)) this.board.observe(entryOf(name, service, instance), value)
  }

  close(at: number): void {
    this.watch.close(START + (at + 1) * MINUTE, (finding) => this.found.push(finding))
  }

  get anomalies(): readonly Anomaly[] {
    return this.found.filter((finding) => finding.kind === 'anomaly')
  }

  snapshot(): Uint8Array {
    const to = new SnapshotWriter(2)
    this.watch.snapshot(to)
    return to.finish()
  }

  restore(bytes: Uint8Array): void {
    const from = new SnapshotReader(bytes, 'a test', 2)
    this.watch.restore(from)
    from.end()
  }
}

/** Everything follows the load, in units of its own; `disk` never moves. */
function load(seed: number): () => Record<string, number> {
  const random = noise(seed)
  let level = 0
  return () => {
    level = 0.9 * level + 0.3 * random()
    const e = () => 0.05 * random()
    return {
      requests: 500 + 100 * (level + e()),
      cpu: 0.4 + 0.1 * (level + e()),
      bytes: 2e9 + 3e8 * (level + e()),
      threads: 80 + 10 * (level + e()),
      sessions: 1000 - 50 * (level + e()),
      wait: 5 + level + e(),
      disk: 7e11,
    }
  }
}

describe('a model of a service’s own series', () => {
  test('a correlation that breaks is told, with the series that broke it and what the rest suggests, and never pages', () => {
    const bench = new Bench()
    const next = load(1)
    for (let at = 0; at < 1400; at++) {
      const row = next()
      bench.row(at, at >= 1300 && at < 1330 ? { ...row, cpu: 1.2 } : row)
      bench.close(at)
    }
    const [opened] = bench.anomalies
    expect(new Set(bench.anomalies.map(({ id }) => id)).size).toBe(1)
    expect(opened).toMatchObject({ service: 'shop', impact: false, direction: 'up', subject: 'how its series move together' })
    expect(opened!.startMs).toBeGreaterThan(START + 1300 * MINUTE)
    expect(opened!.startMs).toBeLessThan(START + 1306 * MINUTE)
    expect(opened!.evidence[1]).toMatch(/^cpu: 1\.2.* where the rest suggests 0\.\d+.* \(\d+ % of the score\)\.$/)
    expect(bench.anomalies.at(-1)!.endMs).toBeDefined()
  })

  test('a load that rises in all of them is not', () => {
    const bench = new Bench()
    const next = load(2)
    for (let at = 0; at < 1400; at++) {
      bench.row(at, next())
      bench.close(at)
    }
    expect(bench.anomalies).toEqual([])
  })

  test('a column that never moved and then does is seen, whatever its unit', () => {
    const bench = new Bench()
    const next = load(4)
    for (let at = 0; at < 700; at++) {
      bench.row(at, at >= 690 ? { ...next(), disk: 9e11 } : next())
      bench.close(at)
    }
    expect(Math.max(...bench.scores.slice(-10))).toBeGreaterThan(5 * Math.max(...bench.scores.slice(-100, -12)))
  })

  test('it is fitted at 64 rows and whenever they have doubled, and at once when asked', () => {
    const bench = new Bench()
    const next = load(5)
    const fits: number[] = []
    for (let at = 0; at < 600; at++) {
      bench.row(at, next())
      bench.close(at)
      if (bench.watch.counts()['model_fits']! > fits.length) fits.push(at + 1)
    }
    expect(fits).toEqual([64, 128, 256, 512])
    bench.watch.fitNow()
    expect(bench.watch.counts()['model_fits']).toBe(5)
  })

  test('series that come and go, and a pod that takes the place of another, raise nothing', () => {
    const bench = new Bench()
    const next = load(6)
    for (let at = 0; at < 900; at++) {
      const { wait, ...rest } = next()
      bench.row(at, at > 500 && at < 700 ? rest : { ...rest, wait: wait! }, 'shop', at < 400 ? 'shop-a' : 'shop-b')
      if (at > 300) bench.row(at, { late: 5 }, 'shop', 'shop-b')
      bench.close(at)
    }
    expect(bench.board.services.get('shop')!.columns).toHaveLength(8)
    expect(bench.anomalies).toEqual([])
  })

  test('5,000 series of a service take no more room than 64', () => {
    const bench = new Bench()
    const names = Array.from({ length: 5000 }, (_, i) => entryOf(`m${i}`, 'wide'))
    for (let at = 0; at < 3; at++) {
      for (const entry of names) bench.board.observe(entry, at)
      bench.close(at)
    }
    const { columns, keys } = bench.board.services.get('wide')!
    expect(columns).toHaveLength(64)
    expect(keys.size).toBeLessThanOrEqual(64 * 16)
  })

  test('one metric with many labels leaves room for others', () => {
    const board = new StepBoard()
    board.open({ maxServices: 1, maxColumns: 8 })
    for (let i = 0; i < 20; i++) board.observe(entryOf('cores', 'host', 'h', { core: `${i}` }), 1)
    board.observe(entryOf('memory', 'host', 'h'), 1)
    expect(board.services.get('host')!.columns.map(({ metric }) => metric)).toEqual(['cores', 'cores', 'memory'])
  })

  test('history keeps to its budget however many services there are', () => {
    const bench = new Bench({ historyMegabytes: 0.2 })
    const next = load(7)
    for (let at = 0; at < 700; at++) {
      for (let s = 0; s < 12; s++) bench.row(at, next(), `s${s}`)
      bench.close(at)
    }
    expect(bench.watch.counts()['history_bytes']).toBeLessThanOrEqual(0.2 * 1_048_576)
    expect(bench.watch.counts()['modelled_services']).toBe(12)
  })

  test('what no number should be does no harm', () => {
    const bench = new Bench()
    const next = load(8)
    const hostile = [Number.NaN, Number.POSITIVE_INFINITY, 1e308, -1e308, 0, 5e-324]
    for (let at = 0; at < 400; at++) {
      bench.row(at, { ...next(), __proto__x: hostile[at % hostile.length]!, constructor: 1e308 * (at % 2) })
      bench.close(at)
    }
    expect(bench.scores.length).toBeGreaterThan(300)
    expect(bench.scores.every(Number.isFinite)).toBe(true)
  })

  test('restored from a snapshot, in the middle of a row and around a fit, it goes on as if nothing had been', () => {
    const rows = Array.from({ length: 420 }, load(9)).map((row, at) => (at >= 390 ? { ...row, cpu: 3 } : row))
    const whole = new Bench()
    for (let at = 0; at < rows.length; at++) {
      whole.row(at, rows[at]!)
      whole.close(at)
    }
    for (const cut of [10, 63, 64, 200, 256, 395]) {
      const before = new Bench()
      for (let at = 0; at < cut; at++) {
        before.row(at, rows[at]!)
        before.close(at)
      }
      before.row(cut, rows[cut]!)
      const after = new Bench()
      after.restore(before.snapshot())
      for (let at = cut; at < rows.length; at++) {
        if (at > cut) after.row(at, rows[at]!)
        after.close(at)
      }
      expect([...before.scores, ...after.scores], `cut at ${cut}`).toEqual(whole.scores)
      expect([...before.found, ...after.found]).toEqual(whole.found)
      expect(after.snapshot()).toEqual(whole.snapshot())
    }
  })
})

test('a history that is full loses whole blocks, evenly, and keeps the newest', () => {
  const history = new StepHistory()
  for (let r = 0; r < BLOCK_ROWS * 37 + 5; r++) history.push(r, Float64Array.of(r), 1, 8)
  const begins = history.blocks.map((block) => block.timeMs[0]! / BLOCK_ROWS)
  expect(begins).toEqual([0, 8, 16, 24, 32, 37].slice(0, begins.length - 1).concat(37))
  expect(history.blocks.at(-1)!.timeMs[4]).toBe(BLOCK_ROWS * 37 + 4)
  expect(history.rows).toBe(BLOCK_ROWS * 37 + 5)
})

test('the net gives back what its columns have in common and not what one does alone', () => {
  const random = noise(1)
  const [rows, width] = [500, 40]
  const values = new Float64Array(rows * width)
  for (let r = 0; r < rows; r++) {
    const common = random() * 0.7
    for (let i = 0; i < width; i++) values[r * width + i] = common + 0.05 * random()
  }
  const net = RandomNet.fit(values, rows, width)
  const out = new Float64Array(width)
  net.pass(new Float64Array(width).fill(0.5), out)
  for (const value of out) expect(value).toBeCloseTo(0.5, 0)
  const alone = new Float64Array(width)
  alone[7] = 3
  net.pass(alone, out)
  expect(Math.abs(3 - out[7]!)).toBeGreaterThan(2)
})

test('an incident in the history does not teach the next model that it is normal', () => {
  const random = noise(3)
  const history = new StepHistory()
  const bases = new Float64Array(6)
  let level = 0
  const row = (broken: boolean): Float64Array => {
    level = 0.9 * level + 0.3 * random()
    const values = Float64Array.from({ length: 6 }, () => level + 0.05 * random())
    if (broken) values.set([30, -30], 2)
    return values
  }
  let model: ServiceModel | undefined
  for (let at = 0; at < 500; at++) {
    history.push(at * MINUTE, row(at >= 300 && at < 306), 6, 32)
    if (at === 255) model = ServiceModel.fit(history, bases, undefined)
  }
  const taught = (before: ServiceModel | undefined): number => {
    const next = ServiceModel.fit(history, bases, before)!
    const incident = [1, 2, 3, 4, 5].map((minute) => next.judge((500 + minute) * MINUTE, Float64Array.of(0, 0, 30, -30, 0, 0)))
    return Math.max(...incident)
  }
  // The first fit trusts what it is given; one that knows better leaves those rows out.
  expect(taught(model)).toBeGreaterThan(2 * taught(undefined))
})
