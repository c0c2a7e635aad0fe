/**
 * What fastify costs on the hot routes: requests per CPU-second of a server process, as Tocsin runs it and as a bare node:http server that
 * calls the same door; and both again with a door that does nothing, which leaves HTTP alone. Remote-write bodies of about 100 KB
 * from another process over eight kept-alive connections.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { fileURLToPath } from 'node:url'
import { rounded, summary } from './suite.ts'
import type { Contender, Measured, Results, Scale, Suite } from './suite.ts'
import { remoteWriteBody } from './wire.ts'

const FASTIFY = 'fastify'
const BARE = 'node:http'
const FASTIFY_ALONE = 'fastify, no door'
const BARE_ALONE = 'node:http, no door'
const PEER = 'node:http, protobufjs'
const CONNECTIONS = 8
const BODIES = 8
/** Looks at the server's CPU time after so many. */
const REQUESTS_BETWEEN = 64

export interface ServerOptions {
  readonly fastify: boolean
  /** `protobufjs`: instead of the door, snappy and protobufjs alone. */
  readonly door: boolean | 'protobufjs'
}

const SERVERS: Readonly<Record<string, ServerOptions>> = {
  [FASTIFY]: { fastify: true, door: true },
  [BARE]: { fastify: false, door: true },
  [FASTIFY_ALONE]: { fastify: true, door: false },
  [BARE_ALONE]: { fastify: false, door: false },
  [PEER]: { fastify: false, door: 'protobufjs' },
}

async function measure(name: string, scale: Scale): Promise<Measured> {
  const server = fork(fileURLToPath(new URL('http-server.ts', import.meta.url)), [JSON.stringify(SERVERS[name])], {
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  try {
    const [port] = (await once(server, 'message')) as [number]
    const bodies = Array.from({ length: BODIES }, (_, scrape) => remoteWriteBody(scrape, scale.quick ? 40 : 2000))
    await press(server, scale.warmMs, port, agent, bodies)
    return { ...(await press(server, scale.runMs, port, agent, bodies)), also: { bodyBytes: bodies[0]!.length } }
  } finally {
    agent.destroy()
    server.kill()
  }
}

async function cpuMsOf(server: ChildProcess): Promise<number> {
  server.send('cpu')
  const [ms] = (await once(server, 'message')) as [number]
  return ms
}

/** Sends one request after the other on every connection until the server has spent that much CPU time. */
async function press(server: ChildProcess, ms: number, port: number, agent: Agent, bodies: readonly Uint8Array[]): Promise<Measured> {
  const startMs = performance.now()
  const startCpuMs = await cpuMsOf(server)
  let units = 0
  let spentMs = 0
  const connection = async (untilUnits: number) => {
    while (units < untilUnits) await post(port, agent, bodies[units++ % bodies.length]!)
  }
  while (spentMs < ms) {
    const untilUnits = units + REQUESTS_BETWEEN
    await Promise.all(Array.from({ length: CONNECTIONS }, () => connection(untilUnits)))
    spentMs = (await cpuMsOf(server)) - startCpuMs
  }
  return { units, cpuMs: spentMs, wallMs: performance.now() - startMs }
}

function post(port: number, agent: Agent, body: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/x-protobuf',
      'content-encoding': 'snappy',
      'content-length': body.length,
      'user-agent': 'Prometheus/3.5.0',
      'x-prometheus-remote-write-version': '0.1.0',
    }
    const sent = request({ host: '127.0.0.1', port, path: '/api/v1/write', method: 'POST', agent, headers }, (response) => {
      response.resume()
      response.on('end', () => (response.statusCode === 204 ? resolve() : reject(new Error(`the server answered ${response.statusCode}`))))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Requests through the real door by HTTP, beside the least that understands them: also shown by the ingest suite. */
export const httpContenders: readonly Contender[] = [FASTIFY, PEER].map(contenderOf)
export const isHttpContender = (name: string) => name in SERVERS
export const measureHttp = measure

export function httpJson(results: Results): Record<string, unknown> {
  const ratio = results.ratio(FASTIFY, PEER)
  return {
    requestsPerCpuS: Math.round(results.perCpuS(FASTIFY).median),
    peer: PEER,
    peerPerCpuS: Math.round(results.perCpuS(PEER).median),
    ratio: rounded(ratio.median),
    ratioOfRounds: summary(ratio),
    bodyBytes: results.also(FASTIFY, 'bodyBytes').median,
  }
}

function contenders(): Contender[] {
  return Object.keys(SERVERS).map(contenderOf)
}

function contenderOf(name: string): Contender {
  return { name, unit: 'requests' }
}

function json(results: Results): Record<string, unknown> {
  const pair = (fastify: string, bare: string) => ({
    fastifyPerCpuS: Math.round(results.perCpuS(fastify).median),
    bare: BARE,
    barePerCpuS: Math.round(results.perCpuS(bare).median),
    ratio: rounded(results.ratio(fastify, bare).median),
    ratioOfRounds: summary(results.ratio(fastify, bare)),
  })
  return {
    ...httpJson(results),
    bodyBytes: results.also(FASTIFY, 'bodyBytes').median,
    door: pair(FASTIFY, BARE),
    alone: pair(FASTIFY_ALONE, BARE_ALONE),
  }
}

function notes(results: Results): string[] {
  const { median, min, max } = results.ratio(FASTIFY, BARE)
  const extraUs = (fastify: string, bare: string) => rounded(1e6 / results.perCpuS(fastify).median - 1e6 / results.perCpuS(bare).median)
  return [
    `bodies of ${results.also(FASTIFY, 'bodyBytes').median} bytes; fastify takes ${median.toFixed(2)} of the requests of node:http per CPU-second with the door behind it (rounds ${min.toFixed(2)} to ${max.toFixed(2)})`,
    `it costs ${extraUs(FASTIFY, BARE)} µs of CPU per request with the door, ${extraUs(FASTIFY_ALONE, BARE_ALONE)} µs without`,
  ]
}

export const suite: Suite = { contenders, measure, json, notes }
