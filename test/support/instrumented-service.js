/**
 * A small service with ordinary telemetry, in a process of its own: prom-client at /metrics, pino-loki, and traces and logs through the
 * OpenTelemetry SDK, each to every target. `GET /order` is one order, traced and logged; `POST /queue/N` sets a gauge. The packages
 * are those of the example shop; its OTLP log exporter is put together as the published one is, which the shop does not carry.
 *
 *   SERVICE=checkout TARGETS=http://127.0.0.1:4318,… node instrumented-service.js      // sends {url} over IPC; ends at SIGTERM
 */
import { createServer } from 'node:http'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../examples/shop/package.json', import.meta.url))
const { context, SpanKind, SpanStatusCode, trace } = require('@opentelemetry/api')
const { SeverityNumber } = require('@opentelemetry/api-logs')
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-proto')
const { CompressionAlgorithm, OTLPExporterBase } = require('@opentelemetry/otlp-exporter-base')
const { convertLegacyHttpOptions, createOtlpHttpExportDelegate } = require('@opentelemetry/otlp-exporter-base/node-http')
const { JsonLogsSerializer, LogsExporterMetricsHelper } = require('@opentelemetry/otlp-transformer')
const { resourceFromAttributes } = require('@opentelemetry/resources')
const { BatchLogRecordProcessor, LoggerProvider } = require('@opentelemetry/sdk-logs')
const { BatchSpanProcessor, NodeTracerProvider } = require('@opentelemetry/sdk-trace-node')
const { pino } = require('pino')
const prometheus = require('prom-client')

const { SERVICE, TARGETS } = process.env
const targets = TARGETS.split(',')
const resource = resourceFromAttributes({ 'service.name': SERVICE, 'service.version': '1.2.3', 'service.instance.id': `${SERVICE}-1` })

const spans = new NodeTracerProvider({
  resource,
  spanProcessors: targets.map(
    (target) =>
      new BatchSpanProcessor(new OTLPTraceExporter({ url: `${target}/v1/traces`, compression: CompressionAlgorithm.GZIP }), {
        scheduledDelayMillis: 200,
      }),
  ),
})
spans.register()
const tracer = trace.getTracer('orders')

const logs = new LoggerProvider({
  resource,
  processors: targets.map((target) => {
    const options = convertLegacyHttpOptions({ url: `${target}/v1/logs` }, 'LOGS', 'v1/logs', { 'Content-Type': 'application/json' })
    const delegate = createOtlpHttpExportDelegate(options, JsonLogsSerializer, 'otlp_http_json_log_exporter', LogsExporterMetricsHelper)
    return new BatchLogRecordProcessor({ exporter: new OTLPExporterBase(delegate), scheduledDelayMillis: 200 })
  }),
})
const logger = logs.getLogger('orders')

const transport = pino.transport({
  targets: targets.map((host) => ({
    target: require.resolve('pino-loki'),
    options: { host, labels: { service_name: SERVICE }, batching: { interval: 0.2 } },
  })),
})
const lines = pino({ base: { service: SERVICE } }, transport)

const orders = new prometheus.Counter({ name: 'orders_total', help: 'Orders taken' })
const queue = new prometheus.Gauge({ name: 'order_queue_length', help: 'Orders waiting' })
queue.set(3)
let taken = 0

function order() {
  const number = ++taken
  orders.inc()
  const span = tracer.startSpan('POST /order', { kind: SpanKind.SERVER })
  const inside = trace.setSpan(context.active(), span)
  const { traceId } = span.spanContext()
  const query = tracer.startSpan('INSERT orders', { kind: SpanKind.CLIENT, attributes: { 'db.system.name': 'postgresql' } }, inside)
  query.setStatus({ code: SpanStatusCode.ERROR, message: 'deadlock detected' })
  query.end()
  lines.warn({ trace_id: traceId, order: number }, `order ${number} is slow`)
  logger.emit({ severityNumber: SeverityNumber.ERROR, severityText: 'ERROR', body: `order ${number} was tried again`, context: inside })
  span.end()
  return traceId
}

const server = createServer((request, response) => {
  if (request.url === '/metrics') {
    void prometheus.register.metrics().then((text) => response.setHeader('content-type', prometheus.register.contentType).end(text))
  } else if (request.url === '/order') response.end(order())
  else {
    queue.set(Number(request.url.split('/').at(-1)))
    response.end()
  }
})
server.listen(0, '127.0.0.1', () => process.send({ url: `http://127.0.0.1:${server.address().port}` }))

async function stop() {
  server.close()
  const flushed = new Promise((resolve) => transport.once('close', resolve))
  transport.end()
  await Promise.all([spans.shutdown(), logs.shutdown(), flushed])
  process.exit(0)
}
process.on('SIGTERM', () => void stop())
process.on('disconnect', () => process.exit(1))
