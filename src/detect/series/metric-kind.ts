/**
 * What a metric is, from its name and labels, and from its type where its sender told it: its shape, which way is bad, what symptom it would be, the slot it has on the
 * residual board, and how small a change can be before it means nothing. Only general conventions: the suffixes and units of
 * OpenMetrics (https://prometheus.io/docs/practices/naming/, https://github.com/prometheus/OpenMetrics) and the words that
 * common exporters share. A name that says nothing gives a cautious answer: other, both ways.
 */
import type { Labels, SeriesType, Symptom } from '../../model.ts'
import type { Feature } from '../residuals.ts'

export type Shape = 'counter' | 'gauge' | 'bucket' | 'sum' | 'count' | 'up' | 'start' | 'ignored'

export interface MetricKind {
  readonly shape: Shape
  /** The name without the suffix of a histogram's or summary's piece. */
  readonly family: string
  readonly symptom: Symptom
  readonly feature: Feature | undefined
  readonly bad: 'up' | 'down' | 'both'
  /** Of what is watched: the rate of a counter, the quantile of a histogram. */
  readonly unit: string
  /** Requests served to others: their latency and errors are felt outside. */
  readonly served: boolean
  /** Work that waits to be done. When there is ever more of it, nobody does it. */
  readonly backlog: boolean
  /** Belongs to a process and moves while it starts. */
  readonly process: boolean
  /** A spread smaller than this, in `unit`, means nothing however steady the series was. */
  readonly floor: number
  /** The same as a share of the level. */
  readonly relativeFloor: number
}

const ERROR_WORDS = new Set([
  'error',
  'errors',
  'failed',
  'failure',
  'failures',
  'exception',
  'exceptions',
  'panic',
  'panics',
  'rejected',
  'dropped',
  'timeouts',
  'oom',
  'aborted',
  'retries',
  'restarts',
])
const REQUEST_WORDS = new Set(['request', 'requests', 'handled', 'handling', 'calls', 'rpc', 'rpcs', 'queries', 'transactions'])
const TRAFFIC_WORDS = new Set([
  ...REQUEST_WORDS,
  'messages',
  'records',
  'events',
  'operations',
  'ops',
  'jobs',
  'orders',
  'hits',
  'started',
  'received',
  'sent',
])
const DURATION_WORDS = new Set(['duration', 'latency', 'elapsed', 'handling', 'response', 'time', 'seconds', 'milliseconds', 'ms', 'wait'])
const RUNTIME_WORDS = new Set([
  'gc',
  'eventloop',
  'goroutines',
  'jvm',
  'nodejs',
  'clr',
  'dotnet',
  'python',
  'ruby',
  'threads',
  'handles',
  'fds',
  'classes',
  'safepoint',
])
const MEMORY_WORDS = new Set(['memory', 'heap', 'rss', 'resident', 'mem', 'swap', 'malloc', 'memstats', 'alloc', 'workingset'])
const DISK_WORDS = new Set(['disk', 'filesystem', 'fs', 'volume', 'iops', 'inodes', 'blkio', 'wal', 'io'])
const NETWORK_WORDS = new Set(['network', 'net', 'tcp', 'udp', 'packets', 'socket', 'sockets', 'interface', 'conntrack'])
const POOL_WORDS = new Set(['pool', 'connection', 'connections', 'conns', 'sessions', 'clients', 'workers'])
const QUEUE_WORDS = new Set(['queue', 'queued', 'lag', 'backlog', 'pending', 'depth', 'unacked', 'waiting', 'inflight', 'outstanding'])
const BACKLOG_WORDS = new Set(['lag', 'backlog', 'queue', 'queued', 'unacked'])
/** More of these is better. */
const SPARE_WORDS = new Set(['available', 'free', 'idle', 'remaining', 'spare', 'healthy', 'ready', 'success', 'uptime', 'unused'])
/** Set by people, not by load. */
const LIMIT_WORDS = new Set(['limit', 'limits', 'quota', 'capacity', 'threshold', 'config', 'configured', 'desired', 'requested'])
/** `_total` on these is a bad habit: they count what is there now. */
const NOW_WORDS = new Set(['active', 'current', 'inflight', 'open', 'live', 'pending', 'idle', 'used', 'free', 'available'])
const CLIENT_WORDS = new Set([
  'client',
  'outbound',
  'outgoing',
  'upstream',
  'downstream',
  'external',
  'egress',
  'db',
  'redis',
  'sql',
  'cache',
])
const SERVER_WORDS = new Set(['http', 'grpc', 'rpc', 'server', 'api', 'ingress', 'istio', 'service', 'router', 'entrypoint', 'web'])
const TIMESTAMP =
  /(?:_|^)(?:created|timestamp|timestamp_seconds|timestamp_ms|last_seen|uptime|uptime_seconds|uptime_ms|boot_time_seconds|mtime|expiry|not_after|not_before)$|_last_.*_(?:seconds|time)$|_timestamp_/
