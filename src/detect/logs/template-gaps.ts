/**
 * How long a template usually stays away, and when that is too long to be chance. Silence is measured on two clocks: windows in which the service was
 * awake, and how often other templates came; a heartbeat is regular on the first, what users cause on the second, and one that is late on
 * both has stopped. When the service falls silent or its traffic falls, the clocks stop or slow down with it. What comes at long intervals
 * (an hourly job, a nightly one) is known by when its last visits began.
 */
import { natsFor } from './log-chance.ts'
import { VISITS, type TemplateTable } from './template-table.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const RATE = 0.01
const TO_SIGMA = 1.2533
const LEARNT_GAPS = 20
/** A gap teaches no more than one of so many spreads. */
const CLIP = 8
/** Even a clock is late now and then: the spread of gaps is at least this share of their mean. */
const LEAST_SPREAD = 0.15
const BEYOND_LONGEST = 1.5
const BEYOND_LONGEST_IRREGULAR = 2.5
/** Spread of the gaps, as a share of their mean, below which they follow the clock; and how long what does, and does not, is learnt. */
const REGULAR = 0.3
const LEARN_REGULAR_MS = HOUR_MS
const LEARN_IRREGULAR_MS = 2 * DAY_MS
/** What comes by chance and more seldom than this is not missed. */
const IRREGULAR_MS = 5 * MINUTE_MS
/** Of what the service says besides, this share must go on. */
const ALIVE = 0.3
/** The longest gap is forgotten slowly. */
const FORGET_MS = 28 * DAY_MS
/** A silence that was told lengthens the longest gap by no more than this. */
const MISSING_TEACHES = 1.5
const VISIT_GAP_MS = 10 * MINUTE_MS
const VISIT_GAP_SHARE = 0.25
/** Six visits: five working days and then a weekend are no rule. */
const REGULAR_VISITS = 6
const VISIT_SPREAD = 0.1
const OFTEN_MS = 6 * HOUR_MS

/** Readings of a service's clocks at the end of a window. */
export interface Clocks {
  nowMs: number
  /** Windows in which the service was awake. */
  awake: number
  /** Since when it has been awake without a break. */
  awakeSinceMs: number
  /** How many of its templates came, summed over its windows: what grows when it is busy, and little when one of them is loud. */
  kinds: number
}

/** What is known of a silence. Overwritten by the next one. */
export interface Silence {
  /** 1: chance is excluded. 0: no more than usual, or unknown. */
  score: number
  /** How far apart it came, and the longest it ever stayed away. */
  everyMs: number
  longestMs: number
  /** When it should have come. */
  missedMs: number
  /** It comes at set times. */
  isScheduled: boolean
  /** How long it has been away, and how long it may be: windows, milliseconds where it is scheduled. Then other lines meanwhile, and how many there may be. */
  gap: number
  gapLimit: number
  others: number
  othersLimit: number
}

export interface GapRules {
  readonly windowMs: number
  readonly falseAlarmsPerWeek: number
  /** Nothing has stopped that was heard of so recently. */
  readonly leastMs: number
}

