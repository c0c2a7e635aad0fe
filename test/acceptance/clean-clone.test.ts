/** The first of the two commands, as a newcomer runs it: a clean clone, Node and npm, nothing else. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import type { ReplayResult } from '../../src/replays.ts'
import { temporaryFolder } from '../support/processes.ts'

const exec = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

it('npm run demo works on a clean clone and ends with its result as one JSON line', async () => {
  await using folder = await temporaryFolder('clone')
  await exec('git', ['clone', '--quiet', '--no-hardlinks', root, `${folder.path}/tocsin`])
  const { stdout } = await exec('npm', ['run', '--silent', 'demo', '--', '--json', '--exit'], {
    cwd: `${folder.path}/tocsin`,
    maxBuffer: 64 * 1024 * 1024,
  })
  const result = JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as ReplayResult
  expect(result.incidents.length).toBeGreaterThanOrEqual(2)
  for (const incident of result.incidents) {
    expect(incident.causes[0]).toMatchObject({ service: expect.any(String) as string, probability: expect.any(Number) as number })
    expect(incident.openedAt).toMatch(/^\d{4}-\d\d-\d\dT/)
  }
  expect(result.notices.map(({ channel }) => channel)).toContain('pagerduty')
  expect(result.samples * result.logs * result.spans * result.seconds).toBeGreaterThan(0)
}, 400_000)
