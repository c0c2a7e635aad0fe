/** `npm run test:senders`: senders that are built from their Go modules, minutes of CPU the first time, then cached. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/senders/*.senders.ts'],
    globalSetup: ['test/senders/build.ts'],
    reporters: ['verbose'],
    // One line per sender, without what vitest puts around it.
    disableConsoleIntercept: true,
    testTimeout: 180_000,
    hookTimeout: 180_000,
    fileParallelism: false,
    maxWorkers: 1,
  },
})
