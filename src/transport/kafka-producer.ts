/**
 * Publishing so that what was acknowledged is in the log, whichever broker leads meanwhile.
 *
 * - One partition per send, and its name in the answer: kafkajs mixes up the answers of several leaders when one of them
 *   moves, and records that it calls sent are gone (https://github.com/tulios/kafkajs/issues/1303).
 * - One send at a time per partition: order, and sequence numbers that are right again after a failure. What arrives
 *   meanwhile goes out with the next one, so batches grow with the load.
 * - After a failed send the producer is replaced. A producer that goes on with the sequence number of a batch whose
 *   fate is unknown may have its next batch taken for a repetition, and dropped as written already.
 */
import { CompressionTypes, Partitioners, type Message, type Producer } from 'kafkajs'
import { messageOf, RetryLaterError } from '../errors.ts'
import type { KafkaConfig } from './config.ts'
import { retryPauseMs, type TransportHappenings } from './happenings.ts'
import { metadataMaxAgeMs, patience, pauseFor, within, type KafkaClient } from './kafka-client.ts'
import { cutRecords, Publish, type Chunk, type ChunkRecord } from './kafka-pending.ts'
import type { OutRecord } from './transport.ts'

const compressions = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
} as const

/** Below the 1 MiB that brokers take by default, framing included. Only a single record may be larger. */
const sendBytes = 900_000
const recordOverheadBytes = 64
const disconnectTimeoutMs = 5000

/** Trying the same again gives the same answer; without some of the records it may be another one. */
const tooLarge = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])
const refusedRecord = new Set(['INVALID_RECORD', 'POLICY_VIOLATION', 'UNSUPPORTED_FOR_MESSAGE_FORMAT'])
const refusedTopic = new Set(['INVALID_TOPIC_EXCEPTION', 'TOPIC_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED'])

interface Lane {
  readonly topic: string
  readonly partition: number
  queue: Chunk[]
  sending: readonly Chunk[]
  /** Of one send. Shrinks to what the broker takes: its limit is on the compressed batch, which nobody knows beforehand. */
  limitBytes: number
  /** So many of the first are sent on their own, to find out which of them the broker does not like. */
  oneByOne: number
  running: boolean
}

/** What the publisher needs of a client; each producer has one of its own, so that it can be ended without the others. */
export type ProducerClient = Pick<KafkaClient, 'kafka' | 'disconnect' | 'trouble'>

/** A producer, and how many sends rely on it. */
interface Handle {
  readonly client: ProducerClient
  readonly producer: Producer
  readonly connected: Promise<void>
  state: 'connecting' | 'connected' | 'failed'
  sends: number
  retired: boolean
}

export class KafkaPublisher implements AsyncDisposable {
  readonly #connect: () => ProducerClient
  readonly #config: KafkaConfig
  readonly #happenings: TransportHappenings
  readonly #clock: () => number
  readonly #lanes = new Map<string, Lane>()
  readonly #pendingBytes = new Map<string, number>()
  readonly #stopping = new AbortController()
  readonly #idle = new Set<() => void>()
  #handle: Handle | undefined

  constructor(connect: () => ProducerClient, config: KafkaConfig, happenings: TransportHappenings, clock: () => number) {
    this.#connect = connect
    this.#config = config
    this.#happenings = happenings
    this.#clock = clock
  }

  async publish(topic: string, records: readonly OutRecord[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.#stopping.signal.aborted) throw new Error(`topic ${topic}: the Kafka transport has stopped`)
    if (records.length === 0) return
    const publish = new Publish(topic, records.length)
    const chunks = this.#cut(publish, records)
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0)
    const waiting = this.#pendingBytes.get(topic) ?? 0
    if (waiting > 0 && waiting + bytes > this.#config.maxPendingBytes) {
      throw new RetryLaterError(`topic ${topic}: ${waiting} bytes wait for Kafka already, publish again later`, 1000)
    }
    this.#pendingBytes.set(topic, waiting + bytes)
    const { publishTimeoutMs } = this.#config
    const timer = setTimeout(() => {
      const trouble = this.#handle?.client.trouble
      const because = trouble === undefined ? '' : `; the last connection failed: ${trouble}`
      publish.giveUp(new Error(`topic ${topic}: Kafka did not acknowledge within ${publishTimeoutMs} ms${because}`))
    }, publishTimeoutMs)
    const onAbort = () => publish.giveUp(signal!.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      publish.expect(chunks.length)
      for (const chunk of chunks) this.#enqueue(topic, chunk)
      await publish.done
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      this.#pendingBytes.set(topic, (this.#pendingBytes.get(topic) ?? bytes) - bytes)
    }
  }

