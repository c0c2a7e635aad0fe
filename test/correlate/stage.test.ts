/** The correlator with a real store: what it writes, what it survives, what it refuses. */
import pino from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeFindings } from '../../src/codec.ts'
import { correlateConfig } from '../../src/correlate/config.ts'
import { startCorrelateStage } from '../../src/correlate/stage.ts'
import { FencedError } from '../../src/errors.ts'
import type { Finding, PlannedNotice, PlanNotices } from '../../src/model.ts'
import { act } from '../../src/store/actions.ts'
import { readAnomalies } from '../../src/store/anomalies.ts'
import { readChanges } from '../../src/store/changes.ts'
import { loadCheckpoint } from '../../src/store/checkpoints.ts'
import type { Db } from '../../src/store/db.ts'
import { listIncidents } from '../../src/store/incidents.ts'
import { listNotices } from '../../src/store/outbox.ts'
import { openPglite } from '../../src/store/pglite.ts'
import { readTimeline } from '../../src/store/timeline.ts'
import { Telemetry } from '../../src/telemetry.ts'
import { topicsWith } from '../../src/transport/topics.ts'
import type { BatchHandler, OutRecord, Transport } from '../../src/transport/transport.ts'
import { deploy, ended, errors, heardMs, latency, MINUTE, SECOND, START_MS, traffic } from '../support/findings.ts'

const topics = topicsWith('test')
const signal = new AbortController().signal
const FAULT_MS = START_MS + 3 * MINUTE

