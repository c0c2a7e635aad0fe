/**
 * Which names stand at the top of a JSON text, without parsing it: of the object itself, or of the first one where it is an array. Reads no
 * further than it must, so that a batch of a megabyte is known by its first bytes. What is no JSON has names that mean nothing, or none:
 * whether the text is well-formed is for its decoder to say.
 */

export interface JsonOutline {
  readonly isArray: boolean
  /** By name: the first byte of its value. */
  readonly names: ReadonlyMap<string, number>
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

const MAX_SCANNED_BYTES = 64 * 1024
const MAX_NAME_BYTES = 32
const MAX_NAMES = 64

/** Stops at the first name that is one of `decisive`. */
export function jsonOutline(value: Uint8Array, decisive: ReadonlySet<string>): JsonOutline {
  const bytes = Buffer.from(value.buffer, value.byteOffset, Math.min(value.byteLength, MAX_SCANNED_BYTES))
  const names = new Map<string, number>()
  let at = afterSpace(bytes, 0)
  const isArray = bytes[at] === OPEN_ARRAY
  if (isArray) at = afterSpace(bytes, at + 1)
  const outline = { isArray, names }
  if (bytes[at] !== OPEN_OBJECT) return outline
  let depth = 0
  let isName = true
  for (at++; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte === QUOTE) {
      const start = at + 1
      at = closingQuote(bytes, start)
      if (depth > 0 || !isName) continue
      isName = false
      const colon = afterSpace(bytes, at + 1)
      if (bytes[colon] !== COLON) return outline
      if (at - start > MAX_NAME_BYTES) continue
      const name = bytes.toString('latin1', start, at)
      names.set(name, bytes[afterSpace(bytes, colon + 1)] ?? 0)
      if (decisive.has(name) || names.size >= MAX_NAMES) return outline
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      if (depth-- === 0) return outline
    } else if (byte === COMMA && depth === 0) isName = true
  }
  return outline
}

function closingQuote(bytes: Buffer, from: number): number {
  let at = from
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at
}

export function afterSpace(bytes: Uint8Array, from: number): number {
  let at = from
  while (at < bytes.length && (bytes[at] === 0x20 || (bytes[at]! >= 0x09 && bytes[at]! <= 0x0d))) at++
  return at
}
