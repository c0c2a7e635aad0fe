/** Bodies of real programs, as recorded: what each of them becomes. */
import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { NOW_MS, fixture, linesOf, newContext, openDoors, recorded, samplesOf, spansOf } from './doors-fixture.ts'
import { decodeOtlpLogs, decodeOtlpLogsJson } from '../../src/ingest/logs/otlp-logs.ts'

async function taken(name: string) {
  const { door, transport } = openDoors({}, 1)
  const response = await door.accept(recorded(name))
  expect(response.status).toBe(name.includes('otlp') ? 200 : 204)
  return transport
}

/** Answer (2.0: with samples, histograms and exemplars written) and rows of every body that there is. */
const ALL: readonly (readonly [name: string, answer: string, rows: string])[] = [
  ['alertmanager.alertmanager-webhook.json.1', '200', '1 events'],
  ['loki-canary.loki.proto.1', '204', '5 logs'],
  ['loki-canary.loki.proto.2', '204', '5 logs'],
  ['otel-collector.otlp-logs.json.1', '200', '5 logs'],
  ['otel-collector.otlp-logs.proto-gzip.1', '200', '20 logs'],
  ['otel-collector.otlp-logs.proto-gzip.2', '200', '5 logs'],
  ['otel-collector.otlp-logs.proto-gzip.3', '200', '5 logs'],
  ['otel-collector.otlp-metrics.json.1', '200', '81 metrics'],
  ['otel-collector.otlp-metrics.json.2', '200', '80 metrics'],
  ['otel-collector.otlp-metrics.proto-gzip.1', '200', '20 metrics'],
  ['otel-collector.otlp-metrics.proto-gzip.2', '200', '79 metrics'],
  ['otel-collector.otlp-metrics.proto-gzip.3', '200', '81 metrics'],
  ['otel-collector.otlp-traces.json.1', '200', '10 spans'],
  ['otel-collector.otlp-traces.proto-gzip.1', '200', '40 spans'],
  ['otel-collector.otlp-traces.proto-gzip.2', '200', '10 spans'],
  ['otel-collector.otlp-traces.proto-zstd.1', '200', '10 spans'],
  ['otel-collector.rw1.proto-snappy.1', '204', '80 metrics'],
  ['otel-collector.rw1.proto-snappy.2', '204', '81 metrics'],
  ['otel-collector.rw2.proto-snappy.1', '204 80 0 0', '80 metrics'],
  ['otel-collector.rw2.proto-snappy.2', '204 81 0 0', '81 metrics'],
  ['pino-loki.loki.json.1', '204', '5 logs'],
  ['prometheus-2.rw1.proto-snappy.1', '204', '135 metrics'],
  ['prometheus-2.rw1.proto-snappy.2', '204', '135 metrics'],
  ['prometheus-3.rw1.proto-snappy.1', '204', '1257 metrics'],
  ['prometheus-3.rw1.proto-snappy.2', '204', '730 metrics'],
  ['prometheus-3.rw2.proto-snappy.1', '204 397 6 0', '427 metrics'],
  ['prometheus-3.rw2.proto-snappy.2', '204 397 6 0', '427 metrics'],
  ['prometheus-3.rw2.proto-snappy.3', '204 810 36 4', '1147 metrics'],
  ['prometheus-3.rw2.proto-snappy.4', '204 730 23 0', '903 metrics'],
  ['promtool.rw1.proto-snappy.1', '204', '6 metrics'],
  ['promtool.rw1.proto-snappy.2', '204', '6 metrics'],
  ['promtool.rw2.proto-snappy.1', '400 0 0 0', ''],
  ['syslog-ng.loki.json.1', '204', '3 logs'],
  ['telegraf.loki.json-gzip.1', '204', '2 logs'],
  ['telegraf.loki.json.1', '204', '2 logs'],
  ['telegraf.rw1.proto-snappy.1', '204', '10 metrics'],
  ['telegraf.rw1.proto-snappy.2', '204', '10 metrics'],
  ['telemetrygen.otlp-logs.proto.1', '200', '3 logs'],
  ['telemetrygen.otlp-metrics.proto.1', '200', '54 metrics'],
  ['telemetrygen.otlp-metrics.proto.2', '200', '29 metrics'],
  ['telemetrygen.otlp-traces.proto.1', '200', '6 spans'],
  ['vmagent.rw1.proto-snappy.1', '204', '136 metrics'],
  ['vmagent.rw1.proto-snappy.2', '204', '136 metrics'],
  ['winston-loki.loki.json.1', '204', '5 logs'],
  ['winston-loki.loki.proto.1', '204', '5 logs'],
]

