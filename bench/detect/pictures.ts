/**
 * The pictures of docs/accuracy: plain SVG, a few kilobytes each, readable on light and on dark pages and without colours (what was missed is
 * hollow, what was invented stands below the line).
 */

/** Positions are shares of the whole, 0 to 1. */
export interface SeriesPicture {
  readonly name: string
  /** What comes before is not judged. */
  readonly from: number
  readonly stretches: readonly (readonly [number, number])[]
  readonly detections: readonly (readonly [number, number])[]
  readonly alarms: readonly number[]
  readonly value?: number
}

export interface Bar {
  readonly name: string
  /** Of these the bar is put together, left to right. */
  readonly parts: readonly { readonly value: number; readonly look: Look }[]
  /** Where somebody else stands. */
  readonly mark?: number
  readonly text: string
}

export type Look = 'caught' | 'missed' | 'invented' | 'second'

const WIDTH = 900
const LEFT = 330
const RIGHT = 80
const ROW = 18
const TOP = 34
const SPAN = WIDTH - LEFT - RIGHT

const STYLE = `
svg{--ink:#1f2328;--faint:#d8dee4;--caught:#1a7f37;--missed:#cf222e;--invented:#bc4c00;--second:#0969da}
@media(prefers-color-scheme:dark){svg{--ink:#e6edf3;--faint:#30363d;--caught:#3fb950;--missed:#ff7b72;--invented:#f0883e;--second:#58a6ff}}
text{font:11px system-ui,sans-serif;fill:var(--ink)}.name{text-anchor:end}.line{stroke:var(--faint)}.before{fill:var(--faint)}
.caught{fill:var(--caught)}.second{fill:var(--second)}.invented{fill:var(--invented)}.missed{fill:none;stroke:var(--missed)}.mark{stroke:var(--ink);stroke-width:2}`

/** A line per series: labelled stretches above it, detections outside of them below it. */
export function stripChart(title: string, series: readonly SeriesPicture[]): string {
  const rows = series.map((one, i) => {
    const y = TOP + i * ROW
    const hit = ([from, to]: readonly [number, number]) => one.detections.some(([a, b]) => a <= to && b >= from && b >= one.from)
    const stretches = one.stretches.map((stretch) => rect(hit(stretch) ? 'caught' : 'missed', stretch, y + 1.5, 8))
    const invented = one.detections
      .filter(([a, b]) => !one.stretches.some(([from, to]) => a <= to && b >= from))
      .map((detection) => rect('invented', detection, y + 11, 4))
    const before = one.from > 0 ? rect('before', [0, one.from], y + 9, 2) : ''
    const line = `<path class="line" d="M${LEFT} ${y + 10}H${LEFT + SPAN}"/>`
    return `${label(one.name, y)}${line}${before}${stretches.join('')}${invented.join('')}${value(one.value === undefined ? '' : String(one.value), y)}`
  })
  const legend = [
    legendItem('caught', 'labelled and caught', 0),
    legendItem('missed', 'missed', 160),
    legendItem('invented', 'invented', 260),
  ]
  return svg(title, TOP + series.length * ROW + 8, [...legend, ...rows])
}

/** Bars of up to `most`; what is longer is cut. */
export function barChart(
  title: string,
  bars: readonly Bar[],
  most: number,
  legend: readonly (readonly [Look, string])[],
  mark?: string,
): string {
  const rows = bars.map((bar, i) => {
    const y = TOP + i * ROW
    let at = 0
    const parts = bar.parts.map((part) => {
      const from = Math.min(1, at / most)
      at += part.value
      return part.value > 0 ? rect(part.look, [from, Math.min(1, at / most)], y + 3, 11) : ''
    })
    const here = bar.mark === undefined ? '' : `<path class="mark" d="M${x(bar.mark / most)} ${y + 1}v15"/>`
    return `${label(bar.name, y)}<path class="line" d="M${LEFT} ${y + 16}H${LEFT + SPAN}"/>${parts.join('')}${here}${value(bar.text, y)}`
  })
  const items = legend.map(([look, text], i) => legendItem(look, text, i * 190))
  if (mark !== undefined)
    items.push(
      `<path class="mark" d="M${LEFT + legend.length * 190 + 4} 10v12"/><text x="${LEFT + legend.length * 190 + 12}" y="20">${text(mark)}</text>`,
    )
  return svg(title, TOP + bars.length * ROW + 8, [...items, ...rows])
}

function svg(title: string, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img"><title>${text(title)}</title><style>${STYLE}</style>
${parts.join('\n')}
</svg>
`
}

const x = (share: number): number => Number((LEFT + share * SPAN).toFixed(1))

/** Never narrower than can be seen. */
function rect(look: string, [from, to]: readonly [number, number], y: number, height: number): string {
  return `<rect class="${look}" x="${x(from)}" y="${y}" width="${Math.max(1.5, x(to) - x(from)).toFixed(1)}" height="${height}"/>`
}

const label = (name: string, y: number): string =>
  `<text class="name" x="${LEFT - 8}" y="${y + 13}">${text(name.replace(/\.csv(\.gz)?$/, ''))}</text>`
const value = (shown: string, y: number): string => (shown === '' ? '' : `<text x="${LEFT + SPAN + 8}" y="${y + 13}">${text(shown)}</text>`)

function legendItem(look: Look, shown: string, left: number): string {
  return `<rect class="${look}" x="${LEFT + left}" y="11" width="12" height="10"/><text x="${LEFT + left + 18}" y="20">${text(shown)}</text>`
}

function text(raw: string): string {
  return raw.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
