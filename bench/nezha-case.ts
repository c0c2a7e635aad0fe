/**
 * Turns one fault of the Nezha data set (TrainTicket, https://github.com/IntelligentDDS/Nezha, MIT) into a recording for `tocsin replay`:
 * OTLP/JSON traces, Loki pushes and Prometheus remote writes with the times they would have arrived at.
 *   npx tsx bench/nezha-case.ts --data DIR --case 2023-01-30#01 --out FOLDER [--warm-up 40] [--after 5] [--seed 1]
 * DIR holds common.tar.zst, dev.tar.zst and dev.json. The fault's three minutes are as published. Traces and logs exist for one fault-free
 * minute per day only: each minute before and after is a sample of its traces, drawn with replacement, with their logs. Metrics of those
 * minutes are the fault-free rows nearest to the fault. Span kinds are read off the call tree, for the data has none, nor has it span status.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { decompress } from '@mongodb-js/zstd'
import snappy from 'snappy'
import { z } from 'zod'
import { seededRandom } from '../src/detect/random.ts'
import type { Door, DoorRequest } from '../src/ingest/door.ts'
import { createRecorder } from '../src/ingest/recording/recording.ts'

const MINUTE_MS = 60_000
const ARRIVAL_MS = 5_000
/** Onset and label may be a minute apart (see the data's own caveats); a fault lasts three. */
const BEFORE_ONSET_MS = 62_000
const AFTER_ONSET_MS = 200_000

const faultSchema = z.object({
  id: z.string(),
  date: z.string(),
  effective_onset_utc: z.string(),
  service: z.string(),
  inject_type: z.string(),
  inject_pod: z.string(),
})
type Fault = z.infer<typeof faultSchema>

interface Span {
  readonly traceId: string
  readonly spanId: string
  /** '' at a root. */
  readonly parentId: string
  readonly pod: string
  readonly name: string
  readonly startNs: bigint
  readonly endNs: bigint
}

interface Line {
  readonly traceId: string
  readonly pod: string
  readonly container: string
  readonly text: string
  readonly timeNs: bigint
}

/** Traces and logs of a stretch of time. */
interface Stretch {
  readonly startMs: number
  readonly spans: readonly Span[]
  readonly lines: readonly Line[]
}

interface Sample {
  readonly name: string
  readonly pod: string
  readonly quantile: string
  readonly value: number
  readonly timeMs: number
}

async function convert(data: string, id: string, out: string, warmUp: number, after: number, seed: number): Promise<void> {
  const { cases } = z.object({ cases: z.array(faultSchema) }).parse(JSON.parse(await readFile(join(data, 'dev.json'), 'utf8')))
  const fault = cases.find((one) => one.id === id)
  if (fault === undefined) throw new Error(`no case ${id} in ${data}; there are ${cases.map((one) => one.id).join(', ')}`)
  const onsetMs = Date.parse(`${fault.effective_onset_utc.replace(' ', 'T')}Z`)
  const common = filesOf(await decompress(await readFile(join(data, 'common.tar.zst'))))
  const dev = filesOf(await decompress(await readFile(join(data, 'dev.tar.zst'))))

  const quiet = stretchOf(common, `construct_data/${fault.date}`, () => true)
  const faulty = stretchOf(
    dev,
    `rca_data/${fault.date}`,
    (labelMs) => labelMs >= onsetMs - BEFORE_ONSET_MS && labelMs <= onsetMs + AFTER_ONSET_MS,
  )
  const random = seededRandom(seed)
  const faultMinutes = 3
  const stretches: Stretch[] = []
  for (let k = warmUp; k >= 1; k--) stretches.push(resample(quiet, faulty.startMs - k * MINUTE_MS, warmUp - k, random))
  stretches.push(faulty)
  for (let k = 0; k < after; k++) stretches.push(resample(quiet, faulty.startMs + (faultMinutes + k) * MINUTE_MS, warmUp + k, random))

  const endMs = faulty.startMs + faultMinutes * MINUTE_MS
  const metrics = metricsOf(common, dev, fault.date, faulty.startMs, endMs, warmUp, after)
  const requests = [...stretches.flatMap(traceRequests), ...stretches.flatMap(logRequests), ...metricRequests(metrics)]
  requests.sort((a, b) => a.receivedMs - b.receivedMs || (a.path < b.path ? -1 : 1))

  const recorder = await createRecorder(out, acceptsAll)
  for (const request of requests) await recorder.accept(request)
  await recorder.close()
  await writeFile(
    join(out, 'truth.json'),
    `${JSON.stringify({ ...truthOf(fault, onsetMs), recordedFromMs: requests[0]!.receivedMs, warmUpMinutes: warmUp, seed }, null, 2)}\n`,
  )
  const spans = stretches.reduce((sum, stretch) => sum + stretch.spans.length, 0)
  const lines = stretches.reduce((sum, stretch) => sum + stretch.lines.length, 0)
  console.log(
    `${id}: ${fault.inject_type} in ${fault.service} at ${new Date(onsetMs).toISOString()}; ${requests.length} requests, ${spans} spans (${faulty.spans.length} of the fault), ${lines} log lines, ${metrics.length} samples → ${out}`,
  )
}

