/**
 * The same requests to Prometheus 3.16's own remote-write receiver and to ours: same statuses, same counts of what was written. Where we differ on
 * purpose, it is listed here with the reason, and the list is complete.
 */
import { gzipSync } from 'node:zlib'
import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { remoteWrite2At } from '../ingest/remote-write-cases.ts'
import { encode } from '../ingest/protobuf-oracle.ts'
import { VERSION_1, VERSION_2, snappy } from '../ingest/remote-write-oracle.ts'
import { startListener, type Listener } from '../support/listener.ts'
import { freePorts } from '../support/processes.ts'
import { programFolder, startProgram, type LoggingProgram } from '../support/programs.ts'
import { builtSender } from '../support/services.ts'
import { report } from './bench.ts'

/** What Prometheus answers where we answer otherwise, and why we do. */
const DIFFERENCES: Readonly<Record<string, readonly [theirs: string, why: string]>> = {
  'a sample before the one before': ['400 1 0 0', 'baselines are learned in windows of event time: late samples still count'],
  '1.0: the older one': ['400', 'the same'],
  'nothing but exemplars': ['400 1 0 0', 'what Prometheus itself sends, see prometheus/prometheus#17857: nobody is to log errors for it'],
  '65 labels': ['204 2 0 0', 'limits.maxLabels; Prometheus has such a limit for what it scrapes only'],
  'a value too long': ['204 2 0 0', 'limits.maxLabelValueChars'],
  'a value too long to be kept': ['204 2 0 0', 'limits.maxLabelValueChars'],
  'a first symbol that is not empty': ['204 1 0 0', 'the specification forbids it; a reference of 0 would mean this text'],
  '2.0: 1.0 inside': ['204 0 0 0', 'all of it would be lost without a word'],
  '1.0: no name': ['204', 'Prometheus drops such series of 1.0 without a word; it answers 400 in 2.0'],
  '1.0: an empty name': ['204', 'the same'],
  '1.0: a label twice': ['204', 'the same'],
  '2.0: not snappy': ['400', 'same status; we say that nothing was written'],
  '2.0: zstd': ['415', 'same status; we say that nothing was written'],
}

