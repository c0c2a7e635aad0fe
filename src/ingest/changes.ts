/**
 * `POST /api/v1/events`: something was changed on purpose. One object or an array of
 * `{"type":"deploy","service":"checkout","version":"1.4.2","title":"…","time":"2026-11-22T10:00:00Z","url":"https://…"}`; all are taken or none.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { DecodeError } from '../errors.ts'
import type { Change, ChangeType, EventBatch } from '../model.ts'
import { parseTime, webUrl } from './alerts.ts'
import { cleanText } from './clean-text.ts'
import type { DecodeContext } from './decode-context.ts'
import { timeFault } from './decode-context.ts'
import { parseJson } from './json-body.ts'

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
})

export function decodeChanges(body: Uint8Array, context: DecodeContext): EventBatch {
  const root = parseJson(body)
  const items: unknown[] = Array.isArray(root) ? root : [root]
  if (items.length > 1_000) throw new DecodeError('too-large', 'more than 1000 events in one request')
  return { kind: 'events', events: items.map((item, index) => readChange(item, Array.isArray(root) ? `event ${index}: ` : '', context)) }
}

function readChange(item: unknown, where: string, context: DecodeContext): Change {
  const parsed = postedChange.safeParse(item)
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      (issue) => `${issue.path.join('.') || 'the event'} ${issue.path.length === 0 ? 'must be an object' : issue.message}`,
    )
    throw new DecodeError('bad-event', `${where}${problems.join('; ')}`)
  }
  const { maxNameChars } = context.limits
  const { type } = parsed.data
  const service = context.naming.named(parsed.data.service)
  const version = cleanText(parsed.data.version ?? '', maxNameChars)
  const given = parsed.data.time
  const atMs = typeof given === 'number' ? given : typeof given === 'string' ? parseTime(given)! : context.receivedMs
  const fault = timeFault(atMs, context)
  if (fault !== '') throw new DecodeError('bad-event', `${where}time is ${fault === 'too-old' ? 'too old' : 'too far in the future'}`)
  if (!context.services.admit(service, context.receivedMs))
    throw new DecodeError('bad-event', `${where}there are too many services already`)
  const title = cleanText(parsed.data.title?.trim() || `${type} of ${service}${version === '' ? '' : ` ${version}`}`, MAX_TITLE_CHARS)
  const url = webUrl(parsed.data.url ?? '')
  const id = createHash('sha256')
    .update(JSON.stringify([type, service, version, title, atMs, url]))
    .digest('hex')
    .slice(0, 32)
  return { kind: 'change', id, type, service, version, title, atMs, url }
}
