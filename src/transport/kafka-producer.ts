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
import { CompressionTypes, Partitioners, type Kafka, type Message, type Producer } from 'kafkajs'
import { messageOf, PermanentError, RetryLaterError } from '../errors.ts'
import type { KafkaConfig } from './config.ts'
import { retryPauseMs, type TransportHappenings } from './happenings.ts'
import { metadataMaxAgeMs, patience, pauseFor, within } from './kafka-client.ts'
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

/** Trying again gives the same answer. */
const finalErrors = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TOPIC_EXCEPTION',
  'POLICY_VIOLATION',
  'TOPIC_AUTHORIZATION_FAILED',
])

/** Some records of one publish, all for one partition. */
class Pending {
  readonly messages: readonly Message[]
  readonly bytes: number
  readonly done: Promise<void>
  settled = false
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void

  constructor(messages: readonly Message[], bytes: number) {
    this.messages = messages
    this.bytes = bytes
    let resolve = (): void => undefined
    let reject = (_error: unknown): void => undefined
    this.done = new Promise<void>((onDone, onError) => {
      resolve = onDone
      reject = onError
    })
    this.#resolve = resolve
    this.#reject = reject
  }

  settle(error?: unknown): void {
    if (this.settled) return
    this.settled = true
    if (error === undefined) this.#resolve()
    else this.#reject(error)
  }
}

interface Lane {
  readonly topic: string
  readonly partition: number
  queue: Pending[]
  sending: readonly Pending[]
  /** So many of the first are sent on their own: together they were too large. */
  oneByOne: number
  running: boolean
}

/** A producer, and how many sends rely on it. */
interface Handle {
  readonly producer: Producer
  readonly connected: Promise<void>
  sends: number
  retired: boolean
}

export class KafkaPublisher implements AsyncDisposable {
  readonly #kafka: Kafka
  readonly #config: KafkaConfig
  readonly #happenings: TransportHappenings
  readonly #clock: () => number
  readonly #lanes = new Map<string, Lane>()
  readonly #pendingBytes = new Map<string, number>()
  readonly #stopping = new AbortController()
  readonly #idle = new Set<() => void>()
  #handle: Handle | undefined

  constructor(kafka: Kafka, config: KafkaConfig, happenings: TransportHappenings, clock: () => number) {
    this.#kafka = kafka
    this.#config = config
    this.#happenings = happenings
    this.#clock = clock
  }

