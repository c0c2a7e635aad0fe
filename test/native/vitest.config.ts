/** `npm run test:native`: run by run.sh, in a copy of the project that has the native library. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/native/*.native.ts'],
    reporters: ['verbose'],
    disableConsoleIntercept: true,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    // The addon is not made for being loaded by two threads of one process.
    pool: 'forks',
  },
})
