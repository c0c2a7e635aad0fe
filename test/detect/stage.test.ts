import { pino } from 'pino'
import { expect, test } from 'vitest'
import { decodeFindings, encodeBatch } from '../../src/codec.ts'
import { FencedError } from '../../src/errors.ts'
import type { Batch, Finding } from '../../src/model.ts'
import { detectConfig } from '../../src/detect/config.ts'
import { startDetectStage } from '../../src/detect/stage.ts'
import type { Db, Queryable } from '../../src/store/db.ts'
import { Telemetry } from '../../src/telemetry.ts'
import { topicsWith } from '../../src/transport/topics.ts'
import { partitionFor, type BatchHandler, type OutRecord, type Transport } from '../../src/transport/transport.ts'
import { noise, seriesOf, START_MS, story } from './metric-feed.ts'

const TOPICS = topicsWith('t')
const config = detectConfig.parse({ off: ['service'], checkpointMs: 60_000 })

/** Remembers the rows of the checkpoints table, and nothing else. */
class FakeStore {
  readonly rows = new Map<number, { next_offset: number; state: Uint8Array }>()
  saves = 0
  broken = false
  readonly db = this as unknown as Db
  readonly query: Queryable['query'] = async <Row>(sql: string, params: readonly unknown[] = []): Promise<Row[]> => {
    if (this.broken) throw new Error('the store is away')
    const partition = params[1] as number
    const row = this.rows.get(partition)
    if (sql.startsWith('select')) return (row ? [{ next_offset: row.next_offset, part: 0, bytes: row.state }] : []) as Row[]
    const insert = sql.startsWith('insert')
    const [offset, state] = params.slice(insert ? 2 : 3) as [number, Uint8Array]
    if (insert ? row !== undefined : row?.next_offset !== params[2]) return []
    this.rows.set(partition, { next_offset: offset, state })
    this.saves++
    return [{}] as Row[]
  }
  /** States here are smaller than a part, so that a save is one statement. */
  async transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return work(this)
  }
}

