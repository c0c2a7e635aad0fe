/**
 * Every reader of bytes that come from outside, what it is compared with, and what is damaged to test it. A reader gives lines of text that say all
 * it found; `same` is another body in which it must find the same, `expected` what it must find by another program's account.
 */
import { compress, decompress } from '@mongodb-js/zstd'
import { compressSync, uncompressSync } from 'snappy'
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { decodeBatch, decodeFindings, encodeBatch } from '../../src/codec.ts'
import { PermanentError } from '../../src/errors.ts'
import { decodeAdapterSamples } from '../../src/ingest/metrics/adapter-samples.ts'
import { decodeAlertmanagerWebhook } from '../../src/ingest/events/alertmanager-webhook.ts'
import { decodeAlerts } from '../../src/ingest/events/alerts.ts'
import type { DecodeContext } from '../../src/ingest/decode-context.ts'
import { decodeEvents } from '../../src/ingest/events/events.ts'
import { decodeJaegerJson, decodeJaegerProto } from '../../src/ingest/spans/jaeger.ts'
import { JsonFields } from '../../src/ingest/wire/json-fields.ts'
import { decodeLines } from '../../src/ingest/logs/json-line.ts'
import { unframed } from '../../src/ingest/logs/line-records.ts'
import { readLine } from '../../src/ingest/logs/log-line.ts'
import { parseLokiLabels } from '../../src/ingest/logs/loki-labels.ts'
import { decodeLegacyLokiJson, decodeLokiJson, decodeLokiProtobuf } from '../../src/ingest/logs/loki.ts'
import { decodeMimirRecord } from '../../src/ingest/metrics/mimir-record.ts'
import { decodeOtlpLogs, decodeOtlpLogsJson } from '../../src/ingest/logs/otlp-logs.ts'
import { decodeOtlpMetricsJson } from '../../src/ingest/metrics/otlp-metrics-json.ts'
import { decodeOtlpMetrics } from '../../src/ingest/metrics/otlp-metrics.ts'
import { decodeOtlpTraces, decodeOtlpTracesJson } from '../../src/ingest/spans/otlp-traces.ts'
import { decodeRemoteWrite2 } from '../../src/ingest/metrics/remote-write-2.ts'
import { decodeRemoteWrite } from '../../src/ingest/metrics/remote-write.ts'
import { parseMediaType, unzip } from '../../src/ingest/wire/request-body.ts'
import { SnappyBlocks } from '../../src/ingest/wire/snappy-block.ts'
import { decodeZipkinJson, decodeZipkinProto } from '../../src/ingest/spans/zipkin.ts'
import { unzstd } from '../../src/ingest/wire/zstd.ts'
import type { Batch } from '../../src/model.ts'
import { oracleLine } from '../ingest/line-oracle.ts'
import { canonical } from './oracle.ts'
import * as seeds from './seeds.ts'

export interface Reader {
  readonly name: string
  /** What it is compared with, in words. */
  readonly against: string
  readonly form: 'protobuf' | 'json' | 'bytes'
  readonly seeds: readonly Buffer[]
  read(body: Buffer, context: DecodeContext): string[]
  same?(body: Buffer): Buffer | undefined
  /** Undefined where there is nothing to compare. */
  expected?(body: Buffer): string[] | undefined | Promise<string[] | undefined>
  /** What a body that a reader has no business with may throw. */
  readonly throws?: new (message: string) => Error
}

export const REFUSED = 'refused'
const LIMIT = 1 << 20
const gather = (...lists: readonly (readonly Buffer[])[]) => lists.flat()
const text = (body: Uint8Array) => Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')

/** All that a batch says, a row a line. Types of series follow what was said before, so they are left out; the payload of a NaN is lost in protobufjs. */
export function linesOf(batch: Batch): string[] {
  const lines: string[] = []
  const say = (...parts: readonly unknown[]) =>
    void lines.push(parts.map((part) => (typeof part === 'string' ? JSON.stringify(part) : String(part))).join(' '))
  switch (batch.kind) {
    case 'metrics':
      for (let row = 0; row < batch.rows; row++) say(batch.series[batch.seriesIndex[row]!]!.key, batch.timeMs[row], batch.value[row])
      break
    case 'logs':
      for (let row = 0; row < batch.rows; row++) {
        const { service, instance, version } = batch.sources[batch.sourceIndex[row]!]!
        say(service, instance, version, batch.timeMs[row], batch.severity[row], batch.body[row], batch.traceId[row])
      }
      break
    case 'spans':
    case 'links':
      for (let row = 0; row < batch.rows; row++) {
        const { service, instance, version } = batch.sources[batch.sourceIndex[row]!]!
        say(
          service,
          instance,
          version,
          batch.operations[batch.operationIndex[row]!],
          batch.spanKind[row],
          batch.status[row],
          batch.startMs[row],
        )
        say(batch.durationMs[row], batch.traceId[row], batch.spanId[row], batch.parentId[row], batch.peer[row])
      }
      break
    case 'events':
      for (const event of batch.events) say(JSON.stringify(event))
      break
    default:
      say(batch.nowMs)
  }
  return lines
}

