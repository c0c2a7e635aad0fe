/**
 * PostgreSQL through `pg`: a pool for the work, and one connection of its own for LISTEN, which comes back by itself. A lost
 * connection fails what was running on it and nothing else; whether a commit under way then happened is unknown, so callers
 * repeat only what may be done twice.
 */
import { Pool, types as pgTypes } from 'pg'
import type { ClientConfig, CustomTypesConfig, PoolClient, QueryResult } from 'pg'
import type { Db, Queryable } from './db.ts'
import { messageOf } from '../errors.ts'
import { migrate } from './migrate.ts'
import { PostgresListener } from './postgres-listener.ts'
import type { ConnectionLost } from './postgres-listener.ts'
import { retryTransaction, sqlState } from './retry.ts'
import type { Telemetry } from '../telemetry.ts'

export interface PostgresOptions {
  readonly url: string
  readonly poolSize?: number
  readonly connectTimeoutMs?: number
  readonly statementTimeoutMs?: number
  /** Without it lost connections are repaired silently. */
  readonly telemetry?: Telemetry
}

/** What we ask for comes back as text, so that is the only format to parse. */
const types: CustomTypesConfig = {
  getTypeParser: (oid) => (oid === pgTypes.builtins.INT8 ? Number : pgTypes.getTypeParser(oid)),
}

/** Open and migrated; rejects when the server cannot be reached. */
export async function openPostgres(options: PostgresOptions): Promise<Db> {
  const statementTimeoutMs = options.statementTimeoutMs ?? 30_000
  const lost: ConnectionLost | undefined = options.telemetry?.happening({
    name: 'database_connection_lost',
    help: 'A connection to PostgreSQL was lost; it is made again',
    level: 'warn',
    labels: ['connection'],
  })
  const connection: ClientConfig = {
    connectionString: options.url,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    keepAlive: true,
    types,
    application_name: 'tocsin',
  }
  const pool = new Pool({
    ...connection,
    max: options.poolSize ?? 10,
    statement_timeout: statementTimeoutMs,
    // The server's limit does not help when the server is gone without a word.
    query_timeout: statementTimeoutMs + 5000,
    idle_in_transaction_session_timeout: Math.max(60_000, statementTimeoutMs),
  })
  pool.on('error', (error) => lost?.({ connection: 'pool' }, { error: messageOf(error) }))
  const db = new PostgresDb(pool, new PostgresListener(connection, lost))
  try {
    await migrate(db)
  } catch (error) {
    await db[Symbol.asyncDispose]()
    throw error
  }
  return db
}

class PostgresDb implements Db {
  readonly kind = 'postgres'
  readonly #pool: Pool
  readonly #listener: PostgresListener
  #closing: Promise<void> | undefined

  constructor(pool: Pool, listener: PostgresListener) {
    this.#pool = pool
    this.#listener = listener
  }

  query<Row>(sql: string, params?: readonly unknown[]): Promise<Row[]> {
    return run<Row>(this.#pool, sql, params)
  }

  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return retryTransaction(() => this.#once(work))
  }

  listen(channel: string, onNotify: (payload: string) => void): Promise<AsyncDisposable> {
    return this.#listener.listen(channel, onNotify)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#listener[Symbol.asyncDispose]()
    await this.#pool.end()
  }

  async #once<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect()
    let broken: Error | undefined
    // A client in use reports a lost connection here too; unheard it would end the process.
    const onError = (error: Error) => {
      broken = error
    }
    client.on('error', onError)
    try {
      await client.query('begin')
      const result = await work({ query: (sql, params) => run(client, sql, params) })
      // A statement that failed and was caught has undone the transaction: `commit` would answer ROLLBACK without an error.
      const { command } = await client.query('commit')
      if (command !== 'COMMIT') throw new Error('The transaction was rolled back because a statement in it had failed.')
      return result
    } catch (error) {
      // Once it knows that its connection is lost, a client only says that it cannot be asked; why is what people want to read.
      const why = sqlState(error) === '' ? broken : undefined
      await client.query('rollback').catch((failure: unknown) => {
        broken = new Error(messageOf(failure))
      })
      throw why === undefined ? error : new Error(why.message, { cause: error })
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }
}

/** Without parameters the text may hold several statements; the rows are those of the last. */
async function run<Row>(client: Pool | PoolClient, sql: string, params: readonly unknown[] | undefined): Promise<Row[]> {
  const result: QueryResult | QueryResult[] = await client.query(sql, params === undefined ? undefined : [...params])
  return ((Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? []) as Row[]
}
