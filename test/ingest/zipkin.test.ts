/** Zipkin v2 spans by Kafka and by HTTP: what protobufjs writes is read, in JSON the same. */
import * as fc from 'fast-check'
import protobuf from 'protobufjs'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { decodeZipkinJson, decodeZipkinProto } from '../../src/ingest/spans/zipkin.ts'
import { SpanKind, SpanStatus } from '../../src/model.ts'
import { expectDamageToBeRefusedOrRead } from './damage.ts'
import { JSON_TYPE, NOW_MS, newContext, openDoors, post, postJson, spansOf } from './doors-fixture.ts'

/** https://github.com/openzipkin/zipkin-api/blob/master/zipkin.proto */
const { root } = protobuf.parse(`
syntax = "proto3";
message Endpoint { string service_name = 1; bytes ipv4 = 2; bytes ipv6 = 3; int32 port = 4; }
message Annotation { fixed64 timestamp = 1; string value = 2; }
message Span {
  bytes trace_id = 1; bytes parent_id = 2; bytes id = 3; int32 kind = 4; string name = 5; fixed64 timestamp = 6; uint64 duration = 7;
  Endpoint local_endpoint = 8; Endpoint remote_endpoint = 9; repeated Annotation annotations = 10; map<string, string> tags = 11; bool debug = 12; bool shared = 13;
}
message ListOfSpans { repeated Span spans = 1; }
`)
const ListOfSpans = root.lookupType('ListOfSpans')
const KINDS = ['', 'CLIENT', 'SERVER', 'PRODUCER', 'CONSUMER']

interface Endpoint {
  readonly serviceName?: string
  readonly ipv4?: string
  readonly port?: number
}

/** As in JSON. */
interface Fields {
  readonly traceId: string
  readonly id: string
  readonly parentId?: string
  readonly kind?: string
  readonly name?: string
  readonly timestamp?: number
  readonly duration?: number
  readonly localEndpoint?: Endpoint
  readonly remoteEndpoint?: Endpoint
  readonly tags?: Readonly<Record<string, string>>
  readonly shared?: boolean
}

const plain: Fields = {
  traceId: '5982fe77008310cc80f1da5e10147519',
  id: 'bd7a977555f6b982',
  name: 'get /cart',
  timestamp: NOW_MS * 1000 + 7,
  duration: 386,
  localEndpoint: { serviceName: 'cart', ipv4: '10.1.2.3', port: 8080 },
}

function proto(list: readonly Fields[]): Uint8Array {
  const endpoint = ({ ipv4, ...rest }: Endpoint) => ({
    ...rest,
    ...(ipv4 !== undefined && { ipv4: Uint8Array.from(ipv4.split('.').map(Number)) }),
  })
  const spans = list.map(({ traceId, id, parentId = '', kind = '', localEndpoint = {}, remoteEndpoint = {}, ...rest }) => ({
    ...rest,
    traceId: Buffer.from(traceId, 'hex'),
    id: Buffer.from(id, 'hex'),
    parentId: Buffer.from(parentId, 'hex'),
    kind: KINDS.indexOf(kind),
    localEndpoint: endpoint(localEndpoint),
    remoteEndpoint: endpoint(remoteEndpoint),
    annotations: [{ timestamp: 1, value: 'wire.send' }],
    debug: true,
  }))
  return ListOfSpans.encode(ListOfSpans.fromObject({ spans })).finish()
}

function both(...list: Fields[]) {
  const fromProto = decodeZipkinProto(proto(list), newContext())
  expect(decodeZipkinJson(Buffer.from(JSON.stringify(list)), newContext())).toEqual(fromProto)
  return spansOf(fromProto)
}

it('a span becomes a row', () => {
  expect(both({ ...plain, kind: 'SERVER', parentId: '6b221d5bc9e6496c' })).toEqual([
    {
      service: 'cart',
      operation: 'get /cart',
      kind: SpanKind.server,
      status: SpanStatus.unset,
      startMs: NOW_MS + 0.007,
      durationMs: 0.386,
      traceId: plain.traceId,
      spanId: plain.id,
      parentId: '6b221d5bc9e6496c',
      peer: '',
    },
  ])
  expect(decodeZipkinProto(proto([plain]), newContext()).sources).toEqual([{ service: 'cart', instance: '10.1.2.3:8080', version: '' }])
})

