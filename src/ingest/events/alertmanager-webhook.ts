/**
 * What an Alertmanager's webhook receiver posts (version 4; Grafana's own alerting posts the same as version 1): a group of alerts, each
 * with its status. An alert that Prometheus also sends here directly is the same one, by labels and start.
 * https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
 */
import { DecodeError } from '../../errors.ts'
import type { Alert, EventBatch } from '../../model.ts'
import { readAlert, webUrl } from './alerts.ts'
import type { DecodeContext } from '../decode-context.ts'
import { tooManyRows } from '../decode-context.ts'
import { parseJson } from '../wire/json-body.ts'

type Fields = Readonly<Record<string, unknown>>

const VERSIONS = ['4', '1']
const TEMPLATE = 'a receiver whose payload is made by a template of its own cannot be read'

export function decodeAlertmanagerWebhook(body: Uint8Array, context: DecodeContext): EventBatch {
  const root = parseJson(body)
  const missing = whatIsMissing(root)
  if (missing !== '') throw new DecodeError('bad-webhook', `this is not what Alertmanager posts, ${missing}; ${TEMPLATE}`)
  const { alerts, truncatedAlerts, externalURL } = root as Fields & { readonly alerts: readonly unknown[] }
  if (alerts.length > context.limits.maxRowsPerRequest) throw tooManyRows(context.limits)
  if (typeof truncatedAlerts === 'number' && truncatedAlerts >= 1)
    context.skipped.add('truncated-by-sender', Math.min(Math.floor(truncatedAlerts), context.limits.maxRowsPerRequest))
  const pageUrl = typeof externalURL === 'string' ? webUrl(externalURL) : ''
  const events: Alert[] = []
  const seen = new Set<string>()
  for (const item of alerts) {
    const alert = readGroupAlert(item, context, pageUrl)
    if (typeof alert === 'string') context.rejected.add(alert)
    // The id stands for labels and start, as the sender's fingerprint and startsAt do.
    else if (seen.has(`${alert.id} ${alert.endMs}`)) context.skipped.add('duplicate')
    else {
      seen.add(`${alert.id} ${alert.endMs}`)
      events.push(alert)
    }
  }
  return { kind: 'events', events }
}

/** Whether parsed JSON is such a body, for records that do not say what they are. */
export function isAlertmanagerWebhook(root: unknown): boolean {
  return whatIsMissing(root) === '' && typeof (root as Fields)['receiver'] === 'string'
}

function whatIsMissing(root: unknown): string {
  if (typeof root !== 'object' || root === null || Array.isArray(root)) return 'the body must be an object'
  const { version, alerts } = root as Fields
  if (version === undefined) return '"version" is missing'
  if (!VERSIONS.includes(version as string)) return `"version" must be "4", not ${JSON.stringify(version)?.slice(0, 40)}`
  if (alerts === undefined) return '"alerts" is missing'
  return Array.isArray(alerts) ? '' : '"alerts" must be an array'
}

function readGroupAlert(item: unknown, context: DecodeContext, pageUrl: string): Alert | string {
  if (typeof item !== 'object' || item === null) return 'not-an-alert'
  const { status, labels } = item as Fields
  if (status !== 'firing' && status !== 'resolved') return 'no-status'
  if (labels === undefined) return 'no-labels'
  const alert = readAlert(item, context, context.webhookAlertTimeoutMs)
  if (typeof alert === 'string') return alert
  // `resolved` is final, also where the clocks differ or the end is left out.
  const endMs = status === 'resolved' ? Math.max(Math.min(alert.endMs, context.receivedMs), alert.startMs) : alert.endMs
  return { ...alert, endMs, url: alert.url === '' ? pageUrl : alert.url }
}
