/** The whole program in this process: which roles it can have, what it does with requests that are under way when it stops, and with those that never end. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { ROLES, startApp, type App, type Role } from '../src/app.ts'
import { checkRoles } from '../src/commands.ts'
import { parseConfig } from '../src/config.ts'
import type { Door } from '../src/ingest/door.ts'
import { Telemetry } from '../src/telemetry.ts'

let app: App | undefined
let folder: string | undefined
afterEach(async () => {
  await app?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  app = folder = undefined
})

async function started(roles: readonly Role[], overrides: Readonly<Record<string, unknown>>, wrapDoor?: (door: Door) => Promise<Door>) {
  folder = await mkdtemp(join(tmpdir(), 'tocsin-app-'))
  const config = parseConfig({}, { dataDir: folder, logLevel: 'silent', 'http.port': 0, ...overrides }, {})
  app = await startApp({
    config,
    roles,
    telemetry: new Telemetry(pino({ level: 'silent' })),
    print: () => {},
    ...(wrapDoor && { wrapDoor }),
  })
  return app
}

describe('the roles of a process', () => {
  const split = { transport: 'kafka', store: 'postgres', 'postgres.url': 'postgres://x/y' }
  const sources = { 'ingest.sources': [{ topic: 'otlp_logs', signal: 'logs' }] }
  it.each<[string, Readonly<Record<string, unknown>>, readonly Role[], RegExp | undefined]>([
    ['everything embedded', {}, ROLES, undefined],
    ['doors whose rows nobody would get', {}, ['ingest'], /--role: needs detect and correlate too, or transport: kafka/],
    ['pages of a database that nobody writes', {}, ['web'], /--role: needs correlate too, or store: postgres/],
    ['pages alone on PostgreSQL', { ...split, transport: 'embedded' }, ['web'], undefined],
    ['topics without Kafka', sources, ROLES, /ingest\.sources: needs transport: kafka/],
    ['topics with Kafka', { ...split, ...sources }, ['ingest'], undefined],
  ])('%s', (_, overrides, roles, refusal) => {
    const check = () => checkRoles(parseConfig({}, overrides, {}), roles)
    if (refusal === undefined) expect(check).not.toThrow()
    else expect(check).toThrow(refusal)
  })
})

const change = JSON.stringify({ type: 'deploy', service: 'checkout', version: '2', title: 'checkout 2' })
const sendChange = (url: string) =>
  fetch(`${url}/api/v1/events`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: change })

/** Sends the head of a request and the beginning of its body; answers what comes back until the connection ends. */
async function halfARequest(url: string): Promise<{ readonly answer: Promise<string> }> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  socket.on('error', () => undefined) // a reset is an end as well
  const ended = once(socket, 'close')
  socket.write('POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{')
  // Answered after what was sent before it has been read.
  await fetch(`${url}/-/healthy`)
  return { answer: ended.then(() => text) }
}

describe('the program', () => {
  it('request under way → stop: the request is finished, and then nobody is let in', { timeout: 60_000 }, async () => {
    let arrived = () => {}
    let open = () => {}
    const atTheDoor = new Promise<void>((resolve) => (arrived = resolve))
    const gate = new Promise<void>((resolve) => (open = resolve))
    const { url } = await started(['ingest', 'detect', 'correlate'], {}, async (door) => ({
      tick: (nowMs) => door.tick(nowMs),
      async accept(request) {
        arrived()
        await gate
        return door.accept(request)
      },
    }))
    const answer = sendChange(url)
    await atTheDoor
    const stopped = app!.stop()
    await expect(sendChange(url)).rejects.toThrow('fetch failed')
    open()
    expect((await answer).status).toBe(202)
    await stopped
  })

  it('half a request → nothing more: 408 after ingest.limits.maxReceiveMs', { timeout: 30_000 }, async () => {
    const { url } = await started(['ingest'], { 'ingest.limits.maxReceiveMs': 500 })
    expect(await (await halfARequest(url)).answer).toMatch(/^HTTP\/1.1 408 /)
  })

  it('half a request → stop: it holds nobody up for longer than requests may take', { timeout: 30_000 }, async () => {
    const { url } = await started(['ingest'], {})
    const { answer } = await halfARequest(url)
    const startMs = performance.now()
    await app!.stop()
    expect(performance.now() - startMs).toBeLessThan(15_000)
    expect(await answer).not.toMatch(/ 2\d\d /)
  })
})
