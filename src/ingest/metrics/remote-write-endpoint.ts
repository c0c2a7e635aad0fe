/**
 * The door of Prometheus remote write, 1.0 and 2.0: what it accepts and answers is what Prometheus' own receiver does
 * (https://github.com/prometheus/prometheus/blob/main/storage/remote/write_handler.go), except that series which 1.0 says nothing about
 * are refused by name instead of dropped in silence. Which message it is, is told by `proto=` alone, and unknown ones are refused before the body is touched,
 * so that a sender which tries another form first falls back.
 */
import { DecodeError } from '../../errors.ts'
import { decodeAdapterRecords, decodeAdapterSamples } from './adapter-samples.ts'
import type { DecodeContext } from '../decode-context.ts'
import type { DoorRequest, DoorResponse } from '../door.ts'
import { RETRY_AFTER_S, emptyResponse, statusOf, textResponse, withBody } from '../endpoint.ts'
import type { Endpoint } from '../endpoint.ts'
import { isFramed, unframed } from '../logs/line-records.ts'
import { decodeMimirRecord } from './mimir-record.ts'
import { decodeRemoteWrite2 } from './remote-write-2.ts'
import type { Written } from './remote-write-series.ts'
import { decodeRemoteWrite } from './remote-write.ts'
import { contentEncodingOf, parseMediaType, unsnappy } from '../wire/request-body.ts'
import { rowsOf } from '../split.ts'
import type { RowBatch } from '../split.ts'

const VERSION_1 = 'prometheus.WriteRequest'
const VERSION_2 = 'io.prometheus.write.v2.Request'
const NOTHING: Written = { samples: 0, histograms: 0, exemplars: 0 }

/** https://prometheus.io/docs/specs/prw/remote_write_spec/, https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ */
export const remoteWriteEndpoint: Endpoint = {
  name: 'remote-write',
  path: '/api/v1/write',

  decode(request, context) {
    const second = versionOf(request) === VERSION_2
    const body = remoteWriteBody(request, context.limits.maxDecodedBytes)
    return second ? decodeRemoteWrite2(body, context) : decodeRemoteWrite(body, context)
  },

  native(request, maxBytes) {
    versionOf(request)
    return withBody(request, remoteWriteBody(request, maxBytes).slice())
  },

  accepted(request, context, batch) {
    const headers = writtenHeaders(request, writtenOf(batch))
    return context.rejected.total === 0 ? { ...emptyResponse(204), headers } : rejectedResponse(context, headers)
  },

  refused(request, error) {
    return textResponse(statusOf(error), error.message, writtenHeaders(request, NOTHING))
  },

  unavailable(request, reason) {
    // 503 in both cases: by default Prometheus drops what was answered with 429 (`retry_on_http_429`).
    return textResponse(503, reason === 'overload' ? 'too much in flight, try again' : 'cannot store samples now, try again', {
      'retry-after': RETRY_AFTER_S[reason],
      ...writtenHeaders(request, NOTHING),
    })
  },
}

function rejectedResponse(context: DecodeContext, headers: Readonly<Record<string, string>>): DoorResponse {
  return textResponse(400, `${context.rejected.total} rejected (${context.rejected.text()}); everything else was written`, headers)
}

/** Where a service has spent its budget, what is left counts as samples: which rows were histograms does not show any more. */
function writtenOf(batch: RowBatch): Readonly<Written> {
  return 'written' in batch ? (batch.written as Written) : { ...NOTHING, samples: rowsOf(batch) }
}

/** Only on answers to 2.0; a sender of 1.0 that sees them takes the receiver for one of 2.0. */
function writtenHeaders(request: DoorRequest, { samples, histograms, exemplars }: Readonly<Written>): Record<string, string> {
  if (protoOf(request) !== VERSION_2) return {}
  return {
    'x-prometheus-remote-write-samples-written': String(samples),
    'x-prometheus-remote-write-histograms-written': String(histograms),
    'x-prometheus-remote-write-exemplars-written': String(exemplars),
  }
}

/** The message that is announced; '' when it is none that remote write has. No Content-Type at all means 1.0, as with the real receiver. */
function protoOf(request: DoorRequest): string {
  const header = request.headers['content-type'] ?? ''
  if (header.trim() === '') return VERSION_1
  const media = parseMediaType(header)
  return media?.type === 'application/x-protobuf' ? (media.parameters.get('proto') ?? VERSION_1) : ''
}

function versionOf(request: DoorRequest): typeof VERSION_1 | typeof VERSION_2 {
  const proto = protoOf(request)
  if (proto === VERSION_1 || proto === VERSION_2) return proto
  throw new DecodeError(
    'unsupported',
    `Content-Type must be application/x-protobuf, its proto ${VERSION_1} (taken if it is missing) or ${VERSION_2}`,
  )
}

function remoteWriteBody(request: DoorRequest, maxBytes: number): Uint8Array {
  const encoding = contentEncodingOf(request)
  if (encoding === 'identity') return request.body
  // Some senders forget the header; what they send is snappy all the same.
  if (encoding === 'snappy' || encoding === 'none') return unsnappy(request.body, maxBytes)
  throw new DecodeError('unsupported', 'Content-Encoding must be snappy')
}

/** Decimal; what Mimir puts into the `Version` header of a record as four bytes. */
export const MIMIR_VERSION_HEADER = 'x-mimir-record-version'
export const MIMIR_RECORDS_PATH = '/api/v1/write/mimir'
export const ADAPTER_SAMPLES_PATH = '/api/v1/write/adapter'

/** What other programs put into Kafka; over HTTP it is taken just so. */
const carried: Pick<Endpoint, 'native' | 'accepted' | 'refused' | 'unavailable'> = {
  native: (request) => request,
  accepted: (_request, context) => (context.rejected.total === 0 ? emptyResponse(204) : rejectedResponse(context, {})),
  refused: (_request, error) => textResponse(statusOf(error), error.message),
  unavailable: (request, reason) => remoteWriteEndpoint.unavailable(request, reason),
}

const mimirRecordEndpoint: Endpoint = {
  ...carried,
  name: 'mimir-record',
  path: MIMIR_RECORDS_PATH,
  decode: (request, context) => decodeMimirRecord(Number(request.headers[MIMIR_VERSION_HEADER] ?? 0), plainBody(request), context),
}

const adapterSamplesEndpoint: Endpoint = {
  ...carried,
  name: 'adapter-samples',
  path: ADAPTER_SAMPLES_PATH,
  decode: (request, context) =>
    isFramed(request) ? decodeAdapterRecords(unframed(request.body), context) : decodeAdapterSamples(plainBody(request), context),
}

function plainBody(request: DoorRequest): Uint8Array {
  const encoding = contentEncodingOf(request)
  if (encoding === 'none' || encoding === 'identity') return request.body
  throw new DecodeError('unsupported', 'Content-Encoding must be missing: these records are not compressed')
}

export const REMOTE_WRITE_ENDPOINTS: readonly Endpoint[] = [remoteWriteEndpoint, mimirRecordEndpoint, adapterSamplesEndpoint]
