/** Alerts from an Alertmanager: told by its webhook, or posted to us as if we were one; the same alert by both ways is one. */
import { describe, expect, it } from 'vitest'
import { isAlertmanagerWebhook } from '../../src/ingest/events/alertmanager-webhook.ts'
import type { DoorRequest } from '../../src/ingest/door.ts'
import type { Alert } from '../../src/model.ts'
import { NOW_MS, eventsOf, openDoors, post, postJson, recorded } from './doors-fixture.ts'

const WEBHOOK = '/api/v1/alertmanager'
const real = recorded('alertmanager.alertmanager-webhook.json.1')
const group = JSON.parse(Buffer.from(real.body).toString()) as Record<string, unknown> & { alerts: Record<string, unknown>[] }
const firing = group.alerts[0]!
const groupOf = (...alerts: unknown[]) => ({ ...group, alerts })

async function sent(request: DoorRequest): Promise<{ status: number; body: string; alerts: Alert[]; metrics: string }> {
  const { door, transport, telemetry } = openDoors()
  const { status, body } = await door.accept(request)
  return { status, body: String(body), alerts: eventsOf(transport.of('events')) as Alert[], metrics: await telemetry.registry.metrics() }
}

describe('a webhook of Alertmanager 0.25, as it was recorded', () => {
  it('is an alert that lasts until it is resolved or has not been repeated for long', async () => {
    const { status, body, alerts } = await sent(real)
    expect([status, body]).toEqual([200, ''])
    expect(alerts).toEqual([
      {
        kind: 'alert',
        id: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
        name: 'LabAlert',
        service: 'unknown',
        severity: 'critical',
        summary: 'hello',
        labels: [
          ['alertname', 'LabAlert'],
          ['instance', 'x'],
          ['severity', 'page'],
        ],
        startMs: Date.parse('2026-11-23T14:29:33.168Z'),
        endMs: NOW_MS + 5 * 3_600_000,
        atMs: NOW_MS,
        url: 'http://vm:39093',
      },
    ])
  })

  it('is the alert that Prometheus posts here itself', async () => {
    const { labels, annotations, startsAt } = firing
    const direct = await sent(postJson('/api/v2/alerts', [{ labels, annotations, startsAt, endsAt: '2026-11-23T16:04:00Z' }]))
    expect(direct.alerts[0]!.id).toBe((await sent(real)).alerts[0]!.id)
  })

  it.each<[what: string, endsAt: string | undefined, endMs: number]>([
    ['before now', '2026-11-23T15:59:00.168Z', Date.parse('2026-11-23T15:59:00.168Z')],
    ['by a clock that is ahead', '2026-11-23T16:00:30Z', NOW_MS],
    ['without an end', undefined, NOW_MS],
    ["with Go's zero time", '0001-01-01T00:00:00Z', NOW_MS],
  ])('ends when it is resolved %s', async (_what, endsAt, endMs) => {
    const { alerts } = await sent(postJson(WEBHOOK, groupOf({ ...firing, status: 'resolved', endsAt })))
    expect(alerts).toMatchObject([{ id: (await sent(real)).alerts[0]!.id, endMs }])
  })

  it('told twice in one group counts once; firing and resolved are two', async () => {
    const resolved = { ...firing, status: 'resolved', endsAt: '2026-11-23T15:00:00Z' }
    const { alerts, metrics } = await sent(
      postJson(WEBHOOK, groupOf(firing, firing, resolved, { ...firing, startsAt: '2026-11-23T15:00:00Z' })),
    )
    expect(alerts).toHaveLength(3)
    expect(metrics).toContain('tocsin_door_skipped_total{door="alertmanager",reason="duplicate"} 1')
  })

  it('counts what the sender left out, within reason', async () => {
    expect((await sent(postJson(WEBHOOK, { ...group, truncatedAlerts: 7 }))).metrics).toContain(
      'tocsin_door_skipped_total{door="alertmanager",reason="truncated-by-sender"} 7',
    )
    for (const truncatedAlerts of [-5, 'x', null, 0.5])
      expect((await sent(postJson(WEBHOOK, { ...group, truncatedAlerts }))).metrics).not.toContain('truncated-by-sender')
    expect((await sent(postJson(WEBHOOK, { ...group, truncatedAlerts: 1e300 }))).metrics).toContain('truncated-by-sender"} 1000000')
  })

  it('of Grafana, which calls it version 1, is read, too', async () => {
    const grafana = {
      ...groupOf({ ...firing, values: { B: 1 }, dashboardURL: 'https://g/d/1' }),
      version: '1',
      orgId: 1,
      title: '[FIRING:1]',
    }
    expect((await sent(postJson(WEBHOOK, grafana))).alerts).toMatchObject([{ name: 'LabAlert' }])
  })

  it('is told from other JSON when a record does not say what it is', () => {
    expect([group, [group], { alerts: [] }, { ...group, receiver: 1 }, null, 5].map(isAlertmanagerWebhook)).toEqual([
      true,
      false,
      false,
      false,
      false,
      false,
    ])
  })
})

