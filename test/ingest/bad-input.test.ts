/** What each door answers to what it should not be sent, and that nothing else is lost by it. */
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { compressSync } from 'snappy'
import { describe, expect, it } from 'vitest'
import type { DoorRequest } from '../../src/ingest/door.ts'
import { NOW_MS, eventsOf, linesOf, openDoors, post, postJson, recorded, samplesOf } from './doors-fixture.ts'
import { decode, encode } from './protobuf-oracle.ts'

const RW = '/api/v1/write'
const LOKI = '/loki/api/v1/push'
const TRACES = '/v1/traces'
const LOGS = '/v1/logs'
const ALERTS = '/api/v2/alerts'
const EVENTS = '/api/v1/events'

const json = { 'content-type': 'application/json' }
const proto = { 'content-type': 'application/x-protobuf' }
const snappyProto = { ...proto, 'content-encoding': 'snappy' }
const ns = `${NOW_MS}000000`

const label = (name: string, value: string) => ({ name, value })
const one = { samples: [{ value: 1, timestamp: NOW_MS }] }
const good = { labels: [label('__name__', 'up'), label('job', 'good')], ...one }
const write = (...timeseries: object[]) => compressSync(Buffer.from(encode('WriteRequest', { timeseries })))
const good_stream = { stream: { app: 'good' }, values: [[ns, 'fine']] }
const push = (...streams: unknown[]) => JSON.stringify({ streams })
const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
const goodSpan = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  name: 'op',
  kind: 2,
  startTimeUnixNano: ns,
  endTimeUnixNano: ns,
}
const traces = (...spans: unknown[]) =>
  JSON.stringify({
    resourceSpans: [{ resource: { attributes: [{ key: 'service.name', value: { stringValue: 'good' } }] }, scopeSpans: [{ spans }] }],
  })
const nestedAny = (depth: number): Uint8Array => {
  let value: Uint8Array = Buffer.from([0x0a, 1, 97])
  for (let i = 0; i < depth; i++) {
    const list = wrap(1, value)
    value = wrap(5, list)
  }
  return value
}
const wrap = (number: number, bytes: Uint8Array): Uint8Array => {
  const length: number[] = []
  let rest = bytes.length
  for (; rest > 127; rest = Math.floor(rest / 128)) length.push((rest % 128) | 128)
  return Buffer.concat([Buffer.of(number * 8 + 2, ...length, rest), bytes])
}
const deepLog = (depth: number) => wrap(1, wrap(2, wrap(2, wrap(5, nestedAny(depth)))))
const bomb = gzipSync(Buffer.alloc(80 * 1024 * 1024))
const declares2Gb = Buffer.from([0x80, 0x80, 0x80, 0x80, 0x08, 0, 0, 0])
const declares60Mb = Buffer.from([0x80, 0x80, 0x80, 0x1d, 0, 0, 0])
const goodAlert = { labels: { alertname: 'Good' }, startsAt: '2026-11-23T15:59:00Z' }

