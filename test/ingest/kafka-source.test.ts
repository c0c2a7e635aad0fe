import * as fc from 'fast-check'
import { Writable } from 'node:stream'
import pino from 'pino'
import { compressSync, uncompressSync } from 'snappy'
import { describe, expect, it } from 'vitest'
import { startKafkaSources } from '../../src/ingest/kafka/kafka-source.ts'
import { requestOf } from '../../src/ingest/kafka/kafka-record.ts'
import { DecodeError, PermanentError } from '../../src/errors.ts'
import { Telemetry } from '../../src/telemetry.ts'
import { readDeadLetter } from '../../src/transport/dead-letter.ts'
import type { InRecord } from '../../src/transport/transport.ts'
import { NOW_MS, TOPICS, eventsOf, fixture, linesOf, openDoors, recorded, samplesOf, spansOf } from './doors-fixture.ts'
import { encode, field } from './protobuf-oracle.ts'

type Source = { topic?: string; signal: string; encoding?: string; service?: string }

async function start(source: Source, limits: Record<string, number> = {}) {
  const opened = openDoors({ sources: [{ topic: 'in', ...source }], limits }, 1)
  const { transport, door, config } = opened
  const logged: Record<string, unknown>[] = []
  const sink = new Writable({
    write(line: Buffer, _encoding, done) {
      logged.push(JSON.parse(line.toString()) as Record<string, unknown>)
      done()
    },
  })
  const telemetry = new Telemetry(pino({ level: 'info' }, sink))
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
  return { ...opened, telemetry, logged, sources, send, dead, rows }
}

const rwSnappy = recorded('promtool.rw1.proto-snappy.1').body
const rwPlain = uncompressSync(Buffer.from(rwSnappy)) as Buffer
const lokiSnappy = recorded('winston-loki.loki.proto.1').body
const lokiPlain = uncompressSync(Buffer.from(lokiSnappy)) as Buffer

const REMOTE_WRITE = { 'content-type': 'application/x-protobuf;proto=prometheus.WriteRequest' }
const BINARY_EVENT = {
  ce_specversion: '1.0',
  ce_id: '7',
  ce_source: '/ci',
  ce_type: 'com.acme.deployed',
  'content-type': 'application/json',
}
const rw2 = recorded('prometheus-3.rw2.proto-snappy.1').body
const rw2Plain = uncompressSync(Buffer.from(rw2)) as Buffer
const telegraf = recorded('telegraf.rw1.proto-snappy.1').body
const sample = (value: unknown, name = 'up') =>
  JSON.stringify({ timestamp: new Date(NOW_MS - 1000).toISOString(), value, name, labels: { __name__: name, job: 'node', instance: 'n1' } })
const traceId = Buffer.from('5982fe77008310cc80f1da5e10147519', 'hex')
const spanId = Buffer.from('bd7a977555f6b982', 'hex')
const startTime = field(6, Uint8Array.of(0x08, ...varintOf(NOW_MS / 1000)))
const jaegerProto = Buffer.concat([
  field(1, traceId),
  field(2, spanId),
  field(3, Buffer.from('get /cart')),
  startTime,
  field(10, field(1, Buffer.from('cart'))),
])
const jaegerJson = JSON.stringify({
  traceId: traceId.toString('base64'),
  spanId: spanId.toString('base64'),
  operationName: 'get /cart',
  startTime: new Date(NOW_MS).toISOString(),
  duration: '0.5s',
  process: { serviceName: 'cart' },
})
const zipkinProto = field(
  1,
  Buffer.concat([
    field(1, traceId),
    field(3, spanId),
    field(5, Buffer.from('get')),
    Uint8Array.of(0x31),
    u64(NOW_MS * 1000),
    field(8, field(1, Buffer.from('cart'))),
  ]),
)
const zipkinJson = JSON.stringify([
  {
    traceId: traceId.toString('hex'),
    id: spanId.toString('hex'),
    name: 'get',
    timestamp: NOW_MS * 1000,
    duration: 9,
    localEndpoint: { serviceName: 'cart' },
  },
])
const lokiStream = encode('Stream', {
  labels: '{app="cart"}',
  entries: [{ timestamp: { seconds: NOW_MS / 1000, nanos: 0 }, line: 'hello' }],
})
/** The name of the label is in the table that both sides know, its value is sent. */
const mimir2 = Buffer.concat([
  field(4, Buffer.of()),
  field(4, Buffer.from('up')),
  field(5, Buffer.concat([field(1, Uint8Array.of(1, 65)), field(2, Uint8Array.of(0x09, ...u64(0), 0x10, ...varintOf(NOW_MS)))])),
])
const webhook = recorded('alertmanager.alertmanager-webhook.json.1').body
const cdEvent = fixture('events/cdevent-service-deployed.json')
const cloudEvent = fixture('events/cloudevent.json')

