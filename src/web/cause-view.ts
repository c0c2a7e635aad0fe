/** The suspects: the first one in full, the others folded. What earned how much is shown, and what would clear a suspect. */
import type { Cause, Evidence } from '../model.ts'
import { html } from './html.ts'
import type { Html } from './html.ts'
import { bar } from './layout.ts'
import { oneLine } from '../wording.ts'
import { percent, serviceName } from './wording.ts'

const mostCauses = 5
const mostEvidence = 12

/** `charted`: ids of anomalies that have a place on the page to link to. */
export function causeView(causes: readonly Cause[], charted: ReadonlySet<string>): Html {
  const [first, ...others] = causes.slice(0, mostCauses)
  if (!first) {
    return html`<section class="card" id="cause" aria-labelledby="cause-title">
      <h2 id="cause-title">Probable cause</h2>
      <p>No suspect yet: there is no evidence against any service. It is looked for again with everything that comes in.</p>
    </section>`
  }
  const scale = Math.max(1, ...causes.flatMap(({ evidence }) => evidence.map(({ points }) => Math.abs(points))))
  const rest = 1 - causes.reduce((sum, { probability }) => sum + (Number.isFinite(probability) ? probability : 0), 0)
  return html`<section class="card cause" id="cause" aria-labelledby="cause-title">
    <h2 id="cause-title">Probable cause</h2>
    <p class="culprit"><b>${serviceName(first.service)}</b> <span class="odds">${percent(first.probability)}</span></p>
    ${bar(first.probability, 'odds-bar')} ${proof(first, scale, charted)}
    ${others.map(
      (cause, index) =>
        html`<details class="other" id="suspect-${index + 2}">
          <summary>
            <span class="name">${serviceName(cause.service)}</span> ${bar(cause.probability, 'odds-bar')}
            <span class="odds">${percent(cause.probability)}</span>
          </summary>
          ${proof(cause, scale, charted)}
        </details>`,
    )}
    ${rest >= 0.05 && html`<p class="quiet">${percent(rest)} for something else that no evidence points at.</p>`}
  </section>`
}

function proof(cause: Cause, scale: number, charted: ReadonlySet<string>): Html {
  const evidence = [...cause.evidence].sort((a, b) => b.points - a.points).slice(0, mostEvidence)
  return html`${
    evidence.length > 0 &&
    html`<ul class="evidence" aria-label="Evidence and the points it earned">
      ${evidence.map((one) => evidenceRow(one, scale, charted))}
    </ul>`
  }
  ${cause.refutedBy !== '' && html`<p class="refuted"><b>What would rule it out:</b> ${oneLine(cause.refutedBy, 400)}</p>`}`
}

function evidenceRow({ points, text, ref }: Evidence, scale: number, charted: ReadonlySet<string>): Html {
  const sign = points < 0 ? '−' : '+'
  const sentence = oneLine(text, 400)
  return html`<li data-sign="${points < 0 ? 'against' : 'for'}">
    ${bar(Math.abs(points) / scale, 'points-bar')}<span class="points">${sign}${Math.abs(points).toFixed(1)}</span>
    <span class="text">${charted.has(ref) ? html`<a href="#a-${ref}">${sentence}</a>` : sentence}</span>
  </li>`
}