const CASES: readonly (readonly [door: string, what: string, request: DoorRequest, status: number, says: RegExp])[] = [
  [
    RW,
    'remote write 1.0 under the name of 2.0',
    post(RW, { ...snappyProto, 'content-type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request' }, write(good)),
    400,
    /a message of 1\.0/,
  ],
  [RW, 'an unknown message', post(RW, { ...snappyProto, 'content-type': 'application/x-protobuf;proto=x.Y' }, write(good)), 415, /proto/],
  [RW, 'JSON', post(RW, json, '{}'), 415, /Content-Type/],
  [RW, 'a type that cannot be parsed', post(RW, { 'content-type': ';;' }, write(good)), 415, /Content-Type/],
  [RW, 'zstd, which new vmagents try first', post(RW, { ...proto, 'content-encoding': 'zstd' }, 'x'), 415, /snappy/],
  [RW, 'gzip', post(RW, { ...proto, 'content-encoding': 'gzip' }, gzipSync('x')), 415, /snappy/],
  [
    RW,
    'the type is wrong and the body is a bomb: the body is not touched',
    post(RW, { ...proto, 'content-encoding': 'zstd' }, declares2Gb),
    415,
    /snappy/,
  ],
  [RW, 'an empty body', post(RW, snappyProto, ''), 400, /snappy/],
  [RW, 'not snappy', post(RW, snappyProto, 'hello there'), 400, /snappy/],
  [RW, 'a snappy frame', post(RW, snappyProto, Buffer.from('ff060000734e61507059', 'hex')), 400, /snappy/],
  [RW, 'a block that declares 2 GB', post(RW, snappyProto, declares2Gb), 413, /declares 2147483648 bytes/],
  [RW, 'a block that declares 60 MB and holds nothing', post(RW, snappyProto, declares60Mb), 400, /cannot expand/],
  [RW, 'snappy of something else', post(RW, snappyProto, compressSync('no protobuf here')), 400, /protobuf/],
  [
    RW,
    'cut off',
    post(RW, snappyProto, compressSync(Buffer.from(encode('WriteRequest', { timeseries: [good] })).subarray(0, 20))),
    400,
    /ends in the middle/,
  ],
  [
    RW,
    'no name',
    post(RW, snappyProto, write({ labels: [label('job', 'x')], ...one }, good)),
    400,
    /1 rejected \(1 no-name\); everything else was written/,
  ],
  [RW, 'an empty name', post(RW, snappyProto, write({ labels: [label('__name__', ''), label('job', 'x')], ...one }, good)), 400, /no-name/],
  [
    RW,
    'an empty label name',
    post(RW, snappyProto, write({ labels: [label('__name__', 'a'), label('', 'x')], ...one }, good)),
    400,
    /empty-label-name/,
  ],
  [
    RW,
    'a label twice',
    post(RW, snappyProto, write({ labels: [label('__name__', 'a'), label('b', 'x'), label('b', 'y')], ...one }, good)),
    400,
    /duplicate-label/,
  ],
  [
    RW,
    '65 labels',
    post(
      RW,
      snappyProto,
      write({ labels: [label('__name__', 'a'), ...Array.from({ length: 64 }, (_, i) => label(`l${i}`, 'x'))], ...one }, good),
    ),
    400,
    /too-many-labels/,
  ],
  [
    RW,
    'a label name of 300 characters',
    post(RW, snappyProto, write({ labels: [label('__name__', 'a'), label('n'.repeat(300), 'x')], ...one }, good)),
    400,
    /label-name-too-long/,
  ],
  [
    RW,
    'a label value of 3,000 characters',
    post(RW, snappyProto, write({ labels: [label('__name__', 'v'.repeat(3_000))], ...one }, good)),
    400,
    /label-value-too-long/,
  ],
  [RW, 'a series without anything', post(RW, snappyProto, write({ labels: [label('__name__', 'a')] }, good)), 400, /empty-series/],
  [
    RW,
    'two samples from next year',
    post(RW, snappyProto, write({ ...good, samples: [0, 1].map(() => ({ value: 1, timestamp: NOW_MS + 1e10 })) }, good)),
    400,
    /2 too-far-ahead/,
  ],
  [RW, 'a sample of 1970', post(RW, snappyProto, write({ ...good, samples: [{ value: 1, timestamp: 5 }] }, good)), 400, /too-old/],
  [RW, 'a negative time', post(RW, snappyProto, write({ ...good, samples: [{ value: 1, timestamp: -NOW_MS }] }, good)), 400, /too-old/],

  [LOKI, 'no streams', post(LOKI, json, '{"streams":[]}'), 422, /at least one valid stream/],
  [LOKI, 'no streams in protobuf', post(LOKI, proto, compressSync(Buffer.alloc(0))), 422, /at least one valid stream/],
  [LOKI, 'no JSON', post(LOKI, json, '{"streams":'), 400, /not JSON/],
  [LOKI, 'an empty body', post(LOKI, json, ''), 400, /not JSON/],
  [LOKI, 'streams of another shape', post(LOKI, json, '{"streams":{}}'), 400, /"streams"/],
  [LOKI, 'an array', post(LOKI, json, '[]'), 400, /"streams"/],
  [LOKI, 'the legacy shape', post(LOKI, json, push({ labels: '{a="b"}', entries: [] }, 5)), 400, /\/api\/prom\/push/],
  [LOKI, 'a numeric timestamp', post(LOKI, json, push({ stream: {}, values: [[Number(ns), 'x']] })), 400, /nanoseconds as a string/],
  [LOKI, 'a timestamp that is no number', post(LOKI, json, push({ stream: {}, values: [['yesterday', 'x']] })), 400, /"yesterday"/],
  [LOKI, 'a line that is no text', post(LOKI, json, push({ stream: {}, values: [[ns, 5]] })), 400, /must be \[/],
  [
    LOKI,
    'a label that is no text',
    post(LOKI, json, push({ stream: { a: 5 }, values: [[ns, 'x']] })),
    400,
    /a label must be text, "a" is not/,
  ],
  [
    LOKI,
    'nested structured metadata',
    post(LOKI, json, push({ stream: {}, values: [[ns, 'x', { a: { b: 'c' } }]] })),
    400,
    /structured metadata must be text/,
  ],
  [LOKI, 'text/plain', post(LOKI, { 'content-type': 'text/plain' }, 'hello'), 400, /snappy: corrupt input/],
  [LOKI, 'no content type', post(LOKI, {}, push(good_stream)), 400, /snappy: corrupt input/],
  [LOKI, 'a type that cannot be parsed', post(LOKI, { 'content-type': 'a b c' }, 'x'), 400, /cannot be parsed/],
  [LOKI, 'an empty protobuf body', post(LOKI, proto, ''), 400, /snappy: corrupt input/],
  [LOKI, 'zstd', post(LOKI, { ...json, 'content-encoding': 'zstd' }, push(good_stream)), 400, /Content-Encoding/],
  [LOKI, 'gzip that is none', post(LOKI, { ...json, 'content-encoding': 'gzip' }, 'hello'), 400, /cannot be decompressed/],
  [
    LOKI,
    'a gzip bomb',
    post(LOKI, { ...json, 'content-encoding': 'gzip' }, bomb),
    413,
    /larger than 67108864 bytes when it is decompressed/,
  ],
  [LOKI, 'a block that declares 2 GB', post(LOKI, proto, declares2Gb), 413, /declares 2147483648 bytes/],
  [
    LOKI,
    'labels that are no selector',
    post(LOKI, proto, compressSync(Buffer.from(encode('PushRequest', { streams: [{ labels: 'app=shop' }] })))),
    400,
    /labels of a stream cannot be read at character 1/,
  ],
  [
    LOKI,
    'an escape that Go does not know',
    post(LOKI, proto, compressSync(Buffer.from(encode('PushRequest', { streams: [{ labels: '{a="\\q"}' }] })))),
    400,
    /\\q is not an escape/,
  ],
  [
    LOKI,
    'a stream label too long',
    post(LOKI, json, push({ stream: { a: 'x'.repeat(3_000) }, values: [[ns, 'x']] }, good_stream)),
    413,
    /label-too-long/,
  ],
  [
    LOKI,
    '65 labels',
    post(
      LOKI,
      json,
      push({ stream: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, 'x'])), values: [[ns, 'x']] }, good_stream),
    ),
    400,
    /1 too-many-labels/,
  ],
  [
    LOKI,
    'a line from next year',
    post(LOKI, json, push({ stream: { app: 'x' }, values: [[`${NOW_MS + 1e10}000000`, 'x']] }, good_stream)),
    400,
    /1 lines rejected \(1 too-far-ahead\)/,
  ],
  [LOKI, '10,000 levels of nesting', post(LOKI, json, `{"streams":[{"stream":{},"values":${deep(10_000)}}]}`), 400, /a value must be/],

  [TRACES, 'text/plain', post(TRACES, { 'content-type': 'text/plain' }, 'x'), 415, /Content-Type/],
  [TRACES, 'brotli', post(TRACES, { ...json, 'content-encoding': 'br' }, 'x'), 415, /Content-Encoding/],
  [TRACES, 'zstd that is none', post(TRACES, { ...json, 'content-encoding': 'zstd' }, 'x'), 400, /zstd|decompress/],
  [TRACES, 'no JSON', post(TRACES, json, '{'), 400, /not JSON/],
  [TRACES, 'not an object', post(TRACES, json, '[]'), 400, /must be an object/],
  [
    TRACES,
    'spans of another shape',
    post(TRACES, json, '{"resourceSpans":[{"scopeSpans":{"spans":[]}}]}'),
    400,
    /"scopeSpans" must be an array of objects/,
  ],
  [
    TRACES,
    'a kind that is a word',
    post(TRACES, json, traces({ ...goodSpan, kind: 'SPAN_KIND_SERVER' })),
    400,
    /"kind" must be an integer/,
  ],
  [
    TRACES,
    'a time that is a word',
    post(TRACES, json, traces({ ...goodSpan, startTimeUnixNano: 'now' })),
    400,
    /"startTimeUnixNano" must be a number/,
  ],
  [TRACES, 'a gzip bomb', post(TRACES, { ...json, 'content-encoding': 'gzip' }, bomb), 413, /larger than/],
  [TRACES, '10,000 levels of nesting', post(TRACES, json, `{"resourceSpans":${deep(10_000)}}`), 400, /must be an array of objects/],
  [
    LOGS,
    '10,000 levels of nesting in a body',
    post(
      LOGS,
      json,
      `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"${ns}","body":${'{"arrayValue":{"values":['.repeat(10_000)}${']}}'.repeat(10_000)}}]}]}]}`,
    ),
    400,
    /nested more than/,
  ],
]

