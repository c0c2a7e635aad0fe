/**
 * What a seasonal baseline costs: nanoseconds per observation and bytes per series, alone and as a whole series detector with rates,
 * charts and limits. `tsx bench/seasonal.ts [series]`; prints a table, and JSON with --json.
 */
import { performance } from 'node:perf_hooks'
import { ResidualBoard } from '../src/detect/residuals.ts'
import { Baselines, Side } from '../src/detect/series/seasonal.ts'
import { SeriesDetector } from '../src/detect/series/series.ts'
import { seriesConfig } from '../src/detect/series/series-config.ts'
import { SnapshotWriter } from '../src/detect/snapshot.ts'
import type { MetricBatch, Series } from '../src/model.ts'

const count = Number(process.argv.find((arg) => /^\d+$/.test(arg)) ?? 10_000)
const STEPS = 120
const STEP_MS = 15_000
const START_MS = Date.UTC(2026, 0, 5)

function values(): Float64Array {
  let state = 1
  return Float64Array.from({ length: 65_536 }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32)
}
const random = values()

function seasonal() {
  const baselines = new Baselines({ warmupRows: 12, warmupMs: 180_000, falseAlarmsPerWeek: 1, leastZ: 4, persistence: 3 })
  for (let i = 0; i < count; i++) baselines.add({ side: Side.both, floor: 0, relativeFloor: 0.05, whole: false, holdMs: 1_800_000 })
  let sum = 0
  const run = (from: number): number => {
    const started = performance.now()
    for (let step = from; step < from + STEPS; step++) {
      for (let slot = 0; slot < count; slot++)
        sum += baselines.judge(slot, START_MS + step * STEP_MS, 100 + random[(slot * 31 + step) & 65_535]!).z
    }
    return ((performance.now() - started) * 1e6) / (STEPS * count)
  }
  run(0)
  const ns = run(STEPS)
  const to = new SnapshotWriter(1)
  baselines.snapshot(to)
  return {
    what: 'seasonal baseline',
    series: count,
    nsPerRow: Math.round(ns),
    snapshotBytesPerSeries: Math.round(to.finish().length / count),
    checksum: Number.isFinite(sum),
  }
}

function detector() {
  const series: Series[] = Array.from({ length: count }, (_, i) => {
    const name = i % 2 === 0 ? 'jobs_queue_depth' : 'http_requests_total'
    return { key: `${name}${i}`, name, type: 'unknown', labels: [['id', String(i)]], service: `s${i % 50}`, instance: 'a' }
  })
  const watch = new SeriesDetector(seriesConfig.parse({ maxSeries: count, maxSeriesPerService: count }), {
    partition: 0,
    residuals: new ResidualBoard(),
  })
  const seriesIndex = Uint32Array.from(series.keys())
  const counters = new Float64Array(count)
  const run = (from: number): number => {
    let ms = 0
    for (let step = from; step < from + STEPS; step++) {
      for (let i = 0; i < count; i++)
        counters[i] = i % 2 === 0 ? 100 + random[(i * 31 + step) & 65_535]! : counters[i]! + 50 + random[(i * 31 + step) & 65_535]!
      const batch: MetricBatch = {
        kind: 'metrics',
        rows: count,
        series,
        seriesIndex,
        timeMs: new Float64Array(count).fill(START_MS + step * STEP_MS),
        value: counters.slice(),
        stale: new Uint8Array(count),
      }
      const started = performance.now()
      watch.detect(batch, () => {})
      watch.detect({ kind: 'tick', nowMs: START_MS + step * STEP_MS + 500 }, () => {})
      ms += performance.now() - started
    }
    return (ms * 1e6) / (STEPS * count)
  }
  run(0)
  const ns = run(STEPS)
  return {
    what: 'series detector',
    series: count,
    nsPerRow: Math.round(ns),
    snapshotBytesPerSeries: Math.round(watch.snapshot().length / count),
  }
}

const results = [seasonal(), detector()]
if (process.argv.includes('--json')) console.log(JSON.stringify(results))
else console.table(results)
