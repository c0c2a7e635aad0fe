/**
 * Writing and reading the records of the telemetry topic, beside version 1 of the same: what a door makes of bodies, in parts by service as
 * it publishes them over eight partitions. Bytes per row stand beside those of the body. Each turn takes the next of eight bodies, of the
 * same series in the same order, as most senders do, or regrouped, as Prometheus does under load. There is one real scrape only, of
 * Prometheus 2.42 and a node-exporter.
 */
import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { compressSync, uncompressSync } from 'snappy'
import { decodeBatch, encodeBatch } from '../src/codec.ts'
import { ingestConfig } from '../src/ingest/config.ts'
import { createDoors } from '../src/ingest/doors.ts'
import type { Batch } from '../src/model.ts'
import { Telemetry } from '../src/telemetry.ts'
import { topicsWith } from '../src/transport/topics.ts'
import type { OutRecord } from '../src/transport/transport.ts'
import { encodeFirst } from './codec-v1.ts'
import { repeat, rounded, summary } from './suite.ts'
import type { Contender, Measured, Results, Scale, Suite } from './suite.ts'
import { lokiBody, remoteWriteBody, START_MS, tracesBody } from './wire.ts'

const BODIES = 8
const PARTITIONS = 8
/** One record is written or read in too short a time to be measured. */
const TIMES = 10

type RowBatch = Exclude<Batch, { kind: 'events' | 'tick' }>

interface Task {
  readonly unit: string
  /** What the bytes of the body are called, per row. */
  readonly figure: string
  readonly path: string
  readonly snappy: boolean
  readonly receivedMs: number
  body(number: number, scale: Scale): Uint8Array
  /** No record has all the series of one before it, and in the same order. */
  readonly regroup?: true
}

const RECORDED = new URL('../test/fixtures/senders/prometheus-2.rw1.proto-snappy.1.body', import.meta.url)

const TASKS: Readonly<Record<string, Task>> = {
  metrics: {
    unit: 'samples',
    figure: 'remoteWriteBytesPerSample',
    path: '/api/v1/write',
    snappy: true,
    receivedMs: START_MS + 60_000,
    body: (number, scale) => remoteWriteBody(number, scale.quick ? 40 : 2000),
  },
  regrouped: {
    unit: 'samples',
    figure: 'remoteWriteBytesPerSample',
    path: '/api/v1/write',
    snappy: true,
    receivedMs: START_MS + 60_000,
    body: (number, scale) => remoteWriteBody(number, scale.quick ? 40 : 2000),
    regroup: true,
  },
  prometheus: {
    unit: 'samples',
    figure: 'remoteWriteBytesPerSample',
    path: '/api/v1/write',
    snappy: true,
    receivedMs: Date.UTC(2026, 10, 23, 16),
    body: () => readFileSync(RECORDED),
  },
  logs: {
    unit: 'lines',
    figure: 'lokiBytesPerLine',
    path: '/loki/api/v1/push',
    snappy: true,
    receivedMs: START_MS + 60_000,
    body: (number, scale) => lokiBody(number, scale.quick ? 20 : 1000),
  },
  spans: {
    unit: 'spans',
    figure: 'otlpBytesPerSpan',
    path: '/v1/traces',
    snappy: false,
    receivedMs: START_MS + 60_000,
    body: (number, scale) => tracesBody(number, scale.quick ? 10 : 500),
  },
}

const VERSIONS: Readonly<Record<string, (batch: RowBatch) => Uint8Array>> = { now: encodeBatch, 'version 1': encodeFirst }
const WORKS = ['encode', 'decode'] as const

/** What a door publishes for each body. Spans are taken once, not again as links. */
async function batchesOf(task: Task, scale: Scale): Promise<RowBatch[][]> {
  const published: OutRecord[] = []
  const transport = {
    ensureTopic: async () => {},
    partitions: async () => PARTITIONS,
    publish: async (_topic: string, records: readonly OutRecord[]) => void published.push(...records),
    read: async function* () {},
    subscribe: async () => ({ [Symbol.asyncDispose]: async () => {} }),
    [Symbol.asyncDispose]: async () => {},
  }
  const door = createDoors({
    transport,
    topics: topicsWith('bench'),
    partitions: PARTITIONS,
    config: ingestConfig.parse({ limits: { maxAgeMs: 365 * 24 * 3_600_000 } }),
    telemetry: new Telemetry(pino({ level: 'silent' })),
    clock: () => task.receivedMs,
  })
  const headers = { 'content-type': 'application/x-protobuf', ...(task.snappy && { 'content-encoding': 'snappy' }) }
  const bodies: RowBatch[][] = []
  for (let number = 0; number < BODIES; number++) {
    const answer = await door.accept({ path: task.path, headers, body: task.body(number, scale), receivedMs: task.receivedMs })
    if (answer.status >= 300) throw new Error(`${task.path} answered ${answer.status}: ${String(answer.body)}`)
    bodies.push(published.splice(0).flatMap(({ value }) => rowsIn(decodeBatch(value))))
  }
  return bodies
}

function rowsIn(batch: Batch): RowBatch[] {
  return batch.kind === 'events' || batch.kind === 'tick' || batch.kind === 'links' ? [] : [batch]
}

