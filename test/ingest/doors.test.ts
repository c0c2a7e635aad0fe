import { compressSync } from 'snappy'
import { describe, expect, it } from 'vitest'
import { partitionFor } from '../../src/transport/transport.ts'
import { NOW_MS, TOPICS, linesOf, openDoors, post, postJson, recorded, samplesOf, spansOf } from './doors-fixture.ts'
import { encode } from './protobuf-oracle.ts'

const ns = `${NOW_MS}000000`
const push = (...services: string[]) =>
  postJson('/loki/api/v1/push', { streams: services.map((app, i) => ({ stream: { app }, values: [[ns, `line ${i} of ${app}`]] })) })
const span = (traceId: string, spanId: string, service: string) => ({
  resource: { attributes: [{ key: 'service.name', value: { stringValue: service } }] },
  scopeSpans: [{ spans: [{ traceId, spanId, name: 'op', kind: 2, startTimeUnixNano: ns, endTimeUnixNano: ns }] }],
})

describe('rows find their partition', () => {
  it('by service: one record per partition, rows in order, tables cut down', async () => {
    const { door, transport } = openDoors({}, 4)
    const services = ['a', 'b', 'c', 'd', 'e', 'f', 'a', 'g']
    await door.accept(push(...services))
    const batches = transport.batches()
    expect(new Set(batches.map(({ partition }) => partition)).size).toBe(batches.length)
    const lines = batches.flatMap(({ partition, batch }) =>
      batch.kind === 'logs' ? linesOf(batch).map((line) => ({ ...line, partition, tables: batch.sources.length })) : [],
    )
    expect(lines).toHaveLength(services.length)
    for (const { service, partition } of lines) expect(partition).toBe(partitionFor(service, 4))
    expect(lines.filter(({ service }) => service === 'a').map(({ body }) => body)).toEqual(['line 0 of a', 'line 6 of a'])
    for (const { batch } of batches)
      if (batch.kind === 'logs') expect(batch.sources).toHaveLength(new Set(linesOf(batch).map(({ service }) => service)).size)
  })

  it('spans twice: by their service, and as links by their trace', async () => {
    const { door, transport } = openDoors({}, 8)
    const ids = ['1', '2', '3', '4', '5'].map((digit) => digit.repeat(32))
    await door.accept(
      postJson('/v1/traces', {
        resourceSpans: ids.flatMap((id, i) => [span(id, `a${i}`.repeat(8), 'front'), span(id, `b${i}`.repeat(8), `back${i}`)]),
      }),
    )
    const seen = { spans: 0, links: 0 }
    for (const { partition, batch } of transport.batches()) {
      if (batch.kind !== 'spans' && batch.kind !== 'links') throw new Error(batch.kind)
      for (const row of spansOf(batch)) {
        seen[batch.kind]++
        expect(partition).toBe(partitionFor(batch.kind === 'spans' ? row.service : row.traceId, 8))
      }
    }
    expect(seen).toEqual({ spans: 10, links: 10 })
  })

  it('a service is in the same partition whichever signal it comes by', async () => {
    const { door, transport } = openDoors({}, 16)
    await door.accept(push('checkout'))
    await door.accept(postJson('/v1/traces', { resourceSpans: [span('1'.repeat(32), '2'.repeat(16), 'checkout')] }))
    await door.accept(postJson('/api/v1/events', { type: 'deploy', service: 'checkout' }))
    await door.accept(postJson('/api/v2/alerts', [{ labels: { alertname: 'A', service: 'checkout' } }]))
    await door.accept(
      post(
        '/api/v1/write',
        { 'content-type': 'application/x-protobuf' },
        compressSync(
          Buffer.from(
            encode('WriteRequest', {
              timeseries: [
                {
                  labels: [
                    { name: '__name__', value: 'up' },
                    { name: 'job', value: 'checkout' },
                  ],
                  samples: [{ value: 1, timestamp: NOW_MS }],
                },
              ],
            }),
          ),
        ),
      ),
    )
    const byService = transport.batches().filter(({ batch }) => batch.kind !== 'links')
    expect(byService.map(({ batch }) => batch.kind)).toEqual(['logs', 'spans', 'events', 'events', 'metrics'])
    expect(new Set(byService.map(({ partition }) => partition))).toEqual(new Set([partitionFor('checkout', 16)]))
  })

  it('records stay below what the carrier takes, rows in order', async () => {
    const { door, transport } = openDoors({ limits: { maxRecordBytes: 10_000 } }, 1)
    const lines = Array.from({ length: 1_000 }, (_, i) => [ns, `line ${i} ${'x'.repeat(50)}`])
    await door.accept(postJson('/loki/api/v1/push', { streams: [{ stream: { app: 'a' }, values: lines }] }))
    for (const { record } of transport.published) expect(record.value.length).toBeLessThanOrEqual(10_000)
    expect(transport.published.length).toBeGreaterThan(5)
    expect(
      transport
        .of('logs')
        .flatMap(linesOf)
        .map(({ body }) => body),
    ).toEqual(lines.map(([, line]) => line))
  })

  it('a single row takes nothing of the rows along that were rejected', async () => {
    const { door, transport } = openDoors({ limits: { maxRecordBytes: 1_000 } }, 1)
    const group = (instance: string, timeUnixNano: string) => ({
      resource: {
        attributes: [
          { key: 'service.name', value: { stringValue: 'a' } },
          { key: 'host.name', value: { stringValue: instance } },
        ],
      },
      scopeLogs: [{ logRecords: [{ timeUnixNano, body: { stringValue: 'x' } }] }],
    })
    const old = Array.from({ length: 200 }, (_, i) => group(`host-${i}`, '1000000'))
    await door.accept(postJson('/v1/logs', { resourceLogs: [...old, group('host', ns)] }))
    expect(transport.of('logs')).toMatchObject([{ rows: 1, sources: [{ service: 'a', instance: 'host' }] }])
    expect(transport.published[0]!.record.value.length).toBeLessThan(1_000)
  })

  it('a single row larger than that goes out whole', async () => {
    const { door, transport } = openDoors({ limits: { maxRecordBytes: 1_000 } }, 1)
    await door.accept(
      postJson('/loki/api/v1/push', {
        streams: [
          {
            stream: { app: 'a' },
            values: [
              [ns, 'x'.repeat(5_000)],
              [ns, 'y'],
            ],
          },
        ],
      }),
    )
    expect(
      transport
        .of('logs')
        .flatMap(linesOf)
        .map(({ body }) => body.length),
    ).toEqual([5_000, 1])
  })
})

