/**
 * The correlator at work: findings in, incidents in the store. What a batch causes, the state after it and the position are one
 * transaction with a compare-and-set on the position, so of two correlators one is fenced off and nothing is told twice. A
 * batch that only moves traffic sums and partitions' progress is kept in memory until time makes a step: at most that is read again.
 */
import { messageOf } from '../errors.ts'
import type { PlanNotices } from '../model.ts'
import { actionsAfter, type Action } from '../store/actions.ts'
import { saveAnomalies } from '../store/anomalies.ts'
import { saveChanges } from '../store/changes.ts'
import { loadCheckpoint, saveCheckpoint } from '../store/checkpoints.ts'
import type { Db, Queryable } from '../store/db.ts'
import { saveIncidents } from '../store/incidents.ts'
import { enqueueNotices } from '../store/outbox.ts'
import { addTimeline } from '../store/timeline.ts'
import type { Telemetry } from '../telemetry.ts'
import { deadLetter } from '../transport/dead-letter.ts'
import type { Topics } from '../transport/topics.ts'
import type { BatchHandler, InRecord, RecordBatch, Transport } from '../transport/transport.ts'
import type { CorrelateConfig } from './config.ts'
import { isOpen } from './draft.ts'
import { readRecord, type Intake } from './intake.ts'
import { decodeState, encodeState } from './state-codec.ts'
import { initialState, type Effects, type PersonAction, type State } from './state.ts'
import { collect, type Arrival, type Collected } from './stepper.ts'

export interface CorrelateStageOptions {
  readonly transport: Transport
  readonly topics: Topics
  readonly db: Db
  readonly config: CorrelateConfig
  readonly telemetry: Telemetry
  readonly planNotices: PlanNotices
}

const ROLE = 'correlate'
const GROUP = 'correlate'
/** Batches kept in memory only, at most. */
const MAX_UNSAVED = 64
const MAX_ACTIONS = 1000

interface Owned {
  state: State
  /** Offset of the checkpoint in the store; undefined: there is none. */
  saved: number | undefined
  /** The next record to look at. */
  next: number | undefined
  unsaved: number
}

/** Resolves when the subscription stands; disposing it saves the state. */
export async function startCorrelateStage(options: CorrelateStageOptions): Promise<AsyncDisposable> {
  return options.transport.subscribe(options.topics.findings, GROUP, new CorrelateStage(options))
}

class CorrelateStage implements BatchHandler {
  readonly #options: CorrelateStageOptions
  readonly #owned = new Map<number, Owned>()
  readonly #told: ReturnType<typeof happenings>

