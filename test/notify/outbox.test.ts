/** The outbox at work, with a real database, real HTTP and receivers that break: what is planned is told, once, in order. */
import pino from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Incident } from '../../src/model.ts'
import { notifyConfig } from '../../src/notify/config.ts'
import { createNotifyStage } from '../../src/notify/outbox.ts'
import type { NotifyStage } from '../../src/notify/outbox.ts'
import { planNotices } from '../../src/notify/routing.ts'
import type { Db } from '../../src/store/db.ts'
import { enqueueNotices, listNotices } from '../../src/store/outbox.ts'
import { openPglite } from '../../src/store/pglite.ts'
import { readTimeline } from '../../src/store/timeline.ts'
import { Telemetry } from '../../src/telemetry.ts'
import { until } from '../contract/db-suite.ts'
import { startJira } from '../support/fakes/jira.ts'
import type { FakeJira } from '../support/fakes/jira.ts'
import { startPagerDuty } from '../support/fakes/pagerduty.ts'
import type { FakePagerDuty } from '../support/fakes/pagerduty.ts'
import { startSlack } from '../support/fakes/slack.ts'
import type { FakeSlack } from '../support/fakes/slack.ts'
import { startWebhook } from '../support/fakes/webhook.ts'
import type { FakeWebhook } from '../support/fakes/webhook.ts'
import { incident, openedMs, resolvedIncident } from './example.ts'

let db: Db
let pagerduty: FakePagerDuty
let slack: FakeSlack
let jira: FakeJira
let webhook: FakeWebhook
let stages: NotifyStage[]
let logged: string[]
let telemetry: Telemetry

beforeAll(async () => {
  db = await openPglite()
})
afterAll(async () => db[Symbol.asyncDispose]())

beforeEach(async () => {
  await db.query('truncate outbox, threads, timeline restart identity')
  ;[pagerduty, slack, jira, webhook] = await Promise.all([startPagerDuty(), startSlack(), startJira(), startWebhook()])
  stages = []
  logged = []
  telemetry = new Telemetry(pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) }))
})
afterEach(async () => {
  await Promise.all(stages.map((stage) => stage.stop()))
  await Promise.all([pagerduty.stop(), slack.stop(), jira.stop(), webhook.stop()])
})

function configOf(delivery: object = {}, dryRun = false) {
  return notifyConfig.parse({
    dryRun,
    channels: {
      pagerduty: { routingKey: 'routing-key-of-thirty-two-chars!', url: pagerduty.url },
      slack: { token: 'xoxb-fake', channel: 'C0TOCSIN', apiUrl: slack.url },
      jira: { url: jira.url, email: 'bot@example.com', token: 'jira-token', project: 'OPS', settleMs: 0, resolveTransition: 'Done' },
      webhook: { url: webhook.url, secret: webhook.secret },
    },
    delivery: { pollMs: 50, ...delivery },
  })
}

let owners = 0
function start(delivery: object = {}, more: { dryRun?: boolean; print?: (text: string) => void } = {}): NotifyStage {
  const config = configOf(delivery, more.dryRun)
  const stage = createNotifyStage({
    db,
    config,
    telemetry,
    owner: `owner-${++owners}`,
    publicUrl: 'https://tocsin.example',
    clock: Date.now,
    print: more.print ?? (() => {}),
  })
  stages.push(stage)
  return stage
}

async function plan(before: Incident | undefined, after: Incident, atMs = openedMs): Promise<void> {
  await enqueueNotices(db, planNotices(configOf())(before, after, atMs))
}

const statuses = async () => (await listNotices(db)).map((n) => `${n.channel} ${n.kind} ${n.status}`)
const counted = (name: string, channel: string) =>
  telemetry.registry
    .getSingleMetric(`tocsin_${name}_total`)
    ?.get()
    .then(({ values }) => values.filter((v) => v.labels['channel'] === channel).reduce((sum, v) => sum + v.value, 0))

