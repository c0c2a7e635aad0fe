/**
 * Runs the contenders of a suite: each measurement in a fresh process, so that none profits from what another has warmed up or
 * litters its heap; in alternating order, so that none always comes first; an odd number of rounds, so that there is a middle one.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Contender, Measured, Results, Scale, Spread, Suite } from './suite.ts'

const RUNNER = fileURLToPath(new URL('run.ts', import.meta.url))

export async function runRounds(name: string, suite: Suite, scale: Scale, rounds: number, tell: (text: string) => void): Promise<Results> {
  const contenders = suite.contenders(scale)
  const measured = new Map<string, Measured[]>(contenders.map((contender) => [contender.name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
      tell(`${name}: round ${round + 1} of ${rounds}, ${contender.name}`)
      measured.get(contender.name)!.push(await measureApart(name, contender, scale))
    }
  }
  for (const { name: one, task } of contenders) {
    for (const { name: other } of contenders.filter((contender) => task !== undefined && contender.task === task)) {
      const [found, also] = [measured.get(one)![0]!.found, measured.get(other)![0]!.found]
      if (found !== also)
        throw new Error(`${one} and ${other} did not find the same in the same input (${found} and ${also}): nothing to compare`)
    }
  }
  return resultsOf(measured)
}

function measureApart(suite: string, { name, flags = [] }: Contender, scale: Scale): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const child = fork(RUNNER, [suite, '--measure', name], {
      execArgv: ['--import', import.meta.resolve('tsx'), '--import', import.meta.resolve('./built.mjs'), '--expose-gc', ...flags],
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    let result: Measured | undefined
    child.on('message', (message) => (result = message as Measured))
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (result !== undefined && code === 0) resolve(result)
      else reject(new Error(`measuring ${name} of ${suite} ended with ${signal ?? `exit code ${code}`}`))
    })
    child.send(scale)
  })
}

function resultsOf(measured: ReadonlyMap<string, readonly Measured[]>): Results {
  const of = (name: string, figure: (one: Measured) => number) => measured.get(name)!.map(figure)
  const perCpuS = (name: string) => of(name, (one) => (one.units * 1000) / one.cpuMs)
  return {
    perCpuS: (name) => spreadOf(perCpuS(name)),
    perWallS: (name) => spreadOf(of(name, (one) => (one.units * 1000) / one.wallMs)),
    also: (name, figure) => spreadOf(of(name, (one) => one.also![figure]!)),
    ratio(name, other) {
      const others = perCpuS(other)
      return spreadOf(perCpuS(name).map((rate, round) => rate / others[round]!))
    },
  }
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: sorted[sorted.length >> 1]!, min: sorted[0]!, max: sorted.at(-1)! }
}
