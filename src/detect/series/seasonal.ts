/**
 * Streaming baselines of many series, a column per quantity, a slot per series. Each observation is judged against
 * level + time-of-day profile in units of a robust spread, then learnt from, less while it is abnormal. The threshold of a
 * series follows from its own tail: above the running 90 % quantile of how far it strays for as many rows in a row as an
 * anomaly needs, the tail is taken as exponential, so that false alarms per week are a setting.
 * A level that has lasted for `holdMs` is the new normal. Nothing is allocated per observation.
 */
import type { Reckoning } from '../../model.ts'
import { Calendar, HOUR_MS } from '../calendar.ts'
import { DayTypes } from './day-types.ts'
import { deviationScore, reckoning } from '../reckon.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

export interface BaselineRules {
  /** Rows and time before a series may score. */
  readonly warmupRows: number
  readonly warmupMs: number
  readonly falseAlarmsPerWeek: number
  /** The threshold is never fewer spreads than this. */
  readonly leastZ: number
  /** Rows in a row that make an anomaly, 1 to 3: the tail is that of their minimum. */
  readonly persistence: number
}

export const Side = { both: 0, up: 1, down: 2 } as const
export type Side = (typeof Side)[keyof typeof Side]

export interface BaselineOf {
  readonly side: Side
  /** Least spread, in the unit of the values and as a share of the level. */
  readonly floor: number
  readonly relativeFloor: number
  /** As long as all values are whole, half a thing is no difference. False for rates and ratios. */
  readonly whole: boolean
  /** How long a new level is held to be abnormal before it becomes normal. */
  readonly holdMs: number
}

/** What became of one observation. One object per Baselines, overwritten by the next `judge`. */
export interface Judgement {
  /** False: too little is known yet, the score is NaN. */
  warm: boolean
  expected: number
  low: number
  high: number
  /** What one spread is worth now. */
  spread: number
  /** Signed distance in spreads. */
  z: number
  /** How far on the side that is bad, 1 = threshold. */
  score: number
  direction: 'up' | 'down'
  side: Side
  /** How many spreads a score of 1 is. */
  threshold: number
  /** What the threshold was made of: where the tail begins, how long it is on average, rows per week, and how much wider a young series is judged. */
  tailStart: number
  tailMean: number
  rowsPerWeek: number
  youth: number
}

const DAY_MS = 86_400_000
const BINS = 24
const WEEK_MS = 7 * DAY_MS
/** Residuals further out than this many spreads teach no more than one that is exactly so far out. */
const CLIP = 5
/** Values further than this from the first are taken for so far: single precision holds what becomes of them. */
const LARGEST = 1e36
/** So many times the warm-up, in rows and in time, and others may learn from a series. */
const ESTABLISHED = 10
/** … for so long after its last row; it may be that of a pod that this one replaces. */
const LEFT_MS = 3_600_000
const MOST_SIBLINGS = 16
/** So many rows are taken as they come. */
const FIRST_ROWS = 10
const LEVEL_ROWS = 50
const LEVEL_MS = 300_000
const SPREAD_RATE = 0.005
const PROFILE_SHARE = 0.2
/** In the first days a bin has been seen once or twice: it learns faster. */
const PROFILE_SHARE_EARLY = 0.5
const EARLY_MS = 3 * DAY_MS
/** A row further out than the least threshold may be the first of an anomaly: it teaches little, else it would hide the next. */
const ODD_LEVEL_WEIGHT = 0.1
const ODD_SPREAD_WEIGHT = 0.2
const ABNORMAL_SPREAD_WEIGHT = 0.02
const ABSORB_RATE = 0.1
/** An anomaly that opens teaches the tail this much, once: the threshold rises by about a tenth. */
const TAIL_ABNORMAL_RATE = 0.01
const TAIL_SHARE = 0.1
/** Before there are exceedances: what a normal distribution would have, counted as so many. */
const TAIL_START = 1.2
const TAIL_MEAN = 0.5
const TAIL_PRIOR = 5
/** An exceedance teaches no more than one of so many means; one in twenty of an exponential tail is larger. */
const TAIL_CLIP = 3
const GAP_INTERVALS = 10
const GAP_MS = 600_000
/** Mean absolute deviation to standard deviation of a normal distribution, √(π/2). */
const MAD_TO_SD = 1.2533

