/**
 * Runs the detectors of the partitions this process owns. Findings are published before the position moves and before a checkpoint
 * covers them; what is published twice has the same ids. State and position are saved as one, with a compare-and-set, so that
 * of two owners one is fenced off. A record that cannot be read goes to the dead letters with the reason, and the next one is read.
 */
import { FencedError, messageOf, PermanentError } from '../errors.ts'
import { decodeBatch, encodeFindings } from '../codec.ts'
import type { Batch, Finding } from '../model.ts'
import { loadCheckpoint, saveCheckpoint } from '../store/checkpoints.ts'
import type { Db } from '../store/db.ts'
import type { Telemetry } from '../telemetry.ts'
import { deadLetter } from '../transport/dead-letter.ts'
import type { Topics } from '../transport/topics.ts'
import type { BatchHandler, InRecord, OutRecord, RecordBatch, Transport } from '../transport/transport.ts'
import type { Autoencoder } from './service/autoencoder.ts'
import type { DetectConfig } from './config.ts'
import type { VectorSink } from './detector.ts'
import { mishapText, PartitionDetectors, type Mishap } from './partition.ts'

export interface DetectStageOptions {
  readonly transport: Transport
  readonly topics: Topics
  readonly db: Db
  readonly config: DetectConfig
  readonly telemetry: Telemetry
  /** How many the services are spread over. */
  readonly partitions?: number
  /** Trained models by name; needed unless the service detector is off. */
  readonly models?: ReadonlyMap<string, Autoencoder>
  /** Told every vector of the service detector, to train on. */
  readonly vectors?: VectorSink
}

const GROUP = 'detect'
const ROLE = 'detect'
/** Kafka brokers refuse records above 1 MB unless told otherwise. */
const MAX_RECORD_BYTES = 700_000

interface Owned {
  readonly detectors: PartitionDetectors
  /** The next record to look at: what is below has been seen, also when its findings could not be published yet. */
  next: number | undefined
  /** Offset of the checkpoint in the store; undefined: there is none. */
  saved: number | undefined
  savedAtMs: number
  nowMs: number
  /** Findings and dead letters of records already seen, until they are published. */
  findings: OutRecord[]
  deadLetters: OutRecord[]
}

/** Resolves when the subscription stands; disposing saves every partition. */
export async function startDetectStage(options: DetectStageOptions): Promise<AsyncDisposable> {
  return options.transport.subscribe(options.topics.telemetry, GROUP, new DetectStage(options))
}

class DetectStage implements BatchHandler {
  readonly #options: DetectStageOptions
  readonly #owned = new Map<number, Owned>()
  readonly #told: ReturnType<typeof happenings>

