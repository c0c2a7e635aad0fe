/**
 * Reads the labelled machines and services of many series as they lie under --data/multivariate: SMD as TSB-AD-M uses it (the test file alone,
 * of which the first `train_rows` are there to learn from), the Application Server Dataset of InterFusion, and JumpStarter's services.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

export interface Recording {
  readonly set: 'smd' | 'asd' | 'jumpstarter'
  readonly name: string
  readonly stepMs: number
  readonly columns: number
  /** Row by row. */
  readonly train: Float64Array
  readonly test: Float64Array
  readonly label: Uint8Array
}

const MINUTE_MS = 60_000

export function readRecordings(dir: string): Recording[] {
  const root = join(dir, 'multivariate')
  return [...readSmd(join(root, 'smd')), ...readAsd(join(root, 'asd', 'npy')), ...readJumpStarter(join(root, 'jumpstarter'))]
}

export function readSmd(root: string): Recording[] {
  const trainRows = trainRowsIn(root)
  const folder = join(root, 'test')
  if (!existsSync(folder)) return []
  const files = readdirSync(folder).filter((file) => /\.txt(\.gz)?$/.test(file))
  return files.sort().map((file) => {
    const name = file.replace(/\.txt(\.gz)?$/, '')
    const { values: test, columns } = readCsv(join(folder, file))
    const rows = trainRows.get(name) ?? Math.floor((test.length / columns) * UNTOLD_SHARE)
    const label = Uint8Array.from(readCsv(either(join(root, 'test_label', name))).values)
    return { set: 'smd', name, stepMs: MINUTE_MS, columns, train: test.slice(0, rows * columns), test, label }
  })
}

/** Of a machine for which no list says how many rows are there to learn from. */
const UNTOLD_SHARE = 0.1

/** From whatever list lies beside the machines: `{"machine-1-2": {"train_rows": 4529}}`. */
function trainRowsIn(root: string): Map<string, number> {
  const found = new Map<string, number>()
  if (!existsSync(root)) return found
  for (const file of readdirSync(root).filter((one) => one.endsWith('.json'))) {
    const list: unknown = JSON.parse(readFileSync(join(root, file), 'utf8'))
    if (typeof list !== 'object' || list === null) continue
    for (const [name, machine] of Object.entries(list as Record<string, { readonly train_rows?: unknown } | null>)) {
      if (typeof machine?.train_rows === 'number') found.set(name, machine.train_rows)
    }
  }
  return found
}

/** The text, packed or not. */
function either(path: string): string {
  return existsSync(`${path}.txt`) ? `${path}.txt` : `${path}.txt.gz`
}

function readAsd(root: string): Recording[] {
  if (!existsSync(root)) return []
  const names = readdirSync(root).flatMap((file) => /^(.+)_test\.npy$/.exec(file)?.[1] ?? [])
  return names.sort().map((name) => {
    const { values: train, columns } = readNpy(join(root, `${name}_train.npy`))
    const { values: test } = readNpy(join(root, `${name}_test.npy`))
    const label = Uint8Array.from(readNpy(join(root, `${name}_test_label.npy`)).values)
    return { set: 'asd', name, stepMs: 5 * MINUTE_MS, columns, train, test, label }
  })
}

function readJumpStarter(root: string): Recording[] {
  if (!existsSync(root)) return []
  const folders = readdirSync(root).filter((name) => existsSync(join(root, name, 'test')))
  return folders.sort().flatMap((folder) => {
    const files = readdirSync(join(root, folder, 'test')).filter((file) => file.endsWith('.csv.gz'))
    return files.sort().map((file): Recording => {
      const { values: train, columns } = readCsv(join(root, folder, 'train', file))
      const { values: test } = readCsv(join(root, folder, 'test', file))
      const label = Uint8Array.from(readCsv(join(root, folder, 'test_label', file.slice(0, -3))).values)
      return { set: 'jumpstarter', name: `${folder}/${file.slice(0, -7)}`, stepMs: 5 * MINUTE_MS, columns, train, test, label }
    })
  })
}

function readCsv(file: string): { readonly values: Float64Array; readonly columns: number } {
  const bytes = readFileSync(file)
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')
  const lines = text.split(/\r?\n/).filter((line) => line !== '')
  const columns = lines[0]?.split(',').length ?? 0
  return { values: Float64Array.from(lines.flatMap((line) => line.split(',').map(Number))), columns }
}

/** NumPy's format, version 1 (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): little-endian floats, row by row. */
function readNpy(file: string): { readonly values: Float64Array; readonly columns: number } {
  const bytes = readFileSync(file)
  const headEnd = 10 + bytes.readUInt16LE(8)
  const head = bytes.toString('latin1', 10, headEnd)
  const shape = /'shape': \((\d+), ?(\d*)\)/.exec(head)
  const width = /'descr': '<f([48])'/.exec(head)?.[1]
  if (shape === null || width === undefined || !head.includes("'fortran_order': False")) throw new Error(`${file}: cannot read ${head}`)
  const body = new Uint8Array(bytes.subarray(headEnd)).buffer
  return { values: Float64Array.from(width === '4' ? new Float32Array(body) : new Float64Array(body)), columns: Number(shape[2] || 1) }
}
