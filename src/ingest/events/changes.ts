/**
 * Something was changed on purpose. In Tocsin's own form: one object or an array of
 * `{"type":"deploy","service":"checkout","version":"1.4.2","title":"…","time":"2026-11-22T10:00:00Z","url":"https://…","id":"…"}`.
 * What every form has in common is here, too: names, limits and the id, so that a change that is sent again is the same change.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { DecodeError } from '../../errors.ts'
import type { Change, ChangeType } from '../../model.ts'
import { webUrl } from './alerts.ts'
import { parseTime } from '../wire/rfc3339.ts'
import { cleanText } from '../wire/clean-text.ts'
import type { DecodeContext } from '../decode-context.ts'
import { timeFault } from '../decode-context.ts'

const TYPES = [
  'deploy',
  'rollback',
  'sync',
  'rollout',
  'flag',
  'config',
  'scaling',
  'chaos',
  'other',
] as const satisfies readonly ChangeType[]
const MAX_TITLE_CHARS = 300
const MAX_ID_CHARS = 1_024
const TIME_PROBLEM = 'must be RFC 3339, like 2026-11-22T10:00:00Z, or milliseconds since 1970'

const postedChange = z.object({
  type: z.enum(TYPES, { error: `must be one of ${TYPES.join(', ')}` }),
  service: z.string({ error: 'must be the name of the service that was changed' }).trim().min(1, 'must not be empty'),
  version: z.string({ error: 'must be text' }).nullish(),
  title: z.string({ error: 'must be text' }).nullish(),
  time: z
    .union([z.string(), z.number()], { error: TIME_PROBLEM })
    .refine((value) => (typeof value === 'string' ? parseTime(value) !== undefined : Number.isSafeInteger(value)), TIME_PROBLEM)
    .nullish(),
  url: z
    .string({ error: 'must be text' })
    .refine((value) => value === '' || webUrl(value) !== '', 'must be an http or https address')
    .nullish(),
  id: z.string({ error: 'must be text' }).max(MAX_ID_CHARS, `must not be longer than ${MAX_ID_CHARS} characters`).nullish(),
})

/** Who says so: what makes an event the same event when it comes again, and when it happened where the event itself does not say. */
export interface Origin {
  readonly source: string
  readonly id: string
  readonly timeMs: number | undefined
}

export interface ChangeParts {
  readonly type: ChangeType
  /** As the sender calls it. */
  readonly service: string
  readonly version: string
  /** '' makes one of the other parts. */
  readonly title: string
  readonly url: string
  /** Undefined: now. */
  readonly atMs: number | undefined
}

/** `where` begins what is said about a fault: `event 3: `. */
export function readPlainChange(item: unknown, where: string, context: DecodeContext, origin?: Origin): Change {
  const parsed = postedChange.safeParse(item)
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (issue) => `${issue.path.join('.') || 'the event'} ${issue.path.length === 0 ? 'must be an object' : issue.message}`,
    )
    throw new DecodeError('bad-event', `${where}${problems.join('; ')}`)
  }
  const { type, service, version, title, time, url, id } = parsed.data
  const atMs = typeof time === 'number' ? time : typeof time === 'string' ? parseTime(time) : origin?.timeMs
  const parts = { type, service, version: version ?? '', title: title ?? '', url: url ?? '', atMs }
  return changeOf(parts, where, context, origin ?? (id == null || id === '' ? undefined : { source: '', id, timeMs: undefined }))
}

/** Whether it says what a change in Tocsin's own form cannot do without. */
export function isPlainChange(data: unknown): boolean {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return false
  const { type, service } = data as Readonly<Record<string, unknown>>
  return typeof service === 'string' && (TYPES as readonly unknown[]).includes(type)
}

/** Names cleaned, time and number of services checked. The id is the origin's where there is one, else it is made of all that is said. */
export function changeOf(parts: ChangeParts, where: string, context: DecodeContext, origin: Origin | undefined): Change {
  const service = context.naming.named(parts.service)
  const version = cleanText(parts.version, context.limits.maxNameChars)
  const atMs = parts.atMs ?? context.receivedMs
  const fault = timeFault(atMs, context)
  if (fault !== '') throw new DecodeError('bad-event', `${where}time is ${fault === 'too-old' ? 'too old' : 'too far in the future'}`)
  if (!context.services.admit(service, context.receivedMs))
    throw new DecodeError('service-limit', `${where}there are too many services already, send it again later`)
  const title = cleanText(parts.title.trim() || `${parts.type} of ${service}${version === '' ? '' : ` ${version}`}`, MAX_TITLE_CHARS)
  const url = webUrl(parts.url)
  const named = origin === undefined ? [parts.type, service, version, title, atMs, url] : ['event', origin.source, origin.id]
  const id = createHash('sha256').update(JSON.stringify(named)).digest('hex').slice(0, 32)
  return { kind: 'change', id, type: parts.type, service, version, title, atMs, url }
}