function varintOf(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...varintOf(Math.floor(value / 128))]
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

describe('records are told apart', () => {
  it.each<[what: string, source: Source, value: Uint8Array | string, headers: Record<string, string>, rows: string[]]>([
    ['otlp_proto spans of the Collector', { signal: 'traces' }, fixture('kafka/otlp_spans.proto.record'), {}, ['spans 40']],
    ['otlp_json spans of the Collector', { signal: 'traces' }, fixture('kafka/otlp_spans.json.record'), {}, ['spans 40']],
    ['otlp_proto logs of the Collector', { signal: 'logs' }, fixture('kafka/otlp_logs.proto.record'), {}, ['logs 20']],
    ['otlp_json logs of the Collector', { signal: 'logs' }, fixture('kafka/otlp_logs.json.record'), {}, ['logs 20']],
    ['remote write as Telegraf sends it', { signal: 'metrics' }, rwSnappy, {}, ['metrics 6']],
    ['remote write without compression', { signal: 'metrics' }, rwPlain, {}, ['metrics 6']],
    ["Mimir's records", { signal: 'metrics' }, rwPlain, { Version: '\0\0\0\x01' }, ['metrics 6']],
    ['remote write 2.0', { signal: 'metrics' }, rw2, {}, ['metrics 427']],
    ['remote write 2.0 without compression', { signal: 'metrics' }, rw2Plain, {}, ['metrics 427']],
    ['remote write 2.0, configured', { signal: 'metrics', encoding: 'remote_write' }, rw2, {}, ['metrics 427']],
    ['remote write by its content type', { signal: 'metrics' }, rwSnappy, REMOTE_WRITE, ['metrics 6']],
    ["Telegraf's record", { signal: 'metrics' }, telegraf, {}, ['metrics 10']],
    ["Mimir's second version", { signal: 'metrics' }, mimir2, { Version: '\0\0\0\x02' }, ['metrics 1']],
    ["a version that is somebody else's", { signal: 'metrics' }, rwPlain, { version: '2.10' }, ['metrics 6']],
    ['otlp_proto metrics of the Collector', { signal: 'metrics' }, fixture('kafka/otlp_metrics.proto.record'), {}, ['metrics 20']],
    ['otlp_json metrics of the Collector', { signal: 'metrics' }, fixture('kafka/otlp_metrics.json.record'), {}, ['metrics 20']],
    ["the adapter's sample", { signal: 'metrics' }, sample('1.5'), {}, ['metrics 1']],
    ["the adapter's sample that is no number", { signal: 'metrics' }, sample('NaN'), {}, ['metrics 1']],
    ["an array of the adapter's samples", { signal: 'metrics' }, `[${sample('1')},${sample('2', 'down')}]`, {}, ['metrics 2']],
    ["lines of the adapter's samples", { signal: 'metrics' }, `${sample('1')}\n${sample('2', 'down')}\n`, {}, ['metrics 2']],
    ['jaeger_proto', { signal: 'traces' }, jaegerProto, {}, ['spans 1']],
    ['jaeger_json', { signal: 'traces' }, jaegerJson, {}, ['spans 1']],
    ['zipkin_proto', { signal: 'traces' }, zipkinProto, {}, ['spans 1']],
    ['zipkin_json', { signal: 'traces' }, zipkinJson, {}, ['spans 1']],
    ["Loki's own records", { signal: 'logs' }, lokiStream, {}, ['logs 1']],
    ["the Collector's raw text", { signal: 'logs' }, '"hello there"', {}, ['logs 1']],
    ['a webhook of an Alertmanager', { signal: 'events' }, webhook, {}, ['events 1']],
    ['a CDEvent', { signal: 'events' }, cdEvent, {}, ['events 1']],
    ['a CloudEvent', { signal: 'events' }, cloudEvent, {}, ['events 1']],
    [
      'a CloudEvent by its content type',
      { signal: 'events' },
      cloudEvent,
      { 'Content-Type': 'application/cloudevents+json' },
      ['events 1'],
    ],
    ['a CloudEvent in headers', { signal: 'events' }, '{"service":"cart"}', BINARY_EVENT, ['events 1']],
    ['a line in a CloudEvent is a line', { signal: 'logs' }, '{"msg":"x"}', BINARY_EVENT, ['logs 1']],
    ['a line that speaks of streams', { signal: 'logs' }, '{"msg":"x","streams":2}', {}, ['logs 1']],
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
    ['MessagePack', { signal: 'logs' }, Buffer.from('81a36d7367a178', 'hex'), {}, 'unsupported'],
    ['MessagePack by its type', { signal: 'logs' }, 'x', { 'content-type': 'application/msgpack' }, 'unsupported'],
    ['Avro', { signal: 'logs' }, 'Obj\x01rest', {}, 'unsupported'],
    ['gzip', { signal: 'logs' }, Buffer.from('1f8b0800000000', 'hex'), {}, 'unsupported'],
    ['spans among metrics', { signal: 'metrics' }, fixture('kafka/otlp_spans.json.record'), {}, 'wrong-signal'],
    ["a version of Mimir's that is not known", { signal: 'metrics' }, rwPlain, { Version: '\0\0\0\x03' }, 'unsupported'],
    ["a sample of the adapter's without a value", { signal: 'metrics' }, sample('much'), {}, 'bad-value'],
    ["a sample of the adapter's that is none", { signal: 'metrics', encoding: 'adapter_json' }, '5', {}, 'not-a-sample'],
    ["a sample of the adapter's that is no JSON", { signal: 'metrics', encoding: 'adapter_json' }, '{"a', {}, 'malformed'],
    ['an unknown event', { signal: 'events' }, '{"hello":1}', {}, 'unrecognised'],
    ['noise', { signal: 'metrics' }, Buffer.from('ffa3b1', 'hex'), {}, 'unrecognised'],
    ['noise among logs', { signal: 'logs' }, Buffer.from('ffa3b100ff', 'hex'), {}, 'unrecognised'],
    ['JSON of another kind', { signal: 'traces' }, '{"a":1}', {}, 'unrecognised'],
    ['JSON cut off', { signal: 'traces' }, '{"resourceSpans":[', {}, 'malformed'],
    ['a header that means nothing', { signal: 'logs' }, 'x', { 'x-tocsin-encoding': 'xml' }, 'unsupported'],
    ['what the door refuses', { signal: 'traces', encoding: 'otlp_proto' }, Buffer.from('0a05', 'hex'), {}, 'truncated'],
    [
      'a snappy bomb',
      { signal: 'metrics', encoding: 'remote_write' },
      Buffer.from([0x80, 0x80, 0x80, 0x80, 0x08, 0, 0, 0]),
      {},
      'malformed',
    ],
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
    expect(kafka.rows()).toEqual(['metrics 12'])
    expect(kafka.dead().map((record) => record.headers?.['x-origin-offset'])).toEqual(['101'])
  })

  it('is found among many that share a request', async () => {
    const kafka = await start({ signal: 'metrics', encoding: 'adapter_json' })
    await kafka.send([sample('1'), '{}', sample('2'), '{"cut', sample('3')])
    expect(
      kafka.transport
        .of('metrics')
        .flatMap(samplesOf)
        .map(({ value }) => value),
    ).toEqual([1, 2, 3])
    expect(kafka.dead().map(({ headers }) => [headers?.['x-origin-offset'], headers?.['x-error-reason']])).toEqual([
      ['101', 'bad-time'],
      ['103', 'malformed'],
    ])
  })

  it('does not take its neighbours with it where the request as a whole is refused', async () => {
    const kafka = await start({ signal: 'logs', encoding: 'lines' }, { maxBodyBytes: 100 })
    await kafka.send(['one', 'x'.repeat(101), 'three'])
    expect(
      kafka.transport
        .of('logs')
        .flatMap(linesOf)
        .map(({ body }) => body),
    ).toEqual(['one', 'three'])
    expect(kafka.dead().map(({ headers }) => [headers?.['x-origin-offset'], headers?.['x-error-reason']])).toEqual([['101', 'too-large']])
  })

  it('that the dead letters cannot hold stays where it is, and what is said about it is kept', async () => {
    const kafka = await start({ signal: 'metrics' })
    const publish = kafka.transport.publish.bind(kafka.transport)
    kafka.transport.publish = async (topic, records, signal) => {
      if (topic === TOPICS.deadLetters && records.some(({ value }) => value.length > 10))
        throw new PermanentError('too large for the topic')
      return publish(topic, records, signal)
    }
    await kafka.send(['rubbish', 'much more rubbish'])
    const [small, large] = kafka
      .dead()
      .map(({ headers, value }) => readDeadLetter({ offset: 0, key: '', timestampMs: 1, value, headers: headers! }))
    expect(small).toMatchObject({ content: 'record', offset: 100 })
    expect(large).toMatchObject({ content: 'left-out', offset: 101, error: expect.stringContaining('17 bytes do not fit') as string })
  })
})

