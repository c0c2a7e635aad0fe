/**
 * PostgreSQL is away for two minutes while senders go on. Two programs live through it: one with the embedded transport, where a 2xx means
 * that the database has it, and one with Kafka, which takes telemetry without a database. In both memory stays bounded, senders
 * that are put off come back, and what they sent is all there afterwards, told once.
 */
import { readFileSync } from 'node:fs'
import { compressSync } from 'snappy'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { IncidentJson } from '../../src/web/json.ts'
import { encode } from '../ingest/protobuf-oracle.ts'
import { startWebhook, type FakeWebhook } from '../support/fakes/webhook.ts'
import { startKafka, until, type RunningKafka } from '../support/kafka.ts'
import { startPostgres, type RunningPostgres } from '../support/postgres.ts'
import { freePorts } from '../support/processes.ts'
import { requireOrSkip } from '../support/services.ts'
import { startTocsin, type RunningTocsin } from '../support/tocsin.ts'

const AWAY_MS = 120_000
const ALERT_EVERY_MS = 4_000
const METRIC_SENDERS = 12
const IN_FLIGHT_BYTES = 32 * 1024 * 1024
/** Beyond what the program took before: bodies in flight, what they decode to, and a garbage collector that takes its time. */
const MOST_MORE_BYTES = 400 * 1024 * 1024

/** One program, those who send to it, and what they were told. */
class Side {
  readonly tocsin: RunningTocsin
  readonly webhook: FakeWebhook
  readonly statuses = new Map<number, number>()
  readonly withoutRetryAfter: number[] = []
  /** Alerts that were answered 2xx, in time or after having been put off. */
  readonly answered: string[] = []
  sent = 0
  samples = 0
  mostBytes = 0

  constructor(tocsin: RunningTocsin, webhook: FakeWebhook) {
    this.tocsin = tocsin
    this.webhook = webhook
  }

  /** Sends until it is taken, as real senders do. */
  async deliver(path: string, headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>): Promise<void> {
    for (;;) {
      const { status, retryAfterS } = await fetch(this.tocsin.url + path, { method: 'POST', headers, body }).then(
        (answer) => ({ status: answer.status, retryAfterS: answer.headers.get('retry-after') }),
        (error: unknown) => {
          throw new Error(`${path}: no answer (${String(error)})\n${this.tocsin.output().slice(-2_000)}`)
        },
      )
      this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
      if (status < 300) return
      if (status !== 429 && status !== 503) throw new Error(`${path} was answered ${status}: a sender would have dropped it`)
      if (retryAfterS === null) this.withoutRetryAfter.push(status)
      await new Promise((resolve) => setTimeout(resolve, Number(retryAfterS ?? 1) * 1000))
    }
  }

  async sendAlert(): Promise<void> {
    const name = `Alert${this.sent++}OfMany`
    const body = JSON.stringify([{ labels: { alertname: name, service: 'ledger', severity: 'critical' } }])
    await this.deliver('/api/v2/alerts', { 'content-type': 'application/json' }, body)
    this.answered.push(name)
  }

