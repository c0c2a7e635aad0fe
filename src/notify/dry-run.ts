/** Prints the requests that a channel would send, secrets replaced, and sends nothing. What a receiver would answer is made up. */
import type { ChannelConfig, Notifier, NotifierContext, NotifierKind } from './notifier.ts'

/** What a channel of that kind would call the incident from then on. */
const madeUp: Readonly<Record<string, string>> = { slack: 'C0DRYRUN:1700000000.000100', jira: 'DRYRUN-1' }

export function dryRun<Config extends ChannelConfig>(kind: NotifierKind<Config>, config: Config, context: NotifierContext): Notifier {
  return {
    send(notice) {
      const requests = kind.preview?.(config, context, notice) ?? []
      for (const { method, url, body } of requests) {
        context.print(`${kind.name}, ${notice.kind} (${notice.reason})\n${method} ${url}\n${JSON.stringify(body, undefined, 2)}\n\n`)
      }
      return Promise.resolve({ externalId: notice.externalId || (madeUp[kind.name] ?? '') })
    },
  }
}