it('rows that are read and not taken are told, and their record is no dead letter', async () => {
  const kafka = await start({ signal: 'metrics', encoding: 'adapter_json' }, { maxAgeMs: 60_000 })
  const old = sample('1').replace(/"timestamp":"[^"]+"/, '"timestamp":"2026-11-23T12:00:00Z"')
  await kafka.send([old, sample('2')])
  expect(kafka.rows()).toEqual(['metrics 1'])
  expect(kafka.dead()).toEqual([])
  expect(await kafka.telemetry.registry.metrics()).toContain('tocsin_source_rows_rejected_total{topic="in",reason="too-old"} 1')
})

describe('what was found out by looking', () => {
  it('is counted, and told once with the setting that makes looking needless', async () => {
    const kafka = await start({ signal: 'traces' })
    await kafka.send([jaegerProto, jaegerProto, zipkinJson])
    await kafka.send([jaegerProto])
    const metrics = await kafka.telemetry.registry.metrics()
    expect(metrics).toContain('tocsin_source_records_sniffed_total{topic="in",encoding="jaeger_proto"} 3')
    expect(metrics).toContain('tocsin_source_records_sniffed_total{topic="in",encoding="zipkin_json"} 1')
    expect(kafka.logged.filter(({ event }) => event === 'source_encoding_found').map(({ set }) => set)).toEqual([
      'ingest.sources: [{ topic: in, signal: traces, encoding: jaeger_proto }]',
      'ingest.sources: [{ topic: in, signal: traces, encoding: zipkin_json }]',
    ])
  })

  it('is nothing where a header or the configuration says it', async () => {
    const kafka = await start({ signal: 'traces' })
    await kafka.send([jaegerProto], { 'x-tocsin-encoding': 'jaeger_proto' })
    expect(kafka.rows()).toEqual(['spans 1'])
    expect(await kafka.telemetry.registry.metrics()).not.toContain('tocsin_source_records_sniffed_total{')
  })
})

