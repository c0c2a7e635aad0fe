/**
 * Kills by the hundred: `npm run test:chaos -- [--runs 100] [--seed 1] [--role detect|correlate|notify|web|ingest|several] [--parallel 2]`.
 * One line per run, then a line of JSON. A run that failed is repeated with `--runs 1 --seed ITS_SEED` and the same role.
 */
import { parseArgs } from 'node:util'
import { Arena } from '../support/chaos-arena.ts'
import { planOf, STRUCK, textOf, type Struck } from '../support/chaos-plan.ts'
import { inParallel, takeOverOf } from '../support/chaos-summary.ts'
import type { TakeOver } from '../support/chaos-run.ts'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    role: { type: 'string' },
    parallel: { type: 'string', default: '2' },
  },
})
const role = values.role as Struck | undefined
if (role !== undefined && !STRUCK.includes(role)) throw new Error(`--role is one of ${STRUCK.join(', ')}, not ${role}`)
const firstSeed = Number(values.seed)
const seeds = Array.from({ length: Number(values.runs) }, (_, i) => firstSeed + i)

const startMs = performance.now()
const takeOvers: TakeOver[] = []
const failed: number[] = []
{
  await using arena = await Arena.open()
  await inParallel(Number(values.parallel), seeds, async (seed) => {
    const plan = planOf(seed, role)
    const { problems, seconds, takeOvers: taken } = await arena.run(plan)
    takeOvers.push(...taken)
    if (problems.length > 0) failed.push(seed)
    const times = taken.map((one) => `${one.role} ${one.seconds.toFixed(1)} s`).join(', ')
    process.stdout.write(
      `${problems.length === 0 ? 'ok  ' : 'FAIL'} seed ${seed} (${seconds} s): ${textOf(plan)}. Taken over: ${times || '-'}\n`,
    )
    for (const problem of problems) process.stdout.write(`     ${problem}\n`)
  })
}
const seconds = Math.round((performance.now() - startMs) / 1000)
const summary = {
  suite: 'chaos',
  runs: seeds.length,
  failed: failed.length,
  failedSeeds: failed,
  takeOverS: takeOverOf(takeOvers),
  seconds,
}
process.stdout.write(`${JSON.stringify(summary)}\n`)
process.exitCode = failed.length === 0 ? 0 : 1
