/** The wire formats of the ingest suite as protobufjs knows them, and a body of each: made up, the same in each run, shaped like real ones. */
import protobuf from 'protobufjs'
import { compressSync } from 'snappy'

/**
 * https://github.com/prometheus/prometheus/blob/main/prompb/remote.proto, https://github.com/grafana/loki/blob/main/pkg/push/push.proto,
 * https://github.com/open-telemetry/opentelemetry-proto
 */
const { root } = protobuf.parse(`
syntax = "proto3";
message WriteRequest { repeated TimeSeries timeseries = 1; }
message TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; }
message Label { string name = 1; string value = 2; }
message Sample { double value = 1; int64 timestamp = 2; }

message Request { repeated string symbols = 4; repeated TimeSeries2 timeseries = 5; }
message TimeSeries2 { repeated uint32 labelsRefs = 1; repeated Sample2 samples = 2; Metadata2 metadata = 5; }
message Sample2 { double value = 1; int64 timestamp = 2; int64 startTimestamp = 3; }
message Metadata2 { int32 type = 1; uint32 helpRef = 3; uint32 unitRef = 4; }

message PushRequest { repeated Stream streams = 1; }
message Stream { string labels = 1; repeated Entry entries = 2; uint64 hash = 3; }
message Entry { Timestamp timestamp = 1; string line = 2; repeated Label structuredMetadata = 3; }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }

message TracesData { repeated ResourceSpans resourceSpans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scopeSpans = 2; string schemaUrl = 3; }
message Resource { repeated KeyValue attributes = 1; uint32 droppedAttributesCount = 2; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; string schemaUrl = 3; }
message Scope { string name = 1; string version = 2; repeated KeyValue attributes = 3; }
message Span {
  bytes traceId = 1; bytes spanId = 2; string traceState = 3; bytes parentSpanId = 4; string name = 5; int32 kind = 6;
  fixed64 startTimeUnixNano = 7; fixed64 endTimeUnixNano = 8; repeated KeyValue attributes = 9; uint32 droppedAttributesCount = 10;
  repeated Event events = 11; Status status = 15; fixed32 flags = 16;
}
message MetricsData { repeated ResourceMetrics resourceMetrics = 1; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scopeMetrics = 2; }
message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; }
message Metric { string name = 1; string description = 2; string unit = 3; Gauge gauge = 5; Sum sum = 7; Histogram histogram = 9; }
message Gauge { repeated NumberDataPoint dataPoints = 1; }
message Sum { repeated NumberDataPoint dataPoints = 1; int32 aggregationTemporality = 2; bool isMonotonic = 3; }
message Histogram { repeated HistogramDataPoint dataPoints = 1; int32 aggregationTemporality = 2; }
message NumberDataPoint {
  fixed64 startTimeUnixNano = 2; fixed64 timeUnixNano = 3; oneof value { double asDouble = 4; sfixed64 asInt = 6; } repeated KeyValue attributes = 7;
}
message HistogramDataPoint {
  fixed64 startTimeUnixNano = 2; fixed64 timeUnixNano = 3; fixed64 count = 4; double sum = 5; repeated fixed64 bucketCounts = 6;
  repeated double explicitBounds = 7; repeated KeyValue attributes = 9; double min = 11; double max = 12;
}
message LogsData { repeated ResourceLogs resourceLogs = 1; }
message ResourceLogs { Resource resource = 1; repeated ScopeLogs scopeLogs = 2; }
message ScopeLogs { Scope scope = 1; repeated LogRecord logRecords = 2; }
message LogRecord {
  fixed64 timeUnixNano = 1; int32 severityNumber = 2; string severityText = 3; AnyValue body = 5; repeated KeyValue attributes = 6;
  uint32 droppedAttributesCount = 7; fixed32 flags = 8; bytes traceId = 9; bytes spanId = 10; fixed64 observedTimeUnixNano = 11;
}
message Event { fixed64 timeUnixNano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string stringValue = 1; bool boolValue = 2; int64 intValue = 3; double doubleValue = 4; } }
`)

