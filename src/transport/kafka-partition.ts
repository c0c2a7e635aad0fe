/**
 * One partition while this process owns it: asks `assigned` where to go on, hands the batches to the handler one after the
 * other, and calls `revoked` at the end, never two of these at the same time.
 *
 * The handler runs outside of kafkajs' fetch loop: a slow one neither delays the heartbeat nor other partitions. A batch is
 * taken only when it starts at the offset that is due, for kafkajs may still deliver what it fetched for an older position.
 */
import { FencedError, messageOf } from '../errors.ts'
import { retryPauseMs, type TransportHappenings } from './happenings.ts'
import { pauseFor } from './kafka-client.ts'
import type { Undecodable } from './kafka-codecs.ts'
import type { BatchHandler, InRecord } from './transport.ts'

/** What kafkajs fetched, decoded. */
export interface FetchedBatch {
  readonly fetchedOffset: number
  /** After the last offset of the batch, which may be past the last record's. */
  readonly nextOffset: number
  /** May be empty: all of it could not be read, or was for nobody to see. */
  readonly records: readonly InRecord[]
  readonly undecodable: readonly Undecodable[]
}

/** What a partition wants of the consumer; each call is about this partition in the present assignment, or does nothing. */
export interface PartitionControl {
  readonly topic: string
  readonly group: string
  pause(): void
  resume(): void
  seek(offset: number): void
  /** The position that was committed last, or handled by this process; undefined: neither. */
  committed(signal: AbortSignal): Promise<number | undefined>
  handled(nextOffset: number): void
  /** The handler's checkpoint says that everything before it was handled, by whomever. */
  beginsAt(nextOffset: number): void
  /** Puts aside what no codec could read. */
  bury(undecodable: Undecodable): Promise<void>
}

/** Batches that wait while one is handled; beyond it the partition is not fetched. */
const maxWaiting = 2
/** So often the same unexpected offset comes until it is believed: the log has no other. */
const mismatchesToBelieve = 3

export class KafkaPartition {
  readonly partition: number
  /** Settles, never rejects, when nothing for the partition is under way any more. */
  readonly done: Promise<void>
  readonly #control: PartitionControl
  readonly #handler: BatchHandler
  readonly #happenings: TransportHappenings
  readonly #labels: { readonly topic: string; readonly group: string }
  /** No new call of the handler, except `revoked`. */
  readonly #retired = new AbortController()
  /** For the handler: whatever it does will be in vain. */
  readonly #lost = new AbortController()
  readonly #queue: FetchedBatch[] = []
  #wake: () => void = () => undefined
  #held = false
  #paused = true
  #accepting = false
  #next = 0
  /** Nothing says where to begin, so wherever the log begins is right. */
  #anywhere = false
  #mismatch = { offset: -1, count: 0 }

  constructor(partition: number, control: PartitionControl, handler: BatchHandler, happenings: TransportHappenings, before: Promise<void>) {
    this.partition = partition
    this.#control = control
    this.#handler = handler
    this.#happenings = happenings
    this.#labels = { topic: control.topic, group: control.group }
    this.done = this.#run(before)
  }

  /** Starts nothing new; what is under way goes on. Ends with `retire`. */
  hold(): void {
    this.#held = true
  }

  /** Lets the call under way end, then calls `revoked`. */
  retire(): void {
    this.#accepting = false
    this.#retired.abort()
    this.#wake()
  }

  /** Tells the handler to give up: the partition belongs to somebody else, or time is up. */
  abandon(): void {
    this.#lost.abort()
  }

