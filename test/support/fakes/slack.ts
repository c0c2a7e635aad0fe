/**
 * The part of Slack's Web API that a bot needs to keep a message up to date (https://docs.slack.dev/reference/methods): errors come with HTTP 200 and
 * `ok: false`, history has no thread replies, metadata stays when an update does not name it, blocks have limits.
 */
import { startFake } from './server.ts'
import type { Answer, Fake, FakeRequest } from './server.ts'

export interface SlackMessage {
  readonly channel: string
  readonly ts: string
  readonly thread_ts?: string
  text: string
  blocks: readonly Record<string, unknown>[]
  metadata?: { readonly event_type: string; readonly event_payload: Readonly<Record<string, unknown>> }
  edits: number
}

export interface FakeSlack extends Fake {
  readonly messages: readonly SlackMessage[]
  parents(): readonly SlackMessage[]
  replies(ts: string): readonly SlackMessage[]
  /** Answers `ok: false` with this error, as for a channel that was archived. */
  refuse(method: string, error: string, times?: number): void
  /** Other people talk: so many messages in the channel. */
  chatter(count: number): void
  /** As if somebody had deleted it. */
  forget(ts: string): void
}

export async function startSlack(
  options: { readonly token?: string; readonly channel?: string; readonly port?: number } = {},
): Promise<FakeSlack> {
  const { channel = 'C0TOCSIN', token = 'xoxb-fake' } = options
  const messages: SlackMessage[] = []
  const refusals: { method: string; error: string; times: number }[] = []
  let counter = 0

  const nextTs = () => `1700000000.${String(++counter).padStart(6, '0')}`
  const find = (ts: unknown) => messages.find((message) => message.ts === ts)

  const methods: Record<string, (args: Record<string, unknown>) => Record<string, unknown>> = {
    'chat.postMessage'(args) {
      const problem = contentProblem(args)
      if (problem !== '') return { ok: false, error: problem }
      if (args['thread_ts'] !== undefined && !find(args['thread_ts'])) return { ok: false, error: 'thread_not_found' }
      const message = {
        channel,
        ts: nextTs(),
        edits: 0,
        ...contentOf(args),
        ...pick(args, 'thread_ts'),
        ...pick(args, 'metadata'),
      } as SlackMessage
      messages.push(message)
      return { ok: true, channel, ts: message.ts, message }
    },
    'chat.update'(args) {
      const message = find(args['ts'])
      if (!message) return { ok: false, error: 'message_not_found' }
      const problem = contentProblem(args)
      if (problem !== '') return { ok: false, error: problem }
      Object.assign(message, contentOf(args), pick(args, 'metadata'), { edits: message.edits + 1 })
      return { ok: true, channel, ts: message.ts, text: message.text }
    },
    'conversations.history'(args) {
      const newestFirst = messages.filter((message) => message.thread_ts === undefined).reverse()
      return page(newestFirst, args)
    },
    'conversations.replies'(args) {
      const parent = find(args['ts'])
      if (!parent) return { ok: false, error: 'thread_not_found' }
      return page([parent, ...messages.filter((message) => message.thread_ts === parent.ts)], args)
    },
  }

  const handle = (request: FakeRequest): Answer => {
    const method = request.path.replace(/^\/api\//, '')
    const call = methods[method]
    if (request.method !== 'POST' || !call) return { status: 200, body: { ok: false, error: 'unknown_method' } }
    const refusal = refusals.find((one) => one.method === method && one.times > 0)
    if (refusal) {
      refusal.times--
      return { status: 200, body: { ok: false, error: refusal.error } }
    }
    const args = argumentsOf(request)
    if (request.headers['authorization'] !== `Bearer ${token}` && args['token'] !== token)
      return { status: 200, body: { ok: false, error: 'invalid_auth' } }
    if (args['channel'] !== channel) return { status: 200, body: { ok: false, error: 'channel_not_found' } }
    return { status: 200, body: call(args) }
  }

  const fake = await startFake(handle, options.port)
  return {
    ...fake,
    url: `${fake.url}/api/`,
    messages,
    parents: () => messages.filter((message) => message.thread_ts === undefined),
    replies: (ts) => messages.filter((message) => message.thread_ts === ts),
    refuse: (method, error, times = 1) => void refusals.push({ method, error, times }),
    chatter(count) {
      for (let i = 0; i < count; i++) messages.push({ channel, ts: nextTs(), text: `message ${i}`, blocks: [], edits: 0 })
    },
    forget: (ts) => void messages.splice(0, messages.length, ...messages.filter((message) => message.ts !== ts)),
  }
}

/** JSON, or a form whose structured fields are JSON. */
function argumentsOf(request: FakeRequest): Record<string, unknown> {
  if (request.headers['content-type']?.startsWith('application/json')) return JSON.parse(request.body) as Record<string, unknown>
  const args: Record<string, unknown> = {}
  for (const [name, value] of new URLSearchParams(request.body))
    args[name] = name === 'blocks' || name === 'metadata' ? (JSON.parse(value) as unknown) : value
  return args
}

function pick(args: Record<string, unknown>, name: string): Record<string, unknown> {
  return args[name] === undefined ? {} : { [name]: args[name] }
}

function contentOf(args: Record<string, unknown>): Pick<SlackMessage, 'text' | 'blocks'> {
  return { text: textOf(args), blocks: (args['blocks'] ?? []) as SlackMessage['blocks'] }
}

function page(all: readonly SlackMessage[], args: Record<string, unknown>): Record<string, unknown> {
  const from = Number(args['cursor'] ?? 0)
  const to = from + Number(args['limit'] ?? 100)
  const withMetadata = String(args['include_all_metadata']) === 'true'
  const messages = all.slice(from, to).map(({ metadata, ...message }) => (withMetadata && metadata ? { ...message, metadata } : message))
  return { ok: true, messages, has_more: to < all.length, response_metadata: { next_cursor: to < all.length ? String(to) : '' } }
}

function textOf(args: Record<string, unknown>): string {
  return typeof args['text'] === 'string' ? args['text'] : ''
}

interface Block {
  readonly type?: string
  readonly text?: { readonly text?: string }
  readonly elements?: readonly { readonly text?: string }[]
}

/** https://docs.slack.dev/reference/block-kit/blocks; what all blocks together may have is not documented. */
function contentProblem(args: Record<string, unknown>): string {
  const blocks = (args['blocks'] ?? []) as readonly Block[]
  if (!args['text'] && blocks.length === 0) return 'no_text'
  if (textOf(args).length > 40_000) return 'msg_too_long'
  if (blocks.length > 50) return 'invalid_blocks'
  const longest: Readonly<Record<string, number>> = { header: 150, section: 3000 }
  for (const { elements, text, type = '' } of blocks) {
    if (!['header', 'section', 'context', 'actions', 'divider'].includes(type)) return 'invalid_blocks'
    if (text !== undefined && (text.text === undefined || text.text === '' || text.text.length > (longest[type] ?? 3000)))
      return 'invalid_blocks'
    if (elements !== undefined && (elements.length > 10 || elements.some((element) => !element.text))) return 'invalid_blocks'
  }
  if (JSON.stringify(blocks).length > 13_200) return 'msg_blocks_too_long'
  return ''
}
