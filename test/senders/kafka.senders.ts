/**
 * Senders that write to Kafka, a real broker, and `ingest.sources` that read what they wrote: the Collector in both encodings and every
 * compression, with keys and headers; Telegraf's remote-write records; kcat.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { decodeBatch } from '../../src/codec.ts'
import type { Batch } from '../../src/model.ts'
import { createKafkaTransport } from '../../src/transport/kafka.ts'
import { kafkaConfigFor, quietTelemetry } from '../contract/transport-kafka-support.ts'
import { startKafka, until, type RunningKafka } from '../support/kafka.ts'
import { freePorts } from '../support/processes.ts'
import { output, programFolder, startProgram } from '../support/programs.ts'
import { builtSender, which } from '../support/services.ts'
import { argumentsOf, chosen, snippet } from '../support/snippets.ts'
import { countersOf, startTocsin, type RunningTocsin } from '../support/tocsin.ts'
import { generate, generated, report, rowsOfAll, startCollector, telemetryOf } from './bench.ts'

interface SourcesBlock {
  readonly transport: string
  readonly kafka: { readonly brokers: readonly string[] }
  readonly ingest: { readonly sources: readonly { readonly topic: string }[] }
}

describe('into Kafka', () => {
  const cleanup: AsyncDisposable[] = []
  const published: Batch[] = []
  let kafka: RunningKafka
  let folder: string
  let tocsin: RunningTocsin

  const rows = () => {
    const of = <K extends Batch['kind']>(kind: K) => published.filter((batch): batch is Extract<Batch, { kind: K }> => batch.kind === kind)
    return rowsOfAll({ spans: of('spans'), logs: of('logs'), metrics: of('metrics') })
  }
  /** Key, headers and size of the records of a topic, by kcat. */
  const records = async (topic: string) => {
    const text = await output(which('kcat', 'kafkacat')!, [
      '-C',
      '-b',
      kafka.bootstrap,
      '-t',
      topic,
      '-o',
      'beginning',
      '-e',
      '-q',
      '-f',
      '%K|%k|%h\\n',
    ])
    return text.split('\n').filter((line) => line !== '')
  }

  beforeAll(async () => {
    kafka = await startKafka()
    const temporary = await programFolder('kafka-senders')
    cleanup.push(kafka, temporary)
    folder = temporary.path
    const blocks = (['tocsin-kafka-otlp', 'tocsin-kafka-telegraf', 'tocsin-kafka-lines'] as const).map(
      (name) => parse(sources(name)) as SourcesBlock,
    )
    const config = { ...blocks[0]!, ingest: { sources: blocks.flatMap((block) => block.ingest.sources) } }
    const file = join(folder, 'tocsin.yaml')
    writeFileSync(file, stringify(config))
    for (const { topic } of config.ingest.sources) await kafka.createTopic(topic, 2)
    const [port] = (await freePorts(1)) as [number]
    tocsin = await startTocsin(['run', '--role', 'ingest', '--config', file, '--set', 'ingest.grpc.enabled=false'], port)
    const transport = createKafkaTransport(kafkaConfigFor(kafka), { telemetry: quietTelemetry(), clock: () => Date.now() })
    cleanup.push(transport)
    await transport.subscribe('tocsin.telemetry', 'test', {
      handle: async ({ records: batch }) => void published.push(...batch.map(({ value }) => decodeBatch(value))),
    })
  })

  const sources = (name: string) =>
    name === 'tocsin-kafka-otlp'
      ? snippet('tocsin-kafka-otlp', { '127.0.0.1:9092': kafka.bootstrap })
      : name === 'tocsin-kafka-telegraf'
        ? snippet('tocsin-kafka-telegraf', { '127.0.0.1:9092': kafka.bootstrap })
        : snippet('tocsin-kafka-lines', { '127.0.0.1:9092': kafka.bootstrap })

  afterAll(async () => {
    await tocsin?.[Symbol.asyncDispose]()
    for (const part of cleanup.reverse()) await part[Symbol.asyncDispose]()
  })

  const forms = ['otlp_proto', 'otlp_json'].flatMap((encoding) =>
    ['none', 'gzip', 'snappy', 'lz4', 'zstd'].map((compression) => [encoding, compression] as const),
  )
  it.each(forms)('the Collector: %s, %s', async (encoding, compression) => {
    const service = `${encoding}-${compression}`.replace('_', '-')
    let block = snippet('otelcol-kafka', { '127.0.0.1:9092': kafka.bootstrap })
    if (encoding !== 'otlp_proto') block = chosen(block, 'otlp_proto', encoding)
    if (compression !== 'zstd') block = chosen(block, 'zstd', compression)
    const collector = await startCollector(folder, block)
    await generate(folder, collector.host, service)
    await collector[Symbol.asyncDispose]()
    expect(collector.log()).not.toMatch(/\terror\t|Exporting failed/)
    const said = () => {
      const each = telemetryOf(rows(), service)
      return { ...each, spans: each.spans.toSorted(), samples: each.samples.toSorted() }
    }
    const wanted = { ...generated(), spans: generated().spans.toSorted() }
    await until(`all of ${service} is on the telemetry topic`, () => {
      const { spans, lines, samples } = said()
      return spans.length >= wanted.spans.length && lines.length >= wanted.lines.length && samples.length >= wanted.samples.length
    })
    expect(said()).toEqual(wanted)
    report(
      `otelcol, kafka ${encoding} ${compression}`,
      `${said().spans.length} spans, ${said().lines.length} lines, ${said().samples.length} samples`,
    )
  })

  it('the Collector writes keys and headers: a trace by its id, resources by a hash', async () => {
    const spans = await records('otlp_spans')
    // A trace whose spans came in two requests is in two records of one key.
    expect(new Set(spans).size).toBe(3 * forms.length)
    for (const record of spans) expect(record).toMatch(/^32\|[0-9a-f]{32}\|team=payments$/)
    const hashes = await records('otlp_metrics')
    expect(hashes.length).toBeGreaterThanOrEqual(forms.length)
    expect(hashes.some((record) => record.startsWith('16|'))).toBe(true)
    const codecs = new Set<number>()
    for (const partition of [0, 1])
      for (const codec of codecsIn(await readFile(await kafka.segment('otlp_spans', partition)))) codecs.add(codec)
    expect(codecs, 'every compression has been used').toEqual(new Set([0, 1, 2, 3, 4]))
    report('otelcol, kafka', `${spans.length} records keyed by trace, header team=payments`)
  })

  it.each(['jaeger_proto', 'jaeger_json', 'zipkin_proto', 'zipkin_json'])('the Collector: traces as %s', async (encoding) => {
    const service = encoding.replace('_', '-')
    const block = chosen(snippet('otelcol-kafka', { '127.0.0.1:9092': kafka.bootstrap }), 'otlp_proto', encoding)
    const collector = await startCollector(folder, block)
    await generate(folder, collector.host, service, 'traces')
    await collector[Symbol.asyncDispose]()
    expect(collector.log()).not.toMatch(/\terror\t|Exporting failed/)
    const said = () => telemetryOf(rows(), service)
    await until(`all of ${service} is on the telemetry topic`, () => said().spans.length >= generated().spans.length)
    expect(said().spans.toSorted()).toEqual(generated().spans.toSorted())
    report(`otelcol, kafka ${encoding}`, `${said().spans.length} spans of ${said().traces} traces`)
  })

  it('Telegraf: remote write in snappy, without a key', async () => {
    const file = join(folder, 'telegraf.conf')
    writeFileSync(
      file,
      `[agent]\ninterval = "1s"\nflush_interval = "1s"\n[global_tags]\nservice = "box"\n${snippet('telegraf-kafka', { '127.0.0.1:9092': kafka.bootstrap })}[[inputs.mem]]\n`,
    )
    const telegraf = await startProgram({ folder, name: 'telegraf', command: builtSender('telegraf'), args: ['--config', file] })
    const memory = () => rows().samples.filter(({ key }) => key.startsWith('mem_total{') && key.includes('service="box"'))
    try {
      await until('two samples are on the telemetry topic', () => memory().length >= 2)
    } finally {
      await telegraf[Symbol.asyncDispose]()
    }
    expect(telegraf.log()).not.toContain(' E! ')
    expect(memory()[0]!.value).toBeGreaterThan(1e8)
    expect(
      published.flatMap((batch) => (batch.kind === 'metrics' ? batch.series : [])).find(({ name }) => name === 'mem_total'),
    ).toMatchObject({
      service: 'box',
    })
    expect((await records('telegraf'))[0]).toBe('-1||')
    report('telegraf, kafka', `${rows().samples.filter(({ key }) => key.includes('service="box"')).length} samples`)
  })

  it('kcat: a line per record', async () => {
    const [, ...args] = argumentsOf(snippet('kcat', { '127.0.0.1:9092': kafka.bootstrap }))
    const kcat = spawn(which('kcat', 'kafkacat')!, args, { stdio: ['pipe', 'ignore', 'ignore'] })
    kcat.stdin.end('plain text\n{"level":"error","msg":"from JSON","service":"cart"}\n')
    expect((await once(kcat, 'exit'))[0]).toBe(0)
    const lines = () => rows().lines.filter(({ service }) => service === 'checkout' || service === 'cart')
    await until('both lines are on the telemetry topic', () => lines().length >= 2)
    expect(lines().map(({ service, severity, body }) => [service, severity, body])).toEqual(
      expect.arrayContaining([
        ['checkout', 0, 'plain text'],
        ['cart', 17, 'from JSON'],
      ]),
    )
    report('kcat', `${lines().length} lines`)
  })

  it('and nothing was put aside', async () => {
    expect(await countersOf(tocsin.url, 'tocsin_dead_letter_total', 'reason')).toEqual({})
  })
})

/** The compression of each record batch in a segment: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd. https://kafka.apache.org/documentation/#recordbatch */
function codecsIn(segment: Buffer): number[] {
  const codecs: number[] = []
  for (let at = 0; at + 23 <= segment.length; at += 12 + segment.readInt32BE(at + 8)) codecs.push(segment.readInt16BE(at + 21) & 7)
  return codecs
}
