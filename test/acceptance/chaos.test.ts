/**
 * kill -9 of each role at seeded moments in the middle of a live fault: the same incidents to the byte, the same notices, nothing lost and
 * nothing doubled at a receiver that folds. Real processes, a real Kafka and PostgreSQL, a recorded outage in place of customers.
 * `npm run test:chaos` does the same by the hundred.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Arena } from '../support/chaos-arena.ts'
import { planOf, STRUCK, textOf } from '../support/chaos-plan.ts'
import type { TakeOver } from '../support/chaos-run.ts'
import { inParallel, takeOverOf } from '../support/chaos-summary.ts'
import { requireOrSkip } from '../support/services.ts'

/** Six in a row that between them hold every kind of strike, receiver, fate and way to come back. */
const SEEDS = [288, 289, 290, 291, 292, 293]

describe('the plan', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(planOf(7)).toEqual(planOf(7))
    expect(textOf(planOf(7))).not.toBe(textOf(planOf(13)))
  })

  it('holds every kind of strike, and both faults, in the runs below', () => {
    const plans = STRUCK.flatMap((struck) => SEEDS.map((seed) => planOf(seed, struck)))
    expect(plans.length).toBeGreaterThanOrEqual(30)
    const strikes = plans.flatMap((plan) => plan.strikes.map(({ restart, strike }) => ({ restart, ...strike })))
    const values = (key: string) => [...new Set(strikes.flatMap((strike) => (key in strike ? [String(strike[key as never])] : [])))].sort()
    expect(values('kind')).toEqual(['acknowledge', 'answer', 'anywhere', 'checkpoint', 'door', 'rebalance', 'restore'])
    expect(values('channel')).toEqual(['jira', 'pagerduty', 'slack', 'webhook'])
    expect(values('receiver')).toEqual(['hang', 'hang-after'])
    expect(values('fate')).toEqual(['commits', 'is cut off'])
    expect(values('hold')).toEqual(['answer', 'request'])
    expect(values('dies')).toEqual(['after', 'before'])
    expect(values('restart')).toEqual(['at once', 'later', 'never'])
    expect(values('again')).toEqual(['false', 'true'])
    expect(new Set(plans.map(({ scene }) => scene)).size).toBe(2)
  })
})

requireOrSkip('kafka', 'postgres')('kill -9 in the middle of a fault', () => {
  let arena: Arena
  const takeOvers: TakeOver[] = []

  beforeAll(async () => {
    arena = await Arena.open()
  }, 300_000)

  afterAll(async () => {
    await arena?.[Symbol.asyncDispose]()
    process.stdout.write(`take-over in seconds after kill -9: ${JSON.stringify(takeOverOf(takeOvers))}\n`)
  }, 60_000)

  it.each(STRUCK)(
    `of %s, ${SEEDS.length} times: the incidents and notices of an undisturbed run`,
    async (struck) => {
      const failures: string[] = []
      let missed = 0
      await inParallel(2, SEEDS, async (seed) => {
        const plan = planOf(seed, struck)
        const { problems, takeOvers: taken, missed: late } = await arena.run(plan)
        takeOvers.push(...taken)
        missed += late.length
        if (problems.length > 0) failures.push(`--role ${struck} --seed ${seed}: ${textOf(plan)}\n${problems.join('\n')}`)
      })
      expect(failures.join('\n\n')).toBe('')
      expect(missed, 'strikes whose moment had passed').toBeLessThan(SEEDS.length)
      expect(takeOvers.length).toBeGreaterThan(0)
    },
    900_000,
  )
})
