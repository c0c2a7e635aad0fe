/**
 * One recorded request as bytes: varint length, JSON header `{"t": arrival in ms, "p": path, "h": headers}`, varint length, body. Reading takes
 * chunks of any size and checks each length before it waits for the bytes.
 */
import { z } from 'zod'
import { PermanentError } from '../../errors.ts'
import type { DoorRequest } from '../door.ts'

/** Headers that decide how a request is read; nothing else is kept, credentials least of all. */
const KEPT_HEADERS = [
  'content-type',
  'content-encoding',
  'x-prometheus-remote-write-version',
  'x-mimir-record-version',
  'x-tocsin-service',
  'ce-specversion',
  'ce-id',
  'ce-source',
  'ce-type',
  'ce-subject',
  'ce-time',
  'ce-service',
] as const
/** Longer ones are refused by every door, and still are when they are cut here; all of them fit into a frame. */
const MAX_KEPT_CHARS = 20_000
const MAX_HEADER_BYTES = 512 * 1024

const headerSchema = z.object({ t: z.number(), p: z.string(), h: z.record(z.string(), z.string()) })

export function appendFrame(request: DoorRequest): Uint8Array {
  const kept: Record<string, string> = {}
  for (const name of KEPT_HEADERS) {
    const value = request.headers[name]
    if (value !== undefined) kept[name] = value.slice(0, MAX_KEPT_CHARS)
  }
  const header = Buffer.from(JSON.stringify({ t: request.receivedMs, p: request.path, h: kept }))
  return Buffer.concat([varint(header.length), header, varint(request.body.length), request.body])
}

export async function* framesOf(chunks: AsyncIterable<unknown>, maxBodyBytes: number): AsyncGenerator<DoorRequest, void, void> {
  const input = new ChunkReader(chunks)
  while (await input.more()) {
    const header = await input.bytes(await input.varint(MAX_HEADER_BYTES))
    const { t, p, h } = headerSchema.parse(JSON.parse(header.toString('utf8')))
    const body = await input.bytes(await input.varint(maxBodyBytes))
    yield { path: p, headers: h, body, receivedMs: t }
  }
}

class ChunkReader {
  readonly #chunks: AsyncIterator<unknown>
  #buffer: Buffer = Buffer.alloc(0)
  #at = 0

  constructor(chunks: AsyncIterable<unknown>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  async more(): Promise<boolean> {
    while (this.#at === this.#buffer.length) {
      const next = await this.#chunks.next()
      if (next.done === true) return false
      this.#buffer = next.value as Buffer
      this.#at = 0
    }
    return true
  }

  async varint(maximum: number): Promise<number> {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      if (!(await this.more())) throw cutOff()
      const byte = this.#buffer[this.#at++]!
      value += (byte & 0x7f) * scale
      if (value > maximum) throw new PermanentError(`a length of ${value} bytes is announced, ${maximum} is the most there can be`)
      if (byte < 0x80) return value
    }
  }

  async bytes(byteCount: number): Promise<Buffer> {
    const pieces: Buffer[] = []
    for (let left = byteCount; left > 0;) {
      if (!(await this.more())) throw cutOff()
      const piece = this.#buffer.subarray(this.#at, this.#at + left)
      this.#at += piece.length
      left -= piece.length
      pieces.push(piece)
    }
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
  }
}

function cutOff(): PermanentError {
  return new PermanentError('it ends in the middle of a request')
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return Buffer.from([...bytes, rest])
}
