/**
 * Says of what has a limit when it is reached: disks, memory, pools, descriptors, quotas, certificates. A forecast explains and never pages; only
 * one that is almost certain and near is a reason for an incident. Three stages, each an anomaly of its own, so that what is near begins
 * when it is near: it will be full, it will be full soon, it is full. What hovers, and what comes and goes, is not told.
 */
import type { Batch, MetricBatch } from '../../model.ts'
import type { Detector, DetectorKind, Emit } from '../detector.ts'
import { Episodes, type Observation, type Subject } from '../episode.ts'
import { forecastConfig, FULL_ROOM, type ForecastConfig } from './forecast-config.ts'
import { certificateSentences, outlookSentences } from './forecast-wording.ts'
import { Foresight, newOutlook } from './foresight.ts'
import { exhaustionScore, reckoning } from '../reckon.ts'
import { ResourceHistory, RING_MS } from './resource-history.ts'
import { ResourceTable, type Resource } from './resource-table.ts'
import { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

const SNAPSHOT = 'the forecast detector'
const VERSION = 1
const LOOK_MS = 60_000
/** What has hardly moved is looked at again after so long. */
const CALM_LOOK_MS = 300_000
const CALM_SHARE = 0.02
const SWEEP_MS = 600_000
const AHEAD_MS = 3_600_000
const MAX_TIME_MS = 8.64e15
/** A forecast that is told stands until it is so much further away, or so much less sure. */
const HYSTERESIS = 1.5
const STANDING_SURENESS = 1.5
/** Of what is known for less, or whose limit was moved lately, nothing is certain. */
const LEAST_PAST_MS = 7_200_000
/** What follows the load has to have been seen for a whole day. */
const LEAST_PAST_ELASTIC_MS = 93_600_000
/** Points before the first forecast that go into its chart. */
const LEAD_IN = 24
/** A certificate is renewed when a third of its life is left, as a rule (https://letsencrypt.org/docs/integration-guide/#when-to-renew). */
const LATE_RENEWAL = 0.2
const DAY_MS = 86_400_000
const STAGES = ['', 'ahead', 'soon', 'full'] as const

export class ForecastDetector implements Detector {
  readonly #config: ForecastConfig
  readonly #table: ResourceTable
  readonly #history = new ResourceHistory()
  readonly #foresight = new Foresight(this.#history)
  readonly #ahead: Episodes
  readonly #urgent: Episodes
  readonly #outlook = newOutlook()
  readonly #free: number[] = []
  readonly #ringMs = new Float64Array(256)
  readonly #ringLevel = new Float64Array(256)
  #slots = 0
  #nowMs = 0
  #sweptMs = 0
  #late = 0

  constructor(config: ForecastConfig) {
    this.#config = config
    this.#table = new ResourceTable(config.maxResources)
    this.#ahead = new Episodes(config)
    this.#urgent = new Episodes({ ...config, openAfter: Math.min(config.openAfter, 2), closeAfter: Math.min(config.closeAfter, 5) })
  }

  detect(batch: Batch, emit: Emit): void {
    if (batch.kind === 'metrics') this.#take(batch)
    else if (batch.kind === 'tick') this.#tick(batch.nowMs, emit)
  }

  counts(): Readonly<Record<string, number>> {
    let foretold = 0
    for (const resource of this.#table.resources.values()) if (resource.stage > 0) foretold++
    return { resources: this.#table.resources.size, foretold, refused_resources: this.#table.refused, late_samples: this.#late }
  }

  snapshot(): Uint8Array {
    const to = new SnapshotWriter(VERSION)
    for (const value of [this.#slots, this.#nowMs, this.#sweptMs, this.#late]) to.f64(value)
    to.column(Uint32Array.from(this.#free))
    this.#table.snapshot(to)
    this.#history.snapshot(to)
    this.#ahead.snapshot(to)
    this.#urgent.snapshot(to)
    return to.finish()
  }

  restore(bytes: Uint8Array): void {
    const from = new SnapshotReader(bytes, SNAPSHOT, VERSION)
    this.#slots = from.f64()
    this.#nowMs = from.f64()
    this.#sweptMs = from.f64()
    this.#late = from.f64()
    this.#free.splice(0, this.#free.length, ...from.u32s())
    this.#table.restore(from)
    this.#history.restore(from)
    this.#ahead.restore(from)
    this.#urgent.restore(from)
    from.end()
  }

  #take({ series, seriesIndex, rows, timeMs, value, stale }: MetricBatch): void {
    let any = false
    const found = series.map((one) => {
      const part = this.#table.find(one)
      any ||= part !== undefined
      return part
    })
    // Before the first tick nobody knows which times are of the future.
    if (!any || this.#nowMs === 0) return
    const horizonMs = this.#nowMs + AHEAD_MS
    for (let row = 0; row < rows; row++) {
      // A row that points nowhere is the series detector's to tell.
      const part = found[seriesIndex[row]!]
      const atMs = timeMs[row]!
      if (part === undefined || !(atMs > 0 && atMs <= horizonMs)) continue
      if (stale[row] === 1) {
        this.#table.stop(part, atMs)
        continue
      }
      part.resource.heardMs = this.#nowMs
      if (atMs <= part.member.timeMs) this.#late++
      const { isCertificate } = part.resource
      const before = part.member.value
      if (!this.#table.take(part, atMs, value[row]!)) continue
      if (isCertificate) this.#renewed(part.resource, before, value[row]!, atMs)
    }
  }

  #tick(nowMs: number, emit: Emit): void {
    if (!(nowMs > this.#nowMs) || nowMs === Infinity) return
    this.#nowMs = nowMs
    for (const resource of this.#table.resources.values()) {
      if (resource.heardMs === 0) resource.heardMs = nowMs
      if (resource.isCertificate) this.#certificate(resource, emit)
      else if (resource.timeMs > 0) this.#remember(resource, emit)
    }
    if (nowMs - this.#sweptMs >= SWEEP_MS) this.#sweep(nowMs, emit)
  }

  #remember(resource: Resource, emit: Emit): void {
    const h = this.#history.columns
    if (resource.slot >= 0 && resource.timeMs <= h.lastMs[resource.slot]!) return
    if (!this.#table.measure(resource)) {
      this.#drop(resource)
      this.#end(resource, emit)
      return
    }
    if (resource.slot < 0) {
      resource.slot = this.#free.pop() ?? this.#slots++
      this.#history.open(resource.slot)
    }
    const { slot, timeMs, used, limit, floors } = resource
    this.#history.add(slot, timeMs, used, limit, floors)
    const sinceMs = timeMs - resource.lookedMs
    if (sinceMs < LOOK_MS) return
    const moved = Math.abs(used - resource.lookedUsed) > CALM_SHARE * Math.max(0, limit - used)
    if (resource.stage === 0 && resource.building === 0 && !moved && sinceMs < CALM_LOOK_MS) return
    resource.lookedMs = timeMs
    resource.lookedUsed = used
    this.#look(resource, emit)
  }

  #look(resource: Resource, emit: Emit): void {
    const { slot, timeMs, used, limit, floors, elastic, stage } = resource
    const { horizonMs, imminentMs, sureness } = this.#config
    const outlook = this.#outlook
    const standing = stage > 0 ? STANDING_SURENESS : sureness
    this.#foresight.look(slot, timeMs, used, limit, floors, standing, outlook)
    const full = !floors && used >= limit * (1 - FULL_ROOM)
    const pastMs = timeMs - this.#history.columns.firstMs[slot]!
    const known = pastMs >= (elastic ? LEAST_PAST_ELASTIC_MS : LEAST_PAST_MS) && resource.moves === 0
    // Only what was seen coming is told when it is there: what is always full is as it should be.
    if (full && stage > 0 && (known || !elastic)) {
      outlook.midMs = outlook.earlyMs = outlook.lateMs = 0
      this.#observe(resource, 3, imminentMs, 0, emit)
      return
    }
    // It was full a moment ago: what touches its limit again and again is one anomaly, not one a minute.
    if (stage === 3) {
      this.#observe(resource, 3, 0, 0, emit)
      return
    }
    const foretold = outlook.basis !== 'none' && Number.isFinite(outlook.lateMs) && !full
    const near = foretold && known && outlook.lateMs <= imminentMs && outlook.sureness >= sureness
    if (near || (stage >= 2 && foretold && outlook.midMs <= imminentMs * HYSTERESIS)) {
      this.#observe(resource, 2, imminentMs, 1, emit)
      return
    }
    const isComing = foretold && outlook.midMs <= horizonMs
    const unsure = !isComing && stage > 0 && (full || (foretold && outlook.midMs <= horizonMs * HYSTERESIS))
    this.#observe(resource, 1, isComing ? horizonMs : unsure ? Number.NaN : 0, 0, emit)
  }

  /** One observation of a stage. What is open of another one ends when this one opens. `withinMs`: 0: it is not so, NaN: nobody can say. */
  #observe(resource: Resource, stage: 1 | 2 | 3, withinMs: number, least: number, emit: Emit): void {
    const { timeMs, used, limit, slot } = resource
    const outlook = { ...this.#outlook }
    const score = withinMs === 0 ? 0 : exhaustionScore(withinMs, outlook.midMs, LOOK_MS, least)
    const share = used / limit
    const o: Observation = {
      timeMs,
      observed: share,
      expected: outlook.basis === 'none' ? share : Math.max(0, share - (outlook.pace * outlook.spanMs) / limit),
      low: 0,
      high: 1,
      score,
      direction: 'up',
      volume: this.#history.pointsOf(slot),
    }
    const to = score >= 1 ? stage : resource.stage
    if (resource.building !== to) {
      this.#drop(resource)
      if (to === 0) return
      if (to !== resource.stage) {
        resource.building = to
        this.#leadIn(resource, to, emit)
      }
    }
    if (to === 0) return
    const key = keyOf(resource, to)
    const episodes = this.#of(to)
    const reckon = () =>
      reckoning('exhaustion', [
        ['used', used],
        ['limit', limit],
        ['pace (per minute)', outlook.pace * 60_000],
        ['pace in its standard errors', outlook.sureness],
        ['told within (s)', withinMs / 1000],
        ['time left (s)', outlook.midMs / 1000],
        ['least time left (s)', LOOK_MS / 1000],
        ['least score', least],
      ])
    episodes.observe(key, subjectOf(resource, to), o, () => outlookSentences(resource, outlook), emit, reckon)
    if (!episodes.isOpen(key)) {
      if (to === resource.stage) this.#end(resource, emit)
    } else if (to !== resource.stage) {
      this.#end(resource, emit)
      resource.stage = to
      resource.building = 0
    }
  }

  /** Soon is urgent: sooner told and sooner over. */
  #of(stage: number): Episodes {
    return stage >= 2 ? this.#urgent : this.#ahead
  }

  /** What was building up is not so after all. */
  #drop(resource: Resource): void {
    if (resource.building > 0) this.#of(resource.building).forget(keyOf(resource, resource.building))
    resource.building = 0
  }

  /** Ends what is open. */
  #end(resource: Resource, emit: Emit): void {
    if (resource.stage === 0) return
    const key = keyOf(resource, resource.stage)
    this.#of(resource.stage).end(key, resource.timeMs, emit)
    this.#of(resource.stage).forget(key)
    resource.stage = 0
  }

  /** The chart begins before the forecast does. */
  #leadIn(resource: Resource, stage: number, emit: Emit): void {
    const { slot, limit, timeMs } = resource
    const ring = this.#outlook.spanMs > 96 * RING_MS[1] ? 2 : this.#outlook.spanMs > 96 * RING_MS[0] ? 1 : 0
    const count = this.#history.read(slot, ring, 0, resource.floors, this.#ringMs, this.#ringLevel)
    const subject = subjectOf(resource, stage)
    for (let i = Math.max(0, count - LEAD_IN); i < count; i++) {
      if (this.#ringMs[i]! >= timeMs) break
      const observed = this.#ringLevel[i]! / limit
      const rest = { low: 0, high: 1, score: Number.NaN, direction: 'up', volume: 1 } as const
      this.#of(stage).observe(
        keyOf(resource, stage),
        subject,
        { timeMs: this.#ringMs[i]!, observed, expected: observed, ...rest },
        () => [],
        emit,
      )
    }
  }

  #renewed(resource: Resource, before: number, endS: number, timeMs: number): void {
    // A new date that is later: it is good from now on.
    if (endS > before + 60) resource.lifeMs = Math.max(resource.lifeMs * 0.5, endS * 1000 - timeMs)
  }

  #certificate(resource: Resource, emit: Emit): void {
    const { timeMs, members } = resource
    if (timeMs - resource.lookedMs < LOOK_MS) return
    resource.lookedMs = timeMs
    let endMs = Number.POSITIVE_INFINITY
    for (const { value } of members) if (value > 0) endMs = Math.min(endMs, value * 1000)
    if (!(endMs < MAX_TIME_MS)) return
    const leftMs = endMs - timeMs
    const { certificateMs, imminentMs } = this.#config
    const fromMs = resource.lifeMs > 0 ? Math.min(certificateMs, resource.lifeMs * LATE_RENEWAL) : certificateMs
    const score = leftMs <= fromMs ? exhaustionScore(fromMs, leftMs, imminentMs, 0) : 0
    const key = keyOf(resource, 1)
    if (score < 1 && resource.stage === 0) return
    const o: Observation = {
      timeMs,
      observed: leftMs / 1000,
      expected: fromMs / 1000,
      low: fromMs / 1000,
      high: Number.POSITIVE_INFINITY,
      score,
      direction: 'down',
      volume: 1,
    }
    // The date is certain. One that is renewed every few hours is renewed by something that tries again.
    const impact = leftMs <= imminentMs && (resource.lifeMs === 0 || resource.lifeMs > 2 * DAY_MS)
    const subject: Subject = { ...subjectOf(resource, 1), subject: resource.title, symptom: 'other', unit: 's', impact }
    const reckon = () =>
      reckoning('expiry', [
        ['told within (s)', fromMs / 1000],
        ['time left (s)', leftMs / 1000],
        ['imminent (s)', imminentMs / 1000],
      ])
    this.#ahead.observe(key, subject, o, () => certificateSentences(leftMs, endMs, resource.lifeMs), emit, reckon)
    // A renewal is no matter of degree.
    if (score === 0) this.#end(resource, emit)
    else if (this.#ahead.isOpen(key)) resource.stage = 1
  }

  #sweep(nowMs: number, emit: Emit): void {
    this.#sweptMs = nowMs
    for (const resource of this.#table.resources.values()) {
      const silentMs = nowMs - resource.heardMs
      if (silentMs > SWEEP_MS) {
        this.#drop(resource)
        this.#end(resource, emit)
      }
      if (silentMs <= this.#config.forgetMs) continue
      if (resource.slot >= 0) this.#free.push(resource.slot)
      this.#table.remove(resource)
    }
  }
}

function keyOf({ key }: Resource, stage: number): string {
  return `${STAGES[stage]!}\0${key}`
}

function subjectOf({ service, instance, title }: Resource, stage: number): Subject {
  return {
    detector: 'forecast',
    signal: 'metrics',
    service,
    instance,
    subject: stage === 3 ? `full: ${title}` : stage === 2 ? `full soon: ${title}` : `will be full: ${title}`,
    symptom: 'saturation',
    unit: 'ratio',
    impact: stage >= 2,
  }
}

export const forecastDetector: DetectorKind<ForecastConfig> = {
  name: 'forecast',
  config: forecastConfig,
  create: (config) => new ForecastDetector(config),
}
