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
import type { ActiveAlerts } from './active-alerts.ts'
import type { IngestConfig } from './config.ts'
import { Tally } from './decode-context.ts'
import type { DecodeContext } from './decode-context.ts'
import type { Door, DoorRequest, DoorResponse } from './door.ts'
import { textResponse } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import { EVENT_ENDPOINTS } from './event-endpoints.ts'
import { LOKI_ENDPOINTS } from './loki-endpoint.ts'
import { Naming } from './naming.ts'
import { otlpLogsEndpoint, otlpMetricsEndpoint, otlpTracesEndpoint } from './otlp-endpoints.ts'
import { REMOTE_WRITE_ENDPOINTS } from './remote-write-endpoint.ts'
import { SeriesRegistry } from './series-registry.ts'
import { ServiceBudgets, giveBack } from './service-budget.ts'
import { ServiceRegistry } from './service-registry.ts'
import { halves, rowsOf, splitByPartition } from './split.ts'
import type { RowBatch } from './split.ts'
import { zipkinEndpoint } from './zipkin-endpoint.ts'

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

export function createDoors(options: DoorsOptions): Door {
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
    ...EVENT_ENDPOINTS,
  ].map((endpoint) => [endpoint.path, endpoint]),
)

const FORGET_EVERY_MS = 300_000

class Doors implements Door {
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

  async #handle(endpoint: Endpoint, request: DoorRequest): Promise<DoorResponse> {
    const { limits } = this.#options.config
    const door = endpoint.name
    if (request.body.length > limits.maxBodyBytes) {
      return this.#refuse(endpoint, request, new DecodeError('too-large', `the body is larger than ${limits.maxBodyBytes} bytes`))
    }
    if (this.#inFlightBytes + request.body.length > limits.maxInFlightBytes) return endpoint.unavailable(request, 'overload')
    const context: DecodeContext = {
      receivedMs: request.receivedMs,
      alertTimeoutMs: this.#options.config.alertTimeoutMs,
      webhookAlertTimeoutMs: this.#options.config.webhookAlertTimeoutMs,
      limits,
      naming: this.#naming,
      series: this.#series,
      services: this.#services,
      rejected: new Tally(),
      skipped: new Tally(),
    }
    let decoded: RowBatch
    try {
      decoded = endpoint.decode(request, context)
    } catch (error) {
      if (error instanceof DecodeError) return this.#refuse(endpoint, request, error)
      // A hole in a decoder: the body will not get better by being sent again, so it must not block its sender.
      this.#decoderFailed({ door }, { error: messageOf(error) })
      return this.#refuse(endpoint, request, new DecodeError('decoder-failed', 'the body cannot be read', { cause: error }))
    }
    const { batch, spent } =
      request.isOwnPace === true ? { batch: decoded, spent: [] } : this.#budgets.admit(decoded, request.receivedMs, context.rejected)
    for (const [reason, count] of context.rejected.entries()) this.#rejected.inc({ door, reason }, count)
    for (const [reason, count] of context.skipped.entries()) this.#skipped.inc({ door, reason }, count)
    const records = this.#recordsOf(batch)
    let bytes = request.body.length
    for (const record of records) bytes += record.value.length
    this.#inFlightBytes += bytes
    try {
      // Senders wait 10 to 30 s: an answer after that reaches nobody, and bodies that wait fill the memory.
      if (records.length > 0)
        await this.#options.transport.publish(this.#options.topics.telemetry, records, AbortSignal.timeout(limits.maxHandleMs))
    } catch (error) {
      giveBack(spent)
      this.#publishFailed({ door }, { error: messageOf(error) })
      return endpoint.unavailable(request, 'failure')
    } finally {
      this.#inFlightBytes -= bytes
    }
    this.#rows.inc({ door }, rowsOf(batch))
    if (batch.kind === 'events') this.#options.alerts?.note(batch, request.receivedMs)
    return endpoint.accepted(request, context, batch)
  }

  #refuse(endpoint: Endpoint, request: DoorRequest, error: DecodeError): DoorResponse {
    this.#rejected.inc({ door: endpoint.name, reason: error.reason })
    return endpoint.refused(request, error)
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

/** One record, or several where one would be larger than the carrier takes. A single row is never cut. */
function encodeInto(records: OutRecord[], partition: number, part: RowBatch, maxRecordBytes: number): void {
  const value = fitsRecord(part) ? encodeBatch(part) : undefined
  const cut = value === undefined || value.length > maxRecordBytes ? halves(part) : undefined
  if (cut === undefined) records.push({ partition, value: value ?? encodeBatch(part) })
  else for (const half of cut) encodeInto(records, partition, half, maxRecordBytes)
}
