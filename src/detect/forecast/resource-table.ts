/**
 * The bounded resources there are: their parts as they last were, put together to how much is used and of how much. Bounded: resources
 * beyond the limit are refused and counted. A limit of nothing, of infinity or of two to the power of 63 is none; one that is moved again and
 * again is no limit but another level.
 */
import type { Series } from '../../model.ts'
import { ResourceNames, type Part, type ResourcePart } from './resource-name.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

/** Parts of one resource: a pool has a series for each state of each user. */
const MOST_PARTS = 256
/** What has not been heard for so long, or for so many times its own interval, is not added to what has. Limits are often told seldom. */
const FRESH_MS = 900_000
const FRESH_INTERVALS = 2.5
const LEAST_FRESH_MS = 90_000
const LIMIT_FRESH_MS = 6 * 3_600_000
/** https://docs.kernel.org/admin-guide/cgroup-v1/memory.html: no limit is the largest multiple of a page below 2^63. */
const UNLIMITED = 1e18
/** A limit rank that means a total: what is free says how much of it is used, what is used does not. */
const TOTAL_RANK = 8
const MOVED_SHARE = 0.01
/** So many moves, each forgotten within a day or so, make it no limit. */
const MOVING = 3
const FORGET_MOVES_MS = 86_400_000

interface Member {
  readonly series: string
  readonly part: Part
  readonly rank: number
  /** Of several the latest counts. */
  readonly sole: boolean
  value: number
  timeMs: number
  /** Between its last two samples; 0 before there are two. */
  intervalMs: number
}

export interface Resource {
  readonly key: string
  readonly service: string
  readonly instance: string
  title: string
  unit: string
  whole: number
  floors: boolean
  elastic: boolean
  isCertificate: boolean
  readonly members: Member[]
  /** Rank of what the title was taken from. */
  titleRank: number
  limit: number
  /** As it is now; `limit` NaN until both are known. */
  used: number
  timeMs: number
  moves: number
  movedMs: number
  heardMs: number
  lookedMs: number
  /** Its place in the history, -1 before it has one. */
  slot: number
  /** What was used at the last look. */
  lookedUsed: number
  /** Of a certificate: how long it was good for after a renewal; 0 before one was seen. */
  lifeMs: number
  /** Which anomaly is open: 0 none, 1 it will be full, 2 soon, 3 it is; and which one is building up. */
  stage: number
  building: number
}

export class ResourceTable {
  refused = 0
  readonly resources = new Map<string, Resource>()
  readonly #names = new ResourceNames()
  readonly #maxResources: number
  /** By series key; undefined: it is of none. */
  readonly #bySeries = new Map<string, { readonly resource: Resource; readonly member: Member }>()

  constructor(maxResources: number) {
    this.#maxResources = maxResources
  }

