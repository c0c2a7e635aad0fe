/**
 * One story, told through every way in: whichever form a sender writes, the same faults become the same incidents, and the restart, the deploy
 * and the quiet between them become none. Latencies come out near the true ones, as near as the sender's buckets allow.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Anomaly, Incident } from '../../src/model.ts'
import { BOUNDS, openTelemetry, prometheus, type MetricSender, type Sent } from '../support/metric-senders.ts'
import { lineRecords, LINES_TOPIC, lokiJson, lokiProtobuf, otlpLogs, type LogSender } from '../support/log-senders.ts'
import { Pipeline, type TopicRecord } from '../support/pipeline.ts'
import { JAEGER_TOPIC, jaegerRecords, otlpSpans, zipkinSpans, type SpanSender } from '../support/span-senders.ts'
import { STEP_MS, STORY, tellStory, TRUE_P95_S, type Step } from '../support/door-story.ts'

const SOURCES = [
  { topic: JAEGER_TOPIC, signal: 'traces', encoding: 'auto', service: '' },
  { topic: LINES_TOPIC, signal: 'logs', encoding: 'auto', service: '' },
] as const

const steps = tellStory()
const DEPLOY: Sent = {
  path: '/api/v1/events',
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(JSON.stringify({ type: 'deploy', service: 'checkout', version: '1.1.0', title: 'checkout 1.1.0' })),
}

type Sender = (step: Step) => { requests?: Sent[]; records?: TopicRecord[] }

interface Told {
  readonly incidents: readonly Incident[]
  readonly anomalies: readonly Anomaly[]
  /** What the doors would not take, by door and reason. */
  readonly rejected: Readonly<Record<string, number>>
}

/** The story as these senders tell it, to the end. */
async function told(...senders: Sender[]): Promise<Told> {
  await using pipeline = await Pipeline.open(SOURCES)
  for (const step of steps) {
    const requests = step.deployed ? [DEPLOY] : []
    const records: TopicRecord[] = []
    for (const sender of senders) {
      const sent = sender(step)
      requests.push(...(sent.requests ?? []))
      records.push(...(sent.records ?? []))
    }
    await pipeline.take(step.timeMs + 500, requests, records)
  }
  const rejected = await pipeline.counted('tocsin_door_rows_rejected_total')
  return { incidents: pipeline.correlator.incidents, anomalies: pipeline.anomalies, rejected }
}

const metrics =
  (sender: MetricSender): Sender =>
  (step) => ({ requests: sender(step) })

/** What is the same for all doors of a kind, in the order of the story. */
function outline({ incidents }: Told) {
  return incidents.map(({ severity, services, causes, openedMs, resolvedMs }) => ({
    during:
      openedMs >= STORY.latency.fromMs && openedMs < STORY.latency.toMs
        ? 'latency'
        : openedMs >= STORY.errors.fromMs && openedMs < STORY.errors.toMs
          ? 'errors'
          : 'quiet',
    severity,
    services: [...services].sort(),
    cause: causes[0]?.service,
    isOver: resolvedMs !== undefined,
  }))
}

function openings({ incidents }: Told): number[] {
  return incidents.map(({ openedMs }) => openedMs)
}

function felt({ anomalies }: Told, service: string, symptom: string): Anomaly {
  const found = anomalies.filter((one) => one.service === service && one.symptom === symptom && one.impact)
  expect(found.map(({ subject }) => subject)).toHaveLength(1)
  return found[0]!
}

/** The story's own 95 % quantile of what checkout took in the step that ends then, in seconds. */
function trueP95(timeMs: number): number {
  const { pods } = steps.find((step) => step.timeMs === timeMs)!
  const durations = pods.filter(({ service }) => service === 'checkout').flatMap(({ served }) => served.map(({ durationMs }) => durationMs))
  return durations.sort((a, b) => a - b)[Math.ceil(0.95 * durations.length) - 1]! / 1000
}

