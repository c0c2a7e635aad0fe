/** Lines that come one per record: who wrote them and when, out of the forms that shippers give them. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/errors.ts'
import { decodeLines } from '../../src/ingest/logs/json-line.ts'
import { linesOfText, linesRequest, unframed } from '../../src/ingest/logs/line-records.ts'
import { requestOf } from '../../src/ingest/kafka/kafka-record.ts'
import { NOW_MS, linesOf, newContext, openDoors } from './doors-fixture.ts'
import { encode } from './protobuf-oracle.ts'

const CARRIER_MS = NOW_MS - 5
const AT_MS = Date.parse('2026-11-23T15:59:55.123Z')
const TRACE = '0af7651916cd43dd8448eb211c80319c'

const record = (line: unknown) => ({ value: Buffer.from(typeof line === 'string' ? line : JSON.stringify(line)), timestampMs: CARRIER_MS })

interface Expected {
  service?: string
  instance?: string
  version?: string
  timeMs?: number
  severity?: number
  body?: string
  traceId?: string
}

describe('a line in a record', () => {
  it.each<[what: string, line: unknown, expected: Expected]>([
    [
      'Filebeat, with Kubernetes',
      {
        '@timestamp': '2026-11-23T15:59:55.123Z',
        '@metadata': { beat: 'filebeat', version: '9.1.0' },
        message: 'WARN slow',
        kubernetes: {
          pod: { name: 'cart-6d5f8c9b7d-x2k4p' },
          deployment: { name: 'cart' },
          container: { name: 'main' },
          labels: { app: 'cart' },
        },
        host: { name: 'node-1' },
        stream: 'stderr',
      },
      { service: 'cart', instance: 'cart-6d5f8c9b7d-x2k4p', body: 'WARN slow', severity: 13, timeMs: AT_MS },
    ],
    [
      'Filebeat, Elastic common schema',
      {
        '@timestamp': '2026-11-23T15:59:55.123Z',
        'log.level': 'error',
        message: 'boom',
        service: { name: 'pay', version: '1.2' },
        trace: { id: TRACE },
        host: { name: 'node-1' },
      },
      { service: 'pay', version: '1.2', instance: 'node-1', severity: 17, body: 'boom', timeMs: AT_MS },
    ],
    [
      'Logstash',
      { '@timestamp': '2026-11-23T15:59:55.123+0000', '@version': '1', message: 'up', level: 'INFO', app: 'cart', host: 'h1' },
      { service: 'cart', instance: 'h1', severity: 9, body: 'up', timeMs: AT_MS },
    ],
    [
      'Fluent Bit, seconds with decimals',
      {
        '@timestamp': AT_MS / 1000,
        log: '{"level":"error","msg":"boom"}\n',
        stream: 'stderr',
        kubernetes: { pod_name: 'cart-6d5f8c9b7d-x2k4p', labels: { app: 'cart' } },
      },
      { service: 'cart', severity: 17, body: 'boom', timeMs: AT_MS },
    ],
    [
      'Kubernetes JSON with the recommended label',
      {
        log: 'plain\n',
        stream: 'stdout',
        time: '2026-11-23T15:59:55.123456789Z',
        kubernetes: { labels: { 'app.kubernetes.io/name': 'cart' } },
      },
      { service: 'cart', severity: 0, body: 'plain', timeMs: AT_MS },
    ],
    [
      'Vector',
      { message: 'hi', timestamp: '2026-11-23T15:59:55.123456Z', source_type: 'kubernetes_logs', container_name: 'cart', host: 'node-1' },
      { service: 'cart', instance: 'node-1', body: 'hi', timeMs: AT_MS },
    ],
    [
      'rsyslog jsonf',
      {
        timestamp: '2026-11-23T16:59:55.123+01:00',
        host: 'web-1',
        programname: 'nginx',
        severity: 'err',
        facility: 'daemon',
        message: 'no upstream',
      },
      { service: 'nginx', instance: 'web-1', severity: 17, body: 'no upstream', timeMs: AT_MS },
    ],
    [
      'journald',
      { MESSAGE: 'oom', PRIORITY: '2', SYSLOG_IDENTIFIER: 'kernel', _HOSTNAME: 'web-1', __REALTIME_TIMESTAMP: `${AT_MS}000` },
      { service: 'kernel', instance: 'web-1', severity: 18, body: 'oom', timeMs: AT_MS },
    ],
    [
      'GELF',
      { version: '1.1', host: 'web-1', short_message: 'disk full', timestamp: AT_MS / 1000, level: 3, _service: 'pay' },
      { service: 'pay', instance: 'web-1', severity: 17, body: 'disk full', timeMs: AT_MS },
    ],
    [
      'the raw encoding of the Collector',
      JSON.stringify('said "no" ERROR'),
      { service: 'fallback', severity: 17, body: 'said "no" ERROR', timeMs: CARRIER_MS },
    ],
    ['the raw encoding around JSON', JSON.stringify('{"app":"a","msg":"x","level":"warn"}'), { service: 'a', severity: 13, body: 'x' }],
    [
      'OpenTelemetry-like',
      {
        timestamp: `${AT_MS}000000`,
        severity_text: 'custom',
        severity_number: 18,
        body: 'paid',
        trace_id: TRACE,
        resource: { 'service.name': 'pay', 'service.version': '2' },
      },
      { service: 'pay', version: '2', severity: 18, body: 'paid', traceId: TRACE, timeMs: AT_MS },
    ],
    [
      'OpenTelemetry-like, nested',
      { body: 'x', resource: { attributes: { 'service.name': 'pay', 'host.name': 'h' } } },
      { service: 'pay', instance: 'h' },
    ],
    [
      'pino',
      { time: AT_MS, level: 50, msg: 'failed', hostname: 'h', pid: 1, name: 'x' },
      { service: 'fallback', instance: 'h', severity: 17, timeMs: AT_MS },
    ],
    ['seconds', { ts: AT_MS / 1000, msg: 'x' }, { timeMs: AT_MS }],
    ['a local time without its zone: the time of the carrier', { time: '2026-11-23 15:59:55', msg: 'x' }, { timeMs: CARRIER_MS }],
    ['a time that is a duration', { time: 12.5, msg: 'x' }, { timeMs: CARRIER_MS }],
    ['its own name before that of its pod', { app: 'a', kubernetes: { pod_name: 'b-0' }, msg: 'x' }, { service: 'a', instance: 'b-0' }],
    ['hostile names', '{"msg":"x","__proto__":{"app":"evil"},"kubernetes":5,"service":[]}', { service: 'fallback', body: 'x' }],
    ['text', 'plain ERROR', { service: 'fallback', severity: 17, body: 'plain ERROR', timeMs: CARRIER_MS }],
    ['text in quotes that are no JSON', '"a" and "b"', { body: '"a" and "b"' }],
    ['braces', '{not json}', { service: 'fallback', body: '{not json}' }],
  ])('%s', (_what, line, expected) => {
    const batch = decodeLines([record(line)], 'fallback', newContext())
    const [row] = linesOf(batch)
    expect({ ...row, ...batch.sources[batch.sourceIndex[0]!] }).toMatchObject(expected)
  })

  it('names are those of the configuration', () => {
    const context = newContext({ naming: { logService: ['team_service'] } })
    expect(linesOf(decodeLines([record({ team_service: 'a', app: 'b', msg: 'x' })], '', context))).toMatchObject([{ service: 'a' }])
  })

  it('many records are one batch; one that is too old is counted, one that is too long is cut', () => {
    const context = newContext({ limits: { maxAgeMs: 60_000, maxLineBytes: 50 } })
    const old = record({ time: '2020-01-01T00:00:00Z', msg: 'old' })
    const batch = decodeLines([record('a'), old, record('b'.repeat(80)), record({ app: 'x', msg: 'c' })], 'svc', context)
    expect(linesOf(batch).map(({ service, body }) => [service, body])).toEqual([['svc', 'a'], ['svc', 'b'.repeat(50)], ['x', 'c']]) // prettier-ignore
    expect([context.rejected.text(), context.skipped.text()]).toEqual(['1 too-old', '1 line-cut'])
  })

  it('whatever the bytes, there is a line', () => {
    const context = newContext()
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 40 }),
            fc.json().map((text) => Buffer.from(text)),
          ),
          { maxLength: 5 },
        ),
        (values) => {
          const batch = decodeLines(
            values.map((value) => ({ value, timestampMs: NOW_MS })),
            'svc',
            context,
          )
          expect(batch.rows + context.rejected.total).toBeGreaterThanOrEqual(values.length)
        },
      ),
      { numRuns: 1_000 },
    )
  })
})

describe('many records as one request', () => {
  it('come out as they went in, and the door takes them', async () => {
    const records = [record('one\nstill one'), record({ app: 'x', msg: 'two' }), { value: Buffer.alloc(0), timestampMs: 0 }]
    const request = linesRequest(records, 'svc', NOW_MS)
    expect(unframed(request.body)).toEqual(records.map(({ value, timestampMs }) => ({ value, timestampMs: timestampMs || NOW_MS })))
    const { door, transport } = openDoors({}, 1)
    expect((await door.accept(request)).status).toBe(204)
    expect(linesOf(transport.of('logs')[0]!).map(({ service, body }) => [service, body])).toEqual([
      ['svc', 'one\nstill one'],
      ['x', 'two'],
      ['svc', ''],
    ])
  })

  it('one that is too old is counted and does not take the others with it; alone it is refused', async () => {
    const { door, transport, telemetry } = openDoors({ limits: { maxAgeMs: 60_000 } }, 1)
    const old = record({ time: '2020-01-01T00:00:00Z', msg: 'old' })
    expect((await door.accept(linesRequest([old, record('new')], '', NOW_MS))).status).toBe(204)
    expect(transport.of('logs').flatMap(linesOf)).toMatchObject([{ body: 'new' }])
    expect((await door.accept(linesRequest([old], '', NOW_MS))).status).toBe(400)
    expect(await telemetry.registry.metrics()).toContain('tocsin_door_rows_rejected_total{door="lines",reason="too-old"} 2')
  })

  it('cut off anywhere they are refused, or end with a whole one', () => {
    const { body } = linesRequest([record('one'), record('two')], '', NOW_MS)
    for (let length = 0; length < body.length; length++) {
      try {
        expect(unframed(body.subarray(0, length)).length).toBeLessThan(2)
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError)
      }
    }
  })
})

it('lines of a text', () => {
  const lines = (text: string) => linesOfText(Buffer.from(text), 5).map(({ value }) => Buffer.from(value).toString())
  expect([lines(''), lines('a'), lines('a\n'), lines('\n\na\r\n\r\nb')]).toEqual([[], ['a'], ['a'], ['a', 'b']])
})

describe('what Loki writes to its own topics: one stream per record', () => {
  const stream = encode('Stream', {
    labels: '{app="shop"}',
    entries: Array.from({ length: 30 }, (_, i) => ({ timestamp: { seconds: NOW_MS / 1000 }, line: `line ${i}` })),
    hash: 5,
  })
  const source = { topic: 'loki', signal: 'logs', service: '' } as const

  it.each(['auto', 'loki_stream'] as const)('encoding %s', async (encoding) => {
    const { door, transport } = openDoors({}, 1)
    const from = { offset: 0, value: stream, key: 'tenant', headers: {}, timestampMs: NOW_MS }
    expect((await door.accept(requestOf(from, { ...source, encoding }, 1e6, NOW_MS))).status).toBe(204)
    expect(linesOf(transport.of('logs')[0]!)).toHaveLength(30)
    expect(linesOf(transport.of('logs')[0]!)[0]).toMatchObject({ service: 'shop', body: 'line 0' })
  })
})