const IDENTITY = /(?:_info|_build_info|_metadata|_version|_labels|_annotations)$/
/** Prometheus' own series about a scrape, and the synthetic ones of rules and alerts. */
const SCRAPE = /^(?:scrape_|ALERTS(?:_FOR_STATE)?$|prometheus_remote_storage_|prometheus_tsdb_|promhttp_)/

export function classifyMetric(name: string, labels: Labels, type: SeriesType = 'unknown'): MetricKind {
  const has = (label: string): boolean => labels.some(([n]) => n === label)
  const words = wordsOf(name)
  const any = (set: ReadonlySet<string>): boolean => words.some((word) => set.has(word))
  const { shape, family } = typedShape(shapeOf(name, words, has), type, name)
  const scale = unitOf(words)
  const client = any(CLIENT_WORDS)
  const runtime = any(RUNTIME_WORDS)
  const cpu = words.includes('cpu')
  const requests = any(REQUEST_WORDS)
  const served = requests && !client && !runtime && any(SERVER_WORDS) && !any(QUEUE_WORDS)
  const timed = (shape === 'bucket' || shape === 'sum' || has('quantile') || shape === 'gauge') && scale.seconds > 0
  const process = runtime || words[0] === 'process' || any(MEMORY_WORDS) || cpu

  let symptom: Symptom = 'other'
  let feature: Feature | undefined
  let bad: MetricKind['bad'] = 'both'
  if (shape === 'ignored' || shape === 'start') feature = undefined
  else if (shape === 'up') [symptom, bad] = ['absence', 'down']
  else if (any(ERROR_WORDS)) [symptom, feature, bad] = ['errors', client ? 'downstream_errors' : 'errors', 'up']
  else if (runtime && !any(MEMORY_WORDS)) [symptom, feature, bad] = ['saturation', 'runtime', 'up']
  else if (cpu) [symptom, feature, bad] = ['saturation', 'cpu', 'up']
  else if (any(MEMORY_WORDS)) [symptom, feature, bad] = ['saturation', 'memory', 'up']
  else if (timed && any(DURATION_WORDS) && shape !== 'gauge')
    [symptom, feature, bad] = ['latency', client ? 'downstream_latency' : 'latency', 'up']
  else if (any(QUEUE_WORDS)) [symptom, feature, bad] = ['saturation', 'queue', 'up']
  else if (any(POOL_WORDS)) [symptom, feature, bad] = ['saturation', 'pool', 'up']
  else if ((shape === 'counter' || shape === 'count') && any(TRAFFIC_WORDS)) [symptom, feature] = ['traffic', 'traffic']
  else if (any(DISK_WORDS)) [symptom, feature, bad] = ['saturation', 'disk', 'up']
  else if (any(NETWORK_WORDS)) [symptom, feature] = ['traffic', 'network']
  else if (timed && any(DURATION_WORDS)) [symptom, feature, bad] = ['latency', client ? 'downstream_latency' : 'latency', 'up']
  const rate = shape === 'counter' || shape === 'count'
  if (rate && requests && failedRequests(labels) === true)
    [symptom, feature, bad] = ['errors', client ? 'downstream_errors' : 'errors', 'up']
  if (any(SPARE_WORDS) && bad === 'up' && symptom === 'saturation') bad = cpu && shape === 'counter' ? 'both' : 'down'

  return {
    shape: any(LIMIT_WORDS) && shape === 'gauge' ? 'ignored' : shape,
    family,
    symptom,
    feature,
    bad,
    unit: !rate
      ? scale.unit
      : shape === 'counter' && scale.seconds > 0
        ? cpu
          ? 'cores'
          : 'seconds/s'
        : shape === 'counter' && scale.unit !== ''
          ? `${scale.unit}/s`
          : '/s',
    served,
    backlog:
      shape === 'gauge' && symptom === 'saturation' && feature === 'queue' && bad === 'up' && scale.unit === '' && any(BACKLOG_WORDS),
    process,
    floor: floorOf(shape, scale, cpu, runtime),
    relativeFloor: symptom === 'latency' ? 0.1 : 0.05,
  }
}

