/**
 * The numbers inside the lines of frequent templates, by position. A measurement (it varies from line to line and does not only count up) is
 * watched by the median of eight lines on a log scale; what looks like an HTTP status is watched by its share of server errors.
 * Both follow the lines and not the clock, so that a busy template is judged every window and a rare one after eight lines.
 */
import { TAIL_MEAN, tailMeanAfter, tailStartAfter, tailThreshold } from './log-chance.ts'
import { POSITIONS, type TemplateTally } from './log-tally.ts'
import { logged, shareScore } from '../reckon.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const BATCH = 8
/** Statuses judged at a time. */
const STATUS_BATCH = 16
const LEARNT = 30
const RATE = 0.01
const CLIP = 4
const TO_SIGMA = 1.2533
/** A tenth up or down is no difference, half as much again is one worth telling. */
const LEAST_SPREAD = 0.1
const LEAST_RISE = Math.log(1.5)
/** Mean distance from the median within a batch below which a number is a setting or a name. */
const LEAST_VARIETY = 0.02
/** Share of medians above the one before from which it is a counter. */
const COUNTER = 0.9
const ODD_WEIGHT = 0.1
const CODES = 12
/** The 90 % quantile of the smaller of two normal distances. */
const PAIR_START = 0.48
const NO_STATUS = 255
/** No more than so many statuses are remembered: how often a service fails is itself never quite the same. */
const STATUS_MEMORY = 300
const LEAST_FAILED = 4
/** However surprising a share of server errors is. */
export const MOST_SCORE = 100

/** Statuses that are in use (https://www.iana.org/assignments/http-status-codes), with nginx's 499 and Cloudflare's 520 to 527. */
function isStatus(value: number): boolean {
  if (!Number.isInteger(value)) return false
  if (value >= 400)
    return value <= 431 || value === 451 || value === 499 || (value >= 500 && value <= 511) || (value >= 520 && value <= 527)
  return (value >= 100 && value <= 103) || (value >= 200 && value <= 208) || value === 226 || (value >= 300 && value <= 308)
}

function columns(places: number) {
  return {
    pending: new Float32Array(places * BATCH),
    pendingCount: new Uint8Array(places),
    batches: new Uint32Array(places),
    location: new Float32Array(places),
    deviation: new Float32Array(places),
    odd: new Uint32Array(places),
    last: new Float32Array(places),
    lastZ: new Float32Array(places),
    /** Share of medians above the one before. */
    rising: new Float32Array(places),
    variety: new Float32Array(places),
    tailStart: new Float32Array(places),
    tailMean: new Float32Array(places),
    tailCount: new Uint32Array(places),
    /** Different statuses seen; more than fit: it is none. */
    codes: new Uint16Array(places * CODES),
    codeCount: new Uint8Array(places),
    failed: new Float32Array(places),
    passed: new Float32Array(places),
    newFailed: new Uint32Array(places),
    newPassed: new Uint32Array(places),
  }
}

type Columns = ReturnType<typeof columns>
const WIDTHS = new Map([
  ['pending', BATCH],
  ['codes', CODES],
])

export interface ValueJudgement {
  position: number
  isStatus: boolean
  score: number
  observed: number
  expected: number
  high: number
  /** Lines behind `observed`. */
  lines: number
  /** What made the score of a status: server errors and other statuses as learnt before; of a number: its spread, and the distance of the batch before. */
  failedBefore: number
  passedBefore: number
  spread: number
  previousZ: number
  threshold: number
  /** The score is at least this. */
  least: number
}

export interface ValueRules {
  /** Never fewer spreads than this. */
  readonly leastZ: number
  /** Batches after which what is different is normal. */
  readonly absorbAfter: number
}

export class TemplateValues {
  /** What `take` judged, position by position; the first so many as it returned. */
  readonly judged: readonly ValueJudgement[] = Array.from({ length: POSITIONS }, () => ({
    position: 0,
    isStatus: false,
    score: 0,
    observed: 0,
    expected: 0,
    high: 0,
    lines: 0,
    failedBefore: 0,
    passedBefore: 0,
    spread: 1,
    previousZ: 0,
    threshold: 1,
    least: 0,
  }))
  readonly #rules: ValueRules
  readonly #places = new Map<number, number>()
  readonly #free: number[] = []
  #c: Columns = columns(0)
  #capacity = 0
  readonly #batch = new Float64Array(BATCH)

  constructor(rules: ValueRules) {
    this.#rules = rules
  }

  has(slot: number): boolean {
    return this.#places.has(slot)
  }

