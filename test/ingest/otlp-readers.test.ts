/** What OTLP leaves open, and what the readers make of it: order of fields, missing fields, every kind of value, many rows. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeOtlpLogs, decodeOtlpLogsJson } from '../../src/ingest/logs/otlp-logs.ts'
import { decodeOtlpTraces, decodeOtlpTracesJson } from '../../src/ingest/spans/otlp-traces.ts'
import { SpanStatus } from '../../src/model.ts'
import { JSON_TYPE, NOW_MS, linesOf, newContext, openDoors, post, postJson, spansOf } from './doors-fixture.ts'
import { decode, encode, field, varint } from './protobuf-oracle.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const idOf = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes }).filter((id) => id.some((byte) => byte !== 0))
const NS = `${NOW_MS}000000`

function fixed64(number: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(9)
  bytes[0] = number * 8 + 1
  bytes.writeBigUInt64LE(value, 1)
  return bytes
}

describe('spans', () => {
  const attribute = fc.record({
    key: fc.constantFrom('peer.service', 'server.address', 'server.port', 'db.system', 'http.host', 'http.route', 'x'.repeat(12), ''),
    value: fc.constantFrom('stock', 'db-1', '5432', '', 'z'.repeat(300), 'ünï'),
    valueFirst: fc.boolean(),
  })
  const span = fc.record({
    traceId: fc.oneof(idOf(16), fc.constant(new Uint8Array(16).fill(7))),
    spanId: idOf(8),
    parentSpanId: fc.oneof(idOf(8), fc.constant(new Uint8Array())),
    name: fc.constantFrom('GET /a', 'GET /b', '', 'n'.repeat(400), 'größe'),
    kind: fc.nat({ max: 6 }),
    attributes: fc.array(attribute, { maxLength: 5 }),
    code: fc.nat({ max: 3 }),
  })

  it('may have their fields in any order, names after values, and the resource last', () => {
    fc.assert(
      fc.property(fc.array(span, { maxLength: 12 }), fc.infiniteStream(fc.nat()), (spans, random) => {
        const shuffled = (fields: Uint8Array[]) =>
          Buffer.concat(
            fields
              .map((bytes) => [random.next().value!, bytes] as const)
              .sort((a, b) => a[0] - b[0])
              .map(([, bytes]) => bytes),
          )
        const bodies = spans.map((one) => {
          // Of equal names the last wins: attributes keep their order among themselves.
          const attributes = one.attributes.map(({ key, value, valueFirst }) => {
            const parts = [field(1, Buffer.from(key)), field(2, encode('AnyValue', { stringValue: value }))]
            return field(9, Buffer.concat(valueFirst ? parts.reverse() : parts))
          })
          const fields = [
            field(1, one.traceId),
            field(2, one.spanId),
            field(4, one.parentSpanId),
            field(5, Buffer.from(one.name)),
            Buffer.from([6 * 8, one.kind]),
            fixed64(7, BigInt(NS)),
            fixed64(8, BigInt(NS) + 1_500_000n),
            Buffer.concat(attributes),
            field(15, encode('Status', { message: 'm', code: one.code })),
            Buffer.concat([Buffer.from(varint(16 * 8 + 5)), Buffer.alloc(4, 1)]),
            field(11, encode('Event', { name: 'exception' })),
          ]
          return field(2, shuffled(fields))
        })
        const resource = field(1, encode('Resource', { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] }))
        const found = spansOf(decodeOtlpTraces(field(1, Buffer.concat([field(2, Buffer.concat(bodies)), resource])), newContext()))
        const json = {
          resourceSpans: [
            {
              resource: { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] },
              scopeSpans: [
                {
                  spans: spans.map((one) => ({
                    ...one,
                    traceId: hex(one.traceId),
                    spanId: hex(one.spanId),
                    parentSpanId: hex(one.parentSpanId),
                    startTimeUnixNano: NS,
                    endTimeUnixNano: String(BigInt(NS) + 1_500_000n),
                    attributes: one.attributes.map(({ key, value }) => ({ key, value: { stringValue: value } })),
                    status: { code: one.code },
                  })),
                },
              ],
            },
          ],
        }
        expect(found).toEqual(spansOf(decodeOtlpTracesJson(Buffer.from(JSON.stringify(json)), newContext())))
        expect(found.map(({ traceId, spanId, parentId }) => [traceId, spanId, parentId])).toEqual(
          spans.map((one) => [hex(one.traceId), hex(one.spanId), hex(one.parentSpanId)]),
        )
        expect(found.map(({ status, kind }) => [status, kind])).toEqual(spans.map(({ code, kind }) => [code % 3, kind % 6]))
      }),
      { numRuns: 200 },
    )
  })

  it('are as many as there are, each with its own ids', () => {
    const spans = Array.from({ length: 3_000 }, (_, i) => ({
      traceId: Buffer.from((Math.floor(i / 7) + 1).toString(16).padStart(32, 'a'), 'hex'),
      spanId: Buffer.from((i + 1).toString(16).padStart(16, '0'), 'hex'),
      parentSpanId: i % 7 === 0 ? Buffer.alloc(0) : Buffer.from(i.toString(16).padStart(16, '0'), 'hex'),
      name: `operation ${i % 900}`,
      kind: 3,
      startTimeUnixNano: NS,
      endTimeUnixNano: NS,
      attributes: [{ key: 'peer.service', value: { stringValue: `callee-${i % 700}` } }],
    }))
    const found = spansOf(decodeOtlpTraces(encode('TracesData', { resourceSpans: [{ scopeSpans: [{ spans }] }] }), newContext()))
    expect(found.map(({ traceId, spanId, parentId, operation, peer }) => [traceId, spanId, parentId, operation, peer])).toEqual(
      spans.map((one, i) => [hex(one.traceId), hex(one.spanId), hex(one.parentSpanId), one.name, `callee-${i % 700}`]),
    )
  })

  it('leave no trace in the batch when they are rejected', () => {
    const span_ = { traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(8, 2), name: 'good', startTimeUnixNano: NS, endTimeUnixNano: NS }
    const spans = [{ ...span_, spanId: Buffer.alloc(8), name: 'bad' }, { ...span_, parentSpanId: Buffer.alloc(5, 1), name: 'worse' }, span_]
    const context = newContext()
    const batch = decodeOtlpTraces(encode('TracesData', { resourceSpans: [{ scopeSpans: [{ spans }] }] }), context)
    expect([batch.rows, batch.operations, batch.spanId]).toEqual([1, ['good'], ['0202020202020202']])
    expect(context.rejected.text()).toBe('1 bad-span-id, 1 bad-parent-id')
  })

  it('an exception that was recorded is no failure: the status says whether the span failed', () => {
    const events = [{ name: 'exception', attributes: [{ key: 'exception.type', value: { stringValue: 'Timeout' } }] }]
    const spans = [{ traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(8, 2), startTimeUnixNano: NS, endTimeUnixNano: NS, events }]
    const batch = decodeOtlpTraces(encode('TracesData', { resourceSpans: [{ scopeSpans: [{ spans }] }] }), newContext())
    expect([...batch.status]).toEqual([SpanStatus.unset])
  })
})

describe('log records', () => {
  const logsOf = (...logRecords: object[]) => ({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] })

  /** Of the same records in protobuf and in JSON, which must be the same. */
  function both(...records: { [field: string]: unknown; traceId?: Uint8Array }[]) {
    const fromProto = linesOf(decodeOtlpLogs(encode('LogsData', logsOf(...records)), newContext()))
    const json = logsOf(
      ...records.map((one) => ({ ...one, ...(one.traceId !== undefined && { traceId: hex(one.traceId).toUpperCase() }) })),
    )
    expect(linesOf(decodeOtlpLogsJson(Buffer.from(JSON.stringify(json)), newContext()))).toEqual(fromProto)
    return fromProto
  }

  it.each<[string, object, number]>([
    ['the number', { severityNumber: 18, severityText: 'INFO' }, 18],
    ['the text where there is no number', { severityText: 'Warning' }, 13],
    ['the text of a language’s own levels', { severityText: 'SEVERE' }, 17],
    ['the line where there is neither', { body: { stringValue: 'ERROR: disk full' } }, 17],
    ['the line where the text says nothing', { severityText: 'blue', body: { stringValue: '{"level":"debug","msg":"x"}' } }, 5],
    ['nothing at all', { body: { stringValue: 'done' } }, 0],
    ['no number that OpenTelemetry does not have', { severityNumber: 99, severityText: 'fatal' }, 21],
  ])('the severity is %s', (_name, record, severity) => {
    expect(both({ timeUnixNano: NS, ...record })[0]!.severity).toBe(severity)
  })

  it('the time is that of the record, else when it was observed, else when it arrived', () => {
    const later = String(BigInt(NS) + 5_000_000n)
    const rows = both({ timeUnixNano: NS, observedTimeUnixNano: later }, { observedTimeUnixNano: later }, {})
    expect(rows.map(({ timeMs }) => timeMs - NOW_MS)).toEqual([0, 5, 0])
  })

  it('the trace id is the record’s, else the line’s; a bad one is none', () => {
    const line = { stringValue: '{"msg":"x","trace_id":"0af7651916cd43dd8448eb211c80319c"}' }
    const own = Buffer.from('ff'.repeat(16), 'hex')
    const rows = both(
      { timeUnixNano: NS, body: line, traceId: own },
      { timeUnixNano: NS, body: line },
      { timeUnixNano: NS, traceId: Buffer.alloc(16) },
      { timeUnixNano: NS, traceId: Buffer.alloc(8, 1) },
      { timeUnixNano: NS, traceId: own },
    )
    expect(rows.map(({ traceId }) => traceId)).toEqual(['ff'.repeat(16), '0af7651916cd43dd8448eb211c80319c', '', '', 'ff'.repeat(16)])
  })

  it('an event without a body is its name', () => {
    const rows = both(
      { timeUnixNano: NS, eventName: 'device.app.lifecycle' },
      { timeUnixNano: NS, eventName: 'session.start', body: { stringValue: '' } },
      { timeUnixNano: NS, eventName: 'session.end', body: { stringValue: 'gone' } },
    )
    expect(rows.map(({ body }) => body)).toEqual(['device.app.lifecycle', 'session.start', 'gone'])
  })

  it.each<[string, object, string]>([
    ['text', { stringValue: 'order 17 stored' }, 'order 17 stored'],
    ['a number', { intValue: 17 }, '17'],
    ['a fraction', { doubleValue: 1.5 }, '1.5'],
    ['a flag', { boolValue: false }, 'false'],
    ['an array', { arrayValue: { values: [{ stringValue: 'a' }, { intValue: 2 }] } }, '["a",2]'],
    ['pairs without a message', { kvlistValue: { values: [{ key: 'a', value: { boolValue: true } }] } }, '{"a":true}'],
    ['nothing', {}, ''],
  ])('a body may be %s', (_name, body, text) => {
    expect(both({ timeUnixNano: NS, body })[0]!.body).toBe(text)
  })

  it('a body of bytes is text where it is UTF-8, else base64', () => {
    for (const [bytes, text] of [
      [Buffer.from('größe {"a":1}'), 'größe {"a":1}'],
      [Buffer.from([0xff, 0xfe, 0x00]), '//4A'],
    ] as const) {
      const proto = encode('LogsData', logsOf({ timeUnixNano: NS, body: { bytesValue: bytes } }))
      const json = JSON.stringify(logsOf({ timeUnixNano: NS, body: { bytesValue: bytes.toString('base64') } }))
      expect(linesOf(decodeOtlpLogs(proto, newContext()))[0]!.body).toBe(text)
      expect(linesOf(decodeOtlpLogsJson(Buffer.from(json), newContext()))[0]!.body).toBe(text)
    }
  })

  it('a line that is too long is cut and counted, not rejected', () => {
    const context = newContext({ limits: { maxLineBytes: 1_000 } })
    const body = { stringValue: 'ü'.repeat(2_000) }
    const batch = decodeOtlpLogs(encode('LogsData', logsOf({ timeUnixNano: NS, body })), context)
    expect([batch.body[0], context.skipped.text(), context.rejected.total]).toEqual(['ü'.repeat(500), '1 line-cut', 0])
  })

  it('any value that protobufjs writes comes out as it reads it, and as JSON has it', () => {
    const { value } = fc.letrec<{ value: object }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.record({ stringValue: fc.string({ unit: 'grapheme', maxLength: 12 }) }),
        fc.record({ boolValue: fc.boolean() }),
        fc.record({ intValue: fc.integer() }),
        fc.record({ doubleValue: fc.double({ noNaN: true, noDefaultInfinity: true }) }),
        fc.record({ arrayValue: fc.record({ values: fc.array(tie('value'), { maxLength: 3 }) }) }),
        fc.record({
          kvlistValue: fc.record({
            values: fc.uniqueArray(fc.record({ key: fc.string({ maxLength: 6 }).map((key) => `k${key}`), value: tie('value') }), {
              selector: ({ key }) => key,
              maxLength: 3,
            }),
          }),
        }),
      ),
    }))
    fc.assert(
      fc.property(value, (item) => {
        // Within a list, so that the whole of it is the line.
        const body = { arrayValue: { values: [item] } }
        const bytes = encode('LogsData', logsOf({ timeUnixNano: NS, body }))
        const read = decode('LogsData', bytes) as { resourceLogs: { scopeLogs: { logRecords: { body: AnyValue }[] }[] }[] }
        const expected = JSON.stringify(plainOf(read.resourceLogs[0]!.scopeLogs[0]!.logRecords[0]!.body))
        expect(both({ timeUnixNano: NS, body })[0]!.body).toBe(expected.replaceAll('\0', '\ufffd').trimEnd())
      }),
      { numRuns: 300 },
    )
  })
})

