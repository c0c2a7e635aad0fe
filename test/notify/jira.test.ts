/** Jira, both kinds: one ticket per incident, found again rather than made again. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PermanentError, RetryLaterError } from '../../src/errors.ts'
import { jiraKind } from '../../src/notify/jira.ts'
import { startJira } from '../support/fakes/jira.ts'
import type { FakeJira } from '../support/fakes/jira.ts'
import { hostileIncident, hostileText, inTime, noticeOf, testContext } from './example.ts'

describe.each(['cloud', 'datacenter'] as const)('Jira, %s', (flavor) => {
  let jira: FakeJira
  const config = (more: object = {}) =>
    jiraKind.config.parse({ url: jira.url, flavor, email: 'bot@example.com', token: 'jira-token', project: 'OPS', settleMs: 50, ...more })
  const open = (more: object = {}) => jiraKind.create(config(more), testContext())

  beforeEach(async () => {
    jira = await startJira({ flavor })
  })
  afterEach(() => jira.stop())

  test('opened → escalated → resolved is one issue with comments, moved on in the end', async () => {
    const notifier = open({ resolveTransition: 'done', labels: ['on-call'] })
    const { externalId = '' } = await notifier.send(noticeOf('opened'), inTime())
    expect(externalId).toBe('OPS-1')
    await notifier.send(noticeOf('escalated', { externalId }), inTime())
    await notifier.send(noticeOf('resolved', { externalId }), inTime())
    expect(jira.issues).toHaveLength(1)
    const [issue] = jira.issues
    expect(issue?.fields).toMatchObject({
      summary: 'checkout: 38 % of requests fail (normally 0.2 %)',
      issuetype: { name: 'Task' },
      labels: ['tocsin-inc-7f3a', 'on-call'],
    })
    expect(JSON.stringify(issue?.fields['description'])).toContain('deploy 2.4.1 one minute before')
    expect(issue?.comments.map(({ body }) => JSON.stringify(body).match(/Got worse|Resolved/)?.[0])).toEqual(['Got worse', 'Resolved'])
    expect(issue?.status).toBe('Done')
  })

  test('an issue that stands already is taken up, whoever made it', async () => {
    const { externalId } = await open().send(noticeOf('opened'), inTime())
    expect(await open().send(noticeOf('opened'), inTime())).toEqual({ externalId })
    expect(jira.issues).toHaveLength(1)
  })

  test('made, but the answer was lost: found again even while the search lags behind', async () => {
    jira.lagging(true)
    jira.fail('lose-answer', { path: '/issue' })
    await expect(open().send(noticeOf('opened'), inTime())).rejects.toThrow()
    setTimeout(() => jira.lagging(false), 150)
    const { externalId } = await open({ settleMs: 3000 }).send(noticeOf('opened', { attempts: 1 }), inTime())
    expect(externalId).toBe('OPS-1')
    expect(jira.issues).toHaveLength(1)
  })

  test('a comment whose answer was lost is not repeated', async () => {
    const { externalId = '' } = await open().send(noticeOf('opened'), inTime())
    jira.fail('lose-answer', { path: '/comment' })
    await expect(open().send(noticeOf('updated', { externalId }), inTime())).rejects.toThrow()
    await open().send(noticeOf('updated', { externalId, attempts: 1 }), inTime())
    expect(jira.issues[0]?.comments).toHaveLength(1)
  })

  test('resolved by somebody in Jira already: the comment is enough', async () => {
    const notifier = open({ resolveTransition: 'Close issue' })
    const { externalId = '' } = await notifier.send(noticeOf('opened'), inTime())
    await notifier.send(noticeOf('resolved', { externalId }), inTime())
    await notifier.send(noticeOf('resolved', { externalId, id: 'again' }), inTime())
    expect(jira.issues[0]).toMatchObject({ status: 'Done', comments: [{}, {}] })
  })

  test('an opening that never got through: no ticket for what is over, one for what goes on', async () => {
    expect(await open().send(noticeOf('resolved'), inTime())).toEqual({})
    expect(jira.issues).toEqual([])
    await open().send(noticeOf('escalated'), inTime())
    expect(jira.issues).toHaveLength(1)
  })

  test('the most hostile incident is a valid ticket, and its text no markup', async () => {
    const incident = { ...hostileIncident, id: 'id with "quotes" and spaces' }
    const { externalId = '' } = await open().send(noticeOf('opened', { incident, reason: hostileText }), inTime())
    await open().send(noticeOf('updated', { incident, reason: hostileText, externalId }), inTime())
    const [issue] = jira.issues
    expect(issue?.comments).toHaveLength(1)
    if (flavor === 'datacenter') {
      expect(issue?.fields['description']).not.toMatch(/(?<!\\)\{code|(?<!\\)\[~|^h1\./m)
    }
  })

  test('what Jira says is wrong is passed on; the credentials never are', async () => {
    const error = await open({ project: 'NOPE' })
      .send(noticeOf('opened'), inTime())
      .catch((e: unknown) => e)
    expect(error).toBeInstanceOf(PermanentError)
    expect(String(error)).toContain('project: valid project is required')
    const refused = await open({ token: 'wrong-secret' })
      .send(noticeOf('opened'), inTime())
      .catch((e: unknown) => e)
    expect(refused).toBeInstanceOf(PermanentError)
    expect(String(refused)).toContain('401')
    expect(String((refused as Error).stack) + JSON.stringify(refused)).not.toContain('wrong-secret')
    jira.fail({ status: 429, retryAfter: '5' })
    await expect(open().send(noticeOf('opened'), inTime())).rejects.toBeInstanceOf(RetryLaterError)
  })

  test('the preview is what is sent', async () => {
    await open().send(noticeOf('opened'), inTime())
    const [preview] = jiraKind.preview?.(config(), testContext(), noticeOf('opened')) ?? []
    const created = jira.requests.find(({ path }) => path.endsWith('/issue'))
    expect(preview?.body).toEqual(JSON.parse(created?.body ?? ''))
    expect(preview?.url).toBe(`${jira.url}${created?.path}`)
  })
})

test('Cloud needs the account of its token', () => {
  expect(() => jiraKind.config.parse({ url: 'https://x.example', token: 't', project: 'OPS' })).toThrow('email')
})
