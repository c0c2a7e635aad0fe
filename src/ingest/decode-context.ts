/**
 * What every decoder is given beside the bytes, one per request: limits, naming, the time of arrival, and two tallies to say what did
 * not make it into the batch. `rejected` is the sender's fault and told to it; `skipped` is what Tocsin does not use.
 */
import { DecodeError } from '../errors.ts'
import type { Limits } from './config.ts'
import type { UnreadRecord } from './door.ts'
import type { Naming } from './naming/naming.ts'
import type { SeriesRegistry } from './metrics/series-registry.ts'
import type { ServiceRegistry } from './service-registry.ts'

/** Counts by reason. Reasons are few, short and ours: they become metric labels. */
export class Tally {
  readonly #counts = new Map<string, number>()
  total = 0
  latest = ''

  add(reason: string, count = 1): void {
    this.latest = reason
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + count)
    this.total += count
  }

  has(reason: string): boolean {
    return this.#counts.has(reason)
  }

  entries(): IterableIterator<[reason: string, count: number]> {
    return this.#counts.entries()
  }

  /** `3 too-old, 1 no-name`. */
  text(): string {
    return [...this.#counts].map(([reason, count]) => `${count} ${reason}`).join(', ')
  }
}

export interface DecodeContext {
  readonly receivedMs: number
  /** How long an alert without an end lasts after it was last heard of. */
  readonly alertTimeoutMs: number
  /** The same for one that an Alertmanager's webhook told of: it repeats itself only after hours. */
  readonly webhookAlertTimeoutMs: number
  readonly limits: Limits
  readonly naming: Naming
  readonly series: SeriesRegistry
  readonly services: ServiceRegistry
  readonly rejected: Tally
  readonly skipped: Tally
  /** Filled by decoders of framed records. */
  readonly unread?: UnreadRecord[]
}

/** Why a row with this time is not taken, or '' when it is. */
export function timeFault(timeMs: number, context: DecodeContext): '' | 'too-old' | 'too-far-ahead' {
  if (timeMs > context.receivedMs + context.limits.maxFutureMs) return 'too-far-ahead'
  // Written so that NaN is refused, too.
  return timeMs >= context.receivedMs - context.limits.maxAgeMs ? '' : 'too-old'
}

export function tooManyRows(limits: Limits): DecodeError {
  return new DecodeError('too-large', `more than ${limits.maxRowsPerRequest} rows in one request: send smaller ones`)
}