type Decode = (body: Uint8Array, context: DecodeContext) => Batch

function batchReader(name: string, form: Reader['form'], decode: Decode, bodies: readonly Buffer[]): Reader {
  return {
    name,
    against: form === 'json' ? 'JSON.parse and JSON.stringify of the same body' : 'nothing but the rules for all',
    form,
    seeds: bodies,
    read(body, context) {
      const batch = decode(body, context)
      // What was taken can be handed on, and comes out as it went in.
      const lines = linesOf(batch)
      const carried = linesOf(decodeBatch(encodeBatch(batch)))
      const differs = lines.findIndex((line, i) => line !== carried[i])
      if (differs >= 0 || lines.length !== carried.length) throw new Error(`the codec makes ${carried[differs]} of ${lines[differs]}`)
      return [...lines, `rejected ${context.rejected.text()}`, `skipped ${context.skipped.text()}`]
    },
    ...(form === 'json' && { same: rewritten }),
  }
}

/** The same JSON without spaces, escapes and names that come twice. */
function rewritten(body: Buffer): Buffer | undefined {
  try {
    const plain = text(body)
    // Beyond what a number holds it is infinite, which JSON cannot write.
    if (/\d[eE]\+?\d{3}/.test(plain)) return undefined
    return Buffer.from(JSON.stringify(JSON.parse(plain.charCodeAt(0) === 0xfeff ? plain.slice(1) : plain)))
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return undefined
    throw error
  }
}

function protobufReader(name: string, message: string, decode: Decode, bodies: readonly Buffer[]): Reader {
  return {
    ...batchReader(name, 'protobuf', decode, bodies),
    against: `protobufjs (${message})`,
    same: (body) => canonical(message, body),
  }
}

const JSON_HEADERS = { 'content-type': 'application/json' }
const blocks = new SnappyBlocks()
const PLAIN = gather(
  [seeds.METRICS, Buffer.alloc(3_000, 'ab'), Buffer.from('to be or not to be, that is the question; '.repeat(30)), Buffer.alloc(0)],
  seeds.recorded(/^prometheus-3\.rw1/),
)

/** Of a block or frame that declares more, the reference libraries take the memory. */
function snappyDeclares(body: Buffer): number {
  let length = 0
  for (let i = 0; i < 5 && i < body.length; i++) {
    length += (body[i]! & 127) * 2 ** (7 * i)
    if (body[i]! < 128) return length
  }
  return Number.POSITIVE_INFINITY
}

const JSON_NAMES = ['msg', 'level', 'trace_id', 'log', 'err', '__proto__', 'n', 'time', 'kubernetes', '@timestamp', '']
const fields = new JsonFields(JSON_NAMES)

function jsonFieldsIn(body: Buffer): string[] {
  if (!fields.scan(body, 0, body.length)) return [REFUSED]
  return JSON_NAMES.flatMap((name, slot) => {
    if (name === '' || !fields.has(slot)) return []
    const value =
      fields.text(slot, body) ??
      fields.number(slot, body) ??
      (JSON.parse(body.toString('utf8', fields.from[slot], fields.to[slot])) as unknown)
    return [`${name} ${JSON.stringify(value)}`]
  })
}

function jsonFieldsByParse(body: Buffer): string[] | undefined {
  const plain = body.toString('utf8')
  // Bytes that are no UTF-8 become another text, in which positions differ.
  if (!plain.startsWith('{') || !plain.endsWith('}') || plain.includes('\ufffd')) return plain.includes('\ufffd') ? undefined : [REFUSED]
  let root: Record<string, unknown>
  try {
    root = JSON.parse(plain) as Record<string, unknown>
  } catch (error) {
    if (error instanceof SyntaxError) return [REFUSED]
    throw error
  }
  return JSON_NAMES.flatMap((name) => (name !== '' && Object.hasOwn(root, name) ? [`${name} ${JSON.stringify(root[name])}`] : []))
}