it('a trace id of 64 bits is one of 128 that begins with zeros, in capitals or not', () => {
  expect(both({ ...plain, traceId: '80f1da5e10147519' })[0]!.traceId).toBe('000000000000000080f1da5e10147519')
  const capitals = [{ ...plain, traceId: '80F1DA5E10147519', id: 'BD7A977555F6B982' }]
  expect(spansOf(decodeZipkinJson(Buffer.from(JSON.stringify(capitals)), newContext()))[0]).toMatchObject({ spanId: plain.id })
})

it('a server span that shares the id of its client is its child', () => {
  const rows = both(
    { ...plain, kind: 'CLIENT', parentId: '6b221d5bc9e6496c', localEndpoint: { serviceName: 'front' } },
    { ...plain, kind: 'SERVER', parentId: '6b221d5bc9e6496c', shared: true },
  )
  expect(rows.map(({ service, spanId, parentId }) => [service, spanId, parentId])).toEqual([
    ['front', plain.id, '6b221d5bc9e6496c'],
    ['cart', plain.id, plain.id],
  ])
})

it.each([
  ['', SpanKind.internal],
  ['CLIENT', SpanKind.client],
  ['SERVER', SpanKind.server],
  ['PRODUCER', SpanKind.producer],
  ['CONSUMER', SpanKind.consumer],
])('kind %j is %i', (kind, expected) => {
  expect(both({ ...plain, kind })[0]!.kind).toBe(expected)
})

it.each<[Readonly<Record<string, string>>, number]>([
  [{}, SpanStatus.unset],
  [{ error: 'connection refused' }, SpanStatus.error],
  [{ error: '' }, SpanStatus.error],
  [{ error: 'false' }, SpanStatus.unset],
  [{ 'otel.status_code': 'ERROR' }, SpanStatus.error],
  [{ 'otel.status_code': 'OK', error: 'x' }, SpanStatus.ok],
])('tags %j are status %i', (tags, status) => {
  expect(both({ ...plain, tags })[0]!.status).toBe(status)
})

describe('the peer of a client span', () => {
  it.each<[string, Endpoint, Readonly<Record<string, string>>, string]>([
    ['is the service at the other end', { serviceName: 'stock', ipv4: '10.1.2.4', port: 80 }, {}, 'stock'],
    ['is its tag before that', { serviceName: 'stock' }, { 'peer.service': 'stock-v2' }, 'stock-v2'],
    ['is the address where nothing has a name', { ipv4: '10.1.2.4', port: 5432 }, {}, '10.1.2.4:5432'],
    ['is the database before the address', { ipv4: '10.1.2.4', port: 5432 }, { 'db.system': 'postgresql' }, 'postgresql'],
    ['is unknown without any of these', {}, {}, ''],
  ])('%s', (_name, remoteEndpoint, tags, peer) => {
    expect(both({ ...plain, kind: 'CLIENT', remoteEndpoint, tags })[0]!.peer).toBe(peer)
    expect(both({ ...plain, kind: 'SERVER', remoteEndpoint, tags })[0]!.peer).toBe('')
  })
})

