import { compressSync, uncompressSync } from 'snappy'
import { describe, expect, it } from 'vitest'
import { startKafkaSources } from '../../src/ingest/kafka-source.ts'
import type { InRecord } from '../../src/transport/transport.ts'
import { NOW_MS, TOPICS, eventsOf, fixture, linesOf, openDoors, recorded } from './doors-fixture.ts'

type Source = { topic?: string; signal: string; encoding?: string; service?: string }

async function start(source: Source) {
  const opened = openDoors({ sources: [{ topic: 'in', ...source }] }, 1)
  const { transport, door, config, telemetry } = opened
  const sources = await startKafkaSources({ transport, topics: TOPICS, door, config, telemetry, clock: () => NOW_MS })
  const send = (values: readonly (Uint8Array | string)[], headers: Record<string, string> = {}) => {
    const records = values.map((value, i): InRecord => ({
      offset: 100 + i,
      value: typeof value === 'string' ? Buffer.from(value) : value,
      key: 'k',
      headers,
      timestampMs: NOW_MS - 5,
    }))
    return transport.deliver({ topic: 'in', partition: 3, records })
  }
  const dead = () => transport.published.filter(({ topic }) => topic === TOPICS.deadLetters).map(({ record }) => record)
  const rows = () =>
    transport
      .batches()
      .flatMap(({ batch }) =>
        batch.kind === 'links' ? [] : [`${batch.kind} ${'rows' in batch ? batch.rows : 'events' in batch ? batch.events.length : 0}`],
      )
  return { ...opened, sources, send, dead, rows }
}

const rwSnappy = recorded('promtool.rw1.proto-snappy.1').body
const rwPlain = uncompressSync(Buffer.from(rwSnappy)) as Buffer
const lokiSnappy = recorded('winston-loki.loki.proto.1').body
const lokiPlain = uncompressSync(Buffer.from(lokiSnappy)) as Buffer

describe('records are told apart', () => {
  it.each<[what: string, source: Source, value: Uint8Array | string, headers: Record<string, string>, rows: string[]]>([
    ['otlp_proto spans of the Collector', { signal: 'traces' }, fixture('kafka/otlp_spans.proto.record'), {}, ['spans 40']],
    ['otlp_json spans of the Collector', { signal: 'traces' }, fixture('kafka/otlp_spans.json.record'), {}, ['spans 40']],
    ['otlp_proto logs of the Collector', { signal: 'logs' }, fixture('kafka/otlp_logs.proto.record'), {}, ['logs 20']],
    ['otlp_json logs of the Collector', { signal: 'logs' }, fixture('kafka/otlp_logs.json.record'), {}, ['logs 20']],
    ['remote write as Telegraf sends it', { signal: 'metrics' }, rwSnappy, {}, ['metrics 6']],
    ['remote write without compression', { signal: 'metrics' }, rwPlain, {}, ['metrics 6']],
    ["Mimir's records", { signal: 'metrics' }, rwPlain, { Version: '\0\0\0\x01' }, ['metrics 6']],
    ['Loki protobuf', { signal: 'logs' }, lokiSnappy, {}, ['logs 5']],
    ['Loki protobuf without compression', { signal: 'logs' }, lokiPlain, {}, ['logs 5']],
    ['Loki JSON', { signal: 'logs' }, recorded('pino-loki.loki.json.1').body, {}, ['logs 5']],
    ['alerts', { signal: 'events' }, '[{"labels":{"alertname":"A"}}]', {}, ['events 1']],
    ['a change', { signal: 'events' }, '{"type":"deploy","service":"a"}', {}, ['events 1']],
    ['a JSON line', { signal: 'logs' }, '{"msg":"hello","app":"shop"}', {}, ['logs 1']],
    ['a text line', { signal: 'logs' }, 'hello there', {}, ['logs 1']],
    ['a text line in braces', { signal: 'logs' }, '{hello}', {}, ['logs 1']],
    ['configured', { signal: 'metrics', encoding: 'remote_write' }, rwSnappy, {}, ['metrics 6']],
    ['by our header', { signal: 'logs' }, '[{"labels":{"alertname":"A"}}]', { 'x-tocsin-encoding': 'alerts' }, ['events 1']],
  ])('%s', async (_what, source, value, headers, rows) => {
    const kafka = await start(source)
    await kafka.send([value], headers)
    expect(kafka.dead().map((record) => record.headers?.['x-error'])).toEqual([])
    expect(kafka.rows()).toEqual(rows)
  })

  it('a change is a change', async () => {
    const kafka = await start({ signal: 'events' })
    await kafka.send(['{"type":"deploy","service":"a"}'])
    expect(eventsOf(kafka.transport.of('events'))).toMatchObject([{ kind: 'change', service: 'a', atMs: NOW_MS }])
  })
})

