/**
 * What a detector is. Synchronous on purpose: no I/O, no clock, no randomness; the same batches in give the same findings out,
 * whatever the batch boundaries. `restore(snapshot())` continues identically. One instance serves one partition.
 */
import type { z } from 'zod'
import type { Batch, Finding } from '../model.ts'
import type { Autoencoder } from './service/autoencoder.ts'
import type { Calendar } from './calendar.ts'
import type { ResidualBoard } from './residuals.ts'
import type { StepBoard } from './service/step-board.ts'

export type Emit = (finding: Finding) => void

export interface Detector {
  /** Looks at the kinds of batch it knows and ignores the others. Windows close on `tick`, never on a timer. */
  detect(batch: Batch, emit: Emit): void
  /** A version byte, then whatever the detector likes; integers and floats little-endian. */
  snapshot(): Uint8Array
  /** Throws a PermanentError naming the versions when the bytes are of a newer version than it knows. */
  restore(bytes: Uint8Array): void
  /**
   * What has been seen so far is normal: whatever is fitted to history is fitted to all of it, at once and without comparison. For those who play a
   * recording of normal operation first, as the bench does; the stage never calls it, a live history may hold an incident.
   */
  fitNow?(): void
  /** How much it watches and what it had to refuse, for Tocsin's own metrics: few names, always the same ones. */
  counts?(): Readonly<Record<string, number>>
}

export interface DetectorContext {
  readonly partition: number
  /** Whether the telemetry of a service goes into this partition; left out: of all. */
  readonly belongs?: (service: string) => boolean
  /** Standardised residuals of everything watched, for detectors that look at a whole service at once. */
  readonly residuals: ResidualBoard
  /** What each series of a service was, for the same. */
  readonly steps?: StepBoard
  /** The clock and the days people live by; left out: universal time. */
  readonly calendar?: Calendar
  /** Trained models by the name the config gives them, read from disk before any detector is created. */
  readonly models?: ReadonlyMap<string, Autoencoder>
  /** Told every vector the service detector scores, to train on; the array is the detector's and is overwritten afterwards. */
  readonly vectors?: VectorSink
  /** Told what was thought of every observation, anomalous or not: how detection is measured against labels. */
  readonly scores?: ScoreSink
  /** Told the template of every log line: how the mining of templates is measured against labels. */
  readonly templates?: TemplateSink
}

export type VectorSink = (service: string, timeMs: number, vector: Float32Array) => void

/** What is thought of one observation. Larger is stranger, and the same size means the same for every subject; 0 before anything is known. */
export interface Scores {
  /** How unlike its past it is. */
  point: number
  /** The same, only where it begins: an excursion that goes on is not counted again. */
  onset: number
  /** Whether anything like it has been seen for weeks, once per incident. */
  incident: number
  /** What decides: 1 is the threshold, NaN: not judged. */
  decision: number
}

/** `subject` is the key of a series or the name of a service. The scores are the detector's and are overwritten afterwards. */
export type ScoreSink = (detector: string, subject: string, timeMs: number, scores: Readonly<Scores>) => void

/** `id` is the template as it was known when the line came; what has become of it since, `names` can tell. */
export type TemplateSink = (service: string, timeMs: number, id: number, names: TemplateNames) => void

export interface TemplateNames {
  /** What the template is now, after merges; 0 when it was dropped. */
  resolve(id: number): number
  textOf(id: number): string
}

/** One file exports one of these; one line in the registry makes it known. */
export interface DetectorKind<Config> {
  readonly name: string
  readonly config: z.ZodType<Config>
  create(config: Config, context: DetectorContext): Detector
}
