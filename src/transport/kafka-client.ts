/**
 * Connections to Kafka as Tocsin wants them: patient (a broker that is away for a minute is no reason to fall over), with
 * kafkajs' own log lines in ours, and nothing that waits for ever when stopping.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Kafka, logLevel, type KafkaConfig as ClientConfig, type LogEntry, type SASLOptions } from 'kafkajs'
import { messageOf } from '../errors.ts'
import type { Telemetry } from '../telemetry.ts'
import type { KafkaConfig } from './config.ts'

/** Goes on as long as it takes, about once a second; whoever calls keeps the time. */
export const patience = { initialRetryTime: 100, maxRetryTime: 1000, retries: 1_000_000 } as const

/** New partitions, and leaders that moved without telling, are seen after this long. */
export const metadataMaxAgeMs = 10_000

export function connectTo(config: KafkaConfig, telemetry: Telemetry): Kafka {
  const options: ClientConfig = {
    clientId: config.clientId,
    brokers: [...config.brokers],
    connectionTimeout: 1000,
    authenticationTimeout: 10_000,
    requestTimeout: 10_000,
    retry: patience,
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => tell(telemetry, entry),
    ...(config.ssl ? { ssl: true } : {}),
    ...(config.sasl === undefined ? {} : { sasl: config.sasl as SASLOptions }),
  }
  return new Kafka(options)
}

/** kafkajs calls errors what it is about to try again, so they are warnings here; what matters is told by its own happening. */
function tell(telemetry: Telemetry, { namespace, level, log }: LogEntry): void {
  const { message, error, broker, groupId, topic, partition } = log as LogEntry['log'] & Readonly<Record<string, unknown>>
  const line = {
    event: 'kafkajs',
    part: namespace,
    error: error === undefined ? undefined : messageOf(error),
    broker,
    groupId,
    topic,
    partition,
  }
  telemetry.log[level === logLevel.ERROR ? 'warn' : 'debug'](line, message)
}

/** 'late' when the work takes longer; the work itself goes on. */
export async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T | 'late'> {
  const timer = new AbortController()
  try {
    return await Promise.race([work, delay(timeoutMs, 'late' as const, { signal: timer.signal })])
  } finally {
    timer.abort()
  }
}

/** Ends early, without an error, when the signal aborts. */
export async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await delay(ms, undefined, { signal }).catch(() => undefined) // the abort is what the caller looks at
}
