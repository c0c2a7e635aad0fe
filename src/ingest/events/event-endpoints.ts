/** The doors of things that happen once: alerts as an Alertmanager takes and as it posts them, and changes. */
import { DecodeError } from '../../errors.ts'
import { decodeAlertmanagerWebhook } from './alertmanager-webhook.ts'
import { decodeAlerts } from './alerts.ts'
import { contentModeOf } from './cloud-events.ts'
import type { DoorRequest } from '../door.ts'
import { RETRY_AFTER_S, emptyResponse, jsonResponse, statusOf, withBody } from '../endpoint.ts'
import type { Endpoint } from '../endpoint.ts'
import { decodeEvents } from './events.ts'
import { contentEncodingOf, parseMediaType, unzip } from '../wire/request-body.ts'

/** Names that come again after ten seconds are believed: see ServiceRegistry. */
const SERVICE_LIMIT_RETRY_S = '15'

const alertsEndpoint: Endpoint = {
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

/** Where Prometheus before 3.0 posts with `api_version: v1`: the same body, another answer. Alertmanager had it until 0.26. */
const alertsV1Endpoint: Endpoint = {
  ...alertsEndpoint,
  name: 'alerts-v1',
  path: '/api/v1/alerts',
  accepted: (request, context, batch) =>
    context.rejected.total === 0 ? jsonResponse(200, { status: 'success' }) : alertsEndpoint.accepted(request, context, batch),
}

/** Alertmanager sends again after a 5xx and nothing else, so overload is one, too. https://github.com/prometheus/alertmanager/blob/main/notify/util.go */
const webhookEndpoint: Endpoint = {
  ...alertsEndpoint,
  name: 'alertmanager',
  path: '/api/v1/alertmanager',
  decode: (request, context) => decodeAlertmanagerWebhook(jsonBody(request, context.limits.maxDecodedBytes), context),
  // It would not repeat itself for hours: the whole group comes again, and what was taken of it is the same alert as before.
  accepted: (request, context, batch) =>
    context.rejected.has('service-limit')
      ? alertsEndpoint.unavailable(request, 'failure')
      : alertsEndpoint.accepted(request, context, batch),
}

const eventsEndpoint: Endpoint = {
  name: 'changes',
  path: '/api/v1/events',
  decode: (request, context) => decodeEvents(request.headers, eventBody(request, context.limits.maxDecodedBytes), context),
  native: (request, maxBytes) => withBody(request, eventBody(request, maxBytes)),
  accepted: (_request, context, batch) =>
    jsonResponse(202, {
      ids: batch.kind === 'events' ? batch.events.map((event) => event.id) : [],
      ...(context.skipped.total > 0 && { skipped: Object.fromEntries(context.skipped.entries()) }),
    }),
  // That there are too many services is no fault of the event: a name that comes again is taken sooner.
  refused: (_request, error) =>
    error.reason === 'service-limit'
      ? jsonResponse(429, { error: error.message }, { 'retry-after': SERVICE_LIMIT_RETRY_S })
      : jsonResponse(statusOf(error), { error: error.message }),
  unavailable: (_request, reason) =>
    jsonResponse(
      reason === 'overload' ? 429 : 503,
      { error: 'cannot take events now, try again' },
      { 'retry-after': RETRY_AFTER_S[reason] },
    ),
}

export const EVENT_ENDPOINTS: readonly Endpoint[] = [alertsEndpoint, alertsV1Endpoint, webhookEndpoint, eventsEndpoint]

/** Only what says that it is JSON: a form on another site can post text, but not this type. */
function jsonBody(request: DoorRequest, maxBytes: number): Uint8Array {
  if (parseMediaType(request.headers['content-type'] ?? '')?.type !== 'application/json') {
    throw new DecodeError('unsupported', 'Content-Type must be application/json')
  }
  return plainBody(request, maxBytes)
}

/** A CloudEvent in binary mode may hold anything: no form can send its headers. */
function eventBody(request: DoorRequest, maxBytes: number): Uint8Array {
  const type = parseMediaType(request.headers['content-type'] ?? '')?.type
  if (contentModeOf(request.headers) === 'none' && type !== 'application/json' && type !== 'application/cdevents+json')
    throw new DecodeError('unsupported', 'Content-Type must be application/json or application/cloudevents+json')
  return plainBody(request, maxBytes)
}

function plainBody(request: DoorRequest, maxBytes: number): Uint8Array {
  const encoding = contentEncodingOf(request)
  if (encoding === 'unsupported' || encoding === 'snappy')
    throw new DecodeError('unsupported', 'Content-Encoding must be gzip, deflate or none')
  return unzip(request.body, encoding, maxBytes)
}