export const READERS: readonly Reader[] = [
  protobufReader('remote-write', 'WriteRequest', decodeRemoteWrite, gather([seeds.REMOTE_WRITE], seeds.recorded(/\.rw1\./))),
  protobufReader('remote-write-2', 'Request', decodeRemoteWrite2, gather([seeds.REMOTE_WRITE_2], seeds.recorded(/\.rw2\./))),
  protobufReader('mimir-2', 'Request', (body, context) => decodeMimirRecord(2, body, context), [seeds.MIMIR_2]),
  protobufReader('loki', 'PushRequest', decodeLokiProtobuf, gather([seeds.LOKI], seeds.recorded(/\.loki\.proto/))),
  protobufReader('otlp-traces', 'TracesData', decodeOtlpTraces, gather([seeds.TRACES, seeds.fixture('kafka/otlp_spans.proto.record')], seeds.recorded(/otlp-traces\.proto/))), // prettier-ignore
  protobufReader('otlp-logs', 'LogsData', decodeOtlpLogs, gather([seeds.LOGS, seeds.fixture('kafka/otlp_logs.proto.record')], seeds.recorded(/otlp-logs\.proto/))), // prettier-ignore
  protobufReader('otlp-metrics', 'MetricsData', decodeOtlpMetrics, gather([seeds.METRICS, seeds.fixture('kafka/otlp_metrics.proto.record')], seeds.recorded(/otlp-metrics\.proto/))), // prettier-ignore
  protobufReader('jaeger', 'JaegerSpan', decodeJaegerProto, [seeds.JAEGER]),
  protobufReader('zipkin', 'ListOfSpans', decodeZipkinProto, [seeds.ZIPKIN]),
  batchReader('loki-json', 'json', decodeLokiJson, seeds.recorded(/\.loki\.json/)),
  batchReader('loki-legacy', 'json', decodeLegacyLokiJson, [seeds.LOKI_LEGACY]),
  batchReader('otlp-traces-json', 'json', decodeOtlpTracesJson, gather([seeds.fixture('kafka/otlp_spans.json.record')], seeds.recorded(/otlp-traces\.json/))), // prettier-ignore
  batchReader('otlp-logs-json', 'json', decodeOtlpLogsJson, gather([seeds.fixture('kafka/otlp_logs.json.record')], seeds.recorded(/otlp-logs\.json/))), // prettier-ignore
  batchReader('otlp-metrics-json', 'json', decodeOtlpMetricsJson, gather([seeds.fixture('kafka/otlp_metrics.json.record')], seeds.recorded(/otlp-metrics\.json/))), // prettier-ignore
  batchReader('jaeger-json', 'json', decodeJaegerJson, [seeds.JAEGER_JSON]),
  batchReader('zipkin-json', 'json', decodeZipkinJson, [seeds.ZIPKIN_JSON]),
  batchReader('alerts', 'json', decodeAlerts, [seeds.ALERTS]),
  batchReader('alertmanager-webhook', 'json', decodeAlertmanagerWebhook, seeds.recorded(/alertmanager-webhook/)),
  batchReader('events', 'json', (body, context) => decodeEvents(JSON_HEADERS, body, context), [seeds.CHANGES, seeds.fixture('events/cloudevent.json'), seeds.fixture('events/cdevent-service-deployed.json')]), // prettier-ignore
  batchReader('adapter-samples', 'json', decodeAdapterSamples, [seeds.ADAPTER]),
  batchReader('lines', 'bytes', (body, context) => decodeLines([{ value: body, timestampMs: seeds.NOW_MS }], 'none', context), seeds.LINES),
  batchReader('framed-lines', 'bytes', (body, context) => decodeLines(unframed(body), '', context), [framed(seeds.LINES)]),
  {
    name: 'json-fields',
    against: 'JSON.parse',
    form: 'json',
    seeds: seeds.LINES.filter((line) => line[0] === 0x7b),
    read: jsonFieldsIn,
    expected: jsonFieldsByParse,
  },
  {
    name: 'line',
    against: 'JSON.parse and regular expressions',
    form: 'bytes',
    seeds: seeds.LINES,
    read(body) {
      const { body: message, severity, traceId } = readLine(text(body))
      return [message, String(severity), traceId]
    },
    expected(body) {
      const { body: message, severity, traceId } = oracleLine(text(body))
      return [message, String(severity), traceId]
    },
  },
  {
    name: 'loki-labels',
    against: 'itself: labels written again give the same labels',
    form: 'bytes',
    seeds: ['{app="shop", path="C:\\\\logs", a="\\x41\\u00e9\\U0001f514\\101\\n"}', '{ a = `b` , c="d" }', '{}'].map((one) =>
      Buffer.from(one),
    ),
    read: (body) => parseLokiLabels(text(body), 64).map(([name, value]) => `${name}=${JSON.stringify(value)}`),
    same(body) {
      try {
        const labels = parseLokiLabels(text(body), 64)
        const quoted = (value: string) => value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')
        return Buffer.from(`{${labels.map(([name, value]) => `${name}="${quoted(value)}"`).join(',')}}`)
      } catch (error) {
        if (error instanceof PermanentError) return undefined
        throw error
      }
    },
  },
  {
    name: 'snappy',
    against: 'the snappy library',
    form: 'bytes',
    seeds: PLAIN.map((plain) => compressSync(plain)),
    read: (body) => [Buffer.from(blocks.decode(body, LIMIT)).toString('latin1')],
    expected(body) {
      if (snappyDeclares(body) > LIMIT) return undefined
      try {
        return [(uncompressSync(body) as Buffer).toString('latin1')]
      } catch {
        // Whatever it says of a damaged block.
        return [REFUSED]
      }
    },
  },
  {
    name: 'zstd',
    against: 'the zstd library, where it takes a frame',
    form: 'bytes',
    seeds: seeds.ZSTD,
    read: (body) => [Buffer.from(unzstd(body, LIMIT)).toString('latin1')],
    async expected(body) {
      // It takes the memory that a frame declares, and reads the first frame only.
      try {
        if (unzstd(body, LIMIT).length === 0) return undefined
      } catch (error) {
        if (error instanceof PermanentError && /larger than|dictionary/.test(error.message)) return undefined
      }
      try {
        const plain = [(await decompress(body)).toString('latin1')]
        unzstd(body, LIMIT)
        return plain
      } catch {
        // It verifies checksums, we do not; we verify that streams are used up, it does not.
        return undefined
      }
    },
  },
  {
    name: 'zstd-valid',
    against: 'the zstd library, which compressed it',
    form: 'bytes',
    seeds: PLAIN,
    read: () => ['the same'],
    async expected(body) {
      const frame = await compress(body, [-7, 1, 3, 9, 19][body.length % 5])
      return [body.equals(unzstd(frame, LIMIT)) ? 'the same' : 'something else']
    },
  },
  {
    name: 'snappy-valid',
    against: 'the snappy library, which compressed it',
    form: 'bytes',
    seeds: PLAIN,
    read: (body) => [Buffer.from(blocks.decode(compressSync(body), LIMIT)).toString('latin1')],
    expected: (body) => [body.toString('latin1')],
  },
  {
    name: 'gzip',
    against: 'nothing but the rules for all',
    form: 'bytes',
    seeds: PLAIN.map((plain) => gzipSync(plain)),
    read: (body) => [String(unzip(body, 'gzip', LIMIT).length)],
  },
  {
    name: 'deflate',
    against: 'nothing but the rules for all',
    form: 'bytes',
    seeds: PLAIN.flatMap((plain) => [deflateSync(plain), deflateRawSync(plain)]),
    read: (body) => [String(unzip(body, 'deflate', LIMIT).length)],
  },
  {
    name: 'codec',
    against: 'itself: what is read is written and read again',
    form: 'bytes',
    seeds: ['v1', 'v2'].flatMap((version) =>
      ['metrics', 'logs', 'spans', 'links', 'events', 'tick'].map((kind) => seeds.fixture(`codec/${version}.${kind}.record`)),
    ),
    throws: PermanentError,
    read(body) {
      const batch = decodeBatch(body)
      const lines = linesOf(batch)
      const again = linesOf(decodeBatch(encodeBatch(batch)))
      if (lines.join('\n') !== again.join('\n')) throw new Error('a batch that was read is written as another')
      return lines
    },
  },
  {
    name: 'findings',
    against: 'nothing but the rules for all',
    form: 'json',
    seeds: [
      Buffer.from('{"version":1,"findings":[{"kind":"progress","partition":1,"nowMs":5},{"kind":"change","title":{"$":"undefined"}}]}'),
    ],
    throws: PermanentError,
    read: (body) => [JSON.stringify(decodeFindings(body))],
  },
  {
    name: 'media-type',
    against: 'nothing but the rules for all',
    form: 'bytes',
    seeds: ['application/x-protobuf;proto=io.prometheus.write.v2.Request', 'application/json; charset="utf-8"; a=b'].map((one) =>
      Buffer.from(one),
    ),
    read: (body) => [JSON.stringify(parseMediaType(text(body)) ?? null)],
  },
]

function framed(lines: readonly Buffer[]): Buffer {
  return Buffer.concat(
    lines.flatMap((line) => {
      const head = Buffer.alloc(12)
      head.writeUInt32LE(line.length, 0)
      head.writeDoubleLE(seeds.NOW_MS, 4)
      return [head, line]
    }),
  )
}
