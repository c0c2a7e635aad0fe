/** The door of Zipkin's `POST /api/v2/spans`, JSON and protobuf, answered 202 as Zipkin does. https://zipkin.io/zipkin-api/#/default/post_spans */
import { DecodeError } from '../../errors.ts'
import type { DoorRequest } from '../door.ts'
import { RETRY_AFTER_S, emptyResponse, statusOf, textResponse, withBody } from '../endpoint.ts'
import type { Endpoint } from '../endpoint.ts'
import { parseMediaType, unpacked } from '../wire/request-body.ts'
import { decodeZipkinJson, decodeZipkinProto } from './zipkin.ts'

export const zipkinEndpoint: Endpoint = {
  name: 'zipkin',
  path: '/api/v2/spans',

  decode(request, context) {
    const isProtobuf = typeOf(request) === 'application/x-protobuf'
    const body = unpacked(request, context.limits.maxDecodedBytes)
    return isProtobuf ? decodeZipkinProto(body, context) : decodeZipkinJson(body, context)
  },

  native(request, maxBytes) {
    return withBody(request, unpacked(request, maxBytes))
  },

  accepted(_request, context) {
    if (context.rejected.total === 0) return emptyResponse(202)
    return textResponse(202, `${context.rejected.total} spans rejected (${context.rejected.text()}); everything else was taken`)
  },

  refused(_request, error) {
    return textResponse(statusOf(error), error.message)
  },

  unavailable(_request, reason) {
    return textResponse(reason === 'overload' ? 429 : 503, 'cannot take spans now, try again', { 'retry-after': RETRY_AFTER_S[reason] })
  },
}

/** Without a type it is JSON, as Zipkin has it. */
function typeOf(request: DoorRequest): string {
  const header = request.headers['content-type'] ?? ''
  const type = header === '' ? 'application/json' : parseMediaType(header)?.type
  if (type === 'application/json' || type === 'application/x-protobuf') return type
  throw new DecodeError('unsupported', 'Content-Type must be application/json or application/x-protobuf: this door reads Zipkin v2')
}
