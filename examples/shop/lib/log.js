/** The service's log: JSON lines, pushed to Loki by pino-loki and written to standard output as well. */
import { trace } from '@opentelemetry/api'
import pino from 'pino'

const { SERVICE, VERSION, LOKI_URL, LOKI_INTERVAL_MS, TOKEN } = process.env

const transport = pino.transport({
  targets: [
    {
      target: 'pino-loki',
      options: {
        host: LOKI_URL,
        labels: { service_name: SERVICE },
        headers: TOKEN ? { authorization: `Bearer ${TOKEN}` } : {},
        batching: { interval: Number(LOKI_INTERVAL_MS) / 1000 },
        timeout: 5000,
      },
    },
    { target: 'pino/file', options: { destination: 1 } },
  ],
})

export const log = pino(
  {
    base: { service: SERVICE, version: VERSION },
    // What ties a line to its trace.
    mixin() {
      const context = trace.getActiveSpan()?.spanContext()
      return context ? { trace_id: context.traceId, span_id: context.spanId } : {}
    },
  },
  transport,
)

/** Ends the log; resolves when the last lines have been pushed. */
export function closeLog() {
  return new Promise((resolve) => {
    transport.once('close', resolve)
    transport.end()
  })
}
