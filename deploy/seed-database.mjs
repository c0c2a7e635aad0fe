// Makes the dump that a new embedded database starts from, so that a first start takes one second in place of five.
// The last step of the build (copy-assets.mjs runs it). It is a shortcut only: when it cannot be made, the build goes on without it.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = join(root, 'dist', 'store')
const cache = join(root, 'node_modules', '.cache', 'tocsin')
const isSeed = (name) => /^database-.*\.tgz$/.test(name)

try {
  // Everything the dump depends on.
  const key = createHash('sha256')
  key.update(readFileSync(join(root, 'node_modules', '@electric-sql', 'pglite', 'package.json')))
  const migrations = join(target, 'migrations')
  for (const name of readdirSync(migrations).sort()) key.update(name).update(readFileSync(join(migrations, name)))
  for (const name of ['pglite.js', 'migrate.js']) key.update(readFileSync(join(target, name)))
  const folder = join(cache, `seed-${key.digest('hex').slice(0, 16)}`)

  if (!existsSync(folder)) {
    const { dumpSeed } = await import(new URL('../dist/store/pglite.js', import.meta.url).href)
    const { name, bytes } = await dumpSeed()
    const unfinished = `${folder}.${process.pid}`
    mkdirSync(unfinished, { recursive: true })
    writeFileSync(join(unfinished, name), bytes)
    for (const old of readdirSync(cache))
      if (old.startsWith('seed-') && join(cache, old) !== unfinished) rmSync(join(cache, old), { recursive: true })
    renameSync(unfinished, folder)
  }
  for (const old of readdirSync(target)) if (isSeed(old)) rmSync(join(target, old))
  for (const name of readdirSync(folder)) writeFileSync(join(target, name), readFileSync(join(folder, name)))
} catch (error) {
  console.warn(
    `The embedded database's first start will take some seconds longer: its seed could not be made (${error instanceof Error ? error.message : String(error)}).`,
  )
}
// PGlite's worker would keep the build waiting.
process.exit(0)