describe('stale markers', () => {
  it('are told from an ordinary NaN by their bytes, also across the topic', async () => {
    const { door, transport } = openDoors({}, 1)
    const body = Buffer.from(
      encode('WriteRequest', {
        timeseries: [{ labels: [{ name: '__name__', value: 'up' }], samples: [1, 2, 3].map((value) => ({ value, timestamp: NOW_MS })) }],
      }),
    )
    const at = [1, 2, 3].map((value) => {
      const bytes = Buffer.alloc(8)
      bytes.writeDoubleLE(value)
      return body.indexOf(bytes)
    })
    body.writeBigUInt64LE(0x7ff0000000000002n, at[0])
    body.writeBigUInt64LE(0x7ff8000000000001n, at[1])
    await door.accept(post('/api/v1/write', { 'content-type': 'application/x-protobuf' }, compressSync(body)))
    expect(samplesOf(transport.of('metrics')[0]!).map(({ value, stale }) => [value, stale])).toEqual([
      [NaN, 1],
      [NaN, 0],
      [3, 0],
    ])
  })
})

describe('a tick', () => {
  it('goes into every partition', async () => {
    const { door, transport } = openDoors({}, 3)
    await door.tick(NOW_MS)
    expect(transport.batches()).toEqual([0, 1, 2].map((partition) => ({ partition, batch: { kind: 'tick', nowMs: NOW_MS } })))
    expect(transport.published[0]!.topic).toBe(TOPICS.telemetry)
  })

  it('rejects when the carrier fails, so that the caller knows', async () => {
    const { door, transport } = openDoors()
    transport.failWith = new Error('no leader')
    await expect(door.tick(NOW_MS)).rejects.toThrow('no leader')
  })
})