/** Hands records to the handler as a carrier would, and keeps what is published. */
class FakeTransport {
  readonly published: { topic: string; record: OutRecord }[] = []
  broken = false
  handler: BatchHandler | undefined
  readonly transport = this as unknown as Transport
  #next = 0
  async publish(topic: string, records: readonly OutRecord[]): Promise<void> {
    if (this.broken) throw new Error('the carrier is away')
    for (const record of records) this.published.push({ topic, record })
  }
  async subscribe(_topic: string, _group: string, handler: BatchHandler): Promise<AsyncDisposable> {
    this.handler = handler
    return { [Symbol.asyncDispose]: async () => handler.revoked?.(0) }
  }
  async assign(): Promise<number | undefined> {
    const next = await this.handler!.assigned!(0)
    this.#next = next ?? 0
    return next
  }
  /** One handled batch; when it fails the records come again with the next call. */
  async deliver(values: readonly Uint8Array[]): Promise<void> {
    const records = values.map((value, i) => ({ offset: this.#next + i, value, key: '', headers: { origin: 'test' }, timestampMs: 0 }))
    await this.handler!.handle({ topic: TOPICS.telemetry, partition: 0, records }, new AbortController().signal)
    this.#next += records.length
  }
  get findings(): Finding[] {
    return this.published.filter(({ topic }) => topic === TOPICS.findings).flatMap(({ record }) => decodeFindings(record.value))
  }
}

async function started(
  store = new FakeStore(),
  partitions?: number,
): Promise<{ store: FakeStore; carrier: FakeTransport; stage: AsyncDisposable; telemetry: Telemetry }> {
  const carrier = new FakeTransport()
  const telemetry = new Telemetry(pino({ level: 'silent' }))
  const stage = await startDetectStage({
    transport: carrier.transport,
    topics: TOPICS,
    db: store.db,
    config,
    telemetry,
    ...(partitions && { partitions }),
  })
  await carrier.assign()
  return { store, carrier, stage, telemetry }
}

function incident(): Batch[] {
  const z = noise(1)
  return story(260, 5000, (step, timeMs) => [[seriesOf('jobs_queue_depth'), timeMs, 10 + z() + (step >= 150 && step < 190 ? 300 : 0)]])
}
/** Two services of which one is heard no more after step 100. */
function oneGoesSilent(service: string): Batch[] {
  const z = noise(2)
  return story(200, 5000, (step, timeMs) => [
    [seriesOf('jobs_done', {}, 'other'), timeMs, 10 + z()],
    ...(step < 100 ? [[seriesOf('jobs_done', {}, service), timeMs, 10 + z()] as const] : []),
  ])
}
const encoded = (batches: readonly Batch[]): Uint8Array[] => batches.map(encodeBatch)

test('findings come out in one record per handled batch, progress last', async () => {
  const { carrier } = await started()
  await carrier.deliver(encoded(incident()))
  expect(carrier.published.length).toBe(1)
  expect(carrier.published[0]).toMatchObject({ topic: TOPICS.findings, record: { partition: 0 } })
  expect(carrier.findings.filter((f) => f.kind === 'anomaly').length).toBeGreaterThan(1)
  expect(carrier.findings.at(-1)).toMatchObject({ kind: 'progress', partition: 0 })
})

test('a service that is silent is missing, unless its telemetry goes into another partition now', async () => {
  const missing = async (service: string) => {
    const { carrier } = await started(new FakeStore(), 2)
    await carrier.deliver(encoded(oneGoesSilent(service)))
    return carrier.findings.some((f) => f.kind === 'anomaly' && f.symptom === 'absence' && f.service === service)
  }
  const names = ['a', 'b', 'c', 'd']
  const here = names.find((name) => partitionFor(name, 2) === 0)!
  const elsewhere = names.find((name) => partitionFor(name, 2) === 1)!
  expect([await missing(here), await missing(elsewhere)]).toEqual([true, false])
})

test('a batch that brings nothing to light publishes nothing', async () => {
  const { carrier } = await started()
  await carrier.deliver(encoded([incident()[0]!]))
  expect(carrier.published).toEqual([])
})

test('a record that cannot be read goes to the dead letters with the reason, and the next one is read', async () => {
  const { carrier, telemetry } = await started()
  await carrier.deliver([Uint8Array.of(1, 2, 3), ...encoded([{ kind: 'tick', nowMs: START_MS }])])
  expect(carrier.published[0]).toMatchObject({
    topic: TOPICS.deadLetters,
    record: { value: Uint8Array.of(1, 2, 3), headers: { 'x-error-reason': 'undecodable', origin: 'test', 'x-origin-offset': '0' } },
  })
  expect(carrier.findings).toEqual([{ kind: 'progress', partition: 0, nowMs: START_MS }])
  expect(await telemetry.registry.metrics()).toContain('tocsin_detect_dead_letter_total{reason="undecodable"} 1')
})

test('checkpoints follow event time and cover what was published; a restart goes on from there with the same findings', async () => {
  const batches = incident()
  const whole = await started()
  for (const batch of batches) await whole.carrier.deliver(encoded([batch]))
  expect(whole.store.saves).toBe(21)

  const first = await started()
  for (const batch of batches.slice(0, 333)) await first.carrier.deliver(encoded([batch]))
  const crashed = await started(first.store)
  const offset = first.store.rows.get(0)!.next_offset
  expect(offset).toBeLessThan(333)
  for (const batch of batches.slice(offset)) await crashed.carrier.deliver(encoded([batch]))
  const again = new Map([...first.carrier.findings, ...crashed.carrier.findings].map((f) => [JSON.stringify(f), f]))
  expect([...again.values()]).toEqual(whole.carrier.findings)
})

test('stopping saves, and a clean restart has nothing to repeat', async () => {
  const batches = incident()
  const { store, carrier, stage } = await started()
  for (const batch of batches.slice(0, 333)) await carrier.deliver(encoded([batch]))
  await stage[Symbol.asyncDispose]()
  expect(store.rows.get(0)!.next_offset).toBe(333)
})

test('a dead letter that could not be published is covered by no checkpoint', async () => {
  const { store, carrier, stage } = await started()
  carrier.broken = true
  await expect(carrier.deliver([Uint8Array.of(1, 2, 3)])).rejects.toThrow('away')
  await stage[Symbol.asyncDispose]()
  expect(store.rows.size).toBe(0)
})

test('findings that could not be published are published with the next try, once, and no checkpoint covers them before', async () => {
  const batches = incident()
  const whole = await started()
  for (const batch of batches) await whole.carrier.deliver(encoded([batch]))

  const { store, carrier, stage } = await started()
  for (const [i, batch] of batches.entries()) {
    if (i % 50 === 49) {
      carrier.broken = true
      const findings = store.saves
      await expect(carrier.deliver(encoded([{ ...batch }]))).rejects.toThrow('the carrier is away')
      expect(store.saves).toBe(findings)
      carrier.broken = false
    }
    await carrier.deliver(encoded([batch]))
  }
  expect(carrier.findings).toEqual(whole.carrier.findings)

  carrier.broken = true
  const before = store.saves
  await expect(carrier.deliver(encoded([{ kind: 'tick', nowMs: START_MS + 1e7 }]))).rejects.toThrow()
  await stage[Symbol.asyncDispose]()
  expect(store.saves).toBe(before)
})

test('a store that is away does not stop detection; the next checkpoint covers more', async () => {
  const batches = incident()
  const { store, carrier } = await started()
  for (const [i, batch] of batches.entries()) {
    store.broken = i < 400
    await carrier.deliver(encoded([batch]))
  }
  expect(carrier.findings.some((f) => f.kind === 'anomaly')).toBe(true)
  expect(store.saves).toBeGreaterThan(2)
})

test('of two owners the slower one is fenced off', async () => {
  const batches = incident()
  const slow = await started()
  const fast = await started(slow.store)
  for (const batch of batches.slice(0, 100)) await fast.carrier.deliver(encoded([batch]))
  await expect(
    (async () => {
      for (const batch of batches.slice(0, 100)) await slow.carrier.deliver(encoded([batch]))
    })(),
  ).rejects.toThrow(FencedError)
  expect(await slow.carrier.assign()).toBe(slow.store.rows.get(0)!.next_offset)
})

test('a checkpoint that cannot be read is told and watched on without', async () => {
  const store = new FakeStore()
  store.rows.set(0, { next_offset: 42, state: Uint8Array.of(77, 1, 2) })
  const { carrier, telemetry } = await started(store)
  expect(await telemetry.registry.metrics()).toContain('tocsin_detect_state_lost_total{detector="all"} 1')
  await carrier.deliver(encoded(incident()))
  expect(carrier.findings.some((f) => f.kind === 'anomaly')).toBe(true)
})

test('more findings than a broker takes in one record are split, in order', async () => {
  const { carrier } = await started()
  const events = Array.from({ length: 4000 }, (_, i) => ({
    kind: 'change' as const,
    id: String(i),
    type: 'deploy' as const,
    service: 'shop',
    version: '1',
    title: 'x'.repeat(300),
    atMs: START_MS,
    url: '',
  }))
  await carrier.deliver(encoded([{ kind: 'events', events }]))
  expect(carrier.published.length).toBeGreaterThan(1)
  for (const { record } of carrier.published) expect(record.value.length).toBeLessThanOrEqual(700_000)
  expect(carrier.findings).toEqual(events)
})

test('what it watches is on /metrics', async () => {
  const { carrier, telemetry } = await started()
  await carrier.deliver(encoded(incident()))
  const text = await telemetry.registry.metrics()
  expect(text).toContain('tocsin_detect_state{detector="series",what="series"} 1')
  expect(text).toContain('tocsin_detect_rows_total{kind="metrics"} 260')
  expect(text).toMatch(/tocsin_detect_checkpoint_bytes\{partition="0"\} \d+/)
})
