/**
 * Which series, instances and services there are, what each series last said, and what that makes of a new sample: an increment
 * with resets, gaps and duplicates understood. Bounded: series beyond the limits are refused and counted, never half watched.
 */
import type { Series, SeriesType } from '../../model.ts'
import { classifyMetric, failedRequests, type MetricKind } from './metric-kind.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

export interface TableLimits {
  readonly maxSeries: number
  readonly maxSeriesPerService: number
}

export interface Instance {
  readonly service: string
  readonly name: string
  readonly series: Set<number>
  firstMs: number
  lastMs: number
  /** Typical time between scrapes; 0 until two were seen. */
  intervalMs: number
  /** process_start_time_seconds, NaN until seen. */
  startValue: number
  /** Whether `up` has ever been 1, and what it is; NaN without one. */
  wasUp: boolean
  up: number
}

export interface Service {
  readonly name: string
  readonly instances: Map<string, Instance>
  series: number
  /** In tick time: when something of it last arrived. */
  heardMs: number
  firstHeardMs: number
  /** Its `up` was marked stale: somebody took it out of service discovery. */
  removed: boolean
}

export interface Entry {
  readonly id: number
  readonly series: Series
  readonly kind: MetricKind
  /** Of a request counter with a status label: whether it counts failed ones. */
  readonly failed: boolean | undefined
  readonly instance: Instance
  readonly service: Service
}

/** By their number in a snapshot. */
const TYPES: readonly SeriesType[] = ['unknown', 'counter', 'gauge', 'delta', 'sketch']
/** The first version of the detector's snapshot that has them. */
const TYPED_SINCE = 3

/** Who says nothing for so long is silent. */
export const SILENT_MS = 300_000
const GAP_INTERVALS = 5
const GAP_MS = 300_000
/** So many falls, in so large a share of the samples, and it is no counter whatever its name says. */
const FALLS = 3
const FALL_SHARE = 0.05

function columns(slots: number) {
  return {
    lastMs: new Float64Array(slots),
    lastValue: new Float64Array(slots),
    heardMs: new Float64Array(slots),
    stepMs: new Float64Array(slots),
    sum: new Float64Array(slots),
    count: new Uint32Array(slots),
    samples: new Uint32Array(slots),
    falls: new Uint32Array(slots),
    /** Backlogs: what the last step was, and since when each was above the one before. 0: it is not rising. */
    previous: new Float64Array(slots),
    risingMs: new Float64Array(slots),
    slot: new Int32Array(slots),
    gauge: new Uint8Array(slots),
  }
}

export type SeriesColumns = ReturnType<typeof columns>

export class SeriesTable {
  readonly services = new Map<string, Service>()
  readonly refused = { total: 0, perService: 0 }
  /** Time between the last increment's two samples. */
  spanMs = 0
  #c = columns(0)
  readonly #limits: TableLimits
  readonly #ids = new Map<string, number>()
  readonly #entries: (Entry | undefined)[] = []
  readonly #free: number[] = []

  constructor(limits: TableLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#ids.size
  }

  get columns(): SeriesColumns {
    return this.#c
  }

  entry(id: number): Entry {
    return this.#entries[id]!
  }

