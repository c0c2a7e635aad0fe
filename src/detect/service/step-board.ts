/**
 * The step board: what each series of a service was in the row that is being gathered, for the detector that looks at a whole service. A column
 * is a series without the labels that tell the copies of the service apart: its mean over them, so that a new pod goes on where the last one
 * stopped. The first `maxColumns` columns of a service are watched; one that has been silent for long makes room for another.
 */
import { labelText } from '../series/metric-kind.ts'
import type { Entry } from '../series/series-table.ts'
import type { SnapshotReader, SnapshotWriter } from '../snapshot.ts'

export interface StepLimits {
  readonly maxServices: number
  readonly maxColumns: number
}

export interface StepColumn {
  readonly key: string
  readonly metric: string
  /** For people. */
  readonly name: string
  readonly unit: string
  /** Rows hold values less this one: then single precision costs nothing. */
  readonly base: number
  sum: number
  count: number
  last: number
  /** Rows since it was last observed. */
  idleRows: number
}

export interface ServiceSteps {
  readonly columns: StepColumn[]
  /** Columns that were given to another series since they were last asked for. */
  readonly replaced: number[]
  /** By the key of a series: its column, or NONE. Looked up anew now and then: series come and go. */
  readonly keys: Map<string, number>
  /** Whether anything was observed since the last row. */
  gathered: boolean
  rows: number
}

const NONE = -1
/** A value is carried over so many rows in which its series says nothing: not everything is scraped at the same pace. */
const CARRIED_ROWS = 10
/** After so many rows a silent column may be taken by another series. */
const SILENT_ROWS = 1440
/** One metric with many labels leaves room for others. */
const METRIC_SHARE = 4
const KEYS_PER_COLUMN = 16
const LARGEST = 1e30
const MAX_NAME = 120
/** Labels by which copies of a service differ. */
export const COPY_LABELS: ReadonlySet<string> = new Set(
  'instance exported_instance pod exported_pod pod_name pod_ip pod_uid k8s_pod_name k8s_pod_uid kubernetes_pod_name host hostname host_name node node_name k8s_node_name container_id id uid endpoint service_instance_id replica'.split(
    ' ',
  ),
)

export class StepBoard {
  readonly services = new Map<string, ServiceSteps>()
  refused = 0
  /** Undefined: nobody reads it. */
  #limits: StepLimits | undefined

  /** Whoever reads it says how much; it starts afresh. */
  open(limits: StepLimits): void {
    this.#limits = limits
    this.services.clear()
    this.refused = 0
  }

  observe(entry: Entry, value: number): void {
    const limits = this.#limits
    if (limits === undefined || !Number.isFinite(value)) return
    const { series } = entry
    let steps = this.services.get(series.service)
    if (steps === undefined) {
      if (this.services.size >= limits.maxServices) return
      this.services.set(series.service, (steps = { columns: [], replaced: [], keys: new Map(), gathered: false, rows: 0 }))
    }
    let index = steps.keys.get(series.key)
    if (index === undefined) {
      if (steps.keys.size >= limits.maxColumns * KEYS_PER_COLUMN) return
      index = this.#place(steps, entry, value, limits.maxColumns)
      steps.keys.set(series.key, index)
      if (index === NONE) this.refused++
    }
    if (index === NONE) return
    const column = steps.columns[index]!
    column.sum += Math.max(-LARGEST, Math.min(LARGEST, value))
    column.count++
    steps.gathered = true
  }

  /** Ends the row: each column's mean, less its base; NaN where nothing is known of late. Answers with how many columns there are. */
  take(steps: ServiceSteps, row: Float64Array): number {
    const { columns } = steps
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i]!
      if (column.count > 0) {
        column.last = column.sum / column.count - column.base
        column.sum = column.count = column.idleRows = 0
      } else column.idleRows++
      row[i] = column.idleRows <= CARRIED_ROWS ? column.last : Number.NaN
    }
    steps.gathered = false
    if (++steps.rows % SILENT_ROWS === 0) steps.keys.clear()
    return columns.length
  }

  forget(service: string): void {
    this.services.delete(service)
  }

  snapshot(to: SnapshotWriter): void {
    to.f64(this.refused)
    to.u32(this.services.size)
    for (const [service, steps] of this.services) {
      to.string(service)
      to.u8(steps.gathered ? 1 : 0)
      to.f64(steps.rows)
      to.column(Uint32Array.from(steps.replaced))
      to.u32(steps.columns.length)
      for (const c of steps.columns) {
        for (const text of [c.key, c.metric, c.name, c.unit]) to.string(text)
        for (const value of [c.base, c.sum, c.count, c.last, c.idleRows]) to.f64(value)
      }
      to.u32(steps.keys.size)
      for (const [key, index] of steps.keys) {
        to.string(key)
        to.u32(index + 1)
      }
    }
  }

  restore(from: SnapshotReader): void {
    this.services.clear()
    this.refused = from.f64()
    for (let left = from.count(25); left > 0; left--) {
      const service = from.string()
      const gathered = from.u8() === 1
      const steps: ServiceSteps = { columns: [], replaced: [], keys: new Map(), gathered, rows: from.f64() }
      steps.replaced.push(...from.u32s())
      for (let columns = from.count(56); columns > 0; columns--) {
        const [key, metric, name, unit] = [from.string(), from.string(), from.string(), from.string()]
        const [base, sum, count, last, idleRows] = [from.f64(), from.f64(), from.f64(), from.f64(), from.f64()]
        steps.columns.push({ key, metric, name, unit, base, sum, count, last, idleRows })
      }
      for (let keys = from.count(8); keys > 0; keys--) {
        const key = from.string()
        const index = from.u32() - 1
        if (index < steps.columns.length) steps.keys.set(key, index)
      }
      this.services.set(service, steps)
    }
  }

  #place(steps: ServiceSteps, { series, kind }: Entry, value: number, maxColumns: number): number {
    const { columns } = steps
    const labels = series.labels.filter(([name, text]) => !COPY_LABELS.has(name) && text !== series.instance)
    const key = JSON.stringify([series.name, labels])
    let alike = 0
    let silent = NONE
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i]!
      if (column.key === key) return i
      if (column.metric === series.name) alike++
      if (silent === NONE && column.idleRows > SILENT_ROWS) silent = i
    }
    if (alike >= Math.max(1, Math.floor(maxColumns / METRIC_SHARE))) return NONE
    const index = columns.length < maxColumns ? columns.length : silent
    if (index === NONE) return NONE
    const isRate = kind.shape === 'counter' || kind.shape === 'count'
    const name = `${series.name}${isRate ? ' rate' : ''}${labelText(labels, () => false)}`
    columns[index] = {
      key,
      metric: series.name,
      name: name.length > MAX_NAME ? `${name.slice(0, MAX_NAME - 1)}…` : name,
      unit: kind.unit,
      base: Math.max(-LARGEST, Math.min(LARGEST, value)),
      sum: 0,
      count: 0,
      last: 0,
      idleRows: 0,
    }
    if (index === silent) {
      for (const [of, at] of steps.keys) if (at === silent) steps.keys.delete(of)
      steps.replaced.push(index)
    }
    return index
  }
}
