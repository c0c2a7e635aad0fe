/** The doors of Loki answer as Loki 3.7 does, keep what is good, and say what is not. */
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { compressSync } from 'snappy'
import { describe, expect, it } from 'vitest'
import type { DoorRequest } from '../../src/ingest/door.ts'
import { decodeLokiProtobuf } from '../../src/ingest/logs/loki.ts'
import { unsnappy } from '../../src/ingest/wire/request-body.ts'
import { oracleLine } from './line-oracle.ts'
import { NOW_MS, linesOf, newContext, openDoors, post, recorded } from './doors-fixture.ts'
import { decode, encode } from './protobuf-oracle.ts'

const PUSH = '/loki/api/v1/push'
const LEGACY = '/api/prom/push'
const RAW = '/loki/api/v1/raw'
const ns = `${NOW_MS}000000`
const iso = new Date(NOW_MS).toISOString()
const json = { 'content-type': 'application/json' }
const proto = { 'content-type': 'application/x-protobuf' }
const TRACE = '0af7651916cd43dd8448eb211c80319c'

const push = (stream: object, ...values: unknown[]) => JSON.stringify({ streams: [{ stream, values }] })
const good = push({ app: 'shop' }, [ns, 'fine'])
const entry = (line: string, more: object = {}) => ({ timestamp: { seconds: NOW_MS / 1000 }, line, ...more })
const plain = (labels: string, ...entries: object[]) => Buffer.from(encode('PushRequest', { streams: [{ labels, entries }] }))
const packed = (labels: string, ...entries: object[]) => compressSync(plain(labels, ...entries))
const pack = packed('{app="shop"}', entry('fine'))
const legacy = (...entries: object[]) => JSON.stringify({ streams: [{ labels: '{app="shop"}', entries }] })
const otlp = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: ns, body: { stringValue: 'fine' } }] }] }] })

