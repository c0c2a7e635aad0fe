/**
 * The doors of Loki: push, its legacy form, lines as they are, and Loki's own path for OTLP. What they accept and answer is what Loki 3.7 does;
 * a tenant header is ignored, as Loki does without multi-tenancy.
 * https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs
 */
import { DecodeError } from '../../errors.ts'
import type { LogBatch } from '../../model.ts'
import type { DecodeContext } from '../decode-context.ts'
import type { DoorRequest } from '../door.ts'
import { RETRY_AFTER_S, emptyResponse, textResponse, withBody } from '../endpoint.ts'
import type { Endpoint } from '../endpoint.ts'
import { decodeLines } from './json-line.ts'
import { LINES_PATH, SERVICE_HEADER, isFramed, linesOfText, unframed } from './line-records.ts'
import { decodeLegacyLokiJson, decodeLokiJson, decodeLokiProtobuf } from './loki.ts'
import { otlpLogsEndpoint } from '../otlp/otlp-endpoints.ts'
import { contentEncodingOf, parseMediaType, unsnappy, unzip } from '../wire/request-body.ts'
import { rowsOf } from '../split.ts'

const ANSWERS: Pick<Endpoint, 'name' | 'accepted' | 'refused' | 'unavailable'> = {
  name: 'loki',

  accepted(_request, context) {
    const { rejected } = context
    if (rejected.total === 0) return emptyResponse(204)
    // Not 429 for a service that sends too much: clients would send all of it again, the lines of its neighbours for the second time.
    const status = rejected.has('label-too-long') ? 413 : 400
    return textResponse(status, `${rejected.total} lines rejected (${rejected.text()}); everything else was stored`)
  },

  refused(_request, error) {
    const status = error.reason === 'no-streams' ? 422 : error.reason === 'too-large' ? 413 : 400
    return textResponse(status, error.message)
  },

  unavailable(_request, reason) {
    return textResponse(reason === 'overload' ? 429 : 503, 'cannot store lines now, try again', { 'retry-after': RETRY_AFTER_S[reason] })
  },
}

export const LOKI_ENDPOINTS: readonly Endpoint[] = [
  pushEndpoint('/loki/api/v1/push', decodeLokiJson),
  pushEndpoint('/api/prom/push', decodeLegacyLokiJson),
  rawEndpoint(),
  {
    ...otlpLogsEndpoint,
    path: '/otlp/v1/logs',
    accepted: (request, context, batch) =>
      context.rejected.total === 0 ? emptyResponse(204) : otlpLogsEndpoint.accepted(request, context, batch),
  },
]

function pushEndpoint(path: string, decodeJson: (body: Uint8Array, context: DecodeContext) => LogBatch): Endpoint {
  return {
    ...ANSWERS,
    path,

    decode(request, context) {
      const { json, body } = pushBody(request, context.limits.maxDecodedBytes)
      return json ? decodeJson(body, context) : decodeLokiProtobuf(body, context)
    },

    native(request, maxBytes) {
      return withBody(request, pushBody(request, maxBytes).body.slice())
    },
  }
}

/**
 * One line of text per log line, as Alloy's `loki.source.api` takes them: without labels and times of their own, so JSON lines say themselves who
 * wrote them and when. https://grafana.com/docs/alloy/latest/reference/components/loki/loki.source.api/
 */
function rawEndpoint(): Endpoint {
  return {
    ...ANSWERS,
    name: 'lines',
    path: LINES_PATH,

    accepted(request, context, batch) {
      // Records of a topic in one request: those that were refused are counted, the others must not be put aside with them.
      if (isFramed(request) && rowsOf(batch) > 0) return emptyResponse(204)
      return ANSWERS.accepted(request, context, batch)
    },

    decode(request, context) {
      const body = unzipped(request, context.limits.maxDecodedBytes)
      const records = isFramed(request) ? unframed(body) : linesOfText(body, request.receivedMs)
      return decodeLines(records, request.headers[SERVICE_HEADER] ?? '', context)
    },

    native(request, maxBytes) {
      return withBody(request, unzipped(request, maxBytes))
    },
  }
}

/** JSON by its media type; anything else is protobuf in a snappy block, whether Content-Encoding says so or not. */
function pushBody(request: DoorRequest, maxBytes: number): { json: boolean; body: Uint8Array } {
  const header = request.headers['content-type'] ?? ''
  const media = header === '' ? undefined : parseMediaType(header)
  if (header !== '' && media === undefined) throw new DecodeError('malformed', 'Content-Type cannot be parsed')
  const body = unzipped(request, maxBytes)
  if (media?.type === 'application/json') return { json: true, body }
  return { json: false, body: contentEncodingOf(request) === 'identity' ? body : unsnappy(body, maxBytes) }
}

function unzipped(request: DoorRequest, maxBytes: number): Uint8Array {
  const encoding = contentEncodingOf(request)
  if (encoding === 'unsupported') throw new DecodeError('unsupported-encoding', 'Content-Encoding must be empty, snappy, gzip or deflate')
  return unzip(request.body, encoding, maxBytes)
}
