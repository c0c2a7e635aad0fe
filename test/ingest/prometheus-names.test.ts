/** Names as Prometheus' own OTLP receiver writes them: https://github.com/prometheus/otlptranslator */
import { expect, it } from 'vitest'
import { prometheusLabel, prometheusName } from '../../src/ingest/metrics/prometheus-names.ts'

it.each([
  ['http.server.request.duration', 's', 'other', 'http_server_request_duration_seconds'],
  ['http.server.active_requests', '{request}', 'other', 'http_server_active_requests'],
  ['system.network.io', 'By', 'counter', 'system_network_io_bytes_total'],
  ['system.disk.io', 'By/s', 'gauge', 'system_disk_io_bytes_per_second'],
  ['system.cpu.utilization', '1', 'gauge', 'system_cpu_utilization_ratio'],
  ['requests', '1', 'counter', 'requests_total'],
  ['requests.total.time', 'ms', 'counter', 'requests_time_milliseconds_total'],
  ['cpu_seconds', 's', 'counter', 'cpu_seconds_total'],
  ['errors', '{error}/m', 'gauge', 'errors_per_minute'],
  ['2xx  responses', '', 'gauge', '_2xx_responses'],
  ['room.temp', 'Cel', 'gauge', 'room_temp_celsius'],
  ['fill', '%', 'gauge', 'fill_percent'],
  ['speed', 'furlong', 'gauge', 'speed_furlong'],
  ['µ…', '', 'gauge', ''],
] as const)('%s in %s, a %s, is %s', (name, unit, kind, expected) => {
  expect(prometheusName(name, unit, kind)).toBe(expected)
})

it.each([
  ['http.request.method', 'http_request_method'],
  ['1st', 'key_1st'],
  ['_hidden', 'key_hidden'],
  ['__meta', '__meta'],
  ['a--b', 'a__b'],
  ['…', ''],
])('the label %s is %s', (name, expected) => {
  expect(prometheusLabel(name)).toBe(expected)
})
