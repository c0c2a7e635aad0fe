/**
 * Tells open pages that an incident has changed, as server-sent events: `event: incidents`, `data: {"ids":[…]}`; no ids means that any
 * may have. One listener on the store for all of them; changes are told in bunches; a page that does not read is let go,
 * and there is a limit to how many there can be. Pages come back by themselves and then look again.
 */
import type { ServerResponse } from 'node:http'
import type { Db } from '../store/db.ts'

export interface StreamOptions {
  readonly maxClients: number
  readonly heartbeatMs: number
  /** Changes within this are told together. */
  readonly bunchMs: number
}

export const streamDefaults: StreamOptions = { maxClients: 200, heartbeatMs: 15_000, bunchMs: 150 }

const mostIds = 100
const mostUnreadBytes = 64 * 1024

export class IncidentStream implements AsyncDisposable {
  readonly #options: StreamOptions
  readonly #clients = new Set<ServerResponse>()
  readonly #heartbeat: NodeJS.Timeout
  #listening: AsyncDisposable | undefined
  /** undefined: any may have changed. */
  #changed: Set<string> | undefined = new Set()
  #bunch: NodeJS.Timeout | undefined
  #ended = false

  private constructor(options: StreamOptions) {
    this.#options = options
    this.#heartbeat = setInterval(() => this.#send(': still here\n\n'), options.heartbeatMs)
    this.#heartbeat.unref()
  }

  static async open(db: Db, options: StreamOptions = streamDefaults): Promise<IncidentStream> {
    const stream = new IncidentStream(options)
    stream.#listening = await db.listen('incidents', (id) => stream.#changedNow(id))
    return stream
  }

  get clients(): number {
    return this.#clients.size
  }

  /** False: there are as many as there may be, or the server is going down. */
  get hasRoom(): boolean {
    return !this.#ended && this.#clients.size < this.#options.maxClients
  }

  /** Takes over a response whose head has been written. */
  add(client: ServerResponse): void {
    if (client.destroyed) return
    this.#clients.add(client)
    client.on('close', () => this.#clients.delete(client))
    client.on('error', () => this.#clients.delete(client))
    client.write('retry: 2000\n: connected\n\n')
  }

  /** Ends every response; before the server closes, which waits for them. */
  end(): void {
    this.#ended = true
    clearInterval(this.#heartbeat)
    clearTimeout(this.#bunch)
    for (const client of this.#clients) {
      if (client.writableLength > 0) client.destroy()
      else client.end()
    }
    this.#clients.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end()
    await this.#listening?.[Symbol.asyncDispose]()
    this.#listening = undefined
  }

  #changedNow(id: string): void {
    if (this.#ended) return
    if (id === '' || (this.#changed && this.#changed.size >= mostIds)) this.#changed = undefined
    this.#changed?.add(id)
    this.#bunch ??= setTimeout(() => {
      this.#bunch = undefined
      this.#send(`event: incidents\ndata: ${JSON.stringify({ ids: [...(this.#changed ?? [])] })}\n\n`)
      this.#changed = new Set()
    }, this.#options.bunchMs)
  }

  #send(text: string): void {
    for (const client of this.#clients) {
      if (client.writableLength > mostUnreadBytes) client.destroy()
      else client.write(text)
    }
  }
}
