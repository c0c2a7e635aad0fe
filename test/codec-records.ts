/** What the recorded telemetry records of test/fixtures/codec hold. The records stay as they are; these batches say what must be read out of them. */
import type { Batch, Series, SeriesType } from '../src/model.ts'

const series = (name: string, type: SeriesType, service: string, instance: string, labels: readonly [string, string][]): Series => ({
  key: `${name}{${labels.map(([label, value]) => `${label}="${value}"`).join(',')}}`,
  name,
  type,
  labels,
  service,
  instance,
})

const AT_MS = 1_767_603_600_000

/** Version 1 did not carry the type of a series. */
function metrics(version: number): Batch {
  const typed = (type: SeriesType) => (version === 1 ? 'unknown' : type)
  return {
    kind: 'metrics',
    rows: 9,
    series: [
      series('http_requests_total', typed('counter'), 'shop', '10.0.0.7:8080', [
        ['instance', '10.0.0.7:8080'],
        ['job', 'shop'],
        ['status', '200'],
      ]),
      series('http_requests_total', typed('counter'), 'shop', '10.0.0.7:8080', [
        ['instance', '10.0.0.7:8080'],
        ['job', 'shop'],
        ['status', '500'],
      ]),
      series('queue_depth', typed('gauge'), 'shop', '10.0.0.8:8080', [['queue', 'Aufträge']]),
      { key: 'made in another way', name: 'up', type: typed('gauge'), labels: [], service: 'cart', instance: '' },
      series('latency_bucket', typed('sketch'), 'shop', '10.0.0.7:8080', [['le', '0.5']]),
    ],
    seriesIndex: Uint32Array.of(0, 1, 2, 3, 4, 0, 1, 2, 2),
    timeMs: Float64Array.of(AT_MS, AT_MS, AT_MS, AT_MS + 7, AT_MS, AT_MS + 15_000, AT_MS + 15_000, AT_MS + 14_999, AT_MS + 15_001),
    value: Float64Array.of(41, 7, -0, 1, 0.1, 45, Infinity, Number.NaN, 1e300),
    stale: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1, 0),
  }
}

const logs: Batch = {
  kind: 'logs',
  rows: 4,
  sources: [
    { service: 'shop', instance: 'shop-6f7c9d8b5-x2x4z', version: '1.4.2' },
    { service: 'cart', instance: '', version: '' },
  ],
  sourceIndex: Uint32Array.of(0, 1, 0, 0),
  timeMs: Float64Array.of(AT_MS, AT_MS + 0.25, AT_MS + 3, AT_MS - 2),
  severity: Uint8Array.of(9, 17, 9, 0),
  body: ['order 17 stored', 'Zeitüberschreitung beim Lager \u{1f514}', '', 'order 18 stored'],
  traceId: ['0af7651916cd43dd8448eb211c80319c', '0af7651916cd43dd8448eb211c80319c', '', 'not hex'],
}

const spans = (kind: 'spans' | 'links'): Batch => ({
  kind,
  rows: 4,
  sources: [
    { service: 'shop', instance: 'shop-0', version: '1.4.2' },
    { service: 'cart', instance: 'cart-0', version: '' },
  ],
  sourceIndex: Uint32Array.of(0, 0, 1, 0),
  operations: ['GET /orders', 'SELECT'],
  operationIndex: Uint32Array.of(0, 1, 0, 0),
  spanKind: Uint8Array.of(2, 3, 2, 5),
  status: Uint8Array.of(0, 2, 0, 1),
  startMs: Float64Array.of(AT_MS + 0.125, AT_MS + 1.5, AT_MS + 2, AT_MS + 2),
  durationMs: Float64Array.of(12.345678, 4, 0.001, 1 / 3),
  traceId: [
    '0af7651916cd43dd8448eb211c80319c',
    '0af7651916cd43dd8448eb211c80319c',
    '0af7651916cd43dd8448eb211c80319c',
    '4bf92f3577b34da6a3ce929d0e0e4736',
  ],
  spanId: ['b7ad6b7169203331', '00f067aa0ba902b7', '53995c3f42cd8ad8', 'ABC'],
  parentId: ['', 'b7ad6b7169203331', '00f067aa0ba902b7', ''],
  peer: ['', 'postgresql', '', 'cart:8080'],
})

const events: Batch = {
  kind: 'events',
  events: [
    {
      kind: 'change',
      id: 'c1',
      type: 'deploy',
      service: 'shop',
      version: '1.4.3',
      title: 'shop 1.4.3',
      atMs: AT_MS,
      url: 'https://ci.example/1',
    },
    {
      kind: 'alert',
      id: 'a1',
      name: 'HighErrorRate',
      service: 'shop',
      severity: 'critical',
      summary: 'too many errors',
      labels: [['job', 'shop']],
      startMs: AT_MS,
      endMs: Infinity,
      atMs: AT_MS,
      url: '',
    },
  ],
}

export const RECORDED_VERSIONS = [1, 2] as const

/** The batch in `v<version>.<kind>.record`. */
export function recorded(version: number): readonly Batch[] {
  return [metrics(version), logs, spans('spans'), spans('links'), events, { kind: 'tick', nowMs: AT_MS }]
}
