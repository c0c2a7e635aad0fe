import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBatch, decodeFindings, encodeBatch, encodeFindings } from '../src/codec.ts'
import { PermanentError } from '../src/errors.ts'
import type { Alert, Anomaly, Batch, Change, Finding, Flow, LogBatch, MetricBatch, Progress, SpanBatch, Tick } from '../src/model.ts'

const record = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true })

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.constantFrom('', '__proto__', 'a b', 'ünï', '\u{1f514}'),
  fc.string({ maxLength: 300 }),
)
const labels = fc.array(fc.tuple(text, text), { maxLength: 5 })
const ms = fc.oneof(fc.integer({ min: 0, max: 4e12 }), fc.double({ noNaN: false }))
const wholeMs = fc.integer({ min: -1e12, max: 4e12 })
const hex = (bytes: number) =>
  fc.oneof(
    fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((id) => Buffer.from(id).toString('hex')),
    fc.constant(''),
  )

const column = <T>(rows: number, item: fc.Arbitrary<T>) => fc.array(item, { minLength: rows, maxLength: rows })
const index = (rows: number, table: number) => column(rows, fc.nat({ max: Math.max(0, table - 1) })).map((list) => Uint32Array.from(list))
const times = (rows: number) => fc.oneof(column(rows, ms), column(rows, wholeMs)).map((list) => Float64Array.from(list))
const floats = (rows: number) => column(rows, fc.double()).map((list) => Float64Array.from(list))
const bytes = (rows: number) => column(rows, fc.nat({ max: 255 })).map((list) => Uint8Array.from(list))
const source = record({ service: text, instance: text, version: text })

const metricBatch: fc.Arbitrary<MetricBatch> = fc.tuple(fc.nat({ max: 30 }), fc.integer({ min: 1, max: 6 })).chain(([rows, tableRows]) =>
  record({
    kind: fc.constant('metrics' as const),
    rows: fc.constant(rows),
    series: column(
      tableRows,
      record({ key: text, name: text, type: fc.constant('unknown' as const), labels, service: text, instance: text }),
    ),
    seriesIndex: index(rows, tableRows),
    timeMs: times(rows),
    value: floats(rows),
    stale: bytes(rows),
  }),
)

const logBatch: fc.Arbitrary<LogBatch> = fc.tuple(fc.nat({ max: 30 }), fc.integer({ min: 1, max: 4 })).chain(([rows, tableRows]) =>
  record({
    kind: fc.constant('logs' as const),
    rows: fc.constant(rows),
    sources: column(tableRows, source),
    sourceIndex: index(rows, tableRows),
    timeMs: times(rows),
    severity: bytes(rows),
    body: column(rows, text),
    traceId: column(rows, hex(16)),
  }),
)

const spanBatch: fc.Arbitrary<SpanBatch> = fc.tuple(fc.nat({ max: 30 }), fc.integer({ min: 1, max: 4 })).chain(([rows, tableRows]) =>
  record({
    kind: fc.constantFrom('spans' as const, 'links' as const),
    rows: fc.constant(rows),
    sources: column(tableRows, source),
    sourceIndex: index(rows, tableRows),
    operations: column(tableRows, text),
    operationIndex: index(rows, tableRows),
    spanKind: bytes(rows),
    status: bytes(rows),
    startMs: times(rows),
    durationMs: floats(rows),
    traceId: column(rows, fc.oneof(hex(16), fc.constantFrom('ab', 'not hex', 'AB', 'abc'))),
    spanId: column(rows, hex(8)),
    parentId: column(rows, hex(8)),
    peer: column(rows, text),
  }),
)

const anyNumber = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -Infinity, -0, 0))
const severity = fc.constantFrom('critical' as const, 'error' as const, 'warning' as const, 'info' as const)

const change: fc.Arbitrary<Change> = record({
  kind: fc.constant('change' as const),
  id: text,
  type: fc.constantFrom('deploy' as const, 'other' as const),
  service: text,
  version: text,
  title: text,
  atMs: anyNumber,
  url: text,
})

const alert: fc.Arbitrary<Alert> = record({
  kind: fc.constant('alert' as const),
  id: text,
  name: text,
  service: text,
  severity,
  summary: text,
  labels,
  startMs: anyNumber,
  endMs: anyNumber,
  atMs: anyNumber,
  url: text,
})

const points = record({
  timeMs: fc.array(anyNumber),
  observed: fc.array(anyNumber),
  expected: fc.array(anyNumber),
  low: fc.array(anyNumber),
  high: fc.array(anyNumber),
})

const anomaly: fc.Arbitrary<Anomaly> = record({
  kind: fc.constant('anomaly' as const),
  id: text,
  detector: text,
  signal: fc.constantFrom('metrics' as const, 'mixed' as const),
  service: text,
  instance: text,
  subject: text,
  symptom: fc.constantFrom('errors' as const, 'absence' as const),
  direction: fc.constantFrom('up' as const, 'down' as const),
  startMs: anyNumber,
  endMs: fc.oneof(anyNumber, fc.constant(undefined)),
  atMs: anyNumber,
  score: anyNumber,
  observed: anyNumber,
  expected: anyNumber,
  unit: text,
  volume: anyNumber,
  impact: fc.boolean(),
  evidence: fc.array(text),
  points,
})

const flow: fc.Arbitrary<Flow> = record({
  kind: fc.constant('flow' as const),
  partition: fc.nat(),
  startMs: anyNumber,
  endMs: anyNumber,
  services: fc.array(
    record({ service: text, requests: anyNumber, errors: anyNumber, errorsStarted: anyNumber, durationMs: anyNumber, selfMs: anyNumber }),
  ),
  calls: fc.array(
    record({
      caller: text,
      callee: text,
      inferred: fc.boolean(),
      calls: anyNumber,
      errors: anyNumber,
      clientMs: anyNumber,
      serverMs: anyNumber,
    }),
  ),
})

