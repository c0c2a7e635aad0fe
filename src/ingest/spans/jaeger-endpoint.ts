/**
 * The door of Jaeger spans as the Collector and Jaeger itself put them into Kafka, one span in a body: protobuf, or its JSON form. Jaeger's own HTTP
 * port takes Thrift, which is not read: Jaeger clients send OTLP. https://www.jaegertracing.io/docs/latest/architecture/apis/
 */
import { DecodeError } from '../../errors.ts'
import type { Endpoint } from '../endpoint.ts'
import { decodeJaegerJson, decodeJaegerProto } from './jaeger.ts'
import { parseMediaType, unpacked } from '../wire/request-body.ts'
import { zipkinEndpoint } from './zipkin-endpoint.ts'

export const JAEGER_PATH = '/api/v2/spans/jaeger'

/** Answers as the other door of other tracers' spans. */
export const jaegerEndpoint: Endpoint = {
  ...zipkinEndpoint,
  name: 'jaeger',
  path: JAEGER_PATH,

  decode(request, context) {
    const type = parseMediaType(request.headers['content-type'] ?? '')?.type
    if (type !== 'application/json' && type !== 'application/x-protobuf')
      throw new DecodeError('unsupported', 'Content-Type must be application/json or application/x-protobuf: this door reads Jaeger spans')
    const body = unpacked(request, context.limits.maxDecodedBytes)
    return type === 'application/json' ? decodeJaegerJson(body, context) : decodeJaegerProto(body, context)
  },
}
