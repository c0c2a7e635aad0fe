/**
 * The doors' decoders beside protobufjs. Ours: body as it came, through the endpoint that the door uses, to a batch with series identity,
 * service names, limits and clean text. The peer: `snappy` where the body is compressed, then protobufjs to message objects, and
 * nothing after that. Each turn decodes the next of eight bodies.
 */
import { uncompressSync } from 'snappy'
import type { DecOptions } from 'snappy'
import type { Type } from 'protobufjs'
import { encodeBatch } from '../src/codec.ts'
import { ENDPOINTS } from '../src/ingest/doors.ts'
import { ingestConfig } from '../src/ingest/config.ts'
import { Tally } from '../src/ingest/decode-context.ts'
import { Naming } from '../src/ingest/naming/naming.ts'
import { unsnappy } from '../src/ingest/wire/request-body.ts'
import { SeriesRegistry } from '../src/ingest/metrics/series-registry.ts'
import { ServiceRegistry } from '../src/ingest/service-registry.ts'
import { httpContenders, httpJson, isHttpContender, measureHttp } from './http.ts'
import { kafkaContenders, kafkaJson, kafkaNotes, measureKafka } from './kafka.ts'
import { parseLines } from './parse-lines.ts'
import { OBJECT_MAKERS_FLAGS, repeat, rounded, summary } from './suite.ts'
import type { Contender, Measured, Results, Scale, Suite } from './suite.ts'
import {
  LogsData,
  lokiBody,
  MetricsData,
  otlpLogsBody,
  otlpMetricsBody,
  PushRequest,
  remoteWrite2Body,
  remoteWriteBody,
  START_MS,
  TracesData,
  tracesBody,
  WriteRequest,
  WriteRequest2,
} from './wire.ts'

const BODIES = 8

interface Task {
  readonly unit: string
  /** The name of its figure in the JSON. */
  readonly figure: string
  readonly path: string
  readonly snappy: boolean
  /** Parameter of the content type. */
  readonly proto?: string
  readonly type: Type
  body(number: number, scale: Scale): Uint8Array
  /** When the rows of a message were, in its order. */
  timesOf(message: unknown): number[]
  /** What the door does with the message beyond reading it, done the ordinary way: for a second peer. */
  readonly work?: (message: unknown) => unknown
}

interface Times {
  readonly timeseries: { samples: { timestamp: number | Long }[] }[]
  readonly resourceSpans: { scopeSpans: { spans: { startTimeUnixNano: number | Long }[] }[] }[]
  readonly streams: { entries: { timestamp: { seconds: number | Long; nanos: number } }[] }[]
}
interface OtlpLogTimes {
  readonly resourceLogs: { scopeLogs: { logRecords: { timeUnixNano: number | Long }[] }[] }[]
}
interface OtlpPoints {
  readonly dataPoints: { timeUnixNano: number | Long; explicitBounds: number[] }[]
}
interface OtlpTimes {
  readonly resourceMetrics: { scopeMetrics: { metrics: { gauge?: OtlpPoints; sum?: OtlpPoints; histogram?: OtlpPoints }[] }[] }[]
}
type Long = { toString(): string }

const TASKS: Readonly<Record<string, Task>> = {
  remoteWrite: {
    unit: 'samples',
    figure: 'samplesPerCpuS',
    path: '/api/v1/write',
    snappy: true,
    type: WriteRequest,
    body: (number, scale) => remoteWriteBody(number, scale.quick ? 40 : 2000),
    timesOf: (message) => (message as Times).timeseries.flatMap(({ samples }) => samples.map((one) => Number(one.timestamp))),
  },
  remoteWrite2: {
    unit: 'samples',
    figure: 'samplesPerCpuS',
    path: '/api/v1/write',
    snappy: true,
    proto: 'io.prometheus.write.v2.Request',
    type: WriteRequest2,
    body: (number, scale) => remoteWrite2Body(number, scale.quick ? 40 : 2000),
    timesOf: (message) => (message as Times).timeseries.flatMap(({ samples }) => samples.map((one) => Number(one.timestamp))),
  },
  otlpMetrics: {
    unit: 'samples',
    figure: 'samplesPerCpuS',
    path: '/v1/metrics',
    snappy: false,
    type: MetricsData,
    body: (number, scale) => otlpMetricsBody(number, scale.quick ? 40 : 2000),
    timesOf: (message) =>
      (message as OtlpTimes).resourceMetrics.flatMap(({ scopeMetrics }) =>
        scopeMetrics.flatMap(({ metrics }) =>
          metrics.flatMap(({ gauge, sum, histogram }) => [
            ...(gauge ?? sum ?? { dataPoints: [] }).dataPoints.map((one) => Math.round(Number(one.timeUnixNano) / 1e6)),
            // A histogram is as many samples as Prometheus would make of it: count, sum, each bound and +Inf.
            ...(histogram?.dataPoints ?? []).flatMap((one) =>
              Array<number>(one.explicitBounds.length + 3).fill(Math.round(Number(one.timeUnixNano) / 1e6)),
            ),
          ]),
        ),
      ),
  },
  spans: {
    unit: 'spans',
    figure: 'spansPerCpuS',
    path: '/v1/traces',
    snappy: false,
    type: TracesData,
    body: (number, scale) => tracesBody(number, scale.quick ? 10 : 500),
    timesOf: (message) =>
      (message as Times).resourceSpans.flatMap(({ scopeSpans }) =>
        scopeSpans.flatMap(({ spans }) => spans.map((one) => Math.round(Number(one.startTimeUnixNano) / 1e6))),
      ),
  },
  otlpLogs: {
    unit: 'records',
    figure: 'recordsPerCpuS',
    path: '/v1/logs',
    snappy: false,
    type: LogsData,
    body: (number, scale) => otlpLogsBody(number, scale.quick ? 20 : 1000),
    timesOf: (message) =>
      (message as OtlpLogTimes).resourceLogs.flatMap(({ scopeLogs }) =>
        scopeLogs.flatMap(({ logRecords }) => logRecords.map((one) => Math.round(Number(one.timeUnixNano) / 1e6))),
      ),
  },
  logs: {
    unit: 'lines',
    figure: 'linesPerCpuS',
    path: '/loki/api/v1/push',
    snappy: true,
    type: PushRequest,
    body: (number, scale) => lokiBody(number, scale.quick ? 20 : 1000),
    work: parseLines,
    timesOf: (message) =>
      (message as Times).streams.flatMap(({ entries }) =>
        entries.map(({ timestamp }) => Number(timestamp.seconds) * 1000 + timestamp.nanos / 1e6),
      ),
  },
}

