/**
 * Damages protobuf messages in the ways that their structure offers: the bytes are taken for a tree of fields, without a schema, a few things in
 * it are changed, and the tree is written again with whatever lengths and tags that makes.
 */
import type { Random } from './random.ts'

interface Field {
  number: number
  wire: number
  /** Of varints, fixed numbers and texts: what follows the tag, without a length. */
  bytes: Buffer
  /** Where the bytes can be taken for a message. */
  fields: Field[] | undefined
  /** Instead of the true length. */
  length: bigint | undefined
  /** Numbers are written with so many bytes more than they need. */
  padding: number
}

const HUGE = [0x7fffffffn, 0xffffffffn, 0x80000000n, 1n << 32n, (1n << 63n) - 1n, (1n << 64n) - 1n, 1n << 35n]
const NUMBERS = [0n, 1n, 2n, 127n, 128n, 1n << 31n, (1n << 31n) - 1n, 1n << 32n, 1n << 53n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n]
const DOUBLES = [
  '0000000000000000',
  '020000000000f07f',
  '010000000000f87f',
  '000000000000f07f',
  '000000000000f0ff',
  '0100000000000000',
  'ffffffffffffffff',
  '0000000000000080',
]
const TEXTS = [
  '',
  '\0',
  '__proto__',
  'constructor',
  'service.name',
  '__name__',
  'job',
  'le',
  '{app="x"}',
  '{',
  'ü',
  '\u{1f514}',
  ' ',
  'x'.repeat(300),
  'trace_id',
  '{"msg":"a"}',
]
const BAD_TEXTS = ['c3', 'eda080', 'ff', 'f4908080'].map((hex) => Buffer.from(hex, 'hex'))

function readVarint(bytes: Buffer, at: number): [value: bigint, at: number] | undefined {
  let value = 0n
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i]
    if (byte === undefined) return undefined
    value |= BigInt(byte & 0x7f) << BigInt(7 * i)
    if (byte < 0x80) return [BigInt.asUintN(64, value), at + i + 1]
  }
  return undefined
}

/** Undefined when these bytes are no message. */
export function parseFields(bytes: Buffer, depth = 0): Field[] | undefined {
  const fields: Field[] = []
  for (let at = 0; at < bytes.length;) {
    const tag = readVarint(bytes, at)
    if (tag === undefined || tag[0] >> 3n === 0n || tag[0] > 0xffffffffn) return undefined
    at = tag[1]
    const field: Field = {
      number: Number(tag[0] >> 3n),
      wire: Number(tag[0] & 7n),
      bytes,
      fields: undefined,
      length: undefined,
      padding: 0,
    }
    let size = field.wire === 1 ? 8 : field.wire === 5 ? 4 : 0
    if (field.wire === 0 || field.wire === 2) {
      const value = readVarint(bytes, at)
      if (value === undefined) return undefined
      if (field.wire === 0) size = value[1] - at
      else {
        at = value[1]
        if (value[0] > BigInt(bytes.length - at)) return undefined
        size = Number(value[0])
      }
    } else if (size === 0) return undefined
    if (size > bytes.length - at) return undefined
    field.bytes = bytes.subarray(at, at + size)
    if (field.wire === 2 && size > 1 && depth < 12) field.fields = parseFields(field.bytes, depth + 1)
    fields.push(field)
    at += size
  }
  return fields
}

function varint(value: bigint, padding = 0): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  bytes.push(Number(rest))
  for (let i = 0; i < padding; i++) {
    bytes[bytes.length - 1]! |= 128
    bytes.push(0)
  }
  return Buffer.from(bytes)
}

function write(fields: readonly Field[]): Buffer {
  const parts: Buffer[] = []
  for (const { number, wire, bytes, fields: inner, length, padding } of fields) {
    parts.push(varint(BigInt(number * 8 + wire), padding))
    const content = inner === undefined ? bytes : write(inner)
    if (wire === 2) parts.push(varint(length ?? BigInt(content.length), padding))
    parts.push(content)
  }
  return Buffer.concat(parts)
}

function copyOf(field: Field): Field {
  return { ...field, fields: field.fields?.map(copyOf) }
}

/** A list of fields somewhere in the tree: the deeper, the likelier than its share. */
function someList(root: Field[], random: Random): Field[] {
  let list = root
  for (;;) {
    const inner = list.filter((field) => field.fields !== undefined && field.fields.length > 0)
    if (inner.length === 0 || random.oneIn(4)) return list
    list = random.pick(inner).fields!
  }
}

