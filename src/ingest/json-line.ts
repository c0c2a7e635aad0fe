/**
 * A Kafka record that holds one log line, JSON (Fluent Bit, Filebeat, rsyslog, a program's own) or text, as the Loki push request that it would
 * have been: labels from the fields that name its source, time from its time field, else from the carrier.
 */
import type { InRecord } from '../transport/transport.ts'
import { parseTime } from './alerts.ts'
import type { DoorRequest } from './door.ts'

type Fields = Readonly<Record<string, unknown>>

const NAMING_LABELS = ['service_name', 'service.name', 'service', 'app', 'pod', 'container', 'container_name', 'job']
const LABELS = [...NAMING_LABELS, 'instance', 'hostname', 'host', 'version']
/** What Fluent Bit's and Filebeat's Kubernetes filters add, and the label it stands for. */
const KUBERNETES: readonly (readonly [path: readonly string[], label: string])[] = [
  [['kubernetes', 'labels', 'app'], 'app'],
  [['kubernetes', 'labels', 'app.kubernetes.io/name'], 'app_kubernetes_io_name'],
  [['kubernetes', 'pod_name'], 'pod'],
  [['kubernetes', 'pod', 'name'], 'pod'],
  [['kubernetes', 'container_name'], 'container'],
]
const TIME_FIELDS = ['@timestamp', 'timestamp', 'time', 'ts']

export function lineRequest(record: InRecord, service: string, receivedMs: number): DoorRequest {
  const line = Buffer.from(record.value.buffer, record.value.byteOffset, record.value.byteLength).toString('utf8')
  const fields = fieldsOf(line)
  const labels = new Map<string, string>()
  for (const name of LABELS) {
    const value = at(fields, [name])
    if (typeof value === 'string' && value !== '') labels.set(name, value)
  }
  for (const [path, label] of KUBERNETES) {
    const value = at(fields, path)
    if (typeof value === 'string' && value !== '' && !labels.has(label)) labels.set(label, value)
  }
  if (service !== '' && ![...NAMING_LABELS, 'app_kubernetes_io_name'].some((name) => labels.has(name))) labels.set('service_name', service)
  const timeMs =
    TIME_FIELDS.map((name) => timeOf(at(fields, [name]))).find((ms) => ms !== undefined) ??
    (record.timestampMs > 0 ? record.timestampMs : receivedMs)
  const body = JSON.stringify({ streams: [{ stream: Object.fromEntries(labels), values: [[`${Math.floor(timeMs)}000000`, line]] }] })
  return { path: '/loki/api/v1/push', headers: { 'content-type': 'application/json' }, body: Buffer.from(body), receivedMs }
}

function fieldsOf(line: string): Fields {
  if (!line.startsWith('{')) return {}
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Fields) : {}
  } catch (error) {
    // Text that begins with a brace.
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

function at(fields: Fields, path: readonly string[]): unknown {
  let value: unknown = fields
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Fields)[name]
  }
  return value
}

/** RFC 3339, or a number of seconds, milliseconds, microseconds or nanoseconds, which their size tells apart for centuries. */
function timeOf(value: unknown): number | undefined {
  if (typeof value === 'string') return parseTime(value)
  if (typeof value !== 'number' || !(value > 1e8)) return undefined
  return value < 1e11 ? value * 1e3 : value < 1e14 ? value : value < 1e17 ? value / 1e3 : value / 1e6
}
