/**
 * A recording is a folder: `manifest.json` and segments `payloads-NNNN.br` with what arrived at the doors, in native form, content encodings
 * taken off. All of a segment is one brotli stream with a large window, so that a scrape that repeats the last one costs little. A frame is a
 * varint, a JSON header, a varint, the body. The manifest holds a digest of each segment: damage is found and named, never played.
 */
import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { constants, createBrotliCompress, createBrotliDecompress } from 'node:zlib'
import type { BrotliCompress } from 'node:zlib'
import { z } from 'zod'
import { DecodeError, PermanentError, messageOf } from '../../errors.ts'
import type { Door, DoorRequest, DoorResponse } from '../door.ts'
import { ENDPOINTS } from '../doors.ts'
import { appendFrame, framesOf } from './recording-frame.ts'

const FORMAT = 'tocsin-recording'
const VERSION = 1
const SEGMENT_BYTES = 256 * 1024 * 1024
const MAX_NATIVE_BYTES = 64 * 1024 * 1024

const manifestSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(VERSION, { error: `only version ${VERSION} can be read` }),
  requests: z.number().int().nonnegative(),
  firstMs: z.number(),
  lastMs: z.number(),
  /** Requests by path. */
  paths: z.record(z.string(), z.number().int().positive()),
  segments: z.array(
    z.object({ file: z.string().regex(/^payloads-\d{4,}\.br$/), requests: z.number().int().nonnegative(), sha256: z.string() }),
  ),
})
export type RecordingManifest = z.infer<typeof manifestSchema>

export interface RecorderOptions {
  /** Brotli quality: 5 keeps up with anything, 11 is for recordings that are shipped. */
  readonly quality?: number
}

export type Recorder = Door & { close(): Promise<void> }

/** Writes down what arrives and passes it on. What `inner` asks to have sent again is not written: it will come again. */
export async function createRecorder(folder: string, inner: Door, options: RecorderOptions = {}): Promise<Recorder> {
  let existing: string[]
  try {
    await mkdir(folder, { recursive: true })
    existing = await readdir(folder)
  } catch (error) {
    throw new PermanentError(`a recording cannot be written to ${folder}: ${messageOf(error)}`, { cause: error })
  }
  if (existing.some((name) => name === 'manifest.json' || name.startsWith('payloads-'))) {
    throw new PermanentError(`${folder} already holds a recording: choose another folder or delete it`)
  }
  return new FolderRecorder(folder, inner, options.quality ?? 7)
}

class FolderRecorder implements Recorder {
  readonly #folder: string
  readonly #inner: Door
  readonly #quality: number
  readonly #segments: { file: string; requests: number; sha256: string }[] = []
  readonly #paths = new Map<string, number>()
  #segment: Segment | undefined
  #writing: Promise<void> = Promise.resolve()
  #firstMs = 0
  #lastMs = 0
  #requests = 0
  #closed = false

  constructor(folder: string, inner: Door, quality: number) {
    this.#folder = folder
    this.#inner = inner
    this.#quality = quality
  }

  async accept(request: DoorRequest): Promise<DoorResponse> {
    const response = await this.#inner.accept(request)
    if (response.status !== 404 && response.status !== 429 && response.status < 500 && !this.#closed) {
      // One after the other, and awaited, so that a slow disk slows senders instead of filling memory.
      this.#writing = this.#writing.then(() => this.#write(request))
      await this.#writing
    }
    return response
  }

