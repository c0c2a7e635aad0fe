/**
 * The dead letters of a running program over HTTP, for `tocsin dead-letters` where the store belongs to that program: both ends of it.
 *
 *   GET  /api/v1/dead-letters?topic=&reason=&sinceMs=&limit=     GET /api/v1/dead-letters/ID (value in base64)
 *   POST /api/v1/dead-letters/ID/replay   {"dryRun": true, "encoding": "…"}
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ReplayFate, ReplayHow, Replayer } from './dead-letter-replay.ts'
import type { Letter, LetterBox, LetterFilter } from './dead-letters.ts'
import { messageOf } from './errors.ts'
import { PAYLOAD_ENCODINGS } from './ingest/config.ts'
import { admit, isFromOurPages } from './web/guard.ts'

export const DEAD_LETTERS_PATH = '/api/v1/dead-letters'
export const MAX_LISTED = 10_000

const querySchema = z.object({
  topic: z.string().max(500).optional(),
  reason: z.string().max(200).optional(),
  sinceMs: z.coerce.number().int().nonnegative().optional(),
  limit: z.coerce.number().int().min(1).max(MAX_LISTED).default(50),
})
const replaySchema = z.object({ dryRun: z.boolean().default(false), encoding: z.enum(PAYLOAD_ENCODINGS).optional() })

export interface DeadLettersApiOptions {
  readonly box: LetterBox
  readonly replayer: Replayer
  readonly clock: () => number
  readonly token: string
}

export function registerDeadLetters(app: Pick<FastifyInstance, 'register'>, { box, replayer, clock, token }: DeadLettersApiOptions): void {
  void app.register(async (scope) => {
    scope.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
      if (admit(request.headers.authorization, token) === undefined)
        return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'the dead letters want Authorization: Bearer <token>' })
      if (!isFromOurPages(request.headers)) return reply.code(403).send({ error: 'a page of another site may not ask for this' })
      return undefined
    })

    scope.get(DEAD_LETTERS_PATH, async (request, reply) => {
      const query = querySchema.safeParse(request.query)
      if (!query.success) return reply.code(400).send({ error: z.prettifyError(query.error) })
      return { letters: (await box.list(query.data)).map(toJson) }
    })

    scope.get<{ Params: { id: string } }>(`${DEAD_LETTERS_PATH}/:id`, async (request, reply) => {
      const letter = await box.get(request.params.id)
      return letter === undefined ? reply.code(404).send({ error: 'there is no such dead letter' }) : toJson(letter)
    })

    scope.post<{ Params: { id: string } }>(`${DEAD_LETTERS_PATH}/:id/replay`, async (request, reply) => {
      const how = replaySchema.safeParse(request.body)
      if (!how.success) return reply.code(400).send({ error: z.prettifyError(how.error) })
      const letter = await box.get(request.params.id)
      if (letter === undefined) return reply.code(404).send({ error: 'there is no such dead letter' })
      try {
        return await replayOne(letter, how.data, { box, replayer, clock })
      } catch (error) {
        return reply
          .code(503)
          .header('retry-after', '5')
          .send({ error: `cannot be taken now: ${messageOf(error)}` })
      }
    })
  })
}

/** Marked once it was taken. */
export async function replayOne(
  letter: Letter,
  how: ReplayHow,
  { box, replayer, clock }: Omit<DeadLettersApiOptions, 'token'>,
): Promise<ReplayFate> {
  const fate = await replayer.replay(letter, how)
  if (fate.taken && !how.dryRun) await box.markReplayed(letter.id, clock())
  return fate
}

/** What is printed with --json, too. */
export function toJson({ value, ...letter }: Letter): Record<string, unknown> {
  return { ...letter, ...(value.length > 0 && { value: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }) }
}

const letterSchema = z.object({
  id: z.string(),
  reason: z.string(),
  error: z.string(),
  topic: z.string(),
  partition: z.number(),
  offset: z.number(),
  lastOffset: z.number(),
  key: z.string(),
  content: z.enum(['record', 'record-batch', 'left-out']),
  headers: z.record(z.string(), z.string()),
  originMs: z.number(),
  timestampMs: z.number(),
  valueBytes: z.number(),
  replayedMs: z.number().optional(),
  value: z.string().default(''),
})
const fateSchema = z.object({ taken: z.boolean(), text: z.string() })

function fromJson(json: unknown): Letter {
  const { value, replayedMs, ...letter } = letterSchema.parse(json)
  return { ...letter, replayedMs, value: Buffer.from(value, 'base64') }
}

/** The other end: what a running program keeps. */
export class RemoteLetters {
  readonly #url: string
  readonly #token: string

  constructor(url: string, token: string) {
    this.#url = url
    this.#token = token
  }

  async list(filter: LetterFilter): Promise<readonly Letter[]> {
    const query = Object.entries(filter).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
    const found = await this.#ask(`?${new URLSearchParams(query).toString()}`)
    return z
      .object({ letters: z.array(z.unknown()) })
      .parse(found)
      .letters.map(fromJson)
  }

  async get(id: string): Promise<Letter | undefined> {
    const found = await this.#ask(`/${encodeURIComponent(id)}`)
    return found === undefined ? undefined : fromJson(found)
  }

  async replay(letter: Letter, how: ReplayHow): Promise<ReplayFate> {
    return fateSchema.parse(await this.#ask(`/${encodeURIComponent(letter.id)}/replay`, how))
  }

  /** Undefined: there is no such letter. */
  async #ask(path: string, body?: object): Promise<unknown> {
    const response = await fetch(`${this.#url}${DEAD_LETTERS_PATH}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(this.#token !== '' && { authorization: `Bearer ${this.#token}` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') === true
    if (response.status === 404 && isJson && text.includes('no such dead letter')) return undefined
    if (!response.ok || !isJson) throw new Error(`what runs at ${this.#url} answers ${response.status}: ${text.slice(0, 200).trim()}`)
    return JSON.parse(text) as unknown
  }
}
