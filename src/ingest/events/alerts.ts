/**
 * What Prometheus and amtool send to an Alertmanager (`POST /api/v2/alerts`), as events. There is no status: an alert whose end is not
 * after now is resolved, one without an end is over unless it is repeated. https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
 * One alert is read by the same function whoever sends it, so that it has the same id by every way it comes.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { DecodeError } from '../../errors.ts'
import type { Alert, EventBatch } from '../../model.ts'
import { cleanText } from '../wire/clean-text.ts'
import type { DecodeContext } from '../decode-context.ts'
import { parseJson } from '../wire/json-body.ts'
import { parseTime } from '../wire/rfc3339.ts'
import { severityOfAlert } from '../logs/severity.ts'

const texts = z.record(z.string(), z.string())
const time = z.string().max(64)
const postedAlert = z.object({
  labels: texts,
  annotations: texts.nullish(),
  startsAt: time.nullish(),
  endsAt: time.nullish(),
  generatorURL: z.string().nullish(),
})

const MAX_TEXT_CHARS = 1_000

export function decodeAlerts(body: Uint8Array, context: DecodeContext): EventBatch {
  const root = parseJson(body)
  if (!Array.isArray(root)) throw new DecodeError('malformed', 'the body must be an array of alerts')
  if (root.length > context.limits.maxRowsPerRequest) throw new DecodeError('too-large', 'too many alerts in one request')
  const events: Alert[] = []
  for (const item of root as unknown[]) {
    const alert = readAlert(item, context, context.alertTimeoutMs)
    if (typeof alert === 'string') context.rejected.add(alert)
    else events.push(alert)
  }
  return { kind: 'events', events }
}

/** The alert, or why it is none. Without an end it lasts `timeoutMs` from now. */
export function readAlert(item: unknown, context: DecodeContext, timeoutMs: number): Alert | string {
  const parsed = postedAlert.safeParse(item)
  if (!parsed.success) return 'not-an-alert'
  const { limits, naming, receivedMs } = context
  const pairs = ownTexts(item, 'labels').filter(([, value]) => value !== '')
  if (pairs.length === 0) return 'no-labels'
  if (pairs.length > limits.maxLabels) return 'too-many-labels'
  if (pairs.some(([name, value]) => name.length > limits.maxLabelNameChars || value.length > limits.maxLabelValueChars))
    return 'label-too-long'
  const labels = pairs
    .map(([name, value]) => [cleanText(name, limits.maxLabelNameChars), cleanText(value, limits.maxLabelValueChars)] as const)
    .sort((a, b) => (a[0] < b[0] ? -1 : 1))
  const startsMs = timeOf(parsed.data.startsAt)
  const endsMs = timeOf(parsed.data.endsAt)
  if (startsMs === 'bad' || endsMs === 'bad') return 'bad-time'
  if (startsMs !== undefined && endsMs !== undefined && endsMs < startsMs) return 'ends-before-it-starts'
  const lookup = (wanted: string) => labels.find(([name]) => name === wanted)?.[1]
  const service = naming.metricService(lookup)
  if (!context.services.admit(service, receivedMs)) return 'service-limit'
  const annotations = new Map(ownTexts(item, 'annotations'))
  const name = lookup('alertname') ?? 'alert'
  const summary = annotations.get('summary') ?? annotations.get('description') ?? annotations.get('message') ?? name
  return {
    kind: 'alert',
    id: createHash('sha256')
      .update(JSON.stringify([labels, startsMs ?? null]))
      .digest('hex')
      .slice(0, 32),
    name,
    service,
    severity: severityOfAlert(lookup('severity') ?? lookup('priority')),
    summary: cleanText(summary, MAX_TEXT_CHARS),
    labels,
    // As Alertmanager has it: one that only says when it ended began then.
    startMs: startsMs ?? Math.min(endsMs ?? receivedMs, receivedMs),
    endMs: endsMs ?? receivedMs + timeoutMs,
    atMs: receivedMs,
    url: webUrl(parsed.data.generatorURL ?? ''),
  }
}

/** The text entries of a part of a body that has been checked, `__proto__` included, which a schema's copy leaves out. */
function ownTexts(item: unknown, part: 'labels' | 'annotations'): [name: string, value: string][] {
  const value = (item as Readonly<Record<string, unknown>>)[part]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === 'string')
}

/** Go's zero time means none. */
function timeOf(value: string | null | undefined): number | undefined | 'bad' {
  if (value === undefined || value === null || value === '' || value.startsWith('0001-01-01T00:00:00')) return undefined
  const ms = parseTime(value)
  return ms === undefined ? 'bad' : ms
}

/** Only what a browser may open safely; else ''. */
export function webUrl(value: string): string {
  return /^https?:\/\/[^\s"'<>\\]+$/i.test(value) && value.length <= 2_048 ? cleanText(value, 2_048) : ''
}
