/**
 * Says when a service uses up its error budget too fast. Requests are counted once, from metrics or from server spans, against the objectives of the
 * configuration; without objectives it does nothing. A fast burn is felt and a reason for an incident, a slow one explains.
 */
import type { Batch, MetricBatch, SpanBatch } from '../../model.ts'
import { SpanKind, SpanStatus } from '../../model.ts'
import { duration } from '../../wording.ts'
import type { Detector, DetectorKind, Emit } from '../detector.ts'
import { Episodes, type Observation, type Subject } from '../episode.ts'
import { BURN_TIERS, FELT_TIERS, PERIOD_MS, SLOW_TIERS, SloBudget, type Burn, type BurnTier } from './slo-budget.ts'
import { burnScore, MAX_SCORE, reckoning } from '../reckon.ts'
import { fits, sloConfig, type Objective, type SloConfig } from './slo-config.ts'
import { counterOf, SloRequests, type Minute, type RequestCounter } from './slo-requests.ts'
import { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const SNAPSHOT = 'the objectives detector'
const VERSION = 1
const MINUTE_MS = 60_000
const AHEAD_MS = 3_600_000
/** Minutes without ticks that are counted one by one; a longer silence is jumped over. */
const MOST_MINUTES = 60
/** Counters that have been silent for so long are forgotten, once an hour. */
const SILENT_MS = 26 * 3_600_000
const SWEEP_MS = 3_600_000
/** A slow burn is never more than a warning, however long it has lasted. */
const SLOW_SCORE = 1.9
/** Services without an objective that are remembered as such. */
const MOST_WITHOUT = 20_000

type Measure = 'availability' | 'latency'

interface Watched {
  readonly service: string
  readonly objective: Objective
  readonly requests: SloRequests
  readonly availability: SloBudget | undefined
  readonly latency: SloBudget | undefined
  seenMs: number
}

export class SloDetector implements Detector {
  readonly #config: SloConfig
  readonly #episodes: Episodes
  readonly #services = new Map<string, Watched>()
  readonly #without = new Set<string>()
  /** By series key; undefined: it counts no requests. */
  readonly #counters = new Map<string, RequestCounter | undefined>()
  /** Where counters stood that have not been heard since a restore. */
  readonly #resumed = new Map<string, readonly [last: number, lastMs: number]>()
  readonly #minute: Minute = { total: 0, bad: 0, timed: 0, slow: 0 }
  /** The minute that is being counted; 0 before the first tick. */
  #minuteMs = 0
  #refused = 0

  constructor(config: SloConfig) {
    this.#config = config
    this.#episodes = new Episodes({ openAfter: 1, closeAfter: 2, updateEveryMs: config.updateEveryMs, chartPoints: config.chartPoints })
  }

  detect(batch: Batch, emit: Emit): void {
    if (this.#config.objectives.length === 0) return
    if (batch.kind === 'metrics') this.#countMetrics(batch)
    else if (batch.kind === 'spans') this.#countSpans(batch)
    else if (batch.kind === 'tick') this.#tick(batch.nowMs, emit)
  }

  counts(): Readonly<Record<string, number>> {
    let [objectives, burning, spent] = [0, 0, 0]
    for (const watched of this.#services.values()) {
      for (const [what, budget] of budgetsOf(watched)) {
        objectives++
        if ([FELT_TIERS, SLOW_TIERS].some((tiers) => this.#episodes.isOpen(keyOf(watched, what, tiers)))) burning++
        if (budget.left(this.#minuteMs) <= 0) spent++
      }
    }
    return { objectives, burning, spent_budgets: spent, refused_series: this.#refused }
  }

  snapshot(): Uint8Array {
    const to = new SnapshotWriter(VERSION)
    to.f64(this.#minuteMs)
    to.f64(this.#refused)
    to.u32(this.#services.size)
    for (const watched of this.#services.values()) {
      to.string(watched.service)
      to.f64(watched.seenMs)
      watched.requests.snapshot(to)
      const budgets = budgetsOf(watched)
      to.u32(budgets.length)
      for (const [what, budget] of budgets) {
        to.string(what)
        budget.snapshot(to)
      }
    }
    const stood = new Map(this.#resumed)
    for (const [key, counter] of this.#counters) if (counter !== undefined) stood.set(key, [counter.last, counter.lastMs])
    to.u32(stood.size)
    for (const [key, [last, lastMs]] of stood) {
      to.string(key)
      to.f64(last)
      to.f64(lastMs)
    }
    this.#episodes.snapshot(to)
    return to.finish()
  }

  restore(bytes: Uint8Array): void {
    const from = new SnapshotReader(bytes, SNAPSHOT, VERSION)
    this.#minuteMs = from.f64()
    this.#refused = from.f64()
    this.#services.clear()
    for (let left = from.count(60); left > 0; left--) {
      const service = from.string()
      const seenMs = from.f64()
      const objective = this.#config.objectives.find((one) => fits(one.service, service))
      // Objectives may have changed: what is counted goes on, what it is held against is the new one.
      const watched = newWatched(service, objective ?? { service, source: 'auto' }, seenMs)
      watched.requests.restore(from)
      for (let more = from.count(); more > 0; more--) {
        const what = from.string()
        const budget = what === 'latency' ? watched.latency : watched.availability
        ;(budget ?? new SloBudget(1)).restore(from)
      }
      if (objective !== undefined) this.#services.set(service, watched)
    }
    this.#counters.clear()
    this.#resumed.clear()
    for (let left = from.count(20); left > 0; left--) this.#resumed.set(from.string(), [from.f64(), from.f64()])
    this.#episodes.restore(from)
    from.end()
  }

  #countMetrics({ series, seriesIndex, rows, timeMs, value, stale }: MetricBatch): void {
    const found = series.map((one) => {
      const watched = this.#watched(one.service)
      if (watched === undefined || watched.objective.source === 'spans') return undefined
      if (this.#counters.has(one.key)) return { watched, counter: this.#counters.get(one.key) }
      const counter = counterOf(one, watched.objective)
      if (this.#counters.size >= this.#config.maxSeries) {
        if (counter !== undefined) this.#refused++
        return undefined
      }
      const before = this.#resumed.get(one.key)
      if (counter !== undefined && before !== undefined) [counter.last, counter.lastMs] = before
      this.#resumed.delete(one.key)
      this.#counters.set(one.key, counter)
      return { watched, counter }
    })
    // Before the first tick nobody knows which times are of the future.
    if (this.#minuteMs === 0) return
    const horizonMs = this.#minuteMs + AHEAD_MS
    for (let row = 0; row < rows; row++) {
      // A row that points nowhere is the series detector's to tell.
      const { watched, counter } = found[seriesIndex[row]!] ?? {}
      if (watched === undefined || counter === undefined || stale[row] === 1) continue
      if (timeMs[row]! > 0 && timeMs[row]! <= horizonMs) watched.requests.sample(counter, timeMs[row]!, value[row]!)
    }
  }

  #countSpans({ rows, sources, sourceIndex, spanKind, status, durationMs }: SpanBatch): void {
    const found = sources.map(({ service }) => this.#watched(service))
    for (let row = 0; row < rows; row++) {
      if (spanKind[row] !== SpanKind.server) continue
      const watched = found[sourceIndex[row]!]
      if (watched !== undefined && watched.objective.source !== 'metrics')
        watched.requests.span(status[row] === SpanStatus.error, durationMs[row]!)
    }
  }

  #watched(service: string): Watched | undefined {
    const known = this.#services.get(service)
    if (known !== undefined || this.#without.has(service)) return known
    const objective = this.#config.objectives.find((one) => fits(one.service, service))
    if (objective === undefined) {
      if (this.#without.size >= MOST_WITHOUT) this.#without.clear()
      this.#without.add(service)
      return undefined
    }
    if (this.#services.size >= this.#config.maxServices) {
      this.#refused++
      return undefined
    }
    const watched = newWatched(service, objective, this.#minuteMs)
    this.#services.set(service, watched)
    return watched
  }

  #tick(nowMs: number, emit: Emit): void {
    const minuteMs = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS
    if (!(minuteMs > this.#minuteMs) || nowMs === Infinity) return
    const fromMs = this.#minuteMs === 0 ? minuteMs - MINUTE_MS : Math.max(this.#minuteMs, minuteMs - MOST_MINUTES * MINUTE_MS)
    this.#minuteMs = minuteMs
    for (const watched of this.#services.values()) {
      watched.requests.close(fromMs, this.#minute)
      const { total, bad, timed, slow } = this.#minute
      if (total > 0 || timed > 0) watched.seenMs = fromMs
      for (const [what, budget] of budgetsOf(watched)) {
        if (what === 'latency') budget.add(fromMs, timed, slow)
        else budget.add(fromMs, total, bad)
        // Minutes without a tick are minutes without a request.
        if (minuteMs - fromMs > MINUTE_MS) budget.add(minuteMs - MINUTE_MS, 0, 0)
        this.#judge(watched, what, budget, emit)
      }
      if (minuteMs - watched.seenMs > this.#config.forgetMs) this.#forget(watched, emit)
    }
    if (minuteMs % SWEEP_MS === 0) this.#sweep(minuteMs - SILENT_MS)
  }

  /** Makes room: pods come and go. */
  #sweep(sinceMs: number): void {
    for (const [key, counter] of this.#counters) if (counter === undefined || counter.lastMs < sinceMs) this.#counters.delete(key)
    for (const [key, [, lastMs]] of this.#resumed) if (lastMs < sinceMs) this.#resumed.delete(key)
    for (const { requests } of this.#services.values()) requests.forgetInstances(sinceMs)
  }

  /** Fast and slow burns are anomalies of their own: what is felt ends when it is felt no longer, the budget burns on for hours by its windows. */
  #judge(watched: Watched, what: Measure, budget: SloBudget, emit: Emit): void {
    const isFelt = this.#judgeTiers(watched, what, FELT_TIERS, budget, true, emit)
    this.#judgeTiers(watched, what, SLOW_TIERS, budget, !isFelt, emit)
  }

  /** True while it burns. */
  #judgeTiers(watched: Watched, what: Measure, tiers: readonly BurnTier[], budget: SloBudget, mayOpen: boolean, emit: Emit): boolean {
    const key = keyOf(watched, what, tiers)
    const open = this.#episodes.isOpen(key)
    if (!open && !mayOpen) return false
    const burn = budget.burning(tiers, this.#config.leastErrors, open)
    if (burn === undefined && !open) return false
    const tier = burn?.tier ?? tiers[0]!
    const isSlow = tiers === SLOW_TIERS
    const most = isSlow ? SLOW_SCORE : MAX_SCORE
    const o: Observation = {
      timeMs: this.#minuteMs,
      observed: burn?.long ?? budget.burnOver(tier.longMs),
      expected: 1,
      low: 0,
      high: tier.burn,
      score: burn === undefined ? 0 : burnScore(burn.bad, burn.requests, budget.allowed, most),
      direction: 'up',
      volume: burn?.requests ?? 0,
    }
    const left = budget.left(this.#minuteMs)
    const subject = subjectOf(watched, what, isSlow ? this.#config.slowBurnIsFelt : true)
    const reckon = () =>
      reckoning('burn', [
        ['failed', burn?.bad ?? 0],
        ['requests', burn?.requests ?? 0],
        ['share allowed', budget.allowed],
        ['cap', most],
        ['pace over the short window', burn?.short ?? 0],
        ['pace from which it is told', tier.burn],
      ])
    this.#episodes.observe(key, subject, o, () => sentences(watched, what, budget, burn, left), emit, reckon)
    return this.#episodes.isOpen(key)
  }

  #forget(watched: Watched, emit: Emit): void {
    for (const [what] of budgetsOf(watched)) {
      for (const tiers of [FELT_TIERS, SLOW_TIERS]) {
        this.#episodes.end(keyOf(watched, what, tiers), this.#minuteMs, emit)
        this.#episodes.forget(keyOf(watched, what, tiers))
      }
    }
    this.#services.delete(watched.service)
    for (const [key, counter] of this.#counters)
      if (counter === undefined || counter.series.service === watched.service) this.#counters.delete(key)
  }
}

export const sloDetector: DetectorKind<SloConfig> = {
  name: 'slo',
  config: sloConfig,
  create: (config) => new SloDetector(config),
}

function newWatched(service: string, objective: Objective, seenMs: number): Watched {
  const { availability, latency } = objective
  return {
    service,
    objective,
    requests: new SloRequests(objective),
    availability: availability === undefined ? undefined : new SloBudget(1 - availability / 100),
    latency: latency === undefined ? undefined : new SloBudget(1 - latency.percent / 100),
    seenMs,
  }
}

function budgetsOf({ availability, latency }: Watched): (readonly [Measure, SloBudget])[] {
  return [...(availability ? [['availability', availability] as const] : []), ...(latency ? [['latency', latency] as const] : [])]
}

function keyOf({ service }: Watched, what: Measure, tiers: readonly BurnTier[]): string {
  return `${what}\0${tiers === SLOW_TIERS ? 'slow' : 'felt'}\0${service}`
}

function nameOf({ objective }: Watched, what: Measure): string {
  const { availability, latency } = objective
  return what === 'availability' ? `${availability} % availability` : `${latency!.percent} % within ${thresholdText(latency!.thresholdMs)}`
}

/** A threshold as it was written: 300 ms, 2 s. */
function thresholdText(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`
}

function subjectOf(watched: Watched, what: Measure, impact: boolean): Subject {
  return {
    detector: 'slo',
    signal: 'mixed',
    service: watched.service,
    instance: '',
    subject: `burn of the budget of ${nameOf(watched, what)}`,
    symptom: what === 'availability' ? 'errors' : 'latency',
    unit: '×',
    impact,
  }
}

function sentences(watched: Watched, what: Measure, budget: SloBudget, burn: Burn | undefined, left: number): string[] {
  const pace = burn?.long ?? budget.burnOver(BURN_TIERS[0]!.longMs)
  const said: string[] = []
  if (burn !== undefined) {
    const { tier, long, short, requests, bad } = burn
    const share = `${figure((100 * bad) / requests)} % of ${Math.round(requests)} requests ${what === 'availability' ? 'failed' : 'were too slow'}`
    said.push(
      `The budget burns ${figure(long)} times as fast as it may over ${duration(tier.longMs)} and ${figure(short)} times over ${duration(tier.shortMs)}; from ${tier.burn} times on it is told. ${share}, ${figure(100 * budget.allowed)} % may.`,
    )
  } else said.push(`The budget burns ${figure(pace)} times as fast as it may over ${duration(BURN_TIERS[0]!.longMs)}.`)
  const rest =
    left > 0
      ? `${figure(100 * left)} % of the budget of ${duration(PERIOD_MS)} is left`
      : `The budget of ${duration(PERIOD_MS)} is spent ${figure(1 - left)} times`
  const lasts = left > 0 && pace > 0 ? `; at this pace it lasts ${duration((left * PERIOD_MS) / pace)}` : ''
  said.push(`${rest}${lasts}.`)
  return said
}

function figure(value: number): string {
  return String(Number(value.toPrecision(3)))
}
