/**
 * What was measured: a chart for each anomaly, the worst first and the rest folded. Columns go into an attribute as bare numbers; the
 * scripts draw them, without scripts the sentences stand.
 */
import type { Anomaly } from '../model.ts'
import { rarityText, ruleText } from '../reckoning.ts'
import { html } from './html.ts'
import type { Html } from './html.ts'
import { time } from './layout.ts'
import { duration, oneLine } from '../wording.ts'
import { digits, measured, serviceName } from './wording.ts'

const mostUnfolded = 3
/** Further ones are listed without a chart, and after these only counted. */
const mostCharts = 30
const mostListed = 200
const mostPoints = 600
const mostEvidence = 5
const mostInputs = 40
/** Charts share their time axis unless that makes them too narrow to read. */
const longestSharedMs = 6 * 3_600_000

/** Those that are felt outside first, then by how far out they are. */
export function worstFirst(anomalies: readonly Anomaly[]): readonly Anomaly[] {
  const score = (anomaly: Anomaly) => (Number.isFinite(anomaly.score) ? anomaly.score : 0)
  return [...anomalies].sort(
    (a, b) => Number(b.impact) - Number(a.impact) || score(b) - score(a) || a.startMs - b.startMs || (a.id < b.id ? -1 : 1),
  )
}

/** The ids that `signalView` gives a place to link to. */
export function linkable(ranked: readonly Anomaly[]): ReadonlySet<string> {
  return new Set(ranked.slice(0, mostListed).map(({ id }) => id))
}

export interface SignalView {
  readonly ranked: readonly Anomaly[]
  readonly nowMs: number
  /** When something was changed: a line in every chart. */
  readonly changesMs: readonly number[]
}

export function signalView(view: SignalView): Html {
  const { ranked, changesMs } = view
  const charted = ranked.slice(0, mostCharts)
  const listed = ranked.slice(mostCharts, mostListed)
  const [fromMs, toMs] = sharedSpan(charted)
  const count = ranked.length === 1 ? '1 anomaly' : `${ranked.length} anomalies`
  return html`<section
    class="card signals"
    id="signals"
    aria-labelledby="signals-title"
    data-from="${fromMs}"
    data-to="${toMs}"
    data-changes="${JSON.stringify(changesMs)}"
  >
    <h2 id="signals-title">What was measured <span class="quiet">${count}</span></h2>
    ${
      charted.length > 0 &&
      html`<p class="legend" aria-hidden="true">
        <span class="key observed">observed</span> <span class="key expected">expected</span> <span class="key band">normal range</span>
        <span class="key span">anomaly</span>${changesMs.length > 0 && html` <span class="key change">change</span>`}
      </p>`
    }
    ${ranked.length === 0 && html`<p>Nothing yet.</p>`} ${charted.map((anomaly, index) => signal(anomaly, view, index < mostUnfolded))}
    ${
      listed.length > 0 &&
      html`<details class="signal" id="more-signals">
        <summary>${listed.length} more</summary>
        <ul class="plainlist">
          ${listed.map((anomaly) => html`<li id="a-${anomaly.id}">${heading(anomaly)}: ${comparison(anomaly)}</li>`)}
        </ul>
      </details>`
    }
    ${ranked.length > mostListed && html`<p class="quiet">${ranked.length - mostListed} more are not listed here; the JSON has them.</p>`}
  </section>`
}