  /** What the series is a part of; undefined: of nothing that is bounded, or there is no room. */
  find(series: Series): { readonly resource: Resource; readonly member: Member } | undefined {
    if (!this.#names.concerns(series.name)) return undefined
    const known = this.#bySeries.get(series.key)
    if (known !== undefined) return known
    const part = this.#names.partOf(series)
    return part === undefined ? undefined : this.#add(series, part)
  }

  /** A sample of a part. What is no number, or below nothing, is not one. */
  take({ resource, member }: { resource: Resource; member: Member }, timeMs: number, value: number): boolean {
    if (!(value >= 0 && Number.isFinite(value)) || !(timeMs > member.timeMs)) {
      // A limit of -1 says that there is none.
      if (member.part === 'limit' && timeMs > member.timeMs) member.value = Number.NaN
      return false
    }
    member.value = value
    if (member.timeMs > 0) member.intervalMs = timeMs - member.timeMs
    member.timeMs = timeMs
    if (member.part !== 'limit' && timeMs > resource.timeMs) {
      resource.timeMs = timeMs
      return true
    }
    return false
  }

  /** Its series ended: what it said last counts no longer. */
  stop({ member }: { member: Member }, timeMs: number): void {
    if (timeMs >= member.timeMs) member.value = Number.NaN
  }

  /** Puts the parts together; true where use and limit are both known. */
  measure(resource: Resource): boolean {
    const { members, timeMs } = resource
    const limitRank = bestRank(members, 'limit', timeMs)
    let limit = valueOf(members, 'limit', limitRank, timeMs)
    const free = valueOf(members, 'free', bestRank(members, 'free', timeMs), timeMs)
    let used = valueOf(members, 'used', bestRank(members, 'used', timeMs), timeMs)
    if (limitRank === TOTAL_RANK && Number.isNaN(free)) limit = Number.NaN
    if (!Number.isNaN(limit) && !Number.isNaN(free)) used = Math.max(0, limit - free)
    else if (Number.isNaN(limit) && !Number.isNaN(free) && !Number.isNaN(used)) {
      const other = valueOf(members, 'other', bestRank(members, 'other', timeMs), timeMs)
      limit = used + free + (Number.isNaN(other) ? 0 : other)
    } else if (Number.isNaN(limit) || Number.isNaN(used)) {
      used = valueOf(members, 'share', bestRank(members, 'share', timeMs), timeMs)
      limit = resource.whole
    }
    if (!(limit > 0 && limit < UNLIMITED) || Number.isNaN(used)) return false
    if (resource.moves > 0 && timeMs - resource.movedMs > FORGET_MOVES_MS / MOVING) {
      resource.moves--
      resource.movedMs = timeMs
    }
    if (!Number.isNaN(resource.limit) && Math.abs(limit - resource.limit) > MOVED_SHARE * resource.limit) {
      resource.moves = Math.min(2 * MOVING, resource.moves + 1)
      resource.movedMs = timeMs
    }
    resource.limit = limit
    resource.used = used
    return resource.moves < MOVING
  }

  remove(resource: Resource): void {
    this.resources.delete(resource.key)
    for (const { series } of resource.members) this.#bySeries.delete(series)
  }

  snapshot(to: SnapshotWriter): void {
    to.f64(this.refused)
    to.u32(this.resources.size)
    for (const r of this.resources.values()) {
      for (const text of [r.key, r.service, r.instance, r.title, r.unit]) to.string(text)
      to.u8((r.floors ? 1 : 0) | (r.isCertificate ? 2 : 0) | (r.elastic ? 4 : 0))
      for (const field of NUMBERS) to.f64(r[field])
      to.u8(r.stage)
      to.u8(r.building)
      to.u32(r.members.length)
      for (const { series, part, rank, sole, value, timeMs, intervalMs } of r.members) {
        to.string(series)
        to.u8(PARTS.indexOf(part))
        to.u8(rank)
        to.u8(sole ? 1 : 0)
        for (const figure of [value, timeMs, intervalMs]) to.f64(figure)
      }
    }
  }

  restore(from: SnapshotReader): void {
    this.resources.clear()
    this.#bySeries.clear()
    this.refused = from.f64()
    for (let left = from.count(120); left > 0; left--) {
      const [key, service, instance, title, unit] = [from.string(), from.string(), from.string(), from.string(), from.string()]
      const flags = from.u8()
      const [floors, isCertificate, elastic] = [(flags & 1) !== 0, (flags & 2) !== 0, (flags & 4) !== 0]
      const resource = blank({ key, service, instance, title, unit, floors, elastic, isCertificate })
      for (const field of NUMBERS) resource[field] = from.f64()
      resource.stage = from.u8()
      resource.building = from.u8()
      for (let more = from.count(31); more > 0; more--) {
        const series = from.string()
        const [part, rank, sole] = [PARTS[from.u8()] ?? 'other', from.u8(), from.u8() === 1]
        const member = { series, part, rank, sole, value: from.f64(), timeMs: from.f64(), intervalMs: from.f64() }
        resource.members.push(member)
        this.#bySeries.set(series, { resource, member })
      }
      this.resources.set(key, resource)
    }
  }

  #add(series: Series, part: ResourcePart): { readonly resource: Resource; readonly member: Member } | undefined {
    let resource = this.resources.get(part.key)
    if (resource === undefined) {
      if (this.resources.size >= this.#maxResources) {
        this.refused++
        return undefined
      }
      const { service, instance } = series
      const { key, title, unit, floors, elastic } = part
      resource = blank({ key, service, instance, title, unit, floors, elastic, isCertificate: part.part === 'expiry' })
      this.resources.set(part.key, resource)
    }
    if (resource.members.length >= MOST_PARTS && !this.#makeRoom(resource)) {
      this.refused++
      return undefined
    }
    // It is called after what is used or free of it, and behaves as that does.
    const titleRank = part.part === 'limit' || part.part === 'other' ? 100 : part.part === 'free' ? part.rank : 20 + part.rank
    if (titleRank < resource.titleRank) {
      const { title, unit, floors, elastic } = part
      Object.assign(resource, { titleRank, title, unit, floors, elastic })
    }
    if (part.part === 'share') resource.whole = part.whole
    const { part: of, rank, sole } = part
    const member: Member = { series: series.key, part: of, rank, sole, value: Number.NaN, timeMs: 0, intervalMs: 0 }
    resource.members.push(member)
    const found = { resource, member }
    this.#bySeries.set(series.key, found)
    return found
  }

