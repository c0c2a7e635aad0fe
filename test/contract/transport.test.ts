/** One contract, both carriers; what only Kafka can do to us is in transport-kafka.test.ts. */
import { afterAll, beforeAll, describe } from 'vitest'
import { createEmbeddedTransport } from '../../src/transport/embedded.ts'
import { createKafkaTransport } from '../../src/transport/kafka.ts'
import { startKafka, type RunningKafka } from '../support/kafka.ts'
import { requireOrSkip } from '../support/services.ts'
import { kafkaConfigFor, quietTelemetry } from './transport-kafka-support.ts'
import { transportSuite } from './transport-suite.ts'

describe('the embedded transport', () => {
  transportSuite(async () => {
    let topics = 0
    const transport = createEmbeddedTransport({ clock: Date.now, telemetry: quietTelemetry() })
    return {
      transport: () => transport,
      async newTopic(partitions) {
        const topic = `topic-${topics++}`
        await transport.ensureTopic(topic, partitions)
        return topic
      },
    }
  })
})

requireOrSkip('kafka')('the Kafka transport', () => {
  let kafka: RunningKafka
  let topics = 0
  beforeAll(async () => void (kafka = await startKafka()))
  afterAll(() => kafka?.stop())

  transportSuite(async () => {
    const transport = createKafkaTransport(kafkaConfigFor(kafka), { telemetry: quietTelemetry(), clock: Date.now })
    return {
      transport: () => transport,
      async newTopic(partitions) {
        const topic = `topic-${topics++}`
        await transport.ensureTopic(topic, partitions)
        return topic
      },
    }
  })
})
