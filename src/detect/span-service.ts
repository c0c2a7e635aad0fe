/**
 * One service's requests: all that it serves together, each operation, and each kind of call it makes. Knows what is told of each and
 * to whom it matters, keeps their number bounded, and forgets what is no longer called.
 */
import type { Emit } from './detector.ts'
import type { SnapshotReader, SnapshotWriter } from './snapshot.ts'
import { addTally, newTally, SpanSubject } from './span-subject.ts'
import type { Role, SpansShared, SpanTally } from './span-subject.ts'

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
  readonly #firstMs: number
  readonly #shared: SpansShared
  readonly #all: SpanSubject
  readonly #served = new Map<string, Followed>()
  readonly #called = new Map<string, Map<string, Followed>>()
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
  }

  hasServed(operation: string): boolean {
    return this.#served.has(operation)
  }

  hasCalled(peer: string, operation: string): boolean {
    return this.#called.get(peer)?.has(operation) === true
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
    this.#all.close(startMs, all.requests > 0 ? all : undefined, this.#wholeRole(), warm, emit)
    for (const [operation, followed] of this.#served) {
      if (!this.#dropped(followed, served?.get(operation), startMs, warm, emit)) continue
      this.#served.delete(operation)
    }
    for (const [peer, operations] of this.#called) {
      for (const [operation, followed] of operations) {
        if (!this.#dropped(followed, called?.get(peer)?.get(operation), startMs, warm, emit)) continue
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
    return service
  }

  /** Judges, and says whether it was not seen for so long that it is dropped instead. */
  #dropped({ subject, role }: Followed, counts: SpanTally | undefined, startMs: number, warm: boolean, emit: Emit): boolean {
    if (counts === undefined && startMs - subject.lastMs > this.#shared.config.forgetMs) {
      subject.forget(startMs, emit)
      return true
    }
    subject.close(startMs, counts, role, warm, emit)
    return false
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
      // What has an address is most often a service that sends spans of its own, and tells of itself.
      tells: peer !== '' && peer !== OTHER && !peer.includes(':'),
      judgesTraffic: false,
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

function put(to: Map<string, SpanTally>, operation: string, counts: SpanTally): void {
  const same = to.get(operation)
  if (same === undefined) to.set(operation, counts)
  else addTally(same, counts)
}

function clippedTitle(text: string): string {
  return text.length > TITLE_CHARS ? `${text.slice(0, TITLE_CHARS - 1)}…` : text
}
