/** Metrics as OpenTelemetry's senders put them on the wire, and what is understood of them. */
import { describe, expect, it } from 'vitest'
import type { MetricBatch } from '../../src/model.ts'
import { decodeOtlpMetricsJson } from '../../src/ingest/metrics/otlp-metrics-json.ts'
import { requestOf } from '../../src/ingest/kafka/kafka-record.ts'
import { fixture, newContext, openDoors, post, postJson, recorded } from './doors-fixture.ts'

const PATH = '/v1/metrics'
const TIME = '1795444255570873902'
const TIME_MS = 1795444255570

/** `name{label="value"} = number`, its type behind it. */
export function readable(batches: readonly MetricBatch[]): string[] {
  return batches.flatMap((batch) =>
    Array.from({ length: batch.rows }, (_, row) => {
      const { key, type } = batch.series[batch.seriesIndex[row]!]!
      return `${key} = ${batch.stale[row] === 1 ? 'stale' : batch.value[row]} ${type}`
    }),
  )
}

/** One metric, sent in JSON, as rows. */
function rowsOf(metric: object, resource: object = {}): string[] {
  const body = Buffer.from(JSON.stringify({ resourceMetrics: [{ resource, scopeMetrics: [{ metrics: [metric] }] }] }))
  return readable([decodeOtlpMetricsJson(body, newContext())])
}

const point = (more: object) => ({ timeUnixNano: TIME, ...more })

describe('recorded bodies', () => {
  it.each(['json.1', 'json.2', 'proto-gzip.1', 'proto-gzip.2', 'proto-gzip.3'])('of the Collector: %s', async (name) => {
    const { door, transport } = openDoors()
    const response = await door.accept(recorded(`otel-collector.otlp-metrics.${name}`))
    expect(response.status).toBe(200)
    expect(Buffer.from(response.body).toString()).toBe(name.startsWith('json') ? '{}' : '')
    const rows = readable(transport.of('metrics'))
    expect(rows.map((row) => row.replace(/ = \S+ /, ' ')).sort()).toMatchSnapshot()
  })

  it.each([1, 2])('of telemetrygen: %s', async (number) => {
    const { door, transport } = openDoors()
    expect((await door.accept(recorded(`telemetrygen.otlp-metrics.proto.${number}`))).status).toBe(200)
    expect(readable(transport.of('metrics')).sort()).toMatchSnapshot()
  })

  it.each([
    ['proto', 'application/x-protobuf'],
    ['json', 'application/json'],
  ])("of the Collector's Kafka exporter: %s", async (form, type) => {
    const { door, transport } = openDoors()
    expect((await door.accept(post(PATH, { 'content-type': type }, fixture(`kafka/otlp_metrics.${form}.record`)))).status).toBe(200)
    expect(readable(transport.of('metrics')).sort()).toMatchSnapshot()
  })
})

describe('a Kafka record', () => {
  it.each(['proto', 'json'])('%s is recognised by its bytes', (form) => {
    const value = fixture(`kafka/otlp_metrics.${form}.record`)
    const source = { topic: 'otlp_metrics', signal: 'metrics', encoding: 'auto', service: '' } as const
    const request = requestOf({ value, headers: {}, partition: 0, offset: '0', timestampMs: 0, key: undefined } as never, source, 1e6, 0)
    expect([request.path, request.headers['content-type']]).toEqual([PATH, form === 'json' ? 'application/json' : 'application/x-protobuf'])
  })
})

