/**
 * What OTLP's traces and logs share in JSON: enums are integers, ids hex of any case, 64-bit integers text or numbers, unknown fields ignored.
 * https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
import { DecodeError } from '../../errors.ts'
import type { Source } from '../../model.ts'
import type { DecodeContext } from '../decode-context.ts'
import { parseJson } from '../wire/json-body.ts'
import { sourceOf, textOfBytes } from './otlp-protobuf.ts'
import type { Attributes } from './otlp-protobuf.ts'

const MAX_DEPTH = 64

export type JsonObject = Readonly<Record<string, unknown>>

/** The objects of the root's array `field`; a body of another shape is refused. */
export function rootGroups(body: Uint8Array, field: string): JsonObject[] {
  const root = parseJson(body)
  if (!isObject(root)) throw malformed('the body must be an object')
  return objects(root, field)
}

/** The array of objects at `field`; missing or null is none. */
export function objects(parent: JsonObject, field: string): JsonObject[] {
  const value = get(parent, field)
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || !value.every(isObject)) throw malformed(`"${field}" must be an array of objects`)
  return value
}

export function jsonSource(group: JsonObject, context: DecodeContext): Source {
  const resource = get(group, 'resource')
  return sourceOf(isObject(resource) ? jsonAttributes(resource) : new Map(), context)
}

export function jsonAttributes(parent: JsonObject): Attributes {
  const attributes: Attributes = new Map()
  for (const pair of objects(parent, 'attributes')) {
    const value = get(pair, 'value')
    attributes.set(text(pair, 'key'), isObject(value) ? scalarText(value) : '')
  }
  return attributes
}

function scalarText(value: JsonObject): string {
  for (const field of ['stringValue', 'intValue', 'boolValue', 'doubleValue']) {
    const scalar = get(value, field)
    if (typeof scalar === 'string' || typeof scalar === 'number' || typeof scalar === 'boolean') return String(scalar)
  }
  return ''
}

/** An AnyValue as plain data, key-value lists as Maps: for log bodies. */
export function jsonAnyValue(value: unknown, depth = 0): unknown {
  if (!isObject(value)) return ''
  if (depth > MAX_DEPTH) throw new DecodeError('too-deep', `values are nested more than ${MAX_DEPTH} deep`)
  const list = get(value, 'arrayValue')
  if (isObject(list)) return objects(list, 'values').map((item) => jsonAnyValue(item, depth + 1))
  const pairs = get(value, 'kvlistValue')
  if (isObject(pairs))
    return new Map(objects(pairs, 'values').map((pair) => [text(pair, 'key'), jsonAnyValue(get(pair, 'value'), depth + 1)]))
  const bytes = get(value, 'bytesValue')
  if (typeof bytes === 'string') return textOfBytes(Buffer.from(bytes, 'base64'), bytes.length)
  const flag = get(value, 'boolValue')
  if (typeof flag === 'boolean') return flag
  const number = get(value, 'intValue') ?? get(value, 'doubleValue')
  return number === undefined || number === null ? scalarText(value) : Number(number)
}

export function text(parent: JsonObject, field: string): string {
  const value = get(parent, field)
  if (value === undefined || value === null) return ''
  if (typeof value !== 'string') throw malformed(`"${field}" must be text`)
  return value
}

/** Enums, too: their names are not allowed in OTLP. */
export function integer(parent: JsonObject, field: string): number {
  const value = get(parent, field)
  if (value === undefined || value === null) return 0
  const number = typeof value === 'string' && value !== '' ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number)) throw malformed(`"${field}" must be an integer`)
  return number
}

/** Nanoseconds split so that nothing is lost: whole milliseconds, and the nanoseconds beyond them. */
export interface Nanos {
  readonly ms: number
  readonly rest: number
}

export function nanos(parent: JsonObject, field: string): Nanos {
  const value = get(parent, field)
  if (value === undefined || value === null) return { ms: 0, rest: 0 }
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return { ms: Math.floor(value / 1e6), rest: value % 1e6 }
  if (typeof value !== 'string' || !/^\d{1,20}$/.test(value)) throw malformed(`"${field}" must be a number of nanoseconds`)
  return value.length <= 6 ? { ms: 0, rest: Number(value) } : { ms: Number(value.slice(0, -6)), rest: Number(value.slice(-6)) }
}

export function get(parent: JsonObject, field: string): unknown {
  return Object.hasOwn(parent, field) ? parent[field] : undefined
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(message: string): DecodeError {
  return new DecodeError('malformed', message)
}
