/**
 * The remote-write door, both versions: what it answers is what Prometheus' own receiver answers
 * (https://github.com/prometheus/prometheus/blob/main/storage/remote/write_handler_test.go), what it takes is what was sent.
 */
import { describe, expect, it } from 'vitest'
import { decodeRemoteWrite2 } from '../../src/ingest/metrics/remote-write-2.ts'
import { decodeRemoteWrite } from '../../src/ingest/metrics/remote-write.ts'
import { SeriesRegistry } from '../../src/ingest/metrics/series-registry.ts'
import { NOW_MS, newContext, openDoors, post, samplesOf } from './doors-fixture.ts'
import { STALE, remoteWrite2At } from './remote-write-cases.ts'
import { encode } from './protobuf-oracle.ts'
import { VERSION_1, VERSION_2, post1, post2, requestOf, snappy } from './remote-write-oracle.ts'

const { T, one, good, named, histogram, cases } = remoteWrite2At(NOW_MS)
const written = (headers: Readonly<Record<string, string>>) =>
  ['samples', 'histograms', 'exemplars'].map((kind) => headers[`x-prometheus-remote-write-${kind}-written`] ?? 'none').join(' ')

describe('remote write 2.0 is answered as Prometheus does', () => {
  it.each(cases)('%s', async (_name, request, status, counts, text) => {
    const { door, transport } = openDoors()
    const response = await door.accept(post2(request))
    expect([response.status, written(response.headers)]).toEqual([status, counts])
    if (text === undefined) expect(response.body).toBe('')
    else expect(response.body).toMatch(text)
    // Whatever is wrong with one series, the good one beside it is written.
    const goodOnes = request.timeseries.length > 0 && request.symbols[0] === '' && request.symbols.includes('good')
    expect(
      transport
        .of('metrics')
        .flatMap(samplesOf)
        .some(({ key }) => key === 'good{}'),
    ).toBe(goodOnes)
  })
})

describe('what makes a message', () => {
  const v2 = encode('Request', requestOf([good]))
  const v1 = encode('WriteRequest', { timeseries: [{ labels: [{ name: '__name__', value: 'good' }], ...one }] })
  const proto = (value: string) => ({ ...VERSION_2, 'content-type': value })
  const none = 'none none none'

  it.each<[string, Record<string, string>, Uint8Array, number, string]>([
    ['2.0', VERSION_2, snappy(v2), 204, '1 0 0'],
    ['2.0, in quotes and with a space', proto('application/x-protobuf; proto="io.prometheus.write.v2.Request"'), snappy(v2), 204, '1 0 0'],
    ['2.0 without a version header', { 'content-type': VERSION_2['content-type'], 'content-encoding': 'snappy' }, snappy(v2), 204, '1 0 0'],
    ['1.0', VERSION_1, snappy(v1), 204, none],
    ['1.0 by name', proto('application/x-protobuf;proto=prometheus.WriteRequest'), snappy(v1), 204, none],
    ['1.0 under the version header of 2.0', proto('application/x-protobuf'), snappy(v1), 204, none],
    ['nothing said about the body', {}, snappy(v1), 204, none],
    ['2.0 without Content-Encoding', { 'content-type': VERSION_2['content-type'] }, snappy(v2), 204, '1 0 0'],
    ['an unknown message', proto('application/x-protobuf;proto=io.prometheus.write.v3.Request'), snappy(v2), 415, none],
    ['JSON', proto('application/json'), snappy(v2), 415, none],
    ['a type that cannot be parsed', proto('application/x-protobuf;;;=;'), snappy(v2), 415, none],
    ['zstd', { ...VERSION_2, 'content-encoding': 'zstd' }, v2, 415, '0 0 0'],
    [
      'zstd of 1.0, as vmagent tries first',
      { ...VERSION_1, 'content-encoding': 'zstd', 'x-victoriametrics-remote-write-version': '1' },
      v1,
      415,
      none,
    ],
    ['gzip', { ...VERSION_2, 'content-encoding': 'gzip' }, v2, 415, '0 0 0'],
    ['no snappy', VERSION_2, v2, 400, '0 0 0'],
    ['no protobuf', VERSION_2, snappy(Buffer.from('hello, world')), 400, '0 0 0'],
    ['cut off', VERSION_2, snappy(v2.subarray(0, v2.length - 3)), 400, '0 0 0'],
    ['1.0 under the name of 2.0', VERSION_2, snappy(v1), 400, '0 0 0'],
    ['a snappy block that declares too much', VERSION_2, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0]), 413, '0 0 0'],
  ])('%s', async (_name, headers, body, status, counts) => {
    const { door } = openDoors()
    const response = await door.accept(post('/api/v1/write', headers, body))
    expect([response.status, written(response.headers)]).toEqual([status, counts])
  })

  it('more symbols than rows are allowed: too large', async () => {
    const { door } = openDoors({ limits: { maxRowsPerRequest: 2000 } })
    const symbols = ['', ...Array.from({ length: 3000 }, (_, i) => `s${i}`)]
    expect((await door.accept(post2(requestOf([], symbols)))).status).toBe(413)
  })

  it('says what was written of a service that sends more than its share, too', async () => {
    const { door, transport } = openDoors({ limits: { maxSamplesPerServiceS: 1, serviceBurstS: 3 } })
    const response = await door.accept(post2(requestOf(['a', 'b', 'c', 'd', 'e'].map((name) => named(name)))))
    expect([response.status, written(response.headers)]).toEqual([400, '3 0 0'])
    expect(transport.of('metrics').flatMap(samplesOf)).toHaveLength(3)
  })

  it('nothing was written when it cannot be handed on', async () => {
    const { door, transport } = openDoors()
    transport.failWith = new Error('away')
    const response = await door.accept(post2(requestOf([good])))
    expect([response.status, written(response.headers), response.headers['retry-after']]).toEqual([503, '0 0 0', '5'])
  })
})

