/** Two programs on one embedded data folder: the second is refused and says why; a first that was killed is no obstacle. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePorts, temporaryFolder, type TemporaryFolder } from '../support/processes.ts'
import { startTocsin, type RunningTocsin } from '../support/tocsin.ts'

let folder: TemporaryFolder
let args: string[]
let ports: number[]
let first: RunningTocsin | undefined

beforeAll(async () => {
  folder = await temporaryFolder('data-folder')
  args = ['run', '--set', `dataDir=${join(folder.path, 'data')}`]
  ports = await freePorts(3)
})

afterAll(async () => {
  await first?.[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

it('the second is refused by name of the folder and the process, and the first goes on', async () => {
  first = await startTocsin(args, ports[0]!)
  const refused = await startTocsin(args, ports[1]!).then(
    () => 'it started',
    (error: unknown) => String(error),
  )
  expect(refused).toContain('ended with 1')
  expect(refused).toContain(
    `The data folder ${join(folder.path, 'data')} is in use by process ${first.pid}: stop that process, or set another data folder.`,
  )
  expect((await fetch(`${first.url}/-/ready`)).status).toBe(200)
}, 60_000)

it('after kill -9 the next one takes the folder over at once', async () => {
  await first!.kill()
  first = await startTocsin(args, ports[2]!)
  expect((await fetch(`${first.url}/api/v1/incidents`)).status).toBe(200)
}, 60_000)
