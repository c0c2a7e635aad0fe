/**
 * Connections to Kafka as Tocsin wants them: patient (a broker that is away for a minute is no reason to fall over), with
 * kafkajs' own log lines in ours, and nothing that waits for ever when stopping.
 *
 * Stopping is where kafkajs leaves us alone: `disconnect` waits for a broker that is away, and a send under way is tried again
 * for ever, with a connection of its own as soon as there is a broker again. So the sockets are ours: `close` destroys
 * them and leaves no address to try, which is the one error that ends each of kafkajs' loops.
 */
import { readFileSync } from 'node:fs'
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { Kafka, logLevel, type ISocketFactory, type LogEntry, type SASLOptions } from 'kafkajs'
import { messageOf, PermanentError } from '../errors.ts'
import type { Telemetry } from '../telemetry.ts'
import type { KafkaConfig } from './config.ts'
import { mendIdleTimer } from './kafka-idle.ts'

/** Goes on as long as it takes, about once a second; whoever calls keeps the time. */
export const patience = { initialRetryTime: 100, maxRetryTime: 1000, retries: 1_000_000 } as const

/** New partitions, and leaders that moved without telling, are seen after this long. */
export const metadataMaxAgeMs = 10_000

const keepAliveMs = 60_000
/** A broker that hangs up so often before we were let in does not mean to. */
const hangUpsToBelieve = 5

/** What a TLS handshake ends with when the other side is not who it should be; trying again gives the same. */
const refusals: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: 'set kafka.ssl.caFile to the certificate authority that signed it',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'set kafka.ssl.caFile to that certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'set kafka.ssl.caFile to the certificate authority that signed it',
  UNABLE_TO_GET_ISSUER_CERT: 'set kafka.ssl.caFile to the certificate authority that signed it',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'set kafka.ssl.caFile to the certificate authority that signed it',
  CERT_SIGNATURE_FAILURE: 'set kafka.ssl.caFile to the certificate authority that signed it',
  CERT_HAS_EXPIRED: "renew the broker's certificate",
  CERT_NOT_YET_VALID: 'check the clocks of this machine and the broker',
  ERR_TLS_CERT_ALTNAME_INVALID: 'use the name in the certificate in kafka.brokers, or give it as kafka.ssl.serverName',
  ERR_SSL_WRONG_VERSION_NUMBER: 'this port does not talk TLS: set kafka.ssl: false, or take the port that does',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'this port does not talk TLS: set kafka.ssl: false, or take the port that does',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the broker wants a certificate of ours: set kafka.ssl.certFile and kafka.ssl.keyFile',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the broker does not know who signed our certificate: check kafka.ssl.certFile',
  'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE': 'the broker refuses our certificate: check kafka.ssl.certFile',
}

/** The files are read once, when the process starts; a new certificate wants a restart. */
export function tlsOptions(ssl: KafkaConfig['ssl']): ConnectionOptions | undefined {
  if (ssl === false) return undefined
  if (ssl === true) return {}
  const read = (key: 'caFile' | 'certFile' | 'keyFile') => {
    const path = ssl[key]
    if (path === undefined) return {}
    try {
      return { [key.slice(0, -'File'.length)]: readFileSync(path) }
    } catch (error) {
      throw new PermanentError(`kafka.ssl.${key}: cannot be read: ${messageOf(error)}`, { cause: error })
    }
  }
  return {
    ...read('caFile'),
    ...read('certFile'),
    ...read('keyFile'),
    ...(ssl.keyPassphrase === undefined ? {} : { passphrase: ssl.keyPassphrase }),
    ...(ssl.serverName === undefined ? {} : { servername: ssl.serverName }),
  }
}

export class KafkaClient {
  readonly kafka: Kafka
  /** Rejects, with what to do about it, when the brokers do not let us in whatever we try; never resolves. */
  readonly refused: Promise<never>
  readonly #tls: ConnectionOptions | undefined
  readonly #sockets = new Set<Socket>()
  #refuse: (error: Error) => void = () => undefined
  #trouble: string | undefined
  #hangUps = 0
  #isLetIn = false
  #isClosed = false

  constructor(config: KafkaConfig, telemetry: Telemetry, tls = tlsOptions(config.ssl)) {
    mendIdleTimer()
    this.#tls = tls
    this.refused = new Promise((_resolve, reject) => (this.#refuse = reject))
    this.refused.catch(() => undefined) // only who is about to start looks at it
    this.kafka = new Kafka({
      clientId: config.clientId,
      // No broker to try is the one thing that kafkajs does not try again.
      brokers: () => (this.#isClosed ? [] : [...config.brokers]),
      connectionTimeout: 1000,
      authenticationTimeout: 10_000,
      requestTimeout: 10_000,
      retry: patience,
      logLevel: logLevel.WARN,
      logCreator: () => (entry) => {
        if (!this.#isClosed) tell(telemetry, entry)
      },
      socketFactory: (address) => this.#open(address),
      ...(config.sasl === undefined ? {} : { sasl: { ...config.sasl } as SASLOptions }),
    })
  }

  /** What is wrong with the newest connection; undefined: nothing that we know of. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** A broker has answered something that it answers only to who may ask: from here on a hang-up is only a hang-up. */
  letIn(): void {
    this.#isLetIn = true
  }

  get isConnected(): boolean {
    for (const socket of this.#sockets) if (!socket.connecting) return true
    return false
  }

  /** Waits for the goodbye while there is somebody to say it to; then whatever is left of the client ends, its retries too. */
  async disconnect(part: { disconnect(): Promise<void> }, timeoutMs: number): Promise<'done' | 'late'> {
    const gone = part.disconnect()
    try {
      if (!this.isConnected) return 'done'
      return (await within(timeoutMs, gone)) === 'late' ? 'late' : 'done'
    } finally {
      gone.catch(() => undefined) // what comes after the close is its echo
      this.close()
    }
  }

  close(): void {
    this.#isClosed = true
    for (const socket of this.#sockets) socket.destroy(new Error('closed'))
  }

  #open({ host, port, onConnect }: Parameters<ISocketFactory>[0]): Socket {
    if (this.#isClosed) throw new Error('closed')
    const name = isIP(host) === 0 ? { servername: host } : {}
    const socket =
      this.#tls === undefined ? connectPlain({ host, port }, onConnect) : connectTls({ host, port, ...name, ...this.#tls }, onConnect)
    socket.setKeepAlive(true, keepAliveMs)
    socket.once('connect', () => (this.#trouble = undefined))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      this.#trouble = `${host}:${port}: ${error.message}`
      const advice = refusals[error.code ?? '']
      if (advice !== undefined) this.#refuse(new PermanentError(`${host}:${port}: ${error.message}: ${advice}`, { cause: error }))
    })
    socket.once('end', () => {
      if (this.#isLetIn || ++this.#hangUps < hangUpsToBelieve) return
      this.#refuse(
        new PermanentError(
          `${host}:${port} hung up ${this.#hangUps} times instead of answering: it may want TLS (kafka.ssl) or a login (kafka.sasl) at this port`,
        ),
      )
    })
    socket.once('close', () => this.#sockets.delete(socket))
    this.#sockets.add(socket)
    return socket
  }
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
