/**
 * Who calls whom, learnt from flows. Calls fade with a half-life, so that a call path that is no longer used is forgotten within
 * hours. `Topology` is a value (copied when it changes), `Graph` the indexed view of one; no edge is ever declared by hand.
 */
import type { Flow } from '../model.ts'

export interface Edge {
  readonly caller: string
  readonly callee: string
  /** The callee sends no spans itself on this edge: it was named by its caller. */
  readonly inferred: boolean
  /** Calls as of `lastMs`, faded. */
  readonly weight: number
  readonly lastMs: number
}

export interface Topology {
  readonly edges: ReadonlyMap<string, Edge>
  /** Who serves requests, with when they last did; what is only known by its callers among them. */
  readonly services: ReadonlyMap<string, number>
}

export const emptyTopology: Topology = { edges: new Map(), services: new Map() }

/** A single call is remembered for ten half-lives, a thousand for twenty. */
const FORGET_BELOW = 1 / 1024

export function edgeKey(caller: string, callee: string): string {
  return JSON.stringify([caller, callee])
}

/** Adds the calls of the flows and forgets what has faded. Order of the flows does not matter for what is known, only sums. */
export function learn(
  topology: Topology,
  flows: readonly Flow[],
  nowMs: number,
  settings: { halfLifeMs: number; maxEdges: number },
): Topology {
  if (flows.length === 0) return topology
  const faded = (edge: Edge) => edge.weight * 2 ** -(Math.max(0, nowMs - edge.lastMs) / settings.halfLifeMs)
  const edges = new Map(topology.edges)
  const services = new Map(topology.services)
  for (const flow of flows) {
    for (const row of flow.services) {
      if (row.requests > 0) services.set(row.service, Math.max(services.get(row.service) ?? 0, flow.endMs))
    }
    for (const call of flow.calls) {
      if (call.caller === call.callee || call.caller === '' || call.callee === '' || !(call.calls > 0)) continue
      const key = edgeKey(call.caller, call.callee)
      const known = edges.get(key)
      edges.set(key, {
        caller: call.caller,
        callee: call.callee,
        inferred: call.inferred && (known?.inferred ?? true),
        weight: (known === undefined ? 0 : faded(known)) + call.calls,
        lastMs: nowMs,
      })
    }
  }
  for (const [key, edge] of edges) if (faded(edge) < FORGET_BELOW) edges.delete(key)
  for (const [service, lastMs] of services) if (nowMs - lastMs > 10 * settings.halfLifeMs) services.delete(service)
  if (edges.size > settings.maxEdges) {
    const lightest = [...edges].sort(([keyA, a], [keyB, b]) => faded(a) - faded(b) || (keyA < keyB ? -1 : 1))
    for (const [key] of lightest.slice(0, edges.size - settings.maxEdges)) edges.delete(key)
  }
  if (services.size > settings.maxEdges) {
    const oldest = [...services].sort(([a, atA], [b, atB]) => atA - atB || (a < b ? -1 : 1))
    for (const [service] of oldest.slice(0, services.size - settings.maxEdges)) services.delete(service)
  }
  return { edges, services }
}

export class Graph {
  readonly #callees = new Map<string, string[]>()
  readonly #callers = new Map<string, string[]>()
  readonly #instrumented = new Set<string>()
  readonly #services: ReadonlyMap<string, number>

  constructor(topology: Topology) {
    this.#services = topology.services
    for (const key of [...topology.edges.keys()].sort()) {
      const edge = topology.edges.get(key)!
      append(this.#callees, edge.caller, edge.callee)
      append(this.#callers, edge.callee, edge.caller)
      this.#instrumented.add(edge.caller)
      if (!edge.inferred) this.#instrumented.add(edge.callee)
    }
  }

  knows(service: string): boolean {
    return this.#services.has(service) || this.#callees.has(service) || this.#callers.has(service)
  }

  /** In order of name of the edge, as everywhere here: equal graphs give equal answers. */
  callees(service: string): readonly string[] {
    return this.#callees.get(service) ?? NONE
  }

  callers(service: string): readonly string[] {
    return this.#callers.get(service) ?? NONE
  }

  /** Serves requests and nobody instrumented calls it: what it answers is what users get. */
  isEntry(service: string): boolean {
    return this.#services.has(service) && this.callers(service).length === 0
  }

  /** Only known because somebody calls it: a database, a queue, a third party. */
  isInferred(service: string): boolean {
    return this.#callers.has(service) && !this.#instrumented.has(service)
  }

  /** Everything that can be reached by following calls, with its distance; `start` itself is not in it unless it is called in a circle. */
  below(start: string, maxHops: number): Map<string, number> {
    return this.#walk([start], maxHops, this.#callees)
  }

  above(start: string, maxHops: number): Map<string, number> {
    return this.#walk([start], maxHops, this.#callers)
  }

  /** Hops along the calls, in either direction but never both on one path: 0 to itself, undefined when further than `maxHops`. */
  distance(from: string, to: string, maxHops: number): number | undefined {
    if (from === to) return 0
    const down = this.below(from, maxHops).get(to)
    const up = this.above(from, maxHops).get(to)
    return down === undefined ? up : up === undefined ? down : Math.min(down, up)
  }

  #walk(starts: readonly string[], maxHops: number, next: ReadonlyMap<string, readonly string[]>): Map<string, number> {
    const hops = new Map<string, number>()
    let frontier = starts
    for (let hop = 1; hop <= maxHops && frontier.length > 0; hop++) {
      const reached: string[] = []
      for (const service of frontier) {
        for (const other of next.get(service) ?? NONE) {
          if (hops.has(other)) continue
          hops.set(other, hop)
          reached.push(other)
        }
      }
      frontier = reached
    }
    return hops
  }
}

const NONE: readonly string[] = []
const graphs = new WeakMap<Topology, Graph>()

/** The same topology gives the same graph object: building it is paid once per change. */
export function graphOf(topology: Topology): Graph {
  let graph = graphs.get(topology)
  if (graph === undefined) graphs.set(topology, (graph = new Graph(topology)))
  return graph
}

function append(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
