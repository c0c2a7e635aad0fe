/** The channels there are. A new one is a file that exports its kind, and a line here: configuration, routing and delivery follow. */
import type { z } from 'zod'
import { consoleKind } from './console.ts'
import { dryRun } from './dry-run.ts'
import { jiraKind } from './jira.ts'
import type { ChannelConfig, Notifier, NotifierContext, NotifierKind } from './notifier.ts'
import { pagerdutyKind } from './pagerduty.ts'
import type { ChannelRules } from './reason.ts'
import { slackKind } from './slack.ts'
import { webhookKind } from './webhook.ts'

export const kinds = {
  console: register(consoleKind),
  pagerduty: register(pagerdutyKind),
  slack: register(slackKind),
  jira: register(jiraKind),
  webhook: register(webhookKind),
} as const

/** A channel that is switched on. */
export interface Channel extends ChannelRules {
  readonly name: string
  readonly concurrency: number
  open(context: NotifierContext): Notifier
}

/** In the order of the registry; those without a configuration are off. */
export function channelsOf(config: { readonly dryRun: boolean; readonly channels: Readonly<Record<string, unknown>> }): Channel[] {
  return Object.values(kinds).flatMap(({ name, channel }) => {
    const given = config.channels[name]
    return given === undefined ? [] : [channel(given, config.dryRun)]
  })
}

interface Registered<Config extends ChannelConfig> {
  readonly name: string
  readonly config: z.ZodType<Config>
  readonly channel: (given: unknown, isDryRun: boolean) => Channel
}

/** Hides the type of its configuration, so that all kinds can stand in one list. */
function register<Config extends ChannelConfig>(kind: NotifierKind<Config>): Registered<Config> {
  const { concurrency, config, name, pages, tells } = kind
  return {
    name,
    config,
    channel: (given, isDryRun) => {
      const settings = config.parse(given)
      const open = (context: NotifierContext) =>
        isDryRun && kind.preview ? dryRun(kind, settings, context) : kind.create(settings, context)
      return { name, concurrency, pages, tells, minSeverity: settings.minSeverity, open }
    },
  }
}
