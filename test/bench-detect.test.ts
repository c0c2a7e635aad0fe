/** `npm run bench -- detect` on a folder so small that its figures mean nothing: what is read, what is answered, what is left out. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCloud, readKpi, readNab, type LabelledSeries } from '../bench/detect/data.ts'
import { evaluate as evaluateForecasts } from '../bench/detect/forecast.ts'
import { simulationsPart } from '../bench/detect/simulations.ts'
import { evaluateSlo } from '../bench/detect/slo.ts'
import { halvings, justBelow, robustThreshold } from '../bench/detect/robust-threshold.ts'
import { delaySeries } from '../src/evaluate/delay-f1.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
let data: string

function bench(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'bench/run.ts', 'detect', ...args], {
    cwd: root,
    encoding: 'utf8',
  })
  return { status, stderr, lastLine: stdout.trimEnd().split('\n').at(-1)! }
}

const START_MS = Date.UTC(2026, 0, 5)
const ROWS = 1200
const FAULT = [900, 930] as const

/** Five minutes a row, a wave with noise; in the fault far above it. */
const rows = Array.from({ length: ROWS }, (_, i) => {
  const wrong = i >= FAULT[0] && i <= FAULT[1]
  return {
    timeMs: START_MS + i * 300_000,
    value: 50 + 10 * Math.sin(i / 45.8) + ((i * 7919) % 13) / 10 + (wrong ? 60 : 0),
    label: wrong ? 1 : 0,
  }
})
const plain = (timeMs: number) => new Date(timeMs).toISOString().slice(0, 19).replace('T', ' ')

function write(path: string, content: string | Buffer): void {
  mkdirSync(dirname(join(data, path)), { recursive: true })
  writeFileSync(join(data, path), content)
}

beforeAll(() => {
  data = mkdtempSync(join(tmpdir(), 'tocsin-bench-'))
  for (const name of ['one/a.csv', 'two/b.csv'])
    write(`nab/data/${name}`, `timestamp,value\n${rows.map((row) => `${plain(row.timeMs)},${row.value}`).join('\n')}\n`)
  const windows = [[`${plain(rows[FAULT[0]]!.timeMs)}.000000`, `${plain(rows[FAULT[1]]!.timeMs)}.000000`]]
  write('nab/labels/combined_windows.json', JSON.stringify({ 'one/a.csv': windows, 'two/b.csv': windows, 'two/not-here.csv': windows }))
  for (const name of ['a', 'b'])
    write(`kpi-aiops2018/${name}.csv.gz`, gzipSync(rows.map((row) => `${row.timeMs / 1000},${row.value},${row.label}`).join('\n')))
})
afterAll(() => rmSync(data, { recursive: true }))

const aShare = expect.toSatisfy((value: unknown) => typeof value === 'number' && value >= 0 && value <= 1) as number
const aNumber = expect.any(Number) as number

describe('detect', () => {
  test('answers for the sets that are there, in one object', () => {
    const { status, stderr, lastLine } = bench('--data', data, '--only', 'nab,kpi,cloud,smd', '--json')
    expect(stderr).toMatch(/cloud is not there/)
    expect(status).toBe(0)
    const answer = JSON.parse(lastLine) as Record<string, unknown>
    expect(Object.keys(answer)).toEqual(['suite', 'nab', 'kpi', 'asShipped', 'commit', 'node'])
    const profiles = { standard: aNumber, lowFP: aNumber, lowFN: aNumber }
    expect(answer).toMatchObject({
      suite: 'detect',
      nab: {
        ...profiles,
        threshold: aNumber,
        files: 2,
        inSample: profiles,
        crossValidated: { by: 'category', ...profiles },
        perFile: { 'one/a.csv': { score: aNumber, windows: 1 }, 'two/b.csv': { score: aNumber, windows: 1 } },
      },
      kpi: {
        f1: aShare,
        precision: aShare,
        recall: aShare,
        threshold: aNumber,
        files: 2,
        inSample: { f1: aShare },
        crossValidated: { f1: aShare },
      },
      asShipped: { alertsPerSeriesDay: aNumber, eventPrecision: aShare, eventRecall: aShare, medianDelayS: aNumber },
    })
    // The same series twice, so that each file is worth the same and the threshold of one suits the other.
    const { inSample, crossValidated } = answer['nab'] as Record<string, Record<string, number>>
    expect(crossValidated!['standard']).toBe(inSample!['standard'])
  }, 60_000)

  test.each([
    [['--only', 'nab'], 2, 'detect needs a folder of labelled data'],
    [['--data', '/no/such/folder'], 1, '--data /no/such/folder: there is no such folder'],
    [['--data', '.', '--only', 'nab', '--page'], 1, '--page shows all sets: leave out --only'],
    [['--data', '.', '--only', 'nab,yahoo'], 1, 'and sim (forecast, slo, spansQuiet, logRates), not "yahoo"'],
  ])(
    'refuses %j',
    (args, code, message) => {
      const { status, stderr } = bench(...args)
      expect(stderr).toContain(message)
      expect(status).toBe(code)
    },
    30_000,
  )
})

