/** Doors on a transport that remembers what was published and can be told to fail. */
import { readFileSync } from 'node:fs'
import pino from 'pino'
import { decodeBatch } from '../../src/codec.ts'
import { ingestConfig } from '../../src/ingest/config.ts'
import type { IngestConfig } from '../../src/ingest/config.ts'
import { Tally } from '../../src/ingest/decode-context.ts'
import type { DecodeContext } from '../../src/ingest/decode-context.ts'
import type { BulkDoor, Door, DoorRequest } from '../../src/ingest/door.ts'
import { createDoors } from '../../src/ingest/doors.ts'
import { Naming } from '../../src/ingest/naming/naming.ts'
import { SeriesRegistry } from '../../src/ingest/metrics/series-registry.ts'
import { ServiceRegistry } from '../../src/ingest/service-registry.ts'
import type { Batch, EventBatch, LogBatch, MetricBatch, SpanBatch, Tick } from '../../src/model.ts'
import { Telemetry } from '../../src/telemetry.ts'
import type { OutRecord, RecordBatch, BatchHandler, Transport } from '../../src/transport/transport.ts'
import { topicsWith } from '../../src/transport/topics.ts'

/** When the recorded bodies were sent. */
export const NOW_MS = Date.parse('2026-11-23T16:00:00Z')
const AGES_MS = 365 * 24 * 3_600_000

interface ByKind {
  metrics: MetricBatch
  logs: LogBatch
  spans: SpanBatch
  links: SpanBatch
  events: EventBatch
  tick: Tick
}

export class RememberingTransport implements Transport {
  readonly published: { topic: string; record: OutRecord }[] = []
  readonly handlers = new Map<string, BatchHandler>()
  failWith: Error | undefined
  /** When set, publish waits for it. */
  gate: Promise<void> | undefined

  async ensureTopic(): Promise<void> {}

  async partitions(): Promise<number> {
    return 4
  }

  async publish(topic: string, records: readonly OutRecord[], signal?: AbortSignal): Promise<void> {
    const aborted = new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))
    await Promise.race([this.gate, aborted])
    if (this.failWith !== undefined) throw this.failWith
    for (const record of records) this.published.push({ topic, record })
  }

  async subscribe(topic: string, _group: string, handler: BatchHandler): Promise<AsyncDisposable> {
    this.handlers.set(topic, handler)
    return {
      [Symbol.asyncDispose]: async () => {
        this.handlers.delete(topic)
      },
    }
  }

  async deliver(batch: RecordBatch): Promise<void> {
    await this.handlers.get(batch.topic)!.handle(batch, new AbortController().signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Batches on the telemetry topic, in the order they were published. */
  batches(): { partition: number; batch: Batch }[] {
    return this.published
      .filter(({ topic }) => topic === TOPICS.telemetry)
      .map(({ record }) => ({ partition: record.partition, batch: decodeBatch(record.value) }))
  }

  of<K extends Batch['kind']>(kind: K): ByKind[K][] {
    return this.batches()
      .map(({ batch }) => batch)
      .filter((batch): batch is ByKind[K] => batch.kind === kind)
  }
}

export const TOPICS = topicsWith('test')

export interface Opened {
  readonly door: Door & BulkDoor
  readonly transport: RememberingTransport
  readonly telemetry: Telemetry
  readonly config: IngestConfig
}

export function openDoors(settings: Record<string, unknown> = {}, partitions = 4): Opened {
  const limits = { maxAgeMs: AGES_MS, ...(settings['limits'] as object | undefined) }
  const config = ingestConfig.parse({ ...settings, limits })
  const transport = new RememberingTransport()
  const telemetry = new Telemetry(pino({ level: 'silent' }))
  const door = createDoors({ transport, topics: TOPICS, partitions, config, telemetry, clock: () => NOW_MS })
  return { door, transport, telemetry, config }
}

export function newContext(settings: Record<string, unknown> = {}): DecodeContext {
  const config = ingestConfig.parse({
    ...settings,
    limits: { maxAgeMs: 1e15, maxFutureMs: 1e15, ...(settings['limits'] as object | undefined) },
  })
  return {
    receivedMs: NOW_MS,
    alertTimeoutMs: config.alertTimeoutMs,
    webhookAlertTimeoutMs: config.webhookAlertTimeoutMs,
    limits: config.limits,
    naming: new Naming(config.naming, config.limits.maxNameChars),
    series: new SeriesRegistry(config.limits),
    services: new ServiceRegistry(config.limits),
    rejected: new Tally(),
    skipped: new Tally(),
  }
}

export function post(path: string, headers: Record<string, string>, body: Uint8Array | string, receivedMs = NOW_MS): DoorRequest {
  return { path, headers, body: typeof body === 'string' ? Buffer.from(body) : body, receivedMs }
}

export const JSON_TYPE = { 'content-type': 'application/json' }

export function postJson(path: string, value: unknown): DoorRequest {
  return post(path, JSON_TYPE, JSON.stringify(value))
}

/** A request as a real program sent it. */
export function recorded(name: string): DoorRequest {
  const head = JSON.parse(fixture(`senders/${name}.json`).toString('utf8')) as { path: string; headers: Record<string, string> }
  return post(head.path, head.headers, fixture(`senders/${name}.body`))
}

export function fixture(path: string): Buffer {
  return readFileSync(new URL(`../fixtures/${path}`, import.meta.url))
}

/* ---- Rows as plain objects, for comparing. */

export function samplesOf(batch: MetricBatch) {
  return Array.from({ length: batch.rows }, (_, row) => ({
    key: batch.series[batch.seriesIndex[row]!]!.key,
    timeMs: batch.timeMs[row]!,
    value: batch.value[row]!,
    stale: batch.stale[row]!,
  }))
}

export function linesOf(batch: LogBatch) {
  return Array.from({ length: batch.rows }, (_, row) => ({
    service: batch.sources[batch.sourceIndex[row]!]!.service,
    timeMs: batch.timeMs[row]!,
    severity: batch.severity[row]!,
    body: batch.body[row]!,
    traceId: batch.traceId[row]!,
  }))
}

export function spansOf(batch: SpanBatch) {
  return Array.from({ length: batch.rows }, (_, row) => ({
    service: batch.sources[batch.sourceIndex[row]!]!.service,
    operation: batch.operations[batch.operationIndex[row]!]!,
    kind: batch.spanKind[row]!,
    status: batch.status[row]!,
    startMs: batch.startMs[row]!,
    durationMs: batch.durationMs[row]!,
    traceId: batch.traceId[row]!,
    spanId: batch.spanId[row]!,
    parentId: batch.parentId[row]!,
    peer: batch.peer[row]!,
  }))
}

export function eventsOf(batches: readonly EventBatch[]) {
  return batches.flatMap((batch) => batch.events)
}
