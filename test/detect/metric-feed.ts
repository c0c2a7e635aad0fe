/** Makes metric batches and remembers what a detector said of them. Noise is seeded: every run is the same. */
import type { Anomaly, Batch, Finding, MetricBatch, Series } from '../../src/model.ts'
import { SeriesDetector } from '../../src/detect/series/series.ts'
import { seriesConfig } from '../../src/detect/series/series-config.ts'
import { ResidualBoard } from '../../src/detect/residuals.ts'

export const START_MS = Date.UTC(2026, 0, 5, 9)

export function noise(seed: number): () => number {
  let state = seed >>> 0
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (((t ^ (t >>> 14)) >>> 0) + 1) / 4294967297
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

export function seriesOf(name: string, labels: Readonly<Record<string, string>> = {}, service = 'shop', instance = 'shop-1'): Series {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))
  return { key: JSON.stringify([name, service, instance, pairs]), name, type: 'unknown', labels: pairs, service, instance }
}

export type Row = readonly [series: Series, timeMs: number, value: number, stale?: boolean]

export function batchOf(rows: readonly Row[]): MetricBatch {
  const series: Series[] = []
  const index = new Map<string, number>()
  for (const [of] of rows) {
    if (index.has(of.key)) continue
    index.set(of.key, series.length)
    series.push(of)
  }
  return {
    kind: 'metrics',
    rows: rows.length,
    series,
    seriesIndex: Uint32Array.from(rows, ([of]) => index.get(of.key)!),
    timeMs: Float64Array.from(rows, (row) => row[1]),
    value: Float64Array.from(rows, (row) => row[2]),
    stale: Uint8Array.from(rows, (row) => (row[3] ? 1 : 0)),
  }
}

export class Watch {
  readonly findings: Finding[] = []
  readonly detector: SeriesDetector
  constructor(config: Record<string, unknown> = {}) {
    this.detector = new SeriesDetector(seriesConfig.parse(config), { partition: 0, residuals: new ResidualBoard() })
  }

  feed(...batches: Batch[]): void {
    for (const batch of batches) this.detector.detect(batch, (finding) => this.findings.push(finding))
  }

  get told(): readonly Anomaly[] {
    return this.findings.filter((finding) => finding.kind === 'anomaly')
  }

  /** The last word on each anomaly, in order of appearance. */
  get anomalies(): readonly Anomaly[] {
    const last = new Map<string, Anomaly>()
    for (const anomaly of this.told) last.set(anomaly.id, anomaly)
    return [...last.values()]
  }
}

/** One sample per series and step, a tick after each; `value` gets the step. */
export function story(steps: number, stepMs: number, make: (step: number, timeMs: number) => readonly Row[]): Batch[] {
  const batches: Batch[] = []
  for (let step = 0; step < steps; step++) {
    const timeMs = START_MS + step * stepMs
    const rows = make(step, timeMs)
    if (rows.length > 0) batches.push(batchOf(rows))
    batches.push({ kind: 'tick', nowMs: timeMs + 500 })
  }
  return batches
}

/** What version 3 wrote after an hour's quarter of one queue, `50 + ((7 * step) % 5)` every fifteen seconds; deflated. */
export const VERSION_3 =
  'Y2Y4cP3/tR2VTgwOen/ANBpgRKYbdoDVwsQYGrwcwGyoXqxq0M3AQsPNwSYPItgYGBhyEzNzUosQzlyhDqYZoUoS4SJQB4BN8DnrADHqRz2chukoBPGZBBgY' +
  'GLLyk4rjC0tTS1PjU1ILSjIQ1oFNBhGsIA0gFSxQObzhBAaeDpjhAXEiJhuh1wbdLC0msDmTxU7Yg/kJWW5QeWiYOYDpnndH7ED0k6un94HoPIdse6g6e2zh' +
  'fvaMjy2YvyvaGxwijAxEAJAik5r7O8EmKL+yZBgFiPQEijoJsFDBdUhKlLwNSYmH70H4OY8gfLFnEP7+lxB+5lsIX+gjhL/nC4Sf+gPC5/+DmrLrVkP46ush' +
  '/IubIPyqbRC+yi4I/+xeCL/8IISvcBTCP3UCwi8+A+HLXoDwj10G0QmQrOP0RTvACUSnWbQ7MTCEOH387w/GScwgvodTlGYAmJ7ABuIHOOVd8wfjqzvbnBgY' +
  'Ipx4bviD8ZwlbWBzvqtDzNt9qA1s3uf//mB8fnIb2JzzqhDz7k5vA5v396Y/BAdBzIu47Q/G/Q4Q89aqQMyTjoWY9/W/PxhLGkP07zrqD8Z9aR1g/bdP+IOx' +
  'pXMHWJ+MOUR/e3oHWP/r//5gfEKhA+wOPmOIe16D+QFOq8/4g/G7ve1g82TO+4PxggXtYHMeGkDMm3gIEl7v//uD8bVWSHit0YWYd7QdEl5il/zB2N4QYh7v' +
  'FX8wbpBod8KX4AA='
