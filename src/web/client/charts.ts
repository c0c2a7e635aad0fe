/**
 * Draws the charts that are on the page and unfolded: observed as a line, expected dashed, the normal range as a band, the anomaly
 * shaded, changes as vertical lines. One time axis and one cursor for all, so that the eye sees what came first.
 */
import type uPlot from 'uplot'
import { sameDay } from './times.ts'
import { unitFormat } from './units.ts'

type UPlot = typeof uPlot
type Columns = readonly (readonly (number | null)[])[]

const heightPx = 170
const charts = new WeakMap<HTMLElement, { chart: uPlot; points: string }>()
const watched = new WeakSet<HTMLDetailsElement>()
const drawn = new Set<HTMLElement>()
let library: Promise<UPlot> | undefined

export async function drawCharts(root: ParentNode): Promise<void> {
  for (const element of drawn) if (!element.isConnected) forget(element)
  const elements = Array.from(root.querySelectorAll<HTMLElement>('details[open] > .chart'))
  for (const details of root.querySelectorAll<HTMLDetailsElement>('details.signal')) watch(details)
  if (elements.length === 0) return
  library ??= load()
  const UPlot = await library
  for (const element of elements) draw(UPlot, element)
}

async function load(): Promise<UPlot> {
  const module = (await import(`${document.body.dataset['assets'] ?? ''}/uPlot.esm.js`)) as { default: UPlot }
  const redrawAll = (): void => {
    for (const element of drawn) {
      forget(element)
      if (element.isConnected) draw(module.default, element)
    }
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redrawAll)
  return module.default
}

function watch(details: HTMLDetailsElement): void {
  if (watched.has(details)) return
  watched.add(details)
  details.addEventListener('toggle', () => {
    if (details.open) void drawCharts(details.parentElement ?? details)
  })
}

function draw(UPlot: UPlot, element: HTMLElement): void {
  const points = element.dataset['points'] ?? ''
  const known = charts.get(element)
  if (known?.points === points) return
  if (known) forget(element)
  const columns = JSON.parse(points) as Columns
  if ((columns[0]?.length ?? 0) === 0) return
  const width = Math.max(200, element.clientWidth)
  const chart = new UPlot(optionsOf(element, columns, width, UPlot), columns as unknown as uPlot.AlignedData, element)
  chart.root.setAttribute('aria-hidden', 'true')
  charts.set(element, { chart, points })
  drawn.add(element)
  resizes.observe(element)
}

function forget(element: HTMLElement): void {
  charts.get(element)?.chart.destroy()
  charts.delete(element)
  drawn.delete(element)
  resizes.unobserve(element)
}

const resizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const chart = charts.get(target as HTMLElement)?.chart
    if (chart && contentRect.width >= 1 && Math.round(contentRect.width) !== chart.width)
      chart.setSize({ width: Math.round(contentRect.width), height: heightPx })
  }
})

