/** The channels there are. A new one is a file that exports its kind, and a line here: configuration, routing and delivery follow. */
import { consoleKind } from './console.ts'
import { dryRun } from './dry-run.ts'
import { jiraKind } from './jira.ts'
import type { ChannelConfig, Notifier, NotifierContext, NotifierKind } from './notifier.ts'
import { pagerdutyKind } from './pagerduty.ts'
import type { ChannelRules } from './reason.ts'
import { slackKind } from './slack.ts'
import { webhookKind } from './webhook.ts'

export const kinds = {
  console: consoleKind,
  pagerduty: pagerdutyKind,
  slack: slackKind,
  jira: jiraKind,
  webhook: webhookKind,
} as const

/** A channel that is switched on. */
export interface Channel extends ChannelRules {
  readonly name: string
  readonly concurrency: number
  open(context: NotifierContext): Notifier
}

/** In the order of the registry; those without a configuration are off. */
export function channelsOf(config: { readonly dryRun: boolean; readonly channels: Readonly<Record<string, unknown>> }): Channel[] {
  const bind = <Config extends ChannelConfig>(kind: NotifierKind<Config>): Channel[] => {
    const given = config.channels[kind.name]
    if (given === undefined) return []
    const settings = kind.config.parse(given)
    const { concurrency, name, pages, tells } = kind
    const open = (context: NotifierContext) => (config.dryRun && kind.preview ? dryRun(kind, settings, context) : kind.create(settings, context))
    return [{ name, concurrency, pages, tells, minSeverity: settings.minSeverity, open }]
  }
  return [bind(kinds.console), bind(kinds.pagerduty), bind(kinds.slack), bind(kinds.jira), bind(kinds.webhook)].flat()
}
