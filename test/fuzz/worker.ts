/** One reader for a while, in a process of its own. */
import { openSync, writeSync } from 'node:fs'
import { Judge } from './judge.ts'
import type { Finding } from './judge.ts'
import { READERS } from './readers.ts'

export interface ToWorker {
  readonly name: string
  readonly seed: number
  /** The first case. */
  readonly from: number
  readonly turnMs: number
  /** A file that holds the number of the case under way, for when this process is lost. */
  readonly progressPath: string
}

export interface FromWorker {
  readonly next: number
  readonly cpuMs: number
  readonly findings: readonly Finding[]
}

const MAX_FINDINGS = 20

process.once('message', (message: ToWorker) => void takeTurn(message))

async function takeTurn({ name, seed, from, turnMs, progressPath }: ToWorker): Promise<void> {
  const progress = Buffer.alloc(4)
  const file = openSync(progressPath, 'w')
  const judge = new Judge(READERS.find((reader) => reader.name === name)!)
  const untilMs = performance.now() + turnMs
  const before = process.cpuUsage()
  const findings: Finding[] = []
  let next = from
  for (; performance.now() < untilMs && findings.length < MAX_FINDINGS; next++) {
    progress.writeUInt32LE(next)
    writeSync(file, progress, 0, 4, 0)
    const finding = await judge.judge(judge.bodyOf(seed, next))
    if (finding !== undefined) findings.push(finding)
  }
  const { user, system } = process.cpuUsage(before)
  process.send!({ next, cpuMs: (user + system) / 1000, findings } satisfies FromWorker)
}
