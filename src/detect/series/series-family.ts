/**
 * Which series are copies of each other: the same metric of a service with the same labels, but for those that name the copy. Looked up when
 * a series is judged for the first time, so an index is made of a service only then, and given up soon: nothing is held for what nobody asks.
 */
import { COPY_LABELS } from '../service/step-board.ts'
import type { Entry, SeriesTable } from './series-table.ts'

const NONE: readonly number[] = []

export class SeriesFamilies {
  readonly #table: SeriesTable
  /** By service and family: ids, lowest first. */
  readonly #indices = new Map<string, Map<string, readonly number[]>>()

  constructor(table: SeriesTable) {
    this.#table = table
  }

  /** Ids of its copies at other instances, lowest first. May name series that are not there any more: ask within the sweep in which it was made. */
  siblings(entry: Entry): readonly number[] {
    if (entry.service.instances.size < 2) return NONE
    let index = this.#indices.get(entry.service.name)
    if (index === undefined) this.#indices.set(entry.service.name, (index = this.#indexOf(entry)))
    const family = index.get(familyOf(entry))
    return family?.filter((id) => this.#table.entry(id).instance !== entry.instance) ?? NONE
  }

  /** Series were taken away or have got other names. */
  clear(): void {
    this.#indices.clear()
  }

  #indexOf({ service }: Entry): Map<string, readonly number[]> {
    const index = new Map<string, number[]>()
    for (const instance of service.instances.values()) {
      for (const id of instance.series) {
        const key = familyOf(this.#table.entry(id))
        const family = index.get(key)
        if (family === undefined) index.set(key, [id])
        else family.push(id)
      }
    }
    for (const family of index.values()) family.sort((a, b) => a - b)
    return index
  }
}

function familyOf({ series, kind }: Entry): string {
  const labels = series.labels.filter(([name, text]) => !COPY_LABELS.has(name) && text !== series.instance)
  return JSON.stringify([series.name, kind.shape, labels])
}