/** How the score of what has just been judged came about. Its tail says how often so much comes by chance, for as many rows as an anomaly needs. */
export function deviationReckoning(observed: number, j: Readonly<Judgement>): Reckoning {
  const beyond = (j.score * j.threshold) / j.youth - j.tailStart
  const weeks = beyond > 0 && j.tailMean > 0 ? Math.exp(beyond / j.tailMean) / (TAIL_SHARE * j.rowsPerWeek) : Number.NaN
  return reckoning(
    'deviation',
    [
      ['observed', observed],
      ['expected', j.expected],
      ['spread', j.spread],
      ['side', j.side],
      ['threshold', j.threshold],
    ],
    weeks,
  )
}

/** The first version of the detector's snapshot that knows days off. */
const DAY_TYPES_SINCE = 5

function columns(slots: number) {
  return {
    base: new Float64Array(slots),
    lastMs: new Float64Array(slots),
    bornMs: new Float64Array(slots),
    warmSinceMs: new Float64Array(slots),
    abnormalSinceMs: new Float64Array(slots),
    rows: new Uint32Array(slots),
    abnormalRows: new Uint32Array(slots),
    level: new Float32Array(slots),
    spread: new Float32Array(slots),
    interval: new Float32Array(slots),
    quantum: new Float32Array(slots),
    last: new Float32Array(slots),
    z1: new Float32Array(slots),
    z2: new Float32Array(slots),
    tailStart: new Float32Array(slots),
    tailMean: new Float32Array(slots),
    tailCount: new Float32Array(slots),
    floor: new Float32Array(slots),
    relativeFloor: new Float32Array(slots),
    holdMs: new Float32Array(slots),
    side: new Uint8Array(slots),
    fractional: new Uint8Array(slots),
    /** Whether it has been judged: what it can know from others it does know. */
    judged: new Uint8Array(slots),
  }
}

type Columns = ReturnType<typeof columns>

