/** What protobufjs writes, the reader of remote write 2.0 reads, in any order of fields; what is damaged is refused and nothing worse. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/errors.ts'
import { decodeRemoteWrite2 } from '../../src/ingest/metrics/remote-write-2.ts'
import { decodeRemoteWrite } from '../../src/ingest/metrics/remote-write.ts'
import { newContext, samplesOf } from './doors-fixture.ts'
import { encode, field, varint } from './protobuf-oracle.ts'
import { histogramOf, requestOf } from './remote-write-oracle.ts'

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).map((one) => one.replaceAll('\0', '0'))
const label = fc.oneof(fc.constantFrom('job', 'instance', '__proto__', 'constructor', 'a.b', 'le'), text)
const labelSet = fc.uniqueArray(fc.tuple(label, text), { selector: ([name]) => name, maxLength: 8 })
const sample = fc.record({
  value: fc.double(),
  timestamp: fc.integer({ min: 0, max: 4e12 }),
  startTimestamp: fc.constantFrom(0, 5, 1_795_445_000_000),
})
const series = fc.record({
  metric: text,
  labels: labelSet,
  samples: fc.array(sample, { minLength: 1, maxLength: 4 }),
  type: fc.integer({ min: 0, max: 7 }),
  created: fc.constantFrom(0, 9),
})
type Series = typeof series extends fc.Arbitrary<infer T> ? T : never

const sorted = (labels: readonly (readonly [string, string])[]) => labels.toSorted((a, b) => (a[0] < b[0] ? -1 : 1))
const objectOf = ({ metric, labels, samples, type, created }: Series) => ({
  labels: [['__name__', metric] as const, ...labels.filter(([name]) => name !== '__name__')],
  samples,
  metadata: { type, helpRef: 1, unitRef: 0 },
  exemplars: [{ labelsRefs: [], value: 1, timestamp: 1 }],
  createdTimestamp: created,
})
const expectedOf = (list: readonly Series[]) =>
  list.flatMap(({ metric, labels, samples }) =>
    samples.map(({ value, timestamp }) => ({ metric, labels: sorted(labels.filter(([name]) => name !== '__name__')), value, timestamp })),
  )
const foundIn = (batch: ReturnType<typeof decodeRemoteWrite2>) =>
  samplesOf(batch).map(({ timeMs, value }, row) => {
    const { name, labels } = batch.series[batch.seriesIndex[row]!]!
    return { metric: name, labels, value, timestamp: timeMs }
  })

describe('remote write 2.0', () => {
  it('reads what protobufjs writes', () => {
    fc.assert(
      fc.property(fc.array(series, { maxLength: 6 }), (list) => {
        const batch = decodeRemoteWrite2(encode('Request', requestOf(list.map(objectOf))), newContext())
        expect(foundIn(batch)).toEqual(expectedOf(list))
        expect(batch.written).toEqual({ samples: batch.rows, histograms: 0, exemplars: list.length })
      }),
      { numRuns: 300 },
    )
  })

  it('reads the same with series before symbols, fields in any order, packed or not, and from a registry that knows them', () => {
    const context = newContext()
    fc.assert(
      fc.property(fc.array(series, { maxLength: 4 }), fc.infiniteStream(fc.nat()), (list, random) => {
        const shuffled = (parts: readonly Uint8Array[]) =>
          Buffer.concat(
            parts
              .map((bytes) => [random.next().value!, bytes] as const)
              .sort((a, b) => a[0] - b[0])
              .map(([, bytes]) => bytes),
          )
        const request = requestOf(list.map(objectOf))
        const messages = (request.timeseries as { labelsRefs: number[]; samples: object[]; metadata: object }[]).map((one) => {
          // References in one block, in two, or each on its own: order among them matters, so they stay together.
          const at = random.next().value! % (one.labelsRefs.length + 1)
          const blocks = [one.labelsRefs.slice(0, at), one.labelsRefs.slice(at)].map((refs) => field(1, Buffer.from(refs.flatMap(varint))))
          const single = Buffer.from(one.labelsRefs.flatMap((ref) => [0x08, ...varint(ref)]))
          const samples = Buffer.concat(one.samples.map((item) => field(2, encode('Sample', item))))
          return shuffled([
            random.next().value! % 2 === 0 ? Buffer.concat(blocks) : single,
            samples,
            field(4, encode('Exemplar2', { value: 1 })),
            field(5, encode('Metadata2', one.metadata)),
            field(99, Buffer.from('unknown')),
          ])
        })
        const symbols = Buffer.concat(request.symbols.map((symbol) => field(4, Buffer.from(symbol))))
        const body = shuffled([symbols, Buffer.concat(messages.map((bytes) => field(5, bytes))), field(77, Buffer.from('x'))])
        const batch = decodeRemoteWrite2(body, context)
        expect(foundIn(batch)).toEqual(expectedOf(list))
        expect(context.rejected.total).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  it('1.0 and 2.0 say the same about the same histograms', () => {
    const value = fc.oneof(
      fc.double({ min: 1e-9, max: 1e9, noNaN: true }),
      fc.double({ min: -1e3, max: -1e-3, noNaN: true }),
      fc.constant(0),
    )
    fc.assert(
      fc.property(
        fc.array(fc.record({ values: fc.array(value, { maxLength: 30 }), schema: fc.integer({ min: -4, max: 8 }) }), { maxLength: 4 }),
        (list) => {
          const all = list.map(({ values, schema }, i) => ({
            labels: [['__name__', `h${i}`] as const],
            histograms: [histogramOf(values, schema, 1_795_445_000_000 + i)],
          }))
          const context = newContext()
          const second = decodeRemoteWrite2(encode('Request', requestOf(all)), context)
          const first = decodeRemoteWrite(
            encode('WriteRequest', {
              timeseries: all.map(({ labels, ...rest }) => ({
                labels: labels.map(([name, metric]) => ({ name, value: metric })),
                ...rest,
              })),
            }),
            newContext(),
          )
          expect(context.rejected.text()).toBe('')
          expect(second.written).toEqual({ samples: 0, histograms: list.length, exemplars: 0 })
          expect(samplesOf(second)).toEqual(samplesOf(first))
          for (const [i, { values }] of list.entries()) {
            const rows = samplesOf(second).filter(({ key }) => key.startsWith(`h${i}_`))
            const valueOf = (key: string) => rows.find((row) => row.key === key)!.value
            expect([valueOf(`h${i}_count{}`), valueOf(`h${i}_bucket{le="+Inf"}`)]).toEqual([values.length, values.length])
            for (const { key, value: upTo } of rows) {
              const bound = Number(/le="([^+"]+)"/.exec(key)?.[1] ?? NaN)
              if (!Number.isNaN(bound))
                expect([key, upTo]).toEqual([key, values.filter((one) => (bound < 0 ? one < bound : one <= bound)).length])
            }
          }
        },
      ),
      { numRuns: 150 },
    )
  })

  it('whatever the bytes, a DecodeError is the worst that comes out', () => {
    const histograms = (metric: string) => ({
      labels: [['__name__', metric] as const],
      histograms: [histogramOf([1, 2, 300, -4, 0], 3, 1)],
    })
    fc.assert(
      fc.property(
        fc.array(series, { minLength: 1, maxLength: 3 }),
        fc.array(fc.record({ at: fc.nat(), bit: fc.nat({ max: 7 }) }), { maxLength: 6 }),
        fc.nat(),
        (list, flips, cut) => {
          const bytes = Buffer.from(encode('Request', requestOf([...list.map(objectOf), histograms('h')])))
          for (const { at, bit } of flips) bytes[at % bytes.length]! ^= 1 << bit
          const body = cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes
          try {
            const batch = decodeRemoteWrite2(body, newContext())
            expect(batch.seriesIndex.every((index) => index < batch.series.length)).toBe(true)
          } catch (error) {
            expect(error).toBeInstanceOf(DecodeError)
          }
        },
      ),
      { numRuns: 1000 },
    )
  })
})
