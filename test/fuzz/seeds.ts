/** What is damaged: every body of a real sender that there is, and some that hold what senders have not sent yet. */
import { readFileSync, readdirSync } from 'node:fs'
import { gunzipSync, inflateSync } from 'node:zlib'
import { compress } from '@mongodb-js/zstd'
import { uncompressSync } from 'snappy'
import { encode } from './oracle.ts'

const FIXTURES = new URL('../fixtures/', import.meta.url)

export function fixture(path: string): Buffer {
  return readFileSync(new URL(path, FIXTURES))
}

/** Bodies of recorded requests whose names begin so, uncompressed. */
export function recorded(pattern: RegExp): Buffer[] {
  return readdirSync(new URL('senders/', FIXTURES))
    .filter((name) => name.endsWith('.body') && pattern.test(name))
    .toSorted()
    .flatMap((name) => {
      const body = fixture(`senders/${name}`)
      if (name.includes('zstd')) return []
      if (name.includes('gzip')) return [gunzipSync(body)]
      if (name.includes('deflate')) return [inflateSync(body)]
      const snappy = name.includes('snappy') || /\.loki\.proto\./.test(name)
      return [snappy ? (uncompressSync(body) as Buffer) : body]
    })
}

export const NOW_MS = Date.parse('2026-11-23T16:00:00Z')
const SECONDS = NOW_MS / 1000
const NANOS = `${NOW_MS}000000`
const label = (name: string, value: string) => ({ name, value })
const text = (key: string, string_value: string) => ({ key, value: { string_value } })

const HISTOGRAM = {
  count_int: 12,
  sum: 18.4,
  schema: 1,
  zero_threshold: 0.001,
  zero_count_int: 2,
  negative_spans: [
    { offset: 0, length: 2 },
    { offset: 1, length: 1 },
  ],
  negative_deltas: [1, 1, -1],
  positive_spans: [
    { offset: -2, length: 2 },
    { offset: 3, length: 1 },
  ],
  positive_deltas: [2, 0, 0],
  timestamp: NOW_MS,
}
const FLOAT_HISTOGRAM = { count_float: 4.5, sum: 3, schema: -53, positive_spans: [{ offset: 0, length: 3 }], positive_counts: [1, 2.5, 1], custom_values: [0.5, 1], timestamp: NOW_MS, reset_hint: 3 } // prettier-ignore

export const REMOTE_WRITE = encode('WriteRequest', {
  timeseries: [
    { labels: [label('__name__', 'a'), label('job', 'shop'), label('__proto__', 'x')], samples: [{ value: 1, timestamp: NOW_MS }, { value: 2, timestamp: NOW_MS + 1 }] },
    { labels: [label('__name__', 'h'), label('job', 'shop')], histograms: [HISTOGRAM, FLOAT_HISTOGRAM], exemplars: [{ labels: [label('trace_id', 'a')], value: 1, timestamp: 5 }] },
    { labels: [label('__name__', 'b_total')], samples: [{ value: 3, timestamp: NOW_MS, start_timestamp: 7 }] },
  ],
  metadata: [{ type: 1, metric_family_name: 'a', help: 'h', unit: 's' }, { type: 2, metric_family_name: 'b' }],
}) // prettier-ignore

const remoteWrite2 = (symbols: string[], offset: number) =>
  encode('Request', {
    symbols,
    timeseries: [
      { labels_refs: [1, 2, 3, 4].map((ref) => ref + offset), samples: [{ value: 1, timestamp: NOW_MS, start_timestamp: 3 }], metadata: { type: 1, help_ref: 0 } },
      { labels_refs: [1, 5, 3, 4].map((ref) => ref + offset), histograms: [HISTOGRAM, FLOAT_HISTOGRAM], exemplars: [{ labels_refs: [3, 4].map((ref) => ref + offset), value: 1 }], created_timestamp: 8 },
      { labels_refs: [1, 6].map((ref) => ref + offset), samples: [{ value: 2, timestamp: NOW_MS }] },
    ],
  }) // prettier-ignore
export const REMOTE_WRITE_2 = remoteWrite2(['', '__name__', 'a', 'job', 'shop', 'h', '__proto__'], 0)
export const MIMIR_2 = remoteWrite2(['x', '__name__', 'a', 'job', 'shop', 'h', '__proto__'], 64)

export const LOKI = encode('PushRequest', {
  streams: [
    {
      labels: '{app="shop", level="warn"}',
      entries: [
        { timestamp: { seconds: SECONDS, nanos: 5 }, line: 'level=error msg="it failed" trace_id=0af7651916cd43dd8448eb211c80319c' },
        { timestamp: { seconds: SECONDS }, line: '{"level":"info","msg":"done","err":{"message":"no"}}', structured_metadata: [label('trace_id', '0af7651916cd43dd8448eb211c80319c'), label('level', 'error')] },
      ],
    },
    { labels: '{}', entries: [{ timestamp: { seconds: SECONDS }, line: 'plain ü', structured_metadata: [label('service_name', 'cart')] }] },
  ],
}) // prettier-ignore
export const LOKI_STREAM = encode('Stream', {
  labels: '{app="shop"}',
  entries: [{ timestamp: { seconds: SECONDS }, line: 'plain' }],
  hash: 5,
})

