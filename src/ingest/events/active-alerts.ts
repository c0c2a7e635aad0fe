/**
 * The alerts that this process has taken and that have not ended, for `GET /api/v2/alerts`, so that `amtool alert query` shows what
 * arrived. Bounded, not kept over a restart, and each ingest process knows its own: to look, not to rely on.
 */
import type { Alert, EventBatch } from '../../model.ts'

const MAX_ALERTS = 1_000
const MAX_CHARS = 4_000_000
/** Of a trimmed text. A value without quotes begins with no space, so that there is one way only to divide what is between. */
const MATCHER = /^([\w.:-]+)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"\s][^"]*)?)$/

/** As Alertmanager shows one. https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml */
export interface GettableAlert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly receivers: readonly { readonly name: string }[]
  readonly fingerprint: string
  readonly startsAt: string
  readonly endsAt: string
  readonly updatedAt: string
  readonly generatorURL: string
  readonly status: { readonly state: 'active'; readonly silencedBy: readonly string[]; readonly inhibitedBy: readonly string[] }
}

export class ActiveAlerts {
  readonly #alerts = new Map<string, Alert>()
  #chars = 0

  note(batch: EventBatch, nowMs: number): void {
    for (const event of batch.events) {
      if (event.kind !== 'alert') continue
      this.#forget(event.id)
      if (event.endMs <= nowMs) continue
      this.#alerts.set(event.id, event)
      this.#chars += charsOf(event)
    }
    // The longest not heard of goes first.
    for (const [id, alert] of this.#alerts) {
      if (this.#alerts.size <= MAX_ALERTS && this.#chars <= MAX_CHARS && alert.endMs > nowMs) break
      this.#forget(id)
    }
  }

  /** The alerts that all matchers (`name="value"`, `name!=value`) hold for; or what is wrong with a matcher. */
  list(matchers: readonly string[], nowMs: number): GettableAlert[] | string {
    const wanted: { readonly name: string; readonly value: string; readonly equal: boolean }[] = []
    for (const matcher of matchers) {
      const match = matcher.length > 4_096 ? null : MATCHER.exec(matcher.trim())
      if (match === null) return `bad matcher format: ${matcher.slice(0, 100)}`
      const [, name, operator, quoted, bare] = match
      if (operator === '=~' || operator === '!~') return 'only = and != are understood here, no regular expressions'
      wanted.push({ name: name!, value: quoted?.replace(/\\(.)/g, '$1') ?? bare ?? '', equal: operator === '=' })
    }
    return [...this.#alerts.values()]
      .filter((alert) => alert.endMs > nowMs)
      .filter((alert) => wanted.every(({ name, value, equal }) => (labelOf(alert, name) === value) === equal))
      .map(gettable)
  }

  #forget(id: string): void {
    const alert = this.#alerts.get(id)
    if (alert === undefined) return
    this.#alerts.delete(id)
    this.#chars -= charsOf(alert)
  }
}

function labelOf(alert: Alert, name: string): string {
  return alert.labels.find((label) => label[0] === name)?.[1] ?? ''
}

function charsOf(alert: Alert): number {
  let chars = alert.summary.length + alert.url.length
  for (const [name, value] of alert.labels) chars += name.length + value.length
  return chars
}

function gettable(alert: Alert): GettableAlert {
  return {
    labels: Object.fromEntries(alert.labels),
    annotations: alert.summary === alert.name ? {} : { summary: alert.summary },
    receivers: [{ name: 'tocsin' }],
    fingerprint: alert.id.slice(0, 16),
    startsAt: isoTime(alert.startMs),
    endsAt: isoTime(alert.endMs),
    updatedAt: isoTime(alert.atMs),
    generatorURL: alert.url,
    status: { state: 'active', silencedBy: [], inhibitedBy: [] },
  }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
