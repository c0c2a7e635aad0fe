/**
 * The buckets of one histogram at one moment, as they arrive: in order of their bounds, the last is +Inf. Histograms whose bounds come and go,
 * and differ from one instance to the next, cannot be added bound by bound: what one does not tell would look as if it lay higher. So
 * increments are gathered until all of a sample are known and then added at every bound of the window, each as the most that its
 * histogram is sure of there. That errs by the width of a bucket, never more.
 */
import type { RequestWindow } from './request-windows.ts'

const MAX_BOUNDS = 256

export class BucketGroup {
  readonly #bounds: number[] = []
  readonly #increments: number[] = []
  readonly #spansMs: number[] = []
  #window: RequestWindow | undefined
  #timeMs = 0
  #torn = false

  /** A batch begins: what is gathered of a sample that the one before cut in two is dropped, and so is the rest of it. */
  begin(): void {
    this.#clear()
    this.#torn = true
  }

  /** Something other than a bucket came: the next bucket is the first of its histogram. */
  interrupt(): void {
    if (this.#window !== undefined) this.#clear()
    this.#torn = false
  }

  /** True when with this bucket the sample is complete and `addTo` may follow. `increment` is NaN where it is not known. */
  add(window: RequestWindow, timeMs: number, bound: number, increment: number, spanMs: number): boolean {
    const top = this.#bounds.at(-1)
    if (this.#window !== window || this.#timeMs !== timeMs || (top !== undefined && bound <= top)) {
      if (this.#window !== undefined) this.#torn = false
      this.#clear()
      this.#window = window
      this.#timeMs = timeMs
    }
    if (this.#bounds.length < MAX_BOUNDS && increment >= 0) {
      this.#bounds.push(bound)
      this.#increments.push(increment)
      this.#spansMs.push(spanMs)
    }
    return bound === Number.POSITIVE_INFINITY
  }

  /** Adds the sample to its window and is empty again. */
  addTo(window: RequestWindow, boundIndex: (window: RequestWindow, bound: number) => number): void {
    const last = this.#bounds.length - 1
    const isWhole = !this.#torn && last >= 0 && this.#bounds[last] === Number.POSITIVE_INFINITY
    if (isWhole) {
      const total = this.#increments[last]!
      const spanMs = this.#spansMs[last]!
      for (let i = 0; i <= last; i++) {
        const known = window.bounds.length
        const at = boundIndex(window, this.#bounds[i]!)
        // A bound that is new to the window: of what was added before, as much lies below it as below the one before.
        if (at > 0 && window.bounds.length > known) window.counts[at] = window.counts[at - 1]!
      }
      let own = 0
      let upTo = 0
      for (let at = 0; at < window.bounds.length; at++) {
        while (own <= last && this.#bounds[own]! <= window.bounds[at]!) {
          // A bucket that was away for a while tells of a longer time than the others.
          if (this.#spansMs[own] === spanMs) upTo = Math.max(upTo, Math.min(total, this.#increments[own]!))
          own++
        }
        window.counts[at] = window.counts[at]! + upTo
      }
    }
    this.#clear()
    this.#torn = false
  }

  #clear(): void {
    this.#bounds.length = this.#increments.length = this.#spansMs.length = 0
    this.#window = undefined
  }
}
