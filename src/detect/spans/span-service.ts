/**
 * One service's requests: all that it serves together, each operation, and each kind of call it makes. Knows what is told of each and
 * to whom it matters, keeps their number bounded, and forgets what is no longer called.
 */
import type { Emit } from '../detector.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import { SpanEdges } from './span-edges.ts'
import type { Role, SpansShared } from './span-role.ts'
import { SpanSubject } from './span-subject.ts'
import { addTally, newTally } from './span-tally.ts'
import type { SpanTally } from './span-tally.ts'

const TITLE_CHARS = 120
const OTHER = 'other'
/** Names of operations that wait on purpose, as far as a name tells. */
const WAITING = [
  'longpoll',
  'long-poll',
  'long_poll',
  '/poll',
  '/watch',
  '/subscribe',
  '/stream',
  '/events',
  '/sse',
  'websocket',
  'socket.io',
]

/** One service in one window. */
export interface ServiceTally {
  readonly served: Map<string, SpanTally>
  /** By what is called, then by operation. */
  readonly called: Map<string, Map<string, SpanTally>>
  /** Pairs in `called`. */
  calledSubjects: number
}

interface Followed {
  readonly subject: SpanSubject
  readonly role: Role
}

export class ServiceSpans {
  readonly name: string
  lastMs: number
  /** When it was deployed or otherwise changed last, as far as anybody told. */
  #changeMs = -Infinity
  readonly #firstMs: number
  readonly #shared: SpansShared
  readonly #all: SpanSubject
  readonly #served = new Map<string, Followed>()
  readonly #called = new Map<string, Map<string, Followed>>()
  /** All calls to what has an address, which may be a service that tells of itself. */
  readonly #peers = new Map<string, SpanSubject>()
  readonly #edges: SpanEdges
  #calledSubjects = 0
  /** Had more than one operation at some time: then the service as a whole is worth telling of. */
  #several = false

  constructor(name: string, firstMs: number, shared: SpansShared) {
    this.name = name
    this.#firstMs = firstMs
    this.lastMs = firstMs
    this.#shared = shared
    this.#all = new SpanSubject(`all\0${name}`, shared)
    this.#all.lastMs = firstMs
    this.#edges = new SpanEdges(name, shared)
  }

  hasServed(operation: string): boolean {
    return this.#served.has(operation)
  }

  hasCalled(peer: string, operation: string): boolean {
    return this.#called.get(peer)?.has(operation) === true
  }

  changed(atMs: number): void {
    this.#changeMs = Math.max(this.#changeMs, atMs)
  }