it('a window of records is one publish, in their order, and a few megabytes at most', async () => {
  const kafka = await start({ signal: 'logs', encoding: 'lines', service: 'job' })
  const sizes: number[] = []
  const publish = kafka.transport.publish.bind(kafka.transport)
  kafka.transport.publish = (topic, records, signal) => {
    sizes.push(records.reduce((sum, { value }) => sum + value.length, 0))
    return publish(topic, records, signal)
  }
  const lines = Array.from({ length: 1010 }, (_, i) => `line ${i} ${'x'.repeat(i < 1005 ? 1 : 1_500_000)}`)
  await kafka.send(lines)
  expect(sizes).toHaveLength(4)
  const bodies = kafka.transport.of('logs').flatMap(linesOf)
  expect(bodies.map(({ body }) => body.slice(0, 9))).toEqual(lines.map((line) => line.slice(0, 9)))
})

it('small records of any kind make few records again, and lose nothing of what they say', async () => {
  const kafka = await start({ signal: 'traces' })
  await kafka.send([jaegerProto, zipkinProto, fixture('kafka/otlp_spans.proto.record'), jaegerJson])
  expect(kafka.transport.published).toHaveLength(2)
  const alone = await start({ signal: 'traces' })
  for (const value of [jaegerProto, zipkinProto, fixture('kafka/otlp_spans.proto.record'), jaegerJson]) await alone.send([value])
  expect(kafka.transport.of('spans').flatMap(spansOf)).toEqual(alone.transport.of('spans').flatMap(spansOf))
  expect(kafka.transport.of('links').flatMap(spansOf)).toEqual(alone.transport.of('links').flatMap(spansOf))
})

