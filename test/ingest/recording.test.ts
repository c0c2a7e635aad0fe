import { mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PermanentError } from '../../src/errors.ts'
import type { Door, DoorRequest, DoorResponse } from '../../src/ingest/door.ts'
import { createRecorder, readManifest, readRecording } from '../../src/ingest/recording/recording.ts'
import { replay } from '../../src/ingest/recording/replay.ts'
import { NOW_MS, eventsOf, openDoors, post, postJson, recorded } from './doors-fixture.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tocsin-recording-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

const REAL = [
  'prometheus-2.rw1.proto-snappy.1',
  'winston-loki.loki.proto.1',
  'telegraf.loki.json-gzip.1',
  'otel-collector.otlp-traces.proto-gzip.1',
  'otel-collector.otlp-logs.json.1',
]

/** Answers what it is told to and remembers the order of calls. */
class ScriptedDoor implements Door {
  readonly calls: string[] = []
  readonly requests: DoorRequest[] = []
  statuses: number[] = []

  async accept(request: DoorRequest): Promise<DoorResponse> {
    this.calls.push(`accept ${request.receivedMs - NOW_MS}`)
    this.requests.push(request)
    return { status: this.statuses.shift() ?? 204, headers: {}, body: '' }
  }

  async tick(nowMs: number): Promise<void> {
    this.calls.push(`tick ${nowMs - NOW_MS}`)
  }
}

const change = (atMs: number, title = 'x') => ({
  ...postJson('/api/v1/events', { type: 'deploy', service: 'a', title }),
  receivedMs: NOW_MS + atMs,
})

async function record(requests: readonly DoorRequest[], inner: Door = new ScriptedDoor()): Promise<void> {
  const recorder = await createRecorder(folder, inner)
  for (const request of requests) await recorder.accept(request)
  await recorder.close()
}

