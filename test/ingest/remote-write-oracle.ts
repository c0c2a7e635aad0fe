/** Remote write as its senders make it: requests, their labels as references, histograms of observations. */
import { compressSync } from 'snappy'
import { post } from './doors-fixture.ts'
import { encode } from './protobuf-oracle.ts'

export interface SeriesObject {
  readonly labels: readonly (readonly [string, string])[]
  readonly samples?: readonly object[]
  readonly histograms?: readonly object[]
  readonly exemplars?: readonly object[]
  readonly metadata?: object
  readonly createdTimestamp?: number
}

export interface RequestObject {
  readonly symbols: string[]
  readonly timeseries: object[]
}

/** Label pairs as references; symbols in order of first use. */
export function requestOf(series: readonly SeriesObject[], symbols: string[] = ['']): RequestObject {
  const refOf = (text: string) => (symbols.includes(text) ? symbols.indexOf(text) : symbols.push(text) - 1)
  return { symbols, timeseries: series.map(({ labels, ...rest }) => ({ labelsRefs: labels.flat().map(refOf), ...rest })) }
}

export const VERSION_2 = {
  'content-type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request',
  'content-encoding': 'snappy',
  'x-prometheus-remote-write-version': '2.0.0',
}
export const VERSION_1 = { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' }

export const snappy = (bytes: Uint8Array) => compressSync(Buffer.from(bytes))
export const post2 = (request: RequestObject) => post('/api/v1/write', VERSION_2, snappy(encode('Request', request)))
export const post1 = (request: object) => post('/api/v1/write', VERSION_1, snappy(encode('WriteRequest', request)))

/** What Prometheus' client library makes of observations: an integer histogram of a schema, with spans and deltas. */
export function histogramOf(observations: readonly number[], schema: number, timestamp: number, zeroThreshold = 2 ** -128) {
  const buckets = (values: readonly number[]) => {
    const counts = new Map<number, number>()
    for (const value of values) {
      // The first bucket whose bound 2^(index / 2^schema) is not below the value.
      let index = Math.ceil(Math.log2(value) * 2 ** schema)
      while (2 ** ((index - 1) / 2 ** schema) >= value) index--
      while (2 ** (index / 2 ** schema) < value) index++
      counts.set(index, (counts.get(index) ?? 0) + 1)
    }
    const spans: { offset: number; length: number }[] = []
    const deltas: number[] = []
    let next = 0
    let last = 0
    for (const [index, count] of [...counts].sort((a, b) => a[0] - b[0])) {
      if (spans.length > 0 && index === next) spans.at(-1)!.length++
      else spans.push({ offset: spans.length === 0 ? index : index - next, length: 1 })
      deltas.push(count - last)
      last = count
      next = index + 1
    }
    return { spans, deltas }
  }
  const positive = buckets(observations.filter((value) => value > zeroThreshold))
  const negative = buckets(observations.filter((value) => value < -zeroThreshold).map((value) => -value))
  return {
    countInt: observations.length,
    sum: observations.reduce((sum, value) => sum + value, 0),
    schema,
    zeroThreshold,
    zeroCountInt: observations.filter((value) => Math.abs(value) <= zeroThreshold).length,
    positiveSpans: positive.spans,
    positiveDeltas: positive.deltas,
    negativeSpans: negative.spans,
    negativeDeltas: negative.deltas,
    timestamp,
  }
}
