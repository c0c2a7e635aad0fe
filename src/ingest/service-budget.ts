/**
 * What a service may send per second, so that a noisy one spends its own budget and not its neighbours': rows beyond it are rejected, the rest of
 * the same request is kept. A budget refills with the time of arrival and holds what senders keep back during a short outage. One
 * number per service, and only of those that have spent lately: the moment at which its budget is whole again (the virtual scheduling
 * form of a leaky bucket, https://www.itu.int/rec/T-REC-I.371).
 */
import type { Limits } from './config.ts'
import type { Tally } from './decode-context.ts'
import { selectRows } from './split.ts'
import type { RowBatch } from './split.ts'

export class RateBudget {
  readonly #rowsPerMs: number
  readonly #burstMs: number
  readonly #maxServices: number
  readonly #wholeAtMs = new Map<string, number>()
  #sweptMs = Number.NEGATIVE_INFINITY

  constructor(rowsPerS: number, burstS: number, maxServices: number) {
    this.#rowsPerMs = rowsPerS / 1000
    this.#burstMs = burstS * 1000
    this.#maxServices = maxServices
  }

  /** Takes up to `rows` out of the budget of a service and says how many. */
  spend(service: string, rows: number, nowMs: number): number {
    const latestMs = nowMs + this.#burstMs
    let wholeAtMs = Math.max(this.#wholeAtMs.get(service) ?? nowMs, nowMs)
    if (wholeAtMs > latestMs) {
      // The clock went back: nobody is without budget for longer than a burst because of it.
      wholeAtMs = latestMs
      this.#wholeAtMs.set(service, latestMs)
    }
    const left = Math.floor((latestMs - wholeAtMs) * this.#rowsPerMs)
    const granted = Math.min(rows, left)
    if (granted > 0) this.#keep(service, wholeAtMs + granted / this.#rowsPerMs, nowMs)
    return granted
  }

  /** What was spent and came to nothing: its sender will come again with it. */
  giveBack(service: string, rows: number): void {
    const wholeAtMs = this.#wholeAtMs.get(service)
    if (wholeAtMs !== undefined) this.#wholeAtMs.set(service, wholeAtMs - rows / this.#rowsPerMs)
  }

  get size(): number {
    return this.#wholeAtMs.size
  }

  #keep(service: string, wholeAtMs: number, nowMs: number): void {
    if (this.#wholeAtMs.size >= this.#maxServices && !this.#wholeAtMs.has(service)) {
      // At most once a second, whatever is sent. Beyond the limit a service goes uncounted: how many there may be is for ServiceRegistry to say.
      if (nowMs - this.#sweptMs >= 1000) this.#sweep(nowMs)
      if (this.#wholeAtMs.size >= this.#maxServices) return
    }
    this.#wholeAtMs.set(service, wholeAtMs)
  }

  #sweep(nowMs: number): void {
    this.#sweptMs = nowMs
    for (const [service, wholeAtMs] of this.#wholeAtMs) if (wholeAtMs <= nowMs) this.#wholeAtMs.delete(service)
  }
}

/** Rows by service that were taken out of a budget. */
export type Spent = readonly { readonly budget: RateBudget; readonly service: string; readonly rows: number }[]

export interface Admitted {
  readonly batch: RowBatch
  readonly spent: Spent
}

/** The budgets of all services, by kind of row. */
export class ServiceBudgets {
  readonly #samples: RateBudget
  readonly #lines: RateBudget
  readonly #spans: RateBudget

  constructor(limits: Limits) {
    const of = (rowsPerS: number) => new RateBudget(rowsPerS, limits.serviceBurstS, limits.maxServices)
    this.#samples = of(limits.maxSamplesPerServiceS)
    this.#lines = of(limits.maxLinesPerServiceS)
    this.#spans = of(limits.maxSpansPerServiceS)
  }

  /** What of a batch is within the budgets of its services, the first rows first. The rest is counted as rejected. */
  admit(batch: RowBatch, nowMs: number, rejected: Tally): Admitted {
    switch (batch.kind) {
      case 'metrics':
        return admitRows(this.#samples, batch, batch.series, batch.seriesIndex, nowMs, rejected)
      case 'logs':
        return admitRows(this.#lines, batch, batch.sources, batch.sourceIndex, nowMs, rejected)
      case 'spans':
      case 'links':
        return admitRows(this.#spans, batch, batch.sources, batch.sourceIndex, nowMs, rejected)
      default:
        // Alerts and changes are few, and nobody wants to miss one.
        return { batch, spent: [] }
    }
  }
}

/** Rows are counted by their entry in the table, which is short, and only then by service. */
function admitRows(
  budget: RateBudget,
  batch: RowBatch,
  table: readonly { readonly service: string }[],
  index: Uint32Array,
  nowMs: number,
  rejected: Tally,
): Admitted {
  const rowsOfEntry = new Uint32Array(table.length)
  // Rows of one entry mostly follow one another: counted in a variable, a fifth of the time of counting in memory.
  for (let row = 0; row < index.length;) {
    const entry = index[row]!
    const first = row
    do row++
    while (row < index.length && index[row] === entry)
    rowsOfEntry[entry]! += row - first
  }
  const asked = new Map<string, number>()
  for (let entry = 0; entry < table.length; entry++) {
    const rows = rowsOfEntry[entry]!
    const { service } = table[entry]!
    if (rows > 0) asked.set(service, (asked.get(service) ?? 0) + rows)
  }
  const spent: { budget: RateBudget; service: string; rows: number }[] = []
  const left = new Map<string, number>()
  for (const [service, rows] of asked) {
    const granted = budget.spend(service, rows, nowMs)
    if (granted > 0) spent.push({ budget, service, rows: granted })
    if (granted < rows) {
      left.set(service, granted)
      rejected.add('service-rate', rows - granted)
    }
  }
  return { batch: left.size === 0 ? batch : within(batch, table, index, left), spent }
}

/** The batch without the rows of these services beyond what each has left. */
function within(batch: RowBatch, table: readonly { readonly service: string }[], index: Uint32Array, left: Map<string, number>): RowBatch {
  const kept = new Uint32Array(index.length)
  let count = 0
  for (let row = 0; row < index.length; row++) {
    const { service } = table[index[row]!]!
    const remaining = left.get(service)
    if (remaining === 0) continue
    if (remaining !== undefined) left.set(service, remaining - 1)
    kept[count++] = row
  }
  return selectRows(batch, kept.subarray(0, count))
}

/** After a failure of ours. */
export function giveBack(spent: Spent): void {
  for (const { budget, service, rows } of spent) budget.giveBack(service, rows)
}
