/**
 * Looks at the history of one bounded resource and says when it is full, if that can be said. Two views: how it has risen lately, over the longest
 * stretch that still agrees with the shorter ones (the intersection of confidence intervals, Goldenshluger and Nemirovski 1997,
 * https://www.math.nsc.ru/LBRT/g2/english/ssk/mms97.pdf), and how the peaks of its cycles have risen. What has turned back before
 * at such a height, or from such a rise, is expected to turn back again. Nothing is foretold further ahead than the past bears out.
 */
import { arrivalOf, BLOCKS, newTrend, trendOf, trendOfCycles, type Arrival, type Trend } from './exhaustion.ts'
import { MOST_CYCLES, RING_POINTS, type ResourceHistory, type Turns } from './resource-history.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** Stretches that are looked at, and the ring they are read from. */
const STRETCHES = [
  [8 * MINUTE_MS, 0],
  [16 * MINUTE_MS, 0],
  [32 * MINUTE_MS, 0],
  [64 * MINUTE_MS, 0],
  [2 * HOUR_MS, 1],
  [4 * HOUR_MS, 1],
  [8 * HOUR_MS, 1],
  [16 * HOUR_MS, 1],
  [32 * HOUR_MS, 2],
  [64 * HOUR_MS, 2],
  [128 * HOUR_MS, 2],
  [192 * HOUR_MS, 2],
] as const
/** Where the chains of stretches begin: between two steps of something that grows in steps a short one sees nothing. Floors are not seen in minutes. */
const CHAINS = [0, 4, 8] as const
const FLOOR_CHAINS = [4, 8] as const
/** What accelerates goes on accelerating: a square is a slow guess. */
const STILL_SOONER = 0.85
/** How many standard errors two paces may differ by and still be the same. */
const SAME = 2
/** A trend is believed for so many times the stretch it was seen over. */
const REACH = 2
/** Everything that is known must be so many times as long as what is foretold. */
const PAST_PER_FUTURE = 4
/** Cycles are expected to go on; a rise so many times as fast as any of them is another thing. */
const ANOTHER_PACE = 2
/** One rise that ended says something only if it was short: a person cleans up after a long one. */
const SHORT_RISE_MS = 18 * HOUR_MS
const CYCLES_MS = 14 * 24 * HOUR_MS
const LEAST_CYCLES = 4

/** Which past a forecast rests on. */
export type Basis = 'rise' | 'cycles' | 'none'

export interface Outlook extends Arrival {
  basis: Basis
  pace: number
  /** The pace in its standard errors. */
  sureness: number
  /** How long it has been seen. */
  spanMs: number
}

export function newOutlook(): Outlook {
  return { basis: 'none', pace: 0, sureness: 0, spanMs: 0, midMs: Infinity, earlyMs: Infinity, lateMs: Infinity }
}

interface Rise extends Trend {
  /** The pace of the second half. */
  quicker: number
}

export class Foresight {
  readonly #history: ResourceHistory
  readonly #timeMs = new Float64Array(RING_POINTS)
  readonly #level = new Float64Array(RING_POINTS)
  readonly #cycleMs = new Float64Array(MOST_CYCLES)
  readonly #cycleLevel = new Float64Array(MOST_CYCLES)
  readonly #trend: Rise = { ...newTrend(), quicker: 0 }
  readonly #best: Rise = { ...newTrend(), quicker: 0 }
  readonly #arrival: Arrival = { midMs: 0, earlyMs: 0, lateMs: 0 }
  readonly #turns: Turns = { count: 0, highest: 0, rise: 0, spread: 0, pace: 0, riseMs: 0 }

  constructor(history: ResourceHistory) {
    this.#history = history
  }