  async publish(topic: string, records: readonly OutRecord[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.#stopping.signal.aborted) throw new Error(`topic ${topic}: the Kafka transport has stopped`)
    const pendings = this.#split(topic, records)
    if (pendings.length === 0) return
    const bytes = pendings.reduce((sum, [, pending]) => sum + pending.bytes, 0)
    const waiting = this.#pendingBytes.get(topic) ?? 0
    if (waiting > 0 && waiting + bytes > this.#config.maxPendingBytes) {
      throw new RetryLaterError(`topic ${topic}: ${waiting} bytes wait for Kafka already, publish again later`, 1000)
    }
    this.#pendingBytes.set(topic, waiting + bytes)
    const giveUp = (error: unknown) => {
      for (const [, pending] of pendings) pending.settle(error)
    }
    const { publishTimeoutMs } = this.#config
    const timer = setTimeout(
      () => giveUp(new Error(`topic ${topic}: Kafka did not acknowledge within ${publishTimeoutMs} ms`)),
      publishTimeoutMs,
    )
    const onAbort = () => giveUp(signal!.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      for (const [partition, pending] of pendings) this.#enqueue(topic, partition, pending)
      await Promise.all(pendings.map(([, pending]) => pending.done))
    } catch (error) {
      giveUp(error) // the caller publishes everything again
      throw error
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
    for (const lane of this.#lanes.values()) for (const pending of [...lane.sending, ...lane.queue]) pending.settle(this.#stopped(lane))
    if (this.#handle !== undefined) {
      this.#handle.retired = true
      await this.#close(this.#handle)
    }
  }

  #split(topic: string, records: readonly OutRecord[]): [number, Pending][] {
    const { maxMessageBytes } = this.#config
    const timestamp = String(this.#clock())
    const pendings: [number, Pending][] = []
    const open = new Map<number, { messages: Message[]; bytes: number }>()
    const close = (partition: number) => {
      const ready = open.get(partition)
      if (ready !== undefined) pendings.push([partition, new Pending(ready.messages, ready.bytes)])
      open.delete(partition)
    }
    for (const { partition, value, headers } of records) {
      const bytes = value.byteLength + recordOverheadBytes
      if (bytes > maxMessageBytes)
        throw new PermanentError(`topic ${topic}: a record of ${value.byteLength} bytes is over kafka.maxMessageBytes (${maxMessageBytes})`)
      if ((open.get(partition)?.bytes ?? 0) + bytes > sendBytes) close(partition)
      const message: Message = {
        partition,
        timestamp,
        value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
        ...(headers === undefined ? {} : { headers: { ...headers } }),
      }
      const ready = open.get(partition)
      if (ready === undefined) open.set(partition, { messages: [message], bytes })
      else {
        ready.messages.push(message)
        ready.bytes += bytes
      }
    }
    for (const partition of open.keys()) close(partition)
    return pendings
  }

  #enqueue(topic: string, partition: number, pending: Pending): void {
    const key = `${partition} ${topic}`
    let lane = this.#lanes.get(key)
    if (lane === undefined) this.#lanes.set(key, (lane = { topic, partition, queue: [], sending: [], oneByOne: 0, running: false }))
    lane.queue.push(pending)
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
        for (const pending of batch) pending.settle()
        attempt = 0
      } catch (error) {
        this.#happenings.publishFailed({ topic: lane.topic }, { partition: lane.partition, records: batch.length, error: messageOf(error) })
        this.#afterFailure(lane, batch, error)
        attempt++
        await pauseFor(retryPauseMs(attempt) / 4, this.#stopping.signal)
      }
    }
    lane.running = false
    if ([...this.#lanes.values()].every((other) => !other.running)) for (const resolve of this.#idle) resolve()
  }

  #take(lane: Lane): Pending[] {
    // What nobody waits for any more has been reported as not sent.
    lane.queue = lane.queue.filter((pending) => !pending.settled)
    const limit = lane.oneByOne > 0 ? 0 : sendBytes
    if (lane.oneByOne > 0) lane.oneByOne--
    let count = 0
    let bytes = 0
    while (count < lane.queue.length && (count === 0 || bytes + lane.queue[count]!.bytes <= limit)) bytes += lane.queue[count++]!.bytes
    return lane.queue.splice(0, count)
  }

  async #send(lane: Lane, batch: readonly Pending[]): Promise<void> {
    const handle = (this.#handle ??= this.#open())
    handle.sends++
    // When every publish of this batch has given up, so does the send: kafkajs alone would try for ever.
    const abandoned = Promise.allSettled(batch.map((pending) => pending.done)).then(() => {
      throw new Error('nobody waits for it any more')
    })
    try {
      await Promise.race([handle.connected, abandoned])
      const messages = batch.flatMap((pending) => pending.messages)
      const sending = handle.producer.send({ topic: lane.topic, messages, acks: -1, compression: compressions[this.#config.compression] })
      const answers = await Promise.race([sending, abandoned])
      const named = answers.some(
        (answer) => answer.topicName === lane.topic && answer.partition === lane.partition && answer.errorCode === 0,
      )
      if (!named) throw new Error(`Kafka's answer does not name partition ${lane.partition}: ${JSON.stringify(answers)}`)
    } catch (error) {
      this.#retire(handle)
      throw error
    } finally {
      abandoned.catch(() => undefined) // it always ends in an error, mostly after the race is over
      handle.sends--
      if (handle.retired && handle.sends === 0) void this.#close(handle)
    }
  }

  #afterFailure(lane: Lane, batch: readonly Pending[], error: unknown): void {
    const type = errorType(error)
    const final = type !== undefined && finalErrors.has(type)
    if (final && batch.length > 1) lane.oneByOne = batch.length // one of them may be the reason: find out which
    else if (final) {
      const refused = new PermanentError(
        `topic ${lane.topic}, partition ${lane.partition}: Kafka refuses the records: ${messageOf(error)}`,
        { cause: error },
      )
      for (const pending of batch) pending.settle(refused)
    }
    if (this.#stopping.signal.aborted) for (const pending of batch) pending.settle(this.#stopped(lane))
    lane.queue.unshift(...batch)
  }

  #open(): Handle {
    const producer = this.#kafka.producer({
      idempotent: true,
      allowAutoTopicCreation: false,
      metadataMaxAge: metadataMaxAgeMs,
      retry: { ...patience, retries: Number.MAX_SAFE_INTEGER },
      createPartitioner: Partitioners.DefaultPartitioner,
    })
    return { producer, connected: producer.connect(), sends: 0, retired: false }
  }

  #retire(handle: Handle): void {
    handle.retired = true
    if (this.#handle === handle) this.#handle = undefined
  }

  async #close(handle: Handle): Promise<void> {
    handle.connected.catch(() => undefined) // told when the send failed that waited for it
    try {
      if ((await within(disconnectTimeoutMs, handle.producer.disconnect())) === 'late') this.#happenings.stopFailed({ part: 'producer' })
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
