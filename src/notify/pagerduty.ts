/**
 * PagerDuty, Events API v2 (https://developer.pagerduty.com/docs/send-alert-event). The incident's id is the `dedup_key`, so the same event
 * twice is one alert, and a trigger for an open one only updates it. Acknowledging and resolving an unknown key is ignored there.
 */
import { z } from 'zod'
import { PermanentError } from '../errors.ts'
import type { Notice } from '../model.ts'
import { Http, parseJson } from './http.ts'
import { briefOf, summaryLine } from './message.ts'
import type { NotifierContext, NotifierKind, Preview } from './notifier.ts'
import { clip } from './plain-text.ts'
import { minSeveritySchema } from './reason.ts'

const config = z
  .strictObject({
    routingKey: z
      .string()
      .min(1)
      .max(64)
      .describe('Integration key of an "Events API v2" integration; keep it out of the file: ${PAGERDUTY_ROUTING_KEY}'),
    url: z
      .url({ protocol: /^https?$/ })
      .default('https://events.pagerduty.com/v2/enqueue')
      .describe('Where events go; https://events.eu.pagerduty.com/v2/enqueue in the EU'),
    minSeverity: minSeveritySchema('error'),
    timeoutMs: z.int().min(100).max(60_000).default(10_000).describe('Longest wait for an answer'),
  })
  .describe('PagerDuty, through its Events API v2: wakes people, so only incidents that are felt outside')
type PagerDutyConfig = z.infer<typeof config>

/** https://developer.pagerduty.com/docs/pd-cef-standard-fields; a whole event may have 512 KB, which bounded texts never reach. */
const longestSummary = 1024
const longestDedupKey = 255

export const pagerdutyKind: NotifierKind<PagerDutyConfig> = {
  name: 'pagerduty',
  config,
  tells: ['opened', 'escalated', 'acknowledged', 'resolved'],
  pages: true,
  concurrency: 4,
  create(settings, context) {
    const http = new Http({ timeoutMs: settings.timeoutMs, secrets: [settings.routingKey], clock: context.clock })
    return {
      async send(notice, signal) {
        const body = JSON.stringify(eventOf(settings.routingKey, notice, context))
        const response = await http.send(
          { method: 'POST', url: settings.url, headers: { 'content-type': 'application/json' }, body },
          signal,
        )
        if (response.status >= 200 && response.status < 300) return { externalId: dedupKey(notice) }
        throw http.refusal('PagerDuty', response, errorsIn(response.text))
      },
    }
  },
  preview: (settings, context, notice): Preview[] => [
    { method: 'POST', url: settings.url, body: eventOf('(routing key)', notice, context) },
  ],
}

function eventOf(routingKey: string, notice: Notice, { publicUrl }: NotifierContext): object {
  const event = { routing_key: routingKey, dedup_key: dedupKey(notice) }
  if (notice.kind === 'acknowledged') return { ...event, event_action: 'acknowledge' }
  if (notice.kind === 'resolved') return { ...event, event_action: 'resolve' }
  const brief = briefOf(notice, publicUrl)
  return {
    ...event,
    event_action: 'trigger',
    client: 'Tocsin',
    client_url: brief.url,
    links: [{ href: brief.url, text: 'Timeline and evidence' }],
    payload: {
      summary: clip(summaryLine(brief), longestSummary),
      source: brief.services[0] || 'tocsin',
      severity: brief.severity,
      ...(brief.openedAt !== '' && { timestamp: brief.openedAt }),
      ...(brief.causes[0] && { component: brief.causes[0].service }),
      custom_details: {
        impact: brief.impact,
        reason: brief.reason,
        services: brief.services.join(', '),
        probable_causes: brief.causes.map(({ service, percent, evidence, refutedBy }) => ({
          service,
          probability: `${percent} %`,
          evidence,
          ruled_out_by: refutedBy,
        })),
      },
    },
  }
}

function dedupKey({ incident }: Notice): string {
  if (incident.id.length > longestDedupKey)
    throw new PermanentError(`PagerDuty takes keys of ${longestDedupKey} characters, the incident's id has ${incident.id.length}`)
  return incident.id
}

/** `{"status":"invalid event","message":"Event object is invalid","errors":["…"]}` */
function errorsIn(text: string): string {
  const answer = z.object({ message: z.string().optional(), errors: z.array(z.string()).optional() }).safeParse(parseJson(text))
  return answer.success ? [answer.data.message, ...(answer.data.errors ?? [])].filter((part) => part).join('; ') : text
}
