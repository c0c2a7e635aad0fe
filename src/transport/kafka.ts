/**
 * The transport through Kafka: `Transport`'s contract on kafkajs, whose traps are met in the files beside this one: sends in
 * kafka-producer.ts, positions in kafka-consumer.ts and kafka-partition.ts, compression in kafka-codecs.ts.
 *
 * Partitions: `ensureTopic` adds those that a topic lacks, and a topic that grows while we run is told. What is spread over the
 * partitions by key stays where it is until whoever spreads it is configured otherwise.
 *
 * The consumer group of `subscribe('otlp_logs', 'ingest', …)` is `<groupPrefix>.ingest.otlp_logs`: kafkajs hands out the topics of
 * whoever leads the group, so members that read different topics must not share one.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import type { Admin } from 'kafkajs'
import { messageOf, PermanentError } from '../errors.ts'
import type { Telemetry } from '../telemetry.ts'
import type { KafkaConfig } from './config.ts'
import { transportHappenings, type TransportHappenings } from './happenings.ts'
import { deadBatch } from './dead-letter.ts'
import { KafkaClient, metadataMaxAgeMs, patience, pauseFor, tlsOptions } from './kafka-client.ts'
import { registerCodecs, type Undecodable } from './kafka-codecs.ts'
import { KafkaSubscription } from './kafka-consumer.ts'
import { KafkaPublisher } from './kafka-producer.ts'
import { readPartition } from './kafka-reader.ts'
import { topicsWith } from './topics.ts'
import type { BatchHandler, InRecord, LogReader, OutRecord, Transport } from './transport.ts'

export interface KafkaTransportOptions {
  readonly telemetry: Telemetry
  readonly clock: () => number
}

export function createKafkaTransport(config: KafkaConfig, options: KafkaTransportOptions): Transport & LogReader {
  return new KafkaTransport(config, options)
}

const topicReadyTimeoutMs = 30_000
const topicPollMs = 100
const firstQuestionTries = 20
const disconnectTimeoutMs = 2000
const deadLetterHeaderBytes = 4096

class KafkaTransport implements Transport, LogReader {
  readonly #config: KafkaConfig
  readonly #telemetry: Telemetry
  readonly #happenings: TransportHappenings
  readonly #tls: ConnectionOptions | undefined
  readonly #client: KafkaClient
  readonly #publisher: KafkaPublisher
  readonly #subscriptions = new Set<KafkaSubscription>()
  readonly #partitions = new Map<string, number>()
  readonly #stopping = new AbortController()
  /** Topics that are ours to watch, and their partitions when that was last said. */
  readonly #watched = new Map<string, number>()
  #watching: Promise<void> | undefined
  #deadLetters: Promise<void> | undefined
  #admin: Promise<Admin> | undefined
  #disposed: Promise<void> | undefined

  constructor(config: KafkaConfig, { telemetry, clock }: KafkaTransportOptions) {
    registerCodecs(config.maxDecompressedBytes)
    this.#config = config
    this.#telemetry = telemetry
    this.#happenings = transportHappenings(telemetry)
    this.#tls = tlsOptions(config.ssl)
    this.#client = this.#open()
    this.#publisher = new KafkaPublisher(() => this.#open(), config, this.#happenings, clock)
  }

  async ensureTopic(topic: string, partitions: number): Promise<void> {
    const admin = await this.#connected()
    const wasThere = (await admin.listTopics()).includes(topic)
    if (!wasThere) await this.#create(admin, topic, partitions)
    await this.#untilReady(admin, topic, 1)
    const before = this.#partitions.get(topic)!
    if (before < partitions) {
      await this.#grow(admin, topic, before, partitions)
      await this.#untilReady(admin, topic, partitions)
      if (wasThere) this.#happenings.partitionsAdded({ topic }, { before, partitions })
    }
    const now = this.#partitions.get(topic)!
    if (now > partitions && partitions > 1) this.#happenings.partitionsUnused({ topic }, { partitions: now, asked: partitions })
    this.#watched.set(topic, now)
    this.#watching ??= this.#watch(admin)
  }

  async partitions(topic: string): Promise<number> {
    const lacking = await this.#lacking(await this.#connected(), topic)
    const count = this.#partitions.get(topic)
    if (count === undefined) throw new Error(`topic ${topic}: ${lacking ?? 'no partitions'}`)
    return count
  }

  async publish(topic: string, records: readonly OutRecord[], signal?: AbortSignal): Promise<void> {
    const known = this.#partitions.get(topic)
    if (known !== undefined) {
      const last = records.reduce((max, { partition }) => Math.max(max, partition), 0)
      if (last >= known && last >= (await this.partitions(topic)))
        throw new PermanentError(`topic ${topic} has no partition ${last}, only 0 to ${this.#partitions.get(topic)! - 1}`)
    }
    await this.#publisher.publish(topic, records, signal)
  }

  async subscribe(topic: string, group: string, handler: BatchHandler): Promise<AsyncDisposable> {
    const { groupPrefix, topicPrefix } = this.#config
    const shortTopic = topic.startsWith(`${topicPrefix}.`) ? topic.slice(topicPrefix.length + 1) : topic
    const subscription = new KafkaSubscription({
      ...this.#subscriptionOptions(topic),
      groupId: `${groupPrefix}.${group}.${shortTopic}`,
      handler,
    })
    this.#subscriptions.add(subscription)
    try {
      await subscription.start()
    } catch (error) {
      this.#subscriptions.delete(subscription)
      await subscription[Symbol.asyncDispose]()
      throw error
    }
    return {
      [Symbol.asyncDispose]: async () => {
        await subscription[Symbol.asyncDispose]()
        this.#subscriptions.delete(subscription)
      },
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#disposed ??= this.#stop())
  }

  read(topic: string, partition: number, fromOffset: number, signal?: AbortSignal): AsyncIterable<InRecord> {
    const { groupPrefix } = this.#config
    return readPartition(
      { ...this.#subscriptionOptions(topic), partition, fromOffset, groupPrefix: `${groupPrefix}.read` },
      signal === undefined ? this.#stopping.signal : AbortSignal.any([signal, this.#stopping.signal]),
    )
  }

  async #stop(): Promise<void> {
    this.#stopping.abort(new Error('the Kafka transport has stopped'))
    await Promise.all([...this.#subscriptions].map((subscription) => subscription[Symbol.asyncDispose]()))
    await this.#publisher[Symbol.asyncDispose]()
    try {
      const late =
        this.#admin !== undefined &&
        (await this.#client.disconnect({ disconnect: async () => (await this.#admin)?.disconnect() }, disconnectTimeoutMs)) === 'late'
      if (late) this.#happenings.stopFailed({ part: 'admin' })
    } catch (error) {
      this.#happenings.stopFailed({ part: 'admin' }, { error: messageOf(error) })
    }
    this.#client.close()
    await this.#watching
  }

  #open(): KafkaClient {
    return new KafkaClient(this.#config, this.#telemetry, this.#tls)
  }

  #subscriptionOptions(topic: string) {
    return {
      connect: () => this.#open(),
      admin: () => this.#connected(),
      config: this.#config,
      happenings: this.#happenings,
      topic,
      bury: (partition: number, undecodable: Undecodable) => this.#bury(topic, partition, undecodable),
    }
  }

  /** Into the dead letters; those of the dead letters themselves stay where they are. */
  async #bury(topic: string, partition: number, undecodable: Undecodable): Promise<void> {
    const { deadLetters } = topicsWith(this.#config.topicPrefix)
    if (topic === deadLetters) return
    await (this.#deadLetters ??= this.ensureTopic(deadLetters, 1).catch((error: unknown) => {
      this.#deadLetters = undefined
      throw error
    }))
    await this.publish(deadLetters, [deadBatch({ topic, partition, ...undecodable }, this.#config.maxMessageBytes - deadLetterHeaderBytes)])
  }

  /** Connected on first use; one that could not connect is tried again with the next. */
  #connected(): Promise<Admin> {
    if (this.#disposed !== undefined) throw new Error('the Kafka transport has stopped')
    return (this.#admin ??= this.#connect().catch((error: unknown) => {
      this.#admin = undefined
      const message = `no connection to Kafka at ${this.#config.brokers.join(', ')}: ${explain(error, this.#client.trouble)}`
      throw error instanceof PermanentError || isLoginRefused(error)
        ? new PermanentError(message, { cause: error })
        : new Error(message, { cause: error })
    }))
  }

  async #connect(): Promise<Admin> {
    const admin = this.#client.kafka.admin({ retry: { ...patience, retries: 60 } })
    const ask = async () => {
      await admin.connect()
      // Answered only to those who are let in. To the others the broker hangs up, which kafkajs does not take for its concern.
      for (let attempt = 1; ; attempt++) {
        try {
          await admin.listTopics()
          return this.#client.letIn()
        } catch (error) {
          if (!(error instanceof Error && error.name === 'KafkaJSConnectionClosedError') || attempt >= firstQuestionTries) throw error
          await pauseFor(topicPollMs, this.#stopping.signal)
        }
      }
    }
    await Promise.race([ask(), this.#client.refused])
    return admin
  }

  async #create(admin: Admin, topic: string, numPartitions: number): Promise<void> {
    const { replicationFactor, retentionMs, maxMessageBytes } = this.#config
    const minInsync = this.#config.minInsyncReplicas ?? (replicationFactor >= 3 ? 2 : 1)
    const configEntries = [
      { name: 'min.insync.replicas', value: String(minInsync) },
      { name: 'retention.ms', value: String(retentionMs) },
      { name: 'max.message.bytes', value: String(maxMessageBytes) },
    ]
    // Waiting for the leaders here can throw although the topic is there, so the caller waits.
    await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor, configEntries }], waitForLeaders: false })
  }

  async #grow(admin: Admin, topic: string, before: number, partitions: number): Promise<void> {
    try {
      await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] })
    } catch (error) {
      await this.#lacking(admin, topic)
      if ((this.#partitions.get(topic) ?? 0) >= partitions) return // another process was first
      throw new Error(
        `topic ${topic} has ${before} partitions and ${partitions} are asked for, but they cannot be added: ${messageOf(error)}`,
        { cause: error },
      )
    }
  }

  async #untilReady(admin: Admin, topic: string, partitions: number): Promise<void> {
    for (let waitedMs = 0; ; waitedMs += topicPollMs) {
      const lacking = await this.#lacking(admin, topic)
      if (lacking === undefined && this.#partitions.get(topic)! >= partitions) return
      if (waitedMs >= topicReadyTimeoutMs) throw new Error(`topic ${topic} is not ready after ${topicReadyTimeoutMs} ms: ${lacking}`)
      await delay(topicPollMs)
    }
  }

  async #watch(admin: Admin): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await pauseFor(metadataMaxAgeMs, signal)
      for (const [topic, before] of this.#watched) {
        if (signal.aborted) return
        await this.#lacking(admin, topic)
        const partitions = this.#partitions.get(topic) ?? before
        if (partitions === before) continue
        this.#watched.set(topic, partitions)
        this.#happenings.topicGrown({ topic }, { before, partitions })
      }
    }
  }

  /** What keeps the topic from being used; undefined: nothing. */
  async #lacking(admin: Admin, topic: string): Promise<string | undefined> {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const partitions = topics[0]?.partitions ?? []
      if (partitions.length > 0) this.#partitions.set(topic, partitions.length)
      const leaderless = partitions.filter(({ leader }) => leader < 0).length
      if (partitions.length === 0) return 'it has no partitions yet'
      return leaderless === 0 ? undefined : `${leaderless} of ${partitions.length} partitions have no leader`
    } catch (error) {
      return messageOf(error)
    }
  }
}

/** A refused login is final, and kafkajs says what the broker said about it. */
function isLoginRefused(error: unknown): boolean {
  return error instanceof Error && `${error.name} ${error.message}`.includes('SASL')
}

function explain(error: unknown, trouble: string | undefined): string {
  if (isLoginRefused(error)) return `${messageOf(error)}: check kafka.sasl`
  return trouble === undefined || messageOf(error).includes(trouble) ? messageOf(error) : `${messageOf(error)} (${trouble})`
}
