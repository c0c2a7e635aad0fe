/** The doors of things that happen once: alerts as an Alertmanager takes them, and changes as plain JSON. */
import { DecodeError } from '../errors.ts'
import { decodeAlerts } from './alerts.ts'
import { decodeChanges } from './changes.ts'
import type { DoorRequest } from './door.ts'
import { RETRY_AFTER_S, emptyResponse, jsonResponse, statusOf, withBody } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import { contentEncodingOf, parseMediaType, unzip } from './request-body.ts'

export const alertsEndpoint: Endpoint = {
  name: 'alerts',
  path: '/api/v2/alerts',
  decode: (request, context) => decodeAlerts(jsonBody(request, context.limits.maxDecodedBytes), context),
  native: (request, maxBytes) => withBody(request, jsonBody(request, maxBytes)),
  accepted(_request, context) {
    if (context.rejected.total === 0) return emptyResponse(200)
    return jsonResponse(400, `${context.rejected.total} alerts rejected (${context.rejected.text()}); all others were taken`)
  },
  refused: (_request, error) => jsonResponse(statusOf(error), error.message),
  unavailable: (_request, reason) => jsonResponse(503, 'cannot take alerts now, try again', { 'retry-after': RETRY_AFTER_S[reason] }),
}

export const changesEndpoint: Endpoint = {
  name: 'changes',
  path: '/api/v1/events',
  decode: (request, context) => decodeChanges(jsonBody(request, context.limits.maxDecodedBytes), context),
  native: (request, maxBytes) => withBody(request, jsonBody(request, maxBytes)),
  accepted: (_request, _context, batch) => jsonResponse(202, { ids: batch.kind === 'events' ? batch.events.map((event) => event.id) : [] }),
  refused: (_request, error) => jsonResponse(statusOf(error), { error: error.message }),
  unavailable: (_request, reason) =>
    jsonResponse(
      reason === 'overload' ? 429 : 503,
      { error: 'cannot take events now, try again' },
      { 'retry-after': RETRY_AFTER_S[reason] },
    ),
}

/** Only what says that it is JSON: a form on another site can post text, but not this type. */
function jsonBody(request: DoorRequest, maxBytes: number): Uint8Array {
  if (parseMediaType(request.headers['content-type'] ?? '')?.type !== 'application/json') {
    throw new DecodeError('unsupported', 'Content-Type must be application/json')
  }
  const encoding = contentEncodingOf(request)
  if (encoding === 'unsupported' || encoding === 'snappy')
    throw new DecodeError('unsupported', 'Content-Encoding must be gzip, deflate or none')
  return unzip(request.body, encoding, maxBytes)
}
