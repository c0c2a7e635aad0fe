/** From a change of an incident to the notices for each channel. Pure: the same change gives the same notices, ids included. */
import { createHash } from 'node:crypto'
import type { Incident, PlanNotices, PlannedNotice } from '../model.ts'
import type { NotifyConfig } from './config.ts'
import { bounded } from './message.ts'
import { decide } from './reason.ts'
import type { Verdict } from './reason.ts'
import { channelsOf } from './registry.ts'
import type { Channel } from './registry.ts'

export interface ChannelVerdict {
  readonly channel: string
  readonly verdict: Verdict
}

/** Every channel's answer, the reasons for silence included. */
export type ExplainNotices = (before: Incident | undefined, after: Incident, atMs: number) => readonly ChannelVerdict[]

export function planNotices(config: Pick<NotifyConfig, 'dryRun' | 'channels'>): PlanNotices {
  const explain = explainNotices(config)
  return (before, after, atMs) =>
    explain(before, after, atMs).flatMap(({ channel, verdict }): PlannedNotice[] => {
      if (!verdict.tell) return []
      const { key, kind, reason } = verdict
      return [{ id: noticeId(after.id, channel, kind, key), channel, kind, reason, atMs, incident: bounded(after) }]
    })
}

export function explainNotices(config: Pick<NotifyConfig, 'dryRun' | 'channels'>): ExplainNotices {
  const channels: readonly Channel[] = channelsOf(config)
  return (before, after, atMs) =>
    channels.flatMap((channel) => decide(before, after, atMs, channel).map((verdict) => ({ channel: channel.name, verdict })))
}

function noticeId(incidentId: string, channel: string, kind: string, key: string): string {
  return createHash('sha256')
    .update(JSON.stringify([incidentId, channel, kind, key]))
    .digest('hex')
    .slice(0, 32)
}
