/**
 * How to reach Kafka. Every field has a default that suits one broker on this machine; a cluster wants `brokers`,
 * `replicationFactor` 3 and, where it asks for them, `ssl` and `sasl`.
 */
import { z } from 'zod'

const sasl = z.strictObject({
  mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('How the broker checks who we are.'),
  username: z.string().min(1).describe('Name to log in with.'),
  password: z.string().min(1).describe('Password to log in with.'),
})

const tls = z
  .strictObject({
    caFile: z.string().min(1).optional().describe('Certificates of the authorities that the brokers must be signed by.'),
    certFile: z.string().min(1).optional().describe('Our certificate, where the brokers ask for one.'),
    keyFile: z.string().min(1).optional().describe('The key of our certificate.'),
    keyPassphrase: z.string().min(1).optional().describe('What the key is encrypted with.'),
    serverName: z.string().min(1).optional().describe("The name in the brokers' certificates, where it is not the one in kafka.brokers."),
  })
  .refine((c) => (c.certFile === undefined) === (c.keyFile === undefined), {
    path: ['keyFile'],
    message: 'certFile and keyFile belong together',
  })

export const kafkaConfig = z
  .strictObject({
    brokers: z
      .array(z.string().min(1))
      .min(1)
      .default(['127.0.0.1:9092'])
      .describe('host:port of some brokers; the rest of the cluster is found through them.'),
    clientId: z.string().min(1).default('tocsin').describe('Name that the brokers log for our connections.'),
    topicPrefix: z
      .string()
      .min(1)
      .default('tocsin')
      .describe("Prefix of Tocsin's own topics: <prefix>.telemetry, <prefix>.findings, <prefix>.dead-letters."),
    groupPrefix: z.string().min(1).default('tocsin').describe('Prefix of the consumer groups: <prefix>.<stage>.<topic>.'),
    partitions: z
      .number()
      .int()
      .min(1)
      .max(1024)
      .default(8)
      .describe(
        'Partitions of the telemetry topic that the services are spread over: at most that many detect processes share the work. A topic that ' +
          'has fewer gets the rest. To change it, change it in every process and restart them together; services that move are learned anew.',
      ),
    replicationFactor: z.number().int().min(1).max(10).default(1).describe('Copies of each partition when a topic is created.'),
    minInsyncReplicas: z
      .number()
      .int()
      .min(1)
      .max(10)
      .optional()
      .describe('Copies that must have a record before it counts as written. Default: 2 where there are 3 copies or more, else 1.'),
    retentionMs: z.number().int().min(60_000).default(86_400_000).describe('How long a created topic keeps its records, in milliseconds.'),
    compression: z
      .enum(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
      .default('snappy')
      .describe('Compression of what we write. All of them can be read.'),
    maxMessageBytes: z
      .number()
      .int()
      .min(65_536)
      .max(67_108_864)
      .default(8_388_608)
      .describe('Largest record, and max.message.bytes of created topics.'),
    maxDecompressedBytes: z
      .number()
      .int()
      .min(65_536)
      .default(134_217_728)
      .describe('A compressed record batch that would unpack to more than this is refused as undecodable.'),
    maxPendingBytes: z
      .number()
      .int()
      .min(1_048_576)
      .default(134_217_728)
      .describe('Bytes per topic that may wait for Kafka to take them; beyond it publishing is refused, and the doors answer 503.'),
    publishTimeoutMs: z
      .number()
      .int()
      .min(100)
      .default(30_000)
      .describe('How long a publish may wait for Kafka before it fails, in milliseconds.'),
    sessionTimeoutMs: z
      .number()
      .int()
      .min(1000)
      .default(10_000)
      .describe(
        'A process that has been silent for so long loses its partitions to the others; the broker allows 6 s to 5 min by default.',
      ),
    heartbeatMs: z.number().int().min(100).default(3_000).describe('Interval of the signs of life; at most a third of sessionTimeoutMs.'),
    stopTimeoutMs: z
      .number()
      .int()
      .min(100)
      .default(20_000)
      .describe('How long stopping waits for the batch under way before it gives up on it.'),
    ssl: z
      .union([z.boolean(), tls])
      .default(false)
      .describe(
        'true: talk TLS to the brokers, checked against the usual certificate authorities. An authority of your own, or a certificate ' +
          'of ours: {caFile, certFile, keyFile, keyPassphrase, serverName}, PEM files that are read at the start.',
      ),
    sasl: sasl.optional().describe('Log in; leave out where the brokers do not ask for it.'),
  })
  .refine((c) => c.heartbeatMs * 3 <= c.sessionTimeoutMs, { path: ['heartbeatMs'], message: 'must be at most a third of sessionTimeoutMs' })

export type KafkaConfig = z.infer<typeof kafkaConfig>
