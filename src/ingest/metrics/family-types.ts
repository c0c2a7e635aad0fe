/**
 * What senders said about the type of metric families, by name. Remote write 1.0 tells it in requests of its own about once a minute, so
 * series come before, after and without it: `version` moves when something new was said, and each series looks again
 * when it is used next. A family that two senders disagree about is left to its name. When there is no more room everything is forgotten now and
 * then: senders say it again, and one that made up families does not keep the others out for good.
 */
import type { SeriesType } from '../../model.ts'

/** More families than this are left to their names. */
const MAX_FAMILIES = 20_000
const MAX_NAME_CHARS = 512

/** The types of MetricMetadata, the same numbers in remote write 1.0 and 2.0. Histograms and summaries are told by their pieces' names. */
const COUNTER = 1
const GAUGE = 2

export function typeOfMetadata(type: number): SeriesType {
  return type === COUNTER ? 'counter' : type === GAUGE ? 'gauge' : 'unknown'
}

export class FamilyTypes {
  /** `unknown`: said and contradicted. */
  readonly #types = new Map<string, SeriesType>()
  version = 0

  get size(): number {
    return this.#types.size
  }

  /** False when there is no room for another family. */
  learn(family: string, type: SeriesType): boolean {
    if (type === 'unknown' || family === '') return true
    const known = this.#types.get(family)
    if (known === type || known === 'unknown') return true
    if (known === undefined && (this.#types.size >= MAX_FAMILIES || family.length > MAX_NAME_CHARS)) return false
    this.#types.set(family, known === undefined ? type : 'unknown')
    this.version++
    return true
  }

  /** To be called now and then. */
  makeRoom(): void {
    if (this.#types.size < MAX_FAMILIES) return
    this.#types.clear()
    this.version++
  }

  /** OpenMetrics calls the family of `requests_total` `requests`, the older text format `requests_total`. */
  typeOf(name: string): SeriesType {
    const own = this.#types.get(name)
    if (own !== undefined) return own
    return name.endsWith('_total') && this.#types.get(name.slice(0, -6)) === 'counter' ? 'counter' : 'unknown'
  }
}
