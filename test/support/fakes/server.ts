/**
 * What the fakes of receivers have in common: a small HTTP server that remembers every request and misbehaves when told to.
 * `fail` queues misbehaviour for the next requests that match; the rest is answered properly.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FakeRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export type Failure =
  /** Answers this and does nothing. */
  | { readonly status: number; readonly retryAfter?: string; readonly body?: unknown; readonly location?: string }
  /** Does nothing and never answers. */
  | 'hang'
  /** Cuts the connection at once. */
  | 'reset'
  /** Does what was asked, then cuts the connection in place of the answer. */
  | 'lose-answer'
  /** Does what was asked and never answers. */
  | 'hang-after'

export interface Fake extends AsyncDisposable {
  readonly url: string
  readonly requests: readonly FakeRequest[]
  /** For the next `times` requests whose path contains `path`. */
  fail(failure: Failure, options?: { readonly times?: number; readonly path?: string }): void
  /** No misbehaviour any more. */
  recover(): void
  stop(): Promise<void>
}

export type Handler = (request: FakeRequest) => Answer

const mostBytes = 5_000_000

export async function startFake(handle: Handler, port = 0): Promise<Fake> {
  const requests: FakeRequest[] = []
  let failures: { failure: Failure; times: number; path: string }[] = []
  const server = createServer((incoming, response) => {
    read(incoming).then(
      (request) => {
        requests.push(request)
        const planned = failures.find(({ path, times }) => times > 0 && request.path.includes(path))
        if (planned) planned.times--
        respond(request, planned?.failure, response, handle)
      },
      () => response.destroy(),
    )
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    fail(failure, { times = 1, path = '' } = {}) {
      failures.push({ failure, times, path })
    },
    recover() {
      failures = []
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function respond(request: FakeRequest, failure: Failure | undefined, response: ServerResponse, handle: Handler): void {
  if (failure === 'hang') return
  if (failure === 'reset') return void response.destroy()
  if (failure === 'lose-answer' || failure === 'hang-after') {
    handle(request)
    if (failure === 'lose-answer') response.destroy()
    return
  }
  if (failure) {
    const { body = '', location, retryAfter, status } = failure
    const headers = { ...(retryAfter !== undefined && { 'retry-after': retryAfter }), ...(location !== undefined && { location }) }
    write(response, { status, body, headers })
    return
  }
  write(response, handle(request))
}

function write(response: ServerResponse, { body = '', headers = {}, status }: Answer): void {
  response.writeHead(status, { 'content-type': typeof body === 'string' ? 'text/plain' : 'application/json', ...headers })
  response.end(typeof body === 'string' ? body : JSON.stringify(body))
}

async function read(incoming: IncomingMessage): Promise<FakeRequest> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > mostBytes) throw new Error('request too large')
    chunks.push(chunk)
  }
  const url = new URL(incoming.url ?? '/', 'http://fake')
  const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]))
  return { method: incoming.method ?? '', path: url.pathname, query: url.searchParams, headers, body: Buffer.concat(chunks).toString() }
}

export function parseBody(request: FakeRequest): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(request.body) as unknown
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