describe('remote write 1.0', () => {
  const labels = (...pairs: string[]) => pairs.map((pair) => ({ name: pair.split('=')[0], value: pair.split('=')[1] }))

  it.each<[string, object, number, RegExp?]>([
    ['a native histogram', { labels: labels('__name__=h'), histograms: [histogram] }, 204],
    ['an exemplar without its sample', { labels: labels('__name__=h'), exemplars: [{ value: 1, timestamp: T }] }, 204],
    [
      'a histogram that counts more than its buckets',
      { labels: labels('__name__=h'), histograms: [{ ...histogram, countInt: 9 }] },
      400,
      /histogram-count/,
    ],
    ['nothing but labels', { labels: labels('__name__=h') }, 400, /empty-series/],
  ])('%s', async (_name, series, status, text) => {
    const { door } = openDoors()
    const response = await door.accept(post1({ timeseries: [series] }))
    expect([response.status, written(response.headers)]).toEqual([status, 'none none none'])
    if (text !== undefined) expect(response.body).toMatch(text)
  })

  it('a series that begins like the one that is expected is not taken for it', () => {
    const context = newContext()
    const send = (...series: string[][]) => {
      const timeseries = series.map((pairs) => ({ labels: labels(...pairs), ...one }))
      return decodeRemoteWrite(encode('WriteRequest', { timeseries }), context).series.map(({ key }) => key)
    }
    for (let i = 0; i < 3; i++) {
      expect(send(['__name__=a'], ['__name__=b'], ['__name__=c'])).toEqual(['a{}', 'b{}', 'c{}'])
      expect(send(['__name__=a'], ['__name__=b', 'x=y'], ['__name__=c'])).toEqual(['a{}', 'b{x="y"}', 'c{}'])
      expect(send(['__name__=a', 'x=y', 'z=1'], ['__name__=b'])).toEqual(['a{x="y",z="1"}', 'b{}'])
    }
  })

  it('metadata says what a series is, whether it comes before or after it', () => {
    const context = newContext()
    const send = (names: string[], metadata: object[] = []) =>
      decodeRemoteWrite(
        encode('WriteRequest', { timeseries: names.map((name) => ({ labels: labels(`__name__=${name}`), ...one })), metadata }),
        context,
      ).series
    const [before] = send(['requests_total'])
    expect(before!.type).toBe('unknown')
    send(
      [],
      [
        { type: 1, metricFamilyName: 'requests' },
        { type: 2, metricFamilyName: 'depth_total' },
        { type: 3, metricFamilyName: 'lat' },
      ],
    )
    const names = ['requests_total', 'depth_total', 'lat_count', 'lat', 'requests']
    const after = send(names)
    expect(after.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'requests_total counter',
      'depth_total gauge',
      'lat_count unknown',
      'lat unknown',
      'requests counter',
    ])
    // What others hold on to has not changed, and what is said again changes nothing.
    expect(before!.type).toBe('unknown')
    send([], [{ type: 1, metricFamilyName: 'requests' }])
    expect(send(names).every((series, i) => series === after[i])).toBe(true)
  })

  it('a family that senders disagree about is left to its name', () => {
    const context = newContext()
    for (const type of [1, 2, 1]) decodeRemoteWrite(encode('WriteRequest', { metadata: [{ type, metricFamilyName: 'x' }] }), context)
    expect(context.series.families.typeOf('x')).toBe('unknown')
  })

  it('families are bounded', () => {
    const context = newContext()
    const metadata = Array.from({ length: 21_000 }, (_, i) => ({ type: 1, metricFamilyName: `f${i}` }))
    decodeRemoteWrite(encode('WriteRequest', { metadata }), context)
    expect([context.series.families.size, context.skipped.text()]).toEqual([20_000, '1000 metadata'])
  })
})