function shapeOf(name: string, words: readonly string[], has: (label: string) => boolean): { shape: Shape; family: string } {
  if (name.length > 256) name = name.slice(0, 256)
  const family = name.replace(/_(?:bucket|sum|count|total)$/, '')
  if (name === 'up') return { shape: 'up', family: name }
  if (name === 'process_start_time_seconds' || name === 'process_start_time') return { shape: 'start', family: name }
  if (TIMESTAMP.test(name) || IDENTITY.test(name) || SCRAPE.test(name)) return { shape: 'ignored', family: name }
  if (name.endsWith('_bucket')) return has('le') ? { shape: 'bucket', family } : { shape: 'gauge', family: name }
  if (name.endsWith('_sum')) return { shape: 'sum', family }
  if (name.endsWith('_count')) return { shape: 'count', family }
  if (name.endsWith('_total'))
    return words.some((word) => NOW_WORDS.has(word)) ? { shape: 'gauge', family: name } : { shape: 'counter', family }
  return { shape: 'gauge', family: name }
}

/** A known type overrides what the name looks like; what is not watched stays so. */
function typedShape(guess: { shape: Shape; family: string }, type: SeriesType, name: string): { shape: Shape; family: string } {
  const { shape } = guess
  if (shape === 'ignored' || shape === 'up' || shape === 'start') return guess
  if (type === 'gauge') return { shape: 'gauge', family: name }
  return (type === 'counter' || type === 'delta') && shape === 'gauge' ? { shape: 'counter', family: name.replace(/_total$/, '') } : guess
}

interface Scale {
  readonly unit: string
  /** How many seconds one is; 0 where it is no time. */
  readonly seconds: number
}

function unitOf(words: readonly string[]): Scale {
  const has = (...names: string[]): boolean => names.some((name) => words.includes(name))
  if (has('milliseconds', 'millis', 'ms', 'msec')) return { unit: 'ms', seconds: 1e-3 }
  if (has('microseconds', 'micros', 'us', 'usec')) return { unit: 'us', seconds: 1e-6 }
  if (has('nanoseconds', 'nanos', 'ns')) return { unit: 'ns', seconds: 1e-9 }
  if (has('seconds', 'sec', 'secs')) return { unit: 's', seconds: 1 }
  if (has('bytes', 'byte')) return { unit: 'bytes', seconds: 0 }
  if (has('ratio')) return { unit: 'ratio', seconds: 0 }
  if (has('percent', 'percentage', 'pct')) return { unit: '%', seconds: 0 }
  if (has('celsius')) return { unit: '°C', seconds: 0 }
  return { unit: '', seconds: 0 }
}

