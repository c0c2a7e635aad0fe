/**
 * Tocsin as senders meet it: the real program, which records what arrives. What was understood is read off the recording, through the same
 * decoders that answered.
 */
import { join } from 'node:path'
import { DecodeError } from '../../src/errors.ts'
import { ENDPOINTS } from '../../src/ingest/doors.ts'
import { readRecording } from '../../src/ingest/recording/recording.ts'
import type { Batch, EventBatch, LogBatch, MetricBatch, SpanBatch, Tick } from '../../src/model.ts'
import { newContext } from '../ingest/doors-fixture.ts'
import { freePorts } from './processes.ts'
import { countersOf, rowsByDoor, startTocsin } from './tocsin.ts'

export interface Understood {
  readonly metrics: MetricBatch[]
  readonly logs: LogBatch[]
  readonly spans: SpanBatch[]
  readonly links: SpanBatch[]
  readonly events: EventBatch[]
  readonly tick: Tick[]
  /** Requests by what they said: `/api/v1/write zstd`. */
  readonly requests: string[]
  /** Requests that could not be read at all: `/api/v1/write unsupported`. */
  readonly refused: string[]
  /** Rows of readable requests: `1 no-name`; '' when none was refused. */
  readonly rejected: string
  readonly skipped: Readonly<Record<string, number>>
}

export interface Listener extends AsyncDisposable {
  /** http://127.0.0.1:… */
  readonly url: string
  /** host:port of HTTP and of OTLP/gRPC. */
  readonly host: string
  readonly grpcHost: string
  /** Rows taken so far, by door. */
  rows(): Promise<Readonly<Record<string, number>>>
  /** Requests so far, by status. */
  answers(): Promise<Readonly<Record<string, number>>>
  /** Stops it and reads what it heard. */
  understood(): Promise<Understood>
}

export async function startListener(folder: string): Promise<Listener> {
  const recording = join(folder, 'recording')
  const [port, grpcPort] = (await freePorts(2)) as [number, number]
  const tocsin = await startTocsin(['record', recording, '--set', `ingest.grpc.port=${grpcPort}`], port)
  return {
    url: tocsin.url,
    host: `127.0.0.1:${port}`,
    grpcHost: `127.0.0.1:${grpcPort}`,
    rows: () => rowsByDoor(tocsin.url),
    answers: () => countersOf(tocsin.url, 'tocsin_door_requests_total', 'status'),
    async understood() {
      const code = await tocsin.stop()
      if (code !== 0) throw new Error(`tocsin ended with ${code}:\n${tocsin.output()}`)
      return readUnderstood(recording)
    },
    [Symbol.asyncDispose]: () => tocsin[Symbol.asyncDispose](),
  }
}

export async function readUnderstood(recording: string): Promise<Understood> {
  const heard = { metrics: [], logs: [], spans: [], links: [], events: [], tick: [] } as Record<Batch['kind'], Batch[]>
  const requests: string[] = []
  const refused: string[] = []
  const context = newContext()
  for await (const request of readRecording(recording)) {
    requests.push(`${request.path} ${request.headers['content-type'] ?? ''}`.trim())
    try {
      const batch: Batch = ENDPOINTS.get(request.path)!.decode(request, { ...context, receivedMs: request.receivedMs })
      heard[batch.kind].push(batch)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      refused.push(`${request.path} ${error.reason}`)
    }
  }
  return {
    ...(heard as unknown as Pick<Understood, Batch['kind']>),
    requests,
    refused,
    rejected: context.rejected.text(),
    skipped: Object.fromEntries(context.skipped.entries()),
  }
}
