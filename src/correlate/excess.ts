/**
 * How much more failed and how much longer it took than usual, per service and edge, from the first three minutes of a fault. There are
 * two references, all quiet history and the three minutes just before; the smaller excess counts, so what was already so
 * is no evidence. Rates are per request, so that more traffic alone is no excess.
 */
import { quantile } from 'simple-statistics'
import type { CallWindow, ServiceWindow } from '../model.ts'
import { addCalls, addServices, FINE_MS, type FlowHistory, type FlowWindow } from './flow-history.ts'

/** How much of a fault is looked at, and how far back the near reference reaches. */
export const WINDOW_MS = 180_000

export interface Excess {
  /** Requests or calls. */
  readonly count: number
  readonly observed: number
  /** What the same requests would have brought before. */
  readonly expected: number
  /** At least 0; 0 also where the difference is no more than chance. */
  readonly excess: number
}

export interface ServiceExcess {
  readonly service: string
  readonly started: Excess
  readonly errors: Excess
  readonly self: Excess
}

export interface EdgeExcess {
  readonly caller: string
  readonly callee: string
  readonly inferred: boolean
  readonly errors: Excess
  readonly client: Excess
  /** Client time less server time: the network, connection set-up, queues in front of the server. Nothing where the callee is inferred. */
  readonly gap: Excess
}

export interface TrafficExcess {
  readonly services: ReadonlyMap<string, ServiceExcess>
  readonly edges: readonly EdgeExcess[]
}

export interface Stretch {
  readonly fromMs: number
  readonly toMs: number
}

/** Of these services and the edges between them; undefined when no traces were seen during the fault. */
export function measureExcess(
  history: FlowHistory,
  among: ReadonlySet<string>,
  onsetMs: number,
  disturbed: readonly Stretch[],
): TrafficExcess | undefined {
  const fault = history.windows.filter((window) => window.endMs > onsetMs && window.startMs < onsetMs + WINDOW_MS)
  // One window of distance: an onset is seldom known to the second.
  const before = history.windows.filter((window) => window.endMs <= onsetMs - FINE_MS)
  const near = before.filter((window) => window.startMs >= onsetMs - FINE_MS - WINDOW_MS)
  const long = before.filter((window) => !disturbed.some(({ fromMs, toMs }) => window.startMs < toMs && window.endMs > fromMs))
  const now = sum(fault, among)
  if (now.services.size === 0 && now.calls.size === 0) return undefined
  const nearSums = sum(near, among)
  const longSums = sum(long, among)
  const services = new Map<string, ServiceExcess>()
  for (const [service, row] of now.services) {
    const references = [nearSums.services.get(service), longSums.services.get(service)]
    const rows = long.flatMap((window) => window.services.get(service) ?? [])
    const high = { count: requests, value: selfMs, rows }
    services.set(service, {
      service,
      started: counted(row, references, requests, (one) => one.errorsStarted),
      errors: counted(row, references, requests, (one) => one.errors),
      self: timed(row, references, high),
    })
  }
  const edges: EdgeExcess[] = []
  for (const [key, row] of now.calls) {
    const references = [nearSums.calls.get(key), longSums.calls.get(key)]
    const rows = long.flatMap((window) => window.calls.get(key) ?? [])
    edges.push({
      caller: row.caller,
      callee: row.callee,
      inferred: row.inferred,
      errors: counted(row, references, calls, (one) => one.errors),
      client: timed(row, references, { count: calls, value: clientMs, rows }),
      gap: timed(row, references, { count: calls, value: gapMs, rows }),
    })
  }
  edges.sort((a, b) => (a.caller === b.caller ? order(a.callee, b.callee) : order(a.caller, b.caller)))
  return { services, edges }
}

const requests = (row: ServiceWindow) => row.requests
const selfMs = (row: ServiceWindow) => row.selfMs
const calls = (row: CallWindow) => row.calls
const clientMs = (row: CallWindow) => row.clientMs
const gapMs = (row: CallWindow) => (row.inferred || row.serverMs <= 0 ? 0 : Math.max(0, row.clientMs - row.serverMs))

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function sum(windows: readonly FlowWindow[], among: ReadonlySet<string>): { services: Map<string, ServiceWindow>; calls: Map<string, CallWindow> } {
  const services = new Map<string, ServiceWindow>()
  const edges = new Map<string, CallWindow>()
  for (const window of windows) {
    for (const [service, row] of window.services) {
      if (!among.has(service)) continue
      const known = services.get(service)
      services.set(service, known === undefined ? row : addServices(known, row))
    }
    for (const [key, row] of window.calls) {
      if (!among.has(row.caller) || !among.has(row.callee)) continue
      const known = edges.get(key)
      edges.set(key, known === undefined ? row : addCalls(known, row))
    }
  }
  return { services, calls: edges }
}

/** With fewer requests than this a reference says nothing. */
const MIN_REFERENCE = 20
/** Fewer failures than this are no evidence, whatever was expected. */
const MIN_FAILURES = 3

/** Failures: at least a few, and beyond twice the spread of a Poisson count. */
function counted<Row>(row: Row, references: readonly (Row | undefined)[], count: (row: Row) => number, value: (row: Row) => number): Excess {
  let rate = 0
  for (const reference of references) {
    if (reference !== undefined && count(reference) >= MIN_REFERENCE) rate = Math.max(rate, value(reference) / count(reference))
  }
  const observed = value(row)
  const expected = rate * count(row)
  const excess = observed - expected
  return { count: count(row), observed, expected, excess: excess >= MIN_FAILURES && excess > 2 * Math.sqrt(expected) ? excess : 0 }
}

interface Timing<Row> {
  readonly count: (row: Row) => number
  readonly value: (row: Row) => number
  /** Single windows of the long reference, for its spread. */
  readonly rows: readonly Row[]
}

const UPPER_QUARTILE = 0.75
/** Less than this beyond the expected is fluctuation. */
const MIN_RISE = 0.05
const MIN_CALLS_PER_WINDOW = 5

/** Times: a service never seen before has no excess, slow may be what it is. */
function timed<Row>(row: Row, references: readonly (Row | undefined)[], { count, value, rows }: Timing<Row>): Excess {
  let perRequest = -1
  for (const reference of references) {
    if (reference !== undefined && count(reference) >= MIN_REFERENCE) perRequest = Math.max(perRequest, value(reference) / count(reference))
  }
  const means: number[] = []
  for (const one of rows) if (count(one) >= MIN_CALLS_PER_WINDOW) means.push(value(one) / count(one))
  if (perRequest >= 0 && means.length > 0) perRequest = Math.max(perRequest, quantile(means, UPPER_QUARTILE))
  const observed = value(row)
  if (perRequest < 0) return { count: count(row), observed, expected: observed, excess: 0 }
  const expected = perRequest * count(row)
  const excess = observed - expected
  return { count: count(row), observed, expected, excess: excess > MIN_RISE * expected ? excess : 0 }
}
