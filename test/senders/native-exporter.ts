/**
 * Something to scrape that only protobuf can say: a native histogram of known observations, a counter with an exemplar and the time it was
 * created. https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import protobuf from 'protobufjs'
import { histogramOf } from '../ingest/remote-write-oracle.ts'

const { root } = protobuf.parse(`
syntax = "proto3";
message MetricFamily { string name = 1; string help = 2; int32 type = 3; repeated Metric metric = 4; }
message Metric { repeated Label label = 1; Counter counter = 3; Histogram histogram = 7; }
message Label { string name = 1; string value = 2; }
message Time { int64 seconds = 1; int32 nanos = 2; }
message Exemplar { repeated Label label = 1; double value = 2; Time timestamp = 3; }
message Counter { double value = 1; Exemplar exemplar = 2; Time createdTimestamp = 3; }
message Span { sint32 offset = 1; uint32 length = 2; }
message Histogram {
  uint64 sampleCount = 1; double sampleSum = 2; sint32 schema = 5; double zeroThreshold = 6; uint64 zeroCount = 7;
  repeated Span positiveSpan = 12; repeated sint64 positiveDelta = 13; Time createdTimestamp = 15; repeated Exemplar exemplars = 16;
}
`)
const TYPE = 'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited'

export interface NativeExporter extends AsyncDisposable {
  readonly host: string
  readonly scrapes: () => number
}

/** Each scrape finds the observations once more than the one before. */
export async function startNativeExporter(observations: readonly number[], createdS: number): Promise<NativeExporter> {
  let scrapes = 0
  const family = root.lookupType('MetricFamily')
  const server = createServer((_request, response) => {
    scrapes++
    const all = Array.from({ length: scrapes }, () => observations).flat()
    const { countInt, sum, schema, zeroThreshold, zeroCountInt, positiveSpans, positiveDeltas } = histogramOf(all, 3, 0)
    const created = { seconds: createdS }
    const exemplar = (value: number) => ({
      label: [{ name: 'trace_id', value: '0af7651916cd43dd8448eb211c80319c' }],
      value,
      timestamp: { seconds: Math.floor(Date.now() / 1000) },
    })
    const histogram = {
      sampleCount: countInt,
      sampleSum: sum,
      schema,
      zeroThreshold,
      zeroCount: zeroCountInt,
      positiveSpan: positiveSpans,
      positiveDelta: positiveDeltas,
      createdTimestamp: created,
      exemplars: [exemplar(observations[0]!)],
    }
    const families = [
      {
        name: 'shop_orders_total',
        help: 'Orders.',
        type: 0,
        metric: [{ counter: { value: scrapes, exemplar: exemplar(1), createdTimestamp: created } }],
      },
      { name: 'shop_wait_seconds', help: 'How long orders wait.', type: 4, metric: [{ histogram }] },
    ]
    response
      .setHeader('content-type', TYPE)
      .end(Buffer.concat(families.map((each) => family.encodeDelimited(family.fromObject(each)).finish())))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    scrapes: () => scrapes,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
