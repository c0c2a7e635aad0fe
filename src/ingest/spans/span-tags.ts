/**
 * What the tags of Jaeger and Zipkin spans say that OTLP has fields for: kind, status, peer. Names are those of OpenTracing and of
 * OpenTelemetry's exporters: https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/ ,
 * https://github.com/opentracing/specification/blob/master/semantic_conventions.md
 */
import { SpanKind, SpanStatus } from '../../model.ts'
import type { Naming } from '../naming/naming.ts'
import type { Attributes } from '../otlp/otlp-protobuf.ts'

const KINDS: ReadonlyMap<string, number> = new Map(Object.entries(SpanKind))

/** `CLIENT`, `client`; undefined when it is none. */
export function spanKindOf(name: string): number | undefined {
  return KINDS.get(name.toLowerCase())
}

/** `otel.status_code` where there is one, else `error`: Jaeger's is true or false, Zipkin's any text, of which only `false` means no error. */
export function statusOfTags(tags: Attributes): number {
  const code = tags.get('otel.status_code')?.toUpperCase()
  if (code === 'ERROR') return SpanStatus.error
  if (code === 'OK') return SpanStatus.ok
  const error = tags.get('error')
  return error === undefined || error === 'false' ? SpanStatus.unset : SpanStatus.error
}

/** What OpenTracing calls what OpenTelemetry's names stand for. */
const OPENTRACING: ReadonlyMap<string, string> = new Map([
  ['net.peer.name', 'peer.hostname'],
  ['net.peer.port', 'peer.port'],
  ['db.system', 'db.type'],
])

export function peerOfTags(kind: number, tags: Attributes, naming: Naming): string {
  if (kind !== SpanKind.client && kind !== SpanKind.producer) return ''
  return naming.peer((name) => tags.get(name) ?? tags.get(OPENTRACING.get(name) ?? name))
}
