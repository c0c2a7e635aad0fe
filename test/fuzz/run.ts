/**
 * The long run: damages bodies for as long as it is told, all readers in turn, and tells what it found with a file that shows it again.
 *
 *   npm run fuzz -- --minutes 10 [--only remote-write,zstd] [--seed 5] [--out DIR]
 *   npm run fuzz -- --only zstd --file DIR/zstd-1.body
 *
 * Readers run in a process of their own with little memory, and a case that neither ends nor fails is found by the clock.
 */
import { fork } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Judge } from './judge.ts'
import { READERS } from './readers.ts'
import type { FromWorker, ToWorker } from './worker.ts'

const TURN_MS = 20_000
const HANG_MS = 60_000
const HEAP_MB = 384
/** Of one reader more are most likely the same again. */
const MAX_TOLD = 5

interface Sum {
  cases: number
  findings: number
  cpuMs: number
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: '' },
    file: { type: 'string', default: '' },
    out: { type: 'string', default: join(tmpdir(), 'tocsin-fuzz') },
  },
})
const only = values.only === '' ? [] : values.only.split(',')
const unknown = only.filter((name) => !READERS.some((reader) => reader.name === name))
if (unknown.length > 0)
  throw new Error(`no reader is called ${unknown.join(', ')}; there are ${READERS.map(({ name }) => name).join(', ')}`)
const names = READERS.map(({ name }) => name).filter((name) => only.length === 0 || only.includes(name))

process.exitCode = values.file === '' ? await runFor(Number(values.minutes) * 60_000) : await judgeFile(values.file)

async function judgeFile(path: string): Promise<number> {
  let found = 0
  for (const reader of READERS.filter(({ name }) => names.includes(name))) {
    const finding = await new Judge(reader).judge(readFileSync(path))
    console.log(`${reader.name}: ${finding?.what ?? 'nothing is wrong'}`)
    if (finding !== undefined) found++
  }
  return found === 0 ? 0 : 1
}

async function runFor(durationMs: number): Promise<number> {
  const seed = values.seed === '' ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed)
  console.log(`seed ${seed}, ${names.length} readers, ${(durationMs / 60_000).toFixed(1)} minutes, findings go to ${values.out}`)
  const sums = new Map(names.map((name): [string, Sum] => [name, { cases: 0, findings: 0, cpuMs: 0 }]))
  const untilMs = Date.now() + durationMs
  for (let turn = 0; Date.now() < untilMs; turn++) {
    const name = names[turn % names.length]!
    const sum = sums.get(name)!
    const from = sum.cases
    const turnMs = Math.min(TURN_MS, untilMs - Date.now())
    const { next, cpuMs, findings } = await takeTurn({ name, seed, from, turnMs })
    sum.cases = next
    sum.cpuMs += cpuMs
    for (const { what, body } of findings) tell(name, what, body, ++sum.findings)
  }
  let found = 0
  for (const [name, { cases, findings, cpuMs }] of sums) {
    found += findings
    const perS = cpuMs === 0 ? 0 : Math.round(cases / (cpuMs / 1000))
    console.log(
      `${name.padEnd(22)} ${String(cases).padStart(9)} cases ${String(perS).padStart(7)}/s of CPU ${String(findings).padStart(4)} findings`,
    )
  }
  const all = [...sums.values()]
  const cpuMs = all.reduce((total, sum) => total + sum.cpuMs, 0)
  const cases = all.reduce((total, sum) => total + sum.cases, 0)
  console.log(`${cases} cases in ${(cpuMs / 60_000).toFixed(1)} minutes of CPU, ${found} findings, seed ${seed}`)
  return found === 0 ? 0 : 1
}

function tell(name: string, what: string, body: Uint8Array, number: number): void {
  if (number > MAX_TOLD) return
  mkdirSync(values.out, { recursive: true })
  const path = join(values.out, `${name}-${number}.body`)
  writeFileSync(path, body)
  writeFileSync(`${path}.txt`, `${what}\n`)
  console.log(`${name}: ${body.length} bytes: ${what.slice(0, 600)}\n  npm run fuzz -- --only ${name} --file ${path}`)
}

interface Turn {
  readonly next: number
  readonly cpuMs: number
  readonly findings: readonly { what: string; body: Uint8Array }[]
}

/** One reader for a while. */
async function takeTurn({ name, seed, from, turnMs }: Omit<ToWorker, 'progressPath'>): Promise<Turn> {
  const progressPath = join(tmpdir(), `tocsin-fuzz-${process.pid}`)
  const execArgv = [...process.execArgv, `--max-old-space-size=${HEAP_MB}`]
  const child = fork(new URL('worker.ts', import.meta.url), { execArgv, serialization: 'advanced' })
  child.send({ name, seed, from, turnMs, progressPath } satisfies ToWorker)
  const startedMs = Date.now()
  const lost = (what: string): Turn => {
    if (!existsSync(progressPath)) throw new Error(`the process of ${name} does not start`)
    const number = readFileSync(progressPath).readUInt32LE()
    const body = new Judge(READERS.find((reader) => reader.name === name)!).bodyOf(seed, number)
    return { next: number + 1, cpuMs: Date.now() - startedMs, findings: [{ what, body }] }
  }
  try {
    return await new Promise<Turn>((resolve, reject) => {
      const settle = (what: string) => {
        try {
          resolve(lost(what))
        } catch (error) {
          reject(error)
        }
      }
      const late = setTimeout(() => settle(`does not end within ${HANG_MS} ms`), turnMs + HANG_MS)
      child.once('message', (message: FromWorker) => {
        clearTimeout(late)
        resolve(message)
      })
      child.once('exit', (code, signal) => {
        clearTimeout(late)
        settle(`ends its process: ${signal ?? code}`)
      })
    })
  } finally {
    child.removeAllListeners()
    child.kill('SIGKILL')
    rmSync(progressPath, { force: true })
  }
}
