/**
 * What belongs together: near in time and near in the call graph, and the further away in one the nearer in the other. Services are
 * near when calls lead from one to the other (silent services between them included), or when both call the same thing and
 * their symptoms began together. Two callees of one caller are not: a fault of one does not reach the other.
 * Where nothing is known of the calls only the same service, or beginning together, counts.
 */
import type { CorrelateConfig } from './config.ts'
import type { Graph } from './topology.ts'

/** How well the services around an incident's core can be reached. */
export interface Reach {
  /** Hops along the calls, 0 for the core itself. */
  readonly direct: ReadonlyMap<string, number>
  /** Hops down to a callee in common and up again. */
  readonly shared: ReadonlyMap<string, number>
  /** True when the graph knows none of the core. */
  readonly blind: boolean
}

/** When an incident was felt. */
export interface Span {
  readonly onsetMs: number
  readonly lastMs: number
}

export interface Subject {
  readonly service: string
  readonly startMs: number
  /** Known to be over since then. */
  readonly endMs: number | undefined
}

const PER_HOP = 0.8
const RELATED_FROM = 0.35
/** Beginning together without a known path: weaker than three hops. */
const COINCIDENCE = 0.4

export function reachOf(graph: Graph, core: readonly string[], maxHops: number): Reach {
  const direct = new Map<string, number>()
  const shared = new Map<string, number>()
  const nearer = (map: Map<string, number>, service: string, hops: number) => {
    const known = map.get(service)
    if (known === undefined || hops < known) map.set(service, hops)
  }
  for (const service of core) {
    nearer(direct, service, 0)
    for (const [other, hops] of graph.above(service, maxHops)) nearer(direct, other, hops)
    for (const [callee, down] of graph.below(service, maxHops)) {
      nearer(direct, callee, down)
      for (const [other, up] of graph.above(callee, maxHops - down)) nearer(shared, other, down + up)
    }
  }
  return { direct, shared, blind: !core.some((service) => graph.knows(service)) }
}

/** Above 0 when the subject belongs to the incident; of several incidents to the one with the largest. */
export function relation(subject: Subject, span: Span, reach: Reach, graph: Graph, config: CorrelateConfig): number {
  const before = span.onsetMs - (subject.endMs ?? span.onsetMs)
  const gapMs = Math.max(0, before, subject.startMs - span.lastMs)
  // Early signs are looked for further back than the same fault is assumed to go on.
  const early = subject.startMs < span.onsetMs
  if (early && subject.startMs < span.onsetMs - config.lookBackMs) return 0
  if (gapMs > config.joinGapMs) return 0
  const closeness = 1 - gapMs / (2 * config.joinGapMs)
  const together = Math.abs(subject.startMs - span.onsetMs) <= config.coOccurMs
  const direct = reach.direct.get(subject.service)
  if (direct !== undefined) return threshold(closeness * PER_HOP ** direct)
  const shared = together ? reach.shared.get(subject.service) : undefined
  if (shared !== undefined) return threshold(closeness * PER_HOP ** shared)
  return together && (reach.blind || !graph.knows(subject.service)) ? COINCIDENCE * closeness : 0
}

function threshold(strength: number): number {
  return strength >= RELATED_FROM ? strength : 0
}
