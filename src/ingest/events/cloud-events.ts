/**
 * CloudEvents 1.0 in all three modes: structured, batched and binary (attributes in headers), over HTTP and from Kafka. CDEvents in them and data in
 * Tocsin's own form are read as such; of other types those are changes whose type says so (`com.acme.checkout.deployed`), the rest is counted.
 * https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md
 */
import { DecodeError } from '../../errors.ts'
import type { Change, ChangeType } from '../../model.ts'
import { parseTime } from '../wire/rfc3339.ts'
import { changeOfCdEvent, isCdEventType, lastSegment } from './cd-events.ts'
import { changeOf, isPlainChange, readPlainChange } from './changes.ts'
import type { DecodeContext } from '../decode-context.ts'
import type { DoorRequest } from '../door.ts'
import { parseJson } from '../wire/json-body.ts'
import { parseMediaType } from '../wire/request-body.ts'

type Fields = Readonly<Record<string, unknown>>

export interface CloudEvent {
  readonly id: string
  readonly source: string
  readonly type: string
  readonly subject: string
  /** An extension attribute; '' when there is none. */
  readonly service: string
  readonly timeMs: number | undefined
  /** Parsed when it is JSON, else undefined. */
  readonly data: unknown
}

const JSON_TYPE = /^application\/(?:[\w!#$&^.-]+\+)?json$/
const MEDIA_TYPE = 'application/cloudevents'
const MAX_ATTRIBUTE_CHARS = 2_048

export type ContentMode = 'structured' | 'batch' | 'binary' | 'none'

/** By Content-Type first, as the specification has it: structured events may repeat their attributes as headers. */
export function contentModeOf(headers: DoorRequest['headers']): ContentMode {
  const type = parseMediaType(headers['content-type'] ?? '')?.type ?? ''
  if (type === `${MEDIA_TYPE}+json`) return 'structured'
  if (type === `${MEDIA_TYPE}-batch+json`) return 'batch'
  if (type.startsWith(MEDIA_TYPE))
    throw new DecodeError('unsupported', `CloudEvents are read as ${MEDIA_TYPE}+json, ${MEDIA_TYPE}-batch+json or in binary mode`)
  return headers['ce-specversion'] === undefined ? 'none' : 'binary'
}

/** A CloudEvent as it stands in JSON. https://github.com/cloudevents/spec/blob/main/cloudevents/formats/json-format.md */
export function readStructured(item: unknown, where: string): CloudEvent {
  if (typeof item !== 'object' || item === null || Array.isArray(item))
    throw new DecodeError('bad-event', `${where}the event must be an object`)
  const fields = item as Fields
  const isJson = fields['datacontenttype'] == null || isJsonType(fields['datacontenttype'])
  const base64 = fields['data_base64']
  const data = typeof base64 === 'string' ? Buffer.from(base64, 'base64') : fields['data']
  return cloudEventOf((name) => fields[name], isJson ? parsedData(data, where) : undefined, where)
}

export function readBinary(headers: DoorRequest['headers'], body: Uint8Array): CloudEvent {
  const attribute = (name: string) => {
    const value = headers[`ce-${name}`]
    return value === undefined ? undefined : headerText(name, value)
  }
  const data = body.length > 0 && isJsonType(headers['content-type']) ? parsedData(body, '') : undefined
  return cloudEventOf(attribute, data, '')
}

export function changeOfCloudEvent(event: CloudEvent, where: string, context: DecodeContext): Change | string {
  if (isCdEventType(event.type)) return changeOfCdEvent(event.type, event.data, where, context, event)
  if (isPlainChange(event.data)) return readPlainChange(event.data, `${where}data: `, context, event)
  const type = changeTypeIn(event.type)
  if (type === undefined) return 'cloudevent-of-another-type'
  const data = (typeof event.data === 'object' && event.data !== null ? event.data : {}) as Fields
  const text = (name: string) => (typeof data[name] === 'string' ? data[name] : '')
  const service = text('service').trim() || event.service || lastSegment(event.subject)
  if (service === '') return 'cloudevent-names-no-service'
  return changeOf(
    { type, service, version: text('version'), title: text('title'), url: text('url'), atMs: event.timeMs },
    where,
    context,
    event,
  )
}

/**
 * A record of Kafka as the request that brings the same event; undefined when it is no CloudEvent. There, attributes are plain UTF-8 in
 * headers named `ce_…`. https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/kafka-protocol-binding.md
 */
export function cloudEventRequest(
  recordHeaders: Readonly<Record<string, string>>,
  value: Uint8Array,
  receivedMs: number,
): DoorRequest | undefined {
  const headers: Record<string, string> = {}
  let isBinary = false
  for (const [given, text] of Object.entries(recordHeaders)) {
    const name = given.toLowerCase()
    if (name === 'content-type') headers['content-type'] = text
    else if (name.startsWith('ce_')) {
      headers[`ce-${name.slice(3)}`] = encodedHeader(text)
      if (name === 'ce_specversion') isBinary = true
    }
  }
  const structured = headers['content-type']?.toLowerCase().startsWith(MEDIA_TYPE) === true
  if (!structured && !isBinary) return undefined
  headers['content-type'] ??= 'application/json'
  return { path: '/api/v1/events', headers, body: value, receivedMs }
}

function cloudEventOf(attribute: (name: string) => unknown, data: unknown, where: string): CloudEvent {
  const bad = (what: string) => new DecodeError('bad-event', `${where}${what}`)
  const version = attribute('specversion')
  if (version !== '1.0') throw bad(`specversion must be "1.0", not ${JSON.stringify(version)?.slice(0, 40) ?? 'missing'}`)
  const optional = (name: string): string => {
    const value = attribute(name) ?? ''
    if (typeof value !== 'string') throw bad(`${name} must be text`)
    if (value.length > MAX_ATTRIBUTE_CHARS) throw bad(`${name} is longer than ${MAX_ATTRIBUTE_CHARS} characters`)
    return value
  }
  const needed = (name: string): string => {
    const value = optional(name)
    if (value === '') throw bad(`${name} must be text and not empty`)
    return value
  }
  const time = optional('time')
  const timeMs = time === '' ? undefined : parseTime(time)
  if (time !== '' && timeMs === undefined) throw bad('time must be RFC 3339, like 2026-11-22T10:00:00Z')
  return {
    id: needed('id'),
    source: needed('source'),
    type: needed('type'),
    subject: optional('subject'),
    service: optional('service').trim(),
    timeMs,
    data,
  }
}

function isJsonType(header: unknown): boolean {
  return typeof header === 'string' && JSON_TYPE.test(parseMediaType(header)?.type ?? '')
}

/** Some producers put JSON into a string, others into base64. */
function parsedData(data: unknown, where: string): unknown {
  if (typeof data === 'string' && !/^\s*[[{]/.test(data)) return data
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  if (!(bytes instanceof Uint8Array)) return data
  try {
    return parseJson(bytes)
  } catch (error) {
    if (error instanceof DecodeError)
      throw new DecodeError('bad-event', `${where}data is not the JSON that it is said to be`, { cause: error })
    throw error
  }
}

/** Quotes taken off, then percent-decoded once; what is no UTF-8 then must be refused (3.1.3.2 of the HTTP binding). */
function headerText(name: string, value: string): string {
  const unquoted = value.replace(/"((?:[^"\\]|\\.)*)"/g, (_, inner: string) => inner.replace(/\\(.)/g, '$1'))
  try {
    return decodeURIComponent(unquoted.replace(/%(?![0-9a-f]{2})/gi, '%25'))
  } catch (error) {
    throw new DecodeError('bad-event', `the header ce-${name} is not UTF-8 when it is percent-decoded`, { cause: error })
  }
}

function encodedHeader(text: string): string {
  return text.replace(/[^\x21-\x7e]|["%]/gu, (char) =>
    Array.from(Buffer.from(char), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}

const WORDS: ReadonlyMap<string, ChangeType> = new Map([
  ['deploy', 'deploy'],
  ['deployed', 'deploy'],
  ['deployment', 'deploy'],
  ['release', 'deploy'],
  ['released', 'deploy'],
  ['upgraded', 'deploy'],
  ['rollback', 'rollback'],
  ['rolledback', 'rollback'],
  ['rollout', 'rollout'],
  ['sync', 'sync'],
  ['synced', 'sync'],
  ['flag', 'flag'],
  ['featureflag', 'flag'],
  ['config', 'config'],
  ['configuration', 'config'],
  ['scaled', 'scaling'],
  ['scaling', 'scaling'],
  ['chaos', 'chaos'],
])

/** Looked at of the end of a type: more than two words and a version take, and a type that is all dots and digits costs no time. */
const TYPE_END_CHARS = 128

/** By the last two words, without a version at the end: further left stands who made it, not what happened. */
function changeTypeIn(type: string): ChangeType | undefined {
  const words = type
    .slice(-TYPE_END_CHARS)
    .toLowerCase()
    .replace(/\.v?\d+(?:\.\d+)*$/, '')
    .split(/[.\-_:/]/)
  return WORDS.get(words.at(-1)!) ?? WORDS.get(words.at(-2) ?? '')
}
