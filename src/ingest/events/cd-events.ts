/**
 * CDEvents: what delivery tools tell each other. Those that say that a running service was changed become changes; the rest (builds, tests,
 * tickets, environments, …) is taken, counted and not used. The same subject and predicate mean the same in all versions, 0.1 to 0.6.
 * https://github.com/cdevents/spec/blob/main/continuous-deployment.md
 */
import { DecodeError } from '../../errors.ts'
import type { Change, ChangeType } from '../../model.ts'
import { parseTime } from '../wire/rfc3339.ts'
import { changeOf } from './changes.ts'
import type { Origin } from './changes.ts'
import type { DecodeContext } from '../decode-context.ts'

type Fields = Readonly<Record<string, unknown>>

const PREFIX = 'dev.cdevents'

const CHANGES: ReadonlyMap<string, readonly [type: ChangeType, verb: string]> = new Map([
  ['service.deployed', ['deploy', 'deployed']],
  ['service.upgraded', ['deploy', 'upgraded']],
  ['service.rolledback', ['rollback', 'rolled back']],
  ['service.removed', ['other', 'removed']],
  ['service.published', ['other', 'published']],
  // Since 0.6, with the outcome in its content.
  ['deployment.finished', ['deploy', 'deployment finished']],
])

/** `dev.cdevents.…`, and `dev.cdeventsx.…` for the types that vendors add. */
export function isCdEventType(type: unknown): type is string {
  return typeof type === 'string' && (type.startsWith(`${PREFIX}.`) || type.startsWith(`${PREFIX}x.`))
}

/** One that comes without a CloudEvent around it. */
export function isBareCdEvent(item: unknown): boolean {
  return isCdEventType(fieldsOf(fieldsOf(item)['context'])['type'])
}

export function readBareCdEvent(item: unknown, where: string, context: DecodeContext): Change | string {
  const { type, id, source, timestamp } = fieldsOf(fieldsOf(item)['context'])
  for (const [name, value] of Object.entries({ id, source })) {
    if (typeof value !== 'string' || value === '') throw new DecodeError('bad-event', `${where}context.${name} must be text`)
  }
  const timeMs = typeof timestamp === 'string' ? parseTime(timestamp) : undefined
  if (timeMs === undefined) throw new DecodeError('bad-event', `${where}context.timestamp must be RFC 3339`)
  return changeOfCdEvent(type as string, item, where, context, { source: source as string, id: id as string, timeMs })
}

/** The change, or why it is none. Type, id, source and time are those of the CloudEvent around it, which has them from its context. */
export function changeOfCdEvent(
  type: string,
  item: unknown,
  where: string,
  context: DecodeContext,
  origin: Origin,
): Change | 'cdevent-not-used' | 'cdevent-names-no-service' {
  const [, , subjectType, predicate] = type.split('.', 4)
  const known = type.startsWith(`${PREFIX}.`) ? CHANGES.get(`${subjectType}.${predicate}`) : undefined
  if (known === undefined) return 'cdevent-not-used'
  const subject = fieldsOf(fieldsOf(item)['subject'])
  const { environment, artifactId, outcome, url } = fieldsOf(subject['content'])
  const artifact = artifactOf(artifactId)
  const given = subjectType === 'service' ? lastSegment(subject['id']) : artifact.name
  if (given === '') {
    if (subjectType === 'service') throw new DecodeError('bad-event', `${where}subject.id must be the name of the service`)
    return 'cdevent-names-no-service'
  }
  const [changeType, verb] = known
  const version =
    artifact.version === '' ? '' : ` ${verb === 'removed' || verb === 'published' ? 'as' : 'to'} ${shortened(artifact.version)}`
  const place = lastSegment(fieldsOf(environment)['name']) || lastSegment(fieldsOf(environment)['id'])
  const ending = typeof outcome === 'string' && outcome !== 'success' ? `: ${outcome}` : ''
  const title = `${context.naming.named(given)} ${verb}${version}${place === '' ? '' : ` in ${place}`}${ending}`
  return changeOf(
    { type: changeType, service: given, version: artifact.version, title, url: typeof url === 'string' ? url : '', atMs: origin.timeMs },
    where,
    context,
    origin,
  )
}

/**
 * `pkg:oci/myapp@sha256%3A0b31…?tag=1.4.2` is `myapp` in `1.4.2`; without a tag, in `sha256:0b31…`.
 * https://github.com/package-url/purl-spec
 */
function artifactOf(purl: unknown): { name: string; version: string } {
  const match = typeof purl === 'string' && purl.length <= 2_048 ? /^pkg:[^?#@]*\/([^/?#@]+)(?:@([^?#]*))?(?:\?([^#]*))?/.exec(purl) : null
  if (match === null) return { name: '', version: '' }
  const tag = new URLSearchParams(match[3] ?? '').get('tag') ?? ''
  return { name: decoded(match[1]!), version: tag || decoded(match[2] ?? '') }
}

/** A digest is for machines. */
function shortened(version: string): string {
  return version.replace(/^(sha\d+:[0-9a-f]{12})[0-9a-f]+$/i, '$1')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (error instanceof URIError) return text
    throw error
  }
}

/** `daemonset/myapp` is `myapp`. */
export function lastSegment(value: unknown): string {
  if (typeof value !== 'string') return ''
  const trimmed = value.trim().replace(/\/$/, '')
  return trimmed.slice(trimmed.lastIndexOf('/') + 1)
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}
