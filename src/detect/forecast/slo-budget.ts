/**
 * Requests and bad ones among them over windows from five minutes to thirty days, and how fast that uses up an error budget: four rings of ever longer
 * buckets, 2.6 KB. Multi-window, multi-burn-rate alerts as in The Site Reliability Workbook, chapter 5
 * (https://sre.google/workbook/alerting-on-slos/): a long window says that it matters, a short one that it goes on.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
export const PERIOD_MS = 30 * DAY_MS
/** Length of a bucket and how many: an hour, six hours, three days, thirty days. */
const RINGS = [
  [MINUTE_MS, 60],
  [5 * MINUTE_MS, 72],
  [HOUR_MS, 72],
  [6 * HOUR_MS, 120],
] as const
const BUCKETS = RINGS.reduce((sum, [, count]) => sum + count, 0)

export interface BurnTier {
  readonly name: 'fast' | 'medium' | 'slow'
  /** Times the pace that uses up the budget in exactly the period. */
  readonly burn: number
  readonly longMs: number
  readonly shortMs: number
}

/** They use up 2 % of a thirty days' budget in an hour, 5 % in six hours, 10 % in three days. */
export const BURN_TIERS: readonly BurnTier[] = [
  { name: 'fast', burn: 14.4, longMs: HOUR_MS, shortMs: 5 * MINUTE_MS },
  { name: 'medium', burn: 6, longMs: 6 * HOUR_MS, shortMs: 30 * MINUTE_MS },
  { name: 'slow', burn: 1, longMs: 3 * DAY_MS, shortMs: 6 * HOUR_MS },
]

/** Those that somebody feels now. */
export const FELT_TIERS = BURN_TIERS.slice(0, 2)
export const SLOW_TIERS = BURN_TIERS.slice(2)
/** A handful of failures more or less moves a short window: it does not end with every lull. */
const STANDING = 0.5

export interface Burn {
  readonly tier: BurnTier
  readonly long: number
  readonly short: number
  readonly requests: number
  readonly bad: number
}

export class SloBudget {
  /** Share of requests that may be bad. */
  readonly allowed: number
  readonly #total = new Float32Array(BUCKETS)
  readonly #bad = new Float32Array(BUCKETS)
  /** Number of each ring's newest bucket since 1970. */
  readonly #newest = new Float64Array(RINGS.length)
  #firstMs = 0

  constructor(allowed: number) {
    this.allowed = allowed
  }

  /** What was counted in the minute that begins then; in order of time. */
  add(minuteMs: number, total: number, bad: number): void {
    if (this.#firstMs === 0 && total > 0) this.#firstMs = minuteMs
    let base = 0
    for (const [ring, [bucketMs, count]] of RINGS.entries()) {
      const bucket = Math.floor(minuteMs / bucketMs)
      const newest = this.#newest[ring]!
      const skipped = Math.min(count, newest === 0 ? count : bucket - newest)
      for (let i = 0; i < skipped; i++) {
        const at = base + ((bucket - i) % count)
        this.#total[at] = this.#bad[at] = 0
      }
      if (bucket > newest) this.#newest[ring] = bucket
      const at = base + (bucket % count)
      this.#total[at] = this.#total[at]! + total
      this.#bad[at] = this.#bad[at]! + Math.min(bad, total)
      base += count
    }
  }

  /** The first of the tiers that burns; undefined where none does. `standing`: it has burnt until now, and goes on while half as much does so. */
  burning(tiers: readonly BurnTier[], leastErrors: number, standing: boolean): Burn | undefined {
    for (const tier of tiers) {
      const [requests, bad] = this.#sum(tier.longMs)
      const [nowRequests, nowBad] = this.#sum(tier.shortMs)
      const long = requests > 0 ? bad / requests / this.allowed : 0
      const short = nowRequests > 0 ? nowBad / nowRequests / this.allowed : 0
      if (bad >= leastErrors && long >= tier.burn && short >= tier.burn * (standing ? STANDING : 1))
        return { tier, long, short, requests, bad }
    }
    return undefined
  }

  /** Times the sustainable pace over a window. */
  burnOver(windowMs: number): number {
    const [requests, bad] = this.#sum(windowMs)
    return requests > 0 ? bad / requests / this.allowed : 0
  }

  /**
   * Share of the period's budget that is left, below 0 when it is overspent. Where less than a period is known the budget is that of a period at
   * the same traffic.
   */
  left(nowMs: number): number {
    const [requests, bad] = this.#sum(PERIOD_MS)
    if (requests === 0) return 1
    const knownMs = Math.min(PERIOD_MS, Math.max(HOUR_MS, nowMs - this.#firstMs))
    return 1 - bad / (this.allowed * requests * (PERIOD_MS / knownMs))
  }

  snapshot(to: SnapshotWriter): void {
    to.f64(this.#firstMs)
    to.column(this.#newest)
    to.column(this.#total)
    to.column(this.#bad)
  }

  restore(from: SnapshotReader): void {
    this.#firstMs = from.f64()
    this.#newest.set(from.f64s().subarray(0, RINGS.length))
    this.#total.set(from.f32s().subarray(0, BUCKETS))
    this.#bad.set(from.f32s().subarray(0, BUCKETS))
  }

  #sum(windowMs: number): [total: number, bad: number] {
    let base = 0
    let ring = 0
    for (; ring < RINGS.length - 1 && RINGS[ring]![0] * RINGS[ring]![1] < windowMs; ring++) base += RINGS[ring]![1]
    const [bucketMs, count] = RINGS[ring]!
    const newest = this.#newest[ring]!
    let total = 0
    let bad = 0
    for (let i = 0; i < Math.min(count, Math.ceil(windowMs / bucketMs)) && i <= newest; i++) {
      const at = base + ((newest - i) % count)
      total += this.#total[at]!
      bad += this.#bad[at]!
    }
    return [total, bad]
  }
}