describe('statuses are those of Loki', () => {
  it.each<[what: string, status: number, request: DoorRequest]>([
    ['JSON', 204, post(PUSH, json, good)],
    ['JSON with a charset', 204, post(PUSH, { 'content-type': 'application/json; charset=utf-8' }, good)],
    ['JSON in capitals', 204, post(PUSH, { 'content-type': 'Application/JSON' }, good)],
    ['JSON with structured metadata', 204, post(PUSH, json, push({ app: 'a' }, [ns, 'x', { trace_id: TRACE }]))],
    ['JSON, gzip', 204, post(PUSH, { ...json, 'content-encoding': 'gzip' }, gzipSync(good))],
    ['JSON, deflate', 204, post(PUSH, { ...json, 'content-encoding': 'deflate' }, deflateRawSync(good))],
    ['JSON, deflate with the header of zlib', 204, post(PUSH, { ...json, 'content-encoding': 'deflate' }, deflateSync(good))],
    ['JSON that says snappy: the body is what counts', 204, post(PUSH, { ...json, 'content-encoding': 'snappy' }, good)],
    ['{} labels', 204, post(PUSH, json, push({}, [ns, 'x']))],
    ['a stream without lines', 204, post(PUSH, json, push({ app: 'a' }))],
    ['a tenant, which is ignored', 204, post(PUSH, { ...json, 'x-scope-orgid': 'team-a' }, good)],
    ['protobuf in snappy', 204, post(PUSH, { ...proto, 'content-encoding': 'snappy' }, pack)],
    ['protobuf in snappy that does not say so', 204, post(PUSH, proto, pack)],
    ['protobuf in snappy in gzip', 204, post(PUSH, { ...proto, 'content-encoding': 'gzip' }, gzipSync(pack))],
    ['protobuf with {} labels', 204, post(PUSH, proto, packed('{}', entry('x')))],
    ['protobuf with escapes and backquotes', 204, post(PUSH, proto, packed('{app="a\\"\\x41", raw=`\\d`}', entry('x')))],
    ['no streams', 422, post(PUSH, json, '{"streams":[]}')],
    ['no streams in protobuf', 422, post(PUSH, proto, compressSync(Buffer.alloc(0)))],
    ['bad JSON', 400, post(PUSH, json, '{"streams":[')],
    ['an empty JSON body', 400, post(PUSH, json, '')],
    ['a numeric timestamp', 400, post(PUSH, json, push({}, [Number(ns), 'x']))],
    ['a timestamp in RFC 3339', 400, post(PUSH, json, push({}, [iso, 'x']))],
    ['a timestamp that is no integer', 400, post(PUSH, json, push({}, [`${ns}.5`, 'x']))],
    ['a timestamp before 1970: too old', 400, post(PUSH, json, push({}, ['-1', 'x']))],
    ['metadata that is nested', 400, post(PUSH, json, push({}, [ns, 'x', { a: { b: 'c' } }]))],
    ['the legacy form at the new path', 400, post(PUSH, json, legacy({ ts: iso, line: 'x' }))],
    ['an empty protobuf body', 400, post(PUSH, proto, '')],
    ['protobuf without snappy', 400, post(PUSH, proto, plain('{app="shop"}', entry('fine')))],
    ['text/plain', 400, post(PUSH, { 'content-type': 'text/plain' }, 'hello')],
    ['no type', 400, post(PUSH, {}, good)],
    ['a type that is none', 400, post(PUSH, { 'content-type': 'application json' }, good)],
    ['zstd', 400, post(PUSH, { ...json, 'content-encoding': 'zstd' }, good)],
    ['labels that cannot be read', 400, post(PUSH, proto, packed('{app=shop}', entry('x')))],
    ['the legacy form', 204, post(LEGACY, json, legacy({ ts: iso, line: 'fine' }))],
    ['the legacy form in protobuf', 204, post(LEGACY, proto, pack)],
    ['the legacy form without a time', 400, post(LEGACY, json, legacy({ line: 'fine' }))],
    ['the new form at the legacy path', 400, post(LEGACY, json, good)],
    ['lines of text', 204, post(RAW, {}, 'one\ntwo\n')],
    ['lines of text, gzip', 204, post(RAW, { 'content-type': 'text/plain', 'content-encoding': 'gzip' }, gzipSync('one'))],
    ['no lines', 204, post(RAW, {}, '')],
    ["Loki's path for OTLP", 204, post('/otlp/v1/logs', json, otlp)],
  ])('%s: %i', async (_what, status, request) => {
    const response = await openDoors().door.accept(request)
    expect([response.status, String(response.body)]).toEqual([status, expect.any(String)])
    if (status === 204) expect(response.body).toBe('')
    if (status === 400) expect(String(response.body)).toMatch(/\S.{10,}/)
  })

  it.each(['', 'hello', 'no type'])('what is not snappy is called so: %j', async (what) => {
    const response = await openDoors().door.accept(post(PUSH, what === 'no type' ? {} : proto, what))
    expect(String(response.body)).toContain('snappy: corrupt input')
  })
})