const RESOURCE = { attributes: [text('service.name', 'shop'), text('host.name', 'a'), text('service.version', '1')] }
const trace_id = Buffer.from('0af7651916cd43dd8448eb211c80319c', 'hex')
const span_id = Buffer.from('b7ad6b7169203331', 'hex')
const nested = { kvlist_value: { values: [text('msg', 'paid'), { key: 'list', value: { array_value: { values: [{ int_value: 5 }, { double_value: 2.5 }, { bool_value: true }] } } }] } } // prettier-ignore
const span = { trace_id, span_id, name: 'GET /', kind: 2, start_time_unix_nano: NANOS, end_time_unix_nano: NANOS }

export const TRACES = encode('TracesData', {
  resource_spans: [
    {
      resource: RESOURCE,
      scope_spans: [
        {
          scope: { name: 'lib', attributes: [text('a', 'b')] },
          spans: [
            { ...span, attributes: [text('http.route', '/')], events: [{ name: 'exception', attributes: [text('x', 'y')] }], status: { code: 2, message: 'no' }, flags: 1, links: [{ trace_id, span_id }] },
            { ...span, parent_span_id: span_id, kind: 3, attributes: [text('server.address', 'db'), { key: 'server.port', value: { int_value: 5432 } }, text('peer.service', 'stock')], trace_state: 'a=b' },
          ],
        },
      ],
    },
  ],
}) // prettier-ignore
export const LOGS = encode('LogsData', {
  resource_logs: [
    {
      resource: RESOURCE,
      scope_logs: [
        {
          log_records: [
            { time_unix_nano: NANOS, severity_number: 17, body: { string_value: 'it failed' }, trace_id, span_id, attributes: [text('a', 'b')] },
            { observed_time_unix_nano: NANOS, severity_text: 'WARN', body: nested },
            { time_unix_nano: NANOS, body: { bytes_value: Buffer.from('level=info msg=x') }, event_name: 'clicked' },
            { time_unix_nano: NANOS, event_name: 'clicked' },
          ],
        },
      ],
    },
  ],
}) // prettier-ignore
const point = { attributes: [text('http.method', 'GET'), { key: 'n', value: nested }], start_time_unix_nano: '1', time_unix_nano: NANOS }
export const METRICS = encode('MetricsData', {
  resource_metrics: [
    {
      resource: RESOURCE,
      scope_metrics: [
        {
          metrics: [
            { name: 'queue', unit: 'By', gauge: { data_points: [{ ...point, as_int: -5 }, { ...point, as_double: 2, flags: 1 }] } },
            { name: 'requests', unit: '1', sum: { data_points: [{ ...point, as_double: 5, exemplars: [{ as_double: 1, span_id, trace_id }] }], aggregation_temporality: 2, is_monotonic: true } },
            { name: 'time', unit: 's', histogram: { data_points: [{ ...point, count: 6, sum: 4, bucket_counts: [1, 2, 3], explicit_bounds: [0.5, 1], min: 0.1, max: 3 }], aggregation_temporality: 1 } },
            { name: 'size', exponential_histogram: { data_points: [{ ...point, count: 9, sum: 4, scale: 3, zero_count: 1, positive: { offset: -3, bucket_counts: [1, 2, 0, 1] }, negative: { offset: 2, bucket_counts: [1, 3] } }], aggregation_temporality: 2 } },
            { name: 'old', summary: { data_points: [{ ...point, count: 3, sum: 4, quantile_values: [{ quantile: 0.5, value: 1 }, { quantile: 0.99, value: 2 }] }] } },
          ],
        },
      ],
    },
  ],
}) // prettier-ignore

export const JAEGER = encode('JaegerSpan', {
  trace_id,
  span_id,
  operation_name: 'GET /',
  references: [{ trace_id, span_id: Buffer.alloc(8, 3), ref_type: 1 }, { trace_id, span_id: Buffer.alloc(8, 4) }],
  start_time: { seconds: SECONDS, nanos: 7 },
  duration: { nanos: 5_000_000 },
  tags: [{ key: 'span.kind', v_str: 'client' }, { key: 'error', v_type: 1, v_bool: true }, { key: 'peer.port', v_type: 2, v_int64: 80 }, { key: 'peer.hostname', v_str: 'db' }],
  logs: [{ timestamp: { seconds: 5 }, fields: [{ key: 'event', v_str: 'x' }] }],
  process: { service_name: 'shop', tags: [{ key: 'hostname', v_str: 'node-1' }] },
  warnings: ['clock'],
}) // prettier-ignore
export const JAEGER_JSON = Buffer.from(
  JSON.stringify({
    traceId: trace_id.toString('base64'),
    spanId: span_id.toString('base64'),
    operationName: 'GET /',
    references: [{ traceId: trace_id.toString('base64'), spanId: span_id.toString('base64'), refType: 'CHILD_OF' }],
    startTime: '2026-11-23T15:59:59.123456789Z',
    duration: '0.000123s',
    tags: [{ key: 'span.kind', vType: 'STRING', vStr: 'client' }, { key: 'error', vType: 'BOOL', vBool: true }, { key: 'n', vType: 'INT64', vInt64: '5' }],
    process: { serviceName: 'shop', tags: [{ key: 'hostname', vStr: 'node-1' }] },
  }),
) // prettier-ignore