describe('every recorded body', () => {
  it('is in the table', () => {
    const names = readdirSync(new URL('../fixtures/senders', import.meta.url)).filter((name) => name.endsWith('.json'))
    expect(names.map((name) => name.slice(0, -'.json'.length)).toSorted()).toEqual(ALL.map(([name]) => name).toSorted())
  })

  it.each(ALL)('%s: %s, %s', async (name, answer, rows) => {
    const { door, transport } = openDoors({}, 1)
    const { status, headers } = await door.accept(recorded(name))
    const written = ['samples', 'histograms', 'exemplars'].map((kind) => headers[`x-prometheus-remote-write-${kind}-written`])
    expect([status, ...written.filter((count) => count !== undefined)].join(' ')).toBe(answer)
    const batches = transport.batches().map(({ batch }) => batch)
    const counts = batches
      .filter(({ kind }) => kind !== 'links')
      .map((batch) =>
        'rows' in batch ? `${batch.rows} ${batch.kind}` : `${batch.kind === 'events' ? batch.events.length : 0} ${batch.kind}`,
      )
    expect(counts.join(', ')).toBe(rows)
  })
})

describe('Prometheus', () => {
  it('2.42: one scrape of node-exporter, with its external labels', async () => {
    const batch = (await taken('prometheus-2.rw1.proto-snappy.1')).of('metrics')[0]!
    expect([batch.rows, batch.series.length]).toEqual([135, 135])
    expect(batch.series[0]).toEqual({
      key: 'go_gc_duration_seconds_count{cluster="lab",instance="127.0.0.1:19100",job="node",replica="a"}',
      name: 'go_gc_duration_seconds_count',
      type: 'unknown',
      labels: [
        ['cluster', 'lab'],
        ['instance', '127.0.0.1:19100'],
        ['job', 'node'],
        ['replica', 'a'],
      ],
      service: 'node',
      instance: '127.0.0.1:19100',
    })
    expect(batch.timeMs.every((timeMs) => timeMs === batch.timeMs[0])).toBe(true)
    expect(batch.stale.every((stale) => stale === 0)).toBe(true)
  })

  it('3.16: two jobs, several scrapes, exemplars left out', async () => {
    const transport = await taken('prometheus-3.rw1.proto-snappy.2')
    const batch = transport.of('metrics')[0]!
    expect([batch.rows, new Set(batch.series.map((series) => series.service))]).toEqual([730, new Set(['node', 'self'])])
  })

  it('promtool: a histogram and a counter', async () => {
    const batch = (await taken('promtool.rw1.proto-snappy.1')).of('metrics')[0]!
    expect(samplesOf(batch).map(({ key, value }) => [key, value])).toEqual([
      ['lab_lat_bucket{job="lab",le="0.1"}', 3],
      ['lab_lat_bucket{job="lab",le="+Inf"}', 5],
      ['lab_lat_sum{job="lab"}', 1.5],
      ['lab_lat_count{job="lab"}', 5],
      ['lab_requests_total{code="200",job="lab"}', 10],
      ['lab_requests_total{code="500",job="lab"}', 1],
    ])
  })
})

it.each([
  ['vmagent.rw1.proto-snappy.1', 136, 'node'],
  ['telegraf.rw1.proto-snappy.1', 10, 'unknown'],
  ['otel-collector.rw1.proto-snappy.1', 80, 'node'],
])('%s: %i samples of %s', async (name, rows, service) => {
  const batch = (await taken(name)).of('metrics')[0]!
  expect([batch.rows, batch.series[0]!.service]).toEqual([rows, service])
})

