/** What happened in which order, told in local time and counted from the onset: findings, changes, alerts, notices, people. */
import type { NoticeKind, TimelineEntry, TimelineKind } from '../model.ts'
import type { ListedNotice } from '../store/outbox.ts'
import type { CaseFile } from './case-file.ts'
import { html } from './html.ts'
import type { Html } from './html.ts'
import { time } from './layout.ts'
import { oneLine } from '../wording.ts'
import { offset, serviceName } from './wording.ts'

const mostEntries = 300

const kindWords: Readonly<Record<TimelineKind, string>> = {
  opened: 'Opened',
  anomaly: 'Anomaly',
  recovered: 'Recovered',
  change: 'Change',
  alert: 'Alert',
  'alert-ended': 'Alert ended',
  cause: 'Cause',
  severity: 'Severity',
  notice: 'Told',
  person: 'Person',
  resolved: 'Resolved',
}

interface Line {
  readonly id: string
  readonly atMs: number
  readonly kind: TimelineKind
  readonly service: string
  readonly text: string
  readonly ref: string
  readonly failed: boolean
}

export function timelineView(file: CaseFile, onsetMs: number, linkable: ReadonlySet<string>): Html {
  const lines = linesOf(file)
  const shown = lines.slice(-mostEntries)
  return html`<section class="card" id="timeline" aria-labelledby="timeline-title">
    <h2 id="timeline-title">Timeline</h2>
    ${lines.length > shown.length && html`<p class="quiet">The last ${mostEntries} of ${lines.length}; the JSON has all.</p>`}
    <ol class="timeline">
      ${shown.map((line) => entry(line, onsetMs, linkable, file.changeUrls))}
    </ol>
  </section>`
}

function entry(line: Line, onsetMs: number, linkable: ReadonlySet<string>, urls: ReadonlyMap<string, string>): Html {
  const url = line.kind === 'change' ? urls.get(line.ref) : undefined
  const text = oneLine(line.text, 500)
  const target = (line.kind === 'anomaly' || line.kind === 'recovered') && linkable.has(line.ref) ? `#a-${line.ref}` : undefined
  return html`<li id="t-${line.id}" data-kind="${line.kind}" ${line.failed && html` data-failed="yes"`}>
    <span class="at">${time(line.atMs, onsetMs)} <span class="offset">${offset(line.atMs - onsetMs)}</span></span>
    <span class="body"
      ><span class="kind">${kindWords[line.kind] ?? 'Event'}</span
      >${line.service !== '' && html` <span class="who">${serviceName(line.service)}</span>`}
      <span class="text"
        >${target === undefined ? text : html`<a href="${target}">${text}</a>`}${url !== undefined && html` <a href="${url}" rel="noreferrer noopener">Details</a>`}</span
      ></span
    >
  </li>`
}

function linesOf({ timeline, notices }: CaseFile): readonly Line[] {
  const told = new Set(timeline.filter(({ kind }) => kind === 'notice').map(({ ref }) => ref))
  const lines: Line[] = timeline.map((entry: TimelineEntry) => ({ ...entry, failed: false }))
  for (const notice of notices) {
    if (told.has(notice.id)) continue
    const { id, atMs } = notice
    lines.push({ id, atMs, kind: 'notice', service: '', text: noticeText(notice), ref: id, failed: notice.status === 'dead' })
  }
  return lines.sort((a, b) => a.atMs - b.atMs || order(a) - order(b))
}

/** At one time: what caused it before what it caused. */
function order({ kind }: Line): number {
  return (
    {
      change: 0,
      anomaly: 1,
      alert: 1,
      opened: 2,
      severity: 3,
      cause: 3,
      recovered: 4,
      'alert-ended': 4,
      person: 5,
      resolved: 6,
      notice: 7,
    }[kind] ?? 3
  )
}

const noticeWords: Readonly<Record<NoticeKind, string>> = {
  opened: 'new incident',
  escalated: 'got worse',
  updated: 'update',
  acknowledged: 'acknowledged',
  resolved: 'resolved',
}

function noticeText({ channel, kind, reason, status, attempts, lastError }: ListedNotice): string {
  const what = `${channel}, ${noticeWords[kind] ?? kind}`
  if (status === 'sent') return `${what}: ${reason}`
  if (status === 'dead') return `${what}: NOT delivered. ${lastError}`
  return attempts === 0
    ? `${what}: on its way. ${reason}`
    : `${what}: not delivered yet, tried ${attempts === 1 ? 'once' : `${attempts} times`}. ${lastError}`
}