  /** Waits for the sends under way, then rejects what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    if ([...this.#lanes.values()].some((lane) => lane.running))
      await within(this.#config.stopTimeoutMs, new Promise<void>((resolve) => this.#idle.add(resolve)))
    for (const lane of this.#lanes.values()) for (const { publish } of [...lane.sending, ...lane.queue]) publish.giveUp(this.#stopped(lane))
    if (this.#handle !== undefined) {
      this.#handle.retired = true
      await this.#close(this.#handle)
    }
  }

  /** What is over our own limit is refused without asking. */
  #cut(publish: Publish, records: readonly OutRecord[]): readonly Chunk[] {
    const { maxMessageBytes } = this.#config
    const timestamp = String(this.#clock())
    const byPartition = new Map<number, ChunkRecord[]>()
    for (const [index, { partition, value, headers }] of records.entries()) {
      const bytes = value.byteLength + recordOverheadBytes
      if (bytes > maxMessageBytes) {
        const why = `over kafka.maxMessageBytes (${maxMessageBytes}): raise it, and max.message.bytes of the topic with it`
        publish.refuse({ index, partition, valueBytes: value.byteLength, why })
        continue
      }
      const message: Message = {
        partition,
        timestamp,
        value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
        ...(headers === undefined ? {} : { headers: { ...headers } }),
      }
      const before = byPartition.get(partition)
      if (before) before.push({ index, bytes, message })
      else byPartition.set(partition, [{ index, bytes, message }])
    }
    return [...byPartition].flatMap(([partition, ofPartition]) => cutRecords(publish, partition, ofPartition, sendBytes))
  }

