/**
 * Works the outbox off. Each channel has a lane of its own, so that a slow one does not hold up the others; a lane claims under a lease, sends, and
 * settles. A crash in between means that the lease runs out and the notice is sent again under the same id. One retry loop,
 * here: pauses are the store's, `Retry-After` the receiver's.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { PermanentError, RetryLaterError, messageOf } from '../errors.ts'
import type { Notice } from '../model.ts'
import type { Db } from '../store/db.ts'
import { claimNotices, dueByChannel, hasWork, settleDead, settleRetry, settleSent } from '../store/outbox.ts'
import { addTimeline, timelineId } from '../store/timeline.ts'
import type { Happening, Telemetry } from '../telemetry.ts'
import type { NotifyConfig } from './config.ts'
import type { Notifier, Sent } from './notifier.ts'
import { clip, plain } from './plain-text.ts'
import { channelsOf } from './registry.ts'
import type { Channel } from './registry.ts'

export interface NotifyStageOptions {
  readonly db: Db
  readonly config: NotifyConfig
  readonly telemetry: Telemetry
  /** Names this process among all that work on the outbox: new with each start. */
  readonly owner: string
  readonly publicUrl: string
  readonly clock: () => number
  /** Where the console channel and dry runs write. */
  readonly print: (text: string) => void
}

export interface NotifyStage {
  /** Resolves when all that can be sent now has been: notices that wait for their next try, or behind one that does, are left. */
  drain(): Promise<void>
  /** Claims nothing more and waits for what is under way. */
  stop(): Promise<void>
}

export function createNotifyStage(options: NotifyStageOptions): NotifyStage {
  return new Outbox(options, channelsOf(options.config))
}

const longestPauseMs = 10_000
const drainEveryMs = 25

class Outbox implements NotifyStage {
  readonly #options: NotifyStageOptions
  readonly #lanes: readonly Lane[]
  readonly #stopping = new AbortController()
  readonly #running: Promise<unknown>

  constructor(options: NotifyStageOptions, channels: readonly Channel[]) {
    this.#options = options
    const news = happenings(options.telemetry)
    this.#lanes = channels.map((channel) => new Lane(channel, options, news, this.#stopping.signal))
    this.#running = Promise.all([this.#listen(news), ...this.#lanes.map((lane) => lane.run())])
  }