function truthOf(fault: Fault, onsetMs: number): object {
  return { case: fault.id, service: fault.service, pod: fault.inject_pod, type: fault.inject_type, onsetMs }
}

const acceptsAll: Door = {
  accept: async () => ({ status: 200, headers: {}, body: '' }),
  tick: async () => undefined,
}

/* ---- Reading. */

/** Regular files of a tar archive by path (https://www.gnu.org/software/tar/manual/html_node/Standard.html). */
function filesOf(tar: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  const text = (from: number, length: number): string => tar.toString('utf8', from, from + length).replace(/\0.*$/s, '')
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const size = Number.parseInt(text(at + 124, 12), 8)
    const prefix = text(at + 257, 5) === 'ustar' ? text(at + 345, 155) : ''
    const path = (prefix === '' ? '' : `${prefix}/`) + text(at, 100)
    const type = text(at + 156, 1)
    if (type === '0' || type === '') files.set(path.replace(/^\.\//, ''), tar.subarray(at + 512, at + 512 + size))
    at += 512 + Math.ceil(size / 512) * 512
  }
  return files
}

/** Rows by column name. Quotes as in RFC 4180. */
function* csvRows(bytes: Buffer): Generator<ReadonlyMap<string, string>> {
  let header: readonly string[] | undefined
  for (const fields of csvFields(bytes.toString('utf8'))) {
    if (header === undefined) header = fields
    else yield new Map(header.map((name, i) => [name, fields[i] ?? '']))
  }
}

function* csvFields(text: string): Generator<string[]> {
  let fields: string[] = []
  for (let at = 0; at < text.length;) {
    let field = ''
    if (text[at] === '"') {
      for (at++; at < text.length; at++) {
        if (text[at] !== '"') field += text[at]
        else if (text[at + 1] === '"') field += text[++at]
        else break
      }
      at++
    } else {
      const [comma, line] = [text.indexOf(',', at), text.indexOf('\n', at)].map((end) => (end === -1 ? text.length : end))
      const end = Math.min(comma!, line!)
      field = text.slice(at, end)
      at = end
    }
    fields.push(field.replace(/\r$/, ''))
    if (text[at] === '\r') at++
    if (text[at] === '\n' || at >= text.length) {
      yield fields
      fields = []
    }
    at++
  }
}

/** Files are labelled HH_MM with the minute they end in. Overlapping files repeat rows: each counts once. */
function stretchOf(files: ReadonlyMap<string, Buffer>, folder: string, wanted: (labelMs: number) => boolean): Stretch {
  const spans = new Map<string, Span>()
  const lines = new Map<string, Line>()
  for (const [path, bytes] of files) {
    const match = /^(.+\/(\d{4}-\d{2}-\d{2}))\/(trace|log)\/(\d\d)_(\d\d)_\w+\.csv$/.exec(path)
    if (match === null || match[1] !== folder || !wanted(Date.parse(`${match[2]}T${match[4]}:${match[5]}:30Z`))) continue
    for (const row of csvRows(bytes)) {
      if (match[3] === 'trace') {
        const span = spanOf(row)
        spans.set(`${span.traceId} ${span.spanId}`, span)
      } else {
        const line = lineOf(row)
        if (line !== undefined) lines.set(`${line.timeNs} ${line.pod} ${line.text}`, line)
      }
    }
  }
  if (spans.size === 0) throw new Error(`no traces of the time asked for under ${folder}`)
  const starts = [...spans.values()].map((span) => msOf(span.startNs)).sort((a, b) => a - b)
  // A few long traces began earlier; the stretch starts where the bulk does.
  return { startMs: starts[Math.floor(starts.length / 200)]!, spans: [...spans.values()], lines: [...lines.values()] }
}

function spanOf(row: ReadonlyMap<string, string>): Span {
  const parent = row.get('ParentID')!
  return {
    traceId: row.get('TraceID')!,
    spanId: row.get('SpanID')!,
    parentId: parent === 'root' ? '' : parent,
    pod: row.get('PodName')!,
    name: row.get('OperationName')!,
    startNs: BigInt(row.get('StartTimeUnixNano')!),
    endNs: BigInt(row.get('EndTimeUnixNano')!),
  }
}

const envelopeSchema = z.object({ log: z.string(), time: z.string() })

function lineOf(row: ReadonlyMap<string, string>): Line | undefined {
  const envelope = envelopeSchema.safeParse(JSON.parse(row.get('Log')!))
  if (!envelope.success) return undefined
  const { log, time } = envelope.data
  const written = BigInt(row.get('TimeUnixNano')!)
  // Go's zero time stands where the collector had none.
  const timeNs = written > 0n ? written : BigInt(Date.parse(time)) * 1_000_000n
  return { traceId: row.get('TraceID')!, pod: row.get('PodName')!, container: row.get('Container')!, text: log.replace(/\n$/, ''), timeNs }
}

/* ---- Minutes without a fault. */

function resample(quiet: Stretch, startMs: number, number: number, random: () => number): Stretch {
  const spansOf = groupBy(quiet.spans, (span) => span.traceId)
  const linesOf = groupBy(quiet.lines, (line) => line.traceId)
  const ids = [...new Set([...spansOf.keys(), ...linesOf.keys()])]
  const spans: Span[] = []
  const lines: Line[] = []
  for (let k = 0; k < ids.length; k++) {
    const id = ids[Math.floor(random() * ids.length)]!
    // Drawn twice it is two traces. Where in the minute it falls is drawn too.
    const traceId = ((number + 1) * 0x10000 + k).toString(16).padStart(8, '0') + id.slice(8)
    const first = spansOf.get(id)?.[0]?.startNs ?? linesOf.get(id)![0]!.timeNs
    const moveNs = BigInt(Math.floor(startMs + random() * MINUTE_MS)) * 1_000_000n - first
    for (const span of spansOf.get(id) ?? []) spans.push({ ...span, traceId, startNs: span.startNs + moveNs, endNs: span.endNs + moveNs })
    for (const line of linesOf.get(id) ?? []) {
      lines.push({ ...line, traceId, text: line.text.replaceAll(id, traceId), timeNs: line.timeNs + moveNs })
    }
  }
  return { startMs, spans, lines }
}

/* ---- Metrics. */

/** Columns by the names they would have under Prometheus' conventions. Node columns name no node, and success is always 0: left out. */
const COLUMNS: Readonly<Record<string, readonly [name: string, scale: number, quantile?: string]>> = {
  'CpuUsage(m)': ['pod_cpu_usage_cores', 0.001],
  'MemoryUsage(Mi)': ['pod_memory_usage_bytes', 1 << 20],
  SyscallRead: ['pod_syscall_reads', 1],
  SyscallWrite: ['pod_syscall_writes', 1],
  NetworkReceiveBytes: ['pod_network_receive_bytes', 1],
  NetworkTransmitBytes: ['pod_network_transmit_bytes', 1],
  'PodClientLatencyP90(s)': ['pod_client_request_duration_seconds', 1, '0.9'],
  'PodClientLatencyP99(s)': ['pod_client_request_duration_seconds', 1, '0.99'],
  'PodServerLatencyP90(s)': ['pod_server_request_duration_seconds', 1, '0.9'],
  'PodServerLatencyP99(s)': ['pod_server_request_duration_seconds', 1, '0.99'],
  'PodWorkload(Ops)': ['pod_server_requests_per_second', 1],
}

/** The fault's own minutes, and around them the fault-free ones nearest in time, moved so that one follows the other. */
function metricsOf(
  common: ReadonlyMap<string, Buffer>,
  dev: ReadonlyMap<string, Buffer>,
  date: string,
  startMs: number,
  endMs: number,
  warmUp: number,
  after: number,
): Sample[] {
  const samples: Sample[] = []
  const minutesOf = (files: ReadonlyMap<string, Buffer>): Map<number, Sample[]> => {
    const all = [...files]
      .filter(([path]) => path.startsWith(`rca_data/${date}/metric/`) && path.endsWith('_metric.csv'))
      .flatMap(([, bytes]) => [...csvRows(bytes)].flatMap(samplesOf))
    return groupBy(all, (sample) => Math.floor((sample.timeMs - startMs) / MINUTE_MS))
  }
  for (const [minute, rows] of minutesOf(dev)) if (minute >= 0 && startMs + minute * MINUTE_MS < endMs) samples.push(...rows)
  const quiet = minutesOf(common)
  const nearest = [...quiet.keys()]
    .sort((a, b) => Math.abs(a) - Math.abs(b) || a - b)
    .slice(0, warmUp + after)
    .sort((a, b) => a - b)
  for (const [at, minute] of nearest.entries()) {
    const to = at < warmUp ? at - warmUp : at - warmUp + Math.round((endMs - startMs) / MINUTE_MS)
    for (const sample of quiet.get(minute)!) samples.push({ ...sample, timeMs: sample.timeMs + (to - minute) * MINUTE_MS })
  }
  return samples
}

function samplesOf(row: ReadonlyMap<string, string>): Sample[] {
  const pod = row.get('PodName')!
  const timeMs = Number(row.get('TimeStamp')) * 1000
  return Object.entries(COLUMNS).flatMap(([column, [name, scale, quantile = '']]) => {
    const value = Number(row.get(column) === '' ? Number.NaN : row.get(column)) * scale
    return Number.isFinite(value) ? [{ name, pod, quantile, value, timeMs }] : []
  })
}

/** Map.groupBy, which Node 20 does not have. */
function groupBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

/* ---- Requests. */

function msOf(ns: bigint): number {
  return Number(ns / 1_000_000n)
}

/** Pod name minus its last two parts. */
function serviceOf(pod: string): string {
  return pod.split('-').slice(0, -2).join('-')
}

function arrivalOf(ns: bigint): number {
  return (Math.floor(msOf(ns) / ARRIVAL_MS) + 1) * ARRIVAL_MS
}

function jsonRequest(path: string, receivedMs: number, body: unknown): DoorRequest {
  return { path, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(body)), receivedMs }
}

