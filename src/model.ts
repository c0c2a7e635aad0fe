/**
 * The words of Tocsin, one per thing, shared by every stage. Plain data only: no behaviour, no I/O.
 * Times are event times in milliseconds since the epoch (`…Ms`), durations carry their unit, ids are hashes of
 * what they name, so that work done twice changes nothing.
 */

/** Label pairs sorted by name, names unique. An array, not an object: names come from outside (`__proto__` is one). */
export type Labels = readonly (readonly [name: string, value: string])[]

/**
 * What a sender said about the numbers of a series; `unknown` leaves it to the name. `delta`: each sample counts what happened since the one
 * before. `sketch`: a cumulative bucket count whose bounds come and go with what was observed (native histograms), so that a
 * bucket seen for the first time may have counted long before.
 */
export type SeriesType = 'unknown' | 'counter' | 'gauge' | 'delta' | 'sketch'

/** One metric label set. `key` is its identity: name and sorted labels, independent of the order they arrived in. */
export interface Series {
  readonly key: string
  readonly name: string
  readonly type: SeriesType
  readonly labels: Labels
  readonly service: string
  readonly instance: string
}

/** Who wrote a log line or made a span. */
export interface Source {
  readonly service: string
  readonly instance: string
  readonly version: string
}

/* ---- Batches: what ingest hands on. Columns of equal length `rows`; index columns point into the small tables. */

export interface MetricBatch {
  readonly kind: 'metrics'
  readonly rows: number
  readonly series: readonly Series[]
  readonly seriesIndex: Uint32Array
  readonly timeMs: Float64Array
  readonly value: Float64Array
  /** 1 where the sender marked the series stale; `value` is then NaN. */
  readonly stale: Uint8Array
}

export interface LogBatch {
  readonly kind: 'logs'
  readonly rows: number
  readonly sources: readonly Source[]
  readonly sourceIndex: Uint32Array
  readonly timeMs: Float64Array
  /** OpenTelemetry severity number: 0 unknown, 1–4 trace, 5–8 debug, 9–12 info, 13–16 warn, 17–20 error, 21–24 fatal. */
  readonly severity: Uint8Array
  /** The message itself, with the envelope of structured lines taken off. */
  readonly body: readonly string[]
  /** Lower-case hex, '' when the line has none. */
  readonly traceId: readonly string[]
}

export const SpanKind = { unspecified: 0, internal: 1, server: 2, client: 3, producer: 4, consumer: 5 } as const
export const SpanStatus = { unset: 0, ok: 1, error: 2 } as const

/** `spans` holds a service's spans, in the partition of the service; `links` the same spans, in the partition of the trace. */
export interface SpanBatch {
  readonly kind: 'spans' | 'links'
  readonly rows: number
  readonly sources: readonly Source[]
  readonly sourceIndex: Uint32Array
  readonly operations: readonly string[]
  readonly operationIndex: Uint32Array
  readonly spanKind: Uint8Array
  readonly status: Uint8Array
  readonly startMs: Float64Array
  readonly durationMs: Float64Array
  /** Lower-case hex; parentId is '' at a root. */
  readonly traceId: readonly string[]
  readonly spanId: readonly string[]
  readonly parentId: readonly string[]
  /** Client and producer spans: what is called, as far as its attributes tell (`postgresql`, `kafka`, `host:port`); else ''. */
  readonly peer: readonly string[]
}

export interface EventBatch {
  readonly kind: 'events'
  readonly events: readonly (Change | Alert)[]
}

/** Time has come this far at the doors. The only thing that makes time pass when nothing else arrives. */
export interface Tick {
  readonly kind: 'tick'
  readonly nowMs: number
}

export type Batch = MetricBatch | LogBatch | SpanBatch | EventBatch | Tick

/* ---- Events: things that happened once. */

export type ChangeType = 'deploy' | 'rollback' | 'sync' | 'rollout' | 'flag' | 'config' | 'scaling' | 'chaos' | 'other'