  /** When `level` reaches `limit`; `leastSureness`: a pace that is fewer standard errors from none says nothing. Written to `out`. */
  look(slot: number, nowMs: number, level: number, limit: number, floors: boolean, leastSureness: number, out: Outlook): void {
    out.basis = 'none'
    out.pace = out.sureness = out.spanMs = 0
    out.midMs = out.earlyMs = out.lateMs = Number.POSITIVE_INFINITY
    const c = this.#history.columns
    const knownMs = nowMs - c.firstMs[slot]!
    const believedMs = knownMs / PAST_PER_FUTURE
    this.#history.turns(slot, nowMs - CYCLES_MS, this.#turns)
    for (const chain of floors ? FLOOR_CHAINS : CHAINS) {
      if (!this.#recent(slot, nowMs, floors, chain)) continue
      const trend = this.#best
      // Steps count as soon as they are there; a single point beside the line does not.
      const now = Math.max(level, this.#latest(slot))
      if (trend.level - now > this.#slack(trend) || this.#turnsBack(slot, level, limit, trend.pace)) continue
      // Where floors count, how high it is just now says nothing of the room that is left.
      const at = floors ? trend.level : Math.max(Math.min(level, this.#latest(slot)), trend.level)
      this.#take('rise', trend, limit - at, believedMs, leastSureness, out)
    }
    const cycles = this.#history.readCycles(slot, nowMs - CYCLES_MS, floors, this.#cycleMs, this.#cycleLevel)
    if (cycles < LEAST_CYCLES) return
    trendOfCycles(this.#cycleMs, this.#cycleLevel, cycles, nowMs, this.#trend)
    this.#trend.quicker = this.#trend.pace
    this.#take('cycles', this.#trend, limit - this.#trend.level, believedMs, leastSureness, out)
  }

  #take(basis: Basis, trend: Rise, room: number, believedMs: number, leastSureness: number, out: Outlook): void {
    const sureness = trend.pace / trend.doubt
    if (!(sureness >= leastSureness)) return
    arrivalOf(room, trend, this.#arrival)
    const { midMs, earlyMs, lateMs } = this.#arrival
    if (!(midMs < out.midMs) || midMs > believedMs || midMs > REACH * trend.spanMs) return
    // It happens at a peak, and peaks are that far apart.
    const apartMs = basis === 'cycles' ? (this.#cycleMs[LEAST_CYCLES - 1]! - this.#cycleMs[0]!) / (LEAST_CYCLES - 1) : 0
    out.basis = basis
    out.pace = trend.pace
    out.sureness = sureness
    out.spanMs = trend.spanMs
    out.midMs = midMs
    out.earlyMs = Math.max(0, Math.min(earlyMs, sooner(room, trend)) - apartMs)
    out.lateMs = lateMs + apartMs
  }

  /** The trend of the longest stretch that agrees with all shorter ones of the chain, in `#best`. */
  #recent(slot: number, nowMs: number, floors: boolean, from: number): boolean {
    let low = Number.NEGATIVE_INFINITY
    let high = Number.POSITIVE_INFINITY
    let found = false
    const trend = this.#trend
    for (let i = from; i < STRETCHES.length; i++) {
      const [spanMs, ring] = STRETCHES[i]!
      const count = this.#history.read(slot, ring, nowMs - spanMs, floors, this.#timeMs, this.#level)
      trendOf(this.#timeMs, this.#level, count, nowMs - spanMs, nowMs, trend)
      if (Number.isNaN(trend.pace)) {
        if (found && nowMs - spanMs < this.#history.columns.firstMs[slot]!) break
        continue
      }
      low = Math.max(low, trend.pace - SAME * trend.error)
      high = Math.min(high, trend.pace + SAME * trend.error)
      if (low > high) break
      trend.quicker = found ? this.#best.pace : trend.pace
      found = true
      Object.assign(this.#best, trend)
    }
    return found
  }

  /** How far below its line a level may be and still be on it: a walk of one block, or half of what a block rises. */
  #slack({ wander, pace, spanMs }: Trend): number {
    const blockMs = spanMs / (BLOCKS - 1)
    return Math.max(SAME * Math.sqrt(wander * blockMs), (pace * blockMs) / 2)
  }

  #latest(slot: number): number {
    const count = this.#history.read(slot, 0, 0, false, this.#timeMs, this.#level)
    return this.#level[Math.max(0, count - 2)]!
  }

  /** Whether it has come this way before and gone back. */
  #turnsBack(slot: number, level: number, limit: number, pace: number): boolean {
    const { count, highest, rise, spread, pace: usual, riseMs } = this.#turns
    if (count === 0 || (count === 1 && riseMs > SHORT_RISE_MS) || pace > ANOTHER_PACE * usual) return false
    const c = this.#history.columns
    const from = c.rising[slot] === 1 ? c.trough[slot]! : Math.min(level, c.trough[slot]!)
    const reach = rise + Math.max(0.02 * limit, count > 1 ? 2 * spread : 0.1 * rise)
    return level <= highest || (level - from <= reach && from + reach < limit)
  }
}

/** When the limit is reached if the pace goes on growing as it did from the whole stretch to its second half. */
function sooner(room: number, { pace, quicker, spanMs }: Rise): number {
  if (!(quicker > pace) || !(room > 0)) return Number.POSITIVE_INFINITY
  const growth = (quicker - pace) / (spanMs / 4)
  const now = quicker + growth * (spanMs / 4)
  return (STILL_SOONER * 2 * room) / (now + Math.sqrt(now * now + 2 * growth * room))
}
