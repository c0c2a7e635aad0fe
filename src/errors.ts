/**
 * The two kinds of failure. `PermanentError`: trying again cannot help. Everything else is retried.
 * `ConfigError` carries the path to the key at fault. `FencedError`: another process owns this partition now.
 */

/** Trying again cannot help: a refused credential, a malformed body, a deleted channel. */
export class PermanentError extends Error {
  override readonly name: string = 'PermanentError'
}

/** The receiver said when to come back (HTTP 429 or 503 with Retry-After). */
export class RetryLaterError extends Error {
  override readonly name = 'RetryLaterError'
  readonly retryAfterMs: number
  constructor(message: string, retryAfterMs: number, options?: ErrorOptions) {
    super(message, options)
    this.retryAfterMs = retryAfterMs
  }
}

/** A payload that cannot be understood; `reason` is a short label for counters and dead letters. */
export class DecodeError extends PermanentError {
  override readonly name = 'DecodeError'
  readonly reason: string
  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** A compare-and-set on a checkpoint failed: somebody else has moved it on, so this process must stop writing. */
export class FencedError extends Error {
  override readonly name = 'FencedError'
}

/** One problem in a config file: `path` is the dotted path to the key. */
export interface ConfigProblem {
  readonly path: string
  readonly message: string
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly ConfigProblem[]
  constructor(source: string, problems: readonly ConfigProblem[]) {
    super(`${source} is not valid:\n${problems.map((p) => `  ${p.path}: ${p.message}`).join('\n')}`)
    this.problems = problems
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
