/** Native histograms become classic ones with few buckets: every count exact, quantiles near the true ones, whatever the resolution they came in. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MetricColumns } from '../../src/ingest/columns.ts'
import { admitSeries, CUMULATIVE_SKETCH, DELTA, pushDistribution, pushStaleDistribution } from '../../src/ingest/metrics/metric-series.ts'
import { denseBuckets, explicitGrid, gridOf, NO_BUCKETS } from '../../src/ingest/metrics/native-histogram.ts'
import type { Buckets, Distribution } from '../../src/ingest/metrics/native-histogram.ts'
import { newContext, samplesOf } from './doors-fixture.ts'

/** The buckets of a scale, as OpenTelemetry numbers them: (base^index, base^(index + 1)]. */
function bucketsOf(values: readonly number[], scale: number): Buckets {
  const counts = new Map<number, number>()
  for (const value of values) {
    let index = Math.ceil(Math.log2(value) * 2 ** scale) - 1
    while (2 ** (index / 2 ** scale) >= value) index--
    while (2 ** ((index + 1) / 2 ** scale) < value) index++
    counts.set(index, (counts.get(index) ?? 0) + 1)
  }
  const sorted = [...counts].sort((a, b) => a[0] - b[0])
  return { indexes: sorted.map(([index]) => index), counts: sorted.map(([, count]) => count) }
}

function gridOfValues(values: readonly number[], scale: number): Distribution {
  const zero = values.filter((value) => value === 0).length
  return gridOf(
    scale,
    0,
    zero,
    bucketsOf(
      values.filter((value) => value > 0),
      scale,
    ),
    bucketsOf(
      values.filter((value) => value < 0).map((value) => -value),
      scale,
    ),
    values.length,
    values.reduce((sum, value) => sum + value, 0),
  )
}

/** As PromQL has it. */
function quantileOf(q: number, { bounds, cumulative, count }: Distribution): number {
  const rank = q * count
  const at = cumulative.findIndex((upTo) => upTo >= rank)
  if (at < 0) return bounds.at(-1)!
  const [lower, below] = at === 0 ? [0, 0] : [bounds[at - 1]!, cumulative[at - 1]!]
  return lower + (bounds[at]! - lower) * ((rank - below) / (cumulative[at]! - below))
}

