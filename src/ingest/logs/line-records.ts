/**
 * Log lines that come one by one (a record of a Kafka topic each, a line of text each) on their way to the decoder, many in one request: framed
 * with the time of their carrier, so that what holds for requests (limits, recording, answers) holds for them.
 */
import { DecodeError } from '../../errors.ts'
import type { DoorRequest } from '../door.ts'

export interface LineRecord {
  readonly value: Uint8Array
  /** When its carrier took it; counts where the line does not say when it was written. */
  readonly timestampMs: number
}

export const LINES_PATH = '/loki/api/v1/raw'
/** The service of lines that name none. */
export const SERVICE_HEADER = 'x-tocsin-service'
const FRAMED_TYPE = 'application/x-tocsin-lines'
/** Length of the line and time, little endian. */
const HEAD_BYTES = 12

/** Many lines as one request. */
export function linesRequest(records: readonly LineRecord[], service: string, receivedMs: number): DoorRequest {
  return framedRequest(LINES_PATH, records, receivedMs, service === '' ? {} : { [SERVICE_HEADER]: service })
}

/** Many records as one request to a door that takes them so. A record that does not know its time has that of the request. */
export function framedRequest(
  path: string,
  records: readonly LineRecord[],
  receivedMs: number,
  more: Readonly<Record<string, string>> = {},
): DoorRequest {
  let length = 0
  for (const { value } of records) length += HEAD_BYTES + value.length
  const body = Buffer.allocUnsafe(length)
  let at = 0
  for (const { value, timestampMs } of records) {
    body.writeUInt32LE(value.length, at)
    body.writeDoubleLE(timestampMs > 0 ? timestampMs : receivedMs, at + 4)
    body.set(value, at + HEAD_BYTES)
    at += HEAD_BYTES + value.length
  }
  return { path, headers: { 'content-type': FRAMED_TYPE, ...more }, body, receivedMs, isOwnPace: true }
}

export function isFramed(request: DoorRequest): boolean {
  return request.headers['content-type'] === FRAMED_TYPE
}

export function unframed(body: Uint8Array): LineRecord[] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const records: LineRecord[] = []
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < HEAD_BYTES) throw cutOff()
    const length = bytes.readUInt32LE(at)
    const timestampMs = bytes.readDoubleLE(at + 4)
    at += HEAD_BYTES
    if (length > bytes.length - at) throw cutOff()
    records.push({ value: bytes.subarray(at, at + length), timestampMs })
    at += length
  }
  return records
}

/** The lines of a text; empty ones are none. */
export function linesOfText(body: Uint8Array, timestampMs: number): LineRecord[] {
  const records: LineRecord[] = []
  for (let from = 0; from < body.length;) {
    const newline = body.indexOf(10, from)
    const end = newline < 0 ? body.length : newline
    const to = end > from && body[end - 1] === 13 ? end - 1 : end
    if (to > from) records.push({ value: body.subarray(from, to), timestampMs })
    from = end + 1
  }
  return records
}

function cutOff(): DecodeError {
  return new DecodeError('truncated', 'the framed lines end in the middle of one')
}
