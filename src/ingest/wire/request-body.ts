/**
 * From a request to the bytes that a decoder reads: media type and content encoding understood, compression taken off within the limit.
 * Decompression is bounded before and while it runs, so a small body cannot become a large one.
 */
import { gunzipSync, inflateRawSync, inflateSync } from 'node:zlib'
import { DecodeError, messageOf } from '../../errors.ts'
import type { DoorRequest } from '../door.ts'
import { SnappyBlocks } from './snappy-block.ts'
import { unzstd } from './zstd.ts'

export interface MediaType {
  /** Lower case, `application/json`. */
  readonly type: string
  readonly parameters: ReadonlyMap<string, string>
}

const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const TYPE = new RegExp(`^\\s*(${TOKEN}/${TOKEN})\\s*`)
const PARAMETER = new RegExp(`^;\\s*(?:(${TOKEN})=(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)")\\s*)?`)

/** Undefined when it cannot be parsed. https://www.rfc-editor.org/rfc/rfc9110#name-media-type */
export function parseMediaType(header: string): MediaType | undefined {
  const type = TYPE.exec(header)
  if (type === null) return undefined
  const parameters = new Map<string, string>()
  let rest = header.slice(type[0].length)
  while (rest !== '') {
    const match = PARAMETER.exec(rest)
    if (match === null) return undefined
    if (match[1] !== undefined) parameters.set(match[1].toLowerCase(), match[2] ?? match[3]!.replace(/\\(.)/g, '$1'))
    rest = rest.slice(match[0].length)
  }
  return { type: type[1]!.toLowerCase(), parameters }
}

export type ContentEncoding = 'none' | 'identity' | 'snappy' | 'gzip' | 'deflate' | 'unsupported'

/** `none` when the header is missing or empty, which is not the same as `identity`: some senders forget to say `snappy`. */
export function contentEncodingOf(request: DoorRequest): ContentEncoding {
  const value = (request.headers['content-encoding'] ?? '').trim().toLowerCase()
  switch (value) {
    case '':
      return 'none'
    case 'identity':
    case 'snappy':
    case 'gzip':
    case 'deflate':
      return value
    case 'x-gzip':
      return 'gzip'
    default:
      return 'unsupported'
  }
}

const snappyBlocks = new SnappyBlocks()

/** The result is valid until the next call: decode it at once. */
export function unsnappy(body: Uint8Array, maxBytes: number): Uint8Array {
  return snappyBlocks.decode(body, maxBytes)
}

export function unzip(body: Uint8Array, encoding: ContentEncoding, maxBytes: number): Uint8Array {
  if (encoding === 'gzip') return inflated(() => gunzipSync(body, { maxOutputLength: maxBytes }), maxBytes)
  if (encoding !== 'deflate') return body
  // HTTP says zlib, Go's `flate` sends the bare stream: the zlib header has a check.
  const zlib = body.length > 1 && (body[0]! & 0x0f) === 8 && (body[0]! * 256 + body[1]!) % 31 === 0
  return inflated(() => (zlib ? inflateSync : inflateRawSync)(body, { maxOutputLength: maxBytes }), maxBytes)
}

/** For doors that take zstd as well. Those of remote write and Loki refuse it, as the real ones do: vmagent then turns to snappy. */
export function unpacked(request: DoorRequest, maxBytes: number): Uint8Array {
  if ((request.headers['content-encoding'] ?? '').trim().toLowerCase() === 'zstd') return unzstd(request.body, maxBytes)
  const encoding = contentEncodingOf(request)
  if (encoding === 'unsupported' || encoding === 'snappy')
    throw new DecodeError('unsupported', 'Content-Encoding must be gzip, zstd, deflate or identity')
  return unzip(request.body, encoding, maxBytes)
}

function inflated(inflate: () => Uint8Array, maxBytes: number): Uint8Array {
  try {
    return inflate()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw new DecodeError('too-large', `the body is larger than ${maxBytes} bytes when it is decompressed`, { cause: error })
    }
    throw new DecodeError('corrupt-gzip', `the body cannot be decompressed: ${messageOf(error)}`, { cause: error })
  }
}
