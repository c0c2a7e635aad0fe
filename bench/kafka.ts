/**
 * The way in from Kafka without its broker: records as a fetch brings them, handed to the source, through sniffing, decoding and encoding, to a
 * carrier that keeps nothing. The peer does what a consumer written the ordinary way does with kafkajs' `eachMessage`: JSON.parse or
 * protobufjs for each message, rows out of it, and those encoded again with the same; no limits, no naming, no partitions.
 */
import { pino } from 'pino'
import { decodeBatch } from '../src/codec.ts'
import { ingestConfig } from '../src/ingest/config.ts'
import { createDoors } from '../src/ingest/doors.ts'
import { startKafkaSources } from '../src/ingest/kafka/kafka-source.ts'
import { Telemetry } from '../src/telemetry.ts'
import { topicsWith } from '../src/transport/topics.ts'
import type { BatchHandler, InRecord, OutRecord } from '../src/transport/transport.ts'
import { cpuMs, rounded, summary } from './suite.ts'
import type { Contender, Measured, Results, Scale } from './suite.ts'
import { randomOf, START_MS, TracesData, tracesBody } from './wire.ts'

const OURS = 'tocsin'
const PEER = 'eachMessage'

interface Task {
  readonly signal: 'metrics' | 'logs' | 'traces'
  readonly unit: string
  values(batch: number, count: number): Uint8Array[]
  readonly records: number
  /** The rows of one message and their times, made into bytes again. */
  peer(value: Uint8Array): { readonly times: readonly number[]; readonly bytes: Uint8Array }
}

const NOW_MS = START_MS + 60_000
const TASKS: Readonly<Record<string, Task>> = {
  samples: { signal: 'metrics', unit: 'records', records: 1000, values: sampleRecords, peer: peerSample },
  lines: { signal: 'logs', unit: 'records', records: 1000, values: lineRecords, peer: peerLine },
  spans: {
    signal: 'traces',
    unit: 'records',
    records: 20,
    values: (batch, count) => Array.from({ length: count }, (_, i) => tracesBody(batch * count + i, 100)),
    peer: peerSpans,
  },
}

/** As prometheus-kafka-adapter writes them: 500 series of 20 services. */
function sampleRecords(batch: number, count: number): Uint8Array[] {
  const random = randomOf(batch + 1)
  return Array.from({ length: count }, (_, i) => {
    const series = i % 500
    const name = `http_requests_${series % 5}_total`
    return Buffer.from(
      JSON.stringify({
        timestamp: new Date(START_MS + (i >= 500 ? 15_000 : 0)).toISOString(),
        value: String(Math.floor(random() * 1e6)),
        name,
        labels: {
          __name__: name,
          job: `service-${series % 20}`,
          instance: `10.0.${series % 20}.${series % 4}:8080`,
          method: series % 2 === 0 ? 'GET' : 'POST',
          path: `/api/v1/path-${series % 25}`,
        },
      }),
    )
  })
}

/** Half of them JSON, half text. */
function lineRecords(batch: number, count: number): Uint8Array[] {
  const random = randomOf(batch + 1)
  return Array.from({ length: count }, (_, i) => {
    const message = `handled request ${Math.floor(random() * 1e9)} for user ${i} in ${Math.floor(random() * 300)} ms`
    if (i % 2 === 0) return Buffer.from(`INFO ${message}`)
    const time = new Date(START_MS + i).toISOString()
    return Buffer.from(
      JSON.stringify({ time, level: i % 50 === 1 ? 'error' : 'info', service: `service-${i % 20}`, msg: message, request: i }),
    )
  })
}

function peerSample(value: Uint8Array) {
  const sample = JSON.parse(text(value)) as { timestamp: string; value: string; name: string; labels: Record<string, string> }
  const row = { timeMs: Date.parse(sample.timestamp), value: Number(sample.value), name: sample.name, labels: sample.labels }
  return { times: [row.timeMs], bytes: Buffer.from(JSON.stringify(row)) }
}

function peerLine(value: Uint8Array) {
  const line = text(value)
  let fields: Record<string, unknown> | undefined
  if (line.startsWith('{')) {
    try {
      fields = JSON.parse(line) as Record<string, unknown>
    } catch {
      fields = undefined // a line of text in braces
    }
  }
  const body = typeof fields?.['msg'] === 'string' ? fields['msg'] : line
  const level = typeof fields?.['level'] === 'string' ? fields['level'] : /\b(TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b/.exec(line)?.[1]
  const timeMs = typeof fields?.['time'] === 'string' ? Date.parse(fields['time']) : NOW_MS
  const row = { timeMs, service: fields?.['service'] ?? 'unknown', level: level?.toLowerCase(), body }
  return { times: [timeMs], bytes: Buffer.from(JSON.stringify(row)) }
}

interface Traces {
  readonly resourceSpans: { scopeSpans: { spans: { startTimeUnixNano: number | { toString(): string } }[] }[] }[]
}

function peerSpans(value: Uint8Array) {
  const message = TracesData.decode(value)
  const { resourceSpans } = message as unknown as Traces
  const times = resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) => spans.map((span) => Math.round(Number(span.startTimeUnixNano) / 1e6))),
  )
  return { times, bytes: TracesData.encode(message).finish() }
}

