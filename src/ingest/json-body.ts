/** JSON out of a request body: UTF-8, with or without a byte order mark; whatever is wrong with it is a DecodeError. */
import { DecodeError, messageOf } from '../errors.ts'

export function parseJson(body: Uint8Array): unknown {
  try {
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text)
  } catch (error) {
    // Not only syntax: a body may be longer than a string can be.
    throw new DecodeError('malformed', `the body is not JSON: ${messageOf(error).slice(0, 200)}`, { cause: error })
  }
}
