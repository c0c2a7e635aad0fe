/** Jaeger spans, one per record, as the Collector writes them to Kafka. What protobufjs writes is read, in jsonpb's form the same. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/errors.ts'
import { decodeJaegerJson, decodeJaegerProto } from '../../src/ingest/spans/jaeger.ts'
import { SpanKind, SpanStatus } from '../../src/model.ts'
import { expectDamageToBeRefusedOrRead } from './damage.ts'
import { newContext, spansOf } from './doors-fixture.ts'
import { encode } from './protobuf-oracle.ts'

interface Tag {
  readonly key: string
  readonly vType?: number
  readonly vStr?: string
  readonly vBool?: boolean
  readonly vInt64?: number
  readonly vFloat64?: number
}

interface Ref {
  readonly traceId: Uint8Array
  readonly spanId: Uint8Array
  readonly refType?: number
}

interface Fields {
  readonly traceId: Uint8Array
  readonly spanId: Uint8Array
  readonly operationName: string
  readonly references: readonly Ref[]
  readonly startMs: number
  readonly durationUs: number
  readonly tags: readonly Tag[]
  readonly process: { readonly serviceName: string; readonly tags: readonly Tag[] }
}

const trace = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
const other = Buffer.from('ff0102030405060708090a0b0c0d0e0f', 'hex')
const id = (digit: number) => Buffer.alloc(8, digit)
const text = (key: string, vStr: string): Tag => ({ key, vStr })

const plain: Fields = {
  traceId: trace,
  spanId: id(1),
  operationName: 'GET /cart',
  references: [],
  startMs: 1_795_450_000_000,
  durationUs: 1_500,
  tags: [],
  process: { serviceName: 'cart', tags: [] },
}

function proto(fields: Fields): Uint8Array {
  const { startMs, durationUs, ...rest } = fields
  return encode('JaegerSpan', {
    ...rest,
    startTime: { seconds: Math.floor(startMs / 1000), nanos: (startMs % 1000) * 1e6 },
    duration: { seconds: Math.floor(durationUs / 1e6), nanos: (durationUs % 1e6) * 1000 },
    logs: [{ timestamp: { seconds: 1 }, fields: [text('event', 'error')] }],
    processId: 'p1',
    warnings: ['clock skew'],
  })
}

/** jsonpb: ids in base64, enums by name, what is zero left out, 64-bit numbers as text. */
function json(fields: Fields): Uint8Array {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  const tag = ({ vType = 0, vInt64, ...rest }: Tag) => ({
    ...rest,
    ...(vType !== 0 && { vType: ['STRING', 'BOOL', 'INT64', 'FLOAT64', 'BINARY'][vType] }),
    ...(vInt64 !== undefined && { vInt64: String(vInt64) }),
  })
  return Buffer.from(
    JSON.stringify({
      traceId: base64(fields.traceId),
      spanId: base64(fields.spanId),
      operationName: fields.operationName,
      references: fields.references.map(({ traceId, spanId, refType = 0 }) => ({
        traceId: base64(traceId),
        spanId: base64(spanId),
        ...(refType === 1 && { refType: 'FOLLOWS_FROM' }),
      })),
      startTime: new Date(fields.startMs).toISOString(),
      duration: `${fields.durationUs / 1e6}s`,
      tags: fields.tags.map(tag),
      process: { serviceName: fields.process.serviceName, tags: fields.process.tags.map(tag) },
      warnings: null,
    }),
  )
}

function both(fields: Fields) {
  const fromProto = spansOf(decodeJaegerProto(proto(fields), newContext()))[0]!
  const fromJson = spansOf(decodeJaegerJson(json(fields), newContext()))[0]!
  expect({ ...fromJson, startMs: 0, durationMs: 0 }).toEqual({ ...fromProto, startMs: 0, durationMs: 0 })
  expect(fromJson.startMs).toBeCloseTo(fromProto.startMs, 3)
  expect(fromJson.durationMs).toBeCloseTo(fromProto.durationMs, 6)
  return fromProto
}

it('a span becomes a row', () => {
  const tags = [text('span.kind', 'server'), { key: 'http.status_code', vType: 2, vInt64: 200 }]
  const process = { serviceName: 'cart', tags: [text('hostname', 'node-7'), text('service.version', '1.2')] }
  const fields = { ...plain, tags, process, references: [{ traceId: trace, spanId: id(2) }] }
  expect(both(fields)).toEqual({
    service: 'cart',
    operation: 'GET /cart',
    kind: SpanKind.server,
    status: SpanStatus.unset,
    startMs: 1_795_450_000_000,
    durationMs: 1.5,
    traceId: trace.toString('hex'),
    spanId: '0101010101010101',
    parentId: '0202020202020202',
    peer: '',
  })
  expect(decodeJaegerProto(proto(fields), newContext()).sources).toEqual([{ service: 'cart', instance: 'node-7', version: '1.2' }])
})

describe('the parent', () => {
  it.each<[string, readonly Ref[], string]>([
    ['is none without references', [], ''],
    ['is the span that this is a child of', [{ traceId: trace, spanId: id(3) }], '0303030303030303'],
    ['is none where the reference is to another trace', [{ traceId: other, spanId: id(3) }], ''],
    [
      'is a child-of before a follows-from',
      [
        { traceId: trace, spanId: id(4), refType: 1 },
        { traceId: trace, spanId: id(3) },
      ],
      '0303030303030303',
    ],
    ['is a follows-from where there is nothing else', [{ traceId: trace, spanId: id(4), refType: 1 }], '0404040404040404'],
  ])('%s', (_name, references, parentId) => {
    expect(both({ ...plain, references }).parentId).toBe(parentId)
  })
})

