/**
 * Forecasts by replay: made-up histories of a bounded resource, seeded, through the detector as it ships. Told is how early the first forecast
 * came, how often the interval it gave held the truth, and how many forecasts a series of a kind gets in a week although nothing filled up.
 * `tsx bench/detect/forecast.ts [--json]` prints the table, and that of error budgets.
 */
import { fileURLToPath } from 'node:url'
import type { Anomaly, MetricBatch, Series } from '../../src/model.ts'
import { forecastConfig } from '../../src/detect/forecast/forecast-config.ts'
import { ForecastDetector } from '../../src/detect/forecast/forecast.ts'
import { seededRandom } from '../../src/detect/random.ts'
import { RESOURCE_KINDS, type ResourceKind } from './resource-kinds.ts'
import { evaluateSlo } from './slo.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const START_MS = Date.UTC(2026, 0, 5)
const LIMIT = 500e9
/** The lowest of some twenty samples with noise is that much below what is left after a collection. */
const HEAP_FULL = 0.99

export interface ForecastFigures {
  readonly what: string
  readonly scrapeMinutes: number
  readonly series: number
  readonly filled: number
  /** Of those: foretold, and how long before (median). */
  readonly foretold: number
  readonly leadHours: number | undefined
  /** A reason for an incident before it was full, and how long before (median). */
  readonly paged: number
  readonly pageLeadMinutes: number | undefined
  /** Forecasts that stood when it filled up and had said when: share whose interval held it. Aim: 0.8. */
  readonly coverage: number | undefined
  /** Forecasts without a fill within three times the horizon after them. */
  readonly falsePerWeek: number
  readonly falsePagesPerWeek: number
}

export interface ForecastOptions {
  readonly days?: number
  readonly series?: number
  readonly scrapeMinutes?: readonly number[]
  readonly kinds?: readonly string[]
  readonly config?: Readonly<Record<string, unknown>>
  readonly seed?: number
}

export interface Forecasts {
  readonly kinds: readonly ForecastFigures[]
  readonly fills: { readonly foretold: number; readonly leadHours: number | undefined; readonly coverage: number | undefined }
  readonly others: { readonly falsePerWeek: number; readonly falsePagesPerWeek: number }
}

/** The table of all kinds, and what it comes to. */
export function evaluate({ days = 7, series = 10, scrapeMinutes = [1, 5], kinds, config = {}, seed = 1 }: ForecastOptions = {}): Forecasts {
  const figures: ForecastFigures[] = []
  const leads: number[] = []
  const total = { filled: 0, foretold: 0, said: 0, held: 0, weeks: 0, false: 0, falsePages: 0 }
  for (const minutes of scrapeMinutes) {
    for (const kind of RESOURCE_KINDS) {
      if (kinds !== undefined && !kinds.includes(kind.what)) continue
      const runs = Array.from({ length: series }, (_, i) => replay(kind, days * DAY_MS, minutes * MINUTE_MS, config, seed * 1000 + i))
      const filled = runs.filter((run) => run.fillMs !== undefined)
      const told = filled.filter((run) => run.leadMs !== undefined)
      const paged = filled.filter((run) => run.pageLeadMs !== undefined)
      const [said, held] = [sum(runs.map((run) => run.said)), sum(runs.map((run) => run.held))]
      const weeks = sum(runs.map((run) => run.lengthMs)) / (7 * DAY_MS)
      const [wrong, wrongPages] = [sum(runs.map((run) => run.false)), sum(runs.map((run) => run.falsePages))]
      figures.push({
        what: kind.what,
        scrapeMinutes: minutes,
        series,
        filled: filled.length,
        foretold: told.length,
        leadHours: median(told.map((run) => run.leadMs! / HOUR_MS)),
        paged: paged.length,
        pageLeadMinutes: median(paged.map((run) => run.pageLeadMs! / MINUTE_MS)),
        coverage: said === 0 ? undefined : round(held / said),
        falsePerWeek: round(wrong / weeks),
        falsePagesPerWeek: round(wrongPages / weeks),
      })
      if (kind.fills) {
        total.filled += filled.length
        total.foretold += told.length
        leads.push(...told.map((run) => run.leadMs! / HOUR_MS))
        total.said += said
        total.held += held
      } else {
        total.weeks += weeks
        total.false += wrong
        total.falsePages += wrongPages
      }
    }
  }
  return {
    kinds: figures,
    fills: {
      foretold: round(total.foretold / Math.max(1, total.filled)),
      leadHours: median(leads),
      coverage: total.said === 0 ? undefined : round(total.held / total.said),
    },
    others: {
      falsePerWeek: round(total.false / Math.max(total.weeks, 1e-9)),
      falsePagesPerWeek: round(total.falsePages / Math.max(total.weeks, 1e-9)),
    },
  }
}

interface Run {
  readonly fillMs: number | undefined
  readonly lengthMs: number
  readonly leadMs: number | undefined
  readonly pageLeadMs: number | undefined
  readonly said: number
  readonly held: number
  readonly false: number
  readonly falsePages: number
}

