/**
 * Every reader against what it is compared with, on damaged bodies of real senders: a fixed number of cases with a fixed seed. `npm run fuzz` goes
 * on where this ends; a failure here is shown again by the numbers in it.
 */
import { describe, expect, it } from 'vitest'
import { Judge } from '../fuzz/judge.ts'
import { READERS } from '../fuzz/readers.ts'

const SEED = 20_261_123
const CASES = 60

describe.each(READERS)('$name, against $against', (reader) => {
  it('reads damaged bodies as it should, and good ones afterwards as ever', async () => {
    const judge = new Judge(reader)
    for (let number = 0; number < CASES; number++) {
      const body = judge.bodyOf(SEED, number)
      expect([SEED, number, (await judge.judge(body))?.what]).toEqual([SEED, number, undefined])
    }
  })

  it('reads what its senders sent', async () => {
    const judge = new Judge(reader)
    for (const [number, seed] of reader.seeds.entries()) expect([number, (await judge.judge(seed))?.what]).toEqual([number, undefined])
  })
})