/** A quantile is known to its bucket: one that a person has set, or one of two for each doubling. Figures of a chart are rounded to six places. */
function boundsOn(buckets: 'classic' | 'exponential', seconds: number): readonly [lower: number, upper: number] {
  if (buckets === 'exponential') return [seconds * Math.SQRT1_2, seconds * Math.SQRT2]
  const at = BOUNDS.findIndex((bound) => seconds <= bound)
  return [(BOUNDS[at - 1] ?? 0) * 0.99999, BOUNDS[at]!]
}

const INCIDENTS_OF_METRICS = [
  { during: 'latency', severity: 'error', services: ['checkout', 'frontend'], cause: 'checkout', isOver: true },
  { during: 'errors', severity: 'error', services: ['checkout', 'frontend'], cause: 'checkout', isOver: true },
]
/** Traces know who calls whom: what users feel is worse. */
const INCIDENTS_OF_TRACES = INCIDENTS_OF_METRICS.map((one) => ({ ...one, severity: 'critical' }))

describe('metrics', () => {
  let classic: Told
  beforeAll(async () => {
    classic = await told(metrics(prometheus(1, 'classic')))
  })

  it.each([
    ['remote write 1.0, classic', 'classic', prometheus(1, 'classic')],
    ['remote write 1.0, native', 'exponential', prometheus(1, 'native')],
    ['remote write 1.0, native of floats', 'exponential', prometheus(1, 'native-float')],
    ['remote write 2.0, classic', 'classic', prometheus(2, 'classic')],
    ['remote write 2.0, native', 'exponential', prometheus(2, 'native')],
    ['remote write 2.0, native of floats', 'exponential', prometheus(2, 'native-float')],
    ['OTLP, explicit bounds, cumulative', 'classic', openTelemetry('explicit', 'cumulative', 'protobuf')],
    ['OTLP in JSON, explicit bounds, cumulative', 'classic', openTelemetry('explicit', 'cumulative', 'json')],
    ['OTLP, explicit bounds, delta', 'classic', openTelemetry('explicit', 'delta', 'protobuf')],
    ['OTLP in JSON, explicit bounds, delta', 'classic', openTelemetry('explicit', 'delta', 'json')],
    ['OTLP, exponential, cumulative', 'exponential', openTelemetry('exponential', 'cumulative', 'protobuf')],
    ['OTLP in JSON, exponential, cumulative', 'exponential', openTelemetry('exponential', 'cumulative', 'json')],
    ['OTLP, exponential, delta', 'exponential', openTelemetry('exponential', 'delta', 'protobuf')],
    ['OTLP in JSON, exponential, delta', 'exponential', openTelemetry('exponential', 'delta', 'json')],
  ] as const)('%s', async (_door, buckets, sender) => {
    const here = await told(metrics(sender))
    expect(here.rejected).toEqual({})
    expect(outline(here)).toEqual(INCIDENTS_OF_METRICS)
    expect(openings(here)).toEqual(openings(classic))

    // Nothing but the three faults: each anomaly begins in one of them, whether anybody feels it or not.
    const faults = [STORY.latency, STORY.errors, STORY.drop]
    const beside = here.anomalies.filter(({ startMs }) => !faults.some(({ fromMs, toMs }) => startMs > fromMs && startMs <= toMs))
    expect(beside.map(({ service, subject, startMs }) => `${service} ${subject} ${startMs}`)).toEqual([])

    const slow = felt(here, 'checkout', 'latency')
    for (const [i, timeMs] of slow.points.timeMs.entries()) {
      const [lower, upper] = boundsOn(buckets, trueP95(timeMs))
      expect(slow.points.observed[i]).toBeGreaterThanOrEqual(lower)
      expect(slow.points.observed[i]).toBeLessThanOrEqual(upper)
    }
    const [lower, upper] = boundsOn(buckets, TRUE_P95_S.normal)
    expect(slow.expected).toBeGreaterThan(lower)
    expect(slow.expected).toBeLessThan(upper)

    const failing = felt(here, 'checkout', 'errors')
    expect(failing.observed).toBeGreaterThan(0.3)
    expect(failing.observed).toBeLessThan(0.5)
    expect(failing.expected).toBeLessThan(0.005)

    const fewer = here.anomalies.filter(({ symptom }) => symptom === 'traffic')
    expect(new Set(fewer.map(({ service }) => service))).toEqual(new Set(['checkout', 'frontend']))
    expect(fewer.every(({ direction, startMs }) => direction === 'down' && startMs <= STORY.drop.fromMs + 3 * STEP_MS)).toBe(true)
  })
})

