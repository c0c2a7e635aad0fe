/**
 * One SQL text, two drivers: PGlite in the data folder, PostgreSQL through `pg`. Parameters are `$1 …`; bigint columns come back
 * as numbers, timestamps are never used for event times (those are `bigint` milliseconds), bytea is Uint8Array, jsonb is parsed.
 */

export interface Queryable {
  query<Row = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<Row[]>
}

export interface Db extends Queryable, AsyncDisposable {
  readonly kind: 'pglite' | 'postgres'
  /** Runs `work` in one transaction; a serialisation failure or deadlock runs it again, so it must have no other effects. */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>
  /** Calls back for each NOTIFY on the channel; listens again after a lost connection and then calls back with '' (something may have been missed). */
  listen(channel: string, onNotify: (payload: string) => void): Promise<AsyncDisposable>
}
