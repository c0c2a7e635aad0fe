/**
 * When a level that rises reaches its limit, and how sure that is. A stretch of history is cut into blocks; the pace is Theil and Sen's median
 * slope between the blocks' medians (Sen 1968, https://doi.org/10.1080/01621459.1968.10480934), and what the blocks do beside it is taken for a
 * random walk around that drift: its spread grows with the root of time, and the drift is known as well as so many blocks allow.
 * Pure; times in milliseconds, paces per millisecond.
 */

/** One is enough of a sentence, and six of eight make a median that one bad block does not move. */
export const BLOCKS = 8
const LEAST_BLOCKS = 6
const MOST_POINTS = 128
/** However straight the line was: no pace is known better than the one, nor stays closer to itself in future than the other. */
const LEAST_ERROR = 0.03
const LEAST_DOUBT = 0.1
/** Half of the width of an 80 % interval in standard errors, Student's t with six degrees of freedom. */
const INTERVAL_T = 1.44

/** What is known of the pace over one stretch. */
export interface Trend {
  /** NaN: there were too few points. */
  pace: number
  /** Standard error of the pace over the stretch, and of the pace to come. */
  error: number
  doubt: number
  /** Variance of the walk around the drift, per millisecond. */
  wander: number
  spanMs: number
  /** Of the line, at its end. */
  level: number
}

/** When the limit is reached, from now on. Infinite where it never is. */
export interface Arrival {
  midMs: number
  /** The ends of the interval that holds it in four of five cases. */
  earlyMs: number
  lateMs: number
}

export function newTrend(): Trend {
  return { pace: Number.NaN, error: Number.NaN, doubt: Number.NaN, wander: 0, spanMs: 0, level: Number.NaN }
}

const pointBlock = new Uint8Array(MOST_POINTS)
const inBlock = new Float64Array(MOST_POINTS)
const blockMs = new Float64Array(32)
const blockLevel = new Float64Array(32)
const slopes = new Float64Array((32 * 31) / 2)
const rests = new Float64Array(32)

/** The trend of the points from `fromMs` to `toMs`, of which there are `count`, ascending in time; written to `out`. */
export function trendOf(timeMs: Float64Array, level: Float64Array, count: number, fromMs: number, toMs: number, out: Trend): void {
  const blockSpanMs = (toMs - fromMs) / BLOCKS
  const points = Math.min(count, MOST_POINTS)
  for (let i = 0; i < points; i++) pointBlock[i] = Math.min(BLOCKS - 1, Math.max(0, Math.floor((timeMs[i]! - fromMs) / blockSpanMs)))
  let blocks = 0
  for (let i = 0; i < points;) {
    const block = pointBlock[i]!
    let size = 0
    let sumMs = 0
    for (; i < points && pointBlock[i] === block; i++) {
      inBlock[size++] = level[i]!
      sumMs += timeMs[i]! - fromMs
    }
    blockMs[blocks] = sumMs / size
    blockLevel[blocks++] = medianOf(inBlock, size)
  }
  fit(blocks, LEAST_BLOCKS, out)
  out.level += out.pace * (toMs - fromMs)
}

/** The same for few points that each stand for a whole cycle; the level is the line's at `toMs`. At most 32. */
export function trendOfCycles(timeMs: Float64Array, level: Float64Array, count: number, toMs: number, out: Trend): void {
  const fromMs = count > 0 ? timeMs[0]! : toMs
  for (let i = 0; i < count; i++) {
    blockMs[i] = timeMs[i]! - fromMs
    blockLevel[i] = level[i]!
  }
  fit(count, 4, out)
  out.level += out.pace * (toMs - fromMs)
}

/** Times of blocks count from the start of the stretch; `level` becomes the line's there. */
function fit(blocks: number, least: number, out: Trend): void {
  out.pace = out.error = out.doubt = out.level = Number.NaN
  out.wander = out.spanMs = 0
  if (blocks < least) return
  let pairs = 0
  for (let i = 0; i < blocks; i++) {
    for (let j = i + 1; j < blocks; j++) slopes[pairs++] = (blockLevel[j]! - blockLevel[i]!) / (blockMs[j]! - blockMs[i]!)
  }
  const pace = medianOf(slopes, pairs)
  let squares = 0
  for (let i = 1; i < blocks; i++) {
    const stepMs = blockMs[i]! - blockMs[i - 1]!
    const beside = blockLevel[i]! - blockLevel[i - 1]! - pace * stepMs
    squares += (beside * beside) / stepMs
  }
  for (let i = 0; i < blocks; i++) rests[i] = blockLevel[i]! - pace * blockMs[i]!
  out.spanMs = blockMs[blocks - 1]! - blockMs[0]!
  out.pace = pace
  out.wander = squares / (blocks - 2)
  out.error = Math.sqrt(out.wander / out.spanMs + (LEAST_ERROR * pace) ** 2)
  out.doubt = Math.sqrt(out.wander / out.spanMs + (LEAST_DOUBT * pace) ** 2)
  out.level = medianOf(rests, blocks)
}

/**
 * When a drifting walk that is `room` below its limit gets there. The probability that it is past it at t is that of
 * (pace · t − room) / sqrt(wander · t + doubt² · t²), and where that crosses 10 and 90 % the interval ends.
 */
export function arrivalOf(room: number, { pace, doubt, wander }: Readonly<Trend>, out: Arrival): void {
  out.midMs = out.earlyMs = out.lateMs = Number.POSITIVE_INFINITY
  if (!(room > 0)) {
    out.midMs = out.earlyMs = out.lateMs = 0
    return
  }
  if (!(pace > 0)) return
  const z2 = INTERVAL_T * INTERVAL_T
  const a = pace * pace - z2 * doubt * doubt
  const b = 2 * room * pace + z2 * wander
  const root = Math.sqrt(Math.max(0, b * b - 4 * a * room * room))
  out.midMs = room / pace
  out.earlyMs = (2 * room * room) / (b + root)
  if (a > 0) out.lateMs = (b + root) / (2 * a)
}

/** Sorts the first `count` in place. */
function medianOf(values: Float64Array, count: number): number {
  const sorted = values.subarray(0, count)
  sorted.sort()
  const half = count >> 1
  return count % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}
