/**
 * Compression as Kafka's other clients write it: gzip, snappy (raw, and in the blocks of xerial's Java library), lz4 frames,
 * zstd. kafkajs brings only gzip and stops for good at anything else.
 *
 * A batch that cannot be unpacked, or would unpack to more than the limit, would stop the consumer too, and again after every
 * restart. So it is replaced by empty records that lead to the reason and the bytes: the reader puts it aside and goes on.
 *
 * Formats: https://kafka.apache.org/documentation/#recordbatch, https://github.com/google/snappy/blob/main/format_description.txt,
 * https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md, https://www.rfc-editor.org/rfc/rfc8878
 */
import { promisify } from 'node:util'
import { gunzip as gunzipCallback, gzip as gzipCallback } from 'node:zlib'
import { compress as zstdCompress, decompress as zstdDecompress } from '@mongodb-js/zstd'
import kafkajs from 'kafkajs'
import lz4 from 'lz4-napi'
import snappy from 'snappy'
import { messageOf } from '../errors.ts'

const { CompressionCodecs, CompressionTypes } = kafkajs
const gzip = promisify(gzipCallback)
const gunzip = promisify(gunzipCallback) as (body: Uint8Array, options: { maxOutputLength: number }) => Promise<Buffer>

type Codec = keyof typeof CompressionCodecs
type Unpack = (body: Buffer, maxBytes: number) => Promise<Buffer>

/** Must run before the first batch is read. The codecs are kafkajs' own table, so the last limit given holds for the process. */
export function registerCodecs(maxDecompressedBytes: number): void {
  const register = (type: Codec, pack: (body: Buffer) => Promise<Buffer>, unpack: Unpack) => {
    const codec = {
      compress: (encoder: { readonly buffer: Buffer }) => pack(encoder.buffer),
      decompress: (body: Buffer) => unpackOrExplain(type, body, unpack, maxDecompressedBytes),
    }
    CompressionCodecs[type] = () => codec
  }
  register(
    CompressionTypes.GZIP,
    (body) => gzip(body),
    (body, maxOutputLength) => gunzip(body, { maxOutputLength }),
  )
  register(CompressionTypes.Snappy, (body) => snappy.compress(body), unpackSnappy)
  register(CompressionTypes.LZ4, (body) => lz4.compressFrame(body), unpackLz4)
  register(CompressionTypes.ZSTD, (body) => zstdCompress(body), unpackZstd)
  // The format has room for three more; kafkajs would read what they packed as if it were not packed at all.
  for (const number of unassignedCodecs) {
    const refuse = () => Promise.reject(new Error(`packed with codec ${number}, which this version does not know`))
    register(number as unknown as Codec, refuse, refuse)
  }
}

const unassignedCodecs = [5, 6, 7] as const

export async function unpackSnappy(body: Buffer, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = []
  if (!body.subarray(0, xerialMagic.length).equals(xerialMagic)) return unpackSnappyBlock(body, maxBytes)
  let bytes = 0
  for (let at = xerialHeaderBytes; at < body.length;) {
    const size = body.readUInt32BE(at)
    at += 4
    if (at + size > body.length) throw new Error(`a snappy block of ${size} bytes is cut short`)
    const part = await unpackSnappyBlock(body.subarray(at, at + size), maxBytes - bytes)
    parts.push(part)
    bytes += part.length
    at += size
  }
  return Buffer.concat(parts)
}

const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
/** Magic, version and the oldest version that can read it. */
const xerialHeaderBytes = 16

async function unpackSnappyBlock(body: Buffer, maxBytes: number): Promise<Buffer> {
  let size = 0
  for (let i = 0; ; i++) {
    const byte = body[i]
    if (byte === undefined || i > 4) throw new Error('not a snappy block: no length in front')
    size += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) break
  }
  refuseOver(maxBytes, size)
  return (await snappy.uncompress(body, { asBuffer: true })) as Buffer
}

