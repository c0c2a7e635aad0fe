/** Prometheus 3.16 by remote write 2.0: native histograms, exemplars, metadata, start timestamps; what it says of our answers in its own log and metrics. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { bucketQuantile } from '../../src/detect/series/histogram.ts'
import { samplesOf } from '../ingest/doors-fixture.ts'
import { until } from '../support/kafka.ts'
import { startListener } from '../support/listener.ts'
import { freePorts } from '../support/processes.ts'
import { programFolder, startProgram } from '../support/programs.ts'
import { builtSender } from '../support/services.ts'
import { argumentsOf, snippet } from '../support/snippets.ts'
import { report } from './bench.ts'
import { startNativeExporter } from './native-exporter.ts'

/** 200 from 5 ms to 1 s, ten between 2 and 3 s. */
const WAITS = [...Array.from({ length: 200 }, (_, i) => 0.005 * (i + 1)), ...Array.from({ length: 10 }, (_, i) => 2 + 0.1 * i)]

it.each([
  ['2.0', 'prometheus-2', 'application/x-protobuf;proto=io.prometheus.write.v2.Request'],
  ['1.0', 'prometheus', 'application/x-protobuf'],
])('Prometheus 3.16, remote write %s', async (version, block, type) => {
  await using folder = await programFolder('prometheus-3')
  await using listener = await startListener(folder.path)
  const createdS = Math.floor(Date.now() / 1000) - 60
  await using exporter = await startNativeExporter(WAITS, createdS)
  const [port] = (await freePorts(1)) as [number]
  const host = `127.0.0.1:${port}`
  const config = join(folder.path, 'prometheus.yml')
  const { remote_write } = parse(blockOf(block, listener.host)) as { remote_write: object[] }
  writeFileSync(
    config,
    stringify({
      global: { scrape_interval: '1s', scrape_timeout: '1s', scrape_native_histograms: true },
      scrape_configs: [
        { job_name: 'shop', static_configs: [{ targets: [exporter.host] }] },
        { job_name: 'prometheus', static_configs: [{ targets: [host] }] },
      ],
      remote_write: remote_write.map((target) => ({
        ...target,
        queue_config: { batch_send_deadline: '500ms' },
        ...(version === '1.0' && { metadata_config: { send_interval: '1s' } }),
      })),
    }),
  )
  const [, ...args] = argumentsOf(snippet('prometheus-2-start', { 'prometheus.yml': config }))
  const more = [`--storage.tsdb.path=${join(folder.path, 'tsdb')}`, `--web.listen-address=${host}`, '--storage.remote.flush-deadline=2s']
  const prometheus = await startProgram({
    folder: folder.path,
    name: 'prometheus-3',
    command: builtSender('prometheus'),
    args: [...args, ...more],
    isReady: async () => (await fetch(`http://${host}/-/ready`)).ok,
  })
  await until('the exporter was scraped ten times and all of it was sent', async () => exporter.scrapes() >= 10)
  const own = await ownMetrics(host)
  await prometheus[Symbol.asyncDispose]()

  const complaints = prometheus
    .log()
    .split('\n')
    .filter((line) => /level=(ERROR|WARN)/.test(line) && !line.includes('Received an OS signal'))
  expect(complaints).toEqual([])
  for (const kind of ['samples', 'histograms', 'exemplars', 'metadata']) expect([kind, own(`${kind}_failed_total`)]).toEqual([kind, 0])
  expect(own('samples_total')).toBeGreaterThan(1_000)
  if (version === '2.0') {
    expect(own('histograms_total')).toBeGreaterThan(10)
    expect(own('exemplars_total')).toBeGreaterThan(5)
  }

  const answers = await listener.answers()
  expect(Object.keys(answers)).toEqual(['204'])
  const heard = await listener.understood()
  expect([heard.rejected, heard.refused]).toEqual(['', []])
  expect(new Set(heard.requests)).toEqual(new Set([`/api/v1/write ${type}`]))
  const samples = heard.metrics.flatMap(samplesOf)
  const orders = samples.filter(({ key, stale }) => key.startsWith('shop_orders_total{') && stale === 0)
  expect(orders.slice(0, 10).map(({ value }) => value)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  const series = new Map(heard.metrics.flatMap((batch) => batch.series).map((each) => [each.name, each]))
  expect(series.get('shop_orders_total')).toMatchObject({ service: 'shop', instance: exporter.host, type: 'counter' })

  if (version === '2.0') {
    expect(series.get('shop_wait_seconds_bucket')).toMatchObject({ service: 'shop', type: 'sketch' })
    const count = samples.filter(({ key, stale }) => key.startsWith('shop_wait_seconds_count{') && stale === 0)
    expect(count.slice(0, 3).map(({ value }) => value)).toEqual([210, 420, 630])
    const { timeMs } = count[9]!
    const buckets = samples
      .filter((sample) => sample.key.startsWith('shop_wait_seconds_bucket{') && sample.timeMs === timeMs)
      .map(({ key, value }) => ({ bound: Number(/le="([^"]+)"/.exec(key)![1]!.replace('+Inf', 'Infinity')), value }))
      .toSorted((a, b) => a.bound - b.bound)
    for (const [q, exact] of [
      [0.5, 0.525],
      [0.9, 0.945],
      [0.99, 2.8],
    ] as const) {
      const quantile = bucketQuantile(
        q,
        buckets.map(({ bound }) => bound),
        buckets.map(({ value }) => value),
      )
      // Buckets are a factor of the square root of two wide.
      expect(quantile / exact, `quantile ${q}: ${quantile}`).toBeGreaterThan(Math.SQRT1_2)
      expect(quantile / exact, `quantile ${q}: ${quantile}`).toBeLessThan(Math.SQRT2)
    }
    expect(samples.some(({ key }) => key.startsWith('prometheus_http_request_duration_seconds_bucket{'))).toBe(true)
    expect(heard.skipped['exemplar']).toBeGreaterThan(5)
    expect(heard.skipped['start-timestamp']).toBeGreaterThan(10)
  }
  const exemplars = Object.entries(heard.skipped).map(([reason, rows]) => `${rows} ${reason}`)
  report(`prometheus 3.16, remote write ${version}`, `${samples.length} samples; left out: ${exemplars.join(', ') || 'nothing'}`)
})

const blockOf = (name: string, host: string) =>
  name === 'prometheus' ? snippet('prometheus', { '127.0.0.1:4318': host }) : snippet('prometheus-2', { '127.0.0.1:4318': host })

/** Prometheus on its own remote write, summed over its targets. */
async function ownMetrics(host: string): Promise<(name: string) => number> {
  const text = await (await fetch(`http://${host}/metrics`)).text()
  return (name) =>
    text
      .split('\n')
      .filter((line) => line.startsWith(`prometheus_remote_storage_${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}
