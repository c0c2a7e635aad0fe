/** zstd is taken apart within its limit, whatever the frames say of themselves. The oracle is the reference library. */
import { randomBytes } from 'node:crypto'
import { compress } from '@mongodb-js/zstd'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/errors.ts'
import { unzstd } from '../../src/ingest/wire/zstd.ts'
import { JSON_TYPE, fixture, openDoors, post, recorded, spansOf } from './doors-fixture.ts'

const LIMIT = 64 * 1024 * 1024
const MAGIC = Buffer.from('28b52ffd', 'hex')

/** A block: 0 as it is, 1 one byte again and again, 2 compressed. */
function block(type: number, size: number, content: Uint8Array, last: boolean): Buffer {
  const head = Buffer.alloc(3)
  head.writeUIntLE(size * 8 + type * 2 + (last ? 1 : 0), 0, 3)
  return Buffer.concat([head, content])
}

/** A frame that does not say how much it holds, with a window of 8 MiB: what streaming encoders write. */
function streamed(...blocks: Buffer[]): Buffer {
  return Buffer.concat([MAGIC, Buffer.of(0x00, 0x68), ...blocks])
}

function times(count: number, one: Buffer): Buffer[] {
  return Array.from({ length: count }, () => one)
}

function skippable(content: Uint8Array): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x184d2a53, 0)
  head.writeUInt32LE(content.length, 4)
  return Buffer.concat([head, content])
}

function reasonOf(body: Uint8Array, maxBytes = LIMIT): string {
  try {
    unzstd(body, maxBytes)
  } catch (error) {
    if (error instanceof DecodeError) return error.reason
    throw error
  }
  return 'read'
}

describe('what the reference encoder writes', () => {
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a byte', Buffer.from('a')],
    ['text', fixture('kafka/otlp_spans.json.record')],
    ['a batch', fixture('kafka/otlp_spans.proto.record')],
    ['noise', randomBytes(300_000)],
    ['one byte, often', Buffer.alloc(2_000_000, 7)],
    ['noise, zeros and noise', Buffer.concat([randomBytes(150_000), Buffer.alloc(400_000), randomBytes(9)])],
    ['numbers in a row', Buffer.from(Array.from({ length: 300_000 }, (_, i) => (((i * i * 31) >> 3) % 7) + (i % 13)))],
  ])('%s', async (_name, plain) => {
    for (const level of [-7, 1, 3, 6, 12, 19, 22]) {
      const found = unzstd(await compress(plain, level), LIMIT)
      expect(Buffer.compare(found, plain), `level ${level}`).toBe(0)
    }
  })

  it('is read back, however it is made up', async () => {
    const word = fc.constantFrom('http_requests_total', 'a', 'abcabcabc', '\0\0\0\0\0\0\0\0', '{"level":"info"}', 'ü', '0123456789abcdef')
    const part = fc.oneof(
      word.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.nat({ max: 255 }), fc.nat({ max: 70_000 })).map(([byte, length]) => Buffer.alloc(length, byte)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 300 }), fc.integer({ min: -5, max: 19 }), async (parts, level) => {
        const plain = Buffer.concat(parts)
        expect(Buffer.compare(unzstd(await compress(plain, level), LIMIT), plain)).toBe(0)
      }),
      { numRuns: 150 },
    )
  })
})

describe('frames', () => {
  it('several, with some to be skipped between them, are one text', async () => {
    const frames = [
      skippable(Buffer.from('index')),
      await compress(Buffer.from('to be ')),
      streamed(block(0, 3, Buffer.from('or '), false), block(1, 4, Buffer.from('!'), true)),
      skippable(Buffer.alloc(0)),
      await compress(Buffer.from(' not to be'), 19),
    ]
    expect(Buffer.from(unzstd(Buffer.concat(frames), LIMIT)).toString()).toBe('to be or !!!! not to be')
    expect(unzstd(Buffer.alloc(0), LIMIT)).toHaveLength(0)
  })

  it('a match does not reach into the frame before', async () => {
    const noise = randomBytes(128 * 1024)
    const whole = await compress(Buffer.concat([noise, noise]))
    // Magic, descriptor, window; a block of noise as it is; then one that repeats it.
    const secondAt = 6 + 3 + noise.length
    expect(whole[4]).toBe(0)
    expect(whole.readUIntLE(6, 3)).toBe(noise.length * 8)
    const first = Buffer.from([...whole.subarray(6, secondAt)])
    const rest = whole.subarray(secondAt)
    expect(unzstd(streamed(first, rest), LIMIT)).toHaveLength(noise.length * 2)
    first[0]! |= 1
    expect(reasonOf(streamed(first))).toBe('read')
    expect(reasonOf(Buffer.concat([streamed(first), streamed(rest)]))).toBe('corrupt-zstd')
  })
})

