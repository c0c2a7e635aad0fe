/**
 * How far a run has come, seen from outside: what has been sent, and the positions that the groups have committed, asked for again and
 * again. Positions follow what was handled, so "committed to the end" is "handled to the end".
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from 'kafkajs'
import type { Topics } from '../../src/transport/topics.ts'
import type { Moment } from './chaos-plan.ts'
import { PARTITIONS } from './chaos-stream.ts'
import { until } from './kafka.ts'

/** The next offset of each partition. */
export type Position = readonly number[]

const POLL_MS = 30
const PATIENCE_MS = 90_000

export class Progress implements AsyncDisposable {
  readonly #admin: Admin
  readonly #topics: Topics
  readonly #groupPrefix: string
  /** End of the telemetry topic's partitions after each chunk sent. */
  readonly #sentEnds: Position[] = []
  readonly #failed = new AbortController()
  readonly #following: Promise<void>
  #telemetryAt: Position = Array.from({ length: PARTITIONS }, () => 0)
  #findingsAt: Position = [0]
  #over = false

  constructor(admin: Admin, topics: Topics, groupPrefix: string) {
    this.#admin = admin
    this.#topics = topics
    this.#groupPrefix = groupPrefix
    this.#following = this.#follow().catch((error: unknown) => this.fail(error))
  }

  /** Whoever waits here, or will, gets the error. */
  fail(error: unknown): void {
    this.#failed.abort(error)
  }

  sent(ends: Position): void {
    this.#sentEnds.push(ends)
  }

  get sentChunks(): number {
    return this.#sentEnds.length
  }

  /** Chunks that detection is done with. */
  get detectedChunks(): number {
    let chunks = 0
    while (chunks < this.#sentEnds.length && isPast(this.#telemetryAt, this.#sentEnds[chunks]!)) chunks++
    return chunks
  }

  at(group: 'detect' | 'correlate'): Position {
    return group === 'detect' ? this.#telemetryAt : this.#findingsAt
  }

  /** Not from memory. */
  committed(group: 'detect' | 'correlate'): Promise<Position> {
    return group === 'detect'
      ? this.#committed('detect.telemetry', this.#topics.telemetry)
      : this.#committed('correlate.findings', this.#topics.findings)
  }

  async ends(topic: string): Promise<Position> {
    const ends: number[] = []
    for (const { partition, offset } of await this.#admin.fetchTopicOffsets(topic)) ends[partition] = Number(offset)
    return ends
  }

  /** What was sent is detected, and what was detected is correlated. */
  async isHandled(): Promise<boolean> {
    if (this.detectedChunks < this.sentChunks) return false
    return isPast(this.#findingsAt, await this.ends(this.#topics.findings))
  }

  reached({ chunk, of }: Moment): Promise<void> {
    return this.until(`chunk ${chunk} to be ${of}`, () => (of === 'sent' ? this.sentChunks : this.detectedChunks) >= chunk)
  }

  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    let failure: Error | undefined
    await until(
      what,
      () => {
        const { aborted, reason } = this.#failed.signal
        // An error of a condition counts as "not yet"; this one is final.
        if (aborted) failure = new Error(`gave up waiting for ${what}`, { cause: reason })
        return failure !== undefined || condition()
      },
      PATIENCE_MS,
    )
    if (failure !== undefined) throw failure
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true
    await this.#following
  }

  async #follow(): Promise<void> {
    while (!this.#over) {
      try {
        this.#telemetryAt = await this.committed('detect')
        this.#findingsAt = await this.committed('correlate')
      } catch (error) {
        // A group that is new has to be loaded by the broker first: asked again below.
        if (!(error instanceof Error && 'retriable' in error && error.retriable === true)) throw error
      }
      await sleep(POLL_MS)
    }
  }

  async #committed(group: string, topic: string): Promise<Position> {
    const [answer] = await this.#admin.fetchOffsets({ groupId: `${this.#groupPrefix}.${group}`, topics: [topic] })
    const position: number[] = []
    for (const { partition, offset } of answer?.partitions ?? []) position[partition] = Math.max(0, Number(offset))
    return position
  }
}

function isPast(position: Position, ends: Position): boolean {
  return ends.every((end, partition) => (position[partition] ?? 0) >= end)
}
