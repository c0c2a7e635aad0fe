/**
 * Reads native payloads from configured topics and hands each record to the door that takes its kind, so that what holds for HTTP holds here.
 * A record that cannot be read goes to the dead letters with the reason and its origin, and the partition goes on; when our own side
 * cannot take it, the batch is handed in again. Many are under way at a time, in order: one line per record is common, and waiting for
 * Kafka's answer to each made 490 of them per second.
 */
import { DecodeError } from '../errors.ts'
import type { Happening, Telemetry } from '../telemetry.ts'
import { deadLetter } from '../transport/dead-letter.ts'
import type { Topics } from '../transport/topics.ts'
import type { InRecord, RecordBatch, Transport } from '../transport/transport.ts'
import type { IngestConfig, SourceConfig } from './config.ts'
import type { Door } from './door.ts'
import { requestOf } from './sniff.ts'

export interface KafkaSourcesOptions {
  readonly transport: Transport
  readonly topics: Topics
  readonly door: Door
  readonly config: IngestConfig
  readonly telemetry: Telemetry
  readonly clock: () => number
  /** Consumer group; the lag of this group is the backlog. */
  readonly group?: string
}

const MAX_REASON_CHARS = 500
/** Records under way at a time, and their bytes. */
const WINDOW_RECORDS = 500
const WINDOW_BYTES = 4 * 1024 * 1024

/** Disposing it ends all subscriptions. */
export async function startKafkaSources(options: KafkaSourcesOptions): Promise<AsyncDisposable> {
  const told = options.telemetry.happening({
    name: 'dead_letter',
    help: 'A record of a source could not be read and was put aside',
    level: 'warn',
    labels: ['topic', 'reason'],
  })
  const subscriptions: AsyncDisposable[] = []
  const stop = async () => {
    for (const subscription of subscriptions.splice(0)) await subscription[Symbol.asyncDispose]()
  }
  try {
    for (const source of options.config.sources) {
      await options.transport.ensureTopic(source.topic, 1)
      const reader = new SourceReader(source, options, told)
      subscriptions.push(await options.transport.subscribe(source.topic, options.group ?? 'ingest', reader))
    }
  } catch (error) {
    await stop()
    throw error
  }
  return { [Symbol.asyncDispose]: stop }
}

/** At least one record. */
function windowEnd(records: readonly InRecord[], from: number): number {
  const last = Math.min(records.length, from + WINDOW_RECORDS)
  let bytes = records[from]!.value.length
  let end = from + 1
  while (end < last && (bytes += records[end]!.value.length) <= WINDOW_BYTES) end++
  return end
}

class SourceReader {
  readonly #source: SourceConfig
  readonly #options: KafkaSourcesOptions
  readonly #told: Happening<'topic' | 'reason'>

  constructor(source: SourceConfig, options: KafkaSourcesOptions, told: Happening<'topic' | 'reason'>) {
    this.#source = source
    this.#options = options
    this.#told = told
  }

  async handle(batch: RecordBatch, signal: AbortSignal): Promise<void> {
    const { records } = batch
    for (let from = 0; from < records.length;) {
      signal.throwIfAborted()
      const to = windowEnd(records, from)
      const window = records.slice(from, to)
      const fates = await Promise.allSettled(window.map((record) => this.#take(record)))
      const failed = fates.find((fate) => fate.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      for (const [i, record] of window.entries()) {
        const fate = fates[i]!
        if (fate.status === 'fulfilled' && fate.value !== undefined) await this.#putAside(batch, record, fate.value)
      }
      from = to
    }
  }

  /** Undefined when the record was taken; throws when it must come again. */
  async #take(record: InRecord): Promise<DecodeError | undefined> {
    const { config, door, clock } = this.#options
    let request
    try {
      request = requestOf(record, this.#source, config.limits.maxDecodedBytes, clock())
    } catch (error) {
      if (error instanceof DecodeError) return error
      throw error
    }
    const response = await door.accept(request)
    if (response.status < 400) return undefined
    const text = Buffer.from(response.body).toString('utf8').trim()
    if (response.status === 429 || response.status >= 500)
      throw new Error(`the door at ${request.path} cannot take records of ${this.#source.topic} now: ${text}`)
    return new DecodeError('refused', text)
  }

  async #putAside(batch: RecordBatch, record: InRecord, failure: DecodeError): Promise<void> {
    const { transport, topics } = this.#options
    await transport.publish(topics.deadLetters, [deadLetter(batch, record, failure.reason, failure.message)])
    this.#told(
      { topic: batch.topic, reason: failure.reason },
      { partition: batch.partition, offset: record.offset, error: failure.message.slice(0, MAX_REASON_CHARS) },
    )
  }
}
