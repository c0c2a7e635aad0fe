/** How a training went, as a picture: loss on the rows that are trained on and on those that are not, by epoch, for both fits. */
import type { TrainingStep } from './train.ts'

const WIDTH = 640
const HEIGHT = 260
const LEFT = 56
const BOTTOM = 40
const TOP = 32
const GAP = 24
/** Readable on a light and on a dark ground. */
const TRAINED = '#2f7fd1'
const HELD_OUT = '#d9772b'
const INK = '#808890'

/** An SVG document. The same history gives the same text. */
export function lossCurve(history: readonly TrainingStep[]): string {
  const losses = history.flatMap(({ loss, validationLoss }) => [loss, validationLoss])
  const low = Math.min(...losses) * 0.95
  const high = Math.max(...losses) * 1.05
  const plotWidth = (WIDTH - LEFT - GAP * 2) / 2
  const plotHeight = HEIGHT - TOP - BOTTOM
  const fits = ([1, 2] as const).map((fit, index) => {
    const steps = history.filter((step) => step.fit === fit)
    const left = LEFT + index * (plotWidth + GAP)
    const x = (at: number) => left + (plotWidth * at) / Math.max(1, steps.length - 1)
    // Losses fall by factors: on a logarithmic scale the end can be seen as well as the beginning.
    const y = (loss: number) => TOP + plotHeight * (Math.log(high / loss) / Math.log(high / low))
    const line = (of: (step: TrainingStep) => number) => steps.map((step, at) => `${x(at).toFixed(1)},${y(of(step)).toFixed(1)}`).join(' ')
    const last = steps.at(-1)
    const best = last === undefined ? '' : `, best in epoch ${last.bestEpoch}`
    return `<g fill="none" stroke-width="2">
<path d="M${left} ${TOP}V${TOP + plotHeight}H${left + plotWidth}" stroke="${INK}" stroke-width="1"/>
<polyline points="${line(({ loss }) => loss)}" stroke="${TRAINED}"/>
<polyline points="${line(({ validationLoss }) => validationLoss)}" stroke="${HELD_OUT}"/>
</g>
<text x="${left + plotWidth / 2}" y="${HEIGHT - 14}" text-anchor="middle">fit ${fit}: ${steps.length} epochs${best}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="${INK}" role="img" aria-label="Loss by epoch">
<text x="${LEFT}" y="18"><tspan fill="${TRAINED}">trained on</tspan>  <tspan fill="${HELD_OUT}" dx="12">held out</tspan></text>
<text x="${LEFT - 6}" y="${TOP + 10}" text-anchor="end">${high.toPrecision(3)}</text>
<text x="${LEFT - 6}" y="${TOP + plotHeight}" text-anchor="end">${low.toPrecision(3)}</text>
${fits.join('\n')}
</svg>
`
}