export const WriteRequest = root.lookupType('WriteRequest')
export const WriteRequest2 = root.lookupType('Request')
export const PushRequest = root.lookupType('PushRequest')
export const TracesData = root.lookupType('TracesData')
export const MetricsData = root.lookupType('MetricsData')
export const LogsData = root.lookupType('LogsData')

/** When the first body was sent. */
export const START_MS = Date.UTC(2026, 0, 5, 9)
export const SCRAPE_MS = 15_000

/** Numbers from 0 to 1, the same for each seed: mulberry32. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

function hexOf(random: () => number, bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, () => 1 + Math.floor(random() * 255)))
}

const ROUTES = ['/api/v1/orders', '/api/v1/orders/{id}', '/api/v1/cart', '/api/v1/products/{sku}/reviews', '/healthz']

const pick = <T>(list: readonly T[], random: () => number): T => list[Math.floor(random() * list.length)]!

/** Scrape number `scrape`: 2,000 series of 12 labels, one sample each, in a snappy block of about 100 KB. */
export function remoteWriteBody(scrape: number, series = 2000): Uint8Array {
  const timeseries = scrapeOf(scrape, series).map(({ labels, samples }) => ({
    labels: Object.entries(labels).map(([name, text]) => ({ name, value: text })),
    samples,
  }))
  return compressSync(Buffer.from(WriteRequest.encode(WriteRequest.fromObject({ timeseries })).finish()))
}

/** The same scrape as remote write 2.0: labels by reference, with metadata. Symbols stand in another order each time. */
export function remoteWrite2Body(scrape: number, series = 2000): Uint8Array {
  const symbols = ['']
  const refs = new Map([['', 0]])
  const refOf = (text: string) => {
    if (!refs.has(text)) refs.set(text, symbols.push(text) - 1)
    return refs.get(text)!
  }
  for (let i = 0; i < scrape; i++) refOf(`spare-${i}`)
  const timeseries = scrapeOf(scrape, series).map(({ labels, samples }) => ({
    labelsRefs: Object.entries(labels).flat().map(refOf),
    samples,
    metadata: { type: labels.__name__.endsWith('_total') ? 1 : 2, helpRef: refOf(`Help of ${labels.__name__}`) },
  }))
  return compressSync(Buffer.from(WriteRequest2.encode(WriteRequest2.fromObject({ symbols, timeseries })).finish()))
}

function scrapeOf(scrape: number, series: number) {
  const labelsAt = randomOf(0)
  const random = randomOf(scrape + 1)
  const timestamp = START_MS + scrape * SCRAPE_MS
  return Array.from({ length: series }, (_, i) => {
    const pod = Math.floor(i / 40)
    const service = `service-${Math.floor(pod / 2)}`
    const labels = {
      __name__: pick(['http_server_requests_total', 'http_server_request_duration_seconds_sum', 'http_server_active_requests'], labelsAt),
      cluster: 'eu-central-1a',
      container: service,
      customer: Math.floor(labelsAt() * 2 ** 52).toString(16),
      instance: `10.12.${pod}.17:9464`,
      job: `shop/${service}`,
      method: pick(['GET', 'POST', 'PUT', 'DELETE'], labelsAt),
      namespace: 'shop',
      pod: `${service}-6f7c9d8b5-${pod.toString(36).padStart(5, 'x')}`,
      route: `${pick(ROUTES, labelsAt)}/${Math.floor(labelsAt() * 2 ** 52).toString(36)}`,
      service,
      status: pick(['200', '201', '204', '400', '404', '500'], labelsAt),
    }
    // A third moves in fractions, the rest counts.
    const value = i % 3 === 0 ? scrape * 10 + random() : i * 1000 + scrape * 50 + Math.floor(random() * 50)
    return { labels, samples: [{ value, timestamp }] }
  })
}