describe('when our own side fails', () => {
  it('a carrier that does not answer is not waited for longer than limits.maxHandleMs', async () => {
    const { door, transport } = openDoors({ limits: { maxHandleMs: 20 } })
    transport.gate = new Promise(() => {})
    expect((await door.accept(recorded('pino-loki.loki.json.1'))).status).toBe(503)
    transport.gate = undefined
    expect((await door.accept(recorded('pino-loki.loki.json.1'))).status).toBe(204)
  })

  it.each([
    ['prometheus-2.rw1.proto-snappy.1', 503],
    ['pino-loki.loki.json.1', 503],
    ['otel-collector.otlp-traces.json.1', 503],
    ['telemetrygen.otlp-logs.proto.1', 503],
  ])('%s is asked to come back: %i with Retry-After', async (name, status) => {
    const { door, transport, telemetry } = openDoors()
    transport.failWith = new Error('no leader')
    const response = await door.accept(recorded(name))
    expect([response.status, response.headers['retry-after']]).toEqual([status, '5'])
    expect(String(response.body)).not.toContain('no leader')
    expect(await telemetry.registry.metrics()).toMatch(/tocsin_door_publish_failed_total\{door="[a-z-]+"\} 1/)

    transport.failWith = undefined
    expect((await door.accept(recorded(name))).status).toBeLessThan(300)
  })

  it('too much in flight: asked to come back, in a way that its kind understands', async () => {
    const { door, transport } = openDoors({ limits: { maxInFlightBytes: 20_000 } })
    let open: () => void = () => undefined
    transport.gate = new Promise((resolve) => (open = resolve))
    const first = door.accept(recorded('prometheus-3.rw1.proto-snappy.2'))
    const answers = [await door.accept(push('x'.repeat(50))), await door.accept(recorded('promtool.rw1.proto-snappy.1'))]
    expect(answers.map(({ status, headers }) => [status, headers['retry-after']])).toEqual([
      [429, '2'],
      [503, '2'],
    ])
    open()
    expect((await first).status).toBe(204)
    expect((await door.accept(push('a'))).status).toBe(204)
  })

  it('records that are larger together than what may be in flight go when nothing else is under way, not never', async () => {
    const { door, transport } = openDoors({ limits: { maxInFlightBytes: 20 } })
    let open: () => void = () => undefined
    transport.gate = new Promise((resolve) => (open = resolve))
    const first = door.acceptAll([push('x'.repeat(50))])
    await expect(door.acceptAll([push('y')])).rejects.toThrow('too much in flight')
    open()
    expect(await first).toMatchObject([{ refusal: undefined, rows: 1 }])
  })

  it('nothing to publish is no publish', async () => {
    const { door, transport } = openDoors()
    await door.accept(postJson('/v1/traces', {}))
    expect(transport.published).toEqual([])
  })
})

it('counts what came, what was taken, what was refused and what was left out', async () => {
  const { door, telemetry } = openDoors()
  await door.accept(recorded('prometheus-2.rw1.proto-snappy.1'))
  await door.accept(recorded('prometheus-3.rw1.proto-snappy.2'))
  await door.accept(post('/api/v1/write', { 'content-type': 'text/plain' }, 'x'))
  const metrics = await telemetry.registry.metrics()
  for (const line of [
    'tocsin_door_requests_total{door="remote-write",status="204"} 2',
    'tocsin_door_requests_total{door="remote-write",status="415"} 1',
    'tocsin_door_rows_total{door="remote-write"} 865',
    'tocsin_door_rows_rejected_total{door="remote-write",reason="unsupported"} 1',
    'tocsin_door_active_series 786',
    'tocsin_door_in_flight_bytes 0',
  ]) {
    expect(metrics).toContain(line)
  }
})

it('the same request twice gives the same records: what is known of a series changes nothing', async () => {
  const { door, transport } = openDoors()
  for (const name of [
    'prometheus-2.rw1.proto-snappy.1',
    'prometheus-3.rw1.proto-snappy.2',
    'prometheus-2.rw1.proto-snappy.1',
    'prometheus-3.rw1.proto-snappy.2',
  ])
    await door.accept(recorded(name))
  const values = transport.published.map(({ record }) => Buffer.from(record.value).toString('base64'))
  expect(values.slice(values.length / 2)).toEqual(values.slice(0, values.length / 2))
})