  constructor(options: DetectStageOptions) {
    this.#options = options
    this.#told = happenings(options.telemetry)
    options.telemetry.gauge('detect_state', 'What the detectors watch and what they had to refuse', ['detector', 'what'], (gauge) => {
      gauge.reset()
      for (const { detectors } of this.#owned.values())
        for (const [detector, what, value] of detectors.counts()) gauge.inc({ detector, what }, value)
    })
  }

  async assigned(partition: number): Promise<number | undefined> {
    const { db, config, partitions, models, vectors } = this.#options
    const detectors = new PartitionDetectors({ partition, config, partitions, ...(models && { models }), ...(vectors && { vectors }) })
    const checkpoint = await loadCheckpoint(db, ROLE, partition)
    if (checkpoint !== undefined) this.#restore(partition, detectors, checkpoint.state)
    this.#owned.set(partition, {
      detectors,
      next: checkpoint?.offset,
      saved: checkpoint?.offset,
      savedAtMs: 0,
      nowMs: 0,
      findings: [],
      deadLetters: [],
    })
    return checkpoint?.offset
  }

  async handle(batch: RecordBatch, signal: AbortSignal): Promise<void> {
    const owned = this.#owned.get(batch.partition)
    if (owned === undefined) throw new Error(`partition ${batch.partition} was handed over before it was assigned`)
    const findings: Finding[] = []
    for (const record of batch.records) {
      // Seen before, in a batch whose findings could not be published.
      if (owned.next !== undefined && record.offset < owned.next) continue
      this.#look(batch, record, owned, findings)
      owned.next = record.offset + 1
    }
    if (findings.length > 0) owned.findings.push(...recordsOf(findings, batch.partition))
    await this.#publish(owned, signal)
    if (owned.nowMs - owned.savedAtMs >= this.#options.config.checkpointMs) await this.#save(batch.partition, owned)
  }

  async revoked(partition: number): Promise<void> {
    const owned = this.#owned.get(partition)
    this.#owned.delete(partition)
    // A checkpoint must not cover findings and dead letters that nobody got: without it they are made again.
    if (owned === undefined || owned.findings.length > 0 || owned.deadLetters.length > 0) return
    await this.#save(partition, owned)
  }

  #look(batch: RecordBatch, record: InRecord, owned: Owned, findings: Finding[]): void {
    let decoded: Batch
    try {
      decoded = decodeBatch(record.value)
    } catch (error) {
      this.#bury(batch, record, owned, 'undecodable', messageOf(error))
      return
    }
    const before = findings.length
    const mishaps = owned.detectors.feed(decoded, (finding) => findings.push(finding))
    if (decoded.kind === 'tick') owned.nowMs = Math.max(owned.nowMs, decoded.nowMs)
    if (owned.savedAtMs === 0) owned.savedAtMs = owned.nowMs
    if ('rows' in decoded) this.#told.rows.inc({ kind: decoded.kind }, decoded.rows)
    for (let i = before; i < findings.length; i++) this.#told.findings.inc({ kind: findings[i]!.kind })
    for (const mishap of mishaps)
      this.#told.failed(
        { detector: mishap.detector },
        { partition: batch.partition, offset: record.offset, error: messageOf(mishap.error) },
      )
    if (mishaps.length > 0) this.#bury(batch, record, owned, 'detector', mishaps.map(mishapText).join('; '))
  }

  #bury(batch: RecordBatch, record: InRecord, owned: Owned, reason: string, error: string): void {
    this.#told.deadLetter({ reason }, { topic: batch.topic, partition: batch.partition, offset: record.offset, error })
    owned.deadLetters.push(deadLetter(batch, record, reason, error))
  }

  async #publish(owned: Owned, signal: AbortSignal): Promise<void> {
    const { transport, topics } = this.#options
    if (owned.deadLetters.length > 0) {
      await transport.publish(topics.deadLetters, owned.deadLetters, signal)
      owned.deadLetters = []
    }
    if (owned.findings.length > 0) {
      await transport.publish(topics.findings, owned.findings, signal)
      owned.findings = []
    }
  }

  async #save(partition: number, owned: Owned): Promise<void> {
    if (owned.next === undefined || owned.next === owned.saved) return
    const done = this.#told.checkpointSeconds.startTimer()
    const state = owned.detectors.snapshot()
    try {
      const { saved, next } = owned
      await this.#options.db.transaction((tx) => saveCheckpoint(tx, ROLE, partition, saved, next, state))
    } catch (error) {
      if (error instanceof FencedError) throw error
      // Detection goes on without it: the next one covers more. Told, because a restart now would go back further.
      this.#told.checkpointFailed({}, { partition, bytes: state.length, error: messageOf(error) })
      owned.savedAtMs = owned.nowMs
      return
    }
    owned.saved = owned.next
    owned.savedAtMs = owned.nowMs
    done()
    this.#told.checkpointBytes.set({ partition: String(partition) }, state.length)
  }

  /** What cannot be read is learnt anew: watching with less knowledge is better than not watching. */
  #restore(partition: number, detectors: PartitionDetectors, state: Uint8Array): void {
    let mishaps: readonly Mishap[]
    try {
      mishaps = detectors.restore(state)
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error
      mishaps = [{ detector: 'all', error }]
    }
    for (const mishap of mishaps) this.#told.forgot({ detector: mishap.detector }, { partition, error: messageOf(mishap.error) })
  }
}

/** One record; more only where it would be too large for a broker. Says which telemetry partition it comes from. */
function recordsOf(findings: readonly Finding[], partition: number): OutRecord[] {
  const value = encodeFindings(findings)
  if (value.length <= MAX_RECORD_BYTES || findings.length === 1) {
    return [{ partition: 0, value, headers: { partition: String(partition) } }]
  }
  const half = findings.length >> 1
  return [...recordsOf(findings.slice(0, half), partition), ...recordsOf(findings.slice(half), partition)]
}

function happenings(telemetry: Telemetry) {
  return {
    rows: telemetry.counter('detect_rows_total', 'Samples, log lines and spans looked at', ['kind']),
    findings: telemetry.counter('detect_findings_total', 'Findings handed to correlation', ['kind']),
    checkpointBytes: telemetry.gauge('detect_checkpoint_bytes', 'Size of the last checkpoint', ['partition']),
    checkpointSeconds: telemetry.histogram(
      'detect_checkpoint_seconds',
      'Time to take and save a checkpoint',
      [0.01, 0.05, 0.1, 0.5, 1, 5, 10],
    ),
    deadLetter: telemetry.happening({
      name: 'detect_dead_letter',
      help: 'A record could not be handled and went to the dead letters',
      level: 'error',
      labels: ['reason'],
    }),
    failed: telemetry.happening({
      name: 'detector_failed',
      help: 'A detector failed on a record; the others saw it',
      level: 'error',
      labels: ['detector'],
    }),
    forgot: telemetry.happening({
      name: 'detect_state_lost',
      help: 'A checkpoint could not be read; the detector learns anew',
      level: 'error',
      labels: ['detector'],
    }),
    checkpointFailed: telemetry.happening({
      name: 'detect_checkpoint_failed',
      help: 'A checkpoint could not be saved; tried again with the next one',
      level: 'warn',
    }),
  }
}
