/** What the tests of the Kafka transport share: its configuration for a running Kafka, and a telemetry whose counters can be read. */
import pino from 'pino'
import { Telemetry } from '../../src/telemetry.ts'
import { kafkaConfig, type KafkaConfig } from '../../src/transport/config.ts'
import type { RunningKafka } from '../support/kafka.ts'

export function kafkaConfigFor(kafka: Pick<RunningKafka, 'brokers'>, more: Partial<KafkaConfig> = {}): KafkaConfig {
  return kafkaConfig.parse({
    brokers: kafka.brokers,
    replicationFactor: Math.min(3, kafka.brokers.length),
    sessionTimeoutMs: 6000,
    heartbeatMs: 500,
    ...more,
  })
}

/** Silent; DEBUG_TRANSPORT=1 prints what it is told. */
export function quietTelemetry(): Telemetry {
  return new Telemetry(pino({ level: process.env['DEBUG_TRANSPORT'] === '1' ? 'debug' : 'silent' }))
}

/** The sum of a counter over its labels. */
export async function countOf(telemetry: Telemetry, name: string): Promise<number> {
  const metric = await telemetry.registry.getSingleMetric(`tocsin_${name}_total`)?.get()
  return metric?.values.reduce((sum, { value }) => sum + value, 0) ?? 0
}