  async sendSamples(sender: number): Promise<void> {
    const timeseries = Array.from({ length: 500 }, (_, i) => ({
      labels: Object.entries({ __name__: 'bookings_open', instance: `ledger-${sender}`, service: 'ledger', shard: String(i) }).map(
        ([name, value]) => ({ name, value }),
      ),
      samples: [{ value: i, timestamp: Date.now() }],
    }))
    const headers = { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' }
    await this.deliver('/api/v1/write', headers, Uint8Array.from(compressSync(Buffer.from(encode('WriteRequest', { timeseries })))))
    this.samples += timeseries.length
  }

  async incidents(): Promise<IncidentJson[]> {
    const answer = await fetch(`${this.tocsin.url}/api/v1/incidents`)
    return ((await answer.json()) as { incidents: IncidentJson[] }).incidents
  }

  /** Alerts on the timelines. */
  async told(): Promise<string> {
    const timelines = (await this.incidents()).map(async ({ id }) => {
      const { timeline } = (await (await fetch(`${this.tocsin.url}/api/v1/incidents/${id}`)).json()) as {
        timeline: { kind: string; text: string }[]
      }
      return timeline.flatMap(({ kind, text }) => (kind === 'alert' ? [text] : [])).join('\n')
    })
    return (await Promise.all(timelines)).join('\n')
  }

  residentBytes(): number {
    const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.tocsin.pid}/status`, 'utf8'))?.[1]
    return Number(kb) * 1024
  }
}

requireOrSkip('kafka', 'postgres')('two minutes without the database', () => {
  const cleanup: AsyncDisposable[] = []
  const sides = new Map<'embedded' | 'kafka', Side>()
  let postgres: RunningPostgres
  let kafka: RunningKafka

  const side = (name: 'embedded' | 'kafka') => sides.get(name)!

  beforeAll(async () => {
    ;[postgres, kafka] = await Promise.all([startPostgres({ durable: true }), startKafka()])
    cleanup.push(postgres, kafka)
    const ports = await freePorts(2)
    await Promise.all(
      (['embedded', 'kafka'] as const).map(async (transport, i) => {
        const webhook = await startWebhook()
        const set = {
          store: 'postgres',
          'postgres.url': await postgres.newDatabase(),
          transport,
          'kafka.brokers': JSON.stringify(kafka.brokers),
          'kafka.partitions': 2,
          'ingest.tickMs': 500,
          'ingest.limits.maxInFlightBytes': IN_FLIGHT_BYTES,
          'ingest.limits.maxHandleMs': 10_000,
          'correlate.stepMs': 1_000,
          'detect.checkpointMs': 5_000,
          'notify.channels': JSON.stringify({ webhook: { url: webhook.url, secret: webhook.secret } }),
        }
        const args = ['run', ...Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`])]
        const tocsin = await startTocsin(args, ports[i]!)
        cleanup.push(webhook, tocsin)
        sides.set(transport, new Side(tocsin, webhook))
      }),
    )
  })

  afterAll(async () => {
    for (const part of cleanup.reverse()) await part[Symbol.asyncDispose]()
  })

  it('puts senders off, stays within its memory, and answers pages with 503', async () => {
    for (const one of sides.values()) {
      await one.sendAlert()
      await until('an incident is open', async () => (await one.incidents()).length === 1)
    }
    const before = new Map([...sides].map(([name, one]) => [name, one.residentBytes()]))
    await postgres.kill()
    const backAtMs = performance.now() + AWAY_MS
    const isAway = () => performance.now() < backAtMs
    const senders = [...sides.values()].flatMap((one) => [
      ...Array.from({ length: METRIC_SENDERS }, async (_, sender) => {
        while (isAway()) {
          await one.sendSamples(sender)
          await new Promise((resolve) => setTimeout(resolve, 250))
        }
      }),
      (async () => {
        const alerts: Promise<void>[] = []
        while (isAway()) {
          alerts.push(one.sendAlert())
          one.mostBytes = Math.max(one.mostBytes, one.residentBytes())
          await new Promise((resolve) => setTimeout(resolve, ALERT_EVERY_MS))
        }
        await Promise.all(alerts)
      })(),
    ])
    const pages = (async () => {
      await new Promise((resolve) => setTimeout(resolve, AWAY_MS / 2))
      for (const { tocsin } of sides.values()) {
        for (const path of ['/', '/api/v1/incidents']) {
          const answer = await fetch(tocsin.url + path)
          expect([path, answer.status, answer.headers.get('retry-after')]).toEqual([path, 503, '5'])
        }
        expect((await fetch(`${tocsin.url}/-/healthy`)).status).toBe(200)
        expect((await fetch(`${tocsin.url}/-/ready`)).status).toBe(503)
      }
    })()
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS))
    await pages
    await postgres.start()
    await Promise.all(senders)

    for (const [name, one] of sides) {
      expect(one.mostBytes - before.get(name)!, `${name}: bytes more than before`).toBeLessThan(MOST_MORE_BYTES)
      expect(one.withoutRetryAfter, name).toEqual([])
      expect(one.answered.length, name).toBe(one.sent)
    }
    expect(side('embedded').statuses.get(503) ?? 0).toBeGreaterThan(0)
    expect([...side('kafka').statuses.keys()].every((status) => status < 300)).toBe(true)
  }, 300_000)

  it.each(['embedded', 'kafka'] as const)(
    '%s: all of it is there afterwards, and told once',
    async (name) => {
      const one = side(name)
      await until(
        'every alert is on a timeline',
        async () => {
          const told = await one.told()
          return one.answered.every((alert) => told.includes(alert))
        },
        60_000,
      )
      await until('somebody was told', () => one.webhook.deliveries.some(({ type }) => type.endsWith('opened')), 60_000)
      const opened = one.webhook.deliveries.filter(({ type }) => type.endsWith('opened'))
      expect(opened).toHaveLength((await one.incidents()).length)
      const seen = await (await fetch(`${one.tocsin.url}/metrics`)).text()
      const taken = Number(/^tocsin_door_rows_total\{door="remote-write"\} (\d+)/m.exec(seen)?.[1])
      expect(taken).toBeGreaterThanOrEqual(one.samples)
      console.log(
        `${name}: answers ${JSON.stringify(Object.fromEntries(one.statuses))}, ${one.samples} samples, most resident ${Math.round(one.mostBytes / 2 ** 20)} MB`,
      )
    },
    150_000,
  )
})
