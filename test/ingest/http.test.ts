import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import type { Door, DoorRequest, DoorResponse } from '../../src/ingest/door.ts'
import { registerDoors } from '../../src/ingest/http.ts'
import type { DoorRoutesOptions } from '../../src/ingest/http.ts'
import { NOW_MS, openDoors, recorded } from './doors-fixture.ts'

let app: FastifyInstance | undefined
afterEach(async () => {
  await app?.close()
  app = undefined
})

class RememberingDoor implements Door {
  readonly requests: DoorRequest[] = []
  answer: DoorResponse = { status: 204, headers: {}, body: '' }
  gate: Promise<void> | undefined
  failWith: Error | undefined

  async accept(request: DoorRequest): Promise<DoorResponse> {
    this.requests.push(request)
    await this.gate
    if (this.failWith !== undefined) throw this.failWith
    return this.answer
  }

  async tick(): Promise<void> {}
}

async function serve(door: Door, options: Partial<DoorRoutesOptions> = {}): Promise<number> {
  app = Fastify()
  app.get('/page', async () => 'a page')
  app.post<{ Body: { a: number } }>('/api/other', (request, reply) => reply.send({ got: request.body.a }))
  registerDoors(app, door, { limits: { maxBodyBytes: 100_000, maxInFlightBytes: 300_000 }, clock: () => NOW_MS, ...options })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as AddressInfo).port
}

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

function send(port: number, path: string, headers: Record<string, string>, chunks: (Buffer | string)[], method = 'POST'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', path, method, headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => (body += text))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    request.on('error', reject)
    for (const chunk of chunks) request.write(chunk)
    request.end()
  })
}

describe('the routes of the doors', () => {
  it('hand on path, headers and the raw body of any content type', async () => {
    const door = new RememberingDoor()
    const port = await serve(door)
    for (const type of [
      'application/x-protobuf',
      'application/json',
      'text/plain',
      'application/x-www-form-urlencoded',
      'rubbish ; ; type',
    ]) {
      await send(port, '/loki/api/v1/push', { 'content-type': type, 'X-Scope-OrgID': 't1' }, [Buffer.from([0, 255, 10])])
    }
    await send(port, '/loki/api/v1/push', {}, ['{"a":'])
    expect(
      door.requests.map((request) => [request.path, request.headers['content-type'], Buffer.from(request.body).toString('hex')]),
    ).toEqual([
      ['/loki/api/v1/push', 'application/x-protobuf', '00ff0a'],
      ['/loki/api/v1/push', 'application/json', '00ff0a'],
      ['/loki/api/v1/push', 'text/plain', '00ff0a'],
      ['/loki/api/v1/push', 'application/x-www-form-urlencoded', '00ff0a'],
      ['/loki/api/v1/push', 'rubbish ; ; type', '00ff0a'],
      ['/loki/api/v1/push', undefined, '7b2261223a'],
    ])
    expect(door.requests[0]).toMatchObject({ receivedMs: NOW_MS, headers: { 'x-scope-orgid': 't1' } })
  })

  it('take chunked bodies and empty ones', async () => {
    const door = new RememberingDoor()
    const port = await serve(door)
    await send(port, '/v1/traces', { 'transfer-encoding': 'chunked', 'content-type': 'application/x-protobuf' }, ['ab', 'cd', 'ef'])
    await send(port, '/v1/traces', { 'content-length': '0' }, [])
    expect(door.requests.map((request) => Buffer.from(request.body).toString())).toEqual(['abcdef', ''])
  })

  it('answer what the door answers', async () => {
    const door = new RememberingDoor()
    door.answer = { status: 400, headers: { 'content-type': 'text/plain', 'retry-after': '7' }, body: Buffer.from('why\n') }
    const port = await serve(door)
    const answer = await send(port, '/api/v1/write', {}, ['x'])
    expect([answer.status, answer.headers['retry-after'], answer.body]).toEqual([400, '7', 'why\n'])
  })

  it('leave other routes of the same server as they are', async () => {
    const port = await serve(new RememberingDoor(), { token: 'secret' })
    expect((await send(port, '/page', {}, [], 'GET')).body).toBe('a page')
    expect((await send(port, '/api/other', { 'content-type': 'application/json' }, ['{"a":1}'])).body).toBe('{"got":1}')
  })

  it('answers what clients of Loki probe', async () => {
    const answer = await send(await serve(new RememberingDoor()), '/ready', {}, [], 'GET')
    expect([answer.status, answer.body]).toEqual([200, 'ready\n'])
  })

  it('tell amtool a status', async () => {
    const port = await serve(new RememberingDoor(), { version: '1.2.3' })
    const answer = await send(port, '/api/v2/status', {}, [], 'GET')
    expect(JSON.parse(answer.body)).toMatchObject({
      cluster: { status: 'disabled' },
      versionInfo: { version: '1.2.3' },
      uptime: new Date(NOW_MS).toISOString(),
    })
  })

  it('take the bodies of real senders over a real socket', async () => {
    const { door, transport } = openDoors()
    const port = await serve(door)
    const statuses: number[] = []
    for (const name of [
      'prometheus-2.rw1.proto-snappy.1',
      'telegraf.loki.json-gzip.1',
      'otel-collector.otlp-traces.proto-gzip.1',
      'winston-loki.loki.proto.1',
    ]) {
      const { path, headers, body } = recorded(name)
      const { 'content-length': _length, ...rest } = headers as Record<string, string>
      statuses.push((await send(port, path, rest, [Buffer.from(body)])).status)
    }
    expect(statuses).toEqual([204, 204, 200, 204])
    expect(transport.of('metrics')[0]?.rows).toBe(135)
  })
})

