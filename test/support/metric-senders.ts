/**
 * The metrics of the story as each sender would write them: Prometheus with classic or native histograms by remote write 1.0 or 2.0, and
 * OpenTelemetry's SDK with any histogram and temporality, in protobuf and JSON. A sender keeps what its pods have counted.
 */
import type { DoorRequest } from '../../src/ingest/door.ts'
import { encode } from '../ingest/protobuf-oracle.ts'
import { post1, post2, requestOf, type SeriesObject } from '../ingest/remote-write-oracle.ts'
import { STEP_MS, type Pod, type Served, type Step } from './door-story.ts'

export type Sent = Omit<DoorRequest, 'receivedMs'>
export type MetricSender = (step: Step) => Sent[]

export const FAMILY = 'http_server_request_duration_seconds'
/** The advice of OpenTelemetry for this metric, in seconds. https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ */
export const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
const MAX_BUCKETS = 160

/* ---- What a process counts. */

/** Counts by index: bucket i covers (2^(i / 2^scale), 2^((i + 1) / 2^scale)]. Halves its resolution when there are too many buckets. */
export class Exponential {
  counts = new Map<number, number>()
  scale: number

  constructor(scale: number) {
    this.scale = scale
  }

  observe(value: number): void {
    const index = Math.ceil(Math.log2(value) * 2 ** this.scale) - 1
    this.counts.set(index, (this.counts.get(index) ?? 0) + 1)
    while (this.#width() > MAX_BUCKETS) this.#halve()
  }

  /** Without gaps. */
  dense(): { offset: number; bucketCounts: number[] } {
    const indexes = [...this.counts.keys()]
    if (indexes.length === 0) return { offset: 0, bucketCounts: [] }
    const offset = Math.min(...indexes)
    const bucketCounts = Array.from({ length: Math.max(...indexes) - offset + 1 }, (_, i) => this.counts.get(offset + i) ?? 0)
    return { offset, bucketCounts }
  }

  #width(): number {
    const indexes = [...this.counts.keys()]
    return Math.max(...indexes) - Math.min(...indexes) + 1
  }

  #halve(): void {
    const halved = new Map<number, number>()
    for (const [index, count] of this.counts) halved.set(index >> 1, (halved.get(index >> 1) ?? 0) + count)
    this.counts = halved
    this.scale--
  }
}

class Counted {
  count = 0
  sum = 0
  readonly classic = BOUNDS.map(() => 0)
  readonly exponential: Exponential
  readonly method: string
  readonly route: string
  readonly status: number

  constructor({ method, route, status }: Served, scale: number) {
    this.method = method
    this.route = route
    this.status = status
    this.exponential = new Exponential(scale)
  }

  observe(seconds: number): void {
    this.count++
    this.sum += seconds
    const at = BOUNDS.findIndex((bound) => seconds <= bound)
    if (at >= 0) this.classic[at]!++
    this.exponential.observe(seconds)
  }
}

/** A process: it begins with nothing, and counts until it ends. */
class Process {
  readonly bornMs: number
  cpuSeconds = 0
  readonly requests = new Map<string, Counted>()
  readonly #scale: number

  constructor(bornMs: number, scale: number) {
    this.bornMs = bornMs
    this.#scale = scale
  }

