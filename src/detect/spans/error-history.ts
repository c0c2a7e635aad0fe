/**
 * What share of a subject's requests usually fails, and how much that share varies from window to window beyond luck: a beta
 * distribution learnt with a memory in time. How surprising a number of errors is follows from it, at any volume: two of three at night
 * are judged with what was learnt by day. Besides the window, errors are looked at over minutes and over half an hour, with sums that fade.
 */
import { betaBinomialSurprise } from './span-health.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

/** Before anything was seen: one error in a hundred requests, held with the weight of fifty. */
const PRIOR_ERRORS = 0.5
const PRIOR_REQUESTS = 50
const MEMORY_MS = 21_600_000
/** Requests after which a share that varies as is not known yet is taken to vary: the beta's weight is never larger before it is. */
const UNKNOWN_WEIGHT = 2000
/** Pairs of requests in one window from which variation is believed half. */
const HALF_BELIEVED = 1e5
/** Standard errors by which variation must be beyond luck. */
const PROVEN = 2
/** What an anomalous window counts for. */
const ANOMALOUS = 0.01
const CLIP = 4
/** The fading sums: their memory, in milliseconds. */
export const SLOW_MS = [150_000, 900_000] as const

export class ErrorHistory {
  #requests = 0
  #errors = 0
  /** Squared distance from what was expected; what luck alone makes of it; and what a variation of 1 would add. */
  #squares = 0
  #luck = 0
  #pairs = 0
  /** Fading sums, requests and errors. */
  readonly #slow = new Float64Array(SLOW_MS.length * 2)
  #sinceError = Infinity
  /** What is left of the sums, and of what was learnt, after a window. */
  readonly #keepSlow: readonly number[]
  readonly #keepLearnt: number

  constructor(windowMs: number) {
    this.#keepSlow = SLOW_MS.map((memoryMs) => Math.exp(-windowMs / memoryMs))
    this.#keepLearnt = Math.exp(-windowMs / MEMORY_MS)
  }

  get requests(): number {
    return this.#requests
  }

  get errors(): number {
    return this.#errors
  }

  /** The share of requests that usually fails. */
  get usual(): number {
    return (this.#errors + PRIOR_ERRORS) / (this.#requests + PRIOR_REQUESTS)
  }

  /** −log10 of the probability of so many errors or more. `weight`: that of the history. */
  surprise(errors: number, requests: number, weight = this.weight): number {
    return betaBinomialSurprise(errors, requests, this.usual * weight, (1 - this.usual) * weight)
  }

  /** What the fading sums stand for: as many requests and errors as have the same scatter. */
  recent(scale: number): { readonly requests: number; readonly errors: number } {
    const fading = 1 + this.#keepSlow[scale]!
    return { requests: this.#slow[scale * 2]! * fading, errors: this.#slow[scale * 2 + 1]! * fading }
  }

  /** Whether a fading sum has as many errors, as often, as it takes: else it need not be looked at more closely. */
  mayBeMore(errors: number, ratio: number): boolean {
    for (let i = 0; i < this.#slow.length; i += 2) {
      const failed = this.#slow[i + 1]!
      if (failed * 2 >= errors && failed >= ratio * this.#slow[i]! && failed >= 2 * this.usual * this.#slow[i]!) return true
    }
    return false
  }

  /** Whether errors go on coming as often as this share says: silence of twice the usual wait says they do not. */
  goesOn(ratio: number): boolean {
    return this.#sinceError * ratio <= 2
  }

  /** Into the fading sums, before it is judged. */
  count(errors: number, requests: number): void {
    for (let scale = 0; scale < SLOW_MS.length; scale++) {
      const keep = this.#keepSlow[scale]!
      this.#slow[scale * 2] = this.#slow[scale * 2]! * keep + requests
      this.#slow[scale * 2 + 1] = this.#slow[scale * 2 + 1]! * keep + errors
    }
    this.#sinceError = errors > 0 ? 0 : this.#sinceError + requests
  }

  /** The fading sums begin anew. */
  forgetRecent(): void {
    this.#slow.fill(0)
  }

  learn(errors: number, requests: number, isAnomalous: boolean): void {
    if (requests === 0) return
    const keep = isAnomalous ? 1 : this.#keepLearnt
    const part = isAnomalous ? ANOMALOUS : 1
    const p = this.usual
    const luck = requests * p * (1 - p)
    const pairs = luck * (requests - 1)
    const clip = Math.max(2, CLIP * Math.sqrt(luck + pairs / this.weight))
    const away = Math.max(-clip, Math.min(clip, errors - requests * p))
    this.#squares = this.#squares * keep + part * away * away
    this.#luck = this.#luck * keep + part * luck
    this.#pairs = this.#pairs * keep + part * pairs
    this.#errors = this.#errors * keep + part * errors
    this.#requests = this.#requests * keep + part * requests
  }

  /** What is so now has been so for long. */
  restart(errors: number, requests: number): void {
    this.#errors = errors
    this.#requests = requests
    this.#squares = this.#luck = this.#pairs = 0
  }

  snapshot(to: SnapshotWriter): void {
    to.column(Float64Array.of(this.#requests, this.#errors, this.#squares, this.#luck, this.#pairs, this.#sinceError, ...this.#slow))
  }

  restore(from: SnapshotReader): void {
    const [requests = 0, errors = 0, squares = 0, luck = 0, pairs = 0, sinceError = Infinity, ...slow] = from.f64s()
    this.#requests = requests
    this.#errors = errors
    this.#squares = squares
    this.#luck = luck
    this.#pairs = pairs
    this.#sinceError = sinceError
    for (let i = 0; i < this.#slow.length; i++) this.#slow[i] = slow[i] ?? 0
  }

  /** The beta's: what is known from so many requests, and what is believed about its variation, whichever says less. */
  get weight(): number {
    const p = this.usual
    // A few rare errors scatter by themselves: the squared distance of a Poisson count has a variance of μ + 2μ².
    const noise = PROVEN * Math.sqrt(this.#luck + 2 * p * this.#pairs)
    const prior = HALF_BELIEVED * p * (1 - p)
    const variation = (Math.max(0, this.#squares - this.#luck - noise) + prior / UNKNOWN_WEIGHT) / (this.#pairs + prior)
    return 1 / (variation + 1 / (this.#requests + PRIOR_REQUESTS))
  }
}
