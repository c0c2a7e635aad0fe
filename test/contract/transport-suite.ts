/**
 * What every Transport promises, as tests. An implementation brings a `Stage`: transports on one carrier, as many as are asked
 * for, and topics of its own.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { FencedError, PermanentError } from '../../src/errors.ts'
import type { BatchHandler, OutRecord, RecordBatch, Transport } from '../../src/transport/transport.ts'
import { until } from '../support/kafka.ts'

export interface TransportFixture {
  transport(): Transport
  newTopic(partitions: number): Promise<string>
}

export const record = (partition: number, text: string, headers?: Record<string, string>): OutRecord => ({
  partition,
  value: new TextEncoder().encode(text),
  ...(headers === undefined ? {} : { headers }),
})

export const textsOf = (batch: RecordBatch): string[] => batch.records.map(({ value }) => new TextDecoder().decode(value))

/** A handler that remembers what it was called with, and can be told to fail. */
export class Reader implements BatchHandler {
  readonly events: string[] = []
  readonly texts = new Map<number, string[]>()
  readonly offsets = new Map<number, number[]>()
  readonly starts = new Map<number, number>()
  /** Called before a batch counts as handled. */
  before: (batch: RecordBatch, signal: AbortSignal) => Promise<void> = async () => undefined
  underWay = 0
  mostUnderWay = 0

  async assigned(partition: number): Promise<number | undefined> {
    this.events.push(`assigned ${partition}`)
    return this.starts.get(partition)
  }

  async revoked(partition: number): Promise<void> {
    this.events.push(`revoked ${partition}`)
  }

  async handle(batch: RecordBatch, signal: AbortSignal): Promise<void> {
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay)
    try {
      await this.before(batch, signal)
    } finally {
      this.underWay--
    }
    this.events.push(`handled ${batch.partition}: ${textsOf(batch).join(' ')}`)
    this.texts.set(batch.partition, [...this.all(batch.partition), ...textsOf(batch)])
    this.offsets.set(batch.partition, [...(this.offsets.get(batch.partition) ?? []), ...batch.records.map(({ offset }) => offset)])
  }

  all(partition = 0): string[] {
    return this.texts.get(partition) ?? []
  }
}

