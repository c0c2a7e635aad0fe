/** The wire formats as protobufjs knows them: it writes what the decoders read, and reads what they read, independently of them. */
import protobuf from 'protobufjs'
import { WIRE_SCHEMA } from './wire-schema.ts'

const root = protobuf.parse(WIRE_SCHEMA).root

export function encode(type: string, value: object): Uint8Array {
  const message = root.lookupType(type)
  return message.encode(message.fromObject(value)).finish()
}

export function decode(type: string, bytes: Uint8Array): Record<string, unknown> {
  const message = root.lookupType(type)
  return message.toObject(message.decode(bytes), { longs: String, bytes: String, defaults: true })
}

/** One length-delimited field by hand, for messages in an order that no encoder writes. */
export function field(number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(varint(number * 8 + 2)), Buffer.from(varint(bytes.length)), bytes])
}

export function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return [...bytes, rest]
}
