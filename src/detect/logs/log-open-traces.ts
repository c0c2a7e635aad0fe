/**
 * Which lines go on with a stack trace that an earlier line of the same instance began, when a trace comes line by line: frames soon after a line
 * of its own, and indented lines among frames. Indented lines elsewhere are what they are: JSON or YAML over several lines, lists, the
 * output of a program. Bounded; what is not followed for lack of room has only lines of its own, so that no line is lost.
 */
import type { Source } from '../../model.ts'
import { FRAME, INDENTED, traceKind } from './log-trace.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

/** Frames later than this after the line before them are of no line. */
const LATEST_MS = 5_000
/** Clocks differ: so far ahead of the window that is closed a line may be. */
const AHEAD_MS = 600_000
const MAX_SOURCES = 10_000

/** What the last line of an instance was. */
export interface LastLine {
  timeMs: number
  isFrame: boolean
}

export class OpenTraces {
  readonly #last = new Map<string, LastLine>()

  of({ service, instance }: Source): LastLine | undefined {
    const name = `${service}\0${instance}`
    let last = this.#last.get(name)
    if (last === undefined && this.#last.size < MAX_SOURCES) this.#last.set(name, (last = { timeMs: NaN, isFrame: false }))
    return last
  }

  /** At the end of a window: instances that were silent since. */
  forget(beforeMs: number): void {
    for (const [name, { timeMs }] of this.#last) if (!(timeMs >= beforeMs && timeMs <= beforeMs + AHEAD_MS)) this.#last.delete(name)
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#last.size)
    for (const [name, { timeMs, isFrame }] of this.#last) {
      to.string(name)
      to.f64(timeMs)
      to.u8(isFrame ? 1 : 0)
    }
  }

  restore(from: SnapshotReader): void {
    this.#last.clear()
    for (let left = from.count(13); left > 0; left--) this.#last.set(from.string(), { timeMs: from.f64(), isFrame: from.u8() === 1 })
  }
}

/** Whether the line is part of the trace that is open there; notes that it came. */
export function continuesTrace(last: LastLine | undefined, line: string, timeMs: number): boolean {
  if (last === undefined) return false
  const kind = traceKind(line)
  // NaN is never soon after anything.
  const isSoon = Math.abs(timeMs - last.timeMs) <= LATEST_MS
  const isPart = kind === FRAME || (kind === INDENTED && last.isFrame)
  // A text of several lines is a record of its own, even if it begins like a frame.
  const continues = isSoon && isPart && !line.includes('\n')
  last.timeMs = timeMs
  last.isFrame = continues
  return continues
}
