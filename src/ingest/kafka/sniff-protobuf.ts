/**
 * Tells the protobuf messages apart that are found in Kafka, by one or two levels of their fields: remote write, Loki, OTLP, Jaeger and Zipkin
 * nearly all begin with a message in field 1. What the three OTLP signals are is never told: they have the same shape.
 */
import { DecodeError } from '../../errors.ts'
import { ProtobufReader } from '../wire/protobuf-reader.ts'

export type ProtobufShape = 'otlp' | 'remote-write' | 'remote-write-2' | 'loki-push' | 'loki-stream' | 'jaeger-span' | 'zipkin-spans'

/** Undefined: none of these, or no whole message. */
export function protobufShape(bytes: Uint8Array): ProtobufShape | undefined {
  const first = bytes[0]
  if (first !== 0x0a && first !== 0x1a && first !== 0x22 && first !== 0x2a) return undefined
  try {
    return shapeOf(bytes)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

function shapeOf(bytes: Uint8Array): ProtobufShape | undefined {
  const reader = new ProtobufReader(bytes)
  let seen = 0
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    seen |= 1 << Math.min(tag >>> 3, 31)
    reader.skip(tag)
  }
  // Remote write that says nothing but what its families are.
  if (bytes[0] === 0x1a) return seen === 1 << 3 ? 'remote-write' : undefined
  // Field 4 is the table of symbols, its first one empty, and field 5 a series.
  if (bytes[0] !== 0x0a) return (seen & ~(1 << 4) & ~(1 << 5)) === 0 ? 'remote-write-2' : undefined
  if (isJaegerSpan(bytes)) return 'jaeger-span'
  if (isLokiStream(bytes)) return 'loki-stream'
  // OTLP and Zipkin have nothing but field 1; remote write has metadata in field 3, Loki a format in field 2.
  if ((seen & ~0b1110) !== 0) return undefined
  reader.at = 0
  reader.next()
  reader.enter()
  const inner = innerShape(reader)
  if (inner === undefined || seen === 0b10) return inner
  return inner === 'otlp' || inner === 'zipkin-spans' ? undefined : inner
}

/** The reader is in the message of the first field. */
function innerShape(reader: ProtobufReader): ProtobufShape | undefined {
  const start = reader.at
  if (start === reader.end) return 'otlp'
  if (isZipkinSpan(reader)) return 'zipkin-spans'
  reader.at = start
  const first = reader.next()
  if (first === 0x0a) {
    const outer = reader.enter()
    const shape = reader.bytes[reader.at] === 0x7b ? 'loki-push' : isLabel(reader) ? 'remote-write' : undefined
    if (shape !== undefined) return shape
    reader.end = outer
  }
  reader.at = start
  return isResourceData(reader) ? 'otlp' : undefined
}

/** {1: text, 2: text} and nothing else. A Resource may look so, too, but its field 1 is a message, and no name begins with a control character. */
function isLabel(reader: ProtobufReader): boolean {
  let names = 0
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) {
      const length = reader.uint32()
      const at = reader.take(length)
      if (++names > 1 || length === 0 || reader.bytes[at]! < 0x20) return false
    } else if (tag === 0x12) reader.skip(tag)
    else return false
  }
  return names === 1
}

/** ResourceSpans, ResourceMetrics, ResourceLogs: a resource, what its scopes recorded, a schema URL, and a field that is no longer in use. */
function isResourceData(reader: ProtobufReader): boolean {
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag !== 0x0a && tag !== 0x12 && tag !== 0x1a && tag !== 1000 * 8 + 2) return false
    reader.skip(tag)
  }
  return true
}

/** A trace id of 16 bytes, then a span id of 8. https://github.com/jaegertracing/jaeger-idl/blob/main/proto/api_v2/model.proto */
function isJaegerSpan(bytes: Uint8Array): boolean {
  return bytes[1] === 16 && bytes[18] === 0x12 && bytes[19] === 8
}

/** Ids of 8 or 16 bytes in fields 1 and 3, of 8 in 2. https://github.com/openzipkin/zipkin-api/blob/master/zipkin.proto */
function isZipkinSpan(reader: ProtobufReader): boolean {
  let ids = 0
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a || tag === 0x12 || tag === 0x1a) {
      const length = reader.uint32()
      reader.take(length)
      if (length !== 8 && (tag !== 0x0a || length !== 16)) return false
      if (tag !== 0x12) ids++
    } else reader.skip(tag)
  }
  return ids === 2
}

/** A stream by itself begins with its labels, a push request with a stream. */
function isLokiStream(bytes: Uint8Array): boolean {
  const reader = new ProtobufReader(bytes)
  reader.next()
  const labels = reader.uint32()
  return labels >= 2 && reader.bytes[reader.take(labels)] === 0x7b && reader.bytes[reader.at - 1] === 0x7d
}
