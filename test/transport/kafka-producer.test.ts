/** Publishing through a producer that fails in each of the ways that kafkajs knows. The fake remembers what was sent. */
import type { Kafka, Message, ProducerRecord, RecordMetadata } from 'kafkajs'
import pino from 'pino'
import { describe, expect, it } from 'vitest'
import { PermanentError, RetryLaterError } from '../../src/errors.ts'
import { Telemetry } from '../../src/telemetry.ts'
import { kafkaConfig, type KafkaConfig } from '../../src/transport/config.ts'
import { transportHappenings } from '../../src/transport/happenings.ts'
import { KafkaPublisher, type ProducerClient } from '../../src/transport/kafka-producer.ts'
import { record } from '../contract/transport-suite.ts'

type Answer = (sent: ProducerRecord) => Promise<RecordMetadata[]>
const acknowledge: Answer = async ({ topic, messages }) => [{ topicName: topic, partition: messages[0]!.partition!, errorCode: 0 }]
const fail =
  (type: string): Answer =>
  () =>
    Promise.reject(Object.assign(new Error(type), { type }))
const never: Answer = () => new Promise(() => undefined)

function stage(answers: Answer[] = [], config: Partial<KafkaConfig> = {}) {
  const sends: { producer: number; partition: number; texts: string[]; done: boolean }[] = []
  const disconnected: number[] = []
  let producers = 0
  const connects: (() => Promise<void>)[] = []
  const kafka = {
    producer() {
      const producer = ++producers
      return {
        connect: connects.shift() ?? (async () => undefined),
        disconnect: async () => void disconnected.push(producer),
        async send(sent: ProducerRecord) {
          const partitions = new Set(sent.messages.map(({ partition }: Message) => partition))
          expect(partitions.size, 'one partition per send').toBe(1)
          const entry = {
            producer,
            partition: sent.messages[0]!.partition!,
            texts: sent.messages.map(({ value }) => String(value)),
            done: false,
          }
          expect(
            sends.some((other) => other.partition === entry.partition && other.producer === producer && !other.done),
            'one send at a time per partition',
          ).toBe(false)
          sends.push(entry)
          try {
            return await (answers.shift() ?? acknowledge)(sent)
          } finally {
            entry.done = true
          }
        },
      }
    },
  } as unknown as Kafka
  const telemetry = new Telemetry(pino({ level: 'silent' }))
  const client: ProducerClient = {
    kafka,
    trouble: 'connect ECONNREFUSED',
    async disconnect(part) {
      await part.disconnect()
      return 'done'
    },
  }
  const publisher = new KafkaPublisher(
    () => client,
    kafkaConfig.parse({ publishTimeoutMs: 2000, stopTimeoutMs: 200, ...config }),
    transportHappenings(telemetry),
    () => 0,
  )
  return { publisher, sends, disconnected, connects }
}

