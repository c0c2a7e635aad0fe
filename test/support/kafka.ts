/**
 * A real Kafka for a test: one broker, or three that replicate, on free ports in a temporary folder. Broker 0 holds the
 * controller: kill and restart the others.
 *
 *   const kafka = await startKafka({ brokers: 3 })
 *   createKafkaTransport({ …, brokers: kafka.brokers })
 *   await kafka.killBroker(1); await kafka.startBroker(1)
 *   await kafka.moveLeader('topic', 0)
 *   await kafka.stop()
 */
import { join } from 'node:path'
import { Kafka, logLevel, type Admin } from 'kafkajs'
import { freePorts, runScript, temporaryFolder } from './processes.ts'

export interface RunningKafka extends AsyncDisposable {
  /** host:port of each broker. */
  readonly brokers: string[]
  /** The same, joined with commas. */
  readonly bootstrap: string
  readonly admin: Admin
  createTopic(topic: string, partitions: number): Promise<void>
  /** Gives the partition another leader while everything runs; answers the new leader's number (0, 1, 2). */
  moveLeader(topic: string, partition: number): Promise<number>
  leader(topic: string, partition: number): Promise<number>
  /** SIGKILL; the data stays. */
  killBroker(index: number): Promise<void>
  stopBroker(index: number): Promise<void>
  startBroker(index: number): Promise<void>
  stop(): Promise<void>
}

export interface KafkaOptions {
  readonly brokers?: 1 | 3
  readonly version?: string
  /** More broker properties, one per line. */
  readonly properties?: string
}

const replicated = [
  'default.replication.factor=3',
  'min.insync.replicas=2',
  'offsets.topic.replication.factor=3',
  'transaction.state.log.replication.factor=3',
  'transaction.state.log.min.isr=2',
  'auto.leader.rebalance.enable=false',
].join('\n')

export async function startKafka(options: KafkaOptions = {}): Promise<RunningKafka> {
  const count = options.brokers ?? 1
  const ports = await freePorts(count + 1)
  const controllerPort = ports[count]!
  const folder = await temporaryFolder('kafka', 'kill -9 $(cat "$dir"/*/pid 2>/dev/null) 2>/dev/null')
  const directory = (index: number) => join(folder.path, `broker-${index}`)
  const env = (index: number) => ({
    KAFKA_PORT: String(ports[index]),
    KAFKA_CONTROLLER_PORT: String(controllerPort),
    KAFKA_NODE_ID: String(index + 1),
    KAFKA_JOIN: index === 0 ? '' : `127.0.0.1:${controllerPort}`,
    KAFKA_PROPS: [count === 3 ? replicated : '', options.properties ?? ''].join('\n'),
    ...(options.version === undefined ? {} : { KAFKA_VERSION: options.version }),
  })
  const startBroker = async (index: number) => void (await runScript('kafka/start-kraft.sh', ['start', directory(index)], env(index)))
  const brokers = Array.from({ length: count }, (_, index) => `127.0.0.1:${ports[index]}`)
  const client = new Kafka({
    clientId: 'test-admin',
    brokers,
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 1000, retries: 60 },
  })
  const admin = client.admin()

  const metadata = async (topic: string, partition: number) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const found = topics[0]?.partitions.find((p) => p.partitionId === partition)
    if (!found) throw new Error(`topic ${topic} has no partition ${partition}`)
    return found
  }

  const stop = async () => {
    await Promise.race([admin.disconnect(), new Promise((resolve) => setTimeout(resolve, 2000).unref())])
    await folder[Symbol.asyncDispose]()
  }

  try {
    await startBroker(0)
    await Promise.all(brokers.slice(1).map((_, index) => startBroker(index + 1)))
    await admin.connect()
  } catch (error) {
    await stop()
    throw error
  }

  return {
    brokers,
    bootstrap: brokers.join(','),
    admin,
    startBroker,
    async createTopic(topic, partitions) {
      await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: count }], waitForLeaders: false })
      await until(`topic ${topic} has its leaders`, async () => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
        return topics[0]?.partitions.length === partitions && topics[0].partitions.every((p) => p.leader >= 0)
      })
    },
    async leader(topic, partition) {
      return (await metadata(topic, partition)).leader - 1
    },
    async moveLeader(topic, partition) {
      const { leader } = await metadata(topic, partition)
      const ids = brokers.map((_, index) => index + 1)
      // A leader that is no longer a replica has to hand over; afterwards it becomes a follower again.
      const others = ids.filter((id) => id !== leader)
      const reassign = async (replicas: number[]) => {
        await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment: [{ partition, replicas }] }] })
        await until(`partition ${partition} of ${topic} is on ${replicas.join(', ')}`, async () => {
          const now = await metadata(topic, partition)
          return now.leader !== leader && now.leader > 0 && now.isr.length === replicas.length && now.replicas.length === replicas.length
        })
      }
      await reassign(others)
      await reassign([...others, leader])
      return (await metadata(topic, partition)).leader - 1
    },
    async killBroker(index) {
      await runScript('kafka/start-kraft.sh', ['kill', directory(index)], env(index))
    },
    async stopBroker(index) {
      await runScript('kafka/start-kraft.sh', ['stop', directory(index)], env(index))
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Polls until the condition holds; an error of the condition counts as "not yet". */
export async function until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      if (await condition()) return
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline) throw new Error(`after ${timeoutMs} ms still not: ${what}`, { cause: last })
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
