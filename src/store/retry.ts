/**
 * Runs a transaction again when PostgreSQL gave it up in favour of another one: serialisation failure and deadlock
 * (https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html). Anything else is the caller's.
 */
import { setTimeout as sleep } from 'node:timers/promises'

const attempts = 8
const retryable = new Set(['40001', '40P01'])

export async function retryTransaction<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      if (attempt === attempts || !retryable.has(sqlState(error))) throw error
      await sleep(5 * 2 ** attempt)
    }
  }
}

/** The five characters of a server's answer; '' for what did not come from the server. */
export function sqlState(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