test('the page has a table for each simulation that ran, and nothing of the others', () => {
  const forecast = evaluateForecasts({ days: 2, series: 1, scrapeMinutes: [1], kinds: ['days', 'leak with noise'] })
  const slo = evaluateSlo({ runs: 1, quietDays: 1, traffic: [60], failing: [1] })
  const part = simulationsPart({ forecast, slo })
  expect(part.match(/^###? .+$/gm)).toEqual(['## Made-up histories', '### Time to exhaustion', '### Error budgets'])
  expect(part).toMatch(/^\| days \| 0 \| 0 \| – \| 0 \| – \| – \| 0 \| 0 \|$/m)
  expect(part).toMatch(/^\| 60 \| 1 \| 1 \| 1 \| \d+ \| 1 \|$/m)
  expect(part).not.toMatch(/NaN|undefined/)
  expect(simulationsPart({})).toBe('')
})

describe('the sets as others may have written them', () => {
  const at = [Date.UTC(2026, 0, 5), Date.UTC(2026, 0, 5, 0, 5), Date.UTC(2026, 0, 5, 0, 10)]
  const plainRows = ['2026-01-05 00:00:00,1,0', '2026-01-05 00:05:00,,1', '2026-01-05 00:10:00,3,1']
  const secondRows = at.map((timeMs, i) => `${timeMs / 1000},${['1', '', '3'][i]},${i > 0 ? 1 : 0}`)
  const files: Readonly<Record<string, string | Buffer>> = {
    'nab/labels/combined_windows.json': JSON.stringify({ 'k/a.csv': [['2026-01-05 00:05:00', '2026-01-05 00:10:00']] }),
    'nab/data/k/a.csv.gz': gzipSync(`timestamp,value\r\n${plainRows.map((row) => row.slice(0, -2)).join('\r\n')}\r\n`),
    'kpi-aiops2018/with-header.csv': `timestamp,value,label\n${secondRows.join('\n')}`,
    'cloud-monitoring/data/k/quoted.csv.gz': gzipSync(
      `"TimeStamp","Value","Label"\n${plainRows.map((row) => row.replaceAll(/[^,]+/g, '"$&"')).join('\n')}`,
    ),
    'cloud-monitoring/data/k/no-header.csv': plainRows.join('\r\n'),
  }
  let dir: string
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'tocsin-sets-'))
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true })
      writeFileSync(join(dir, path), content)
    }
  })
  afterAll(() => rmSync(dir, { recursive: true }))

  test.each<[string, (folder: string) => LabelledSeries[] | undefined, number]>([
    ['NAB', readNab, 1],
    ['KPI', readKpi, 1],
    ['cloud monitoring', readCloud, 2],
  ])('%s: packed or not, with a header or without, quoted, lines ended either way; an empty cell was not measured', (_, read, count) => {
    const found = read(dir)!
    expect(found).toHaveLength(count)
    for (const { timeMs, value, label } of found) expect([[...timeMs], [...value], [...label]]).toEqual([at, [1, NaN, 3], [0, 1, 1]])
  })
})

describe('the threshold that is frozen', () => {
  /** Segments reach `reached`, with `noise` beside them. */
  const series = (reached: number, noise: number) => {
    const label = Uint8Array.from({ length: 300 }, (_, i) => (i % 60 >= 50 ? 1 : 0))
    const score = Float64Array.from(label, (mark, i) => (mark === 1 ? reached : (i % 60) * (noise / 50)))
    return delaySeries({ timeMs: Float64Array.from(label, (_, i) => i * 60_000), label, score }, 7)
  }

  test('lies on the side where series that were left out lose less', () => {
    // The best for all is what the weaker half reaches; what is chosen on the stronger half would miss all of the weaker one.
    const all = [10, 10, 9.2, 9.2].map((reached) => series(reached, 5))
    const { threshold, heldOut } = robustThreshold(all, [
      [0, 1],
      [2, 3],
    ])
    expect(threshold).toBeLessThan(9.2 * 0.95)
    // The stronger half says nothing of how far to go down for the weaker one, which is missed.
    expect(heldOut).toMatchObject({ precision: 1, recall: 0.5 })
  })

  test('of a fold has nothing of that fold in its factor, and of a single fold nothing is said', () => {
    const all = [10, 10, 9.2, 9.2, 9.2, 9.2].map((reached) => series(reached, 5))
    const folds = [
      [0, 1],
      [2, 3],
      [4, 5],
    ]
    expect(robustThreshold(all, folds).heldOut.f1).toBe(1)
    const one = robustThreshold(all, [[0, 1, 2, 3, 4, 5]])
    expect(one.heldOut.f1).toBeNaN()
    expect(one.threshold).toBeCloseTo(9.2, 3)
  })

  test('is met by what meets the best one, however it is rounded', () => {
    for (const best of [3.86266162, 0.1 + 0.2, 1e-9, 123456.789]) expect(justBelow(best)).toBeLessThanOrEqual(best)
    expect(String(justBelow(3.8626616226454105))).toHaveLength(7)
  })

  test('is asked of both halves, ten times', () => {
    const folds = halvings(7)
    expect(folds).toHaveLength(20)
    for (let i = 0; i < folds.length; i += 2) expect([...folds[i]!, ...folds[i + 1]!].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6])
  })
})