export class Baselines {
  readonly #rules: BaselineRules
  readonly #judgement: Judgement = {
    warm: false,
    expected: 0,
    low: 0,
    high: 0,
    spread: 0,
    z: 0,
    score: Number.NaN,
    direction: 'up',
    side: Side.both,
    threshold: 1,
    tailStart: 0,
    tailMean: 0,
    rowsPerWeek: 0,
    youth: 1,
  }
  readonly #free: number[] = []
  #c: Columns = columns(0)
  /** Bin-major, and a bin that was never visited does not exist: a tick touches one or two contiguous columns. */
  readonly #bins: (Float32Array | undefined)[] = Array.from({ length: BINS }, () => undefined)
  readonly #days = new DayTypes()
  readonly #calendar: Calendar
  /** Of the last observation: the local hour whose middle it is past, how far it is to that of the next one, and whether it is a day off. */
  readonly #clock = { timeMs: Number.NaN, hour: 0, share: 0, off: false }
  #capacity = 0
  #end = 0

  constructor(rules: BaselineRules, calendar = new Calendar()) {
    this.#rules = rules
    this.#calendar = calendar
  }

  get size(): number {
    return this.#end - this.#free.length
  }

  add(of: BaselineOf): number {
    const slot = this.#free.pop() ?? this.#end++
    if (slot >= this.#capacity) this.#grow(Math.max(64, this.#capacity * 2))
    const c = this.#c
    for (const column of Object.values(c)) column[slot] = 0
    for (const bin of this.#bins) if (bin) bin[slot] = 0
    c.floor[slot] = of.floor
    c.relativeFloor[slot] = of.relativeFloor
    c.side[slot] = of.side
    c.fractional[slot] = of.whole ? 0 : 1
    c.holdMs[slot] = of.holdMs
    c.tailStart[slot] = TAIL_START
    c.tailMean[slot] = TAIL_MEAN
    return slot
  }

  /** The slot may be given to another series. */
  remove(slot: number): void {
    this.#free.push(slot)
    this.#days.forget(slot)
  }

  /** What it watches has started anew: what is normal has to show again before it may score; season and tail are kept. */
  settle(slot: number, timeMs: number): void {
    const c = this.#c
    c.rows[slot] = Math.min(c.rows[slot]!, 5)
    c.warmSinceMs[slot] = timeMs
    c.z1[slot] = 0
    c.z2[slot] = 0
    c.abnormalRows[slot] = 0
  }

  /** Whether the next row is the first that will be judged: the time to ask its siblings. True once. */
  isDue(slot: number, timeMs: number): boolean {
    const c = this.#c
    if (c.judged[slot] === 1 || c.rows[slot]! < this.#rules.warmupRows || timeMs - c.warmSinceMs[slot]! < this.#rules.warmupMs) return false
    c.judged[slot] = 1
    return true
  }

  /**
   * The series takes over what its siblings know: how much they scatter and how far they stray; where they agree with each other, what the time
   * of day makes of them; and, where `level` is asked for and they have a bad side, what is normal: a lower load than theirs is none of it, and what
   * has been wrong since it started is not its normal. Siblings that are as young or long gone are not asked.
   */
  inherit(slot: number, siblings: readonly number[], timeMs: number, level: boolean): void {
    const c = this.#c
    const { warmupRows, warmupMs } = this.#rules
    const donors = siblings
      .filter((of) => c.rows[of]! >= warmupRows * ESTABLISHED && timeMs - c.bornMs[of]! >= warmupMs * ESTABLISHED)
      .filter((of) => Math.abs(timeMs - c.lastMs[of]!) <= LEFT_MS)
      .slice(0, MOST_SIBLINGS)
    if (donors.length === 0) return
    if (timeMs !== this.#clock.timeMs) this.#look(timeMs)
    const own = c.base[slot]! + c.level[slot]! + this.#habit(slot)
    const levels = donors.map((of) => c.base[of]! + c.level[of]! + this.#habit(of))
    const normal = median(levels)
    const apart = median(levels.map((of) => Math.abs(of - normal)))
    const spread = median(donors.map((of) => this.#spread(of, c.rows[of]!, normal)))
    c.tailStart[slot] = median(donors.map((of) => c.tailStart[of]!))
    c.tailMean[slot] = median(donors.map((of) => c.tailMean[of]!))
    c.tailCount[slot] = median(donors.map((of) => c.tailCount[of]!))
    c.fractional[slot] = Math.max(c.fractional[slot]!, ...donors.map((of) => c.fractional[of]!))
    c.spread[slot] = Math.max(c.spread[slot]!, spread)
    // Two are needed to agree.
    if (donors.length < 2 || !(apart <= spread)) return
    const nearest = donors[levels.reduce((best, of, i) => (Math.abs(of - normal) < Math.abs(levels[best]! - normal) ? i : best), 0)]!
    for (const bin of this.#bins) if (bin) bin[slot] = bin[nearest]!
    this.#days.inherit(slot, nearest)
    const asTheyAre = level && c.side[slot] !== Side.both
    c.level[slot] = bounded((asTheyAre ? normal : own) - c.base[slot]! - this.#habit(slot))
    if (!asTheyAre) return
    c.spread[slot] = Math.hypot(spread, apart * MAD_TO_SD)
    c.rows[slot] = Math.max(c.rows[slot]!, warmupRows * ESTABLISHED)
  }

  /** Judges, then learns. Times of one slot ascend. The answer is overwritten by the next call. */
  judge(slot: number, timeMs: number, value: number): Readonly<Judgement> {
    const c = this.#c
    const out = this.#judgement
    if (c.rows[slot] === 0 && c.bornMs[slot] === 0) this.#begin(slot, timeMs, value)
    const dtMs = timeMs - c.lastMs[slot]!
    const interval = c.interval[slot]!
    if (interval > 0 && dtMs > GAP_MS && dtMs > interval * GAP_INTERVALS) this.settle(slot, timeMs)
    else if (dtMs > 0) c.interval[slot] = interval === 0 ? dtMs : interval + 0.1 * (Math.min(dtMs, interval * 3) - interval)
    c.lastMs[slot] = timeMs

    const rows = c.rows[slot]!
    if (timeMs !== this.#clock.timeMs) this.#look(timeMs)
    const { hour, share, off } = this.#clock
    const early = ((hour % BINS) + BINS) % BINS
    const binA = this.#bin(early)
    const binB = this.#bin((early + 1) % BINS)
    const dayOff = off ? this.#days.foretell(this.#clock, slot) : undefined
    const x = bounded(value - c.base[slot]!)
    const habit = (1 - share) * binA[slot]! + share * binB[slot]!
    const predicted = c.level[slot]! + habit + (dayOff ?? 0)
    const spread = this.#spread(slot, rows, c.base[slot]! + predicted)
    const residual = x - predicted
    const z = spread > 0 ? residual / spread : 0
    const side = c.side[slot]!
    const threshold = this.#threshold(slot, rows, out)

    out.warm = rows >= this.#rules.warmupRows && timeMs - c.warmSinceMs[slot]! >= this.#rules.warmupMs
    out.expected = c.base[slot]! + predicted
    out.low = side === Side.up ? Number.NEGATIVE_INFINITY : out.expected - threshold * spread
    out.high = side === Side.down ? Number.POSITIVE_INFINITY : out.expected + threshold * spread
    out.spread = spread
    out.z = z
    out.score = out.warm ? deviationScore(z, side, threshold) : Number.NaN
    out.direction = residual < 0 ? 'down' : 'up'
    out.side = side as Side
    out.threshold = threshold

    const abnormal = out.warm && Math.abs(z) >= threshold
    const before = c.abnormalRows[slot]!
    if (abnormal) {
      if (before === 0) c.abnormalSinceMs[slot] = timeMs
      c.abnormalRows[slot] = before + 1
    } else {
      c.abnormalRows[slot] = 0
      const step = Math.abs(x - c.last[slot]!)
      if (before === 0 && step > 0 && (c.quantum[slot] === 0 || step < c.quantum[slot]!)) c.quantum[slot] = step
    }
    c.last[slot] = x
    if (!Number.isInteger(value)) c.fractional[slot] = 1
    if (!abnormal || before === this.#rules.persistence - 1) this.#learnTail(slot, z, threshold, rows, abnormal)
    c.z2[slot] = c.z1[slot]!
    c.z1[slot] = z

    // Early on every row counts in proportion to its age: what a process does while it starts is soon outweighed.
    const youth = 2 / (rows + 2)
    const levelRate = Math.max(youth, dtMs / (dtMs + Math.max(LEVEL_MS, LEVEL_ROWS * c.interval[slot]!)))
    const clipped = rows < FIRST_ROWS ? residual : Math.max(-CLIP * spread, Math.min(CLIP * spread, residual))
    const absorbing = abnormal && timeMs - c.abnormalSinceMs[slot]! >= c.holdMs[slot]!
    const odd = abnormal || (rows >= FIRST_ROWS && Math.abs(z) >= this.#rules.leastZ)
    const levelWeight = absorbing ? ABSORB_RATE : (odd ? ODD_LEVEL_WEIGHT : 1) * levelRate
    if (dayOff !== undefined && rows >= FIRST_ROWS && timeMs - c.bornMs[slot]! >= EARLY_MS) {
      const hours = Math.min(1, c.interval[slot]! / HOUR_MS)
      this.#days.learn(this.#clock, slot, x - habit, c.level[slot]!, spread, levelWeight, hours)
    }
    c.level[slot] = c.level[slot]! + levelWeight * (absorbing ? residual : clipped)
    const spreadWeight = absorbing ? 1 : abnormal ? ABNORMAL_SPREAD_WEIGHT : odd ? ODD_SPREAD_WEIGHT : 1
    c.spread[slot] = c.spread[slot]! + spreadWeight * Math.max(SPREAD_RATE, youth) * (Math.abs(clipped) * MAD_TO_SD - c.spread[slot]!)
    // Also from abnormal rows: what comes back at the same time of every day is learnt within a week, a single outage leaves little.
    if (rows >= FIRST_ROWS) {
      const profileRate =
        ((timeMs - c.bornMs[slot]! < EARLY_MS ? PROFILE_SHARE_EARLY : PROFILE_SHARE) * Math.max(1, c.interval[slot]!)) / HOUR_MS
      const learnt = Math.min(0.5, profileRate) * clipped
      // In so far as days off are known for what they are, they teach nothing of workdays.
      const taught = dayOff === undefined ? learnt : (1 - this.#days.belief) * learnt
      binA[slot] = binA[slot]! + (1 - share) * taught
      binB[slot] = binB[slot]! + share * taught
    }
    c.rows[slot] = rows + 1
    return out
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#end)
    to.column(Uint32Array.from(this.#free))
    for (const column of Object.values(this.#c)) to.column(column.subarray(0, this.#end))
    for (const bin of this.#bins) to.column(bin === undefined ? new Float32Array(0) : bin.subarray(0, this.#end))
    this.#days.snapshot(to)
  }

  restore(from: SnapshotReader): void {
    this.#end = from.count()
    this.#free.length = 0
    for (const slot of from.u32s()) if (slot < this.#end) this.#free.push(slot)
    this.#capacity = 0
    this.#c = columns(0)
    this.#bins.fill(undefined)
    this.#grow(Math.max(64, this.#end))
    for (const column of Object.values(this.#c)) {
      if (column === this.#c.judged && from.version < DAY_TYPES_SINCE) continue
      const saved =
        column instanceof Float64Array
          ? from.f64s()
          : column instanceof Float32Array
            ? from.f32s()
            : column instanceof Uint32Array
              ? from.u32s()
              : from.u8s()
      column.set(saved.subarray(0, this.#end))
    }
    for (let bin = 0; bin < BINS; bin++) {
      const saved = from.f32s()
      if (saved.length > 0) this.#bin(bin).set(saved.subarray(0, this.#end))
    }
    if (from.version >= DAY_TYPES_SINCE) this.#days.restore(from)
    else for (let slot = 0; slot < this.#end; slot++) this.#c.judged[slot] = this.#c.rows[slot]! >= this.#rules.warmupRows ? 1 : 0
  }

  /** What the time of day makes of a series now. */
  #habit(slot: number): number {
    const { hour, share, off } = this.#clock
    const early = ((hour % BINS) + BINS) % BINS
    const plain = (1 - share) * this.#bin(early)[slot]! + share * this.#bin((early + 1) % BINS)[slot]!
    return off ? plain + this.#days.foretell(this.#clock, slot) : plain
  }

  #look(timeMs: number): void {
    const clock = this.#clock
    const local = this.#calendar.localHours(timeMs) - 0.5
    clock.timeMs = timeMs
    clock.hour = Math.floor(local)
    clock.share = local - clock.hour
    clock.off = this.#calendar.isOff(Math.floor(local + 0.5))
  }

  #begin(slot: number, timeMs: number, value: number): void {
    const c = this.#c
    // Values are kept less the first one: then single precision costs nothing.
    c.base[slot] = value
    c.bornMs[slot] = timeMs
    c.warmSinceMs[slot] = timeMs
    c.lastMs[slot] = timeMs
  }

  /** Never below what the unit, the level and the grid of the values allow; wider while few rows were seen. */
  #spread(slot: number, rows: number, expected: number): number {
    const c = this.#c
    const seen = c.spread[slot]! * (1 + 4 / (rows + 1))
    const grid = Math.max(c.quantum[slot]! / 2, c.fractional[slot] === 0 ? 0.5 : 0)
    return Math.max(seen, c.floor[slot]!, c.relativeFloor[slot]! * Math.abs(expected), grid)
  }

  #threshold(slot: number, rows: number, out: Judgement): number {
    const c = this.#c
    const rowsPerWeek = WEEK_MS / Math.max(1, c.interval[slot]!)
    const nats = Math.log(Math.max(1, (TAIL_SHARE * rowsPerWeek) / this.#rules.falseAlarmsPerWeek))
    out.tailStart = c.tailStart[slot]!
    out.tailMean = c.tailMean[slot]!
    out.rowsPerWeek = rowsPerWeek
    out.youth = 1 + 10 / (rows + 10)
    return Math.max(this.#rules.leastZ, out.tailStart + out.tailMean * nats) * out.youth
  }

  /** The smallest distance of the last rows on one side: what an anomaly would have needed to open. */
  #learnTail(slot: number, z: number, threshold: number, rows: number, abnormal: boolean): void {
    const c = this.#c
    const side = c.side[slot]!
    const sign = side === Side.up ? 1 : side === Side.down ? -1 : z < 0 ? -1 : 1
    let least = sign * z
    if (this.#rules.persistence > 1) least = Math.min(least, sign * c.z1[slot]!)
    if (this.#rules.persistence > 2) least = Math.min(least, sign * c.z2[slot]!)
    least = Math.min(least, threshold)
    const start = c.tailStart[slot]!
    const rate = Math.max(0.02, 2 / (rows + 20))
    if (!abnormal) c.tailStart[slot] = Math.max(0, start + rate * (least > start ? 1 - TAIL_SHARE : -TAIL_SHARE))
    if (least <= start) return
    const count = abnormal ? c.tailCount[slot]! : c.tailCount[slot]! + 1
    c.tailCount[slot] = count
    const meanRate = abnormal ? TAIL_ABNORMAL_RATE : Math.max(0.01, 1 / (count + TAIL_PRIOR))
    const mean = c.tailMean[slot]!
    c.tailMean[slot] = mean + meanRate * (Math.min(least - start, TAIL_CLIP * mean) - mean)
  }

  #bin(index: number): Float32Array {
    return (this.#bins[index] ??= new Float32Array(this.#capacity))
  }

  #grow(capacity: number): void {
    const before = this.#c
    this.#c = columns(capacity)
    for (const name of Object.keys(before) as (keyof Columns)[]) this.#c[name].set(before[name])
    for (let i = 0; i < BINS; i++) {
      const bin = this.#bins[i]
      if (bin === undefined) continue
      const wider = new Float32Array(capacity)
      wider.set(bin)
      this.#bins[i] = wider
    }
    this.#capacity = capacity
  }
}

function bounded(x: number): number {
  return x > LARGEST ? LARGEST : x < -LARGEST ? -LARGEST : x
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2
}