describe('a number', () => {
  const attributes = [{ key: 'http.request.method', value: { stringValue: 'GET' } }]

  it.each([
    ['gauge', { gauge: { dataPoints: [point({ asDouble: 2.5 })] } }, 'queue_depth = 2.5 gauge'],
    ['gauge of a ratio', { unit: '1', gauge: { dataPoints: [point({ asInt: '1' })] } }, 'queue_depth_ratio = 1 gauge'],
    [
      'monotonic cumulative sum',
      { sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: [point({ asInt: '9007199254740991' })] } },
      'queue_depth_total = 9007199254740991 counter',
    ],
    [
      'monotonic delta sum',
      { sum: { aggregationTemporality: 1, isMonotonic: true, dataPoints: [point({ asInt: 3 })] } },
      'queue_depth_total = 3 delta',
    ],
    ['cumulative sum', { sum: { aggregationTemporality: 2, dataPoints: [point({ asInt: '-3' })] } }, 'queue_depth = -3 gauge'],
    ['delta sum', { sum: { aggregationTemporality: 1, dataPoints: [point({ asInt: '-3' })] } }, 'queue_depth = -3 delta'],
    ['without a value', { gauge: { dataPoints: [point({ flags: 1 })] } }, 'queue_depth = stale gauge'],
  ])('%s', (_, data, row) => {
    expect(rowsOf({ name: 'queue.depth', ...data }).map((text) => text.replace('{}', ''))).toEqual([row])
  })

  it('has labels of its attributes, of every scalar type, and of the resource job and instance', () => {
    const all = [
      ...attributes,
      { key: 'flag', value: { boolValue: true } },
      { key: 'status', value: { intValue: '200' } },
      { key: 'share', value: { doubleValue: 0.5 } },
      { key: 'a.b', value: { stringValue: '2' } },
      { key: 'a-b', value: { stringValue: '1' } },
      { key: 'empty', value: { stringValue: '' } },
      { key: '1st', value: { stringValue: 'x' } },
    ]
    const resource = {
      attributes: [
        { key: 'service.namespace', value: { stringValue: 'shop' } },
        { key: 'service.name', value: { stringValue: 'checkout' } },
        { key: 'service.instance.id', value: { stringValue: 'i-1' } },
      ],
    }
    expect(rowsOf({ name: 'up.time', unit: 's', gauge: { dataPoints: [point({ asDouble: 1, attributes: all })] } }, resource)).toEqual([
      'up_time_seconds{a_b="1;2",flag="true",http_request_method="GET",instance="i-1",job="shop/checkout",key_1st="x",share="0.5",status="200"} = 1 gauge',
    ])
  })

  it('belongs to the service and the instance that the resource names, as spans do', () => {
    const attribute = (key: string, stringValue: string) => ({ key, value: { stringValue } })
    const body = JSON.stringify({
      resourceMetrics: ['checkout-6d5f8c9b7d-x2k4p', 'checkout-6d5f8c9b7d-b7b7b'].map((pod) => ({
        resource: { attributes: [attribute('k8s.deployment.name', 'checkout'), attribute('k8s.pod.name', pod)] },
        scopeMetrics: [{ metrics: [{ name: 'x', gauge: { dataPoints: [point({ asInt: 1 })] } }] }],
      })),
    })
    const { series } = decodeOtlpMetricsJson(Buffer.from(body), newContext())
    expect(series.map(({ key, service, instance }) => [key, service, instance])).toEqual([
      ['x{instance="checkout-6d5f8c9b7d-x2k4p",job="checkout"}', 'checkout', 'checkout-6d5f8c9b7d-x2k4p'],
      ['x{instance="checkout-6d5f8c9b7d-b7b7b",job="checkout"}', 'checkout', 'checkout-6d5f8c9b7d-b7b7b'],
    ])
  })
})