export interface Change {
  readonly kind: 'change'
  readonly id: string
  readonly type: ChangeType
  readonly service: string
  readonly version: string
  readonly title: string
  readonly atMs: number
  readonly url: string
}

/** An alert of another system, usually a Prometheus rule. */
export interface Alert {
  readonly kind: 'alert'
  /** Hash of its labels and start: the same alert refreshed has the same id. */
  readonly id: string
  readonly name: string
  readonly service: string
  readonly severity: Severity
  readonly summary: string
  readonly labels: Labels
  readonly startMs: number
  /** When it ends unless it is refreshed; in the past: it has been resolved. */
  readonly endMs: number
  readonly atMs: number
  readonly url: string
}

/* ---- Findings: what detect hands to correlate. */

/** What is wrong, in the terms of the four golden signals and what stands beside them. */
export type Symptom = 'errors' | 'latency' | 'traffic' | 'saturation' | 'log' | 'absence' | 'other'

/** A stretch of a chart: equal-length columns, oldest first. */
export interface Points {
  readonly timeMs: readonly number[]
  readonly observed: readonly number[]
  readonly expected: readonly number[]
  readonly low: readonly number[]
  readonly high: readonly number[]
}

/** How a score came about, at the worst moment: a rule and the numbers that went into it, enough to make the score again. */
export interface Reckoning {
  /** One of `RULES` in reckoning.ts; of another version of the program it may be any. */
  readonly rule: string
  /** In the order in which a person reads them. The parts of a model are named after series: such names come from outside. */
  readonly inputs: readonly (readonly [name: string, value: number])[]
  /** By chance so much comes about once in so many weeks; NaN: nobody knows. */
  readonly oncePerWeeks: number
}

/** A span of time in which a subject left its baseline. Sent again as it grows and when it ends: same id, later `atMs`. */
export interface Anomaly {
  readonly kind: 'anomaly'
  /** Hash of detector, subject and start. */
  readonly id: string
  readonly detector: string
  readonly signal: 'metrics' | 'logs' | 'spans' | 'mixed'
  readonly service: string
  readonly instance: string
  /** What was watched, for people: `POST /checkout latency p95`, `process_cpu_seconds_total rate {mode="user"}`. */
  readonly subject: string
  readonly symptom: Symptom
  readonly direction: 'up' | 'down'
  readonly startMs: number
  /** Undefined while it goes on. */
  readonly endMs: number | undefined
  readonly atMs: number
  /** 1 is the decision threshold; 3 is three times as far out. */
  readonly score: number
  /** At the worst moment. */
  readonly observed: number
  readonly expected: number
  readonly unit: string
  /** Requests, lines or samples behind `observed` at the worst moment: an error ratio of 1 over 2 requests is not one over 2,000. */
  readonly volume: number
  /** True where somebody outside the service feels it: errors or latency of requests it serves, work that only piles up. Only impact pages. */
  readonly impact: boolean
  /** Sentences a person can check. Text from telemetry in them is clipped and never trusted as markup. */
  readonly evidence: readonly string[]
  readonly points: Points
  /** Left out by detectors of versions before it was told. */
  readonly reckoning?: Reckoning | undefined
}

/** Traffic of one service inside one window, from joined traces. Failed and slow requests are charged where they start. */
export interface ServiceWindow {
  readonly service: string
  readonly requests: number
  readonly errors: number
  /** Failed spans of this service none of whose children failed: the error started here. */
  readonly errorsStarted: number
  readonly durationMs: number
  /** Time covered by no child span. */
  readonly selfMs: number
}

/** Calls along one edge inside one window. `callee` may be inferred from a client span's peer when it sends no spans of its own. */
export interface CallWindow {
  readonly caller: string
  readonly callee: string
  readonly inferred: boolean
  readonly calls: number
  readonly errors: number
  /** Sum of the client spans' durations. */
  readonly clientMs: number
  /** Sum of the matching server spans' durations; 0 when inferred. */
  readonly serverMs: number
}

