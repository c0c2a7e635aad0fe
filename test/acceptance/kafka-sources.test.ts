/**
 * Native payloads in Kafka topics, on a real broker and produced by another client (kcat), read by the real program: what comes out on
 * the telemetry topic is what was put in, what cannot be read is put aside, and neither a stop nor a crash loses a record.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
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
import { countersOf, rowsByDoor, startTocsin, type RunningTocsin } from '../support/tocsin.ts'

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
  let port: number
  let tocsin: RunningTocsin

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
          { topic: 'lines', signal: 'logs', encoding: 'lines', service: 'batch-job' },
        ],
      },
    }
    writeFileSync(configFile, stringify(config))
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
