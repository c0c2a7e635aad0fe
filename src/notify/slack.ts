/**
 * Slack: one message per incident that is edited as the incident changes, what is new in its thread. Slack has no idempotency key: every
 * message carries the notice's id as metadata, and before a notice is tried again the channel is read back for it. The token needs
 * chat:write and, for reading back, channels:history (groups:history in a private channel).
 */
/* oxlint-disable unicorn/require-post-message-target-origin -- Slack's postMessage is not a window's */
import { LogLevel, WebAPIHTTPError, WebAPIPlatformError, WebAPIRateLimitedError, WebClient } from '@slack/web-api'
import type { FetchFunction, Logger } from '@slack/web-api'
import { z } from 'zod'
import { PermanentError, RetryLaterError } from '../errors.ts'
import type { Notice } from '../model.ts'
import { Http } from './http.ts'
import type { NotifierContext, NotifierKind, Preview, Sent } from './notifier.ts'
import { minSeveritySchema } from './reason.ts'
import { parentMessage, replyMessage } from './slack-message.ts'

const config = z
  .strictObject({
    token: z.string().min(1).describe('Bot token (xoxb-…) with chat:write and channels:history; keep it out of the file: ${SLACK_TOKEN}'),
    channel: z
      .string()
      .regex(/^[A-Z0-9]{2,}$/, 'must be the id of a channel (C0123456789), not its name')
      .describe('Id of the channel; the bot must be in it'),
    apiUrl: z
      .url({ protocol: /^https?$/ })
      .default('https://slack.com/api/')
      .describe("Where Slack's Web API is"),
    minSeverity: minSeveritySchema('warning'),
    timeoutMs: z.int().min(100).max(60_000).default(10_000).describe('Longest wait for an answer'),
  })
  .describe('Slack: one message per incident, edited, with a thread')
type SlackConfig = z.infer<typeof config>

const eventType = 'tocsin_notice'
const pagesReadBack = 5

/** Slack's word for "not our fault, try again"; whatever else it refuses stays refused. https://docs.slack.dev/reference/methods/chat.postMessage#errors */
const passing = new Set([
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'ratelimited',
  'rate_limited',
  'request_timeout',
  'team_added_to_org',
])

export const slackKind: NotifierKind<SlackConfig> = {
  name: 'slack',
  config,
  tells: ['opened', 'escalated', 'updated', 'acknowledged', 'resolved'],
  pages: false,
  // Slack takes about one message a second per channel.
  concurrency: 1,
  create: (settings, context) => new SlackNotifier(settings, context),
  preview({ apiUrl, channel }, { publicUrl }, notice): Preview[] {
    const call = (method: string, body: object): Preview => ({ method: 'POST', url: new URL(method, withSlash(apiUrl)).href, body })
    const parent = parentMessage(notice, publicUrl)
    if (notice.externalId === '') return [call('chat.postMessage', { ...outside, channel, ...parent, metadata: metadataOf(notice) })]
    const { ts } = parentOf(notice.externalId)
    const calls = [call('chat.update', { channel, ts, ...parent })]
    if (isReplied(notice)) {
      calls.push(
        call('chat.postMessage', { ...outside, channel, thread_ts: ts, ...replyMessage(notice, publicUrl), metadata: metadataOf(notice) }),
      )
    }
    return calls
  },
}

/** Links are ours; nothing telemetry says is to be fetched or formatted by Slack. */
const outside = { unfurl_links: false, unfurl_media: false, mrkdwn: false }

class SlackNotifier {
  readonly #settings: SlackConfig
  readonly #publicUrl: string
  readonly #http: Http

  constructor(settings: SlackConfig, context: NotifierContext) {
    this.#settings = settings
    this.#publicUrl = context.publicUrl
    this.#http = new Http({ timeoutMs: settings.timeoutMs, secrets: [settings.token], clock: context.clock })
  }

