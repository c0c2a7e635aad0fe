/** OTLP metrics that protobufjs writes are read as it wrote them, and JSON of the same message is the same batch. */
import * as fc from 'fast-check'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import type { MetricBatch } from '../../src/model.ts'
import { DecodeError } from '../../src/errors.ts'
import { decodeOtlpMetricsJson } from '../../src/ingest/metrics/otlp-metrics-json.ts'
import { decodeOtlpMetrics } from '../../src/ingest/metrics/otlp-metrics.ts'
import { newContext, samplesOf } from './doors-fixture.ts'

const MetricsData = protobuf
  .parse(`
syntax = "proto3";
message MetricsData { repeated ResourceMetrics resourceMetrics = 1; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scopeMetrics = 2; string schemaUrl = 3; }
message Resource { repeated KeyValue attributes = 1; uint32 droppedAttributesCount = 2; }
message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; string schemaUrl = 3; }
message Scope { string name = 1; string version = 2; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string stringValue = 1; bool boolValue = 2; int64 intValue = 3; double doubleValue = 4; } }
message Metric {
  string name = 1; string description = 2; string unit = 3; Gauge gauge = 5; Sum sum = 7; Histogram histogram = 9;
  ExponentialHistogram exponentialHistogram = 10; Summary summary = 11; repeated KeyValue metadata = 12;
}
message Gauge { repeated NumberDataPoint dataPoints = 1; }
message Sum { repeated NumberDataPoint dataPoints = 1; int32 aggregationTemporality = 2; bool isMonotonic = 3; }
message Histogram { repeated HistogramDataPoint dataPoints = 1; int32 aggregationTemporality = 2; }
message ExponentialHistogram { repeated ExponentialHistogramDataPoint dataPoints = 1; int32 aggregationTemporality = 2; }
message Summary { repeated SummaryDataPoint dataPoints = 1; }
message NumberDataPoint {
  fixed64 startTimeUnixNano = 2; fixed64 timeUnixNano = 3; oneof value { double asDouble = 4; sfixed64 asInt = 6; }
  repeated Exemplar exemplars = 5; repeated KeyValue attributes = 7; uint32 flags = 8;
}
message Exemplar { fixed64 timeUnixNano = 2; double asDouble = 3; bytes spanId = 4; }
message HistogramDataPoint {
  fixed64 startTimeUnixNano = 2; fixed64 timeUnixNano = 3; fixed64 count = 4; optional double sum = 5; repeated fixed64 bucketCounts = 6;
  repeated double explicitBounds = 7; repeated Exemplar exemplars = 8; repeated KeyValue attributes = 9; uint32 flags = 10; optional double min = 11;
}
message ExponentialHistogramDataPoint {
  repeated KeyValue attributes = 1; fixed64 startTimeUnixNano = 2; fixed64 timeUnixNano = 3; fixed64 count = 4; optional double sum = 5;
  sint32 scale = 6; fixed64 zeroCount = 7; Buckets positive = 8; Buckets negative = 9; uint32 flags = 10; repeated Exemplar exemplars = 11;
  double zeroThreshold = 14;
}
message Buckets { sint32 offset = 1; repeated uint64 bucketCounts = 2; }
message SummaryDataPoint {
  fixed64 startTimeUnixNano = 2; fixed64 timeUnixNano = 3; fixed64 count = 4; double sum = 5; repeated Quantile quantileValues = 6;
  repeated KeyValue attributes = 7; uint32 flags = 8;
}
message Quantile { double quantile = 1; double value = 2; }
`)
  .root.lookupType('MetricsData')

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

const encoded = (value: object) => MetricsData.encode(MetricsData.fromObject(value)).finish()
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
