/**
 * Any HTTP receiver, by Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
 * `webhook-id` is the notice's id and stays the same over every attempt, `webhook-timestamp` is the attempt's,
 * `webhook-signature` is HMAC-SHA256 over `id.timestamp.body`. 410 Gone means: stop sending this.
 */
import { createHmac } from 'node:crypto'
import { z } from 'zod'
import type { Notice } from '../model.ts'
import { isoTime } from '../wording.ts'
import { guardedLookup, refuseForbiddenUrl } from './address-guard.ts'
import { Http } from './http.ts'
import { bounded, incidentUrl } from './message.ts'
import type { NotifierContext, NotifierKind, Preview } from './notifier.ts'
import { minSeveritySchema } from './reason.ts'

const config = z
  .strictObject({
    url: z.url({ protocol: /^https?$/ }).describe('Where notices are posted'),
    secret: z
      .string()
      .min(1)
      .refine(
        (secret) => !secret.startsWith('whsec_') || secretBytes(secret).length >= 16,
        'whsec_ must be followed by at least 16 bytes in base64',
      )
      .describe(
        'Signs each notice: whsec_ and base64 as the specification has it, or any text, taken as its bytes; keep it out of the file',
      ),
    minSeverity: minSeveritySchema('info'),
    timeoutMs: z.int().min(100).max(60_000).default(10_000).describe('Longest wait for an answer'),
  })
  .describe('Any HTTP receiver; signed by Standard Webhooks')
type WebhookConfig = z.infer<typeof config>

export const webhookKind: NotifierKind<WebhookConfig> = {
  name: 'webhook',
  config,
  tells: ['opened', 'escalated', 'updated', 'acknowledged', 'resolved'],
  pages: false,
  concurrency: 4,
  create(settings, context) {
    const { timeoutMs, secret, url } = settings
    const http = new Http({ timeoutMs, secrets: [secret, url], clock: context.clock, lookup: guardedLookup })
    return {
      async send(notice, signal) {
        refuseForbiddenUrl(url)
        const body = JSON.stringify(bodyOf(notice, context))
        const timestamp = String(Math.floor(context.clock() / 1000))
        const headers = {
          'content-type': 'application/json',
          'webhook-id': notice.id,
          'webhook-timestamp': timestamp,
          'webhook-signature': signatureOf(secret, notice.id, timestamp, body),
        }
        const response = await http.send({ method: 'POST', url, headers, body }, signal)
        if (response.status >= 200 && response.status < 300) return {}
        throw http.refusal('The webhook receiver', response)
      },
    }
  },
  preview: ({ url }, context, notice): Preview[] => [{ method: 'POST', url: new URL(url).origin, body: bodyOf(notice, context) }],
}

function bodyOf(notice: Notice, { publicUrl }: NotifierContext): object {
  return {
    type: `incident.${notice.kind}`,
    timestamp: isoTime(notice.atMs),
    data: { reason: notice.reason, url: incidentUrl(publicUrl, notice.incident.id), incident: bounded(notice.incident) },
  }
}

export function signatureOf(secret: string, id: string, timestamp: string, body: string): string {
  return `v1,${createHmac('sha256', secretBytes(secret)).update(`${id}.${timestamp}.${body}`).digest('base64')}`
}

function secretBytes(secret: string): Buffer {
  return secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret)
}
