/** The first page: what is wrong now, then what was. */
import type { Incident } from '../model.ts'
import { html } from './html.ts'
import type { Html } from './html.ts'
import { age, page, severityMark, statusMark, time } from './layout.ts'
import type { Frame } from './layout.ts'
import { duration, oneLine } from '../wording.ts'
import { percent, serviceName } from './wording.ts'

export interface ListPage {
  readonly open: readonly Incident[]
  readonly resolved: readonly Incident[]
  /** More than these are not shown. */
  readonly limits: { readonly open: number; readonly resolved: number }
  /** `http://host:port`, as the browser reached us. */
  readonly address: string
  readonly needsToken: boolean
}

const mostServices = 6

export function listPage(frame: Frame, list: ListPage): string {
  const { open, resolved } = list
  const count = open.length === 0 ? 'All quiet' : `${open.length} open`
  const nothing = open.length === 0 && resolved.length === 0
  return page(
    frame,
    `${count} – Tocsin`,
    html`<main id="main" class="list" data-page="list">
      <h1>
        ${open.length === 0 ? 'Nothing is wrong that Tocsin knows of' : open.length === 1 ? '1 incident is open' : `${open.length} incidents are open`}
      </h1>
      ${open.length > 0 && rows('open', open, frame.nowMs)} ${open.length >= list.limits.open && more(list.limits.open, 'open')}
      ${nothing && welcome(list)}
      ${
        resolved.length > 0 &&
        html`<h2>Resolved</h2>
          ${rows('resolved', resolved, frame.nowMs)}`
      }
      ${resolved.length >= list.limits.resolved && more(list.limits.resolved, 'resolved')}
      ${
        !nothing &&
        html`<details class="connect" id="connect">
          <summary>Connect more senders</summary>
          ${senders(list)}
        </details>`
      }
    </main>`,
  )
}

function more(limit: number, status: string): Html {
  return html`<p class="quiet">
    The newest ${limit} are shown; <a href="/api/v1/incidents?status=${status}&amp;limit=1000">the API</a> has more.
  </p>`
}

function rows(id: string, incidents: readonly Incident[], nowMs: number): Html {
  return html`<ol class="rows" id="${id}">
    ${incidents.map((incident) => row(incident, nowMs))}
  </ol>`
}

function row(incident: Incident, nowMs: number): Html {
  const [cause] = incident.causes
  const over = incident.status === 'resolved'
  return html`<li id="i-${incident.id}" class="row" data-severity="${incident.severity}" data-over="${over ? 'yes' : 'no'}">
    <p class="marks">
      ${severityMark(incident)} ${statusMark(incident)}
      <span class="when"
        >${
          over
            ? html`${time(incident.openedMs)} · lasted ${duration((incident.resolvedMs ?? incident.updatedMs) - incident.openedMs)}`
            : html`for ${age(incident.openedMs, nowMs)}`
        }</span
      >
    </p>
    <h3><a href="/incidents/${encodeURIComponent(incident.id)}">${oneLine(incident.title, 200) || 'Incident without a title'}</a></h3>
    ${cause && html`<p class="suspect">Probable cause: <b>${serviceName(cause.service)}</b> ${percent(cause.probability)}</p>`}
    <p class="chips">
      ${incident.services.slice(0, mostServices).map((service) => html`<span class="chip">${serviceName(service)}</span> `)}${
        incident.services.length > mostServices && html`<span class="quiet">and ${incident.services.length - mostServices} more</span>`
      }
    </p>
  </li>`
}

function welcome(list: ListPage): Html {
  return html`<section class="card" id="welcome">
    <h2>No incidents yet</h2>
    <p>
      That is good news, or nobody sends anything yet. Point what you have at this address; Tocsin learns what is normal from the first
      minutes on and shows here what is not.
    </p>
    ${senders(list)}
  </section>`
}

function senders({ address, needsToken }: ListPage): Html {
  const bearer = '<the token of http.token>'
  return html`<dl class="senders">
      <dt>Prometheus, in <code>prometheus.yml</code></dt>
      <dd>
        <pre tabindex="0">
remote_write:
  - url: ${address}/api/v1/write${needsToken && `\n    authorization: { credentials: '${bearer}' }`}</pre>
      </dd>
      <dt>Loki clients (Grafana Alloy, Promtail, Vector, pino-loki): the push address</dt>
      <dd><pre tabindex="0">${address}/loki/api/v1/push</pre></dd>
      <dt>OpenTelemetry: traces and logs over OTLP/HTTP</dt>
      <dd>
        <pre tabindex="0">
OTEL_EXPORTER_OTLP_ENDPOINT=${address}
OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf${needsToken && `\nOTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20${bearer}`}</pre>
      </dd>
      <dt>Deploys and other changes: the best clue to a cause</dt>
      <dd>
        <pre tabindex="0">
curl ${address}/api/v1/events${needsToken && ` -H 'authorization: Bearer ${bearer}'`} -H 'content-type: application/json' \\
  -d '{"type":"deploy","service":"payments","version":"2.4.0","title":"New risk rules"}'</pre>
      </dd>
    </dl>
    <p class="quiet"><a href="/metrics">/metrics</a> counts what arrives.</p>`
}