it('a door that fails on our side: 503, so that the sender comes back', async () => {
  const door = new RememberingDoor()
  door.failWith = new Error('disk full')
  const port = await serve(door)
  const answer = await send(port, '/v1/traces', { 'content-type': 'application/json' }, ['{}'])
  expect([answer.status, answer.headers['retry-after'], answer.body]).toEqual([
    503,
    '5',
    '{"code":14,"message":"cannot store telemetry now, try again"}',
  ])
})

describe('a body that is too large', () => {
  it.each([
    ['announced', { 'content-length': '150000' }],
    ['chunked', { 'transfer-encoding': 'chunked' }],
  ])('%s: 413 that the sender gets to read, and the door never sees it', async (_how, headers: Record<string, string>) => {
    const door = new RememberingDoor()
    const port = await serve(door)
    const answer = await send(port, '/v1/logs', { ...headers, 'content-type': 'application/json' }, [
      Buffer.alloc(75_000),
      Buffer.alloc(75_000),
    ])
    expect(answer.status).toBe(413)
    expect(JSON.parse(answer.body)).toEqual({ code: 3, message: 'the body is larger than 100000 bytes' })
    expect(door.requests).toEqual([])
  })

  it('costs the next request nothing', async () => {
    const door = new RememberingDoor()
    const port = await serve(door)
    for (let i = 0; i < 5; i++) await send(port, '/v1/logs', {}, [Buffer.alloc(150_000)])
    expect((await send(port, '/v1/logs', {}, ['fine'])).status).toBe(204)
  })
})

describe('too much at the same time', () => {
  it('is answered 429 (503 where 429 would lose data), and there is room again when the first is done', async () => {
    const door = new RememberingDoor()
    let open: () => void = () => undefined
    door.gate = new Promise((resolve) => (open = resolve))
    const port = await serve(door)
    const waiting = [0, 1, 2].map(() => send(port, '/loki/api/v1/push', {}, [Buffer.alloc(90_000)]))
    while (door.requests.length < 3) await new Promise((resolve) => setTimeout(resolve, 5))

    const loki = await send(port, '/loki/api/v1/push', {}, [Buffer.alloc(90_000)])
    const prometheus = await send(port, '/api/v1/write', {}, [Buffer.alloc(90_000)])
    expect([loki.status, loki.headers['retry-after'], prometheus.status]).toEqual([429, '2', 503])

    open()
    expect((await Promise.all(waiting)).map((answer) => answer.status)).toEqual([204, 204, 204])
    expect((await send(port, '/loki/api/v1/push', {}, [Buffer.alloc(90_000)])).status).toBe(204)
  })

  it('is not counted for senders that went away in the middle', async () => {
    const door = new RememberingDoor()
    const port = await serve(door)
    for (let i = 0; i < 5; i++) {
      const socket = connect(port, '127.0.0.1')
      await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
      socket.write(`POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-length: 99000\r\n\r\n${'x'.repeat(90_000)}`)
      await new Promise((resolve) => setTimeout(resolve, 30))
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.destroy()
      await closed
    }
    await expect.poll(async () => (await send(port, '/v1/logs', {}, [Buffer.alloc(90_000)])).status, { timeout: 5_000 }).toBe(204)
    expect(door.requests).toHaveLength(1)
  })
})

describe('with a bearer token', () => {
  it.each([
    ['the token', { authorization: 'Bearer secret' }, 204],
    ['lower-case scheme', { authorization: 'bearer secret' }, 204],
    ['none', {}, 401],
    ['another token', { authorization: 'Bearer secrets' }, 401],
    ['another scheme', { authorization: 'Basic secret' }, 401],
    ['an empty one', { authorization: 'Bearer ' }, 401],
  ])('%s', async (_what, headers: Record<string, string>, status) => {
    const port = await serve(new RememberingDoor(), { token: 'secret' })
    const answer = await send(port, '/v1/traces', headers, ['x'])
    expect(answer.status).toBe(status)
    if (status === 401) expect(answer.headers['www-authenticate']).toBe('Bearer')
  })
})