it('reads what protobufjs writes, in JSON the same', () => {
  const hex = (bytes: number) =>
    fc
      .uint8Array({ minLength: bytes, maxLength: bytes })
      .filter((id) => id.some((byte) => byte !== 0))
      .map((id) => Buffer.from(id).toString('hex'))
  const word = fc.string({ unit: 'grapheme', maxLength: 12 })
  const endpoint = fc.record({ serviceName: word, ipv4: fc.ipV4(), port: fc.nat({ max: 65_535 }) }, { requiredKeys: [] })
  const span: fc.Arbitrary<Fields> = fc.record(
    {
      traceId: fc.oneof(hex(8), hex(16)),
      id: hex(8),
      parentId: hex(8),
      kind: fc.constantFrom('CLIENT', 'SERVER', 'PRODUCER', 'CONSUMER'),
      name: word,
      timestamp: fc.integer({ min: 1, max: 4e15 }),
      duration: fc.integer({ min: 0, max: 1e12 }),
      localEndpoint: endpoint,
      remoteEndpoint: endpoint,
      tags: fc.dictionary(
        fc.oneof(fc.constantFrom('error', 'peer.service', 'db.system'), fc.string({ minLength: 1, maxLength: 8 })),
        word,
        { maxKeys: 4 },
      ),
      shared: fc.boolean(),
    },
    { requiredKeys: ['traceId', 'id', 'timestamp'] },
  )
  fc.assert(
    fc.property(fc.array(span, { maxLength: 4 }), (list) => {
      // protobufjs takes `__proto__` in a map for what it is in JavaScript.
      const clean = list.filter(({ tags = {} }) => !Object.hasOwn(tags, '__proto__'))
      const fromProto = spansOf(decodeZipkinProto(proto(clean), newContext()))
      const fromJson = spansOf(decodeZipkinJson(Buffer.from(JSON.stringify(clean)), newContext()))
      expect(fromJson).toEqual(fromProto)
      expect(fromProto.map(({ spanId, durationMs }) => [spanId, durationMs])).toEqual(
        clean.map(({ id, duration = 0 }) => [id, duration / 1000]),
      )
    }),
    { numRuns: 300 },
  )
})

it('bytes that are cut off or changed are refused or read', () => {
  const seed = proto([{ ...plain, kind: 'CLIENT', remoteEndpoint: { ipv4: '1.2.3.4' }, tags: { error: 'x' } }])
  expectDamageToBeRefusedOrRead(seed, (body) => decodeZipkinProto(body, newContext()))
})

describe('POST /api/v2/spans', () => {
  const path = '/api/v2/spans'

  it('takes JSON, with a type or without, and gzip, and answers 202', async () => {
    const { door, transport } = openDoors({}, 1)
    const body = JSON.stringify([plain])
    for (const request of [
      postJson(path, [plain]),
      post(path, {}, body),
      post(path, { 'content-type': 'application/json; charset=utf-8', 'content-encoding': 'gzip' }, gzipSync(body)),
      post(path, { 'content-type': 'application/x-protobuf' }, proto([plain])),
    ]) {
      const response = await door.accept(request)
      expect([response.status, String(response.body)]).toEqual([202, ''])
    }
    expect(transport.of('spans').map(({ rows }) => rows)).toEqual([1, 1, 1, 1])
    expect(transport.of('links')).toHaveLength(4)
  })

  it('an empty list is fine', async () => {
    const { door, transport } = openDoors()
    expect((await door.accept(postJson(path, []))).status).toBe(202)
    expect(transport.published).toEqual([])
  })

  it('takes the good ones and says what it left out', async () => {
    const { door, transport } = openDoors({}, 1)
    const { timestamp: _timestamp, ...incomplete } = plain
    const response = await door.accept(postJson(path, [plain, incomplete, { ...plain, id: 'xyz' }]))
    expect([response.status, String(response.body)]).toEqual([
      202,
      '2 spans rejected (1 no-time, 1 bad-span-id); everything else was taken\n',
    ])
    expect(transport.of('spans')[0]!.rows).toBe(1)
  })

  it.each<[string, Record<string, string>, string, number]>([
    ['an object', JSON_TYPE, '{}', 400],
    ['no JSON', JSON_TYPE, '[', 400],
    ['an array of numbers', JSON_TYPE, '[1]', 400],
    ['a name that is no text', JSON_TYPE, '[{"name": 1}]', 400],
    ['thrift', { 'content-type': 'application/x-thrift' }, 'x', 415],
    ['an unknown encoding', { ...JSON_TYPE, 'content-encoding': 'br' }, '[]', 415],
  ])('%s is refused', async (_name, headers, body, status) => {
    const { door } = openDoors()
    expect((await door.accept(post(path, headers, body))).status).toBe(status)
  })

  it('asks to come back when the transport fails', async () => {
    const { door, transport } = openDoors()
    transport.failWith = new Error('broker gone')
    const response = await door.accept(postJson(path, [plain]))
    expect([response.status, response.headers['retry-after']]).toEqual([503, '5'])
  })
})
