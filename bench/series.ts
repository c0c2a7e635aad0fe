/**
 * The series detector at 1,000, 10,000 and 100,000 series: CPU per sample, bytes of state per series, and how far that is from what the
 * memory of this machine allows. A sample cannot touch more than the whole state of its series, so state read and written
 * once at the speed of a large copy is the physical limit of its cost.
 */
import { seriesDetector } from '../src/detect/series/series.ts'
import { seriesConfig } from '../src/detect/series/series-config.ts'
import { ResidualBoard } from '../src/detect/residuals.ts'
import { seriesKey } from '../src/series-key.ts'
import type { Labels, MetricBatch, Series } from '../src/model.ts'
import { repeat, rounded, Stopwatch } from './suite.ts'
import type { Contender, Measured, Results, Scale, Suite } from './suite.ts'
import { randomOf, SCRAPE_MS, START_MS } from './wire.ts'

const MEMORY = 'memory copy'
const COUNTS: Readonly<Record<string, number>> = { '1k series': 1000, '10k series': 10_000, '100k series': 100_000 }
const BATCH_ROWS = 2000
/** Past the warm-up of every series, and past the points kept for its chart. */
const WARM_SCRAPES = 30
const LEAST_SCRAPES = 10

const countOf = (name: string, scale: Scale) => COUNTS[name]! / (scale.quick ? 100 : 1)

/** What one copy of a service says of itself: a histogram of ten buckets, four counters, four gauges. */
function seriesOf(id: number): { name: string; labels: Labels } {
  const copy = Math.floor(id / 20)
  const labels: [string, string][] = [
    ['instance', `10.12.${copy}.17:9464`],
    ['route', '/api/v1/orders'],
    ['service', `service-${Math.floor(copy / 4)}`],
  ]
  const at = id % 20
  if (at < 10)
    return {
      name: 'http_server_request_duration_seconds_bucket',
      labels: [labels[0]!, ['le', String(2 ** at / 100)], labels[1]!, labels[2]!],
    }
  if (at < 12) return { name: `http_server_request_duration_seconds_${at === 10 ? 'sum' : 'count'}`, labels }
  if (at < 16) return { name: ['jobs_done_total', 'process_cpu_seconds_total', 'cache_hits_total', 'bytes_sent_total'][at - 12]!, labels }
  return { name: ['jobs_queue_depth', 'process_resident_memory_bytes', 'nodejs_eventloop_lag_seconds', 'db_pool_used'][at - 16]!, labels }
}

const isGauge = (id: number) => id % 20 >= 16

function measureMemory(scale: Scale): Measured {
  const from = new Uint8Array((scale.quick ? 8 : 256) * 2 ** 20).fill(1)
  const to = new Uint8Array(from.length).fill(2)
  return repeat(scale, (_, watch) => {
    watch.time(() => to.set(from))
    return from.length * 2
  })
}

export interface SeriesMix {
  /** Nothing but gauges; else as one copy of a service after the other has them. */
  readonly gauges: boolean
  /** Scrapes before anything is measured. */
  readonly warmScrapes: number
}

export async function measureSeries(count: number, scale: Scale, { gauges, warmScrapes }: SeriesMix): Promise<Measured> {
  const kindOf = (id: number) => (gauges ? Math.floor(id / 4) * 20 + 16 + (id % 4) : id)
  const series = Array.from({ length: count }, (_, id): Series => {
    const { name, labels } = seriesOf(kindOf(id))
    return { key: seriesKey(name, labels), name, type: 'unknown', labels, service: labels.at(-1)![1], instance: labels[0]![1] }
  })
  const values = new Float64Array(count)
  const random = randomOf(count)
  const before = liveBytes()
  const detector = seriesDetector.create(seriesConfig.parse({ maxSeries: count, maxSeriesPerService: count }), {
    partition: 0,
    residuals: new ResidualBoard(),
  })
  let scrapes = 0
  const scrape = (watch: Stopwatch) => {
    const nowMs = START_MS + scrapes++ * SCRAPE_MS
    for (let from = 0; from < count; from += BATCH_ROWS) {
      const batch = batchOf(series.slice(from, from + BATCH_ROWS), from, values, nowMs, random, (id) => isGauge(kindOf(id)))
      watch.time(() => detector.detect(batch, () => {}))
    }
    watch.time(() => detector.detect({ kind: 'tick', nowMs: nowMs + 500 }, () => {}))
  }
  for (let i = 0; i < warmScrapes; i++) scrape(new Stopwatch())
  const watch = new Stopwatch()
  let samples = 0
  for (let i = 0; i < LEAST_SCRAPES || watch.cpuMs < scale.runMs; i++) {
    scrape(watch)
    samples += count
  }
  const after = liveBytes()
  return {
    units: samples,
    cpuMs: watch.cpuMs,
    wallMs: watch.wallMs,
    also: {
      columnBytesPerSeries: (after.columns - before.columns) / count,
      heapBytesPerSeries: (after.heap - before.heap) / count,
      snapshotBytesPerSeries: detector.snapshot().length / count,
    },
  }
}

