/**
 * What a transport tells about itself, named once for every carrier. Topics and groups are labels: both come from the
 * configuration, so they are few.
 */
import type { Happening, Telemetry } from '../telemetry.ts'

export interface TransportHappenings {
  /** A handler, `assigned` or `revoked` threw; the records stay and come again. */
  readonly handlerFailed: Happening<'topic' | 'group'>
  /** Another process has moved a checkpoint on; the position is asked for again. */
  readonly fenced: Happening<'topic' | 'group'>
  /** The log no longer (or not yet) holds the position that a checkpoint names. */
  readonly positionLost: Happening<'topic' | 'group'>
  /** A batch that no codec can read is in the dead letters now; it stays in the topic at the offsets named, too. */
  readonly undecodable: Happening<'topic' | 'group'>
  /** The consumer stopped on an error and is started again. */
  readonly consumerCrashed: Happening<'topic' | 'group'>
  readonly rebalanced: Happening<'topic' | 'group'>
  readonly topicMissing: Happening<'topic' | 'group'>
  readonly commitFailed: Happening<'topic' | 'group'>
  /** Somebody added partitions while we run. */
  readonly topicGrown: Happening<'topic'>
  /** A topic that was there had fewer partitions than are asked for. */
  readonly partitionsAdded: Happening<'topic'>
  /** A topic has more partitions than are asked for. */
  readonly partitionsUnused: Happening<'topic'>
  readonly publishFailed: Happening<'topic'>
  readonly stopFailed: Happening<'part'>
}

export function transportHappenings(telemetry: Telemetry): TransportHappenings {
  const labels = ['topic', 'group'] as const
  const told = (name: string, level: 'info' | 'warn' | 'error', help: string) =>
    telemetry.happening({ name: `transport_${name}`, help, level, labels })
  return {
    handlerFailed: told('handler_failed', 'error', 'A handler threw; the same records come again after a pause'),
    fenced: told('fenced', 'warn', 'Another process moved the checkpoint on; the position is asked for again'),
    positionLost: told(
      'position_lost',
      'error',
      'The log does not hold the position of the checkpoint; going on at the nearest offset it has',
    ),
    undecodable: told('undecodable_batch', 'error', 'A record batch could not be unpacked; it was put into the dead letters'),
    consumerCrashed: told('consumer_crashed', 'error', 'A Kafka consumer stopped on an error; starting it again'),
    rebalanced: told('rebalanced', 'info', 'Partitions were handed out anew'),
    topicMissing: told('topic_missing', 'warn', 'A topic to read from does not exist yet; looking again'),
    commitFailed: told('commit_failed', 'warn', 'A position could not be committed; tried again with the next one'),
    topicGrown: telemetry.happening({
      name: 'transport_topic_grown',
      help:
        'A topic has got partitions while this process runs. It reads them, and goes on writing to those that it was started with; ' +
        'if kafka.partitions was changed, restart every ingest process, else each service is in two places',
      level: 'warn',
      labels: ['topic'],
    }),
    partitionsAdded: telemetry.happening({
      name: 'transport_partitions_added',
      help:
        'A topic had fewer partitions than kafka.partitions says and got the rest; services that move are learned anew. Restart every ' +
        'process with the same kafka.partitions, else each service is in two places',
      level: 'warn',
      labels: ['topic'],
    }),
    partitionsUnused: telemetry.happening({
      name: 'transport_partitions_unused',
      help:
        'A topic has more partitions than kafka.partitions says, and the others stay empty: services that were there have moved. To use them, set kafka.partitions in every ' +
        'process and restart them all; services that move are learned anew',
      level: 'warn',
      labels: ['topic'],
    }),
    publishFailed: telemetry.happening({
      name: 'transport_publish_failed',
      help: 'Records could not be handed to Kafka; tried again until their time is up',
      level: 'warn',
      labels: ['topic'],
    }),
    stopFailed: telemetry.happening({
      name: 'transport_stop_failed',
      help: 'Something did not stop in time and was left behind',
      level: 'warn',
      labels: ['part'],
    }),
  }
}

const firstPauseMs = 100
const longestPauseMs = 10_000

/** How long to wait before trying for the `attempt`th time again (1, 2, …): doubles, at most ten seconds. */
export function retryPauseMs(attempt: number): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(attempt - 1, 16))
}
