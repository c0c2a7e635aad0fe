/**
 * JSON out of a request body: UTF-8, with or without a byte order mark; whatever is wrong with it is a DecodeError. What JSON.parse makes of a
 * few bytes can be twenty times as large, so the values in a large body are counted before it is parsed.
 */
import { DecodeError, messageOf } from '../../errors.ts'

/** Half a gigabyte at worst, ten times what senders put into one request. */
const MAX_VALUES = 2_000_000
const MAX_DEPTH = 100_000
/** Smaller bodies cannot do harm, whatever they hold. */
const SMALL_BYTES = 1024 * 1024

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c

export function parseJson(body: Uint8Array): unknown {
  expectFewValues(body)
  try {
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text)
  } catch (error) {
    // Not only syntax: a body may be longer than a string can be.
    throw new DecodeError('malformed', `the body is not JSON: ${messageOf(error).slice(0, 200)}`, { cause: error })
  }
}

/** Refuses JSON that would become more than we want to hold. */
export function expectFewValues(body: Uint8Array): void {
  if (body.length <= SMALL_BYTES) return
  let values = 0
  let depth = 0
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]!
    if (byte === QUOTE) {
      at++
      while (at < body.length && body[at] !== QUOTE) at += body[at] === BACKSLASH ? 2 : 1
    } else if (byte === COMMA) values++
    // `[` and `{`, `]` and `}` differ in this bit only.
    else if ((byte | 0x20) === 0x7b) {
      values++
      if (++depth > MAX_DEPTH) throw new DecodeError('too-deep', `the body is nested more than ${MAX_DEPTH} deep`)
    } else if ((byte | 0x20) === 0x7d) depth--
  }
  if (values > MAX_VALUES) throw new DecodeError('too-large', `the body has more than ${MAX_VALUES} values: send smaller ones`)
}