  async tick(nowMs: number): Promise<void> {
    await this.#inner.tick(nowMs)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#writing
    await this.#endSegment()
    const manifest: RecordingManifest = {
      format: FORMAT,
      version: VERSION,
      requests: this.#requests,
      firstMs: this.#firstMs,
      lastMs: this.#lastMs,
      paths: Object.fromEntries([...this.#paths].sort(([a], [b]) => (a < b ? -1 : 1))),
      segments: this.#segments,
    }
    const temporary = join(this.#folder, 'manifest.json.part')
    await writeFile(temporary, `${JSON.stringify(manifest, null, 2)}\n`)
    await rename(temporary, join(this.#folder, 'manifest.json'))
  }

  async #write(request: DoorRequest): Promise<void> {
    this.#segment ??= new Segment(this.#folder, this.#segments.length, this.#quality)
    await this.#segment.append(nativeOf(request))
    this.#firstMs = this.#requests === 0 ? request.receivedMs : Math.min(this.#firstMs, request.receivedMs)
    this.#lastMs = Math.max(this.#lastMs, request.receivedMs)
    this.#requests++
    this.#paths.set(request.path, (this.#paths.get(request.path) ?? 0) + 1)
    if (this.#segment.bytes >= SEGMENT_BYTES) await this.#endSegment()
  }

  async #endSegment(): Promise<void> {
    if (this.#segment === undefined) return
    this.#segments.push(await this.#segment.end())
    this.#segment = undefined
  }
}

/** What cannot be unpacked is kept as it came: the door refuses it again when it is played. */
function nativeOf(request: DoorRequest): DoorRequest {
  try {
    return ENDPOINTS.get(request.path)?.native(request, MAX_NATIVE_BYTES) ?? request
  } catch (error) {
    if (error instanceof DecodeError) return request
    throw error
  }
}

class Segment {
  readonly #file: string
  readonly #compress: BrotliCompress
  readonly #hash: Hash = createHash('sha256')
  readonly #done: Promise<void>
  #requests = 0
  bytes = 0

  constructor(folder: string, index: number, quality: number) {
    this.#file = `payloads-${String(index).padStart(4, '0')}.br`
    this.#compress = createBrotliCompress({
      params: { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS },
    })
    const out = createWriteStream(join(folder, this.#file))
    this.#compress.on('data', (chunk: Buffer) => this.#hash.update(chunk))
    this.#compress.on('error', (error) => out.destroy(error))
    this.#done = finished(this.#compress.pipe(out))
    // Reported where it is awaited; a failure before that must not end the process.
    this.#done.catch(() => undefined)
  }

  async append(request: DoorRequest): Promise<void> {
    const frame = appendFrame(request)
    this.bytes += frame.length
    this.#requests++
    if (!this.#compress.write(frame)) await Promise.race([once(this.#compress, 'drain'), this.#done])
  }

  async end(): Promise<{ file: string; requests: number; sha256: string }> {
    this.#compress.end()
    await this.#done
    return { file: this.#file, requests: this.#requests, sha256: this.#hash.digest('hex') }
  }
}

export async function readManifest(folder: string): Promise<RecordingManifest> {
  const file = join(folder, 'manifest.json')
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new PermanentError(`${folder} is not a finished recording: ${messageOf(error)}`, { cause: error })
  }
  try {
    return manifestSchema.parse(JSON.parse(text))
  } catch (error) {
    const what =
      error instanceof z.ZodError ? error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ') : messageOf(error)
    throw new PermanentError(`${file} is damaged or of another version: ${what}`, { cause: error })
  }
}

/** The requests in the order they were recorded in. A damaged recording throws a PermanentError that names the file before anything of it is played. */
export async function* readRecording(folder: string): AsyncGenerator<DoorRequest, void, void> {
  const manifest = await readManifest(folder)
  for (const segment of manifest.segments) await verify(join(folder, segment.file), segment.sha256)
  for (const segment of manifest.segments) {
    const file = join(folder, segment.file)
    let requests = 0
    try {
      const source = createReadStream(file)
      const stream: Readable = source.pipe(createBrotliDecompress())
      source.on('error', (error) => stream.destroy(error))
      for await (const request of framesOf(stream, MAX_NATIVE_BYTES)) {
        requests++
        yield request
      }
    } catch (error) {
      throw new PermanentError(`${file} is damaged: ${messageOf(error)}`, { cause: error })
    }
    if (requests !== segment.requests)
      throw new PermanentError(`${file} is damaged: it holds ${requests} requests, the manifest says ${segment.requests}`)
  }
}

async function verify(file: string, sha256: string): Promise<void> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  } catch (error) {
    throw new PermanentError(`${file} cannot be read: ${messageOf(error)}`, { cause: error })
  }
  if (hash.digest('hex') !== sha256) throw new PermanentError(`${file} is damaged: its bytes are not the ones that were recorded`)
}
