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

/** Of these services and edges (by edgeKey); undefined when no traces were seen during the fault. */
export function measureExcess(
  history: FlowHistory,
  names: readonly string[],
  edgeKeys: readonly string[],
  onsetMs: number,
  disturbed: readonly Stretch[],
): TrafficExcess | undefined {
  const fault = history.windows.filter((window) => window.endMs > onsetMs && window.startMs < onsetMs + WINDOW_MS)
  // One window of distance: an onset is seldom known to the second.
  const before = history.windows.filter((window) => window.endMs <= onsetMs - FINE_MS)
  const near = before.filter((window) => window.startMs >= onsetMs - FINE_MS - WINDOW_MS)
  const long = before.filter((window) => !disturbed.some(({ fromMs, toMs }) => window.startMs < toMs && window.endMs > fromMs))
  const services = new Map<string, ServiceExcess>()
  for (const name of names) {
    const pick = (window: FlowWindow) => window.services.get(name)
    const row = sumUp(rowsOf(fault, pick), addServices)
    if (row === undefined) continue
    const rows = rowsOf(long, pick)
    const references = [sumUp(rowsOf(near, pick), addServices), sumUp(rows, addServices)]
    services.set(name, {
      service: name,
      started: counted(row, references, requests, (one) => one.errorsStarted),
      errors: counted(row, references, requests, (one) => one.errors),
      self: timed(row, references, rows, requests, selfMs),
    })
  }
  const edges: EdgeExcess[] = []
  for (const key of edgeKeys) {
    const pick = (window: FlowWindow) => window.calls.get(key)
    const row = sumUp(rowsOf(fault, pick), addCalls)
    if (row === undefined) continue
    const rows = rowsOf(long, pick)
    const references = [sumUp(rowsOf(near, pick), addCalls), sumUp(rows, addCalls)]
    edges.push({
      caller: row.caller,
      callee: row.callee,
      inferred: row.inferred,
      errors: counted(row, references, calls, (one) => one.errors),
      client: timed(row, references, rows, calls, clientMs),
      gap: timed(row, references, rows, calls, gapMs),
    })
  }
  return services.size === 0 && edges.length === 0 ? undefined : { services, edges }
}

const requests = (row: ServiceWindow) => row.requests
const selfMs = (row: ServiceWindow) => row.selfMs
const calls = (row: CallWindow) => row.calls
const clientMs = (row: CallWindow) => row.clientMs
const gapMs = (row: CallWindow) => (row.inferred || row.serverMs <= 0 ? 0 : Math.max(0, row.clientMs - row.serverMs))

function rowsOf<Row>(windows: readonly FlowWindow[], pick: (window: FlowWindow) => Row | undefined): Row[] {
  const rows: Row[] = []
  for (const window of windows) {
    const row = pick(window)
    if (row !== undefined) rows.push(row)
  }
  return rows
}

function sumUp<Row>(rows: readonly Row[], add: (a: Row, b: Row) => Row): Row | undefined {
  let sum = rows[0]
  for (let i = 1; i < rows.length; i++) sum = add(sum!, rows[i]!)
  return sum
}

/** With fewer requests than this a reference says nothing. */
const MIN_REFERENCE = 20
/** Fewer failures than this are no evidence, whatever was expected. */
const MIN_FAILURES = 3

/** Failures: at least a few, and beyond twice the spread of a Poisson count. */
function counted<Row>(
  row: Row,
  references: readonly (Row | undefined)[],
  count: (row: Row) => number,
  value: (row: Row) => number,
): Excess {
  let rate = 0
  for (const reference of references) {
    if (reference !== undefined && count(reference) >= MIN_REFERENCE) rate = Math.max(rate, value(reference) / count(reference))
  }
  const observed = value(row)
  const expected = rate * count(row)
  const excess = observed - expected
  return { count: count(row), observed, expected, excess: excess >= MIN_FAILURES && excess > 2 * Math.sqrt(expected) ? excess : 0 }
}

const UPPER_QUARTILE = 0.75
/** Less than this beyond the expected is fluctuation. */
const MIN_RISE = 0.05
const MIN_CALLS_PER_WINDOW = 5

/** Times. `rows` are the single windows of the long reference, for its spread. What was never seen before has no excess: slow may be what it is. */
function timed<Row>(
  row: Row,
  references: readonly (Row | undefined)[],
  rows: readonly Row[],
  count: (row: Row) => number,
  value: (row: Row) => number,
): Excess {
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
