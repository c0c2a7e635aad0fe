/**
 * A real Kafka for a test: one broker, or three that replicate, on free ports in a temporary folder. Broker 0 holds the
 * controller: kill and restart the others.
 *
 *   const kafka = await startKafka({ brokers: 3 })
 *   createKafkaTransport({ …, brokers: kafka.brokers })
 *   await kafka.killBroker(1); await kafka.startBroker(1)
 *   await kafka.moveLeader('topic', 0)
 *   await kafka.stop()
 *
 * With `secured: true` the broker has more listeners, each of which wants something (`kafka.secured`); openssl makes the certificates.
 */
import { execFile } from 'node:child_process'
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
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
  /** The first segment of a partition's log, to be read and, while the broker is stopped, damaged. */
  segment(topic: string, partition: number, index?: number): Promise<string>
  /** With `secured: true` only. */
  readonly secured: SecuredListeners | undefined
  stop(): Promise<void>
}

export interface SecuredListeners {
  /** host:port of the listener that wants … */
  readonly sasl: string
  readonly tls: string
  readonly saslTls: string
  /** A certificate of the client. */
  readonly mutualTls: string
  readonly username: string
  readonly password: string
  /** The authority that signed the broker's certificate, and the client's. */
  readonly caFile: string
  /** One that signed nothing. */
  readonly otherCaFile: string
  readonly certFile: string
  readonly keyFile: string
}

export interface KafkaOptions {
  readonly brokers?: 1 | 3
  readonly version?: string
  readonly secured?: boolean
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
  const ports = await freePorts(count + 1 + 4)
  const controllerPort = ports[count]!
  const folder = await temporaryFolder('kafka', 'kill -9 $(cat "$dir"/*/pid 2>/dev/null) 2>/dev/null')
  const listeners =
    options.secured === true
      ? await securedListeners(join(folder.path, 'tls'), ports[0]!, controllerPort, ports.slice(count + 1))
      : undefined
  const directory = (index: number) => join(folder.path, `broker-${index}`)
  const env = (index: number) => ({
    KAFKA_PORT: String(ports[index]),
    KAFKA_CONTROLLER_PORT: String(controllerPort),
    KAFKA_NODE_ID: String(index + 1),
    KAFKA_JOIN: index === 0 ? '' : `127.0.0.1:${controllerPort}`,
    KAFKA_PROPS: [count === 3 ? replicated : '', listeners?.properties ?? '', options.properties ?? ''].join('\n'),
    KAFKA_FORMAT: listeners?.format ?? '',
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
    async segment(topic, partition, index = 0) {
      const path = join(directory(index), 'data', `${topic}-${partition}`)
      const name = (await readdir(path)).filter((each) => each.endsWith('.log')).toSorted()[0]
      if (name === undefined) throw new Error(`no log in ${path}`)
      return join(path, name)
    },
    secured: listeners?.secured,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Replaces the bytes of a file that match by others of the same length, as a failing disk might. */
export async function damage(file: string, find: (bytes: Buffer) => number, replacement: Uint8Array): Promise<void> {
  const at = find(await readFile(file))
  if (at < 0) throw new Error(`${file} has nothing to be damaged`)
  const handle = await open(file, 'r+')
  try {
    await handle.write(replacement, 0, replacement.byteLength, at)
  } finally {
    await handle.close()
  }
}

async function securedListeners(folder: string, port: number, controllerPort: number, ports: readonly number[]) {
  const [username, password] = ['tocsin', 'correct-horse']
  const [sasl, tls, saslTls, mutualTls] = ports.map((each) => `127.0.0.1:${each}`) as [string, string, string, string]
  await makeCertificates(folder)
  const addresses = [
    `PLAINTEXT://127.0.0.1:${port}`,
    `CONTROLLER://127.0.0.1:${controllerPort}`,
    `SASL://${sasl}`,
    `TLS://${tls}`,
    `SASLTLS://${saslTls}`,
    `MTLS://${mutualTls}`,
  ].join(',')
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  const plain = `org.apache.kafka.common.security.plain.PlainLoginModule required user_${username}="${password}";`
  const properties = [
    `listeners=${addresses}`,
    `advertised.listeners=${addresses}`,
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL,MTLS:SSL',
    'sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    ...['sasl', 'sasltls'].flatMap((name) => [
      `listener.name.${name}.plain.sasl.jaas.config=${plain}`,
      `listener.name.${name}.scram-sha-256.sasl.jaas.config=${scram}`,
      `listener.name.${name}.scram-sha-512.sasl.jaas.config=${scram}`,
    ]),
    'ssl.keystore.type=PEM',
    `ssl.keystore.location=${join(folder, 'broker.pem')}`,
    'ssl.truststore.type=PEM',
    `ssl.truststore.location=${join(folder, 'ca.pem')}`,
    'listener.name.mtls.ssl.client.auth=required',
  ].join('\n')
  const format = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].map((each) => `--add-scram ${each}=[name=${username},password=${password}]`).join(' ')
  const secured: SecuredListeners = {
    sasl,
    tls,
    saslTls,
    mutualTls,
    username,
    password,
    caFile: join(folder, 'ca.pem'),
    otherCaFile: join(folder, 'other-ca.pem'),
    certFile: join(folder, 'client.crt'),
    keyFile: join(folder, 'client.key'),
  }
  return { properties, format, secured }
}

/** An authority, another one, and what the first signed: a certificate for 127.0.0.1 and one for a client. */
async function makeCertificates(folder: string): Promise<void> {
  await mkdir(folder)
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: folder })
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  for (const name of ['ca', 'other-ca'])
    await openssl('req', '-x509', ...curve, '-days', '30', '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.pem`)
  await writeFile(join(folder, 'broker.ext'), 'subjectAltName=IP:127.0.0.1')
  await writeFile(join(folder, 'client.ext'), 'extendedKeyUsage=clientAuth')
  for (const name of ['broker', 'client']) {
    await openssl('req', ...curve, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '30', '-extfile', `${name}.ext`]
    await openssl('x509', '-req', '-in', `${name}.csr`, ...signing, '-out', `${name}.crt`)
  }
  const parts = await Promise.all(['broker.key', 'broker.crt', 'ca.pem'].map((name) => readFile(join(folder, name), 'utf8')))
  await writeFile(join(folder, 'broker.pem'), parts.join(''))
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
