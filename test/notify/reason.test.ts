/** The decision to tell, as a table: what an incident was → what it became, and what each kind of channel makes of it. */
import { describe, expect, test } from 'vitest'
import type { Incident } from '../../src/model.ts'
import { decide, updateEveryMs } from '../../src/notify/reason.ts'
import type { ChannelRules } from '../../src/notify/reason.ts'
import { explainNotices, planNotices } from '../../src/notify/routing.ts'
import { notifyConfig } from '../../src/notify/config.ts'
import { incident, openedMs, resolvedIncident } from './example.ts'

const pager: ChannelRules = { minSeverity: 'error', pages: true, tells: ['opened', 'escalated', 'acknowledged', 'resolved'] }
const chat: ChannelRules = { minSeverity: 'warning', pages: false, tells: ['opened', 'escalated', 'updated', 'acknowledged', 'resolved'] }

const mild: Incident = { ...incident, severity: 'warning' }
const unfelt: Incident = { ...incident, impact: '' }
const info: Incident = { ...incident, severity: 'info', impact: '' }
const acknowledged: Incident = { ...incident, status: 'acknowledged', acknowledgedMs: openedMs + 1 }
const causes = (...shares: [string, number][]): Incident => ({
  ...incident,
  causes: shares.map(([service, probability]) => ({ service, probability, evidence: [], refutedBy: '' })),
})

function verdicts(before: Incident | undefined, after: Incident, rules: ChannelRules): string {
  return decide(before, after, openedMs + 1, rules)
    .map((verdict) => (verdict.tell ? verdict.kind : verdict.why))
    .join(', ')
}

describe('what a channel is told', () => {
  test.each<[trace: string, before: Incident | undefined, after: Incident, pager: string, chat: string]>([
    ['nothing → error with impact', undefined, incident, 'opened', 'opened'],
    ['nothing → error that nobody feels', undefined, unfelt, 'no-impact', 'opened'],
    ['nothing → warning', undefined, mild, 'below-minimum-severity', 'opened'],
    ['nothing → info', undefined, info, 'below-minimum-severity', 'below-minimum-severity'],
    ['nothing → over', undefined, resolvedIncident, 'over-already', 'over-already'],
    ['error → the same', incident, { ...incident, updatedMs: openedMs + 9 }, 'nothing-new', 'nothing-new'],
    ['error → critical', incident, { ...incident, severity: 'critical' }, 'escalated', 'escalated'],
    ['warning → error: the pager hears of it now', mild, incident, 'opened', 'escalated'],
    ['info → warning', info, mild, 'below-minimum-severity', 'opened'],
    ['not felt → felt: the pager hears of it now', unfelt, incident, 'opened', 'updated'],
    ['critical → error', { ...incident, severity: 'critical' }, incident, 'nothing-new', 'nothing-new'],
    ['two services → three', incident, { ...incident, services: ['checkout', 'frontend', 'cart'] }, 'not-for-this-channel', 'updated'],
    ['three services → two', { ...incident, services: ['a', 'checkout', 'frontend'] }, incident, 'nothing-new', 'nothing-new'],
    ['cause changes with a clear margin', incident, causes(['db', 0.6], ['payments', 0.3]), 'not-for-this-channel', 'updated'],
    ['cause changes by a hair', incident, causes(['db', 0.45], ['payments', 0.4]), 'nothing-new', 'nothing-new'],
    ['no cause → one', causes(), causes(['db', 0.6]), 'not-for-this-channel', 'updated'],
    ['open → acknowledged', incident, acknowledged, 'acknowledged', 'acknowledged'],
    ['acknowledged → critical', acknowledged, { ...acknowledged, severity: 'critical' }, 'escalated', 'escalated'],
    [
      'open → acknowledged and critical at once',
      incident,
      { ...acknowledged, severity: 'critical' },
      'escalated, acknowledged',
      'escalated, acknowledged',
    ],
    ['acknowledged → resolved', acknowledged, resolvedIncident, 'resolved', 'resolved'],
    [
      'calmed down → resolved: whoever was told of it is told that it is over',
      info,
      { ...info, status: 'resolved' },
      'resolved',
      'resolved',
    ],
    ['resolved → resolved', resolvedIncident, resolvedIncident, 'nothing-new', 'nothing-new'],
  ])('%s', (_, before, after, forPager, forChat) => {
    expect([verdicts(before, after, pager), verdicts(before, after, chat)]).toEqual([forPager, forChat])
  })

  test('the reason says what changed', () => {
    const reason = (before: Incident | undefined, after: Incident) =>
      decide(before, after, openedMs, chat).flatMap((v) => (v.tell ? [v.reason] : []))
    expect(reason(undefined, incident)).toEqual(['A new incident: severity error, felt outside.'])
    expect(reason(mild, incident)).toEqual(['Severity went from warning to error.'])
    expect(reason(incident, causes(['db', 0.6]))).toEqual(['The most probable cause is now db (60 %), no longer payments.'])
    expect(reason(incident, { ...incident, services: ['checkout', 'frontend', 'cart', 'ads'] })).toEqual(['It has spread to cart, ads.'])
    expect(reason(incident, resolvedIncident)).toEqual(['It is over after 12 min.'])
  })
})

