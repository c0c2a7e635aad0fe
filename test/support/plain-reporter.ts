/**
 * The last line of a run, in words that any tool can read: `12 passed, 0 failed, 1 skipped`. A file that cannot be loaded and an
 * error outside of any test count as failed, so that the line is never better than the exit code.
 */
import type { SerializedError } from 'vitest'
import type { Reporter, TestModule } from 'vitest/node'

export default class PlainReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      let brokenTests = 0
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') counts.passed++
        else if (state === 'skipped') counts.skipped++
        else {
          counts.failed++
          brokenTests++
        }
      }
      // A failing import, beforeAll or afterAll belongs to no test.
      if (module.state() === 'failed' && brokenTests === 0) counts.failed++
    }
    const { passed, failed, skipped } = counts
    // After the other reporters' summary, which is written in the same step.
    process.once('exit', () => process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`))
  }
}
