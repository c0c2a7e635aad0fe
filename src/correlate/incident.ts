/**
 * Folds findings and what people do into incidents. Pure: no clock, no I/O, no randomness; the same state and inputs give the same
 * effects to the byte, whatever the order of the inputs. Findings seen before change nothing. `collect` (stepper.ts) decides
 * when findings are reduced; here is what follows from them.
 */
import type { CorrelateConfig } from './config.ts'
import { Draft, isOpen } from './draft.ts'
import { fold } from './fold.ts'
import { advance } from './lifecycle.ts'
import { assign, attachChanges } from './membership.ts'
import { prune } from './prune.ts'
import type { Effects, Input, State } from './state.ts'

/** `nowMs` is event time; one before the last step's counts as the last step's. */
export function reduce(state: State, inputs: readonly Input[], nowMs: number, config: CorrelateConfig): { state: State; effects: Effects } {
  const draft = new Draft(state, Math.max(nowMs, state.nowMs), config)
  fold(draft, inputs)
  assign(draft)
  attachChanges(draft)
  advance(draft)
  prune(draft)
  return draft.finish()
}

/** Time passing alone can change something. */
export function isWaiting(state: State): boolean {
  for (const tracked of state.incidents.values()) if (isOpen(tracked)) return true
  return false
}