describe('the limit', () => {
  it('stops a bomb that declares its size before memory is taken', async () => {
    const bomb = await compress(Buffer.alloc(200_000_000))
    expect(bomb.length).toBeLessThan(20_000)
    expect(reasonOf(bomb, 1_000_000)).toBe('too-large')
  })

  it('stops a bomb that declares nothing, at the block that goes beyond it', () => {
    const zeros = block(1, 128 * 1024, Buffer.of(0), false)
    const bomb = streamed(...times(100_000, zeros), block(0, 0, Buffer.alloc(0), true))
    const { arrayBuffers } = process.memoryUsage()
    expect(reasonOf(bomb, 10_000_000)).toBe('too-large')
    expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(40_000_000)
  })

  it('holds for the work, too: blocks may be small, but not all of very many', () => {
    const small = (bytes: number) => block(0, bytes, Buffer.alloc(bytes, 'x'), false)
    const last = block(0, 0, Buffer.alloc(0), true)
    expect(reasonOf(streamed(...times(4_000, small(1)), last))).toBe('read')
    expect(reasonOf(streamed(...times(20_000, small(2_000)), last))).toBe('read')
    expect(reasonOf(streamed(...times(20_000, small(1)), last))).toBe('corrupt-zstd')
  })

  it('counts the frames together', async () => {
    const frame = await compress(Buffer.alloc(1_000))
    expect(reasonOf(Buffer.concat(times(10, frame)), 10_000)).toBe('read')
    expect(reasonOf(Buffer.concat(times(11, frame)), 10_000)).toBe('too-large')
  })

  it('is exact', async () => {
    const plain = randomBytes(5_000)
    expect(reasonOf(await compress(plain), 5_000)).toBe('read')
    expect(reasonOf(await compress(plain), 4_999)).toBe('too-large')
  })

  it('does not believe a frame that declares less than it holds', () => {
    // One segment, one byte for the size: 5, and then ten bytes.
    const lying = Buffer.concat([MAGIC, Buffer.of(0x20, 5), block(0, 5, Buffer.alloc(5), false), block(0, 5, Buffer.alloc(5), true)])
    expect(reasonOf(lying)).toBe('corrupt-zstd')
    expect(reasonOf(Buffer.concat([MAGIC, Buffer.of(0x20, 5), block(0, 4, Buffer.alloc(4), true)]))).toBe('corrupt-zstd')
  })
})

describe('damage', () => {
  it.each([
    ['no frame', Buffer.from('hello, world')],
    ['a frame for a dictionary', Buffer.concat([MAGIC, Buffer.of(0x21, 7, 0), block(0, 0, Buffer.alloc(0), true)])],
    ['a reserved block type', streamed(block(3, 0, Buffer.alloc(0), true))],
    ['a block above 128 KiB', streamed(block(1, 128 * 1024 + 1, Buffer.of(0), true))],
    ['a skippable frame cut short', skippable(Buffer.alloc(10)).subarray(0, 12)],
  ])('%s is refused', (_name, body) => {
    expect(reasonOf(body)).toBe('corrupt-zstd')
  })

  it('cut off anywhere, it is refused', async () => {
    const good = await compress(fixture('kafka/otlp_spans.proto.record'), 3)
    for (let length = 1; length < good.length; length++) expect(reasonOf(good.subarray(0, length)), `${length} bytes`).toBe('corrupt-zstd')
  })

  it('changed anywhere, it is read or refused and no larger than allowed', async () => {
    const texts = [fixture('kafka/otlp_spans.proto.record'), fixture('kafka/otlp_spans.json.record').subarray(0, 4_000)]
    const seeds = await Promise.all(texts.flatMap((text) => [1, 19].map(async (level) => compress(text, level))))
    const change = fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat({ max: 255 }))
    fc.assert(
      fc.property(fc.nat({ max: seeds.length - 1 }), fc.array(change, { minLength: 1, maxLength: 6 }), (which, changes) => {
        const body = Buffer.from(seeds[which]!)
        for (const [at, byte] of changes) body[Math.floor(at * body.length)] = byte
        try {
          expect(unzstd(body, 100_000).length).toBeLessThanOrEqual(100_000)
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError)
        }
      }),
      { numRuns: 4_000 },
    )
  })
})

describe('doors', () => {
  it('the Collector with compression: zstd', async () => {
    const { door, transport } = openDoors({}, 1)
    const response = await door.accept(recorded('otel-collector.otlp-traces.proto-zstd.1'))
    expect(response.status).toBe(200)
    const spans = spansOf(transport.of('spans')[0]!)
    expect(spans).toHaveLength(10)
    expect(new Set(spans.map(({ service }) => service))).toEqual(new Set(['telemetrygen']))
  })

  it('a bomb is 413, damage 400, in the type of the request', async () => {
    const { door } = openDoors({ limits: { maxDecodedBytes: 100_000 } })
    const headers = { 'content-type': 'application/x-protobuf', 'content-encoding': 'zstd' }
    const bomb = await door.accept(post('/v1/traces', headers, await compress(Buffer.alloc(1_000_000))))
    expect([bomb.status, bomb.headers['content-type']]).toEqual([413, 'application/x-protobuf'])
    const damaged = await door.accept(post('/v1/logs', { ...JSON_TYPE, 'content-encoding': 'zstd' }, 'damaged'))
    expect([damaged.status, JSON.parse(String(damaged.body))]).toMatchObject([400, { code: 3 }])
  })

  it.each([
    ['/api/v1/write', 'application/x-protobuf', 415],
    ['/loki/api/v1/push', 'application/json', 400],
  ])('%s refuses zstd with %s: %i', async (path, type, status) => {
    const { door } = openDoors()
    const body = await compress(Buffer.from('{"streams":[]}'))
    expect((await door.accept(post(path, { 'content-type': type, 'content-encoding': 'zstd' }, body))).status).toBe(status)
  })
})
