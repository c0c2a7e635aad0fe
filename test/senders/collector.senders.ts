/** The OpenTelemetry Collector by HTTP: OTLP in each form, gRPC, remote write 1.0 and 2.0. */
import { describe, expect, it } from 'vitest'
import { until } from '../support/kafka.ts'
import { startListener } from '../support/listener.ts'
import { programFolder } from '../support/programs.ts'
import { chosen, snippet } from '../support/snippets.ts'
import { argsOfBlock, generate, generated, report, rowsOfAll, startCollector, telemetryOf } from './bench.ts'

const SERVICE = 'made-up'

describe('OTLP', () => {
  it.each([
    ['otlp_http', 'application/x-protobuf'],
    ['otlp_http/zstd', 'application/x-protobuf'],
    ['otlp_http/json', 'application/json'],
    ['otlp_grpc', 'application/x-protobuf'],
  ])('%s', async (exporter, type) => {
    await using folder = await programFolder('otelcol')
    await using listener = await startListener(folder.path)
    const block = snippet('otelcol-otlp', { '127.0.0.1:4318': listener.host, '127.0.0.1:4317': listener.grpcHost })
    const collector = await startCollector(folder.path, exporter === 'otlp_http' ? block : chosen(block, 'otlp_http', exporter))
    await generate(folder.path, collector.host, SERVICE)
    await collector[Symbol.asyncDispose]()
    expect(collector.log()).not.toMatch(/\terror\t|Exporting failed/)
    const heard = await listener.understood()
    expect([heard.rejected, heard.refused]).toEqual(['', []])
    expect(new Set(heard.requests)).toEqual(new Set(['/v1/logs', '/v1/metrics', '/v1/traces'].map((path) => `${path} ${type}`)))
    const said = telemetryOf(rowsOfAll(heard), SERVICE)
    expect({ ...said, spans: said.spans.toSorted() }).toEqual({ ...generated(), spans: generated().spans.toSorted() })
    report(`otelcol, ${exporter}`, `${said.spans.length} spans, ${said.lines.length} lines, ${said.samples.length} samples`)
  })
})

describe('remote write', () => {
  it.each([
    ['prometheus_remote_write', 'application/x-protobuf'],
    ['prometheus_remote_write/2', 'application/x-protobuf;proto=io.prometheus.write.v2.Request'],
  ])('%s', async (exporter, type) => {
    await using folder = await programFolder('otelcol')
    await using listener = await startListener(folder.path)
    const block = snippet('otelcol-remote-write', { '127.0.0.1:4318': listener.host })
    const gate = argsOfBlock('otelcol-remote-write-start').filter((arg) => arg.startsWith('--feature-gates'))
    const collector = await startCollector(
      folder.path,
      exporter === 'prometheus_remote_write' ? block : chosen(block, 'prometheus_remote_write', exporter),
      gate,
    )
    await generate(folder.path, collector.host, SERVICE, 'metrics')
    for (const kind of ['Sum', 'Histogram', 'ExponentialHistogram'])
      await generate(folder.path, collector.host, `kind-${kind}`, 'metrics', `--metric-type ${kind} --otlp-metric-name ${kind}`)
    await until('three samples have come', async () => ((await listener.rows())['remote-write'] ?? 0) >= 3)
    await collector[Symbol.asyncDispose]()
    expect(collector.log()).not.toMatch(/\terror\t|Exporting failed/)
    const heard = await listener.understood()
    expect([heard.rejected, heard.refused]).toEqual(['', []])
    expect(new Set(heard.requests)).toEqual(new Set([`/api/v1/write ${type}`]))
    const { samples } = telemetryOf(rowsOfAll(heard), SERVICE)
    expect(samples.filter((sample) => sample.startsWith('gen '))).toEqual(generated().samples)
    const series = heard.metrics.flatMap((batch) => batch.series).find(({ name }) => name === 'gen')
    expect(series).toMatchObject({ service: SERVICE })
    const types = new Map(heard.metrics.flatMap((batch) => batch.series).map(({ name, type: told }) => [name, told]))
    // In 1.0 the Collector sends no metadata; a native histogram says itself what it is.
    expect([types.get('gen'), types.get('Sum_total')]).toEqual(exporter.endsWith('/2') ? ['gauge', 'counter'] : ['unknown', 'unknown'])
    expect(types.get('ExponentialHistogram_bucket')).toBe('sketch')
    const last = (start: string) => rowsOfAll(heard).samples.findLast(({ key }) => key.startsWith(start))?.value
    for (const kind of ['Histogram', 'ExponentialHistogram']) {
      expect(last(`${kind}_count{`)).toBeGreaterThan(0)
      expect(last(`${kind}_bucket{job="kind-${kind}",le="+Inf"`)).toBe(last(`${kind}_count{`))
    }
    report(`otelcol, ${exporter}`, `${rowsOfAll(heard).samples.length} samples, native histograms`)
  })
})
