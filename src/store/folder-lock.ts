/**
 * One process per data folder: PGlite itself lets two open the same files and ruin them. The lock is a file that names its
 * process; one left by a process that is gone is taken over. Not seen: a process in another container or on another machine
 * that has the same folder mounted, because its process numbers mean nothing here.
 */
import { hostname } from 'node:os'
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'

interface Holder {
  readonly pid: number
  readonly host: string
  /** Tells a process from a later one with the same number, where the system says when a process started. */
  readonly started: string
}

/** A process may not take a folder twice either; its own number in the file says nothing about that. */
const held = new Set<string>()

export async function lockFolder(folder: string): Promise<AsyncDisposable> {
  if (held.has(folder)) throw new Error(`This process has already opened the data folder ${folder}: close it first, or use another folder.`)
  held.add(folder)
  try {
    return await take(folder)
  } catch (error) {
    held.delete(folder)
    throw error
  }
}

async function take(folder: string): Promise<AsyncDisposable> {
  const lock = join(folder, 'tocsin.lock')
  const mine = `${lock}.${process.pid}`
  const me: Holder = { pid: process.pid, host: hostname(), started: await startOf(process.pid) }
  const text = JSON.stringify(me)
  try {
    await mkdir(folder, { recursive: true })
    await writeFile(mine, text)
  } catch (error) {
    throw new Error(`The data folder ${folder} cannot be used: ${messageOf(error)}. Set another as dataDir.`, { cause: error })
  }
  try {
    // link() fails when the name is taken and never shows a half-written file.
    for (let round = 0; !(await linked(mine, lock)); round++) {
      const found = await textOf(lock)
      if (found === '') continue
      const holder = parse(found)
      if (round > 20 || (holder && (await alive(holder)))) {
        throw new Error(
          `The data folder ${folder} is in use by process ${holder?.pid ?? '(unknown)'}: stop that process, or set another data folder. (Lock file: ${lock})`,
        )
      }
      await removeStale(lock, found)
    }
  } finally {
    await rm(mine, { force: true })
  }
  return {
    async [Symbol.asyncDispose]() {
      held.delete(folder)
      if ((await textOf(lock)) === text) await rm(lock, { force: true })
    },
  }
}

/** Moved away first and looked at again: between reading and moving another process may have taken the lock over. */
async function removeStale(lock: string, stale: string): Promise<void> {
  const aside = `${lock}.stale.${process.pid}`
  try {
    await rename(lock, aside)
  } catch (error) {
    if (isCode(error, 'ENOENT')) return
    throw error
  }
  if ((await textOf(aside)) !== stale) await linked(aside, lock)
  await rm(aside, { force: true })
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw new Error(`The lock file ${to} cannot be made: ${messageOf(error)}`, { cause: error })
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return ''
    throw error
  }
}

function parse(text: string): Holder | undefined {
  try {
    const { host = '', pid, started = '' } = JSON.parse(text) as Partial<Holder>
    return typeof pid === 'number' ? { pid, host, started } : undefined
  } catch {
    // Not ours, or cut short by a full disk: nobody alive can be named, so it is stale.
    return undefined
  }
}

async function alive(holder: Holder): Promise<boolean> {
  if (holder.host !== hostname() || holder.pid === process.pid) return false
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    return !isCode(error, 'ESRCH')
  }
  const started = await startOf(holder.pid)
  return started === '' || holder.started === '' || started === holder.started
}

/** Linux: boot and clock ticks at which the process started (field 22 of proc(5) stat). Elsewhere ''. */
async function startOf(pid: number): Promise<string> {
  try {
    const [boot, stat] = await Promise.all([readFile('/proc/sys/kernel/random/boot_id', 'utf8'), readFile(`/proc/${pid}/stat`, 'utf8')])
    // The name in field 2 may hold spaces and parentheses; what follows its last ')' is regular.
    return `${boot.trim()} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''}`
  } catch {
    // No /proc here: the number alone has to do.
    return ''
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code
}
