import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readFileSync } from 'node:fs'
import { encodeFirst } from '../bench/codec-v1.ts'
import { ByteReader, ByteWriter, MAX_ROWS } from '../src/codec-bytes.ts'
import { readIndexes, readTimes, readValues, writeCodes, writeTimes, writeValues } from '../src/codec-columns.ts'
import { ReadMemory, RecentTables } from '../src/codec-memory.ts'
import { readSeries, SeriesWriter } from '../src/codec-series.ts'
import { decodeBatch, decodeFindings, encodeBatch, encodeFindings, fitsRecord } from '../src/codec.ts'
import { PermanentError } from '../src/errors.ts'
import type {
  Alert,
  Anomaly,
  Batch,
  Change,
  Finding,
  Flow,
  LogBatch,
  MetricBatch,
  Progress,
  Series,
  SpanBatch,
  Tick,
} from '../src/model.ts'
import { seriesKey } from '../src/series-key.ts'
import { recorded, RECORDED_VERSIONS } from './codec-records.ts'

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
      record({
        key: text,
        name: text,
        type: fc.constantFrom('unknown', 'counter', 'gauge', 'delta', 'sketch'),
        labels,
        service: text,
        instance: text,
      }),
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
        // What was remembered of the damaged ones is mixed into nothing.
        expect(decodeBatch(encodeBatch(sent))).toStrictEqual(sent)
      }),
      { numRuns: 1000 },
    )
  })

  const varint = (value: number) => {
    const writer = new ByteWriter()
    writer.varint(value)
    return [...writer.finish()]
  }
  /** A metrics record of version 2 around a table of series. */
  const withTable = (...table: number[]) => Buffer.from([2, 0, table.length, 0, 0, 0, ...table])
  const [ALL_ZERO, RUNS] = [0, 101]
  /** No label columns, one shape, and three fixed columns of one value each. */
  const oneShape = (labels: number) => [1, labels, ...Array.from({ length: labels }, () => 0), ALL_ZERO, ALL_ZERO, ALL_ZERO]

  it.each([
    ['version 1: strings', [1, 0, ...varint(2 ** 32)], /4294967296 things announced/],
    ['version 1: series', [1, 0, 0, ...varint(2 ** 32)], /4294967296 things announced/],
    ['rows of logs', [2, 1, 0, ...varint(MAX_ROWS + 1)], /262145 rows announced, 262144 are the most/],
    ['rows of spans', [2, 2, 0, 0, ...varint(2 ** 50)], /rows announced/],
    ['sources', [2, 1, ...varint(2 ** 40)], /1099511627776 things announced/],
    ['operations', [2, 2, 0, ...varint(2 ** 40)], /things announced/],
    ['a table of series longer than the record', [2, 0, 255, 255, 255, 255], /4294967295 bytes announced, 0 left/],
    ['series', [...withTable(...varint(MAX_ROWS + 1))], /262145 rows announced/],
    ['label columns', [...withTable(1, ...varint(2 ** 30))], /things announced/],
    [
      'labels, each of no bytes',
      [...withTable(...varint(MAX_ROWS), 1, 1, 97, ...oneShape(17))],
      /4456448 labels announced, 4194304 are the most/,
    ],
    ['a run longer than its column', [...withTable(2, 0, 1, 0, RUNS, 0, ...varint(2 ** 40))], /a run of 1099511627776 in 2 rows/],
    ['an empty run, again and again', [...withTable(2, 0, 1, 0, RUNS, 0, 0, 0, 0)], /a run of 0 in 2 rows/],
    ['a column that is not there', [...withTable(1, 0, 1, 1, 7)], /a series has column 10 of 3/],
    ['a shape that is not there', [...withTable(1, 0, 0, ALL_ZERO)], /an index points to 0 of 0/],
    ['a text that shares with none', [...withTable(1, 0, 1, 0, ALL_ZERO, ALL_ZERO, ALL_ZERO, 1, 1, 5)], /shares 5 bytes with one of 0/],
    ['an unknown way of writing codes', [...withTable(1, 0, 1, 0, 99)], /unknown way of writing codes: 99/],
    ['ids longer than the record', [2, 1, 0, 1, ALL_ZERO, 4, 0, 0, 0, 0, 0, 0, 0, 0, ALL_ZERO, 0, 2, ...varint(2 ** 50)], /damaged/],
  ])('announces more than it holds or may: %s; refused without taking the memory', (_what, bytes, message) => {
    expect(() => decodeBatch(Buffer.from(bytes))).toThrow(PermanentError)
    expect(() => decodeBatch(Buffer.from(bytes))).toThrow(message)
  })

  it.each([
    ['a newer version', Buffer.from([3, 0, 0]), /version 3, this program reads version 2: upgrade it/],
    ['version 0', Buffer.from([0, 0, 0]), /version 0.*reads version 2/],
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

  it('that is too long for one record is not written: readers would refuse it', () => {
    const sent = (rows: number): MetricBatch => ({
      kind: 'metrics',
      rows,
      series: [seriesOf('up', [])],
      seriesIndex: new Uint32Array(rows),
      timeMs: new Float64Array(rows),
      value: new Float64Array(rows),
      stale: new Uint8Array(rows),
    })
    expect(fitsRecord(sent(MAX_ROWS))).toBe(true)
    expect((decodeBatch(encodeBatch(sent(MAX_ROWS))) as MetricBatch).rows).toBe(MAX_ROWS)
    expect(fitsRecord(sent(MAX_ROWS + 1))).toBe(false)
    expect(() => encodeBatch(sent(MAX_ROWS + 1))).toThrow(/too long for one record, which has 262144 rows at most/)
  })

  it('has long labels in common, which take their bytes once: neither written nor read beyond what the keys may take', () => {
    const long = 'x'.repeat(7_000)
    const series = Array.from({ length: 9_700 }, (_, i) =>
      seriesOf('up', [
        ['a', long],
        ['b', String(i)],
      ]),
    )
    expect(fitsRecord(scrapeOf(series))).toBe(false)
    expect(fitsRecord(scrapeOf(series.slice(0, 9_000)))).toBe(true)
    const out = new ByteWriter()
    new SeriesWriter().write(out, series)
    const bytes = out.finish()
    expect(bytes.length).toBeLessThan(70_000)
    expect(() => readSeries(new ByteReader(bytes, 0), new ReadMemory())).toThrow(/keys of its series are longer than 67108864/)
  })

  it('is compact: a scrape of 1,000 series of ten labels takes 12 bytes a sample', () => {
    const scrape = scrapeOf(Array.from({ length: 1_000 }, (_, i) => podSeries(i)))
    expect(encodeBatch(scrape).length / scrape.rows).toBeLessThan(12)
    expect(encodeFirst(scrape).length / scrape.rows).toBeGreaterThan(35)
  })
})

