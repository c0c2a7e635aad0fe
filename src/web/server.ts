/**
 * Pages, JSON API and live updates on a fastify instance that has other things to do as well: all of it lives in a scope of its own. Every
 * answer carries a strict content security policy; nothing is asked of any other server.
 *
 *   GET  /                                      GET  /api/v1/incidents?status=open|resolved|all&limit=100
 *   GET  /incidents/ID                          GET  /api/v1/incidents/ID
 *   POST /incidents/ID/acknowledge, …/resolve   POST /api/v1/incidents/ID/acknowledge, …/resolve
 *                                               GET  /api/v1/stream
 */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { messageOf } from '../errors.ts'
import type { PlanNotices } from '../model.ts'
import type { Db } from '../store/db.ts'
import { isAway } from '../store/retry.ts'
import type { Telemetry } from '../telemetry.ts'
import { createActing } from './acting.ts'
import { registerApi } from './api.ts'
import { builtScripts, loadAssets } from './assets.ts'
import type { Assets } from './assets.ts'
import { admit, isFromOurPages } from './guard.ts'
import { failurePage } from './incident-page.ts'
import type { Frame } from './layout.ts'
import { registerHtml } from './pages.ts'
import { IncidentStream, streamDefaults } from './stream.ts'
import type { StreamOptions } from './stream.ts'

export interface PagesOptions {
  readonly db: Db
  readonly planNotices: PlanNotices
  readonly telemetry: Telemetry
  readonly clock: () => number
  /** '': everybody may come in. */
  readonly token: string
  readonly stream?: Partial<StreamOptions>
  /** Where the compiled scripts of the pages are, when not where the build puts them. */
  readonly scripts?: URL
}

const securityHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

/** A name and a few words; nothing that posts here is larger. */
const maxBodyBytes = 8 * 1024

export async function registerPages(app: FastifyInstance, options: PagesOptions): Promise<void> {
  const { db, telemetry, clock, token } = options
  const assets = await loadAssets(options.scripts)
  if (!assets.scripted) {
    telemetry.log.warn(
      { event: 'scripts_not_built', folder: (options.scripts ?? builtScripts).pathname },
      'the scripts of the pages have not been built: no charts and no live updates; run npm run build',
    )
  }
  const stream = await IncidentStream.open(db, { ...streamDefaults, ...options.stream })
  const failed = telemetry.happening({ name: 'page_failed', help: 'A page or API call could not be answered.', level: 'error' })
  telemetry.gauge('stream_clients', 'Pages that listen for changes of incidents.', [], (gauge) => gauge.set(stream.clients))
  const acting = createActing(options)
  const frame = (): Frame => ({ assets: `/assets/${assets.version}`, scripted: assets.scripted, nowMs: clock() })

  app.addHook('preClose', async () => stream.end())
  app.addHook('onClose', async () => stream[Symbol.asyncDispose]())

  await app.register(async (scope) => {
    scope.decorateRequest('visitor', '')
    acceptSmallBodies(scope)

    scope.addHook('onRequest', async (request, reply) => {
      void reply.headers(securityHeaders).header('cache-control', 'no-store')
      const visitor = admit(request.headers.authorization, token)
      if (!visitor) {
        // A browser asks for the password when it is told Basic; a program should not be.
        void reply.header('www-authenticate', isApi(request) ? 'Bearer realm="Tocsin"' : 'Basic realm="Tocsin", charset="UTF-8"')
        return refuse(
          request,
          reply,
          401,
          'The token is missing or wrong: programs send it as Authorization: Bearer, browsers as the password of any user.',
        )
      }
      request.visitor = visitor.name
      if (request.method === 'POST' && !isFromOurPages(request.headers)) {
        return refuse(request, reply, 403, 'This request was made by a page of another site.')
      }
      return undefined
    })

    scope.setErrorHandler<FastifyError>((error, request, reply) => {
      const status = error.statusCode ?? 500
      if (status < 500) return refuse(request, reply, status, messageOf(error))
      failed({}, { err: error, method: request.method, route: request.routeOptions.url })
      if (isAway(error)) {
        void reply.header('retry-after', '5')
        return refuse(
          request,
          reply,
          503,
          'The database cannot be reached at the moment. Detection catches up when it is back; try again soon.',
        )
      }
      return refuse(request, reply, 500, 'Tocsin could not answer this; its log says why. Trying again may help.')
    })

    function refuse(request: FastifyRequest, reply: FastifyReply, status: number, message: string): FastifyReply {
      void reply.code(status)
      if (isApi(request)) return reply.send({ error: message })
      return reply
        .type('text/html; charset=utf-8')
        .send(failurePage(frame(), status < 500 ? 'That did not work' : 'Something went wrong', message))
    }

    registerHtml(scope, { db, acting, frame, needsToken: token !== '' })
    registerApi(scope, { db, acting })
    registerStream(scope, stream)
    registerAssets(scope, assets)
  })
}

declare module 'fastify' {
  interface FastifyRequest {
    /** What somebody at a browser gave as user name, '' when unknown. */
    visitor: string
  }
}

function isApi(request: FastifyRequest): boolean {
  return request.url.startsWith('/api/')
}

/** JSON and forms; an empty body is an empty object. Anything else is answered with 415. */
function acceptSmallBodies(scope: FastifyInstance): void {
  const limits = { parseAs: 'string', bodyLimit: maxBodyBytes } as const
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('application/json', limits, async (_: FastifyRequest, body: string): Promise<unknown> => {
    if (body.trim() === '') return {}
    try {
      return JSON.parse(body)
    } catch (error) {
      throw Object.assign(new Error(`The body is not JSON: ${messageOf(error)}`, { cause: error }), { statusCode: 400 })
    }
  })
  scope.addContentTypeParser('application/x-www-form-urlencoded', limits, async (_: FastifyRequest, body: string): Promise<unknown> => {
    return { by: new URLSearchParams(body).get('by') ?? '' }
  })
}

function registerStream(scope: FastifyInstance, stream: IncidentStream): void {
  scope.get('/api/v1/stream', { exposeHeadRoute: false }, async (_, reply) => {
    if (!stream.hasRoom) {
      return reply
        .code(503)
        .header('retry-after', '30')
        .send({ error: 'As many pages listen as may; ask again later, or read /api/v1/incidents.' })
    }
    reply.hijack()
    // For proxies: nginx holds events back unless it is told not to. No keep-alive: a stopping server would wait for it.
    const head = {
      ...securityHeaders,
      connection: 'close',
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    }
    reply.raw.writeHead(200, head)
    stream.add(reply.raw)
    return reply
  })
}

function registerAssets(scope: FastifyInstance, assets: Assets): void {
  scope.get<{ Params: { version: string; name: string } }>('/assets/:version/:name', async (request, reply) => {
    const asset = assets.get(request.params.name)
    if (!asset) return reply.code(404).type('text/plain; charset=utf-8').send('There is no such file.\n')
    const kept = request.params.version === assets.version ? 'private, max-age=31536000, immutable' : 'no-cache'
    void reply.headers({ 'cache-control': kept, etag: asset.etag, vary: 'accept-encoding' })
    if (request.headers['if-none-match'] === asset.etag) return reply.code(304).send()
    void reply.type(asset.type)
    const takesGzip = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$|\s))/.test(request.headers['accept-encoding'] ?? '')
    return takesGzip ? reply.header('content-encoding', 'gzip').send(asset.gzipped) : reply.send(asset.body)
  })
}