/** 500 spans of 12 attributes, of 5 services, as an exporter without compression sends them. */
export function tracesBody(number: number, spans = 500): Uint8Array {
  const random = randomOf(number + 1)
  const text = (key: string, stringValue: string) => ({ key, value: { stringValue } })
  const int = (key: string, intValue: number) => ({ key, value: { intValue } })
  const services = 5
  const spanOf = (i: number) => {
    const startMs = START_MS + number * 1000 + Math.floor(random() * 1000)
    const isCall = i % 3 === 0
    return {
      traceId: hexOf(random, 16),
      spanId: hexOf(random, 8),
      parentSpanId: i % 5 === 0 ? Buffer.alloc(0) : hexOf(random, 8),
      name: `GET ${ROUTES[i % ROUTES.length]!}`,
      kind: isCall ? 3 : 2,
      startTimeUnixNano: `${startMs}000000`,
      endTimeUnixNano: `${startMs + 1 + Math.floor(random() * 200)}${String(Math.floor(random() * 1e6)).padStart(6, '0')}`,
      attributes: [
        text('http.request.method', 'GET'),
        text('url.scheme', 'https'),
        text('url.path', `/api/v1/orders/${Math.floor(random() * 1e6)}`),
        text('http.route', ROUTES[i % ROUTES.length]!),
        int('http.response.status_code', 200),
        text('network.protocol.version', '1.1'),
        text('network.peer.address', `10.12.${i % 250}.17`),
        int('network.peer.port', 30_000 + (i % 20_000)),
        text(isCall ? 'server.address' : 'client.address', isCall ? 'products.shop.svc' : '10.1.2.3'),
        int('server.port', 8080),
        text('user_agent.original', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'),
        int('thread.id', 1 + (i % 16)),
      ],
      status: { code: random() < 0.02 ? 2 : 0 },
      flags: 1,
    }
  }
  const resourceSpans = Array.from({ length: services }, (_, service) => ({
    resource: {
      attributes: [
        text('service.name', `service-${service}`),
        text('service.version', '1.4.2'),
        text('k8s.pod.name', `service-${service}-6f7c9d8b5-x2x4z`),
        text('telemetry.sdk.language', 'nodejs'),
      ],
    },
    scopeSpans: [
      {
        scope: { name: '@opentelemetry/instrumentation-http', version: '0.200.0' },
        spans: Array.from({ length: spans / services }, (_, i) => spanOf(i)),
      },
    ],
  }))
  return TracesData.encode(TracesData.fromObject({ resourceSpans })).finish()
}

const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** Export number `scrape` of 5 services: 2,000 data points of 5 attributes, a quarter of them each gauges, sums, whole sums and histograms. */
export function otlpMetricsBody(scrape: number, points = 2000): Uint8Array {
  const random = randomOf(scrape + 1)
  const text = (key: string, stringValue: string) => ({ key, value: { stringValue } })
  const times = { startTimeUnixNano: `${START_MS}000000`, timeUnixNano: `${START_MS + scrape * SCRAPE_MS}000000` }
  const services = 5
  const perMetric = points / services / 4
  const attributesOf = (i: number) => [
    text('http.request.method', ['GET', 'POST', 'PUT', 'DELETE'][i % 4]!),
    text('http.route', `${ROUTES[i % ROUTES.length]!}/${i.toString(36)}`),
    { key: 'http.response.status_code', value: { intValue: [200, 201, 404, 500][i % 4]! } },
    text('network.protocol.version', '1.1'),
    text('server.address', 'products.shop.svc'),
  ]
  const listOf = (values: (i: number) => object) =>
    Array.from({ length: perMetric }, (_, i) => ({ ...times, ...values(i), attributes: attributesOf(i) }))
  const resourceMetrics = Array.from({ length: services }, (_, service) => ({
    resource: {
      attributes: [
        text('service.name', `service-${service}`),
        text('service.instance.id', `service-${service}-6f7c9d8b5-x2x4z`),
        text('service.version', '1.4.2'),
        text('telemetry.sdk.language', 'nodejs'),
      ],
    },
    scopeMetrics: [
      {
        scope: { name: '@opentelemetry/instrumentation-http', version: '0.200.0' },
        metrics: [
          {
            name: 'http.server.active_requests',
            unit: '{request}',
            gauge: { dataPoints: listOf(() => ({ asInt: Math.floor(random() * 50) })) },
          },
          {
            name: 'http.server.busy_time',
            unit: 's',
            sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: listOf((i) => ({ asDouble: i + scrape * 10 + random() })) },
          },
          {
            name: 'http.server.response.size',
            unit: 'By',
            sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: listOf((i) => ({ asInt: i * 1000 + scrape * 50 })) },
          },
          {
            name: 'http.server.request.duration',
            unit: 's',
            histogram: {
              aggregationTemporality: 2,
              dataPoints: listOf((i) => ({
                count: (scrape + 1) * 15,
                sum: i + scrape * 2.5,
                bucketCounts: Array.from({ length: 15 }, () => scrape + 1),
                explicitBounds: BOUNDS,
                min: 0.001,
                max: 12,
              })),
            },
          },
        ],
      },
    ],
  }))
  return MetricsData.encode(MetricsData.fromObject({ resourceMetrics })).finish()
}

