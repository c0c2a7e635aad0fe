/** OTLP metrics that protobufjs writes are read as it wrote them, and JSON of the same message is the same batch. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MetricBatch } from '../../src/model.ts'
import { DecodeError } from '../../src/errors.ts'
import { decodeOtlpMetricsJson } from '../../src/ingest/metrics/otlp-metrics-json.ts'
import { decodeOtlpMetrics } from '../../src/ingest/metrics/otlp-metrics.ts'
import { newContext, samplesOf } from './doors-fixture.ts'
import { encode } from './protobuf-oracle.ts'

const key = fc.constantFrom('service.name', 'service.instance.id', 'http.method', 'http-method', '__proto__', 'le', 'job', 'ünï', '1st')
const scalar = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }).map((text) => ({ stringValue: text.replaceAll('\0', '0') })),
  fc.boolean().map((boolValue) => ({ boolValue })),
  fc.maxSafeInteger().map((n) => ({ intValue: String(n) })),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => ({ doubleValue: Object.is(n, -0) ? 0 : n })),
)
const attributes = fc.uniqueArray(fc.record({ key, value: scalar }), { selector: (pair) => pair.key, maxLength: 4 })
const count = fc.nat(1e6)
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (n === 0 ? 0 : n))
const common = {
  startTimeUnixNano: fc.constant('1795443130000000000'),
  timeUnixNano: fc.bigInt({ min: 1_600_000_000_000_000_000n, max: 1_900_000_000_000_000_000n }).map(String),
  attributes,
  flags: fc.constantFrom(0, 0, 0, 1),
}
const exemplars = fc.array(fc.constant({ timeUnixNano: '1', asDouble: 2 }), { maxLength: 2 })
const numberPoint = fc.oneof(
  fc.record({ ...common, exemplars, asDouble: finite }),
  fc.record({ ...common, asInt: fc.maxSafeInteger().map(String) }),
  fc.record(common),
)
const histogramPoint = fc
  .record({
    ...common,
    exemplars,
    sum: fc.option(finite, { nil: undefined }),
    bounds: fc.uniqueArray(fc.integer(), { maxLength: 30 }),
    counts: fc.array(count, { minLength: 31, maxLength: 31 }),
  })
  .map(({ bounds, counts, ...rest }) => {
    const bucketCounts = counts.slice(0, bounds.length + 1)
    return {
      ...rest,
      count: String(bucketCounts.reduce((sum, n) => sum + n, 0)),
      bucketCounts: bucketCounts.map(String),
      explicitBounds: bounds.sort((a, b) => a - b),
    }
  })
const buckets = fc.record({ offset: fc.integer({ min: -200, max: 200 }), bucketCounts: fc.array(count.map(String), { maxLength: 40 }) })
const exponentialPoint = fc.record({
  ...common,
  count: count.map(String),
  sum: fc.option(finite, { nil: undefined }),
  scale: fc.integer({ min: -11, max: 20 }),
  zeroCount: count.map(String),
  zeroThreshold: fc.double({ min: 0, max: 1, noNaN: true }),
  positive: buckets,
  negative: buckets,
})
const quantile = fc.record({ quantile: fc.double({ min: 0, max: 1, noNaN: true }), value: finite })
const summaryPoint = fc.record({ ...common, count: count.map(String), sum: finite, quantileValues: fc.array(quantile, { maxLength: 3 }) })
const temporality = { aggregationTemporality: fc.constantFrom(0, 1, 2, 2) }
const points = <T>(point: fc.Arbitrary<T>) => fc.array(point, { maxLength: 3 })
const data = fc.oneof(
  fc.record({ gauge: fc.record({ dataPoints: points(numberPoint) }) }),
  fc.record({ sum: fc.record({ ...temporality, isMonotonic: fc.boolean(), dataPoints: points(numberPoint) }) }),
  fc.record({ histogram: fc.record({ ...temporality, dataPoints: points(histogramPoint) }) }),
  fc.record({ exponentialHistogram: fc.record({ ...temporality, dataPoints: points(exponentialPoint) }) }),
  fc.record({ summary: fc.record({ dataPoints: points(summaryPoint) }) }),
)
const metric = fc
  .tuple(fc.constantFrom('http.requests', 'heat', '9lives', '', 'temp_total', 'µ'), fc.constantFrom('', 's', 'By/s', '1', '{x}', '%'), data)
  .map(([name, unit, more]) => ({ name, unit, description: 'words', ...more }))
const message = fc.record({
  resourceMetrics: fc.array(
    fc.record({
      resource: fc.record({ attributes }),
      scopeMetrics: fc.array(fc.record({ metrics: fc.array(metric, { maxLength: 4 }) }), { maxLength: 2 }),
    }),
    { maxLength: 3 },
  ),
})

const encoded = (value: object) => encode('MetricsData', value)
const rows = (batch: MetricBatch) => samplesOf(batch).map((row, i) => ({ ...row, ...batch.series[batch.seriesIndex[i]!]! }))

describe('OTLP metrics', () => {
  it('are the same in protobuf and in JSON, also when their series are known', () => {
    const [known, knownJson] = [newContext(), newContext()]
    fc.assert(
      fc.property(message, (value) => {
        const [first, json] = [newContext(), newContext()]
        const fromJson = rows(decodeOtlpMetricsJson(Buffer.from(JSON.stringify(value)), json))
        expect(rows(decodeOtlpMetrics(encoded(value), first))).toEqual(fromJson)
        expect([first.rejected.text(), first.skipped.text()]).toEqual([json.rejected.text(), json.skipped.text()])
        const again = samplesOf(decodeOtlpMetricsJson(Buffer.from(JSON.stringify(value)), knownJson))
        expect(samplesOf(decodeOtlpMetrics(encoded(value), known))).toEqual(again)
      }),
      { numRuns: 300 },
    )
  })

  it('have every number that was written', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ asDouble: fc.double() }), { maxLength: 20 }), (values) => {
        const dataPoints = values.map((value) => ({ timeUnixNano: '1795443130000000000', ...value }))
        const body = encoded({ resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: 'x', gauge: { dataPoints } }] }] }] })
        expect([...decodeOtlpMetrics(body, newContext()).value]).toEqual(values.map(({ asDouble }) => asDouble))
      }),
    )
  })

  it('that are cut off or damaged are refused or read, and nothing else happens', () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), (value, cut, flips) => {
        const body = Buffer.from(encoded(value))
        for (const [at, byte] of flips) if (body.length > 0) body[at % body.length] = byte
        for (const bytes of [body, body.subarray(0, body.length === 0 ? 0 : cut % body.length)]) {
          try {
            decodeOtlpMetrics(bytes, newContext())
          } catch (error) {
            expect(error).toBeInstanceOf(DecodeError)
          }
        }
      }),
      { numRuns: 500 },
    )
  })
})
