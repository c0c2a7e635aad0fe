/**
 * What is usual for a score, and a running 99 % quantile of it as a multiple of the one its model came with, by the rule of Robbins and Monro
 * (https://doi.org/10.1214/aoms/1177729586) in logarithms. It moves within bounds, and at a quarter of the speed while the score is anomalous: a
 * long anomaly must not become normal in an hour.
 */
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

export interface RunningLevel {
  usual: number
  times: number
}

const LOW = 0.5
const HIGH = 8
const RATE = 0.05
const QUANTILE = 0.99
const ANOMALOUS_PACE = 0.25
const USUAL_RATE = 0.05

export function freshLevel(usual: number): RunningLevel {
  return { usual, times: 1 }
}

/** `q99`: the model's; `seen`: scores before this one. */
export function follow(level: RunningLevel, score: number, q99: number, seen: number, isAnomalous: boolean): void {
  const pace = isAnomalous ? ANOMALOUS_PACE : 1
  const youth = 1 / (seen + 1)
  level.usual += Math.max(USUAL_RATE, youth) * pace * (score - level.usual)
  const step = Math.max(RATE, youth) * pace * (score > level.times * q99 ? QUANTILE : QUANTILE - 1)
  level.times = Math.min(HIGH, Math.max(LOW, level.times * Math.exp(step)))
}

export function writeLevel(to: SnapshotWriter, { usual, times }: RunningLevel): void {
  to.f64(usual)
  to.f64(times)
}

export function readLevel(from: SnapshotReader): RunningLevel {
  return { usual: from.f64(), times: from.f64() }
}
