/** PostgreSQL's part of the configuration; the embedded store needs no more than its folder. */
import { z } from 'zod'

export const postgresConfig = z.strictObject({
  url: z
    .string()
    .refine((url) => url === '' || /^postgres(ql)?:\/\//.test(url), 'must begin with postgres:// or postgresql://')
    .default('')
    .describe(
      'postgres://user:password@host:5432/database?sslmode=verify-full; needed with store: postgres. Keep the password out of the file.',
    ),
  poolSize: z.int().min(2).max(200).default(10).describe('Most connections this process opens (one more listens for notifications)'),
  connectTimeoutMs: z.int().min(100).max(120_000).default(10_000).describe('Longest wait for a connection'),
  statementTimeoutMs: z.int().min(100).max(600_000).default(30_000).describe('Longest a statement may run before PostgreSQL cancels it'),
})