describe('publishing', () => {
  it('sends each partition on its own', async () => {
    const { publisher, sends } = stage()
    await publisher.publish('t', [record(0, 'a'), record(1, 'b'), record(0, 'c')])
    expect(sends.map(({ partition, texts }) => [partition, texts])).toEqual([
      [0, ['a', 'c']],
      [1, ['b']],
    ])
  })

  it('what comes while a send is under way goes out together with the next', async () => {
    const { publisher, sends } = stage()
    await Promise.all(['a', 'b', 'c', 'd'].map((text) => publisher.publish('t', [record(0, text)])))
    expect(sends.map(({ texts }) => texts)).toEqual([['a'], ['b', 'c', 'd']])
  })

  it('splits what would be too large for one send', async () => {
    const { publisher, sends } = stage()
    await publisher.publish(
      't',
      Array.from({ length: 5 }, (_, i) => record(0, String(i).repeat(300_000))),
    )
    expect(sends.map(({ texts }) => texts.length)).toEqual([2, 2, 1])
  })

  it.each([
    { name: 'an answer that does not name the partition', answer: (async () => []) as Answer },
    {
      name: 'an answer about another partition',
      answer: (async ({ topic }) => [{ topicName: topic, partition: 7, errorCode: 0 }]) as Answer,
    },
    { name: 'a sequence number out of order', answer: fail('OUT_OF_ORDER_SEQUENCE_NUMBER') },
    { name: 'a lost connection', answer: (() => Promise.reject(new Error('Connection error: ECONNREFUSED'))) as Answer },
  ])('$name: the same records are sent again, by another producer', async ({ answer }) => {
    const { publisher, sends, disconnected } = stage([answer])
    await publisher.publish('t', [record(0, 'a'), record(0, 'b')])
    expect(sends.map(({ producer, texts }) => [producer, texts])).toEqual([
      [1, ['a', 'b']],
      [2, ['a', 'b']],
    ])
    expect(disconnected).toEqual([1])
  })

  const refuseLarge: Answer = (sent) =>
    sent.messages.some(({ value }) => String(value).startsWith('large')) ? fail('MESSAGE_TOO_LARGE')(sent) : acknowledge(sent)
  const always = (answer: Answer) => Array.from({ length: 20 }, () => answer)

  it('a refusal for good rejects the publish that it belongs to, not its neighbours', async () => {
    const { publisher } = stage([acknowledge, ...always(refuseLarge)])
    const outcomes = await Promise.allSettled(['first', 'a', 'large', 'b'].map((text) => publisher.publish('t', [record(0, text)])))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
    expect((outcomes[2] as PromiseRejectedResult).reason).toBeInstanceOf(PermanentError)
  })

  it.each([
    { name: 'a record that is too large for the broker', type: 'MESSAGE_TOO_LARGE', advice: 'raise max.message.bytes of the topic' },
    { name: 'a record that the broker finds invalid', type: 'INVALID_RECORD', advice: 'INVALID_RECORD' },
  ])('$name: the others of the same publish are written, and it is named', async ({ type, advice }) => {
    const answer: Answer = (sent) => (sent.messages.some(({ value }) => String(value) === 'wrong!') ? fail(type)(sent) : acknowledge(sent))
    const { publisher, sends } = stage(always(answer))
    const published = publisher.publish('t', [record(0, 'a'), record(0, 'b'), record(0, 'wrong!'), record(0, 'c'), record(1, 'd')])
    await expect(published).rejects.toThrow(`topic t: 1 of 5 records refused (the other 4 are written): record 2 for partition 0, 6 bytes`)
    await expect(published).rejects.toThrow(advice)
    await expect(published).rejects.toBeInstanceOf(PermanentError)
    const written = sends.filter(({ texts }) => !texts.includes('wrong!')).flatMap(({ texts }) => texts)
    expect(written.toSorted()).toEqual(['a', 'b', 'c', 'd'])
  })

  it('a record over our own limit is refused without asking, the others are written', async () => {
    const { publisher, sends } = stage([], { maxMessageBytes: 65_536 })
    const published = publisher.publish('t', [record(0, 'a'), record(0, 'x'.repeat(70_000)), record(1, 'b')])
    await expect(published).rejects.toThrow('record 1 for partition 0, 70000 bytes: over kafka.maxMessageBytes (65536)')
    expect(sends.flatMap(({ texts }) => texts)).toEqual(['a', 'b'])
    await expect(publisher.publish('t', [record(0, 'x'.repeat(70_000))])).rejects.toThrow('1 of 1 records refused: record 0')
  })

  it('a broker that takes smaller batches gets them, and is not asked again each time', async () => {
    const takes = 50_000
    const small: Answer = (sent) =>
      sent.messages.reduce((sum, { value }) => sum + String(value).length, 0) > takes ? fail('MESSAGE_TOO_LARGE')(sent) : acknowledge(sent)
    const { publisher, sends } = stage(Array.from({ length: 200 }, () => small))
    const records = Array.from({ length: 40 }, (_, i) => record(0, String(i).padStart(10_000, '0')))
    await publisher.publish('t', records)
    const refused = sends.filter(({ texts }) => texts.join('').length > takes).length
    expect(refused).toBeLessThan(6)
    await publisher.publish('t', records)
    expect(sends.filter(({ texts }) => texts.join('').length > takes)).toHaveLength(refused)
    expect(sends.slice(refused).flatMap(({ texts }) => texts.map(Number))).toEqual([...records.keys(), ...records.keys()])
  })

  it('while there is no Kafka one producer looks for it, and says what it sees', async () => {
    const { publisher, connects, sends, disconnected } = stage([], { publishTimeoutMs: 100 })
    let arrive = (): void => undefined
    connects.push(() => new Promise((resolve) => (arrive = resolve)))
    for (let i = 0; i < 3; i++)
      await expect(publisher.publish('t', [record(0, String(i))])).rejects.toThrow(
        'within 100 ms; the last connection failed: connect ECONNREFUSED',
      )
    const last = publisher.publish('t', [record(0, 'last')])
    arrive()
    await last
    expect(sends.map(({ producer, texts }) => [producer, texts])).toEqual([[1, ['last']]])
    expect(disconnected).toEqual([])
  })

  it('a send that never settles: the publish fails in time, and the next goes out through another producer', async () => {
    const { publisher, sends, disconnected } = stage([never], { publishTimeoutMs: 100 })
    await expect(publisher.publish('t', [record(0, 'a')])).rejects.toThrow('did not acknowledge within 100 ms')
    await publisher.publish('t', [record(0, 'b')])
    expect(sends.map(({ producer, texts }) => [producer, texts])).toEqual([
      [1, ['a']],
      [2, ['b']],
    ])
    expect(disconnected).toEqual([1])
  })

  it('an aborted publish is not sent any more', async () => {
    let release = (): void => undefined
    const opened = new Promise<void>((resolve) => (release = resolve))
    const { publisher, sends } = stage([(sent) => opened.then(() => acknowledge(sent))])
    const first = publisher.publish('t', [record(0, 'a')])
    const abort = new AbortController()
    const second = publisher.publish('t', [record(0, 'b')], abort.signal)
    abort.abort(new Error('client went away'))
    await expect(second).rejects.toThrow('client went away')
    release()
    await first
    expect(sends.map(({ texts }) => texts)).toEqual([['a']])
  })

  it('refuses more than may wait', async () => {
    const { publisher } = stage([never], { maxPendingBytes: 1_048_576, publishTimeoutMs: 100 })
    const first = publisher.publish('t', [record(0, 'x'.repeat(800_000))])
    await expect(publisher.publish('t', [record(1, 'x'.repeat(800_000))])).rejects.toThrow(RetryLaterError)
    await expect(first).rejects.toThrow('did not acknowledge')
    await publisher.publish('t', [record(1, 'x'.repeat(800_000))])
  })

  it('stopping waits for what is under way, and rejects the rest in time', async () => {
    const beganMs = performance.now()
    const { publisher } = stage([never])
    const outcomes = Promise.allSettled([
      publisher.publish('t', [record(0, 'stuck')]),
      publisher.publish('t', [record(0, 'behind it')]),
      publisher.publish('t', [record(1, 'fine')]),
    ])
    await publisher[Symbol.asyncDispose]()
    await expect(publisher.publish('t', [record(1, 'late')])).rejects.toThrow('has stopped')
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
    expect(performance.now() - beganMs).toBeLessThan(1500)
  })
})
