/**
 * Reads native payloads from configured topics and hands them to the doors that take their kinds, so that what holds for HTTP holds here. A window
 * of records is decoded and then published in one go: one record may hold one line, and a publish of its own for each costs more than
 * everything else. A record that cannot be read goes to the dead letters with the reason and its origin, and its neighbours and the
 * partition go on; when our own side cannot take a window, the batch is handed in again.
 */
import { DecodeError, PermanentError, messageOf } from '../../errors.ts'
import type { Telemetry } from '../../telemetry.ts'
import { deadLetter, withoutValue } from '../../transport/dead-letter.ts'
import type { Topics } from '../../transport/topics.ts'
import type { InRecord, OutRecord, RecordBatch, Transport } from '../../transport/transport.ts'
import type { IngestConfig, PayloadEncoding, SourceConfig } from '../config.ts'
import type { BulkDoor, DoorRequest } from '../door.ts'
import { encodingOf, framedRequestOf, isFramedEncoding, requestAs } from './kafka-record.ts'

export interface KafkaSourcesOptions {
  readonly transport: Transport
  readonly topics: Topics
  readonly door: BulkDoor
  readonly config: IngestConfig
  readonly telemetry: Telemetry
  readonly clock: () => number
  /** Consumer group; the lag of this group is the backlog. */
  readonly group?: string
}

const MAX_REASON_CHARS = 500
/** Records taken in one go, and their bytes. */
const WINDOW_RECORDS = 1000
const WINDOW_BYTES = 4 * 1024 * 1024