  async drain(): Promise<void> {
    const { db, owner } = this.#options
    const channels = this.#lanes.map((lane) => lane.name)
    for (const lane of this.#lanes) lane.wake()
    while (!this.#stopping.signal.aborted && (await hasWork(db, { owner, channels }))) await sleep(drainEveryMs)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const lane of this.#lanes) lane.wake()
    await this.#running
  }

  /** Until it is stopped. Polling goes on meanwhile, so that a database that cannot be listened to only costs time. */
  async #listen(news: News): Promise<void> {
    const { signal } = this.#stopping
    const wakeAll = () => {
      for (const lane of this.#lanes) lane.wake()
    }
    for (let pauseMs = 500; !signal.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        const listening = await this.#options.db.listen('outbox', wakeAll)
        // What was planned before anybody listened.
        wakeAll()
        await this.#warnOfOrphans()
        await aborted(signal)
        await listening[Symbol.asyncDispose]()
      } catch (error) {
        if (signal.aborted) return
        news.failed({ doing: 'listen' }, { error: messageOf(error) })
        await pause(pauseMs, signal)
      }
    }
  }

  /** Notices for a channel that is off stay: it may be switched on again, and nothing is thrown away in silence. */
  async #warnOfOrphans(): Promise<void> {
    const known = new Set(this.#lanes.map((lane) => lane.name))
    for (const { channel, due } of await dueByChannel(this.#options.db)) {
      if (!known.has(channel)) {
        this.#options.telemetry.log.warn({ event: 'channel_off', channel, due }, 'Notices wait for a channel that is not configured')
      }
    }
  }
}

class Lane {
  readonly name: string
  readonly #channel: Channel
  readonly #options: NotifyStageOptions
  readonly #news: News
  readonly #stopping: AbortSignal
  readonly #notifier: Notifier
  #wake = () => {}
  #woken = false

  constructor(channel: Channel, options: NotifyStageOptions, news: News, stopping: AbortSignal) {
    this.name = channel.name
    this.#channel = channel
    this.#options = options
    this.#news = news
    this.#stopping = stopping
    this.#notifier = channel.open(options)
  }

  wake(): void {
    this.#woken = true
    this.#wake()
  }

  async run(): Promise<void> {
    const { pollMs } = this.#options.config.delivery
    let pauseMs = 500
    while (!this.#stopping.aborted) {
      this.#woken = false
      try {
        const claimed = await this.#claim()
        await Promise.all(claimed.map((notice) => this.#deliver(notice)))
        pauseMs = 500
        if (claimed.length === 0) await this.#idle(pollMs)
      } catch (error) {
        this.#news.failed({ doing: 'claim' }, { channel: this.name, error: messageOf(error) })
        await pause(pauseMs, this.#stopping)
        pauseMs = Math.min(2 * pauseMs, longestPauseMs)
      }
    }
  }

  #claim(): Promise<Notice[]> {
    const { config, db, owner } = this.#options
    return claimNotices(db, { owner, leaseMs: config.delivery.leaseMs, limit: this.#channel.concurrency, channel: this.name })
  }

  /** Never rejects: what cannot be settled is sent again when its lease has run out. */
  async #deliver(notice: Notice): Promise<void> {
    try {
      await this.#settle(notice, await this.#send(notice))
    } catch (error) {
      this.#news.failed({ doing: 'settle' }, { channel: this.name, notice: notice.id, error: messageOf(error) })
    }
  }

  async #send(notice: Notice): Promise<Sent | Error> {
    const signal = AbortSignal.timeout(this.#options.config.delivery.sendTimeoutMs)
    try {
      // A notifier that does not look at its signal must not hold the lane either.
      return await Promise.race([this.#notifier.send(notice, signal), aborted(signal).then(() => new Error('No outcome in time'))])
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  async #settle(notice: Notice, outcome: Sent | Error): Promise<void> {
    const { config, db, owner } = this.#options
    const { id, kind } = notice
    const labels = { channel: this.name, kind }
    const fields = { notice: id, incident: notice.incident.id, attempts: notice.attempts + 1, reason: notice.reason }
    if (!(outcome instanceof Error)) {
      const settled = await db.transaction(async (tx) => {
        const ours = await settleSent(tx, { owner, id, externalId: outcome.externalId })
        if (ours) await addTimeline(tx, [entryOf(notice, id, `Told ${this.name} (${kind}): ${notice.reason}`)])
        return ours
      })
      // Without the lease another process tells of it.
      if (settled) this.#news.sent(labels, fields)
      return
    }
    const error = outcome.message
    if (outcome instanceof PermanentError || notice.attempts + 1 >= config.delivery.maxAttempts) {
      await db.transaction(async (tx) => {
        const ours = await settleDead(tx, { owner, id, error })
        if (ours)
          await addTimeline(tx, [entryOf(notice, `${id}:dead`, `Could not tell ${this.name} (${kind}): ${clip(plain(error), 300)}`)])
      })
      this.#news.dead(labels, { ...fields, error })
      return
    }
    const retryAfterMs = outcome instanceof RetryLaterError ? outcome.retryAfterMs : undefined
    await settleRetry(db, { owner, id, error, retryAfterMs })
    this.#news.retried(labels, { ...fields, error, ...(retryAfterMs !== undefined && { retryAfterMs }) })
  }

  /** Until there is something new, or it is time to look anyway. */
  async #idle(ms: number): Promise<void> {
    if (this.#woken || this.#stopping.aborted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = () => {}
  }
}

interface News {
  readonly sent: Happening<'channel' | 'kind'>
  readonly retried: Happening<'channel' | 'kind'>
  readonly dead: Happening<'channel' | 'kind'>
  readonly failed: Happening<'doing'>
}

function happenings(telemetry: Telemetry): News {
  const labels = ['channel', 'kind'] as const
  return {
    sent: telemetry.happening({ name: 'notice_sent', help: 'A notice was delivered', level: 'info', labels }),
    retried: telemetry.happening({
      name: 'notice_retried',
      help: 'A notice could not be delivered and will be tried again',
      level: 'warn',
      labels,
    }),
    dead: telemetry.happening({ name: 'notice_dead', help: 'A notice was given up', level: 'error', labels }),
    failed: telemetry.happening({
      name: 'outbox_failed',
      help: 'The outbox could not be worked on; it goes on by itself',
      level: 'warn',
      labels: ['doing'],
    }),
  }
}

function entryOf(notice: Notice, ref: string, text: string) {
  const entry = { incidentId: notice.incident.id, kind: 'notice', ref, atMs: notice.atMs } as const
  return { ...entry, id: timelineId(entry), service: '', text }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Cut short by a stop. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
}
