/**
 * Native payloads in Kafka topics, on a real broker and produced by another client (kcat), read by the real program: what comes out on
 * the telemetry topic is what was put in, what cannot be read is put aside, and neither a stop nor a crash loses a record.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CompressionTypes, Kafka, logLevel, Partitioners, type Message } from 'kafkajs'
import { uncompressSync } from 'snappy'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { decodeBatch } from '../../src/codec.ts'
import type { ConfigInput } from '../../src/config.ts'
import { ENDPOINTS } from '../../src/ingest/doors.ts'
import type { Batch } from '../../src/model.ts'
import { createKafkaTransport } from '../../src/transport/kafka.ts'
import { kafkaConfigFor, quietTelemetry } from '../contract/transport-kafka-support.ts'
import { eventsOf, fixture, JSON_TYPE, linesOf, newContext, post, recorded, samplesOf, spansOf } from '../ingest/doors-fixture.ts'
import { startKafka, until, type RunningKafka } from '../support/kafka.ts'
import { freePorts, temporaryFolder } from '../support/processes.ts'
import { output } from '../support/programs.ts'
import { requireOrSkip, which } from '../support/services.ts'
import { CLI, countersOf, rowsByDoor, startTocsin, type RunningTocsin } from '../support/tocsin.ts'

interface Letter {
  readonly headers: Readonly<Record<string, string>>
  readonly payload: string
}

const rwSnappy = recorded('promtool.rw1.proto-snappy.1').body
const rwPlain = uncompressSync(Buffer.from(rwSnappy)) as Buffer
const lokiJson = recorded('pino-loki.loki.json.1').body
const LINES = 30_000

requireOrSkip('kafka', 'kcat')('Kafka topics with native payloads', () => {
  const cleanup: AsyncDisposable[] = []
  const published: Batch[] = []
  let kafka: RunningKafka
  let folder: string
  let configFile: string
  /** The same after somebody has looked at the dead letters. */
  let fixedFile: string
  let port: number
  let tocsin: RunningTocsin

  const producer = async (topic: string, messages: Message[]) => {
    const client = new Kafka({ brokers: kafka.brokers, logLevel: logLevel.NOTHING }).producer({
      createPartitioner: Partitioners.DefaultPartitioner,
    })
    await client.connect()
    await client.send({ topic, messages, compression: CompressionTypes.GZIP })
    await client.disconnect()
  }
  const start = async () => void (tocsin = await startTocsin(['run', '--role', 'ingest', '--config', configFile], port))
  const of = <K extends Batch['kind']>(kind: K) => published.filter((batch): batch is Extract<Batch, { kind: K }> => batch.kind === kind)
  /** One record of each value, in this order. */
  const produce = async (topic: string, values: readonly (Uint8Array | string)[], ...more: string[]) => {
    const files = values.map((value, i) => {
      const file = join(folder, `value-${i}`)
      writeFileSync(file, value)
      return file
    })
    await output(which('kcat', 'kafkacat')!, ['-P', '-b', kafka.bootstrap, '-t', topic, '-p', '0', ...more, ...files])
  }
  /** What kcat makes of its standard input: a record per line. */
  const producing = async (topic: string, args: readonly string[], text: string) => {
    const all = ['-P', '-b', kafka.bootstrap, '-t', topic, '-p', '0', ...args]
    const kcat = spawn(which('kcat', 'kafkacat')!, all, { stdio: ['pipe', 'ignore', 'ignore'] })
    kcat.stdin.end(text)
    const [code] = (await once(kcat, 'exit')) as [number | null]
    if (code !== 0) throw new Error(`kcat ended with ${code}`)
  }
  /** Reads the topic from its beginning to its end. */
  const letters = async (): Promise<Letter[]> => {
    const args = ['-C', '-b', kafka.bootstrap, '-t', 'tocsin.dead-letters', '-o', 'beginning', '-e', '-q', '-J']
    const text = await output(which('kcat', 'kafkacat')!, args)
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const { headers = [], payload } = JSON.parse(line) as { headers?: string[]; payload: string }
        const pairs = Array.from({ length: headers.length / 2 }, (_, i) => [headers[2 * i]!, headers[2 * i + 1]!] as const)
        return { headers: Object.fromEntries(pairs), payload }
      })
  }

  beforeAll(async () => {
    kafka = await startKafka()
    const temporary = await temporaryFolder('kafka-sources')
    cleanup.push(kafka, temporary)
    folder = temporary.path
    configFile = join(folder, 'tocsin.yaml')
    const config: ConfigInput = {
      transport: 'kafka',
      kafka: { brokers: kafka.brokers, partitions: 3, sessionTimeoutMs: 6_000, heartbeatMs: 1_500 },
      ingest: {
        // The recorded bodies keep the times at which they were sent.
        limits: { maxAgeMs: 100 * 365 * 24 * 3_600_000, maxFutureMs: 100 * 365 * 24 * 3_600_000 },
        sources: [
          { topic: 'otlp_spans', signal: 'traces' },
          { topic: 'otlp_logs', signal: 'logs' },
          { topic: 'samples', signal: 'metrics' },
          { topic: 'loki', signal: 'logs' },
          { topic: 'happenings', signal: 'events' },
          { topic: 'all_metrics', signal: 'metrics' },
          { topic: 'all_traces', signal: 'traces' },
          { topic: 'java', signal: 'logs', service: 'java-job' },
          { topic: 'adapter', signal: 'metrics', encoding: 'otlp_proto' },
          { topic: 'lines', signal: 'logs', encoding: 'lines', service: 'batch-job' },
        ],
      },
    }
    writeFileSync(configFile, stringify(config))
    const sources = config.ingest!.sources!.map((one) => (one.topic === 'adapter' ? { topic: 'adapter', signal: 'metrics' as const } : one))
    fixedFile = join(folder, 'fixed.yaml')
    writeFileSync(fixedFile, stringify({ ...config, ingest: { ...config.ingest, sources } }))
    // One that others made, with partitions of its own; the rest are made when Tocsin first asks for them.
    await kafka.createTopic('samples', 2)
    ;[port] = (await freePorts(1)) as [number]
    await start()
    const transport = createKafkaTransport(kafkaConfigFor(kafka), { telemetry: quietTelemetry(), clock: () => Date.now() })
    cleanup.push(transport)
    await transport.subscribe('tocsin.telemetry', 'test', {
      handle: async ({ records }) => void published.push(...records.map(({ value }) => decodeBatch(value))),
    })
  })

  afterAll(async () => {
    await tocsin?.[Symbol.asyncDispose]()
    for (const part of cleanup.reverse()) await part[Symbol.asyncDispose]()
  })

  it('spans and logs of the OpenTelemetry Collector, protobuf and JSON', async () => {
    const spans = [fixture('kafka/otlp_spans.proto.record'), fixture('kafka/otlp_spans.json.record')]
    const logs = [fixture('kafka/otlp_logs.proto.record'), fixture('kafka/otlp_logs.json.record')]
    await produce('otlp_spans', spans, '-z', 'gzip')
    await produce('otlp_logs', logs, '-z', 'lz4')
    await until('all are on the telemetry topic', () => rows(of('spans')) >= 80 && rows(of('links')) >= 80 && rows(of('logs')) >= 40)
    const types = [PROTOBUF_TYPE, JSON_TYPE]
    const wantedSpans = spans.map((body, i) => decoded('spans', '/v1/traces', types[i]!, body))
    const wantedLogs = logs.map((body, i) => decoded('logs', '/v1/logs', types[i]!, body))
    expect(wantedSpans.map(rowsOf)).toEqual([40, 40])
    expect(wantedLogs.map(rowsOf)).toEqual([20, 20])
    expect(sorted(of('spans').flatMap(spansOf))).toEqual(sorted(wantedSpans.flatMap(spansOf)))
    expect(
      sorted(
        of('links')
          .flatMap(spansOf)
          .map(({ spanId }) => spanId),
      ),
    ).toEqual(sorted(wantedSpans.flatMap(spansOf).map(({ spanId }) => spanId)))
    expect(sorted(of('logs').flatMap(linesOf))).toEqual(sorted(wantedLogs.flatMap(linesOf)))
  })

  it('remote write with snappy and without, and around what cannot be read, which is put aside', async () => {
    await produce('samples', [rwSnappy, 'rubbish', rwPlain], '-z', 'snappy', '-k', 'shard-7', '-H', 'team=payments')
    await until('the samples are on the telemetry topic', () => rows(of('metrics')) >= 12)
    const once = samplesOf(decoded('metrics', '/api/v1/write', SNAPPY_TYPE, rwSnappy))
    expect(once).toHaveLength(6)
    expect(sorted(of('metrics').flatMap(samplesOf))).toEqual(sorted([...once, ...once]))
    expect(await letters()).toEqual([
      {
        payload: 'rubbish',
        headers: {
          team: 'payments',
          'x-error': expect.stringContaining('sources.encoding for topic samples') as string,
          'x-error-reason': 'unrecognised',
          'x-origin-topic': 'samples',
          'x-origin-partition': '0',
          'x-origin-offset': '1',
          'x-origin-key': 'shard-7',
          'x-origin-timestamp': expect.stringMatching(/^\d{13}$/) as string,
        },
      },
    ])
    expect(await countersOf(tocsin.url, 'tocsin_dead_letter_total', 'reason')).toEqual({ unrecognised: 1 })
  })

  it('a Loki push, an alert and a deploy', async () => {
    const before = of('logs').length
    await produce('loki', [lokiJson], '-z', 'zstd')
    await produce('happenings', [
      '[{"labels":{"alertname":"DiskFull","service":"db"}}]',
      '{"type":"deploy","service":"checkout","version":"1.2.4"}',
    ])
    await until('they are on the telemetry topic', () => of('logs').length > before && eventsOf(of('events')).length >= 2)
    const pushed = of('logs').slice(before)
    expect(sorted(pushed.flatMap(linesOf))).toEqual(sorted(linesOf(decoded('logs', '/loki/api/v1/push', JSON_TYPE, lokiJson))))
    expect(eventsOf(of('events'))).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: 'alert', name: 'DiskFull', service: 'db' }),
        expect.objectContaining({ kind: 'change', type: 'deploy', service: 'checkout', version: '1.2.4' }),
      ]),
    )
  })

  it('counts at the doors what it took', async () => {
    expect(await rowsByDoor(tocsin.url)).toEqual({
      'otlp-traces': 80,
      'otlp-logs': 40,
      'remote-write': 12,
      loki: 5,
      alerts: 1,
      changes: 1,
    })
  })

  it('a record without a value, as compaction has them, is put aside, too', async () => {
    await producing('otlp_spans', ['-K', ':', '-Z'], 'trace-1:\n')
    await produce('otlp_spans', [fixture('kafka/otlp_spans.json.record')])
    await until('the one behind it is on the telemetry topic', () => rows(of('spans')) >= 120)
    expect((await letters()).at(-1)!.headers).toMatchObject({
      'x-error-reason': 'empty',
      'x-origin-topic': 'otlp_spans',
      'x-origin-offset': '2',
      'x-origin-key': 'trace-1',
    })
  })

  it('every other encoding of metrics, told apart by headers and bytes, and counted', async () => {
    const before = rows(of('metrics'))
    const headers = { Version: Buffer.of(0, 0, 0, 1) }
    await producer('all_metrics', [
      { value: Buffer.from(recorded('telegraf.rw1.proto-snappy.1').body) },
      { value: Buffer.from(recorded('prometheus-3.rw2.proto-snappy.1').body) },
      { value: rwPlain, headers },
      { value: sample('1.5') },
      { value: sample('NaN') },
      { value: fixture('kafka/otlp_metrics.proto.record') },
      { value: fixture('kafka/otlp_metrics.json.record') },
    ])
    await until('all samples are on the telemetry topic', () => rows(of('metrics')) >= before + 10 + 427 + 6 + 2 + 20 + 20)
    expect(await countersOf(tocsin.url, 'tocsin_source_records_sniffed_total', 'encoding')).toMatchObject({
      adapter_json: 2,
      otlp_proto: 3,
      otlp_json: 4,
    })
    expect(tocsin.output()).toContain('{ topic: all_metrics, signal: metrics, encoding: adapter_json }')
    expect(await rowsByDoor(tocsin.url)).toMatchObject({ 'adapter-samples': 2, 'mimir-record': 6, 'otlp-metrics': 40 })
  })

  it("Jaeger's and Zipkin's spans", async () => {
    const before = rows(of('spans'))
    const ids = { trace: Buffer.alloc(16, 7), span: Buffer.alloc(8, 9) }
    const jaeger = { traceId: ids.trace.toString('base64'), spanId: ids.span.toString('base64'), operationName: 'pay' }
    const zipkin = { traceId: ids.trace.toString('hex'), id: ids.span.toString('hex'), name: 'pay' }
    await producer('all_traces', [
      { value: JSON.stringify({ ...jaeger, startTime: '2026-11-23T16:00:00Z', duration: '0.1s', process: { serviceName: 'pay' } }) },
      { value: JSON.stringify([{ ...zipkin, timestamp: 1795449600000000, duration: 5, localEndpoint: { serviceName: 'pay' } }]) },
    ])
    await until('both are on the telemetry topic', () => rows(of('spans')) === before + 2)
    expect(await rowsByDoor(tocsin.url)).toMatchObject({ jaeger: 1, zipkin: 1 })
  })

  it("the four codecs of Kafka's own producer, with keys and headers", async () => {
    const libs = (await output('bash', ['.ci/kafka/start-kraft.sh', 'fetch'])).trim()
    const source = fileURLToPath(new URL('../support/Produce.java', import.meta.url))
    const codecs = ['gzip', 'snappy', 'lz4', 'zstd']
    for (const codec of codecs) await output('java', ['-cp', `${libs}/*`, source, kafka.bootstrap, 'java', codec, '200'])
    const bodies = () =>
      of('logs')
        .flatMap(linesOf)
        .filter(({ service }) => service === 'java-job')
        .map(({ body }) => body)
    await until('all lines are through', () => bodies().length >= 800)
    expect(bodies().sort()).toEqual(codecs.flatMap((codec) => Array.from({ length: 200 }, (_, i) => `${codec} line ${i}`)).sort())
  }, 60_000)

  it('dead letters are listed, shown, and replayed after the configuration was mended', async () => {
    const command = (...args: string[]) => output(process.execPath, [CLI, 'dead-letters', ...args])
    await produce(
      'adapter',
      [sample('4'), sample('5'), '\u001b[2J is no sample, and what it asks of a terminal is not done'],
      '-k',
      'k1',
      '-H',
      'team=payments',
    )
    await until(
      'they are put aside',
      async () => (await letters()).filter(({ headers }) => headers['x-origin-topic'] === 'adapter').length === 3,
    )
    const here = ['--config', configFile]
    const listed = JSON.parse(await command('list', '--topic', 'adapter', '--json', ...here)) as {
      id: string
      topic: string
      offset: number
    }[]
    expect(listed).toMatchObject([
      { topic: 'adapter', partition: 0, offset: 0, reason: 'malformed', key: 'k1', headers: { team: 'payments' } },
      { offset: 1 },
      { offset: 2 },
    ])
    const [first, second, third] = listed.map(({ id }) => id) as [string, string, string]
    expect(await command('list', '--since', '1h', '--limit', '2', ...here)).toMatch(new RegExp(`^ID .*\n${second} .*\n${third} .*\n$`))

    const shown = await command('show', third, ...here)
    expect(shown).toContain('header     team: payments')
    expect(shown).toContain('\\u001b[2J is no sample, and what it asks of a terminal is not done')
    expect(shown).not.toContain('\u001b')

    expect(await failing(command('replay', first, '--dry-run', ...here))).toContain('still cannot be read')
    expect(await command('replay', first, '--dry-run', '--encoding', 'adapter_json', ...here)).toContain('1 rows would be taken')
    const before = rows(of('metrics'))
    const mended = ['--config', fixedFile]
    expect(await failing(command('replay', '--all', '--topic', 'adapter', ...mended))).toContain('2 of 3 dead letters taken.')
    await until('they are on the telemetry topic', () => rows(of('metrics')) >= before + 2)
    expect(
      of('metrics')
        .flatMap(samplesOf)
        .slice(-2)
        .map(({ value }) => value),
    ).toEqual([4, 5])

    expect(await failing(command('replay', first, ...mended))).toContain('already: --again replays it once more')
    expect(await command('list', '--topic', 'adapter', ...here)).toMatch(new RegExp(`${first} .* replayed .*\n`))
    expect(await command('replay', first, '--again', ...mended)).toContain('1 rows taken')
    expect(await failing(command('show', '0-999999', ...here))).toContain('there is no dead letter "0-999999"')
  }, 120_000)

  it('after a stop it goes on where it was, and reads nothing twice', async () => {
    expect(await tocsin.stop()).toBe(0)
    await produce('loki', [lokiJson])
    const before = rows(of('logs'))
    await start()
    await until('what came meanwhile is on the telemetry topic', () => rows(of('logs')) >= before + 5)
    expect(await rowsByDoor(tocsin.url)).toEqual({ loki: 5 })
  }, 60_000)

  it('killed in the middle of it, it loses no record', async () => {
    const seen = () =>
      new Set(
        of('logs')
          .flatMap(linesOf)
          .filter(({ service }) => service === 'batch-job')
          .map(({ body }) => body),
      )
    const ended = producing('lines', [], Array.from({ length: LINES }, (_, i) => `step ${i} done\n`).join(''))
    await until('some lines are through', () => seen().size > 20)
    await tocsin.kill()
    const atKill = seen().size
    await ended
    await start()
    await until('all lines are through', () => seen().size === LINES)
    expect(atKill, 'it was killed too late for this test to mean anything').toBeLessThan(LINES)
  }, 90_000)
})

