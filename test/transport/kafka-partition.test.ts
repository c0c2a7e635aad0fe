/** One partition in the hands of a consumer that delivers late, twice and from elsewhere. No Kafka needed. */
import pino from 'pino'
import { describe, expect, it } from 'vitest'
import { FencedError } from '../../src/errors.ts'
import { Telemetry } from '../../src/telemetry.ts'
import { transportHappenings } from '../../src/transport/happenings.ts'
import { KafkaPartition, type FetchedBatch, type PartitionControl } from '../../src/transport/kafka-partition.ts'
import type { BatchHandler } from '../../src/transport/transport.ts'
import { until } from '../support/kafka.ts'

const batch = (from: number, count = 2): FetchedBatch => ({
  fetchedOffset: from,
  nextOffset: from + count,
  records: Array.from({ length: count }, (_, i) => ({ offset: from + i, value: new Uint8Array(1), key: '', headers: {}, timestampMs: 0 })),
  undecodable: [],
})

function stage(
  handler: Partial<BatchHandler> = {},
  options: { start?: number | undefined; committed?: number; before?: Promise<void>; bury?: PartitionControl['bury'] } = {},
) {
  const log: string[] = []
  const begun: number[] = []
  const control: PartitionControl = {
    topic: 't',
    group: 'g',
    pause: () => void log.push('pause'),
    resume: () => void log.push('resume'),
    seek: (offset) => void log.push(`seek ${offset}`),
    committed: async () => options.committed,
    handled: (next) => void log.push(`handled to ${next}`),
    beginsAt: (next) => void begun.push(next),
    bury: options.bury ?? (async ({ firstOffset, lastOffset }) => void log.push(`bury ${firstOffset} to ${lastOffset}`)),
  }
  const telemetry = new Telemetry(pino({ level: 'silent' }))
  const partition = new KafkaPartition(
    3,
    control,
    {
      async assigned() {
        log.push('assigned')
        return options.start
      },
      async revoked() {
        log.push('revoked')
      },
      handle: async ({ records }) => void log.push(`handle ${records.map(({ offset }) => offset).join(',')}`),
      ...handler,
    },
    transportHappenings(telemetry),
    options.before ?? Promise.resolve(),
  )
  const count = async (name: string) =>
    (await telemetry.registry.getSingleMetric(`tocsin_transport_${name}_total`)!.get()).values.reduce((sum, { value }) => sum + value, 0)
  return { partition, log, begun, count }
}

const turns = () => new Promise((resolve) => setTimeout(resolve, 0))

describe('where it begins', () => {
  it.each([
    { name: 'the checkpoint', start: 7, committed: 99, expected: 'seek 7' },
    { name: 'the committed offset without one', start: undefined, committed: 99, expected: 'seek 99' },
    { name: 'the beginning without either', start: undefined, committed: undefined, expected: 'seek 0' },
  ])('$name', async ({ start, committed, expected }) => {
    const { log, begun } = stage({}, { start, ...(committed === undefined ? {} : { committed }) })
    await turns()
    expect(log).toEqual(['assigned', expected, 'resume'])
    expect(begun, 'only a checkpoint says more than the group knows').toEqual(start === undefined ? [] : [start])
  })

  it('waits for the owner before, and is over without a call when it is retired meanwhile', async () => {
    let release = (): void => undefined
    const before = new Promise<void>((resolve) => (release = resolve))
    const { partition, log } = stage({}, { before })
    await turns()
    expect(log).toEqual([])
    partition.retire()
    release()
    await partition.done
    expect(log).toEqual([])
  })
})

