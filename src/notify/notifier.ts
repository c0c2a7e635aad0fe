/**
 * What a notifier is: it sends one notice once. The outbox owns every retry, the order and the record of what was sent; SDK
 * retries are off. A notice with `attempts` > 0 may already have arrived: a receiver without an idempotency key is asked first.
 */
import type { z } from 'zod'
import type { Notice } from '../model.ts'

export interface Sent {
  /** What later notices need to find this one: Slack channel and ts, a ticket's key. Kept per incident and channel. */
  readonly externalId?: string
}

export interface Notifier {
  /** Throws PermanentError when trying again cannot help, RetryLaterError when the receiver said when, anything else to retry with back-off. */
  send(notice: Notice, signal: AbortSignal): Promise<Sent>
}

export interface NotifierContext {
  /** Where people open an incident: `${publicUrl}/incidents/${id}`. */
  readonly publicUrl: string
}

/** One file exports one of these; one line in the registry makes it known. */
export interface NotifierKind<Config> {
  readonly name: string
  readonly config: z.ZodType<Config>
  create(config: Config, context: NotifierContext): Notifier
}
