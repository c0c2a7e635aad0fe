/** What the embedded transport promises beyond the contract: acknowledged means handled, one run like the other, bounded memory. */
import { describe, expect, it } from 'vitest'
import { FencedError, RetryLaterError } from '../../src/errors.ts'
import { createEmbeddedTransport, type EmbeddedTransportOptions } from '../../src/transport/embedded.ts'
import type { BatchHandler } from '../../src/transport/transport.ts'
import { Reader, record, textsOf } from '../contract/transport-suite.ts'

const open = async (options: Partial<EmbeddedTransportOptions> = {}, partitions = 1) => {
  const transport = createEmbeddedTransport({ clock: () => 1_700_000_000_000, pause: async () => undefined, ...options })
  await transport.ensureTopic('t', partitions)
  return transport
}

const gate = () => {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { open, opened }
}

const settledIn = async (work: Promise<unknown>, turns = 20) => {
  let settled = false
  work.then(
    () => (settled = true),
    () => (settled = true),
  )
  for (let i = 0; i < turns; i++) await Promise.resolve()
  return settled
}

describe('acknowledged means handled', () => {
  it('publish resolves when the last group has handled the records', async () => {
    const transport = await open()
    const [one, two] = [gate(), gate()]
    await transport.subscribe('t', 'one', { handle: () => one.opened })
    await transport.subscribe('t', 'two', { handle: () => two.opened })
    const published = transport.publish('t', [record(0, 'a')])
    one.open()
    expect(await settledIn(published)).toBe(false)
    two.open()
    await published
  })

  it('publish rejects when the subscription ends before, and while nobody reads any more', async () => {
    const transport = await open()
    const handler = new Reader()
    let failing = true
    handler.before = async () => {
      if (failing) throw new Error('database is away')
    }
    const subscription = await transport.subscribe('t', 'g', handler)
    const published = transport.publish('t', [record(0, 'a')])
    const refused = expect(published).rejects.toThrow('stopped before it handled the records')
    await subscription[Symbol.asyncDispose]()
    await refused
    await expect(transport.publish('t', [record(0, 'b')])).rejects.toThrow('its reader (g) has stopped')
    failing = false
    await transport.subscribe('t', 'g', handler)
    await transport.publish('t', [record(0, 'c')])
    expect(handler.all()).toEqual(['c'])
  })

  it('a topic that nobody ever read takes records and keeps none', async () => {
    const transport = await open()
    await transport.publish('t', [record(0, 'a')])
    const reader = new Reader()
    await transport.subscribe('t', 'g', reader)
    expect(reader.events).toEqual(['assigned 0'])
  })

  it('publishing after the transport has stopped is refused', async () => {
    const transport = await open()
    await transport[Symbol.asyncDispose]()
    await expect(transport.publish('t', [record(0, 'a')])).rejects.toThrow('has stopped')
  })

  it('an aborted publish that nobody has begun to handle is not handled', async () => {
    const transport = await open()
    const { open: release, opened } = gate()
    const reader = new Reader()
    reader.before = () => opened
    await transport.subscribe('t', 'g', reader)
    const first = transport.publish('t', [record(0, 'a')])
    const abort = new AbortController()
    const second = transport.publish('t', [record(0, 'b')], abort.signal)
    abort.abort(new Error('client went away'))
    await expect(second).rejects.toThrow('client went away')
    release()
    await first
    await transport.publish('t', [record(0, 'c')])
    expect(reader.all()).toEqual(['a', 'c'])
  })
})

describe('offsets', () => {
  it.each([
    { name: 'go on from the checkpoint', starts: { 0: 41, 1: 7 }, expected: { 0: [41, 42], 1: [7] } },
    { name: 'begin at 0 without one', starts: {}, expected: { 0: [0, 1], 1: [0] } },
  ])('$name', async ({ starts, expected }) => {
    const transport = await open({}, 2)
    const reader = new Reader()
    for (const [partition, offset] of Object.entries(starts)) reader.starts.set(Number(partition), offset)
    await transport.subscribe('t', 'g', reader)
    await transport.publish('t', [record(0, 'a'), record(1, 'b')])
    await transport.publish('t', [record(0, 'c')])
    expect(Object.fromEntries(reader.offsets)).toEqual(expected)
  })

  it('each group counts on its own', async () => {
    const transport = await open()
    const [one, two] = [new Reader(), new Reader()]
    one.starts.set(0, 100)
    two.starts.set(0, 5)
    await transport.subscribe('t', 'one', one)
    await transport.subscribe('t', 'two', two)
    await transport.publish('t', [record(0, 'a')])
    expect([one.offsets.get(0), two.offsets.get(0)]).toEqual([[100], [5]])
  })

  it('after a FencedError the same records get the offsets of the new owner’s checkpoint', async () => {
    const transport = await open()
    const reader = new Reader()
    reader.before = async ({ records }) => {
      if (records[0]!.offset === 0) {
        reader.starts.set(0, 9)
        throw new FencedError('saved at 9 by somebody else')
      }
    }
    await transport.subscribe('t', 'g', reader)
    await transport.publish('t', [record(0, 'a')])
    expect(reader.offsets.get(0)).toEqual([9])
  })

  it('a checkpoint’s compare-and-set holds over restarts', async () => {
    let saved: { offset: number; sum: number } | undefined
    const checkpointing = (): BatchHandler & { sum: number } => {
      let expected: number | undefined
      return {
        sum: 0,
        async assigned() {
          this.sum = saved?.sum ?? 0
          return (expected = saved?.offset)
        },
        async handle({ records }) {
          for (const { value } of records) this.sum += Number(new TextDecoder().decode(value))
          if (saved?.offset !== expected) throw new FencedError(`checkpoint is at ${saved?.offset}, not at ${expected}`)
          expected = records.at(-1)!.offset + 1
          saved = { offset: expected, sum: this.sum }
        },
      }
    }
    for (let run = 0; run < 3; run++) {
      const transport = await open()
      await transport.subscribe('t', 'g', checkpointing())
      for (let i = 1; i <= 4; i++) await transport.publish('t', [record(0, String(i))])
      await transport[Symbol.asyncDispose]()
    }
    expect(saved).toEqual({ offset: 12, sum: 30 })
  })
})

