/**
 * The score of the Numenta Anomaly Benchmark: every labelled window is worth a point when something in it is detected, more the
 * earlier; every detection outside costs a little; one threshold serves the whole corpus. 100 is perfect, 0 is to detect nothing.
 * Lavin & Ahmad, "Evaluating Real-time Anomaly Detection Algorithms", 2015 (https://arxiv.org/abs/1510.03336), as its program
 * computes it: https://github.com/numenta/NAB/blob/master/nab/sweeper.py. A threshold is met by a score that is at least as large.
 */

/** What a hit, a false alarm and a miss weigh. */
export interface NabProfile {
  readonly hit: number
  readonly falseAlarm: number
  readonly miss: number
}

export const NAB_PROFILES = {
  standard: { hit: 1, falseAlarm: 0.11, miss: 1 },
  lowFP: { hit: 1, falseAlarm: 0.22, miss: 1 },
  lowFN: { hit: 1, falseAlarm: 0.11, miss: 2 },
} as const satisfies Readonly<Record<string, NabProfile>>

export type NabProfileName = keyof typeof NAB_PROFILES

/** Rows of equal length, oldest first; windows with both ends included. A score that is NaN is never a detection. */
export interface NabFile {
  readonly timeMs: Float64Array
  readonly score: Float64Array
  readonly windows: readonly (readonly [startMs: number, endMs: number])[]
}

/** Not yet a score: those of several files add up, which that of `nabScaled` does not. */
export interface NabRaw {
  readonly raw: number
  readonly windows: number
}

export interface NabBest {
  readonly threshold: number
  readonly score: number
}

/** Rows of the beginning that nobody is judged by: 15 %, at most 750. */
export const probationRows = (rows: number): number => Math.min(Math.floor(0.15 * rows), 750)

/** What several files are worth together. NaN when none of them has a window. */
export function nabScaled(parts: readonly NabRaw[], profile: NabProfile): number {
  let raw = 0
  let windows = 0
  for (const part of parts) {
    raw += part.raw
    windows += part.windows
  }
  if (windows === 0) return Number.NaN
  const none = -windows * profile.miss
  return (100 * (raw - none)) / (windows * profile.hit - none)
}

/**
 * Everything a threshold can change about a set of files, sorted once: O(n log n), then O(n) for each profile's best threshold. Of a
 * window only the rows count that are stranger than all of it before them; the others never are its first detection.
 */
export class NabCorpus {
  readonly windows: number
  /** Falling. */
  readonly #score: Float64Array
  /** For a row outside all windows what it costs, -1 to 0; for one inside what it adds to what the stranger rows after it earned. */
  readonly #worth: Float64Array
  /** 0 outside, 1 inside, 2 inside and the first detection of its window as the threshold falls. */
  readonly #role: Uint8Array

  constructor(files: readonly NabFile[]) {
    const events: Event[] = []
    let windows = 0
    for (const file of files) {
      windows += file.windows.length
      collect(file, events)
    }
    events.sort((a, b) => (a.score === b.score ? 0 : b.score > a.score ? 1 : -1))
    this.windows = windows
    this.#score = Float64Array.from(events, (event) => event.score)
    this.#worth = Float64Array.from(events, (event) => event.worth)
    this.#role = Uint8Array.from(events, (event) => event.role)
  }

  raw(threshold: number, profile: NabProfile): NabRaw {
    let raw = 0 - this.windows * profile.miss
    for (let i = 0; i < this.#score.length && this.#score[i]! >= threshold; i++) raw += this.#gain(i, profile)
    return { raw, windows: this.windows }
  }

  score(threshold: number, profile: NabProfile): number {
    return nabScaled([this.raw(threshold, profile)], profile)
  }

  /** The threshold that NAB's `optimize` step looks for; Infinity when nothing pays. Of several the highest. */
  best(profile: NabProfile): NabBest {
    let raw = 0 - this.windows * profile.miss
    let best = raw
    let threshold = Infinity
    for (let i = 0; i < this.#score.length; i++) {
      raw += this.#gain(i, profile)
      // Rows of one score are detected together.
      if (raw > best && this.#score[i + 1] !== this.#score[i]) {
        best = raw
        threshold = this.#score[i]!
      }
    }
    return { threshold, score: nabScaled([{ raw: best, windows: this.windows }], profile) }
  }

  #gain(i: number, profile: NabProfile): number {
    const role = this.#role[i]!
    if (role === 0) return this.#worth[i]! * profile.falseAlarm
    return this.#worth[i]! * profile.hit + (role === 2 ? profile.miss : 0)
  }
}

interface Event {
  readonly score: number
  readonly worth: number
  readonly role: 0 | 1 | 2
}

function collect(file: NabFile, events: Event[]): void {
  const { timeMs, score } = file
  const rows = timeMs.length
  const windows = windowRows(file)
  let next = 0
  let previous: readonly [number, number] | undefined
  let i = probationRows(rows)
  while (i < rows) {
    while (next < windows.length && windows[next]![1] < i) previous = windows[next++]
    const window = windows[next]
    if (window !== undefined && i >= window[0]) {
      collectWindow(score, i, window, events)
      i = window[1] + 1
      continue
    }
    if (!Number.isNaN(score[i]!)) {
      const worth = previous === undefined ? -1 : sigmoid((i - previous[1]) / (previous[1] - previous[0]))
      events.push({ score: score[i]!, worth, role: 0 })
    }
    i++
  }
}

/** The records of a window from its first row on that is judged: each takes the place of the next higher one as the threshold falls. */
function collectWindow(score: Float64Array, from: number, [first, last]: readonly [number, number], events: Event[]): void {
  const width = last - first + 1
  const records: number[] = []
  let highest = -Infinity
  for (let i = from; i <= last; i++) {
    if (score[i]! > highest || (records.length === 0 && score[i] === -Infinity)) {
      highest = score[i]!
      records.push(i)
    }
  }
  let earned = 0
  for (let k = records.length - 1; k >= 0; k--) {
    const i = records[k]!
    const worth = sigmoid(-(last - i + 1) / width) / sigmoid(-1)
    events.push({ score: score[i]!, worth: worth - earned, role: k === records.length - 1 ? 2 : 1 })
    earned = worth
  }
}

/** First and last row of each window, in order. Clocks that were turned back leave times twice: the first row counts. */
function windowRows({ timeMs, windows }: NabFile): (readonly [number, number])[] {
  const found: [number, number][] = []
  for (const [startMs, endMs] of windows) {
    let first = -1
    let last = -1
    for (let i = 0; i < timeMs.length; i++) {
      if (first < 0 && timeMs[i]! >= startMs) first = i
      if (timeMs[i] === endMs) {
        last = i
        break
      }
      if (timeMs[i]! < endMs) last = i
    }
    if (first >= 0 && last >= first) found.push([first, last])
  }
  return found.sort((a, b) => a[0] - b[0])
}

/** 1 far before, 0 at the end of the window, -1 from three widths after it. */
function sigmoid(x: number): number {
  return x > 3 ? -1 : 2 / (1 + Math.exp(5 * x)) - 1
}
