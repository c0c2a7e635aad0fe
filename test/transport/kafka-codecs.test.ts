/** Every codec reads what it wrote, refuses what would fill the memory before unpacking it, and a broken batch becomes a told gap. */
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { compress as zstdCompress } from '@mongodb-js/zstd'
import kafkajs from 'kafkajs'
import Decoder from 'kafkajs/src/protocol/decoder.js'
import decodeBatch from 'kafkajs/src/protocol/recordBatch/v0/decoder.js'
import lz4 from 'lz4-napi'
import snappy from 'snappy'
import { beforeEach, describe, expect, it } from 'vitest'
import { registerCodecs, undecodableOf, unpackLz4, unpackSnappy, unpackZstd } from '../../src/transport/kafka-codecs.ts'

const { CompressionCodecs, CompressionTypes } = kafkajs
const mebibyte = 1024 * 1024
interface Codec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>
  decompress(body: Buffer): Promise<Buffer>
}
const codecOf = (type: keyof typeof CompressionCodecs) => CompressionCodecs[type]() as Codec
const types = {
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
} as const
const names = Object.keys(types) as (keyof typeof types)[]

beforeEach(() => registerCodecs(4 * mebibyte))

const bodies = {
  empty: Buffer.alloc(0),
  'one byte': Buffer.from('a'),
  'three mebibytes of zeros': Buffer.alloc(3 * mebibyte),
  'a mebibyte of noise': randomBytes(mebibyte),
  text: Buffer.from('GET /cart 200 12ms\n'.repeat(5000)),
}

describe.each(names)('%s', (name) => {
  it.each(Object.entries(bodies))('reads what it wrote: %s', async (_what, body) => {
    const codec = codecOf(types[name])
    const back = await codec.decompress(Buffer.from(await codec.compress({ buffer: body })))
    expect(back.equals(body)).toBe(true)
  })

  it('refuses five mebibytes where four are allowed', async () => {
    const codec = codecOf(types[name])
    const packed = Buffer.from(await codec.compress({ buffer: Buffer.alloc(5 * mebibyte) }))
    await expect(codec.decompress(packed)).rejects.toThrow(/allowed|larger than 4194304/)
  })

  it('never crashes or hangs on damage: a cut, a flipped bit, noise', async () => {
    const codec = codecOf(types[name])
    const packed = Buffer.from(await codec.compress({ buffer: bodies.text }))
    const damaged = [packed.subarray(0, packed.length - 5), packed.subarray(0, 3), randomBytes(200), Buffer.alloc(0), Buffer.alloc(64)]
    for (let i = 0; i < 40; i++) {
      const flipped = Buffer.from(packed)
      flipped[(i * 37) % packed.length]! ^= 1 << (i % 8)
      damaged.push(flipped)
    }
    for (const body of damaged) {
      // Either outcome is fine, a codec without a checksum cannot notice everything; it only has to come back, and be bounded.
      const outcome = await codec.decompress(Buffer.from(body)).then(
        (bytes) => bytes.length,
        (error: unknown) => String(error),
      )
      if (typeof outcome === 'number') expect(outcome).toBeLessThanOrEqual(4 * mebibyte)
    }
  })
})

describe('what other writers do', () => {
  it('xerial’s Java library puts snappy blocks behind a header of its own', async () => {
    const parts = [bodies.text, randomBytes(1000)]
    const framed: Uint8Array[] = [Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])]
    for (const part of parts) {
      const block = snappy.compressSync(part)
      const length = Buffer.alloc(4)
      length.writeUInt32BE(block.length)
      framed.push(length, block)
    }
    const framedBytes = Buffer.concat(framed)
    expect((await unpackSnappy(framedBytes, mebibyte)).equals(Buffer.concat(parts))).toBe(true)
    await expect(unpackSnappy(framedBytes, bodies.text.length + 10), 'the limit is for all blocks together').rejects.toThrow('allowed')
    await expect(unpackSnappy(framedBytes.subarray(0, -4), mebibyte)).rejects.toThrow('cut short')
  })

  it('a header that promises little does not help a bomb', async () => {
    const bomb = Buffer.from(await zstdCompress(Buffer.alloc(20 * mebibyte)))
    await expect(unpackZstd(bomb, mebibyte)).rejects.toThrow('allowed')
    await expect(unpackLz4(await lz4.compressFrame(Buffer.alloc(20 * mebibyte)), mebibyte)).rejects.toThrow('allowed')
    const frames = Buffer.concat([Buffer.from(await zstdCompress(Buffer.from('small'))), bomb])
    await expect(unpackZstd(frames, mebibyte), 'a second frame counts, too').rejects.toThrow('allowed')
  })
})