export class TemplateGaps {
  readonly #table: TemplateTable
  readonly #rules: GapRules
  readonly #out: Silence = {
    score: 0,
    everyMs: 0,
    longestMs: 0,
    missedMs: 0,
    isScheduled: false,
    gap: 0,
    gapLimit: 1,
    others: 0,
    othersLimit: 1,
  }

  constructor(table: TemplateTable, rules: GapRules) {
    this.#table = table
    this.#rules = rules
  }

  /** It came in this window. */
  came(slot: number, clocks: Readonly<Clocks>): void {
    const { c } = this.#table
    const others = clocks.kinds - c.comings[slot]!
    const wallMs = clocks.nowMs - c.lastMs[slot]!
    if (c.visitCount[slot] === 0) this.#visit(slot, clocks.nowMs)
    else if (wallMs > 0) {
      this.#learn(slot, Math.max(1, clocks.awake - c.lastAwake[slot]!), others - c.lastOthers[slot]!, wallMs)
      if (wallMs >= Math.max(VISIT_GAP_MS, VISIT_GAP_SHARE * c.gapMost[slot]! * this.#rules.windowMs)) this.#visit(slot, clocks.nowMs)
    }
    c.lastAwake[slot] = clocks.awake
    c.lastOthers[slot] = others
    c.lastMs[slot] = clocks.nowMs
  }

  /** It has not come since; `templates` share the budget. */
  silence(slot: number, clocks: Readonly<Clocks>, templates: number): Readonly<Silence> {
    const { c } = this.#table
    const out = this.#out
    const { windowMs, falseAlarmsPerWeek, leastMs } = this.#rules
    out.score = 0
    out.isScheduled = false
    out.gap = out.others = 0
    out.gapLimit = out.othersLimit = 1
    const mean = c.gapMean[slot]!
    out.everyMs = mean * windowMs
    out.longestMs = c.gapMost[slot]! * windowMs
    out.missedMs = c.lastMs[slot]! + out.everyMs
    if (clocks.nowMs - c.lastMs[slot]! < leastMs) return out
    const spread = c.gapDeviation[slot]! * TO_SIGMA
    const isRegular = mean >= 2 && spread < REGULAR * mean
    const isKnown = c.gaps[slot]! >= LEARNT_GAPS && (isRegular || mean * windowMs <= IRREGULAR_MS)
    if (isKnown && c.lastMs[slot]! - c.firstMs[slot]! >= (isRegular ? LEARN_REGULAR_MS : LEARN_IRREGULAR_MS)) {
      const nats = natsFor(mean * windowMs, templates, falseAlarmsPerWeek)
      const limit = Math.max(
        mean + Math.max(spread, LEAST_SPREAD * mean) * nats,
        (isRegular ? BEYOND_LONGEST : BEYOND_LONGEST_IRREGULAR) * c.gapMost[slot]!,
      )
      const gap = clocks.awake - c.lastAwake[slot]!
      const others = clocks.kinds - c.comings[slot]! - c.lastOthers[slot]!
      out.gap = gap
      out.gapLimit = limit
      out.others = Math.max(0, others)
      out.othersLimit = this.#othersLimit(slot, gap, isRegular, nats)
      out.score = Math.min(gap / limit, out.others / out.othersLimit)
    }
    if (out.score < 1) this.#schedule(slot, clocks)
    return out
  }

  /** It has been told that it stopped: the gap it leaves is no example of its ways. */
  missing(slot: number): void {
    this.#table.c.missing[slot] = 1
  }

  /** Nothing is expected of it until it has shown its ways again. */
  forget(slot: number): void {
    const { c } = this.#table
    c.gaps[slot] = 0
    c.visitCount[slot] = 0
  }

  #othersLimit(slot: number, gap: number, isRegular: boolean, nats: number): number {
    const { c } = this.#table
    const mean = c.othersMean[slot]!
    if (isRegular) return Math.max(1, (ALIVE * mean * gap) / c.gapMean[slot]!)
    const spread = Math.max(c.othersDeviation[slot]! * TO_SIGMA, LEAST_SPREAD * mean)
    return Math.max(1, mean + spread * nats, BEYOND_LONGEST_IRREGULAR * c.othersMost[slot]!)
  }

  #schedule(slot: number, { nowMs, awakeSinceMs }: Readonly<Clocks>): void {
    const { c } = this.#table
    const out = this.#out
    const visits = c.visitCount[slot]!
    if (visits < REGULAR_VISITS) return
    const from = slot * VISITS
    let shortest = Infinity
    let longest = 0
    for (let i = 1; i < visits; i++) {
      const interval = c.visits[from + i]! - c.visits[from + i - 1]!
      shortest = Math.min(shortest, interval)
      longest = Math.max(longest, interval)
    }
    const span = longest - shortest
    if (span > VISIT_SPREAD * shortest) return
    const lastMs = c.visits[from + visits - 1]!
    const graceMs = Math.max(3 * span, 0.02 * longest, this.#rules.leastMs)
    // While it was due nobody may have listened, or the service was away as a whole.
    if (awakeSinceMs > lastMs + shortest - graceMs) return
    // A job of every hour may have nothing to say once.
    const missed = longest < OFTEN_MS ? 2 : 1
    const limitMs = missed * longest + graceMs
    const score = (nowMs - lastMs) / limitMs
    if (score < 1) return
    out.gap = nowMs - lastMs
    out.gapLimit = limitMs
    out.score = score
    out.isScheduled = true
    out.everyMs = (longest + shortest) / 2
    out.longestMs = longest
    out.missedMs = lastMs + longest
  }

  #learn(slot: number, gap: number, others: number, wallMs: number): void {
    const { c } = this.#table
    const n = c.gaps[slot]!
    const rate = Math.max(RATE, 1 / (n + 1))
    const clip = (value: number, mean: number, deviation: number) =>
      n < LEARNT_GAPS ? value : Math.min(value, mean + CLIP * deviation + mean)
    const heard = clip(gap, c.gapMean[slot]!, c.gapDeviation[slot]!) - c.gapMean[slot]!
    c.gapMean[slot] = c.gapMean[slot]! + rate * heard
    if (n > 0) c.gapDeviation[slot] = c.gapDeviation[slot]! + rate * (Math.abs(heard) - c.gapDeviation[slot]!)
    const beside = clip(others, c.othersMean[slot]!, c.othersDeviation[slot]!) - c.othersMean[slot]!
    c.othersMean[slot] = c.othersMean[slot]! + rate * beside
    if (n > 0) c.othersDeviation[slot] = c.othersDeviation[slot]! + rate * (Math.abs(beside) - c.othersDeviation[slot]!)
    const kept = Math.exp(-wallMs / FORGET_MS)
    const wasTold = c.missing[slot] === 1
    c.missing[slot] = 0
    const longest = wasTold ? Math.min(gap, MISSING_TEACHES * c.gapMost[slot]!) : gap
    const most = wasTold ? Math.min(others, MISSING_TEACHES * c.othersMost[slot]!) : others
    c.gapMost[slot] = Math.max(c.gapMost[slot]! * kept, longest)
    c.othersMost[slot] = Math.max(c.othersMost[slot]! * kept, most)
    c.gaps[slot] = n + 1
  }

  #visit(slot: number, atMs: number): void {
    const { c } = this.#table
    const from = slot * VISITS
    const count = c.visitCount[slot]!
    if (count < VISITS) {
      c.visits[from + count] = atMs
      c.visitCount[slot] = count + 1
      return
    }
    c.visits.copyWithin(from, from + 1, from + VISITS)
    c.visits[from + VISITS - 1] = atMs
  }
}
