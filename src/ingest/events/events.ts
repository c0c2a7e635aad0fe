/**
 * Everything that `POST /api/v1/events` takes: changes in Tocsin's own form, CloudEvents 1.0 and CDEvents, one or many. All are taken or
 * none, so that a sender may send the same again; those that are well-formed and of no use are counted as skipped.
 */
import { DecodeError } from '../../errors.ts'
import type { Change, EventBatch } from '../../model.ts'
import { isBareCdEvent, readBareCdEvent } from './cd-events.ts'
import { readPlainChange } from './changes.ts'
import { changeOfCloudEvent, contentModeOf, readBinary, readStructured } from './cloud-events.ts'
import type { DecodeContext } from '../decode-context.ts'
import type { DoorRequest } from '../door.ts'
import { parseJson } from '../wire/json-body.ts'

const MAX_EVENTS = 1_000

/** `body`: without compression. */
export function decodeEvents(headers: DoorRequest['headers'], body: Uint8Array, context: DecodeContext): EventBatch {
  const mode = contentModeOf(headers)
  if (mode === 'binary') return batchOf([changeOfCloudEvent(readBinary(headers, body), '', context)], context)
  const root = parseJson(body)
  if (mode === 'structured') return batchOf([changeOfCloudEvent(readStructured(root, ''), '', context)], context)
  if (mode === 'batch' && !Array.isArray(root)) throw new DecodeError('bad-event', 'a batch of CloudEvents must be an array')
  const items: readonly unknown[] = Array.isArray(root) ? root : [root]
  if (items.length > MAX_EVENTS) throw new DecodeError('too-large', `more than ${MAX_EVENTS} events in one request`)
  return batchOf(
    items.map((item, index) => {
      const where = Array.isArray(root) ? `event ${index}: ` : ''
      // A webhook that can post nothing but application/json may still hold a CloudEvent.
      if (mode === 'batch' || has(item, 'specversion')) return changeOfCloudEvent(readStructured(item, where), where, context)
      return isBareCdEvent(item) ? readBareCdEvent(item, where, context) : readPlainChange(item, where, context)
    }),
    context,
  )
}

function batchOf(fates: readonly (Change | string)[], context: DecodeContext): EventBatch {
  const events = new Map<string, Change>()
  for (const fate of fates) {
    if (typeof fate === 'string') context.skipped.add(fate)
    else if (events.has(fate.id)) context.skipped.add('duplicate')
    else events.set(fate.id, fate)
  }
  return { kind: 'events', events: [...events.values()] }
}

function has(item: unknown, name: string): boolean {
  return typeof item === 'object' && item !== null && Object.hasOwn(item, name)
}
