/**
 * Real senders into the real program: Prometheus with exporters, pino-loki, the OpenTelemetry SDK, amtool. Two programs listen, one that
 * runs everything and one that records; what was understood is read off the recording, through the same decoders.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { IncidentJson } from '../../src/web/json.ts'
import { eventsOf, linesOf, samplesOf, spansOf } from '../ingest/doors-fixture.ts'
import { until } from '../support/kafka.ts'
import { readUnderstood, type Understood } from '../support/listener.ts'
import { freePorts } from '../support/processes.ts'
import { programFolder, shell, startInstrumentedService, startNodeExporter, startPrometheus, type Program } from '../support/programs.ts'
import { requireOrSkip } from '../support/services.ts'
import { snippet } from '../support/snippets.ts'
import { rowsByDoor, startTocsin, type RunningTocsin } from '../support/tocsin.ts'

const ORDERS = 5

requireOrSkip(
  'prometheus',
  'node-exporter',
  'alertmanager',
)('real senders', () => {
  const cleanup: AsyncDisposable[] = []
  const traces: string[] = []
  let tocsin: RunningTocsin
  let recorder: RunningTocsin
  let checkout: Program
  let recording: string
  let understood: Understood

  const incidents = async () => {
    const answer = await fetch(`${tocsin.url}/api/v1/incidents`)
    return ((await answer.json()) as { incidents: IncidentJson[] }).incidents
  }
  const of = async (service: string) => (await incidents()).filter(({ services }) => services.includes(service))
  const fillQueue = (length: number) => fetch(`${checkout.url}/queue/${length}`, { method: 'POST' })

  beforeAll(async () => {
    const folder = await programFolder('senders')
    cleanup.push(folder)
    recording = join(folder.path, 'recording')
    const [port, recorderPort] = (await freePorts(2)) as [number, number]
    const set = { dataDir: join(folder.path, 'data'), 'ingest.tickMs': 500, 'correlate.stepMs': 1_000, 'correlate.resolveAfterMs': 3_000 }
    const args = Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`])
    ;[tocsin, recorder] = await Promise.all([startTocsin(['run', ...args], port), startTocsin(['record', recording], recorderPort)])
    cleanup.push(tocsin, recorder)
    const targets = [tocsin.url, recorder.url]
    const exporter = await startNodeExporter(folder.path)
    checkout = await startInstrumentedService(folder.path, 'checkout', targets)
    cleanup.push(exporter, checkout)
    const rule = { alert: 'OrdersWait', expr: 'order_queue_length > 10', labels: { severity: 'critical' } }
    const annotations = { summary: '{{ $value }} orders wait' }
    cleanup.push(
      await startPrometheus({
        folder: folder.path,
        scrape: { node: exporter.url, checkout: checkout.url },
        writeTo: targets,
        alertTo: targets,
        rules: [{ ...rule, annotations }],
      }),
    )
    for (let i = 0; i < ORDERS; i++) traces.push(await (await fetch(`${checkout.url}/order`)).text())
  })

  afterAll(async () => {
    for (const part of cleanup.reverse()) await part[Symbol.asyncDispose]()
  })

  it('are all taken in: samples, lines and spans are counted at their doors', async () => {
    await until('every door has taken rows', async () => {
      const rows = await rowsByDoor(tocsin.url)
      // A node exporter alone has hundreds of series, and they come every second.
      return (
        (rows['remote-write'] ?? 0) > 2_000 && rows['loki'] === ORDERS && rows['otlp-logs'] === ORDERS && rows['otlp-traces'] === 2 * ORDERS
      )
    })
  })

  it("Prometheus' alert becomes an incident, which is over when the alert is", async () => {
    expect(await of('checkout')).toEqual([])
    await fillQueue(42)
    await until('an incident of checkout', async () => (await of('checkout')).length > 0)
    const [opened] = await of('checkout')
    expect(opened).toMatchObject({ status: 'open', severity: 'critical' })
    const file = (await (await fetch(`${tocsin.url}/api/v1/incidents/${opened!.id}`)).json()) as {
      timeline: { kind: string; text: string }[]
    }
    expect(file.timeline.find(({ kind }) => kind === 'alert')?.text).toContain('42 orders wait')
    await fillQueue(3)
    await until('it is resolved', async () => (await of('checkout')).every(({ status }) => status === 'resolved'))
    expect(await of('checkout')).toHaveLength(1)
  }, 70_000)

  it('so does one that amtool adds', async () => {
    for (const { url } of [tocsin, recorder]) {
      const listed = await shell(snippet('amtool', { '127.0.0.1:4318': new URL(url).host }), recording)
      expect(listed).toMatch(/DiskFull .*no space left/)
    }
    await until('an incident of db', async () => (await of('db')).length > 0)
    expect(await of('db')).toMatchObject([{ status: 'open', severity: 'critical', services: ['db'] }])
  }, 40_000)

  it('are recorded, too, and the recorder stops when it is told to', async () => {
    await until('the recorder has had it all', async () => {
      const rows = await rowsByDoor(recorder.url)
      return rows['loki'] === ORDERS && rows['otlp-logs'] === ORDERS && rows['otlp-traces'] === 2 * ORDERS
    })
    expect(await recorder.stop()).toBe(0)
    understood = await readUnderstood(recording)
    expect([understood.rejected, understood.refused]).toEqual(['', []])
  })

  it('agree on the name of a service in all three signals', () => {
    const names = {
      metrics: understood.metrics.flatMap(({ series }) => series.map(({ service }) => service)),
      logs: understood.logs.flatMap(({ sources }) => sources.map(({ service }) => service)),
      spans: understood.spans.flatMap(({ sources }) => sources.map(({ service }) => service)),
      alerts: eventsOf(understood.events).map(({ service }) => service),
    }
    expect(new Set(names.metrics)).toEqual(new Set(['node', 'checkout']))
    expect(new Set(names.logs)).toEqual(new Set(['checkout']))
    expect(new Set(names.spans)).toEqual(new Set(['checkout']))
    expect(new Set(names.alerts)).toEqual(new Set(['checkout', 'db']))
  })

  it("Prometheus' samples are the ones that were scraped", () => {
    const samples = understood.metrics.flatMap(samplesOf)
    const values = (name: string) => samples.filter(({ key }) => key.includes(name)).map(({ value }) => value)
    expect(values('orders_total').at(-1)).toBe(ORDERS)
    expect(new Set(values('order_queue_length'))).toEqual(new Set([3, 42]))
    expect(values('node_memory_MemTotal_bytes')[0]).toBeGreaterThan(1e8)
    const series = understood.metrics.flatMap(({ series }) => series).find(({ name }) => name === 'orders_total')
    expect(series).toMatchObject({ service: 'checkout', instance: new URL(checkout.url).host })
  })

  it('spans keep their parent, their kind, their fate and whom they called', () => {
    const spans = understood.spans.flatMap(spansOf)
    expect(spans).toHaveLength(2 * ORDERS)
    for (const traceId of traces) {
      const server = spans.find((span) => span.traceId === traceId && span.parentId === '')
      expect(server).toMatchObject({ operation: 'POST /order', kind: 2, status: 0 })
      const query = spans.find((span) => span.parentId === server!.spanId)
      expect(query).toMatchObject({ traceId, operation: 'INSERT orders', kind: 3, status: 2, peer: 'postgresql' })
    }
    expect(understood.spans[0]!.sources).toEqual([{ service: 'checkout', instance: 'checkout-1', version: '1.2.3' }])
  })

  it('lines have their envelope taken off, and name their trace, whichever way they came', () => {
    const lines = understood.logs.flatMap(linesOf).map(({ body, severity, traceId }) => ({ body, severity, traceId }))
    const wanted = traces.flatMap((traceId, i) => [
      { body: `order ${i + 1} is slow`, severity: 13, traceId },
      { body: `order ${i + 1} was tried again`, severity: 17, traceId },
    ])
    const sorted = (rows: typeof lines) => rows.toSorted((a, b) => a.body.localeCompare(b.body))
    expect(sorted(lines)).toEqual(sorted(wanted))
  })

  it('alerts carry name, severity and summary, and an end when they are over', () => {
    const alerts = eventsOf(understood.events).filter((event) => event.kind === 'alert')
    const waiting = alerts.filter(({ name }) => name === 'OrdersWait')
    expect(waiting[0]).toMatchObject({ service: 'checkout', severity: 'critical', summary: '42 orders wait' })
    expect(waiting.map(({ endMs, atMs }) => endMs <= atMs)).toEqual(expect.arrayContaining([false, true]))
    expect(new Set(waiting.map(({ id }) => id)).size, 'the firing and the resolved alert are the same').toBe(1)
    expect(alerts.find(({ name }) => name === 'DiskFull')).toMatchObject({ service: 'db', severity: 'critical', summary: 'no space left' })
  })
})
