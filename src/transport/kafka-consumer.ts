/**
 * A group's share of one topic. kafkajs' own positions are of no use after a rebalance (it goes back to the committed ones,
 * for partitions that stayed, too), so each partition is paused in the very moment it is assigned and goes on from where the
 * handler says (`KafkaPartition`). Commits follow what was handled: for lag dashboards, and for handlers without a checkpoint.
 *
 * A consumer that gives up is replaced: a Kafka that comes back after an hour finds us waiting.
 */
import type { Admin, Consumer, EachBatchPayload } from 'kafkajs'
import { messageOf } from '../errors.ts'
import type { KafkaConfig } from './config.ts'
import { retryPauseMs, type TransportHappenings } from './happenings.ts'
import { metadataMaxAgeMs, patience, pauseFor, within, type KafkaClient } from './kafka-client.ts'
import { KafkaPartition, type PartitionControl } from './kafka-partition.ts'
import type { Undecodable } from './kafka-codecs.ts'
import { readBatch } from './kafka-records.ts'
import type { BatchHandler } from './transport.ts'

/** A partition that begins to be fetched again waits behind a fetch of its broker's idle ones for at most this long. */
const maxWaitMs = 200
/**
 * Compressed bytes of a partition in one fetch, and of all partitions of a broker. A partition may hold four such batches
 * (one handled, two waiting, one fetched), unpacked, so this is what bounds the memory. A larger record still comes, on its own:
 * https://cwiki.apache.org/confluence/display/KAFKA/KIP-74
 */
const fetchBytes = 1024 * 1024
const maxFetchBytes = 16 * 1024 * 1024
const commitIntervalMs = 200
const commitTimeoutMs = 3000
const missingTopicPauseMs = 2000
const abandonedTimeoutMs = 2000
const disconnectTimeoutMs = 5000

export interface SubscriptionOptions {
  /** One client for each consumer: kafkajs shares the committed offsets that it remembers among the consumers of a client. */
  readonly connect: () => KafkaClient
  readonly admin: () => Promise<Admin>
  readonly config: KafkaConfig
  readonly happenings: TransportHappenings
  readonly topic: string
  readonly groupId: string
  readonly handler: BatchHandler
  /** Puts aside what no codec could read; the partition goes on when it resolves. */
  readonly bury: (partition: number, undecodable: Undecodable) => Promise<void>
  /** Instead of committing: told how far each partition has come. */
  readonly onPosition?: (partition: number, nextOffset: number) => void
}

export class KafkaSubscription implements AsyncDisposable {
  readonly #options: SubscriptionOptions
  readonly #labels: { readonly topic: string; readonly group: string }
  /** No new assignments; what is under way ends. */
  readonly #stopping = new AbortController()
  /** Everything under way has ended. */
  readonly #closing = new AbortController()
  readonly #closed: Promise<void>
  /** Of the present assignment. */
  readonly #partitions = new Map<number, KafkaPartition>()
  /** Settles when the last owner of the partition in this process is done with it. */
  readonly #ends = new Map<number, Promise<void>>()
  readonly #handled = new Map<number, number>()
  readonly #uncommitted = new Map<number, number>()
  #consumer: Consumer | undefined
  /** Counts assignments: what belongs to an older one must not touch the consumer. */
  #epoch = 0
  #failures = 0
  #committing: Promise<void> | undefined
  #running: Promise<void> = Promise.resolve()
  #disposed: Promise<void> | undefined

  constructor(options: SubscriptionOptions) {
    this.#options = options
    this.#labels = { topic: options.topic, group: options.groupId }
    this.#closed = new Promise((resolve) => this.#closing.signal.addEventListener('abort', () => resolve(), { once: true }))
  }

