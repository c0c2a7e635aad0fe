/**
 * What a notifier is: it sends one notice once. The outbox owns every retry, the order and the record of what was sent; SDK
 * retries are off. A notice with `attempts` > 0 may already have arrived: a receiver without an idempotency key is asked first.
 */
import type { z } from 'zod'
import type { Notice, NoticeKind, Severity } from '../model.ts'

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
  /** For signatures and for dates a receiver names; never for deciding. */
  readonly clock: () => number
  /** Where the console channel and dry runs write. */
  readonly print: (text: string) => void
}

/** A request as it would leave, with the secrets in it replaced. */
export interface Preview {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly url: string
  readonly body: unknown
}

/** Every channel has this in its part of the configuration. */
export interface ChannelConfig {
  readonly minSeverity: Severity
}

/** One file exports one of these; one line in the registry makes it known. */
export interface NotifierKind<Config extends ChannelConfig> {
  readonly name: string
  readonly config: z.ZodType<Config>
  /** The kinds of notice it has a use for; others are not planned for it. */
  readonly tells: readonly NoticeKind[]
  /** It wakes people: only for incidents that somebody outside feels. */
  readonly pages: boolean
  /** Notices of different incidents it may be sent at the same time. */
  readonly concurrency: number
  create(config: Config, context: NotifierContext): Notifier
  /** What `send` would ask of the receiver, were all well: what a dry run shows. undefined: it sends nothing anywhere, so a dry run sends too. */
  preview?(config: Config, context: NotifierContext, notice: Notice): readonly Preview[]
}
