/**
 * Synthetic findings for a small shop, so that a test reads as a story: gateway → checkout → inventory → postgresql,
 * checkout → payments, gateway → catalog → inventory. postgresql sends no spans: it is known only as somebody's callee.
 * `Shop` plays traffic in windows of ten seconds and lets faults be laid over it; builders make single anomalies, alerts, changes.
 */
import type { Alert, Anomaly, CallWindow, Change, Finding, Flow, ServiceWindow } from '../../src/model.ts'

export const START_MS = Date.UTC(2026, 10, 2, 9, 0, 0)
export const SECOND = 1000
export const MINUTE = 60_000
const WINDOW_MS = 10_000

/** What one request to a service costs where nothing is wrong. */
interface Station {
  readonly service: string
  readonly selfMs: number
  readonly calls: readonly { readonly callee: string; readonly perRequest: number; readonly inferred: boolean; readonly ms?: number }[]
}

/** Callees before callers. */
const SHOP: readonly Station[] = [
  { service: 'inventory', selfMs: 3, calls: [{ callee: 'postgresql', perRequest: 2, inferred: true, ms: 4 }] },
  { service: 'payments', selfMs: 12, calls: [] },
  { service: 'catalog', selfMs: 4, calls: [{ callee: 'inventory', perRequest: 1, inferred: false }] },
  {
    service: 'checkout',
    selfMs: 6,
    calls: [
      { callee: 'inventory', perRequest: 1, inferred: false },
      { callee: 'payments', perRequest: 1, inferred: false },
    ],
  },
  {
    service: 'gateway',
    selfMs: 2,
    calls: [
      { callee: 'checkout', perRequest: 0.3, inferred: false },
      { callee: 'catalog', perRequest: 0.7, inferred: false },
    ],
  },
]

export interface Trouble {
  /** Extra milliseconds of its own per request. */
  readonly selfMs?: number
  /** Share of its requests that fail in it. */
  readonly failing?: number
  /** Extra milliseconds of each call to it, for what is only known by its callers, or lost on the way to it. */
  readonly calleeMs?: number
  /** Share of the calls to it that fail without it saying so. */
  readonly refusing?: number
}
export type Troubles = Readonly<Record<string, Trouble>>

interface Outcome {
  readonly ms: number
  readonly failing: number
}

/** A flow of one window: `requests` at the gateway, all the rest follows from the calls. */
export function flow(
  startMs: number,
  troubles: Troubles = {},
  { requests = 200, partition = 0, stations = SHOP, entry = 'gateway' } = {},
): Flow {
  const outcomes = new Map<string, Outcome>()
  const load = new Map([[entry, requests]])
  for (const { service, calls } of stations.toReversed()) {
    for (const { callee, perRequest } of calls) load.set(callee, (load.get(callee) ?? 0) + (load.get(service) ?? 0) * perRequest)
  }
  const services: ServiceWindow[] = []
  const edges: CallWindow[] = []
  const silent = new Map<string, ServiceWindow>()
  for (const { service, selfMs, calls } of stations) {
    const count = Math.round(load.get(service) ?? 0)
    const trouble = troubles[service] ?? {}
    let childMs = 0
    let ownFailing = trouble.failing ?? 0
    let passedOn = 0
    for (const { callee, perRequest, inferred, ms = 0 } of calls) {
      const hurt = troubles[callee] ?? {}
      const outcome = outcomes.get(callee) ?? { ms, failing: 0 }
      const clientMs = outcome.ms + (hurt.calleeMs ?? 0)
      const refused = hurt.refusing ?? 0
      const failing = Math.min(1, outcome.failing + refused)
      childMs += clientMs * perRequest
      passedOn = Math.min(1, passedOn + outcome.failing * Math.min(1, perRequest))
      const n = Math.round(count * perRequest)
      if (inferred) {
        // The joiner charges a call that nobody answered to what was called.
        const known = silent.get(callee) ?? { service: callee, requests: 0, errors: 0, errorsStarted: 0, durationMs: 0, selfMs: 0 }
        const failures = Math.round(n * failing)
        silent.set(callee, {
          ...known,
          requests: known.requests + n,
          errors: known.errors + failures,
          errorsStarted: known.errorsStarted + failures,
          durationMs: known.durationMs + n * clientMs,
          selfMs: known.selfMs + n * clientMs,
        })
        passedOn = Math.min(1, passedOn + refused * Math.min(1, perRequest))
      } else {
        ownFailing = Math.min(1, ownFailing + refused * Math.min(1, perRequest))
      }
      edges.push({
        caller: service,
        callee,
        inferred,
        calls: n,
        errors: Math.round(n * failing),
        clientMs: n * clientMs,
        serverMs: inferred ? 0 : n * outcome.ms,
      })
    }
    const ownMs = selfMs + (trouble.selfMs ?? 0)
    const failing = Math.min(1, ownFailing + passedOn)
    outcomes.set(service, { ms: ownMs + childMs, failing })
    services.push({
      service,
      requests: count,
      errors: Math.round(count * failing),
      errorsStarted: Math.round(count * ownFailing),
      durationMs: count * (ownMs + childMs),
      selfMs: count * ownMs,
    })
  }
  return { kind: 'flow', partition, startMs, endMs: startMs + WINDOW_MS, services: [...services, ...silent.values()], calls: edges }
}