const progress: fc.Arbitrary<Progress> = record({ kind: fc.constant('progress' as const), partition: fc.nat(), nowMs: anyNumber })

const tick: fc.Arbitrary<Tick> = record({ kind: fc.constant('tick' as const), nowMs: anyNumber })
const events = record({ kind: fc.constant('events' as const), events: fc.array(fc.oneof(change, alert), { maxLength: 5 }) })

const batch: fc.Arbitrary<Batch> = fc.oneof(metricBatch, logBatch, spanBatch, events, tick)
const finding: fc.Arbitrary<Finding> = fc.oneof(anomaly, change, alert, flow, progress)

describe('a batch on the telemetry topic', () => {
  it('comes back exactly as it went in', () => {
    fc.assert(
      fc.property(batch, (sent) => {
        expect(decodeBatch(encodeBatch(sent))).toStrictEqual(sent)
      }),
      { numRuns: 500 },
    )
  })

  it('comes back the same from the middle of a larger buffer', () => {
    const bytes = encodeBatch({ kind: 'tick', nowMs: 5 })
    const padded = new Uint8Array(bytes.length + 9)
    padded.set(bytes, 3)
    expect(decodeBatch(padded.subarray(3, 3 + bytes.length))).toEqual({ kind: 'tick', nowMs: 5 })
  })

  it('is damaged: a PermanentError or another batch, never anything else', () => {
    fc.assert(
      fc.property(batch, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 7 })), { minLength: 1, maxLength: 3 }), fc.nat(), (sent, flips, cut) => {
        const bytes = encodeBatch(sent).slice()
        for (const [at, bit] of flips) bytes[at % bytes.length]! ^= 1 << bit
        for (const damaged of [bytes, bytes.subarray(0, cut % bytes.length)]) {
          try {
            decodeBatch(damaged)
          } catch (error) {
            expect(error).toBeInstanceOf(PermanentError)
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it('announces more than it holds: refused without taking the memory', () => {
    const huge = Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f])
    expect(() => decodeBatch(huge)).toThrow(PermanentError)
    expect(() => decodeBatch(huge)).toThrow(/4294967295 things announced/)
  })

  it.each([
    ['a newer version', Buffer.from([9, 0, 0]), /version 9.*reads version 1/],
    ['an unknown kind', Buffer.from([1, 200, 0]), /unknown kind 200/],
    ['nothing', Buffer.alloc(0), /empty/],
    ['bytes left over', Buffer.concat([encodeBatch({ kind: 'tick', nowMs: 5 }), Buffer.of(0)]), /1 bytes too many/],
  ])('%s is refused by name', (_what, bytes, message) => {
    expect(() => decodeBatch(bytes)).toThrow(PermanentError)
    expect(() => decodeBatch(bytes)).toThrow(message)
  })

  it('replaces lone surrogates, which UTF-8 lacks', () => {
    const sent: LogBatch = {
      kind: 'logs',
      rows: 1,
      sources: [{ service: 'a', instance: '', version: '' }],
      sourceIndex: Uint32Array.of(0),
      timeMs: Float64Array.of(1),
      severity: Uint8Array.of(9),
      body: ['half \ud83d pair'],
      traceId: [''],
    }
    expect((decodeBatch(encodeBatch(sent)) as LogBatch).body).toEqual(['half \ufffd pair'])
  })

  it('is compact: a scrape of 1,000 samples costs under 20 bytes a sample beyond its labels', () => {
    const rows = 1_000
    const make = (copies: number): MetricBatch => ({
      kind: 'metrics',
      rows: rows * copies,
      series: Array.from({ length: rows }, (_, i) => ({
        key: `http_requests_total{path="/${i}"}`,
        name: 'http_requests_total',
        type: 'unknown',
        labels: [['path', `/${i}`]],
        service: 'shop',
        instance: 'a',
      })),
      seriesIndex: Uint32Array.from({ length: rows * copies }, (_, i) => i % rows),
      timeMs: new Float64Array(rows * copies).fill(1_700_000_000_000),
      value: new Float64Array(rows * copies).fill(1.5),
      stale: new Uint8Array(rows * copies),
    })
    expect((encodeBatch(make(2)).length - encodeBatch(make(1)).length) / rows).toBeLessThan(20)
  })
})

describe('findings', () => {
  it('come back exactly as they went in, with undefined and the numbers that JSON lacks', () => {
    fc.assert(
      fc.property(fc.array(finding, { maxLength: 4 }), (sent) => {
        expect(decodeFindings(encodeFindings(sent))).toStrictEqual(sent)
      }),
      { numRuns: 300 },
    )
  })

  it('can be read by a person with any Kafka client', () => {
    const bytes = encodeFindings([{ kind: 'progress', partition: 1, nowMs: 5 }])
    expect(Buffer.from(bytes).toString()).toBe('{"version":1,"findings":[{"kind":"progress","partition":1,"nowMs":5}]}')
  })

  it.each([
    ['a newer version', '{"version":2,"findings":[]}', /version 2.*reads version 1/],
    ['no JSON', '{"version":', /not JSON/],
    ['no findings', '{"version":1}', /no findings/],
    ['null', 'null', /no findings/],
  ])('%s: refused by name', (_what, json, message) => {
    expect(() => decodeFindings(Buffer.from(json))).toThrow(PermanentError)
    expect(() => decodeFindings(Buffer.from(json))).toThrow(message)
  })
})
