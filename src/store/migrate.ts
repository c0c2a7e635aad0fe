/**
 * Brings a database to the newest tables. Forward only: each file of `migrations/` is applied once, in the order of the names,
 * all that are missing in one transaction. Several processes may start at once: an advisory lock lets one do it. A file
 * that was applied and has changed since is refused, and so is a database that a newer program has migrated.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type { Db } from './db.ts'

export interface Migration {
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

/** Any number does, as long as nobody else uses it in this database. */
const migrateLock = 7_036_873_001

/** The files beside this module: the same in src and in dist. */
export async function readMigrations(folder = new URL('./migrations/', import.meta.url)): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(
    names.map(async (name) => {
      // A checkout with other line ends is the same migration.
      const sql = (await readFile(new URL(name, folder), 'utf8')).replaceAll('\r\n', '\n')
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
    }),
  )
}

/** One word for the state a list of migrations leads to. */
export function schemaVersion(migrations: readonly Migration[]): string {
  return createHash('sha256')
    .update(migrations.map((m) => `${m.name} ${m.checksum}\n`).join(''))
    .digest('hex')
    .slice(0, 12)
}

/** Returns the names of those it applied. */
export async function migrate(db: Db, migrations?: readonly Migration[]): Promise<string[]> {
  const known = migrations ?? (await readMigrations())
  return db.transaction(async (tx) => {
    await tx.query('set local statement_timeout = 0')
    await tx.query(`select pg_advisory_xact_lock(${migrateLock})`)
    await tx.query(`create table if not exists migrations (
      name text collate "C" primary key, checksum text not null, applied_at timestamptz not null default now())`)
    const applied = await tx.query<{ name: string; checksum: string }>('select name, checksum from migrations order by name')
    const checksums = new Map(known.map((m) => [m.name, m.checksum]))
    for (const { name, checksum } of applied) {
      const ours = checksums.get(name)
      if (ours === undefined)
        throw new Error(
          `The database has the migration ${name}, which this version does not know: it was used by a newer Tocsin. Start that version, or use another database.`,
        )
      if (ours !== checksum)
        throw new Error(
          `The migration ${name} was changed after it had been applied to this database. Restore the file and put the change into a new one.`,
        )
    }
    const done = new Set(applied.map((row) => row.name))
    const missing = known.filter((m) => !done.has(m.name))
    for (const { name, sql, checksum } of missing) {
      await tx.query(sql)
      await tx.query('insert into migrations (name, checksum) values ($1, $2)', [name, checksum])
    }
    return missing.map((m) => m.name)
  })
}
