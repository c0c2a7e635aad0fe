/**
 * Senders that change what they send, and two that send the same: what is understood of a metric does not change with it, and no change is
 * an incident. The story is that of every-door.test.ts.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Incident } from '../../src/model.ts'
import { openTelemetry, prometheus, type MetricSender } from '../support/metric-senders.ts'
import { Pipeline } from '../support/pipeline.ts'
import { NOW_MS, openDoors, postJson, samplesOf } from '../ingest/doors-fixture.ts'
import { post1 } from '../ingest/remote-write-oracle.ts'
import { START_MS, STORY, tellStory, type Step } from '../support/door-story.ts'

const steps = tellStory()
/** In the quiet between restart and deploy. */
const SWITCH_MS = START_MS + 480_000

async function told(...senders: MetricSender[]) {
  await using pipeline = await Pipeline.open()
  for (const step of steps) {
    await pipeline.take(
      step.timeMs + 500,
      senders.flatMap((sender) => sender(step)),
    )
  }
  const faults = [STORY.latency, STORY.errors, STORY.drop]
  return {
    incidents: pipeline.correlator.incidents,
    /** What began outside of the faults. */
    beside: pipeline.anomalies
      .filter(({ startMs }) => !faults.some(({ fromMs, toMs }) => startMs > fromMs && startMs <= toMs))
      .map(({ service, subject, startMs }) => `${service} ${subject} at ${(startMs - START_MS) / 60_000} min`),
    skipped: await pipeline.counted('tocsin_door_skipped_total'),
    detect: pipeline.counts(),
  }
}

const outline = (incidents: readonly Incident[]) =>
  incidents.map(({ severity, services, openedMs }) => ({ severity, services: [...services].sort(), openedMs }))

let usual: readonly Incident[]
beforeAll(async () => {
  usual = (await told(prometheus(1, 'classic'))).incidents
})

/** First one, from a moment on the other. */
function switching(before: MetricSender, after: MetricSender, atMs = SWITCH_MS): MetricSender {
  return (step: Step) => (step.timeMs < atMs ? before(step) : after(step))
}

describe('a sender that changes', () => {
  it.each<[what: string, sender: MetricSender]>([
    [
      'from delta to cumulative',
      switching(openTelemetry('explicit', 'delta', 'protobuf'), openTelemetry('explicit', 'cumulative', 'protobuf')),
    ],
    [
      'from cumulative to delta',
      switching(openTelemetry('explicit', 'cumulative', 'protobuf'), openTelemetry('explicit', 'delta', 'protobuf')),
    ],
    [
      'from delta to cumulative, exponential',
      switching(openTelemetry('exponential', 'delta', 'protobuf'), openTelemetry('exponential', 'cumulative', 'protobuf')),
    ],
    [
      'from delta to cumulative, in JSON',
      switching(openTelemetry('exponential', 'delta', 'json'), openTelemetry('exponential', 'cumulative', 'json')),
    ],
    ['from classic to native histograms', switching(prometheus(2, 'classic'), prometheus(2, 'native'))],
    ['from remote write 1.0 to 2.0', switching(prometheus(1, 'native'), prometheus(2, 'native'))],
    ['from Prometheus to OpenTelemetry deltas', switching(prometheus(1, 'classic'), openTelemetry('explicit', 'delta', 'protobuf'))],
    ['to fewer buckets for each doubling', prometheus(2, 'native', { schemaAt: (timeMs) => (timeMs < SWITCH_MS ? 3 : 2) })],
    [
      'to one bucket for each doubling, and back',
      prometheus(2, 'native', { schemaAt: (timeMs) => (timeMs < SWITCH_MS || timeMs > SWITCH_MS + 60_000 ? 3 : 0) }),
    ],
    [
      'to a zero bucket that takes in the fastest',
      prometheus(2, 'native', { zeroThresholdAt: (timeMs) => (timeMs < SWITCH_MS ? 2 ** -128 : 2 ** -6) }),
    ],
  ])('%s', async (_what, sender) => {
    const here = await told(sender)
    expect(here.beside).toEqual([])
    expect(outline(here.incidents)).toEqual(outline(usual))
  })
})

describe('two that send the same', () => {
  it.each<[what: string, senders: MetricSender[]]>([
    ['Prometheus twice', [prometheus(1, 'classic'), prometheus(1, 'classic')]],
    ['Prometheus and OpenTelemetry', [prometheus(1, 'classic'), openTelemetry('explicit', 'cumulative', 'protobuf')]],
    ['OpenTelemetry and Prometheus', [openTelemetry('explicit', 'cumulative', 'protobuf'), prometheus(2, 'classic')]],
    ['Prometheus and OpenTelemetry, which sends deltas', [prometheus(1, 'classic'), openTelemetry('explicit', 'delta', 'protobuf')]],
    ['OpenTelemetry, which sends deltas, and Prometheus', [openTelemetry('explicit', 'delta', 'protobuf'), prometheus(1, 'classic')]],
    [
      'OpenTelemetry and what Prometheus scrapes of its Collector',
      [openTelemetry('explicit', 'cumulative', 'protobuf'), prometheus(1, 'classic', { collected: true })],
    ],
    ['classic and native histograms of one scrape', [prometheus(2, 'classic'), prometheus(2, 'native')]],
    ['native and classic histograms of one scrape', [prometheus(1, 'native'), prometheus(1, 'classic')]],
  ])('%s', async (_what, senders) => {
    const here = await told(...senders)
    expect(here.beside).toEqual([])
    expect(outline(here.incidents)).toEqual(outline(usual))
  })
})

it('a summary is the same series from OpenTelemetry and from Prometheus', async () => {
  const { door, transport } = openDoors()
  const labels = [
    ['instance', 'pod-1'],
    ['job', 'shop'],
  ] as const
  const told = [
    ['rpc_seconds_count', 40],
    ['rpc_seconds_sum', 8],
    ['rpc_seconds', 0.1, '0.5'],
    ['rpc_seconds', 0.9, '0.99'],
    ['rpc_seconds', 1, '1'],
  ] as const
  const timeseries = told.map(([name, value, quantile]) => ({
    labels: [['__name__', name], ...labels, ...(quantile === undefined ? [] : [['quantile', quantile]])].map(([n, v]) => ({
      name: n,
      value: v,
    })),
    samples: [{ value, timestamp: NOW_MS }],
  }))
  await door.accept({ ...post1({ timeseries }), receivedMs: NOW_MS })
  const quantileValues = told.slice(2).map(([, value, quantile]) => ({ quantile: Number(quantile), value }))
  const dataPoints = [{ timeUnixNano: `${NOW_MS}000000`, count: '40', sum: 8, quantileValues }]
  const attributes = [
    ['service.name', 'shop'],
    ['service.instance.id', 'pod-1'],
  ].map(([key, stringValue]) => ({ key, value: { stringValue } }))
  const metrics = [{ name: 'rpc', unit: 's', summary: { dataPoints } }]
  await door.accept(postJson('/v1/metrics', { resourceMetrics: [{ resource: { attributes }, scopeMetrics: [{ metrics }] }] }))
  const [prometheusSays, openTelemetrySays] = transport.of('metrics').map(samplesOf)
  expect(prometheusSays).toHaveLength(5)
  expect(openTelemetrySays).toEqual(prometheusSays)
})
