/** The embedded database's folder: made once, kept, locked, survived. What its SQL does is in test/contract. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { dumpSeed, openPglite } from '../../src/store/pglite.ts'
import { readIncident, saveIncidents } from '../../src/store/incidents.ts'
import { lockFolder } from '../../src/store/folder-lock.ts'
import { incident } from '../contract/db-suite.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tocsin-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const lockFile = () => join(folder, 'tocsin.lock')
const lockText = (pid: number, more: object = {}) => JSON.stringify({ pid, host: hostname(), started: '', ...more })

async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return child.pid ?? 0
}

describe('the folder of the embedded database', { timeout: 90_000 }, () => {
  test('what was saved is there when it is opened again', async () => {
    const first = await openPglite({ dataDir: folder })
    await saveIncidents(first, [incident])
    await first[Symbol.asyncDispose]()
    expect(existsSync(lockFile())).toBe(false)
    await using second = await openPglite({ dataDir: folder })
    expect(await readIncident(second, incident.id)).toEqual(incident)
  })

  test('a new one starts from the seed; a seed that is damaged only costs time', async () => {
    const { bytes } = await dumpSeed()
    const seeded = await openPglite({ dataDir: join(folder, 'a'), seed: new Uint8Array(bytes) })
    await saveIncidents(seeded, [incident])
    await seeded[Symbol.asyncDispose]()
    const damaged = await openPglite({ dataDir: join(folder, 'b'), seed: new Uint8Array(bytes.subarray(0, 5000)) })
    await saveIncidents(damaged, [incident])
    expect(await readIncident(damaged, incident.id)).toEqual(incident)
    await damaged[Symbol.asyncDispose]()
  })

  test('one whose making was cut short is made anew', async () => {
    await mkdir(join(folder, 'postgres'))
    await writeFile(join(folder, 'postgres', 'PG_VERSION'), '18\n')
    await writeFile(join(folder, 'postgres.unfinished'), '')
    await using db = await openPglite({ dataDir: folder })
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }])
    expect(existsSync(join(folder, 'postgres.unfinished'))).toBe(false)
  })

  test('work under way when it is closed is finished, what comes later is refused', async () => {
    const db = await openPglite({ dataDir: folder })
    const work = db.transaction(async (tx) => {
      await saveIncidents(tx, [incident])
      await tx.query('select pg_sleep(0.05)')
      return 'done'
    })
    await db[Symbol.asyncDispose]()
    expect(await work).toBe('done')
    await expect(db.query('select 1')).rejects.toThrow('closed')
    await using again = await openPglite({ dataDir: folder })
    expect(await readIncident(again, incident.id)).toEqual(incident)
  })
})

describe('the lock on a data folder', () => {
  test('a second user in this process is refused', async () => {
    await using _lock = await lockFolder(folder)
    await expect(lockFolder(folder)).rejects.toThrow(`already opened the data folder ${folder}`)
  })

  test('a live process is named, with the folder, and its lock is left alone', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    try {
      await writeFile(lockFile(), lockText(child.pid ?? 0))
      const error = await lockFolder(folder).then(() => '', String)
      expect(error).toContain(String(child.pid))
      expect(error).toContain(folder)
      expect(await readFile(lockFile(), 'utf8')).toBe(lockText(child.pid ?? 0))
    } finally {
      child.kill('SIGKILL')
    }
  })

  test.each([
    ['of a process that is gone', async () => lockText(await deadPid())],
    ['of an earlier process that had our number, as in a container that was restarted', async () => lockText(process.pid)],
    ['of a process whose number another one has now', async () => lockText(process.ppid, { started: 'another boot 1' })],
    ['that a full disk cut short', async () => '{"pi'],
    ['of another machine, whose process numbers mean nothing here', async () => lockText(process.ppid, { host: 'elsewhere' })],
  ])('a lock %s is taken over', async (_, text) => {
    await writeFile(lockFile(), await text())
    const lock = await lockFolder(folder)
    expect(JSON.parse(await readFile(lockFile(), 'utf8'))).toMatchObject({ pid: process.pid })
    await lock[Symbol.asyncDispose]()
    expect(existsSync(lockFile())).toBe(false)
  })
})