describe('Loki clients', () => {
  it('pino-loki: JSON lines with numeric levels become their messages', async () => {
    const lines = linesOf((await taken('pino-loki.loki.json.1')).of('logs')[0]!)
    expect(lines).toHaveLength(5)
    expect(lines[0]).toEqual({ service: 'pino', timeMs: 1795444651351, severity: 9, body: 'hello', traceId: '' })
  })

  it.each(['winston-loki.loki.json.1', 'winston-loki.loki.proto.1'])('%s: the level comes from the labels', async (name) => {
    const lines = linesOf((await taken(name)).of('logs')[0]!)
    expect(lines.map(({ service, severity, body }) => [service, severity, body])).toEqual(
      [0, 1, 2, 3, 4].map((i) => ['winston', 9, `hello ${i} {"level":"info"}`]),
    )
  })

  it('syslog-ng: quotes, backslashes and UTF-8', async () => {
    const lines = linesOf((await taken('syslog-ng.loki.json.1')).of('logs')[0]!)
    expect(lines.map(({ body }) => body)).toEqual(['plain line', 'with "quote" and \\ back', 'third é'])
    expect(lines[0]).toMatchObject({ service: 'syslog-ng', timeMs: 1795444606682.076 })
  })

  it.each(['telegraf.loki.json.1', 'telegraf.loki.json-gzip.1'])('%s', async (name) => {
    expect(linesOf((await taken(name)).of('logs')[0]!).map(({ body }) => body)).toEqual(['value="one"', 'value="two"'])
  })

  it.each([1, 2])('loki-canary: snappy without Content-Encoding, %i', async (number) => {
    const lines = linesOf((await taken(`loki-canary.loki.proto.${number}`)).of('logs')[0]!)
    expect(lines.map(({ body }) => body.split(' ')[0])).toEqual(
      lines.map(({ timeMs }) => expect.stringContaining(String(Math.floor(timeMs))) as string),
    )
    expect(lines).toHaveLength(5)
  })
})

describe('OpenTelemetry', () => {
  it.each([
    ['otel-collector.otlp-traces.json.1', 10],
    ['otel-collector.otlp-traces.proto-gzip.1', 40],
    ['otel-collector.otlp-traces.proto-gzip.2', 10],
    ['otel-collector.otlp-traces.proto-zstd.1', 10],
    ['telemetrygen.otlp-traces.proto.1', 6],
  ])('%s: %i spans, client and server', async (name, rows) => {
    const transport = await taken(name)
    const spans = spansOf(transport.of('spans')[0]!)
    expect(spans).toHaveLength(rows)
    expect(new Set(spans.map(({ service, operation, kind, peer }) => `${service} ${operation} ${kind} ${peer}`))).toEqual(
      new Set(['telemetrygen okey-dokey-0 2 ', 'telemetrygen lets-go 3 telemetrygen-server']),
    )
    for (const span of spans) expect(span.durationMs).toBeCloseTo(0.123, 6)
    const roots = new Map(spans.filter(({ parentId }) => parentId === '').map(({ traceId, spanId }) => [traceId, spanId]))
    for (const span of spans) if (span.parentId !== '') expect(span.parentId).toBe(roots.get(span.traceId))
    expect(spansOf(transport.of('links')[0]!)).toEqual(spans)
  })

  it.each([
    ['otel-collector.otlp-logs.json.1', 5],
    ['otel-collector.otlp-logs.proto-gzip.1', 20],
    ['otel-collector.otlp-logs.proto-gzip.2', 5],
    ['otel-collector.otlp-logs.proto-gzip.3', 5],
    ['telemetrygen.otlp-logs.proto.1', 3],
  ])('%s: %i records', async (name, rows) => {
    const lines = linesOf((await taken(name)).of('logs')[0]!)
    expect(lines).toHaveLength(rows)
    expect(new Set(lines.map(({ service, severity, body }) => `${service} ${severity} ${body}`))).toEqual(
      new Set(['telemetrygen 9 the message']),
    )
    for (const { timeMs } of lines) expect(Math.abs(timeMs - NOW_MS)).toBeLessThan(3 * 3_600_000)
  })

  it('the Collector writes to Kafka the same records in protobuf and in JSON', () => {
    const fromProto = linesOf(decodeOtlpLogs(fixture('kafka/otlp_logs.proto.record'), newContext()))
    const fromJson = linesOf(decodeOtlpLogsJson(fixture('kafka/otlp_logs.json.record'), newContext()))
    for (const lines of [fromProto, fromJson]) expect(new Set(lines.map(({ body }) => body))).toEqual(new Set(['the message']))
    expect(fromProto.length).toBeGreaterThan(1)
  })
})
