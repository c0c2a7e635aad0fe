/** What could not be handled is kept, found again, and handed on once it can be: in the store and over HTTP, and in a topic. */
import fastify from 'fastify'
import pino from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { decodeBatch, encodeBatch } from '../src/codec.ts'
import { loadConfig } from '../src/config.ts'
import { createReplayer, type Replayer } from '../src/dead-letter-replay.ts'
import { RemoteLetters, registerDeadLetters, replayOne } from '../src/dead-letters-api.ts'
import { letterText, listText } from '../src/dead-letter-text.ts'
import { deadLetterKeeper, lettersInStore, lettersInTopic, type Letter, type LetterBox } from '../src/dead-letters.ts'
import type { Db } from '../src/store/db.ts'
import { dropOldDeadLetters, saveDeadLetters } from '../src/store/dead-letters.ts'
import { openPglite } from '../src/store/pglite.ts'
import { Telemetry } from '../src/telemetry.ts'
import { deadBatch, deadLetter, readDeadLetter } from '../src/transport/dead-letter.ts'
import { createEmbeddedTransport } from '../src/transport/embedded.ts'
import { topicsWith } from '../src/transport/topics.ts'
import type { InRecord, LogReader, OutRecord, Transport } from '../src/transport/transport.ts'
import { temporaryFolder } from './support/processes.ts'

const NOW_MS = Date.parse('2026-11-23T16:00:00Z')
const TOPICS = topicsWith('tocsin')
const quiet = () => new Telemetry(pino({ level: 'silent' }))
const sample = JSON.stringify({ timestamp: '2026-11-23T15:59:00Z', value: '1', name: 'up', labels: { job: 'node' } })

function letterOf(topic: string, offset: number, value: Uint8Array | string, reason = 'malformed'): OutRecord {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  const record: InRecord = { offset, key: 'k\0', value: bytes, headers: { team: 'pay\0ments' }, timestampMs: NOW_MS - 9 }
  return deadLetter({ topic, partition: 0, records: [record] }, record, reason, 'no such thing')
}

