/**
 * Finds the templates that a template resembles: those that are equal outside one position, those with the same outline (as many chunks, the
 * same chunks with wildcards), and the merged template that it is a case of. Lists are in the order in which templates came.
 */
import { ChunkHashes } from './template-chunks.ts'
import type { Entry } from './template-entry.ts'
import { fits } from './template-merge.ts'

type Lists = Map<number, Entry | Entry[]>

const scratch = new ChunkHashes()

/** Merged templates with the same merged positions, by the hash of the rest. */
interface Slots {
  readonly positions: readonly number[]
  readonly byHash: Map<number, Entry>
}

export class TemplateIndex {
  /** Templates that stand for themselves and are equal outside one position. */
  readonly #groups: Lists = new Map()
  /** The same, equal in their number of chunks and in the chunks with wildcards. */
  readonly #outlines: Lists = new Map()
  /** Merged templates by their number of chunks. */
  readonly #slots = new Map<number, Slots[]>()

  clear(): void {
    this.#groups.clear()
    this.#outlines.clear()
    this.#slots.clear()
  }

  /** Those that are equal to the entry outside `position`, itself among them; undefined when there are no others. */
  beside(entry: Entry, position: number): readonly Entry[] | undefined {
    const list = this.#groups.get(entry.hashes[position]!)
    return Array.isArray(list) ? list : undefined
  }

  /** Those of the same outline, itself among them; undefined when there are no others. */
  alike(entry: Entry): readonly Entry[] | undefined {
    const list = this.#outlines.get(entry.outline)
    return Array.isArray(list) ? list : undefined
  }

  /** A merged template that `entry` is a case of. */
  patternOf(entry: Entry): Entry | undefined {
    const chunks = entry.chunks!
    const all = this.#slots.get(chunks.length)
    if (all === undefined) return undefined
    let isRead = false
    for (const { positions, byHash } of all) {
      if (positions.length > 1 && !isRead) {
        scratch.read(chunks)
        isRead = true
      }
      const candidate = byHash.get(positions.length === 1 ? entry.hashes[positions[0]!]! : scratch.without(positions))
      if (candidate !== undefined && candidate !== entry && fitsAll(candidate.chunks!, chunks, positions)) return candidate
    }
    return undefined
  }

  /** It stands for itself. */
  join(entry: Entry): void {
    const { hashes } = entry
    for (let i = 0; i < hashes.length; i++) put(this.#groups, hashes[i]!, entry)
    put(this.#outlines, entry.outline, entry)
  }

  /** It does not stand for itself any more. */
  leave(entry: Entry): void {
    if (entry.chunks !== undefined) take(this.#outlines, entry.outline, entry)
    this.unlink(entry)
  }

  /** Out of everything but the list of its outline: see `forgetDropped`. */
  unlink(entry: Entry): void {
    const { hashes, merged, chunks } = entry
    if (chunks === undefined) return
    for (let i = 0; i < hashes.length; i++) take(this.#groups, hashes[i]!, entry)
    if (merged.length === 0) return
    const slots = this.#slots.get(chunks.length)
    const at = slots?.findIndex(({ positions }) => isSame(positions, merged)) ?? -1
    if (at < 0) return
    const { byHash } = slots![at]!
    const hash = hashWithout(entry)
    if (byHash.get(hash) === entry) byHash.delete(hash)
    if (byHash.size === 0) slots!.splice(at, 1)
  }

  /** It is a merged template, and matches what comes. */
  index(entry: Entry): void {
    const { chunks, merged } = entry
    if (chunks === undefined || merged.length === 0) return
    let slots = this.#slots.get(chunks.length)
    if (slots === undefined) this.#slots.set(chunks.length, (slots = []))
    let own = slots.find(({ positions }) => isSame(positions, merged))
    if (own === undefined) slots.push((own = { positions: merged, byHash: new Map() }))
    own.byHash.set(hashWithout(entry), entry)
  }

  /** The oldest of long lists: one pass is cheaper than taking them out one by one. */
  forgetDropped(): void {
    for (const [outline, list] of this.#outlines) {
      const kept = Array.isArray(list) ? list.filter(isKept) : list.isDropped ? [] : [list]
      if (kept.length === 0) this.#outlines.delete(outline)
      else if (Array.isArray(list) && kept.length < list.length) this.#outlines.set(outline, kept)
    }
  }
}

/** Most lists have one entry: it stands for itself. */
function put(lists: Lists, key: number, entry: Entry): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, entry)
  else if (Array.isArray(list)) list.push(entry)
  else lists.set(key, [list, entry])
}

function take(lists: Lists, key: number, entry: Entry): void {
  const list = lists.get(key)
  if (list === entry) lists.delete(key)
  if (!Array.isArray(list)) return
  const at = list.indexOf(entry)
  if (at < 0) return
  if (list.length === 1) lists.delete(key)
  else list.splice(at, 1)
}

function isKept(entry: Entry): boolean {
  return !entry.isDropped
}

function hashWithout({ chunks, hashes, merged }: Entry): number {
  if (merged.length === 1) return hashes[merged[0]!]!
  scratch.read(chunks!)
  return scratch.without(merged)
}

function fitsAll(pattern: readonly string[], chunks: readonly string[], positions: readonly number[]): boolean {
  for (const position of positions) if (!fits(pattern[position]!, chunks[position]!)) return false
  return true
}

function isSame(x: readonly number[], y: readonly number[]): boolean {
  return x.length === y.length && x.every((value, i) => value === y[i])
}
