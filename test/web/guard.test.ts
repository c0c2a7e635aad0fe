/** Who may come in, and from where. */
import { describe, expect, test } from 'vitest'
import { admit, isFromOurPages } from '../../src/web/guard.ts'

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

describe('with a token set', () => {
  test.each<[string, string | undefined, string | undefined]>([
    ['nothing', undefined, undefined],
    ['the bearer token', 'Bearer s3cret', ''],
    ['the bearer token, spelled in capitals', 'BEARER s3cret', ''],
    ['another bearer token', 'Bearer s3crets', undefined],
    ['an empty bearer token', 'Bearer ', undefined],
    ['the token as password', basic('ann:s3cret'), 'ann'],
    ['the token as password of nobody', basic(':s3cret'), ''],
    ['a wrong password', basic('ann:secret'), undefined],
    ['the token as user name', basic('s3cret:'), undefined],
    ['no colon', basic('s3cret'), undefined],
    ['no base64', 'Basic ???', undefined],
    ['another scheme', 'Digest s3cret', undefined],
    ['the token alone', 's3cret', undefined],
  ])('%s', (_, authorization, name) => {
    expect(admit(authorization, 's3cret')?.name).toBe(name)
  })

  test('a password may hold colons', () => {
    expect(admit(basic('ann:a:b:c'), 'a:b:c')).toEqual({ name: 'ann' })
  })
})

test('without a token everybody may come in, and is still called by name', () => {
  expect(admit(undefined, '')).toEqual({ name: '' })
  expect(admit(basic('ann:whatever'), '')).toEqual({ name: 'ann' })
})

describe('what changes something comes from', () => {
  const host = 'tocsin.example:4318'
  test.each<[string, Record<string, string>, boolean]>([
    ['a program', { host }, true],
    ['our page', { host, 'sec-fetch-site': 'same-origin', origin: `http://${host}` }, true],
    ['our page over plain HTTP', { host, origin: `http://${host}` }, true],
    ['our page behind a proxy that speaks HTTPS', { host, origin: `https://${host}` }, true],
    ['another site', { host, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, false],
    ['another port of this host', { host, 'sec-fetch-site': 'same-site', origin: 'http://tocsin.example:9' }, false],
    ['another site over plain HTTP', { host, origin: 'http://evil.example' }, false],
    ['a sandboxed frame', { host, origin: 'null' }, false],
    ['a name that ends like ours', { host, origin: `http://evil-${host}` }, false],
    ['an address typed in', { host, 'sec-fetch-site': 'none' }, false],
    ['no host at all', { origin: `http://${host}` }, false],
  ])('%s', (_, headers, expected) => {
    expect(isFromOurPages(headers)).toBe(expected)
  })
})
