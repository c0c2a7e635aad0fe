/**
 * Before a new model of a service takes the place of the running one, both are asked about the latest rows of the history, which neither was
 * fitted on. The new one may not find them odd where the running one does not, and may not give them back clearly worse. By medians, so that an
 * incident among these rows decides nothing.
 */
import type { ServiceModel } from './service-model.ts'
import type { StepHistory } from './step-history.ts'

/** Of the history, set aside for the trial: one row in so many. */
const TRIAL_SHARE = 8
/** With fewer rows there is nothing to tell two models apart by. */
const LEAST_ROWS = 8
/** Deviations of its own fit within which a row is not odd. */
const NOT_ODD = 1
/**
 * The more a net has seen, the coarser: a young one gives back nearly everything, which is no virtue. Asking the new one to be as fine (within a
 * quarter, in deviations of the running one) refused two of five and cost a third of the accuracy of services with a young model.
 */
const TIMES_COARSER = 2
/** Within this, in deviations of the new one, both are fine. */
const FINE = 0.25
const FURTHEST = 50

/** Rows of the history before those of the trial. */
export function rowsBeforeTrial(history: StepHistory): number {
  return history.kept - Math.ceil(history.kept / TRIAL_SHARE)
}

/** Whether `candidate`, fitted to the rows before the trial, may follow `running`, which was fitted at `fittedMs`. */
export function passesTrial(running: ServiceModel, candidate: ServiceModel, history: StepHistory, fittedMs: number): boolean {
  const positions = new Map([...running.columns].map((column, at) => [column, at]))
  const row = new Float64Array(Math.max(...candidate.columns, ...running.columns) + 1)
  const surprises: [candidate: number[], running: number[]] = [[], []]
  const errors: [candidate: number[], running: number[]] = [[], []]
  const from = rowsBeforeTrial(history)
  let at = 0
  for (const block of history.blocks) {
    for (let r = 0; r < block.rows; r++, at++) {
      if (at < from || block.timeMs[r]! <= fittedMs) continue
      row.fill(Number.NaN)
      row.set(block.values.subarray(r * block.width, r * block.width + Math.min(block.width, row.length)))
      surprises[0].push(candidate.suggest(block.timeMs[r]!, row))
      surprises[1].push(running.suggest(block.timeMs[r]!, row))
      let candidateSum = 0
      let runningSum = 0
      let common = 0
      for (let c = 0; c < candidate.columns.length; c++) {
        const k = positions.get(candidate.columns[c]!)
        if (k === undefined || Number.isNaN(running.observed[k]!)) continue
        candidateSum += errorOf(candidate, c, candidate.spread[c]!)
        runningSum += errorOf(running, k, candidate.spread[c]!)
        common++
      }
      errors[0].push(candidateSum / Math.max(1, common))
      errors[1].push(runningSum / Math.max(1, common))
    }
  }
  if (errors[0].length < LEAST_ROWS) return true
  if (median(surprises[0]) > Math.max(NOT_ODD, median(surprises[1]))) return false
  return median(errors[0]) <= TIMES_COARSER * Math.max(FINE, median(errors[1]))
}

function errorOf({ observed, suggested }: ServiceModel, at: number, spread: number): number {
  return Math.min(FURTHEST, Math.abs(observed[at]! - suggested[at]!) / spread)
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!
}