/** Disposing it ends all subscriptions. */
export async function startKafkaSources(options: KafkaSourcesOptions): Promise<AsyncDisposable> {
  const told = happenings(options.telemetry)
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

/** Which records of a window a request stands for. */
interface Share {
  readonly request: DoorRequest
  readonly records: readonly InRecord[]
}

interface Unreadable {
  readonly record: InRecord
  readonly error: DecodeError
}

class SourceReader {
  readonly #source: SourceConfig
  readonly #options: KafkaSourcesOptions
  readonly #told: SourceHappenings
  readonly #suggested = new Set<PayloadEncoding>()

  constructor(source: SourceConfig, options: KafkaSourcesOptions, told: SourceHappenings) {
    this.#source = source
    this.#options = options
    this.#told = told
  }

  async handle(batch: RecordBatch, signal: AbortSignal): Promise<void> {
    const { records } = batch
    for (let from = 0; from < records.length;) {
      signal.throwIfAborted()
      const to = windowEnd(records, from)
      const unreadable = await this.#take(from === 0 && to === records.length ? records : records.slice(from, to))
      if (unreadable.length > 0) await this.#putAside(batch, unreadable)
      from = to
    }
  }

  /** Throws when the records must come again. */
  async #take(records: readonly InRecord[]): Promise<Unreadable[]> {
    const unreadable: Unreadable[] = []
    const rejected = new Map<string, number>()
    let shares = this.#sharesOf(records, unreadable)
    while (shares.length > 0) {
      const outcomes = await this.#hand(shares)
      const again: Share[] = []
      for (const [i, { refusal, unread, rejected: reasons }] of outcomes.entries()) {
        const share = shares[i]!
        if (refusal === undefined) for (const { index, error } of unread) unreadable.push({ record: share.records[index]!, error })
        else if (share.records.length === 1) unreadable.push({ record: share.records[0]!, error: refusal })
        // One of them is to blame, the others are not.
        else again.push(...share.records.flatMap((record) => this.#sharesOf([record], unreadable)))
        for (const [reason, count] of reasons) rejected.set(reason, (rejected.get(reason) ?? 0) + count)
      }
      shares = again
    }
    for (const [reason, count] of rejected) {
      this.#told.rejected({ topic: this.#source.topic, reason }, { firstOffset: records[0]!.offset, rows: count }, count)
    }
    return unreadable.sort((one, other) => one.record.offset - other.record.offset)
  }

  async #hand(shares: readonly Share[]) {
    try {
      return await this.#options.door.acceptAll(shares.map(({ request }) => request))
    } catch (error) {
      throw new Error(`records of topic ${this.#source.topic} cannot be taken now: ${messageOf(error)}`, { cause: error })
    }
  }

  /** In the order of the records. Neighbours of an encoding that many of them can share a request in do so. */
  #sharesOf(records: readonly InRecord[], unreadable: Unreadable[]): Share[] {
    const { maxDecodedBytes } = this.#options.config.limits
    const receivedMs = this.#options.clock()
    const shares: Share[] = []
    let framed: InRecord[] = []
    let framedAs: PayloadEncoding = 'lines'
    const close = () => {
      if (framed.length > 0) shares.push({ request: framedRequestOf(framed, framedAs, this.#source, receivedMs), records: framed })
      framed = []
    }
    const sniffed = new Map<PayloadEncoding, number>()
    for (const record of records) {
      try {
        const { encoding, by } = encodingOf(record, this.#source, maxDecodedBytes)
        if (by === 'bytes') sniffed.set(encoding, (sniffed.get(encoding) ?? 0) + 1)
        if (isFramedEncoding(encoding)) {
          if (encoding !== framedAs) close()
          framedAs = encoding
          framed.push(record)
        } else {
          close()
          shares.push({ request: requestAs(record, encoding, this.#source, maxDecodedBytes, receivedMs), records: [record] })
        }
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
        unreadable.push({ record, error })
      }
    }
    close()
    for (const [encoding, count] of sniffed) this.#noteSniffed(encoding, count)
    return shares
  }

  #noteSniffed(encoding: PayloadEncoding, count: number): void {
    const { topic } = this.#source
    this.#told.sniffed.inc({ topic, encoding }, count)
    if (this.#suggested.has(encoding)) return
    this.#suggested.add(encoding)
    this.#told.encodingFound(
      { topic, encoding },
      { set: `ingest.sources: [{ topic: ${topic}, signal: ${this.#source.signal}, encoding: ${encoding} }]` },
    )
  }

  async #putAside(batch: RecordBatch, unreadable: readonly Unreadable[]): Promise<void> {
    await this.#bury(unreadable.map(({ record, error }) => deadLetter(batch, record, error.reason, error.message)))
    for (const reason of new Set(unreadable.map(({ error }) => error.reason))) {
      const ofReason = unreadable.filter(({ error }) => error.reason === reason)
      const { record, error } = ofReason[0]!
      this.#told.deadLetter(
        { topic: batch.topic, reason },
        { partition: batch.partition, offset: record.offset, records: ofReason.length, error: error.message.slice(0, MAX_REASON_CHARS) },
        ofReason.length,
      )
    }
  }

  /** With what is said about it a record may be larger than the carrier takes: then it stays in its topic, and what is said about it goes. */
  async #bury(letters: readonly OutRecord[]): Promise<void> {
    const { transport, topics } = this.#options
    try {
      await transport.publish(topics.deadLetters, letters)
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error
      if (letters.length === 1) return await transport.publish(topics.deadLetters, letters.map(withoutValue))
      for (const letter of letters) await this.#bury([letter])
    }
  }
}

type SourceHappenings = ReturnType<typeof happenings>

function happenings(telemetry: Telemetry) {
  return {
    deadLetter: telemetry.happening({
      name: 'dead_letter',
      help: 'A record of a source could not be read and was put aside',
      level: 'warn',
      labels: ['topic', 'reason'],
    }),
    rejected: telemetry.happening({
      name: 'source_rows_rejected',
      help: 'Rows of records of a source were read and not taken',
      level: 'warn',
      labels: ['topic', 'reason'],
    }),
    encodingFound: telemetry.happening({
      name: 'source_encoding_found',
      help: 'The encoding of records of a source was found out by looking at them: set it, and nothing is left to guess',
      level: 'info',
      labels: ['topic', 'encoding'],
    }),
    sniffed: telemetry.counter('source_records_sniffed_total', 'Records of a source whose encoding was found out by looking at them', [
      'topic',
      'encoding',
    ]),
  }
}