  #enqueue(topic: string, chunk: Chunk): void {
    const { partition } = chunk
    const key = `${partition} ${topic}`
    let lane = this.#lanes.get(key)
    if (lane === undefined)
      this.#lanes.set(key, (lane = { topic, partition, queue: [], sending: [], limitBytes: sendBytes, oneByOne: 0, running: false }))
    lane.queue.push(chunk)
    if (!lane.running) void this.#drive(lane)
  }

  async #drive(lane: Lane): Promise<void> {
    lane.running = true
    let attempt = 0
    for (;;) {
      const batch = this.#take(lane)
      lane.sending = batch
      if (batch.length === 0) break
      try {
        await this.#send(lane, batch)
        for (const chunk of batch) chunk.written()
        attempt = 0
      } catch (error) {
        this.#happenings.publishFailed({ topic: lane.topic }, { partition: lane.partition, records: batch.length, error: messageOf(error) })
        if (this.#afterFailure(lane, batch, error)) attempt = 0
        else await pauseFor(retryPauseMs(++attempt) / 4, this.#stopping.signal)
      }
    }
    lane.running = false
    if ([...this.#lanes.values()].every((other) => !other.running)) for (const resolve of this.#idle) resolve()
  }

  #take(lane: Lane): Chunk[] {
    // What nobody waits for any more has been reported as not sent.
    lane.queue = lane.queue.filter(({ publish }) => !publish.isOver)
    const limit = lane.oneByOne > 0 ? 0 : lane.limitBytes
    if (lane.oneByOne > 0) lane.oneByOne--
    const first = lane.queue[0]
    if (first !== undefined && first.bytes > lane.limitBytes) lane.queue.splice(0, 1, ...first.cut(lane.limitBytes))
    let count = 0
    let bytes = 0
    while (count < lane.queue.length && (count === 0 || bytes + lane.queue[count]!.bytes <= limit)) bytes += lane.queue[count++]!.bytes
    return lane.queue.splice(0, count)
  }

  async #send(lane: Lane, batch: readonly Chunk[]): Promise<void> {
    const handle = (this.#handle ??= this.#open())
    handle.sends++
    // When every publish of this batch has given up, so does the send: kafkajs alone would try for ever.
    const abandoned = Promise.all(batch.map(({ publish }) => publish.over)).then(() => {
      throw new Error('nobody waits for it any more')
    })
    try {
      await Promise.race([handle.connected, abandoned])
      const messages = batch.flatMap(({ records }) => records.map(({ message }) => message))
      const sending = handle.producer.send({ topic: lane.topic, messages, acks: -1, compression: compressions[this.#config.compression] })
      const answers = await Promise.race([sending, abandoned])
      const named = answers.some(
        (answer) => answer.topicName === lane.topic && answer.partition === lane.partition && answer.errorCode === 0,
      )
      if (!named) throw new Error(`Kafka's answer does not name partition ${lane.partition}: ${JSON.stringify(answers)}`)
    } catch (error) {
      // One that is still looking for a broker goes on doing so for the next: Kafka may be away for long.
      if (handle.state !== 'connecting') this.#retire(handle)
      throw error
    } finally {
      abandoned.catch(() => undefined) // it always ends in an error, mostly after the race is over
      handle.sends--
      if (handle.retired && handle.sends === 0) void this.#close(handle)
    }
  }

  /** True: the next send is another one, so there is no need to wait. */
  #afterFailure(lane: Lane, batch: readonly Chunk[], error: unknown): boolean {
    if (this.#stopping.signal.aborted) for (const { publish } of batch) publish.giveUp(this.#stopped(lane))
    const type = errorType(error) ?? ''
    const isTooLarge = tooLarge.has(type)
    const isOne = batch.length === 1 && batch[0]!.records.length === 1
    if (refusedTopic.has(type) || (isOne && (isTooLarge || refusedRecord.has(type)))) {
      const advice = isTooLarge ? ': raise max.message.bytes of the topic, or message.max.bytes of the brokers' : ''
      for (const chunk of batch) chunk.refused(`Kafka refuses it: ${messageOf(error)}${advice}`)
      return true
    }
    if (isTooLarge) {
      lane.limitBytes = Math.min(lane.limitBytes, Math.ceil(batch.reduce((sum, { bytes }) => sum + bytes, 0) / 2))
      lane.queue.unshift(...batch.flatMap((chunk) => chunk.cut(lane.limitBytes)))
      return true
    }
    if (refusedRecord.has(type)) {
      const singles = batch.flatMap((chunk) => chunk.cut(0))
      lane.queue.unshift(...singles)
      lane.oneByOne = singles.length
      return true
    }
    lane.queue.unshift(...batch)
    return false
  }

  #open(): Handle {
    const client = this.#connect()
    const producer = client.kafka.producer({
      idempotent: true,
      allowAutoTopicCreation: false,
      metadataMaxAge: metadataMaxAgeMs,
      retry: { ...patience, retries: Number.MAX_SAFE_INTEGER },
      createPartitioner: Partitioners.DefaultPartitioner,
    })
    const handle: Handle = { client, producer, connected: producer.connect(), state: 'connecting', sends: 0, retired: false }
    handle.connected.then(
      () => (handle.state = 'connected'),
      () => (handle.state = 'failed'),
    )
    return handle
  }

  #retire(handle: Handle): void {
    handle.retired = true
    if (this.#handle === handle) this.#handle = undefined
  }

  async #close(handle: Handle): Promise<void> {
    handle.connected.catch(() => undefined) // told when the send failed that waited for it
    try {
      if ((await handle.client.disconnect(handle.producer, disconnectTimeoutMs)) === 'late')
        this.#happenings.stopFailed({ part: 'producer' })
    } catch (error) {
      this.#happenings.stopFailed({ part: 'producer' }, { error: messageOf(error) })
    }
  }

  #stopped(lane: Lane): Error {
    return new Error(`topic ${lane.topic}, partition ${lane.partition}: stopped before Kafka acknowledged the records`)
  }
}

/** kafkajs wraps the protocol's error, sometimes twice. */
function errorType(error: unknown): string | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { type } = at as Error & { readonly type?: unknown }
    if (typeof type === 'string') return type
  }
  return undefined
}