export function transportSuite(open: () => Promise<TransportFixture>): void {
  const running: AsyncDisposable[] = []
  afterEach(async () => {
    for (const one of running.splice(0).toReversed()) await one[Symbol.asyncDispose]()
  })

  async function stage(partitions = 1) {
    const fixture = await open()
    const topic = await fixture.newTopic(partitions)
    const transport = fixture.transport()
    running.push(transport)
    const read = async (handler: BatchHandler, group = 'readers', from = topic) => {
      const subscription = await transport.subscribe(from, group, handler)
      running.push(subscription)
      return subscription
    }
    return { fixture, topic, transport, read }
  }

  describe('topics', () => {
    it('has the partitions that were asked for, however often they are', async () => {
      const { topic, transport } = await stage(3)
      await transport.ensureTopic(topic, 3)
      expect(await transport.partitions(topic)).toBe(3)
    })

    it('refuses a partition that the topic does not have', async () => {
      const { topic, transport } = await stage(2)
      await transport.partitions(topic)
      await expect(transport.publish(topic, [record(2, 'lost')])).rejects.toThrow(PermanentError)
    })
  })

  describe('delivery', () => {
    it('brings value, headers, partition, offset and time', async () => {
      const { topic, transport, read } = await stage(2)
      const batches: RecordBatch[] = []
      await read({ handle: async (batch) => void batches.push(batch) })
      await transport.publish(topic, [record(1, 'one', { 'content-type': 'text/plain', __proto__x: 'Zürich' })])
      await until('it has come', () => batches.length === 1)
      const [batch] = batches as [RecordBatch]
      expect({ topic: batch.topic, partition: batch.partition }).toEqual({ topic, partition: 1 })
      expect(textsOf(batch)).toEqual(['one'])
      expect({ ...batch.records[0]!.headers }).toEqual({ 'content-type': 'text/plain', __proto__x: 'Zürich' })
      expect(batch.records[0]).toMatchObject({ key: '', offset: 0 })
      expect(batch.records[0]!.timestampMs).toBeGreaterThan(1_600_000_000_000)
    })

    it('keeps the order of each partition, each record once while nothing fails', async () => {
      const { topic, transport, read } = await stage(3)
      const reader = new Reader()
      await read(reader)
      const expected = [0, 1, 2].map(() => [] as string[])
      const publishes: Promise<void>[] = []
      for (let i = 0; i < 300; i++) {
        const records = [record(i % 3, `a${i}`), record((i + 1) % 3, `b${i}`)]
        for (const { partition, value } of records) expected[partition]!.push(new TextDecoder().decode(value))
        publishes.push(transport.publish(topic, records))
      }
      await Promise.all(publishes)
      await until('all have come', () => [0, 1, 2].every((p) => reader.all(p).length === 200))
      expect([0, 1, 2].map((p) => reader.all(p))).toEqual(expected)
      for (const p of [0, 1, 2]) expect(reader.offsets.get(p)).toEqual(Array.from({ length: 200 }, (_, i) => i))
    })

    it('gives every group all records', async () => {
      const { topic, transport, read } = await stage()
      const [one, two] = [new Reader(), new Reader()]
      await read(one, 'one')
      await read(two, 'two')
      await transport.publish(topic, [record(0, 'x'), record(0, 'y')])
      await until('both have them', () => one.all().length === 2 && two.all().length === 2)
      expect([one.all(), two.all()]).toEqual([
        ['x', 'y'],
        ['x', 'y'],
      ])
    })

    it('lets a handler publish to another topic and wait for it', async () => {
      const { fixture, topic, transport, read } = await stage(2)
      const findings = await fixture.newTopic(1)
      const correlator = new Reader()
      await read(correlator, 'correlate', findings)
      const detector = new Reader()
      detector.before = async (batch) =>
        transport.publish(
          findings,
          batch.records.map(({ value }) => ({ partition: 0, value })),
        )
      await read(detector, 'detect')
      await transport.publish(topic, [record(0, 'a'), record(1, 'b')])
      await until('both findings are there', () => correlator.all().length === 2)
      expect(correlator.all().toSorted()).toEqual(['a', 'b'])
    })

    it('carries a record of two megabytes', async () => {
      const { topic, transport, read } = await stage()
      const reader = new Reader()
      await read(reader)
      const text = 'abcdefghijklmnop'.repeat(131_072)
      await transport.publish(topic, [record(0, text), record(0, 'after')])
      await until('both have come', () => reader.all().length === 2)
      expect(reader.all()[0] === text).toBe(true)
    })

    it('refuses to publish when the signal has aborted', async () => {
      const { topic, transport } = await stage()
      await expect(transport.publish(topic, [record(0, 'late')], AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late')
    })
  })

  describe('positions', () => {
    it('asks `assigned` for each partition before its first record', async () => {
      const { topic, transport, read } = await stage(2)
      const reader = new Reader()
      await read(reader)
      await transport.publish(topic, [record(0, 'x'), record(1, 'y')])
      await until('both have come', () => reader.all(0).length + reader.all(1).length === 2)
      for (const p of [0, 1]) {
        const events = reader.events.filter((event) => event.includes(` ${p}`))
        expect(events[0]).toBe(`assigned ${p}`)
        expect(events).toHaveLength(2)
      }
    })

    it('hands over the same records again when the handler throws, and moves on only when it does not', async () => {
      const { topic, transport, read } = await stage()
      const reader = new Reader()
      const tries: string[][] = []
      reader.before = async (batch) => {
        tries.push(textsOf(batch))
        if (tries.length < 3) throw new Error('database is away')
      }
      await read(reader)
      await transport.publish(topic, [record(0, 'a')])
      await transport.publish(topic, [record(0, 'b')])
      await until('both are handled', () => reader.all().length === 2)
      expect(tries[1]).toEqual(tries[0])
      expect(tries[2]!.slice(0, 1)).toEqual(['a'])
      expect(reader.all()).toEqual(['a', 'b'])
    })

    it('asks `assigned` again after a FencedError, and goes on there', async () => {
      const { topic, transport, read } = await stage()
      const reader = new Reader()
      let fenced = false
      reader.before = async () => {
        if (fenced) return
        fenced = true
        reader.events.push('fenced')
        throw new FencedError('somebody else has saved offset 1')
      }
      await read(reader)
      await transport.publish(topic, [record(0, 'a')])
      await until('it is handled', () => reader.all().length === 1)
      expect(reader.events).toEqual(['assigned 0', 'fenced', 'assigned 0', 'handled 0: a'])
    })

    it('asks `assigned` until it answers', async () => {
      const { topic, transport, read } = await stage()
      const reader = new Reader()
      let asked = 0
      const flaky: BatchHandler = {
        assigned: async (partition) => {
          if (++asked < 3) throw new Error('database is away')
          return reader.assigned(partition)
        },
        handle: (batch, signal) => reader.handle(batch, signal),
      }
      await read(flaky)
      await transport.publish(topic, [record(0, 'a')])
      await until('it is handled', () => reader.all().length === 1)
      expect(asked).toBe(3)
    })

    it('holds up only the partition whose handler fails', async () => {
      const { topic, transport, read } = await stage(2)
      const reader = new Reader()
      let broken = true
      reader.before = async ({ partition }) => {
        if (partition === 0 && broken) throw new Error('cannot handle partition 0')
      }
      await read(reader)
      const stuck = transport.publish(topic, [record(0, 'stuck')])
      stuck.catch(() => undefined)
      await transport.publish(topic, [record(1, 'moves')])
      await until('partition 1 has moved', () => reader.all(1).length === 1)
      expect(reader.all(0)).toEqual([])
      broken = false
      await until('partition 0 has moved', () => reader.all(0).length === 1)
      await stuck
    })
  })

  describe('stopping', () => {
    it('waits for the batch under way, then revokes each partition', async () => {
      const { topic, transport, read } = await stage(2)
      const reader = new Reader()
      let release = (): void => undefined
      const released = new Promise<void>((resolve) => (release = resolve))
      reader.before = async () => released
      const subscription = await read(reader)
      const published = transport.publish(topic, [record(0, 'last')])
      await until('it is under way', () => reader.underWay === 1)
      await until('partition 1 is ours, too', () => reader.events.includes('assigned 1'))
      const stopped = subscription[Symbol.asyncDispose]()
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect(reader.events).not.toContain('revoked 0')
      release()
      await Promise.all([stopped, published])
      const events = reader.events.filter((event) => !event.startsWith('assigned'))
      expect(events.toSorted()).toEqual(['handled 0: last', 'revoked 0', 'revoked 1'])
      expect(events.indexOf('revoked 0')).toBeGreaterThan(events.indexOf('handled 0: last'))
    })

    it('calls nothing of a handler at the same time for one partition', async () => {
      const { topic, transport, read } = await stage()
      const reader = new Reader()
      reader.before = () => new Promise((resolve) => setTimeout(resolve, 5))
      await read(reader)
      await Promise.all(Array.from({ length: 30 }, (_, i) => transport.publish(topic, [record(0, String(i))])))
      await until('all have come', () => reader.all().length === 30)
      expect(reader.mostUnderWay).toBe(1)
    })

    it('ends a handler that fails without end', async () => {
      const { topic, transport, read } = await stage()
      const reader = new Reader()
      let tries = 0
      reader.before = async () => {
        tries++
        throw new Error('never')
      }
      const subscription = await read(reader)
      transport.publish(topic, [record(0, 'poison')]).catch(() => undefined)
      await until('it has failed', () => tries > 0)
      await subscription[Symbol.asyncDispose]()
      expect(reader.events).toEqual(['assigned 0', 'revoked 0'])
    })
  })
}