/** 1,000 records of 5 services as an SDK exports them: plain text with a trace and three attributes. */
export function otlpLogsBody(number: number, records = 1000): Uint8Array {
  const random = randomOf(number + 1)
  const text = (key: string, stringValue: string) => ({ key, value: { stringValue } })
  const services = 5
  const recordOf = (i: number) => {
    const time = `${START_MS + number * 1000 + i}000000`
    return {
      timeUnixNano: time,
      observedTimeUnixNano: time,
      severityNumber: i % 50 === 0 ? 17 : 9,
      severityText: i % 50 === 0 ? 'ERROR' : 'INFO',
      body: { stringValue: `order ${Math.floor(random() * 1e9)} stored in ${(random() * 100).toFixed(2)} ms for customer ${i}` },
      traceId: hexOf(random, 16),
      spanId: hexOf(random, 8),
      attributes: [
        text('code.function.name', 'storeOrder'),
        text('thread.name', `http-nio-8080-exec-${i % 16}`),
        text('log.logger', 'c.e.shop.OrderController'),
      ],
    }
  }
  const resourceLogs = Array.from({ length: services }, (_, service) => ({
    resource: {
      attributes: [
        text('service.name', `service-${service}`),
        text('k8s.pod.name', `service-${service}-6f7c9d8b5-x2x4z`),
        text('telemetry.sdk.language', 'java'),
      ],
    },
    scopeLogs: [
      { scope: { name: 'c.e.shop.OrderController' }, logRecords: Array.from({ length: records / services }, (_, i) => recordOf(i)) },
    ],
  }))
  return LogsData.encode(LogsData.fromObject({ resourceLogs })).finish()
}

/** 1,000 lines in 5 streams, half of them JSON, in a snappy block. */
export function lokiBody(number: number, lines = 1000): Uint8Array {
  const random = randomOf(number + 1)
  const perStream = lines / 5
  const streams = Array.from({ length: 5 }, (_, stream) => ({
    labels: `{app="service-${stream}", namespace="shop", pod="service-${stream}-6f7c9d8b5-x2x4z", container="main"}`,
    entries: Array.from({ length: perStream }, (_, i) => ({
      timestamp: { seconds: Math.floor(START_MS / 1000) + number, nanos: i * 1_000_000 },
      line: lineOf(i, random),
    })),
  }))
  return compressSync(Buffer.from(PushRequest.encode(PushRequest.fromObject({ streams })).finish()))
}

function lineOf(i: number, random: () => number): string {
  const id = Math.floor(random() * 1e9)
  const ms = (random() * 100).toFixed(2)
  const route = ROUTES[i % ROUTES.length]!
  if (i % 2 === 0) {
    return JSON.stringify({
      level: 'info',
      time: START_MS + i,
      pid: 17,
      hostname: 'x2x4z',
      reqId: id,
      route,
      ms: Number(ms),
      msg: 'request completed',
    })
  }
  if (i % 4 === 1)
    return `2026-01-05T09:00:00.123Z INFO  [http-nio-8080-exec-${i % 16}] c.e.shop.OrderController : order ${id} stored in ${ms} ms`
  return `ts=2026-01-05T09:00:00.123Z level=warn caller=client.go:217 msg="request was slow" route=${route} id=${id} took=${ms}ms`
}
