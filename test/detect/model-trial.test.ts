import { describe, expect, test } from 'vitest'
import type { Anomaly, Finding, Series } from '../../src/model.ts'
import { passesTrial, rowsBeforeTrial } from '../../src/detect/service/model-trial.ts'
import { RandomNet, type FitReconstruction } from '../../src/detect/service/random-net.ts'
import { seriesConfig } from '../../src/detect/series/series-config.ts'
import { SeriesTable } from '../../src/detect/series/series-table.ts'
import { serviceDetector } from '../../src/detect/service/service.ts'
import { ServiceModel } from '../../src/detect/service/service-model.ts'
import { ServiceSeries } from '../../src/detect/service/service-series.ts'
import { StepBoard } from '../../src/detect/service/step-board.ts'
import { StepHistory } from '../../src/detect/service/step-history.ts'
import { noise } from './metric-feed.ts'

const STEP_MS = 300_000
const ROWS_PER_DAY = 288
const START = Date.UTC(2026, 0, 5)
const NAMES = ['requests', 'cpu', 'bytes', 'threads', 'sessions', 'wait']
const GAINS = [100, 0.1, 3e8, 10, -50, 1]
const BASES = [500, 0.4, 2e9, 80, 1000, 5]

/** Everything follows the load; `day` moves what is normal: half as much again of everything in a hundred days. */
function load(seed: number): (day: number) => number[] {
  const random = noise(seed)
  let level = 0
  return (day) => {
    level = 0.9 * level + 0.3 * random()
    return NAMES.map((_, i) => (BASES[i]! + GAINS[i]! * (level + 0.05 * random())) * (1 + day / 200))
  }
}

/** One service, a row every five minutes. */
class Months {
  readonly found: Finding[] = []
  readonly watch: ServiceSeries
  readonly #board = new StepBoard()
  readonly #table = new SeriesTable(seriesConfig.parse({}))
  readonly #next = load(11)
  #at = 0

  constructor(fit: FitReconstruction = RandomNet.fit) {
    const rules = serviceDetector.config.parse({ windowMs: STEP_MS, closeAfter: 3 })
    this.watch = new ServiceSeries(rules, this.#board, undefined, fit)
  }

  /** Until the end of `day`; `change` alters the rows of its first hours. */
  play(day: number, change?: (row: number[]) => number[]): void {
    for (let r = 0; this.#at < (day + 1) * ROWS_PER_DAY; r++, this.#at++) {
      const row = this.#next(this.#at / ROWS_PER_DAY)
      const changed = r < 36 && change ? change(row) : row
      changed.forEach((value, i) => {
        const series: Series = { key: NAMES[i]!, name: NAMES[i]!, type: 'gauge', labels: [], service: 'shop', instance: 'shop-1' }
        this.#board.observe(this.#table.entry(this.#table.find(series.key) ?? this.#table.add(series)!), value)
      })
      this.watch.close(START + (this.#at + 1) * STEP_MS, (finding) => this.found.push(finding))
    }
  }

  get count(): Readonly<Record<string, number>> {
    return this.watch.counts()
  }

  /** Days on which an anomaly began. */
  get days(): number[] {
    const anomalies = this.found.filter((finding): finding is Anomaly => finding.kind === 'anomaly')
    return [...new Map(anomalies.map(({ id, startMs }) => [id, Math.floor((startMs - START) / (STEP_MS * ROWS_PER_DAY))])).values()]
  }
}

const broken = (row: number[]): number[] => row.with(1, row[1]! * 3).with(4, row[4]! * 0.4)

describe('months of a service', () => {
  test('what is normal changes slowly and is learnt anew every month; an incident on the way is not', () => {
    const months = new Months()
    months.play(39)
    const fits = months.count['model_fits']!
    months.play(40, broken)
    months.play(94)
    expect(months.count['model_fits']).toBeGreaterThan(fits)
    months.play(95, broken)
    months.play(99)
    expect(months.days).toContain(40)
    expect(months.days).toContain(95)
    expect(months.days.filter((day) => day > 5 && day !== 40 && day !== 95)).toEqual([])
  }, 60_000)
})

describe('a new model is compared with the running one', () => {
  test('one that gives back nothing of recent rows is refused, and the running one stays', () => {
    let fits = 0
    const months = new Months((values, rows, width) => {
      const net = RandomNet.fit(values, rows, width)
      return ++fits === 1 ? net : { width, pass: (_input, out) => void out.fill(3) }
    })
    months.play(2)
    expect(months.count).toMatchObject({ model_fits: 1, refused_models: 3 })
  })

  test.each<[what: string, incidentRows: number]>([
    ['as good as the running one', 0],
    ['with an incident in a third of the recent rows', 20],
  ])('%s it passes', (_what, incidentRows) => {
    const history = new StepHistory()
    const next = load(5)
    let running: ServiceModel | undefined
    for (let r = 0; r < 512; r++) {
      const row = next(0)
      history.push(
        r * STEP_MS,
        Float64Array.from(r >= 512 - incidentRows ? broken(row) : row, (value, i) => value - BASES[i]!),
        6,
        32,
      )
      if (r === 255) running = ServiceModel.fit(history, Float64Array.from(BASES), undefined)
    }
    const candidate = ServiceModel.fit(history, Float64Array.from(BASES), running, RandomNet.fit, rowsBeforeTrial(history))!
    expect(candidate.rows).toBe(448)
    expect(passesTrial(running!, candidate, history, 255 * STEP_MS)).toBe(true)
  })
})