function traceRequests(stretch: Stretch): DoorRequest[] {
  const byId = new Map(stretch.spans.map((span) => [`${span.traceId} ${span.spanId}`, span]))
  const callsOut = new Set<Span>()
  const servers = new Set<Span>()
  for (const span of stretch.spans) {
    const parent = byId.get(`${span.traceId} ${span.parentId}`)
    if (parent?.pod === span.pod) continue
    servers.add(span)
    if (parent !== undefined) callsOut.add(parent)
  }
  // https://opentelemetry.io/docs/specs/otel/trace/api/#spankind as numbers of OTLP: 1 internal, 2 server, 3 client.
  const encode = (span: Span): object => ({
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentId,
    name: span.name,
    kind: servers.has(span) ? 2 : callsOut.has(span) ? 3 : 1,
    startTimeUnixNano: String(span.startNs),
    endTimeUnixNano: String(span.endNs),
    status: {},
  })
  return [...groupBy(stretch.spans, (span) => arrivalOf(span.endNs))].map(([receivedMs, batch]) =>
    jsonRequest('/v1/traces', receivedMs, {
      resourceSpans: [...groupBy(batch, (span) => span.pod)].map(([pod, spans]) => ({
        resource: {
          attributes: [
            { key: 'service.name', value: { stringValue: serviceOf(pod) } },
            { key: 'k8s.pod.name', value: { stringValue: pod } },
          ],
        },
        scopeSpans: [{ scope: { name: 'nezha' }, spans: spans.map(encode) }],
      })),
    }),
  )
}

