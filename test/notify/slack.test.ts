/** Slack: one message per incident, edited, and its thread; nothing twice, whatever breaks in between. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PermanentError, RetryLaterError } from '../../src/errors.ts'
import type { Notice } from '../../src/model.ts'
import type { Notifier } from '../../src/notify/notifier.ts'
import { slackKind } from '../../src/notify/slack.ts'
import { startSlack } from '../support/fakes/slack.ts'
import type { FakeSlack } from '../support/fakes/slack.ts'
import { hostileIncident, hostileText, incident, inTime, noticeOf, testContext } from './example.ts'

let slack: FakeSlack
let notifier: Notifier
const config = (more: object = {}) => slackKind.config.parse({ token: 'xoxb-fake', channel: 'C0TOCSIN', apiUrl: slack.url, ...more })
const tell = (notice: Notice) => notifier.send(notice, inTime())
/** The parent's id, as the outbox hands it on. */
async function opened(): Promise<string> {
  return (await tell(noticeOf('opened'))).externalId ?? ''
}

beforeEach(async () => {
  slack = await startSlack()
  notifier = slackKind.create(config(), testContext())
})
afterEach(() => slack.stop())

describe('Slack', () => {
  test('opened → escalated → acknowledged → resolved is one message, edited, with a thread', async () => {
    const externalId = await opened()
    expect(externalId).toBe(`C0TOCSIN:${slack.parents()[0]?.ts}`)
    await tell(noticeOf('escalated', { externalId, incident: { ...incident, severity: 'critical' } }))
    await tell(noticeOf('acknowledged', { externalId }))
    await tell(noticeOf('resolved', { externalId }))
    const [parent, ...others] = slack.parents()
    expect(others).toEqual([])
    expect(parent?.edits).toBe(3)
    expect(parent?.text).toContain('Resolved')
    expect(JSON.stringify(parent?.blocks)).toContain('resolved after 12 min')
    expect(slack.replies(parent?.ts ?? '').map((reply) => reply.text.split('\n')[0])).toEqual([
      'Got worse: because it was escalated',
      'Resolved: because it was resolved',
    ])
  })

  test('the message names cause, evidence and the way to the incident, and its notice', async () => {
    await opened()
    const [parent] = slack.parents()
    const blocks = JSON.stringify(parent?.blocks)
    expect(blocks).toContain('Probable cause: payments (71 %)\\n• deploy 2.4.1 one minute before')
    expect(blocks).toContain('<https://tocsin.example/incidents/inc-7f3a|Timeline and evidence>')
    expect(parent?.metadata?.event_payload).toEqual({ incident: incident.id, notice: 'notice-opened' })
  })

  test.each(['lose-answer', 'hang-after'] as const)(
    'posted, but the answer was lost (%s): found again, not posted again',
    async (failure) => {
      notifier = slackKind.create(config({ timeoutMs: 300 }), testContext())
      slack.fail(failure)
      await expect(tell(noticeOf('opened'))).rejects.toThrow()
      const again = await tell(noticeOf('opened', { attempts: 1 }))
      expect(slack.messages).toHaveLength(1)
      expect(again.externalId).toBe(`C0TOCSIN:${slack.messages[0]?.ts}`)
    },
  )

  test('it is found among the messages of a busy channel', async () => {
    slack.fail('lose-answer')
    await expect(tell(noticeOf('opened'))).rejects.toThrow()
    slack.chatter(250)
    await tell(noticeOf('opened', { attempts: 1 }))
    expect(slack.messages).toHaveLength(251)
  })

  test('not posted the first time: posted the second', async () => {
    slack.fail('reset')
    await expect(tell(noticeOf('opened'))).rejects.toThrow()
    await tell(noticeOf('opened', { attempts: 1 }))
    expect(slack.messages).toHaveLength(1)
  })

  test('a reply whose answer was lost is not repeated either', async () => {
    const externalId = await opened()
    slack.fail('lose-answer', { path: 'chat.postMessage' })
    await expect(tell(noticeOf('escalated', { externalId }))).rejects.toThrow()
    await tell(noticeOf('escalated', { externalId, attempts: 1 }))
    expect(slack.messages).toHaveLength(2)
  })

  test('a message that somebody has deleted is posted anew, and later notices follow it', async () => {
    const externalId = await opened()
    slack.forget(externalId.split(':')[1] ?? '')
    const next = await tell(noticeOf('updated', { externalId }))
    expect(next.externalId).not.toBe(externalId)
    expect(slack.parents()).toHaveLength(1)
  })

  test('a workspace that forbids edits still gets the thread', async () => {
    const externalId = await opened()
    slack.refuse('chat.update', 'edit_window_closed')
    await tell(noticeOf('resolved', { externalId }))
    expect(slack.replies(externalId.split(':')[1] ?? '')).toHaveLength(1)
  })

  test('an opening that never got through: the next notice makes the message', async () => {
    await tell(noticeOf('escalated'))
    expect(slack.parents()).toHaveLength(1)
  })

  test('the most hostile incident is taken, pings nobody and formats nothing', async () => {
    await tell(noticeOf('opened', { incident: hostileIncident, reason: hostileText }))
    await tell(noticeOf('escalated', { incident: hostileIncident, reason: hostileText, externalId: `C0TOCSIN:${slack.messages[0]?.ts}` }))
    expect(slack.messages).toHaveLength(2)
    for (const { blocks, text } of slack.messages) {
      expect(text).not.toMatch(/<[^|>]*>/)
      for (const block of blocks as { text?: { type: string; text: string }; elements?: { type: string; text: string }[] }[]) {
        for (const element of [...(block.text ? [block.text] : []), ...(block.elements ?? [])]) {
          expect(element.text).not.toMatch(/<[!@#]/)
          if (element.type === 'mrkdwn') expect(element.text).not.toContain('bold')
        }
      }
    }
  })

  test.each([
    ['the channel is gone', 'is_archived', PermanentError],
    ['the token was revoked', 'token_revoked', PermanentError],
    ['Slack has a moment', 'internal_error', Error],
  ])('%s', async (_, problem, kind) => {
    slack.refuse('chat.postMessage', problem)
    const error = await tell(noticeOf('opened')).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(kind)
    expect(error instanceof PermanentError).toBe(kind === PermanentError)
    expect(String(error)).toContain(problem)
  })

  test('rate limits and outages', async () => {
    slack.fail({ status: 429, retryAfter: '30' })
    const limited = await tell(noticeOf('opened')).catch((e: unknown) => e)
    expect(limited).toBeInstanceOf(RetryLaterError)
    expect((limited as RetryLaterError).retryAfterMs).toBe(30_000)
    slack.fail({ status: 503, body: 'upstream' })
    const down = await tell(noticeOf('opened')).catch((e: unknown) => e)
    expect(String(down)).toContain('503')
    expect(down).not.toBeInstanceOf(PermanentError)
    slack.fail({ status: 200, body: '<html>a captive portal</html>' })
    await expect(tell(noticeOf('opened'))).rejects.not.toBeInstanceOf(PermanentError)
    expect(slack.requests).toHaveLength(3)
  })

  test('no error has the token in it', async () => {
    const wrong = slackKind.create(config({ token: 'xoxb-secret' }), testContext())
    for (const failure of ['reset', { status: 500, body: 'token xoxb-secret' }] as const) {
      slack.fail(failure)
      const error = await wrong.send(noticeOf('opened'), inTime()).catch((e: unknown) => e)
      expect(String(error) + JSON.stringify(error) + String((error as Error).stack)).not.toContain('xoxb-secret')
      expect((error as Error).cause).toBeUndefined()
    }
    await expect(wrong.send(noticeOf('opened'), inTime())).rejects.toThrow('invalid_auth')
  })

  test('a channel is named by its id', () => {
    expect(() => slackKind.config.parse({ token: 't', channel: '#ops' })).toThrow('id of a channel')
  })
})