describe('the grid', () => {
  it.each([-4, -1, 0, 1, 3, 8, 20])('counts exactly at each of its bounds (scale %i)', (scale) => {
    const value = fc.oneof(
      fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
      fc.double({ min: -1e6, max: -1e-6, noNaN: true }),
      fc.constantFrom(0, 1, 2, 0.25, Math.SQRT2),
    )
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 60 }), (values) => {
        const { bounds, cumulative, count } = gridOfValues(values, scale)
        expect(bounds.length).toBeLessThanOrEqual(28)
        expect(count).toBe(values.length)
        bounds.forEach((bound, i) => {
          if (i > 0) expect(bound).toBeGreaterThan(bounds[i - 1]!)
          // Bounds below zero are not part of their bucket; nothing that is tested lies on one.
          expect([bound, cumulative[i]]).toEqual([bound, values.filter((one) => (bound < 0 ? one < bound : one <= bound)).length])
        })
        expect(cumulative.at(-1)).toBe(values.length)
      }),
      { numRuns: 100 },
    )
  })

  it.each([0, 3, 8])('keeps quantiles from 1 % to 99 % of latencies (scale %i)', (scale) => {
    let seed = 7
    const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647
    const values = Array.from(
      { length: 5000 },
      () => 0.02 * Math.exp(1.2 * Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random())),
    )
    const sorted = values.toSorted((a, b) => a - b)
    const grid = gridOfValues(values, scale)
    expect(grid.bounds.length).toBeLessThanOrEqual(25)
    for (const q of [0.01, 0.1, 0.5, 0.9, 0.95, 0.99]) {
      const ratio = quantileOf(q, grid) / sorted[Math.ceil(q * 5000) - 1]!
      expect(ratio).toBeGreaterThan(scale === 0 ? 0.66 : 0.8)
      expect(ratio).toBeLessThan(scale === 0 ? 1.5 : 1.25)
    }
  })

  it('never loses the slow end, however rare, and gives up the fast end where it is nothing', () => {
    const { bounds, cumulative, count } = gridOfValues(
      [...Array.from({ length: 10 }, () => 1e-9), ...Array.from({ length: 5000 }, () => 0.01), 3000],
      8,
    )
    expect(bounds.at(-1)).toBe(4096)
    expect(cumulative.at(-2)).toBe(5010)
    expect([bounds[0]! > 1e-4, cumulative[0], count]).toEqual([true, 10, 5011])
    // Where too much lies at both ends the grid becomes coarser instead.
    const wide = gridOfValues([...Array.from({ length: 50 }, () => 1e-9), ...Array.from({ length: 50 }, () => 3000)], 8)
    expect([wide.bounds[0]! <= 1e-9, wide.cumulative[0], wide.bounds.length <= 25]).toEqual([true, 0, true])
  })

  it('is empty, or all zeros', () => {
    expect(gridOf(3, 0, 0, NO_BUCKETS, NO_BUCKETS, 0, 0)).toMatchObject({ bounds: new Float64Array(0), count: 0 })
    expect(gridOf(3, 0.001, 4, denseBuckets(0, [0, 0]), NO_BUCKETS, 4, 0)).toMatchObject({
      bounds: Float64Array.of(0.001),
      cumulative: Float64Array.of(4),
    })
  })

  it.each([-11, -4, 8, 20, 52])('stays small whatever the indexes (scale %i)', (scale) => {
    const hostile = { indexes: [-2147483648, -5, 7, 2147483647, 4e12], counts: [3, 1, 1, 3, 2] }
    const { bounds, cumulative } = gridOf(scale, 0, 0, hostile, hostile, 20, 0)
    expect(bounds.length).toBeLessThanOrEqual(60)
    expect([...bounds].every(Number.isFinite)).toBe(true)
    expect([...cumulative]).toEqual([...cumulative].sort((a, b) => a - b))
  })

  it('keeps the bounds that people set, at most 24 of them, always the same', () => {
    expect(explicitGrid([1, 2, 5], [1, 2, 3, 4], 10, 30)).toEqual({
      count: 10,
      sum: 30,
      bounds: Float64Array.of(1, 2, 5),
      cumulative: Float64Array.of(1, 3, 6),
    })
    const many = Array.from({ length: 100 }, (_, i) => i + 1)
    const thinned = explicitGrid(
      many,
      many.map(() => 1),
      100,
      0,
    )
    expect(thinned.bounds.length).toBeLessThanOrEqual(24)
    expect([...thinned.bounds]).toEqual([...thinned.cumulative])
    expect(thinned.bounds.at(-1)).toBe(100)
  })
})