  constructor(options: CorrelateStageOptions) {
    this.#options = options
    this.#told = happenings(options.telemetry)
    const { telemetry } = options
    telemetry.gauge('incidents_open', 'Incidents that are open or acknowledged', [], (gauge) =>
      gauge.set(this.#count((state) => openOnes(state))),
    )
    telemetry.gauge('correlate_anomalies', 'Anomalies the correlator keeps in mind', [], (gauge) =>
      gauge.set(this.#count((state) => state.anomalies.size)),
    )
    telemetry.gauge('correlate_pending', 'Findings that wait for the slowest partition', [], (gauge) =>
      gauge.set(this.#count((state) => state.pending.length)),
    )
  }

  async assigned(partition: number): Promise<number | undefined> {
    const checkpoint = await loadCheckpoint(this.#options.db, ROLE, partition)
    const state = checkpoint === undefined ? initialState() : decodeState(checkpoint.state)
    this.#owned.set(partition, { state, saved: checkpoint?.offset, next: checkpoint?.offset, unsaved: 0 })
    return checkpoint?.offset
  }

  async handle(batch: RecordBatch, signal: AbortSignal): Promise<void> {
    const owned = this.#owned.get(batch.partition)
    if (owned === undefined) throw new Error(`partition ${batch.partition} of ${batch.topic} was handed over before it was assigned`)
    const arrivals: Arrival[] = []
    for (const record of batch.records) {
      // Taken already, in a batch whose position could not be moved.
      if (owned.next !== undefined && record.offset < owned.next) continue
      arrivals.push(...(await this.#read(batch, record, signal)))
    }
    const next = Math.max(owned.next ?? 0, batch.records.at(-1)!.offset + 1)
    let planned: Collected | undefined
    if (owned.unsaved < MAX_UNSAVED && arrivals.every(({ finding }) => finding.kind === 'flow' || finding.kind === 'progress')) {
      planned = collect(owned.state, arrivals, [], this.#options.config)
      if (planned.state.nowMs === owned.state.nowMs) {
        owned.state = planned.state
        owned.next = next
        owned.unsaved++
        return
      }
    }
    await this.#commit(batch.partition, owned, arrivals, next, planned)
  }

  async revoked(partition: number): Promise<void> {
    const owned = this.#owned.get(partition)
    this.#owned.delete(partition)
    if (owned === undefined || owned.next === undefined || owned.next === owned.saved) return
    const { saved, next, state } = owned
    await this.#options.db.transaction((tx) => saveCheckpoint(tx, ROLE, partition, saved, next, encodeState(state)))
  }

  /**
   * The state moves only when the transaction has: a rolled-back one leaves everything as it was. `planned` is what the arrivals come
   * to when nobody has acted in between.
   */
  async #commit(
    partition: number,
    owned: Owned,
    arrivals: readonly Arrival[],
    next: number,
    planned: Collected | undefined,
  ): Promise<void> {
    const { db, config } = this.#options
    const done = this.#told.commitSeconds.startTimer()
    const result = await db.transaction(async (tx) => {
      const actions = await actionsAfter(tx, owned.state.lastActionSeq, MAX_ACTIONS)
      const isAsPlanned = planned !== undefined && actions.length === 0
      const { state, effects } = isAsPlanned ? planned : collect(owned.state, arrivals, actions.map(toInput), config)
      await this.#write(tx, effects)
      const bytes = encodeState(state)
      await saveCheckpoint(tx, ROLE, partition, owned.saved, next, bytes)
      return { state, effects, bytes: bytes.byteLength }
    })
    owned.state = result.state
    owned.saved = next
    owned.next = next
    owned.unsaved = 0
    done()
    this.#told.checkpointBytes.set(result.bytes)
    this.#tell(result.effects)
  }

  async #write(tx: Queryable, effects: Effects): Promise<void> {
    if (effects.incidents.length > 0) await saveIncidents(tx, effects.incidents)
    if (effects.timeline.length > 0) await addTimeline(tx, effects.timeline)
    if (effects.anomalies.length > 0) await saveAnomalies(tx, effects.anomalies)
    if (effects.changes.length > 0) await saveChanges(tx, effects.changes)
    const notices = effects.transitions.flatMap(({ before, after, atMs }) => this.#options.planNotices(before, after, atMs))
    if (notices.length > 0) await enqueueNotices(tx, notices)
  }

  async #read(batch: RecordBatch, record: InRecord, signal: AbortSignal): Promise<readonly Arrival[]> {
    let intake: Intake
    try {
      intake = readRecord(record)
    } catch (error) {
      await this.#bury(batch, record, 'undecodable', messageOf(error), signal)
      return []
    }
    if (intake.refused.length > 0) await this.#bury(batch, record, 'bad_finding', intake.refused.slice(0, 5).join('; '), signal)
    return intake.arrivals
  }

  /** Rejects when the dead letters are out of reach: the record comes again rather than being lost. */
  async #bury(batch: RecordBatch, record: InRecord, reason: string, error: string, signal: AbortSignal): Promise<void> {
    const { transport, topics } = this.#options
    await transport.publish(topics.deadLetters, [deadLetter(batch, record, reason, error)], signal)
    this.#told.deadLetter({ reason }, { topic: batch.topic, partition: batch.partition, offset: record.offset, error })
  }

  #tell({ transitions }: Effects): void {
    for (const { before, after } of transitions) {
      const fields = { incident: after.id, title: after.title, severity: after.severity, services: after.services }
      if (before === undefined) this.#told.opened({ severity: after.severity }, { ...fields, cause: after.causes[0]?.service })
      else if (before.status !== 'resolved' && after.status === 'resolved') this.#told.resolved({}, fields)
    }
  }

  #count(of: (state: State) => number): number {
    let sum = 0
    for (const { state } of this.#owned.values()) sum += of(state)
    return sum
  }
}

function openOnes(state: State): number {
  let open = 0
  for (const tracked of state.incidents.values()) if (isOpen(tracked)) open++
  return open
}

function toInput({ kind, ...action }: Action): PersonAction {
  return { kind: 'action', action: kind, ...action }
}

function happenings(telemetry: Telemetry) {
  return {
    opened: telemetry.happening({ name: 'incident_opened', help: 'An incident was opened', level: 'info', labels: ['severity'] }),
    resolved: telemetry.happening({ name: 'incident_resolved', help: 'An incident was resolved', level: 'info' }),
    deadLetter: telemetry.happening({
      name: 'correlate_dead_letter',
      help: 'A findings record could not be read and went to the dead letters',
      level: 'error',
      labels: ['reason'],
    }),
    commitSeconds: telemetry.histogram(
      'correlate_commit_seconds',
      'Time to reduce a batch and commit what it caused',
      [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    ),
    checkpointBytes: telemetry.gauge('correlate_checkpoint_bytes', 'Size of the last checkpoint'),
  }
}
