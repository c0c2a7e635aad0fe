/** One reader for a while, in a process of its own. */
import { openSync, writeSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'
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
/**
 * What the codec remembers of tables of series is bounded, but by more than the little memory of this process: tables of cases share no
 * series, those of a live system all do. A turn ends here and the next begins in a fresh process, so that only what one case takes can
 * use memory up.
 */
const MAX_USED = 0.6
const LOOK_EVERY = 50

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
    if ((next - from) % LOOK_EVERY === LOOK_EVERY - 1 && isNearlyFull()) break
    progress.writeUInt32LE(next)
    writeSync(file, progress, 0, 4, 0)
    const finding = await judge.judge(judge.bodyOf(seed, next))
    if (finding !== undefined) findings.push(finding)
  }
  const { user, system } = process.cpuUsage(before)
  process.send!({ next, cpuMs: (user + system) / 1000, findings } satisfies FromWorker)
}

function isNearlyFull(): boolean {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
  return used > MAX_USED * limit
}
