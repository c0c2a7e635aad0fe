/** The generic webhook against a receiver that checks signatures by the specification. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PermanentError } from '../../src/errors.ts'
import { guardedLookup, isForbidden } from '../../src/notify/address-guard.ts'
import { signatureOf, webhookKind } from '../../src/notify/webhook.ts'
import { startWebhook } from '../support/fakes/webhook.ts'
import type { FakeWebhook } from '../support/fakes/webhook.ts'
import { hostileIncident, incident, inTime, noticeOf, testContext } from './example.ts'

let receiver: FakeWebhook
beforeEach(async () => {
  receiver = await startWebhook()
})
afterEach(() => receiver.stop())
const open = (more: object = {}) =>
  webhookKind.create(webhookKind.config.parse({ url: receiver.url, secret: receiver.secret, ...more }), testContext())

describe('the webhook', () => {
  test('a notice arrives signed, with the whole incident', async () => {
    await open().send(noticeOf('opened'), inTime())
    expect(receiver.deliveries).toMatchObject([
      {
        id: 'notice-opened',
        type: 'incident.opened',
        data: {
          reason: 'because it was opened',
          url: 'https://tocsin.example/incidents/inc-7f3a',
          incident: { id: incident.id, causes: [{ service: 'payments' }, {}] },
        },
      },
    ])
  })

  test('a secret may be any text', async () => {
    await using plain = await startWebhook({ secret: 'correct horse' })
    await open({ url: plain.url, secret: 'correct horse' }).send(noticeOf('opened'), inTime())
    expect(plain.deliveries).toHaveLength(1)
  })

  test('another secret is refused by the receiver, for good', async () => {
    await expect(open({ secret: 'other' }).send(noticeOf('opened'), inTime())).rejects.toThrow(PermanentError)
  })

  test('the signature is that of the specification', () => {
    // The example of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md and its reference libraries.
    const body = '{"test": 2432232314}'
    expect(signatureOf('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '1614265330', body)).toBe(
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    )
  })

  test('sent again after a lost answer it has the same id, so the receiver folds it', async () => {
    receiver.fail('lose-answer')
    await expect(open().send(noticeOf('opened'), inTime())).rejects.toThrow()
    await open().send(noticeOf('opened', { attempts: 1 }), inTime())
    expect(receiver.deliveries).toMatchObject([{ id: 'notice-opened', times: 2 }])
  })

  test.each([
    [410, true],
    [401, true],
    [307, true],
    [408, false],
    [425, false],
    [500, false],
  ])('HTTP %i is final: %s', async (status, final) => {
    receiver.fail({ status, location: 'http://169.254.169.254/' })
    const error = await open()
      .send(noticeOf('opened'), inTime())
      .catch((e: unknown) => e)
    expect(error instanceof PermanentError).toBe(final)
    expect(receiver.requests).toHaveLength(1)
  })

  test('the path of the URL and the secret stay out of errors, even when the receiver echoes them', async () => {
    const url = `${receiver.url}/T000/very-secret-path`
    for (const failure of ['reset', { status: 500, body: `cannot POST ${url} with ${receiver.secret}` }] as const) {
      receiver.fail(failure)
      const error = await open({ url })
        .send(noticeOf('opened'), inTime())
        .catch((e: unknown) => e)
      expect(String((error as Error).stack) + JSON.stringify(error)).not.toMatch(/very-secret-path|whsec_/)
    }
  })

  test('an answer without end is cut off', async () => {
    receiver.fail({ status: 500, body: 'x'.repeat(3_000_000) })
    await expect(open().send(noticeOf('opened'), inTime())).rejects.toThrow(/maxContentLength/)
  })

  test('the body stays small, whatever the telemetry', async () => {
    await open().send(noticeOf('opened', { incident: hostileIncident }), inTime())
    expect(receiver.requests[0]?.body.length).toBeLessThan(100_000)
    expect(receiver.deliveries).toHaveLength(1)
  })
})

describe('addresses notices are not sent to', () => {
  test.each([
    ['169.254.169.254', true],
    ['169.254.0.1', true],
    ['::ffff:169.254.169.254', true],
    ['fe80::1', true],
    ['fd00:ec2::254', true],
    ['100.100.100.200', true],
    ['0.0.0.0', true],
    ['127.0.0.1', false],
    ['10.0.0.1', false],
    ['93.184.216.34', false],
    ['2606:2800:220:1::1', false],
  ])('%s: %s', (address, forbidden) => expect(isForbidden(address)).toBe(forbidden))

  test.each([
    'http://169.254.169.254/latest',
    'http://[fe80::1]/',
    'http://2852039166/',
    'http://0xA9FEA9FE/',
    'http://[::ffff:169.254.169.254]/',
  ])('%s is refused for good', async (url) => {
    await expect(open({ url }).send(noticeOf('opened'), inTime())).rejects.toThrow(/link-local or metadata/)
  })

  test('a name is judged by what it resolves to', async () => {
    const addresses = await guardedLookup('localhost')
    expect(addresses.map(({ address }) => address)).toContain('127.0.0.1')
    await open({ url: receiver.url.replace('127.0.0.1', 'localhost') }).send(noticeOf('opened'), inTime())
    expect(receiver.deliveries).toHaveLength(1)
  })
})
