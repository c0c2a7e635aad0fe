/**
 * Which services are active, so that a sender that makes up names cannot make detection hold state for each of them. The last quarter of the places
 * is for names that come again: one that is made up comes once, so a flood of those leaves room for real services, which are a few
 * seconds late at worst. A service not seen for `seriesIdleMs` makes room again, one that was heard only briefly earlier.
 */
import type { Limits } from './config.ts'

/** A name is believed when it comes again after this long … */
const AGAIN_AFTER_MS = 10_000
/** … and before this long. */
const AGAIN_WITHIN_MS = 600_000
/** Of a service that was heard for no longer than this. */
const BRIEF_MS = 600_000
/** A new name takes the place of another one of the same slot: 1.5 MB, whatever is sent. Of 1,000 new names a second nine in ten are there after 15 s. */
const SLOTS = 2 ** 17

interface Heard {
  readonly firstMs: number
  seenMs: number
}

export class ServiceRegistry {
  readonly #services = new Map<string, Heard>()
  readonly #limits: Limits
  readonly #freePlaces: number
  /** When a new name came first, by its hash. */
  readonly #hashes = new Uint32Array(SLOTS)
  readonly #firstMs = new Float64Array(SLOTS)

  constructor(limits: Limits) {
    this.#limits = limits
    this.#freePlaces = limits.maxServices - Math.floor(limits.maxServices / 4)
  }

  get size(): number {
    return this.#services.size
  }

  /** False when there are too many services already and this is not one of them. */
  admit(service: string, nowMs: number): boolean {
    const heard = this.#services.get(service)
    if (heard !== undefined) {
      heard.seenMs = nowMs
      return true
    }
    const { size } = this.#services
    if (size >= this.#limits.maxServices || (size >= this.#freePlaces && !this.#comesAgain(service, nowMs))) return false
    this.#services.set(service, { firstMs: nowMs, seenMs: nowMs })
    return true
  }

  /** `hasSeries`: a service that sends metrics is told apart by its series, which are not looked up here at each sample. */
  forgetIdle(nowMs: number, hasSeries: (service: string) => boolean): void {
    const { seriesIdleMs } = this.#limits
    const briefIdleMs = this.#services.size < this.#freePlaces ? seriesIdleMs : Math.min(seriesIdleMs, BRIEF_MS)
    for (const [service, { firstMs, seenMs }] of this.#services) {
      const idleMs = seenMs - firstMs > BRIEF_MS ? seriesIdleMs : briefIdleMs
      if (nowMs - seenMs > idleMs && !hasSeries(service)) this.#services.delete(service)
    }
  }

  #comesAgain(service: string, nowMs: number): boolean {
    const hash = hashOf(service)
    const slot = hash & (SLOTS - 1)
    const agoMs = nowMs - this.#firstMs[slot]!
    if (this.#hashes[slot] === hash && agoMs >= 0 && agoMs <= AGAIN_WITHIN_MS) return agoMs >= AGAIN_AFTER_MS
    this.#hashes[slot] = hash
    this.#firstMs[slot] = nowMs
    return false
  }
}

/** FNV-1a, mixed once more because slots are its low bits. http://www.isthe.com/chongo/tech/comp/fnv/ */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}