/** A number that differs when a row, a time or a value is not the same. */
function sumOf(batches: readonly Batch[]): number {
  let sum = 0
  for (const batch of batches.flatMap(rowsIn)) {
    const [times, values] =
      batch.kind === 'metrics'
        ? [batch.timeMs, batch.value]
        : batch.kind === 'logs'
          ? [batch.timeMs, batch.body.map((body) => body.length)]
          : [batch.startMs, batch.durationMs]
    for (let row = 0; row < batch.rows; row++) sum += (times[row]! % 86_400_000) + values[row]! * (row + 1)
  }
  return sum
}

/** With one sample per series: turned by a number that differs from turn to turn, and without a few of them. */
function regrouped(batch: RowBatch, turn: number): RowBatch {
  if (batch.kind !== 'metrics') return batch
  const rows = Math.max(1, batch.rows - (turn % 11))
  const first = (turn * 7) % batch.rows
  return {
    ...batch,
    rows,
    series: [...batch.series.slice(first), ...batch.series.slice(0, first)].slice(0, rows),
    seriesIndex: batch.seriesIndex.subarray(0, rows),
    timeMs: batch.timeMs.subarray(0, rows),
    value: batch.value.subarray(0, rows),
    stale: batch.stale.subarray(0, rows),
  }
}

function rowsOf(batches: readonly RowBatch[]): number {
  return batches.reduce((sum, batch) => sum + batch.rows, 0)
}

async function measure(name: string, scale: Scale): Promise<Measured> {
  const [taskName, work, version] = name.split(', ') as [string, (typeof WORKS)[number], string]
  const task = TASKS[taskName]!
  const encode = VERSIONS[version]!
  const bodies = await batchesOf(task, scale)
  const records = bodies.map((batches) => batches.map(encode))
  const rows = bodies.map(rowsOf)
  const result = repeat(scale, (n, watch) => {
    const number = n % BODIES
    const times = task.regroup ? 1 : TIMES
    const batches = task.regroup ? bodies[number]!.map((batch) => regrouped(batch, n)) : bodies[number]!
    const parts = task.regroup && work === 'decode' ? batches.map(encode) : records[number]!
    watch.time(() => {
      for (let i = 0; i < times; i++) {
        if (work === 'encode') for (const batch of batches) encode(batch)
        else for (const record of parts) decodeBatch(record)
      }
    })
    return rowsOf(batches) * times
  })
  const body = task.body(0, scale)
  const plain = task.snappy ? uncompressSync(Buffer.from(body)).length : body.length
  const bytes = (of: (record: Uint8Array) => number) => records[0]!.reduce((sum, record) => sum + of(record), 0) / rows[0]!
  return {
    ...result,
    found: sumOf(records[1]!.map((record) => decodeBatch(record))),
    also: {
      bytesPerRow: bytes((record) => record.length),
      snappyBytesPerRow: bytes((record) => compressSync(Buffer.from(record)).length),
      bodyBytesPerRow: plain / rows[0]!,
      snappyBodyBytesPerRow: (task.snappy ? body.length : compressSync(Buffer.from(body)).length) / rows[0]!,
    },
  }
}

const nameOf = (task: string, work: string, version: string) => `${task}, ${work}, ${version}`

function contenders(): Contender[] {
  return Object.entries(TASKS).flatMap(([task, { unit }]) =>
    WORKS.flatMap((work) => Object.keys(VERSIONS).map((version) => ({ name: nameOf(task, work, version), unit, task }))),
  )
}

function json(results: Results): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(TASKS).map(([task, { unit, figure }]) => {
      const per = `bytesPer${unit[0]!.toUpperCase()}${unit.slice(1, -1)}`
      const also = (version: string, what: string) => rounded(results.also(nameOf(task, 'encode', version), what).median)
      const rate = (work: string, version: string) => Math.round(results.perCpuS(nameOf(task, work, version)).median)
      const ratio = (work: string) => summary(results.ratio(nameOf(task, work, 'now'), nameOf(task, work, 'version 1')))
      return [
        task,
        {
          [per]: also('now', 'bytesPerRow'),
          [`snappy${per[0]!.toUpperCase()}${per.slice(1)}`]: also('now', 'snappyBytesPerRow'),
          [figure]: { snappy: also('now', 'snappyBodyBytesPerRow'), uncompressed: also('now', 'bodyBytesPerRow') },
          encodePerCpuS: rate('encode', 'now'),
          decodePerCpuS: rate('decode', 'now'),
          previous: {
            [per]: also('version 1', 'bytesPerRow'),
            [`snappy${per[0]!.toUpperCase()}${per.slice(1)}`]: also('version 1', 'snappyBytesPerRow'),
            encodePerCpuS: rate('encode', 'version 1'),
            decodePerCpuS: rate('decode', 'version 1'),
          },
          encodeRatio: ratio('encode'),
          decodeRatio: ratio('decode'),
        },
      ]
    }),
  )
}

function notes(results: Results): string[] {
  return Object.entries(TASKS).map(([task, { unit }]) => {
    const bytes = (version: string, what: string) => rounded(results.also(nameOf(task, 'encode', version), what).median)
    return (
      `${task}: ${bytes('now', 'bytesPerRow')} bytes each of the ${unit} (${bytes('now', 'snappyBytesPerRow')} with snappy), ` +
      `version 1 took ${bytes('version 1', 'bytesPerRow')} (${bytes('version 1', 'snappyBytesPerRow')}), ` +
      `the body ${bytes('now', 'bodyBytesPerRow')} (${bytes('now', 'snappyBodyBytesPerRow')})`
    )
  })
}

export const suite: Suite = { contenders, measure, json, notes }