describe('when our own side fails', () => {
  it('the batch comes again', async () => {
    const kafka = await start({ signal: 'metrics' })
    kafka.transport.failWith = new Error('no leader')
    await expect(kafka.send([rwSnappy])).rejects.toThrow('records of topic in cannot be taken now: no leader')
    await expect(kafka.send(['rubbish'])).rejects.toThrow('no leader')
    kafka.transport.failWith = undefined
    await kafka.send([rwSnappy])
    expect(kafka.rows()).toEqual(['metrics 6'])
  })

  it('what is too much at a time comes again, too', async () => {
    const kafka = await start({ signal: 'metrics' }, { maxInFlightBytes: 10 })
    let open: () => void = () => undefined
    kafka.transport.gate = new Promise((resolve) => (open = resolve))
    const first = kafka.send([rwSnappy])
    await expect(kafka.send([rwSnappy])).rejects.toThrow('too much in flight')
    open()
    await first
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

it.each([
  ['remote_write', 'traces', 'remote_write carries no traces: use otlp_proto, otlp_json, jaeger_proto'],
  ['otlp_proto', 'events', 'otlp_proto carries no events: use alerts'],
])('%s among %s is a mistake in the configuration', (encoding, signal, message) => {
  expect(() => openDoors({ sources: [{ topic: 'a', signal, encoding }] })).toThrow(message)
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
  expect(kafka.rows()).toEqual(['logs 10'])
})

it.each(['metrics', 'logs', 'traces', 'events'] as const)(
  'whatever the bytes of %s, a DecodeError is the worst that looking at them comes to',
  (signal) => {
    const source = { topic: 'in', signal, encoding: 'auto', service: '' } as const
    const starts = fc
      .constantFrom('', '0a', '0a10', '22', '1a', '00', '7b22', '5b7b22', '8101', '0a0c7b')
      .map((hex) => Buffer.from(hex, 'hex'))
    const value = fc.tuple(starts, fc.uint8Array({ maxLength: 60 })).map((parts) => Buffer.concat(parts))
    fc.assert(
      fc.property(
        value,
        fc.dictionary(fc.constantFrom('Version', 'content-type', 'ce_specversion'), fc.string({ maxLength: 8 })),
        (bytes, headers) => {
          try {
            expect(requestOf({ offset: 0, key: '', value: bytes, headers, timestampMs: 1 }, source, 10_000, NOW_MS).path).toMatch(/^\//)
          } catch (error) {
            expect(error).toBeInstanceOf(DecodeError)
          }
        },
      ),
      { numRuns: 2000 },
    )
  },
)