describe('the outbox', () => {
  test('a whole incident, told to everybody once and in order', async () => {
    await plan(undefined, incident)
    await plan(incident, { ...incident, severity: 'critical' }, openedMs + 60_000)
    await plan({ ...incident, severity: 'critical' }, { ...resolvedIncident, severity: 'critical' }, openedMs + 720_000)
    await start().drain()
    expect(pagerduty.events.map((e) => e.event_action)).toEqual(['trigger', 'trigger', 'resolve'])
    expect(pagerduty.incidents()).toMatchObject([{ status: 'resolved' }])
    expect(slack.parents()).toHaveLength(1)
    expect(slack.messages).toHaveLength(3)
    expect(jira.issues).toMatchObject([{ key: 'OPS-1', status: 'Done', comments: [{}, {}] }])
    expect(webhook.deliveries.map((d) => d.type)).toEqual(['incident.opened', 'incident.escalated', 'incident.resolved'])
    expect((await listNotices(db)).every((n) => n.status === 'sent' && n.attempts === 1)).toBe(true)
  })

  test('what was told stands on the timeline, at the time of the incident, with its reason', async () => {
    await plan(undefined, incident)
    await start().drain()
    const entries = await readTimeline(db, incident.id)
    expect(entries.map((e) => [e.kind, e.atMs, e.text]).sort((a, b) => String(a).localeCompare(String(b)))).toEqual(
      ['jira', 'pagerduty', 'slack', 'webhook'].map((name) => [
        'notice',
        openedMs,
        `Told ${name} (opened): A new incident: severity error, felt outside.`,
      ]),
    )
  })

  test('a running stage hears of a new notice without waiting for its next look', async () => {
    start({ pollMs: 60_000 })
    await plan(undefined, { ...incident, id: 'first' })
    await until(() => pagerduty.events.length === 1 && slack.messages.length === 1)
    await plan(undefined, { ...incident, id: 'second' })
    await until(() => pagerduty.events.length === 2 && slack.messages.length === 2)
  })

  test('the process dies between sending and settling: the next one sends again, and every receiver has it once', async () => {
    await plan(undefined, incident)
    // The dead one: it claimed, it sent, it never settled.
    const config = configOf()
    const dying = createNotifyStage({
      db: { ...settlingFails(db) },
      config,
      telemetry,
      owner: 'dying',
      publicUrl: '',
      clock: Date.now,
      print: () => {},
    })
    await until(
      () => pagerduty.events.length === 1 && slack.messages.length === 1 && jira.issues.length === 1 && webhook.deliveries.length === 1,
    )
    await dying.stop()
    expect(new Set(await statuses())).toEqual(new Set(['pagerduty', 'slack', 'jira', 'webhook'].map((name) => `${name} opened due`)))
    await db.query(`update outbox set lease_until = now()`)
    await start().drain()
    expect(pagerduty.events).toHaveLength(2)
    expect(pagerduty.incidents()).toHaveLength(1)
    expect(slack.messages).toHaveLength(1)
    expect(jira.issues).toHaveLength(1)
    expect(webhook.deliveries).toMatchObject([{ times: 2 }])
    expect((await listNotices(db)).map((n) => [n.status, n.attempts])).toEqual([1, 2, 3, 4].map(() => ['sent', 2]))
    expect(await readTimeline(db, incident.id)).toHaveLength(4)
  })

  test('two processes work on one outbox: nobody is told twice', async () => {
    for (let i = 0; i < 20; i++) await plan(undefined, { ...incident, id: `inc-${i}` })
    const both = [start(), start()]
    await Promise.all(both.map((stage) => stage.drain()))
    expect(pagerduty.events).toHaveLength(20)
    expect(slack.messages).toHaveLength(20)
    expect(webhook.deliveries.every((d) => d.times === 1)).toBe(true)
  })

  test('one receiver hangs: the others are told at once', async () => {
    slack.fail('hang', { times: 100 })
    await plan(undefined, incident)
    start({ sendTimeoutMs: 1000 })
    await until(() => pagerduty.events.length === 1 && jira.issues.length === 1 && webhook.deliveries.length === 1)
    expect(slack.messages).toEqual([])
    slack.recover()
    await until(() => slack.messages.length === 1, 15_000)
  })

  test('a receiver is down, then up again: opened before resolved, however long it took', async () => {
    pagerduty.fail({ status: 503 }, { times: 2 })
    await plan(undefined, incident)
    await plan(incident, resolvedIncident)
    const stage = start()
    await stage.drain()
    expect(pagerduty.events).toEqual([])
    expect(await statuses()).toContain('pagerduty resolved due')
    for (let i = 0; i < 2; i++) {
      await db.query(`update outbox set due_at = now()`)
      await stage.drain()
    }
    expect(pagerduty.events.map((e) => e.event_action)).toEqual(['trigger', 'resolve'])
    expect(await counted('notice_retried', 'pagerduty')).toBe(2)
    expect(await counted('notice_sent', 'pagerduty')).toBe(2)
  })

  test('a receiver that says when is left alone until then', async () => {
    webhook.fail({ status: 429, retryAfter: '120' })
    await plan(undefined, incident)
    await start().drain()
    const [row] = await db.query<{ s: number }>(
      `select extract(epoch from due_at - now())::float8 as s from outbox where channel = 'webhook'`,
    )
    expect(row?.s).toBeGreaterThan(115)
  })

  test('what is refused for good is dead, loud, on the timeline, and holds up nothing', async () => {
    slack.refuse('chat.postMessage', 'is_archived')
    await plan(undefined, incident)
    await plan(incident, resolvedIncident)
    await start().drain()
    const notices = await listNotices(db)
    expect(notices.filter((n) => n.channel === 'slack')).toMatchObject([
      { kind: 'opened', status: 'dead', lastError: 'Slack answered is_archived for channel C0TOCSIN' },
      { kind: 'resolved', status: 'sent' },
    ])
    expect((await readTimeline(db, incident.id)).map((e) => e.text)).toContain(
      'Could not tell slack (opened): Slack answered is_archived for channel C0TOCSIN',
    )
    const line = logged.map((text) => JSON.parse(text) as Record<string, unknown>).find((l) => l['event'] === 'notice_dead')
    expect(line).toMatchObject({ level: 50, channel: 'slack', kind: 'opened', incident: incident.id })
  })

  test('tried often enough, it is given up', async () => {
    pagerduty.fail('reset', { times: 100 })
    await plan(undefined, incident)
    const stage = start({ maxAttempts: 3 })
    for (let i = 0; i < 3; i++) {
      await stage.drain()
      await db.query(`update outbox set due_at = now()`)
    }
    expect((await listNotices(db)).find((n) => n.channel === 'pagerduty')).toMatchObject({ status: 'dead', attempts: 3 })
  })

  test('stopping waits for what is under way, and starts nothing more', async () => {
    await plan(undefined, incident)
    const stage = start()
    await until(() => slack.requests.length > 0)
    await stage.stop()
    await plan(undefined, { ...incident, id: 'later' })
    await new Promise((resolve) => setTimeout(resolve, 150))
    const notices = await listNotices(db)
    expect(notices.filter((n) => n.incidentId === 'later').every((n) => n.attempts === 0)).toBe(true)
    // Nothing was left half done: what was tried was settled.
    expect(notices.filter((n) => n.incidentId === incident.id && n.attempts > 0).every((n) => n.status === 'sent')).toBe(true)
  })

  test('the database fails for a while: the outbox goes on by itself', async () => {
    let broken = true
    const flaky: Db = {
      kind: db.kind,
      query: (sql, params) => (broken ? Promise.reject(new Error('connection refused')) : db.query(sql, params)),
      transaction: (work) => db.transaction(work),
      listen: (channel, onNotify) => (broken ? Promise.reject(new Error('connection refused')) : db.listen(channel, onNotify)),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
    await plan(undefined, incident)
    const stage = createNotifyStage({
      db: flaky,
      config: configOf(),
      telemetry,
      owner: 'flaky',
      publicUrl: '',
      clock: Date.now,
      print: () => {},
    })
    stages.push(stage)
    await until(() => logged.some((line) => line.includes('outbox_failed')))
    broken = false
    await until(() => pagerduty.events.length === 1)
  })

  test('notices for a channel that was switched off stay, and a warning says so', async () => {
    await enqueueNotices(db, [{ id: 'x', channel: 'opsgenie', kind: 'opened', reason: '', atMs: 1, incident }])
    await start().drain()
    await until(() => logged.some((line) => line.includes('channel_off')))
    expect(await statuses()).toEqual(['opsgenie opened due'])
  })

  test('no secret is ever logged', async () => {
    pagerduty.fail({ status: 500, body: 'no such key: routing-key-of-thirty-two-chars!' })
    slack.fail({ status: 500, body: 'no such token: xoxb-fake' })
    jira.fail({ status: 500, body: `no such token: jira-token, ${Buffer.from('bot@example.com:jira-token').toString('base64')}` })
    webhook.fail({ status: 500, body: `no such secret: ${webhook.secret}` })
    await plan(undefined, incident)
    await start().drain()
    const said = logged.join('') + JSON.stringify(await listNotices(db))
    expect(said).toContain('HTTP 500')
    expect(said).not.toMatch(/xoxb-fake|jira-token|routing-key-of|whsec_|Ym90QGV4|Basic |Bearer /)
  })
})

describe('a dry run', () => {
  test('prints the requests in place of sending them, secrets replaced, and leaves the rest as it would be', async () => {
    const printed: string[] = []
    await plan(undefined, incident)
    await plan(incident, resolvedIncident)
    await start({}, { dryRun: true, print: (text) => printed.push(text) }).drain()
    for (const fake of [pagerduty, slack, jira, webhook]) expect(fake.requests).toEqual([])
    const text = printed.join('')
    expect(text).toContain(`POST ${pagerduty.url}\n{\n  "routing_key": "(routing key)"`)
    expect(text).toMatch(/slack, opened[^]*chat\.postMessage[^]*slack, resolved[^]*chat\.update/)
    expect(text).toMatch(/jira, opened[^]*\/rest\/api\/3\/issue\n[^]*jira, resolved[^]*\/issue\/DRYRUN-1\/comment/)
    expect(text).not.toMatch(/xoxb-fake|jira-token|whsec_|routing-key-of/)
    expect((await statuses()).every((line) => line.endsWith('sent'))).toBe(true)
  })
})

/** Reads and claims, but whatever would settle a notice fails, as if the process had died before. */
function settlingFails(real: Db): Db {
  const gone = () => Promise.reject(new Error('the process is gone'))
  return {
    kind: real.kind,
    query: (sql, params) => (sql.includes('lease_owner = null') ? gone() : real.query(sql, params)),
    transaction: gone,
    listen: (channel, onNotify) => real.listen(channel, onNotify),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
