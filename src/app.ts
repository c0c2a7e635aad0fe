/**
 * The composition root: turns a configuration and a set of roles into a running process, and stops it so that nothing is lost.
 * This and config.ts are the only places that read the clock or make things random; everything below is handed what it needs.
 */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Config } from './config.ts'
import { messageOf } from './errors.ts'
import { createReplayer } from './dead-letter-replay.ts'
import { registerDeadLetters } from './dead-letters-api.ts'
import { deadLetterKeeper, lettersInStore } from './dead-letters.ts'
import { startCorrelateStage } from './correlate/stage.ts'
import { loadModels } from './detect/service/model-files.ts'
import type { VectorSink } from './detect/detector.ts'
import { startDetectStage } from './detect/stage.ts'
import { ActiveAlerts } from './ingest/events/active-alerts.ts'
import { createDoors } from './ingest/doors.ts'
import type { Door } from './ingest/door.ts'
import { AddressInUseError, openGrpcDoors, type GrpcDoors } from './ingest/otlp/grpc.ts'
import { registerDoors } from './ingest/http.ts'
import { startKafkaSources } from './ingest/kafka/kafka-source.ts'
import type { PlanNotices } from './model.ts'
import { planNotices } from './notify/routing.ts'
import { createNotifyStage, type NotifyStage } from './notify/outbox.ts'
import type { Db } from './store/db.ts'
import { openPglite } from './store/pglite.ts'
import { openPostgres } from './store/postgres.ts'
import type { Telemetry } from './telemetry.ts'
import { createEmbeddedTransport } from './transport/embedded.ts'
import { createKafkaTransport } from './transport/kafka.ts'
import { topicsWith } from './transport/topics.ts'
import type { Transport } from './transport/transport.ts'
import { registerPages } from './web/server.ts'

export const ROLES = ['ingest', 'detect', 'correlate', 'notify', 'web'] as const
export type Role = (typeof ROLES)[number]

/** What time it is, for those who are handed no clock. */
export const systemClock = () => Date.now()

export interface AppOptions {
  readonly config: Config
  readonly roles: readonly Role[]
  readonly telemetry: Telemetry
  /** False: time only passes when the door is told so, as a replay does. */
  readonly liveTicks?: boolean
  /** Where the console channel and dry runs print. */
  readonly print?: (text: string) => void
  /** Taps the doors, for the recorder. */
  readonly wrapDoor?: (door: Door) => Promise<Door>
  /** Told the vectors of the service detector, to train on. */
  readonly vectors?: VectorSink
}

export interface App {
  /** Where it listens. */
  readonly url: string
  /** Where it listens for OTLP/gRPC. */
  readonly grpcPort: number | undefined
  readonly door: Door | undefined
  readonly db: Db | undefined
  readonly notify: NotifyStage | undefined
  /** Takes no more, finishes what it took, saves what it knows. */
  stop(): Promise<void>
}