  watch(slot: number): void {
    const place = this.#free.pop() ?? this.#places.size
    if ((place + 1) * POSITIONS > this.#capacity) this.#grow(Math.max(64, this.#capacity * 2))
    for (const [name, column] of Object.entries(this.#c)) {
      const width = (WIDTHS.get(name) ?? 1) * POSITIONS
      column.fill(0, place * width, (place + 1) * width)
    }
    for (let at = place * POSITIONS; at < (place + 1) * POSITIONS; at++) {
      this.#c.tailStart[at] = PAIR_START
      this.#c.tailMean[at] = TAIL_MEAN
    }
    this.#places.set(slot, place)
  }

  forget(slot: number): void {
    const place = this.#places.get(slot)
    if (place === undefined) return
    this.#places.delete(slot)
    this.#free.push(place)
  }

  /** Takes in the numbers of a window; says how many positions had enough of them to be judged. `nats`: what the budget asks for. */
  take(slot: number, tally: TemplateTally, nats: number): number {
    const place = this.#places.get(slot)
    if (place === undefined || tally.numbers === undefined) return 0
    let count = 0
    for (let position = 0; position < POSITIONS; position++) {
      const at = place * POSITIONS + position
      let isJudged = false
      for (let line = 0; line < tally.sampled; line++) {
        const value = tally.numbers[line * POSITIONS + position]!
        if (Number.isNaN(value)) continue
        this.#noteStatus(at, value)
        const filled = this.#c.pendingCount[at]!
        this.#c.pending[at * BATCH + filled] = logged(value)
        this.#c.pendingCount[at] = filled + 1
        if (filled + 1 < BATCH) continue
        this.#c.pendingCount[at] = 0
        if (this.#c.codeCount[at] === NO_STATUS) isJudged = this.#judgeMedian(at, this.judged[count]!, nats)
      }
      if (this.#c.codeCount[at]! !== NO_STATUS && this.#c.newFailed[at]! + this.#c.newPassed[at]! >= STATUS_BATCH)
        isJudged = this.#judgeStatus(at, this.judged[count]!, nats)
      if (isJudged) this.judged[count++]!.position = position
    }
    return count
  }

  snapshot(to: SnapshotWriter): void {
    to.column(Float64Array.from(this.#places.keys()))
    to.column(Float64Array.from(this.#places.values()))
    to.column(Float64Array.from(this.#free))
    const places = this.#places.size + this.#free.length
    for (const [name, column] of Object.entries(this.#c)) to.column(column.subarray(0, places * POSITIONS * (WIDTHS.get(name) ?? 1)))
  }

  restore(from: SnapshotReader): void {
    this.#places.clear()
    this.#free.length = 0
    const slots = from.f64s()
    const places = from.f64s()
    for (let i = 0; i < slots.length; i++) this.#places.set(slots[i]!, places[i]!)
    this.#free.push(...from.f64s())
    this.#c = columns(0)
    this.#capacity = 0
    this.#grow(Math.max(64, (this.#places.size + this.#free.length) * POSITIONS))
    for (const column of Object.values(this.#c)) {
      if (column instanceof Float32Array) column.set(from.f32s())
      else if (column instanceof Uint32Array) column.set(from.u32s())
      else if (column instanceof Uint16Array) column.set(from.u16s())
      else column.set(from.u8s())
    }
  }

  #noteStatus(at: number, value: number): void {
    const c = this.#c
    const known = c.codeCount[at]!
    if (known === NO_STATUS) return
    if (!isStatus(value)) {
      c.codeCount[at] = NO_STATUS
      return
    }
    if (value >= 500) c.newFailed[at] = c.newFailed[at]! + 1
    else c.newPassed[at] = c.newPassed[at]! + 1
    for (let i = 0; i < known; i++) if (c.codes[at * CODES + i] === value) return
    if (known === CODES) c.codeCount[at] = NO_STATUS
    else {
      c.codes[at * CODES + known] = value
      c.codeCount[at] = known + 1
    }
  }

  #judgeStatus(at: number, out: ValueJudgement, nats: number): boolean {
    const c = this.#c
    const failed = c.newFailed[at]!
    const n = failed + c.newPassed[at]!
    c.newFailed[at] = 0
    c.newPassed[at] = 0
    const before = c.failed[at]! + c.passed[at]!
    const share = before === 0 ? 0 : c.failed[at]! / before
    out.failedBefore = c.failed[at]! + 0.5
    out.passedBefore = c.passed[at]! + 0.5
    out.least = 0
    const isKnown = before >= STATUS_MEMORY / 2
    out.isStatus = true
    out.score =
      isKnown && failed >= LEAST_FAILED ? Math.min(shareScore(failed, n, out.failedBefore, out.passedBefore, nats), MOST_SCORE) : 0
    out.observed = failed / n
    out.expected = share
    out.high = Math.min(1, share + 4 * Math.sqrt((share + 0.02) / n))
    out.lines = n
    const isAnomalous = out.score >= 1
    c.odd[at] = isAnomalous ? c.odd[at]! + 1 : 0
    const weight = isAnomalous && c.odd[at] <= this.#rules.absorbAfter ? ODD_WEIGHT : 1
    const kept = Math.min(1, STATUS_MEMORY / (before + n))
    c.failed[at] = (c.failed[at]! + weight * failed) * kept
    c.passed[at] = (c.passed[at]! + weight * (n - failed)) * kept
    return isKnown
  }

  #judgeMedian(at: number, out: ValueJudgement, nats: number): boolean {
    const c = this.#c
    const batch = this.#batch
    for (let i = 0; i < BATCH; i++) batch[i] = c.pending[at * BATCH + i]!
    batch.sort()
    const median = (batch[BATCH / 2 - 1]! + batch[BATCH / 2]!) / 2
    let variety = 0
    for (let i = 0; i < BATCH; i++) variety += Math.abs(batch[i]! - median)
    variety /= BATCH
    const n = c.batches[at]!
    const rate = Math.max(RATE, 1 / (n + 1))
    const spread = Math.max(LEAST_SPREAD, c.deviation[at]! * TO_SIGMA)
    const z = n === 0 ? 0 : (median - c.location[at]!) / spread
    // Two in a row: one batch may all be of one slow moment.
    const both = Math.min(z, c.lastZ[at]!)
    const threshold = Math.max(this.#rules.leastZ, tailThreshold(c.tailStart[at]!, c.tailMean[at]!, nats) * (1 + 10 / (n + 10)))
    const isMeasured = n >= LEARNT && c.variety[at]! >= LEAST_VARIETY && c.rising[at]! < COUNTER
    const isLarge = median - c.location[at]! >= LEAST_RISE
    out.isStatus = false
    const raw = Math.max(0, both / threshold)
    // Once told it lasts for as long as it is large.
    out.score = !isMeasured ? 0 : !isLarge ? Math.min(0.5, raw) : c.odd[at]! > 0 ? Math.max(1, raw) : raw
    out.observed = unlogged(median)
    out.expected = unlogged(c.location[at]!)
    out.high = unlogged(c.location[at]! + Math.max(LEAST_RISE, threshold * spread))
    out.lines = BATCH
    out.spread = spread
    out.previousZ = c.lastZ[at]!
    out.threshold = threshold
    out.least = c.odd[at]! > 0 ? 1 : 0
    const isAnomalous = out.score >= 1
    const odd = isAnomalous ? c.odd[at]! + 1 : 0
    c.odd[at] = odd > this.#rules.absorbAfter ? 0 : odd
    if (n === 0 || odd > this.#rules.absorbAfter) c.location[at] = median
    else {
      const weight = isAnomalous ? ODD_WEIGHT : 1
      const limit = n < BATCH ? Infinity : CLIP * spread
      const step = Math.max(-limit, Math.min(limit, median - c.location[at]!))
      c.deviation[at] = c.deviation[at]! + weight * rate * (Math.abs(step) - c.deviation[at]!)
      c.location[at] = c.location[at]! + weight * rate * step
    }
    if (!isAnomalous) {
      c.variety[at] = c.variety[at]! + rate * (variety - c.variety[at]!)
      c.rising[at] = c.rising[at]! + Math.max(0.05, rate) * ((median > c.last[at]! ? 1 : 0) - c.rising[at]!)
    }
    if (n >= BATCH && !(isAnomalous && odd > 1)) this.#learnTail(at, both, threshold, n, isAnomalous)
    c.last[at] = median
    c.lastZ[at] = z
    c.batches[at] = n + 1
    return isMeasured
  }

  #learnTail(at: number, z: number, threshold: number, n: number, isAnomalous: boolean): void {
    const c = this.#c
    const start = c.tailStart[at]!
    if (!isAnomalous) c.tailStart[at] = tailStartAfter(start, z, Math.max(0.01, 2 / (n + 20)), 0)
    if (z <= start) return
    const count = isAnomalous ? c.tailCount[at]! : c.tailCount[at]! + 1
    c.tailCount[at] = count
    c.tailMean[at] = tailMeanAfter(c.tailMean[at]!, Math.min(z, threshold) - start, count, z / threshold)
  }

  #grow(capacity: number): void {
    const before = this.#c
    this.#c = columns(capacity)
    for (const name of Object.keys(before) as (keyof Columns)[]) this.#c[name].set(before[name])
    this.#capacity = capacity
  }
}

function unlogged(x: number): number {
  return Math.sign(x) * Math.expm1(Math.abs(x))
}
