/** Small bodies that would become large cost a process with little memory neither its life nor anybody else's telemetry. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const HEAP_MB = 500
/** The heap, a body of 60 MB twice, and what Node takes. */
const MAX_RSS_MB = 1_300

interface Line {
  readonly name?: string
  readonly status: number
  readonly failed: boolean
  readonly good: number
  readonly maxRssMb: number
}

describe('bombs', () => {
  it('are refused, cut or stepped over within the memory that there is', { timeout: 180_000 }, () => {
    const script = fileURLToPath(new URL('../fuzz/bombs.ts', import.meta.url))
    const run = spawnSync(process.execPath, [`--max-old-space-size=${HEAP_MB}`, '--import', 'tsx', script], { encoding: 'utf8' })
    expect([run.status, run.signal, run.stderr.slice(-2_000)]).toEqual([0, null, expect.any(String)])
    const lines = run.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
    const bombs = lines.filter(({ name }) => name !== undefined)
    expect(bombs.length).toBeGreaterThan(15)
    for (const { name, status, failed, good } of bombs) {
      // No decoder failed, each got an answer that is final, and what came next was taken.
      expect([name, failed, good, [200, 202, 204, 400, 413].includes(status)]).toEqual([name, false, 204, true])
    }
    expect(lines.at(-1)!.maxRssMb).toBeLessThan(MAX_RSS_MB)
  })
})
