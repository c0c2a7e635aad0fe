/**
 * What detection costs: CPU per sample at 1,000, 100,000 and a million series and the bytes each of them takes, log lines and spans per CPU-second,
 * beside other detectors doing the same kind of work on this machine now. Gauges only: each of them has the whole state of a
 * watched series, which of a histogram's buckets only the group has.
 */
import { suite as logs, DETECT as LINES, linesOf } from './logs.ts'
import { PEERS, type Peer } from './peers/peers.ts'
import { measureSeries } from './series.ts'
import { suite as spans, DETECT as SPANS } from './spans.ts'
import { rounded, summary, type Contender, type Measured, type Results, type Scale, type Suite } from './suite.ts'

const SIZES: Readonly<Record<string, number>> = { '1k series': 1000, '100k series': 100_000, '1M series': 1_000_000 }
const LOGS = 'log lines'
const TRACES = 'spans'
/** Names, labels and keys of a million series are objects. */
const LARGE_HEAP = ['--max-old-space-size=16000']
/** So many steps until nothing of a series’ state is still to be filled. */
const WARM_SCRAPES = 80

const sizeOf = (name: string, scale: Scale) => SIZES[name]! / (scale.quick ? 1000 : 1)

let found: { readonly peers: readonly Peer[]; readonly left: readonly string[] } | undefined
/** Sets them up, once per run. */
function peers(scale: Scale) {
  if (scale.quick) return { peers: [], left: [] }
  if (found === undefined) {
    const [there, left]: [Peer[], string[]] = [[], []]
    for (const peer of PEERS) {
      const why = peer.prepare()
      if (why === undefined) there.push(peer)
      else left.push(`${peer.name}: ${why}`)
    }
    found = { peers: there, left }
  }
  return found
}

function contenders(scale: Scale): Contender[] {
  return [
    ...Object.keys(SIZES).map((name) => ({ name, unit: 'samples', flags: LARGE_HEAP })),
    { name: LOGS, unit: 'lines' },
    { name: TRACES, unit: 'spans' },
    ...peers(scale).peers.map(({ name, unit }) => ({ name, unit })),
  ]
}

async function measure(name: string, scale: Scale): Promise<Measured> {
  if (name === LOGS) return logs.measure(LINES, scale)
  if (name === TRACES) return spans.measure(SPANS, scale)
  if (Object.hasOwn(SIZES, name))
    return measureSeries(sizeOf(name, scale), scale, { gauges: true, warmScrapes: scale.quick ? 3 : WARM_SCRAPES })
  return PEERS.find((peer) => peer.name === name)!.measure(scale, () => linesOf(20_000).join('\n'))
}

function json(results: Results, scale: Scale): Record<string, unknown> {
  const series = Object.keys(SIZES).map((name) => ({
    series: sizeOf(name, scale),
    nsPerSample: rounded(1e9 / results.perCpuS(name).median),
    columnBytesPerSeries: Math.round(results.also(name, 'columnBytesPerSeries').median),
    heapBytesPerSeries: Math.round(results.also(name, 'heapBytesPerSeries').median),
    snapshotBytesPerSeries: Math.round(results.also(name, 'snapshotBytesPerSeries').median),
  }))
  const beside = peers(scale).peers.map(({ name, unit }) => {
    const ours = unit === 'lines' ? LOGS : '100k series'
    return {
      name,
      perCpuS: Math.round(results.perCpuS(name).median),
      unit,
      oursTimes: rounded(results.ratio(ours, name).median),
      ...summary(results.ratio(ours, name)),
    }
  })
  return {
    series,
    millionToThousand: rounded(results.ratio('1k series', '1M series').median),
    logLinesPerCpuS: Math.round(results.perCpuS(LOGS).median),
    spansPerCpuS: Math.round(results.perCpuS(TRACES).median),
    peers: beside,
    peersLeftOut: peers(scale).left,
  }
}

function notes(results: Results, scale: Scale): string[] {
  const bytes = Object.keys(SIZES).map((name) => {
    const of = (figure: string) => Math.round(results.also(name, figure).median)
    return `${sizeOf(name, scale)} series: ${rounded(1e9 / results.perCpuS(name).median)} ns per sample; per series ${of('columnBytesPerSeries')} bytes in columns and ${of('heapBytesPerSeries')} in objects (names, labels, keys), ${of('snapshotBytesPerSeries')} in a checkpoint`
  })
  const beside = peers(scale).peers.map(({ name, unit }) => {
    const ours = unit === 'lines' ? LOGS : '100k series'
    return `${rounded(results.ratio(ours, name).median)} times what ${name} does per CPU-second (${ours})`
  })
  return [
    ...bytes,
    `a sample of a million series costs ${rounded(results.ratio('1k series', '1M series').median)} times one of a thousand`,
    ...beside,
    ...peers(scale).left.map((why) => `left out: ${why}`),
  ]
}

export const suite: Suite = { contenders, measure, json, notes }
