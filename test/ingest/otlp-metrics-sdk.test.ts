/** The metrics SDK of OpenTelemetry with its own exporters, over HTTP into the doors: what it measured is what is understood. */
import { OTLPMetricExporter as JsonExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { AggregationTemporalityPreference } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPMetricExporter as ProtoExporter } from '@opentelemetry/exporter-metrics-otlp-proto'
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import fastify from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { registerDoors } from '../../src/ingest/http.ts'
import { openDoors, samplesOf } from './doors-fixture.ts'

// Of two releases of the same package, which the compiler takes for two types.
const GZIP = CompressionAlgorithm.GZIP as never

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (let undo = cleanup.pop(); undo !== undefined; undo = cleanup.pop()) await undo()
})

const FORMS = { proto: ProtoExporter, json: JsonExporter }
const NAME = 'http_server_request_duration_seconds'
const OF = 'instance="i-1",job="shop/checkout"'

/** Two exports; the rows of the second by series, with their type. */
async function exported(form: keyof typeof FORMS, temporality: 'DELTA' | 'CUMULATIVE') {
  const { door, transport, config } = openDoors()
  const app = fastify()
  cleanup.push(() => app.close())
  registerDoors(app, door, { limits: config.limits, clock: () => Date.now() })
  const url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/v1/metrics`
  const exporter = new FORMS[form]({
    url,
    compression: GZIP,
    temporalityPreference: AggregationTemporalityPreference[temporality],
  })
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ 'service.name': 'checkout', 'service.namespace': 'shop', 'service.instance.id': 'i-1' }),
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
    views: [{ instrumentName: 'db.*', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
  })
  const meter = provider.getMeter('test')
  const orders = meter.createCounter('orders', { unit: '{order}' })
  const active = meter.createUpDownCounter('sessions.active')
  const duration = meter.createHistogram('http.server.request.duration', {
    unit: 's',
    advice: { explicitBucketBoundaries: [0.1, 0.5] },
  })
  const queries = meter.createHistogram('db.client.operation.duration', { unit: 's' })
  meter.createObservableGauge('pool.usage', { unit: '1' }).addCallback((result) => result.observe(0.25, { pool: 'main' }))
  for (let round = 0; round < 2; round++) {
    orders.add(3, { 'order.country': 'de' })
    active.add(2)
    for (const seconds of [0.05, 0.2, 0.3, 0.9]) duration.record(seconds)
    for (const seconds of [1, 3, 3.5]) queries.record(seconds)
    await provider.forceFlush()
  }
  const batch = transport.of('metrics').at(-1)!
  const types = new Map(batch.series.map(({ key, type, service, instance }) => [key, [type, service, instance]]))
  const rows = samplesOf(batch)
  expect(new Set(rows.map(({ key }) => types.get(key)!.slice(1).join()))).toEqual(new Set(['checkout,i-1']))
  expect(await door.accept({ path: '/v1/metrics', headers: {}, body: Buffer.alloc(0), receivedMs: 0 })).toMatchObject({ status: 415 })
  await provider.shutdown()
  return Object.fromEntries(rows.map(({ key, value }) => [key, [value, types.get(key)![0]]]))
}

describe.each(['proto', 'json'] as const)('in %s', (form) => {
  it.each([
    ['CUMULATIVE', 2, 'counter', 'counter', 'sketch'],
    ['DELTA', 1, 'delta', 'delta', 'delta'],
  ] as const)('%s', async (temporality, rounds, counter, pieces, buckets) => {
    const rows = await exported(form, temporality)
    expect(rows).toMatchObject({
      [`orders_total{${OF},order_country="de"}`]: [3 * rounds, counter],
      [`sessions_active{${OF}}`]: [4, 'gauge'], // up and down counters stay cumulative: the SDK follows the specification
      [`pool_usage_ratio{${OF},pool="main"}`]: [0.25, 'gauge'],
      [`${NAME}_count{${OF}}`]: [4 * rounds, pieces],
      [`${NAME}_bucket{${OF},le="0.1"}`]: [rounds, pieces],
      [`${NAME}_bucket{${OF},le="0.5"}`]: [3 * rounds, pieces],
      [`${NAME}_bucket{${OF},le="+Inf"}`]: [4 * rounds, pieces],
      [`db_client_operation_duration_seconds_count{${OF}}`]: [3 * rounds, pieces],
      [`db_client_operation_duration_seconds_sum{${OF}}`]: [7.5 * rounds, pieces],
      [`db_client_operation_duration_seconds_bucket{${OF},le="2"}`]: [rounds, buckets],
      [`db_client_operation_duration_seconds_bucket{${OF},le="4"}`]: [3 * rounds, buckets],
      [`db_client_operation_duration_seconds_bucket{${OF},le="+Inf"}`]: [3 * rounds, buckets],
    })
    expect(rows[`${NAME}_sum{${OF}}`]![0]).toBeCloseTo(1.45 * rounds)
  })
})