function signal(anomaly: Anomaly, view: SignalView, unfolded: boolean): Html {
  const { id, unit, startMs, endMs, evidence } = anomaly
  const ended = endMs === undefined ? undefined : Math.max(endMs, startMs)
  return html`<details class="signal" id="a-${id}" ${unfolded && html` open`}>
    <summary>
      <span class="what">${heading(anomaly)}</span> <span class="value" data-direction="${anomaly.direction}">${comparison(anomaly)}</span>
    </summary>
    <div
      class="chart"
      data-scripted
      data-unit="${oneLine(unit, 20)}"
      data-start="${startMs}"
      data-end="${ended ?? ''}"
      data-points="${columns(anomaly)}"
      role="img"
      aria-label="Chart of ${oneLine(anomaly.subject, 160)} at ${serviceName(anomaly.service)}: ${comparisonText(anomaly)}"
    ></div>
    <p class="readout quiet" data-scripted aria-hidden="true"></p>
    <ul class="facts">
      ${evidence.slice(0, mostEvidence).map((sentence) => html`<li>${oneLine(sentence, 400)}</li>`)}
    </ul>
    <p class="quiet">
      ${ended === undefined ? html`Since ${time(startMs, view.nowMs)}, still going on` : html`From ${time(startMs, view.nowMs)} for ${duration(ended - startMs)}, back to normal`}
      ·
      ${
        Number.isFinite(anomaly.score) && html`${digits(anomaly.score)} × its alarm threshold · `
      }${unlikely(anomaly)}${anomaly.volume > 0 && html`${digits(anomaly.volume)} ${{ metrics: 'samples', logs: 'lines', spans: 'requests', mixed: 'samples' }[anomaly.signal]} behind it · `}${oneLine(anomaly.detector, 40)}${
        anomaly.instance !== '' && html` · ${oneLine(anomaly.instance, 80)}`
      }
    </p>
    ${workedOut(anomaly)}
  </details>`
}

function unlikely({ reckoning }: Anomaly): Html | undefined {
  const text = reckoning === undefined ? '' : rarityText(reckoning)
  return text === '' ? undefined : html`<span class="unlikely">${text}</span> · `
}

/** The rule and what went into it, so that the score can be made again by hand or by `tocsin explain`. */
function workedOut({ id, score, reckoning }: Anomaly): Html | undefined {
  if (reckoning === undefined) return undefined
  const { rule, inputs } = reckoning
  const text = ruleText(rule)
  return html`<details class="reckoning" id="r-${id}">
    <summary>How this was worked out</summary>
    <p>Rule <b>${oneLine(rule, 40)}</b>${text && html`: ${text.title}. Score = ${text.formula}.`}</p>
    <table>
      <thead>
        <tr>
          <th scope="col">Input</th>
          <th scope="col">Value</th>
        </tr>
      </thead>
      <tbody>
        ${inputs.slice(0, mostInputs).map(
          ([name, value]) =>
            html`<tr>
              <td>${oneLine(name, 100)}</td>
              <td>${figure(value)}</td>
            </tr>`,
        )}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row">score</th>
          <td>${figure(score)}</td>
        </tr>
      </tfoot>
    </table>
    <p class="quiet"><code>tocsin explain ${id}</code> makes it again.</p>
  </details>`
}

function figure(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(6))) : 'unknown'
}

function heading({ service, subject, impact }: Anomaly): Html {
  return html`<b>${serviceName(service)}</b>
    ${oneLine(subject, 160)}${impact && html` <span class="felt" title="Users or other services feel this">felt</span>`}`
}

function comparison({ observed, expected, unit }: Anomaly): Html {
  return html`<b>${measured(observed, unit)}</b
    >${Number.isFinite(expected) && html` <span class="quiet">instead of ${measured(expected, unit)}</span>`}`
}

function comparisonText({ observed, expected, unit }: Anomaly): string {
  return `${measured(observed, unit)} observed${Number.isFinite(expected) ? `, ${measured(expected, unit)} expected` : ''}`
}

/** `[[time],[observed],[expected],[low],[high]]` with six significant digits and null for gaps; of long ones the newest. */
function columns({ points }: Anomaly): string {
  const length = Math.min(points.timeMs.length, points.observed.length)
  const from = Math.max(0, length - mostPoints)
  const column = (values: readonly number[]) => {
    const part: (number | null)[] = []
    for (let i = from; i < length; i++) {
      const value = values[i] ?? NaN
      part.push(Number.isFinite(value) ? Number(value.toPrecision(6)) : null)
    }
    return part
  }
  const times = points.timeMs.slice(from, length).map((ms) => Math.round(ms))
  return JSON.stringify([times, column(points.observed), column(points.expected), column(points.low), column(points.high)])
}

/** '' twice when they have no span in common that would be short enough. */
function sharedSpan(anomalies: readonly Anomaly[]): readonly [number | '', number | ''] {
  let from = Infinity
  let to = -Infinity
  for (const { points } of anomalies) {
    from = Math.min(from, points.timeMs[0] ?? Infinity)
    to = Math.max(to, points.timeMs.at(-1) ?? -Infinity)
  }
  return to > from && to - from <= longestSharedMs ? [from, to] : ['', '']
}
