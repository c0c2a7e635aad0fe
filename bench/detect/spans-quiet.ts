/**
 * How often the span detector cries wolf, and what it finds: simulated services (ten operations of unequal share, log-normal durations,
 * Poisson arrivals over a daily tide, two peers), from one request a minute to a thousand a second. Quiet services give false anomalies per
 * service and week; faults of known size, kind and time give recall and delay. Seeded: the same figures every time.
 *
 *   npx tsx bench/detect/spans-quiet.ts [--quick]
 */
import { pathToFileURL } from 'node:url'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import { spansConfig } from '../../src/detect/spans/spans-config.ts'
import { SpansDetector } from '../../src/detect/spans/spans.ts'
import type { Anomaly } from '../../src/model.ts'
import { SpanKind, SpanStatus, type SpanBatch } from '../../src/model.ts'
import { randomOf } from '../wire.ts'

const START_MS = Date.UTC(2026, 0, 5)
const STEP_MS = 10_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const WEEK_MS = 168 * HOUR_MS
const OPERATIONS = 10
const PEERS = ['postgresql', 'payments:8443']
/** How much the day's tide moves the rate up and down. */
const TIDE = 0.5
/** One call of three requests. */
const CALLS = 1 / 3
/** Of a log-normal duration: p95 is 2.7 times the median. */
const SIGMA = 0.6

export interface QuietRow {
  readonly perSecond: number
  readonly errorRate: number
  readonly serviceWeeks: number
  readonly anomalies: number
  /** Those that page: with impact. */
  readonly paging: number
  readonly perServiceWeek: number
}

export interface FaultRow {
  readonly fault: string
  readonly perSecond: number
  readonly trials: number
  readonly found: number
  readonly medianDelayS: number
}

export interface SpansQuiet {
  readonly quiet: readonly QuietRow[]
  readonly faults: readonly FaultRow[]
  readonly perServiceWeek: number
}

interface Volume {
  readonly perSecond: number
  readonly services: number
  readonly hours: number
  /** Of the trials of faults. */
  readonly warmMs: number
  readonly faultMs: number
  readonly trials: number
}

const VOLUMES: readonly Volume[] = [
  { perSecond: 1 / 60, services: 10, hours: 84, warmMs: 8 * HOUR_MS, faultMs: HOUR_MS, trials: 8 },
  { perSecond: 1, services: 10, hours: 36, warmMs: HOUR_MS, faultMs: 10 * MINUTE_MS, trials: 8 },
  { perSecond: 30, services: 3, hours: 10, warmMs: 30 * MINUTE_MS, faultMs: 10 * MINUTE_MS, trials: 4 },
  { perSecond: 1000, services: 1, hours: 1.5, warmMs: 10 * MINUTE_MS, faultMs: 3 * MINUTE_MS, trials: 1 },
]
const ERROR_RATES = [0.001, 0.01, 0.05]

/** What is wrong while a fault lasts. */
interface Fault {
  readonly name: string
  readonly moreErrors?: number
  readonly slower?: number
  readonly laterMs?: number
  /** Only this operation; else all. */
  readonly operation?: number
  /** Only calls to this peer. */
  readonly peer?: number
}

const FAULTS: readonly Fault[] = [
  { name: '+2 % errors', moreErrors: 0.02 },
  { name: '+10 % errors', moreErrors: 0.1 },
  { name: '100 % errors', moreErrors: 1 },
  { name: 'latency x 1.5', slower: 1.5 },
  { name: 'latency x 3', slower: 3 },
  { name: '+100 ms, one operation of ten', laterMs: 100, operation: 3 },
  { name: 'one peer x 3', slower: 3, peer: 1 },
  { name: 'one peer fails half', moreErrors: 0.5, peer: 1 },
]

class Traffic {
  readonly #names: readonly string[]
  readonly #perSecond: number
  readonly #errorRate: number
  readonly #random: () => number
  /** Cumulative: the first operation has twice the share of the third. */
  readonly #shares: readonly number[]