/** As a decoded record brings them: keys are fresh strings whose hash nobody knows yet. */
function batchOf(
  series: readonly Series[],
  from: number,
  values: Float64Array,
  nowMs: number,
  random: () => number,
  gauge: (id: number) => boolean,
): MetricBatch {
  const rows = series.length
  for (let row = 0; row < rows; row++) {
    const id = from + row
    values[id] = gauge(id) ? 100 + 10 * random() : values[id]! + 50 + 10 * random()
  }
  return {
    kind: 'metrics',
    rows,
    series: series.map((one) => ({ ...one, key: Buffer.from(one.key).toString() })),
    seriesIndex: Uint32Array.from({ length: rows }, (_, row) => row),
    timeMs: new Float64Array(rows).fill(nowMs),
    value: values.slice(from, from + rows),
    stale: new Uint8Array(rows),
  }
}

function liveBytes(): { readonly heap: number; readonly columns: number } {
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return { heap: heapUsed, columns: arrayBuffers }
}

async function measure(name: string, scale: Scale): Promise<Measured> {
  return name === MEMORY ? measureMemory(scale) : measureSeries(countOf(name, scale), scale, { gauges: false, warmScrapes: WARM_SCRAPES })
}

function contenders(): Contender[] {
  return [{ name: MEMORY, unit: 'bytes' }, ...Object.keys(COUNTS).map((name) => ({ name, unit: 'samples' }))]
}

function figures(name: string, results: Results) {
  const nsPerSample = 1e9 / results.perCpuS(name).median
  const heapBytes = results.also(name, 'heapBytesPerSeries').median + results.also(name, 'columnBytesPerSeries').median
  const floorNs = (2 * heapBytes * 1e9) / results.perCpuS(MEMORY).median
  return {
    samplesPerCpuS: Math.round(results.perCpuS(name).median),
    nsPerSample: rounded(nsPerSample),
    stateBytesPerSeries: Math.round(heapBytes),
    snapshotBytesPerSeries: Math.round(results.also(name, 'snapshotBytesPerSeries').median),
    memoryFloorNs: rounded(floorNs),
    timesMemoryFloor: rounded(nsPerSample / floorNs),
  }
}

function json(results: Results, scale: Scale): Record<string, unknown> {
  return {
    memoryBytesPerCpuS: Math.round(results.perCpuS(MEMORY).median),
    sizes: Object.keys(COUNTS).map((name) => ({ series: countOf(name, scale), ...figures(name, results) })),
  }
}

function notes(results: Results, scale: Scale): string[] {
  const lines = Object.keys(COUNTS).map((name) => {
    const { nsPerSample, stateBytesPerSeries, snapshotBytesPerSeries, memoryFloorNs, timesMemoryFloor } = figures(name, results)
    return `${countOf(name, scale)} series: ${nsPerSample} ns per sample; ${stateBytesPerSeries} bytes of state per series in memory, ${snapshotBytesPerSeries} in a checkpoint; reading and writing all of it takes ${memoryFloorNs} ns, so a sample costs ${timesMemoryFloor} times what memory alone would`
  })
  return [...lines, `memory: ${rounded(results.perCpuS(MEMORY).median / 1e9)} GB per CPU-second, read and written, in a large copy`]
}

export const suite: Suite = { contenders, measure, json, notes }