  /** Resolves when the group has been joined, or when the topic turns out not to exist yet; from there on it helps itself. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#running = this.#run(resolve).catch(reject)
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#disposed ??= this.#stop())
  }

  async #stop(): Promise<void> {
    const { config, happenings } = this.#options
    const partitions = [...this.#partitions.values()]
    this.#stopping.abort()
    for (const partition of partitions) partition.retire()
    const ended = Promise.all(this.#ends.values())
    if ((await within(config.stopTimeoutMs, ended)) === 'late') {
      for (const partition of partitions) partition.abandon()
      if ((await within(abandonedTimeoutMs, ended)) === 'late') happenings.stopFailed({ part: 'handler' }, this.#labels)
    }
    await within(commitTimeoutMs, this.#commit())
    this.#closing.abort()
    await this.#running
  }

  /** One consumer after the other until it is over. */
  async #run(ready: () => void): Promise<void> {
    const stopping = this.#stopping.signal
    let isReady = false
    const whenReady = () => {
      isReady = true
      ready()
    }
    while (!stopping.aborted) {
      try {
        if (await this.#topicIsThere()) await this.#consume(whenReady)
        else if (!stopping.aborted) {
          this.#options.happenings.topicMissing(this.#labels)
          whenReady()
          await pauseFor(missingTopicPauseMs, stopping)
        }
      } catch (error) {
        if (!isReady) throw error // the caller is told: a wrong password does not get better
        this.#options.happenings.consumerCrashed(this.#labels, { error: messageOf(error) })
        await pauseFor(retryPauseMs(++this.#failures), stopping)
      }
    }
    ready()
  }

  async #topicIsThere(): Promise<boolean> {
    const topics = await Promise.race([this.#options.admin().then((admin) => admin.listTopics()), this.#closed])
    return topics?.includes(this.#options.topic) ?? false
  }

  /** Ends when the subscription does, or throws what ended the consumer for good. */
  async #consume(ready: () => void): Promise<void> {
    const { config, groupId, topic, happenings } = this.#options
    const client = this.#options.connect()
    const consumer = client.kafka.consumer({
      groupId,
      sessionTimeout: config.sessionTimeoutMs,
      heartbeatInterval: config.heartbeatMs,
      metadataMaxAge: metadataMaxAgeMs,
      maxWaitTimeInMs: maxWaitMs,
      maxBytesPerPartition: fetchBytes,
      maxBytes: maxFetchBytes,
      allowAutoTopicCreation: false,
      retry: patience,
    })
    const { GROUP_JOIN, REBALANCING, STOP, CRASH, END_BATCH_PROCESS } = consumer.events
    const crashed = new Promise<never>((_resolve, reject) => {
      consumer.on(CRASH, ({ payload: { error, restart } }) => {
        if (!restart) return reject(error)
        happenings.consumerCrashed(this.#labels, { error: messageOf(error) })
      })
    })
    crashed.catch(() => undefined) // looked at below; it may come while we connect
    consumer.on(REBALANCING, () => {
      for (const partition of this.#partitions.values()) partition.hold()
    })
    consumer.on(GROUP_JOIN, ({ payload }) => this.#assign(consumer, payload.memberAssignment[topic] ?? []))
    consumer.on(STOP, () => this.#assign(consumer, []))
    consumer.on(END_BATCH_PROCESS, ({ payload: { batchSize, partition, firstOffset, lastOffset } }) => {
      const first = firstOffset as string | null
      if (batchSize === 0) this.#partitions.get(partition)?.skipped(first === null ? undefined : Number(first), Number(lastOffset))
    })
    this.#consumer = consumer
    try {
      const started = async () => {
        await consumer.connect()
        await consumer.subscribe({ topics: [topic], fromBeginning: true })
        await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: async (payload) => this.#take(payload) })
        ready()
      }
      await Promise.race([started(), crashed, this.#closed])
      await Promise.race([crashed, this.#closed])
    } finally {
      this.#consumer = undefined
      this.#assign(consumer, [])
      await this.#disconnect(client, consumer)
    }
  }

  /** Must not wait for anything before it has paused: fetches of the old assignment are under way. */
  #assign(consumer: Consumer, assigned: readonly number[]): void {
    const { topic, groupId, handler, happenings } = this.#options
    const epoch = ++this.#epoch
    if (assigned.length > 0) consumer.pause([{ topic, partitions: [...assigned] }])
    for (const [number, partition] of this.#partitions) {
      partition.retire()
      if (assigned.includes(number)) continue
      if (!this.#stopping.signal.aborted) partition.abandon()
      this.#uncommitted.delete(number) // the next owner commits
    }
    this.#partitions.clear()
    if (this.#stopping.signal.aborted || assigned.length === 0) return
    this.#failures = 0
    happenings.rebalanced(this.#labels, { partitions: assigned })
    for (const number of assigned) {
      const onConsumer = (work: () => void) => {
        if (epoch === this.#epoch) work()
      }
      const control: PartitionControl = {
        topic,
        group: groupId,
        pause: () => onConsumer(() => consumer.pause([{ topic, partitions: [number] }])),
        resume: () => onConsumer(() => consumer.resume([{ topic, partitions: [number] }])),
        seek: (offset) => onConsumer(() => consumer.seek({ topic, partition: number, offset: String(offset) })),
        committed: () => this.#position(number),
        handled: (nextOffset) => this.#onHandled(number, nextOffset),
        beginsAt: (nextOffset) => this.#onHandled(number, nextOffset),
        bury: (undecodable) => this.#options.bury(number, undecodable),
      }
      const partition = new KafkaPartition(number, control, handler, happenings, this.#ends.get(number) ?? Promise.resolve())
      this.#partitions.set(number, partition)
      this.#ends.set(number, partition.done)
    }
  }

  #take(payload: EachBatchPayload): void {
    const { batch } = payload
    if (this.#partitions.get(batch.partition)?.offer(readBatch(batch))) payload.resolveOffset(batch.lastOffset())
  }

  /** Everything before the committed offset was handled by the group, everything before ours by us: the later one is right. */
  async #position(partition: number): Promise<number | undefined> {
    const { admin, groupId, topic } = this.#options
    const [answer] = await (await admin()).fetchOffsets({ groupId, topics: [topic] })
    const committed = Number(answer?.partitions.find((p) => p.partition === partition)?.offset ?? -1)
    const offset = Math.max(committed, this.#handled.get(partition) ?? -1)
    return offset < 0 ? undefined : offset
  }

  #onHandled(partition: number, nextOffset: number): void {
    this.#handled.set(partition, nextOffset)
    if (this.#options.onPosition !== undefined) return this.#options.onPosition(partition, nextOffset)
    if (!this.#partitions.has(partition)) return
    this.#uncommitted.set(partition, nextOffset)
    void this.#commit()
  }

  /** One commit at a time, five a second at most. */
  #commit(): Promise<void> {
    return (this.#committing ??= this.#commitAll().finally(() => (this.#committing = undefined)))
  }

  async #commitAll(): Promise<void> {
    const { topic, happenings } = this.#options
    while (this.#uncommitted.size > 0 && this.#consumer !== undefined && !this.#closing.signal.aborted) {
      const offsets = [...this.#uncommitted]
      let until = this.#stopping.signal
      this.#uncommitted.clear()
      try {
        const request = offsets.map(([partition, offset]) => ({ topic, partition, offset: String(offset) }))
        await Promise.race([this.#consumer.commitOffsets(request), this.#closed])
      } catch (error) {
        happenings.commitFailed(this.#labels, { error: messageOf(error) })
        until = this.#closing.signal // a lost connection refuses at once, and again: the timer that ends it must have its turn
        for (const [partition, offset] of offsets) {
          if (this.#partitions.has(partition) && !this.#uncommitted.has(partition)) this.#uncommitted.set(partition, offset)
        }
      }
      await pauseFor(commitIntervalMs, until)
    }
  }

  async #disconnect(client: KafkaClient, consumer: Consumer): Promise<void> {
    const { happenings } = this.#options
    try {
      if ((await client.disconnect(consumer, disconnectTimeoutMs)) === 'late') happenings.stopFailed({ part: 'consumer' }, this.#labels)
    } catch (error) {
      happenings.stopFailed({ part: 'consumer' }, { ...this.#labels, error: messageOf(error) })
    }
  }
}
