/** PagerDuty against a receiver that follows the published contract. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PermanentError, RetryLaterError } from '../../src/errors.ts'
import type { Notice } from '../../src/model.ts'
import type { Notifier } from '../../src/notify/notifier.ts'
import { pagerdutyKind } from '../../src/notify/pagerduty.ts'
import { startPagerDuty } from '../support/fakes/pagerduty.ts'
import type { FakePagerDuty } from '../support/fakes/pagerduty.ts'
import { hostileIncident, incident, inTime, noticeOf, testContext } from './example.ts'

const routingKey = 'r'.repeat(32)
let pagerduty: FakePagerDuty
let notifier: Notifier
const config = (more: object = {}) => pagerdutyKind.config.parse({ routingKey, url: pagerduty.url, ...more })
const tell = (notice: Notice) => notifier.send(notice, inTime())

beforeEach(async () => {
  pagerduty = await startPagerDuty()
  notifier = pagerdutyKind.create(config(), testContext())
})
afterEach(() => pagerduty.stop())

describe('PagerDuty', () => {
  test('opened → acknowledged → resolved is one incident whose key is ours', async () => {
    expect(await tell(noticeOf('opened'))).toEqual({ externalId: incident.id })
    expect(pagerduty.incidents()).toMatchObject([{ dedupKey: incident.id, status: 'triggered', severity: 'error', triggers: 1 }])
    await tell(noticeOf('acknowledged'))
    expect(pagerduty.incidents()).toMatchObject([{ status: 'acknowledged' }])
    await tell(noticeOf('resolved'))
    expect(pagerduty.incidents()).toMatchObject([{ status: 'resolved', triggers: 1 }])
  })

  test('the event carries the cause, its evidence and the way to the incident', async () => {
    await tell(noticeOf('opened'))
    expect(pagerduty.events[0]).toMatchObject({
      event_action: 'trigger',
      payload: {
        source: 'checkout',
        timestamp: '2026-03-01T03:00:00.000Z',
        component: 'payments',
        custom_details: {
          probable_causes: [
            { service: 'payments', probability: '71 %', evidence: ['deploy 2.4.1 one minute before', expect.any(String)] },
            {},
          ],
        },
      },
      links: [{ href: 'https://tocsin.example/incidents/inc-7f3a' }],
    })
  })

  test('an escalation updates the same incident', async () => {
    await tell(noticeOf('opened'))
    await tell(noticeOf('escalated', { incident: { ...incident, severity: 'critical' } }))
    expect(pagerduty.incidents()).toMatchObject([{ severity: 'critical', triggers: 2 }])
  })

  test('an answer that was lost and sent again is still one incident', async () => {
    pagerduty.fail('lose-answer')
    await expect(tell(noticeOf('opened'))).rejects.toThrow()
    await tell(noticeOf('opened', { attempts: 1 }))
    expect(pagerduty.incidents()).toHaveLength(1)
  })

  test('the most hostile incident is within the limits', async () => {
    await tell(noticeOf('opened', { incident: hostileIncident }))
    expect(pagerduty.requests[0]?.body.length).toBeLessThan(512_000)
    expect(pagerduty.incidents()).toHaveLength(1)
  })

  test('an incident without causes, services or a date is told all the same', async () => {
    await tell(noticeOf('opened', { incident: { ...incident, causes: [], services: [], title: '', impact: '', openedMs: NaN } }))
    expect(pagerduty.incidents()).toMatchObject([{ summary: 'Incident.' }])
  })

  test.each([
    [
      'a refused key is final and says what is wrong',
      { status: 400, body: { message: 'Event object is invalid', errors: ['bad key'] } },
      PermanentError,
      /400: Event object is invalid; bad key/,
    ],
    ['a redirect is not followed', { status: 302, location: 'http://127.0.0.1:1/' }, PermanentError, /302/],
    ['too many requests, later', { status: 429, retryAfter: '17' }, RetryLaterError, /429/],
    ['unavailable, some time', { status: 503 }, Error, /503/],
    ['the connection breaks', 'reset' as const, Error, /127\.0\.0\.1/],
  ])('%s', async (_, failure, kind, message) => {
    pagerduty.fail(failure)
    const error = await tell(noticeOf('opened')).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(kind)
    if (kind === Error) expect(error).not.toBeInstanceOf(PermanentError)
    if (error instanceof RetryLaterError) expect(error.retryAfterMs).toBe(17_000)
    expect(String(error)).toMatch(message)
  })

  test('a receiver that never answers costs the time-out and no more', async () => {
    pagerduty.fail('hang')
    const impatient = pagerdutyKind.create(config({ timeoutMs: 150 }), testContext())
    await expect(impatient.send(noticeOf('opened'), inTime())).rejects.toThrow('no answer within 150 ms')
  })

  test('stopping cuts it short', async () => {
    pagerduty.fail('hang')
    await expect(notifier.send(noticeOf('opened'), AbortSignal.timeout(50))).rejects.toThrow('given up')
  })

  test('the preview is the body that is sent, but for the key', async () => {
    await tell(noticeOf('opened'))
    const [preview] = pagerdutyKind.preview?.(config(), testContext(), noticeOf('opened')) ?? []
    expect(preview).toEqual({
      method: 'POST',
      url: pagerduty.url,
      body: { ...(pagerduty.events[0] as object), routing_key: '(routing key)' },
    })
  })
})