/** What the traces of one window of one partition say. Sums: windows of several partitions add up. */
export interface Flow {
  readonly kind: 'flow'
  readonly partition: number
  readonly startMs: number
  readonly endMs: number
  readonly services: readonly ServiceWindow[]
  readonly calls: readonly CallWindow[]
}

/** Time has come this far in one telemetry partition: everything before `nowMs` has been looked at. */
export interface Progress {
  readonly kind: 'progress'
  readonly partition: number
  readonly nowMs: number
}

export type Finding = Anomaly | Change | Alert | Flow | Progress

/* ---- Dead letters. */

/** What could not be handled, as it came, with the reason and where it came from. */
export interface DeadLetter {
  readonly reason: string
  readonly error: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** The same as `offset` for a single record. */
  readonly lastOffset: number
  readonly key: string
  /** A record can be replayed as it is; of a batch there are only Kafka's bytes, or nothing. */
  readonly content: 'record' | 'record-batch' | 'left-out'
  /** The record's own headers. */
  readonly headers: Readonly<Record<string, string>>
  readonly value: Uint8Array
  /** When the origin took it; 0 when that is not known. */
  readonly originMs: number
  /** When it was put aside, ms since the epoch. */
  readonly timestampMs: number
}

/* ---- Incidents. */

/** PagerDuty's four, worst first. */
export type Severity = 'critical' | 'error' | 'warning' | 'info'
export type IncidentStatus = 'open' | 'acknowledged' | 'resolved'

/** One reason to believe a cause, and what it earned. */
export interface Evidence {
  readonly kind: string
  readonly points: number
  readonly text: string
  /** The anomaly, change or alert it rests on, when there is one. */
  readonly ref: string
}

export interface Cause {
  readonly service: string
  readonly probability: number
  readonly evidence: readonly Evidence[]
  /** What would rule it out. */
  readonly refutedBy: string
}

export interface Incident {
  readonly id: string
  readonly title: string
  readonly severity: Severity
  readonly status: IncidentStatus
  /** Affected services, worst first. */
  readonly services: readonly string[]
  /** One sentence: who feels what. */
  readonly impact: string
  /** Most probable first. */
  readonly causes: readonly Cause[]
  readonly openedMs: number
  readonly acknowledgedMs: number | undefined
  readonly resolvedMs: number | undefined
  readonly updatedMs: number
}

export type TimelineKind =
  | 'opened'
  | 'anomaly'
  | 'recovered'
  | 'change'
  | 'alert'
  | 'alert-ended'
  | 'cause'
  | 'severity'
  | 'notice'
  | 'person'
  | 'resolved'

export interface TimelineEntry {
  /** Hash of incident, kind, ref and time. */
  readonly id: string
  readonly incidentId: string
  readonly atMs: number
  readonly kind: TimelineKind
  readonly service: string
  readonly text: string
  readonly ref: string
}

/* ---- Notices. */

export type NoticeKind = 'opened' | 'escalated' | 'updated' | 'acknowledged' | 'resolved'

/** One thing to tell one channel. `id` is stable: a receiver that folds by it hears it once. */
export interface Notice {
  readonly id: string
  readonly channel: string
  readonly kind: NoticeKind
  /** Why this is told now, in a sentence. */
  readonly reason: string
  readonly atMs: number
  /** The incident as it stood when the notice was decided. */
  readonly incident: Incident
  /** What earlier notices of this incident left at this channel (Slack ts, ticket key); '' before the first. */
  readonly externalId: string
  /** How often sending it was tried before: above 0 the receiver may already have it. */
  readonly attempts: number
}

/** A notice as decided, before the outbox owns it. */
export type PlannedNotice = Omit<Notice, 'externalId' | 'attempts'>

/** Decides what to tell whom when an incident changes; `before` is undefined when it is new. Pure. */
export type PlanNotices = (before: Incident | undefined, after: Incident, atMs: number) => readonly PlannedNotice[]