describe('what it takes', () => {
  it('batches in order, each from where the last one ended', async () => {
    const { partition, log } = stage({}, { start: 10 })
    await turns()
    expect(partition.offer(batch(10))).toBe(true)
    await turns()
    expect(partition.offer(batch(12))).toBe(true)
    await turns()
    expect(log.slice(3)).toEqual(['handle 10,11', 'handled to 12', 'handle 12,13', 'handled to 14'])
  })

  it('nothing before it knows where it begins', () => {
    const { partition } = stage({}, { start: 10 })
    expect(partition.offer(batch(10))).toBe(false)
  })

  it.each([
    { name: 'an older fetch arrives late', offset: 4 },
    { name: 'a fetch from further on arrives', offset: 50 },
  ])('$name: dropped, and the right offset asked for', async ({ offset }) => {
    const { partition, log, count } = stage({}, { start: 10 })
    await turns()
    expect(partition.offer(batch(offset))).toBe(false)
    expect(log.slice(3)).toEqual(['pause', 'seek 10', 'resume'])
    expect(partition.offer(batch(10))).toBe(true)
    await turns()
    expect(log).toContain('handle 10,11')
    expect(await count('position_lost')).toBe(0)
  })

  it('the same wrong offset three times is all that the log has, and is told', async () => {
    const { partition, log, count } = stage({}, { start: 1000 })
    await turns()
    expect([1, 2, 3].map(() => partition.offer(batch(0)))).toEqual([false, false, true])
    await turns()
    expect(log).toContain('handle 0,1')
    expect(await count('position_lost')).toBe(1)
  })

  it('a new group on an old topic begins where the log does: nothing is lost, nothing told', async () => {
    const { partition, count } = stage({}, { start: undefined })
    await turns()
    expect([1, 2, 3].map(() => partition.offer(batch(500)))).toEqual([false, false, true])
    expect(await count('position_lost')).toBe(0)
  })

  it('control records and aborted transactions are stepped over', async () => {
    const { partition, log } = stage({}, { start: 10 })
    await turns()
    partition.skipped(2, 4) // long ago
    partition.skipped(10, 12)
    expect(partition.offer(batch(13))).toBe(true)
    partition.skipped(undefined, 15)
    expect(partition.offer(batch(16))).toBe(true)
    await turns()
    const positions = log.slice(3).filter((line) => line.startsWith('handle'))
    expect(positions).toEqual(['handled to 13', 'handle 13,14', 'handled to 15', 'handled to 16', 'handle 16,17', 'handled to 18'])
  })

  const unread = { firstOffset: 10, lastOffset: 12, records: 2, reason: 'noise', bytes: new Uint8Array(1) }

  it('a batch of which nothing could be read is buried before the position moves', async () => {
    const { partition, log, count } = stage({}, { start: 10 })
    await turns()
    partition.offer({ fetchedOffset: 10, nextOffset: 13, records: [], undecodable: [unread] })
    await turns()
    expect(log.slice(3)).toEqual(['bury 10 to 12', 'handled to 13'])
    expect(await count('undecodable_batch')).toBe(1)
  })

  it('what cannot be buried yet comes again, and what is buried does not when the handler fails', async () => {
    const tries: string[] = []
    const { partition, log } = stage(
      {
        async handle() {
          tries.push('handle')
          if (tries.length < 5) throw new Error('database is away')
        },
      },
      {
        start: 10,
        async bury() {
          tries.push('bury')
          if (tries.length < 3) throw new Error('Kafka is away')
        },
      },
    )
    await turns()
    partition.offer({ ...batch(10, 5), undecodable: [unread] })
    await until('it is handled', () => log.includes('handled to 15'))
    expect(tries).toEqual(['bury', 'bury', 'bury', 'handle', 'handle'])
  })

  it('pauses while two batches wait behind the one under way', async () => {
    let release = (): void => undefined
    const opened = new Promise<void>((resolve) => (release = resolve))
    const { partition, log } = stage({ handle: () => opened }, { start: 0 })
    await turns()
    partition.offer(batch(0))
    await turns()
    partition.offer(batch(2))
    expect(log.slice(3)).toEqual([])
    partition.offer(batch(4))
    expect(log.slice(3)).toEqual(['pause'])
    release()
    await turns()
    expect(log.slice(4)).toContain('resume')
    expect(log.at(-1)).toBe('handled to 6')
  })
})

describe('how it ends', () => {
  it('retired: the batch under way ends, waiting ones do not begin, then revoked', async () => {
    let release = (): void => undefined
    const opened = new Promise<void>((resolve) => (release = resolve))
    const { partition, log } = stage({ handle: () => opened }, { start: 0 })
    await turns()
    partition.offer(batch(0))
    await turns()
    partition.offer(batch(2))
    partition.retire()
    await turns()
    expect(log).not.toContain('revoked')
    release()
    await partition.done
    expect(log.slice(3)).toEqual(['handled to 2', 'revoked'])
  })

  it('held: finishes what is under way, begins nothing', async () => {
    const { partition, log } = stage({}, { start: 0 })
    await turns()
    partition.hold()
    partition.offer(batch(0))
    await turns()
    expect(log.slice(3)).toEqual([])
    partition.retire()
    await partition.done
    expect(log.slice(3)).toEqual(['revoked'])
  })

  it('lost: the signal tells the handler, its error is nobody’s concern', async () => {
    const { partition, log, count } = stage(
      {
        handle: (_batch, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('gave up')))),
      },
      { start: 0 },
    )
    await turns()
    partition.offer(batch(0))
    await turns()
    partition.retire()
    partition.abandon()
    await partition.done
    expect(log.slice(3)).toEqual(['revoked'])
    expect(await count('handler_failed')).toBe(0)
  })

  it('fenced while retiring: there is nothing of ours to save', async () => {
    let fence = (): void => undefined
    const { partition, log } = stage(
      { handle: () => new Promise((_resolve, reject) => (fence = () => reject(new FencedError('theirs')))) },
      { start: 0 },
    )
    await turns()
    partition.offer(batch(0))
    await turns()
    partition.retire()
    fence()
    await partition.done
    expect(log).not.toContain('revoked')
  })
})
