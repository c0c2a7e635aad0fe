/**
 * What a publisher waits for: the records of one `publish`, cut into chunks of one partition each. A chunk is written, or refused
 * for good, or cut smaller to find the record that is the reason; the publish is over when each of its chunks is.
 */
import type { Message } from 'kafkajs'
import { PermanentError } from '../errors.ts'

/** A record that Kafka will never take. */
export interface Refusal {
  /** Its place in the publish. */
  readonly index: number
  readonly partition: number
  readonly valueBytes: number
  readonly why: string
}

const refusalsTold = 5

export class Publish {
  /** Settles with the fate of the records: all written, or what became of those that were not. */
  readonly done: Promise<void>
  /** The same, without an error. */
  readonly over: Promise<void>
  readonly #topic: string
  readonly #records: number
  readonly #refusals: Refusal[] = []
  #resolve: () => void = () => undefined
  #reject: (error: unknown) => void = () => undefined
  #open = 0
  #isOver = false

  constructor(topic: string, records: number) {
    this.#topic = topic
    this.#records = records
    this.done = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.over = this.done.catch(() => undefined)
  }

  /** Nobody waits for it any more. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** So many chunks more, or fewer. */
  expect(chunks: number): void {
    this.#open += chunks
    if (this.#open === 0) this.#end()
  }

  refuse(refusal: Refusal): void {
    this.#refusals.push(refusal)
  }

  giveUp(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#reject(error)
  }

  #end(): void {
    if (this.#refusals.length === 0) {
      this.#isOver = true
      return this.#resolve()
    }
    const told = this.#refusals
      .slice(0, refusalsTold)
      .map(({ index, partition, valueBytes, why }) => `record ${index} for partition ${partition}, ${valueBytes} bytes: ${why}`)
    if (this.#refusals.length > refusalsTold) told.push('…')
    const rest = this.#records - this.#refusals.length
    const others = rest === 0 ? '' : ` (the other ${rest} are written)`
    this.giveUp(
      new PermanentError(`topic ${this.#topic}: ${this.#refusals.length} of ${this.#records} records refused${others}: ${told.join('; ')}`),
    )
  }
}

export interface ChunkRecord {
  readonly index: number
  readonly bytes: number
  readonly message: Message
}

export class Chunk {
  readonly publish: Publish
  readonly partition: number
  readonly records: readonly ChunkRecord[]
  readonly bytes: number

  constructor(publish: Publish, partition: number, records: readonly ChunkRecord[]) {
    this.publish = publish
    this.partition = partition
    this.records = records
    this.bytes = records.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  written(): void {
    this.publish.expect(-1)
  }

  refused(why: string): void {
    for (const { index, message } of this.records)
      this.publish.refuse({ index, partition: this.partition, valueBytes: message.value?.length ?? 0, why })
    this.publish.expect(-1)
  }

  /** The same records in smaller chunks. */
  cut(limitBytes: number): readonly Chunk[] {
    const parts = cutRecords(this.publish, this.partition, this.records, limitBytes)
    this.publish.expect(parts.length - 1)
    return parts
  }
}

/** Chunks of at most so many bytes; a larger record has one to itself. */
export function cutRecords(publish: Publish, partition: number, records: readonly ChunkRecord[], limitBytes: number): readonly Chunk[] {
  const parts: Chunk[] = []
  let from = 0
  let bytes = 0
  for (let at = 0; at < records.length; at++) {
    if (at > from && bytes + records[at]!.bytes > limitBytes) {
      parts.push(new Chunk(publish, partition, records.slice(from, at)))
      from = at
      bytes = 0
    }
    bytes += records[at]!.bytes
  }
  if (from < records.length) parts.push(new Chunk(publish, partition, records.slice(from)))
  return parts
}