describe('a distribution', () => {
  const explicit = point({ count: '6', sum: 3, bucketCounts: ['1', '2', '3'], explicitBounds: [0.1, 0.5], exemplars: [{ asDouble: 1 }] })
  const exponential = point({
    count: '7',
    sum: 9,
    scale: 0,
    zeroCount: '1',
    positive: { offset: 0, bucketCounts: ['2', '3'] },
    negative: { offset: -1, bucketCounts: ['1'] },
  })

  it.each([
    ['cumulative', 2, 'counter'],
    ['delta', 1, 'delta'],
  ])('with bounds, %s', (_, aggregationTemporality, type) => {
    const metric = { name: 'http.server.request.duration', unit: 's', histogram: { aggregationTemporality, dataPoints: [explicit] } }
    const name = 'http_server_request_duration_seconds'
    expect(rowsOf(metric)).toEqual([
      `${name}_count{} = 6 ${type}`,
      `${name}_sum{} = 3 ${type}`,
      `${name}_bucket{le="0.1"} = 1 ${type}`,
      `${name}_bucket{le="0.5"} = 3 ${type}`,
      `${name}_bucket{le="+Inf"} = 6 ${type}`,
    ])
  })

  it.each([
    ['cumulative', 2, 'counter', 'sketch'],
    ['delta', 1, 'delta', 'delta'],
  ])('with exponential buckets below, at and above zero, %s', (_, aggregationTemporality, type, buckets) => {
    const metric = { name: 'heat', unit: 'By', exponentialHistogram: { aggregationTemporality, dataPoints: [exponential] } }
    expect(rowsOf(metric)).toEqual([
      `heat_bytes_count{} = 7 ${type}`,
      `heat_bytes_sum{} = 9 ${type}`,
      `heat_bytes_bucket{le="-1"} = 0 ${buckets}`,
      `heat_bytes_bucket{le="-0.5"} = 1 ${buckets}`,
      `heat_bytes_bucket{le="0"} = 2 ${buckets}`,
      `heat_bytes_bucket{le="1"} = 2 ${buckets}`,
      `heat_bytes_bucket{le="2"} = 4 ${buckets}`,
      `heat_bytes_bucket{le="4"} = 7 ${buckets}`,
      `heat_bytes_bucket{le="+Inf"} = 7 ${buckets}`,
    ])
  })

  it('as a summary', () => {
    const summary = {
      dataPoints: [
        point({
          count: '4',
          sum: 2,
          quantileValues: [
            { quantile: 0.5, value: 1 },
            { quantile: 0.99, value: 7 },
          ],
        }),
      ],
    }
    expect(rowsOf({ name: 'rpc.duration', unit: 'ms', summary })).toEqual([
      'rpc_duration_milliseconds_count{} = 4 unknown',
      'rpc_duration_milliseconds_sum{} = 2 unknown',
      'rpc_duration_milliseconds{quantile="0.5"} = 1 gauge',
      'rpc_duration_milliseconds{quantile="0.99"} = 7 gauge',
    ])
  })
})

describe('what is not taken', () => {
  it.each([
    ['no temporality', { sum: { dataPoints: [point({ asInt: 1 })] } }, '1 no-temporality'],
    ['no value', { gauge: { dataPoints: [point({})] } }, '1 no-value'],
    ['no time', { gauge: { dataPoints: [{ asInt: 1 }] } }, '1 too-old'],
    [
      'bounds that fall',
      { histogram: { aggregationTemporality: 2, dataPoints: [point({ bucketCounts: [1, 1, 1], explicitBounds: [2, 1] })] } },
      '1 bad-bounds',
    ],
    [
      'bounds without buckets',
      { histogram: { aggregationTemporality: 2, dataPoints: [point({ bucketCounts: [1], explicitBounds: [2, 1] })] } },
      '1 bad-buckets',
    ],
    [
      'a scale that nobody has',
      { exponentialHistogram: { aggregationTemporality: 2, dataPoints: [point({ scale: 200 })] } },
      '1 bad-scale',
    ],
  ])('%s', async (_, data, message) => {
    const { door, transport } = openDoors()
    const good = { name: 'good', gauge: { dataPoints: [point({ asInt: 1 })] } }
    const response = await door.accept(
      postJson(PATH, { resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: 'bad', ...data }, good] }] }] }),
    )
    expect(response.status).toBe(200)
    expect(JSON.parse(String(response.body))).toEqual({
      partialSuccess: { rejectedDataPoints: '1', errorMessage: `rejected: ${message}` },
    })
    expect(readable(transport.of('metrics'))).toEqual(['good{} = 1 gauge'])
    expect(transport.of('metrics')[0]!.timeMs[0]).toBe(TIME_MS)
  })

  it.each([
    ['application/json', '{}', '{}'],
    ['application/x-protobuf', '', ''],
  ])('an empty request of %s is a success', async (type, body, answer) => {
    const { door } = openDoors()
    const response = await door.accept(post(PATH, { 'content-type': type }, body))
    expect([response.status, Buffer.from(response.body).toString()]).toEqual([200, answer])
  })
})
