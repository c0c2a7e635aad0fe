/**
 * The residual board: how far each thing a service does is from its baseline, in standard deviations, folded into a fixed vector.
 * Series, log and span detectors write to it as they score; the service detector reads one vector per service and tick.
 * A slot keeps the residual of largest size since the last read, so that a vector costs the same for 5 series and for 5,000.
 */
import type { SnapshotReader, SnapshotWriter } from './snapshot.ts'

/** The fixed features of a service. Order is part of the model format: append only. */
export const FEATURES = [
  'traffic',
  'errors',
  'latency',
  'saturation',
  'cpu',
  'memory',
  'network',
  'disk',
  'pool',
  'queue',
  'runtime',
  'log_volume',
  'log_errors',
  'log_new',
  'downstream_latency',
  'downstream_errors',
] as const
export type Feature = (typeof FEATURES)[number]

const LIMIT = 50

export class ResidualBoard {
  readonly #vectors = new Map<string, Float32Array>()

  /** `z` is signed, in units of the subject's own spread; clipped to ±50. */
  observe(service: string, feature: Feature, z: number): void {
    if (!Number.isFinite(z)) return
    let vector = this.#vectors.get(service)
    if (vector === undefined) this.#vectors.set(service, (vector = new Float32Array(FEATURES.length)))
    const slot = FEATURES.indexOf(feature)
    const clipped = Math.max(-LIMIT, Math.min(LIMIT, z))
    if (Math.abs(clipped) > Math.abs(vector[slot]!)) vector[slot] = clipped
  }

  /** Every service that was observed since the last read, in order of name, with its vector; then starts afresh. */
  drain(read: (service: string, vector: Float32Array) => void): void {
    for (const service of [...this.#vectors.keys()].sort()) read(service, this.#vectors.get(service)!)
    this.#vectors.clear()
  }

  /** What was observed since the last read. */
  snapshot(to: SnapshotWriter): void {
    to.u32(this.#vectors.size)
    for (const [service, vector] of this.#vectors) {
      to.string(service)
      to.column(vector)
    }
  }

  restore(from: SnapshotReader): void {
    this.#vectors.clear()
    for (let left = from.count(8); left > 0; left--) {
      const service = from.string()
      const vector = new Float32Array(FEATURES.length)
      vector.set(from.f32s().subarray(0, FEATURES.length))
      this.#vectors.set(service, vector)
    }
  }
}