function text(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')
}

type Handle = (records: readonly InRecord[]) => Promise<void>

/** `published` is told of what came out; only looked at outside the measurement. */
async function ourHandle(task: Task, published: (records: readonly OutRecord[]) => void): Promise<Handle> {
  let handler: BatchHandler | undefined
  const transport = {
    ensureTopic: async () => {},
    partitions: async () => 1,
    publish: async (_topic: string, records: readonly OutRecord[]) => published(records),
    subscribe: async (_topic: string, _group: string, given: BatchHandler) => {
      handler = given
      return { [Symbol.asyncDispose]: async () => {} }
    },
    [Symbol.asyncDispose]: async () => {},
  }
  const config = ingestConfig.parse({ sources: [{ topic: 'in', signal: task.signal }] })
  const telemetry = new Telemetry(pino({ level: 'silent' }))
  const [topics, clock] = [topicsWith('bench'), () => NOW_MS]
  const door = createDoors({ transport, topics, partitions: 1, config, telemetry, clock })
  await startKafkaSources({ transport, topics, door, config, telemetry, clock })
  const signal = new AbortController().signal
  return (records) => handler!.handle({ topic: 'in', partition: 0, records }, signal)
}

/** As kafkajs calls `eachMessage`: one after the other, each awaited. */
function peerHandle(task: Task, told: (times: readonly number[]) => void): Handle {
  const eachMessage = async (record: InRecord) => {
    const { times, bytes } = task.peer(record.value)
    if (bytes.length === 0) throw new Error('the peer did not do its work')
    told(times)
  }
  return async (records) => {
    for (const record of records) await eachMessage(record)
  }
}

export async function measureKafka(name: string, scale: Scale): Promise<Measured> {
  const [, taskName, side] = name.split(' ') as [string, string, string]
  const task = TASKS[taskName]!
  const count = scale.quick ? Math.min(task.records, 20) : task.records
  const batches = Array.from({ length: 8 }, (_, batch) =>
    task.values(batch, count).map((value, offset): InRecord => ({ offset, value, key: '', headers: {}, timestampMs: NOW_MS })),
  )
  let found = 0
  let isLooking = true
  const note = (times: Iterable<number>) => {
    if (isLooking) for (const timeMs of times) found += Math.round(timeMs) - START_MS + 1
  }
  const handle =
    side === OURS
      ? await ourHandle(task, (records) => {
          if (!isLooking) return
          for (const { value } of records) {
            const batch = decodeBatch(value)
            if (batch.kind === 'metrics' || batch.kind === 'logs') note(batch.timeMs)
            else if (batch.kind === 'spans') note(batch.startMs)
          }
        })
      : peerHandle(task, note)
  for (const records of batches) await handle(records)
  isLooking = false
  const spend = async (ms: number) => {
    const [startMs, startCpuMs] = [performance.now(), cpuMs()]
    let units = 0
    for (let n = 0; cpuMs() - startCpuMs < ms || units === 0; n++) {
      const records = batches[n % batches.length]!
      await handle(records)
      units += records.length
    }
    return { units, cpuMs: cpuMs() - startCpuMs, wallMs: performance.now() - startMs }
  }
  await spend(scale.warmMs)
  return { ...(await spend(scale.runMs)), found }
}

export function kafkaContenders(): Contender[] {
  return Object.entries(TASKS).flatMap(([task, { unit }]) =>
    [OURS, PEER].map((side) => ({
      name: `kafka ${task} ${side}`,
      unit,
      task: `kafka ${task}`,
    })),
  )
}

/** One record is a sample, a line, or a batch of a hundred spans. */
export function kafkaJson(results: Results): Record<string, unknown> {
  const of = (task: string) => {
    const [ours, peer] = [`kafka ${task} ${OURS}`, `kafka ${task} ${PEER}`]
    const ratio = results.ratio(ours, peer)
    return {
      recordsPerCpuS: Math.round(results.perCpuS(ours).median),
      peer: PEER,
      peerPerCpuS: Math.round(results.perCpuS(peer).median),
      ratio: rounded(ratio.median),
      ratioOfRounds: summary(ratio),
    }
  }
  return { ...of('samples'), samples: of('samples'), lines: of('lines'), spans: of('spans') }
}

export function kafkaNotes(results: Results): string[] {
  return Object.keys(TASKS).map((task) => {
    const { median, min, max } = results.ratio(`kafka ${task} ${OURS}`, `kafka ${task} ${PEER}`)
    return `kafka ${task}: ${median.toFixed(2)} times ${PEER} with JSON.parse or protobufjs (rounds ${min.toFixed(2)} to ${max.toFixed(2)})`
  })
}