const PROTOBUF_CASES: readonly (readonly [door: string, what: string, request: DoorRequest, status: number, says: RegExp])[] = [
  [TRACES, 'cut off', post(TRACES, proto, Buffer.from('0a05', 'hex')), 400, /ends in the middle/],
  [TRACES, 'a field numbered 0', post(TRACES, proto, Buffer.from('0200', 'hex')), 400, /number 0/],
  [TRACES, 'a group', post(TRACES, proto, Buffer.from('0b0c', 'hex')), 400, /wire type 3/],
  [TRACES, 'a varint without end', post(TRACES, proto, Buffer.alloc(40, 0xff)), 400, /longer than ten bytes/],
  [TRACES, 'a gzip bomb', post(TRACES, { ...proto, 'content-encoding': 'gzip' }, bomb), 413, /larger than/],
  [LOGS, '10,000 levels of nesting', post(LOGS, proto, deepLog(10_000)), 400, /nested more than 64 deep/],
]

const JSON_CASES: readonly (readonly [door: string, what: string, request: DoorRequest, status: number, says: RegExp])[] = [
  [ALERTS, 'a form', post(ALERTS, { 'content-type': 'application/x-www-form-urlencoded' }, 'a=b'), 415, /Content-Type/],
  [ALERTS, 'no JSON', post(ALERTS, json, '[{]'), 400, /not JSON/],
  [ALERTS, 'an object', post(ALERTS, json, '{"alerts":[]}'), 400, /array of alerts/],
  [ALERTS, 'no labels', postJson(ALERTS, [{ labels: {} }, goodAlert]), 400, /1 alerts rejected \(1 no-labels\); all others were taken/],
  [ALERTS, 'labels that are no text', postJson(ALERTS, [{ labels: { a: 5 } }, goodAlert]), 400, /not-an-alert/],
  [ALERTS, 'things that are no alerts', postJson(ALERTS, [5, null, 'x', [], goodAlert]), 400, /4 not-an-alert/],
  [ALERTS, 'a time that is none', postJson(ALERTS, [{ ...goodAlert, startsAt: 'yesterday' }, goodAlert]), 400, /bad-time/],
  [ALERTS, 'a day that does not exist', postJson(ALERTS, [{ ...goodAlert, startsAt: '2026-13-41T00:00:00Z' }, goodAlert]), 400, /bad-time/],
  [
    ALERTS,
    'an end before the start',
    postJson(ALERTS, [{ ...goodAlert, endsAt: '2020-01-01T00:00:00Z' }, goodAlert]),
    400,
    /ends-before-it-starts/,
  ],
  [ALERTS, 'a gzip bomb', post(ALERTS, { ...json, 'content-encoding': 'gzip' }, bomb), 413, /larger than/],
  [ALERTS, '10,000 levels of nesting', post(ALERTS, json, `[${deep(10_000)},${JSON.stringify(goodAlert)}]`), 400, /1 not-an-alert/],
  [
    EVENTS,
    'a form that another site could post',
    post(EVENTS, { 'content-type': 'text/plain' }, '{"type":"deploy"}'),
    415,
    /application\/json/,
  ],
  [EVENTS, 'no JSON', post(EVENTS, json, 'deploy!'), 400, /not JSON/],
  [EVENTS, 'no object', post(EVENTS, json, '5'), 400, /the event must be an object/],
  [EVENTS, 'an unknown type', postJson(EVENTS, { type: 'party', service: 'a' }), 400, /type must be one of deploy, rollback/],
  [EVENTS, 'no service', postJson(EVENTS, { type: 'deploy' }), 400, /service must be the name/],
  [EVENTS, 'an empty service', postJson(EVENTS, { type: 'deploy', service: ' ' }), 400, /service must not be empty/],
  [EVENTS, 'a time that is none', postJson(EVENTS, { type: 'deploy', service: 'a', time: 'noon' }), 400, /time must be RFC 3339/],
  [
    EVENTS,
    'a time in the future',
    postJson(EVENTS, { type: 'deploy', service: 'a', time: '2030-01-01T00:00:00Z' }),
    400,
    /time is too far in the future/,
  ],
  [
    EVENTS,
    'an address that runs',
    postJson(EVENTS, { type: 'deploy', service: 'a', url: 'javascript:alert(1)' }),
    400,
    /url must be an http or https address/,
  ],
  [EVENTS, 'the second of two', postJson(EVENTS, [{ type: 'deploy', service: 'a' }, { type: 'deploy' }]), 400, /event 1: service/],
  [EVENTS, '10,000 levels of nesting', post(EVENTS, json, deep(10_000)), 400, /event 0: the event must be an object/],
]