function replay(kind: ResourceKind, lengthMs: number, scrapeMs: number, config: Readonly<Record<string, unknown>>, seed: number): Run {
  const settings = forecastConfig.parse(config)
  const share = kind.make(seededRandom(seed), lengthMs)
  const shares: number[] = []
  let fillMs: number | undefined
  let lowest: number[] = []
  for (let timeMs = 0; timeMs <= lengthMs; timeMs += scrapeMs) {
    const now = Math.min(1, Math.max(0, share(timeMs)))
    shares.push(now)
    if (kind.heap === true) {
      lowest.push(now)
      if (lowest.length > Math.max(5, (25 * MINUTE_MS) / scrapeMs)) lowest = lowest.slice(1)
    }
    if (kind.heap === true ? lowest.length >= 5 && Math.min(...lowest) >= HEAP_FULL : now >= 1) {
      fillMs = timeMs
      break
    }
  }
  const detector = new ForecastDetector(settings)
  const told = new Map<string, Anomaly[]>()
  const [used, limit] = kind.heap === true ? HEAP : DISK
  for (const [i, now] of shares.entries()) {
    const timeMs = START_MS + i * scrapeMs
    if (fillMs !== undefined && i * scrapeMs >= fillMs) break
    detector.detect(batchOf(used, limit, timeMs, kind.heap === true ? now * LIMIT : (1 - now) * LIMIT), () => {})
    detector.detect({ kind: 'tick', nowMs: timeMs + 1000 }, (finding) => {
      if (finding.kind !== 'anomaly') return
      const list = told.get(finding.id)
      if (list === undefined) told.set(finding.id, [finding])
      else list.push(finding)
    })
  }
  let leadMs: number | undefined
  let pageLeadMs: number | undefined
  let [said, held, wrong, wrongPages] = [0, 0, 0, 0]
  for (const list of told.values()) {
    const first = list[0]!
    const firstMs = first.atMs - START_MS
    const right = fillMs !== undefined && fillMs - firstMs <= 3 * settings.horizonMs
    if (!right) {
      wrong += first.impact ? 0 : 1
      wrongPages += first.impact ? 1 : 0
      continue
    }
    const stood = list.at(-1)!.endMs === undefined || first.impact
    if (first.impact) pageLeadMs = Math.max(pageLeadMs ?? 0, fillMs! - firstMs)
    if (stood || list.at(-1)!.endMs! - START_MS >= fillMs! - settings.imminentMs * 2) leadMs = Math.max(leadMs ?? 0, fillMs! - firstMs)
    for (const anomaly of list) {
      const interval = intervalOf(anomaly)
      if (interval === undefined || anomaly.endMs !== undefined) continue
      said++
      const leftMs = fillMs! - (anomaly.points.timeMs.at(-1)! - START_MS)
      // What is written out is rounded to minutes.
      if (leftMs >= interval.earlyMs - MINUTE_MS && leftMs <= interval.lateMs + MINUTE_MS) held++
    }
  }
  return { fillMs, lengthMs: fillMs ?? lengthMs, leadMs, pageLeadMs, said, held, false: wrong, falsePages: wrongPages }
}

function seriesOf(name: string): Series {
  const labels = [['mountpoint', '/data']] as const
  return { key: name, name, type: 'gauge', labels, service: 'shop', instance: 'shop-1' }
}
const DISK = [seriesOf('node_filesystem_avail_bytes'), seriesOf('node_filesystem_size_bytes')] as const
const HEAP = [seriesOf('jvm_memory_used_bytes'), seriesOf('jvm_memory_max_bytes')] as const

function batchOf(used: Series, limit: Series, timeMs: number, value: number): MetricBatch {
  return {
    kind: 'metrics',
    rows: 2,
    series: [used, limit],
    seriesIndex: Uint32Array.of(0, 1),
    timeMs: Float64Array.of(timeMs, timeMs),
    value: Float64Array.of(value, LIMIT),
    stale: new Uint8Array(2),
  }
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, min: MINUTE_MS, h: HOUR_MS, d: DAY_MS }

/** The interval as a person reads it. */
function intervalOf({ evidence }: Anomaly): { earlyMs: number; lateMs: number } | undefined {
  const found = /between (.+?) and (.+?)\)/.exec(evidence[0] ?? '')
  if (found === null) return undefined
  const spanOf = (text: string) =>
    sum(Array.from(text.matchAll(/(\d+) (s|min|h|d)/g), ([, count, unit]) => Number(count) * UNITS_MS[unit!]!))
  return { earlyMs: spanOf(found[1]!), lateMs: found[2] === 'not known' ? Number.POSITIVE_INFINITY : spanOf(found[2]!) }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted.length === 0 ? undefined : round(sorted[sorted.length >> 1]!)
}

function round(value: number): number {
  return Number(value.toPrecision(3))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { kinds, fills, others } = evaluate()
  const slo = evaluateSlo()
  if (process.argv.includes('--json')) console.log(JSON.stringify({ forecast: { kinds, fills, others }, slo }))
  else {
    console.table(kinds)
    console.log('what fills up:', fills, 'what does not:', others)
    console.table(slo.bursts)
    console.table(slo.quiet)
  }
}
