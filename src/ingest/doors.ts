/**
 * The doors: one request in, its rows on the telemetry topic, an answer out. A 2xx means that the rows are safe with the transport; a
 * sender's mistake is answered as one and costs nobody else anything; our own failure asks the sender to come back. What is in
 * flight is bounded. Rows go out grouped by partition, spans twice: by service, and as links by trace.
 */
import type { Counter } from 'prom-client'
import { encodeBatch, fitsRecord } from '../codec.ts'
import { DecodeError, messageOf } from '../errors.ts'
import type { Happening, Telemetry } from '../telemetry.ts'
import type { Topics } from '../transport/topics.ts'
import type { OutRecord, Transport } from '../transport/transport.ts'
import type { ActiveAlerts } from './events/active-alerts.ts'
import type { IngestConfig } from './config.ts'
import { Tally } from './decode-context.ts'
import type { DecodeContext } from './decode-context.ts'
import type { BulkDoor, Door, DoorRequest, DoorResponse, Outcome } from './door.ts'
import { textResponse } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import { EVENT_ENDPOINTS } from './events/event-endpoints.ts'
import { jaegerEndpoint } from './spans/jaeger-endpoint.ts'
import { LOKI_ENDPOINTS } from './logs/loki-endpoint.ts'
import { merged } from './kafka/merge.ts'
import { Naming } from './naming/naming.ts'
import { otlpLogsEndpoint, otlpMetricsEndpoint, otlpTracesEndpoint } from './otlp/otlp-endpoints.ts'
import { REMOTE_WRITE_ENDPOINTS } from './metrics/remote-write-endpoint.ts'
import { SeriesRegistry } from './metrics/series-registry.ts'
import { ServiceBudgets, giveBack } from './service-budget.ts'
import type { Spent } from './service-budget.ts'
import { ServiceRegistry } from './service-registry.ts'
import { halves, rowsOf, selectRows, splitByPartition } from './split.ts'
import type { RowBatch } from './split.ts'
import { zipkinEndpoint } from './spans/zipkin-endpoint.ts'

export interface DoorsOptions {
  readonly transport: Transport
  readonly topics: Topics
  /** Of the telemetry topic. */
  readonly partitions: number
  readonly config: IngestConfig
  readonly telemetry: Telemetry
  readonly clock: () => number
  /** Told of every alert that was taken. */
  readonly alerts?: ActiveAlerts
}

export function createDoors(options: DoorsOptions): Door & BulkDoor {
  return new Doors(options)
}

/** Every door there is, by path. */
export const ENDPOINTS: ReadonlyMap<string, Endpoint> = new Map(
  [
    ...REMOTE_WRITE_ENDPOINTS,
    ...LOKI_ENDPOINTS,
    otlpTracesEndpoint,
    otlpMetricsEndpoint,
    otlpLogsEndpoint,
    zipkinEndpoint,
    jaegerEndpoint,
    ...EVENT_ENDPOINTS,
  ].map((endpoint) => [endpoint.path, endpoint]),
)

const FORGET_EVERY_MS = 300_000

/** What was read of a request, or why nothing was. */
type Decoded =
  | { readonly batch: RowBatch; readonly context: DecodeContext; readonly spent: Spent }
  | { readonly batch: undefined; readonly error: DecodeError }

class Doors implements Door, BulkDoor {
  readonly #options: DoorsOptions
  readonly #naming: Naming
  readonly #series: SeriesRegistry
  readonly #services: ServiceRegistry
  readonly #budgets: ServiceBudgets
  readonly #requests: Counter<'door' | 'status'>
  readonly #bytes: Counter<'door'>
  readonly #rows: Counter<'door'>
  readonly #rejected: Counter<'door' | 'reason'>
  readonly #skipped: Counter<'door' | 'reason'>
  readonly #publishFailed: Happening<'door'>
  readonly #decoderFailed: Happening<'door'>
  #inFlightBytes = 0
  #forgotMs = Number.NEGATIVE_INFINITY

