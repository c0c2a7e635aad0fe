/**
 * The detectors of one partition as one thing: each batch goes through all of them in the registry's order, changes and alerts
 * pass through as findings, and a tick becomes `progress` after all have seen it. A detector that fails on a batch is told
 * about and does not keep the others from seeing it. A snapshot has a named section per detector.
 */
import { messageOf } from '../errors.ts'
import type { Batch } from '../model.ts'
import { partitionFor } from '../transport/transport.ts'
import type { Autoencoder } from './service/autoencoder.ts'
import { Calendar } from './calendar.ts'
import type { DetectConfig } from './config.ts'
import type { Detector, DetectorContext, Emit, ScoreSink, VectorSink } from './detector.ts'
import { detectorKinds, type DetectorName } from './registry.ts'
import { ResidualBoard } from './residuals.ts'
import { SnapshotReader, SnapshotWriter } from './snapshot.ts'
import { StepBoard } from './service/step-board.ts'

export interface PartitionOptions {
  readonly partition: number
  readonly config: DetectConfig
  /** How many the services are spread over; left out: whatever comes belongs here. */
  readonly partitions?: number | undefined
  readonly models?: ReadonlyMap<string, Autoencoder>
  readonly vectors?: VectorSink
  readonly scores?: ScoreSink
}

/** A detector that could not do what it was asked; the others went on. */
export interface Mishap {
  readonly detector: string
  readonly error: unknown
}

const SNAPSHOT = 'the detectors of a partition'
const VERSION = 1
const BOARD = 'residuals'

export class PartitionDetectors {
  readonly #partition: number
  readonly #create: (name: DetectorName) => Detector
  readonly #detectors = new Map<DetectorName, Detector>()
  readonly #board = new ResidualBoard()

  constructor({ partition, config, partitions, models, vectors, scores }: PartitionOptions) {
    this.#partition = partition
    const belongs = partitions === undefined ? undefined : (service: string) => partitionFor(service, partitions) === partition
    const context: DetectorContext = {
      partition,
      residuals: this.#board,
      steps: new StepBoard(),
      calendar: new Calendar(config.calendar),
      ...(belongs && { belongs }),
      ...(models && { models }),
      ...(vectors && { vectors }),
      ...(scores && { scores }),
    }
    const kinds = new Map(detectorKinds())
    this.#create = (name) => kinds.get(name)!.create(config.detectors[name], context)
    for (const name of kinds.keys()) if (!config.off.includes(name)) this.#detectors.set(name, this.#create(name))
  }

  /** Shows a batch to every detector. Answers with those that failed on it. */
  feed(batch: Batch, emit: Emit): readonly Mishap[] {
    const mishaps: Mishap[] = []
    if (batch.kind === 'events') for (const event of batch.events) emit(event)
    for (const [name, detector] of this.#detectors) {
      try {
        detector.detect(batch, emit)
      } catch (error) {
        mishaps.push({ detector: name, error })
      }
    }
    if (batch.kind === 'tick') emit({ kind: 'progress', partition: this.#partition, nowMs: batch.nowMs })
    return mishaps
  }

  /** After a recording of what is normal: see `Detector.fitNow`. */
  fitNow(): void {
    for (const detector of this.#detectors.values()) detector.fitNow?.()
  }

  /** What each detector says of itself. */
  *counts(): Generator<readonly [detector: string, name: string, value: number]> {
    for (const [detector, it] of this.#detectors) {
      for (const [name, value] of Object.entries(it.counts?.() ?? {})) yield [detector, name, value]
    }
  }

  snapshot(): Uint8Array {
    const to = new SnapshotWriter(VERSION)
    to.u32(this.#detectors.size + 1)
    const board = new SnapshotWriter(VERSION)
    this.#board.snapshot(board)
    to.string(BOARD)
    to.column(board.finish())
    for (const [name, detector] of this.#detectors) {
      to.string(name)
      to.column(detector.snapshot())
    }
    return to.finish()
  }

  /**
   * A section that cannot be read leaves its detector as new and is told; one of a detector that is not there is dropped. Throws a
   * PermanentError when the whole cannot be read; then nothing has changed.
   */
  restore(bytes: Uint8Array): readonly Mishap[] {
    const sections = new Map<string, Uint8Array>()
    const from = new SnapshotReader(bytes, SNAPSHOT, VERSION)
    for (let left = from.count(8); left > 0; left--) sections.set(from.string(), from.u8s())
    from.end()
    const mishaps: Mishap[] = []
    const board = sections.get(BOARD)
    if (board !== undefined) this.#board.restore(new SnapshotReader(board, BOARD, VERSION))
    for (const name of this.#detectors.keys()) {
      const section = sections.get(name)
      if (section === undefined) continue
      const detector = this.#create(name)
      try {
        detector.restore(section)
        this.#detectors.set(name, detector)
      } catch (error) {
        mishaps.push({ detector: name, error })
        this.#detectors.set(name, this.#create(name))
      }
    }
    return mishaps
  }
}

/** One line for people. */
export function mishapText(mishap: Mishap): string {
  return `${mishap.detector}: ${messageOf(mishap.error)}`
}
