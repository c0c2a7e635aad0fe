/** OTLP/gRPC with the exporters of the OpenTelemetry SDK, and with callers that mean no good. */
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { Client, credentials, Metadata, status } from '@grpc/grpc-js'
import type { ServiceError } from '@grpc/grpc-js'
import { SeverityNumber } from '@opentelemetry/api-logs'
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-grpc'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { AddressInUseError, openGrpcDoors } from '../../src/ingest/otlp/grpc.ts'
import type { GrpcDoors } from '../../src/ingest/otlp/grpc.ts'
import { fixture, openDoors } from './doors-fixture.ts'
import type { Opened } from './doors-fixture.ts'
import { decode, encode } from './protobuf-oracle.ts'

const METRICS = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export'
const TRACES = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (let undo = cleanup.pop(); undo !== undefined; undo = cleanup.pop()) await undo()
})

async function open(settings: Record<string, unknown> = {}, token = ''): Promise<Opened & { grpc: GrpcDoors; address: string }> {
  const opened = openDoors(settings)
  const { door, config, telemetry } = opened
  const grpc = await openGrpcDoors({ host: '127.0.0.1', port: 0, door, limits: config.limits, token, telemetry, clock: () => Date.now() })
  cleanup.push(() => grpc.stop(1000))
  return { ...opened, grpc, address: `127.0.0.1:${grpc.port}` }
}

interface Answer {
  readonly code: status
  readonly details: string
  readonly body: Buffer | undefined
  readonly metadata: Metadata | undefined
}

/** One call with a message as it is. */
function call(address: string, path: string, body: Buffer, metadata = new Metadata(), options = {}): Promise<Answer> {
  const client = new Client(address, credentials.createInsecure(), { 'grpc.max_send_message_length': -1, ...options })
  cleanup.push(() => client.close())
  const same = (bytes: Buffer) => bytes
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, same, same, body, metadata, (error: ServiceError | null, answer?: Buffer) =>
      resolve(
        error === null
          ? { code: status.OK, details: '', body: answer, metadata: undefined }
          : { code: error.code, details: error.details, body: undefined, metadata: error.metadata },
      ),
    )
  })
}

/** The delay of a RetryInfo, undefined where there is none. */
function retryAfterS({ metadata }: Answer): number | undefined {
  const [details] = metadata?.get('grpc-status-details-bin') ?? []
  if (details === undefined) return undefined
  const text = Buffer.from(details as Buffer)
  expect(text.includes('type.googleapis.com/google.rpc.RetryInfo')).toBe(true)
  return text.at(-1)
}

const resource = resourceFromAttributes({ 'service.name': 'checkout' })

describe('the exporters of the OpenTelemetry SDK', () => {
  it.each([CompressionAlgorithm.NONE, CompressionAlgorithm.GZIP])('traces, compression %s', async (compression) => {
    const { address, transport } = await open()
    const exporter = new OTLPTraceExporter({ url: `http://${address}`, compression })
    const provider = new NodeTracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor(exporter)] })
    provider.getTracer('test').startSpan('GET /cart').end()
    await provider.forceFlush()
    await provider.shutdown()
    const [spans] = transport.of('spans')
    expect(spans).toMatchObject({ rows: 1, operations: ['GET /cart'], sources: [{ service: 'checkout' }] })
  })

  it('metrics', async () => {
    const { address, transport } = await open()
    const reader = new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ url: `http://${address}` }),
      exportIntervalMillis: 3_600_000,
    })
    const provider = new MeterProvider({ resource, readers: [reader] })
    provider.getMeter('test').createCounter('orders', { unit: '{order}' }).add(3, { country: 'de' })
    await provider.forceFlush()
    expect(transport.of('metrics').flatMap(({ series, value }) => [series[0]!.key, series[0]!.type, value[0]])).toEqual([
      'orders_total{country="de",job="checkout"}',
      'counter',
      3,
    ])
    await provider.shutdown()
  })

  it('logs', async () => {
    const { address, transport } = await open()
    const provider = new LoggerProvider({
      resource,
      processors: [new SimpleLogRecordProcessor({ exporter: new OTLPLogExporter({ url: `http://${address}` }) })],
    })
    provider.getLogger('test').emit({ body: 'order lost', severityNumber: SeverityNumber.ERROR })
    await provider.forceFlush()
    await provider.shutdown()
    expect(transport.of('logs')[0]).toMatchObject({ rows: 1, body: ['order lost'], sources: [{ service: 'checkout' }] })
  })
})

