/**
 * Whom a service calls. A call to something that it never called before, once it is known for long enough, and a regular call that stops
 * while its caller goes on as usual are told: they explain, they never page. An edge is missing when the calls that should have come in its
 * silence are three times the longest silence known and many. Bounded; peers whose names are addresses of the day are not followed.
 */
import type { Emit } from '../detector.ts'
import type { Observation, Subject } from '../episode.ts'
import { reckoning } from '../reckon.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import type { SpansShared } from './span-role.ts'

/** Calls that make a new edge worth telling: one may be a probe. */
const ENOUGH_CALLS = 20
const LONGEST_SILENCES = 3
/** Windows that a new edge is told for, so that it is seen and ends. */
const NEWS_WINDOWS = 6
/** And windows of silence that a missing one needs whatever the rate. */
const LEAST_SILENCE_WINDOWS = 6
/** A deploy that is as near as this most likely brought it. */
const DEPLOY_NEAR_MS = 1_800_000
/** Memory of the share of a caller's work that goes along an edge, in its requests. */
const MEMORY = 5_000
/** An edge is regular after so many calls in so many windows: one burst says nothing of the silences between bursts. */
const REGULAR_CALLS = 100
const REGULAR_WINDOWS = 30
/** What is missing for as long as this is gone for good: it is forgotten, and new when it comes back. */
const GONE_WINDOWS = 360

/** `10.2.3.4:8080`, `[fd00::1]:80`. */
const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9a-f]*(?::[0-9a-f]*){2,}\]?)(?::\d+)?$/i

interface Edge {
  firstMs: number
  calls: number
  /** Of a fading memory of what the caller did, and of the calls along this edge in it. */
  work: number
  part: number
  /** Calls that should have come since the last one, and the most that ever should have. */
  silence: number
  longest: number
  silentWindows: number
  /** Windows with calls. */
  busyWindows: number
  /** Windows left to tell of it as new; -1: too few calls so far; 0: known. */
  news: number
}

export class SpanEdges {
  readonly #service: string
  readonly #shared: SpansShared
  readonly #edges = new Map<string, Edge>()

  constructor(service: string, shared: SpansShared) {
    this.#service = service
    this.#shared = shared
  }

