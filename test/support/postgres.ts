/**
 * A real PostgreSQL for a test, on a free port in a temporary folder.
 *
 *   const postgres = await startPostgres()
 *   const url = await postgres.newDatabase()     // empty, 50 ms
 *   await postgres.kill(); await postgres.start() // as after a crash; the port and the data stay
 *   await postgres.stop()
 */
import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { freePorts, runScript, temporaryFolder } from './processes.ts'

export interface RunningPostgres extends AsyncDisposable {
  /** Of the database `postgres`. */
  readonly url: string
  readonly port: number
  /** Makes an empty database and answers its URL; `template` copies one. */
  newDatabase(template?: string): Promise<string>
  start(): Promise<void>
  restart(): Promise<void>
  /** Every connection breaks at once, nothing is written out; `start` recovers. */
  kill(): Promise<void>
  stop(): Promise<void>
}

/** `durable`: syncs to disk, so that what was committed survives `kill` as it would in production. */
export async function startPostgres(options: { readonly durable?: boolean } = {}): Promise<RunningPostgres> {
  const [port] = (await freePorts(1)) as [number]
  const folder = await temporaryFolder('postgres', 'kill -9 $(head -1 "$dir/data/postmaster.pid" 2>/dev/null) 2>/dev/null')
  const env = { PGPORT: String(port), PG_DURABLE: options.durable === true ? '1' : '0' }
  const run = async (command: string) => void (await runScript('postgres.sh', [command, folder.path], env))
  const urlOf = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`
  const start = () => run('start')
  const stop = async () => {
    await run('status').then(
      () => run('stop'),
      () => undefined, // it does not run: nothing to stop
    )
    await folder[Symbol.asyncDispose]()
  }

  try {
    await start()
  } catch (error) {
    await folder[Symbol.asyncDispose]()
    throw error
  }

  return {
    url: urlOf('postgres'),
    port,
    async newDatabase(template) {
      const name = `test_${randomBytes(6).toString('hex')}`
      const client = new Client({ connectionString: urlOf('postgres') })
      await client.connect()
      try {
        await client.query(`create database ${name}${template === undefined ? '' : ` template "${template}"`}`)
      } finally {
        await client.end()
      }
      return urlOf(name)
    },
    start,
    async restart() {
      await run('stop')
      await start()
    },
    kill: () => run('kill'),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
