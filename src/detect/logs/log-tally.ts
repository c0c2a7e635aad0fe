/**
 * What one window says of one service: lines, how many of them complain, and per template lines, severities, an example and the numbers in its
 * first few lines. Numbers are taken from the same lines whatever the batches: the first that come.
 */
import { numbersOf } from './log-values.ts'
import { clipped } from './log-wording.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

export const WARN = 13
export const ERROR = 17
/** Numbers of a line that are looked at, and lines of a template and window whose numbers are. */
export const POSITIONS = 4
export const SAMPLED_LINES = 8

/** One template in one window of one service. */
export interface TemplateTally {
  lines: number
  /** Of these, of warning severity, and of error severity or worse. */
  warnings: number
  errors: number
  severity: number
  readonly example: string
  /** Numbers of the first lines, `POSITIONS` per line, NaN where there is none; undefined: the first line has none. */
  readonly numbers: Float64Array | undefined
  sampled: number
}

export interface ServiceTally {
  lines: number
  warnings: number
  errors: number
  warningExample: string
  errorExample: string
  /** A version of the service that was never seen before; '' when there is none. */
  version: string
  readonly templates: Map<number, TemplateTally>
}

const found = new Float64Array(POSITIONS)

export function newTally(): ServiceTally {
  return { lines: 0, warnings: 0, errors: 0, warningExample: '', errorExample: '', version: '', templates: new Map() }
}

export function newTemplateTally(severity: number, text: string): TemplateTally {
  const numbers = numbersOf(text, found) > 0 ? new Float64Array(POSITIONS * SAMPLED_LINES) : undefined
  return { lines: 0, warnings: 0, errors: 0, severity, example: clipped(text), numbers, sampled: 0 }
}

export function addLine(tally: TemplateTally, severity: number, text: string): void {
  tally.lines++
  if (severity > tally.severity) tally.severity = severity
  if (severity >= ERROR) tally.errors++
  else if (severity >= WARN) tally.warnings++
  if (tally.numbers === undefined || tally.sampled >= SAMPLED_LINES) return
  const count = numbersOf(text, found)
  const at = tally.sampled++ * POSITIONS
  for (let i = 0; i < POSITIONS; i++) tally.numbers[at + i] = i < count ? found[i]! : NaN
}

/** Two templates turned out to be one. */
export function addTally(to: TemplateTally, from: TemplateTally): void {
  to.lines += from.lines
  to.warnings += from.warnings
  to.errors += from.errors
  to.severity = Math.max(to.severity, from.severity)
  if (to.numbers === undefined || from.numbers === undefined) return
  const more = Math.min(SAMPLED_LINES - to.sampled, from.sampled)
  to.numbers.set(from.numbers.subarray(0, more * POSITIONS), to.sampled * POSITIONS)
  to.sampled += more
}

export function writeWindow(to: SnapshotWriter, window: Map<string, ServiceTally>): void {
  to.u32(window.size)
  for (const [name, tally] of window) {
    to.string(name)
    for (const value of [tally.lines, tally.warnings, tally.errors]) to.f64(value)
    for (const text of [tally.warningExample, tally.errorExample, tally.version]) to.string(text)
    to.u32(tally.templates.size)
    for (const [id, count] of tally.templates) {
      for (const value of [id, count.lines, count.warnings, count.errors]) to.f64(value)
      to.u8(count.severity)
      to.string(count.example)
      to.u8(count.numbers === undefined ? 0 : 1)
      to.column(count.numbers === undefined ? new Float64Array(0) : count.numbers.subarray(0, count.sampled * POSITIONS))
    }
  }
}

export function readWindow(from: SnapshotReader): Map<string, ServiceTally> {
  const window = new Map<string, ServiceTally>()
  for (let left = from.count(24); left > 0; left--) {
    const tally = newTally()
    window.set(from.string(), tally)
    tally.lines = from.f64()
    if (from.version > 1) tally.warnings = from.f64()
    tally.errors = from.f64()
    if (from.version > 1) tally.warningExample = from.string()
    tally.errorExample = from.string()
    if (from.version > 1) tally.version = from.string()
    for (let more = from.count(21); more > 0; more--) tally.templates.set(from.f64(), readTemplate(from))
  }
  return window
}

function readTemplate(from: SnapshotReader): TemplateTally {
  const lines = from.f64()
  if (from.version === 1) {
    const severity = from.u8()
    const example = from.string()
    return { lines, warnings: 0, errors: severity >= ERROR ? lines : 0, severity, example, numbers: undefined, sampled: 0 }
  }
  const [warnings, errors, severity, example] = [from.f64(), from.f64(), from.u8(), from.string()]
  const hasNumbers = from.u8() === 1
  const saved = from.f64s()
  if (!hasNumbers) return { lines, warnings, errors, severity, example, numbers: undefined, sampled: 0 }
  const numbers = new Float64Array(POSITIONS * SAMPLED_LINES)
  numbers.set(saved.subarray(0, numbers.length))
  return { lines, warnings, errors, severity, example, numbers, sampled: Math.min(SAMPLED_LINES, Math.floor(saved.length / POSITIONS)) }
}
