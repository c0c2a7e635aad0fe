/**
 * Online log template mining. A line's key (log-key.ts) is its template until the learner sees that keys differ in one place only, or in
 * two, and in too many ways for a handful of states: then they become one template with `<*>` there. Nothing is ever split again.
 * The id of a template is a hash of its text when it was born: the same after a restart and in every instance that mined the same text.
 * Memory is bounded: over `maxTemplates` the rarest that were not seen for longest are dropped, and counted.
 */
import { createHash } from 'node:crypto'
import { logKey } from './log-key.ts'
import { LineShape } from './log-scan.ts'
import { faultIn } from './log-trace.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import { MAX_CHUNKS } from './template-chunks.ts'
import { differingPair, Entry, idOfText, rootOf, worthOf } from './template-entry.ts'
import { TemplateIndex } from './template-index.ts'
import { generalised, shouldMerge, shouldMergeTwo } from './template-merge.ts'

export interface TemplateRules {
  /** Of a longer line only the beginning is looked at. */
  readonly maxLineChars: number
  /** Keys and merged templates kept. */
  readonly maxTemplates: number
}

/** Stands for templates that were dropped. */
export const OTHER_TEMPLATE = 0

const CACHE_SLOTS = 1 << 14
/** Groups up to this size are looked at whenever they grow, larger ones every eighth time. */
const EAGER_GROUP = 16
const MAX_GROUP = 512
/** How many templates of the same outline a new one is compared with, newest first. */
const MAX_COMPARED = 64
/** Ids of the first version counted up from one. */
const FIRST_WITH_HASHES = 2

export class LogTemplates {
  /** Templates dropped to stay within `maxTemplates`. */
  evicted = 0
  /** Goes up whenever ids that were handed out earlier may resolve to something else. */
  generation = 0
  readonly #rules: TemplateRules
  readonly #byText = new Map<string, Entry>()
  /** In the order in which the learner met them, which a restore repeats. */
  readonly #byId = new Map<number, Entry>()
  readonly #index = new TemplateIndex()
  #merges = 0
  #lines = 0

  readonly #shape = new LineShape()
  readonly #cacheA = new Int32Array(CACHE_SLOTS)
  readonly #cacheB = new Int32Array(CACHE_SLOTS)
  readonly #cached: (Entry | undefined)[] = Array.from({ length: CACHE_SLOTS }, () => undefined)

  constructor(rules: TemplateRules) {
    this.#rules = rules
  }

  get size(): number {
    return this.#byText.size
  }

