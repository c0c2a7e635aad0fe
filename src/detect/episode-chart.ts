/**
 * The chart of an anomaly: equal-length columns, oldest first, of so many points at most. A long one is thinned, and its peaks are kept.
 */
export interface Chart {
  readonly timeMs: number[]
  readonly observed: number[]
  readonly expected: number[]
  readonly low: number[]
  readonly high: number[]
  readonly score: number[]
  /** Observations per point, and how many the last point stands for. */
  stride: number
  inLast: number
}

export function newChart(): Chart {
  return { timeMs: [], observed: [], expected: [], low: [], high: [], score: [], stride: 1, inLast: 0 }
}

/** In the order of a snapshot. */
export function columnsOf(chart: Chart): readonly number[][] {
  return [chart.timeMs, chart.observed, chart.expected, chart.low, chart.high, chart.score]
}

/** `low` and `high` are finite; a `score` of NaN is of an observation that was not judged. */
export function addPoint(
  chart: Chart,
  timeMs: number,
  observed: number,
  expected: number,
  low: number,
  high: number,
  score: number,
  maxPoints: number,
): void {
  if (chart.inLast > 0 && chart.inLast < chart.stride) {
    chart.inLast++
    if (!(score > chart.score.at(-1)!)) return
    for (const column of columnsOf(chart)) column.pop()
  } else {
    if (chart.timeMs.length >= maxPoints) {
      halve(chart)
      chart.stride *= 2
    }
    chart.inLast = 1
  }
  chart.timeMs.push(timeMs)
  chart.observed.push(drawn(observed))
  chart.expected.push(drawn(expected))
  chart.low.push(drawn(low))
  chart.high.push(drawn(high))
  chart.score.push(Number.isNaN(score) ? 0 : score)
}

/** Six figures are more than a chart can show, and half the bytes. */
function drawn(value: number): number {
  return Number(value.toPrecision(6))
}

/** Of every two neighbours the one with the higher score stays, so that peaks outlive the thinning; so does the very first, from before it began. */
function halve(chart: Chart): void {
  const columns = columnsOf(chart)
  const half = Math.ceil(chart.score.length / 2)
  for (let i = 0; i < half; i++) {
    const keep = i > 0 && (chart.score[2 * i + 1] ?? -1) > chart.score[2 * i]! ? 2 * i + 1 : 2 * i
    for (const column of columns) column[i] = column[keep]!
  }
  for (const column of columns) column.length = half
}
