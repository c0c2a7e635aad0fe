/**
 * Online log template mining. A line's key (log-key.ts) is its template until the learner sees that keys differ in one place only, and
 * in too many ways for a handful of states: then they become one template with `<*>` in that place. Nothing is ever split again.
 * Memory is bounded: over `maxTemplates` the rarest that were not seen for longest are dropped, and counted.
 */
import { createHash } from 'node:crypto'
import { LineShape, logKey } from './log-key.ts'
import type { SnapshotReader, SnapshotWriter } from './snapshot.ts'
import { chunksOf, fits, generalised, leaveOneOut, MAX_CHUNKS, shouldMerge } from './template-merge.ts'

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
const MAX_PATTERNS_PER_LENGTH = 64
const NO_HASHES = new Float64Array(0)

/** A key, or a merged template. */
class Entry {
  readonly id: number
  readonly text: string
  /** Undefined for those the learner leaves alone. */
  readonly chunks: readonly string[] | undefined
  /** Per chunk, what the template is without it. */
  readonly hashes: Float64Array
  /** Positions that were merged; empty for a key as it was read. */
  merged: readonly number[]
  lines = 0
  seen = 0
  /** The template it was merged into; itself when it was not. */
  root: Entry

  constructor(id: number, text: string, merged: readonly number[]) {
    const chunks = chunksOf(text)
    this.id = id
    this.text = text
    this.merged = merged
    this.chunks = chunks.length <= MAX_CHUNKS ? chunks : undefined
    this.hashes = this.chunks === undefined ? NO_HASHES : leaveOneOut(chunks)
    this.root = this
  }
}

export class LogTemplates {
  /** Templates dropped to stay within `maxTemplates`. */
  evicted = 0
  /** Goes up whenever ids that were handed out earlier may resolve to something else. */
  generation = 0
  readonly #rules: TemplateRules
  readonly #byText = new Map<string, Entry>()
  readonly #byId = new Map<number, Entry>()
  /** Unmerged templates that are equal outside one position. */
  readonly #groups = new Map<number, Entry[]>()
  /** Merged templates by their one merged position, and all with several by their number of chunks. */
  readonly #single = new Map<number, Entry>()
  readonly #several = new Map<number, Entry[]>()
  #nextId = 1
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
    let end = Math.min(line.length, start + this.#rules.maxLineChars)
    // The rest of a multi-line message is a stack trace or a dump: it varies with everything.
    const newline = line.indexOf('\n', start)
    if (newline >= 0 && newline < end) end = newline
    this.#shape.read(line, start, end)
    const { a, b } = this.#shape
    const slot = (a ^ (a >>> 15)) & (CACHE_SLOTS - 1)
    let entry = this.#cacheA[slot] === a && this.#cacheB[slot] === b ? this.#cached[slot] : undefined
    if (entry === undefined) {
      entry = this.#entryOf(logKey(line, start, end))
      this.#cacheA[slot] = a
      this.#cacheB[slot] = b
      this.#cached[slot] = entry
    }
    const seen = ++this.#lines
    entry.seen = seen
    const root = rootOf(entry)
    root.lines++
    root.seen = seen
    return root.id
  }

  /** What the template of this id has become; `OTHER_TEMPLATE` when it was dropped. */
  resolve(id: number): number {
    const entry = this.#byId.get(id)
    return entry === undefined ? OTHER_TEMPLATE : rootOf(entry).id
  }

  textOf(id: number): string {
    return this.#byId.get(id)?.text ?? '(other lines)'
  }