describe('what is no such webhook is refused and says what is missing', () => {
  it.each<[what: string, request: DoorRequest, status: number, says: RegExp]>([
    ['text', post(WEBHOOK, { 'content-type': 'text/plain' }, '{}'), 415, /Content-Type/],
    ['no JSON', post(WEBHOOK, { 'content-type': 'application/json' }, '{'), 400, /not JSON/],
    ['what Prometheus posts', postJson(WEBHOOK, [firing]), 400, /the body must be an object/],
    ['a payload of a template', postJson(WEBHOOK, { text: 'LabAlert is firing' }), 400, /"version" is missing; a receiver whose payload/],
    ['a version from the future', postJson(WEBHOOK, { ...group, version: '5' }), 400, /"version" must be "4", not "5"/],
    ['a version that is a tree', postJson(WEBHOOK, { ...group, version: [[['x']]] }), 400, /"version" must be "4"/],
    ['no alerts', postJson(WEBHOOK, { ...group, alerts: undefined }), 400, /"alerts" is missing/],
    ['alerts that are text', postJson(WEBHOOK, { ...group, alerts: 'LabAlert' }), 400, /"alerts" must be an array/],
    [
      'a gap where the status was',
      postJson(WEBHOOK, groupOf({ ...firing, status: undefined }, firing)),
      400,
      /^1 alerts rejected \(1 no-status\); all others were taken/,
    ],
    ['a gap where the labels were', postJson(WEBHOOK, groupOf({ ...firing, labels: undefined }, firing)), 400, /1 no-labels/],
    ['things that are no alerts', postJson(WEBHOOK, groupOf(5, null, 'x', [], firing)), 400, /3 not-an-alert, 1 no-status/],
    ['a time that is none', postJson(WEBHOOK, groupOf({ ...firing, startsAt: 'noon' }, firing)), 400, /1 bad-time/],
    [
      '10,000 levels',
      post(
        WEBHOOK,
        { 'content-type': 'application/json' },
        JSON.stringify(group).replace('[', `[${'['.repeat(10_000)}${']'.repeat(10_000)},`),
      ),
      400,
      /1 no-status/,
    ],
  ])('%s: %i', async (_what, request, status, says) => {
    const answer = await sent(request)
    expect([answer.status, JSON.parse(answer.body)]).toEqual([status, expect.stringMatching(says)])
    expect(answer.alerts).toHaveLength(/all others/.test(answer.body) ? 1 : 0)
  })

  it('asks to come back when it is our fault, with the status that Alertmanager retries', async () => {
    const { door, transport } = openDoors()
    transport.failWith = new Error('away')
    expect(await door.accept(real)).toMatchObject({ status: 503, headers: { 'retry-after': '5' } })
    const full = openDoors({ limits: { maxInFlightBytes: 10 } })
    expect(await full.door.accept(real)).toMatchObject({ status: 503, headers: { 'retry-after': '2' } })
  })
})

describe('as an Alertmanager', () => {
  it('takes what old Prometheis post to v1, and answers as v1 did', async () => {
    const good = await sent(postJson('/api/v1/alerts', [{ labels: { alertname: 'A', service: 'cart' } }]))
    expect([good.status, good.body, good.alerts[0]!.service]).toEqual([200, '{"status":"success"}', 'cart'])
    expect(await sent(postJson('/api/v1/alerts', [{ labels: {} }]))).toMatchObject({ status: 400, alerts: [] })
  })

  it('an alert that only says when it ended began then', async () => {
    const { alerts } = await sent(postJson('/api/v2/alerts', [{ labels: { a: 'b' }, endsAt: '2026-11-23T14:00:00Z' }]))
    expect(alerts).toMatchObject([{ startMs: Date.parse('2026-11-23T14:00:00Z'), endMs: Date.parse('2026-11-23T14:00:00Z') }])
  })
})
