/**
 * What takes long in the life of a Kafka: a broker away for a minute, a topic that grows, listeners that want something, a disk that
 * fails. They wait far more than they work, so they run side by side, each with topics of its own.
 */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PermanentError } from '../../src/errors.ts'
import type { KafkaConfig } from '../../src/transport/config.ts'
import { deadLetter, readDeadLetter } from '../../src/transport/dead-letter.ts'
import { createKafkaTransport } from '../../src/transport/kafka.ts'
import { topicsWith } from '../../src/transport/topics.ts'
import type { InRecord } from '../../src/transport/transport.ts'
import { damage, startKafka, until, type RunningKafka, type SecuredListeners } from '../support/kafka.ts'
import { requireOrSkip } from '../support/services.ts'
import { countOf, kafkaConfigFor, quietTelemetry } from './transport-kafka-support.ts'
import { Reader, record } from './transport-suite.ts'

const awayMs = 60_000
const mebibyte = 1024 * 1024

function open(kafka: Pick<RunningKafka, 'brokers'>, more: Partial<KafkaConfig> = {}) {
  const telemetry = quietTelemetry()
  return { telemetry, transport: createKafkaTransport(kafkaConfigFor(kafka, more), { telemetry, clock: Date.now }) }
}

async function all(records: AsyncIterable<InRecord>): Promise<InRecord[]> {
  const found: InRecord[] = []
  for await (const one of records) found.push(one)
  return found
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const textOf = ({ value }: InRecord) => new TextDecoder().decode(value)

requireOrSkip('kafka', 'openssl')('a Kafka that is not always there, not always the same, and not open to everybody', () => {
  let away: RunningKafka
  let failing: RunningKafka
  let kafka: RunningKafka
  let secured: SecuredListeners
  beforeAll(async () => {
    ;[away, failing, kafka] = await Promise.all([startKafka(), startKafka(), startKafka({ secured: true })])
    secured = kafka.secured!
  })
  afterAll(() => Promise.all([away?.stop(), failing?.stop(), kafka?.stop()]))

  it.concurrent(
    'away for a minute: nothing acknowledged is lost, publishes reject in time, memory stays bounded, all goes on by itself',
    async () => {
      const bounds = { publishTimeoutMs: 3000, stopTimeoutMs: 1000, maxPendingBytes: 4 * mebibyte }
      const { transport } = open(away, bounds)
      await transport.ensureTopic('away', 2)
      const reader = new Reader()
      await transport.subscribe('away', 'readers', reader)
      const bystander = open(away, bounds).transport
      await bystander.subscribe('away', 'bystanders', new Reader())
      await bystander.publish('away', [record(0, 'bystander')])

      const acknowledged: string[] = []
      const refusals = new Map<string, number>()
      let longestMs = 0
      const over = new AbortController()
      const noise = 'x'.repeat(50_000)
      const publishing = [0, 1].map(async (partition) => {
        for (let i = 0; !over.signal.aborted; i++) {
          const texts = Array.from({ length: 10 }, (_, j) => `${partition}-${i}-${j}`)
          const beganMs = performance.now()
          const outcomes = await Promise.allSettled(texts.map((text) => transport.publish('away', [record(partition, `${text} ${noise}`)])))
          longestMs = Math.max(longestMs, performance.now() - beganMs)
          for (const [j, outcome] of outcomes.entries()) {
            if (outcome.status === 'fulfilled') acknowledged.push(texts[j]!)
            else refusals.set(String(outcome.reason).slice(0, 60), (refusals.get(String(outcome.reason).slice(0, 60)) ?? 0) + 1)
          }
          await pause(100)
        }
      })
      await until('it flows', () => acknowledged.length > 20)
      await away.killBroker(0)
      const beganMs = performance.now()
      const idle = open(away, bounds).transport // one that never saw the broker
      const never = idle.publish('away', [record(0, 'never')]).catch((error: unknown) => String(error))
      const ghost = bystander.publish('away', [record(0, 'ghost')]).catch((error: unknown) => String(error))
      await pause(500) // it is under way
      const stopMs = performance.now()
      await bystander[Symbol.asyncDispose]()
      const stoppedMs = performance.now() - stopMs
      expect(stoppedMs, 'a transport with a subscription stops while there is no Kafka').toBeLessThan(8000)
      expect(await ghost).toMatch(/did not acknowledge|stopped before Kafka acknowledged/)
      expect(await never).toMatch(/did not acknowledge within 3000 ms; the last connection failed: 127.0.0.1:\d+: connect ECONNREFUSED/)
      await idle[Symbol.asyncDispose]()
      await pause(10_000)
      const early = process.memoryUsage()
      await pause(awayMs - (performance.now() - beganMs))
      const late = process.memoryUsage()
      const before = acknowledged.length
      await away.startBroker(0)
      const backMs = performance.now()
      await until('publishes are acknowledged again', () => acknowledged.length > before)
      const publishedMs = performance.now() - backMs
      over.abort()
      await Promise.all(publishing)
      const seen = () => new Set([...reader.all(0), ...reader.all(1)].map((text) => text.split(' ')[0]!))
      const lost = () => acknowledged.filter((text) => !seen().has(text))
      await until('the reader has everything that was acknowledged', () => lost().length === 0)
      const grownMb = (late.heapUsed + late.external - early.heapUsed - early.external) / mebibyte
      console.log(
        `away for ${awayMs / 1000} s: ${acknowledged.length} acknowledged, 0 lost, publishes again ${Math.round(publishedMs)} ms after the start, ` +
          `longest publish ${Math.round(longestMs)} ms, memory ${grownMb.toFixed(1)} MiB more after the minute than after 10 s of it, ` +
          `stopped meanwhile in ${Math.round(stoppedMs)} ms; refused: ${JSON.stringify(Object.fromEntries(refusals))}`,
      )
      expect(seen(), 'what was given up does not come after all').not.toContain('ghost')
      expect([...refusals.keys()].join()).toContain('did not acknowledge within 3000 ms')
      expect(longestMs).toBeLessThan(10_000)
      expect(grownMb).toBeLessThan(64)
      await transport[Symbol.asyncDispose]()
    },
    awayMs + 90_000,
  )

  it.concurrent('a topic that grows is read to its new ends within ten seconds, and the process says so', async () => {
    const { transport, telemetry } = open(kafka)
    await transport.ensureTopic('grows', 2)
    const reader = new Reader()
    await transport.subscribe('grows', 'readers', reader)
    await transport.publish('grows', [record(0, 'a'), record(1, 'b')])
    await expect(transport.publish('grows', [record(3, 'early')])).rejects.toThrow('no partition 3, only 0 to 1')
    await kafka.admin.createPartitions({ topicPartitions: [{ topic: 'grows', count: 4 }] })
    const beganMs = performance.now()
    await until('the new partitions can be written to', () => transport.publish('grows', [record(2, 'c'), record(3, 'd')]).then(() => true))
    await until('all four are read', () => [0, 1, 2, 3].every((partition) => reader.all(partition).length > 0))
    console.log(`topic grown: new partitions are read after ${Math.round(performance.now() - beganMs)} ms`)
    expect([0, 1, 2, 3].map((partition) => reader.all(partition)[0])).toEqual(['a', 'b', 'c', 'd'])
    await until('it is told', async () => (await countOf(telemetry, 'transport_topic_grown')) === 1)
    expect(await transport.partitions('grows')).toBe(4)
    await transport[Symbol.asyncDispose]()
  })

  it.concurrent('a topic with fewer partitions than are asked for gets them, one with more is left alone and told', async () => {
    const { transport, telemetry } = open(kafka)
    await kafka.createTopic('small', 2)
    await transport.ensureTopic('small', 5)
    expect(await transport.partitions('small')).toBe(5)
    expect(await countOf(telemetry, 'transport_partitions_added')).toBe(1)
    expect(await countOf(telemetry, 'transport_partitions_unused')).toBe(0)
    await transport.ensureTopic('small', 3)
    expect(await transport.partitions('small')).toBe(5)
    expect(await countOf(telemetry, 'transport_partitions_unused')).toBe(1)
    await transport[Symbol.asyncDispose]()
  })

  it.concurrent('a record that the topic does not take is named at once, its neighbours are written; one larger than a fetch is read', async () => {
    const { transport } = open(kafka, { compression: 'none' })
    await kafka.createTopic('narrow', 1) // 1 MiB, the brokers' default
    const beganMs = performance.now()
    const published = transport.publish('narrow', [record(0, 'a'), record(0, 'x'.repeat(2_000_000)), record(0, 'b')])
    await expect(published).rejects.toThrow(
      /topic narrow: 1 of 3 records refused \(the other 2 are written\): record 1 for partition 0, 2000000 bytes: .*max.message.bytes/,
    )
    await expect(published).rejects.toBeInstanceOf(PermanentError)
    expect(performance.now() - beganMs).toBeLessThan(10_000)
    expect((await all(transport.read('narrow', 0, 0))).map(textOf)).toEqual(['a', 'b'])
    await transport.ensureTopic('wide', 1)
    const sizes = [10, 5_000_000, 10]
    for (const size of sizes) await transport.publish('wide', [record(0, 'x'.repeat(size))])
    const reader = new Reader()
    await transport.subscribe('wide', 'readers', reader)
    await until('all are read', () => reader.all().length === 3)
    expect(reader.all().map(({ length }) => length)).toEqual(sizes)
    await transport[Symbol.asyncDispose]()
  })

  it.concurrent('many records right after the topic was made: each is in the log once', async () => {
    const { transport } = open(kafka)
    await Promise.all([1, 2, 3].map((round) => transport.ensureTopic(`fresh-${round}`, 3))) // 4.x needs a moment for leaders
    for (const round of [1, 2, 3]) {
      const texts = Array.from({ length: 250 }, (_, i) => String(i))
      await Promise.all(texts.map((text, i) => transport.publish(`fresh-${round}`, [record(i % 3, text)])))
      const found = await Promise.all([0, 1, 2].map((partition) => all(transport.read(`fresh-${round}`, partition, 0))))
      expect(found.flat().map(textOf).toSorted()).toEqual(texts.toSorted())
    }
    await transport[Symbol.asyncDispose]()
  })

  it.concurrent('reading from an offset ends where the partition ended when it was asked, and moves no position', async () => {
    const { transport } = open(kafka, { groupPrefix: 'kept' })
    await transport.ensureTopic('kept', 2)
    await transport.publish('kept', [...Array.from({ length: 20 }, (_, i) => record(1, String(i))), record(0, 'elsewhere')])
    const read: string[] = []
    for await (const one of transport.read('kept', 1, 15)) {
      if (read.length === 0) await transport.publish('kept', [record(1, 'later')])
      read.push(`${one.offset} ${textOf(one)}`)
    }
    expect(read).toEqual(['15 15', '16 16', '17 17', '18 18', '19 19'])
    expect(await all(transport.read('kept', 1, 21))).toEqual([])
    expect(await all(transport.read('kept', 7, 0)), 'no such partition').toEqual([])
    for await (const one of transport.read('kept', 1, 0)) if (one.offset === 2) break // a caller that has seen enough
    await expect(all(transport.read('kept', 1, 0, AbortSignal.abort(new Error('enough'))))).rejects.toThrow('enough')
    const { groups } = await kafka.admin.listGroups()
    const own = groups.filter(({ groupId }) => groupId.startsWith('kept.'))
    expect(own, 'groups that stay behind').toEqual([])
    await transport[Symbol.asyncDispose]()
  })

  it.concurrent('a poisoned record goes to the dead letters by the handler, a damaged batch by itself, and the partition goes on', async () => {
    const config = { compression: 'gzip', topicPrefix: 'disk' } as const
    const writer = open(failing, config).transport
    await writer.ensureTopic('damaged', 1)
    for (const text of ['before', 'lost with the disk'.repeat(20), 'poison', 'after']) await writer.publish('damaged', [record(0, text)])
    await writer[Symbol.asyncDispose]()
    const segment = await failing.segment('damaged', 0)
    await failing.stopBroker(0) // cleanly: after a crash the broker itself would look, and cut the log there
    const magic = Buffer.from([0x1f, 0x8b, 0x08])
    const second = (bytes: Buffer) => bytes.indexOf(magic, bytes.indexOf(magic) + 1)
    const whole = readFileSync(segment)
    await damage(segment, (bytes) => second(bytes) + 14, Buffer.alloc(12, 0xff))
    await failing.startBroker(0)

    const { transport, telemetry } = open(failing, config)
    const reader = new Reader()
    reader.before = async (batch) => {
      const poison = batch.records.find((one) => textOf(one) === 'poison')
      if (poison !== undefined)
        await transport.publish(topicsWith('disk').deadLetters, [deadLetter(batch, poison, 'malformed', 'it is poison')])
    }
    const group = await transport.subscribe('damaged', 'readers', reader)
    await until('the record behind it is read', () => reader.all().includes('after'))
    expect(reader.all()).toEqual(['before', 'poison', 'after'])
    expect(reader.offsets.get(0)).toEqual([0, 2, 3])
    expect(await countOf(telemetry, 'transport_undecodable_batch')).toBe(1)
    const dead = (await all(transport.read(topicsWith('disk').deadLetters, 0, 0))).map((one) => readDeadLetter(one)!)
    expect(dead.map(({ reason }) => reason)).toEqual(['undecodable_batch', 'malformed'])
    expect(dead[1]).toMatchObject({ error: 'it is poison', topic: 'damaged', offset: 2, content: 'record' })
    expect(new TextDecoder().decode(dead[1]!.value)).toBe('poison')
    expect(dead[0]).toMatchObject({
      reason: 'undecodable_batch',
      error: expect.stringMatching(/\w+/),
      topic: 'damaged',
      partition: 0,
      offset: 1,
      lastOffset: 1,
      content: 'record-batch',
    })
    // Undamaged again, the bytes are those that were written: nothing is lost but what the disk lost.
    const bytes = Buffer.from(dead[0]!.value)
    const at = second(whole)
    whole.copy(bytes, bytes.indexOf(magic) + 14, at + 14, at + 26)
    expect(whole.includes(bytes)).toBe(true)
    await group[Symbol.asyncDispose]()
    await transport[Symbol.asyncDispose]()
  }, 120_000)

  it.concurrent.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
    '%s lets us in with the password, with and without TLS, and says at once that it is wrong',
    async (mechanism) => {
      const sasl = { mechanism, username: secured.username, password: secured.password }
      const through = [
        open({ brokers: [secured.sasl] }, { sasl }),
        open({ brokers: [secured.saslTls] }, { sasl, ssl: { caFile: secured.caFile } }),
      ]
      for (const [i, { transport }] of through.entries()) {
        const topic = `${mechanism}-${i}`
        await transport.ensureTopic(topic, 1)
        const reader = new Reader()
        await transport.subscribe(topic, 'readers', reader)
        await transport.publish(topic, [record(0, 'in')])
        await until('it is read', () => reader.all().length === 1)
        await transport[Symbol.asyncDispose]()
      }
      const beganMs = performance.now()
      const stranger = open({ brokers: [secured.sasl] }, { sasl: { ...sasl, password: 'guessed' } }).transport
      const refused = stranger.ensureTopic(`${mechanism}-0`, 1)
      await expect(refused).rejects.toThrow(/no connection to Kafka at 127.0.0.1:\d+: .*check kafka.sasl/)
      await expect(refused).rejects.not.toThrow('guessed')
      await expect(stranger.subscribe(`${mechanism}-0`, 'readers', new Reader())).rejects.toThrow('check kafka.sasl')
      expect(performance.now() - beganMs).toBeLessThan(15_000)
      await stranger[Symbol.asyncDispose]()
    },
  )

  it.concurrent.each([
    {
      name: 'an authority that did not sign it',
      to: 'tls',
      ssl: () => ({ caFile: secured.otherCaFile }),
      expected: /set kafka.ssl.caFile/,
    },
    { name: 'the usual authorities only', to: 'tls', ssl: () => true, expected: /set kafka.ssl.caFile/ },
    {
      name: 'another name than in the certificate',
      to: 'tls',
      ssl: () => ({ caFile: secured.caFile, serverName: 'kafka.example' }),
      expected: /kafka.ssl.serverName/,
    },
    { name: 'no certificate of ours where one is wanted', to: 'mutualTls', ssl: () => ({ caFile: secured.caFile }), expected: /kafka.ssl/ },
    { name: 'TLS where there is none', to: 'sasl', ssl: () => ({ caFile: secured.caFile }), expected: /does not talk TLS|hung up/ },
    { name: 'no TLS where it is wanted', to: 'tls', ssl: () => false, expected: /hung up 5 times .*\(kafka.ssl\)/ },
    { name: 'no login where one is wanted', to: 'sasl', ssl: () => false, expected: /hung up 5 times .*\(kafka.sasl\)/ },
    {
      name: 'a file that is not there',
      to: 'tls',
      ssl: () => ({ caFile: '/nowhere/ca.pem' }),
      expected: /kafka.ssl.caFile: cannot be read: ENOENT/,
    },
  ] as const)('refused at the start, with advice: $name', async ({ to, ssl, expected }) => {
    const beganMs = performance.now()
    const begin = async () => {
      const { transport } = open({ brokers: [secured[to]] }, { ssl: ssl() })
      try {
        await transport.ensureTopic('never', 1)
      } finally {
        await transport[Symbol.asyncDispose]()
      }
    }
    const refused = begin()
    await expect(refused).rejects.toThrow(expected)
    await expect(refused).rejects.toBeInstanceOf(PermanentError)
    expect(performance.now() - beganMs).toBeLessThan(15_000)
  })

  it.concurrent('TLS with an authority of our own, and with a certificate of ours', async () => {
    const { caFile, certFile, keyFile } = secured
    for (const [broker, ssl] of [
      [secured.tls, { caFile }],
      [secured.mutualTls, { caFile, certFile, keyFile }],
    ] as const) {
      const { transport } = open({ brokers: [broker] }, { ssl })
      await transport.ensureTopic('by-tls', 1)
      await transport.publish('by-tls', [record(0, broker)])
      expect((await all(transport.read('by-tls', 0, 0))).map(textOf)).toContain(broker)
      await transport[Symbol.asyncDispose]()
    }
  })
})