  async send(notice: Notice, signal: AbortSignal): Promise<Sent> {
    const client = new WebClient(this.#settings.token, {
      slackApiUrl: withSlash(this.#settings.apiUrl),
      fetch: fetchThrough(this.#http, signal),
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
      allowAbsoluteUrls: false,
      logger: silent,
    })
    try {
      return await this.#tell(client, notice)
    } catch (error) {
      throw this.#meaningOf(error)
    }
  }

  async #tell(client: WebClient, notice: Notice): Promise<Sent> {
    if (notice.externalId === '') return this.#postParent(client, notice)
    const { channel, ts } = parentOf(notice.externalId)
    try {
      await client.chat.update({ channel, ts, ...parentMessage(notice, this.#publicUrl) })
    } catch (error) {
      const problem = platformError(error)
      // Somebody has deleted it: the incident gets a new one.
      if (problem === 'message_not_found') return this.#postParent(client, notice)
      if (problem !== 'edit_window_closed' && problem !== 'cant_update_message') throw error
    }
    if (isReplied(notice)) {
      const posted = notice.attempts > 0 && (await this.#isReplyPosted(client, notice, channel, ts))
      if (!posted) {
        await client.chat.postMessage({
          ...outside,
          channel,
          thread_ts: ts,
          ...replyMessage(notice, this.#publicUrl),
          metadata: metadataOf(notice),
        })
      }
    }
    return { externalId: notice.externalId }
  }

  async #postParent(client: WebClient, notice: Notice): Promise<Sent> {
    const { channel } = this.#settings
    if (notice.attempts > 0) {
      const ts = await this.#findPosted(client, notice, channel)
      if (ts !== undefined) return { externalId: `${channel}:${ts}` }
    }
    const message = { ...parentMessage(notice, this.#publicUrl), metadata: metadataOf(notice) }
    const posted = await client.chat.postMessage({ ...outside, channel, ...message })
    return { externalId: `${posted.channel ?? channel}:${posted.ts ?? ''}` }
  }

  async #findPosted(client: WebClient, notice: Notice, channel: string): Promise<string | undefined> {
    let cursor: string | undefined
    for (let page = 0; page < pagesReadBack; page++) {
      const answer = await client.conversations.history({
        channel,
        include_all_metadata: true,
        limit: 100,
        ...(cursor !== undefined && { cursor }),
      })
      const found = (answer.messages ?? []).find((message) => isOf(message, notice))
      if (found?.ts !== undefined) return found.ts
      cursor = answer.response_metadata?.next_cursor
      if (!cursor) return undefined
    }
    return undefined
  }

  async #isReplyPosted(client: WebClient, notice: Notice, channel: string, ts: string): Promise<boolean> {
    const answer = await client.conversations.replies({ channel, ts, include_all_metadata: true, limit: 200 })
    return (answer.messages ?? []).some((message) => isOf(message, notice))
  }

  #meaningOf(error: unknown): Error {
    if (error instanceof WebAPIRateLimitedError) return new RetryLaterError('Slack is rate limiting', Math.max(1, error.retryAfter) * 1000)
    if (error instanceof WebAPIHTTPError) {
      return this.#http.refusal('Slack', { status: error.statusCode, headers: error.headers, text: '' })
    }
    const problem = platformError(error)
    // The SDK takes any text for the name of an error; a page of some proxy is none.
    if (problem !== undefined && !/^\w+$/.test(problem)) return new Error('Slack answered with something that is no JSON')
    if (problem !== undefined) {
      const message = `Slack answered ${problem} for channel ${this.#settings.channel}`
      return passing.has(problem) ? new Error(message) : new PermanentError(message)
    }
    return new Error(this.#http.scrub(error instanceof Error ? error.message : String(error)))
  }
}

/** The acknowledgement only shows in the message itself. */
function isReplied(notice: Notice): boolean {
  return notice.kind !== 'acknowledged'
}

function metadataOf(notice: Notice) {
  return { event_type: eventType, event_payload: { incident: notice.incident.id, notice: notice.id } }
}

function isOf(message: { metadata?: { event_type?: string; event_payload?: object } }, notice: Notice): boolean {
  const payload = message.metadata?.event_payload
  return message.metadata?.event_type === eventType && payload !== undefined && 'notice' in payload && payload.notice === notice.id
}

function parentOf(externalId: string): { channel: string; ts: string } {
  const [channel = '', ts = ''] = externalId.split(':')
  return { channel, ts }
}

function platformError(error: unknown): string | undefined {
  return error instanceof WebAPIPlatformError ? error.data.error : undefined
}

function withSlash(url: string): string {
  return url.endsWith('/') ? url : `${url}/`
}

/** So that Slack too has one deadline, the proxy of the environment and no redirects. */
function fetchThrough(http: Http, signal: AbortSignal): FetchFunction {
  return async (url, init) => {
    if (typeof init?.body !== 'string') throw new PermanentError('Files are not sent to Slack')
    const { status, headers, text } = await http.send(
      { method: 'POST', url: String(url), headers: init.headers ?? {}, body: init.body },
      signal,
    )
    return {
      ok: status >= 200 && status < 300,
      status,
      statusText: '',
      url: String(url),
      headers: { get: (name) => headers[name.toLowerCase()] ?? null, entries: () => Object.entries(headers)[Symbol.iterator]() },
      arrayBuffer: () => Promise.resolve(new TextEncoder().encode(text).buffer),
      json: () => Promise.resolve(JSON.parse(text) as unknown),
      text: () => Promise.resolve(text),
    }
  }
}

/** Errors come back as values; what the SDK would write itself would be a second, unstructured log. */
const nothing = () => {}
const silent: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  setLevel: nothing,
  setName: nothing,
  getLevel: () => LogLevel.ERROR,
}
