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

/**
 * True when the database could not be reached or could not take more, so that the same may work later: connection exceptions, shut down or
 * starting, out of resources (https://www.postgresql.org/docs/current/errcodes-appendix.html), and what `pg` says without a code.
 */
export function isAway(error: unknown): boolean {
  const code = sqlState(error)
  if (code !== '') return /^(?:08|53|57P|E[A-Z]{3,})/.test(code)
  return (
    error instanceof Error &&
    /^(?:Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error)/.test(
      error.message,
    )
  )
}
