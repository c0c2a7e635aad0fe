/**
 * The state as bytes and back: byte 0 is the format version, then blocks of (length, deflated JSON): first everything but the
 * traffic history, then one block per window of it. Windows never change, so each is encoded once and remembered: with 1,000 services
 * that is the difference between writing a few kilobytes anew and several megabytes at every step.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Anomaly, CallWindow, Incident, ServiceWindow } from '../model.ts'
import { PermanentError } from '../errors.ts'
import type { FlowWindow } from './flow-history.ts'
import type { Pending, State, TrackedAnomaly } from './state.ts'
import { edgeKey } from './topology.ts'

const VERSION = 1
const encodedWindows = new WeakMap<FlowWindow, Uint8Array>()

export function encodeState(state: State): Uint8Array {
  const { history, topology, ...rest } = state
  const core = deflate({
    ...rest,
    progress: [...state.progress],
    anomalies: [...state.anomalies.values()],
    alerts: [...state.alerts.values()],
    changes: [...state.changes.values()],
    incidents: [...state.incidents.values()],
    edges: [...topology.edges.values()],
    services: [...topology.services],
    seen: [...history.seen],
  })
  const blocks = [core, ...history.windows.map(encodeWindow)]
  const bytes = new Uint8Array(1 + blocks.reduce((sum, block) => sum + 4 + block.byteLength, 0))
  const view = new DataView(bytes.buffer)
  bytes[0] = VERSION
  let at = 1
  for (const block of blocks) {
    view.setUint32(at, block.byteLength, true)
    bytes.set(block, at + 4)
    at += 4 + block.byteLength
  }
  return bytes
}

/** Throws a PermanentError when the bytes are of a version this program does not know. */
export function decodeState(bytes: Uint8Array): State {
  if (bytes[0] !== VERSION) {
    throw new PermanentError(
      `The correlator's checkpoint has format version ${bytes[0]}, this program knows ${VERSION}: run the newer program, or delete the checkpoint.`,
    )
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const blocks: Uint8Array[] = []
  for (let at = 1; at < bytes.byteLength;) {
    const length = view.getUint32(at, true)
    blocks.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  // Written by encodeState of the same version: the checkpoint is our own.
  const core = inflate(blocks[0]!) as StoredCore
  return {
    nowMs: core.nowMs,
    progress: new Map(core.progress),
    pending: core.pending.map((pending) => ({
      ...pending,
      finding: pending.finding.kind === 'anomaly' ? withNaN(pending.finding) : pending.finding,
    })),
    lastActionSeq: core.lastActionSeq,
    anomalies: new Map(core.anomalies.map((tracked) => [tracked.anomaly.id, { ...tracked, anomaly: withNaN(tracked.anomaly) }])),
    alerts: new Map(core.alerts.map((tracked) => [tracked.alert.id, tracked])),
    changes: new Map(core.changes.map((change) => [change.id, change])),
    incidents: new Map(
      core.incidents.map((tracked) => [
        tracked.incident.id,
        { ...tracked, closedMs: tracked.closedMs, incident: inFull(tracked.incident) },
      ]),
    ),
    topology: { edges: new Map(core.edges.map((edge) => [edgeKey(edge.caller, edge.callee), edge])), services: new Map(core.services) },
    history: { windows: blocks.slice(1).map(decodeWindow), seen: new Map(core.seen) },
  }
}

type Values<M> = M extends ReadonlyMap<unknown, infer V> ? V[] : never
type Entries<M> = M extends ReadonlyMap<infer K, infer V> ? [K, V][] : never

interface StoredCore {
  readonly nowMs: number
  readonly progress: Entries<State['progress']>
  readonly pending: Pending[]
  readonly lastActionSeq: number
  readonly anomalies: TrackedAnomaly[]
  readonly alerts: Values<State['alerts']>
  readonly changes: Values<State['changes']>
  readonly incidents: Values<State['incidents']>
  readonly edges: Values<State['topology']['edges']>
  readonly services: Entries<State['topology']['services']>
  readonly seen: Entries<State['history']['seen']>
}

type ServiceRow = [string, number, number, number, number, number]
type CallRow = [string, string, boolean, number, number, number, number]

function encodeWindow(window: FlowWindow): Uint8Array {
  let bytes = encodedWindows.get(window)
  if (bytes === undefined) {
    const services = [...window.services.values()].map((w): ServiceRow => [
      w.service,
      w.requests,
      w.errors,
      w.errorsStarted,
      w.durationMs,
      w.selfMs,
    ])
    const calls = [...window.calls.values()].map((w): CallRow => [
      w.caller,
      w.callee,
      w.inferred,
      w.calls,
      w.errors,
      w.clientMs,
      w.serverMs,
    ])
    bytes = deflate([window.startMs, window.endMs, services, calls])
    encodedWindows.set(window, bytes)
  }
  return bytes
}

function decodeWindow(bytes: Uint8Array): FlowWindow {
  const [startMs, endMs, services, calls] = inflate(bytes) as [number, number, ServiceRow[], CallRow[]]
  const window: FlowWindow = {
    startMs,
    endMs,
    services: new Map(
      services.map(([service, requests, errors, errorsStarted, durationMs, selfMs]): [string, ServiceWindow] => [
        service,
        { service, requests, errors, errorsStarted, durationMs, selfMs },
      ]),
    ),
    calls: new Map(
      calls.map(([caller, callee, inferred, callCount, errors, clientMs, serverMs]): [string, CallWindow] => [
        edgeKey(caller, callee),
        { caller, callee, inferred, calls: callCount, errors, clientMs, serverMs },
      ]),
    ),
  }
  encodedWindows.set(window, new Uint8Array(bytes))
  return window
}

/** JSON leaves out what is undefined; written out, so that keys are in the order they had. */
function inFull({
  id,
  title,
  severity,
  status,
  services,
  impact,
  causes,
  openedMs,
  acknowledgedMs,
  resolvedMs,
  updatedMs,
}: Incident): Incident {
  return { id, title, severity, status, services, impact, causes, openedMs, acknowledgedMs, resolvedMs, updatedMs }
}

/** JSON says null for NaN and infinity, and nothing for undefined. */
function withNaN(anomaly: Anomaly): Anomaly {
  const number = (value: number | null) => value ?? NaN
  const column = (values: readonly number[]) => values.map(number)
  const { timeMs, observed, expected, low, high } = anomaly.points
  return {
    ...anomaly,
    endMs: anomaly.endMs,
    score: number(anomaly.score),
    observed: number(anomaly.observed),
    expected: number(anomaly.expected),
    volume: number(anomaly.volume),
    points: { timeMs: column(timeMs), observed: column(observed), expected: column(expected), low: column(low), high: column(high) },
  }
}

function deflate(value: unknown): Uint8Array {
  return deflateRawSync(JSON.stringify(value), { level: 1 })
}

function inflate(bytes: Uint8Array): unknown {
  return JSON.parse(inflateRawSync(bytes).toString('utf8'))
}
