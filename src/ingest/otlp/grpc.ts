/**
 * OTLP over gRPC: the three services of the collector protocol, which hand the message as it came to the same doors as OTLP/HTTP. A bad
 * request is INVALID_ARGUMENT and not retried; what is our own fault is UNAVAILABLE or RESOURCE_EXHAUSTED with RetryInfo, which senders
 * wait for. https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
 * How many calls are under way is bounded, so that their messages fit into `maxInFlightBytes` however large each is.
 */
import { Metadata, Server, ServerCredentials, ServerInterceptingCall, setLogger, status } from '@grpc/grpc-js'
import type { sendUnaryData, ServerInterceptor, ServerUnaryCall, ServiceDefinition } from '@grpc/grpc-js'
import { messageOf } from '../../errors.ts'
import type { Happening, Telemetry } from '../../telemetry.ts'
import { authorized } from '../wire/bearer.ts'
import type { Limits } from '../config.ts'
import type { Door, DoorResponse } from '../door.ts'
import { RETRY_AFTER_S } from '../endpoint.ts'
import { ProtobufReader } from '../wire/protobuf-reader.ts'
import { field } from '../wire/protobuf-writer.ts'

export interface GrpcOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly door: Door
  readonly limits: Pick<Limits, 'maxBodyBytes' | 'maxInFlightBytes' | 'maxReceiveMs'>
  /** When not empty, senders must say `authorization: Bearer <token>`. */
  readonly token: string
  readonly telemetry: Telemetry
  readonly clock: () => number
}

export interface GrpcDoors {
  readonly port: number
  /** Lets nobody in any more and waits for the calls under way; those that take longer than `patienceMs` are cut off. */
  stop(patienceMs: number): Promise<void>
}

/** The address is taken by another program. */
export class AddressInUseError extends Error {
  override readonly name = 'AddressInUseError'
}

const SERVICES: readonly (readonly [service: string, path: string])[] = [
  ['opentelemetry.proto.collector.trace.v1.TraceService', '/v1/traces'],
  ['opentelemetry.proto.collector.metrics.v1.MetricsService', '/v1/metrics'],
  ['opentelemetry.proto.collector.logs.v1.LogsService', '/v1/logs'],
]
const HEADERS = { 'content-type': 'application/x-protobuf', 'content-encoding': 'identity' }