describe('a record that cannot be read', () => {
  it.each<[what: string, source: Source, value: Uint8Array | string, headers: Record<string, string>, reason: string]>([
    ['nothing', { signal: 'logs' }, '', {}, 'empty'],
    ['framed for a schema registry', { signal: 'metrics' }, Buffer.from([0, 0, 0, 0, 5, 1, 2, 3]), {}, 'unsupported'],
    ['CloudEvents', { signal: 'events' }, '{"specversion":"1.0","type":"x","service":"y"}', {}, 'unsupported'],
    ['CloudEvents in headers', { signal: 'events' }, '{}', { ce_specversion: '1.0' }, 'unsupported'],
    ["Mimir's second version", { signal: 'metrics' }, rwPlain, { Version: '\0\0\0\x02' }, 'unsupported'],
    ['noise', { signal: 'metrics' }, Buffer.from('8fa3b1', 'hex'), {}, 'unrecognised'],
    ['noise among logs', { signal: 'logs' }, Buffer.from('8fa3b100ff', 'hex'), {}, 'unrecognised'],
    ['JSON of another kind', { signal: 'traces' }, '{"a":1}', {}, 'unrecognised'],
    ['JSON cut off', { signal: 'traces' }, '{"resourceSpans":[', {}, 'malformed'],
    ['a header that means nothing', { signal: 'logs' }, 'x', { 'x-tocsin-encoding': 'xml' }, 'unsupported'],
    ['what the door refuses', { signal: 'traces', encoding: 'otlp_proto' }, Buffer.from('0a05', 'hex'), {}, 'refused'],
    ['a snappy bomb', { signal: 'metrics', encoding: 'remote_write' }, Buffer.from([0x80, 0x80, 0x80, 0x80, 0x08, 0, 0, 0]), {}, 'refused'],
  ])('%s: put aside with its reason and origin, and the partition goes on', async (_what, source, value, headers, reason) => {
    const kafka = await start(source)
    await kafka.send([value], headers)
    expect(kafka.dead()).toHaveLength(1)
    const [letter] = kafka.dead()
    expect(Buffer.from(letter!.value)).toEqual(Buffer.from(value as Uint8Array))
    expect(letter!.headers).toMatchObject({
      ...headers,
      'x-error-reason': reason,
      'x-origin-topic': 'in',
      'x-origin-partition': '3',
      'x-origin-offset': '100',
      'x-origin-key': 'k',
    })
    expect(letter!.headers!['x-error']!.length).toBeGreaterThan(5)
    expect(await kafka.telemetry.registry.metrics()).toContain(`tocsin_dead_letter_total{topic="in",reason="${reason}"} 1`)
  })

  it('does not hold up the ones around it', async () => {
    const kafka = await start({ signal: 'metrics' })
    await kafka.send([rwSnappy, 'rubbish', rwPlain])
    expect(kafka.rows()).toEqual(['metrics 6', 'metrics 6'])
    expect(kafka.dead().map((record) => record.headers?.['x-origin-offset'])).toEqual(['101'])
  })
})