  constructor(services: number, perSecond: number, errorRate: number, seed: number) {
    this.#names = Array.from({ length: services }, (_, i) => `service-${i}`)
    this.#perSecond = perSecond
    this.#errorRate = errorRate
    this.#random = randomOf(seed)
    const weights = Array.from({ length: OPERATIONS }, (_, i) => 1 / (1 + i / 2))
    const sum = weights.reduce((total, weight) => total + weight, 0)
    let upTo = 0
    this.#shares = weights.map((weight) => (upTo += weight / sum))
  }

  /** What ends in the step that begins then. */
  step(startMs: number, fault: Fault | undefined): SpanBatch {
    const random = this.#random
    const tide = 1 + TIDE * Math.sin((2 * Math.PI * (startMs % (24 * HOUR_MS))) / (24 * HOUR_MS))
    const rows: Row[] = []
    for (let service = 0; service < this.#names.length; service++) {
      const requests = poisson((this.#perSecond * tide * STEP_MS) / 1000, random)
      for (let i = 0; i < requests; i++) {
        const share = random()
        let operation = 0
        while (operation < OPERATIONS - 1 && this.#shares[operation]! < share) operation++
        rows.push(this.#row(service, operation, -1, startMs, fault))
        if (random() < CALLS) rows.push(this.#row(service, operation, operation % PEERS.length, startMs, fault))
      }
    }
    return this.#batch(rows)
  }

  #row(service: number, operation: number, peer: number, startMs: number, fault: Fault | undefined): Row {
    const random = this.#random
    const hit =
      fault !== undefined &&
      (fault.peer === undefined ? peer < 0 : peer === fault.peer) &&
      (fault.operation === undefined || operation === fault.operation)
    const medianMs = (15 + 12 * operation) * (peer < 0 ? 1 : 0.5)
    const usualMs = medianMs * Math.exp(SIGMA * normal(random))
    const durationMs = hit ? usualMs * (fault.slower ?? 1) + (fault.laterMs ?? 0) : usualMs
    const failed = random() < this.#errorRate + (hit ? (fault.moreErrors ?? 0) : 0)
    return { service, operation, peer, endMs: startMs + random() * STEP_MS, durationMs, failed }
  }

  #batch(rows: readonly Row[]): SpanBatch {
    return {
      kind: 'spans',
      rows: rows.length,
      sources: this.#names.map((service) => ({ service, instance: `${service}-0`, version: '1' })),
      sourceIndex: Uint32Array.from(rows, (row) => row.service),
      operations: NAMES,
      operationIndex: Uint32Array.from(rows, (row) => (row.peer < 0 ? row.operation : OPERATIONS)),
      spanKind: Uint8Array.from(rows, (row) => (row.peer < 0 ? SpanKind.server : SpanKind.client)),
      status: Uint8Array.from(rows, (row) => (row.failed ? SpanStatus.error : SpanStatus.unset)),
      startMs: Float64Array.from(rows, (row) => row.endMs - row.durationMs),
      durationMs: Float64Array.from(rows, (row) => row.durationMs),
      traceId: rows.map(() => ''),
      spanId: rows.map(() => ''),
      parentId: rows.map(() => ''),
      peer: rows.map((row) => (row.peer < 0 ? '' : PEERS[row.peer]!)),
    }
  }
}

interface Row {
  readonly service: number
  readonly operation: number
  /** -1: it is served. */
  readonly peer: number
  readonly endMs: number
  readonly durationMs: number
  readonly failed: boolean
}

const NAMES = [...Array.from({ length: OPERATIONS }, (_, i) => `GET /resource-${i}`), 'POST']

/** With `share` of the time and the trials. */
export function evaluate(share = 1, volumes: readonly number[] = VOLUMES.map(({ perSecond }) => perSecond)): SpansQuiet {
  const chosen = VOLUMES.filter(({ perSecond }) => volumes.includes(perSecond))
  const quiet = chosen.flatMap((volume) => ERROR_RATES.map((errorRate, i) => quietOf(volume, errorRate, share, i + 1)))
  const faults = chosen.flatMap((volume) =>
    FAULTS.map((fault, i) => faultOf(volume, fault, Math.max(1, Math.round(volume.trials * share)), 100 + i)),
  )
  const weeks = quiet.reduce((sum, row) => sum + row.serviceWeeks, 0)
  return { quiet, faults, perServiceWeek: quiet.reduce((sum, row) => sum + row.anomalies, 0) / weeks }
}

function newDetector(): SpansDetector {
  return new SpansDetector(spansConfig.parse({}), { partition: 0, residuals: new ResidualBoard() })
}

function quietOf({ perSecond, services, hours }: Volume, errorRate: number, share: number, seed: number): QuietRow {
  const detector = newDetector()
  const traffic = new Traffic(services, perSecond, errorRate, seed)
  const told = new Map<string, Anomaly>()
  const forMs = hours * share * HOUR_MS
  play(detector, traffic, START_MS, forMs, undefined, (anomaly) => void told.set(anomaly.id, anomaly))
  const serviceWeeks = (services * forMs) / WEEK_MS
  const anomalies = told.size
  const paging = [...told.values()].filter((anomaly) => anomaly.impact).length
  return { perSecond, errorRate, serviceWeeks, anomalies, paging, perServiceWeek: anomalies / serviceWeeks }
}

/** One trial is a service of its own: all begin at one time, each with its own chance. */
function faultOf({ perSecond, warmMs, faultMs }: Volume, fault: Fault, trials: number, seed: number): FaultRow {
  const detector = newDetector()
  const traffic = new Traffic(trials, perSecond, 0.002, seed)
  play(detector, traffic, START_MS, warmMs, undefined, () => {})
  const symptom = fault.moreErrors === undefined ? 'latency' : 'errors'
  const delays = new Map<string, number>()
  const beginMs = START_MS + warmMs
  play(detector, traffic, beginMs, faultMs, fault, (anomaly) => {
    if (anomaly.symptom !== symptom || anomaly.endMs !== undefined || delays.has(anomaly.service)) return
    if (anomaly.startMs < beginMs - 6 * STEP_MS) return
    delays.set(anomaly.service, (anomaly.atMs + STEP_MS - beginMs) / 1000)
  })
  const sorted = [...delays.values()].sort((a, b) => a - b)
  return { fault: fault.name, perSecond, trials, found: sorted.length, medianDelayS: sorted[Math.floor(sorted.length / 2)] ?? NaN }
}

function play(
  detector: SpansDetector,
  traffic: Traffic,
  fromMs: number,
  forMs: number,
  fault: Fault | undefined,
  told: (anomaly: Anomaly) => void,
): void {
  for (let atMs = fromMs; atMs < fromMs + forMs; atMs += STEP_MS) {
    detector.detect({ kind: 'tick', nowMs: atMs }, (finding) => finding.kind === 'anomaly' && told(finding))
    detector.detect(traffic.step(atMs, fault), () => {})
  }
}

function poisson(mean: number, random: () => number): number {
  if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)))
  const limit = Math.exp(-mean)
  let count = 0
  for (let product = random(); product > limit; product *= random()) count++
  return count
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { quiet, faults, perServiceWeek } = evaluate(process.argv.includes('--quick') ? 0.25 : 1)
  const volume = (perSecond: number) => (perSecond < 0.1 ? `${Math.round(perSecond * 60)}/min` : `${perSecond}/s`)
  for (const row of quiet)
    console.log(
      `quiet ${volume(row.perSecond).padStart(7)}, ${row.errorRate * 100} % errors: ${row.anomalies} anomalies (${row.paging} paging) in ${row.serviceWeeks.toFixed(2)} service-weeks`,
    )
  console.log(`${perServiceWeek.toFixed(2)} anomalies per service and week`)
  for (const row of faults)
    console.log(
      `${row.fault.padEnd(30)} ${volume(row.perSecond).padStart(7)}: found ${row.found} of ${row.trials}, after ${row.medianDelayS} s`,
    )
}