/** As prometheus-kafka-adapter writes it. */
function sample(value: string): string {
  return JSON.stringify({ timestamp: '2026-11-23T16:00:00Z', value, name: 'up', labels: { __name__: 'up', job: 'node', instance: 'n1' } })
}

/** What a command prints that ends with 1. */
async function failing(running: Promise<string>): Promise<string> {
  const { code, stdout, stderr } = await running.then(
    () => ({ code: 0, stdout: '', stderr: '' }),
    (error: unknown) => error as { code: number; stdout: string; stderr: string },
  )
  expect(code).toBe(1)
  return stdout + stderr
}

const PROTOBUF_TYPE = { 'content-type': 'application/x-protobuf' }
const SNAPPY_TYPE = { ...PROTOBUF_TYPE, 'content-encoding': 'snappy' }

/** What the door at `path` makes of it when it comes over HTTP. */
function decoded<K extends Batch['kind']>(kind: K, path: string, headers: Record<string, string>, body: Uint8Array) {
  const batch: Batch = ENDPOINTS.get(path)!.decode(post(path, headers, body), newContext())
  if (batch.kind !== kind) throw new Error(`${path} makes ${batch.kind}`)
  return batch as Extract<Batch, { kind: K }>
}

function rowsOf(batch: { readonly rows: number }): number {
  return batch.rows
}

function rows(batches: readonly { readonly rows: number }[]): number {
  return batches.reduce((sum, batch) => sum + batch.rows, 0)
}

function sorted<T>(values: readonly T[]): T[] {
  return values.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}