  observe({ served, cpuSeconds }: Pod): void {
    this.cpuSeconds += cpuSeconds
    for (const one of served) {
      const key = `${one.method} ${one.route} ${one.status}`
      let counted = this.requests.get(key)
      if (counted === undefined) this.requests.set(key, (counted = new Counted(one, this.#scale)))
      counted.observe(one.durationMs / 1000)
    }
  }
}

class Processes {
  readonly #scale: number
  readonly #isDelta: boolean
  readonly #byPod = new Map<string, Process>()

  constructor(scale: number, isDelta = false) {
    this.#scale = scale
    this.#isDelta = isDelta
  }

  /** What the process of a pod has counted, with this step. */
  of(pod: Pod): Process {
    let process = this.#byPod.get(pod.name)
    if (process === undefined || process.bornMs !== pod.bornMs || this.#isDelta) {
      process = new Process(pod.bornMs, this.#scale)
      this.#byPod.set(pod.name, process)
    }
    process.observe(pod)
    return process
  }
}

/* ---- Prometheus. */

/** https://prometheus.io/docs/specs/native_histograms/#data-model: factor 1.1, as its users set it. */
const SCHEMA = 3
const STALE_BITS = Buffer.from('020000000000f07f', 'hex').readDoubleLE()

interface Told extends SeriesObject {
  readonly samples?: readonly { value: number; timestamp: number; startTimestamp?: number }[]
}

export interface PrometheusOptions {
  /** Histograms are told with this resolution, which changes while they are counted. */
  readonly schemaAt?: (timeMs: number) => number
  /** Observations up to here are told as zero. */
  readonly zeroThresholdAt?: (timeMs: number) => number
  /** Labels as they come from a Collector that is scraped for others. */
  readonly collected?: boolean
}

export function prometheus(version: 1 | 2, form: 'classic' | 'native' | 'native-float', options: PrometheusOptions = {}): MetricSender {
  const processes = new Processes(SCHEMA)
  const known = new Map<string, Map<string, Told>>()
  return ({ timeMs, pods, gone }) => {
    const all: Told[] = []
    for (const pod of pods) {
      const series = seriesOfPod(processes.of(pod), pod, timeMs, version, form, options)
      known.set(pod.name, new Map(series.map((one) => [JSON.stringify(one.labels), one])))
      all.push(...series)
    }
    for (const { name, service } of gone) {
      // The target has gone, or cannot be scraped: each of its series is marked stale.
      for (const one of known.get(name)?.values() ?? [])
        all.push({
          labels: one.labels,
          ...(one.samples !== undefined && { samples: [{ value: STALE_BITS, timestamp: timeMs }] }),
          ...(one.histograms !== undefined && { histograms: [{ sum: STALE_BITS, timestamp: timeMs, countInt: 0 }] }),
        })
      known.delete(name)
      all.push({ labels: labelsOf('up', service, name), samples: [{ value: 0, timestamp: timeMs }] })
    }
    const sent = options.collected === true ? all.filter(({ labels }) => !isOfScrape(labels)).map(collected) : all
    return [version === 1 ? post1(version1(sent)) : post2(requestOf(sent))]
  }
}

function isOfScrape(labels: SeriesObject['labels']): boolean {
  return labels.some(([name, value]) => name === '__name__' && (value === 'up' || value === 'process_start_time_seconds'))
}

/** `honor_labels` is off: what was scraped is the Collector, and what it says of others gets other names. */
function collected(one: Told): Told {
  const labels = one.labels.map(([name, value]): [string, string] => [
    name === 'job' || name === 'instance' ? `exported_${name}` : name,
    value,
  ])
  labels.push(['instance', 'collector:8889'], ['job', 'otel-collector'], ['otel_scope_name', 'http'])
  return { ...one, labels: labels.sort(([a], [b]) => (a < b ? -1 : 1)) }
}

function version1(series: readonly Told[]): object {
  return {
    timeseries: series.map(({ labels, samples = [], histograms = [] }) => ({
      labels: labels.map(([name, value]) => ({ name, value })),
      samples,
      histograms,
    })),
  }
}

function labelsOf(metric: string, service: string, pod: string, more: Readonly<Record<string, string>> = {}): [string, string][] {
  const labels = { __name__: metric, instance: pod, job: service, ...more }
  return Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))
}

function seriesOfPod(
  process: Process,
  { service, name, memoryBytes, bornMs }: Pod,
  timestamp: number,
  version: 1 | 2,
  form: 'classic' | 'native' | 'native-float',
  { schemaAt, zeroThresholdAt }: PrometheusOptions,
): Told[] {
  const start = version === 2 ? { startTimestamp: bornMs } : {}
  const meta = (type: number) => (version === 2 ? { metadata: { type } } : {})
  const one = (metric: string, value: number, type: number, more: Readonly<Record<string, string>> = {}): Told => ({
    labels: labelsOf(metric, service, name, more),
    samples: [{ value, timestamp, ...(type === 2 ? {} : start) }],
    ...meta(type),
  })
  const series = [
    one('up', 1, 0),
    one('process_cpu_seconds_total', process.cpuSeconds, 1),
    one('process_resident_memory_bytes', memoryBytes, 2),
    one('process_start_time_seconds', bornMs / 1000, 2),
  ]
  for (const counted of process.requests.values()) {
    const { method, route, status, count, sum, exponential } = counted
    const own = { http_request_method: method, http_route: route, http_response_status_code: String(status) }
    if (form === 'classic') {
      let upTo = 0
      for (const [i, bound] of BOUNDS.entries())
        series.push(one(`${FAMILY}_bucket`, (upTo += counted.classic[i]!), 3, { ...own, le: String(bound) }))
      series.push(one(`${FAMILY}_bucket`, count, 3, { ...own, le: '+Inf' }))
      series.push(one(`${FAMILY}_sum`, sum, 3, own), one(`${FAMILY}_count`, count, 3, own))
    } else {
      const told = nativeOf(exponential, count, form === 'native-float', schemaAt?.(timestamp), zeroThresholdAt?.(timestamp))
      const histogram = { ...told, sum, timestamp, ...start }
      series.push({ labels: labelsOf(FAMILY, service, name, own), histograms: [histogram], ...meta(3) })
    }
  }
  return series
}

function nativeOf({ counts, scale }: Exponential, count: number, isFloat: boolean, schema = scale, zeroThreshold = 2 ** -128): object {
  let zeroCount = 0
  const buckets = new Map<number, number>()
  for (const [index, n] of counts) {
    // Prometheus counts a bucket by its upper bound.
    if (2 ** ((index + 1) / 2 ** scale) <= zeroThreshold) zeroCount += n
    else buckets.set((index >> (scale - schema)) + 1, (buckets.get((index >> (scale - schema)) + 1) ?? 0) + n)
  }
  const spans: { offset: number; length: number }[] = []
  const values: number[] = []
  let next = 0
  for (const [index, value] of [...buckets].sort((a, b) => a[0] - b[0])) {
    if (spans.length > 0 && index === next) spans.at(-1)!.length++
    else spans.push({ offset: spans.length === 0 ? index : index - next, length: 1 })
    values.push(value)
    next = index + 1
  }
  const common = { schema, zeroThreshold, positiveSpans: spans }
  if (isFloat) return { ...common, countFloat: count, zeroCountFloat: zeroCount, positiveCounts: values }
  return { ...common, countInt: count, zeroCountInt: zeroCount, positiveDeltas: values.map((value, i) => value - (values[i - 1] ?? 0)) }
}

/* ---- OpenTelemetry. */

const DELTA = 1
const CUMULATIVE = 2

export function openTelemetry(
  histogram: 'explicit' | 'exponential',
  temporality: 'cumulative' | 'delta',
  form: 'protobuf' | 'json',
): MetricSender {
  // The SDK begins with scale 20 and gives way: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#base2-exponential-bucket-histogram-aggregation
  const isDelta = temporality === 'delta'
  const processes = new Processes(20, isDelta)
  return ({ timeMs, pods }) => {
    const resourceMetrics = pods.map((pod) => {
      const process = processes.of(pod)
      const times = { startTimeUnixNano: nanos(isDelta ? timeMs - STEP_MS : pod.bornMs), timeUnixNano: nanos(timeMs) }
      const aggregationTemporality = isDelta ? DELTA : CUMULATIVE
      const dataPoints = [...process.requests.values()].map((counted) => pointOf(counted, histogram, times))
      const metrics = [
        {
          name: 'process.cpu',
          unit: 's',
          sum: { aggregationTemporality, isMonotonic: true, dataPoints: [{ ...times, asDouble: process.cpuSeconds }] },
        },
        {
          name: 'process.resident.memory',
          unit: 'By',
          gauge: { dataPoints: [{ timeUnixNano: times.timeUnixNano, asDouble: pod.memoryBytes }] },
        },
        {
          name: 'http.server.request.duration',
          unit: 's',
          [histogram === 'explicit' ? 'histogram' : 'exponentialHistogram']: { aggregationTemporality, dataPoints },
        },
      ]
      const { service, name, version } = pod
      const attributes = attributesOf({ 'service.name': service, 'service.instance.id': name, 'service.version': version })
      return { resource: { attributes }, scopeMetrics: [{ scope: { name: 'http' }, metrics }] }
    })
    const isJson = form === 'json'
    const body = isJson ? Buffer.from(JSON.stringify({ resourceMetrics })) : encode('MetricsData', { resourceMetrics })
    return [{ path: '/v1/metrics', headers: { 'content-type': isJson ? 'application/json' : 'application/x-protobuf' }, body }]
  }
}

function pointOf(
  { method, route, status, count, sum, classic, exponential }: Counted,
  histogram: 'explicit' | 'exponential',
  times: object,
): object {
  const attributes = [
    ...attributesOf({ 'http.request.method': method, 'http.route': route }),
    { key: 'http.response.status_code', value: { intValue: String(status) } },
  ]
  const point = { ...times, attributes, count: String(count), sum }
  if (histogram === 'exponential')
    return { ...point, scale: exponential.scale, zeroCount: '0', zeroThreshold: 0, positive: stringed(exponential.dense()) }
  const beyond = count - classic.reduce((total, one) => total + one, 0)
  return { ...point, bucketCounts: [...classic, beyond].map(String), explicitBounds: BOUNDS }
}

function stringed({ offset, bucketCounts }: { offset: number; bucketCounts: number[] }): object {
  return { offset, bucketCounts: bucketCounts.map(String) }
}

function attributesOf(of: Readonly<Record<string, string>>): { key: string; value: { stringValue: string } }[] {
  return Object.entries(of).map(([key, stringValue]) => ({ key, value: { stringValue } }))
}

export function nanos(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n)
}