describe('what 2.0 says about a series', () => {
  it('is known at once, and the series stays the same object', () => {
    const context = newContext()
    const request = encode(
      'Request',
      requestOf([
        named('a', { ...one, metadata: { type: 1 } }),
        named('b', { ...one, metadata: { type: 2 } }),
        named('c', { ...one, metadata: { type: 3 } }),
      ]),
    )
    const first = decodeRemoteWrite2(request, context).series
    expect(first.map(({ type }) => type)).toEqual(['counter', 'gauge', 'unknown'])
    expect(decodeRemoteWrite2(request, context).series.every((series, i) => series === first[i])).toBe(true)
  })

  it('is the same series as in 1.0, whatever the symbols', () => {
    const context = newContext()
    const labels = [
      ['__name__', 'up'],
      ['job', 'x'],
      ['z', 'y'],
    ] as const
    const one1 = decodeRemoteWrite(
      encode('WriteRequest', { timeseries: [{ labels: labels.map(([name, value]) => ({ name, value })), ...one }] }),
      context,
    )
    for (const symbols of [[''], ['', 'y', 'z', 'spare', '__name__'], ['', '', 'x', 'x']]) {
      const batch = decodeRemoteWrite2(encode('Request', requestOf([{ labels: labels.toReversed(), ...one }], symbols)), context)
      expect(batch.series[0]).toBe(one1.series[0])
    }
    expect(context.series.size).toBe(1)
  })

  it('counts what it does not use', async () => {
    const context = newContext()
    const body = encode(
      'Request',
      requestOf([
        named('a', { samples: [{ value: 1, timestamp: T, startTimestamp: 5 }], exemplars: [{ value: 1 }], createdTimestamp: 7 }),
        named('h', { histograms: [{ ...histogram, startTimestamp: 5, resetHint: 3 }] }),
      ]),
    )
    const batch = decodeRemoteWrite2(body, context)
    expect(context.skipped.text()).toBe('1 gauge-histogram-buckets, 3 start-timestamp, 1 exemplar')
    expect(batch.series.map(({ name, type }) => `${name} ${type}`)).toEqual(['a unknown', 'h_gcount gauge', 'h_gsum gauge'])
  })

  it('a stale histogram ends all of its series', () => {
    const context = newContext()
    const send = (change: object) =>
      decodeRemoteWrite2(encode('Request', requestOf([named('h', { histograms: [{ ...histogram, ...change }] })])), context)
    const rows = send({}).rows
    const gone = send({ sum: STALE, countInt: 0, positiveSpans: [], positiveDeltas: [], timestamp: T + 1 })
    expect([gone.rows, [...gone.stale].every((flag) => flag === 1), [...gone.value].every(Number.isNaN)]).toEqual([rows, true, true])
  })

  it('numbers of symbols are given anew when there are too many, and series are found all the same', () => {
    const { limits, ...rest } = newContext()
    const context = { ...rest, limits, series: new SeriesRegistry(limits, 50) }
    const batchOf = (from: number, count: number) =>
      decodeRemoteWrite2(encode('Request', requestOf(Array.from({ length: count }, (_, i) => named(`n${from + i}`)))), context)
    const first = batchOf(0, 40)
    expect(context.series.symbols.size).toBe(41)
    batchOf(40, 30)
    expect(context.series.symbols.size).toBe(71)
    expect(batchOf(0, 40).series).toEqual(first.series)
    expect(context.series.symbols.size).toBe(41)
    // Within one request there is an end to it, too: what has no number is decoded each time.
    expect(batchOf(1000, 200).rows).toBe(200)
    expect(context.series.symbols.size).toBe(100)
    expect([batchOf(0, 40).series[39] === first.series[39], context.series.size]).toEqual([true, 270])
  })
})
