/**
 * Which services are active, so that a sender that makes up names cannot make detection hold state for each of them. A service not seen
 * for `seriesIdleMs` makes room again.
 */
import type { Limits } from './config.ts'

export class ServiceRegistry {
  readonly #seenMs = new Map<string, number>()
  readonly #limits: Limits

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** False when there are too many services already and this is not one of them. */
  admit(service: string, nowMs: number): boolean {
    if (!this.#seenMs.has(service) && this.#seenMs.size >= this.#limits.maxServices) return false
    this.#seenMs.set(service, nowMs)
    return true
  }

  /** `hasSeries`: a service that sends metrics is told apart by its series, which are not looked up here at each sample. */
  forgetIdle(nowMs: number, hasSeries: (service: string) => boolean): void {
    for (const [service, seenMs] of this.#seenMs) {
      if (nowMs - seenMs > this.#limits.seriesIdleMs && !hasSeries(service)) this.#seenMs.delete(service)
    }
  }
}