function change(root: Field[], other: Field[], random: Random): void {
  const list = someList(root, random)
  if (list.length === 0) return
  const at = random.below(list.length)
  const field = list[at]!
  switch (random.below(19)) {
    case 0:
      list.splice(at, 0, copyOf(field))
      return
    case 1:
      list.splice(at, 1)
      return
    case 2:
      list.splice(random.below(list.length), 0, ...list.splice(at, 1))
      return
    case 3:
      list.reverse()
      return
    case 4:
      field.wire = random.pick([0, 1, 2, 3, 4, 5, 6, 7])
      return
    case 5:
      field.number = random.pick([0, 1, 2, 3, 4, 5, 7, 9, 15, 16, 99, 536_870_911])
      return
    case 6:
      field.length = random.oneIn(2) ? random.pick(HUGE) : BigInt(random.below(2 * field.bytes.length + 2))
      return
    case 7:
      field.padding = 1 + random.below(10)
      return
    case 8:
      field.bytes = Buffer.alloc(0)
      field.fields = undefined
      return
    case 9: {
      // In itself, again and again.
      const depth = 1 + random.below(random.oneIn(8) ? 150 : 6)
      for (let i = 0; i < depth; i++) list[at] = { ...copyOf(field), fields: [list[at]!], wire: 2 }
      return
    }
    case 10: {
      const count = 1 + random.below(random.oneIn(8) ? 200 : 5)
      list.splice(at, 0, ...Array.from({ length: count }, () => copyOf(field)))
      return
    }
    case 11:
      if (other.length > 0) list.splice(at, 0, copyOf(random.pick(someList(other, random))))
      return
    case 12:
      field.fields = undefined
      field.bytes = random.oneIn(5) ? random.pick(BAD_TEXTS) : Buffer.from(random.pick(TEXTS))
      return
    case 13:
    case 14:
      if (field.wire === 0) field.bytes = varint(random.pick(NUMBERS), random.oneIn(4) ? random.below(11) : 0)
      else if (field.wire === 1) field.bytes = Buffer.from(random.pick(DOUBLES), 'hex')
      else field.bytes = random.bytes(random.below(20))
      field.fields = field.wire < 2 ? undefined : field.fields
      return
    case 15:
      // One message in two pieces.
      if (field.fields !== undefined) {
        const cut = random.below(field.fields.length + 1)
        const second = copyOf(field)
        second.fields = field.fields.slice(cut)
        field.fields = field.fields.slice(0, cut)
        list.splice(at + 1 + random.below(list.length - at), 0, second)
      }
      return
    case 16: {
      const unknown = { ...copyOf(field), number: 90 + random.below(40) }
      list.splice(at, 0, unknown)
      return
    }
    case 17:
      list.splice(
        at,
        0,
        { ...field, wire: 3, bytes: Buffer.alloc(0), fields: undefined },
        { ...field, wire: 4, bytes: Buffer.alloc(0), fields: undefined },
      )
      return
    default:
      if (other.length > 0) list[at] = { ...copyOf(random.pick(other)), number: field.number }
  }
}

export function mutateProtobuf(seed: Buffer, other: Buffer, random: Random): Buffer {
  const root = parseFields(seed)
  if (root === undefined) return mutateBytes(seed, other, random)
  const donor = parseFields(other) ?? []
  for (let left = 1 + random.below(random.oneIn(4) ? 12 : 3); left > 0; left--) change(root, donor, random)
  const bytes = write(root).subarray(0, 1 << 20)
  return random.oneIn(12) ? mutateBytes(bytes, other, random) : bytes
}

/** Without regard to what the bytes mean. */
export function mutateBytes(seed: Buffer, other: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(seed)
  const at = random.below(bytes.length + 1)
  const to = Math.min(bytes.length, at + random.below(random.oneIn(4) ? 300 : 12))
  switch (random.below(8)) {
    case 0:
      return bytes.subarray(0, at)
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)])
    case 2:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)])
    case 3:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(random.below(12)), bytes.subarray(at)])
    case 4:
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length + 1))])
    case 5:
      return Buffer.concat([bytes, other])
    default:
      for (let left = 1 + random.below(4); left > 0 && bytes.length > 0; left--) {
        const place = random.below(bytes.length)
        if (random.oneIn(2)) bytes[place]! ^= 1 << random.below(8)
        else bytes[place] = random.pick([0, 1, 0x7f, 0x80, 0xff, 0x22, 0x5c, 0x7b, 0x5b, random.below(256)])
      }
      return bytes
  }
}
