/** The configuration of telling people. A channel that is absent is off; each channel's part comes from its own file. */
import { z } from 'zod'
import { kinds } from './registry.ts'

type ChannelShape = { [Name in keyof typeof kinds]: z.ZodOptional<(typeof kinds)[Name]['config']> }

const channels = Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, kind.config.optional()])) as unknown as ChannelShape

const deliveryConfig = z
  .strictObject({
    sendTimeoutMs: z.int().min(1000).max(300_000).default(30_000).describe('Longest one notice may take, however many requests it needs'),
    leaseMs: z
      .int()
      .min(2000)
      .max(3_600_000)
      .default(90_000)
      .describe('After this long without an outcome another process takes a notice over'),
    pollMs: z.int().min(50).max(60_000).default(1000).describe('How often to look for notices whose next try is due'),
    maxAttempts: z
      .int()
      .min(1)
      .max(10_000)
      .default(60)
      .describe('Give a notice up after this many tries; pauses double up to 5 minutes, so 60 are about 4.5 hours'),
  })
  .refine(({ leaseMs, sendTimeoutMs }) => leaseMs >= sendTimeoutMs + 1000, {
    path: ['leaseMs'],
    message: 'must be at least a second longer than sendTimeoutMs, or two processes would send the same notice',
  })

export const notifyConfig = z
  .strictObject({
    dryRun: z.boolean().default(false).describe('Print what would be sent in place of sending it'),
    channels: z.strictObject(channels).default({}).describe('Whom to tell; a channel that is absent is off'),
    delivery: deliveryConfig.prefault({}).describe('How the outbox is worked off'),
  })
  .refine(({ channels: { jira }, delivery }) => jira === undefined || jira.settleMs + 1000 <= delivery.sendTimeoutMs, {
    path: ['delivery', 'sendTimeoutMs'],
    message: 'must be at least a second longer than channels.jira.settleMs, or a try that has to search first never comes to its end',
  })

export type NotifyConfig = z.infer<typeof notifyConfig>