function logRequests(stretch: Stretch): DoorRequest[] {
  return [...groupBy(stretch.lines, (line) => arrivalOf(line.timeNs))].map(([receivedMs, batch]) =>
    jsonRequest('/loki/api/v1/push', receivedMs, {
      streams: [...groupBy(batch, (line) => line.pod)].map(([pod, lines]) => ({
        stream: { app: serviceOf(pod), pod, container: lines[0]!.container },
        values: lines
          .sort((a, b) => (a.timeNs < b.timeNs ? -1 : a.timeNs > b.timeNs ? 1 : 0))
          .map((line) => [String(line.timeNs), line.text, { trace_id: line.traceId }]),
      })),
    }),
  )
}

function metricRequests(samples: readonly Sample[]): DoorRequest[] {
  return [...groupBy(samples, (sample) => Math.floor(sample.timeMs / MINUTE_MS))].map(([, batch]) => ({
    path: '/api/v1/write',
    headers: { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy', 'x-prometheus-remote-write-version': '0.1.0' },
    body: snappy.compressSync(writeRequest(batch)),
    receivedMs: Math.max(...batch.map((sample) => sample.timeMs)) + 1000,
  }))
}

/** prometheus.WriteRequest (https://prometheus.io/docs/specs/prw/remote_write_spec/): one series with one sample each. */
function writeRequest(samples: readonly Sample[]): Buffer {
  return Buffer.concat(
    samples.map(({ name, pod, quantile, value, timeMs }) => {
      const labels: [string, string][] = [
        ['__name__', name],
        ['app', serviceOf(pod)],
        ['pod', pod],
      ]
      if (quantile !== '') labels.push(['quantile', quantile])
      const sample = Buffer.concat([Buffer.from([0x09]), doubleOf(value), Buffer.from([0x10]), varint(timeMs)])
      return field(
        1,
        Buffer.concat([
          ...labels.map(([key, text]) => field(1, Buffer.concat([field(1, Buffer.from(key)), field(2, Buffer.from(text))]))),
          field(2, sample),
        ]),
      )
    }),
  )
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(content.length), content])
}

function doubleOf(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(value)
  return bytes
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return Buffer.from([...bytes, rest])
}

/* ---- Last, so that everything above is there. */

const { values: args } = parseArgs({
  options: {
    data: { type: 'string' },
    case: { type: 'string' },
    out: { type: 'string' },
    'warm-up': { type: 'string', default: '40' },
    after: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
  },
})
if (args.data === undefined || args.case === undefined || args.out === undefined) {
  console.error('usage: npx tsx bench/nezha-case.ts --data DIR --case ID --out FOLDER [--warm-up MINUTES] [--after MINUTES] [--seed N]')
  process.exit(2)
}
await convert(args.data, args.case, args.out, Number(args['warm-up']), Number(args.after), Number(args.seed))
