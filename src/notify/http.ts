/**
 * The one way out for notices: axios without redirects, with small answers, one deadline, and nothing secret in what it says.
 * An error of axios carries the whole request with its headers, so none ever leaves this file.
 */
import axios, { AxiosHeaders, isAxiosError } from 'axios'
import type { AxiosRequestConfig } from 'axios'
import { PermanentError, RetryLaterError, messageOf } from '../errors.ts'
import { clip, plain } from './plain-text.ts'

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface HttpResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

export interface Address {
  readonly address: string
  readonly family: 4 | 6
}

export interface HttpOptions {
  readonly timeoutMs: number
  /** Never repeated in an error, wherever the receiver may echo them. */
  readonly secrets: readonly string[]
  readonly clock: () => number
  /** Resolves host names, and may refuse: throws a PermanentError. */
  readonly lookup?: (hostname: string) => Promise<Address[]>
}

const mostAnswerBytes = 1_000_000
const mostRequestBytes = 1_000_000
const longestPauseMs = 3_600_000

export class Http {
  readonly #options: HttpOptions

  constructor(options: HttpOptions) {
    this.#options = options
  }

  /** Answers any status; rejects when there is no answer. */
  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { timeoutMs, lookup } = this.#options
    const config: AxiosRequestConfig<string> = {
      adapter: 'http',
      method: request.method,
      url: request.url,
      headers: { 'user-agent': 'tocsin', accept: 'application/json', ...request.headers },
      ...(request.body !== undefined && { data: request.body }),
      timeout: timeoutMs,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      maxRedirects: 0,
      maxContentLength: mostAnswerBytes,
      maxBodyLength: mostRequestBytes,
      responseType: 'text',
      transformRequest: (data: unknown) => data,
      transformResponse: (data: unknown) => data,
      validateStatus: () => true,
      // axios tells this from a callback-style one by the keyword `async`.
      ...(lookup && { lookup: async (hostname: string): Promise<[Address[]]> => [await lookup(hostname)] }),
    }
    try {
      const response = await axios.request<string>(config)
      const headers = AxiosHeaders.from(response.headers as AxiosHeaders).toJSON()
      return {
        status: response.status,
        headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)])),
        text: typeof response.data === 'string' ? response.data : '',
      }
    } catch (error) {
      throw this.#withoutSecrets(request, error, signal)
    }
  }

  /** The error that a status means to the outbox, with what the receiver said about it. */
  refusal(what: string, response: HttpResponse, said = response.text): Error {
    const { status } = response
    const message = `${what} answered HTTP ${status}${said === '' ? '' : `: ${clip(plain(this.scrub(said)), 300)}`}`
    if (status === 408 || status === 425 || status === 429 || status >= 500) {
      const retryAfterMs = this.#retryAfterMs(response.headers['retry-after'])
      return retryAfterMs === undefined ? new Error(message) : new RetryLaterError(message, retryAfterMs)
    }
    return new PermanentError(message)
  }

  scrub(text: string): string {
    let clean = text
    for (const secret of this.#options.secrets) if (secret !== '') clean = clean.replaceAll(secret, '***')
    return clean
  }

  /** Seconds or a date: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
  #retryAfterMs(header: string | undefined): number | undefined {
    if (header === undefined) return undefined
    const ms = /^\s*\d+\s*$/.test(header) ? 1000 * Number(header) : Date.parse(header) - this.#options.clock()
    return Number.isFinite(ms) ? Math.min(Math.max(ms, 1000), longestPauseMs) : undefined
  }

  /** Only the origin of the URL is told: the rest of it may be a secret. */
  #withoutSecrets(request: HttpRequest, error: unknown, signal: AbortSignal): Error {
    const where = `${request.method} ${originOf(request.url)}`
    // axios wraps what a lookup throws.
    const cause = error instanceof Error && error.cause instanceof PermanentError ? error.cause : error
    if (cause instanceof PermanentError) return new PermanentError(`${where}: ${this.scrub(cause.message)}`)
    if (signal.aborted) return new Error(`${where}: given up, it took too long or Tocsin is stopping`)
    const code = isAxiosError(error) ? (error.code ?? '') : ''
    if (code === 'ERR_CANCELED' || code === 'ECONNABORTED') return new Error(`${where}: no answer within ${this.#options.timeoutMs} ms`)
    return new Error(`${where}: ${clip(plain(this.scrub(messageOf(error) || code)), 300)}`)
  }
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : 'the configured URL'
}

/** undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Proxies answer in HTML: the caller goes by the status then.
    return undefined
  }
}