describe('a recording', () => {
  it('gives the doors the same rows as the senders did, without the content encodings', async () => {
    const live = openDoors()
    const recorder = await createRecorder(folder, live.door)
    for (const name of REAL) expect((await recorder.accept(recorded(name))).status).toBeLessThan(300)
    await recorder.close()

    const later = openDoors()
    const result = await replay(folder, later.door, { tickMs: 5_000, tailMs: 0 })

    expect(result).toMatchObject({ requests: REAL.length, refused: 0 })
    expect(later.transport.published).toEqual(live.transport.published)
    for await (const request of readRecording(folder)) expect(request.headers['content-encoding']).toBe('identity')
  })

  it('keeps headers that decide how a body is read and no others', async () => {
    await record([post('/api/v1/events', { 'content-type': 'application/json', authorization: 'Bearer secret', cookie: 'secret' }, '{}')])
    for await (const request of readRecording(folder))
      expect(request.headers).toEqual({ 'content-type': 'application/json', 'content-encoding': 'identity' })
  })

  it('keeps what says how records and lines of other programs are read', async () => {
    const headers = { 'x-mimir-record-version': '2', 'x-tocsin-service': 'shop' }
    await record([post('/loki/api/v1/raw', headers, 'x')])
    for await (const request of readRecording(folder)) expect(request.headers).toMatchObject(headers)
  })

  it('keeps the attributes of an event that stand in its headers, and of absurd ones enough to have them refused again', async () => {
    const attributes = { 'ce-specversion': '1.0', 'ce-id': '7', 'ce-source': '/ci', 'ce-type': 'x.deployed', 'ce-subject': 'cart' }
    const event = (more: Record<string, string>) => post('/api/v1/events', { ...attributes, ...more }, '')
    const absurd = Object.fromEntries(Object.keys(attributes).map((name) => [name, '%E2%82%AC'.repeat(100_000)]))
    await record([event({ 'ce-other': '1' }), event({ 'ce-subject': '%E2%82%AC'.repeat(2_048) }), event(absurd)])
    const live = openDoors()
    expect(await replay(folder, live.door, { tickMs: 5_000, tailMs: 0 })).toMatchObject({ requests: 3, refused: 1 })
    expect(eventsOf(live.transport.of('events'))).toMatchObject([{ service: 'cart' }, { service: '€'.repeat(256) }])
    for await (const request of readRecording(folder)) expect(request.headers).not.toHaveProperty('ce-other')
  })

  it('keeps a body that cannot be unpacked as it came, and the replay has it refused again', async () => {
    await record([
      post('/api/v1/write', { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' }, 'not snappy'),
      change(10),
    ])
    expect(await replay(folder, openDoors().door, { tickMs: 5_000, tailMs: 0 })).toMatchObject({ requests: 2, refused: 1 })
  })

  it('leaves out what the sender was asked to send again, and paths that are no doors', async () => {
    const inner = new ScriptedDoor()
    inner.statuses = [503, 204, 429, 404, 400]
    await record([change(0, 'again'), change(1, 'kept'), change(2, 'again'), change(3, 'nowhere'), change(4, 'bad but kept')], inner)
    const titles: string[] = []
    for await (const request of readRecording(folder))
      titles.push((JSON.parse(Buffer.from(request.body).toString()) as { title: string }).title)
    expect(titles).toEqual(['kept', 'bad but kept'])
  })

  it('says in its manifest what it holds', async () => {
    await record([change(100), change(250), recorded('pino-loki.loki.json.1')])
    expect(await readManifest(folder)).toMatchObject({
      requests: 3,
      firstMs: NOW_MS,
      lastMs: NOW_MS + 250,
      paths: { '/api/v1/events': 2, '/loki/api/v1/push': 1 },
      segments: [{ file: 'payloads-0000.br', requests: 3 }],
    })
  })

  it('costs little for what repeats', async () => {
    const body = recorded('prometheus-3.rw1.proto-snappy.2')
    await record(Array.from({ length: 50 }, (_, i) => ({ ...body, receivedMs: NOW_MS + i })))
    const size = (await stat(join(folder, 'payloads-0000.br'))).size
    expect(size).toBeLessThan(body.body.length * 1.5)
  })

  it('is never mixed with another one in the same folder', async () => {
    await record([change(0)])
    await expect(createRecorder(folder, new ScriptedDoor())).rejects.toThrow(/already holds a recording/)
  })
})

describe('a replay', () => {
  it('tells time between the requests as it passed, then the tail', async () => {
    await record([change(1_000), change(6_000), change(6_001), change(15_000)])
    const door = new ScriptedDoor()
    const result = await replay(folder, door, { tickMs: 5_000, tailMs: 10_000 })
    expect(door.calls).toEqual([
      'accept 1000',
      'tick 5000',
      'accept 6000',
      'accept 6001',
      'tick 10000',
      'tick 15000',
      'accept 15000',
      'tick 20000',
      'tick 25000',
    ])
    expect(result).toEqual({ requests: 4, refused: 0, firstMs: NOW_MS + 1_000, endMs: NOW_MS + 25_000 })
  })

  it('does not let time go back where answers came in another order than requests', async () => {
    await record([change(9_000), change(7_000), change(12_000)])
    const door = new ScriptedDoor()
    await replay(folder, door, { tickMs: 5_000, tailMs: 0 })
    expect(door.calls).toEqual(['accept 9000', 'accept 9000', 'tick 10000', 'accept 12000'])
  })

  it('makes the same calls each time', async () => {
    await record([change(0), recorded('pino-loki.loki.json.1'), change(61_000)])
    const [first, second] = [new ScriptedDoor(), new ScriptedDoor()]
    await replay(folder, first, { tickMs: 5_000, tailMs: 60_000 })
    await replay(folder, second, { tickMs: 5_000, tailMs: 60_000 })
    expect(second.calls).toEqual(first.calls)
    expect(second.requests).toEqual(first.requests)
  })

  it('reports how far it is', async () => {
    await record([change(0), change(10_000)])
    const seen: string[] = []
    await replay(folder, new ScriptedDoor(), {
      tickMs: 5_000,
      tailMs: 0,
      onProgress: ({ requests, totalRequests, nowMs, lastMs }) => seen.push(`${requests}/${totalRequests} ${lastMs - nowMs} ms to go`),
    })
    expect(seen).toEqual(['1/2 10000 ms to go', '1/2 5000 ms to go', '1/2 0 ms to go', '2/2 0 ms to go'])
  })

  it('stops where a door cannot take a request, instead of leaving it out', async () => {
    await record([change(0)])
    const door = new ScriptedDoor()
    door.statuses = [503]
    await expect(replay(folder, door, { tickMs: 5_000, tailMs: 0 })).rejects.toThrow(/answered 503/)
  })
})

describe('a damaged recording', () => {
  const play = () => replay(folder, new ScriptedDoor(), { tickMs: 5_000, tailMs: 0 })
  const segment = () => join(folder, 'payloads-0000.br')

  it.each<[what: string, damage: () => Promise<void>, error: RegExp]>([
    ['no manifest', () => rm(join(folder, 'manifest.json')), /not a finished recording.*manifest\.json/],
    ['a manifest that is not JSON', () => writeFile(join(folder, 'manifest.json'), '{"format":'), /manifest\.json is damaged/],
    ['another version', () => editManifest((text) => text.replace('"version": 1', '"version": 9')), /only version 1 can be read/],
    [
      'a segment name that leaves the folder',
      () => editManifest((text) => text.replace('payloads-0000.br', '../../etc/passwd')),
      /segments\.0\.file/,
    ],
    ['a missing segment', () => rm(segment()), /payloads-0000\.br cannot be read/],
    ['a segment cut off', async () => truncate(segment(), (await stat(segment())).size - 9), /payloads-0000\.br is damaged/],
    ['a flipped bit', flipBit, /payloads-0000\.br is damaged/],
    [
      'fewer requests than announced',
      () => editManifest((text) => text.replace('"requests": 3,\n      "sha', '"requests": 4,\n      "sha')),
      /holds 3 requests, the manifest says 4/,
    ],
  ])('%s: says which file', async (_what, damage, error) => {
    await record([change(0), change(1), change(2)])
    await damage()
    const failure: unknown = await play().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(failure).toBeInstanceOf(PermanentError)
    expect((failure as Error).message).toMatch(error)
    expect((failure as Error).message).toContain(folder)
  })

  async function editManifest(edit: (text: string) => string): Promise<void> {
    const file = join(folder, 'manifest.json')
    const text = await readFile(file, 'utf8')
    const edited = edit(text)
    expect(edited).not.toBe(text)
    await writeFile(file, edited)
  }

  async function flipBit(): Promise<void> {
    const bytes = await readFile(segment())
    bytes[bytes.length >> 1]! ^= 4
    await writeFile(segment(), bytes)
  }

  it('leaves no half-written manifest behind', async () => {
    await record([change(0)])
    expect((await readdir(folder)).sort()).toEqual(['manifest.json', 'payloads-0000.br'])
  })
})
