/**
 * What senders do with an answer that is not a success, as docs/SENDERS.md has it: a receiver refuses the first request and takes all others; what was in
 * the first comes again, or never.
 */
import { appendFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { ENDPOINTS } from '../../src/ingest/doors.ts'
import type { Batch } from '../../src/model.ts'
import { linesOf, newContext, post, samplesOf, spansOf } from '../ingest/doors-fixture.ts'
import { startCountingExporter } from '../support/exporter.ts'
import { until } from '../support/kafka.ts'
import { freePorts } from '../support/processes.ts'
import { programFolder, startProgram } from '../support/programs.ts'
import { builtSender, which } from '../support/services.ts'
import { installShop } from '../support/shop.ts'
import { argumentsOf, snippet } from '../support/snippets.ts'
import { generate, report, startCollector } from './bench.ts'

interface Receiver extends AsyncDisposable {
  readonly host: string
  /** The rows of each request, as text. */
  readonly requests: readonly (readonly string[])[]
}

async function startReceiver(first: number): Promise<Receiver> {
  const requests: string[][] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
      const batch: Batch = ENDPOINTS.get(request.url!)!.decode(post(request.url!, headers, Buffer.concat(chunks)), newContext())
      const rows = rowsOf(batch)
      const isFirst = rows.length > 0 && requests.length === 0
      // Metadata comes in requests without rows.
      if (rows.length > 0) requests.push(rows)
      response.writeHead(isFirst ? first : request.url!.startsWith('/v1/') ? 200 : 204, { 'retry-after': '1' }).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function rowsOf(batch: Batch): string[] {
  if (batch.kind === 'metrics') return samplesOf(batch).map(({ key, timeMs }) => `${key} ${timeMs}`)
  if (batch.kind === 'logs') return linesOf(batch).map(({ body, timeMs }) => `${body} ${timeMs}`)
  if (batch.kind === 'spans') return spansOf(batch).map(({ spanId }) => spanId)
  throw new Error(`nothing here sends ${batch.kind}`)
}

/** Starts a sender; `more` makes it say something new. */
type Sender = (folder: string, host: string) => Promise<AsyncDisposable & { more?: () => Promise<void> | void }>

const SCRAPES = (host: string) =>
  `global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs: [{ job_name: shop, static_configs: [{ targets: ['${host}'] }] }]\n`

const prometheus: Sender = async (folder, host) => {
  const exporter = await startCountingExporter()
  const [port] = (await freePorts(1)) as [number]
  const file = join(folder, 'prometheus.yml')
  writeFileSync(file, `${SCRAPES(exporter.host)}${snippet('prometheus-2', { '127.0.0.1:4318': host })}`)
  const args = [`--config.file=${file}`, `--storage.tsdb.path=${join(folder, 'tsdb')}`, `--web.listen-address=127.0.0.1:${port}`]
  return together(exporter, await startProgram({ folder, name: 'prometheus', command: builtSender('prometheus'), args }))
}

const vmagent: Sender = async (folder, host) => {
  const exporter = await startCountingExporter()
  const [port] = (await freePorts(1)) as [number]
  const file = join(folder, 'prometheus.yml')
  writeFileSync(file, SCRAPES(exporter.host))
  const [, ...args] = argumentsOf(snippet('vmagent', { 'prometheus.yml': file, '127.0.0.1:4318': host }))
  const more = [`-httpListenAddr=127.0.0.1:${port}`, `-remoteWrite.tmpDataPath=${join(folder, 'queue')}`, '-remoteWrite.forcePromProto']
  return together(exporter, await startProgram({ folder, name: 'vmagent', command: builtSender('vmagent'), args: [...args, ...more] }))
}

const telegraf: Sender = async (folder, host) => {
  const file = join(folder, 'telegraf.conf')
  writeFileSync(
    file,
    `[agent]\ninterval = "5s"\nround_interval = false\nflush_interval = "1s"\n${snippet('telegraf', { '127.0.0.1:4318': host })}[[inputs.mem]]\n`,
  )
  return startProgram({ folder, name: 'telegraf', command: builtSender('telegraf'), args: ['--config', file] })
}

const telegrafLoki: Sender = async (folder, host) => {
  const file = join(folder, 'telegraf.conf')
  const input = join(folder, 'input.log')
  writeFileSync(input, 'first\n')
  const tail = `[[inputs.tail]]\nfiles = ["${input}"]\nfrom_beginning = true\ndata_format = "value"\ndata_type = "string"\n`
  writeFileSync(file, `[agent]\nflush_interval = "1s"\n${snippet('telegraf-loki', { '127.0.0.1:4318': host })}${tail}`)
  const program = await startProgram({ folder, name: 'telegraf', command: builtSender('telegraf'), args: ['--config', file] })
  return { ...program, more: () => appendFileSync(input, 'second\n') }
}

const syslogNg: Sender = async (folder, host) => {
  const file = join(folder, 'syslog-ng.conf')
  const input = join(folder, 'input.log')
  writeFileSync(input, 'first\n')
  const source = `source s_file { file("${input}" flags(no-parse) follow-freq(0.2)); };\nlog { source(s_file); destination(d_tocsin); };\n`
  writeFileSync(file, `@version: 3.35\noptions { time-reopen(1); };\n${snippet('syslog-ng', { '127.0.0.1:4318': host })}${source}`)
  const files = ['persist-file', 'pidfile', 'control'].map((name) => `--${name}=${join(folder, `ng.${name}`)}`)
  const args = ['--foreground', '--no-caps', `--cfgfile=${file}`, ...files]
  const program = await startProgram({ folder, name: 'syslog-ng', command: which('syslog-ng')!, args })
  return { ...program, more: () => appendFileSync(input, 'second\n') }
}

const collector: Sender = async (folder, host) => {
  const program = await startCollector(folder, snippet('otelcol-otlp', { '127.0.0.1:4318': host }))
  const trace = (service: string) => generate(folder, program.host, service, 'traces')
  await trace('first')
  return { ...program, more: () => trace('second') }
}

/** A library, in a program that logs once and, when a file appears, once more. */
const library =
  (block: string, packages: string): Sender =>
  async (folder, host) => {
    symlinkSync(fileURLToPath(new URL(`../../${packages}node_modules`, import.meta.url)), join(folder, 'node_modules'))
    writeFileSync(
      join(folder, 'logger.mjs'),
      block === 'pino-loki' ? snippet('pino-loki', { '127.0.0.1:4318': host }) : snippet('winston-loki', { '127.0.0.1:4318': host }),
    )
    writeFileSync(
      join(folder, 'app.mjs'),
      `import { existsSync } from 'node:fs'\nimport { logger } from './logger.mjs'\nlogger.info('first')
let told = false
setInterval(() => { if (!told && existsSync('more')) { told = true; logger.info('second') } }, 100)\n`,
    )
    const program = await startProgram({ folder, name: block, command: process.execPath, args: ['app.mjs'] })
    return { ...program, more: () => writeFileSync(join(folder, 'more'), '') }
  }

function together(first: AsyncDisposable, second: AsyncDisposable): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      await second[Symbol.asyncDispose]()
      await first[Symbol.asyncDispose]()
    },
  }
}

