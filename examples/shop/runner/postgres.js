/** A PostgreSQL of the shop's own: data in the run's directory, one free port on the loopback, no service of the system. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { products } from '../lib/products.js'

const SCHEMA = fileURLToPath(new URL('schema.sql', import.meta.url))

/** Debian keeps initdb out of the PATH, one directory per version. */
function binaries() {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => b - a) : []
  const folders = [...versions.map((version) => join(debian, version, 'bin')), ...process.env.PATH.split(':')]
  const found = folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')))
  if (!found) throw new Error('PostgreSQL is not installed (on Debian: apt-get install postgresql)')
  return found
}

/** PostgreSQL refuses to run as root, so root lends it an unprivileged user; anyone else runs it as himself. */
function unprivileged() {
  if (process.getuid() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    const id = (flag) => Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
    try {
      return { uid: id('-u'), gid: id('-g') }
    } catch {
      // No such user: try the next.
    }
  }
  throw new Error('PostgreSQL cannot run as root, and there is neither a user postgres nor a user nobody to run it as')
}

/** Makes the data directory, starts the server through `keeper` and fills it. Returns the URL of the database `shop`. */
export async function startPostgres({ dir, port, keeper }) {
  const bin = binaries()
  const user = unprivileged()
  const data = join(dir, 'postgres')
  const env = { PATH: process.env.PATH, LANG: 'C.UTF-8' }
  mkdirSync(data, { mode: 0o700 })
  if (user.uid !== undefined) chownSync(data, user.uid, user.gid)

  const args = ['-D', data, '-U', 'shop', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync', '--no-instructions']
  const made = spawnSync(join(bin, 'initdb'), args, { cwd: '/', env, encoding: 'utf8', ...user })
  if (made.status !== 0) throw new Error(`initdb failed in ${data}: ${made.stderr || made.error?.message}`)

  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 30,
    shared_buffers: '16MB',
    // The data lives as long as the run, so nothing has to survive a crash of the machine.
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
  }
  await keeper.spawn({
    name: 'postgres',
    file: join(bin, 'postgres'),
    args: ['-D', data, ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])],
    log: join(dir, 'postgres.log'),
    user,
    env,
    stopSignal: 'SIGINT', // "fast": does not wait for clients
  })

  const url = (database) => `postgres://shop@127.0.0.1:${port}/${database}`
  const admin = await connectWhenUp(url('postgres'))
  await admin.query('CREATE DATABASE shop')
  await admin.end()
  const shop = await connectWhenUp(url('shop'))
  await shop.query(readFileSync(SCHEMA, 'utf8'))
  await shop.query('INSERT INTO stock SELECT unnest($1::text[]), 300', [products.map((product) => product.sku)])
  await shop.end()
  return url('shop')
}

async function connectWhenUp(connectionString) {
  for (const deadline = Date.now() + 30_000; ; await sleep(50)) {
    const client = new Client({ connectionString })
    client.on('error', () => {}) // A lost connection shows up in the next query.
    try {
      await client.connect()
      return client
    } catch (err) {
      if (Date.now() > deadline) throw new Error(`PostgreSQL did not start: ${err.message}`, { cause: err })
    }
  }
}

/**
 * The fault `slow-database`: a session of someone else (think of a badly written maintenance job) locks the stock table again and
 * again, mostly for a third of a second, now and then for longer than anyone waits. Returns what ends it.
 */
export async function lockStock(connectionString, random) {
  const client = new Client({ connectionString, application_name: 'stock-maintenance' })
  client.on('error', () => {}) // The database may stop first when everything is stopped.
  await client.connect()
  const until = new AbortController()
  const loop = (async () => {
    while (!until.signal.aborted) {
      const hold = random.chance(0.14) ? 2.4 : 0.35
      // One message: the database itself times the lock, so a busy runner does not distort it.
      await client.query(`BEGIN; LOCK TABLE stock IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(${hold}); COMMIT`)
      await sleep(30)
    }
  })().catch(() => {})
  return async () => {
    until.abort()
    await loop
    await client.end().catch(() => {})
  }
}
