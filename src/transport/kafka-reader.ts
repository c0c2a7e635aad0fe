/**
 * Reads one partition from an offset up to where it ends now, without a trace: a consumer group of its own that commits nothing and is
 * deleted at the end. Reads no further than the caller takes.
 */
import { randomUUID } from 'node:crypto'
import type { Admin } from 'kafkajs'
import { messageOf } from '../errors.ts'
import { KafkaSubscription, type SubscriptionOptions } from './kafka-consumer.ts'
import type { BatchHandler, InRecord, RecordBatch } from './transport.ts'

export interface ReadOptions extends Omit<SubscriptionOptions, 'handler' | 'groupId' | 'onPosition'> {
  readonly partition: number
  readonly fromOffset: number
  /** The group gets a random name behind it. */
  readonly groupPrefix: string
}

export async function* readPartition(options: ReadOptions, signal: AbortSignal | undefined): AsyncGenerator<InRecord, void, undefined> {
  const { topic, partition, fromOffset, groupPrefix } = options
  signal?.throwIfAborted()
  const bounds = await boundsOf(await options.admin(), topic)
  const own = bounds.get(partition)
  if (own === undefined || Math.max(fromOffset, own.low) >= own.high) return
  const reader = new Reader(partition, Math.max(fromOffset, own.low), bounds)
  const groupId = `${groupPrefix}.${randomUUID()}`
  const subscription = new KafkaSubscription({
    ...options,
    groupId,
    handler: reader,
    onPosition: (of, next) => reader.moved(of, next),
  })
  const onAbort = () => reader.end(signal!.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    await subscription.start()
    for (;;) {
      const records = await reader.next()
      if (records === undefined) return
      for (const record of records) if (record.offset < own.high) yield record
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    reader.end()
    await subscription[Symbol.asyncDispose]()
    await forget(options, groupId)
  }
}

/** A group without members and offsets goes by itself, too, but a broker may take ten minutes to look. */
async function forget({ admin, happenings, topic }: ReadOptions, groupId: string): Promise<void> {
  try {
    await (await admin()).deleteGroups([groupId])
  } catch (error) {
    happenings.stopFailed({ part: 'reader' }, { topic, groupId, error: messageOf(error) })
  }
}

interface Bounds {
  readonly low: number
  /** After the last record. */
  readonly high: number
}

async function boundsOf(admin: Admin, topic: string): Promise<ReadonlyMap<number, Bounds>> {
  const offsets = await admin.fetchTopicOffsets(topic)
  return new Map(offsets.map(({ partition, low, high }) => [partition, { low: Number(low), high: Number(high) }]))
}

/** Hands batches from the subscription to the loop above, one at a time. */
class Reader implements BatchHandler {
  readonly #partition: number
  readonly #from: number
  readonly #bounds: ReadonlyMap<number, Bounds>
  #ready: readonly InRecord[] | undefined
  #isOver = false
  #error: unknown
  #wake: () => void = () => undefined
  #taken: () => void = () => undefined

  constructor(partition: number, from: number, bounds: ReadonlyMap<number, Bounds>) {
    this.#partition = partition
    this.#from = from
    this.#bounds = bounds
  }

  /** The group has the other partitions, too: it waits at their ends. */
  async assigned(partition: number): Promise<number> {
    return partition === this.#partition ? this.#from : (this.#bounds.get(partition)?.high ?? 0)
  }

  async handle({ partition, records }: RecordBatch): Promise<void> {
    if (partition !== this.#partition || this.#isOver) return
    await new Promise<void>((resolve) => {
      this.#taken = resolve
      this.#ready = records
      this.#wake()
    })
  }

  moved(partition: number, nextOffset: number): void {
    if (partition === this.#partition && nextOffset >= this.#bounds.get(partition)!.high) this.end()
  }

  end(error?: unknown): void {
    this.#isOver = true
    this.#error ??= error
    this.#taken()
    this.#wake()
  }

  /** Undefined: that was all. */
  async next(): Promise<readonly InRecord[] | undefined> {
    this.#taken()
    while (this.#ready === undefined) {
      if (this.#error !== undefined) throw this.#error
      if (this.#isOver) return undefined
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    const records = this.#ready
    this.#ready = undefined
    return records
  }
}