/** Opens the port. Throws an AddressInUseError where another program has it. */
export async function openGrpcDoors(options: GrpcOptions): Promise<GrpcDoors> {
  const { host, port, limits, telemetry } = options
  const { log } = telemetry
  // Of its own accord grpc-js writes to the console.
  const say = (...words: unknown[]) => log.debug({ event: 'grpc_log' }, words.map(String).join(' '))
  setLogger({ error: say, info: say, debug: say })
  const calls = new Calls(options)
  const server = new Server({
    'grpc.max_receive_message_length': limits.maxBodyBytes,
    'grpc.max_concurrent_streams': calls.most,
    interceptors: [calls.interceptor],
  })
  const failed = telemetry.happening({
    name: 'grpc_call_failed',
    help: 'A gRPC call failed; its sender was asked to retry',
    level: 'error',
    labels: ['path'],
  })
  for (const [service, path] of SERVICES) server.addService(definitionOf(service), { Export: handlerOf(path, options, failed) })
  telemetry.gauge('grpc_calls_under_way', 'gRPC calls being received or handled', [], (gauge) => gauge.set(calls.underWay))
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host.includes(':') ? `[${host}]` : host}:${port}`, ServerCredentials.createInsecure(), (error, taken) => {
      if (error === null) resolve(taken)
      else {
        server.forceShutdown()
        reject(error.message.includes('EADDRINUSE') ? new AddressInUseError(messageOf(error), { cause: error }) : error)
      }
    })
  })
  return { port: bound, stop: (patienceMs) => stopped(server, patienceMs) }
}

function stopped(server: Server, patienceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(() => {
      server.forceShutdown()
      resolve()
    }, patienceMs)
    server.tryShutdown(() => {
      clearTimeout(late)
      resolve()
    })
  })
}

function definitionOf(service: string): ServiceDefinition {
  const same = (bytes: Buffer) => bytes
  return {
    Export: {
      path: `/${service}/Export`,
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  }
}

function handlerOf(path: string, { door, clock, limits }: GrpcOptions, failed: Happening<'path'>) {
  return (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void => {
    const body = call.request
    if (body.length > limits.maxBodyBytes) {
      answer({ code: status.RESOURCE_EXHAUSTED, details: `the message is larger than ${limits.maxBodyBytes} bytes` })
      return
    }
    door.accept({ path, headers: HEADERS, body, receivedMs: clock() }).then(
      (response) => answerWith(response, answer),
      (error: unknown) => {
        failed({ path }, { error: messageOf(error) })
        answer(refusal(status.UNAVAILABLE, 'cannot store telemetry now, try again', RETRY_AFTER_S.failure))
      },
    )
  }
}

function answerWith(response: DoorResponse, answer: sendUnaryData<Buffer>): void {
  const body = Buffer.from(response.body)
  if (response.status === 200) answer(null, body)
  else answer(refusal(codeOf(response.status), messageIn(body), response.headers['retry-after']))
}

/** 413 is final, which RESOURCE_EXHAUSTED without RetryInfo says; 429 comes with it. */
function codeOf(httpStatus: number): status {
  if (httpStatus === 413 || httpStatus === 429) return status.RESOURCE_EXHAUSTED
  return httpStatus >= 500 ? status.UNAVAILABLE : status.INVALID_ARGUMENT
}

/** The message of a google.rpc.Status, which is what the doors answer with. */
function messageIn(body: Buffer): string {
  const reader = new ProtobufReader(body)
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x12) return reader.text()
    reader.skip(tag)
  }
  return ''
}

/** With RetryInfo in the details where a delay is given: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto */
function refusal(code: status, details: string, retryAfterS?: string): { code: status; details: string; metadata: Metadata } {
  const metadata = new Metadata()
  if (retryAfterS !== undefined) {
    const delay = Buffer.of(0x08, Number(retryAfterS))
    const any = Buffer.concat([field(1, Buffer.from('type.googleapis.com/google.rpc.RetryInfo')), field(2, field(1, delay))])
    metadata.set('grpc-status-details-bin', Buffer.concat([Buffer.of(0x08, code), field(2, Buffer.from(details)), field(3, any)]))
  }
  return { code, details, metadata }
}

/** Who may call, how many at a time, and how long a message may take to come in: settled before its first byte is kept. */
class Calls {
  /** With each of them as large as it may be they fill what may be in flight. */
  readonly most: number
  underWay = 0
  readonly #options: GrpcOptions

  constructor(options: GrpcOptions) {
    this.#options = options
    this.most = Math.max(1, Math.floor(options.limits.maxInFlightBytes / options.limits.maxBodyBytes))
  }

  readonly interceptor: ServerInterceptor = (_, call) => {
    let counted = false
    let timer: NodeJS.Timeout | undefined
    const release = () => {
      clearTimeout(timer)
      if (counted) this.underWay--
      counted = false
    }
    return new ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, pass) => {
            const { token, limits } = this.#options
            const [given] = metadata.get('authorization')
            if (token !== '' && !authorized(given?.toString(), token)) {
              call.sendStatus({ code: status.UNAUTHENTICATED, details: 'this door wants authorization: Bearer <token>' })
              return
            }
            if (this.underWay >= this.most) {
              call.sendStatus(refusal(status.RESOURCE_EXHAUSTED, 'too much in flight, try again', RETRY_AFTER_S.overload))
              return
            }
            this.underWay++
            counted = true
            timer = setTimeout(() => {
              release()
              call.sendStatus({ code: status.DEADLINE_EXCEEDED, details: `the message did not come in within ${limits.maxReceiveMs} ms` })
            }, limits.maxReceiveMs)
            pass(metadata)
          },
          onReceiveMessage: (message: unknown, pass) => {
            clearTimeout(timer)
            pass(message)
          },
          onReceiveHalfClose: (pass) => pass(),
          onCancel: release,
        })
      },
      sendStatus: (end, next) => {
        release()
        next(end)
      },
    })
  }
}