it('hands on many records without waiting for each, in their order, and no more than a few megabytes', async () => {
  const kafka = await start({ signal: 'logs', encoding: 'lines', service: 'job' })
  let open = () => {}
  kafka.transport.gate = new Promise((resolve) => (open = () => resolve(undefined)))
  let asked = 0
  const publish = kafka.transport.publish.bind(kafka.transport)
  kafka.transport.publish = (...args) => {
    asked++
    return publish(...args)
  }
  const lines = Array.from({ length: 10 }, (_, i) => `line ${i} ${'x'.repeat(i < 5 ? 1 : 1_000_000)}`)
  const done = kafka.send(lines)
  await new Promise((resolve) => setImmediate(resolve))
  expect(asked).toBe(9)
  open()
  await done
  const bodies = kafka.transport.of('logs').flatMap(linesOf)
  expect(bodies.map(({ body }) => body.slice(0, 6))).toEqual(lines.map((line) => line.slice(0, 6)))
})

describe('when our own side fails', () => {
  it('the batch comes again', async () => {
    const kafka = await start({ signal: 'metrics' })
    kafka.transport.failWith = new Error('no leader')
    await expect(kafka.send([rwSnappy])).rejects.toThrow(/cannot take records of in now/)
    await expect(kafka.send(['rubbish'])).rejects.toThrow('no leader')
    kafka.transport.failWith = undefined
    await kafka.send([rwSnappy])
    expect(kafka.rows()).toEqual(['metrics 6'])
  })
})

describe('log lines in records', () => {
  it.each<[what: string, value: string, line: object]>([
    [
      'Fluent Bit',
      '{"@timestamp":1795449595.5,"log":"{\\"level\\":\\"error\\",\\"msg\\":\\"boom\\"}","kubernetes":{"pod_name":"cart-6d5f8c9b7d-x2k4p"}}',
      { service: 'cart', body: 'boom', severity: 17, timeMs: 1795449595500 },
    ],
    [
      'Filebeat',
      '{"@timestamp":"2026-11-23T15:59:55.123Z","message":"WARN slow","kubernetes":{"labels":{"app":"cart"}}}',
      { service: 'cart', body: 'WARN slow', severity: 13, timeMs: Date.parse('2026-11-23T15:59:55.123Z') },
    ],
    [
      'a program',
      '{"time":1795449595123,"level":30,"msg":"hello","service":"cart"}',
      { service: 'cart', body: 'hello', severity: 9, timeMs: 1795449595123 },
    ],
    [
      'text: time of the carrier, service of the configuration',
      'plain',
      { service: 'fallback', body: 'plain', severity: 0, timeMs: NOW_MS - 5 },
    ],
    ['with a host only', '{"msg":"x","host":"h1"}', { service: 'fallback', body: 'x' }],
    ['with hostile names', '{"msg":"x","__proto__":{"app":"evil"},"kubernetes":5}', { service: 'fallback', body: 'x' }],
  ])('%s', async (_what, value, line) => {
    const kafka = await start({ signal: 'logs', service: 'fallback' })
    await kafka.send([value])
    expect(linesOf(kafka.transport.of('logs')[0]!)).toMatchObject([line])
  })
})

it('a topic listed twice is a mistake in the configuration', () => {
  expect(() =>
    openDoors({
      sources: [
        { topic: 'a', signal: 'logs' },
        { topic: 'a', signal: 'traces' },
      ],
    }),
  ).toThrow(/each topic may be listed once/)
})

it('stops reading when it is disposed', async () => {
  const kafka = await start({ signal: 'logs' })
  await kafka.sources[Symbol.asyncDispose]()
  expect(kafka.transport.handlers.size).toBe(0)
})

it('a Loki body that happens to look like snappy stays what it is', async () => {
  const kafka = await start({ signal: 'logs', encoding: 'loki_proto' })
  await kafka.send([lokiPlain, compressSync(lokiPlain)])
  expect(kafka.rows()).toEqual(['logs 5', 'logs 5'])
})
