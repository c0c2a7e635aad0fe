/**
 * Opens the doors on a fastify instance. Content types are the doors' business, so fastify's own handling of them is kept out; bodies are read
 * here, chunked or not, counted as they arrive and refused as soon as they are too many, with an answer the sender gets to read.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest, RawServerDefault } from 'fastify'
import { DecodeError } from '../errors.ts'
import { authorized } from './wire/bearer.ts'
import type { ActiveAlerts } from './events/active-alerts.ts'
import type { Limits } from './config.ts'
import type { Door, DoorRequest, DoorResponse } from './door.ts'
import { ENDPOINTS } from './doors.ts'
import { jsonResponse, textResponse } from './endpoint.ts'

export interface DoorRoutesOptions {
  /** `maxInFlightBytes` bounds all bodies that are being received or handled at the same time. */
  readonly limits: Pick<Limits, 'maxBodyBytes' | 'maxInFlightBytes'>
  readonly clock: () => number
  /** When not empty, senders must say `Authorization: Bearer <token>`. */
  readonly token?: string
  /** Shown by `GET /api/v2/status`. */
  readonly version?: string
  /** Shown by `GET /api/v2/alerts`. */
  readonly alerts?: ActiveAlerts
}

/** What is read and thrown away of a body that is too large, so that its sender finishes writing and reads the answer. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024

export function registerDoors<L extends FastifyBaseLogger>(
  app: FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, L>,
  door: Door,
  options: DoorRoutesOptions,
): void {
  const { maxBodyBytes, maxInFlightBytes } = options.limits
  const token = options.token ?? ''
  let receivingBytes = 0
  const startedMs = options.clock()

  void app.register(async (scope) => {
    const contentTypes = new WeakMap<object, string>()
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))

    // Without a type fastify leaves the body alone, and a type that it cannot parse is answered by the door, not by fastify.
    scope.addHook('onRequest', async (request, reply) => {
      if (token !== '' && !authorized(request.headers.authorization, token)) {
        return send(
          reply,
          textResponse(401, 'this door wants Authorization: Bearer <token>', { 'www-authenticate': 'Bearer', connection: 'close' }),
        )
      }
      const contentType = request.raw.headers['content-type']
      if (contentType !== undefined) contentTypes.set(request.raw, contentType)
      delete request.raw.headers['content-type']
      return undefined
    })

    for (const [path, endpoint] of ENDPOINTS) {
      scope.post(path, async (request, reply) => {
        const head: DoorRequest = {
          path,
          headers: headersOf(request, contentTypes.get(request.raw)),
          body: new Uint8Array(0),
          receivedMs: options.clock(),
        }
        const body = await readBody(request.raw, maxBodyBytes, (bytes) => (receivingBytes += bytes) <= maxInFlightBytes)
        if (body === 'too-large') {
          return send(reply, endpoint.refused(head, new DecodeError('too-large', `the body is larger than ${maxBodyBytes} bytes`)))
        }
        if (body === 'overload') return send(reply, endpoint.unavailable(head, 'overload'))
        try {
          return await send(reply, await door.accept({ ...head, body, receivedMs: options.clock() }))
        } catch (error) {
          // Doors reject for faults of ours only: logged with the request, and the sender may come back.
          request.log.error({ err: error, path }, 'a door failed')
          return await send(reply, endpoint.unavailable(head, 'failure'))
        } finally {
          receivingBytes -= body.length
        }
      })
    }

    // What clients of Loki probe: https://grafana.com/docs/loki/latest/reference/loki-http-api/#check-whether-loki-is-ready
    scope.get('/ready', async (_request, reply) => reply.type('text/plain; charset=utf-8').send('ready\n'))

    // Prometheus does not ask for it; amtool and people do.
    scope.get('/api/v2/status', async () => ({
      cluster: { status: 'disabled', peers: [] },
      versionInfo: { version: options.version ?? '', revision: '', branch: '', buildUser: '', buildDate: '', goVersion: '' },
      config: { original: '' },
      uptime: new Date(startedMs).toISOString(),
    }))

    const { alerts } = options
    if (alerts !== undefined) {
      scope.get<{ Querystring: { active?: string; filter?: string | string[] } }>('/api/v2/alerts', (request, reply) => {
        const { active, filter = [] } = request.query
        const listed = alerts.list(Array.isArray(filter) ? filter : [filter], options.clock())
        if (typeof listed === 'string') return send(reply, jsonResponse(400, listed))
        // None of them is silenced, inhibited or unprocessed.
        return send(reply, jsonResponse(200, active === 'false' ? [] : listed))
      })
    }
  })
}

/** `count` is told of bytes that come and go and says whether there is room for them. Bytes of a body that is returned stay counted. */
function readBody(
  stream: Readable & { readonly headers: Readonly<Record<string, string | string[] | undefined>> },
  maxBodyBytes: number,
  count: (bytes: number) => boolean,
): Promise<Buffer | 'too-large' | 'overload'> {
  return new Promise((resolve) => {
    let chunks: Buffer[] = []
    let keptBytes = 0
    let seenBytes = 0
    let fate: 'too-large' | 'overload' | undefined = Number(stream.headers['content-length']) > maxBodyBytes ? 'too-large' : undefined
    const giveUp = (reason: 'too-large' | 'overload') => {
      fate = reason
      chunks = []
      count(-keptBytes)
      keptBytes = 0
    }
    stream.on('data', (chunk: Buffer) => {
      seenBytes += chunk.length
      if (fate === undefined) {
        keptBytes += chunk.length
        chunks.push(chunk)
        if (!count(chunk.length)) giveUp('overload')
        else if (keptBytes > maxBodyBytes) giveUp('too-large')
      } else if (seenBytes > MAX_DISCARDED_BYTES) {
        stream.removeAllListeners('data')
        stream.pause()
        resolve(fate)
      }
    })
    stream.on('end', () => resolve(fate ?? Buffer.concat(chunks)))
    // The sender has gone, or was too slow: nobody waits for an answer, and it is no failure of ours.
    stream.on('error', () => {
      giveUp('overload')
      resolve('overload')
    })
    stream.on('close', () => {
      // After `end` this changes nothing; before it the sender has gone and nobody waits for an answer.
      if (!stream.readableEnded && keptBytes > 0) giveUp('overload')
      resolve(fate ?? 'overload')
    })
  })
}

function headersOf(request: FastifyRequest, contentType: string | undefined): Readonly<Record<string, string | undefined>> {
  const headers: Record<string, string | undefined> = Object.create(null) as Record<string, string | undefined>
  for (const [name, value] of Object.entries(request.raw.headers)) headers[name] = Array.isArray(value) ? value.join(', ') : value
  headers['content-type'] = contentType
  return headers
}

function send(reply: FastifyReply, response: DoorResponse): FastifyReply {
  if (response.status === 413) void reply.header('connection', 'close')
  void reply.code(response.status).headers({ ...response.headers })
  return reply.send(typeof response.body === 'string' ? response.body : Buffer.from(response.body))
}