/** Alertmanager answers a JSON string, OTLP a status, ours an error. */
function messageIn(answer: unknown): unknown {
  return typeof answer === 'string' ? answer : Object.values(answer as object).at(-1)
}

describe.each([...CASES, ...PROTOBUF_CASES, ...JSON_CASES])('%s: %s', (_door, _what, request, status, says) => {
  it(`is answered ${status}, in the sender's dialect`, async () => {
    const { door, transport } = openDoors()
    const response = await door.accept(request)
    const body = Buffer.from(response.body)
    const type = response.headers['content-type']
    expect(response.status).toBe(status)
    expect(
      type === 'application/x-protobuf'
        ? decode('RpcStatus', body)['message']
        : type === 'application/json'
          ? messageIn(JSON.parse(body.toString()))
          : body.toString(),
    ).toMatch(says)
    // What was good in the same request is kept, when the answer says so.
    const kept =
      transport.of('metrics').flatMap(samplesOf).length +
      transport.of('logs').flatMap(linesOf).length +
      eventsOf(transport.of('events')).length
    expect(kept).toBe(/everything else|all others/.test(body.toString()) ? 1 : 0)
  })
})

describe('OTLP answers in the type of the request', () => {
  it.each(PROTOBUF_CASES.filter(([door]) => door === TRACES))('%s: %s as protobuf', async (_door, _what, request) => {
    const response = await openDoors().door.accept(request)
    expect(response.headers['content-type']).toBe('application/x-protobuf')
  })

  it('says how many spans it refused and that the client need not try again', async () => {
    const { door, transport } = openDoors()
    const bad = [
      { ...goodSpan, traceId: 'zz' },
      { ...goodSpan, traceId: '0'.repeat(32) },
      { ...goodSpan, spanId: '' },
      { ...goodSpan, parentSpanId: 'abc' },
      { ...goodSpan, startTimeUnixNano: '5', endTimeUnixNano: '6' },
    ]
    const response = await door.accept(post(TRACES, json, traces(...bad, goodSpan)))
    expect(response.status).toBe(200)
    expect(JSON.parse(String(response.body))).toEqual({
      partialSuccess: { rejectedSpans: '5', errorMessage: 'rejected: 2 bad-trace-id, 1 bad-span-id, 1 bad-parent-id, 1 too-old' },
    })
    expect(transport.of('spans').map((batch) => batch.rows)).toEqual([1])

    const body = encode('TracesData', { resourceSpans: [{ scopeSpans: [{ spans: [{ name: 'no ids' }] }] }] })
    const protobuf = await door.accept(post(TRACES, proto, body))
    expect(decode('ExportTraceServiceResponse', Buffer.from(protobuf.body))).toEqual({
      partialSuccess: { rejected: '1', errorMessage: 'rejected: 1 bad-trace-id' },
    })
  })

  it('calls an empty request a success', async () => {
    const { door } = openDoors()
    expect(await door.accept(post(LOGS, proto, ''))).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/x-protobuf' },
      body: Buffer.alloc(0),
    })
    expect(await door.accept(post(LOGS, json, '{}'))).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: '{}',
    })
  })
})

