/**
 * The embedded program and its data folder: what was answered 2xx survives a kill in the middle of traffic and a stop in the middle of
 * traffic, incidents and notices go on where they were, and what was learnt is not learnt again.
 */
import { join } from 'node:path'
import { compressSync } from 'snappy'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { IncidentJson } from '../../src/web/json.ts'
import { encode } from '../ingest/protobuf-oracle.ts'
import { startWebhook, type FakeWebhook } from '../support/fakes/webhook.ts'
import { until } from '../support/kafka.ts'
import { freePorts, temporaryFolder } from '../support/processes.ts'
import { startTocsin, type RunningTocsin } from '../support/tocsin.ts'

const cleanup: AsyncDisposable[] = []
let args: string[]
let port: number
let tocsin: RunningTocsin
let webhook: FakeWebhook
let incidentId: string
/** Names of alerts that were answered 2xx. */
const answered: string[] = []
let sent = 0

const start = async () => void (tocsin = await startTocsin(args, port))

async function incidents(): Promise<IncidentJson[]> {
  const answer = await fetch(`${tocsin.url}/api/v1/incidents`)
  return ((await answer.json()) as { incidents: IncidentJson[] }).incidents
}

/** Alerts on the timeline of the incident. */
async function alertsTold(): Promise<string> {
  const answer = await fetch(`${tocsin.url}/api/v1/incidents/${incidentId}`)
  const { timeline } = (await answer.json()) as { timeline: { kind: string; text: string }[] }
  return timeline.flatMap(({ kind, text }) => (kind === 'alert' ? [text] : [])).join('\n')
}

/** True: the program has answered that it is safe. */
async function post(path: string, headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>): Promise<boolean> {
  try {
    return (await fetch(tocsin.url + path, { method: 'POST', headers, body })).ok
  } catch {
    return false // killed or stopping: not answered, so nothing was promised
  }
}

async function sendAlert(): Promise<void> {
  const name = `Alert-${sent++}-of-many`
  const body = JSON.stringify([{ labels: { alertname: name, service: 'ledger', severity: 'critical' } }])
  if (await post('/api/v2/alerts', { 'content-type': 'application/json' }, body)) answered.push(name)
}

function sendSample(): Promise<boolean> {
  const labels = Object.entries({ __name__: 'bookings_open', service: 'ledger' }).map(([name, value]) => ({ name, value }))
  const body = encode('WriteRequest', { timeseries: [{ labels, samples: [{ value: 5, timestamp: Date.now() }] }] })
  const headers = { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' }
  return post('/api/v1/write', headers, Uint8Array.from(compressSync(Buffer.from(body))))
}

/** Four senders at a time, until the program is gone. */
async function traffic(whileIt: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  void whileIt.then(() => over.abort())
  const sender = async () => {
    while (!over.signal.aborted) {
      await sendAlert()
      await sendSample()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  await Promise.all(Array.from({ length: 4 }, sender))
}

async function seriesKnown(): Promise<number> {
  const text = await (await fetch(`${tocsin.url}/metrics`)).text()
  return Number(/^tocsin_detect_state\{detector="series",what="series"\} (\d+)/m.exec(text)?.[1] ?? 0)
}

async function expectNothingLost(): Promise<void> {
  await until('every alert that was answered is on the timeline', async () => {
    const told = await alertsTold()
    return answered.every((name) => told.includes(name))
  })
  expect(await incidents()).toMatchObject([{ id: incidentId, status: 'open', services: ['ledger'] }])
  const opened = webhook.deliveries.filter(({ type }) => type.endsWith('opened'))
  expect(opened.map(({ times }) => times)).toEqual([1])
}

beforeAll(async () => {
  const folder = await temporaryFolder('durability')
  webhook = await startWebhook()
  cleanup.push(folder, webhook)
  ;[port] = (await freePorts(1)) as [number]
  const set = {
    dataDir: join(folder.path, 'data'),
    'ingest.tickMs': 200,
    'correlate.stepMs': 1_000,
    'detect.checkpointMs': 1_000,
    'notify.channels': JSON.stringify({ webhook: { url: webhook.url, secret: webhook.secret } }),
  }
  args = ['run', ...Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`])]
  await start()
})

afterAll(async () => {
  await tocsin?.[Symbol.asyncDispose]()
  for (const part of cleanup.reverse()) await part[Symbol.asyncDispose]()
})

it('opens an incident, tells of it, and learns', async () => {
  await sendAlert()
  await sendSample()
  await until('the incident', async () => (await incidents()).length > 0)
  incidentId = (await incidents())[0]!.id
  await until('its notice', () => webhook.deliveries.length > 0)
  await until('its series to be known', async () => (await seriesKnown()) > 0)
  await new Promise((resolve) => setTimeout(resolve, 2_000)) // a checkpoint is due by now
}, 40_000)

it('killed in the middle of traffic, it goes on where it was', async () => {
  const before = answered.length
  const sending = traffic(tocsin.ended)
  await until('traffic flows', () => answered.length > before + 40)
  await tocsin.kill()
  await sending
  await start()
  expect(await seriesKnown(), 'what was learnt is still known').toBeGreaterThan(0)
  await expectNothingLost()
}, 60_000)

it('stopped in the middle of traffic, it ends at once with 0 and loses nothing', async () => {
  const before = answered.length
  const sending = traffic(tocsin.ended)
  await until('traffic flows', () => answered.length > before + 40)
  const startMs = performance.now()
  expect(await tocsin.stop()).toBe(0)
  expect(performance.now() - startMs).toBeLessThan(10_000)
  await sending
  await start()
  expect(await seriesKnown()).toBeGreaterThan(0)
  await expectNothingLost()
}, 60_000)
