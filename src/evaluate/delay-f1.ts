/**
 * F1 over points as the AIOps Challenge 2018 counts it: a labelled segment that is noticed within its first `delay` + 1 points counts
 * as noticed whole, any other as missed whole; points outside segments count one by one; all series are pooled. Times are put on a
 * grid of the smallest interval, and a point that is missing there is normal and silent.
 * Ren et al., KDD 2019, section 4.2 (https://arxiv.org/abs/1906.03821); https://github.com/NetManAIOps/KPI-Anomaly-Detection.
 */

/** Columns of equal length in any order; a label is 0 or 1; a score that is NaN is never a detection. */
export interface LabelledScores {
  readonly timeMs: Float64Array
  readonly label: Uint8Array
  readonly score: Float64Array
}

export interface F1 {
  readonly f1: number
  readonly precision: number
  readonly recall: number
}

/** What a threshold can change about one series. */
export interface DelaySeries {
  /** Per labelled segment the largest score of its first `delay` + 1 points, -Infinity when there is none. */
  readonly reached: Float64Array
  readonly points: Float64Array
  /** The scores of all points outside segments, rising. */
  readonly outside: Float64Array
}

/** O(n log n). */
export function delaySeries({ timeMs, label, score }: LabelledScores, delay: number): DelaySeries {
  const order = inOrder(timeMs)
  const rows = order.length
  let intervalMs = Infinity
  for (let i = 1; i < rows; i++) {
    const apart = timeMs[order[i]!]! - timeMs[order[i - 1]!]!
    if (apart > 0 && apart < intervalMs) intervalMs = apart
  }
  const reached: number[] = []
  const points: number[] = []
  const outside = new Float64Array(rows)
  let normal = 0
  let slot = -2
  let startSlot = 0
  let inside = false
  for (let i = 0; i < rows; i++) {
    const row = order[i]!
    const at = Math.floor((timeMs[row]! - timeMs[order[0]!]!) / intervalMs)
    const value = Number.isNaN(score[row]!) ? -Infinity : score[row]!
    // A grid point that nothing was measured for is normal: it ends a segment.
    if (label[row] === 1) {
      if (!inside || at > slot + 1) {
        startSlot = at
        reached.push(-Infinity)
        points.push(0)
      }
      inside = true
      if (at !== slot || points.at(-1) === 0) points[points.length - 1]!++
      if (at - startSlot <= delay && value > reached.at(-1)!) reached[reached.length - 1] = value
    } else {
      inside = false
      outside[normal++] = value
    }
    slot = at
  }
  return { reached: Float64Array.from(reached), points: Float64Array.from(points), outside: outside.slice(0, normal).sort() }
}

/** A point is a detection when its score is `threshold` or more. */
export function delayF1(series: readonly DelaySeries[], threshold: number): F1 {
  return f1Of([delayCounts(series, threshold)])
}

/** Points; they add up, also of series that were judged by different thresholds. */
export interface DelayCounts {
  readonly hits: number
  readonly falseAlarms: number
  readonly labelled: number
}

export function delayCounts(series: readonly DelaySeries[], threshold: number): DelayCounts {
  let hits = 0
  let labelled = 0
  let falseAlarms = 0
  for (const one of series) {
    for (let i = 0; i < one.points.length; i++) {
      labelled += one.points[i]!
      if (one.reached[i]! >= threshold) hits += one.points[i]!
    }
    falseAlarms += atLeast(one.outside, threshold)
  }
  return { hits, falseAlarms, labelled }
}

/** The threshold with the largest F1, Infinity when there is nothing to find. Only what a segment reached can be it. */
export function bestDelayF1(series: readonly DelaySeries[]): F1 & { readonly threshold: number } {
  const segments = series.flatMap((one) => Array.from(one.reached, (reached, i) => [reached, one.points[i]!] as const))
  segments.sort((a, b) => b[0] - a[0])
  let labelled = 0
  for (const [, points] of segments) labelled += points
  let best = { ...f1Of([{ hits: 0, falseAlarms: 0, labelled }]), threshold: Infinity }
  let hits = 0
  for (let i = 0; i < segments.length; i++) {
    const [threshold, points] = segments[i]!
    hits += points
    if (segments[i + 1]?.[0] === threshold || threshold === -Infinity) continue
    let falseAlarms = 0
    for (const one of series) falseAlarms += atLeast(one.outside, threshold)
    const figures = f1Of([{ hits, falseAlarms, labelled }])
    if (figures.f1 > best.f1) best = { ...figures, threshold }
  }
  return best
}

export function f1Of(counts: readonly DelayCounts[]): F1 {
  let hits = 0
  let falseAlarms = 0
  let labelled = 0
  for (const one of counts) {
    hits += one.hits
    falseAlarms += one.falseAlarms
    labelled += one.labelled
  }
  const precision = hits === 0 ? 0 : hits / (hits + falseAlarms)
  const recall = hits === 0 ? 0 : hits / labelled
  return { f1: hits === 0 ? 0 : (2 * precision * recall) / (precision + recall), precision, recall }
}

/** How many of the rising `values` are `threshold` or more. */
function atLeast(values: Float64Array, threshold: number): number {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]! < threshold) low = middle + 1
    else high = middle
  }
  return values.length - low
}

function inOrder(timeMs: Float64Array): Uint32Array {
  const order = Uint32Array.from(timeMs, (_, i) => i)
  for (let i = 1; i < timeMs.length; i++) if (timeMs[i]! < timeMs[i - 1]!) return order.sort((a, b) => timeMs[a]! - timeMs[b]!)
  return order
}
