/**
 * Event time for the reducer. Findings wait until the slowest telemetry partition has come past them and are then reduced step by
 * step on a fixed grid, so that it does not matter in which order the partitions were heard. What people do is applied at once.
 *
 * The order is exact for findings whose partition is known: one that arrives after its partition said "time has come to T" is
 * due after T, whatever its own time. Others go by their own time.
 */
import type { Finding } from '../model.ts'
import type { CorrelateConfig } from './config.ts'
import { timeOf } from './fold.ts'
import { isWaiting, reduce } from './incident.ts'
import { joinEffects, noEffects, type Effects, type Pending, type PersonAction, type State } from './state.ts'

/** `partition`: the telemetry partition it was made from, when that is known. */
export interface Arrival {
  readonly partition: number | undefined
  readonly finding: Finding
}

export interface Collected {
  readonly state: State
  readonly effects: Effects
}

/** Pure: the same arguments come to the same. */
export function collect(state: State, arrivals: readonly Arrival[], actions: readonly PersonAction[], config: CorrelateConfig): Collected {
  let effects = noEffects
  let next = state
  if (actions.length > 0) ({ state: next, effects } = reduce(next, actions, next.nowMs, config))
  const progress = new Map(next.progress)
  const pending = [...next.pending]
  for (const { partition, finding } of arrivals) {
    if (finding.kind === 'progress') {
      progress.set(finding.partition, Math.max(progress.get(finding.partition) ?? 0, finding.nowMs))
    } else {
      const heardMs = partition === undefined ? undefined : progress.get(partition)
      pending.push({ dueMs: Math.max(dueOf(finding, next.nowMs), heardMs === undefined ? 0 : heardMs + 1), finding })
    }
  }
  next = { ...next, nowMs: next.nowMs === 0 ? startOf(arrivals, config.stepMs) : next.nowMs, progress, pending }
  const nowMs = gridded(commonNow(progress, pending.length > config.limits.pending ? 0 : config.laggardMs), config.stepMs)
  return run(next, nowMs, effects, config)
}

/** How far time has come in all partitions that are not left behind. 0: nothing has been heard. */
function commonNow(progress: ReadonlyMap<number, number>, laggardMs: number): number {
  let latest = 0
  for (const nowMs of progress.values()) latest = Math.max(latest, nowMs)
  let slowest = latest
  for (const nowMs of progress.values()) if (nowMs >= latest - laggardMs) slowest = Math.min(slowest, nowMs)
  return slowest
}

/** Time begins a step before the first that is heard of it. */
function startOf(arrivals: readonly Arrival[], stepMs: number): number {
  for (const { finding } of arrivals) if (finding.kind === 'progress') return gridded(finding.nowMs, stepMs) - stepMs
  return 0
}

function gridded(nowMs: number, stepMs: number): number {
  return Math.floor(nowMs / stepMs) * stepMs
}

/** Changes and alerts carry times of other clocks, past or future: they are due when they are heard. */
function dueOf(finding: Finding, nowMs: number): number {
  return finding.kind === 'change' || finding.kind === 'alert' ? nowMs : timeOf(finding)
}

/** Every grid point up to `nowMs` at which something can happen. */
function run(state: State, nowMs: number, before: Effects, config: CorrelateConfig): Collected {
  let effects = before
  let current = state
  while (current.nowMs < nowMs) {
    const stepMs = nextStep(current, nowMs, config)
    const [due, later] = split(current.pending, stepMs, nowMs + config.laggardMs)
    const step = reduce({ ...current, pending: later }, due, stepMs, config)
    current = step.state
    effects = joinEffects(effects, step.effects)
  }
  return { state: current, effects }
}

function nextStep(state: State, nowMs: number, config: CorrelateConfig): number {
  const next = state.nowMs + config.stepMs
  if (isWaiting(state)) return Math.min(next, nowMs)
  // Nothing is open: straight to where the first finding is due. After hours of silence that saves thousands of empty steps.
  let firstMs = nowMs
  for (const { dueMs } of state.pending) firstMs = Math.min(firstMs, dueMs)
  return Math.min(nowMs, Math.max(next, Math.ceil(firstMs / config.stepMs) * config.stepMs))
}

/** What claims to be from beyond any partition's time is not waited for. */
function split(pending: readonly Pending[], stepMs: number, horizonMs: number): [due: Finding[], later: Pending[]] {
  const due: Finding[] = []
  const later: Pending[] = []
  for (const one of pending) {
    if (one.dueMs <= stepMs || one.dueMs > horizonMs) due.push(one.finding)
    else later.push(one)
  }
  return [due, later]
}
