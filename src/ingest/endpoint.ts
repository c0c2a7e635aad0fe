/**
 * What differs from door to door: how a request is read, and how good and bad news are put in the dialect of its senders. Everything
 * they share (limits, splitting, publishing, counting) is in doors.ts.
 */
import type { DecodeError } from '../errors.ts'
import type { DecodeContext } from './decode-context.ts'
import type { DoorRequest, DoorResponse } from './door.ts'
import type { RowBatch } from './split.ts'

export interface Endpoint {
  /** Short, for metrics and logs. */
  readonly name: string
  readonly path: string
  /** The largest part of it throws nothing but DecodeErrors, whatever the sender did. */
  decode(request: DoorRequest, context: DecodeContext): RowBatch
  /** The request as it would have been sent without compression: what a recording keeps. */
  native(request: DoorRequest, maxBytes: number): DoorRequest
  /** Everything that was not rejected is safe. */
  accepted(request: DoorRequest, context: DecodeContext, batch: RowBatch): DoorResponse
  refused(request: DoorRequest, error: DecodeError): DoorResponse
  /** Not the sender's fault: it may try again. */
  unavailable(request: DoorRequest, reason: 'overload' | 'failure'): DoorResponse
}

export const RETRY_AFTER_S = { overload: '2', failure: '5' } as const

export function textResponse(status: number, text: string, headers: Readonly<Record<string, string>> = {}): DoorResponse {
  return {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff', ...headers },
    body: `${text}\n`,
  }
}

export function jsonResponse(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): DoorResponse {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) }
}

export function emptyResponse(status: number): DoorResponse {
  return { status, headers: {}, body: '' }
}

/** 413 and 415 where the reason is one of those, else 400. */
export function statusOf(error: DecodeError): number {
  return error.reason === 'too-large' ? 413 : error.reason === 'unsupported' ? 415 : 400
}

export function withBody(request: DoorRequest, body: Uint8Array): DoorRequest {
  return { ...request, headers: { ...request.headers, 'content-encoding': 'identity' }, body }
}
