/**
 * The sums of one window of joined traces: per service, and per edge from caller to callee. Bounded: what comes after so many services
 * or edges is summed under `other`.
 */
import type { CallWindow, Flow, ServiceWindow } from '../../model.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const MAX_SERVICES = 5_000
const MAX_EDGES = 20_000
const OTHER = 'other'

export interface ServiceSums {
  requests: number
  errors: number
  errorsStarted: number
  durationMs: number
  selfMs: number
}

export interface CallSums {
  inferred: boolean
  calls: number
  errors: number
  clientMs: number
  serverMs: number
}

export class FlowWindow {
  readonly #services = new Map<string, ServiceSums>()
  readonly #calls = new Map<string, Map<string, CallSums>>()
  #edges = 0

  service(name: string): ServiceSums {
    let sums = this.#services.get(name)
    if (sums === undefined) {
      if (this.#services.size >= MAX_SERVICES && name !== OTHER) return this.service(OTHER)
      this.#services.set(name, (sums = { requests: 0, errors: 0, errorsStarted: 0, durationMs: 0, selfMs: 0 }))
    }
    return sums
  }

  /** `inferred` holds for the edge only while every call along it is. */
  call(caller: string, callee: string, inferred: boolean): CallSums {
    const sums = this.#calls.get(caller)?.get(callee)
    if (sums !== undefined) {
      if (!inferred) sums.inferred = false
      return sums
    }
    if (this.#edges >= MAX_EDGES && (caller !== OTHER || callee !== OTHER)) return this.call(OTHER, OTHER, inferred)
    return this.#newCall(caller, callee, inferred)
  }

  /** In order of name, so that the same traces give the same finding. */
  flow(partition: number, startMs: number, endMs: number): Flow {
    const services: ServiceWindow[] = []
    for (const [service, sums] of this.#services) services.push({ service, ...sums })
    const calls: CallWindow[] = []
    for (const [caller, callees] of this.#calls) for (const [callee, sums] of callees) calls.push({ caller, callee, ...sums })
    services.sort((x, y) => compare(x.service, y.service))
    calls.sort((x, y) => compare(x.caller, y.caller) || compare(x.callee, y.callee))
    return { kind: 'flow', partition, startMs, endMs, services, calls }
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#services.size)
    for (const [name, sums] of this.#services) {
      to.string(name)
      for (const value of [sums.requests, sums.errors, sums.errorsStarted, sums.durationMs, sums.selfMs]) to.f64(value)
    }
    to.u32(this.#edges)
    for (const [caller, callees] of this.#calls) {
      for (const [callee, sums] of callees) {
        to.string(caller)
        to.string(callee)
        to.u8(sums.inferred ? 1 : 0)
        for (const value of [sums.calls, sums.errors, sums.clientMs, sums.serverMs]) to.f64(value)
      }
    }
  }

  static restore(this: void, from: SnapshotReader): FlowWindow {
    const window = new FlowWindow()
    for (let left = from.count(44); left > 0; left--) {
      const sums = window.service(from.string())
      sums.requests = from.f64()
      sums.errors = from.f64()
      sums.errorsStarted = from.f64()
      sums.durationMs = from.f64()
      sums.selfMs = from.f64()
    }
    for (let left = from.count(41); left > 0; left--) {
      const sums = window.#newCall(from.string(), from.string(), from.u8() === 1)
      sums.calls = from.f64()
      sums.errors = from.f64()
      sums.clientMs = from.f64()
      sums.serverMs = from.f64()
    }
    return window
  }

  #newCall(caller: string, callee: string, inferred: boolean): CallSums {
    const sums: CallSums = { inferred, calls: 0, errors: 0, clientMs: 0, serverMs: 0 }
    let callees = this.#calls.get(caller)
    if (callees === undefined) this.#calls.set(caller, (callees = new Map()))
    callees.set(callee, sums)
    this.#edges++
    return sums
  }
}

function compare(x: string, y: string): number {
  return x < y ? -1 : x > y ? 1 : 0
}