describe('answers', () => {
  it('an empty request is a success', async () => {
    const { address } = await open()
    for (const path of [METRICS, TRACES])
      expect(await call(address, path, Buffer.alloc(0))).toMatchObject({ code: status.OK, body: Buffer.alloc(0) })
  })

  it('says in the response what was not taken', async () => {
    const { address, transport } = await open()
    const span = {
      traceId: Buffer.alloc(16, 1),
      spanId: Buffer.alloc(8, 1),
      name: 'x',
      startTimeUnixNano: `${Date.now()}000000`,
      endTimeUnixNano: `${Date.now()}000000`,
    }
    const body = encode('TracesData', { resourceSpans: [{ scopeSpans: [{ spans: [span, { ...span, traceId: Buffer.alloc(0) }] }] }] })
    const answer = await call(address, TRACES, Buffer.from(body))
    expect(answer.code).toBe(status.OK)
    expect(decode('ExportTraceServiceResponse', answer.body!)).toEqual({
      partialSuccess: { rejected: '1', errorMessage: 'rejected: 1 bad-trace-id' },
    })
    expect(transport.of('spans')[0]!.rows).toBe(1)
  })

  it('our own failure asks the sender to come back', async () => {
    const { address, transport } = await open()
    transport.failWith = new Error('the broker is away')
    const body = fixture('senders/telemetrygen.otlp-metrics.proto.1.body')
    const answer = await call(address, METRICS, body)
    expect(answer).toMatchObject({ code: status.UNAVAILABLE, details: 'cannot store telemetry now, try again' })
    expect(retryAfterS(answer)).toBe(5)
    transport.failWith = undefined
    expect((await call(address, METRICS, body)).code).toBe(status.OK)
  })

  it('more calls than fit are told to come back, and those under way are answered', async () => {
    const { address, transport } = await open({ limits: { maxBodyBytes: 100_000, maxInFlightBytes: 200_000 } })
    let go = (): void => undefined
    transport.gate = new Promise((resolve) => (go = resolve))
    const body = fixture('senders/telemetrygen.otlp-metrics.proto.1.body')
    // Each on a connection of its own, so that none waits for a free stream.
    const apart = (n: number) => call(address, METRICS, body, new Metadata(), { 'grpc.use_local_subchannel_pool': 1, 'grpc.client_id': n })
    const answers = [apart(1), apart(2)]
    const refused = await vi.waitUntil(async () => {
      const answer = await Promise.race([apart(3), new Promise<undefined>((resolve) => setTimeout(resolve, 200))])
      return answer?.code === status.RESOURCE_EXHAUSTED ? answer : undefined
    })
    expect(refused.details).toBe('too much in flight, try again')
    expect(retryAfterS(refused)).toBe(2)
    go()
    expect((await Promise.all(answers)).map(({ code }) => code)).toContain(status.OK)
  })
})

describe('callers that mean no good', () => {
  it.each([
    ['garbage', Buffer.from('not protobuf, not at all'), status.INVALID_ARGUMENT],
    ['a message cut off', fixture('senders/telemetrygen.otlp-metrics.proto.1.body').subarray(0, 500), status.INVALID_ARGUMENT],
    ['a message that is too large', Buffer.alloc(300_000, 0x0a), status.RESOURCE_EXHAUSTED],
  ])('%s', async (_, body, code) => {
    const { address, transport } = await open({ limits: { maxBodyBytes: 200_000 } })
    const answer = await call(address, METRICS, body)
    expect(answer.code).toBe(code)
    expect(retryAfterS(answer)).toBeUndefined()
    expect(transport.published).toEqual([])
    expect((await call(address, METRICS, Buffer.alloc(0))).code).toBe(status.OK)
  })

  it('a small message that becomes a large one', async () => {
    const { address } = await open({ limits: { maxBodyBytes: 200_000 } })
    expect(gzipSync(Buffer.alloc(50_000_000)).length).toBeLessThan(200_000)
    const answer = await call(address, METRICS, Buffer.alloc(50_000_000), new Metadata(), { 'grpc.default_compression_algorithm': 2 })
    expect(answer.code).toBe(status.RESOURCE_EXHAUSTED)
  })

  it('a method that there is not', async () => {
    const { address } = await open()
    expect((await call(address, '/opentelemetry.proto.collector.trace.v1.TraceService/Import', Buffer.alloc(0))).code).toBe(
      status.UNIMPLEMENTED,
    )
  })

  it('without the token', async () => {
    const { address } = await open({}, 'secret')
    expect((await call(address, METRICS, Buffer.alloc(0))).code).toBe(status.UNAUTHENTICATED)
    const wrong = new Metadata()
    wrong.set('authorization', 'Bearer guess')
    expect((await call(address, METRICS, Buffer.alloc(0), wrong)).code).toBe(status.UNAUTHENTICATED)
    const right = new Metadata()
    right.set('authorization', 'Bearer secret')
    expect((await call(address, METRICS, Buffer.alloc(0), right)).code).toBe(status.OK)
  })

  it('one that does not speak HTTP/2', async () => {
    const { address, grpc } = await open()
    const socket = connect(grpc.port, '127.0.0.1')
    cleanup.push(() => socket.destroy())
    await new Promise((resolve) =>
      socket
        .resume()
        .on('close', resolve)
        .on('error', () => undefined)
        .end('GET / HTTP/1.1\r\n\r\n'),
    )
    expect((await call(address, METRICS, Buffer.alloc(0))).code).toBe(status.OK)
  })
})

describe('the port', () => {
  it('that is taken is told', async () => {
    const { grpc, door, config, telemetry } = await open()
    const options = { host: '127.0.0.1', port: grpc.port, door, limits: config.limits, token: '', telemetry, clock: () => 0 }
    await expect(openGrpcDoors(options)).rejects.toBeInstanceOf(AddressInUseError)
  })

  it('is closed when the calls under way have been answered', async () => {
    const { address, transport, grpc, telemetry } = await open()
    let go = (): void => undefined
    transport.gate = new Promise((resolve) => (go = resolve))
    const body = fixture('senders/telemetrygen.otlp-metrics.proto.1.body')
    const answer = call(address, METRICS, body)
    await vi.waitUntil(async () => (await telemetry.registry.metrics()).includes('tocsin_grpc_calls_under_way 1'))
    const stopped = grpc.stop(5000)
    go()
    expect((await answer).code).toBe(status.OK)
    await stopped
    expect((await call(address, METRICS, body)).code).toBe(status.UNAVAILABLE)
  })
})