  /** Those there are, by id. */
  *entries(): Generator<Entry> {
    for (const entry of this.#entries) if (entry !== undefined) yield entry
  }

  find(key: string): number | undefined {
    return this.#ids.get(key)
  }

  /** The id of a series seen for the first time, undefined when there is no room for it. */
  add(series: Series): number | undefined {
    if (this.#ids.size >= this.#limits.maxSeries) return this.#refuse('total')
    const service = this.#serviceOf(series.service)
    if (service.series >= this.#limits.maxSeriesPerService) return this.#refuse('perService')
    const id = this.#free.pop() ?? this.#entries.length
    this.#place(id, series, service)
    const c = this.#c
    for (const column of Object.values(c)) column[id] = 0
    c.slot[id] = -1
    return id
  }

  /** Whether a series of this type is counted in another way. */
  countsOtherwise(id: number, { name, labels, type }: Series): boolean {
    const { kind, series } = this.entry(id)
    return (type === 'delta') !== (series.type === 'delta') || classifyMetric(name, labels, type).shape !== kind.shape
  }

  /** What the series is has become known, or is another thing now: true when what was learned of it is of no use any more. */
  retype(id: number, series: Series): boolean {
    const entry = this.entry(id)
    const c = this.#c
    const kind = classifyMetric(series.name, series.labels, series.type)
    // A counter that fell so often that it was taken for a gauge is one after all.
    const isAnother = kind.shape !== entry.kind.shape || c.gauge[id] === 1
    const isCountedOtherwise = isAnother || (series.type === 'delta') !== (entry.series.type === 'delta')
    const { service, instance } = entry.series
    this.#entries[id] = {
      ...entry,
      series: { ...series, service, instance },
      kind,
      failed: kind.served ? failedRequests(series.labels) : undefined,
    }
    if (isCountedOtherwise) c.lastMs[id] = c.stepMs[id] = c.sum[id] = c.count[id] = 0
    if (isAnother) c.samples[id] = c.falls[id] = c.gauge[id] = 0
    return isAnother
  }

  /** Other rules name it now: what was learned goes on under the new names. Answers with the service that has no series left. */
  rename(id: number, { service, instance }: Series): string | undefined {
    const before = this.entry(id)
    this.#leave(before)
    this.#place(id, { ...before.series, service, instance }, this.#serviceOf(service))
    const after = this.entry(id)
    if (after.instance.lastMs === 0) {
      const { firstMs, lastMs, intervalMs, startValue, wasUp, up } = before.instance
      Object.assign(after.instance, { firstMs, lastMs, intervalMs, startValue, wasUp, up })
    }
    if (after.service.firstHeardMs === 0) {
      after.service.firstHeardMs = before.service.firstHeardMs
      after.service.heardMs = before.service.heardMs
    }
    // Whatever is left of it: nobody misses a service that has got another name.
    if (after.service !== before.service) before.service.removed = true
    return before.service.series === 0 ? before.service.name : undefined
  }

  remove(id: number): void {
    const entry = this.entry(id)
    this.#ids.delete(entry.series.key)
    this.#entries[id] = undefined
    this.#free.push(id)
    this.#leave(entry)
  }

  #leave({ id, service, instance }: Entry): void {
    instance.series.delete(id)
    if (instance.series.size === 0) service.instances.delete(instance.name)
    if (--service.series === 0) this.services.delete(service.name)
  }

  /** A sample of the instance at this time: keeps its rhythm. */
  heard(entry: Entry, timeMs: number, nowMs: number): void {
    const { service, instance } = entry
    this.#c.heardMs[entry.id] = nowMs
    if (service.firstHeardMs === 0) service.firstHeardMs = nowMs
    service.heardMs = nowMs
    service.removed = false
    if (timeMs <= instance.lastMs) return
    if (instance.lastMs === 0) instance.firstMs = timeMs
    else {
      const dtMs = timeMs - instance.lastMs
      instance.intervalMs =
        instance.intervalMs === 0 ? dtMs : instance.intervalMs + 0.1 * (Math.min(dtMs, instance.intervalMs * 3) - instance.intervalMs)
    }
    instance.lastMs = timeMs
  }

  /**
   * What a counter counted since its last sample, over `spanMs`; NaN at its first sample, after a gap and at a reset. A counter that
   * appears at an instance known for longer did not exist before because it had counted nothing. A delta is an increment as it is: the first
   * one counts, and where samples are missing nothing happened, since senders leave out what they did not see.
   */
  increment(entry: Entry, timeMs: number, value: number): number {
    const c = this.#c
    const { id, instance } = entry
    const lastMs = c.lastMs[id]!
    const last = c.lastValue[id]!
    c.lastMs[id] = timeMs
    c.lastValue[id] = value
    const samples = c.samples[id]!
    c.samples[id] = samples + 1
    this.spanMs = timeMs - lastMs
    const gapMs = Math.max(GAP_MS, instance.intervalMs * GAP_INTERVALS)
    if (entry.series.type === 'delta') {
      if (lastMs > 0 && this.spanMs <= gapMs) return value
      // Nobody knows what happened in a longer silence: this was counted since the sample that its instance sent before.
      this.spanMs = instance.intervalMs
      c.stepMs[id] = c.sum[id] = 0
      return value
    }
    if (lastMs === 0) {
      this.spanMs = instance.intervalMs
      // What was observed may have gone into another bucket until now.
      if (entry.series.type === 'sketch') return Number.NaN
      const known = samples === 0 && instance.intervalMs > 0 && timeMs - instance.firstMs > instance.intervalMs * 1.5
      return known && value >= 0 ? value : Number.NaN
    }
    if (value < last) {
      c.falls[id] = c.falls[id]! + 1
      const falls = c.falls[id]
      if (entry.series.type === 'unknown' && falls >= FALLS && falls > FALL_SHARE * samples) c.gauge[id] = 1
      return Number.NaN
    }
    return this.spanMs > gapMs ? Number.NaN : value - last
  }

  /** The series was marked stale: what comes next is a new beginning. */
  interrupt(id: number): void {
    this.#c.lastMs[id] = 0
    this.#c.stepMs[id] = 0
    this.#c.count[id] = 0
    this.#c.sum[id] = 0
  }

  snapshot(to: SnapshotWriter): void {
    to.u32(this.#entries.length)
    to.column(Uint32Array.from(this.#free))
    for (const column of Object.values(this.#c)) to.column(column.subarray(0, this.#entries.length))
    to.u32(this.services.size)
    for (const service of this.services.values()) {
      to.string(service.name)
      to.f64(service.heardMs)
      to.f64(service.firstHeardMs)
      to.u8(service.removed ? 1 : 0)
      to.u32(service.instances.size)
      for (const i of service.instances.values()) {
        to.string(i.name)
        for (const value of [i.firstMs, i.lastMs, i.intervalMs, i.startValue, i.up]) to.f64(value)
        to.u8(i.wasUp ? 1 : 0)
      }
    }
    to.u32(this.#ids.size)
    for (const [key, id] of this.#ids) {
      const { series } = this.entry(id)
      to.string(key)
      to.u32(id)
      to.u8(TYPES.indexOf(series.type))
      to.string(series.name)
      to.string(series.service)
      to.string(series.instance)
      to.u32(series.labels.length)
      for (const [name, value] of series.labels) {
        to.string(name)
        to.string(value)
      }
    }
    to.f64(this.refused.total)
    to.f64(this.refused.perService)
  }

  restore(from: SnapshotReader): void {
    const end = from.count()
    const free = from.u32s()
    const fresh = columns(Math.max(64, end))
    for (const column of Object.values(fresh)) {
      const saved =
        column instanceof Float64Array
          ? from.f64s()
          : column instanceof Uint32Array
            ? from.u32s()
            : column instanceof Int32Array
              ? from.i32s()
              : from.u8s()
      column.set(saved.subarray(0, end))
    }
    this.#c = fresh
    this.#ids.clear()
    this.services.clear()
    this.#entries.length = 0
    this.#free.length = 0
    for (let i = 0; i < end; i++) this.#entries.push(undefined)
    for (const id of free) this.#free.push(id)
    const services = from.count(21)
    for (let i = 0; i < services; i++) {
      const service: Service = {
        name: from.string(),
        instances: new Map(),
        series: 0,
        heardMs: from.f64(),
        firstHeardMs: from.f64(),
        removed: from.u8() === 1,
      }
      this.services.set(service.name, service)
      const instances = from.count(45)
      for (let j = 0; j < instances; j++) {
        const name = from.string()
        const [firstMs, lastMs, intervalMs, startValue, up] = [from.f64(), from.f64(), from.f64(), from.f64(), from.f64()]
        service.instances.set(name, {
          service: service.name,
          name,
          series: new Set(),
          firstMs,
          lastMs,
          intervalMs,
          startValue,
          up,
          wasUp: from.u8() === 1,
        })
      }
    }
    const series = from.count(24)
    for (let i = 0; i < series; i++) {
      const key = from.string()
      const id = from.u32()
      const type = from.version >= TYPED_SINCE ? (TYPES[from.u8()] ?? 'unknown') : 'unknown'
      const [name, service, instance] = [from.string(), from.string(), from.string()]
      const labels: [string, string][] = []
      const pairs = from.count(8)
      for (let j = 0; j < pairs; j++) labels.push([from.string(), from.string()])
      this.#place(id, { key, name, type, service, instance, labels }, this.#serviceOf(service))
    }
    this.refused.total = from.f64()
    this.refused.perService = from.f64()
  }

  #place(id: number, series: Series, service: Service): void {
    let instance = service.instances.get(series.instance)
    if (instance === undefined) {
      instance = {
        service: service.name,
        name: series.instance,
        series: new Set(),
        firstMs: 0,
        lastMs: 0,
        intervalMs: 0,
        startValue: Number.NaN,
        wasUp: false,
        up: Number.NaN,
      }
      service.instances.set(series.instance, instance)
    }
    if (id >= this.#c.lastMs.length) {
      const wider = columns(Math.max(64, this.#c.lastMs.length * 2))
      for (const name of Object.keys(wider) as (keyof SeriesColumns)[]) wider[name].set(this.#c[name])
      this.#c = wider
    }
    const kind = classifyMetric(series.name, series.labels, series.type)
    this.#entries[id] = { id, series, kind, failed: kind.served ? failedRequests(series.labels) : undefined, instance, service }
    this.#ids.set(series.key, id)
    instance.series.add(id)
    service.series++
  }

  #serviceOf(name: string): Service {
    let service = this.services.get(name)
    if (service === undefined) {
      service = { name, instances: new Map(), series: 0, heardMs: 0, firstHeardMs: 0, removed: false }
      this.services.set(name, service)
    }
    return service
  }

  #refuse(why: 'total' | 'perService'): undefined {
    this.refused[why]++
    return undefined
  }
}