interface Sent {
  readonly name: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

const series1 = (nowMs: number, name: string, ...more: [string, string][]) => ({
  labels: [['__name__', name], ...more].map(([label, value]) => ({ name: label, value })),
  samples: [{ value: 1, timestamp: nowMs }],
})
const write1 = (...timeseries: object[]) => snappy(encode('WriteRequest', { timeseries }))

/** A second for each request, so that none is out of order with the ones before. */
function requests(startMs: number): Sent[] {
  let nowMs = startMs
  const next = () => (nowMs += 1_000)
  const sent: Sent[] = remoteWrite2At(startMs).cases.map(([name], i) => ({
    name,
    headers: VERSION_2,
    body: snappy(encode('Request', remoteWrite2At(next()).cases[i]![1])),
  }))
  const good = () => write1(series1(next(), 'one'))
  const add = (name: string, headers: Record<string, string>, body: Uint8Array) => sent.push({ name, headers, body })
  const type = { 'content-type': 'application/x-protobuf' }
  add('1.0: a sample', VERSION_1, good())
  add('1.0: with proto=', { ...VERSION_1, 'content-type': 'application/x-protobuf;proto=prometheus.WriteRequest' }, good())
  add('1.0: with a space before proto=', { ...VERSION_1, 'content-type': 'application/x-protobuf; proto=prometheus.WriteRequest' }, good())
  add('1.0: nothing at all', VERSION_1, write1())
  add(
    '1.0: no name',
    VERSION_1,
    write1(series1(next(), 'one'), { labels: [{ name: 'job', value: 'x' }], samples: [{ value: 1, timestamp: nowMs }] }),
  )
  add('1.0: an empty name', VERSION_1, write1(series1(next(), '')))
  add('1.0: a label twice', VERSION_1, write1(series1(next(), 'twice', ['a', '1'], ['a', '2'])))
  add('1.0: labels in any order', VERSION_1, write1(series1(next(), 'order', ['z', '1'], ['a', '2'])))
  add('1.0: UTF-8 names', VERSION_1, write1(series1(next(), 'größe.x', ['µ', 'ü\n'])))
  add('1.0: a sample that is followed by an older one', VERSION_1, write1(series1(next(), 'late')))
  add('1.0: the older one', VERSION_1, write1(series1(nowMs - 60_000, 'late')))
  add(
    '1.0: another value at the same time',
    VERSION_1,
    write1(series1(next(), 'same'), { ...series1(nowMs, 'same'), samples: [{ value: 2, timestamp: nowMs }] }),
  )
  add('1.0: no Content-Encoding', type, good())
  add('1.0: no Content-Type', { 'content-encoding': 'snappy' }, good())
  add('1.0: text/plain', { 'content-type': 'text/plain', 'content-encoding': 'snappy' }, good())
  add('1.0: JSON', { 'content-type': 'application/json', 'content-encoding': 'snappy' }, good())
  add('1.0: zstd', { ...type, 'content-encoding': 'zstd' }, good())
  add('1.0: gzip', { ...type, 'content-encoding': 'gzip' }, gzipSync(encode('WriteRequest', { timeseries: [series1(next(), 'one')] })))
  add('1.0: not snappy', VERSION_1, Buffer.from('this is no snappy'))
  add('1.0: an empty body', VERSION_1, new Uint8Array(0))
  add('1.0: snappy of rubbish', VERSION_1, snappy(Buffer.from('\x0a\xff\xff\xff\xff\x0frubbish')))
  add('an unknown proto', { ...VERSION_2, 'content-type': 'application/x-protobuf;proto=io.prometheus.write.v3.Request' }, good())
  add('2.0: not snappy', VERSION_2, Buffer.from('this is no snappy'))
  add('2.0: zstd', { ...VERSION_2, 'content-encoding': 'zstd' }, good())
  add('2.0: 1.0 inside', VERSION_2, good())
  return sent
}

let listener: Listener
let prometheus: LoggingProgram
const cleanup: AsyncDisposable[] = []

beforeAll(async () => {
  const folder = await programFolder('receiver')
  cleanup.push(folder)
  listener = await startListener(folder.path)
  const [port] = (await freePorts(1)) as [number]
  const url = `http://127.0.0.1:${port}`
  writeFileSync(join(folder.path, 'empty.yml'), '')
  prometheus = await startProgram({
    folder: folder.path,
    name: 'prometheus-receiver',
    command: builtSender('prometheus'),
    args: [
      `--config.file=${join(folder.path, 'empty.yml')}`,
      `--storage.tsdb.path=${join(folder.path, 'tsdb')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--web.enable-remote-write-receiver',
      '--enable-feature=exemplar-storage',
    ],
    url,
    isReady: async () => (await fetch(`${url}/-/ready`)).ok,
  })
  cleanup.push(listener, prometheus)
})

afterAll(async () => {
  for (const part of cleanup.reverse()) await part[Symbol.asyncDispose]()
})

/** `400 1 0 0`: status and what was written; `400` where the answer does not count. */
async function answerOf(url: string, { headers, body }: Sent): Promise<{ text: string; why: string }> {
  const response = await fetch(`${url}/api/v1/write`, { method: 'POST', headers, body: Buffer.from(body) })
  const why = (await response.text()).trim()
  const counts = ['samples', 'histograms', 'exemplars'].map((kind) => response.headers.get(`x-prometheus-remote-write-${kind}-written`))
  return { text: [response.status, ...(counts[0] === null ? [] : counts)].join(' '), why }
}

it('answers as Prometheus does, but for the differences that are listed', async () => {
  const found: Record<string, string> = {}
  const all = requests(Date.now() - 300_000)
  for (const sent of all) {
    const theirs = await answerOf(prometheus.url, sent)
    const ours = await answerOf(listener.url, sent)
    if (theirs.text !== ours.text) found[sent.name] = `${theirs.text} (${theirs.why}), ours ${ours.text} (${ours.why})`
  }
  for (const [name, text] of Object.entries(found)) report(`differs: ${name}`, text)
  expect(Object.fromEntries(Object.entries(found).map(([name, text]) => [name, text.split(' (')[0]]))).toEqual(
    Object.fromEntries(Object.entries(DIFFERENCES).map(([name, [theirs]]) => [name, theirs])),
  )
  report('prometheus 3.16 as a receiver', `${all.length} requests, ${all.length - Object.keys(found).length} answered alike`)
})