  /** Called from the fetch loop. False: not wanted, and the position must stay. */
  offer(batch: FetchedBatch): boolean {
    if (!this.#accepting) return false
    if (batch.fetchedOffset !== this.#next && !this.#believe(batch.fetchedOffset)) return false
    this.#mismatch = { offset: -1, count: 0 }
    this.#anywhere = false
    this.#next = batch.nextOffset
    this.#queue.push(batch)
    if (this.#queue.length >= maxWaiting) this.#pause()
    this.#wake()
    return true
  }

  /** kafkajs stepped over records that nobody is to see: control records, aborted transactions. */
  skipped(firstOffset: number | undefined, lastOffset: number): void {
    if (!this.#accepting || (firstOffset ?? lastOffset) > this.#next || lastOffset < this.#next) return
    // Through the queue, so that the position moves when what was before it is handled.
    this.#queue.push({ fetchedOffset: this.#next, nextOffset: lastOffset + 1, records: [], undecodable: [] })
    this.#next = lastOffset + 1
    this.#wake()
  }

  /** An offset that is not due is mostly an answer to an older question; the right one is asked for again. */
  #believe(offset: number): boolean {
    this.#mismatch = { offset, count: this.#mismatch.offset === offset ? this.#mismatch.count + 1 : 1 }
    if (this.#mismatch.count < mismatchesToBelieve) {
      this.#pause()
      this.#control.seek(this.#next)
      if (this.#queue.length < maxWaiting) this.#resume()
      return false
    }
    // kafkajs went to the beginning of the log because the log does not have the offset.
    if (!this.#anywhere) this.#happenings.positionLost(this.#labels, { partition: this.partition, wantedOffset: this.#next, offset })
    return true
  }

  async #run(before: Promise<void>): Promise<void> {
    await before
    const retired = this.#retired.signal
    let loaded = false
    while (!retired.aborted) {
      const start = await this.#untilDone(() => this.#locate())
      if (start === undefined) break
      loaded = true
      this.#accepting = !retired.aborted
      if (retired.aborted) break
      this.#next = start.offset
      this.#anywhere = start.anywhere
      this.#control.seek(start.offset)
      // Who died between a checkpoint and its commit would leave a lag that lasts until the next record.
      if (start.given) this.#control.beginsAt(start.offset)
      this.#resume()
      if (!(await this.#consume())) continue
      loaded = false // fenced: what is in memory is not ours to save
      this.#accepting = false
      this.#pause()
      this.#queue.length = 0
    }
    this.#accepting = false
    this.#queue.length = 0
    if (loaded) await this.#revoke()
  }

  /** `given`: by the handler. `anywhere`: by nobody. */
  async #locate(): Promise<{ offset: number; given: boolean; anywhere: boolean }> {
    const assigned = await this.#handler.assigned?.(this.partition)
    const offset = assigned ?? (await this.#control.committed(this.#retired.signal))
    return { offset: offset ?? 0, given: assigned !== undefined, anywhere: offset === undefined }
  }

  /** True: fenced. False: retired. */
  async #consume(): Promise<boolean> {
    const retired = this.#retired.signal
    for (;;) {
      while (this.#queue.length === 0 || this.#held) {
        if (retired.aborted) return false
        await new Promise<void>((resolve) => (this.#wake = resolve))
      }
      if (retired.aborted) return false
      const batch = this.#queue.shift()!
      if (this.#queue.length < maxWaiting) this.#resume()
      const fate = await this.#handle(batch)
      if (fate !== 'handled') return fate === 'fenced'
      this.#control.handled(batch.nextOffset)
    }
  }

  async #handle({ records, undecodable }: FetchedBatch): Promise<'handled' | 'fenced' | 'retired'> {
    let buried = 0
    for (let attempt = 1; ; attempt++) {
      try {
        for (; buried < undecodable.length; buried++) await this.#bury(undecodable[buried]!)
        if (records.length === 0) return 'handled'
        await this.#handler.handle({ topic: this.#control.topic, partition: this.partition, records }, this.#lost.signal)
        return 'handled'
      } catch (error) {
        const fenced = error instanceof FencedError
        if (this.#retired.signal.aborted && !fenced) return 'retired' // it may have been told to give up
        this.#tell(error, { firstOffset: records[0]?.offset ?? undecodable[0]?.firstOffset, attempt })
        await pauseFor(retryPauseMs(attempt), this.#retired.signal)
        if (fenced) return 'fenced'
        if (this.#retired.signal.aborted) return 'retired'
      }
    }
  }

  async #bury(undecodable: Undecodable): Promise<void> {
    await this.#control.bury(undecodable)
    const { firstOffset, lastOffset, reason } = undecodable
    this.#happenings.undecodable(this.#labels, { partition: this.partition, firstOffset, lastOffset, reason })
  }

  async #revoke(): Promise<void> {
    try {
      await this.#handler.revoked?.(this.partition)
    } catch (error) {
      this.#tell(error, { doing: 'revoked' })
    }
  }

  /** Undefined: retired before it worked. */
  async #untilDone<T>(work: () => Promise<T>): Promise<T | undefined> {
    for (let attempt = 1; !this.#retired.signal.aborted; attempt++) {
      try {
        return await work()
      } catch (error) {
        if (this.#retired.signal.aborted) return undefined
        this.#tell(error, { doing: 'assigned', attempt })
        await pauseFor(retryPauseMs(attempt), this.#retired.signal)
      }
    }
    return undefined
  }

  #tell(error: unknown, fields: Readonly<Record<string, unknown>>): void {
    const told = error instanceof FencedError ? this.#happenings.fenced : this.#happenings.handlerFailed
    told(this.#labels, { partition: this.partition, error: messageOf(error), ...fields })
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#control.pause()
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#control.resume()
  }
}
