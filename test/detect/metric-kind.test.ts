import { expect, test } from 'vitest'
import { classifyMetric, failedRequests, labelText } from '../../src/detect/series/metric-kind.ts'
import type { Labels } from '../../src/model.ts'

const LE: Labels = [['le', '0.5']]

test.each<[string, Labels, Partial<ReturnType<typeof classifyMetric>>]>([
  [
    'http_request_duration_seconds_bucket',
    LE,
    {
      shape: 'bucket',
      family: 'http_request_duration_seconds',
      symptom: 'latency',
      feature: 'latency',
      bad: 'up',
      unit: 's',
      served: true,
    },
  ],
  ['http_server_request_duration_seconds_bucket', LE, { symptom: 'latency', served: true }],
  ['grpc_server_handling_seconds_bucket', LE, { symptom: 'latency', served: true, unit: 's' }],
  ['http_client_request_duration_seconds_bucket', LE, { symptom: 'latency', feature: 'downstream_latency', served: false }],
  ['http_server_duration_milliseconds_bucket', LE, { symptom: 'latency', unit: 'ms' }],
  ['http_requests_total', [], { shape: 'counter', symptom: 'traffic', feature: 'traffic', bad: 'both', unit: '/s', served: true }],
  ['http_requests_total', [['code', '503']], { symptom: 'errors', feature: 'errors', bad: 'up' }],
  ['http_client_requests_total', [['code', '503']], { symptom: 'errors', feature: 'downstream_errors', served: false }],
  ['http_request_duration_seconds_count', [], { shape: 'count', symptom: 'traffic' }],
  ['http_request_duration_seconds_sum', [], { shape: 'sum' }],
  ['process_cpu_seconds_total', [], { shape: 'counter', symptom: 'saturation', feature: 'cpu', bad: 'up', unit: 'cores', process: true }],
  [
    'process_resident_memory_bytes',
    [],
    { shape: 'gauge', symptom: 'saturation', feature: 'memory', bad: 'up', unit: 'bytes', process: true },
  ],
  ['node_memory_MemAvailable_bytes', [], { shape: 'gauge', symptom: 'saturation', feature: 'memory', bad: 'down' }],
  ['node_filesystem_avail_bytes', [], { shape: 'gauge', feature: 'disk' }],
  ['node_filesystem_free_bytes', [], { feature: 'disk', bad: 'down' }],
  ['nodejs_eventloop_lag_seconds', [], { shape: 'gauge', symptom: 'saturation', feature: 'runtime', bad: 'up', unit: 's', process: true }],
  ['nodejs_active_handles_total', [], { shape: 'gauge', feature: 'runtime' }],
  ['nodejs_gc_duration_seconds_bucket', LE, { shape: 'bucket', feature: 'runtime', served: false }],
  ['go_goroutines', [], { shape: 'gauge', feature: 'runtime', process: true }],
  ['jvm_memory_used_bytes', [], { feature: 'memory' }],
  ['pg_stat_activity_connections', [], { feature: 'pool', bad: 'up' }],
  ['hikaricp_connections_idle', [], { feature: 'pool', bad: 'down' }],
  ['kafka_consumergroup_lag', [], { feature: 'queue', symptom: 'saturation', bad: 'up' }],
  ['rabbitmq_queue_messages_ready', [], { feature: 'queue' }],
  ['orders_failed_total', [], { shape: 'counter', symptom: 'errors', feature: 'errors', bad: 'up' }],
  ['temperature_celsius', [], { shape: 'gauge', symptom: 'other', bad: 'both', unit: '°C' }],
  ['up', [], { shape: 'up', symptom: 'absence', bad: 'down' }],
  ['process_start_time_seconds', [], { shape: 'start' }],
  ['nodejs_version_info', [], { shape: 'ignored' }],
  ['prometheus_build_info', [], { shape: 'ignored' }],
  ['http_requests_created', [], { shape: 'ignored' }],
  ['kube_pod_container_resource_limits', [], { shape: 'ignored' }],
  ['backup_last_success_timestamp_seconds', [], { shape: 'ignored' }],
  ['scrape_duration_seconds', [], { shape: 'ignored' }],
])('%s %j', (name, labels, expected) => {
  expect(classifyMetric(name, labels)).toMatchObject(expected)
})

test.each<[string, string, boolean | undefined]>([
  ['status', '200', false],
  ['status', '404', false],
  ['status', '500', true],
  ['code', '5xx', true],
  ['status_code', '503', true],
  ['http_response_status_code', '502', true],
  ['grpc_code', 'OK', false],
  ['grpc_code', 'Unavailable', true],
  ['grpc_code', 'NotFound', false],
  ['rpc_grpc_status_code', '14', true],
  ['outcome', 'SERVER_ERROR', true],
  ['outcome', 'SUCCESS', false],
  ['method', 'GET', undefined],
])('%s="%s" failed: %s', (name, value, expected) => {
  expect(failedRequests([[name, value]])).toBe(expected)
})

test('labels that say where a series comes from are not shown, hostile ones are clipped', () => {
  const labels: Labels = [
    ['__proto__', 'x'.repeat(500)],
    ['instance', 'a:1'],
    ['job', 'shop'],
    ['mode', 'user'],
  ]
  const text = labelText(labels, () => false)
  expect(text).toContain('mode="user"')
  expect(text).not.toContain('a:1')
  expect(text.length).toBeLessThan(120)
})

test('a name of a million characters costs no more than a short one', () => {
  const started = performance.now()
  classifyMetric('_last_'.repeat(200_000), [])
  expect(performance.now() - started).toBeLessThan(200)
})
