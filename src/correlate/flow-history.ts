/**
 * What flowed in the last hour: sums per service and edge, in windows of ten seconds for a quarter of an hour and of a minute
 * before that. A value: windows never change once they stand, so that each is serialised once. A window is added once
 * per partition; the same one again is ignored.
 */
import type { CallWindow, Flow, ServiceWindow } from '../model.ts'
import { edgeKey } from './topology.ts'

export interface FlowWindow {
  readonly startMs: number
  readonly endMs: number
  readonly services: ReadonlyMap<string, ServiceWindow>
  /** By edgeKey. */
  readonly calls: ReadonlyMap<string, CallWindow>
}

export interface FlowHistory {
  /** By start. Windows do not overlap. */
  readonly windows: readonly FlowWindow[]
  /** `[partition, startMs]` of what has been added. */
  readonly seen: ReadonlyMap<string, number>
}

export interface HistoryLimits {
  readonly servicesPerWindow: number
  readonly edgesPerWindow: number
}

export const emptyHistory: FlowHistory = { windows: [], seen: new Map() }

export const FINE_MS = 10_000
const COARSE_MS = 60_000
/** A multiple of the coarse window. */
const FINE_FOR_MS = 15 * 60_000
const KEEP_MS = 60 * 60_000

/** The flows not seen before, in the order given. What is older than the fine part of the history comes too late. */
export function unseenFlows(history: FlowHistory, flows: readonly Flow[], nowMs: number): Flow[] {
  const taken = new Set<string>()
  return flows.filter((flow) => {
    const key = seenKey(flow)
    if (history.seen.has(key) || taken.has(key) || flow.startMs < nowMs - FINE_FOR_MS) return false
    taken.add(key)
    return true
  })
}

/** Adds flows (of `unseenFlows`), merges what has grown old and drops what is too old. */
export function addFlows(history: FlowHistory, flows: readonly Flow[], nowMs: number, limits: HistoryLimits): FlowHistory {
  if (flows.length === 0) return history
  const byStart = new Map(history.windows.map((window) => [window.startMs, window]))
  const seen = new Map(history.seen)
  const grown = new Map<number, Sums>()
  for (const flow of flows) {
    seen.set(seenKey(flow), flow.startMs)
    const startMs = Math.floor(flow.startMs / FINE_MS) * FINE_MS
    let sums = grown.get(startMs)
    if (sums === undefined) grown.set(startMs, (sums = new Sums(byStart.get(startMs))))
    sums.add(flow.services, flow.calls, limits)
  }
  for (const [startMs, sums] of grown) byStart.set(startMs, sums.window(startMs, startMs + FINE_MS))
  for (const [key, startMs] of seen) if (startMs < nowMs - FINE_FOR_MS) seen.delete(key)
  const windows = [...byStart.values()].sort((a, b) => a.startMs - b.startMs)
  return { windows: compact(windows, nowMs, limits), seen }
}

function compact(windows: readonly FlowWindow[], nowMs: number, limits: HistoryLimits): FlowWindow[] {
  const coarseBeforeMs = Math.floor((nowMs - FINE_FOR_MS) / COARSE_MS) * COARSE_MS
  const kept: FlowWindow[] = []
  let minute: Sums | undefined
  let minuteMs = 0
  const close = () => {
    if (minute !== undefined) kept.push(minute.window(minuteMs, minuteMs + COARSE_MS))
    minute = undefined
  }
  for (const window of windows) {
    if (window.endMs < nowMs - KEEP_MS) continue
    if (window.startMs >= coarseBeforeMs || window.endMs - window.startMs >= COARSE_MS) {
      close()
      kept.push(window)
      continue
    }
    const startMs = Math.floor(window.startMs / COARSE_MS) * COARSE_MS
    if (minute === undefined || startMs !== minuteMs) {
      close()
      minute = new Sums(undefined)
      minuteMs = startMs
    }
    minute.add([...window.services.values()], [...window.calls.values()], limits)
  }
  close()
  return kept
}

function seenKey(flow: Flow): string {
  return `${flow.partition}:${flow.startMs}`
}

/** Sums while they are built; a cap on names keeps a flood of made-up services from taking the memory. */
class Sums {
  readonly #services: Map<string, ServiceWindow>
  readonly #calls: Map<string, CallWindow>

  constructor(from: FlowWindow | undefined) {
    this.#services = new Map(from?.services)
    this.#calls = new Map(from?.calls)
  }

  add(services: readonly ServiceWindow[], calls: readonly CallWindow[], limits: HistoryLimits): void {
    for (const row of services) {
      const sum = this.#services.get(row.service)
      if (sum === undefined && this.#services.size >= limits.servicesPerWindow) continue
      this.#services.set(row.service, sum === undefined ? row : addServices(sum, row))
    }
    for (const row of calls) {
      const key = edgeKey(row.caller, row.callee)
      const sum = this.#calls.get(key)
      if (sum === undefined && this.#calls.size >= limits.edgesPerWindow) continue
      this.#calls.set(key, sum === undefined ? row : addCalls(sum, row))
    }
  }

  window(startMs: number, endMs: number): FlowWindow {
    return { startMs, endMs, services: this.#services, calls: this.#calls }
  }
}

export function addServices(a: ServiceWindow, b: ServiceWindow): ServiceWindow {
  return {
    service: a.service,
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    errorsStarted: a.errorsStarted + b.errorsStarted,
    durationMs: a.durationMs + b.durationMs,
    selfMs: a.selfMs + b.selfMs,
  }
}

export function addCalls(a: CallWindow, b: CallWindow): CallWindow {
  return {
    caller: a.caller,
    callee: a.callee,
    inferred: a.inferred && b.inferred,
    calls: a.calls + b.calls,
    errors: a.errors + b.errors,
    clientMs: a.clientMs + b.clientMs,
    serverMs: a.serverMs + b.serverMs,
  }
}
