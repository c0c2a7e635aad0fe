/**
 * Request health from spans: rate, errors and duration per service and operation, and of calls to things that send no spans themselves.
 * Served requests (server spans) are what somebody outside waits for: only their anomalies have impact. Consumers, jobs and calls are
 * judged, but never page. The same detector joins traces (traces.ts), because both live on the clock of one partition.
 */
import type { Batch, SpanBatch } from '../../model.ts'
import { SpanKind, SpanStatus } from '../../model.ts'
import type { Detector, DetectorContext, DetectorKind, Emit } from '../detector.ts'
import { Episodes } from '../episode.ts'
import { SnapshotReader, SnapshotWriter } from '../snapshot.ts'
import { OperationNames } from './operation-name.ts'
import type { SpansShared } from './span-role.ts'
import { newTally, readTally, writeTally } from './span-tally.ts'
import type { SpanTally } from './span-tally.ts'
import { ServiceSpans } from './span-service.ts'
import type { ServiceTally } from './span-service.ts'
import { spansConfig } from './spans-config.ts'
import type { SpansConfig } from './spans-config.ts'
import { TraceJoiner } from './traces.ts'
import { closeServices, Windows } from '../windows.ts'

const VERSION = 3
/** Where operations beyond the bound are counted. */
const OTHER = 'other'

export class SpansDetector implements Detector {
  /** Spans of services beyond `maxServices`. */
  ignoredSpans = 0
  readonly joiner: TraceJoiner
  readonly #shared: SpansShared
  readonly #windows: Windows<Map<string, ServiceTally>>
  readonly #services = new Map<string, ServiceSpans>()
  readonly #names = new OperationNames()

  constructor(config: SpansConfig, context: DetectorContext) {
    this.joiner = new TraceJoiner(config, context.partition)
    const serviceAt = (peer: string) => this.joiner.serviceAt(peer)
    this.#shared = { config, board: context.residuals, episodes: new Episodes(config), serviceAt }
    this.#windows = new Windows(config.windowMs, config.latenessMs, newWindow)
  }

  detect(batch: Batch, emit: Emit): void {
    if (batch.kind === 'spans') this.#count(batch)
    else if (batch.kind === 'links') this.joiner.add(batch)
    else if (batch.kind === 'events') {
      for (const event of batch.events) if (event.kind === 'change') this.#services.get(event.service)?.changed(event.atMs)
    } else if (batch.kind === 'tick') {
      this.#windows.tick(batch.nowMs, (startMs, window) => this.#close(startMs, window, emit))
      this.joiner.tick(batch.nowMs, emit)
    }
  }

