/** Spans for tests, from short descriptions. */
import { SpanKind, SpanStatus } from '../../src/model.ts'
import type { SpanBatch } from '../../src/model.ts'

export interface TestSpan {
  readonly service: string
  readonly operation?: string
  readonly kind?: keyof typeof SpanKind
  readonly failed?: boolean
  readonly startMs: number
  readonly durationMs: number
  readonly trace?: string
  readonly id?: string
  readonly parent?: string
  readonly peer?: string
}

export function spanBatch(kind: 'spans' | 'links', spans: readonly TestSpan[]): SpanBatch {
  const services = [...new Set(spans.map((span) => span.service))]
  const operations = [...new Set(spans.map((span) => span.operation ?? 'op'))]
  return {
    kind,
    rows: spans.length,
    sources: services.map((service) => ({ service, instance: `${service}-1`, version: '1' })),
    sourceIndex: Uint32Array.from(spans, (span) => services.indexOf(span.service)),
    operations,
    operationIndex: Uint32Array.from(spans, (span) => operations.indexOf(span.operation ?? 'op')),
    spanKind: Uint8Array.from(spans, (span) => SpanKind[span.kind ?? 'server']),
    status: Uint8Array.from(spans, (span) => (span.failed ? SpanStatus.error : SpanStatus.unset)),
    startMs: Float64Array.from(spans, (span) => span.startMs),
    durationMs: Float64Array.from(spans, (span) => span.durationMs),
    traceId: spans.map((span) => span.trace ?? 't'),
    spanId: spans.map((span) => span.id ?? ''),
    parentId: spans.map((span) => span.parent ?? ''),
    peer: spans.map((span) => span.peer ?? ''),
  }
}
