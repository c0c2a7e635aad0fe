/**
 * Checkpoints shared by members of a group, whether in this process or in their own: what a stage does with the transport, in
 * small. The offset and what was learned up to it are one thing, saved by compare-and-set.
 */
import { fork } from 'node:child_process'
import { FencedError } from '../../src/errors.ts'
import type { KafkaConfig } from '../../src/transport/config.ts'
import type { BatchHandler, RecordBatch } from '../../src/transport/transport.ts'
import { textsOf } from './transport-suite.ts'

export interface CheckpointStore {
  load(partition: number): Promise<number | undefined>
  save(partition: number, expected: number | undefined, next: number, seen: readonly string[]): Promise<void>
  wrongOffset(partition: number, expected: number, found: number): Promise<void>
}

export class MemoryCheckpoints implements CheckpointStore {
  readonly offsets = new Map<number, number>()
  readonly seen: string[] = []
  readonly wrong: string[] = []
  fenced = 0
  /** The longest time between two saves of a partition, ms. */
  longestGapMs = 0
  readonly #savedMs = new Map<number, number>()

  async load(partition: number): Promise<number | undefined> {
    await new Promise((resolve) => setTimeout(resolve, 20)) // as a database would
    return this.offsets.get(partition)
  }

  async save(partition: number, expected: number | undefined, next: number, seen: readonly string[]): Promise<void> {
    if (this.offsets.get(partition) !== expected) {
      this.fenced++
      throw new FencedError(`partition ${partition} is at ${this.offsets.get(partition)}, not at ${expected}`)
    }
    const nowMs = performance.now()
    this.longestGapMs = Math.max(this.longestGapMs, nowMs - (this.#savedMs.get(partition) ?? nowMs))
    this.#savedMs.set(partition, nowMs)
    this.offsets.set(partition, next)
    this.seen.push(...seen)
  }

  async wrongOffset(partition: number, expected: number, found: number): Promise<void> {
    this.wrong.push(`partition ${partition}: ${found} instead of ${expected}`)
  }
}

export class CheckpointingReader implements BatchHandler {
  readonly #store: CheckpointStore
  readonly #expected = new Map<number, number | undefined>()

  constructor(store: CheckpointStore) {
    this.#store = store
  }

  async assigned(partition: number): Promise<number> {
    const offset = await this.#store.load(partition)
    this.#expected.set(partition, offset)
    return offset ?? 0
  }

  async revoked(partition: number): Promise<void> {
    this.#expected.delete(partition)
  }

  async handle(batch: RecordBatch): Promise<void> {
    const { partition, records } = batch
    const expected = this.#expected.get(partition)
    for (const [i, { offset }] of records.entries()) {
      if (offset !== (expected ?? 0) + i) await this.#store.wrongOffset(partition, (expected ?? 0) + i, offset)
    }
    const next = records.at(-1)!.offset + 1
    await this.#store.save(partition, expected, next, textsOf(batch))
    this.#expected.set(partition, next)
  }
}

export interface Member {
  kill(): Promise<void>
  stop(): Promise<void>
}

/** Resolves when the member has joined the group. */
export async function startMember(config: KafkaConfig, topic: string, store: CheckpointStore): Promise<Member> {
  const path = new URL('transport-member.ts', import.meta.url).pathname
  const child = fork(path, [JSON.stringify({ config, topic })], { execArgv: ['--import', 'tsx'], serialization: 'advanced' })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the member ended with ${code}`)))
    child.on('message', ({ id, method, args }: { id: number; method: keyof CheckpointStore | 'ready'; args: never }) => {
      if (method === 'ready') return resolve()
      const call = store[method] as (...values: unknown[]) => Promise<unknown>
      const answer = (message: object) => {
        if (child.connected) child.send({ id, ...message })
      }
      call.apply(store, args).then(
        (value) => answer({ value }),
        (error: unknown) => answer({ fenced: String(error) }),
      )
    })
  })
  return {
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
    async stop() {
      if (child.connected) child.send('stop')
      await exited
    },
  }
}
