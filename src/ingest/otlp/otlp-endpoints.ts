/**
 * The doors of OTLP/HTTP: traces, metrics and logs, protobuf and JSON, answered in the type of the request. Errors are google.rpc.Status; of the
 * 5xx only 502–504 are retried by senders, so a fault of ours is 503. https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
 */
import { DecodeError } from '../../errors.ts'
import type { DecodeContext } from '../decode-context.ts'
import type { DoorRequest, DoorResponse } from '../door.ts'
import { RETRY_AFTER_S, jsonResponse, statusOf, withBody } from '../endpoint.ts'
import type { Endpoint } from '../endpoint.ts'
import { decodeOtlpLogs, decodeOtlpLogsJson } from '../logs/otlp-logs.ts'
import { decodeOtlpMetrics } from '../metrics/otlp-metrics.ts'
import { decodeOtlpMetricsJson } from '../metrics/otlp-metrics-json.ts'
import { decodeOtlpTraces, decodeOtlpTracesJson } from '../spans/otlp-traces.ts'
import { field, varint } from '../wire/protobuf-writer.ts'
import { parseMediaType, unpacked } from '../wire/request-body.ts'
import type { RowBatch } from '../split.ts'

interface Signal {
  readonly name: string
  readonly path: string
  /** The field of partialSuccess that counts what was refused. */
  readonly rejectedField: string
  protobuf(body: Uint8Array, context: DecodeContext): RowBatch
  json(body: Uint8Array, context: DecodeContext): RowBatch
}

export const otlpTracesEndpoint = otlpEndpoint({
  name: 'otlp-traces',
  path: '/v1/traces',
  rejectedField: 'rejectedSpans',
  protobuf: decodeOtlpTraces,
  json: decodeOtlpTracesJson,
})

export const otlpMetricsEndpoint = otlpEndpoint({
  name: 'otlp-metrics',
  path: '/v1/metrics',
  rejectedField: 'rejectedDataPoints',
  protobuf: decodeOtlpMetrics,
  json: decodeOtlpMetricsJson,
})

export const otlpLogsEndpoint = otlpEndpoint({
  name: 'otlp-logs',
  path: '/v1/logs',
  rejectedField: 'rejectedLogRecords',
  protobuf: decodeOtlpLogs,
  json: decodeOtlpLogsJson,
})

function otlpEndpoint(signal: Signal): Endpoint {
  return {
    name: signal.name,
    path: signal.path,

    decode(request, context) {
      const body = bodyOf(request, context.limits.maxDecodedBytes)
      return isJson(request) ? signal.json(body, context) : signal.protobuf(body, context)
    },

    native(request, maxBytes) {
      return withBody(request, bodyOf(request, maxBytes))
    },

    accepted(request, context) {
      const { total } = context.rejected
      const message = total === 0 ? '' : `rejected: ${context.rejected.text()}`
      if (isJson(request))
        return jsonResponse(200, total === 0 ? {} : { partialSuccess: { [signal.rejectedField]: String(total), errorMessage: message } })
      return protobufResponse(
        200,
        total === 0 ? Buffer.alloc(0) : field(1, Buffer.concat([Buffer.of(0x08), varint(total), field(2, Buffer.from(message))])),
      )
    },

    refused(request, error) {
      // 3 is INVALID_ARGUMENT: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
      return statusResponse(request, statusOf(error), 3, error.message)
    },

    unavailable(request, reason) {
      const headers = { 'retry-after': RETRY_AFTER_S[reason] }
      if (reason === 'overload') return statusResponse(request, 429, 8, 'too much in flight, try again', headers)
      return statusResponse(request, 503, 14, 'cannot store telemetry now, try again', headers)
    },
  }
}

function bodyOf(request: DoorRequest, maxBytes: number): Uint8Array {
  const type = parseMediaType(request.headers['content-type'] ?? '')?.type
  if (type !== 'application/x-protobuf' && type !== 'application/json') {
    throw new DecodeError('unsupported', 'Content-Type must be application/x-protobuf or application/json')
  }
  return unpacked(request, maxBytes)
}

function isJson(request: DoorRequest): boolean {
  return parseMediaType(request.headers['content-type'] ?? '')?.type !== 'application/x-protobuf'
}

function statusResponse(
  request: DoorRequest,
  status: number,
  code: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): DoorResponse {
  if (isJson(request)) return jsonResponse(status, { code, message }, headers)
  return protobufResponse(status, Buffer.concat([Buffer.of(0x08, code), field(2, Buffer.from(message))]), headers)
}

function protobufResponse(status: number, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): DoorResponse {
  return { status, headers: { 'content-type': 'application/x-protobuf', ...headers }, body }
}