/** Nobody is woken for 3 milliseconds, a hundredth of a core or a page of memory more. */
function floorOf(shape: Shape, scale: Scale, cpu: boolean, runtime: boolean): number {
  if (shape === 'counter') return scale.seconds > 0 ? 0.02 / scale.seconds : scale.unit === 'bytes' ? 1024 : 0.05
  if (shape === 'count') return 0.05
  if (scale.seconds > 0) return (runtime ? 0.008 : 0.004) / scale.seconds
  if (scale.unit === 'bytes') return 1 << 20
  if (scale.unit === 'ratio') return 0.01
  if (scale.unit === '%') return 1
  return cpu ? 0.01 : 0
}

/** Lower-case words of a name: `MemAvailable_bytes` is mem, available, bytes. */
function wordsOf(name: string): string[] {
  return name
    .slice(0, 256)
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace('event_loop', 'eventloop')
    .replace('in_flight', 'inflight')
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
}

/** Labels that say where a series comes from rather than what it is about. */
const PLACE_LABELS = new Set([
  'job',
  'instance',
  'service',
  'service_name',
  'app',
  'application',
  'namespace',
  'pod',
  'container',
  'node',
  'host',
  'hostname',
  'cluster',
  'region',
  'zone',
  'env',
  'environment',
  'replica',
  'prometheus',
  'prometheus_replica',
  'endpoint',
  'exporter',
  'exported_job',
  'exported_instance',
  'uid',
  'pod_uid',
  'container_id',
  'image',
  'version',
  'service_version',
  'service_instance_id',
  'telemetry_sdk_language',
  'telemetry_sdk_name',
  'telemetry_sdk_version',
  'otel_scope_name',
  'otel_scope_version',
])
const STATUS_LABELS = new Set([
  'status',
  'code',
  'status_code',
  'http_status',
  'http_status_code',
  'http_response_status_code',
  'response_code',
  'grpc_code',
  'grpc_status',
  'rpc_grpc_status_code',
  'status_class',
  'code_class',
  'outcome',
])
const MAX_LABEL_TEXT = 60

export function isPlaceLabel(name: string): boolean {
  return PLACE_LABELS.has(name)
}

export function isStatusLabel(name: string): boolean {
  return STATUS_LABELS.has(name)
}

/** gRPC codes that are the server's fault (https://grpc.io/docs/guides/status-codes/), as names and as numbers. */
const GRPC_FAULTS = new Set([
  'unknown',
  'deadlineexceeded',
  'deadline_exceeded',
  'unimplemented',
  'internal',
  'unavailable',
  'dataloss',
  'data_loss',
])
const GRPC_FAULT_NUMBERS = new Set(['2', '4', '12', '13', '14', '15'])

/** True for the server's faults, false for other outcomes, undefined where no label tells. */
export function failedRequests(labels: Labels): boolean | undefined {
  for (const [name, value] of labels) {
    if (!STATUS_LABELS.has(name)) continue
    const text = value.toLowerCase()
    if (/^[1-5](?:\d\d|xx)$/.test(text)) return text.startsWith('5')
    if (name.includes('grpc')) return GRPC_FAULTS.has(text) || GRPC_FAULT_NUMBERS.has(text)
    if (name === 'outcome' || name === 'status') return ['error', 'server_error', 'failure', 'failed', 'exception'].includes(text)
    if (GRPC_FAULTS.has(text)) return true
    return false
  }
  return undefined
}

/** `{mode="user"}` for people, '' where nothing sets the series apart. Text from outside is clipped. */
export function labelText(labels: Labels, without: (name: string) => boolean): string {
  const shown = labels.filter(([name]) => !PLACE_LABELS.has(name) && !without(name)).slice(0, 6)
  if (shown.length === 0) return ''
  return ` {${shown.map(([name, value]) => `${clip(name)}="${clip(value)}"`).join(', ')}}`
}

function clip(text: string): string {
  return text.length > MAX_LABEL_TEXT ? `${text.slice(0, MAX_LABEL_TEXT - 1)}…` : text
}
