/**
 * Reads the public labelled sets as they lie under --data: NAB (numenta/NAB), the KPI set of the AIOps Challenge 2018, Microsoft's cloud
 * monitoring set and the SMD machines of TSB-AD-M. Rows come in the order of their files; a set that is not there is undefined.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

export interface LabelledSeries {
  /** Its file below the folder of the set. */
  readonly name: string
  /** Folder or kind it came from: what is left out together when figures are cross-validated. */
  readonly category: string
  readonly timeMs: Float64Array
  readonly value: Float64Array
  readonly label: Uint8Array
  /** NAB labels stretches, not rows. */
  readonly windows: readonly (readonly [startMs: number, endMs: number])[]
}

export function readNab(dir: string): LabelledSeries[] | undefined {
  const root = join(dir, 'nab')
  if (!existsSync(join(root, 'labels/combined_windows.json'))) return undefined
  const labels = JSON.parse(readFileSync(join(root, 'labels/combined_windows.json'), 'utf8')) as Record<string, [string, string][]>
  return csvUnder(join(root, 'data')).map((name) => {
    const rows = readCsv(join(root, 'data', name), utcMs)
    const windows = (labels[name] ?? labels[name.replace(/\.gz$/, '')] ?? []).map(([from, to]) => [utcMs(from), utcMs(to)] as const)
    const label = new Uint8Array(rows.timeMs.length)
    for (const [from, to] of windows) rows.timeMs.forEach((at, i) => at >= from && at <= to && (label[i] = 1))
    return { name, category: name.split('/')[0]!, ...rows, label, windows }
  })
}

export function readKpi(dir: string): LabelledSeries[] | undefined {
  const root = join(dir, 'kpi-aiops2018')
  if (!existsSync(root)) return undefined
  return csvUnder(root).map((name) => ({
    name,
    category: 'kpi',
    ...readCsv(join(root, name), (cell) => Number(cell) * 1000),
    windows: [],
  }))
}

export function readCloud(dir: string): LabelledSeries[] | undefined {
  const root = join(dir, 'cloud-monitoring/data')
  if (!existsSync(root)) return undefined
  return csvUnder(root).map((name) => {
    const rows = readCsv(join(root, name), utcMs)
    return { name, category: name.split('/')[0]!, ...rows, windows: [] }
  })
}

/** `2014-04-10 07:15:00.000000`, without a zone: taken as UTC, as the benchmark does. */
const utcMs = (text: string): number => Date.parse(`${text.slice(0, 19).replace(' ', 'T')}Z`)

/** With or without a header; a cell without a value is a row that was not measured. */
function readCsv(file: string, timeOf: (cell: string) => number): Pick<LabelledSeries, 'timeMs' | 'value' | 'label'> {
  const lines = linesOf(file).map((line) => line.split(',').map((cell) => cell.trim().replaceAll('"', '')))
  const header = lines[0] !== undefined && Number.isNaN(timeOf(lines[0][0]!)) ? 1 : 0
  const rows = lines.slice(header)
  const timeMs = new Float64Array(rows.length)
  const value = new Float64Array(rows.length)
  const label = new Uint8Array(rows.length)
  rows.forEach((row, i) => {
    const [time = '', text = '', mark = '0'] = row
    timeMs[i] = timeOf(time)
    value[i] = text === '' ? Number.NaN : Number(text)
    label[i] = Number(mark)
    if (Number.isNaN(timeMs[i])) throw new Error(`${file}: row ${i + 1 + header} has no time: ${row.join(',')}`)
  })
  return { timeMs, value, label }
}

function linesOf(file: string): string[] {
  const bytes = readFileSync(file)
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')
  return text.split(/\r?\n/).filter((line) => line !== '')
}

function csvUnder(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.csv(\.gz)?$/.test(name))
    .sort()
}
