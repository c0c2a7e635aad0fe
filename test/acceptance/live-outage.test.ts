/**
 * The whole way with every real part: the shop under load with real senders, Kafka between the roles, PostgreSQL behind them, one
 * process per role, and receivers that remember. One fault is one incident, one page, one message, one ticket; also when detect and
 * notify are killed in the middle of it.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stringify } from 'yaml'
import type { ConfigInput } from '../../src/config.ts'
import type { IncidentJson } from '../../src/web/json.ts'
import { startJira, type FakeJira } from '../support/fakes/jira.ts'
import { startPagerDuty, type FakePagerDuty } from '../support/fakes/pagerduty.ts'
import { startSlack, type FakeSlack } from '../support/fakes/slack.ts'
import { startKafka, until } from '../support/kafka.ts'
import { startPostgres } from '../support/postgres.ts'
import { freePorts, temporaryFolder } from '../support/processes.ts'
import { requireOrSkip } from '../support/services.ts'
import { startLiveShop, type Shop } from '../support/shop.ts'
import { startTocsin, type RunningTocsin } from '../support/tocsin.ts'

type Role = 'ingest' | 'detect' | 'correlate' | 'notify' | 'web'

const WARM_UP_MS = 75_000

requireOrSkip(
  'kafka',
  'postgres',
  'prometheus',
)('an outage in live traffic, a process per role', () => {
  const cleanup: AsyncDisposable[] = []
  const processes = new Map<Role, RunningTocsin>()
  const ports = new Map<Role, number>()
  let pagerduty: FakePagerDuty
  let slack: FakeSlack
  let jira: FakeJira
  let shop: Shop
  let configFile: string

  const start = async (role: Role) => {
    const tocsin = await startTocsin(['run', '--config', configFile, '--role', role], ports.get(role)!)
    processes.set(role, tocsin)
  }
  const url = (role: Role) => processes.get(role)!.url
  const incidents = async () => {
    const answer = await fetch(`${url('web')}/api/v1/incidents?status=all`)
    expect(answer.status).toBe(200)
    return ((await answer.json()) as { incidents: IncidentJson[] }).incidents
  }
  /** What the roles logged, to be read when a test fails. */
  const logs = () => [...processes].map(([role, { output }]) => `--- ${role}\n${output().slice(-3_000)}`).join('\n')
  const eventually = async (what: string, condition: () => Promise<boolean> | boolean, timeoutMs: number) => {
    try {
      await until(what, condition, timeoutMs)
    } catch (error) {
      throw new Error(`${String(error)}\n${JSON.stringify(await incidents(), null, 1).slice(0, 6_000)}\n${logs()}`, { cause: error })
    }
  }

  beforeAll(async () => {
    const [kafka, postgres] = await Promise.all([startKafka(), startPostgres()])
    cleanup.push(kafka, postgres)
    pagerduty = await startPagerDuty()
    slack = await startSlack({ token: 'xoxb-test', channel: 'C0INCIDENTS' })
    jira = await startJira({ project: 'OPS', email: 'tocsin@example.com', token: 'jira-token' })
    const folder = await temporaryFolder('live')
    cleanup.push(pagerduty, slack, jira, folder)
    configFile = join(folder.path, 'tocsin.yaml')
    const config: ConfigInput = {
      transport: 'kafka',
      store: 'postgres',
      kafka: { brokers: kafka.brokers, partitions: 4, sessionTimeoutMs: 6_000, heartbeatMs: 1_500 },
      postgres: { url: await postgres.newDatabase() },
      ingest: { tickMs: 1_000 },
      detect: {
        checkpointMs: 5_000,
        detectors: {
          series: { warmupMs: 45_000, stepMs: 2_000 },
          logs: { warmUpMs: 45_000, windowMs: 5_000, latenessMs: 2_000 },
          spans: { warmUpMs: 45_000, windowMs: 5_000, latenessMs: 2_000, traceWaitMs: 4_000 },
        },
      },
      correlate: { stepMs: 1_000, laggardMs: 20_000, resolveAfterMs: 15_000, lingerMs: 30_000 },
      notify: {
        channels: {
          pagerduty: { routingKey: 'r'.repeat(32), url: pagerduty.url },
          slack: { token: 'xoxb-test', channel: 'C0INCIDENTS', apiUrl: slack.url },
          jira: { url: jira.url, email: 'tocsin@example.com', token: 'jira-token', project: 'OPS', settleMs: 500 },
        },
        delivery: { leaseMs: 4_000, sendTimeoutMs: 3_000, pollMs: 200 },
      },
    }
    writeFileSync(configFile, stringify(config))
    const roles: Role[] = ['ingest', 'detect', 'correlate', 'notify', 'web']
    for (const [i, port] of (await freePorts(roles.length)).entries()) ports.set(roles[i]!, port)
    // One by one: they would all migrate at once, which another suite tests.
    for (const role of roles) await start(role)
    shop = await startLiveShop({ target: url('ingest') })
    await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS))
  }, 240_000)

  afterAll(async () => {
    await shop?.stop()
    for (const tocsin of processes.values()) await tocsin[Symbol.asyncDispose]()
    for (const part of cleanup.reverse()) await part[Symbol.asyncDispose]()
  }, 90_000)

  it('says nothing while all is well', async () => {
    expect(await incidents()).toEqual([])
    expect(pagerduty.events).toEqual([])
  })

  it('makes one incident, one page, one message and one ticket of a slow database, and resolves them', async () => {
    await shop.inject('slow-database')
    await eventually('a page', () => pagerduty.events.length > 0, 120_000)
    await eventually('the database as the first cause', async () => (await incidents())[0]?.causes[0]?.service === 'postgresql', 60_000)
    await shop.clear('slow-database')
    await eventually('the incident to be resolved', async () => (await incidents()).every(({ status }) => status === 'resolved'), 180_000)
    await eventually('the page to be resolved', () => pagerduty.incidents().every(({ status }) => status === 'resolved'), 20_000)

    const [incident, ...others] = await incidents()
    expect(others).toEqual([])
    expect(incident!.services).toContain('inventory')
    expect(incident!.causes[0]!.evidence.length).toBeGreaterThan(0)
    expect(pagerduty.incidents().map(({ dedupKey }) => dedupKey)).toEqual([incident!.id])
    expect(pagerduty.events.filter(({ event_action }) => event_action === 'resolve')).toHaveLength(1)
    expect(slack.parents()).toHaveLength(1)
    await eventually('the message to say so', () => JSON.stringify(slack.parents()[0]).includes('esolved'), 20_000)
    expect(jira.issues).toHaveLength(1)
  }, 400_000)

  it('does the same for errors after a deploy while detect and notify are killed in the middle of it', async () => {
    const before = { pages: pagerduty.incidents().length, messages: slack.parents().length, tickets: jira.issues.length }
    // The page arrives, its answer does not, and the process that waits for it is killed: who takes over must send it again.
    pagerduty.fail('hang-after', { times: 1 })
    slack.fail('hang-after', { times: 1, path: 'chat.postMessage' })
    jira.fail('hang-after', { times: 1, path: '/issue' })
    await shop.inject('bad-deploy')
    await new Promise((resolve) => setTimeout(resolve, 8_000))
    await processes.get('detect')!.kill()
    await start('detect')
    await eventually('a page', () => pagerduty.incidents().length > before.pages, 150_000)
    await processes.get('notify')!.kill()
    await start('notify')
    await eventually('payments as the first cause', async () => (await incidents())[0]?.causes[0]?.service === 'payments', 90_000)
    await eventually(
      'the message and the ticket',
      () => slack.parents().length > before.messages && jira.issues.length > before.tickets,
      60_000,
    )
    await shop.clear('bad-deploy')
    await eventually('the incident to be resolved', async () => (await incidents()).every(({ status }) => status === 'resolved'), 180_000)
    await eventually('the page to be resolved', () => pagerduty.incidents().every(({ status }) => status === 'resolved'), 30_000)

    const all = await incidents()
    expect(all).toHaveLength(2)
    const incident = all[0]!
    expect(incident.causes[0]!.evidence.map(({ kind }) => kind)).toContain('change')
    expect(pagerduty.incidents()).toHaveLength(before.pages + 1)
    expect(pagerduty.incidents().at(-1)!.dedupKey).toBe(incident.id)
    expect(slack.parents()).toHaveLength(before.messages + 1)
    expect(jira.issues).toHaveLength(before.tickets + 1)
  }, 600_000)
})