  constructor(options: DoorsOptions) {
    this.#options = options
    const { config, telemetry } = options
    this.#naming = new Naming(config.naming, config.limits.maxNameChars)
    this.#series = new SeriesRegistry(config.limits)
    this.#services = new ServiceRegistry(config.limits)
    this.#budgets = new ServiceBudgets(config.limits)
    this.#requests = telemetry.counter('door_requests_total', 'Requests by door and answer', ['door', 'status'])
    this.#bytes = telemetry.counter('door_body_bytes_total', 'Bytes of request bodies as they came', ['door'])
    this.#rows = telemetry.counter('door_rows_total', 'Samples, lines, spans and events taken in', ['door'])
    this.#rejected = telemetry.counter('door_rows_rejected_total', 'Rows or whole requests refused because of what is in them', [
      'door',
      'reason',
    ])
    this.#skipped = telemetry.counter('door_skipped_total', 'Parts of good requests that Tocsin does not use', ['door', 'reason'])
    this.#publishFailed = telemetry.happening({
      name: 'door_publish_failed',
      help: 'A request could not be handed on; its sender was asked to retry',
      level: 'warn',
      labels: ['door'],
    })
    this.#decoderFailed = telemetry.happening({
      name: 'door_decoder_failed',
      help: 'A decoder failed in a way that it should not; the request was refused',
      level: 'error',
      labels: ['door'],
    })
    telemetry.gauge('door_in_flight_bytes', 'Bytes being handled', [], (gauge) => gauge.set(this.#inFlightBytes))
    telemetry.gauge('door_active_series', 'Metric series active', [], (gauge) => gauge.set(this.#series.size))
  }

  async accept(request: DoorRequest): Promise<DoorResponse> {
    const endpoint = ENDPOINTS.get(request.path)
    if (endpoint === undefined) return textResponse(404, `there is no door at ${JSON.stringify(request.path.slice(0, 100))}`)
    const door = endpoint.name
    this.#bytes.inc({ door }, request.body.length)
    const response = await this.#handle(endpoint, request)
    this.#requests.inc({ door, status: String(response.status) })
    return response
  }

  async tick(nowMs: number): Promise<void> {
    if (nowMs - this.#forgotMs >= FORGET_EVERY_MS) {
      this.#forgotMs = nowMs
      this.#series.forgetIdle(nowMs)
      this.#services.forgetIdle(nowMs, (service) => this.#series.hasService(service))
    }
    const value = encodeBatch({ kind: 'tick', nowMs })
    const { transport, topics, partitions } = this.#options
    await transport.publish(
      topics.telemetry,
      Array.from({ length: partitions }, (_, partition) => ({ partition, value })),
    )
  }

  async acceptAll(requests: readonly DoorRequest[]): Promise<readonly Outcome[]> {
    const { limits } = this.#options.config
    const batches: RowBatch[] = []
    const outcomes: Outcome[] = []
    const counts = new DoorCounts()
    let bytes = 0
    for (const request of requests) bytes += request.body.length
    // What is larger than the limit by itself goes when nothing else is under way: waiting would not make it smaller.
    if (this.#inFlightBytes > 0 && this.#inFlightBytes + bytes > limits.maxInFlightBytes) throw new Error('too much in flight')
    for (const request of requests) {
      const endpoint = ENDPOINTS.get(request.path)
      if (endpoint === undefined) throw new Error(`there is no door at ${request.path}`)
      const decoded = this.#decode(endpoint, request)
      counts.add(endpoint.name, request.body.length, decoded.batch === undefined ? -1 : rowsOf(decoded.batch))
      if (decoded.batch === undefined) outcomes.push({ refusal: decoded.error, rows: 0, unread: [], rejected: [] })
      else {
        const { rejected, unread = [] } = decoded.context
        batches.push(decoded.batch)
        outcomes.push({
          refusal: undefined,
          rows: rowsOf(decoded.batch),
          unread,
          rejected: rejected.total === 0 ? [] : [...rejected.entries()],
        })
      }
    }
    await this.#publish(
      merged(batches).flatMap((batch) => this.#recordsOf(batch)),
      bytes,
    )
    for (const [door, { bodyBytes, rows, taken, refused }] of counts.doors) {
      this.#bytes.inc({ door }, bodyBytes)
      this.#rows.inc({ door }, rows)
      if (taken > 0) this.#requests.inc({ door, status: '200' }, taken)
      if (refused > 0) this.#requests.inc({ door, status: '400' }, refused)
    }
    for (const batch of batches) if (batch.kind === 'events') this.#options.alerts?.note(batch, this.#options.clock())
    return outcomes
  }

  async #handle(endpoint: Endpoint, request: DoorRequest): Promise<DoorResponse> {
    const door = endpoint.name
    if (this.#inFlightBytes + request.body.length > this.#options.config.limits.maxInFlightBytes)
      return endpoint.unavailable(request, 'overload')
    const decoded = this.#decode(endpoint, request)
    if (decoded.batch === undefined) return endpoint.refused(request, decoded.error)
    const { batch, context, spent } = decoded
    try {
      await this.#publish(this.#recordsOf(batch), request.body.length)
    } catch (error) {
      giveBack(spent)
      this.#publishFailed({ door }, { error: messageOf(error) })
      return endpoint.unavailable(request, 'failure')
    }
    this.#rows.inc({ door }, rowsOf(batch))
    if (batch.kind === 'events') this.#options.alerts?.note(batch, request.receivedMs)
    return endpoint.accepted(request, context, batch)
  }

  /** Counts what is refused and rejected. */
  #decode(endpoint: Endpoint, request: DoorRequest): Decoded {
    const door = endpoint.name
    const { limits, alertTimeoutMs, webhookAlertTimeoutMs } = this.#options.config
    const context: DecodeContext = {
      receivedMs: request.receivedMs,
      alertTimeoutMs,
      webhookAlertTimeoutMs,
      limits,
      naming: this.#naming,
      series: this.#series,
      services: this.#services,
      rejected: new Tally(),
      skipped: new Tally(),
      unread: [],
    }
    let read: RowBatch
    try {
      if (request.body.length > limits.maxBodyBytes)
        throw new DecodeError('too-large', `the body is larger than ${limits.maxBodyBytes} bytes`)
      read = endpoint.decode(request, context)
    } catch (failure) {
      let error = failure
      if (!(error instanceof DecodeError)) {
        // A hole in a decoder: the body will not get better by being sent again, so it must not block its sender.
        this.#decoderFailed({ door }, { error: messageOf(failure) })
        error = new DecodeError('decoder-failed', 'the body cannot be read', { cause: failure })
      }
      this.#rejected.inc({ door, reason: (error as DecodeError).reason })
      return { batch: undefined, error: error as DecodeError }
    }
    const { batch, spent } =
      request.isOwnPace === true ? { batch: read, spent: [] } : this.#budgets.admit(read, request.receivedMs, context.rejected)
    for (const [reason, count] of context.rejected.entries()) this.#rejected.inc({ door, reason }, count)
    for (const [reason, count] of context.skipped.entries()) this.#skipped.inc({ door, reason }, count)
    return { batch, context, spent }
  }

  async #publish(records: readonly OutRecord[], bodyBytes: number): Promise<void> {
    if (records.length === 0) return
    const { transport, topics, config } = this.#options
    let bytes = bodyBytes
    for (const record of records) bytes += record.value.length
    this.#inFlightBytes += bytes
    try {
      // Senders wait 10 to 30 s: an answer after that reaches nobody, and bodies that wait fill the memory.
      await transport.publish(topics.telemetry, records, AbortSignal.timeout(config.limits.maxHandleMs))
    } finally {
      this.#inFlightBytes -= bytes
    }
  }

  #recordsOf(batch: RowBatch): OutRecord[] {
    const { partitions, config } = this.#options
    const records: OutRecord[] = []
    const parts = splitByPartition(batch, partitions)
    if (batch.kind === 'spans') parts.push(...splitByPartition({ ...batch, kind: 'links' }, partitions))
    for (const [partition, part] of parts) encodeInto(records, partition, part, config.limits.maxRecordBytes)
    return records
  }
}