describe('one run like the other', () => {
  const run = async () => {
    const transport = await open({}, 3)
    await transport.ensureTopic('findings', 1)
    const log: string[] = []
    await transport.subscribe('findings', 'correlate', { handle: async (batch) => void log.push(`correlate ${textsOf(batch).join(' ')}`) })
    await transport.subscribe('t', 'detect', {
      async handle(batch) {
        log.push(`detect ${batch.partition} begins`)
        await new Promise((resolve) => setTimeout(resolve, 3 - batch.partition)) // the last partition is the fastest
        await transport.publish('findings', [record(0, `from ${batch.partition}`)])
        log.push(`detect ${batch.partition} ends`)
      },
    })
    for (let i = 0; i < 4; i++) await transport.publish('t', [record(2, 'x'), record(0, 'y'), record(1, 'z')])
    return log
  }

  it('handlers run one by one, in the order of the publish', async () => {
    const log = await run()
    const once = [2, 0, 1].flatMap((p) => [`detect ${p} begins`, `correlate from ${p}`, `detect ${p} ends`])
    expect(log).toEqual([...once, ...once, ...once, ...once])
    expect(await run()).toEqual(log)
  })

  it('what is published meanwhile for one partition comes as one batch', async () => {
    const transport = await open()
    const { open: release, opened } = gate()
    const batches: string[][] = []
    await transport.subscribe('t', 'g', {
      async handle(batch) {
        batches.push(textsOf(batch))
        await opened
      },
    })
    const published = ['a', 'b', 'c', 'd'].map((text) => transport.publish('t', [record(0, text)]))
    release()
    await Promise.all(published)
    expect(batches).toEqual([['a'], ['b', 'c', 'd']])
  })
})

describe('bounds', () => {
  it('refuses what would be over the limit of waiting bytes, and takes it again later', async () => {
    const transport = await open({ maxPendingBytes: 10 })
    const { open: release, opened } = gate()
    const reader = new Reader()
    reader.before = () => opened
    await transport.subscribe('t', 'g', reader)
    const first = transport.publish('t', [record(0, '12345678')])
    await expect(transport.publish('t', [record(0, '123')])).rejects.toThrow(RetryLaterError)
    release()
    await first
    await transport.publish('t', [record(0, '123')])
    await transport.publish('t', [record(0, 'one alone may be larger than the limit')])
    expect(reader.all()).toHaveLength(3)
  })

  it('hands over at most maxBatchBytes at a time, but always a whole publish', async () => {
    const transport = await open({ maxBatchBytes: 8 })
    const batches: string[][] = []
    await transport.subscribe('t', 'g', { handle: async (batch) => void batches.push(textsOf(batch)) })
    await Promise.all(['0', '1234', '5678', '9', 'longer than eight bytes'].map((text) => transport.publish('t', [record(0, text)])))
    expect(batches).toEqual([['0'], ['1234', '5678'], ['9'], ['longer than eight bytes']])
  })

  it('pauses longer each time before it tries again', async () => {
    const attempts: number[] = []
    const transport = await open({ pause: async (attempt) => void attempts.push(attempt) })
    let failures = 4
    await transport.subscribe('t', 'g', {
      async handle() {
        if (failures-- > 0) throw new Error('not yet')
      },
    })
    await transport.publish('t', [record(0, 'a')])
    expect(attempts).toEqual([1, 2, 3, 4])
  })

  it('has one reader per group', async () => {
    const transport = await open()
    await transport.subscribe('t', 'g', new Reader())
    await expect(transport.subscribe('t', 'g', new Reader())).rejects.toThrow('has a reader of group g')
  })

  it('says so when `revoked` fails, after the other partitions were revoked, too', async () => {
    const transport = await open({}, 2)
    const revoked: number[] = []
    const subscription = await transport.subscribe('t', 'g', {
      handle: async () => undefined,
      async revoked(partition) {
        revoked.push(partition)
        if (partition === 0) throw new Error('disk full')
      },
    })
    await expect(subscription[Symbol.asyncDispose]()).rejects.toThrow('disk full')
    expect(revoked).toEqual([0, 1])
  })
})
