/**
 * Hands a dead letter once more to whom it was meant for. A record of a source goes to the door that reads it under the present configuration, and not
 * into its topic again, where others may be reading; what a stage put aside goes back onto Tocsin's own topic, into its partition.
 */
import { decodeBatch } from './codec.ts'
import type { Config } from './config.ts'
import type { Letter } from './dead-letters.ts'
import { DecodeError, messageOf } from './errors.ts'
import { ENCODINGS_OF, type PayloadEncoding, type SourceConfig, type SourceSignal } from './ingest/config.ts'
import type { BulkDoor } from './ingest/door.ts'
import { createDoors } from './ingest/doors.ts'
import { requestOf } from './ingest/kafka/kafka-record.ts'
import type { Telemetry } from './telemetry.ts'
import type { Topics } from './transport/topics.ts'
import type { Transport } from './transport/transport.ts'

export interface ReplayerOptions {
  readonly transport: Transport
  readonly topics: Topics
  readonly config: Config
  /** Of the telemetry topic. */
  readonly partitions: number
  readonly telemetry: Telemetry
  readonly clock: () => number
}

export interface ReplayHow {
  /** Instead of the one that is configured for the topic. */
  readonly encoding?: PayloadEncoding | undefined
  /** Only says what would come of it. */
  readonly dryRun: boolean
}

export interface ReplayFate {
  readonly taken: boolean
  readonly text: string
}

/** Rejects when our own side cannot take it now. */
export interface Replayer {
  replay(letter: Letter, how: ReplayHow): Promise<ReplayFate>
}

export function createReplayer({ transport, topics, config, partitions, telemetry, clock }: ReplayerOptions): Replayer {
  const doorTo = (carrier: Transport) => createDoors({ transport: carrier, topics, partitions, config: config.ingest, telemetry, clock })
  let doors: { real: BulkDoor; dry: BulkDoor } | undefined
  return {
    async replay(letter, { encoding, dryRun }) {
      if (letter.content !== 'record') return { taken: false, text: notKept(letter) }
      if (letter.topic === topics.telemetry || letter.topic === topics.findings) {
        const unread = letter.topic === topics.telemetry ? unreadable(letter.value) : ''
        if (unread !== '') return { taken: false, text: `still cannot be read: ${unread}` }
        if (!dryRun) await transport.publish(letter.topic, [{ partition: letter.partition, value: letter.value, headers: letter.headers }])
        return { taken: true, text: `${dryRun ? 'would be put' : 'put'} into partition ${letter.partition} of ${letter.topic} again` }
      }
      doors ??= { real: doorTo(transport), dry: doorTo(nowhere) }
      return throughDoor(letter, sourceOf(letter, config.ingest.sources, encoding), dryRun ? doors.dry : doors.real, config, dryRun)
    },
  }
}

async function throughDoor(
  letter: Letter,
  source: SourceConfig | string,
  door: BulkDoor,
  config: Config,
  dryRun: boolean,
): Promise<ReplayFate> {
  if (typeof source === 'string') return { taken: false, text: source }
  let request
  try {
    // As if it had been read when it was put aside: it was in time then.
    request = requestOf({ ...letter, timestampMs: letter.originMs }, source, config.ingest.limits.maxDecodedBytes, letter.timestampMs)
  } catch (error) {
    if (error instanceof DecodeError) return { taken: false, text: `still cannot be read: ${error.message} (${error.reason})` }
    throw error
  }
  const [outcome] = await door.acceptAll([request])
  const refusal = outcome!.refusal ?? outcome!.unread[0]?.error
  if (refusal !== undefined) return { taken: false, text: `still cannot be read: ${refusal.message} (${refusal.reason})` }
  const rejected = outcome!.rejected.map(([reason, count]) => `${count} ${reason}`).join(', ')
  const but = rejected === '' ? '' : `, not taken: ${rejected}`
  return {
    taken: outcome!.rows > 0 || rejected === '',
    text: `${outcome!.rows} rows ${dryRun ? 'would be taken' : 'taken'} at ${request.path}${but}`,
  }
}

/** The source as it is configured now; or why nobody knows how to read the letter. */
function sourceOf(letter: Letter, sources: readonly SourceConfig[], encoding: PayloadEncoding | undefined): SourceConfig | string {
  const configured = sources.find((source) => source.topic === letter.topic)
  if (encoding === undefined)
    return configured ?? `topic ${letter.topic} is no longer under ingest.sources: list it there, or say --encoding`
  const signals = (Object.keys(ENCODINGS_OF) as SourceSignal[]).filter((signal) => {
    const of: readonly string[] = ENCODINGS_OF[signal]
    return of.includes(encoding)
  })
  const signal = configured !== undefined && signals.includes(configured.signal) ? configured.signal : signals[0]!
  if (signals.length > 1 && signal !== configured?.signal)
    return `${encoding} may carry ${signals.join(' or ')}: list topic ${letter.topic} with its signal under ingest.sources`
  return { topic: letter.topic, service: configured?.service ?? '', signal, encoding }
}

function notKept({ content, topic, partition, offset, lastOffset }: Letter): string {
  const where = `offsets ${offset} to ${lastOffset} of partition ${partition} of ${topic}`
  return content === 'left-out'
    ? `its value was too large to be kept: it is at ${where} as long as that topic keeps it`
    : `it is a whole batch that Kafka's codec could not unpack (${where}): let its producer send it again, with another compression`
}

function unreadable(value: Uint8Array): string {
  try {
    decodeBatch(value)
    return ''
  } catch (error) {
    return messageOf(error)
  }
}

/** Takes everything and keeps nothing. */
const nowhere: Transport = {
  ensureTopic: async () => undefined,
  partitions: async () => 1,
  publish: async () => undefined,
  subscribe: async () => ({ [Symbol.asyncDispose]: async () => undefined }),
  [Symbol.asyncDispose]: async () => undefined,
}