describe('the status', () => {
  it.each<[string, readonly Tag[], number]>([
    ['is unset without tags', [], SpanStatus.unset],
    ['is error with error=true', [{ key: 'error', vType: 1, vBool: true }], SpanStatus.error],
    ['is error with error="true"', [text('error', 'true')], SpanStatus.error],
    ['is unset with error=false', [{ key: 'error', vType: 1 }], SpanStatus.unset],
    ['is what OpenTelemetry says', [text('otel.status_code', 'ERROR')], SpanStatus.error],
    ['is ok where OpenTelemetry says so', [text('otel.status_code', 'OK'), { key: 'error', vType: 1, vBool: true }], SpanStatus.ok],
  ])('%s', (_name, tags, status) => {
    expect(both({ ...plain, tags }).status).toBe(status)
  })
})

describe('the peer of a client span', () => {
  const client = text('span.kind', 'client')
  it.each<[string, readonly Tag[], string]>([
    ['is its peer.service', [client, text('peer.service', 'stock')], 'stock'],
    ['is OpenTracing’s host and port', [client, text('peer.hostname', 'db-1'), { key: 'peer.port', vType: 2, vInt64: 5432 }], 'db-1:5432'],
    ['is OpenTracing’s database before the host', [client, text('db.type', 'redis'), text('peer.hostname', 'r1')], 'redis'],
    ['is nothing for a server', [text('span.kind', 'server'), text('peer.service', 'stock')], ''],
  ])('%s', (_name, tags, peer) => {
    expect(both({ ...plain, tags }).peer).toBe(peer)
  })
})

it('no tag of a process takes the place of its service', () => {
  expect(both({ ...plain, process: { serviceName: 'cart', tags: [text('service.name', 'other')] } }).service).toBe('cart')
})

it('ids in hex are read, too', () => {
  const span = { traceId: trace.toString('hex'), spanId: '0101010101010101', startTime: '2026-11-23T14:29:33.168065435Z' }
  const [row] = spansOf(decodeJaegerJson(Buffer.from(JSON.stringify(span)), newContext()))
  expect(row).toMatchObject({ traceId: span.traceId, spanId: span.spanId, parentId: '', durationMs: 0 })
  expect(row!.startMs).toBeCloseTo(Date.parse('2026-11-23T14:29:33.168Z') + 0.065435, 3)
})

it('reads what protobufjs writes, in JSON the same', () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).filter((ids) => ids.some((byte) => byte !== 0))
  const name = fc.oneof(fc.constantFrom('span.kind', 'error', 'peer.service', '__proto__', 'hostname'), fc.string({ maxLength: 10 }))
  const tag: fc.Arbitrary<Tag> = fc.oneof(
    fc.record({ key: name, vStr: fc.string({ unit: 'grapheme', maxLength: 20 }) }),
    fc.record({ key: name, vType: fc.constant(1), vBool: fc.boolean() }),
    fc.record({ key: name, vType: fc.constant(2), vInt64: fc.integer() }),
    fc.record({ key: name, vType: fc.constant(3), vFloat64: fc.double({ noNaN: true, noDefaultInfinity: true }) }),
  )
  const fields: fc.Arbitrary<Fields> = fc.record({
    traceId: bytes(16),
    spanId: bytes(8),
    operationName: fc.string({ unit: 'grapheme', maxLength: 30 }),
    references: fc.array(fc.record({ traceId: fc.constantFrom(trace, other), spanId: bytes(8), refType: fc.nat({ max: 1 }) }), {
      maxLength: 3,
    }),
    startMs: fc.integer({ min: 1, max: 4e12 }),
    durationUs: fc.integer({ min: 0, max: 1e10 }),
    tags: fc.array(tag, { maxLength: 5 }),
    process: fc.record({ serviceName: fc.string({ minLength: 1, maxLength: 10 }), tags: fc.array(tag, { maxLength: 3 }) }),
  })
  fc.assert(
    fc.property(fields, (one) => {
      const row = both(one)
      expect(row).toMatchObject({
        operation: one.operationName.replaceAll('\0', '\ufffd'),
        startMs: one.startMs,
        durationMs: Math.floor(one.durationUs / 1e6) * 1000 + (one.durationUs % 1e6) / 1000,
        traceId: Buffer.from(one.traceId).toString('hex'),
        spanId: Buffer.from(one.spanId).toString('hex'),
      })
    }),
    { numRuns: 300 },
  )
})

describe('what is no span', () => {
  it.each<[string, Uint8Array, string]>([
    ['no trace id', proto({ ...plain, traceId: new Uint8Array() }), 'bad-trace-id'],
    ['a trace id of 8 bytes', proto({ ...plain, traceId: id(1) }), 'bad-trace-id'],
    ['a span id of zeros', proto({ ...plain, spanId: id(0) }), 'bad-span-id'],
  ])('%s is rejected and counted', (_name, body, reason) => {
    const context = newContext()
    expect(decodeJaegerProto(body, context).rows).toBe(0)
    expect([...context.rejected.entries()]).toEqual([[reason, 1]])
  })

  it.each(['[]', '1', '{"startTime": "yesterday"}', '{"startTime": "2026-11-23T14:29:33Z", "duration": "1m"}', '{"tags": {}}'])(
    '%s is refused',
    (body) => {
      expect(() => decodeJaegerJson(Buffer.from(body), newContext())).toThrow(DecodeError)
    },
  )

  it('bytes that are cut off or changed are refused or read', () => {
    const seed = proto({ ...plain, tags: [text('span.kind', 'client')], references: [{ traceId: trace, spanId: id(2) }] })
    expectDamageToBeRefusedOrRead(seed, (body) => decodeJaegerProto(body, newContext()))
  })
})
