/** What protobufjs writes, the decoders read; where fields may come in any order, they do. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeLokiProtobuf } from '../../src/ingest/logs/loki.ts'
import { decodeOtlpLogs, decodeOtlpLogsJson } from '../../src/ingest/logs/otlp-logs.ts'
import { decodeOtlpTraces, decodeOtlpTracesJson } from '../../src/ingest/spans/otlp-traces.ts'
import { decodeRemoteWrite } from '../../src/ingest/metrics/remote-write.ts'
import { fixture, linesOf, newContext, recorded, samplesOf, spansOf } from './doors-fixture.ts'
import { decode, encode, field } from './protobuf-oracle.ts'
import { unsnappy } from '../../src/ingest/wire/request-body.ts'

const name = fc.oneof(
  fc.constantFrom('job', 'instance', '__proto__', 'constructor', 'a.b', 'le', 'ünï'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
)
const value = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).map((text) => text.replaceAll('\0', '0'))
const labelSet = fc.uniqueArray(
  fc.tuple(
    name.map((text) => text.replaceAll('\0', '0')),
    value,
  ),
  { selector: ([label]) => label, maxLength: 8 },
)
const sample = fc.record({ value: fc.double(), timestamp: fc.integer({ min: 0, max: 4e12 }) })
const series = fc.record({ metric: value, labels: labelSet, samples: fc.array(sample, { maxLength: 4 }) })

const sorted = (labels: readonly (readonly [string, string])[]) => [...labels].sort((a, b) => (a[0] < b[0] ? -1 : 1))

describe('remote write', () => {
  it('reads what protobufjs writes', () => {
    fc.assert(
      fc.property(fc.array(series, { maxLength: 6 }), (list) => {
        const body = encode('WriteRequest', {
          timeseries: list.map(({ metric, labels, samples }) => ({
            labels: [['__name__', metric] as const, ...labels.filter(([label]) => label !== '__name__')].map(([label, text]) => ({
              name: label,
              value: text,
            })),
            samples,
            exemplars: [{ value: 1, labels: [{ name: 'trace_id', value: 'a' }] }],
          })),
          metadata: [{ type: 1, metricFamilyName: 'x', help: 'y' }],
        })
        const batch = decodeRemoteWrite(body, newContext())
        const expected = list.flatMap(({ metric, labels, samples }) =>
          samples.map((one) => ({ metric, labels: sorted(labels.filter(([label]) => label !== '__name__')), ...one })),
        )
        const found = samplesOf(batch).map(({ timeMs, value: number }, row) => {
          const { name: metric, labels } = batch.series[batch.seriesIndex[row]!]!
          return { metric, labels, value: number, timestamp: timeMs }
        })
        expect(found).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })

  it('gives a series one identity, whatever the order of its labels and wherever they stand', () => {
    const parts = fc.record({ labels: labelSet, samples: fc.array(sample, { minLength: 1, maxLength: 3 }) })
    fc.assert(
      fc.property(parts, fc.infiniteStream(fc.nat()), ({ labels, samples }, random) => {
        const all = [['__name__', 'metric'] as const, ...labels.filter(([label]) => label !== '__name__')]
        const fields = [
          ...all.map(([label, text]) => field(1, encode('Label', { name: label, value: text }))),
          ...samples.map((one) => field(2, encode('Sample', one))),
          field(99, Buffer.from('unknown')),
        ]
        const shuffled = fields
          .map((bytes) => [random.next().value!, bytes] as const)
          .sort((a, b) => a[0] - b[0])
          .map(([, bytes]) => bytes)
        const context = newContext()
        const body = Buffer.concat([field(1, Buffer.concat(fields)), field(1, Buffer.concat(shuffled)), field(1, Buffer.concat(shuffled))])
        const batch = decodeRemoteWrite(body, context)
        expect(batch.series).toHaveLength(1)
        expect(batch.rows).toBe(samples.length * 3)
        expect([...batch.seriesIndex]).toEqual(Array.from({ length: batch.rows }, () => 0))
        expect(context.series.size).toBe(1)
        const times = (from: number) => [...batch.timeMs].slice(from, from + samples.length).sort((a, b) => a - b)
        expect(times(samples.length)).toEqual(times(0))
      }),
      { numRuns: 300 },
    )
  })

  it('reads real bodies as protobufjs does', () => {
    for (const body of [
      'prometheus-2.rw1.proto-snappy.1',
      'prometheus-3.rw1.proto-snappy.2',
      'vmagent.rw1.proto-snappy.1',
      'otel-collector.rw1.proto-snappy.1',
      'telegraf.rw1.proto-snappy.1',
    ]) {
      const bytes = unsnappy(recorded(body).body, 1e7).slice()
      const batch = decodeRemoteWrite(bytes, newContext())
      const oracle = decode('WriteRequest', bytes) as {
        timeseries: { labels: { name: string; value: string }[]; samples: { value: number; timestamp: string }[] }[]
      }
      const expected = oracle.timeseries.flatMap(({ labels, samples }) =>
        samples.map((one) => ({
          labels: sorted(labels.map((pair) => [pair.name, pair.value] as const)),
          time: Number(one.timestamp),
          value: one.value,
        })),
      )
      const found = samplesOf(batch).map(({ timeMs, value: number }, row) => {
        const { name: metric, labels } = batch.series[batch.seriesIndex[row]!]!
        return { labels: sorted([['__name__', metric], ...labels]), time: timeMs, value: number }
      })
      expect(found).toEqual(expected)
      expect(found.length).toBeGreaterThan(5)
    }
  })
})

const hexId = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes }).filter((id) => id.some((byte) => byte !== 0))
const nanos = fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n })
const attribute = fc.oneof(
  fc.record({ key: name, value: fc.record({ stringValue: value }) }),
  fc.record({ key: fc.constantFrom('server.port', 'x'), value: fc.record({ intValue: fc.integer() }) }),
  fc.record({ key: fc.constantFrom('peer.service', 'server.address'), value: fc.record({ stringValue: value }) }),
  fc.record({ key: name, value: fc.record({ boolValue: fc.boolean() }) }),
)
const span = fc.record({
  traceId: hexId(16),
  spanId: hexId(8),
  parentSpanId: fc.oneof(hexId(8), fc.constant(new Uint8Array())),
  name: value,
  kind: fc.integer({ min: 0, max: 5 }),
  start: nanos,
  length: fc.bigInt({ min: 0n, max: 100_000_000_000_000n }),
  attributes: fc.array(attribute, { maxLength: 4 }),
  code: fc.integer({ min: 0, max: 2 }),
})
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('OTLP traces', () => {
  const groups = fc.array(fc.record({ service: value, spans: fc.array(span, { maxLength: 4 }) }), { maxLength: 3 })

  it('reads what protobufjs writes, in JSON the same, and with the resource after the spans', () => {
    fc.assert(
      fc.property(groups, (list) => {
        const spanObject = (
          one: (typeof list)[number]['spans'][number],
          id: (bytes: Uint8Array) => unknown,
          number: (value: bigint) => unknown,
        ) => ({
          traceId: id(one.traceId),
          spanId: id(one.spanId),
          parentSpanId: id(one.parentSpanId),
          name: one.name,
          kind: one.kind,
          startTimeUnixNano: number(one.start),
          endTimeUnixNano: number(one.start + one.length),
          attributes: one.attributes,
          status: { code: one.code },
        })
        const resource = (service: string) => ({ attributes: [{ key: 'service.name', value: { stringValue: service } }] })
        const ordinary = encode('TracesData', {
          resourceSpans: list.map(({ service, spans }) => ({
            resource: resource(service),
            scopeSpans: [{ scope: { name: 'lib' }, spans: spans.map((one) => spanObject(one, (id) => id, String)) }],
          })),
        })
        const reversed = Buffer.concat(
          list.map(({ service, spans }) => {
            const scope = encode('ScopeSpans', { spans: spans.map((one) => spanObject(one, (id) => id, String)) })
            return field(
              1,
              Buffer.concat([field(3, Buffer.from('schema')), field(2, scope), field(1, encode('Resource', resource(service)))]),
            )
          }),
        )
        const json = JSON.stringify({
          resourceSpans: list.map(({ service, spans }) => ({
            resource: resource(service),
            scopeSpans: [{ spans: spans.map((one) => spanObject(one, (id) => hex(id).toUpperCase(), String)) }],
          })),
        })
        const batch = decodeOtlpTraces(ordinary, newContext())
        const found = spansOf(batch)
        const expected = list.flatMap(({ service, spans }) =>
          spans.map((one) => ({
            service: service.trim() === '' ? 'unknown' : service.trim(),
            operation: one.name,
            kind: one.kind,
            status: one.code,
            startMs: Number(one.start) / 1e6,
            durationMs: Number(one.length) / 1e6,
            traceId: hex(one.traceId),
            spanId: hex(one.spanId),
            parentId: hex(one.parentSpanId),
          })),
        )
        const unknownIsSpecial = list.some(({ service }) => service.startsWith('unknown_service'))
        if (!unknownIsSpecial) expect(found.map(({ peer: _peer, ...rest }) => rest)).toEqual(expected)
        expect(decodeOtlpTraces(reversed, newContext())).toEqual(batch)
        const fromJson = spansOf(decodeOtlpTracesJson(Buffer.from(json), newContext()))
        expect(fromJson.map(({ startMs: _a, durationMs: _b, ...rest }) => rest)).toEqual(
          found.map(({ startMs: _a, durationMs: _b, ...rest }) => rest),
        )
        fromJson.forEach((one, row) => {
          expect(Math.abs(one.startMs - found[row]!.startMs)).toBeLessThan(0.001)
          expect(Math.abs(one.durationMs - found[row]!.durationMs)).toBeLessThan(0.001)
        })
      }),
      { numRuns: 200 },
    )
  })

  it('reads what the Collector writes to Kafka, fields backwards, as protobufjs does', () => {
    const bytes = fixture('kafka/otlp_spans.proto.record')
    const oracle = decode('TracesData', bytes) as unknown as {
      resourceSpans: { scopeSpans: { spans: { name: string; traceId: string; kind: number }[] }[] }[]
    }
    const expected = oracle.resourceSpans.flatMap((group) => group.scopeSpans.flatMap((scope) => scope.spans))
    const found = spansOf(decodeOtlpTraces(bytes, newContext()))
    expect(found.map(({ operation, traceId, kind }) => [operation, traceId, kind])).toEqual(
      expected.map((one) => [one.name, Buffer.from(one.traceId, 'base64').toString('hex'), one.kind]),
    )
    expect(found.length).toBeGreaterThan(10)
    expect(new Set(found.map(({ service }) => service))).toEqual(new Set(['telemetrygen']))
    expect(spansOf(decodeOtlpTracesJson(fixture('kafka/otlp_spans.json.record'), newContext())).length).toBeGreaterThan(10)
  })
})

describe('OTLP logs', () => {
  const plain = fc.string({ unit: 'grapheme', maxLength: 30 }).map((text) => `line ${text.replaceAll(/[\0={}]/g, '')}`.trimEnd())
  const record = fc.record({
    time: nanos.filter((time) => time > 0n),
    severity: fc.integer({ min: 1, max: 24 }),
    body: plain,
    traceId: hexId(16),
  })

  it('reads what protobufjs writes, and in JSON the same', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 6 }), (records) => {
        const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] }
        const object = (id: (bytes: Uint8Array) => unknown) => ({
          resourceLogs: [
            {
              resource,
              scopeLogs: [
                {
                  logRecords: records.map((one) => ({
                    timeUnixNano: String(one.time),
                    severityNumber: one.severity,
                    body: { stringValue: one.body },
                    traceId: id(one.traceId),
                  })),
                },
              ],
            },
          ],
        })
        const expected = records.map((one) => ({ service: 'shop', severity: one.severity, body: one.body, traceId: hex(one.traceId) }))
        const bare = (rows: ReturnType<typeof linesOf>) => rows.map(({ timeMs: _timeMs, ...rest }) => rest)
        const found = linesOf(
          decodeOtlpLogs(
            encode(
              'LogsData',
              object((id) => id),
            ),
            newContext(),
          ),
        )
        expect(bare(found)).toEqual(expected)
        expect(bare(linesOf(decodeOtlpLogsJson(Buffer.from(JSON.stringify(object(hex))), newContext())))).toEqual(expected)
        found.forEach((one, row) => expect(one.timeMs).toBe(Number(records[row]!.time) / 1e6))
      }),
      { numRuns: 200 },
    )
  })

  it('makes a structured body the line that it would have been', () => {
    const body = {
      kvlistValue: {
        values: [
          { key: 'msg', value: { stringValue: 'paid' } },
          { key: 'level', value: { stringValue: 'error' } },
          { key: '__proto__', value: { intValue: 1 } },
        ],
      },
    }
    const logs = { resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: '1', body }] }] }] }
    for (const batch of [
      decodeOtlpLogs(encode('LogsData', logs), newContext()),
      decodeOtlpLogsJson(Buffer.from(JSON.stringify(logs)), newContext()),
    ]) {
      expect(linesOf(batch)).toMatchObject([{ body: 'paid', severity: 17 }])
    }
  })
})

describe('Loki protobuf', () => {
  it('reads what protobufjs writes, labels before or after the entries', () => {
    const entry = fc.record({
      seconds: fc.integer({ min: 0, max: 4e9 }),
      nanos: fc.nat({ max: 999_999_999 }),
      line: value.map((text) => `line ${text.replaceAll(/[={}]/g, '')}`.trimEnd()),
    })
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 5 }), fc.boolean(), (entries, labelsLast) => {
        const labels = field(1, Buffer.from('{app="shop", level="warn"}'))
        const rows = entries.map(({ seconds, nanos: rest, line }) =>
          field(2, encode('Entry', { timestamp: { seconds, nanos: rest }, line })),
        )
        const body = field(1, Buffer.concat(labelsLast ? [...rows, labels] : [labels, ...rows]))
        const found = linesOf(decodeLokiProtobuf(body, newContext()))
        expect(found).toEqual(
          entries.map(({ seconds, nanos: rest, line }) => ({
            service: 'shop',
            timeMs: seconds * 1000 + rest / 1e6,
            severity: 13,
            body: line,
            traceId: '',
          })),
        )
      }),
      { numRuns: 200 },
    )
  })
})
