/**
 * Where dead letters are kept and found again: in their topic where Kafka carries, else in the store. A letter is never changed or taken away when it
 * is replayed: a marker says that it was (in the topic a record of its own behind it, in the store a column).
 */
import type { Db } from './store/db.ts'
import {
  dropOldDeadLetters,
  listDeadLetters,
  markReplayed,
  readStoredLetter,
  saveDeadLetters,
  type StoredLetterFilter,
  type StoredLetterRow,
} from './store/dead-letters.ts'
import type { Telemetry } from './telemetry.ts'
import { readDeadLetter, readReplayMarker, replayMarker } from './transport/dead-letter.ts'
import type { BatchHandler, LogReader, Transport } from './transport/transport.ts'

/** One that is listed has no value, only its size. */
export type Letter = StoredLetterRow
export type LetterFilter = StoredLetterFilter

export interface LetterBox {
  /** Those that fit, oldest first, without their values. */
  list(filter: LetterFilter): Promise<readonly Letter[]>
  get(id: string): Promise<Letter | undefined>
  /** Those of a list with their values, the topic read once for all of them; one that is gone by now is left out. */
  all(listed: readonly Letter[]): AsyncIterable<Letter>
  markReplayed(id: string, nowMs: number): Promise<void>
}

const MAX_KEPT = 10_000
const MAX_KEPT_BYTES = 64 * 1024 * 1024

/** Keeps what is published as a dead letter in the store, the newest of it. */
export function deadLetterKeeper(db: Db, telemetry: Telemetry): BatchHandler {
  const kept = telemetry.counter('dead_letters_kept_total', 'Dead letters put into the store', ['reason'])
  const dropped = telemetry.happening({
    name: 'dead_letters_dropped',
    help: `Of the dead letters in the store the oldest were dropped: the newest ${MAX_KEPT} are kept, and ${MAX_KEPT_BYTES} bytes of them`,
    level: 'warn',
  })
  return {
    async handle({ records }) {
      const letters = records.map(readDeadLetter).filter((letter) => letter !== undefined)
      const tooMany = await db.transaction(async (tx) => {
        await saveDeadLetters(tx, letters)
        return dropOldDeadLetters(tx, MAX_KEPT, MAX_KEPT_BYTES)
      })
      for (const { reason } of letters) kept.inc({ reason })
      if (tooMany > 0) dropped({}, { letters: tooMany }, tooMany)
    },
  }
}

export function lettersInStore(db: Db): LetterBox {
  return {
    list: (filter) => listDeadLetters(db, filter),
    get: (id) => readStoredLetter(db, id),
    async *all(listed) {
      for (const { id } of listed) {
        const letter = await readStoredLetter(db, id)
        if (letter !== undefined) yield letter
      }
    },
    markReplayed: (id, nowMs) => markReplayed(db, id, nowMs),
  }
}

/** An id is partition and offset, `0-42`. Reads as far as the topic goes when it is asked. */
export function lettersInTopic(transport: Transport & LogReader, topic: string): LetterBox {
  const scan = async function* (partition: number, fromOffset: number) {
    for await (const record of transport.read(topic, partition, fromOffset)) {
      const replayed = readReplayMarker(record)
      if (replayed !== undefined) yield { replayed }
      else {
        const letter = readDeadLetter(record)
        const id = `${partition}-${record.offset}`
        if (letter !== undefined) yield { letter: { ...letter, id, valueBytes: letter.value.length, replayedMs: undefined } }
      }
    }
  }
  return {
    async list({ topic: of, reason, sinceMs = 0, limit }) {
      const replayedMs = new Map<string, number>()
      const found: Letter[] = []
      const partitions = await transport.partitions(topic)
      for (let partition = 0; partition < partitions; partition++) {
        for await (const { letter, replayed } of scan(partition, 0)) {
          if (replayed !== undefined) replayedMs.set(replayed.id, replayed.atMs)
          else if ((of ?? letter.topic) === letter.topic && (reason ?? letter.reason) === letter.reason && letter.timestampMs >= sinceMs) {
            found.push({ ...letter, value: new Uint8Array(0) })
            if (found.length >= 2 * limit) found.splice(0, found.length - limit)
          }
        }
      }
      return found.slice(-limit).map((letter) => ({ ...letter, replayedMs: replayedMs.get(letter.id) }))
    },

    async get(id) {
      const [, partition, offset] = /^(\d{1,6})-(\d{1,15})$/.exec(id) ?? []
      if (partition === undefined || Number(partition) >= (await transport.partitions(topic))) return undefined
      let found: Letter | undefined
      for await (const { letter, replayed } of scan(Number(partition), Number(offset))) {
        if (replayed?.id === id && found !== undefined) found = { ...found, replayedMs: replayed.atMs }
        if (letter === undefined || found !== undefined) continue
        if (letter.id !== id) return undefined
        found = letter
      }
      return found
    },

    async *all(listed) {
      const partitions = await transport.partitions(topic)
      for (let partition = 0; partition < partitions; partition++) {
        const wanted = new Map(listed.filter(({ id }) => id.startsWith(`${partition}-`)).map((letter) => [letter.id, letter]))
        if (wanted.size === 0) continue
        const fromOffset = Math.min(...Array.from(wanted.keys(), (id) => Number(id.slice(id.indexOf('-') + 1))))
        for await (const { letter } of scan(partition, fromOffset)) {
          const known = letter && wanted.get(letter.id)
          if (known === undefined) continue
          yield { ...letter!, replayedMs: known.replayedMs }
          wanted.delete(known.id)
          if (wanted.size === 0) break
        }
      }
    },

    markReplayed: (id, nowMs) => transport.publish(topic, [replayMarker(id, nowMs)]),
  }
}