it.each<[name: string, sender: Sender, fates: Readonly<Record<number, 'again' | 'never'>>]>([
  ['Prometheus 3.16', prometheus, { 503: 'again', 429: 'never', 400: 'never' }],
  ['vmagent', vmagent, { 503: 'again', 429: 'again', 400: 'never' }],
  ['OpenTelemetry Collector', collector, { 503: 'again', 429: 'again', 400: 'never' }],
  ['Telegraf, remote write', telegraf, { 503: 'again', 429: 'again', 400: 'never' }],
  ['Telegraf, Loki', telegrafLoki, { 503: 'again', 429: 'again', 400: 'again' }],
  ['syslog-ng', syslogNg, { 503: 'again', 429: 'again', 400: 'never' }],
  ['winston-loki', library('winston-loki', ''), { 503: 'again', 429: 'again', 400: 'again' }],
  ['pino-loki', library('pino-loki', 'examples/shop/'), { 503: 'never', 429: 'never', 400: 'never' }],
])('%s', async (name, start, fates) => {
  await installShop()
  const found = await Promise.all(Object.keys(fates).map(async (status) => [status, await fateOf(start, Number(status))] as const))
  expect(Object.fromEntries(found)).toEqual(fates)
  report(name, found.map(([status, fate]) => `${status}: ${fate}`).join(', '))
})

async function fateOf(start: Sender, status: number): Promise<'again' | 'never'> {
  await using folder = await programFolder('answers')
  await using receiver = await startReceiver(status)
  const sender = await start(folder.path, receiver.host)
  try {
    const { requests } = receiver
    await until('a first request has come', () => requests.length > 0)
    const [row] = requests[0]!
    await sender.more?.()
    const again = () => requests.slice(1).some((rows) => rows.includes(row!))
    const passed = () => requests.slice(1).some((rows) => rows.length > 0 && !rows.includes(row!))
    // winston-loki waits for a minute.
    await until('what was refused comes again, or something else comes', () => again() || passed(), 100_000)
    // Those that send in parallel may send newer rows first, several times.
    const patienceMs = performance.now() + 20_000
    await until('it had its time', () => again() || performance.now() > patienceMs)
    return again() ? 'again' : 'never'
  } finally {
    await sender[Symbol.asyncDispose]()
  }
}
