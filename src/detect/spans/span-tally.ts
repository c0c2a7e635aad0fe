/** What is counted of one subject's requests in one window. */
import { DurationSketch } from './duration-sketch.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

export interface SpanTally {
  requests: number
  errors: number
  readonly durations: DurationSketch
  /** Whether one of them was a server span: only these have somebody outside who waits. */
  served: boolean
}

export function newTally(): SpanTally {
  return { requests: 0, errors: 0, durations: new DurationSketch(), served: false }
}

/** Adds the second to the first. */
export function addTally(to: SpanTally, from: SpanTally): void {
  to.requests += from.requests
  to.errors += from.errors
  to.served ||= from.served
  to.durations.merge(from.durations)
}

export function writeTally(to: SnapshotWriter, tally: SpanTally): void {
  to.f64(tally.requests)
  to.f64(tally.errors)
  to.u8(tally.served ? 1 : 0)
  tally.durations.snapshot(to)
}

export function readTally(from: SnapshotReader): SpanTally {
  const tally = newTally()
  tally.requests = from.f64()
  tally.errors = from.f64()
  tally.served = from.u8() === 1
  tally.durations.restore(from)
  return tally
}
