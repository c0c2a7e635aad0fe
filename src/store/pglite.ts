/**
 * PostgreSQL inside the process, its files in a folder or in memory, its tables migrated. One connection: transactions run one
 * after the other. A new folder starts from the seed, a dump made by the build, because running initdb takes seconds.
 * Survives the death of the process; it never calls fsync, so what a power cut takes is up to the operating system.
 */
import { PGlite } from '@electric-sql/pglite'
import type { Transaction } from '@electric-sql/pglite'
import { access, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import type { Db, Queryable } from './db.ts'
import { lockFolder } from './folder-lock.ts'
import { migrate, readMigrations, schemaVersion } from './migrate.ts'
import type { Migration } from './migrate.ts'
import { retryTransaction } from './retry.ts'

export interface PgliteOptions {
  /** undefined: in memory. */
  readonly dataDir?: string | undefined
  /** A dump to start a new database from, in place of the one the build makes; false: none. */
  readonly seed?: Uint8Array<ArrayBuffer> | false
}

const int8 = 20
const bytea = 17
/** PGlite's own conversion of bytes goes digit by digit: 300 ms of CPU per MB written, 80 read; this takes 40 and 10. */
const parsers = { [int8]: Number, [bytea]: (hex: string) => new Uint8Array(Buffer.from(hex.slice(2), 'hex')) }
const serializers = {
  [bytea]: (bytes: Uint8Array) => `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`,
}

export async function openPglite(options: PgliteOptions = {}): Promise<Db> {
  const migrations = await readMigrations()
  if (options.dataDir === undefined) return start(await create(undefined, await seedOf(options, migrations)), migrations)

  const folder = resolve(options.dataDir)
  const lock = await lockFolder(folder)
  try {
    const files = join(folder, 'postgres')
    // Stands while the files are being made: after a crash in between they are made anew. Nothing was kept in them yet.
    const unfinished = join(folder, 'postgres.unfinished')
    if (await exists(unfinished)) await rm(files, { recursive: true, force: true })
    if (await exists(join(files, 'PG_VERSION'))) return await start(await create(files), migrations, lock)
    await writeFile(unfinished, '')
    const db = await start(await create(files, await seedOf(options, migrations)), migrations, lock)
    await rm(unfinished)
    return db
  } catch (error) {
    await lock[Symbol.asyncDispose]()
    throw error
  }
}

/** What `deploy/seed-database.mjs` keeps for new folders. */
export async function dumpSeed(): Promise<{ name: string; bytes: Uint8Array }> {
  const migrations = await readMigrations()
  const client = await create(undefined)
  await migrate(new PgliteDb(client), migrations)
  await client.exec('checkpoint')
  const bytes = new Uint8Array(await (await client.dumpDataDir('gzip')).arrayBuffer())
  await client.close()
  return { name: seedName(migrations), bytes }
}

/** Named after the migrations in it: a seed of another version is never picked up. */
function seedName(migrations: readonly Migration[]): string {
  return `database-${schemaVersion(migrations)}.tgz`
}

async function seedOf({ seed }: PgliteOptions, migrations: readonly Migration[]): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (seed !== undefined) return seed || undefined
  // From src as from dist this is the one place the build writes to.
  const file = new URL(`../../dist/store/${seedName(migrations)}`, import.meta.url)
  return (await exists(file)) ? readFile(file) : undefined
}

async function create(dataDir: string | undefined, seed?: Uint8Array<ArrayBuffer>): Promise<PGlite> {
  const options = { parsers, serializers, ...(dataDir !== undefined && { dataDir }) }
  if (!seed) return PGlite.create(options)
  try {
    // Unpacked here: PGlite leaves the error of a damaged one to nobody.
    const tar = new Uint8Array(await promisify(gunzip)(seed))
    return await PGlite.create({ ...options, loadDataDir: new Blob([tar], { type: 'application/x-tar' }) })
  } catch {
    // A seed is a shortcut, and one of another PGlite may not fit: make the files the slow way.
    if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true })
    return PGlite.create(options)
  }
}

async function start(client: PGlite, migrations: readonly Migration[], lock?: AsyncDisposable): Promise<Db> {
  const db = new PgliteDb(client, lock)
  try {
    await migrate(db, migrations)
  } catch (error) {
    await client.close()
    throw error
  }
  return db
}

async function exists(path: string | URL): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

class PgliteDb implements Db {
  readonly kind = 'pglite'
  readonly #client: PGlite
  readonly #lock: AsyncDisposable | undefined
  readonly #running = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  constructor(client: PGlite, lock?: AsyncDisposable) {
    this.#client = client
    this.#lock = lock
  }

  query<Row>(sql: string, params?: readonly unknown[]): Promise<Row[]> {
    return this.#track(() => run<Row>(this.#client, sql, params))
  }

  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return this.#track(() =>
      retryTransaction(() => this.#client.transaction((tx) => work({ query: (sql, params) => run(tx, sql, params) }))),
    )
  }

  async listen(channel: string, onNotify: (payload: string) => void): Promise<AsyncDisposable> {
    // Not from inside PGlite's own call: who is told will want to query.
    const stop = await this.#client.listen(channel, (payload) => queueMicrotask(() => onNotify(payload)))
    return { [Symbol.asyncDispose]: async () => (this.#closing ? undefined : stop()) }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#running)
    await this.#client.close()
    await this.#lock?.[Symbol.asyncDispose]()
  }

  async #track<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing) throw new Error('The database has been closed.')
    const running = work()
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }
}

/** Without parameters the text may hold several statements; the rows are those of the last. */
async function run<Row>(client: PGlite | Transaction, sql: string, params: readonly unknown[] | undefined): Promise<Row[]> {
  if (params === undefined) return ((await client.exec(sql)).at(-1)?.rows ?? []) as Row[]
  return (await client.query<Row>(sql, [...params])).rows
}
