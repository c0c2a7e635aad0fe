/**
 * The transport inside one process. Nothing keeps a record but the publisher that waits for it, so:
 *
 * - `publish` resolves when every group that subscribes to the topic has handled the records, and rejects when a group went
 *   away before that. A topic that nobody ever subscribed to takes records and keeps none.
 * - One handler of a group runs at a time, in the order of the publishes: awaited publishes give the same run each time.
 *   Records published meanwhile for one partition may come together as one batch.
 * - A partition that keeps failing does not hold up the others. Memory is bounded by `maxPendingBytes` per topic: beyond it
 *   `publish` rejects with a RetryLaterError.
 * - A handler may publish to other topics; publishing to its own topic and waiting for it would wait for itself.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { FencedError, messageOf, PermanentError, RetryLaterError } from '../errors.ts'
import type { Telemetry } from '../telemetry.ts'
import { retryPauseMs, transportHappenings, type TransportHappenings } from './happenings.ts'
import type { BatchHandler, InRecord, OutRecord, Transport } from './transport.ts'

export interface EmbeddedTransportOptions {
  readonly clock: () => number
  readonly telemetry?: Telemetry
  /** Waits between two tries of a handler that threw; resolves early, or rejects, when the signal aborts. */
  readonly pause?: (attempt: number, signal: AbortSignal) => Promise<void>
  readonly maxPendingBytes?: number
  readonly maxBatchBytes?: number
}

export function createEmbeddedTransport(options: EmbeddedTransportOptions): Transport {
  return new EmbeddedTransport(options)
}

const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

interface Settings {
  readonly clock: () => number
  readonly pause: (attempt: number, signal: AbortSignal) => Promise<void>
  readonly happenings: TransportHappenings | undefined
  readonly maxBatchBytes: number
}

interface EmbeddedTopic {
  readonly name: string
  readonly partitions: number
  readonly groups: Map<string, Group>
  /** Groups that were here and left: what is published now would be lost to them. */
  readonly gone: Set<string>
  pendingBytes: number
}

class EmbeddedTransport implements Transport {
  readonly #settings: Settings
  readonly #maxPendingBytes: number
  readonly #topics = new Map<string, EmbeddedTopic>()
  #disposed = false