  /** `calls` per peer in this window, and all that the caller did in it. `known`: the caller is known for long enough to call an edge new. */
  close(startMs: number, calls: ReadonlyMap<string, number>, served: number, known: boolean, changeMs: number, emit: Emit): void {
    let all = served
    for (const [peer, count] of calls) {
      all += count
      if (!this.#edges.has(peer)) this.#follow(peer, startMs, known)
    }
    for (const [peer, edge] of this.#edges) this.#judge(peer, edge, startMs, calls.get(peer) ?? 0, all, changeMs, emit)
  }

  forget(atMs: number, emit: Emit): void {
    for (const peer of this.#edges.keys()) this.#drop(peer, atMs, emit)
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#edges.size)
    for (const [peer, { firstMs, calls, work, part, silence, longest, silentWindows, news, busyWindows }] of this.#edges) {
      to.string(peer)
      to.column(Float64Array.of(firstMs, calls, work, part, silence, longest, silentWindows, news, busyWindows))
    }
  }

  restore(from: SnapshotReader): void {
    this.#edges.clear()
    for (let left = from.count(8); left > 0; left--) {
      const peer = from.string()
      const [firstMs = 0, calls = 0, work = 0, part = 0, silence = 0, longest = 0, silentWindows = 0, news = 0, busyWindows = 0] =
        from.f64s()
      this.#edges.set(peer, { firstMs, calls, work, part, silence, longest, silentWindows, news, busyWindows })
    }
  }

  #follow(peer: string, startMs: number, known: boolean): void {
    if (peer === '' || peer === 'other' || ADDRESS.test(peer) || this.#edges.size >= this.#shared.config.maxOperations) return
    const isNews = known && this.#edges.size > 0
    const empty = { calls: 0, work: 0, part: 0, silence: 0, longest: 0, silentWindows: 0, busyWindows: 0 }
    this.#edges.set(peer, { ...empty, firstMs: startMs, news: isNews ? -1 : 0 })
  }

  #judge(peer: string, edge: Edge, startMs: number, calls: number, all: number, changeMs: number, emit: Emit): void {
    const others = all - calls
    const { windowMs } = this.#shared.config
    edge.calls += calls
    if (edge.news === -1 && edge.calls >= ENOUGH_CALLS) edge.news = NEWS_WINDOWS
    if (edge.news > 0) this.#tellNew(peer, edge, startMs, calls, --edge.news > 0, changeMs, emit)
    const share = edge.work > 0 ? edge.part / edge.work : 0
    if (calls > 0) {
      // What was told as missing was no silence to get used to.
      if (edge.silence > edge.longest && !this.#isMissing(edge)) edge.longest = edge.silence
      edge.silence = 0
      edge.silentWindows = 0
      edge.busyWindows++
    } else if (others > 0) {
      edge.silence += share * others
      edge.silentWindows++
    }
    const missing = this.#isMissing(edge)
    if (!missing) {
      edge.work += others
      edge.part += calls
      if (edge.work > MEMORY) {
        edge.part *= MEMORY / edge.work
        edge.work = MEMORY
      }
    }
    this.#tellMissing(peer, edge, startMs, calls, missing, (share * others * 1000) / windowMs, emit)
    if (missing && edge.silentWindows > GONE_WINDOWS) this.#drop(peer, startMs, emit)
  }

  #isMissing({ calls, silence, longest, silentWindows, busyWindows }: Edge): boolean {
    if (calls < REGULAR_CALLS || busyWindows < REGULAR_WINDOWS) return false
    return silentWindows >= LEAST_SILENCE_WINDOWS && silence >= LONGEST_SILENCES * longest + ENOUGH_CALLS
  }

  #tellNew(peer: string, edge: Edge, startMs: number, calls: number, isNews: boolean, changeMs: number, emit: Emit): void {
    const perSecond = (calls * 1000) / this.#shared.config.windowMs
    const seen: Observation = {
      timeMs: startMs,
      observed: perSecond,
      expected: 0,
      low: 0,
      high: 0,
      score: isNews ? 1 : 0,
      direction: 'up',
      volume: edge.calls,
    }
    const near = Math.abs(edge.firstMs - changeMs) <= DEPLOY_NEAR_MS
    const explain = () => [
      `${this.#service} calls ${peer} since ${new Date(edge.firstMs).toISOString()}, ${edge.calls} times so far, and never did before.`,
      ...(near ? [`Something was changed in ${this.#service} at ${new Date(changeMs).toISOString()}: most likely that brought it.`] : []),
    ]
    const { episodes } = this.#shared
    const key = this.#key('new', peer)
    const reckon = () =>
      reckoning('new-call', [
        ['calls', edge.calls],
        ['calls before', 0],
      ])
    episodes.observe(key, this.#subject(`calls to ${peer} (new)`), seen, explain, emit, reckon)
    if (isNews) return
    episodes.end(key, startMs, emit)
    episodes.forget(key)
  }

  #tellMissing(peer: string, edge: Edge, startMs: number, calls: number, missing: boolean, expected: number, emit: Emit): void {
    const { episodes, config } = this.#shared
    const key = this.#key('gone', peer)
    if (!missing) {
      if (!episodes.isOpen(key)) return
      episodes.end(key, startMs, emit)
      episodes.forget(key)
      return
    }
    const observed = (calls * 1000) / config.windowMs
    const seen: Observation = {
      timeMs: startMs,
      observed,
      expected,
      low: expected / 2,
      high: Infinity,
      score: 1,
      direction: 'down',
      volume: Math.round(edge.silence),
    }
    const explain = (worst: Observation) => [
      `${this.#service} no longer calls ${peer}, though it works as usual: about ${worst.volume} calls should have come since the last one.`,
    ]
    const reckon = () =>
      reckoning('missing-call', [
        ['missing calls', edge.silence],
        ['longest silence', edge.longest],
        ['times', LONGEST_SILENCES],
        ['least', ENOUGH_CALLS],
      ])
    episodes.observe(key, this.#subject(`calls to ${peer} (missing)`), seen, explain, emit, reckon)
  }

  #drop(peer: string, atMs: number, emit: Emit): void {
    this.#edges.delete(peer)
    for (const what of ['new', 'gone']) {
      this.#shared.episodes.end(this.#key(what, peer), atMs, emit)
      this.#shared.episodes.forget(this.#key(what, peer))
    }
  }

  #key(what: string, peer: string): string {
    return `edge ${what}\0${this.#service}\0${peer}`
  }

  #subject(subject: string): Subject {
    return {
      detector: 'spans',
      signal: 'spans',
      service: this.#service,
      instance: '',
      subject,
      symptom: 'other',
      unit: 'requests/s',
      impact: false,
    }
  }
}
