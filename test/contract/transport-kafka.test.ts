/** What only a real Kafka can do to a transport: leaders that move, brokers and members that die, other producers' compression. */
import { execFileSync, spawnSync } from 'node:child_process'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { KafkaConfig } from '../../src/transport/config.ts'
import { createKafkaTransport } from '../../src/transport/kafka.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { startKafka, until, type RunningKafka } from '../support/kafka.ts'
import { requireOrSkip, which } from '../support/services.ts'
import { CheckpointingReader, MemoryCheckpoints, startMember, type Member } from './transport-kafka-members.ts'
import { countOf, kafkaConfigFor, quietTelemetry } from './transport-kafka-support.ts'
import { Reader, record } from './transport-suite.ts'

const clock = Date.now

/** Publishes until it is told to stop; what was acknowledged is remembered. */
function publishing(transport: Transport, topic: string, partitions: number) {
  const acknowledged: string[] = []
  let refused = 0
  const stopping = new AbortController()
  let count = 0
  const loop = async (name: number) => {
    while (!stopping.signal.aborted) {
      const texts = Array.from({ length: partitions }, () => `${name}-${count++}`)
      try {
        await transport.publish(
          topic,
          texts.map((text, i) => record(i, text)),
        )
        acknowledged.push(...texts)
      } catch {
        refused++
      }
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  const loops = [1, 2, 3].map(loop)
  return {
    acknowledged,
    get refused() {
      return refused
    },
    async stop() {
      stopping.abort()
      await Promise.all(loops)
      return acknowledged
    },
  }
}

const lostOf = (acknowledged: readonly string[], seen: readonly string[]) => {
  const there = new Set(seen)
  return acknowledged.filter((text) => !there.has(text))
}

const run = requireOrSkip('kafka', 'kcat')

run('one broker', () => {
  let kafka: RunningKafka
  let topics = 0
  const running: AsyncDisposable[] = []
  const members: Member[] = []

  beforeAll(async () => void (kafka = await startKafka({ properties: 'group.min.session.timeout.ms=1000' })))
  afterAll(() => kafka?.stop())
  afterEach(async () => {
    for (const member of members.splice(0)) await member.kill()
    for (const one of running.splice(0).toReversed()) await one[Symbol.asyncDispose]()
  })

  async function stage(partitions: number, more: Partial<KafkaConfig> = {}) {
    const config = kafkaConfigFor(kafka, { sessionTimeoutMs: 3000, heartbeatMs: 300, ...more })
    const telemetry = quietTelemetry()
    const open = () => {
      const transport = createKafkaTransport(config, { telemetry, clock })
      running.push(transport)
      return transport
    }
    const transport = open()
    const topic = `kafka-${topics++}`
    await transport.ensureTopic(topic, partitions)
    return { config, telemetry, transport, topic, open }
  }

  const kcat = (topic: string, input: string, ...args: string[]) =>
    execFileSync(which('kcat', 'kafkacat')!, ['-P', '-b', kafka.bootstrap, '-t', topic, ...args], { input })

  describe('compression', () => {
    it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)(
      'reads what kcat writes in %s, and kcat what we write',
      async (compression) => {
        const { transport, topic } = await stage(1, { compression })
        const lines = Array.from({ length: 500 }, (_, i) => `line ${i} of a log that repeats itself and repeats itself`)
        kcat(
          topic,
          lines.join('\n'),
          ...(compression === 'none' ? [] : ['-z', compression]),
          '-k',
          'the key',
          '-H',
          'content-type=text/plain',
        )
        const reader = new Reader()
        let first: unknown
        reader.before = async ({ records }) => void (first ??= { key: records[0]!.key, ...records[0]!.headers })
        await transport.subscribe(topic, 'readers', reader)
        await until('kcat’s lines are read', () => reader.all().length === 500)
        expect(reader.all()).toEqual(lines)
        expect(first).toEqual({ key: 'the key', 'content-type': 'text/plain' })
        await transport.publish(
          topic,
          lines.map((line) => record(0, line)),
        )
        const { stdout } = spawnSync(which('kcat', 'kafkacat')!, ['-C', '-b', kafka.bootstrap, '-t', topic, '-o', '500', '-e', '-q'], {
          encoding: 'utf8',
        })
        expect(stdout.trim().split('\n')).toEqual(lines)
      },
    )

    it.each(['gzip', 'snappy', 'lz4', 'zstd'])(
      'steps over a %s batch that would fill the memory, and says where it is',
      async (compression) => {
        const { transport, topic, telemetry } = await stage(1, { maxDecompressedBytes: 65_536 })
        kcat(topic, 'before')
        kcat(topic, '0'.repeat(900_000), '-z', compression)
        kcat(topic, 'after')
        const reader = new Reader()
        await transport.subscribe(topic, 'readers', reader)
        await until('the record after it is read', () => reader.all().includes('after'))
        expect(reader.all()).toEqual(['before', 'after'])
        expect(reader.offsets.get(0)).toEqual([0, 2])
        expect(await countOf(telemetry, 'transport_undecodable_batch')).toBe(1)
        expect(await countOf(telemetry, 'transport_consumer_crashed')).toBe(0)
      },
    )
  })

  describe('groups', () => {
    it('members come and go while a checkpointing handler works: no wrong offset, nothing lost, nothing twice', async () => {
      const { transport, topic, open } = await stage(6)
      const store = new MemoryCheckpoints()
      const publisher = publishing(transport, topic, 6)
      await transport.subscribe(topic, 'members', new CheckpointingReader(store))
      for (let i = 0; i < 2; i++) {
        const second = open()
        await second.subscribe(topic, 'members', new CheckpointingReader(store))
        const third = open()
        await third.subscribe(topic, 'members', new CheckpointingReader(store))
        await new Promise((resolve) => setTimeout(resolve, 1000))
        await second[Symbol.asyncDispose]()
        await third[Symbol.asyncDispose]()
        await new Promise((resolve) => setTimeout(resolve, 500))
      }
      const acknowledged = await publisher.stop()
      await until('everything is in the checkpoints', () => store.seen.length >= acknowledged.length)
      expect(store.wrong).toEqual([])
      expect(lostOf(acknowledged, store.seen)).toEqual([])
      expect(store.seen).toHaveLength(new Set(store.seen).size)
      console.log(
        `rebalance: 8 membership changes, ${acknowledged.length} records, 0 lost, ${store.fenced} fenced saves, longest gap ${Math.round(store.longestGapMs)} ms`,
      )
    })

    it('a member that is killed is replaced from its checkpoints', async () => {
      const { transport, topic, config } = await stage(6)
      const store = new MemoryCheckpoints()
      members.push(...(await Promise.all([1, 2, 3].map(() => startMember(config, topic, store)))))
      const publisher = publishing(transport, topic, 6)
      await until('all partitions are worked on', () => store.offsets.size === 6)
      await members[0]!.kill()
      await until('some time has passed', () => store.longestGapMs > config.sessionTimeoutMs - 500 || publisher.refused > 0)
      await new Promise((resolve) => setTimeout(resolve, 500))
      const acknowledged = await publisher.stop()
      await until('everything is in the checkpoints', () => store.seen.length >= acknowledged.length)
      expect(store.wrong).toEqual([])
      expect(lostOf(acknowledged, store.seen)).toEqual([])
      expect(store.seen).toHaveLength(new Set(store.seen).size)
      expect(store.longestGapMs).toBeLessThan(config.sessionTimeoutMs + 3000)
      console.log(
        `kill -9 of one of three: session ${config.sessionTimeoutMs} ms, taken over after ${Math.round(store.longestGapMs)} ms, ${acknowledged.length} records, 0 lost`,
      )
    }, 60_000)

    it('without a checkpoint the group goes on where its last member stopped', async () => {
      const { transport, topic, open } = await stage(2)
      const [one, two] = [new Reader(), new Reader()]
      one.assigned = two.assigned = async () => undefined
      const subscription = await transport.subscribe(topic, 'plain', one)
      await transport.publish(topic, [record(0, 'a'), record(1, 'b')])
      await until('both are handled', () => one.all(0).length + one.all(1).length === 2)
      await subscription[Symbol.asyncDispose]()
      await transport.publish(topic, [record(0, 'c'), record(1, 'd')])
      await open().subscribe(topic, 'plain', two)
      await until('the new ones are handled', () => two.all(0).length + two.all(1).length >= 2)
      expect([two.all(0), two.all(1)]).toEqual([['c'], ['d']])
    })

    it('a slow handler keeps its partition, does not hold up the others, and is not handed more', async () => {
      const { transport, topic } = await stage(2, { sessionTimeoutMs: 1500, heartbeatMs: 300 })
      const reader = new Reader()
      reader.before = async ({ partition }) => {
        if (partition === 0) await new Promise((resolve) => setTimeout(resolve, 4000)) // longer than the session
      }
      await transport.subscribe(topic, 'slow', reader)
      await transport.publish(topic, [record(0, 'slow')])
      await until('it is under way', () => reader.underWay === 1)
      await transport.publish(topic, [record(1, 'quick')])
      await until('the quick one is done', () => reader.all(1).length === 1)
      expect(reader.all(0)).toEqual([])
      await until('the slow one is done', () => reader.all(0).length === 1)
      expect(reader.events.filter((event) => event === 'assigned 0')).toHaveLength(1)
    })

    it('a rebalance during a slow batch: no two calls for a partition at once, state saved before it is loaded again', async () => {
      const { transport, topic, open } = await stage(2)
      const reader = new Reader()
      reader.before = () => new Promise((resolve) => setTimeout(resolve, 1500))
      await transport.subscribe(topic, 'rebalanced', reader)
      await transport.publish(topic, [record(0, 'a'), record(1, 'b')])
      await until('both are under way', () => reader.underWay === 2)
      const other = new Reader()
      await open().subscribe(topic, 'rebalanced', other)
      const life = (of: Reader, partition: number) =>
        of.events.flatMap((event) => (event.includes(` ${partition}`) ? [event.split(' ')[0]!] : []))
      const holds = (of: Reader) => [0, 1].filter((partition) => ['assigned', 'handled'].includes(life(of, partition).at(-1) ?? ''))
      await until('each has one', () => holds(reader).length === 1 && holds(other).length === 1 && life(reader, 0).includes('revoked'))
      const [kept] = holds(reader) as [number]
      await until('all is handled', () => reader.all(kept).length === 1)
      // A group may settle in more than one round.
      expect(life(reader, kept).join(' ')).toMatch(/^assigned handled( revoked assigned)+$/)
      expect(life(reader, 1 - kept).join(' ')).toMatch(/^assigned handled revoked( assigned revoked)*$/)
    })

    it('records of an aborted transaction are not seen, those after it are', async () => {
      const { transport, topic } = await stage(1)
      const producer = new Kafka({ brokers: kafka.brokers, logLevel: logLevel.NOTHING }).producer({
        transactionalId: `tx-${topic}`,
        idempotent: true,
        maxInFlightRequests: 1,
        createPartitioner: Partitioners.DefaultPartitioner,
      })
      await producer.connect()
      for (const [value, end] of [
        ['kept', 'commit'],
        ['dropped', 'abort'],
        ['dropped too', 'abort'],
        ['kept too', 'commit'],
      ] as const) {
        const transaction = await producer.transaction()
        await transaction.send({ topic, messages: [{ partition: 0, value }] })
        await transaction[end]()
      }
      await producer.disconnect()
      const reader = new Reader()
      await transport.subscribe(topic, 'transactions', reader)
      await until('the last one is read', () => reader.all().includes('kept too'))
      await transport.publish(topic, [record(0, 'after')])
      await until('what follows is read', () => reader.all().includes('after'))
      expect(reader.all()).toEqual(['kept', 'kept too', 'after'])
    })

    it('a checkpoint beyond the end of the log is told, and the log read from its beginning', async () => {
      const { transport, topic, telemetry } = await stage(1)
      const reader = new Reader()
      reader.starts.set(0, 1000)
      await transport.publish(topic, [record(0, 'a'), record(0, 'b')])
      await transport.subscribe(topic, 'ahead', reader)
      await until('it is read', () => reader.all().length === 2)
      expect(reader.offsets.get(0)).toEqual([0, 1])
      expect(await countOf(telemetry, 'transport_position_lost')).toBe(1)
    })

    it('what a checkpoint says is committed at once: who died between its checkpoint and its commit leaves no lag behind', async () => {
      const { transport, topic } = await stage(1)
      const reader = new Reader()
      reader.starts.set(0, 2)
      await transport.publish(topic, [record(0, 'a'), record(0, 'b')])
      await transport.subscribe(topic, 'checkpointed', reader)
      await until('the group stands where the checkpoint does', async () => {
        const groups = (await kafka.admin.listGroups()).groups.filter(({ groupId }) => groupId.includes('checkpointed'))
        const offsets = await Promise.all(groups.map(({ groupId }) => kafka.admin.fetchOffsets({ groupId, topics: [topic] })))
        return offsets.some(([answer]) => answer?.partitions[0]?.offset === '2')
      })
      expect(reader.all()).toEqual([])
    })

    it('waits for a topic that does not exist yet', async () => {
      const { transport, telemetry } = await stage(1)
      const reader = new Reader()
      await transport.subscribe('later', 'readers', reader)
      expect(await countOf(telemetry, 'transport_topic_missing')).toBe(1)
      await transport.ensureTopic('later', 1)
      await transport.publish('later', [record(0, 'a')])
      await until('it is read', () => reader.all().length === 1)
    })
  })

  describe('refusals', () => {
    it('a record over the limit is refused by name, and the others go on', async () => {
      const { transport, topic } = await stage(1, { maxMessageBytes: 65_536 })
      await expect(transport.publish(topic, [record(0, 'x'.repeat(70_000))])).rejects.toThrow(
        '70000 bytes: over kafka.maxMessageBytes (65536)',
      )
      await transport.publish(topic, [record(0, 'small')])
    })

    it('a record that the broker finds too large does not take its neighbours along', async () => {
      const { config, topic, open } = await stage(1, { maxMessageBytes: 65_536, compression: 'none' })
      config.maxMessageBytes = 8_388_608 // the topic keeps the limit that it was created with
      const transport = open()
      const noise = Array.from({ length: 100_000 }, (_, i) => String.fromCharCode(33 + ((i * 7919) % 90))).join('')
      await transport.publish(topic, [record(0, 'first')]) // the connection is there
      const busy = transport.publish(topic, [record(0, 'busy')])
      const [ok, tooLarge, alsoOk] = await Promise.allSettled(
        [record(0, 'a'), record(0, noise), record(0, 'b')].map((one) => transport.publish(topic, [one])),
      )
      await busy
      expect([ok!.status, tooLarge!.status, alsoOk!.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(String((tooLarge as PromiseRejectedResult).reason)).toMatch(
        /100000 bytes: Kafka refuses it.*raise max.message.bytes of the topic/,
      )
    })
  })
})

run('a broker that goes away', () => {
  let kafka: RunningKafka
  beforeAll(async () => void (kafka = await startKafka()))
  afterAll(() => kafka?.stop())

  it('publishing fails in time, stopping does not hang, and everything goes on when it is back', async () => {
    const config = kafkaConfigFor(kafka, { publishTimeoutMs: 1000, stopTimeoutMs: 1000 })
    const transport = createKafkaTransport(config, { telemetry: quietTelemetry(), clock })
    await transport.ensureTopic('t', 1)
    const reader = new Reader()
    await transport.subscribe('t', 'g', reader)
    await transport.publish('t', [record(0, 'before')])
    await kafka.killBroker(0)
    const beganMs = performance.now()
    await expect(transport.publish('t', [record(0, 'meanwhile')])).rejects.toThrow('did not acknowledge within 1000 ms')
    expect(performance.now() - beganMs).toBeLessThan(2000)
    const stopped = createKafkaTransport(config, { telemetry: quietTelemetry(), clock })
    stopped.publish('t', [record(0, 'never')]).catch(() => undefined)
    const stoppingMs = performance.now()
    await stopped[Symbol.asyncDispose]()
    expect(performance.now() - stoppingMs).toBeLessThan(8000)
    await kafka.startBroker(0)
    const backMs = performance.now()
    await until('publishing works again', () => transport.publish('t', [record(0, 'after')]).then(() => true))
    await until('it is read', () => reader.all().includes('after'))
    console.log(`broker back: published and read again after ${Math.round(performance.now() - backMs)} ms`)
    expect(reader.all()[0]).toBe('before')
    await transport[Symbol.asyncDispose]()
  })
})

run('three brokers', () => {
  let kafka: RunningKafka
  beforeAll(async () => void (kafka = await startKafka({ brokers: 3 })))
  afterAll(() => kafka?.stop())

  it('leaders move and a broker dies while we publish: nothing acknowledged is lost', async () => {
    const config = kafkaConfigFor(kafka)
    const telemetry = quietTelemetry()
    const transport = createKafkaTransport(config, { telemetry, clock })
    await transport.ensureTopic('moves', 6)
    const store = new MemoryCheckpoints()
    await transport.subscribe('moves', 'live', new CheckpointingReader(store))
    const publisher = publishing(transport, 'moves', 6)
    await until('it flows', () => store.offsets.size === 6)
    let moves = 0
    for (let round = 0; round < 2; round++) {
      for (let partition = 0; partition < 6; partition++, moves++) await kafka.moveLeader('moves', partition)
    }
    await kafka.killBroker(1)
    await new Promise((resolve) => setTimeout(resolve, 3000))
    await kafka.startBroker(1)
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const acknowledged = await publisher.stop()
    await until('the live reader has everything', () => lostOf(acknowledged, store.seen).length === 0)
    const late = new Reader()
    await transport.subscribe('moves', 'late', late)
    const all = () => [0, 1, 2, 3, 4, 5].flatMap((p) => late.all(p))
    await until('a late reader has everything', () => lostOf(acknowledged, all()).length === 0)
    const inLog = all()
    const twice = inLog.length - new Set(inLog).size
    expect(acknowledged.length).toBeGreaterThan(500)
    expect(store.wrong).toEqual([])
    expect(store.seen).toHaveLength(inLog.length)
    console.log(
      `${moves} leaders moved, 1 broker killed: ${acknowledged.length} acknowledged, 0 lost, ${twice} twice in the log, ${publisher.refused} publishes refused, ` +
        `${await countOf(telemetry, 'transport_publish_failed')} sends repeated, longest gap of a reader ${Math.round(store.longestGapMs)} ms`,
    )
    await transport[Symbol.asyncDispose]()
  }, 120_000)
})