  /** Drops the part that has been silent longest, where one has: users of a pool come and go. */
  #makeRoom({ members, timeMs }: Resource): boolean {
    let oldest = 0
    for (let i = 1; i < members.length; i++) if (members[i]!.timeMs < members[oldest]!.timeMs) oldest = i
    const { series, timeMs: lastMs } = members[oldest]!
    // Those that were just added have not spoken yet.
    if (lastMs === 0 || lastMs >= timeMs - LIMIT_FRESH_MS) return false
    members.splice(oldest, 1)
    this.#bySeries.delete(series)
    return true
  }
}

const PARTS: readonly Part[] = ['used', 'free', 'limit', 'share', 'other', 'expiry']

/** In the order of a snapshot. */
const NUMBERS = [
  'whole',
  'titleRank',
  'limit',
  'used',
  'timeMs',
  'moves',
  'movedMs',
  'heardMs',
  'lookedMs',
  'slot',
  'lookedUsed',
  'lifeMs',
] as const

type Named = Pick<Resource, 'key' | 'service' | 'instance' | 'title' | 'unit' | 'floors' | 'elastic' | 'isCertificate'>

function blank(named: Named): Resource {
  return {
    ...named,
    whole: 1,
    members: [],
    titleRank: 101,
    limit: Number.NaN,
    used: Number.NaN,
    timeMs: 0,
    moves: 0,
    movedMs: 0,
    heardMs: 0,
    lookedMs: 0,
    slot: -1,
    lookedUsed: 0,
    lifeMs: 0,
    stage: 0,
    building: 0,
  }
}

/** Whether it still counts. */
function isFresh({ part, value, timeMs, intervalMs }: Member, nowMs: number): boolean {
  if (Number.isNaN(value)) return false
  if (part === 'limit') return timeMs >= nowMs - LIMIT_FRESH_MS
  return timeMs >= nowMs - (intervalMs > 0 ? Math.min(FRESH_MS, Math.max(LEAST_FRESH_MS, FRESH_INTERVALS * intervalMs)) : FRESH_MS)
}

function bestRank(members: readonly Member[], part: Part, nowMs: number): number {
  let best = Number.POSITIVE_INFINITY
  for (const member of members) if (member.part === part && member.rank < best && isFresh(member, nowMs)) best = member.rank
  return best
}

/** What the members of that rank say together; NaN where there are none. */
function valueOf(members: readonly Member[], part: Part, rank: number, nowMs: number): number {
  let sum = Number.NaN
  let latestMs = 0
  for (const member of members) {
    if (member.part !== part || member.rank !== rank || !isFresh(member, nowMs)) continue
    const { value, timeMs, sole } = member
    if (Number.isNaN(sum)) sum = value
    else if (!sole) sum += value
    else if (timeMs > latestMs) sum = value
    else if (timeMs === latestMs) sum = Math.max(sum, value)
    latestMs = Math.max(latestMs, timeMs)
  }
  return sum
}