describe('spans', () => {
  let otlp: Told
  beforeAll(async () => {
    otlp = await told(otlpSpans('protobuf'))
  })

  it.each<[string, SpanSender]>([
    ['OTLP', otlpSpans('protobuf')],
    ['OTLP in JSON', otlpSpans('json')],
    ['Zipkin in JSON', zipkinSpans],
    ['Jaeger, a record each', jaegerRecords],
  ])('%s', async (_door, sender) => {
    const here = await told(sender)
    expect(here.rejected).toEqual({})
    expect(outline(here)).toEqual(INCIDENTS_OF_TRACES)
    expect(openings(here)).toEqual(openings(otlp))
    // The forms differ in how exactly they tell a time: to the nanosecond or the microsecond.
    const facts = ({ anomalies }: Told) =>
      anomalies.map(({ service, subject, symptom, startMs, endMs, observed, expected }) => ({
        service,
        subject,
        symptom,
        startMs,
        endMs,
        observed: Number(observed.toPrecision(3)),
        expected: Number(expected.toPrecision(3)),
      }))
    expect(facts(here)).toEqual(facts(otlp))
  })

  it('tell of checkout what is true', async () => {
    const slow = otlp.anomalies.find(({ service, symptom }) => service === 'checkout' && symptom === 'latency')!
    expect(slow.expected / 1000 / TRUE_P95_S.normal).toBeCloseTo(1, 1)
    expect(slow.observed / 1000 / TRUE_P95_S.slow).toBeGreaterThan(0.8)
    expect(slow.observed / 1000 / TRUE_P95_S.slow).toBeLessThan(1.4)
  })
})

describe('logs', () => {
  let loki: Told
  beforeAll(async () => {
    loki = await told(metrics(prometheus(1, 'classic')), lokiJson)
  })

  it.each<[string, LogSender]>([
    ['Loki in JSON', lokiJson],
    ['Loki in protobuf', lokiProtobuf],
    ['OTLP', otlpLogs],
    ['lines of a topic', lineRecords],
  ])('%s', async (_door, sender) => {
    const here = await told(metrics(prometheus(1, 'classic')), sender)
    expect(here.rejected).toEqual({})
    expect(outline(here)).toEqual(INCIDENTS_OF_METRICS)
    const lines = here.anomalies.filter(({ signal }) => signal === 'logs')
    expect(lines.map(({ service, subject }) => `${service}: ${subject}`)).toEqual([
      // While checkout is slow its lines say so, too.
      'checkout: second number in log line: order <*> placed in <*>',
      'checkout: error lines',
      'checkout: log line: cannot charge card of order <*>: issuer refused the connection',
    ])
    // Doors bring the lines of a moment in different orders, and the numbers are those of the first few: how slow is not told alike to the digit.
    const facts = ({ anomalies, incidents }: Told) => [
      incidents.map(({ causes, ...rest }) => ({ ...rest, causes: causes.map(({ service }) => service) })),
      anomalies
        .filter(({ signal, subject }) => signal === 'logs' && !subject.includes('number in'))
        .map(({ id, startMs, endMs, observed, expected }) => ({ id, startMs, endMs, observed, expected })),
    ]
    expect(facts(here)).toEqual(facts(loki))
  })
})

it('what Prometheus, Loki and Jaeger tell together is what OpenTelemetry tells alone', async () => {
  const several = await told(metrics(prometheus(2, 'native')), lokiProtobuf, jaegerRecords)
  const one = await told(metrics(openTelemetry('exponential', 'cumulative', 'protobuf')), otlpLogs, otlpSpans('protobuf'))
  expect(outline(several)).toEqual(INCIDENTS_OF_TRACES)
  expect(outline(one)).toEqual(outline(several))
  expect(openings(one)).toEqual(openings(several))
  const whole = ({ incidents }: Told) =>
    incidents.map(({ title, impact, causes }) => ({ title, impact, causes: causes.map(({ service }) => service) }))
  expect(whole(one)).toEqual(whole(several))
})
