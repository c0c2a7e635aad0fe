/** The spans of the story as OpenTelemetry, Zipkin and Jaeger write them. A span says the same in each form. */
import type { Sent } from './metric-senders.ts'
import { nanos } from './metric-senders.ts'
import { encode } from '../ingest/protobuf-oracle.ts'
import type { Span, Step } from './door-story.ts'
import type { TopicRecord } from './pipeline.ts'

export type SpanSender = (step: Step) => { requests?: Sent[]; records?: TopicRecord[] }

export const JAEGER_TOPIC = 'jaeger-spans'

const KIND = { server: 2, client: 3 }

export function otlpSpans(form: 'protobuf' | 'json'): SpanSender {
  const id = form === 'json' ? (hex: string) => hex : (hex: string) => Buffer.from(hex, 'hex')
  return ({ spans }) => {
    const resourceSpans = [...byPod(spans)].map(([pod, own]) => {
      const { service, version } = own[0]!
      const attributes = { 'service.name': service, 'service.instance.id': pod, 'service.version': version }
      const rows = own.map((span) => ({
        traceId: id(span.traceId),
        spanId: id(span.spanId),
        ...(span.parentId !== '' && { parentSpanId: id(span.parentId) }),
        name: span.name,
        kind: KIND[span.kind],
        startTimeUnixNano: nanos(span.startMs),
        endTimeUnixNano: nanos(span.startMs + span.durationMs),
        status: { code: span.failed ? 2 : 0 },
      }))
      return {
        resource: { attributes: Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } })) },
        scopeSpans: [{ spans: rows }],
      }
    })
    const body = form === 'json' ? Buffer.from(JSON.stringify({ resourceSpans })) : encode('TracesData', { resourceSpans })
    return {
      requests: [
        { path: '/v1/traces', headers: { 'content-type': form === 'json' ? 'application/json' : 'application/x-protobuf' }, body },
      ],
    }
  }
}

export const zipkinSpans: SpanSender = ({ spans }) => {
  const rows = spans.map((span) => ({
    traceId: span.traceId,
    id: span.spanId,
    ...(span.parentId !== '' && { parentId: span.parentId }),
    name: span.name,
    kind: span.kind.toUpperCase(),
    timestamp: Math.round(span.startMs * 1000),
    duration: Math.round(span.durationMs * 1000),
    localEndpoint: { serviceName: span.service },
    tags: span.failed ? { error: 'true' } : {},
  }))
  return { requests: [{ path: '/api/v2/spans', headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(rows)) }] }
}

/** One record each, as the Collector and Jaeger's agent write them. */
export const jaegerRecords: SpanSender = ({ spans }) => ({
  records: spans.map((span) => {
    const text = (key: string, vStr: string) => ({ key, vType: 0, vStr })
    const traceId = Buffer.from(span.traceId, 'hex')
    const fields = {
      traceId,
      spanId: Buffer.from(span.spanId, 'hex'),
      operationName: span.name,
      references: span.parentId === '' ? [] : [{ traceId, spanId: Buffer.from(span.parentId, 'hex'), refType: 0 }],
      startTime: stampOf(span.startMs),
      duration: stampOf(span.durationMs),
      tags: [text('span.kind', span.kind), ...(span.failed ? [{ key: 'error', vType: 1, vBool: true }] : [])],
      process: { serviceName: span.service, tags: [text('hostname', span.pod)] },
    }
    return { topic: JAEGER_TOPIC, value: encode('JaegerSpan', fields) }
  }),
})

function stampOf(ms: number): { seconds: number; nanos: number } {
  return { seconds: Math.floor(ms / 1000), nanos: Math.round((ms % 1000) * 1e6) }
}

function byPod(spans: readonly Span[]): Map<string, Span[]> {
  const pods = new Map<string, Span[]>()
  for (const span of spans) {
    const own = pods.get(span.pod)
    if (own === undefined) pods.set(span.pod, [span])
    else own.push(span)
  }
  return pods
}
