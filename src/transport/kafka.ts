/**
 * The transport through Kafka: `Transport`'s contract on kafkajs, whose traps are met in the files beside this one: sends in
 * kafka-producer.ts, positions in kafka-consumer.ts and kafka-partition.ts, compression in kafka-codecs.ts.
 *
 * The consumer group of `subscribe('otlp_logs', 'ingest', …)` is `<groupPrefix>.ingest.otlp_logs`: kafkajs hands out the topics of
 * whoever leads the group, so members that read different topics must not share one.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Admin, Kafka } from 'kafkajs'
import { messageOf, PermanentError } from '../errors.ts'
import type { Telemetry } from '../telemetry.ts'
import type { KafkaConfig } from './config.ts'
import { transportHappenings, type TransportHappenings } from './happenings.ts'
import { connectTo, patience, within } from './kafka-client.ts'
import { registerCodecs } from './kafka-codecs.ts'
import { KafkaSubscription } from './kafka-consumer.ts'
import { KafkaPublisher } from './kafka-producer.ts'
import type { BatchHandler, OutRecord, Transport } from './transport.ts'

export interface KafkaTransportOptions {
  readonly telemetry: Telemetry
  readonly clock: () => number
}

export function createKafkaTransport(config: KafkaConfig, options: KafkaTransportOptions): Transport {
  return new KafkaTransport(config, options)
}

const topicReadyTimeoutMs = 30_000
const topicPollMs = 100
const disconnectTimeoutMs = 2000

class KafkaTransport implements Transport {
  readonly #config: KafkaConfig
  readonly #telemetry: Telemetry
  readonly #happenings: TransportHappenings
  readonly #kafka: Kafka
  readonly #publisher: KafkaPublisher
  readonly #subscriptions = new Set<KafkaSubscription>()
  readonly #partitions = new Map<string, number>()
  #admin: Promise<Admin> | undefined
  #disposed: Promise<void> | undefined

  constructor(config: KafkaConfig, { telemetry, clock }: KafkaTransportOptions) {
    registerCodecs(config.maxDecompressedBytes)
    this.#config = config
    this.#telemetry = telemetry
    this.#happenings = transportHappenings(telemetry)
    this.#kafka = connectTo(config, telemetry)
    this.#publisher = new KafkaPublisher(this.#kafka, config, this.#happenings, clock)
  }

  async ensureTopic(topic: string, partitions: number): Promise<void> {
    const { replicationFactor, retentionMs, maxMessageBytes } = this.#config
    const minInsync = this.#config.minInsyncReplicas ?? (replicationFactor >= 3 ? 2 : 1)
    const admin = await this.#connected()
    if (!(await admin.listTopics()).includes(topic)) {
      const configEntries = [
        { name: 'min.insync.replicas', value: String(minInsync) },
        { name: 'retention.ms', value: String(retentionMs) },
        { name: 'max.message.bytes', value: String(maxMessageBytes) },
      ]
      // Waiting for the leaders here can throw although the topic is there, so they are waited for below.
      await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }], waitForLeaders: false })
    }
    for (let waitedMs = 0; ; waitedMs += topicPollMs) {
      const lacking = await this.#lacking(admin, topic)
      if (lacking === undefined) return
      if (waitedMs >= topicReadyTimeoutMs) throw new Error(`topic ${topic} is not ready after ${topicReadyTimeoutMs} ms: ${lacking}`)
      await delay(topicPollMs)
    }
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
      // One client each: kafkajs shares the committed offsets that it remembers among the consumers of a client.
      kafka: connectTo(this.#config, this.#telemetry),
      admin: () => this.#connected(),
      config: this.#config,
      happenings: this.#happenings,
      topic,
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

  async #stop(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription[Symbol.asyncDispose]()))
    await this.#publisher[Symbol.asyncDispose]()
    if (this.#admin === undefined) return
    const gone = this.#admin.then((admin) => admin.disconnect())
    try {
      if ((await within(disconnectTimeoutMs, gone)) === 'late') this.#happenings.stopFailed({ part: 'admin' })
    } catch (error) {
      this.#happenings.stopFailed({ part: 'admin' }, { error: messageOf(error) })
    }
  }

  /** Connected on first use; one that could not connect is tried again with the next. */
  #connected(): Promise<Admin> {
    if (this.#disposed !== undefined) throw new Error('the Kafka transport has stopped')
    return (this.#admin ??= this.#connect().catch((error: unknown) => {
      this.#admin = undefined
      throw new Error(`no connection to Kafka at ${this.#config.brokers.join(', ')}: ${messageOf(error)}`, { cause: error })
    }))
  }

  async #connect(): Promise<Admin> {
    const admin = this.#kafka.admin({ retry: { ...patience, retries: 60 } })
    await admin.connect()
    return admin
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
