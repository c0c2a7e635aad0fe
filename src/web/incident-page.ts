/**
 * One incident, for somebody who has just been woken: how bad, since when, who feels it, what it probably is and why; then the
 * two buttons, then what was measured and what happened.
 */
import type { Incident } from '../model.ts'
import type { ListedNotice } from '../store/outbox.ts'
import { onsetMs } from './case-file.ts'
import type { CaseFile } from './case-file.ts'
import { causeView } from './cause-view.ts'
import { html } from './html.ts'
import type { Html } from './html.ts'
import { age, page, severityMark, statusMark, time } from './layout.ts'
import type { Frame } from './layout.ts'
import { linkable, signalView, worstFirst } from './signal-view.ts'
import { timelineView } from './timeline-view.ts'
import { duration, oneLine } from '../wording.ts'
import { serviceName } from './wording.ts'

/** What a form post can leave to be said: fixed texts, because the address of a page is anybody's. */
const notes = {
  'too-late': 'Nothing was changed: somebody, or the recovery, was faster.',
} as const
export type Note = keyof typeof notes

export function noteOf(said: unknown): Note | undefined {
  return said === 'too-late' ? said : undefined
}

const mostServices = 12
const mostUndelivered = 5

export function incidentPage(frame: Frame, file: CaseFile, note?: Note): string {
  const { incident, anomalies, timeline } = file
  const onset = onsetMs(file)
  const ranked = worstFirst(anomalies)
  const links = linkable(ranked)
  const changesMs = timeline
    .filter(({ kind }) => kind === 'change')
    .map(({ atMs }) => atMs)
    .slice(-50)
  const title = oneLine(incident.title, 200) || 'Incident without a title'
  return page(
    frame,
    `${incident.status === 'resolved' ? '✓ ' : incident.status === 'open' ? '● ' : ''}${title} – Tocsin`,
    html`<main id="main" class="incident" data-page="incident" data-id="${incident.id}">
      <div class="head" id="head" data-severity="${incident.severity}" data-over="${incident.status === 'resolved' ? 'yes' : 'no'}">
        <p class="marks">${severityMark(incident)} ${statusMark(incident)} <span class="when">${lasting(incident, frame.nowMs)}</span></p>
        <h1>${title}</h1>
        ${incident.impact !== '' && html`<p class="impact">${oneLine(incident.impact, 600)}</p>`}
        <p class="since">Began ${time(onset, frame.nowMs)}${people(file)}</p>
        ${buttons(incident)}
        <p class="note" id="note" role="alert" data-scripted>${note && notes[note]}</p>
        ${undelivered(file.notices)}
        <nav class="jump" aria-label="On this page">
          <a href="#cause">Cause</a> <a href="#signals">Measured</a> <a href="#timeline">Timeline</a>
        </nav>
      </div>
      <div class="columns">
        <div class="column">${causeView(incident.causes, links)} ${signalView({ ranked, nowMs: frame.nowMs, changesMs })}</div>
        <div class="column">
          ${services(incident)} ${timelineView(file, onset, links)}
          <p class="quiet">
            Incident <code>${incident.id}</code> · <a href="/api/v1/incidents/${encodeURIComponent(incident.id)}">JSON</a>
          </p>
        </div>
      </div>
    </main>`,
  )
}

export function missingPage(frame: Frame): string {
  return page(
    frame,
    'No such incident – Tocsin',
    html`<main id="main" class="list" data-page="missing">
      <h1>There is no such incident</h1>
      <p>The link may be cut short, or the incident belongs to another installation. <a href="/">All incidents</a></p>
    </main>`,
  )
}

export function failurePage(frame: Frame, heading: string, text: string): string {
  return page(
    frame,
    `${heading} – Tocsin`,
    html`<main id="main" class="list" data-page="failure">
      <h1>${heading}</h1>
      <p>${text} <a href="/">All incidents</a></p>
    </main>`,
  )
}

function lasting(incident: Incident, nowMs: number): Html {
  if (incident.status !== 'resolved') return html`for ${age(incident.openedMs, nowMs)}`
  return html`lasted ${duration((incident.resolvedMs ?? incident.updatedMs) - incident.openedMs)}`
}

/** ` · Acknowledged 03:06, after 3 min`. Who did it stands in the timeline's own sentence. */
function people({ incident, timeline }: CaseFile): Html {
  const did = (ref: string) => timeline.findLast((entry) => entry.kind === 'person' && entry.ref === ref)?.text
  const said = [did('acknowledge'), did('resolve')].filter((text) => text !== undefined)
  if (said.length > 0) return html` · ${said.map((text) => html`${oneLine(text, 240)} `)}`
  return incident.resolvedMs === undefined ? html`` : html` · Resolved by itself ${time(incident.resolvedMs, incident.openedMs)}`
}

function buttons({ id: plainId, status }: Incident): Html | undefined {
  if (status === 'resolved') return undefined
  const id = encodeURIComponent(plainId)
  return html`<form class="actions" id="actions" method="post" action="/incidents/${id}/acknowledge">
    ${status === 'open' && html`<button class="primary" id="acknowledge" name="action" value="acknowledge" formaction="/incidents/${id}/acknowledge">Acknowledge</button>`}
    <button class="secondary" id="resolve" name="action" value="resolve" formaction="/incidents/${id}/resolve">Resolve</button>
    <label class="by"
      ><span aria-hidden="true">as</span>
      <input id="by" name="by" maxlength="80" autocomplete="name" placeholder="your name" aria-label="Your name, for the timeline"
    /></label>
  </form>`
}

function services({ services }: Incident): Html | undefined {
  if (services.length === 0) return undefined
  return html`<section class="card" id="services" aria-labelledby="services-title">
    <h2 id="services-title">Affected</h2>
    <p class="chips">
      ${services.slice(0, mostServices).map((service) => html`<span class="chip">${serviceName(service)}</span> `)}${
        services.length > mostServices && html`<span class="quiet">and ${services.length - mostServices} more</span>`
      }
    </p>
  </section>`
}

/** Somebody who should know does not: that must not be hidden in a list. */
function undelivered(notices: readonly ListedNotice[]): Html | undefined {
  const failing = notices.filter(({ status, attempts }) => status === 'dead' || (status === 'due' && attempts > 1))
  if (failing.length === 0) return undefined
  return html`<ul class="undelivered" id="undelivered">
    ${failing
      .slice(-mostUndelivered)
      .map(
        ({ channel, kind, status, lastError }) =>
          html`<li>
            <b>${oneLine(channel, 60)}</b> ${status === 'dead' ? 'was not told' : 'is not told yet'} (${kind}): ${oneLine(lastError, 240)}
          </li>`,
      )}
  </ul>`
}
