/**
 * Doors, transport, detectors and correlator of one process, joined as app.ts joins them but without a database or a clock: time is what the
 * test says. What is acknowledged has been looked at when `take` resolves.
 */
import pino from 'pino'
import { decodeBatch } from '../../src/codec.ts'
import { detectConfig } from '../../src/detect/config.ts'
import { loadModels } from '../../src/detect/service/model-files.ts'
import { PartitionDetectors } from '../../src/detect/partition.ts'
import { ingestConfig } from '../../src/ingest/config.ts'
import type { SourceConfig } from '../../src/ingest/config.ts'
import type { BulkDoor, Door, DoorRequest } from '../../src/ingest/door.ts'
import { createDoors } from '../../src/ingest/doors.ts'
import { replay } from '../../src/ingest/recording/replay.ts'
import { startKafkaSources } from '../../src/ingest/kafka/kafka-source.ts'
import type { Anomaly, Finding } from '../../src/model.ts'
import { Telemetry } from '../../src/telemetry.ts'
import { createEmbeddedTransport } from '../../src/transport/embedded.ts'
import { topicsWith } from '../../src/transport/topics.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { Correlator } from './correlator.ts'

const TICK_MS = 5_000
const TOPICS = topicsWith('tocsin')
const SILENT = pino({ level: 'silent' })

export interface TopicRecord {
  readonly topic: string
  readonly value: Uint8Array
}

export class Pipeline implements AsyncDisposable {
  readonly correlator = new Correlator()
  readonly telemetry = new Telemetry(SILENT)
  nowMs = 0
  readonly #anomalies = new Map<string, Anomaly>()
  readonly #detectors: PartitionDetectors
  readonly #transport: Transport
  readonly #door: Door & BulkDoor
  #sources: AsyncDisposable | undefined

  private constructor() {
    const config = detectConfig.parse({})
    this.#detectors = new PartitionDetectors({ partition: 0, config, models: loadModels(config, SILENT) })
    const clock = () => this.nowMs
    this.#transport = createEmbeddedTransport({ clock })
    const options = { transport: this.#transport, topics: TOPICS, telemetry: this.telemetry, clock }
    this.#door = createDoors({ ...options, partitions: 1, config: ingestConfig.parse({}) })
  }

  static async open(sources: readonly SourceConfig[] = []): Promise<Pipeline> {
    const pipeline = new Pipeline()
    const transport = pipeline.#transport
    for (const topic of Object.values(TOPICS)) await transport.ensureTopic(topic, 1)
    await transport.subscribe(TOPICS.telemetry, 'detect', {
      handle: async ({ records }) => {
        const findings: Finding[] = []
        for (const { value } of records) {
          const mishaps = pipeline.#detectors.feed(decodeBatch(value), (finding) => findings.push(finding))
          if (mishaps.length > 0) throw mishaps[0]!.error
        }
        for (const finding of findings) if (finding.kind === 'anomaly') pipeline.#anomalies.set(finding.id, finding)
        pipeline.correlator.take(findings.map((finding) => ({ partition: 0, finding })))
      },
    })
    const options = { transport, topics: TOPICS, telemetry: pipeline.telemetry, clock: () => pipeline.nowMs }
    pipeline.#sources = await startKafkaSources({ ...options, door: pipeline.#door, config: ingestConfig.parse({ sources }) })
    return pipeline
  }

  /** The last word on each anomaly, in order of appearance. */
  get anomalies(): readonly Anomaly[] {
    return [...this.#anomalies.values()]
  }

  /** Time passes until `untilMs`, then these are sent. Throws when a door refuses one. */
  async take(untilMs: number, requests: readonly Omit<DoorRequest, 'receivedMs'>[], records: readonly TopicRecord[] = []): Promise<void> {
    if (this.nowMs === 0) this.nowMs = untilMs - TICK_MS
    while (this.nowMs + TICK_MS <= untilMs) {
      this.nowMs += TICK_MS
      await this.#door.tick(this.nowMs)
    }
    for (const request of requests) {
      const { status, body } = await this.#door.accept({ ...request, receivedMs: this.nowMs })
      if (status >= 300) throw new Error(`${request.path} answered ${status}: ${Buffer.from(body).toString()}`)
    }
    for (const topic of new Set(records.map((record) => record.topic))) {
      const values = records.filter((record) => record.topic === topic)
      await this.#transport.publish(
        topic,
        values.map(({ value }) => ({ partition: 0, value })),
      )
    }
  }

  /** A recording, in its own time. */
  async play(folder: string): Promise<void> {
    const { endMs } = await replay(folder, this.#door, { tickMs: TICK_MS, tailMs: 600_000 })
    this.nowMs = endMs
  }

  /** What the detectors count. */
  counts(): Record<string, number> {
    return Object.fromEntries([...this.#detectors.counts()].map(([detector, name, value]) => [`${detector} ${name}`, value]))
  }

  /** What Tocsin counts of itself, by its labels; those that are 0 are left out. */
  async counted(name: string): Promise<Record<string, number>> {
    const { values } = (await this.telemetry.registry.getSingleMetric(name)?.get()) ?? { values: [] }
    return Object.fromEntries(
      values.filter(({ value }) => value !== 0).map(({ labels, value }) => [Object.values(labels).join(' '), value]),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sources?.[Symbol.asyncDispose]()
    await this.#transport[Symbol.asyncDispose]()
  }
}