describe('what is unusual and yet good', () => {
  it.each<[what: string, request: DoorRequest, status: number]>([
    ['remote write without Content-Type', post(RW, {}, write(good)), 204],
    ['remote write without Content-Encoding', post(RW, proto, write(good)), 204],
    [
      'remote write that names its message',
      post(RW, { ...snappyProto, 'content-type': 'application/x-protobuf; proto=prometheus.WriteRequest' }, write(good)),
      204,
    ],
    ['remote write with a retry counter', post(RW, { ...snappyProto, 'retry-attempt': '3' }, write(good)), 204],
    [
      'remote write with nothing but metadata',
      post(RW, snappyProto, compressSync(Buffer.from(encode('WriteRequest', { metadata: [{ help: 'x' }] })))),
      204,
    ],
    [
      'a series with nothing but exemplars',
      post(RW, snappyProto, write({ labels: [label('__name__', 'a')], exemplars: [{ value: 1 }] })),
      204,
    ],
    [
      'a series with nothing but a histogram',
      post(RW, snappyProto, write({ labels: [label('__name__', 'a')], histograms: [{ timestamp: NOW_MS }] })),
      204,
    ],
    ['a sample an hour old', post(RW, snappyProto, write({ ...good, samples: [{ value: 1, timestamp: NOW_MS - 3_600_000 }] })), 204],
    [
      'labels with dots, spaces and __proto__',
      post(
        RW,
        snappyProto,
        write({ labels: [label('z y', '1'), label('__proto__', 'x'), label('a.b', 'line\nbreak'), label('__name__', 'up')], ...one }),
      ),
      204,
    ],
    ['Loki JSON with parameters in its type', post(LOKI, { 'content-type': 'application/json; charset=utf-8' }, push(good_stream)), 204],
    ['Loki JSON, deflate with header', post(LOKI, { ...json, 'content-encoding': 'deflate' }, deflateSync(push(good_stream))), 204],
    ['Loki JSON, deflate without', post(LOKI, { ...json, 'content-encoding': 'deflate' }, deflateRawSync(push(good_stream))), 204],
    ['a stream with no labels', post(LOKI, json, push({ stream: {}, values: [[ns, 'x']] })), 204],
    [
      'a stream with __proto__',
      post(LOKI, json, `{"streams":[{"stream":{"__proto__":"x","app":"a"},"values":[["${ns}","x",{"__proto__":"y"}]]}]}`),
      204,
    ],
    ['OTLP with fields that nobody knows', post(TRACES, json, `{"resourceSpans":[],"__proto__":{"a":1},"new":[1,2]}`), 200],
    ['no alerts', postJson(ALERTS, []), 200],
    [
      'an alert with a __proto__ label',
      post(ALERTS, json, '[{"labels":{"alertname":"A","__proto__":"x"},"annotations":{"__proto__":"y"}}]'),
      200,
    ],
    ['no events', postJson(EVENTS, []), 202],
  ])('%s', async (_what, request, status) => {
    const response = await openDoors().door.accept(request)
    expect([response.status, String(response.body).slice(0, 200)]).toEqual([status, expect.any(String)])
  })

  it('keeps a __proto__ label as a label', async () => {
    const { door, transport } = openDoors()
    await door.accept(post(RW, snappyProto, write({ labels: [label('__proto__', 'x'), label('__name__', 'up')], ...one })))
    await door.accept(post(ALERTS, json, '[{"labels":{"alertname":"A","__proto__":"x"}}]'))
    expect(transport.of('metrics')[0]!.series[0]).toMatchObject({ key: 'up{__proto__="x"}', labels: [['__proto__', 'x']] })
    expect(eventsOf(transport.of('events'))[0]).toMatchObject({
      labels: [
        ['__proto__', 'x'],
        ['alertname', 'A'],
      ],
    })
  })
})

