/** Senders say the same again and again: what is taken over from the request before is right also where they say nearly the same. */
import { describe, expect, it } from 'vitest'
import { limitsConfig } from '../../src/ingest/config.ts'
import { decodeRemoteWrite2 } from '../../src/ingest/metrics/remote-write-2.ts'
import { decodeRemoteWrite } from '../../src/ingest/metrics/remote-write.ts'
import { SeriesRegistry } from '../../src/ingest/metrics/series-registry.ts'
import { NOW_MS, newContext } from './doors-fixture.ts'
import { encode } from './protobuf-oracle.ts'
import { requestOf } from './remote-write-oracle.ts'

type Pairs = [string, string][]
const sampleOf = (value: number) => ({ samples: [{ value, timestamp: NOW_MS - 1000 }] })
const pairsOf = (labels: string[]): Pairs => labels.map((label) => label.split('=') as [string, string])

const version1 = (series: string[][], value: number) =>
  encode('WriteRequest', {
    timeseries: series.map((labels) => ({ labels: pairsOf(labels).map(([name, text]) => ({ name, value: text })), ...sampleOf(value) })),
  })
const version2 = (series: string[][], value: number) =>
  encode('Request', requestOf(series.map((labels) => ({ labels: pairsOf(labels), ...sampleOf(value) }))))

const dialects = [
  ['1.0', version1, decodeRemoteWrite],
  ['2.0', version2, decodeRemoteWrite2],
] as const

describe.each(dialects)('remote write %s', (_version, bodyOf, decode) => {
  it('tells a series from the expected one whose labels it begins with, or that begins with its own', () => {
    const context = newContext()
    const keys = (...series: string[][]) => decode(bodyOf(series, 1), context).series.map(({ key }) => key)
    for (let i = 0; i < 3; i++) {
      expect(keys(['__name__=a'], ['__name__=b'], ['__name__=c'])).toEqual(['a{}', 'b{}', 'c{}'])
      expect(keys(['__name__=a'], ['__name__=b', 'x=y'], ['__name__=c'])).toEqual(['a{}', 'b{x="y"}', 'c{}'])
      expect(keys(['__name__=a', 'x=y', 'z=1'], ['__name__=b'])).toEqual(['a{x="y",z="1"}', 'b{}'])
    }
  })

  it('leaves the batch before as it was', () => {
    const context = newContext()
    const first = decode(bodyOf([['__name__=a'], ['__name__=b']], 1), context)
    const second = decode(bodyOf([['__name__=b'], ['__name__=c'], ['__name__=d']], 2), context)
    expect([...first.value, ...first.seriesIndex, ...first.stale]).toEqual([1, 1, 0, 1, 0, 0])
    expect([...second.value, ...second.seriesIndex, ...second.stale]).toEqual([2, 2, 2, 0, 1, 2, 0, 0, 0])
  })

  it('grows to what a request has, up to its limit, whatever the request before had', () => {
    const series = (count: number) => Array.from({ length: count }, (_, i) => ['__name__=a', `i=${i}`])
    const rows = 40
    decode(bodyOf(series(300), 1), newContext())
    const limited = newContext({ limits: { maxRowsPerRequest: rows } })
    expect(decode(bodyOf(series(15), 1), limited).rows).toBe(15)
    expect(() => decode(bodyOf(series(rows + 1), 1), limited)).toThrow(/more than 40 rows/)
    expect(decode(bodyOf(series(700), 3), newContext()).value.every((value) => value === 3)).toBe(true)
  })
})

const field = (tag: number, bytes: readonly number[]) => [tag, bytes.length, ...bytes]
const varint = (value: number): number[] => (value < 0x80 ? [value] : [(value % 128) | 0x80, ...varint(Math.floor(value / 128))])
const VALUE = [0x09, ...Buffer.from(Float64Array.of(2.5).buffer)]
const TIME = [0x10, ...varint(NOW_MS)]

it.each<[string, number[], [timeMs: number, value: number]]>([
  ['value and time', [...VALUE, ...TIME], [NOW_MS, 2.5]],
  ['time and value', [...TIME, ...VALUE], [NOW_MS, 2.5]],
  ['time alone', TIME, [NOW_MS, 0]],
  ['when it began to count behind them', [...VALUE, ...TIME, 0x18, 5], [NOW_MS, 2.5]],
  ['a field of later versions behind them', [...VALUE, ...TIME, 0x20, 1], [NOW_MS, 2.5]],
  ['the time twice, the last of which holds', [...VALUE, 0x10, 1, ...TIME], [NOW_MS, 2.5]],
  ['a time of more bytes than it needs', [...VALUE, ...TIME.slice(0, -1), TIME.at(-1)! | 0x80, 0x80, 0], [NOW_MS, 2.5]],
])('a sample may have %s', (_name, sample, [timeMs, value]) => {
  const labels = field(0x0a, [...field(0x0a, [...Buffer.from('__name__')]), ...field(0x12, [97])])
  const series = field(0x0a, [...labels, ...field(0x12, sample)])
  const batch = decodeRemoteWrite(Uint8Array.from([...series, ...series]), newContext())
  expect([...batch.timeMs, ...batch.value]).toEqual([timeMs, timeMs, value, value])
})

it('references may come in several parts, also after they came in one', () => {
  const symbols = ['', '__name__', 'a', 'job', 'x'].flatMap((text) => field(0x22, [...Buffer.from(text)]))
  const bodyOf = (...refs: number[][]) =>
    Uint8Array.from([...symbols, ...field(0x2a, [...refs.flat(), ...field(0x12, [...VALUE, ...TIME])])])
  const context = newContext()
  const key = (...refs: number[][]) => decodeRemoteWrite2(bodyOf(...refs), context).series[0]!.key
  for (let i = 0; i < 3; i++) {
    expect(key(field(0x0a, [1, 2]))).toBe('a{}')
    expect(key(field(0x0a, [1, 2]), field(0x0a, [3, 4]))).toBe('a{job="x"}')
    expect(key(field(0x0a, [1, 2]), [0x08, 3], [0x08, 4])).toBe('a{job="x"}')
    expect(key(field(0x0a, [1, 2, 3, 4]))).toBe('a{job="x"}')
  }
  expect(context.rejected.total).toBe(0)
})

it('what is left of many forgotten series is found as before', () => {
  const registry = new SeriesRegistry(limitsConfig.parse({ seriesIdleMs: 100 }))
  const blocks = Array.from({ length: 3000 }, (_, i) => Buffer.from(`${'label '.repeat(i % 40)}${i}`))
  const viewOf = (bytes: Buffer) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const entries = blocks.map((bytes, i) => {
    const entry = registry.admit(
      { key: String(i), name: 'a', type: 'unknown', labels: [], service: 's', instance: '' },
      i % 100 === 0 ? 500 : 0,
    )
    if (typeof entry === 'string') throw new Error(entry)
    registry.remember(entry, viewOf(bytes), 0, bytes.length)
    return entry
  })
  registry.forgetIdle(550)
  for (const [i, bytes] of blocks.entries()) {
    expect(registry.find(viewOf(bytes), 0, bytes.length)).toBe(i % 100 === 0 ? entries[i] : undefined)
  }
})