  snapshot(to: SnapshotWriter): void {
    to.f64(this.#nextId)
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

  restore(from: SnapshotReader): void {
    this.#byText.clear()
    this.#byId.clear()
    this.#nextId = from.f64()
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

  #entryOf(key: string): Entry {
    const known = this.#byText.get(key)
    if (known !== undefined) return known
    if (this.#byText.size >= this.#rules.maxTemplates) this.#evict()
    const entry = this.#admit(key, [])
    if (entry.chunks === undefined) return entry
    const pattern = this.#patternOf(entry.chunks, entry.hashes)
    if (pattern !== undefined) {
      entry.root = rootOf(pattern)
      return entry
    }
    // Counted here as the line that brought it, so that the learner sees it as one; `idOf` counts it again for good.
    entry.lines = 1
    this.#learn(entry)
    rootOf(entry).lines--
    return entry
  }

  #admit(text: string, merged: readonly number[]): Entry {
    const entry = new Entry(this.#nextId++, text, merged)
    entry.seen = this.#lines + 1
    this.#byText.set(text, entry)
    this.#byId.set(entry.id, entry)
    return entry
  }

  #patternOf(chunks: readonly string[], hashes: Float64Array): Entry | undefined {
    for (let i = 0; i < hashes.length; i++) {
      const candidate = this.#single.get(hashes[i]!)
      if (candidate !== undefined && fits(candidate.chunks![i]!, chunks[i]!)) return candidate
    }
    const several = this.#several.get(chunks.length)
    if (several !== undefined) for (const candidate of several) if (matches(candidate, chunks)) return candidate
    return undefined
  }

  /** Puts a template beside those it resembles and merges where that is called for. */
  #learn(entry: Entry): void {
    const { hashes } = entry
    for (let i = 0; i < hashes.length; i++) {
      const group = this.#groups.get(hashes[i]!)
      if (group === undefined) this.#groups.set(hashes[i]!, [entry])
      else group.push(entry)
    }
    for (let i = 0; i < hashes.length; i++) {
      const group = this.#groups.get(hashes[i]!)!
      const due = group.length <= EAGER_GROUP || (group.length % 8 === 0 && group.length <= MAX_GROUP)
      if (due && shouldMerge(group, i)) {
        this.#merge(group.slice(), i)
        return
      }
    }
  }

  #merge(members: readonly Entry[], position: number): void {
    this.generation++
    const chunks = members[0]!.chunks!.slice()
    chunks[position] = generalised(members, position)
    const text = chunks.join(' ')
    const merged = new Set([position])
    let lines = 0
    for (const member of members) {
      for (const at of member.merged) merged.add(at)
      lines += member.lines
      this.#leaveGroups(member)
    }
    const known = this.#byText.get(text)
    const target = known !== undefined ? rootOf(known) : this.#admit(text, [...merged].sort(ascending))
    if (known !== undefined && !members.includes(target)) lines += target.lines
    target.lines = lines
    for (const member of members) member.root = target
    target.root = target
    if (known !== undefined) {
      // One of them had the wildcard in it already: it is the template now, and must match what comes.
      this.#leaveGroups(target)
      target.merged = [...new Set([...target.merged, ...merged])].sort(ascending)
    }
    this.#indexPattern(target)
    if (target.chunks !== undefined) this.#learn(target)
  }

  #leaveGroups(entry: Entry): void {
    const { hashes } = entry
    for (let i = 0; i < hashes.length; i++) {
      const group = this.#groups.get(hashes[i]!)
      const at = group?.indexOf(entry) ?? -1
      if (at < 0) continue
      if (group!.length === 1) this.#groups.delete(hashes[i]!)
      else group!.splice(at, 1)
    }
  }

  #indexPattern(entry: Entry): void {
    const { chunks, merged } = entry
    if (chunks === undefined || merged.length === 0) return
    if (merged.length === 1) {
      this.#single.set(entry.hashes[merged[0]!]!, entry)
      return
    }
    const several = this.#several.get(chunks.length)
    if (several === undefined) this.#several.set(chunks.length, [entry])
    else if (!several.includes(entry) && several.length < MAX_PATTERNS_PER_LENGTH) several.push(entry)
  }

  /** Drops an eighth: what came once or twice before what came often, what was not seen for long before the rest. */
  #evict(): void {
    const all = [...this.#byId.values()].sort(byWorth)
    const drop = Math.max(1, all.length >> 3)
    const dropped = new Set<Entry>()
    for (let i = 0; i < drop; i++) {
      const entry = all[i]!
      dropped.add(entry)
      this.#byText.delete(entry.text)
      this.#byId.delete(entry.id)
    }
    this.evicted += drop
    this.generation++
    for (const entry of all) {
      if (dropped.has(entry) || !dropped.has(rootOf(entry))) continue
      // Its template is gone: it stands for itself again.
      entry.root = entry
      entry.lines = 0
    }
    this.#reindex()
  }

  #reindex(): void {
    this.#groups.clear()
    this.#single.clear()
    this.#several.clear()
    this.#cached.fill(undefined)
    // Index order is id order: after a restore the groups must be what they were.
    const entries = [...this.#byId.values()].sort((x, y) => x.id - y.id)
    for (const entry of entries) {
      if (entry.chunks === undefined) continue
      this.#indexPattern(entry)
      if (entry.root !== entry) continue
      const { hashes } = entry
      for (let i = 0; i < hashes.length; i++) {
        const group = this.#groups.get(hashes[i]!)
        if (group === undefined) this.#groups.set(hashes[i]!, [entry])
        else group.push(entry)
      }
    }
  }
}

/** The id of a template across restarts and partitions. */
export function templateHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

function rootOf(entry: Entry): Entry {
  let root = entry
  while (root.root !== root) root = root.root
  if (entry.root !== root) entry.root = root
  return root
}

function firstCharacter(line: string): number {
  let at = 0
  while (at < line.length && line.charCodeAt(at) <= 32) at++
  return at
}

function matches(pattern: Entry, chunks: readonly string[]): boolean {
  const own = pattern.chunks!
  let next = 0
  for (let i = 0; i < own.length; i++) {
    if (pattern.merged[next] === i) {
      next++
      if (!fits(own[i]!, chunks[i]!)) return false
    } else if (own[i] !== chunks[i]) return false
  }
  return true
}

function byWorth(x: Entry, y: Entry): number {
  const rare = Number(x.lines > 2) - Number(y.lines > 2)
  return rare !== 0 ? rare : x.seen - y.seen
}

function ascending(x: number, y: number): number {
  return x - y
}