/** What one body decodes to. Looked at outside the measurement: the times of its rows prove that both sides read the same. */
interface Decoded {
  times(): number[]
  /** As Tocsin writes it to its own topic, in one record. */
  recordBytes?(): number
}
type Decode = (body: Uint8Array) => Decoded

const OURS = 'tocsin'
const PEER = 'protobufjs'
/** The same with room for the objects it makes; ours and the peer itself run with the flags that Node has by default. */
const TUNED_PEER = 'protobufjs-tuned'
/** The peer that does the same work, where reading is the smaller part of it. */
const WORKING_PEER = 'protobufjs+parse'

function decoderOf(task: Task): Decode {
  const config = ingestConfig.parse({})
  const endpoint = ENDPOINTS.get(task.path)!
  const type = task.proto === undefined ? 'application/x-protobuf' : `application/x-protobuf;proto=${task.proto}`
  const headers = { 'content-type': type, ...(task.snappy && { 'content-encoding': 'snappy' }) }
  const shared = {
    receivedMs: START_MS + 60_000,
    alertTimeoutMs: config.alertTimeoutMs,
    webhookAlertTimeoutMs: config.webhookAlertTimeoutMs,
    limits: config.limits,
    naming: new Naming(config.naming, config.limits.maxNameChars),
    series: new SeriesRegistry(config.limits),
    services: new ServiceRegistry(config.limits),
  }
  return (body) => {
    const context = { ...shared, rejected: new Tally(), skipped: new Tally() }
    const batch = endpoint.decode({ path: task.path, headers, body, receivedMs: shared.receivedMs }, context)
    if (batch.kind === 'events' || context.rejected.total > 0) throw new Error(`${task.path} rejected ${context.rejected.text()}`)
    return { times: () => [...('timeMs' in batch ? batch.timeMs : batch.startMs)], recordBytes: () => encodeBatch(batch).length }
  }
}

/** Without it results live outside the heap until the event loop turns, which it does not while a body follows the other. */
const SNAPPY_OPTIONS: DecOptions = { copyOutputData: true }

/** protobufjs generates a decoder from the schema when it is used first: it is as fast as one that its command-line tool writes. */
function peerOf(task: Task, work: Task['work']): Decode {
  return (body) => {
    const message: unknown = task.type.decode(
      task.snappy ? (uncompressSync(Buffer.from(body.buffer, body.byteOffset, body.length), SNAPPY_OPTIONS) as Buffer) : body,
    )
    const done = work?.(message)
    if (work !== undefined && done === undefined) throw new Error('the peer did not do its work')
    return { times: () => task.timesOf(message) }
  }
}

/** The least that reading a body could cost: decompressed, and each of its words looked at once. */
function floorNsPerRow(task: Task, bodies: readonly Uint8Array[], rowsPerBody: readonly number[], scale: Scale): number {
  let seen = 0
  const { units, cpuMs } = repeat({ ...scale, warmMs: scale.warmMs / 10, runMs: scale.runMs / 5 }, (n, watch) => {
    const number = n % BODIES
    watch.time(() => (seen ^= xorOf(task.snappy ? unsnappy(bodies[number]!, 2 ** 30) : bodies[number]!)))
    return rowsPerBody[number]!
  })
  if (!Number.isInteger(seen)) throw new Error('nothing was looked at')
  return (cpuMs * 1e6) / units
}

function xorOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let xor = 0
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    xor ^= view.getInt32(at, true) ^ view.getInt32(at + 4, true) ^ view.getInt32(at + 8, true) ^ view.getInt32(at + 12, true)
  }
  return xor
}

async function measure(name: string, scale: Scale): Promise<Measured> {
  if (isHttpContender(name)) return measureHttp(name, scale)
  if (name.startsWith('kafka ')) return measureKafka(name, scale)
  const [taskName, side] = name.split(' ') as [string, string]
  const task = TASKS[taskName]!
  const bodies = Array.from({ length: BODIES }, (_, number) => task.body(number, scale))
  const decode = side === OURS ? decoderOf(task) : peerOf(task, side === WORKING_PEER ? task.work : undefined)
  const rowsPerBody = bodies.map((body) => decode(body).times().length)
  const found = decode(bodies[1]!)
    .times()
    .reduce((sum, timeMs) => sum + Math.round(timeMs) - START_MS + 1, 0)
  const result = repeat(scale, (n, watch) => {
    const number = n % BODIES
    watch.time(() => decode(bodies[number]!))
    return rowsPerBody[number]!
  })
  const rssMb = process.memoryUsage.rss() / 2 ** 20
  const perRow = (bytes: number) => bytes / rowsPerBody[0]!
  const floorNs = side === OURS ? floorNsPerRow(task, bodies, rowsPerBody, scale) : 0
  const floors = floorNs === 0 ? 0 : (result.cpuMs * 1e6) / result.units / floorNs
  const also = { rssMb, floors, bodyBytes: bodies[0]!.length, bodyBytesPerRow: perRow(bodies[0]!.length) }
  return { ...result, found, also: { ...also, recordBytesPerRow: perRow(decode(bodies[0]!).recordBytes?.() ?? 0) } }
}

function sidesOf({ work }: Task): string[] {
  return [OURS, PEER, TUNED_PEER, ...(work === undefined ? [] : [WORKING_PEER])]
}

function flagsOf(side: string): { flags?: readonly string[] } {
  return side === TUNED_PEER ? { flags: OBJECT_MAKERS_FLAGS } : {}
}

function contenders(): Contender[] {
  const decoders = Object.entries(TASKS).flatMap(([task, { unit }]) =>
    sidesOf(TASKS[task]!).map((side) => ({ name: `${task} ${side}`, unit, task, ...flagsOf(side) })),
  )
  return [...decoders, ...kafkaContenders(), ...httpContenders]
}

function json(results: Results): Record<string, unknown> {
  const decoders = Object.fromEntries(
    Object.entries(TASKS).map(([task, { figure, work }]) => {
      const ours = results.perCpuS(`${task} ${OURS}`)
      const peer = results.perCpuS(`${task} ${PEER}`)
      const ratio = results.ratio(`${task} ${OURS}`, `${task} ${PEER}`)
      return [
        task,
        {
          [figure]: Math.round(ours.median),
          peer: PEER,
          peerPerCpuS: Math.round(peer.median),
          ratio: rounded(ratio.median),
          ratioOfRounds: summary(ratio),
          perWallS: Math.round(results.perWallS(`${task} ${OURS}`).median),
          peerPerWallS: Math.round(results.perWallS(`${task} ${PEER}`).median),
          tunedPeerPerCpuS: Math.round(results.perCpuS(`${task} ${TUNED_PEER}`).median),
          tunedPeerRatio: rounded(results.ratio(`${task} ${OURS}`, `${task} ${TUNED_PEER}`).median),
          ...(work !== undefined && {
            workingPeer: WORKING_PEER,
            workingPeerPerCpuS: Math.round(results.perCpuS(`${task} ${WORKING_PEER}`).median),
            workingPeerRatio: rounded(results.ratio(`${task} ${OURS}`, `${task} ${WORKING_PEER}`).median),
          }),
          bodyBytes: results.also(`${task} ${OURS}`, 'bodyBytes').median,
          timesTheFloor: rounded(results.also(`${task} ${OURS}`, 'floors').median),
          bodyBytesPerRow: rounded(results.also(`${task} ${OURS}`, 'bodyBytesPerRow').median),
          recordBytesPerRow: rounded(results.also(`${task} ${OURS}`, 'recordBytesPerRow').median),
        },
      ]
    }),
  )
  return { ...decoders, kafka: kafkaJson(results), http: httpJson(results) }
}

function notes(results: Results): string[] {
  const decoders = Object.keys(TASKS).map((task) => {
    const { median, min, max } = results.ratio(`${task} ${OURS}`, `${task} ${PEER}`)
    const also = (side: string, figure: string) => Math.round(results.also(`${task} ${side}`, figure).median)
    return `${task}: ${median.toFixed(2)} times protobufjs (rounds ${min.toFixed(2)} to ${max.toFixed(2)}), ${also(OURS, 'floors')} times the floor, bodies of ${also(OURS, 'bodyBytes')} bytes, ${also(OURS, 'rssMb')} MB resident against ${also(PEER, 'rssMb')}`
  })
  return [...decoders, ...kafkaNotes(results)]
}

export const suite: Suite = { contenders, measure, json, notes }
