/** Floods of what is new: tables stay within their bounds, senders and counters are told, and whoever was there before goes on. */
import { compressSync } from 'snappy'
import { describe, expect, it } from 'vitest'
import { ingestConfig } from '../../src/ingest/config.ts'
import { FamilyTypes } from '../../src/ingest/metrics/family-types.ts'
import { decodeLokiProtobuf } from '../../src/ingest/logs/loki.ts'
import { SeriesRegistry } from '../../src/ingest/metrics/series-registry.ts'
import { ServiceRegistry } from '../../src/ingest/service-registry.ts'
import { hashOf } from '../../src/ingest/wire/bytes-hash.ts'
import { decodeRemoteWrite } from '../../src/ingest/metrics/remote-write.ts'
import { streamOfPairs } from '../../src/ingest/logs/log-stream.ts'
import { DecodeError } from '../../src/errors.ts'
import { NOW_MS, linesOf, newContext, openDoors, post, postJson, samplesOf } from './doors-fixture.ts'
import type { Opened } from './doors-fixture.ts'
import { encode, field } from './protobuf-oracle.ts'

const limitsWith = (limits: Record<string, number>) => ingestConfig.parse({ limits }).limits
const label = (name: string, value: string) => ({ name, value })
const series = (name: string, job: string) => ({
  labels: [label('__name__', name), label('job', job)],
  samples: [{ value: 1, timestamp: NOW_MS }],
})
const write = (...timeseries: object[]) =>
  post(
    '/api/v1/write',
    { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' },
    compressSync(Buffer.from(encode('WriteRequest', { timeseries }))),
  )
const push = (...apps: string[]) => postJson('/loki/api/v1/push', { streams: apps.map((app) => ({ stream: { app }, values: [[`${NOW_MS}000000`, 'x']] })) }) // prettier-ignore
const count = <T>(length: number, of: (i: number) => T) => Array.from({ length }, (_, i) => of(i))
const counterOf = async ({ telemetry }: Opened, text: string) =>
  Number((await telemetry.registry.metrics()).split('\n').find((line) => line.startsWith(text))?.split(' ').at(-1) ?? 0) // prettier-ignore

describe('made-up services', () => {
  it('take three quarters of the places at most; a real one comes again and is taken', () => {
    const services = new ServiceRegistry(limitsWith({ maxServices: 100 }))
    expect(services.admit('old', NOW_MS)).toBe(true)
    let made = 0
    const flood = (fromMs: number, toMs: number) => {
      for (let nowMs = fromMs; nowMs < toMs; nowMs += 10) services.admit(`made-up-${made++}`, nowMs)
    }
    flood(NOW_MS, NOW_MS + 15_000)
    expect(services.size).toBe(75)
    expect(services.admit('real', NOW_MS + 15_000)).toBe(false)
    flood(NOW_MS + 15_000, NOW_MS + 30_000)
    expect(services.admit('real', NOW_MS + 30_000)).toBe(true)
    flood(NOW_MS + 30_000, NOW_MS + 300_000)
    expect(services.size).toBe(76)
    expect([services.admit('real', NOW_MS + 300_000), services.admit('old', NOW_MS + 300_000)]).toEqual([true, true])
  })

  it('that come again fill the rest and no more', () => {
    const services = new ServiceRegistry(limitsWith({ maxServices: 100 }))
    for (const nowMs of [NOW_MS, NOW_MS + 15_000]) for (let i = 0; i < 1_000; i++) services.admit(`made-up-${i}`, nowMs)
    expect(services.size).toBe(100)
  })

  it('make room after ten minutes, services that were heard for long after an hour', () => {
    const services = new ServiceRegistry(limitsWith({ maxServices: 100 }))
    for (let minute = 0; minute <= 20; minute++) services.admit('settled', NOW_MS + minute * 60_000)
    const quietMs = NOW_MS + 20 * 60_000
    for (let i = 0; i < 99; i++) services.admit(`brief-${i}`, quietMs)
    services.forgetIdle(quietMs + 11 * 60_000, () => false)
    expect(services.size).toBe(1)
    services.forgetIdle(quietMs + 61 * 60_000, () => false)
    expect(services.size).toBe(0)
  })

  it('at the doors: refused by name, counted, and known services go on by every signal', async () => {
    const opened = openDoors({ limits: { maxServices: 40 } }, 1)
    await opened.door.accept(push('shop'))
    const response = await opened.door.accept(push(...count(1_000, (i) => `made-up-${i}`)))
    expect([response.status, String(response.body)]).toEqual([400, '971 lines rejected (971 service-limit); everything else was stored\n'])
    expect(await counterOf(opened, 'tocsin_door_rows_rejected_total{door="loki",reason="service-limit"}')).toBe(971)
    expect((await opened.door.accept(push('shop'))).status).toBe(204)
    expect((await opened.door.accept(write(series('up', 'shop')))).status).toBe(204)
    expect((await opened.door.accept(write(series('up', 'made-up-999')))).status).toBe(400)
  })
})

describe('what is told once only is not lost where there are too many services', () => {
  const full = async () => {
    const opened = openDoors({ limits: { maxServices: 40 } }, 1)
    await opened.door.accept(push(...count(30, (i) => `made-up-${i}`)))
    return opened
  }

  it('a change is asked for again, and taken then', async () => {
    const { door, transport } = await full()
    const deploy = postJson('/api/v1/events', { type: 'deploy', service: 'shop', id: '7' })
    const { status, headers } = await door.accept(deploy)
    expect([status, headers['retry-after']]).toEqual([429, '15'])
    expect((await door.accept({ ...deploy, receivedMs: NOW_MS + 15_000 })).status).toBe(202)
    expect(transport.of('events').flatMap(({ events }) => events)).toMatchObject([{ service: 'shop' }])
  })

  it('a group of alerts is asked for again, and is the same group then', async () => {
    const { door, transport } = await full()
    const alert = (service: string) => ({ status: 'firing', labels: { alertname: 'A', service }, startsAt: new Date(NOW_MS).toISOString() })
    const group = postJson('/api/v1/alertmanager', { version: '4', receiver: 'r', alerts: [alert('made-up-1'), alert('shop')] })
    const { status, headers } = await door.accept(group)
    expect([status, headers['retry-after']]).toEqual([503, '5'])
    expect((await door.accept({ ...group, receivedMs: NOW_MS + 15_000 })).status).toBe(200)
    const ids = transport.of('events').map(({ events }) => events.map(({ id, service }) => [service, id]))
    expect(ids.map((group) => group.map(([service]) => service))).toEqual([['made-up-1'], ['made-up-1', 'shop']])
    expect(ids[1]![0]).toEqual(ids[0]![0])
  })
})

describe('new series', () => {
  it('of one service fill its own budget; its neighbour gets new ones', async () => {
    const opened = openDoors({ limits: { maxSeriesPerService: 50, maxSeries: 1_000 } }, 1)
    const response = await opened.door.accept(write(...count(500, (i) => series(`m${i}`, 'noisy')), series('up', 'quiet')))
    expect(String(response.body)).toBe('450 rejected (450 service-series-limit); everything else was written\n')
    expect(await counterOf(opened, 'tocsin_door_active_series')).toBe(51)
    expect((await opened.door.accept(write(series('more', 'quiet'), series('m3', 'noisy')))).status).toBe(204)
  })

  it('with long labels are fewer, so that their number says how much memory they take', async () => {
    const opened = openDoors({ limits: { maxSeriesPerService: 50, maxSeries: 1_000 } }, 1)
    const long = (i: number) => ({
      labels: [...series(`m${i}`, 'noisy').labels, ...count(10, (j) => label(`l${j}`, 'x'.repeat(1_000)))],
      samples: [{ value: 1, timestamp: NOW_MS }],
    })
    const response = await opened.door.accept(write(...count(20, long), series('up', 'quiet')))
    expect(String(response.body)).toBe('15 rejected (15 service-series-limit); everything else was written\n')
    // They make room when they have gone.
    const later = NOW_MS + 2 * opened.config.limits.seriesIdleMs
    await opened.door.tick(later)
    const again = count(5, (i) => ({ ...long(i + 100), samples: [{ value: 1, timestamp: later }] }))
    expect((await opened.door.accept({ ...write(...again), receivedMs: later })).status).toBe(204)
  })

  it('in floods leave a registry of bounded size, whatever was remembered of their bytes', () => {
    const context = newContext({ limits: { maxSeries: 200 } })
    for (let round = 0; round < 20; round++) {
      decodeRemoteWrite(encode('WriteRequest', { timeseries: count(100, (i) => series(`m${round}-${i}`, 'x')) }), { ...context })
    }
    expect(context.series.size).toBe(200)
    expect(context.rejected.text()).toBe('1800 series-limit')
  })
})

it('families of metrics: what one sender made up does not keep the others out for good', () => {
  const families = new FamilyTypes()
  for (let i = 0; i < 30_000; i++) families.learn(`f${i}`, 'counter')
  expect([families.size, families.learn('real', 'gauge')]).toEqual([20_000, false])
  families.makeRoom()
  expect([families.learn('real', 'gauge'), families.size, families.typeOf('real')]).toEqual([true, 1, 'gauge'])
})

it('label texts of log streams: what is remembered is bounded and makes no difference', () => {
  const context = newContext()
  const stream = (app: string) => encode('PushRequest', { streams: [{ labels: `{app="${app}"}`, entries: [{ timestamp: { seconds: 5 }, line: 'x' }] }] }) // prettier-ignore
  const first = linesOf(decodeLokiProtobuf(stream('shop'), context))
  const many = {
    streams: count(4_990, (i) => ({ labels: `{app="a${i % 4_000}",i="${i}"}`, entries: [{ timestamp: { seconds: 5 }, line: 'x' }] })),
  }
  for (let round = 0; round < 3; round++) decodeLokiProtobuf(encode('PushRequest', many), context)
  expect(linesOf(decodeLokiProtobuf(stream('shop'), context))).toEqual(first)
})

describe('what was remembered of one body does not change what another says', () => {
  it('labels that came as pairs are no labels as text', () => {
    const context = newContext()
    streamOfPairs([['app', 'shop']], context)
    const body = field(1, Buffer.concat([field(1, Buffer.from('[["app","shop"]]')), field(2, Buffer.alloc(0))]))
    expect(() => decodeLokiProtobuf(body, context)).toThrow(DecodeError)
  })

  it('label sets whose bytes have the same hash are different series', () => {
    // Found by trying: bytes of two label blocks that differ and hash alike.
    const block = (i: number) =>
      Buffer.from(encode('TimeSeries1', { labels: [label('__name__', `m${i.toString(36)}`), label('job', 'x')] }))
    const seen = new Map<number, number>()
    const pairs: [number, number][] = []
    for (let i = 0; i < 300_000 && pairs.length < 3; i++) {
      const bytes = block(i)
      const hash = hashOf(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length)
      const other = seen.get(hash)
      if (other === undefined) seen.set(hash, i)
      else pairs.push([other, i])
    }
    expect(pairs.length).toBeGreaterThan(0)
    const context = newContext({ limits: { maxSeries: 1e6, maxSeriesPerService: 1e6 } })
    for (const [one, two] of pairs) {
      const names = [one, two, one, two].map((i) => `m${i.toString(36)}`)
      const timeseries = names.map((name) => series(name, 'x'))
      for (let round = 0; round < 3; round++) {
        expect(samplesOf(decodeRemoteWrite(encode('WriteRequest', { timeseries }), context)).map(({ key }) => key)).toEqual(
          names.map((name) => `${name}{job="x"}`),
        )
      }
    }
  })

  it('names that objects have are labels and services like any other', () => {
    const context = newContext()
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']
    const timeseries = names.map((name) => series(name, name))
    for (let round = 0; round < 3; round++) {
      const batch = decodeRemoteWrite(encode('WriteRequest', { timeseries }), context)
      expect(batch.series.map(({ name, service }) => [name, service])).toEqual(names.map((name) => [name, name]))
    }
  })

  it('a registry that has forgotten knows nothing of old bytes', () => {
    const registry = new SeriesRegistry(limitsWith({}))
    const context = { ...newContext(), series: registry }
    const body = encode('WriteRequest', { timeseries: [series('up', 'shop'), series('down', 'shop')] })
    const keys = () => samplesOf(decodeRemoteWrite(body, context)).map(({ key }) => key)
    const first = keys()
    for (let round = 1; round < 4; round++) {
      registry.forgetIdle(NOW_MS + 1e9)
      expect([registry.size, keys(), registry.size]).toEqual([0, first, 2])
    }
  })
})