describe('as rows', () => {
  const T = 1_795_445_000_000

  function opened(settings: Record<string, unknown> = {}) {
    const context = newContext(settings)
    const base = admitSeries(
      [
        ['__name__', 'lat_seconds'],
        ['job', 'shop'],
      ],
      context,
    )
    if (typeof base === 'string') throw new Error(base)
    const push = (values: readonly number[], timeMs: number, types = CUMULATIVE_SKETCH) => {
      const columns = new MetricColumns(context)
      const fault = pushDistribution(columns, base, timeMs, gridOfValues(values, 0), types, context)
      const batch = columns.finish()
      return {
        fault,
        batch,
        rows: samplesOf(batch).map(({ key, timeMs: at, value }) => `${key.slice(key.indexOf('_seconds') + 8)} ${at - T} ${value}`),
      }
    }
    return { context, base, push }
  }

  it('is a classic histogram', () => {
    const { push } = opened()
    const { rows, batch } = push([0.3, 0.6, 3], T)
    expect(rows).toEqual([
      '_count{job="shop"} 0 3',
      `_sum{job="shop"} 0 ${0.3 + 0.6 + 3}`,
      '_bucket{job="shop",le="0.25"} 0 0',
      '_bucket{job="shop",le="0.5"} 0 1',
      '_bucket{job="shop",le="1"} 0 2',
      '_bucket{job="shop",le="2"} 0 2',
      '_bucket{job="shop",le="4"} 0 3',
      '_bucket{job="shop",le="+Inf"} 0 3',
    ])
    expect(batch.series.map(({ name, type, service }) => `${name} ${type} ${service}`)).toEqual([
      'lat_seconds_count counter shop',
      'lat_seconds_sum counter shop',
      ...Array.from({ length: 6 }, () => 'lat_seconds_bucket sketch shop'),
    ])
  })

  it('uses the same series objects again, and goes on with a bound that was used', () => {
    const { push } = opened()
    const first = push([0.3, 0.6], T)
    const second = push([0.3, 0.6, 0.6], T + 1000)
    expect(second.batch.series.every((series, i) => series === first.batch.series[i])).toBe(true)
    // After a restart only one bucket is in use; the others say that nobody is in them any more.
    expect(push([0.6], T + 2000).rows.slice(2)).toEqual([
      '_bucket{job="shop",le="0.25"} 2000 0',
      '_bucket{job="shop",le="0.5"} 2000 0',
      '_bucket{job="shop",le="1"} 2000 1',
      '_bucket{job="shop",le="+Inf"} 2000 1',
    ])
  })

  it('says of a bound above all others what it had before, so that the first slow requests count', () => {
    const { push } = opened()
    push([0.6, 0.6], T)
    const { rows } = push([0.6, 0.6, 0.6, 5, 5], T + 1000)
    expect(rows.filter((row) => row.includes(' 0 '))).toEqual(['8', '4', '2'].map((le) => `_bucket{job="shop",le="${le}"} 0 2`))
    expect(rows).toContain('_bucket{job="shop",le="8"} 1000 5')
    expect(rows).toContain('_bucket{job="shop",le="4"} 1000 3')
    // Not after a restart: then nobody knows.
    expect(push([70], T + 2000).rows.filter((row) => row.includes(' 1000 '))).toEqual([])
  })

  it('takes no more bounds than it may, over any history', () => {
    const { push } = opened()
    const values: number[] = []
    for (let i = -30; i < 30; i++) {
      values.push(1.5 * 2 ** i)
      const { batch } = push(values, T + i * 1000 + 60_000)
      const latest = samplesOf(batch).filter(({ timeMs }) => timeMs === T + i * 1000 + 60_000)
      expect(latest.length).toBeLessThanOrEqual(35)
      const counts = latest.filter(({ key }) => key.includes('_bucket')).map(({ value }) => value)
      expect(counts).toEqual(counts.toSorted((a, b) => a - b))
    }
  })

  it('that also comes as a classic one is not written again after an hour in which only that one counted', () => {
    const { context, base, push } = opened()
    expect(push([0.3], T).fault).toBe('')
    const hour = 3_600_000
    let nowMs = context.receivedMs
    for (let at = 0; at < 3 * hour; at += 60_000) {
      nowMs += 60_000
      const now = { ...context, receivedMs: nowMs }
      context.series.usePlain(base.pieces!.all, nowMs)
      context.series.use(base.pieces!.all, nowMs)
      expect(pushDistribution(new MetricColumns(now), base, nowMs, gridOfValues([0.3], 0), CUMULATIVE_SKETCH, now)).toBe('')
      context.series.forgetIdle(nowMs)
    }
    expect(context.series.admit(base.series, nowMs)).toBe(base)
    expect(context.skipped.text()).toBe('180 histogram-also-classic')
  })

  it('deltas are deltas, with nothing said about before', () => {
    const { push } = opened()
    push([0.6], T, DELTA)
    const { rows, batch } = push([0.6, 5], T + 1000, DELTA)
    expect(rows.every((row) => row.includes(' 1000 '))).toBe(true)
    expect(new Set(batch.series.map(({ type }) => type))).toEqual(new Set(['delta']))
  })

  it('when it is gone, all of it is', () => {
    const { push, base, context } = opened()
    const { batch } = push([0.3, 0.6], T)
    const columns = new MetricColumns(context)
    pushStaleDistribution(columns, base, T + 1000)
    const gone = columns.finish()
    expect(new Set(gone.series)).toEqual(new Set(batch.series))
    expect([...gone.stale]).toEqual(Array.from({ length: gone.rows }, () => 1))
  })

  it('its series are counted like any others', () => {
    const { push, context } = opened({ limits: { maxSeries: 6 } })
    expect(push([0.6], T)).toMatchObject({ fault: '', rows: { length: 5 } })
    const refused = push([0.6, 100], T + 1000)
    expect([refused.fault, refused.rows, context.series.size]).toEqual(['series-limit', [], 6])
    expect(push([0.6, 0.6], T + 2000).fault).toBe('')
  })
})
