/** The doors of Prometheus remote write and of Loki push: what they accept and answer is what the real receivers do. */
import { DecodeError } from '../errors.ts'
import type { DecodeContext } from './decode-context.ts'
import type { DoorRequest } from './door.ts'
import { RETRY_AFTER_S, emptyResponse, statusOf, textResponse, withBody } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import { decodeLokiJson, decodeLokiProtobuf } from './loki.ts'
import { decodeRemoteWrite } from './remote-write.ts'
import { contentEncodingOf, parseMediaType, unsnappy, unzip } from './request-body.ts'

function unsupported(message: string): DecodeError {
  return new DecodeError('unsupported', message)
}

/** https://prometheus.io/docs/specs/prw/remote_write_spec/ */
export const remoteWriteEndpoint: Endpoint = {
  name: 'remote-write',
  path: '/api/v1/write',

  decode(request, context) {
    return decodeRemoteWrite(remoteWriteBody(request, context.limits.maxDecodedBytes), context)
  },

  native(request, maxBytes) {
    return withBody(request, remoteWriteBody(request, maxBytes).slice())
  },

  accepted(_request, context) {
    if (context.rejected.total === 0) return emptyResponse(204)
    return textResponse(400, `${context.rejected.total} rejected (${context.rejected.text()}); everything else was written`)
  },

  refused(_request, error) {
    return textResponse(statusOf(error), error.message)
  },

  unavailable(_request, reason) {
    // 503 in both cases: by default Prometheus drops what was answered with 429 (`retry_on_http_429`).
    return textResponse(503, reason === 'overload' ? 'too much in flight, try again' : 'cannot store samples now, try again', {
      'retry-after': RETRY_AFTER_S[reason],
    })
  },
}

function remoteWriteBody(request: DoorRequest, maxBytes: number): Uint8Array {
  const media = parseMediaType(request.headers['content-type'] ?? '')
  const proto = media?.parameters.get('proto') ?? 'prometheus.WriteRequest'
  if (media?.type !== 'application/x-protobuf' || proto !== 'prometheus.WriteRequest') {
    throw unsupported(
      'this door reads remote write 1.0: Content-Type must be application/x-protobuf, proto=prometheus.WriteRequest if given',
    )
  }
  const encoding = contentEncodingOf(request)
  if (encoding === 'identity') return request.body
  // Some senders forget the header; what they send is snappy all the same.
  if (encoding === 'snappy' || encoding === 'none') return unsnappy(request.body, maxBytes)
  throw unsupported('Content-Encoding must be snappy')
}

/** https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs */
export const lokiEndpoint: Endpoint = {
  name: 'loki',
  path: '/loki/api/v1/push',

  decode(request, context) {
    const { json, body } = lokiBody(request, context.limits.maxDecodedBytes)
    return json ? decodeLokiJson(body, context) : decodeLokiProtobuf(body, context)
  },

  native(request, maxBytes) {
    return withBody(request, lokiBody(request, maxBytes).body.slice())
  },

  accepted(_request, context: DecodeContext) {
    if (context.rejected.total === 0) return emptyResponse(204)
    return textResponse(400, `${context.rejected.total} lines rejected (${context.rejected.text()}); everything else was stored`)
  },

  refused(_request, error) {
    const status = error.reason === 'no-streams' ? 422 : error.reason === 'too-large' ? 413 : 400
    return textResponse(status, error.message)
  },

  unavailable(_request, reason) {
    return textResponse(reason === 'overload' ? 429 : 503, 'cannot store lines now, try again', { 'retry-after': RETRY_AFTER_S[reason] })
  },
}

/** JSON by its media type; anything else is protobuf in a snappy block, whether Content-Encoding says so or not. */
function lokiBody(request: DoorRequest, maxBytes: number): { json: boolean; body: Uint8Array } {
  const header = request.headers['content-type'] ?? ''
  const media = header === '' ? undefined : parseMediaType(header)
  if (header !== '' && media === undefined) throw new DecodeError('malformed', 'Content-Type cannot be parsed')
  const encoding = contentEncodingOf(request)
  if (encoding === 'unsupported') throw new DecodeError('unsupported-encoding', 'Content-Encoding must be empty, snappy, gzip or deflate')
  const body = unzip(request.body, encoding, maxBytes)
  if (media?.type === 'application/json') return { json: true, body }
  return { json: false, body: encoding === 'identity' ? body : unsnappy(body, maxBytes) }
}