const zipkin = { trace_id, id: span_id, name: 'get /', kind: 2, timestamp: String(NOW_MS * 1000), duration: 1500, local_endpoint: { service_name: 'shop', ipv4: Buffer.from([10, 0, 0, 1]), port: 8080 } } // prettier-ignore
export const ZIPKIN = encode('ListOfSpans', {
  spans: [
    zipkin,
    { ...zipkin, trace_id: trace_id.subarray(8), parent_id: Buffer.alloc(8, 9), kind: 1, shared: true, remote_endpoint: { service_name: 'stock', ipv6: Buffer.alloc(16, 1) }, tags: [{ key: 'error', value: '' }, { key: 'http.method', value: 'GET' }], annotations: [{ timestamp: '5', value: 'x' }] },
  ],
}) // prettier-ignore
export const ZIPKIN_JSON = Buffer.from(
  JSON.stringify([
    { traceId: '5982fe77008310cc80f1da5e10147519', id: 'bd7a977555f6b982', parentId: 'ebf33e1a81dc6f71', kind: 'CLIENT', name: 'get /', timestamp: NOW_MS * 1000, duration: 5, localEndpoint: { serviceName: 'shop', ipv4: '10.0.0.1', port: 80 }, remoteEndpoint: { serviceName: 'stock', ipv6: '::1' }, tags: { error: 'x', 'http.method': 'GET' }, shared: true },
  ]),
) // prettier-ignore

export const ALERTS = Buffer.from(
  JSON.stringify([{ labels: { alertname: 'A', severity: 'page', job: 'shop' }, annotations: { summary: 's' }, startsAt: '2026-11-23T14:29:33.168065435Z', endsAt: '2026-11-23T17:29:33Z', generatorURL: 'http://a/b' }]),
) // prettier-ignore
export const CHANGES = Buffer.from(
  JSON.stringify([{ type: 'deploy', service: 'a', version: '1', title: 't', time: '2026-11-23T14:29:33Z', url: 'https://x/y' }]),
)
export const ADAPTER = Buffer.from(
  JSON.stringify({ timestamp: '2026-11-23T15:59:59Z', value: '1.5', name: 'up', labels: { __name__: 'up', job: 'shop', instance: 'a:1' } }),
)
export const LOKI_LEGACY = Buffer.from(
  JSON.stringify({ streams: [{ labels: '{app="shop"}', entries: [{ ts: '2026-11-23T15:59:59.5Z', line: 'level=warn msg=x' }] }] }),
)

export const LINES: readonly Buffer[] = [
  'plain text with level=error in it and msg="two words" err="no \\"way\\"" trace_id=0af7651916cd43dd8448eb211c80319c',
  '{"level":"error","msg":"boom \\u00fc","err":{"message":"no","code":5},"trace_id":"0AF7651916CD43DD8448EB211C80319C","n":[1,2,{"a":null}]}',
  '{"log":"{\\"level\\":\\"warn\\",\\"msg\\":\\"inner\\"}\\n","stream":"stderr","time":"2026-11-23T15:59:55.123456789Z","kubernetes":{"labels":{"app":"cart"},"pod_name":"cart-6d5f8c9b7d-x2k4p"}}',
  '{"@timestamp":"2026-11-23T15:59:55.123Z","log.level":"error","message":"boom","service":{"name":"pay","version":"1.2"},"trace":{"id":"0af7651916cd43dd8448eb211c80319c"}}',
  '{"short_message":"GELF","level":3,"_service":"x","PRIORITY":"4","severity_number":9}',
  '2026-11-23 15:59:55 [WARN] it is slow',
  'E1123 15:59:55.000000       1 main.go:5] failed',
  'ts=5 level=info msg=done caller=x.go:5 duration=1.5ms',
].map((line) => Buffer.from(line)) // prettier-ignore

/** Frames as the reference library writes them, at several levels; made once, because it writes them asynchronously. */
export const ZSTD: readonly Buffer[] = await Promise.all(
  [METRICS, Buffer.from('to be or not to be, that is the question; '.repeat(30)), Buffer.alloc(9_000, 'abcd'), ...recorded(/^prometheus-3\.rw1/)].flatMap((plain) =>
    [-5, 1, 3, 19].map((level) => compress(plain, level)),
  ),
) // prettier-ignore