describe('what is over a limit is told, the rest is kept', () => {
  it.each<[what: string, limits: object, stream: object, status: number, says: string]>([
    [
      'labels',
      { maxLabels: 2 },
      {
        stream: { a: 'x', b: 'y', c: 'z' },
        values: [
          [ns, 'no'],
          [ns, 'no'],
        ],
      },
      400,
      '2 lines rejected (2 too-many-labels)',
    ],
    [
      'a label',
      { maxLabelValueChars: 10 },
      { stream: { a: 'x'.repeat(11) }, values: [[ns, 'no']] },
      413,
      '1 lines rejected (1 label-too-long)',
    ],
    [
      'age',
      { maxAgeMs: 1000 },
      {
        stream: { app: 'a' },
        values: [
          [`${NOW_MS - 2000}000000`, 'no'],
          [ns, 'yes'],
        ],
      },
      400,
      '1 lines rejected (1 too-old)',
    ],
    ['the future', {}, { stream: { app: 'a' }, values: [[`${NOW_MS + 1e9}000000`, 'no']] }, 400, '1 lines rejected (1 too-far-ahead)'],
  ])('%s', async (_what, limits, stream, status, says) => {
    const { door, transport } = openDoors({ limits }, 1)
    const response = await door.accept(
      post(PUSH, json, JSON.stringify({ streams: [stream, { stream: { app: 'b' }, values: [[ns, 'yes']] }] })),
    )
    expect([response.status, String(response.body)]).toEqual([status, `${says}; everything else was stored\n`])
    const bodies = linesOf(transport.of('logs')[0]!).map(({ body }) => body)
    expect(bodies.length).toBeGreaterThan(0)
    expect(new Set(bodies)).toEqual(new Set(['yes']))
  })

  it('the same in protobuf', async () => {
    const { door, transport } = openDoors({ limits: { maxLabels: 2 } }, 1)
    const streams = [
      { labels: '{a="x", b="y", c="z"}', entries: [entry('no')] },
      { labels: `{${Array.from({ length: 100 }, (_, i) => `l${i}="x"`).join(',')}}`, entries: [entry('no')] },
      { labels: '{app="b"}', entries: [entry('yes')] },
    ]
    const response = await door.accept(post(PUSH, proto, compressSync(Buffer.from(encode('PushRequest', { streams })))))
    expect([response.status, String(response.body)]).toEqual([400, '2 lines rejected (2 too-many-labels); everything else was stored\n'])
    expect(linesOf(transport.of('logs')[0]!)).toMatchObject([{ service: 'b', body: 'yes' }])
  })
})

describe('structured metadata', () => {
  const metadata = (pairs: Record<string, string>) => Object.entries(pairs).map(([name, value]) => ({ name, value }))

  it.each<[what: string, labels: Record<string, string>, pairs: Record<string, string>, line: object]>([
    ['a trace id', { app: 'a' }, { trace_id: TRACE.toUpperCase() }, { service: 'a', traceId: TRACE, severity: 0 }],
    ['a level', { app: 'a' }, { detected_level: 'error' }, { severity: 17 }],
    ['a level against that of the stream', { app: 'a', level: 'info' }, { level: 'warn' }, { severity: 13 }],
    ["OpenTelemetry's severity number", { app: 'a' }, { severity_number: '18' }, { severity: 18 }],
    ['a service where no label names one', { env: 'x' }, { service_name: 'b' }, { service: 'b' }],
    ['a pod where no label names a service', {}, { k8s_pod_name: 'cart-6d5f8c9b7d-x2k4p' }, { service: 'cart' }],
    ['a service where a label names one', { app: 'a' }, { service_name: 'b' }, { service: 'a' }],
    ['nothing that is known', {}, { __proto__x: 'y' }, { service: 'unknown', traceId: '', severity: 0 }],
  ])('%s, in JSON and in protobuf', async (_what, labels, pairs, line) => {
    const { door, transport } = openDoors({}, 1)
    await door.accept(post(PUSH, json, push(labels, [ns, 'x', pairs])))
    const text = `{${Object.entries(labels)
      .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
      .join(', ')}}`
    await door.accept(post(PUSH, proto, packed(text, entry('x', { structuredMetadata: metadata(pairs) }))))
    const found = transport.of('logs').flatMap(linesOf)
    expect(found).toHaveLength(2)
    expect(found[0]).toMatchObject(line)
    expect(found[1]).toEqual(found[0])
  })
})

describe('lines as they are', () => {
  it('one log line per line of text; JSON lines say who wrote them and when', async () => {
    const { door, transport } = openDoors({}, 1)
    const text = `plain ERROR\r\n\n{"app":"cart","msg":"slow","level":"warn","ts":${NOW_MS - 5}}\nlast`
    expect((await door.accept(post(RAW, { 'content-type': 'text/plain' }, text))).status).toBe(204)
    expect(linesOf(transport.of('logs')[0]!)).toEqual([
      { service: 'unknown', timeMs: NOW_MS, severity: 17, body: 'plain ERROR', traceId: '' },
      { service: 'cart', timeMs: NOW_MS - 5, severity: 13, body: 'slow', traceId: '' },
      { service: 'unknown', timeMs: NOW_MS, severity: 0, body: 'last', traceId: '' },
    ])
  })
})

