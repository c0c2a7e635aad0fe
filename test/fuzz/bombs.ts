/**
 * Small bodies that would become large: each goes through the doors in a process with little memory, which says what it was answered and how much
 * memory it took. Started by test/ingest/bombs.test.ts.
 */
import { gzipSync } from 'node:zlib'
import { compressSync } from 'snappy'
import { NOW_MS, openDoors, post } from '../ingest/doors-fixture.ts'
import { field } from '../ingest/protobuf-oracle.ts'

const MB = 2 ** 20
const BYTES = 60 * MB
const PROTOBUF = { 'content-type': 'application/x-protobuf' }
const JSON_TYPE = { 'content-type': 'application/json' }
const TEXT = { 'content-type': 'text/plain' }
const GZIP = { 'content-encoding': 'gzip' }
const SECOND = { 'content-type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request' }

const f = (number: number, bytes: Uint8Array | string) => Buffer.from(field(number, Buffer.from(bytes)))
const often = (unit: string) => Buffer.alloc(BYTES - (BYTES % (unit.length / 2)), unit, 'hex')
const metric = (number: number, point: Uint8Array) =>
  f(1, f(2, f(2, Buffer.concat([f(1, 'm'), f(number, Buffer.concat([f(1, point), Buffer.of(0x10, 2)]))]))))
const log = (value: Uint8Array) => f(1, f(2, f(2, f(5, value))))
const series = (...fields: Buffer[]) => f(1, Buffer.concat([f(1, Buffer.concat([f(1, '__name__'), f(2, 'a')])), ...fields]))

/** So many different keys, each in a message of its own. */
function keys(count: number, number: number): Buffer {
  const out = Buffer.alloc(count * 12)
  let at = 0
  for (let i = 0; i < count; i++) {
    const key = i.toString(36)
    at = out.writeUInt8(number * 8 + 2, at)
    at = out.writeUInt8(key.length + 2, at)
    at = out.writeUInt8(0x0a, at)
    at = out.writeUInt8(key.length, at)
    at += out.write(key, at, 'latin1')
  }
  return out.subarray(0, at)
}

const now = Buffer.alloc(9, 0x19)
now.writeBigUInt64LE(BigInt(NOW_MS) * 1_000_000n, 1)

type Bomb = readonly [path: string, headers: Readonly<Record<string, string>>, body: () => Uint8Array]

const BOMBS: Readonly<Record<string, Bomb>> = {
  'snappy that declares 60 MB': ['/api/v1/write', PROTOBUF, () => Buffer.from('8080801d000000', 'hex')],
  'a histogram with 60 million deltas': ['/api/v1/write', PROTOBUF, () => compressSync(series(f(4, f(12, often('02')))))],
  'a histogram whose spans claim 2^31 buckets': ['/api/v1/write', PROTOBUF, () => compressSync(series(f(4, f(11, Buffer.from('10ffffffff07', 'hex')))))],
  'a series with millions of labels': ['/api/v1/write', PROTOBUF, () => compressSync(f(1, often('0a060a0161120162')))],
  'millions of symbols': ['/api/v1/write', SECOND, () => compressSync(often('2200'))],
  'millions of references': ['/api/v1/write', SECOND, () => compressSync(Buffer.concat([f(4, ''), f(5, Buffer.concat([f(1, often('00')), f(2, '')]))]))],
  'an exponential histogram with 60 million buckets': ['/v1/metrics', PROTOBUF, () => metric(10, f(8, f(2, often('01'))))],
  'a summary with millions of quantiles': ['/v1/metrics', PROTOBUF, () => metric(11, often('3200'))],
  'a point with millions of attributes': ['/v1/metrics', PROTOBUF, () => metric(5, Buffer.concat([keys(4e6, 7), now, Buffer.from('210000000000000000', 'hex')]))],
  'a resource with millions of attributes': ['/v1/traces', PROTOBUF, () => f(1, f(1, keys(4e6, 1)))],
  'a span with millions of attributes': ['/v1/traces', PROTOBUF, () => f(1, f(2, f(2, often('4a00'))))],
  'a log body that is a list of millions': ['/v1/logs', PROTOBUF, () => log(f(5, often('0a00')))],
  'a log body that is a map of millions': ['/v1/logs', PROTOBUF, () => log(f(6, keys(4e6, 1)))],
  'labels of a stream in millions': ['/loki/api/v1/push', PROTOBUF, () => compressSync(f(1, f(1, `{${Array.from({ length: 2e6 }, (_, i) => `a${i}="b"`).join(',')}}`)))],
  'metadata of a line in millions': ['/loki/api/v1/push', PROTOBUF, () => compressSync(f(1, Buffer.concat([f(1, '{}'), f(2, often('1a00'))])))],
  'a zipkin span with millions of tags': ['/api/v2/spans', PROTOBUF, () => f(1, keys(4e6, 11))],
  'JSON of empty arrays': ['/loki/api/v1/push', JSON_TYPE, () => Buffer.from(`{"streams":[${'[],'.repeat(BYTES / 3)}[]]}`)],
  'JSON of empty objects': ['/v1/traces', JSON_TYPE, () => Buffer.from(`{"resourceSpans":[${'{},'.repeat(BYTES / 3)}{}]}`)],
  'JSON nested 30 million deep': ['/api/v2/alerts', JSON_TYPE, () => Buffer.from('['.repeat(BYTES / 2) + ']'.repeat(BYTES / 2))],
  'JSON nested a million deep': ['/loki/api/v1/push', JSON_TYPE, () => Buffer.from('['.repeat(1e6) + ']'.repeat(1e6))],
  'a line of JSON nested 30 million deep': ['/loki/api/v1/raw', TEXT, () => Buffer.from(`{"a":${'['.repeat(BYTES / 2)}${']'.repeat(BYTES / 2)}}`)],
} // prettier-ignore

for (const [name, [path, headers, bodyOf]] of Object.entries(BOMBS)) {
  const plain = bodyOf()
  // Snappy by its own door, gzip everywhere else.
  const packed = headers === SECOND || path === '/api/v1/write' || (path === '/loki/api/v1/push' && headers === PROTOBUF)
  const body = packed ? plain : gzipSync(plain, { level: 1 })
  const { door, telemetry } = openDoors({ limits: { maxBodyBytes: 64 * MB } })
  const before = process.cpuUsage()
  const response = await door.accept(post(path, packed ? headers : { ...headers, ...GZIP }, body))
  const { user, system } = process.cpuUsage(before)
  const failed = (await telemetry.registry.metrics()).includes('door_decoder_failed_total{')
  // Good telemetry goes through as before.
  const good = await door.accept(
    post('/loki/api/v1/push', JSON_TYPE, `{"streams":[{"stream":{"app":"a"},"values":[["${NOW_MS}000000","x"]]}]}`),
  )
  console.log(JSON.stringify({ name, status: response.status, cpuMs: Math.round((user + system) / 1000), failed, good: good.status }))
}
console.log(JSON.stringify({ maxRssMb: Math.round(process.resourceUsage().maxRSS / 1024) }))
