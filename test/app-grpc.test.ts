/** The port of OTLP/gRPC in the whole program: open where it is free, told where it is not. */
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, expect, it } from 'vitest'
import { ROLES, startApp } from '../src/app.ts'
import { parseConfig } from '../src/config.ts'
import { Telemetry } from '../src/telemetry.ts'

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (let undo = cleanup.pop(); undo !== undefined; undo = cleanup.pop()) await undo()
})

async function takenPort(): Promise<number> {
  const server = createServer()
  cleanup.push(() => new Promise((resolve) => server.close(resolve)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** Any port that nobody had a moment ago, for HTTP: 0 would switch gRPC off where it is `auto`. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function started(overrides: Readonly<Record<string, unknown>>) {
  const dataDir = await mkdtemp(join(tmpdir(), 'tocsin-grpc-'))
  cleanup.push(() => rm(dataDir, { recursive: true, force: true }))
  const logged: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => logged.push(line) })
  const config = parseConfig({}, { dataDir, 'http.port': await freePort(), ...overrides }, {})
  const app = await startApp({ config, roles: ROLES, telemetry: new Telemetry(log), print: () => undefined })
  cleanup.push(() => app.stop())
  return { app, logged: logged.join('') }
}

it('a second Tocsin on the same machine says that the port is taken, and starts', async () => {
  const port = await takenPort()
  const { app, logged } = await started({ 'ingest.grpc.port': port })
  expect(app.grpcPort).toBeUndefined()
  expect(logged).toContain(`cannot listen for OTLP/gRPC on 127.0.0.1:${port}: another program listens there`)
  expect((await fetch(`${app.url}/-/ready`)).status).toBe(200)
})

it('does not start where the port was asked for', async () => {
  const port = await takenPort()
  await expect(started({ 'ingest.grpc.port': port, 'ingest.grpc.enabled': true })).rejects.toThrow(
    `cannot listen for OTLP/gRPC on 127.0.0.1:${port}: another program listens there: stop it, set ingest.grpc.port`,
  )
})

it.each([
  ['open', { 'ingest.grpc.port': 0 }, true],
  ['off', { 'ingest.grpc.enabled': false }, false],
  ['off with any port for HTTP, unless it was asked for', { 'http.port': 0 }, false],
])('is %s', async (_, overrides, isOpen) => {
  const { app } = await started(overrides)
  expect(app.grpcPort !== undefined).toBe(isOpen)
})
