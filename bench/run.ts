/**
 * `npm run --silent bench -- SUITE [--rounds N] [--quick] [--json]`: what Tocsin costs, measured beside something else on this machine now.
 * Prints a table, or with --json one JSON object as the last line. Slow or fast, it succeeds; it fails when the compared do
 * not agree on what is in the input. README.md says what the suites measure.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { messageOf } from '../src/errors.ts'
import { runRounds } from './rounds.ts'
import { rounded, type Results, type Scale, type Spread, type Suite } from './suite.ts'

const SUITES: Readonly<Record<string, () => Promise<{ readonly suite: Suite }>>> = {
  ingest: () => import('./ingest.ts'),
  codec: () => import('./codec.ts'),
  speed: () => import('./speed.ts'),
  series: () => import('./series.ts'),
  logs: () => import('./logs.ts'),
  spans: () => import('./spans.ts'),
  replay: () => import('./replay.ts'),
  http: () => import('./http.ts'),
}
const USAGE = `npm run --silent bench -- ${Object.keys(SUITES).join('|')} [--rounds 5] [--quick] [--recording FOLDER] [--json]
       npm run --silent bench -- detect --data FOLDER [--only SET,SET] [--fit] [--page] [--verify-scorers] [--json]`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    recording: { type: 'string', default: fileURLToPath(new URL('../examples/outage', import.meta.url)) },
    measure: { type: 'string' },
    data: { type: 'string' },
    only: { type: 'string' },
    fit: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
    'verify-scorers': { type: 'boolean', default: false },
  },
})
const [name = '', ...tooMany] = positionals
const load = Object.hasOwn(SUITES, name) ? SUITES[name] : undefined
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))

if (name === 'detect' && tooMany.length === 0) await detect(values.data)
else if (load === undefined || tooMany.length > 0) refuse(`name one suite: ${USAGE}`)
else if (!Number.isInteger(rounds) || rounds < 1 || rounds % 2 === 0) refuse('--rounds takes an odd number, so that there is a middle one')
else if (!existsSync(new URL('../dist/.built', import.meta.url)))
  refuse('the benchmarks measure the built program: run `npm run build` first, or use `npm run bench`, which does')
else if (values.measure !== undefined) await measure((await load()).suite, values.measure)
else {
  try {
    await compare((await load()).suite)
  } catch (error) {
    process.stderr.write(`bench: ${messageOf(error)}\n`)
    process.exitCode = 1
  }
}

/** Of another kind: it asks how well, not how fast, and has its own processes. */
async function detect(data: string | undefined): Promise<void> {
  if (data === undefined) return refuse(`detect needs a folder of labelled data: ${USAGE}`)
  const { runDetect } = await import('./detect.ts')
  const { only, fit, page, json } = values
  try {
    await runDetect({ data, only, fit, page, json, verifyScorers: values['verify-scorers'] }, { commit: commit(), node: process.version })
  } catch (error) {
    process.stderr.write(`bench: ${messageOf(error)}\n`)
    process.exitCode = 1
  }
}

/** In a process of its own: told the scale, answers with what it measured. */
async function measure(suite: Suite, contender: string): Promise<void> {
  process.on('disconnect', () => process.exit(1))
  const [scale] = (await once(process, 'message')) as [Scale]
  const result = await suite.measure(contender, scale)
  process.send!(result, () => process.exit(0))
}

async function compare(suite: Suite): Promise<void> {
  const scale: Scale = {
    quick: values.quick,
    warmMs: values.quick ? 20 : 1000,
    runMs: values.quick ? 20 : 1000,
    recording: values.recording,
  }
  const where = { commit: commit(), node: process.version, machine: machine(), rounds }
  const missing = suite.missing?.(scale)
  if (missing !== undefined) {
    console.log(values.json ? JSON.stringify({ suite: name, missing, ...where }) : `${name}: nothing to measure: ${missing}`)
    return
  }
  if (!values.json) console.log(`${name} at ${where.commit}, Node ${where.node}, ${where.machine}, load ${loadavg()[0]!.toFixed(1)}\n`)
  const results = await runRounds(name, suite, scale, rounds, (text) => process.stderr.write(`${text}\n`))
  if (values.json) console.log(JSON.stringify({ suite: name, ...suite.json(results, scale), ...where, load: rounded(loadavg()[0]!) }))
  else print(suite, results, scale)
}

function print(suite: Suite, results: Results, scale: Scale): void {
  const rows = suite.contenders(scale).map((contender) => {
    const perCpuS = results.perCpuS(contender.name)
    return [
      contender.name,
      contender.unit,
      grouped(perCpuS.median),
      `${grouped(perCpuS.min)} … ${grouped(perCpuS.max)}`,
      noise(perCpuS),
      grouped(results.perWallS(contender.name).median),
    ]
  })
  table([['', 'unit', 'per CPU-second', 'of the rounds', 'noise', 'per second'], ...rows])
  for (const note of suite.notes(results, scale)) console.log(note)
}

function table(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  for (const row of rows) console.log(row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
  console.log()
}

function grouped(value: number): string {
  return rounded(value).toLocaleString('en-US')
}

/** How far the worst round is from the middle one. */
function noise({ median, min, max }: Spread): string {
  return `${Math.round((Math.max(max - median, median - min) / median) * 100)} %`
}

function machine(): string {
  const all = cpus()
  return `${all.length} × ${all[0]?.model.trim() ?? 'unknown processor'}`
}

/** With `+` where the checkout differs from it. */
function commit(): string {
  const cwd = fileURLToPath(new URL('..', import.meta.url))
  const git = (...args: string[]) => spawnSync('git', args, { cwd, encoding: 'utf8' })
  const head = git('rev-parse', '--short', 'HEAD')
  if (head.status !== 0) return 'unknown'
  return head.stdout.trim() + (git('status', '--porcelain', '--untracked-files=no').stdout.trim() === '' ? '' : '+')
}

function refuse(message: string): void {
  process.stderr.write(`bench: ${message}\n`)
  process.exitCode = 2
}
