/**
 * Whether a change of an incident is told to a channel, and why, or why not. Pure; every answer has a name. What was told before is
 * not known here: ids fold repetitions, and the outbox keeps what follows an 'opened' from channels that never had one.
 */
import { z } from 'zod'
import type { Incident, NoticeKind, Severity } from '../model.ts'
import { duration } from '../wording.ts'
import { clip, plain } from './plain-text.ts'

export type WhyNot =
  | 'nothing-new'
  | 'below-minimum-severity'
  /** Nobody outside feels it, and the channel wakes people. */
  | 'no-impact'
  /** It was over before anybody could have been told. */
  | 'over-already'
  /** The channel has no use for this kind of notice. */
  | 'not-for-this-channel'

export type Verdict =
  /** `key` tells notices of one kind apart: the same key again is the same notice. */
  | { readonly tell: true; readonly kind: NoticeKind; readonly reason: string; readonly key: string }
  | { readonly tell: false; readonly kind: NoticeKind | undefined; readonly why: WhyNot }

/** What decides about one channel. */
export interface ChannelRules {
  readonly minSeverity: Severity
  readonly tells: readonly NoticeKind[]
  readonly pages: boolean
}

/** At most one 'updated' per this much event time, counted from the opening. */
export const updateEveryMs = 5 * 60_000
/** A new first cause must lead by this much to be news. */
const clearMargin = 0.15

export const severities = ['info', 'warning', 'error', 'critical'] as const satisfies readonly Severity[]

export const minSeveritySchema = (fallback: Severity) =>
  z.enum(severities).default(fallback).describe('Incidents below this severity are not told here')

export function decide(before: Incident | undefined, after: Incident, atMs: number, rules: ChannelRules): readonly Verdict[] {
  const happened = happenings(before, after, atMs)
  if (happened.length === 0) return [{ tell: false, kind: undefined, why: 'nothing-new' }]
  return happened.map((news) => judge(news, before, after, rules))
}

type News = Extract<Verdict, { tell: true }>

function judge(news: Verdict, before: Incident | undefined, after: Incident, rules: ChannelRules): Verdict {
  if (!news.tell) return news
  // What is over, or in somebody's hands, is told wherever the opening was told, whatever the severity is now.
  if (news.kind !== 'resolved' && news.kind !== 'acknowledged') {
    const why = reservation(after, rules)
    if (why) return { tell: false, kind: news.kind, why }
    // It has just become important enough for this channel: here that is the opening, whatever it is elsewhere.
    if (!before || reservation(before, rules)) return forChannel(opened(before, after), rules)
  }
  return forChannel(news, rules)
}

function forChannel(news: News, rules: ChannelRules): Verdict {
  return rules.tells.includes(news.kind) ? news : { tell: false, kind: news.kind, why: 'not-for-this-channel' }
}

function happenings(before: Incident | undefined, after: Incident, atMs: number): Verdict[] {
  if (!before) return [after.status === 'resolved' ? { tell: false, kind: 'opened', why: 'over-already' } : opened(before, after)]
  if (after.status === 'resolved') return before.status === 'resolved' ? [] : [resolved(after)]
  const news: News[] = []
  const update = changeOf(before, after)
  if (rank(after.severity) > rank(before.severity)) {
    news.push({ tell: true, kind: 'escalated', key: after.severity, reason: `Severity went from ${before.severity} to ${after.severity}.` })
  } else if (before.impact === '' && after.impact !== '') {
    news.push({ tell: true, kind: 'updated', key: 'impact', reason: 'It is felt outside now.' })
  } else if (update !== '') {
    news.push({ tell: true, kind: 'updated', key: String(Math.floor((atMs - after.openedMs) / updateEveryMs)), reason: update })
  }
  if (before.status === 'open' && after.status === 'acknowledged') {
    news.push({ tell: true, kind: 'acknowledged', key: '', reason: 'Somebody is looking after it.' })
  }
  return news
}

/** Why an incident as it stands is not for this channel. */
function reservation(incident: Incident, rules: ChannelRules): WhyNot | undefined {
  if (rank(incident.severity) < rank(rules.minSeverity)) return 'below-minimum-severity'
  if (rules.pages && incident.impact === '') return 'no-impact'
  return undefined
}

function opened(before: Incident | undefined, after: Incident): News {
  const how = `severity ${after.severity}, ${after.impact === '' ? 'not felt by anybody outside' : 'felt outside'}`
  return { tell: true, kind: 'opened', key: '', reason: before ? `The incident now matters here: ${how}.` : `A new incident: ${how}.` }
}

function resolved(after: Incident): News {
  const lasted = after.resolvedMs === undefined ? '' : ` after ${duration(after.resolvedMs - after.openedMs)}`
  return { tell: true, kind: 'resolved', key: '', reason: `It is over${lasted}.` }
}

function changeOf(before: Incident, after: Incident): string {
  const [was] = before.causes
  const [is, second] = after.causes
  if (is && is.service !== was?.service && is.probability - (second?.probability ?? 0) >= clearMargin) {
    const instead = was ? `, no longer ${name(was.service)}` : ''
    return `The most probable cause is now ${name(is.service)} (${Math.round(100 * is.probability)} %)${instead}.`
  }
  const known = new Set(before.services)
  const more = after.services.filter((service) => !known.has(service))
  if (more.length === 0) return ''
  const rest = more.length > 5 ? ` and ${more.length - 5} more` : ''
  return `It has spread to ${more.slice(0, 5).map(name).join(', ')}${rest}.`
}

function name(service: string): string {
  return clip(plain(service), 60)
}

function rank(severity: Severity): number {
  return severities.indexOf(severity)
}
