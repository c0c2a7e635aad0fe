/** What the five services share: a server with routes, measured and logged, and an orderly end. */
import { createServer } from 'node:http'
import { context, trace } from '@opentelemetry/api'
import { getRPCMetadata } from '@opentelemetry/core'
import { HttpError } from './http.js'
import { closeLog, log } from './log.js'
import { countRequest, exposition } from './metrics.js'

const SLOW_SECONDS = 1

/**
 * Serves `routes`: `{ 'GET /stock/:sku': async ({ params, query, body }) => json }`. A handler throws an HttpError for an
 * answer other than 200; anything else thrown is a 500. `close` frees what the service holds besides.
 */
export function serve(routes, close = async () => {}) {
  const table = Object.entries(routes).map(([key, handler]) => {
    const [method, route] = key.split(' ')
    return { method, route, handler, pattern: new RegExp(`^${route.replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`) }
  })

  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://shop')
    if (url.pathname === '/healthz') response.end('ok')
    else if (url.pathname === '/metrics') void scraped(response)
    else void handle(request, response, url)
  })

  async function handle(request, response, url) {
    const start = performance.now()
    const found = table.find((entry) => entry.method === request.method && entry.pattern.test(url.pathname))
    const route = found?.route ?? 'unmatched'
    // How a web framework tells the HTTP instrumentation the route, so that spans are named by it.
    const rpc = getRPCMetadata(context.active())
    if (rpc && found) rpc.route = route

    const { status, body } = await answer(found, request, url)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

    if (route.startsWith('/admin')) return
    const seconds = (performance.now() - start) / 1000
    countRequest(request.method, route, status, seconds)
    if (seconds > SLOW_SECONDS) log.warn({ method: request.method, route, status, duration_ms: Math.round(seconds * 1000) }, 'slow request')
  }

  let ending = false
  async function end() {
    if (ending) return
    ending = true
    // With the collector gone the last telemetry cannot be sent: do not wait for it longer than this.
    setTimeout(() => process.exit(1), 3000).unref()
    server.close()
    server.closeIdleConnections()
    await close()
    await Promise.allSettled([globalThis.flushTraces?.(), closeLog()])
    process.exit(0)
  }
  process.on('SIGTERM', () => void end())
  process.on('SIGINT', () => {}) // Ctrl-C reaches the whole group; the runner decides the order.
  process.on('disconnect', () => void end()) // The runner is gone, however it went.

  server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
    const { port } = server.address()
    log.info({ port }, `${process.env.SERVICE} ${process.env.VERSION} listening`)
    process.send?.({ ready: port })
  })
}

async function scraped(response) {
  response.setHeader('content-type', exposition.type).end(await exposition.text())
}

async function answer(found, request, url) {
  try {
    if (!found) throw new HttpError(404, 'not found')
    const params = url.pathname.match(found.pattern).groups ?? {}
    const result = await found.handler({ params, query: url.searchParams, body: await readJson(request) })
    return { status: 200, body: result ?? {} }
  } catch (err) {
    const status = err.status ?? 500
    if (status >= 500) {
      trace.getActiveSpan()?.recordException(err)
      log.error({ err, method: request.method, route: found.route, status, upstream: err.upstream }, `request failed: ${err.message}`)
    }
    return { status, body: { error: status === 500 ? 'internal error' : err.message } }
  }
}

async function readJson(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  if (chunks.length === 0) return undefined
  try {
    return JSON.parse(Buffer.concat(chunks))
  } catch {
    throw new HttpError(400, 'the body is not JSON')
  }
}