function seriesOf(name: string, labels: Series['labels'], type: Series['type'] = 'counter'): Series {
  return { key: seriesKey(name, labels), name, type, labels, service: 'shop', instance: 'a' }
}

/** As a program with many routes exposes them: ten labels, of which two tell one series from the next. */
function podSeries(i: number): Series {
  return seriesOf('http_server_request_duration_seconds_bucket', [
    ['cluster', 'eu-central-1a'],
    ['container', 'shop'],
    ['instance', `10.12.${Math.floor(i / 100)}.17:9464`],
    ['job', 'shop/shop'],
    ['le', String(2 ** (i % 10))],
    ['method', 'GET'],
    ['namespace', 'shop'],
    ['pod', `shop-6f7c9d8b5-${Math.floor(i / 100)}`],
    ['route', `/api/v1/products/${Math.floor(i / 10)}/reviews`],
    ['status', '200'],
  ])
}

function scrapeOf(series: readonly Series[], atMs = 1_767_603_600_000): MetricBatch {
  const rows = series.length
  return {
    kind: 'metrics',
    rows,
    series,
    seriesIndex: Uint32Array.from(series, (_, i) => i),
    timeMs: new Float64Array(rows).fill(atMs),
    value: Float64Array.from(series, (_, i) => i * 37 + 1e5),
    stale: new Uint8Array(rows),
  }
}

