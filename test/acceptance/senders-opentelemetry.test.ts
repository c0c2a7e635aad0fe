/** The OpenTelemetry SDK for JavaScript: traces, logs and metrics, each in protobuf, in JSON and over gRPC, come to the same. */
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { linesOf, samplesOf, spansOf } from '../ingest/doors-fixture.ts'
import { startListener } from '../support/listener.ts'
import { programFolder, shell } from '../support/programs.ts'
import { snippet } from '../support/snippets.ts'

const APP = `
import { context, metrics, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { logs, SeverityNumber } from '@opentelemetry/api-logs'

const span = trace.getTracer('app').startSpan('POST /order', { kind: SpanKind.SERVER })
const inside = trace.setSpan(context.active(), span)
const query = trace.getTracer('app').startSpan('INSERT', { kind: SpanKind.CLIENT, attributes: { 'db.system.name': 'postgresql' } }, inside)
query.setStatus({ code: SpanStatusCode.ERROR, message: 'deadlock' })
query.end()
logs.getLogger('app').emit({ severityNumber: SeverityNumber.WARN, body: 'größe is "7"', context: inside, attributes: { 'order.id': 7 } })
span.end()
const meter = metrics.getMeter('app')
meter.createCounter('orders', { unit: '{order}' }).add(5, { region: 'eu' })
meter.createUpDownCounter('orders.open').add(-2)
meter.createGauge('oven.temperature', { unit: 'Cel' }).record(220.5)
const wait = meter.createHistogram('order.wait', { unit: 's', advice: { explicitBucketBoundaries: [0.1, 1, 10] } })
for (const seconds of [0.05, 0.5, 0.5, 5]) wait.record(seconds)
console.log(span.spanContext().traceId)
`

describe.each([
  ['opentelemetry-js-protobuf', 'opentelemetry-js-start', 'application/x-protobuf'],
  ['opentelemetry-js-json', 'opentelemetry-js-start', 'application/json'],
  ['opentelemetry-js-grpc', 'opentelemetry-js-start-grpc', 'application/x-protobuf'],
])('%s', (exporters, start, type) => {
  it('three signals of one service, with all that they say', async () => {
    await using folder = await programFolder('opentelemetry')
    await using listener = await startListener(folder.path)
    symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(folder.path, 'node_modules'))
    writeFileSync(join(folder.path, 'telemetry.mjs'), snippet('opentelemetry-js'))
    writeFileSync(join(folder.path, 'exporters.mjs'), snippet(exporters))
    writeFileSync(join(folder.path, 'app.mjs'), APP)
    const startMs = Date.now()
    const [from, to] = start.endsWith('grpc') ? ['127.0.0.1:4317', listener.grpcHost] : ['127.0.0.1:4318', listener.host]
    const traceId = (await shell(snippet(start, { [from]: to }), folder.path)).trim()
    const heard = await listener.understood()

    expect([heard.rejected, heard.refused]).toEqual(['', []])
    expect(heard.requests.toSorted()).toEqual(['/v1/logs', '/v1/metrics', '/v1/traces'].map((path) => `${path} ${type}`))
    const isNow = (timeMs: number) => timeMs >= startMs && timeMs <= Date.now()

    const spans = heard.spans.flatMap(spansOf)
    expect(spans.map(({ operation, kind, status, peer, traceId: of }) => [operation, kind, status, peer, of])).toEqual([
      ['INSERT', 3, 2, 'postgresql', traceId],
      ['POST /order', 2, 0, '', traceId],
    ])
    expect(spans[0]!.parentId).toBe(spans[1]!.spanId)
    expect(spans.every((span) => isNow(span.startMs) && span.durationMs < 10_000)).toBe(true)
    expect(heard.spans[0]!.sources[0]).toMatchObject({ service: 'checkout', version: '1.2.3' })

    const [line] = heard.logs.flatMap(linesOf)
    expect(line).toMatchObject({ service: 'checkout', severity: 13, body: 'größe is "7"', traceId })
    expect(isNow(line!.timeMs)).toBe(true)

    const samples = heard.metrics.flatMap(samplesOf)
    const value = (start: string) => samples.filter(({ key }) => key.startsWith(start)).map((sample) => sample.value)
    expect(value('orders_total{')).toEqual([5])
    expect(value('orders_open{')).toEqual([-2])
    expect(value('oven_temperature_celsius{')).toEqual([220.5])
    expect(value('order_wait_seconds_bucket{')).toEqual([1, 3, 4, 4])
    expect([value('order_wait_seconds_sum{'), value('order_wait_seconds_count{')]).toEqual([[6.05], [4]])
    const series = heard.metrics.flatMap((batch) => batch.series)
    expect(series.find(({ name }) => name === 'orders_total')).toMatchObject({ service: 'checkout', type: 'counter' })
    expect(series.find(({ name }) => name === 'orders_total')!.labels).toContainEqual(['region', 'eu'])
    expect(series.find(({ name }) => name === 'oven_temperature_celsius')).toMatchObject({ service: 'checkout', type: 'gauge' })
    expect(samples.every(({ timeMs }) => isNow(timeMs))).toBe(true)
  })
})