interface DoorCount {
  bodyBytes: number
  rows: number
  taken: number
  refused: number
}

/** Of many requests at a time: a metric is counted up once for all of them. */
class DoorCounts {
  readonly doors = new Map<string, DoorCount>()

  /** `rows` below 0: it was refused. */
  add(door: string, bodyBytes: number, rows: number): void {
    let count = this.doors.get(door)
    if (count === undefined) this.doors.set(door, (count = { bodyBytes: 0, rows: 0, taken: 0, refused: 0 }))
    count.bodyBytes += bodyBytes
    if (rows < 0) count.refused++
    else {
      count.taken++
      count.rows += rows
    }
  }
}

/** One record, or several where one would be larger than the carrier takes. A single row is never cut. */
function encodeInto(records: OutRecord[], partition: number, part: RowBatch, maxRecordBytes: number): void {
  const value = fitsRecord(part) ? encodeBatch(part) : undefined
  if (value !== undefined && value.length <= maxRecordBytes) {
    records.push({ partition, value })
    return
  }
  const cut = halves(part)
  // Tables of one row may hold what belonged to rows that were rejected.
  if (cut === undefined) records.push({ partition, value: encodeBatch(selectRows(part, Uint32Array.of(0))) })
  else for (const half of cut) encodeInto(records, partition, half, maxRecordBytes)
}