interface AnyValue {
  readonly stringValue?: string
  readonly boolValue?: boolean
  readonly intValue?: string
  readonly doubleValue?: number
  readonly arrayValue?: { readonly values: readonly AnyValue[] }
  readonly kvlistValue?: { readonly values: readonly { readonly key: string; readonly value: AnyValue }[] }
}

function plainOf(value: AnyValue): unknown {
  if (value.arrayValue !== undefined) return value.arrayValue.values.map(plainOf)
  if (value.kvlistValue !== undefined) return Object.fromEntries(value.kvlistValue.values.map((pair) => [pair.key, plainOf(pair.value)]))
  if (value.intValue !== undefined) return Number(value.intValue)
  return value.stringValue ?? value.boolValue ?? value.doubleValue ?? ''
}

describe('answers', () => {
  it.each(['/v1/traces', '/v1/logs'])('%s: nothing in it is a success, in the type of the request', async (path) => {
    const { door } = openDoors()
    const json = await door.accept(postJson(path, {}))
    expect([json.status, json.headers['content-type'], String(json.body)]).toEqual([200, 'application/json', '{}'])
    const proto = await door.accept(post(path, { 'content-type': 'application/x-protobuf' }, ''))
    expect([proto.status, proto.headers['content-type'], Buffer.from(proto.body).length]).toEqual([200, 'application/x-protobuf', 0])
  })

  it('enums have no names in OTLP: they are refused, not guessed at', async () => {
    const { door } = openDoors()
    const span = { traceId: '1'.repeat(32), spanId: '2'.repeat(16), kind: 'SPAN_KIND_SERVER', startTimeUnixNano: NS }
    const response = await door.accept(
      post('/v1/traces', JSON_TYPE, JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] })),
    )
    expect([response.status, JSON.parse(String(response.body))]).toEqual([400, { code: 3, message: '"kind" must be an integer' }])
  })

  it('unknown fields and 64-bit numbers as numbers are fine', async () => {
    const { door, transport } = openDoors({}, 1)
    const span = {
      traceId: 'A'.repeat(32),
      spanId: 'b'.repeat(16),
      kind: '3',
      startTimeUnixNano: NOW_MS * 1e6,
      endTimeUnixNano: NS,
      newField: { deep: [1] },
    }
    const body = { resourceSpans: [{ scopeSpans: [{ spans: [span], newer: 1 }], entityRefs: [] }] }
    expect((await door.accept(postJson('/v1/traces', body))).status).toBe(200)
    expect(spansOf(transport.of('spans')[0]!)[0]).toMatchObject({ traceId: 'a'.repeat(32), kind: 3 })
  })

  it('there is no door for profiles', async () => {
    const { door } = openDoors()
    expect((await door.accept(postJson('/v1development/profiles', {}))).status).toBe(404)
  })
})