describe('a batch that cannot be read', () => {
  /** A record batch as in a fetch response: https://kafka.apache.org/documentation/#recordbatch */
  const batch = (
    body: Buffer,
    { type, baseOffset, count, lastOffsetDelta }: { type: number; baseOffset: bigint; count: number; lastOffsetDelta: number },
  ) => {
    const header = Buffer.alloc(61)
    header.writeBigInt64BE(baseOffset, 0)
    header.writeInt32BE(body.length + 49, 8)
    header.writeInt8(2, 16)
    header.writeInt16BE(type, 21)
    header.writeInt32BE(lastOffsetDelta, 23)
    header.writeInt32BE(count, 57)
    return Buffer.concat([header, body])
  }
  const read = (bytes: Buffer) => decodeBatch(new Decoder(bytes))

  it.each([
    { what: 'noise', body: randomBytes(80) },
    { what: 'more than allowed', body: gzipSync(Buffer.alloc(5 * mebibyte)) },
    { what: 'fewer records than it says', body: gzipSync(Buffer.from([2, 0])) },
    { what: 'a record of negative length', body: gzipSync(Buffer.from([3, 0, 0, 0])) },
    // Three records each: attributes, time, offset, key, value, headers.
    {
      what: 'a value longer than its record',
      body: gzipSync(Buffer.from([12, 0, 0, 0, 1, 40, 0, 12, 0, 0, 2, 1, 1, 0, 12, 0, 0, 4, 1, 1, 0])),
    },
    { what: 'more headers than bytes', body: gzipSync(Buffer.from([12, 0, 0, 0, 1, 1, 120, 12, 0, 0, 2, 1, 1, 0, 12, 0, 0, 4, 1, 1, 0])) },
    {
      what: 'a record longer than its fields',
      body: gzipSync(Buffer.from([16, 0, 0, 0, 1, 1, 0, 9, 9, 12, 0, 0, 2, 1, 1, 0, 12, 0, 0, 4, 1, 1, 0])),
    },
  ])('($what) becomes empty records at its offsets, which carry the reason', async ({ body }) => {
    const bytes = batch(body, { type: 1, baseOffset: 40n, count: 3, lastOffsetDelta: 5 })
    const { records } = await read(Buffer.concat([Buffer.from('what was fetched before'), bytes]).subarray(23))
    expect(records.map(({ offset }) => offset)).toEqual(['40', '41', '45'])
    const found = records.map(({ headers }) => undecodableOf(headers))
    expect(found[0]).toMatchObject({ firstOffset: 40, lastOffset: 45, records: 3, reason: expect.stringMatching(/\w+/) })
    expect(bytes.equals(found[0]!.bytes), 'the batch as it was fetched').toBe(true)
    expect(found.slice(1), 'one batch, however many records').toEqual([found[0], found[0]])
  })

  it.each([5, 6, 7])('a codec that does not exist yet (%i) is such a batch, too', async (type) => {
    const { records } = await read(batch(randomBytes(80), { type, baseOffset: 0n, count: 1, lastOffsetDelta: 0 }))
    expect(undecodableOf(records[0]!.headers)?.reason).toContain(`codec ${type}`)
  })

  it('nobody can forge the mark', () => {
    expect(undecodableOf({ 'tocsin-undecodable': Buffer.from('hide me') })).toBeUndefined()
    expect(undecodableOf({ 'tocsin-undecodable': 'hide me' })).toBeUndefined()
    expect(undecodableOf(undefined)).toBeUndefined()
  })

  it('a header that does not fit is not believed', async () => {
    await expect(read(batch(randomBytes(80), { type: 1, baseOffset: 0n, count: 2_000_000, lastOffsetDelta: 5 }))).rejects.toThrow()
  })
})