/** Starts the roles of one process; when one of them cannot start, those already started are stopped and the reason is thrown. */
export async function startApp(options: AppOptions): Promise<App> {
  const { telemetry } = options
  const roles = new Set(options.roles)
  const cleanup: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (let undo = cleanup.pop(); undo !== undefined; undo = cleanup.pop()) {
      await undo().catch((error: unknown) => telemetry.log.error({ event: 'stop_failed', err: error }, 'a part did not stop cleanly'))
    }
  }
  try {
    return await start(options, roles, cleanup, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function start(
  options: AppOptions,
  roles: ReadonlySet<Role>,
  cleanup: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<App> {
  const { config, telemetry, print = (text) => process.stdout.write(text) } = options
  const clock = systemClock
  let isStarted = false
  const readiness: (() => Promise<unknown>)[] = [
    async () => {
      if (!isStarted) throw new Error('still starting')
    },
  ]

  const needsStore = [...roles].some((role) => role !== 'ingest')
  const db = needsStore ? await openStore(config, telemetry) : undefined
  if (db !== undefined) {
    cleanup.push(async () => db[Symbol.asyncDispose]())
    readiness.push(() => db.query('select 1'))
  }

  const log: FastifyBaseLogger = telemetry.log.child({}, telemetry.log.isLevelEnabled('info') ? { level: 'warn' } : {})
  const { maxBodyBytes, maxReceiveMs } = config.ingest.limits
  const http = fastify({
    loggerInstance: log,
    bodyLimit: maxBodyBytes,
    forceCloseConnections: 'idle',
    // Without it a request that never ends keeps its connection, and what it has sent so far, for ever.
    requestTimeout: maxReceiveMs,
    // Node takes the shorter of the two limits for the headers, whichever it is called.
    http: { headersTimeout: maxReceiveMs, connectionsCheckingInterval: Math.min(maxReceiveMs, 10_000) },
  })
  cleanup.push(() => {
    http.server.closeAllConnections()
    return http.close()
  })
  registerHealth(http, telemetry, readiness)

  const topics = topicsWith(config.kafka.topicPrefix)
  // Over so many partitions the services are spread, however many the topic has: all processes must agree on it.
  const spread = config.transport === 'kafka' ? config.kafka.partitions : 1
  const needsTransport = roles.has('ingest') || roles.has('detect') || roles.has('correlate')
  const transport = needsTransport ? await openTransport(config, telemetry, clock) : undefined
  if (transport !== undefined) {
    cleanup.push(async () => transport[Symbol.asyncDispose]())
    await transport.ensureTopic(topics.telemetry, spread)
    await transport.ensureTopic(topics.findings, 1)
    await transport.ensureTopic(topics.deadLetters, 1)
    if (config.transport === 'embedded' && db !== undefined) {
      // Nothing else would keep them. Subscribed before the stages and so there until after them.
      const letters = await transport.subscribe(topics.deadLetters, 'store', deadLetterKeeper(db, telemetry))
      cleanup.push(async () => letters[Symbol.asyncDispose]())
      const replayer = createReplayer({ transport, topics, config, partitions: spread, telemetry, clock })
      registerDeadLetters(http, { box: lettersInStore(db), replayer, clock, token: config.http.token })
    }
  }

  const plan: PlanNotices = planNotices(config.notify)

  if (roles.has('correlate')) {
    const stage = await startCorrelateStage({
      transport: transport!,
      topics,
      db: db!,
      config: config.correlate,
      telemetry,
      planNotices: plan,
    })
    cleanup.push(async () => stage[Symbol.asyncDispose]())
  }
  if (roles.has('detect')) {
    const models = loadModels(config.detect, telemetry.log)
    const stage = await startDetectStage({
      transport: transport!,
      topics,
      db: db!,
      config: config.detect,
      telemetry,
      partitions: spread,
      models,
      ...(options.vectors && { vectors: options.vectors }),
    })
    cleanup.push(async () => stage[Symbol.asyncDispose]())
  }
  if (roles.has('web')) await registerPages(http, { db: db!, planNotices: plan, telemetry, clock, token: config.http.token })

  let door: Door | undefined
  if (roles.has('ingest')) {
    const alerts = new ActiveAlerts()
    const doors = createDoors({ transport: transport!, topics, partitions: spread, config: config.ingest, telemetry, clock, alerts })
    door = options.wrapDoor === undefined ? doors : await options.wrapDoor(doors)
    registerDoors(http, door, { limits: config.ingest.limits, token: config.http.token, clock, alerts })
    const sources = await startKafkaSources({ transport: transport!, topics, door: doors, config: config.ingest, telemetry, clock })
    cleanup.push(async () => sources[Symbol.asyncDispose]())
    if (options.liveTicks ?? true) cleanup.push(startTicks(door, config.ingest.tickMs, clock, telemetry))
  }

  const url = await listen(http, config.http)
  const publicUrl = config.http.publicUrl === '' ? url : config.http.publicUrl.replace(/\/+$/, '')
  let notify: NotifyStage | undefined
  if (roles.has('notify')) {
    notify = createNotifyStage({
      db: db!,
      config: config.notify,
      telemetry,
      owner: `${hostname()}:${process.pid}:${randomUUID()}`,
      publicUrl,
      clock,
      print,
    })
    const stage = notify
    cleanup.push(() => stage.stop())
  }
  const grpc = door === undefined || options.liveTicks === false ? undefined : await listenGrpc(config, door, telemetry, clock)
  if (grpc !== undefined) cleanup.push(() => grpc.stop(FINISH_REQUESTS_MS))
  // Last started, first stopped: what has come in is finished while the stages behind the doors still run.
  cleanup.push(() => closeDoors(http, telemetry))
  isStarted = true
  return { url, grpcPort: grpc?.port, door, db, notify, stop }
}

async function listen(http: FastifyInstance, { host, port }: Config['http']): Promise<string> {
  try {
    return await http.listen({ host, port })
  } catch (error) {
    const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
    const why = inUse ? 'another program listens there: stop it, or set http.port' : `${messageOf(error)}: set http.host and http.port`
    throw new Error(`Tocsin cannot listen on ${host}:${port}: ${why}`, { cause: error })
  }
}

/** Undefined where gRPC is off, or `auto` and another program has the port. */
async function listenGrpc(config: Config, door: Door, telemetry: Telemetry, clock: () => number): Promise<GrpcDoors | undefined> {
  const { grpc, limits } = config.ingest
  // Whoever takes any port for HTTP does not count on 4317.
  if (grpc.enabled === false || (grpc.enabled === 'auto' && config.http.port === 0)) return undefined
  const host = grpc.host === '' ? config.http.host : grpc.host
  try {
    return await openGrpcDoors({ host, port: grpc.port, door, limits, token: config.http.token, telemetry, clock })
  } catch (error) {
    const inUse = error instanceof AddressInUseError
    const why = inUse ? 'another program listens there: stop it, set ingest.grpc.port, or ingest.grpc.enabled: false' : messageOf(error)
    const message = `Tocsin cannot listen for OTLP/gRPC on ${host}:${grpc.port}: ${why}`
    if (!inUse || grpc.enabled === true) throw new Error(message, { cause: error })
    telemetry.log.warn({ event: 'grpc_port_taken', host, port: grpc.port }, message)
    return undefined
  }
}

async function openStore(config: Config, telemetry: Telemetry): Promise<Db> {
  return config.store === 'postgres' ? openPostgres({ ...config.postgres, telemetry }) : openPglite({ dataDir: config.dataDir })
}

async function openTransport(config: Config, telemetry: Telemetry, clock: () => number): Promise<Transport> {
  return config.transport === 'kafka'
    ? createKafkaTransport(config.kafka, { telemetry, clock })
    : createEmbeddedTransport({ clock, telemetry })
}

function registerHealth(http: FastifyInstance, telemetry: Telemetry, readiness: readonly (() => Promise<unknown>)[]): void {
  http.get('/-/healthy', async () => 'Tocsin is healthy.\n')
  http.get('/-/ready', async (_, reply) => {
    try {
      await Promise.all(readiness.map((check) => check()))
      return 'Tocsin is ready.\n'
    } catch (error) {
      telemetry.log.warn({ event: 'not_ready', err: error }, 'not ready')
      return reply.code(503).send(`Tocsin is not ready: ${messageOf(error)}.\n`)
    }
  })
  http.get('/metrics', async (_, reply) => reply.type(telemetry.registry.contentType).send(await telemetry.registry.metrics()))
}

const FINISH_REQUESTS_MS = 5_000

/** Lets nobody in any more. Requests that take longer to end are cut off when the stages behind them have stopped. */
async function closeDoors(http: FastifyInstance, telemetry: Telemetry): Promise<void> {
  const patience = new AbortController()
  const late = delay(FINISH_REQUESTS_MS, 'late', { signal: patience.signal })
  const outcome = await Promise.race([http.close(), late]).finally(() => {
    late.catch(() => undefined) // cut short: nobody waits for it any more
    patience.abort()
  })
  if (outcome === 'late')
    telemetry.log.warn({ event: 'requests_cut_off' }, `requests had not ended ${FINISH_REQUESTS_MS} ms after the doors closed`)
}

/** Sends a tick every `tickMs`, one at a time; answers how to stop. */
function startTicks(door: Door, tickMs: number, clock: () => number, telemetry: Telemetry): () => Promise<void> {
  const failed = telemetry.happening({
    name: 'tick_failed',
    help: 'A tick could not be published; time stands still for detection.',
    level: 'warn',
  })
  let underWay: Promise<void> = Promise.resolve()
  let busy = false
  const timer = setInterval(() => {
    if (busy) return
    busy = true
    underWay = door
      .tick(clock())
      .catch((error: unknown) => failed({}, { err: error }))
      .finally(() => (busy = false))
  }, tickMs)
  return async () => {
    clearInterval(timer)
    await underWay
  }
}
