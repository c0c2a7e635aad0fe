/** A subscription whose consumer loses its connection. The fake refuses as kafkajs does then: at once, without a turn of the event loop. */
import type { Admin } from 'kafkajs'
import { expect, it } from 'vitest'
import { transportHappenings } from '../../src/transport/happenings.ts'
import type { KafkaClient } from '../../src/transport/kafka-client.ts'
import { KafkaSubscription } from '../../src/transport/kafka-consumer.ts'
import { until } from '../support/kafka.ts'
import { countOf, kafkaConfigFor, quietTelemetry } from '../contract/transport-kafka-support.ts'

it('stopping while commits are refused ends in time', async () => {
  const listeners = new Map<string, (event: unknown) => void>()
  let eachBatch: (payload: unknown) => Promise<void> = async () => undefined
  const consumer = {
    events: { GROUP_JOIN: 'join', REBALANCING: 'rebalancing', STOP: 'stop', CRASH: 'crash', END_BATCH_PROCESS: 'end' },
    on: (name: string, listener: (event: unknown) => void) => void listeners.set(name, listener),
    connect: async () => undefined,
    subscribe: async () => undefined,
    run: async (options: { eachBatch: typeof eachBatch }) => void (eachBatch = options.eachBatch),
    commitOffsets: () => Promise.reject(new Error('Not connected')),
    disconnect: async () => undefined,
    pause: () => undefined,
    resume: () => undefined,
    seek: () => undefined,
  }
  const client = { kafka: { consumer: () => consumer }, disconnect: async () => 'done' } as unknown as KafkaClient
  const telemetry = quietTelemetry()
  const handled: number[] = []
  const subscription = new KafkaSubscription({
    connect: () => client,
    admin: async () => ({ listTopics: async () => ['t'] }) as unknown as Admin,
    config: kafkaConfigFor({ brokers: ['127.0.0.1:1'] }),
    happenings: transportHappenings(telemetry),
    topic: 't',
    groupId: 'g',
    handler: { assigned: async () => 0, handle: async ({ records }) => void handled.push(records[0]!.offset) },
    bury: async () => undefined,
  })
  await subscription.start()
  listeners.get('join')!({ payload: { memberAssignment: { t: [0] } } })
  await new Promise((resolve) => setTimeout(resolve, 10)) // the position is known
  const message = { offset: '0', key: null, value: Buffer.from('a'), headers: {}, timestamp: '0' }
  await eachBatch({
    batch: { topic: 't', partition: 0, messages: [message], fetchedOffset: '0', lastOffset: () => '0' },
    resolveOffset: () => undefined,
  })
  await until('it is handled', () => handled.length === 1)
  await until('the commit is refused', async () => (await countOf(telemetry, 'transport_commit_failed')) > 0)
  await subscription[Symbol.asyncDispose]()
  expect(await countOf(telemetry, 'transport_commit_failed')).toBeLessThan(100)
})