  /** Counts the line and names its template as it is known now; it may be merged later, see `resolve`. */
  idOf(line: string): number {
    const start = firstCharacter(line)
    const most = Math.min(line.length, start + this.#rules.maxLineChars)
    this.#shape.read(line, start, most)
    const { a, b, end } = this.#shape
    if (end < most) {
      // Of a trace, what was thrown counts too: the frames vary with everything.
      const fault = faultIn(line, end)
      if (fault !== '') return this.idOf(`${line.slice(start, end)} ${fault}`)
    }
    const slot = (a ^ (a >>> 15)) & (CACHE_SLOTS - 1)
    let entry = this.#cacheA[slot] === a && this.#cacheB[slot] === b ? this.#cached[slot] : undefined
    if (entry === undefined || entry.isDropped) {
      entry = this.#entryOf(logKey(line, start, end))
      this.#cacheA[slot] = a
      this.#cacheB[slot] = b
      this.#cached[slot] = entry
    }
    const seen = ++this.#lines
    entry.seen = seen
    const root = this.#rootOf(entry)
    root.lines++
    root.seen = seen
    return root.id
  }

  /** What the template of this id has become; `OTHER_TEMPLATE` when it was dropped. */
  resolve(id: number): number {
    const entry = this.#byId.get(id)
    return entry === undefined ? OTHER_TEMPLATE : this.#rootOf(entry).id
  }

  textOf(id: number): string {
    return this.#byId.get(id)?.text ?? '(other lines)'
  }

  snapshot(to: SnapshotWriter): void {
    to.f64(this.#merges)
    to.f64(this.#lines)
    to.f64(this.evicted)
    to.f64(this.generation)
    to.u32(this.#byId.size)
    for (const entry of this.#byId.values()) {
      to.f64(entry.id)
      to.string(entry.text)
      to.column(Uint8Array.from(entry.merged))
      to.f64(entry.lines)
      to.f64(entry.seen)
      to.f64(rootOf(entry).id)
    }
  }

  /** Ids of a snapshot of the first version stay valid as they are: what comes new has hashes, what was there keeps its number. */
  restore(from: SnapshotReader): void {
    this.#byText.clear()
    this.#byId.clear()
    const merges = from.f64()
    this.#merges = from.version < FIRST_WITH_HASHES ? 0 : merges
    this.#lines = from.f64()
    this.evicted = from.f64()
    this.generation = from.f64()
    const roots: number[] = []
    for (let left = from.count(40); left > 0; left--) {
      const id = from.f64()
      const text = from.string()
      const entry = new Entry(id, text, Array.from(from.u8s()))
      entry.lines = from.f64()
      entry.seen = from.f64()
      roots.push(from.f64())
      this.#byText.set(text, entry)
      this.#byId.set(id, entry)
    }
    let i = 0
    for (const entry of this.#byId.values()) entry.root = this.#byId.get(roots[i++]!) ?? entry
    this.#reindex()
  }

  /** The template it is part of now. Those of before a merge are compared with what came out of it when they are next asked for. */
  #rootOf(entry: Entry): Entry {
    const root = rootOf(entry)
    if (root.checked === this.#merges) return root
    root.checked = this.#merges
    const pattern = root.chunks === undefined ? undefined : this.#index.patternOf(root)
    if (pattern === undefined) return root
    this.#index.leave(root)
    root.root = pattern
    pattern.lines += root.lines
    pattern.seen = Math.max(pattern.seen, root.seen)
    this.generation++
    return this.#rootOf(pattern)
  }

  #entryOf(key: string): Entry {
    const known = this.#byText.get(key)
    if (known !== undefined) return known
    if (this.#byText.size >= this.#rules.maxTemplates) this.#evict()
    const entry = this.#admit(key, [])
    if (entry.chunks === undefined) return entry
    const pattern = this.#index.patternOf(entry)
    if (pattern !== undefined) {
      entry.root = pattern
      return entry
    }
    entry.checked = this.#merges
    // Counted here as the line that brought it, so that the learner sees it as one; `idOf` counts it again for good.
    entry.lines = 1
    this.#learn(entry)
    rootOf(entry).lines--
    return entry
  }

  #admit(text: string, merged: readonly number[]): Entry {
    let id = idOfText(text)
    while (this.#byId.has(id)) id++
    const entry = new Entry(id, text, merged)
    entry.seen = this.#lines + 1
    this.#byText.set(text, entry)
    this.#byId.set(id, entry)
    return entry
  }

  /** Puts a template beside those it resembles and merges where that is called for. */
  #learn(entry: Entry): void {
    this.#index.join(entry)
    const { hashes } = entry
    for (let i = 0; i < hashes.length; i++) {
      const group = this.#index.beside(entry, i)
      if (group === undefined) continue
      const due = group.length <= EAGER_GROUP || (group.length % 8 === 0 && group.length <= MAX_GROUP)
      if (due && shouldMerge(group, i)) {
        this.#merge(group.slice(), [i])
        return
      }
    }
    this.#learnInTwo(entry)
  }

  /** Templates that differ from this one in the same two places. */
  #learnInTwo(entry: Entry): void {
    const near = this.#index.alike(entry)
    if (near === undefined) return
    const pairs = new Map<number, Entry[]>()
    for (let i = near.length - 1; i >= Math.max(0, near.length - 1 - MAX_COMPARED); i--) {
      const other = near[i]!
      if (other === entry) continue
      const pair = differingPair(entry.chunkHashes, other.chunkHashes)
      if (pair < 0) continue
      const members = pairs.get(pair)
      if (members === undefined) pairs.set(pair, [entry, other])
      else members.push(other)
    }
    for (const [pair, members] of pairs) {
      const positions = [Math.floor(pair / MAX_CHUNKS), pair % MAX_CHUNKS] as const
      if (!shouldMergeTwo(members, positions[0], positions[1])) continue
      this.#merge(members, positions)
      return
    }
  }

  #merge(members: readonly Entry[], positions: readonly number[]): void {
    this.generation++
    this.#merges++
    const chunks = members[0]!.chunks!.slice()
    for (const position of positions) chunks[position] = generalised(members, position)
    const text = chunks.join(' ')
    const merged = new Set(positions)
    let lines = 0
    for (const member of members) {
      for (const at of member.merged) merged.add(at)
      lines += member.lines
      this.#index.leave(member)
    }
    const known = this.#byText.get(text)
    const target = known !== undefined ? rootOf(known) : this.#admit(text, [...merged].sort(ascending))
    if (known !== undefined) {
      if (!members.includes(target)) lines += target.lines
      // One of them had the wildcard in it already: it is the template now, and must match what comes.
      this.#index.leave(target)
      target.merged = [...new Set([...target.merged, ...merged])].sort(ascending)
      this.#byId.delete(target.id)
      this.#byId.set(target.id, target)
    }
    target.lines = lines
    for (const member of members) member.root = target
    target.root = target
    target.checked = this.#merges
    if (target.chunks === undefined) return
    this.#index.index(target)
    this.#learn(target)
  }

  /** Drops an eighth: what came once or twice before what came often, what was not seen for long before the rest. */
  #evict(): void {
    const worth = new Float64Array(this.#byId.size)
    let i = 0
    for (const entry of this.#byId.values()) worth[i++] = worthOf(entry)
    const least = worth.slice().sort()
    const drop = Math.max(1, worth.length >> 3)
    const bar = least[drop - 1]!
    let left = drop
    i = 0
    for (const entry of this.#byId.values()) {
      if (worth[i++]! > bar || left === 0) continue
      left--
      entry.isDropped = true
      if (entry.root === entry) this.#index.unlink(entry)
      this.#byText.delete(entry.text)
      this.#byId.delete(entry.id)
    }
    this.evicted += drop
    this.generation++
    this.#index.forgetDropped()
    for (const entry of this.#byId.values()) {
      if (!rootOf(entry).isDropped) continue
      // Its template is gone: it stands for itself again.
      entry.root = entry
      entry.lines = 0
      entry.checked = -1
      if (entry.chunks === undefined) continue
      this.#index.index(entry)
      this.#index.join(entry)
    }
  }

  #reindex(): void {
    this.#index.clear()
    this.#cached.fill(undefined)
    for (const entry of this.#byId.values()) {
      if (entry.chunks === undefined || entry.root !== entry) continue
      this.#index.index(entry)
      this.#index.join(entry)
    }
  }
}

/** The id of a template across restarts and partitions. */
export function templateHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

function firstCharacter(line: string): number {
  let at = 0
  while (at < line.length && line.charCodeAt(at) <= 32) at++
  return at
}

function ascending(x: number, y: number): number {
  return x - y
}