  constructor(options: EmbeddedTransportOptions) {
    this.#maxPendingBytes = options.maxPendingBytes ?? 128 * 1024 * 1024
    this.#settings = {
      clock: options.clock,
      pause: options.pause ?? ((attempt, signal) => delay(retryPauseMs(attempt), undefined, { signal })),
      happenings: options.telemetry && transportHappenings(options.telemetry),
      maxBatchBytes: options.maxBatchBytes ?? 4 * 1024 * 1024,
    }
  }

  async ensureTopic(name: string, partitions: number): Promise<void> {
    if (!Number.isInteger(partitions) || partitions < 1)
      throw new PermanentError(`topic ${name}: ${partitions} partitions asked for, at least 1 needed`)
    if (!this.#topics.has(name)) this.#topics.set(name, { name, partitions, groups: new Map(), gone: new Set(), pendingBytes: 0 })
  }

  async partitions(name: string): Promise<number> {
    return this.#topic(name).partitions
  }

  async publish(name: string, records: readonly OutRecord[], signal?: AbortSignal): Promise<void> {
    const topic = this.#topic(name)
    signal?.throwIfAborted()
    let bytes = 0
    const byPartition = new Map<number, OutRecord[]>()
    for (const record of records) {
      const { partition } = record
      if (!Number.isInteger(partition) || partition < 0 || partition >= topic.partitions) {
        throw new PermanentError(`topic ${name} has no partition ${partition}, only 0 to ${topic.partitions - 1}`)
      }
      bytes += record.value.byteLength
      const before = byPartition.get(partition)
      if (before) before.push(record)
      else byPartition.set(partition, [record])
    }
    if (topic.gone.size > 0)
      throw new Error(`topic ${name}: its reader (${[...topic.gone].join(', ')}) has stopped, so nobody would handle these records`)
    if (topic.groups.size === 0 || records.length === 0) return
    if (topic.pendingBytes > 0 && topic.pendingBytes + bytes > this.#maxPendingBytes) {
      throw new RetryLaterError(`topic ${name}: ${topic.pendingBytes} bytes wait to be handled already, publish again later`, 1000)
    }
    topic.pendingBytes += bytes
    const handled: Promise<void>[] = []
    for (const group of topic.groups.values()) {
      for (const [partition, ofPartition] of byPartition) handled.push(group.deliver(partition, ofPartition, signal))
    }
    // Settled, not all: the bytes are pending until the last group is done with them.
    const outcomes = await Promise.allSettled(handled)
    topic.pendingBytes -= bytes
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  async subscribe(name: string, groupName: string, handler: BatchHandler): Promise<AsyncDisposable> {
    const topic = this.#topic(name)
    if (topic.groups.has(groupName)) throw new PermanentError(`topic ${name} has a reader of group ${groupName} in this process already`)
    const group = new Group(topic, groupName, handler, this.#settings)
    topic.groups.set(groupName, group)
    topic.gone.delete(groupName)
    await group.start()
    return group
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    const errors: unknown[] = []
    for (const topic of this.#topics.values()) {
      for (const group of topic.groups.values()) {
        await group[Symbol.asyncDispose]().catch((error: unknown) => errors.push(error))
      }
    }
    if (errors.length > 0)
      throw new AggregateError(errors, `the embedded transport stopped with errors: ${errors.map(messageOf).join('; ')}`)
  }

  #topic(name: string): EmbeddedTopic {
    if (this.#disposed) throw new Error('the embedded transport has stopped')
    const topic = this.#topics.get(name)
    if (!topic) throw new PermanentError(`topic ${name} does not exist: ensureTopic first`)
    return topic
  }
}

/** Some records of one publish for one partition of one group. */
interface Delivery {
  readonly records: readonly OutRecord[]
  readonly bytes: number
  readonly takenMs: number
  readonly settle: (error?: unknown) => void
}

class Lane {
  readonly partition: number
  readonly queue: Delivery[] = []
  /** Undefined: `assigned` must be asked. */
  next: number | undefined
  /** The loop that empties the queue; undefined while there is nothing to do. */
  running: Promise<void> | undefined
  constructor(partition: number) {
    this.partition = partition
  }
}

class Group implements AsyncDisposable {
  readonly #topic: EmbeddedTopic
  readonly #name: string
  readonly #handler: BatchHandler
  readonly #settings: Settings
  readonly #lanes: readonly Lane[]
  readonly #stopping = new AbortController()
  /** Settles when the handler call under way is done; calls queue up behind it, first come first served. */
  #turn: Promise<void> = Promise.resolve()
  #disposed: Promise<void> | undefined

  constructor(topic: EmbeddedTopic, name: string, handler: BatchHandler, settings: Settings) {
    this.#topic = topic
    this.#name = name
    this.#handler = handler
    this.#settings = settings
    this.#lanes = Array.from({ length: topic.partitions }, (_, partition) => new Lane(partition))
  }

  /** Loads every partition, one after the other; what fails is tried again until it succeeds or the group stops. */
  async start(): Promise<void> {
    for (const lane of this.#lanes) {
      lane.running ??= this.#drive(lane)
      await lane.running
    }
  }

  deliver(partition: number, records: readonly OutRecord[], signal: AbortSignal | undefined): Promise<void> {
    const lane = this.#lanes[partition]!
    return new Promise((resolve, reject) => {
      if (this.#stopping.signal.aborted) return reject(this.#stopped(partition))
      let bytes = 0
      for (const record of records) bytes += record.value.byteLength
      const onAbort = () => {
        const at = lane.queue.indexOf(delivery)
        if (at >= 0) lane.queue.splice(at, 1)
        reject(signal!.reason as Error)
      }
      const delivery: Delivery = {
        records,
        bytes,
        takenMs: this.#settings.clock(),
        settle: (error) => {
          signal?.removeEventListener('abort', onAbort)
          if (error === undefined) resolve()
          else reject(error)
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      lane.queue.push(delivery)
      lane.running ??= this.#drive(lane)
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#disposed ??= this.#stop())
  }

  async #stop(): Promise<void> {
    this.#stopping.abort()
    for (const lane of this.#lanes) await lane.running
    const errors: unknown[] = []
    for (const lane of this.#lanes) {
      if (lane.next === undefined) continue
      try {
        await this.#handler.revoked?.(lane.partition)
      } catch (error) {
        if (error instanceof FencedError)
          this.#settings.happenings?.fenced(this.#labels(), { partition: lane.partition, error: messageOf(error) })
        else errors.push(error)
      }
    }
    this.#topic.groups.delete(this.#name)
    this.#topic.gone.add(this.#name)
    if (errors.length > 0)
      throw new AggregateError(
        errors,
        `group ${this.#name} of ${this.#topic.name} stopped with errors: ${errors.map(messageOf).join('; ')}`,
      )
  }

  async #drive(lane: Lane): Promise<void> {
    const stopping = this.#stopping.signal
    let taken: Delivery[] = []
    let attempt = 0
    while (!stopping.aborted) {
      if (taken.length === 0) taken = this.#take(lane)
      if (taken.length === 0 && lane.next !== undefined) break
      try {
        await this.#inTurn(() => this.#step(lane, taken))
        for (const delivery of taken) delivery.settle()
        taken = []
        attempt = 0
      } catch (error) {
        this.#tell(lane, error)
        if (error instanceof FencedError) lane.next = undefined
        attempt++
        if (!stopping.aborted) await this.#settings.pause(attempt, stopping).catch(() => undefined) // an abort only ends the pause early
      }
    }
    if (stopping.aborted) for (const delivery of [...taken, ...lane.queue.splice(0)]) delivery.settle(this.#stopped(lane.partition))
    // In the same tick as the decision to leave the loop, so that a delivery never finds a loop that has already ended.
    lane.running = undefined
  }

  /** One call of the handler: the state is loaded first if it has to be. */
  async #step(lane: Lane, taken: readonly Delivery[]): Promise<void> {
    if (this.#stopping.signal.aborted) throw this.#stopped(lane.partition)
    lane.next ??= (await this.#handler.assigned?.(lane.partition)) ?? 0
    if (taken.length === 0) return
    const records: InRecord[] = []
    let offset = lane.next
    for (const delivery of taken) {
      for (const { value, headers } of delivery.records) {
        records.push({ offset: offset++, value, key: '', headers: headers ?? noHeaders, timestampMs: delivery.takenMs })
      }
    }
    // Not aborted when the group stops: stopping waits for the batch under way.
    await this.#handler.handle({ topic: this.#topic.name, partition: lane.partition, records }, neverAborted)
    lane.next = offset
  }

  #take(lane: Lane): Delivery[] {
    let count = 0
    let bytes = 0
    while (count < lane.queue.length && (count === 0 || bytes + lane.queue[count]!.bytes <= this.#settings.maxBatchBytes))
      bytes += lane.queue[count++]!.bytes
    return lane.queue.splice(0, count)
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const before = this.#turn
    const { promise, done } = turn()
    this.#turn = promise
    await before
    try {
      await work()
    } finally {
      done()
    }
  }

  #tell(lane: Lane, error: unknown): void {
    if (this.#stopping.signal.aborted) return // the publishers are told
    const told = error instanceof FencedError ? this.#settings.happenings?.fenced : this.#settings.happenings?.handlerFailed
    told?.(this.#labels(), { partition: lane.partition, error: messageOf(error) })
  }

  #labels() {
    return { topic: this.#topic.name, group: this.#name }
  }

  #stopped(partition: number): Error {
    return new Error(`topic ${this.#topic.name}, partition ${partition}: group ${this.#name} stopped before it handled the records`)
  }
}

const neverAborted = new AbortController().signal

function turn(): { promise: Promise<void>; done: () => void } {
  let done = (): void => undefined
  const promise = new Promise<void>((resolve) => (done = resolve))
  return { promise, done }
}
