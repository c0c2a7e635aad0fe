/** The server of the http suite, a process of its own: tells its port, then its CPU time whenever it is asked. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import fastify, { type FastifyBaseLogger } from 'fastify'
import { pino } from 'pino'
import { uncompressSync } from 'snappy'
import { ingestConfig } from '../src/ingest/config.ts'
import { createDoors } from '../src/ingest/doors.ts'
import { registerDoors } from '../src/ingest/http.ts'
import { Telemetry } from '../src/telemetry.ts'
import { topicsWith } from '../src/transport/topics.ts'
import type { Door } from '../src/ingest/door.ts'
import type { ServerOptions } from './http.ts'
import { cpuMs } from './suite.ts'
import { START_MS, WriteRequest } from './wire.ts'

const options = JSON.parse(process.argv[2]!) as ServerOptions
const config = ingestConfig.parse({})
const telemetry = new Telemetry(pino({ level: 'info', name: 'tocsin' }, pino.destination(2)))
const clock = () => START_MS + 60_000

/** Takes every record and keeps none: what comes after the doors is not measured here. */
const nowhere = {
  ensureTopic: async () => {},
  partitions: async () => 1,
  publish: async () => {},
  subscribe: async () => ({ [Symbol.asyncDispose]: async () => {} }),
  [Symbol.asyncDispose]: async () => {},
}
/** The least that can be done with a body. */
const protobufjs: Door = {
  accept: async ({ body }) => {
    WriteRequest.decode(uncompressSync(Buffer.from(body.buffer, body.byteOffset, body.length)) as Buffer)
    return { status: 204, headers: {}, body: '' }
  },
  tick: async () => {},
}
const idle: Door = { accept: async () => ({ status: 204, headers: {}, body: '' }), tick: async () => {} }
const real = () => createDoors({ transport: nowhere, topics: topicsWith('bench'), partitions: 1, config, telemetry, clock })
const door = options.door === 'protobufjs' ? protobufjs : options.door ? real() : idle

/** As app.ts does it. */
async function startFastify(): Promise<Server> {
  const log: FastifyBaseLogger = telemetry.log.child({}, { level: 'warn' })
  const http = fastify({ loggerInstance: log, bodyLimit: config.limits.maxBodyBytes, forceCloseConnections: 'idle' })
  registerDoors(http, door, { limits: config.limits, clock })
  await http.listen({ host: '127.0.0.1', port: 0 })
  return http.server
}

/** The least that hands a request to a door and its answer back. */
async function startBare(): Promise<Server> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const headers = request.headers as Record<string, string>
      door.accept({ path: request.url!, headers, body: Buffer.concat(chunks), receivedMs: clock() }).then(
        (answer) => response.writeHead(answer.status, { ...answer.headers }).end(answer.body),
        (error: unknown) => response.destroy(error as Error),
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

const server = options.fastify ? await startFastify() : await startBare()
process.on('message', () => process.send!(cpuMs()))
process.on('disconnect', () => process.exit(0))
process.send!((server.address() as AddressInfo).port)