  close(startMs: number, tally: ServiceTally | undefined, emit: Emit): void {
    if (tally !== undefined) this.lastMs = startMs
    const warm = startMs - this.#firstMs >= this.#shared.config.warmUpMs
    const served = tally === undefined ? undefined : this.#boundServed(tally.served)
    const called = tally === undefined ? undefined : this.#boundCalled(tally.called)
    const all = newTally()
    if (served !== undefined) {
      for (const [operation, counts] of served) {
        const followed = this.#served.get(operation) ?? this.#followServed(operation, startMs)
        if (!counts.served) continue
        if (followed.role.waits || followed.subject.isLongPoll) {
          all.requests += counts.requests
          all.errors += counts.errors
          all.served = true
        } else addTally(all, counts)
      }
    }
    if (called !== undefined) {
      for (const [peer, operations] of called)
        for (const operation of operations.keys()) if (!this.hasCalled(peer, operation)) this.#followCalled(peer, operation, startMs)
    }
    this.#several ||= this.#served.size > 1
    const watched = 1 + this.#served.size + this.#calledSubjects + this.#peers.size
    this.#all.close(startMs, all.requests > 0 ? all : undefined, this.#wholeRole(), warm, watched, emit)
    this.#closePeers(startMs, called, all.requests, warm, watched, emit)
    for (const [operation, followed] of this.#served) {
      if (!this.#dropped(followed, served?.get(operation), startMs, warm, watched, emit)) continue
      this.#served.delete(operation)
    }
    for (const [peer, operations] of this.#called) {
      for (const [operation, followed] of operations) {
        if (!this.#dropped(followed, called?.get(peer)?.get(operation), startMs, warm, watched, emit)) continue
        operations.delete(operation)
        this.#calledSubjects--
        if (operations.size === 0) this.#called.delete(peer)
      }
    }
  }

  forget(atMs: number, emit: Emit): void {
    this.#all.forget(atMs, emit)
    for (const { subject } of this.#served.values()) subject.forget(atMs, emit)
    for (const operations of this.#called.values()) for (const { subject } of operations.values()) subject.forget(atMs, emit)
    for (const subject of this.#peers.values()) subject.forget(atMs, emit)
    this.#edges.forget(atMs, emit)
  }

  snapshot(to: SnapshotWriter): void {
    to.string(this.name)
    to.f64(this.#firstMs)
    to.f64(this.lastMs)
    to.u8(this.#several ? 1 : 0)
    this.#all.snapshot(to)
    to.u32(this.#served.size)
    for (const [operation, { subject }] of this.#served) {
      to.string(operation)
      subject.snapshot(to)
    }
    to.u32(this.#called.size)
    for (const [peer, operations] of this.#called) {
      to.string(peer)
      to.u32(operations.size)
      for (const [operation, { subject }] of operations) {
        to.string(operation)
        subject.snapshot(to)
      }
    }
    to.f64(this.#changeMs)
    to.u32(this.#peers.size)
    for (const [peer, subject] of this.#peers) {
      to.string(peer)
      subject.snapshot(to)
    }
    this.#edges.snapshot(to)
  }

  static restore(from: SnapshotReader, shared: SpansShared): ServiceSpans {
    const name = from.string()
    const service = new ServiceSpans(name, from.f64(), shared)
    service.lastMs = from.f64()
    service.#several = from.u8() === 1
    service.#all.restore(from)
    for (let left = from.count(100); left > 0; left--) service.#followServed(from.string(), 0).subject.restore(from)
    for (let left = from.count(8); left > 0; left--) {
      const peer = from.string()
      for (let more = from.count(100); more > 0; more--) service.#followCalled(peer, from.string(), 0).subject.restore(from)
    }
    if (from.version < 3) return service
    service.#changeMs = from.f64()
    for (let left = from.count(100); left > 0; left--) service.#followPeer(from.string(), 0).restore(from)
    service.#edges.restore(from)
    return service
  }

  /** Judges, and says whether it was not seen for so long that it is dropped instead. */
  #dropped(
    { subject, role }: Followed,
    counts: SpanTally | undefined,
    startMs: number,
    warm: boolean,
    watched: number,
    emit: Emit,
  ): boolean {
    if (counts === undefined && startMs - subject.lastMs > this.#shared.config.forgetMs && startMs > subject.silentUntilMs) {
      subject.forget(startMs, emit)
      return true
    }
    subject.close(startMs, counts, role, warm, watched, emit)
    return false
  }

  /** What it calls as a whole: whether an edge is new or missing, and how calls to an address go that no service is known to answer at. */
  #closePeers(
    startMs: number,
    called: Map<string, Map<string, SpanTally>> | undefined,
    served: number,
    warm: boolean,
    watched: number,
    emit: Emit,
  ): void {
    const counts = new Map<string, number>()
    const sums = new Map<string, SpanTally>()
    if (called !== undefined) {
      for (const [peer, operations] of called) {
        const sum = newTally()
        for (const tally of operations.values()) {
          if (hasAddress(peer)) addTally(sum, tally)
          else sum.requests += tally.requests
        }
        counts.set(peer, sum.requests)
        if (!hasAddress(peer)) continue
        sums.set(peer, sum)
        if (!this.#peers.has(peer) && this.#peers.size < this.#shared.config.maxOperations) this.#followPeer(peer, startMs)
      }
    }
    const { config } = this.#shared
    for (const [peer, subject] of this.#peers) {
      const sum = sums.get(peer)
      if (sum === undefined && startMs - subject.lastMs > config.forgetMs) {
        subject.forget(startMs, emit)
        this.#peers.delete(peer)
      } else subject.close(startMs, sum, this.#peerRole(peer), warm, watched, emit)
    }
    this.#edges.close(startMs, counts, served, startMs - this.#firstMs >= config.edgeWarmUpMs, this.#changeMs, emit)
  }

  #followPeer(peer: string, startMs: number): SpanSubject {
    const subject = new SpanSubject(`peer\0${this.name}\0${peer}`, this.#shared)
    subject.lastMs = startMs
    this.#peers.set(peer, subject)
    return subject
  }

  #peerRole(peer: string): Role {
    return {
      service: this.name,
      title: clippedTitle(`calls to ${peer}`),
      suffix: ` (as seen by ${this.name})`,
      errors: 'downstream_errors',
      latency: 'downstream_latency',
      // A service that sends spans of its own tells of itself.
      tells: this.#shared.serviceAt(peer) === undefined,
      judgesTraffic: false,
      isWork: false,
      waits: false,
    }
  }

  #boundServed(counted: Map<string, SpanTally>): Map<string, SpanTally> {
    let room = this.#shared.config.maxOperations - this.#served.size
    const bounded = new Map<string, SpanTally>()
    for (const [operation, counts] of counted) {
      const known = this.#served.has(operation) || operation === OTHER
      put(bounded, known || room > 0 ? operation : OTHER, counts)
      if (!known) room--
    }
    return bounded
  }

  #boundCalled(counted: Map<string, Map<string, SpanTally>>): Map<string, Map<string, SpanTally>> {
    let room = this.#shared.config.maxOperations - this.#calledSubjects
    const bounded = new Map<string, Map<string, SpanTally>>()
    for (const [peer, operations] of counted) {
      for (const [operation, counts] of operations) {
        const known = this.hasCalled(peer, operation) || peer === OTHER
        const callee = known || room > 0 ? peer : OTHER
        if (!known) room--
        let of = bounded.get(callee)
        if (of === undefined) bounded.set(callee, (of = new Map()))
        put(of, callee === OTHER ? OTHER : operation, counts)
      }
    }
    return bounded
  }

  #wholeRole(): Role {
    return {
      service: this.name,
      title: 'all requests',
      suffix: '',
      errors: 'errors',
      latency: 'latency',
      tells: this.#several,
      judgesTraffic: true,
      isWork: false,
      waits: false,
    }
  }

  #followServed(operation: string, startMs: number): Followed {
    const subject = new SpanSubject(`served\0${this.name}\0${operation}`, this.#shared)
    subject.lastMs = startMs
    const title = operation === OTHER ? 'other requests' : clippedTitle(operation)
    const lower = operation.toLowerCase()
    const waits = WAITING.some((word) => lower.includes(word))
    const role: Role = {
      service: this.name,
      title,
      suffix: '',
      errors: 'errors',
      latency: 'latency',
      tells: true,
      judgesTraffic: false,
      isWork: operation !== OTHER,
      waits,
    }
    const followed = { subject, role }
    this.#served.set(operation, followed)
    return followed
  }

  #followCalled(peer: string, operation: string, startMs: number): Followed {
    const subject = new SpanSubject(`called\0${this.name}\0${peer}\0${operation}`, this.#shared)
    subject.lastMs = startMs
    const role: Role = {
      service: this.name,
      title: operation.includes(peer) ? clippedTitle(operation) : clippedTitle(`${peer} ${operation}`),
      suffix: ` (as seen by ${this.name})`,
      errors: 'downstream_errors',
      latency: 'downstream_latency',
      // Of what has an address all calls together are told.
      tells: peer !== '' && peer !== OTHER && !hasAddress(peer),
      judgesTraffic: false,
      isWork: false,
      waits: false,
    }
    const followed = { subject, role }
    let operations = this.#called.get(peer)
    if (operations === undefined) this.#called.set(peer, (operations = new Map()))
    operations.set(operation, followed)
    this.#calledSubjects++
    return followed
  }
}

function hasAddress(peer: string): boolean {
  return peer.includes(':')
}

function put(to: Map<string, SpanTally>, operation: string, counts: SpanTally): void {
  const same = to.get(operation)
  if (same === undefined) to.set(operation, counts)
  else addTally(same, counts)
}

function clippedTitle(text: string): string {
  return text.length > TITLE_CHARS ? `${text.slice(0, TITLE_CHARS - 1)}…` : text
}