export async function unpackLz4(body: Buffer, maxBytes: number): Promise<Buffer> {
  refuseOver(maxBytes, lz4Bound(body))
  return lz4.decompressFrame(body)
}

/** The most that the frames can unpack to, from the block sizes alone. */
function lz4Bound(body: Buffer): number {
  let bound = 0
  let at = 0
  while (at < body.length) {
    if (body.readUInt32LE(at) !== 0x184d2204) throw new Error('not an lz4 frame')
    const flags = body.readUInt8(at + 4)
    const blockMax = 1 << (8 + 2 * ((body.readUInt8(at + 5) >> 4) & 7))
    at += 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0)
    for (;;) {
      const word = body.readUInt32LE(at)
      at += 4
      if (word === 0) break
      const size = word & 0x7fffffff
      bound += word & 0x80000000 ? size : Math.min(blockMax, size * 255)
      at += size + (flags & 0x10 ? 4 : 0)
    }
    if (flags & 0x04) at += 4
  }
  return bound
}

export async function unpackZstd(body: Buffer, maxBytes: number): Promise<Buffer> {
  refuseOver(maxBytes, zstdBound(body))
  return zstdDecompress(body)
}

/** As above: a block unpacks to 128 KiB at most. */
function zstdBound(body: Buffer): number {
  let bound = 0
  let at = 0
  while (at < body.length) {
    const magic = body.readUInt32LE(at)
    if ((magic & 0xfffffff0) >>> 0 === 0x184d2a50) {
      at += 8 + body.readUInt32LE(at + 4) // a frame to be skipped
      continue
    }
    if (magic !== 0xfd2fb528) throw new Error('not a zstd frame')
    const descriptor = body.readUInt8(at + 4)
    const singleSegment = (descriptor & 0x20) !== 0
    const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!
    at += 5 + (singleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]! + contentSizeBytes
    for (let last = false; !last;) {
      const word = body.readUIntLE(at, 3)
      last = (word & 1) !== 0
      const type = (word >> 1) & 3
      const size = word >> 3
      if (type === 3) throw new Error('a zstd block of a reserved type')
      bound += type === 2 ? 131_072 : size
      at += 3 + (type === 1 ? 1 : size)
    }
    if (descriptor & 0x04) at += 4
  }
  return bound
}

function refuseOver(maxBytes: number, bytes: number): void {
  if (bytes > maxBytes) throw new Error(`would unpack to up to ${bytes} bytes, ${maxBytes} are allowed`)
}

// ── what stands in for a batch that cannot be read ──

/** A record batch that no codec could read. */
export interface Undecodable {
  readonly firstOffset: number
  readonly lastOffset: number
  readonly records: number
  readonly reason: string
  /** The batch as the broker sent it: header and packed records, https://kafka.apache.org/documentation/#recordbatch */
  readonly bytes: Uint8Array
}

const markHeader = 'tocsin-undecodable'
/** By the memory of the stand-in, so no producer can forge one. */
const standIns = new WeakMap<ArrayBufferLike, Undecodable>()

/** The batch that this record stands in for; undefined: it is a record. */
export function undecodableOf(headers: Readonly<Record<string, unknown>> | undefined): Undecodable | undefined {
  const mark = headers?.[markHeader]
  return Buffer.isBuffer(mark) ? standIns.get(mark.buffer) : undefined
}

interface BatchHeader {
  readonly baseOffset: number
  readonly lastOffsetDelta: number
  readonly count: number
}

async function unpackOrExplain(type: Codec, body: Buffer, unpack: Unpack, maxBytes: number): Promise<Buffer> {
  const header = headerBefore(body, type)
  try {
    const records = await unpack(body, maxBytes)
    if (header !== undefined) checkRecords(records, header.count)
    return records
  } catch (error) {
    if (header === undefined) throw error
    const { baseOffset, lastOffsetDelta, count } = header
    return standIn(header, {
      firstOffset: baseOffset,
      lastOffset: baseOffset + lastOffsetDelta,
      records: count,
      reason: messageOf(error).slice(0, 500),
      // A copy: the rest of the fetch must not stay in memory for it.
      bytes: Uint8Array.from(new Uint8Array(body.buffer, body.byteOffset - headerBytes, headerBytes + body.length)),
    })
  }
}