/** Calls that have nothing to do with the shop: mailer → queue (inferred). */
export const MAILROOM: readonly Station[] = [
  { service: 'mailer', selfMs: 5, calls: [{ callee: 'queue', perRequest: 1, inferred: true, ms: 2 }] },
]

/** Windows of traffic from `fromMs` to `toMs`. */
export function traffic(fromMs: number, toMs: number, troubles: Troubles = {}, options: Parameters<typeof flow>[2] = {}): Flow[] {
  const flows: Flow[] = []
  for (let startMs = fromMs; startMs < toMs; startMs += WINDOW_MS) flows.push(flow(startMs, troubles, options))
  return flows
}

const noPoints = { timeMs: [], observed: [], expected: [], low: [], high: [] }

export function anomaly(service: string, startMs: number, over: Partial<Anomaly> = {}): Anomaly {
  const subject = over.subject ?? 'all requests error ratio'
  return {
    kind: 'anomaly',
    id: `${service}/${subject}/${startMs}`,
    detector: 'spans',
    signal: 'spans',
    service,
    instance: '',
    subject,
    symptom: 'errors',
    direction: 'up',
    startMs,
    endMs: undefined,
    atMs: startMs + 10_000,
    score: 5,
    observed: 0.2,
    expected: 0.002,
    unit: 'ratio',
    volume: 200,
    impact: true,
    evidence: [],
    points: noPoints,
    ...over,
  }
}

export function errors(service: string, startMs: number, share = 0.2, over: Partial<Anomaly> = {}): Anomaly {
  return anomaly(service, startMs, { observed: share, ...over })
}

export function latency(service: string, startMs: number, ms = 1900, over: Partial<Anomaly> = {}): Anomaly {
  return anomaly(service, startMs, {
    symptom: 'latency',
    subject: 'all requests latency p95',
    observed: ms,
    expected: 85,
    unit: 'ms',
    ...over,
  })
}

export function logBurst(service: string, startMs: number, over: Partial<Anomaly> = {}): Anomaly {
  return anomaly(service, startMs, {
    detector: 'logs',
    signal: 'logs',
    symptom: 'log',
    subject: 'new: Cannot read properties of undefined',
    impact: false,
    observed: 4,
    expected: 0,
    unit: 'lines/s',
    evidence: ['A line never seen before: "Cannot read properties of undefined (reading country)", 40 times.'],
    ...over,
  })
}

export function cpu(service: string, startMs: number, over: Partial<Anomaly> = {}): Anomaly {
  return anomaly(service, startMs, {
    detector: 'series',
    signal: 'metrics',
    symptom: 'saturation',
    subject: 'process_cpu_seconds_total rate',
    impact: false,
    observed: 0.97,
    expected: 0.2,
    unit: 'cores',
    evidence: ['process_cpu_seconds_total rate was 0.97 cores, expected 0.2.'],
    ...over,
  })
}

export function ended(anomaly: Anomaly, endMs: number): Anomaly {
  return { ...anomaly, endMs, atMs: Math.max(anomaly.atMs + 1, endMs + 20_000) }
}

export function alert(service: string, startMs: number, over: Partial<Alert> = {}): Alert {
  const name = over.name ?? 'HighErrorRate'
  return {
    kind: 'alert',
    id: `${name}/${service}/${startMs}`,
    name,
    service,
    severity: 'warning',
    summary: `${service} fails too often`,
    labels: [],
    startMs,
    endMs: startMs + 4 * MINUTE,
    atMs: startMs,
    url: '',
    ...over,
  }
}

export function deploy(service: string, atMs: number, version = '2.4'): Change {
  return { kind: 'change', id: `deploy/${service}/${version}/${atMs}`, type: 'deploy', service, version, title: '', atMs, url: '' }
}

/** When detection would hand a finding on. */
export function heardMs(finding: Finding): number {
  if (finding.kind === 'flow') return finding.endMs + 20_000
  return finding.kind === 'progress' ? finding.nowMs : finding.atMs
}