describe('limits of what a sender can make us hold', () => {
  const many = (count: number, of: (i: number) => object) => write(...Array.from({ length: count }, (_, i) => of(i)))
  const numbered = (i: number) => ({ labels: [label('__name__', 'up'), label('i', String(i)), label('job', 'x')], ...one })

  it('series of one service: the rest is refused, those that are known go on', async () => {
    const { door, transport } = openDoors({ limits: { maxSeriesPerService: 3 } })
    const first = await door.accept(post(RW, snappyProto, many(5, numbered)))
    expect([first.status, String(first.body)]).toEqual([400, '2 rejected (2 service-series-limit); everything else was written\n'])
    expect((await door.accept(post(RW, snappyProto, many(3, numbered)))).status).toBe(204)
    expect(transport.of('metrics').map((batch) => batch.rows)).toEqual([3, 3])
  })

  it('series in all, and they make room when they fall silent', async () => {
    const { door } = openDoors({ limits: { maxSeries: 2, seriesIdleMs: 60_000 } })
    const of = (from: number) => many(2, (i) => numbered(from + i))
    expect((await door.accept(post(RW, snappyProto, of(0)))).status).toBe(204)
    expect((await door.accept(post(RW, snappyProto, of(10)))).status).toBe(400)
    await door.tick(NOW_MS + 400_000)
    expect((await door.accept(post(RW, snappyProto, of(10), NOW_MS + 400_000))).status).toBe(204)
  })

  it('services', async () => {
    const { door } = openDoors({ limits: { maxServices: 2 } })
    const streams = ['a', 'b', 'c', 'a'].map((app) => ({ stream: { app }, values: [[ns, 'x']] }))
    const response = await door.accept(post(LOKI, json, push(...streams)))
    expect([response.status, String(response.body)]).toEqual([400, '1 lines rejected (1 service-limit); everything else was stored\n'])
  })

  it('rows of one request', async () => {
    const { door } = openDoors({ limits: { maxRowsPerRequest: 100 } })
    const response = await door.accept(post(LOKI, json, push({ stream: {}, values: Array.from({ length: 101 }, () => [ns, 'x']) })))
    expect([response.status, String(response.body)]).toEqual([413, 'more than 100 rows in one request: send smaller ones\n'])
  })

  it('a long line is cut at a character and counted', async () => {
    const { door, transport, telemetry } = openDoors({ limits: { maxLineBytes: 100 } })
    expect(
      (
        await door.accept(
          post(
            LOKI,
            json,
            push({
              stream: {},
              values: [
                [ns, 'ü'.repeat(5_000)],
                [ns, `a${'ü'.repeat(5_000)}`],
              ],
            }),
          ),
        )
      ).status,
    ).toBe(204)
    const protobuf = compressSync(
      Buffer.from(
        encode('PushRequest', {
          streams: [{ labels: '{}', entries: [{ timestamp: { seconds: NOW_MS / 1000 }, line: `a${'ü'.repeat(5_000)}` }] }],
        }),
      ),
    )
    expect((await door.accept(post(LOKI, proto, protobuf))).status).toBe(204)
    expect(
      transport
        .of('logs')
        .flatMap(linesOf)
        .map(({ body }) => body),
    ).toEqual(['ü'.repeat(50), `a${'ü'.repeat(49)}`, `a${'ü'.repeat(49)}`])
    expect(await telemetry.registry.metrics()).toContain('tocsin_door_skipped_total{door="loki",reason="line-cut"} 3')
  })

  it('text that databases refuse is made clean', async () => {
    const { door, transport } = openDoors()
    await door.accept(post(LOKI, json, `{"streams":[{"stream":{"app":"a\\u0000b"},"values":[["${ns}","nul \\u0000 and \\ud800"]]}]}`))
    expect(linesOf(transport.of('logs')[0]!)).toMatchObject([{ service: 'a\ufffdb', body: 'nul \ufffd and \ufffd' }])
  })
})

describe('a path that is no door', () => {
  it.each(['/v1/profiles', '/', '/api/v1/write/', '__proto__', 'constructor'])('%s: 404', async (path) => {
    expect((await openDoors().door.accept(post(path, json, '{}'))).status).toBe(404)
  })
})

it('real senders are told what they can act on: promtool mixes up its versions, zstd falls back', async () => {
  const { door } = openDoors()
  expect((await door.accept(recorded('promtool.rw2.proto-snappy.1'))).status).toBe(400)
})