const headerBytes = 61

/** kafkajs hands over a view into the fetched bytes, so the header of the batch lies right before it. */
function headerBefore(body: Buffer, type: Codec): BatchHeader | undefined {
  if (body.byteOffset < headerBytes) return undefined
  const header = Buffer.from(body.buffer, body.byteOffset - headerBytes, headerBytes)
  const lastOffsetDelta = header.readInt32BE(23)
  const count = header.readInt32BE(57)
  const codec: number = type
  const plausible =
    header.readInt32BE(8) === body.length + headerBytes - 12 &&
    header.readInt8(16) === 2 &&
    (header.readInt16BE(21) & 7) === codec &&
    count > 0 &&
    count <= lastOffsetDelta + 1
  return plausible ? { baseOffset: Number(header.readBigInt64BE(0)), lastOffsetDelta, count } : undefined
}

/** `count` records, each with its length in front, must fill the bytes, and the fields of each its length: kafkajs trusts them. */
function checkRecords(records: Buffer, count: number): void {
  const reader = new VarintReader(records)
  for (let i = 0; i < count; i++) {
    const length = reader.next()
    const end = reader.at + length
    if (length < 0 || end > records.length) throw new Error(`ends within record ${i + 1} of ${count}`)
    reader.at++ // attributes
    reader.next() // time
    reader.next() // offset
    reader.skip() // key
    reader.skip() // value
    const headers = reader.next()
    if (headers < 0 || headers > length) throw new Error(`record ${i + 1} of ${count} has ${headers} headers in ${length} bytes`)
    for (let header = 0; header < headers; header++) {
      reader.skip()
      reader.skip()
    }
    if (reader.at !== end) throw new Error(`the fields of record ${i + 1} of ${count} do not end where it does`)
  }
}

class VarintReader {
  at = 0
  readonly #bytes: Buffer
  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Zigzag, up to 64 bits; the large ones are times, of which only the length matters. */
  next(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[this.at++]
      if (byte === undefined || shift > 63) throw new Error('ends within a number')
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
  }

  /** A length, and so many bytes; -1 stands for none. */
  skip(): void {
    const length = this.next()
    if (length < -1 || this.at + length > this.#bytes.length) throw new Error(`a field of ${length} bytes is cut short`)
    if (length > 0) this.at += length
  }
}

/** As many records as the batch has, up to its last offset, each with a mark in its headers and nothing else. */
function standIn({ count, lastOffsetDelta }: BatchHeader, undecodable: Undecodable): Buffer {
  const name = Buffer.from(markHeader)
  const parts: Buffer[] = []
  for (let i = 0; i < count; i++) {
    const offsetDelta = i === count - 1 ? lastOffsetDelta : i
    // attributes, time, offset, no key, no value, one header of one byte
    const fields = [
      Buffer.from([0, 0]),
      varint(offsetDelta),
      varint(-1),
      varint(-1),
      varint(1),
      varint(name.length),
      name,
      varint(1),
      Buffer.from([1]),
    ]
    const length = fields.reduce((sum, field) => sum + field.length, 0)
    parts.push(varint(length), ...fields)
  }
  const bytes = Buffer.alloc(parts.reduce((sum, part) => sum + part.length, 0)) // not from the shared pool
  let at = 0
  for (const part of parts) at += part.copy(bytes, at)
  standIns.set(bytes.buffer, undecodable)
  return bytes
}

function varint(value: number): Buffer {
  let rest = value < 0 ? -2 * value - 1 : 2 * value
  const bytes: number[] = []
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
  return Buffer.from(bytes)
}
