/** What `npm run fuzz` found and was mended: each body said one thing to protobufjs and another to our reader. And that no body takes more than its share of time. */
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/errors.ts'
import { decodeJaegerProto } from '../../src/ingest/spans/jaeger.ts'
import { decodeLokiProtobuf } from '../../src/ingest/logs/loki.ts'
import { decodeOtlpMetrics } from '../../src/ingest/metrics/otlp-metrics.ts'
import { decodeOtlpTraces } from '../../src/ingest/spans/otlp-traces.ts'
import { decodeRemoteWrite2 } from '../../src/ingest/metrics/remote-write-2.ts'
import { decodeRemoteWrite } from '../../src/ingest/metrics/remote-write.ts'
import { decodeZipkinProto } from '../../src/ingest/spans/zipkin.ts'
import { newContext, linesOf, samplesOf, spansOf } from './doors-fixture.ts'
import { field } from './protobuf-oracle.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const f = (number: number, ...parts: (Uint8Array | string)[]) =>
  Buffer.from(field(number, Buffer.concat(parts.map((part) => Buffer.from(part)))))

describe('the last of a oneof counts', () => {
  const name = f(1, f(1, '__name__'), f(2, 'h'))
  const write = (histogram: Buffer) => f(1, name, f(4, histogram))
  const rowsOf = (body: Buffer) => samplesOf(decodeRemoteWrite(body, newContext())).map(({ key, value }) => [key, value])

  it('a histogram whose count came as a float and then as an integer is one of integers', () => {
    // count_float 4.5, count_int 2, zero_count_int 2
    expect(rowsOf(write(hex('11 0000000000001240 08 02 30 02')))).toContainEqual(['h_count{}', 2])
  })

  it('a zero count of the other kind is none', () => {
    // count_int 0, zero_count_float 3
    expect(rowsOf(write(hex('08 00 39 0000000000000840')))).toContainEqual(['h_count{}', 0])
  })

  it('an attribute is not emptied by a field that has its number and another wire type', () => {
    const value = f(2, f(1, 'shop'), hex('12 01 00'))
    const span = f(2, f(1, Buffer.alloc(16, 1)), f(2, Buffer.alloc(8, 1)))
    const body = f(1, f(1, f(1, f(1, 'service.name'), value)), f(2, span))
    expect(spansOf(decodeOtlpTraces(body, newContext())).map(({ service }) => service)).toEqual(['shop'])
  })
})

describe('what is not sent and what is empty are the same', () => {
  it('the labels of a stream', () => {
    const entry = f(2, f(1, hex('08 05')), f(2, 'x'))
    const rows = [f(1, entry), f(1, f(1, ''), entry)].map((body) => linesOf(decodeLokiProtobuf(body, newContext())))
    expect(rows[1]).toEqual(rows[0])
  })

  it('an address', () => {
    const endpoint = f(8, f(1, 'shop'), f(2, hex('0a000001')), f(2, ''))
    const span = f(1, f(1, Buffer.alloc(16, 1)), f(3, Buffer.alloc(8, 1)), hex('31 0010000000000000'), endpoint)
    expect(decodeZipkinProto(span, newContext()).sources).toMatchObject([{ service: 'shop', instance: '' }])
  })
})

it('of a 32-bit number that is too long the low bits count', () => {
  const time = hex('08 05 10 85 80 80 80 80 80 80 01')
  expect(linesOf(decodeLokiProtobuf(f(1, f(2, f(1, time), f(2, 'x'))), newContext()))[0]!.timeMs).toBe(
    linesOf(decodeLokiProtobuf(f(1, f(2, f(1, hex('08 05 10 05')), f(2, 'x'))), newContext()))[0]!.timeMs,
  )
  const jaeger = f(1, Buffer.alloc(16, 1))
  const row = (timestamp: Buffer) =>
    decodeJaegerProto(Buffer.concat([jaeger, f(2, Buffer.alloc(8, 1)), f(6, timestamp)]), newContext()).startMs[0]
  expect(row(time)).toBe(row(hex('08 05 10 05')))
})

/** Least CPU time of a few runs. */
function cpuMs(run: () => void): number {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) {
    const before = process.cpuUsage()
    run()
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, (user + system) / 1000)
  }
  return least
}