function optionsOf(element: HTMLElement, columns: Columns, width: number, UPlot: UPlot): uPlot.Options {
  const section = element.closest<HTMLElement>('.signals')
  const style = getComputedStyle(element)
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  const times = columns[0] as readonly number[]
  const format = unitFormat(element.dataset['unit'] ?? '', columns[1] ?? [])
  const fromMs = Number(section?.dataset['from'] || times[0])
  const toMs = Number(section?.dataset['to'] || times.at(-1))
  const changes = JSON.parse(section?.dataset['changes'] ?? '[]') as readonly number[]
  const startMs = Number(element.dataset['start'])
  const endMs = element.dataset['end'] === '' ? Infinity : Number(element.dataset['end'])
  const axis = {
    stroke: colour('muted'),
    font: '11px system-ui, sans-serif',
    ticks: { show: false },
    grid: { stroke: colour('line'), width: 1 },
  }
  const few = times.length < 3
  return {
    width,
    height: heightPx,
    ms: 1,
    legend: { show: false },
    padding: [8, 18, 0, 0],
    scales: { x: { time: true, range: [fromMs, Math.max(toMs, fromMs + 1)] }, y: { range: (_, min, max) => yRange(min, max) } },
    axes: [
      { ...axis, size: 26, space: 64, values: (_, splits) => splits.map((ms) => axisTime(ms, fromMs, toMs)) },
      { ...axis, size: 56, space: 34, values: (_, splits) => splits.map((value) => format(value)) },
    ],
    series: [
      {},
      { label: 'observed', stroke: colour('observed'), width: 2, points: { show: few } },
      { label: 'expected', stroke: colour('expected'), width: 1.5, dash: [5, 4], points: { show: few } },
      { label: 'low', stroke: 'transparent', width: 0, points: { show: false } },
      { label: 'high', stroke: 'transparent', width: 0, points: { show: false } },
    ],
    bands: [{ series: [4, 3], fill: colour('band') }],
    cursor: { drag: { x: false, y: false, setScale: false }, y: false, sync: { key: 'signals' }, points: { size: 7 } },
    hooks: {
      drawClear: [
        (chart) => {
          const left = Math.max(chart.bbox.left, chart.valToPos(startMs, 'x', true))
          const right = Math.min(chart.bbox.left + chart.bbox.width, endMs === Infinity ? Infinity : chart.valToPos(endMs, 'x', true))
          chart.ctx.fillStyle = colour('span')
          if (right > left) chart.ctx.fillRect(left, chart.bbox.top, Math.max(right - left, 2 * UPlot.pxRatio), chart.bbox.height)
        },
      ],
      draw: [
        (chart) => {
          const { ctx, bbox } = chart
          ctx.save()
          ctx.strokeStyle = colour('change')
          ctx.lineWidth = 1.5 * UPlot.pxRatio
          for (const atMs of changes) {
            const x = Math.round(chart.valToPos(atMs, 'x', true))
            if (x < bbox.left || x > bbox.left + bbox.width) continue
            ctx.beginPath()
            ctx.moveTo(x, bbox.top)
            ctx.lineTo(x, bbox.top + bbox.height)
            ctx.stroke()
          }
          ctx.restore()
        },
      ],
      setCursor: [(chart) => readOut(element, columns, chart.cursor.idx, format)],
    },
  }
}

/** Where the cursor is, in words; CSS keeps the line's place when it is empty. */
function readOut(element: HTMLElement, columns: Columns, index: number | null | undefined, format: (value: number) => string): void {
  const line = element.parentElement?.querySelector('.readout')
  if (!line) return
  const at = (column: number): number | null => (index === null || index === undefined ? null : (columns[column]?.[index] ?? null))
  const [timeMs, observed, expected, low, high] = [at(0), at(1), at(2), at(3), at(4)]
  if (timeMs === null) return void (line.textContent = '')
  const say = (value: number | null): string => (value === null ? '–' : format(value))
  line.textContent = `${seconds.format(timeMs)} · ${say(observed)} observed · ${say(expected)} expected (${say(low)} to ${say(high)})`
}

const seconds = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const minutes = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
const days = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })

function axisTime(ms: number, fromMs: number, toMs: number): string {
  if (toMs - fromMs < 4 * 60_000) return seconds.format(ms)
  const isMidnight = new Date(ms).getHours() === 0 && new Date(ms).getMinutes() === 0
  return isMidnight && !sameDay(fromMs, toMs) ? days.format(ms) : minutes.format(ms)
}

/** From zero where that costs less than half the height; never flat. */
function yRange(min: number, max: number): [number, number] {
  if (!Number.isFinite(min) || !Number.isFinite(max)) return [0, 1]
  const low = min > 0 && min < 0.6 * max ? 0 : min
  const room = 0.08 * (max - low || Math.abs(max) || 1)
  return [low === 0 ? 0 : low - room, max + room]
}