/** A topic that keeps what is published to it, as Kafka's do. */
class KeptTopic implements Transport, LogReader {
  readonly records: InRecord[] = []
  reads = 0
  readonly others: { topic: string; record: OutRecord }[] = []
  async *read(_topic: string, _partition: number, fromOffset: number): AsyncGenerator<InRecord> {
    this.reads++
    yield* this.records.slice(fromOffset)
  }
  async publish(topic: string, records: readonly OutRecord[]): Promise<void> {
    for (const record of records) {
      if (topic !== TOPICS.deadLetters) this.others.push({ topic, record })
      else
        this.records.push({ offset: this.records.length, key: '', timestampMs: NOW_MS, headers: record.headers ?? {}, value: record.value })
    }
  }
  async partitions(): Promise<number> {
    return 1
  }
  async ensureTopic(): Promise<void> {}
  async subscribe(): Promise<AsyncDisposable> {
    throw new Error('nobody subscribes here')
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}

function configWith(sources: readonly object[]) {
  return loadConfig(undefined, { 'ingest.sources': sources, transport: 'kafka' })
}

describe('in a topic', () => {
  let topic: KeptTopic
  let box: LetterBox
  beforeEach(async () => {
    topic = new KeptTopic()
    box = lettersInTopic(topic, TOPICS.deadLetters)
    await topic.publish(TOPICS.deadLetters, [
      letterOf('a', 7, 'one'),
      { partition: 0, value: Buffer.from('of somebody else') },
      letterOf('b', 8, 'two', 'empty'),
      letterOf('a', 9, 'three', 'empty'),
    ])
  })

  it.each([
    [{ limit: 50 }, ['0-0', '0-2', '0-3']],
    [{ limit: 1 }, ['0-3']],
    [{ limit: 50, topic: 'a' }, ['0-0', '0-3']],
    [{ limit: 50, reason: 'empty' }, ['0-2', '0-3']],
    [{ limit: 50, topic: 'b', reason: 'empty' }, ['0-2']],
    [{ limit: 50, sinceMs: NOW_MS + 1 }, []],
  ])('%j are %j', async (filter, ids) => {
    expect((await box.list(filter)).map(({ id }) => id)).toEqual(ids)
  })

  it('one is found by its id, as it came, and says when it was replayed', async () => {
    expect(await box.get('0-3')).toMatchObject({ topic: 'a', offset: 9, value: Buffer.from('three'), valueBytes: 5, replayedMs: undefined })
    await box.markReplayed('0-3', NOW_MS + 5)
    expect(await box.get('0-3')).toMatchObject({ replayedMs: NOW_MS + 5 })
    expect((await box.list({ limit: 50 })).map(({ replayedMs }) => replayedMs)).toEqual([undefined, undefined, NOW_MS + 5])
  })

  it('all of a list are read in one go, with their values', async () => {
    await box.markReplayed('0-2', NOW_MS + 5)
    const listed = await box.list({ limit: 50, reason: 'empty' })
    const before = topic.reads
    const found: Letter[] = []
    for await (const letter of box.all(listed)) found.push(letter)
    expect(found.map(({ id, value, replayedMs }) => [id, String(value), replayedMs])).toEqual([
      ['0-2', 'two', NOW_MS + 5],
      ['0-3', 'three', undefined],
    ])
    expect(topic.reads - before).toBe(1)
  })

  it.each(['0-1', '0-99', '7-0', '3', 'x', '-1-0'])('%s is none', async (id) => {
    expect(await box.get(id)).toBeUndefined()
  })
})

describe('replaying', () => {
  const replayer = (transport: Transport, sources: readonly object[]): Replayer =>
    createReplayer({ transport, topics: TOPICS, config: configWith(sources), partitions: 1, telemetry: quiet(), clock: () => NOW_MS })
  const letter = (record: OutRecord): Letter => {
    const read = readDeadLetter({ offset: 0, key: '', timestampMs: NOW_MS, value: record.value, headers: record.headers! })!
    return { ...read, id: '0-0', valueBytes: read.value.length, replayedMs: undefined }
  }
  const adapter = letter(letterOf('metrics', 0, sample))
  const tick = encodeBatch({ kind: 'tick', nowMs: 5 })

  it('a record of a source goes through its door as it is configured now, not into its topic', async () => {
    const topic = new KeptTopic()
    const fate = await replayer(topic, [{ topic: 'metrics', signal: 'metrics' }]).replay(adapter, { dryRun: false })
    expect(fate).toEqual({ taken: true, text: '1 rows taken at /api/v1/write/adapter' })
    expect(topic.others.map(({ topic: to, record }) => [to, decodeBatch(record.value).kind])).toEqual([[TOPICS.telemetry, 'metrics']])
  })

  it('what a stage put aside goes back into its partition', async () => {
    const topic = new KeptTopic()
    const fate = await replayer(topic, []).replay(letter(letterOf(TOPICS.telemetry, 0, tick, 'detector')), { dryRun: false })
    expect(fate).toEqual({ taken: true, text: `put into partition 0 of ${TOPICS.telemetry} again` })
    expect(topic.others.map(({ topic: to, record }) => [to, record.value])).toEqual([[TOPICS.telemetry, tick]])
  })

  it.each<[what: string, one: Letter, sources: readonly object[], encoding: string | undefined, text: RegExp]>([
    ['not configured', adapter, [], undefined, /no longer under ingest\.sources/],
    [
      'still unreadable',
      adapter,
      [{ topic: 'metrics', signal: 'metrics', encoding: 'otlp_proto' }],
      undefined,
      /^still cannot be read: .*\(malformed\)$/,
    ],
    ['ambiguous', adapter, [], 'otlp_json', /may carry metrics or logs or traces/],
    ['without its value', { ...adapter, content: 'left-out' }, [], undefined, /too large to be kept: it is at offsets 0 to 0/],
    ['a batch', { ...adapter, content: 'record-batch' }, [], undefined, /with another compression/],
    ['a batch of ours that nobody can read', letter(letterOf(TOPICS.telemetry, 0, 'x')), [], undefined, /^still cannot be read/],
    [
      'too old when it was put aside',
      letter(letterOf('metrics', 0, sample.replace('2026', '2016'))),
      [],
      'adapter_json',
      /^0 rows taken .* not taken: 1 too-old$/,
    ],
  ])('%s: is told why not, and nothing is published', async (_what, one, sources, encoding, text) => {
    const topic = new KeptTopic()
    const fate = await replayer(topic, sources).replay(one, { dryRun: false, encoding: encoding as 'otlp_json' | undefined })
    expect(fate).toEqual({ taken: false, text: expect.stringMatching(text) as string })
    expect(topic.others).toEqual([])
  })

  it('a dry run says what would come of it and does nothing', async () => {
    const topic = new KeptTopic()
    const dry = replayer(topic, [])
    expect(await dry.replay(adapter, { dryRun: true, encoding: 'adapter_json' })).toEqual({
      taken: true,
      text: '1 rows would be taken at /api/v1/write/adapter',
    })
    expect((await dry.replay(letter(letterOf(TOPICS.telemetry, 0, tick)), { dryRun: true })).text).toContain(
      'would be put into partition 0',
    )
    expect(topic.others).toEqual([])
  })

  it('marks what was taken, and nothing else', async () => {
    const topic = new KeptTopic()
    const box = lettersInTopic(topic, TOPICS.deadLetters)
    await topic.publish(TOPICS.deadLetters, [letterOf('metrics', 0, sample), letterOf('metrics', 1, 'x')])
    const parts = { box, replayer: replayer(topic, [{ topic: 'metrics', signal: 'metrics' }]), clock: () => NOW_MS }
    for (const dryRun of [true, false]) for (const id of ['0-0', '0-1']) await replayOne((await box.get(id))!, { dryRun }, parts)
    expect((await box.list({ limit: 9 })).map(({ replayedMs }) => replayedMs)).toEqual([NOW_MS, undefined])
  })
})

describe('as text', () => {
  const letter = (value: Uint8Array | string, more: Partial<Letter> = {}): Letter => {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value
    const origin = { topic: 'a', partition: 1, offset: 7, lastOffset: 7, key: '', originMs: 0 }
    const said = { reason: 'malformed', error: 'no', content: 'record', headers: {}, timestampMs: NOW_MS } as const
    return { id: '0-1', ...said, ...origin, value: bytes, valueBytes: bytes.length, replayedMs: undefined, ...more }
  }

  it.each<[what: string, text: string, shown: string]>([
    [
      'an escape sequence',
      'a lot of text \x1b]0;owned\x07 and more of it, so that it is text',
      'a lot of text \\u001b]0;owned\\u0007 and more',
    ],
    ['text that turns round', 'abc\u202etxt', 'abc\\u202etxt'],
    ['a tag nobody sees', 'abc\u{e0041}', 'abc\\u{e0041}'],
    ['lines', 'one\r\ntwo', '  one\n  two\n'],
  ])('%s is shown and not done', (_what, text, shown) => {
    expect(letterText(letter(text))).toContain(shown)
  })

  it('what is no text is shown in hexadecimal, the beginning of it', () => {
    const text = letterText(letter(Uint8Array.from({ length: 300 }, (_, i) => i)))
    expect(text).toContain('  000040  40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO\n')
    expect(text.trimEnd().split('\n').at(-1)).toBe('  …')
  })

  it('a list is a table, with nothing in it that came from outside unasked', () => {
    const hostile = letter('x', { topic: 'a\nb', error: `\x1b[2J${'e'.repeat(200)}`, reason: 'empty', replayedMs: NOW_MS })
    const lines = listText([letter('x'), hostile]).split('\n')
    expect(lines).toHaveLength(4)
    expect(lines[2]).toMatch(/^0-1 +2026-11-23T16:00:00.000Z +empty +a\\u000ab\/1@7 +1 +replayed +\\u001b\[2Je+…$/)
  })
})

describe('in the store of a running program', () => {
  const cleanup: (() => Promise<unknown>)[] = []
  let db: Db
  let transport: Transport
  let remote: RemoteLetters
  let url: string
  const telemetry = quiet()
  const taken: Uint8Array[] = []

  beforeAll(async () => {
    const folder = await temporaryFolder('dead-letters')
    db = await openPglite({ dataDir: folder.path })
    transport = createEmbeddedTransport({ clock: () => NOW_MS })
    for (const topic of [TOPICS.deadLetters, TOPICS.telemetry]) await transport.ensureTopic(topic, 1)
    await transport.subscribe(TOPICS.deadLetters, 'store', deadLetterKeeper(db, telemetry))
    await transport.subscribe(TOPICS.telemetry, 'detect', {
      handle: async ({ records }) => void taken.push(...records.map(({ value }) => value)),
    })
    const config = loadConfig(undefined, {})
    const replayer = createReplayer({ transport, topics: TOPICS, config, partitions: 1, telemetry, clock: () => NOW_MS })
    const http = fastify()
    registerDeadLetters(http, { box: lettersInStore(db), replayer, clock: () => NOW_MS + 1, token: 'secret' })
    url = await http.listen({ host: '127.0.0.1', port: 0 })
    remote = new RemoteLetters(url, 'secret')
    cleanup.push(
      () => http.close(),
      async () => transport[Symbol.asyncDispose](),
      async () => db[Symbol.asyncDispose](),
      async () => folder[Symbol.asyncDispose](),
    )
  })

  afterAll(async () => {
    for (const undo of cleanup) await undo()
  })

  it('they are kept with everything, listed, shown and replayed', async () => {
    const tick = encodeBatch({ kind: 'tick', nowMs: 5 })
    const batch = { topic: 'spans', partition: 1, firstOffset: 7, lastOffset: 9, records: 3, reason: 'no codec', bytes: Buffer.from('raw') }
    await transport.publish(TOPICS.deadLetters, [letterOf(TOPICS.telemetry, 4, tick, 'detector'), deadBatch(batch, 1000)])
    const [first, second] = await remote.list({ limit: 50 })
    expect(first).toMatchObject({ reason: 'detector', error: 'no such thing', topic: TOPICS.telemetry, offset: 4, valueBytes: tick.length })
    expect(second).toMatchObject({ reason: 'undecodable_batch', content: 'record-batch', offset: 7, lastOffset: 9 })
    expect(await remote.list({ limit: 50, reason: 'detector', topic: TOPICS.telemetry, sinceMs: 5 })).toHaveLength(1)
    expect(await remote.list({ limit: 50, topic: 'another' })).toEqual([])

    const whole = (await remote.get(first!.id))!
    expect(whole).toMatchObject({ key: expect.stringMatching(/^k/) as string, originMs: NOW_MS - 9, replayedMs: undefined })
    expect([...whole.value]).toEqual([...tick])
    expect(await remote.replay(whole, { dryRun: true })).toMatchObject({ taken: true })
    expect(taken).toEqual([])
    expect(await remote.replay(whole, { dryRun: false })).toMatchObject({ taken: true })
    expect(taken.map((value) => [...value])).toEqual([[...tick]])
    expect(await remote.get(first!.id)).toMatchObject({ replayedMs: NOW_MS + 1 })
    expect(await remote.replay(second!, { dryRun: false })).toMatchObject({ taken: false })
    expect(await remote.get('999999')).toBeUndefined()
    expect(await telemetry.registry.metrics()).toContain('tocsin_dead_letters_kept_total{reason="detector"} 1')
  })

  it.each<[what: string, path: string, init: RequestInit, status: number]>([
    ['without the token', '', {}, 401],
    ['from a page of another site', '', { headers: { authorization: 'Bearer secret', 'sec-fetch-site': 'cross-site' } }, 403],
    ['a limit that is none', '?limit=x', { headers: { authorization: 'Bearer secret' } }, 400],
    [
      'an encoding that is none',
      '/1/replay',
      { method: 'POST', body: '{"encoding":"xml"}', headers: { authorization: 'Bearer secret', 'content-type': 'application/json' } },
      400,
    ],
    [
      'one that is not there',
      '/77/replay',
      { method: 'POST', body: '{}', headers: { authorization: 'Bearer secret', 'content-type': 'application/json' } },
      404,
    ],
  ])('%s: refused', async (_what, path, init, status) => {
    expect((await fetch(`${url}/api/v1/dead-letters${path}`, init)).status).toBe(status)
  })

  it('the oldest go when there are too many, or too much of them', async () => {
    await db.query('delete from dead_letters')
    const letters = Array.from({ length: 6 }, (_, i) =>
      readDeadLetter({ ...letterOf('a', i, 'x'.repeat(10)), offset: i, key: '', timestampMs: i } as InRecord)!,
    )
    await saveDeadLetters(db, letters)
    const offsets = async () => (await lettersInStore(db).list({ limit: 50 })).map(({ offset }) => offset)
    expect(await dropOldDeadLetters(db, 4, 1000)).toBe(2)
    expect(await offsets()).toEqual([2, 3, 4, 5])
    expect(await dropOldDeadLetters(db, 4, 25)).toBe(2)
    expect(await offsets()).toEqual([4, 5])
    // The newest stays, however large it is.
    expect(await dropOldDeadLetters(db, 4, 5)).toBe(1)
    expect(await offsets()).toEqual([5])
  })
})