describe('records of earlier versions and of this one, as they were once written', () => {
  const cases = RECORDED_VERSIONS.flatMap((version) => recorded(version).map((batch) => [version, batch.kind, batch] as const))

  it.each(cases)('version %i, %s: read as what they were', (version, kind, batch) => {
    const bytes = readFileSync(new URL(`fixtures/codec/v${version}.${kind}.record`, import.meta.url))
    expect(bytes[0]).toBe(version)
    expect(decodeBatch(bytes)).toStrictEqual(batch)
  })

  it('whatever version 1 wrote is read, without the types that it did not know', () => {
    fc.assert(
      fc.property(fc.oneof(metricBatch, logBatch, spanBatch), (sent) => {
        const expected = sent.kind === 'metrics' ? { ...sent, series: sent.series.map((one) => ({ ...one, type: 'unknown' })) } : sent
        expect(decodeBatch(encodeFirst(sent))).toStrictEqual(expected)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a column', () => {
  const written = (write: (writer: ByteWriter) => void): ByteReader => {
    const writer = new ByteWriter()
    write(writer)
    return new ByteReader(writer.finish(), 0)
  }

  it.each([
    ['0, 1, 2, … costs a byte', Array.from({ length: 500 }, (_, i) => i), 1],
    ['all alike costs a byte and a run', Array.from({ length: 500 }, () => 300), 5],
    ['all 0 costs a byte', Array.from({ length: 500 }, () => 0), 1],
    ['two in turn cost a bit each', Array.from({ length: 800 }, (_, i) => i % 2), 101],
    ['five in turn cost three bits each', Array.from({ length: 800 }, (_, i) => i % 5), 301],
    ['blocks cost three bytes each', Array.from({ length: 800 }, (_, i) => Math.floor(i / 200)), 13],
  ])('of codes: %s', (_what, codes, byteCount) => {
    const reader = written((writer) => writeCodes(writer, codes, codes.length))
    expect(reader.left).toBe(byteCount)
    expect([...readIndexes(reader, codes.length, 1_000)]).toEqual(codes)
    expect(reader.left).toBe(0)
  })

  it('of codes comes back whatever its width', () => {
    const codes = fc.integer({ min: 0, max: 24 }).chain((bits) => fc.array(fc.nat({ max: 2 ** bits - 1 }), { maxLength: 60 }))
    fc.assert(
      fc.property(codes, (sent) => {
        const reader = written((writer) => writeCodes(writer, sent, sent.length))
        expect([...readIndexes(reader, sent.length, 2 ** 24)]).toEqual(sent)
        reader.expectEnd()
      }),
    )
  })

  const AT_MS = 1_767_603_600_000
  it.each([
    ['one moment', () => AT_MS, 14],
    ['whole milliseconds', (i: number) => AT_MS + i * 3, 1_009],
    ['microseconds', (i: number) => AT_MS + (i * 37) / 1000, 1_009],
    ['nanoseconds, as far as a double keeps them', (i: number) => AT_MS + (i * 1_234) / 1e6, 1_009],
    ['years apart', (i: number) => (i % 2) * AT_MS, 7_000],
  ])('of times: %s', (_what, timeOf, mostBytes) => {
    const times = Float64Array.from({ length: 1_000 }, (_, i) => timeOf(i))
    const reader = written((writer) => writeTimes(writer, times, true))
    expect(reader.left).toBeLessThanOrEqual(mostBytes)
    expect(readTimes(reader, times.length, true)).toStrictEqual(times)
    reader.expectEnd()
  })

  it.each([
    ['durations in nanoseconds', [12.345678, 0.000001, 4, 4, 0], false, 15],
    ['minus zero keeps its sign', [-0, 0, 1], true, 25],
    ['what is no time', [NaN, Infinity, 1], true, 25],
    ['too far apart for a delta', [-9e15, 9e15], true, 17],
  ])('of times: %s', (_what, list, deltas, byteCount) => {
    const times = Float64Array.from(list)
    const reader = written((writer) => writeTimes(writer, times, deltas))
    expect(reader.left).toBe(byteCount)
    expect(readTimes(reader, times.length, deltas)).toStrictEqual(times)
  })

  it.each([
    ['the same again costs two bits', [7, 7, 7, 7], 1 + 1 + 1],
    ['whole numbers', [1, -1, 63, 1e6, 2 ** 47], 1 + 1 + 1 + 1 + 1 + 3 + 7],
    ['thousandths', [0.1, 12.5, -0.001], 1 + 1 + 2 + 3 + 1],
    ['the rest as they are', [1 / 3, 1e300, Infinity, -0], 1 + 1 + 4 * 8],
    ['NaN costs no more than its kind', [NaN, 0, NaN, 1], 1 + 2 + 1 + 1],
    ['0 and -0 are not the same', [0, -0, 0, -0], 1 + 1 + 8 + 1 + 8],
    ['beyond what a varint keeps', [2 ** 48, Number.MAX_SAFE_INTEGER, -(2 ** 60)], 1 + 1 + 3 * 8],
  ])('of values: %s', (_what, list, byteCount) => {
    const values = Float64Array.from(list)
    const reader = written((writer) => writeValues(writer, values))
    expect(reader.left).toBe(byteCount)
    expect(readValues(reader, values.length)).toStrictEqual(values)
    reader.expectEnd()
  })
})

describe('what comes again', () => {
  const series = Array.from({ length: 200 }, (_, i) => podSeries(i))
  const read = (list: readonly Series[]) => (decodeBatch(encodeBatch(scrapeOf(list))) as MetricBatch).series

  it('is the same series object, also in a record of others and in another order', () => {
    const first = read(series)
    expect(first).toStrictEqual(series)
    expect(read(series.map((one) => ({ ...one })))).toBe(first)
    const second = read([seriesOf('new', []), ...series.toReversed()])
    for (let i = 0; i < 200; i++) expect(second[i + 1]).toBe(first[199 - i])
  })

  it('is another series when its type, its service or one label differs', () => {
    const [one, retyped, moved, other] = read([
      podSeries(0),
      { ...podSeries(0), type: 'gauge' },
      { ...podSeries(0), service: 'cart' },
      podSeries(1),
    ])
    expect(new Set([one, retyped, moved, other]).size).toBe(4)
    expect(retyped).toStrictEqual({ ...one, type: 'gauge' })
    expect(moved).toStrictEqual({ ...one, service: 'cart' })
  })

  it('is the same source object', () => {
    const sent: LogBatch = {
      kind: 'logs',
      rows: 0,
      sources: [{ service: 'a b', instance: 'c', version: '' }],
      sourceIndex: new Uint32Array(0),
      timeMs: new Float64Array(0),
      severity: new Uint8Array(0),
      body: [],
      traceId: [],
    }
    const again = () => (decodeBatch(encodeBatch(sent)) as LogBatch).sources[0]
    expect(again()).toStrictEqual(sent.sources[0])
    expect(again()).toBe(again())
    const like = (decodeBatch(encodeBatch({ ...sent, sources: [{ service: 'a', instance: ' bc', version: '' }] })) as LogBatch).sources[0]
    expect(like).toStrictEqual({ service: 'a', instance: ' bc', version: '' })
  })

  it('is forgotten where a sender makes up ever new series: memory stays bounded, and what is read stays right', () => {
    const [writer, out, memory] = [new SeriesWriter(), new ByteWriter(), new ReadMemory()]
    let most = 0
    for (let record = 0; record < 34; record++) {
      const made = Array.from({ length: 5_000 }, (_, i) => seriesOf('made_up', [['id', `${record}-${i}`]]))
      const known = record % 2 === 0 ? [...made, ...series] : [...series, ...made]
      writer.write(out, known)
      memory.begin()
      const back = readSeries(new ByteReader(out.finish(), 0), memory)
      expect(back.every((one, i) => one.key === known[i]!.key)).toBe(true)
      expect(back.at(-1)).toStrictEqual(known.at(-1))
      most = Math.max(most, memory.size.series)
    }
    expect(most).toBeGreaterThan(100_000)
    expect(most).toBeLessThan(2 ** 17 + 6_000)
  })

  it('as a whole table is kept for the last ones only', () => {
    const tables = new RecentTables<number>()
    for (let i = 0; i < 100; i++) tables.put(i, { series: [], bytes: new Uint8Array(2 ** 20) })
    expect(tables.size.bytes).toBe(2 ** 24)
    expect([tables.get(0), tables.get(99)?.bytes.length]).toEqual([undefined, 2 ** 20])
    // Few bytes may stand for many series.
    tables.put(1_000, { series: Array.from<Series>({ length: 2 ** 19 }).fill(podSeries(0)), bytes: new Uint8Array(1) })
    expect(tables.size.series).toBe(2 ** 19)
    tables.put(1_001, { series: [podSeries(0)], bytes: new Uint8Array(1) })
    expect(tables.size).toEqual({ bytes: 1, series: 1 })
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