  snapshot(): Uint8Array {
    const to = new SnapshotWriter(VERSION)
    to.f64(this.ignoredSpans)
    this.#shared.episodes.snapshot(to)
    this.#windows.snapshot(to, writeWindow)
    to.u32(this.#services.size)
    for (const service of this.#services.values()) service.snapshot(to)
    this.joiner.snapshot(to)
    return to.finish()
  }

  restore(bytes: Uint8Array): void {
    const from = new SnapshotReader(bytes, 'the span detector', VERSION)
    this.ignoredSpans = from.f64()
    this.#shared.episodes.restore(from)
    this.#windows.restore(from, readWindow)
    this.#services.clear()
    for (let left = from.count(16); left > 0; left--) {
      const service = ServiceSpans.restore(from, this.#shared)
      this.#services.set(service.name, service)
    }
    this.joiner.restore(from)
    from.end()
  }

  #count(batch: SpanBatch): void {
    const { rows, sources, sourceIndex, operations, operationIndex, spanKind, status, startMs, durationMs, parentId, peer } = batch
    const { maxServices, maxOperations } = this.#shared.config
    const names = operations.map((name) => this.#names.of(name))
    for (let row = 0; row < rows; row++) {
      const kind = spanKind[row]!
      const isCall = kind === SpanKind.client || kind === SpanKind.producer
      const isEntry = kind === SpanKind.server || kind === SpanKind.consumer
      if (!isCall && !isEntry && parentId[row] !== '') continue
      const ms = durationMs[row]!
      const window = this.#windows.at(startMs[row]! + (ms > 0 ? ms : 0))
      const name = sources[sourceIndex[row]!]!.service
      let tally = window.get(name)
      if (tally === undefined) {
        if (!this.#services.has(name) && this.#services.size + window.size >= maxServices) {
          this.ignoredSpans++
          continue
        }
        window.set(name, (tally = { served: new Map(), called: new Map(), calledSubjects: 0 }))
      }
      const operation = names[operationIndex[row]!]!
      let counts: SpanTally | undefined
      if (isCall) {
        let byOperation = tally.called.get(peer[row]!)
        counts = byOperation?.get(operation)
        if (counts === undefined) {
          const full = tally.calledSubjects >= maxOperations && !this.#services.get(name)?.hasCalled(peer[row]!, operation)
          const callee = full ? OTHER : peer[row]!
          const title = full ? OTHER : operation
          byOperation = tally.called.get(callee)
          if (byOperation === undefined) tally.called.set(callee, (byOperation = new Map()))
          counts = byOperation.get(title)
          if (counts === undefined) {
            byOperation.set(title, (counts = newTally()))
            tally.calledSubjects++
          }
        }
      } else {
        counts = tally.served.get(operation)
        if (counts === undefined) {
          const full = tally.served.size >= maxOperations && !this.#services.get(name)?.hasServed(operation)
          const title = full ? OTHER : operation
          counts = tally.served.get(title)
          if (counts === undefined) tally.served.set(title, (counts = newTally()))
        }
      }
      counts.requests++
      if (status[row] === SpanStatus.error) counts.errors++
      if (kind === SpanKind.server) counts.served = true
      // Handing a message over takes as long as it takes: only calls that wait for an answer have a latency.
      if (kind !== SpanKind.producer && ms >= 0) counts.durations.add(ms)
    }
  }

  #close(startMs: number, window: Map<string, ServiceTally> | undefined, emit: Emit): void {
    const follow = (name: string) => new ServiceSpans(name, startMs, this.#shared)
    closeServices(this.#services, window, startMs, this.#shared.config.forgetMs, follow, emit)
  }
}

export const spansDetector: DetectorKind<SpansConfig> = {
  name: 'spans',
  config: spansConfig,
  create: (config, context) => new SpansDetector(config, context),
}

function newWindow(): Map<string, ServiceTally> {
  return new Map()
}

function writeWindow(to: SnapshotWriter, window: Map<string, ServiceTally>): void {
  to.u32(window.size)
  for (const [name, tally] of window) {
    to.string(name)
    to.u32(tally.calledSubjects)
    writeOperations(to, tally.served)
    to.u32(tally.called.size)
    for (const [peer, operations] of tally.called) {
      to.string(peer)
      writeOperations(to, operations)
    }
  }
}

function readWindow(from: SnapshotReader): Map<string, ServiceTally> {
  const window = newWindow()
  for (let left = from.count(16); left > 0; left--) {
    const name = from.string()
    const calledSubjects = from.u32()
    const served = readOperations(from)
    const called = new Map<string, Map<string, SpanTally>>()
    for (let more = from.count(8); more > 0; more--) called.set(from.string(), readOperations(from))
    window.set(name, { served, called, calledSubjects })
  }
  return window
}

function writeOperations(to: SnapshotWriter, operations: ReadonlyMap<string, SpanTally>): void {
  to.u32(operations.size)
  for (const [operation, tally] of operations) {
    to.string(operation)
    writeTally(to, tally)
  }
}

function readOperations(from: SnapshotReader): Map<string, SpanTally> {
  const operations = new Map<string, SpanTally>()
  for (let left = from.count(25); left > 0; left--) operations.set(from.string(), readTally(from))
  return operations
}