it('the legacy form is the same lines', async () => {
  const { door, transport } = openDoors({}, 1)
  await door.accept(post(LEGACY, json, legacy({ ts: iso, line: '{"msg":"x","level":"error"}' })))
  expect(linesOf(transport.of('logs')[0]!)).toEqual([{ service: 'shop', timeMs: NOW_MS, severity: 17, body: 'x', traceId: '' }])
})

describe('protobuf', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 20 })
  const level = fc.constantFrom('info', 'error', 'x')
  const line = fc.oneof(
    text,
    fc
      .dictionary(fc.constantFrom('msg', 'level', 'trace_id', 'err'), fc.oneof(text, level, fc.constant(TRACE)))
      .map((one) => JSON.stringify(one)),
    fc.tuple(level, text).map(([one, rest]) => `level=${one} msg=${JSON.stringify(rest)}`),
  )
  const entries = fc.array(
    fc.record({
      timestamp: fc.record({ seconds: fc.nat({ max: 4e9 }), nanos: fc.nat({ max: 999_999_999 }) }),
      line,
      structuredMetadata: fc.array(
        fc.record({ name: fc.constantFrom('trace_id', 'level', 'service_name', 'other'), value: fc.oneof(level, fc.constant(TRACE)) }),
        { maxLength: 3 },
      ),
    }),
    { maxLength: 4 },
  )
  const labels = fc.constantFrom('{}', '{app="shop"}', '{app="shop",level="warn"}', '{level=`debug`}')

  it('is read as protobufjs reads it, structured metadata included', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ labels, entries }), { minLength: 1, maxLength: 3 }), (streams) => {
        const body = encode('PushRequest', { streams })
        const read = decode('PushRequest', body) as unknown as {
          streams: {
            labels: string
            entries: {
              timestamp: { seconds: string; nanos: number }
              line: string
              structuredMetadata: { name: string; value: string }[]
            }[]
          }[]
        }
        const expected = read.streams.flatMap((stream) =>
          stream.entries.map((one) => {
            const parts = oracleLine(one.line)
            const level = one.structuredMetadata.find(
              ({ name, value }) => name === 'level' && (value === 'info' || value === 'error'),
            )?.value
            const ofMetadata = level === 'info' ? 9 : level === 'error' ? 17 : 0
            const ofStream = stream.labels.includes('warn') ? 13 : stream.labels.includes('debug') ? 5 : 0
            return {
              service: stream.labels.includes('shop')
                ? 'shop'
                : (one.structuredMetadata.find(({ name }) => name === 'service_name')?.value ?? 'unknown'),
              timeMs: Number(one.timestamp.seconds) * 1000 + one.timestamp.nanos / 1e6,
              severity: parts.severity || ofMetadata || ofStream,
              body: parts.body,
              traceId:
                parts.traceId || (one.structuredMetadata.some(({ name, value }) => name === 'trace_id' && value === TRACE) ? TRACE : ''),
            }
          }),
        )
        const found = linesOf(decodeLokiProtobuf(body, newContext()))
        // What a plain text says of its level by itself is the business of severityInText.
        const quiet = found.map((one, row) => (expected[row]?.severity === 0 ? { ...one, severity: 0 } : one))
        expect(quiet).toEqual(expected)
      }),
      { numRuns: 1_000 },
    )
  })

  it('reads real bodies as protobufjs does', () => {
    for (const name of ['winston-loki.loki.proto.1', 'loki-canary.loki.proto.1']) {
      const body = unsnappy(recorded(name).body, 1e6).slice()
      const read = decode('PushRequest', body) as unknown as { streams: { entries: { line: string }[] }[] }
      const lines = read.streams.flatMap(({ entries: list }) => list.map((one) => one.line.trimEnd()))
      expect(lines.length).toBeGreaterThan(2)
      expect(linesOf(decodeLokiProtobuf(body, newContext())).map((one) => one.body)).toEqual(lines)
    }
  })
})