/** Hands records to one handler by hand and remembers what is published. */
class HandTransport implements Transport {
  readonly published: { topic: string; record: OutRecord }[] = []
  handler: BatchHandler | undefined
  failing = false
  async ensureTopic(): Promise<void> {}
  async partitions(): Promise<number> {
    return 1
  }
  async publish(topic: string, records: readonly OutRecord[]): Promise<void> {
    if (this.failing) throw new Error('broker away')
    for (const record of records) this.published.push({ topic, record })
  }
  async subscribe(topic: string, group: string, handler: BatchHandler): Promise<AsyncDisposable> {
    expect([topic, group]).toEqual([topics.findings, 'correlate'])
    this.handler = handler
    return { [Symbol.asyncDispose]: async () => handler.revoked?.(0) }
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}

/** One notice per change of status, so that the outbox tells what was planned. */
const planNotices: PlanNotices = (before, after, atMs) => {
  if (before?.status === after.status) return []
  const kind = after.status === 'open' ? 'opened' : after.status
  return [{ id: `${after.id}/${kind}`, channel: 'console', kind, reason: 'it changed', atMs, incident: after } satisfies PlannedNotice]
}

let db: Db
beforeAll(async () => {
  db = await openPglite()
})
afterAll(() => db[Symbol.asyncDispose]())
beforeEach(async () => {
  await db.query('truncate incidents, timeline, anomalies, changes, actions, outbox, checkpoints cascade')
})

interface Running {
  readonly transport: HandTransport
  readonly next: number | undefined
  handle(records: readonly Uint8Array[], firstOffset: number): Promise<void>
  stop(): Promise<void>
}

async function start(store: Db = db): Promise<Running> {
  const transport = new HandTransport()
  const telemetry = new Telemetry(pino({ level: 'silent' }))
  const stage = await startCorrelateStage({ transport, topics, db: store, config: correlateConfig.parse({}), telemetry, planNotices })
  const handler = transport.handler!
  const next = await handler.assigned?.(0)
  return {
    transport,
    next,
    handle: (records, firstOffset) =>
      handler.handle(
        {
          topic: topics.findings,
          partition: 0,
          records: records.map((value, i) => ({ offset: firstOffset + i, value, key: '', headers: {}, timestampMs: 0 })),
        },
        signal,
      ),
    stop: async () => stage[Symbol.asyncDispose](),
  }
}

/** One record per tick, as detect sends them. */
function records(findings: readonly Finding[], fromMs: number, untilMs: number): Uint8Array[] {
  const sorted = findings.toSorted((a, b) => heardMs(a) - heardMs(b))
  const made: Uint8Array[] = []
  let next = 0
  for (let nowMs = fromMs; nowMs <= untilMs; nowMs += 5 * SECOND) {
    const batch: Finding[] = []
    for (; next < sorted.length && heardMs(sorted[next]!) <= nowMs; next++) batch.push(sorted[next]!)
    made.push(encodeFindings([...batch, { kind: 'progress', partition: 0, nowMs }]))
  }
  return made
}

function outage(): Finding[] {
  const overMs = FAULT_MS + 2 * MINUTE
  const symptoms = [errors('payments', FAULT_MS, 0.45), errors('checkout', FAULT_MS, 0.45), latency('gateway', FAULT_MS + 10 * SECOND, 400)]
  return [
    ...traffic(START_MS, FAULT_MS),
    ...traffic(FAULT_MS, overMs, { payments: { failing: 0.45 } }),
    ...traffic(overMs, overMs + 5 * MINUTE),
    ...symptoms.flatMap((one) => [one, ended(one, overMs)]),
    deploy('payments', FAULT_MS - 20 * SECOND),
  ]
}

const story = records(outage(), START_MS, FAULT_MS + 8 * MINUTE)
const half = Math.floor((FAULT_MS + MINUTE - START_MS) / (5 * SECOND))

async function standing() {
  const incidents = await listIncidents(db, { status: 'all', limit: 10 })
  const timelines = await Promise.all(incidents.map((incident) => readTimeline(db, incident.id)))
  const anomalies = await Promise.all(incidents.map((incident) => readAnomalies(db, incident.id)))
  return { incidents, timelines, anomalies, notices: await listNotices(db), changes: await readChanges(db, 0, Number.MAX_SAFE_INTEGER) }
}

describe('the correlate stage', () => {
  it('writes an outage down: incident, timeline, anomalies, changes, notices and its position', async () => {
    const stage = await start()
    expect(stage.next).toBeUndefined()
    for (const [offset, record] of story.entries()) await stage.handle([record], offset)
    const { incidents, timelines, anomalies, notices, changes } = await standing()
    expect(incidents).toHaveLength(1)
    expect(incidents[0]).toMatchObject({ status: 'resolved', services: expect.arrayContaining(['payments', 'checkout', 'gateway']) })
    expect(incidents[0]!.causes[0]).toMatchObject({ service: 'payments' })
    expect(new Set(timelines[0]!.map((entry) => entry.kind))).toEqual(
      new Set(['opened', 'anomaly', 'recovered', 'change', 'cause', 'resolved']),
    )
    expect(anomalies[0]).toHaveLength(3)
    expect(notices.map((notice) => notice.kind).toSorted()).toEqual(['opened', 'resolved'])
    expect(changes).toHaveLength(1)
    expect((await loadCheckpoint(db, 'correlate', 0))!.offset).toBe(story.length)
    await stage.stop()
  })

  it('goes on where it was after a restart, with the same result', async () => {
    const whole = await start()
    await whole.handle(story, 0)
    const expected = await standing()
    await db.query('truncate incidents, timeline, anomalies, changes, actions, outbox, checkpoints cascade')

    const first = await start()
    for (const [offset, record] of story.slice(0, half).entries()) await first.handle([record], offset)
    // No goodbye: this one is killed.
    const second = await start()
    expect(second.next).toBeLessThanOrEqual(half)
    for (let offset = second.next!; offset < story.length; offset++) await second.handle([story[offset]!], offset)
    expect(await standing()).toEqual(expected)
  })

  it('takes records that come again, and batches that overlap, once', async () => {
    const stage = await start()
    await stage.handle(story.slice(0, half), 0)
    await stage.handle(story.slice(half - 5, half + 5), half - 5)
    await stage.handle(story.slice(half - 2), half - 2)
    expect((await standing()).incidents).toHaveLength(1)
    expect((await loadCheckpoint(db, 'correlate', 0))!.offset).toBe(story.length)
  })

  it('puts what it cannot read with the dead letters, with the reason, and goes on', async () => {
    const stage = await start()
    const broken = Buffer.from('{"version":1,"findings":"none"}')
    const timeless = encodeFindings([{ ...errors('checkout', FAULT_MS), startMs: NaN }, deploy('checkout', FAULT_MS)])
    await stage.handle([broken, timeless, ...story], 0)
    expect(
      stage.transport.published.map(({ topic, record }) => [topic, record.headers!['x-error-reason'], record.headers!['x-origin-offset']]),
    ).toEqual([
      [topics.deadLetters, 'undecodable', '0'],
      [topics.deadLetters, 'bad_finding', '1'],
    ])
    const { incidents, changes } = await standing()
    expect(incidents).toHaveLength(1)
    expect(changes, 'the good finding beside the bad one').toHaveLength(2)
  })

  it('does not lose what it cannot read while the dead letters are out of reach', async () => {
    const stage = await start()
    stage.transport.failing = true
    await expect(stage.handle([Buffer.from('?')], 0)).rejects.toThrow('broker away')
    stage.transport.failing = false
    await stage.handle([Buffer.from('?')], 0)
    expect(stage.transport.published).toHaveLength(1)
  })

  it('has not moved when its transaction is rolled back', async () => {
    let failures = 0
    const flaky: Db = {
      kind: db.kind,
      query: (sql, params) => db.query(sql, params),
      listen: (channel, onNotify) => db.listen(channel, onNotify),
      transaction: (work) =>
        db.transaction(async (tx) => {
          const result = await work(tx)
          if (failures++ % 2 === 0) throw new Error('connection lost before the commit')
          return result
        }),
      [Symbol.asyncDispose]: async () => {},
    }
    const stage = await start(flaky)
    for (const [offset, record] of story.entries()) {
      try {
        await stage.handle([record], offset)
      } catch {
        await stage.handle([record], offset)
      }
    }
    expect(failures).toBeGreaterThan(20)
    const result = await standing()
    await db.query('truncate incidents, timeline, anomalies, changes, actions, outbox, checkpoints cascade')
    const steady = await start()
    for (const [offset, record] of story.entries()) await steady.handle([record], offset)
    expect(result).toEqual(await standing())
  })

  it('is fenced off by another that has gone on, and writes nothing then', async () => {
    const old = await start()
    await old.handle(story.slice(0, 20), 0)
    const successor = await start()
    await successor.handle(story.slice(20, half), 20)
    const before = await standing()
    await expect(old.handle(story.slice(20), 20)).rejects.toThrow(FencedError)
    expect(await standing()).toEqual(before)
  })

  it('hears what people do: who acknowledges is told to the channels, who resolves ends it', async () => {
    const stage = await start()
    await stage.handle(story.slice(0, half), 0)
    const [incident] = await listIncidents(db, { status: 'open', limit: 1 })
    await db.transaction((tx) => act(tx, { incidentId: incident!.id, kind: 'acknowledge', by: 'ana', atMs: FAULT_MS + MINUTE }))
    await stage.handle(story.slice(half, half + 2), half)
    await db.transaction((tx) => act(tx, { incidentId: incident!.id, kind: 'resolve', by: 'ana', atMs: FAULT_MS + 70 * SECOND }))
    await stage.handle(story.slice(half + 2), half + 2)
    const { incidents, notices, timelines } = await standing()
    expect(incidents).toHaveLength(1)
    expect(incidents[0]).toMatchObject({ status: 'resolved', acknowledgedMs: FAULT_MS + MINUTE, resolvedMs: FAULT_MS + 70 * SECOND })
    expect(notices.map((notice) => notice.kind).toSorted()).toEqual(['acknowledged', 'opened', 'resolved'])
    expect(timelines[0]!.filter((entry) => entry.kind === 'person')).toHaveLength(2)
    expect(timelines[0]!.filter((entry) => entry.kind === 'resolved')).toEqual([])
  })

  it('keeps traffic in memory until time makes a step, and saves it when it stops', async () => {
    const stage = await start()
    await stage.handle(
      [
        encodeFindings([
          { kind: 'progress', partition: 0, nowMs: START_MS },
          { kind: 'progress', partition: 1, nowMs: START_MS },
        ]),
      ],
      0,
    )
    await stage.handle(
      [encodeFindings([...traffic(START_MS, START_MS + 10 * SECOND), { kind: 'progress', partition: 0, nowMs: START_MS + 30 * SECOND }])],
      1,
    )
    expect((await loadCheckpoint(db, 'correlate', 0))!.offset).toBe(1)
    await stage.handle([encodeFindings([errors('checkout', START_MS)])], 2)
    expect((await loadCheckpoint(db, 'correlate', 0))!.offset, 'an anomaly is never only in memory').toBe(3)
    await stage.handle([encodeFindings([{ kind: 'progress', partition: 0, nowMs: START_MS + 35 * SECOND }])], 3)
    await stage.stop()
    expect((await loadCheckpoint(db, 'correlate', 0))!.offset).toBe(4)
  })
})
