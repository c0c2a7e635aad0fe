/**
 * LISTEN over one connection that is kept alive: looked after by a query now and then, made again when it breaks, after which
 * every listener is called with '' because notifications may have been missed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, escapeIdentifier } from 'pg'
import type { ClientConfig } from 'pg'
import { messageOf } from '../errors.ts'
import type { Happening } from '../telemetry.ts'

export type ConnectionLost = Happening<'connection'>

const checkEveryMs = 15_000
const checkTimeoutMs = 10_000
const longestPauseMs = 5000

export class PostgresListener implements AsyncDisposable {
  readonly #config: ClientConfig
  readonly #lost: ConnectionLost | undefined
  readonly #listeners = new Map<string, Set<(payload: string) => void>>()
  readonly #stop = new AbortController()
  #client: Promise<Client> | undefined
  #repairing: Promise<void> | undefined
  #check: NodeJS.Timeout | undefined

  constructor(config: ClientConfig, lost: ConnectionLost | undefined) {
    this.#config = { ...config, query_timeout: checkTimeoutMs }
    this.#lost = lost
  }

  async listen(channel: string, onNotify: (payload: string) => void): Promise<AsyncDisposable> {
    const listeners = this.#listeners.get(channel) ?? new Set()
    this.#listeners.set(channel, listeners)
    listeners.add(onNotify)
    try {
      const client = await this.#connected()
      await client.query(`listen ${escapeIdentifier(channel)}`)
    } catch (error) {
      listeners.delete(onNotify)
      throw error
    }
    return {
      [Symbol.asyncDispose]: async () => {
        listeners.delete(onNotify)
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    clearInterval(this.#check)
    await this.#repairing
    const client = await this.#client?.catch(() => undefined)
    this.#client = undefined
    // A server that is gone cannot be told good-bye: that it failed changes nothing.
    await client?.end().catch(() => undefined)
  }

  /** The connection as it stands; one that could not be made is forgotten, so that the next caller tries again. */
  async #connected(): Promise<Client> {
    await this.#repairing
    const connecting = (this.#client ??= this.#connect())
    try {
      return await connecting
    } catch (error) {
      if (this.#client === connecting) this.#client = undefined
      throw error
    }
  }

  async #connect(): Promise<Client> {
    const client = new Client(this.#config)
    client.on('notification', ({ channel, payload }) => {
      for (const onNotify of this.#listeners.get(channel) ?? []) onNotify(payload ?? '')
    })
    // Both events come for one loss, or only one of them.
    client.on('error', (error) => this.#repair(client, error))
    client.on('end', () => this.#repair(client, new Error('the connection was closed')))
    try {
      await client.connect()
      for (const channel of this.#listeners.keys()) await client.query(`listen ${escapeIdentifier(channel)}`)
    } catch (error) {
      client.end().catch(() => undefined)
      throw error
    }
    clearInterval(this.#check)
    this.#check = setInterval(() => void client.query('select 1').catch((error: unknown) => this.#repair(client, error)), checkEveryMs)
    this.#check.unref()
    return client
  }

  #repair(broken: Client, error: unknown): void {
    if (this.#stop.signal.aborted || this.#repairing) return
    this.#repairing = this.#reconnect(broken, error).finally(() => {
      this.#repairing = undefined
    })
  }

  async #reconnect(broken: Client, error: unknown): Promise<void> {
    // Belongs to a connection that never stood, or that has been replaced.
    if ((await this.#client?.catch(() => undefined)) !== broken) return
    clearInterval(this.#check)
    this.#lost?.({ connection: 'listen' }, { error: messageOf(error) })
    broken.end().catch(() => undefined)
    for (let pauseMs = 100; !this.#stop.signal.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      const next = this.#connect()
      const client = await next.catch(() => undefined)
      if (client) {
        this.#client = next
        for (const listeners of this.#listeners.values()) for (const onNotify of listeners) onNotify('')
        return
      }
      await sleep(pauseMs, undefined, { signal: this.#stop.signal }).catch(() => undefined)
    }
  }
}
