/** Whatever the bytes: a batch or a DecodeError, soon. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/errors.ts'
import { decodeAlerts } from '../../src/ingest/events/alerts.ts'
import { decodeAlertmanagerWebhook } from '../../src/ingest/events/alertmanager-webhook.ts'
import { decodeEvents } from '../../src/ingest/events/events.ts'
import type { DecodeContext } from '../../src/ingest/decode-context.ts'
import { readLine } from '../../src/ingest/logs/log-line.ts'
import { parseLokiLabels } from '../../src/ingest/logs/loki-labels.ts'
import { decodeLokiJson, decodeLokiProtobuf } from '../../src/ingest/logs/loki.ts'
import { decodeOtlpLogs, decodeOtlpLogsJson } from '../../src/ingest/logs/otlp-logs.ts'
import { decodeOtlpTraces, decodeOtlpTracesJson } from '../../src/ingest/spans/otlp-traces.ts'
import { decodeRemoteWrite } from '../../src/ingest/metrics/remote-write.ts'
import { unsnappy, unzip } from '../../src/ingest/wire/request-body.ts'
import { SnappyBlocks } from '../../src/ingest/wire/snappy-block.ts'
import { encodeBatch } from '../../src/codec.ts'
import type { Batch } from '../../src/model.ts'
import { JSON_TYPE, fixture, newContext, recorded } from './doors-fixture.ts'
import { encode } from './protobuf-oracle.ts'

type Decode = (body: Uint8Array, context: DecodeContext) => Batch

const gunzip = (name: string) => unzip(recorded(name).body, 'gzip', 1e7)
const unpack = (name: string) => unsnappy(recorded(name).body, 1e7).slice()
const alerts = Buffer.from(
  JSON.stringify([
    { labels: { alertname: 'A', severity: 'page' }, annotations: { summary: 's' }, startsAt: '2026-11-23T14:29:33.168065435Z' },
  ]),
)
const changes = Buffer.from(
  JSON.stringify({ type: 'deploy', service: 'a', version: '1', title: 't', time: '2026-11-23T14:29:33Z', url: 'https://x/y' }),
)
const exemplars = encode('WriteRequest', {
  timeseries: [
    {
      labels: [{ name: '__name__', value: 'a' }],
      samples: [{ value: 1, timestamp: 5 }],
      exemplars: [{ value: 1 }],
      histograms: [{ sum: 2 }],
    },
  ],
  metadata: [{ help: 'h' }],
})

const DECODERS: readonly (readonly [name: string, decode: Decode, seed: Uint8Array])[] = [
  ['remote write', decodeRemoteWrite, unpack('promtool.rw1.proto-snappy.1')],
  ['remote write with the rest', decodeRemoteWrite, exemplars],
  ['Loki protobuf', decodeLokiProtobuf, unpack('winston-loki.loki.proto.1')],
  ['Loki JSON', decodeLokiJson, recorded('winston-loki.loki.json.1').body],
  ['OTLP traces', decodeOtlpTraces, recorded('telemetrygen.otlp-traces.proto.1').body],
  ['OTLP traces JSON', decodeOtlpTracesJson, recorded('otel-collector.otlp-traces.json.1').body],
  ['OTLP logs', decodeOtlpLogs, gunzip('otel-collector.otlp-logs.proto-gzip.1')],
  ['OTLP logs JSON', decodeOtlpLogsJson, recorded('otel-collector.otlp-logs.json.1').body],
  ['alerts', decodeAlerts, alerts],
  ['changes', (body, context) => decodeEvents(JSON_TYPE, body, context), changes],
  ['CloudEvents', (body, context) => decodeEvents(JSON_TYPE, body, context), fixture('events/cloudevent.json')],
  ['CDEvents', (body, context) => decodeEvents(JSON_TYPE, body, context), fixture('events/cdevent-service-deployed.json')],
  ['Alertmanager webhook', decodeAlertmanagerWebhook, recorded('alertmanager.alertmanager-webhook.json.1').body],
]

function survives(decode: Decode, body: Uint8Array): void {
  let batch: Batch
  try {
    batch = decode(body, newContext())
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError)
    return
  }
  // What was taken can be handed on.
  encodeBatch(batch)
}

describe.each(DECODERS)('%s', (_name, decode, seed) => {
  it('survives being cut off anywhere', () => {
    for (let length = 0; length < seed.length; length += 1 + Math.floor(seed.length / 1_500)) survives(decode, seed.subarray(0, length))
  })

  it('survives flipped bits', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: seed.length - 1 }), fc.nat({ max: 7 })), { minLength: 1, maxLength: 6 }), (flips) => {
        const body = seed.slice()
        for (const [at, bit] of flips) body[at]! ^= 1 << bit
        survives(decode, body)
      }),
      { numRuns: 600 },
    )
  })

  it('survives noise, and pieces of itself put together wrongly', () => {
    const piece = fc.tuple(fc.nat({ max: seed.length }), fc.nat({ max: 200 })).map(([from, length]) => seed.subarray(from, from + length))
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.uint8Array({ maxLength: 60 })), { maxLength: 5 }), (pieces) => {
        survives(decode, Buffer.concat(pieces))
      }),
      { numRuns: 400 },
    )
  })
})

describe('any JSON', () => {
  const decoders = DECODERS.filter(([name]) => name.includes('JSON') || name === 'alerts' || name === 'changes')
  const keys = [
    'streams',
    'stream',
    'values',
    'resourceSpans',
    'resourceLogs',
    'resource',
    'scopeSpans',
    'scopeLogs',
    'spans',
    'logRecords',
    'attributes',
    'key',
    'value',
    'body',
    'kvlistValue',
    'arrayValue',
    'labels',
    'startsAt',
    '__proto__',
    'status',
    'timeUnixNano',
  ]
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 6, withCrossShrink: true },
      fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.constant(null), fc.constantFrom('1', '9'.repeat(20), '2026-11-23T14:29:33Z')),
      fc.array(tie('json'), { maxLength: 4 }),
      fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string()), tie('json'), { maxKeys: 5 }),
    ),
  }))

  it.each(decoders)('%s survives', (_name, decode) => {
    fc.assert(
      fc.property(json, (value) => survives(decode, Buffer.from(JSON.stringify(value)))),
      { numRuns: 1_500 },
    )
  })
})

describe('text from outside', () => {
  it('is never more than a line: readLine', () => {
    const part = fc.constantFrom(
      '{',
      '}',
      '"',
      '\\',
      'level=',
      'msg=',
      ' ',
      '=',
      'error',
      '"msg":"',
      '[',
      ']',
      ':',
      ',',
      '{"log":"',
      'trace_id=0af7651916cd43dd8448eb211c80319c',
      '\n',
      'ü',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(part, fc.string({ maxLength: 8 })), { maxLength: 30 }), (parts) => {
        const { body, severity, traceId } = readLine(parts.join(''))
        expect(typeof body).toBe('string')
        expect(severity).toBeGreaterThanOrEqual(0)
        expect(severity).toBeLessThanOrEqual(24)
        expect(traceId).toMatch(/^(?:|[0-9a-f]{16}|[0-9a-f]{32})$/)
      }),
      { numRuns: 2_000 },
    )
  })

  it('is read as labels or refused: parseLokiLabels', () => {
    const part = fc.constantFrom('{', '}', '"', '\\', '=', ',', '`', 'a', '\\x41', '\\u00e9', '\\U0001f514', '\\101', ' ')
    fc.assert(
      fc.property(fc.array(fc.oneof(part, fc.string({ maxLength: 3 })), { maxLength: 20 }), (parts) => {
        try {
          parseLokiLabels(parts.join(''), 100)
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('takes time in proportion to its length', () => {
    const hostile = [
      'level=x ' + '"'.repeat(60_000),
      'msg="' + '\\"'.repeat(30_000),
      'a=b '.repeat(15_000),
      '{'.repeat(60_000) + '}',
      ' '.repeat(60_000) + 'x',
      'level=' + 'a'.repeat(60_000),
      '['.repeat(60_000),
      'x'.repeat(60_000) + ' msg=y',
      '\\'.repeat(60_000),
      '{"msg":"' + '\\u0020'.repeat(10_000) + '"}',
    ]
    const startedMs = performance.now()
    for (const line of hostile) readLine(line)
    expect(performance.now() - startedMs).toBeLessThan(1_000)
  })
})

describe('snappy blocks', () => {
  it('decode what the reference encoder writes', async () => {
    const { compressSync } = await import('snappy')
    const repetitive = fc
      .array(fc.constantFrom('aaaaaaaaaaaaaaaa', 'abc', 'x', 'http_requests_total', '\0\0\0\0'), { maxLength: 400 })
      .map((parts) => Buffer.from(parts.join('')))
    const blocks = new SnappyBlocks()
    fc.assert(
      fc.property(
        fc.oneof(
          repetitive,
          fc.uint8Array({ maxLength: 3_000 }),
          fc.nat({ max: 200_000 }).map((length) => Buffer.alloc(length, 'ab')),
        ),
        (plain) => {
          expect(Buffer.compare(blocks.decode(compressSync(Buffer.from(plain)), 1e7), plain)).toBe(0)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('survive damage', async () => {
    const { compressSync } = await import('snappy')
    const good = compressSync(Buffer.from('to be or not to be, that is the question; to be or not to be'.repeat(20)))
    const blocks = new SnappyBlocks()
    const plain = Buffer.from(blocks.decode(good, 1e6)).toString()
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 })), { maxLength: 5 }),
        fc.nat({ max: good.length }),
        (changes_, cut) => {
          const damaged = Buffer.from(good.subarray(0, cut))
          for (const [at, byte] of changes_) if (at < cut) damaged[at] = byte
          try {
            const out = blocks.decode(damaged, 1e6)
            expect(out.length).toBeLessThanOrEqual(1e6)
          } catch (error) {
            expect(error).toBeInstanceOf(DecodeError)
          }
        },
      ),
      { numRuns: 2_000 },
    )
    expect(Buffer.from(blocks.decode(good, 1e6)).toString()).toBe(plain)
  })
})