describe('what is said once is not read once for everything that refers to it', () => {
  const MB = 1_000_000
  const sample = hex('09 0000000000000000 10 05')
  const point = f(1, hex('19 0000000000000000 21 0000000000000000'))
  const often = (unit: Buffer) => Buffer.concat(Array.from({ length: 5_000 }, () => unit))
  const metric = (name: string, unit: string) => f(1, f(2, f(2, f(1, name), f(3, unit), f(5, often(point)))))
  const second = (symbols: readonly string[], refs: string) =>
    Buffer.concat([...['', '__name__', ...symbols].map((text) => f(4, text)), often(f(5, f(1, hex(refs)), f(2, sample)))])

  it.each<[what: string, body: Buffer, read: typeof decodeOtlpMetrics, fault: string]>([
    ['the name of a metric', metric('a.'.repeat(MB), ''), decodeOtlpMetrics, 'label-value-too-long'],
    ['the unit of a metric', metric('a', 'b.'.repeat(MB)), decodeOtlpMetrics, 'label-value-too-long'],
    ['a symbol that is a value', second(['é'.repeat(MB)], '01 02'), decodeRemoteWrite2, 'label-value-too-long'],
    ['a symbol that is a name', second(['a', 'é'.repeat(MB)], '01 02 03 02'), decodeRemoteWrite2, 'label-name-too-long'],
  ])('%s', (_what, body, read, fault) => {
    const context = newContext()
    // Read for each, it would be ten gigabytes, which take half a minute.
    const before = process.cpuUsage()
    expect(read(body, context).rows).toBe(0)
    const { user, system } = process.cpuUsage(before)
    expect([context.rejected.text(), (user + system) / 1000 < 5_000]).toEqual([`5000 ${fault}`, true])
  })

  it('symbols written out are bounded as the body is', () => {
    const body = second(
      ['m', 'x'.repeat(1_000), 'y'.repeat(1_000)].concat(Array.from({ length: 100 }, (_, i) => `l${i}`)),
      '01 02 05 03 06 04',
    )
    const read = (maxDecodedBytes: number) => () => decodeRemoteWrite2(body, newContext({ limits: { maxDecodedBytes } }))
    // Known after the first time, and then nothing is written out.
    expect(read(10_000)().rows).toBe(5_000)
    expect(read(2_000)).toThrow('with its symbols written out the request is larger than 2000 bytes')
  })
})

describe('four times the bytes take no more than about four times the time', () => {
  const often = (unit: Buffer, count: number) => Buffer.concat(Array.from({ length: count }, () => unit))
  const point = (n: number) => f(1, f(2, f(2, f(1, 'm'), f(5, f(1, often(f(7, f(1, 'k'), f(2, f(1, 'v'))), n))))))

  it.each<[what: string, read: (body: Buffer) => unknown, bodyOf: (n: number) => Buffer]>([
    ['labels of one series', (body) => decodeRemoteWrite(body, newContext()), (n) => f(1, often(f(1, f(1, 'a'), f(2, 'b')), n), f(2, hex('10 05')))],
    ['samples of one series', (body) => decodeRemoteWrite(body, newContext()), (n) => f(1, f(1, f(1, '__name__'), f(2, 'h')), often(f(2, hex('10 05')), n))],
    ['scattered labels', (body) => decodeRemoteWrite(body, newContext()), (n) => f(1, often(Buffer.concat([f(2, hex('10 05')), f(1, f(1, 'a'), f(2, 'b'))]), n))],
    ['empty series', (body) => decodeRemoteWrite(body, newContext()), (n) => often(f(1, ''), n)],
    ['spans of buckets', (body) => decodeRemoteWrite(body, newContext()), (n) => f(1, f(1, f(1, '__name__'), f(2, 'h')), often(f(4, f(11, hex('08 02')), f(11, hex('08 02'))), n))],
    ['attributes of one point', (body) => decodeOtlpMetrics(body, newContext()), point],
    ['attributes of one span', (body) => decodeOtlpTraces(body, newContext()), (n) => f(1, f(2, f(2, f(1, Buffer.alloc(16, 1)), f(2, Buffer.alloc(8, 1)), hex('30 03'), often(f(9, f(1, 'peer.service'), f(2, f(1, 'x'))), n))))],
    ['metadata of one line', (body) => decodeLokiProtobuf(body, newContext()), (n) => f(1, f(1, '{}'), f(2, often(f(3, f(1, 'a'), f(2, 'b')), n)))],
    ['references of one Jaeger span', (body) => decodeJaegerProto(body, newContext()), (n) => often(f(4, f(1, 'x')), n)],
  ])('%s', (_what, read, bodyOf) => {
    const [one, four] = [bodyOf(20_000), bodyOf(80_000)]
    const quiet = (body: Buffer) => () => {
      try {
        read(body)
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError)
      }
    }
    // Quadratic would be sixteen; what takes a few milliseconds says nothing.
    expect(cpuMs(quiet(four))).toBeLessThan(10 * cpuMs(quiet(one)) + 100)
  })
}) // prettier-ignore