describe('planning notices', () => {
  const config = notifyConfig.parse({
    channels: {
      console: {},
      pagerduty: { routingKey: 'k'.repeat(32) },
      slack: { token: 't', channel: 'C1234', minSeverity: 'critical' },
    },
  })
  const plan = planNotices(config)
  const told = (before: Incident | undefined, after: Incident, atMs = openedMs) =>
    plan(before, after, atMs).map((n) => `${n.channel} ${n.kind}`)

  test('each channel by its own threshold', () => {
    expect(told(undefined, incident)).toEqual(['console opened', 'pagerduty opened'])
    expect(told(incident, { ...incident, severity: 'critical' })).toEqual(['console escalated', 'pagerduty escalated', 'slack opened'])
  })

  test('silence has a reason too', () => {
    expect(explainNotices(config)(undefined, unfelt, openedMs)).toMatchObject([
      { channel: 'console', verdict: { tell: true } },
      { channel: 'pagerduty', verdict: { tell: false, why: 'no-impact' } },
      { channel: 'slack', verdict: { tell: false, why: 'below-minimum-severity' } },
    ])
  })

  test('the same change planned again has the same ids, another one has others', () => {
    const ids = (before: Incident | undefined, after: Incident) => plan(before, after, openedMs).map((n) => n.id)
    expect(ids(undefined, incident)).toEqual(ids(undefined, incident))
    const all = [
      ...ids(undefined, incident),
      ...ids(mild, incident),
      ...ids(incident, resolvedIncident),
      ...ids(undefined, { ...incident, id: 'other' }),
    ]
    // The pager's opening is planned twice: when it is new, and when it has become bad enough.
    expect(new Set(all).size).toBe(all.length - 1)
  })

  test('updates of one stretch of five minutes are one notice', () => {
    const spread = (services: string[], afterMs: number) => plan(incident, { ...incident, services }, openedMs + afterMs).map((n) => n.id)
    const first = spread(['checkout', 'frontend', 'cart'], 1000)
    expect(first).toHaveLength(1)
    expect(spread(['checkout', 'frontend', 'ads'], updateEveryMs - 1)).toEqual(first)
    expect(spread(['checkout', 'frontend', 'ads'], updateEveryMs)).not.toEqual(first)
  })

  test('what is kept of an incident does not grow with the telemetry', () => {
    const evidence = Array.from({ length: 1000 }, () => ({ kind: 'log', points: 1, text: 'x'.repeat(10_000), ref: '' }))
    const huge = {
      ...incident,
      title: 'y'.repeat(1e6),
      causes: Array.from({ length: 100 }, () => ({ service: 's', probability: 0.1, evidence, refutedBy: '' })),
    }
    expect(JSON.stringify(plan(undefined, huge, openedMs)[0]).length).toBeLessThan(50_000)
  })
})
