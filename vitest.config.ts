import { defineConfig } from 'vitest/config'

/** Tests that run several real programs at once and look at how fast things happen: one at a time, after the others. */
const HEAVY = ['test/acceptance/**/*.test.ts', 'test/contract/transport*.test.ts']
/** Among them, those that mostly wait for a minute or two to go by: side by side. */
const WAITING = ['test/acceptance/store-away.test.ts', 'test/contract/transport-outages.test.ts']

export default defineConfig({
  test: {
    reporters: process.env['CI'] === undefined ? ['default'] : ['default', './test/support/plain-reporter.ts'],
    projects: [
      {
        test: {
          name: 'parts',
          include: ['test/**/*.test.ts'],
          exclude: HEAVY,
          testTimeout: 30_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'waiting',
          include: WAITING,
          testTimeout: 60_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'whole',
          include: HEAVY,
          exclude: WAITING,
          testTimeout: 60_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
