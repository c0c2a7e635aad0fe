/**
 * `npm run --silent bench -- detect --data DIR [--only nab,kpi] [--fit] [--page] [--verify-scorers] [--json]`: how well Tocsin's own detectors, as
 * they are shipped, do on public labelled data. Each set is looked at in a process of its own, two at a time; sets that are not there
 * are left out. The last line is one JSON object. `--fit` writes bench/thresholds.json, `--page` docs/ACCURACY.md and its pictures. `--only sim`
 * is for what is measured on made-up histories; the page has both.
 */
import { fork } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { PermanentError } from '../src/errors.ts'
import type { EventTally } from '../src/evaluate/events.ts'
import { writePage } from './detect/page.ts'
import { shippedFigures, type SetResult, type Thresholds } from './detect/result.ts'
import { isSimulation, SIMULATIONS, type Simulation } from './detect/simulations.ts'
import { verifyScorers } from './detect/verify.ts'
import type { SetRequest } from './detect/worker.ts'

/** In the order of the answer; `multivariate` answers for three. */
export const SETS = ['nab', 'kpi', 'cloud', 'smd', 'asd', 'jumpstarter', 'loghub', 'quiet'] as const
export type SetName = (typeof SETS)[number]
/** What one process looks at. */
export type Task = 'nab' | 'kpi' | 'cloud' | 'multivariate' | 'loghub' | 'quiet' | Simulation

const TASKS: Readonly<Record<SetName, Task>> = {
  nab: 'nab',
  kpi: 'kpi',
  cloud: 'cloud',
  smd: 'multivariate',
  asd: 'multivariate',
  jumpstarter: 'multivariate',
  loghub: 'loghub',
  quiet: 'quiet',
}
const THRESHOLDS = fileURLToPath(new URL('thresholds.json', import.meta.url))
const WORKER = fileURLToPath(new URL('detect/worker.ts', import.meta.url))
const AT_A_TIME = 2

export interface DetectArguments {
  readonly data: string
  readonly only: string | undefined
  readonly fit: boolean
  readonly page: boolean
  readonly verifyScorers: boolean
  readonly json: boolean
}

/** Throws a PermanentError when it is asked for something that cannot be. */
export async function runDetect(args: DetectArguments, where: Readonly<Record<string, unknown>>): Promise<void> {
  const { data } = args
  if (!existsSync(data)) throw new PermanentError(`--data ${data}: there is no such folder`)
  if (args.verifyScorers) return reportChecks(data, args.json)
  if (args.page && args.only !== undefined) throw new PermanentError('--page shows all sets: leave out --only')
  const wanted = setsOf(args.only, args.page)
  const results = await look([...new Set(wanted.map(taskOf))], data, args.fit)
  if (args.fit) writeThresholds(results)
  const answer: Record<string, unknown> = { suite: 'detect' }
  for (const set of wanted) {
    const result = results.get(taskOf(set))
    const figures = taskOf(set) === 'multivariate' ? result?.figures[set] : result?.figures
    if (figures !== undefined) answer[set] = figures
  }
  const tallies: EventTally[] = [...results.values()].flatMap((result) => result.tallies)
  if (tallies.length > 0) answer['asShipped'] = shippedFigures(tallies)
  if (args.page) await writePage(answer, results, where)
  const line = JSON.stringify({ ...answer, ...where })
  if (!args.json) console.log(`${JSON.stringify(withoutFiles(answer), null, 2)}\n`)
  console.log(line)
}

const taskOf = (set: SetName | Simulation): Task => (isSimulation(set) ? set : TASKS[set])

function setsOf(only: string | undefined, page: boolean): readonly (SetName | Simulation)[] {
  if (only === undefined) return page ? [...SETS, ...SIMULATIONS] : SETS
  const names = only.split(',').flatMap((name) => (name.trim() === 'sim' ? SIMULATIONS : [name.trim()]))
  for (const name of names)
    if (!(SETS as readonly string[]).includes(name) && !isSimulation(name))
      throw new PermanentError(`--only takes ${SETS.join(', ')} and sim (${SIMULATIONS.join(', ')}), not ${JSON.stringify(name)}`)
  return [...SETS, ...SIMULATIONS].filter((set) => names.includes(set))
}

/** The longest first, two at a time. */
async function look(tasks: readonly Task[], dir: string, fit: boolean): Promise<Map<Task, SetResult>> {
  const ORDER: readonly Task[] = ['multivariate', 'logRates', 'kpi', 'quiet', 'spansQuiet', 'nab', 'forecast', 'cloud', 'loghub', 'slo']
  const waiting = ORDER.filter((task) => tasks.includes(task))
  const found = new Map<Task, SetResult>()
  const frozen = readThresholds()
  const work = async () => {
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) {
      const startMs = performance.now()
      const result = await lookApart({ task, dir, fit, frozen })
      const seconds = ((performance.now() - startMs) / 1000).toFixed(0)
      process.stderr.write(`detect: ${task} ${result === undefined ? 'is not there' : `took ${seconds} s`}\n`)
      if (result !== undefined) found.set(task, result)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, work))
  return found
}

function lookApart(request: SetRequest): Promise<SetResult | undefined> {
  return new Promise((resolve, reject) => {
    const child = fork(WORKER, [], {
      execArgv: ['--import', import.meta.resolve('tsx')],
      stdio: ['ignore', 2, 2, 'ipc'],
      serialization: 'advanced',
    })
    let answer: { readonly result: SetResult | undefined } | undefined
    child.on('message', (message) => (answer = message as { readonly result: SetResult | undefined }))
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (answer !== undefined && code === 0) resolve(answer.result)
      else reject(new Error(`looking at ${request.task} ended with ${signal ?? `exit code ${code}`}`))
    })
    child.send(request)
  })
}

function readThresholds(): Partial<Thresholds> {
  return existsSync(THRESHOLDS) ? (JSON.parse(readFileSync(THRESHOLDS, 'utf8')) as Partial<Thresholds>) : {}
}

/** Those of sets that were not looked at stay as they were. */
function writeThresholds(results: ReadonlyMap<Task, SetResult>): void {
  const fitted = Object.assign({}, ...[...results.values()].map((result) => result.fitted)) as Partial<Thresholds>
  const all = { ...readThresholds(), ...fitted }
  writeFileSync(THRESHOLDS, `${JSON.stringify(all, null, 2)}\n`)
}

function reportChecks(dir: string, json: boolean): void {
  const checks = verifyScorers(dir).map((check) => ({ ...check, same: Math.abs(check.ours - check.published) <= check.tolerance }))
  if (!json)
    for (const { what, published, ours, same } of checks)
      console.log(
        `${what.padEnd(40)} ${published.toFixed(5).padStart(9)} ${ours.toFixed(5).padStart(9)}  ${same ? 'the same' : 'DIFFERENT'}`,
      )
  console.log(JSON.stringify({ suite: 'detect', scorers: checks }))
  if (checks.some((check) => !check.same)) process.exitCode = 1
}

/** What is too long to read on a terminal. */
function withoutFiles(answer: Readonly<Record<string, unknown>>): unknown {
  return JSON.parse(JSON.stringify(answer, (key, value: unknown) => (/^per(File|Family)$/.test(key) ? undefined : value)))
}
