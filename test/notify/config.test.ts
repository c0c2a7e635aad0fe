/** The configuration of telling people: what is missing is off, what is wrong is named. */
import { describe, expect, test } from 'vitest'
import { notifyConfig } from '../../src/notify/config.ts'
import { channelsOf } from '../../src/notify/registry.ts'

const channels = {
  console: {},
  pagerduty: { routingKey: 'k' },
  slack: { token: 't', channel: 'C0123' },
  jira: { url: 'https://x.atlassian.net', email: 'a@b.c', token: 't', project: 'OPS' },
  webhook: { url: 'https://hooks.example/x', secret: 's' },
}

describe('notify', () => {
  test('without a word nobody is told', () => {
    expect(channelsOf(notifyConfig.parse({}))).toEqual([])
  })

  test('each channel has its default threshold; those that wake people want impact', () => {
    const described = channelsOf(notifyConfig.parse({ channels })).map(
      ({ minSeverity, name, pages }) => `${name} ${minSeverity}${pages ? ' pages' : ''}`,
    )
    expect(described).toEqual(['console info', 'pagerduty error pages', 'slack warning', 'jira error', 'webhook info'])
  })

  test.each<[string, object, string]>([
    ['an unknown channel', { channels: { opsgenie: {} } }, 'channels'],
    ['an unknown key', { channels: { console: { colour: true } } }, 'channels.console'],
    ['an unknown severity', { channels: { console: { minSeverity: 'high' } } }, 'channels.console.minSeverity'],
    ['a missing key', { channels: { pagerduty: {} } }, 'channels.pagerduty.routingKey'],
    ['a URL that is none', { channels: { webhook: { ...channels.webhook, url: 'hooks.example' } } }, 'channels.webhook.url'],
    ['a URL of another kind', { channels: { webhook: { ...channels.webhook, url: 'file:///etc/passwd' } } }, 'channels.webhook.url'],
    [
      'a signing secret that is too short',
      { channels: { webhook: { ...channels.webhook, secret: 'whsec_YQ==' } } },
      'channels.webhook.secret',
    ],
    ['a lease shorter than a send', { delivery: { sendTimeoutMs: 30_000, leaseMs: 10_000 } }, 'delivery.leaseMs'],
  ])('%s is refused with its place', (_, given, path) => {
    const { error } = notifyConfig.safeParse(given)
    expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([path])
  })
})
