/**
 * The wire formats as protobufjs knows them, which reads strictly: bytes that are no UTF-8 are an error, messages in pieces are merged, fields of an
 * unexpected wire type are unknown. `canonical` is a body as protobufjs understands it, written anew: a reader must find the same in both.
 */
import protobuf from 'protobufjs'
import { WIRE_SCHEMA } from '../ingest/wire-schema.ts'
import { parseFields } from './mutate-protobuf.ts'

const { root } = protobuf.parse(WIRE_SCHEMA, { keepCase: true })

export function encode(type: string, value: object): Buffer {
  const message = root.lookupType(type)
  return Buffer.from(message.encode(message.fromObject(value)).finish())
}

/**
 * Whether a message that should come once comes in pieces, which are to be merged. No encoder writes that; our readers, which go over a body
 * once, take the last piece.
 */
function hasPieces(type: protobuf.Type, body: Buffer): boolean {
  const seen = new Set<number>()
  for (const { number, wire, bytes } of parseFields(body, Number.POSITIVE_INFINITY) ?? []) {
    const field = type.fieldsById[number]?.resolve()
    if (wire !== 2 || !(field?.resolvedType instanceof protobuf.Type)) continue
    if (!field.repeated && seen.has(number)) return true
    seen.add(number)
    if (hasPieces(field.resolvedType, bytes)) return true
  }
  return false
}

/** Undefined when protobufjs refuses the body, or when we are known to see it otherwise. */
export function canonical(type: string, body: Buffer): Buffer | undefined {
  const message = root.lookupType(type)
  let decoded
  try {
    decoded = message.decode(body)
  } catch {
    // Whatever it does not like; what our reader makes of such a body is for the other properties.
    return undefined
  }
  if (hasPieces(message, body)) return undefined
  return Buffer.from(message.encode(decoded).finish())
}
