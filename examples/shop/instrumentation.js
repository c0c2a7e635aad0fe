/**
 * OpenTelemetry of a service, loaded before anything else with `node --import ./instrumentation.js`. Only traces: the metrics
 * are Prometheus' and the logs go to Loki, as in many shops that took up tracing last.
 */
import { register } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'

// The logger's worker thread runs this file too (a worker inherits --import), and its pushes to Loki are not the shop's traffic.
if (isMainThread) start()

function start() {
  const { SERVICE, VERSION, INSTANCE, OTLP_URL, OTLP_DELAY_MS, TOKEN } = process.env

  // ESM bindings cannot be patched after the fact; this hook lets the instrumentations see them. Only what is instrumented.
  register('@opentelemetry/instrumentation/hook.mjs', import.meta.url, { data: { include: ['http', 'https', 'pg', 'pg-pool'] } })

  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({
      'service.name': SERVICE,
      'service.version': VERSION,
      'service.instance.id': INSTANCE,
    }),
    spanProcessors: [
      new BatchSpanProcessor(
        new OTLPTraceExporter({
          url: `${OTLP_URL}/v1/traces`,
          compression: CompressionAlgorithm.GZIP,
          headers: TOKEN ? { authorization: `Bearer ${TOKEN}` } : {},
          timeoutMillis: 5000,
        }),
        { scheduledDelayMillis: Number(OTLP_DELAY_MS) },
      ),
    ],
  })
  provider.register()

  registerInstrumentations({
    instrumentations: [
      new HttpInstrumentation({
        // The services call each other with fetch, which is undici's; http's own client here only carries the exported spans.
        disableOutgoingRequestInstrumentation: true,
        ignoreIncomingRequestHook: ({ url }) => /^\/(metrics|healthz|admin)\b/.test(url),
      }),
      new UndiciInstrumentation(),
      new PgInstrumentation({ requireParentSpan: true, ignoreConnectSpans: true }),
    ],
  })

  // `lib/service.js` calls it before the process ends, so that the last batch is not lost.
  globalThis.flushTraces = () => provider.shutdown()

  // A stack trace shows the place in the application, as in a container (/app/services/payments.js), not where it was unpacked.
  const root = dirname(fileURLToPath(import.meta.url))
  Error.prepareStackTrace = (error, frames) =>
    [String(error), ...frames.map(String)].join('\n    at ').replaceAll(`file://${root}`, '/app').replaceAll(root, '/app')
}
