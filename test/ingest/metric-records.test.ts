/** What other programs put into Kafka: Mimir's records, the adapter's samples, Telegraf's blocks. */
import { describe, expect, it } from 'vitest'
import { decodeAdapterSamples } from '../../src/ingest/metrics/adapter-samples.ts'
import { decodeMimirRecord, mimirVersionOf } from '../../src/ingest/metrics/mimir-record.ts'
import { ADAPTER_SAMPLES_PATH, MIMIR_RECORDS_PATH, MIMIR_VERSION_HEADER } from '../../src/ingest/metrics/remote-write-endpoint.ts'
import { NOW_MS, newContext, openDoors, post, samplesOf } from './doors-fixture.ts'
import { encode } from './protobuf-oracle.ts'
import { histogramOf } from './remote-write-oracle.ts'

const T = NOW_MS - 5000
const samples = [{ value: 7, timestamp: T }]

describe("Mimir's records", () => {
  const version1 = encode('WriteRequest', { timeseries: [{ labels: [{ name: '__name__', value: 'up' }], samples }] })
  // References below 64 are common symbols: 1 __name__, 19 job, 17 namespace, 28 kube-system.
  const version2 = encode('Request', {
    symbols: ['up', 'shop', 'lat'],
    timeseries: [
      { labelsRefs: [1, 64, 19, 65, 17, 28], samples },
      { labelsRefs: [1, 66, 19, 65], histograms: [histogramOf([0.1, 0.2], 3, T)] },
      { labelsRefs: [1, 64], metadata: { type: 2 } },
    ],
  })

  it.each([0, 1])('version %i is remote write 1.0', (version) => {
    expect(samplesOf(decodeMimirRecord(version, version1, newContext())).map(({ key, value }) => [key, value])).toEqual([['up{}', 7]])
  })

  it('version 2 refers to symbols that both sides know', () => {
    const context = newContext()
    const batch = decodeMimirRecord(2, version2, context)
    expect(batch.series[0]!.key).toBe('up{job="shop",namespace="kube-system"}')
    expect([batch.written, context.rejected.text()]).toEqual([{ samples: 1, histograms: 1, exemplars: 0 }, ''])
    // What was said about the family holds from the next record on.
    expect(decodeMimirRecord(2, version2, context).series[0]!.type).toBe('gauge')
  })

  it.each([
    ['a common symbol that is not there', [1, 64, 40, 65]],
    ['a symbol that is not there', [1, 99]],
  ])('%s', (_name, labelsRefs) => {
    const context = newContext()
    decodeMimirRecord(2, encode('Request', { symbols: ['up', 'x'], timeseries: [{ labelsRefs, samples }] }), context)
    expect(context.rejected.text()).toBe('1 label-ref-out-of-range')
  })

  it('a newer version is refused by name', () => {
    expect(() => decodeMimirRecord(3, version2, newContext())).toThrow(/version 3 is not known/)
    expect(() => mimirVersionOf(Buffer.from([2]))).toThrow(/1 bytes, not four/)
    expect([mimirVersionOf(undefined), mimirVersionOf(Buffer.from([0, 0, 0, 2]))]).toEqual([0, 2])
  })

  it('through the door', async () => {
    const { door, transport } = openDoors()
    const { status } = await door.accept(post(MIMIR_RECORDS_PATH, { [MIMIR_VERSION_HEADER]: '2' }, version2))
    expect([status, transport.of('metrics').length > 0]).toEqual([204, true])
    expect((await door.accept(post(MIMIR_RECORDS_PATH, { [MIMIR_VERSION_HEADER]: '7' }, version2))).status).toBe(415)
  })
})

describe("the adapter's samples", () => {
  const sample = (value: unknown, change: object = {}) => ({
    timestamp: new Date(T).toISOString().replace(/\.\d+/, ''),
    value,
    name: 'up',
    labels: { __name__: 'up', job: 'shop', instance: 'a:1' },
    ...change,
  })
  const read = (body: string) => {
    const context = newContext()
    return { rows: samplesOf(decodeAdapterSamples(Buffer.from(body), context)), rejected: context.rejected.text() }
  }

  it.each([
    ['one object', (list: object[]) => JSON.stringify(list[0]), 1],
    ['an array', (list: object[]) => JSON.stringify(list), 3],
    ['one on each line', (list: object[]) => `${list.map((one) => JSON.stringify(one)).join('\r\n')}\n\n`, 3],
  ])('%s', (_name, write, count) => {
    const { rows, rejected } = read(write([sample('1.5'), sample('2'), sample('-1e3')]))
    expect(rejected).toBe('')
    expect(rows.map(({ key, timeMs }) => [key, timeMs])).toEqual(
      Array.from({ length: count }, () => ['up{instance="a:1",job="shop"}', Math.floor(T / 1000) * 1000]),
    )
    expect(rows.map(({ value }) => value)).toEqual([1.5, 2, -1000].slice(0, count))
  })

  it.each([
    ['NaN', NaN],
    ['+Inf', Infinity],
    ['-Inf', -Infinity],
    ['Inf', Infinity],
    [4, 4],
    ['0', 0],
  ])('value %s', (value, expected) => {
    expect(read(JSON.stringify(sample(value))).rows.map((row) => row.value)).toEqual([expected])
  })

  it.each([
    ['no value', sample(undefined), 'bad-value'],
    ['an empty value', sample(''), 'bad-value'],
    ['a word as value', sample('much'), 'bad-value'],
    ['no time', sample('1', { timestamp: null }), 'bad-time'],
    ['a time that is none', sample('1', { timestamp: 'today' }), 'bad-time'],
    ['no labels', sample('1', { labels: undefined }), 'not-a-sample'],
    ['labels that are a list', sample('1', { labels: ['a'] }), 'not-a-sample'],
    ['a label that is no text', sample('1', { labels: { a: 1 } }), 'not-a-sample'],
    ['no name', sample('1', { name: '', labels: { job: 'x' } }), 'no-name'],
    ['a number instead of a sample', 5, 'not-a-sample'],
  ])('%s costs only itself', (_name, bad, reason) => {
    const { rows, rejected } = read(JSON.stringify([sample('1'), bad, sample('2')]))
    expect([rows.length, rejected]).toEqual([2, `1 ${reason}`])
  })

  it('a line that is no JSON costs only itself, a body that is none is refused', () => {
    expect(read(`${JSON.stringify(sample('1'))}\n{"timestamp":\n${JSON.stringify(sample('2'))}`)).toMatchObject({
      rows: { length: 2 },
      rejected: '1 not-json',
    })
    expect(() => read('hello')).toThrow(/no JSON/)
  })

  it('through the door', async () => {
    const { door, transport } = openDoors()
    expect((await door.accept(post(ADAPTER_SAMPLES_PATH, {}, JSON.stringify(sample('1'))))).status).toBe(204)
    expect(transport.of('metrics')).toHaveLength(1)
    const partly = await door.accept(post(ADAPTER_SAMPLES_PATH, {}, JSON.stringify([sample('1'), sample('x')])))
    expect([partly.status, partly.body]).toEqual([400, '1 rejected (1 bad-value); everything else was written\n'])
    expect((await door.accept(post(ADAPTER_SAMPLES_PATH, { 'content-encoding': 'gzip' }, 'x'))).status).toBe(415)
  })
})
