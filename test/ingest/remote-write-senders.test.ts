/** Remote write as real programs sent it: what each of them is understood to say. */
import { describe, expect, it } from 'vitest'
import type { MetricBatch } from '../../src/model.ts'
import { boundOf, bucketQuantile } from '../../src/detect/series/histogram.ts'
import { openDoors, recorded, samplesOf } from './doors-fixture.ts'

async function taken(...names: string[]) {
  const { door, transport } = openDoors({}, 1)
  const answers: string[] = []
  for (const name of names) {
    const { status, headers } = await door.accept(recorded(name))
    const written = ['samples', 'histograms', 'exemplars'].map((kind) => headers[`x-prometheus-remote-write-${kind}-written`])
    answers.push([status, ...written.filter((count) => count !== undefined)].join(' '))
  }
  return { answers, batches: transport.of('metrics') }
}

function valueOf(batch: MetricBatch, key: string): number | undefined {
  return samplesOf(batch).find((row) => row.key === key)?.value
}

function typesOf(batch: MetricBatch): Record<string, number> {
  const types: Record<string, number> = {}
  for (const { type } of batch.series) types[type] = (types[type] ?? 0) + 1
  return types
}

const NODE = '{cluster="lab",instance="127.0.0.1:19100",job="node",replica="a"}'
const SCRAPED =
  '{instance="127.0.0.1:19100",job="node",otel_scope_name="github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver",otel_scope_version="0.155.0",server_port="19100",service_instance_id="127.0.0.1:19100",service_name="node",url_scheme="http"}'

it.each([
  ['prometheus-2.rw1.proto-snappy.1', 135, `up${NODE}`, 1, 'node'],
  ['prometheus-2.rw1.proto-snappy.2', 135, `up${NODE}`, 1, 'node'],
  ['prometheus-3.rw1.proto-snappy.1', 1257, `node_load1${NODE}`, 4.41, 'self'],
  ['prometheus-3.rw1.proto-snappy.2', 730, `up${NODE}`, 1, 'self'],
  ['otel-collector.rw1.proto-snappy.1', 80, `node_load1${SCRAPED}`, 6.91, 'node'],
  ['otel-collector.rw1.proto-snappy.2', 81, undefined, 0, 'unknown'],
  ['vmagent.rw1.proto-snappy.1', 136, 'node_load1{cluster="lab",instance="127.0.0.1:19100",job="node"}', 4.54, 'node'],
  ['vmagent.rw1.proto-snappy.2', 136, 'up{cluster="lab",instance="127.0.0.1:19100",job="node"}', 1, 'node'],
  ['telegraf.rw1.proto-snappy.1', 10, 'cpu_usage_user{cpu="cpu-total"}', 66.41604010025654, 'unknown'],
  ['telegraf.rw1.proto-snappy.2', 10, undefined, 0, 'unknown'],
])('%s, remote write 1.0: %i samples', async (name, rows, key, value, service) => {
  const { answers, batches } = await taken(name)
  expect(answers).toEqual(['204'])
  expect(batches[0]!.rows).toBe(rows)
  if (key !== undefined) expect(valueOf(batches[0]!, key)).toBe(value)
  expect(batches[0]!.series.map((series) => series.service)).toContain(service)
})

describe('Prometheus 3.16, remote write 2.0', () => {
  it('start timestamps, metadata and native histograms', async () => {
    const { answers, batches } = await taken('prometheus-3.rw2.proto-snappy.1', 'prometheus-3.rw2.proto-snappy.2')
    expect(answers).toEqual(['204 397 6 0', '204 397 6 0'])
    expect(typesOf(batches[0]!)).toEqual({ counter: 189, unknown: 132, gauge: 88, sketch: 18 })
    const { series } = batches[0]!
    expect(series.find(({ name }) => name === 'process_cpu_seconds_total')?.type).toBe('counter')
    expect(series.find(({ name }) => name === 'go_goroutines')?.type).toBe('gauge')
    const self = '{cluster="lab",instance="127.0.0.1:29090",interval="2s",job="self"}'
    expect(valueOf(batches[0]!, `prometheus_target_interval_length_histogram_seconds_count${self}`)).toBe(3)
    // The interval is two seconds: half of it lies on either side of the bound.
    expect(p50Of(batches[0]!, 'prometheus_target_interval_length_histogram_seconds')).toBeCloseTo(2, 0)
  })

  it('exemplars that come without their sample are taken, where Prometheus itself would refuse what Prometheus sends', async () => {
    const { answers, batches } = await taken('prometheus-3.rw2.proto-snappy.3', 'prometheus-3.rw2.proto-snappy.4')
    expect(answers).toEqual(['204 810 36 4', '204 730 23 0'])
    expect(typesOf(batches[1]!)).toMatchObject({ counter: 333, gauge: 176, sketch: 127 })
    for (const batch of batches) {
      const buckets = new Map<string, number[]>()
      for (const { key, timeMs, value } of samplesOf(batch)) {
        if (!key.includes('_bucket{') || batch.series.find((series) => series.key === key)?.type !== 'sketch') continue
        const of = `${key.replace(/le="[^"]*",?/, '')} ${timeMs}`
        buckets.set(of, [...(buckets.get(of) ?? []), value])
      }
      expect(buckets.size).toBeGreaterThan(20)
      for (const counts of buckets.values()) expect(counts).toEqual(counts.toSorted((a, b) => a - b))
    }
  })
})

it('the Collector, remote write 2.0: types of every metric', async () => {
  const { answers, batches } = await taken('otel-collector.rw2.proto-snappy.1', 'otel-collector.rw2.proto-snappy.2')
  expect(answers).toEqual(['204 80 0 0', '204 81 0 0'])
  expect(batches.map(typesOf)).toEqual([
    { counter: 30, gauge: 43, unknown: 7 },
    { counter: 55, gauge: 26 },
  ])
})

it('promtool: what its metadata says holds for the same series later on', async () => {
  const { answers, batches } = await taken('promtool.rw1.proto-snappy.1', 'promtool.rw1.proto-snappy.2')
  expect(answers).toEqual(['204', '204'])
  expect(batches[1]!.series.filter(({ type }) => type === 'counter').map(({ name }) => name)).toEqual([
    'lab_requests_total',
    'lab_requests_total',
  ])
  // It sends a message of 1.0 under the name of 2.0 when it is told to: that is said, not lost.
  expect((await taken('promtool.rw2.proto-snappy.1')).answers).toEqual(['400 0 0 0'])
})

function p50Of(batch: MetricBatch, family: string): number {
  const rows = samplesOf(batch).filter(({ key }) => key.startsWith(`${family}_bucket{`))
  const buckets = rows.map(({ key, value }) => [boundOf(/le="([^"]*)"/.exec(key)![1]!), value] as const).sort((a, b) => a[0] - b[0])
  return bucketQuantile(
    0.5,
    buckets.map(([bound]) => bound),
    buckets.map(([, value]) => value),
  )
}
