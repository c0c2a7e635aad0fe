/**
 * What OTLP's signals share in protobuf: attributes, values, resources, 64-bit nanoseconds.
 * https://github.com/open-telemetry/opentelemetry-proto (common/v1/common.proto, resource/v1/resource.proto)
 */
import { isUtf8 } from 'node:buffer'
import type { DecodeContext } from '../decode-context.ts'
import type { Source } from '../../model.ts'
import type { ProtobufReader } from '../wire/protobuf-reader.ts'

/** Attributes of one thing, by name; a Map because names come from outside. */
export type Attributes = Map<string, string>

/** Attributes of one thing that are looked at: SDKs send 128 at most, and a body could hold millions. */
export const MAX_ATTRIBUTES = 1024

/**
 * Walks an export request: resource groups (field 1), their scope groups (field 2), their items (field 2). `begin` is told each resource,
 * `item` is called with the reader inside an item, and reads it.
 */
export function eachItem(
  reader: ProtobufReader,
  context: DecodeContext,
  begin: (source: Source) => number,
  item: (sourceIndex: number) => void,
): void {
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag !== 0x0a) {
      reader.skip(tag)
      continue
    }
    const outer = reader.enter()
    const sourceIndex = begin(readResource(reader, context))
    eachScopedItem(reader, () => item(sourceIndex))
    reader.leave(outer)
  }
}

/** The part of it inside one resource group, whose resource has been read. */
export function eachScopedItem(reader: ProtobufReader, item: () => void): void {
  for (let group = reader.next(); group !== 0; group = reader.next()) {
    if (group !== 0x12) {
      reader.skip(group)
      continue
    }
    const outer = reader.enter()
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field !== 0x12) {
        reader.skip(field)
        continue
      }
      const itemOuter = reader.enter()
      item()
      reader.leave(itemOuter)
    }
    reader.leave(outer)
  }
}

/** The scope of a resource group's rows: fields come in any order, so the resource is looked for before the rows are read. */
function readResource(reader: ProtobufReader, context: DecodeContext): Source {
  const start = reader.at
  const attributes: Attributes = new Map()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag !== 0x0a) {
      reader.skip(tag)
      continue
    }
    const outer = reader.enter()
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 0x0a) readAttribute(reader, attributes, context.limits.maxLabelValueChars)
      else reader.skip(field)
    }
    reader.leave(outer)
  }
  reader.at = start
  return sourceOf(attributes, context)
}

export function sourceOf(attributes: Attributes, context: DecodeContext): Source {
  const lookup = (name: string) => attributes.get(name)
  const { naming } = context
  const service = naming.resourceService(lookup)
  return { service, instance: naming.resourceInstance(lookup), version: naming.version(lookup) }
}

/** One KeyValue, length first. Values that are no scalars are left out, later ones of the same name win. */
export function readAttribute(reader: ProtobufReader, attributes: Attributes, maxBytes: number): void {
  if (attributes.size >= MAX_ATTRIBUTES) {
    reader.take(reader.uint32())
    return
  }
  const outer = reader.enter()
  let name = ''
  let value = ''
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) name = reader.text(maxBytes)
    else if (tag === 0x12) value = readScalar(reader, maxBytes)
    else reader.skip(tag)
  }
  reader.leave(outer)
  attributes.set(name, value)
}

/** An AnyValue, length first, as text when it is a string, boolean or number; else ''. */
export function readScalar(reader: ProtobufReader, maxBytes: number): string {
  const outer = reader.enter()
  let value = ''
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) value = reader.text(maxBytes)
    else if (tag === 0x10) value = reader.int64() === 0 ? 'false' : 'true'
    else if (tag === 0x18) value = String(reader.int64())
    else if (tag === 0x21) value = String(reader.double())
    else {
      // The last of a oneof counts; a field of another wire type is none of it.
      if (tag === 0x2a || tag === 0x32 || tag === 0x3a) value = ''
      reader.skip(tag)
    }
  }
  reader.leave(outer)
  return value
}

/** How many values are still read; the rest is stepped over. */
interface ValueBudget {
  left: number
}

/** An AnyValue, length first, as plain data: for log bodies. Its text is cut somewhere, so more values than bytes of it are not read. */
export function readAnyValue(reader: ProtobufReader, maxBytes: number, budget: ValueBudget = { left: maxBytes }): unknown {
  const outer = reader.enter()
  let value: unknown = ''
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) value = reader.text(maxBytes)
    else if (tag === 0x10) value = reader.int64() !== 0
    else if (tag === 0x18) value = reader.int64()
    else if (tag === 0x21) value = reader.double()
    else if (tag === 0x2a || tag === 0x32) value = readValues(reader, tag === 0x32, maxBytes, budget)
    else if (tag === 0x3a) {
      const length = reader.uint32()
      const from = reader.take(length)
      value = textOfBytes(reader.bytes.subarray(from, from + length), maxBytes)
    } else reader.skip(tag)
  }
  reader.leave(outer)
  return value
}

/** Bytes are a line that was not decoded (a file log receiver without an encoding sends those); what is no UTF-8 comes out as base64. */
export function textOfBytes(bytes: Buffer, maxBytes: number): string {
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'base64', 0, Math.min(bytes.length, maxBytes))
}

/** An ArrayValue as an array, a KeyValueList as a Map. */
function readValues(reader: ProtobufReader, keyed: boolean, maxBytes: number, budget: ValueBudget): unknown[] | Map<string, unknown> {
  const outer = reader.enter()
  const list: unknown[] = []
  const map = new Map<string, unknown>()
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag !== 0x0a || --budget.left < 0) reader.skip(tag)
    else if (!keyed) list.push(readAnyValue(reader, maxBytes, budget))
    else {
      const pairOuter = reader.enter()
      let name = ''
      let value: unknown = ''
      for (let field = reader.next(); field !== 0; field = reader.next()) {
        if (field === 0x0a) name = reader.text(maxBytes)
        else if (field === 0x12) value = readAnyValue(reader, maxBytes, budget)
        else reader.skip(field)
      }
      reader.leave(pairOuter)
      map.set(name, value)
    }
  }
  reader.leave(outer)
  return keyed ? map : list
}

/** fixed64 nanoseconds at `at` in milliseconds: to a quarter of a microsecond, as exact as a number holds them. */
export function nanosAt(view: DataView, at: number): number {
  return (view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true)) / 1e6
}

/** The difference of two fixed64 nanoseconds in milliseconds, exact for durations of up to 104 days. */
export function nanosBetween(view: DataView, from: number, to: number): number {
  const high = view.getUint32(to + 4, true) - view.getUint32(from + 4, true)
  return (high * 4294967296 + (view.getUint32(to, true) - view.getUint32(from, true))) / 1e6
}
