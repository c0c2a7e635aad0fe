/** What the tests of built senders share: the programs as commands, the Collector around a block, and the line that is printed for each. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { stringify, parse } from 'yaml'
import { linesOf, samplesOf, spansOf } from '../ingest/doors-fixture.ts'
import type { Understood } from '../support/listener.ts'
import { freePorts } from '../support/processes.ts'
import { shell, startProgram, type LoggingProgram } from '../support/programs.ts'
import { builtSender } from '../support/services.ts'
import { argumentsOf, snippet } from '../support/snippets.ts'

/** Runs lines of shell in which the built programs are commands. */
export async function pasted(text: string, folder: string): Promise<string> {
  const bin = join(folder, 'bin')
  mkdirSync(bin, { recursive: true })
  for (const name of ['telemetrygen', 'prometheus', 'otelcol', 'telegraf', 'vmagent']) {
    try {
      symlinkSync(builtSender(name), join(bin, name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  return shell(text, folder, { PATH: `${bin}${delimiter}${process.env['PATH']}` })
}

export interface Collector extends LoggingProgram {
  /** Where it takes OTLP over HTTP. */
  readonly host: string
}

/** The Collector with exporters and pipelines of a block, fed by OTLP. */
export async function startCollector(folder: string, block: string, args: readonly string[] = []): Promise<Collector> {
  const [port] = (await freePorts(1)) as [number]
  const host = `127.0.0.1:${port}`
  const config = parse(block) as { exporters: object; service: object }
  const receivers = { otlp: { protocols: { http: { endpoint: host } } } }
  const file = join(folder, `otelcol-${port}.yaml`)
  writeFileSync(file, stringify({ receivers, ...config, service: { ...config.service, telemetry: { metrics: { level: 'none' } } } }))
  const program = await startProgram({
    folder,
    name: `otelcol-${port}`,
    command: builtSender('otelcol'),
    args: [`--config=${file}`, ...args],
    url: `http://${host}`,
    isReady: async () => (await fetch(`http://${host}/`)).status === 404,
  })
  return { ...program, host }
}

/** Three traces of two spans, three points and three lines, of a service of this name. */
export async function generate(folder: string, host: string, service: string, signal = '', more = ''): Promise<void> {
  const lines = snippet('telemetrygen', { '127.0.0.1:4318': host })
    .trim()
    .split('\n')
    .filter((line) => line.startsWith(`telemetrygen ${signal}`))
    .map((line) => `${line} --service ${service} ${more}`)
  await Promise.all(lines.map((line) => pasted(line, folder)))
}

export interface Rows {
  readonly spans: ReturnType<typeof spansOf>
  readonly lines: ReturnType<typeof linesOf>
  readonly samples: ReturnType<typeof samplesOf>
}

export function rowsOfAll({ spans, logs, metrics }: Pick<Understood, 'spans' | 'logs' | 'metrics'>): Rows {
  return { spans: spans.flatMap(spansOf), lines: logs.flatMap(linesOf), samples: metrics.flatMap(samplesOf) }
}

/** What telemetrygen says, as plain words that can be compared. */
export function telemetryOf(rows: Rows, service: string) {
  const spans = rows.spans.filter((span) => span.service === service)
  const roots = new Map(spans.filter(({ parentId }) => parentId === '').map(({ traceId, spanId }) => [traceId, spanId]))
  return {
    spans: spans.map(({ operation, kind, peer, durationMs, traceId, parentId }) =>
      [
        operation,
        kind,
        peer,
        Math.round(durationMs * 1000),
        parentId === '' ? 'root' : parentId === roots.get(traceId) ? 'child' : 'lost',
      ].join(' '),
    ),
    traces: roots.size,
    lines: rows.lines.filter((line) => line.service === service).map(({ severity, body }) => `${severity} ${body}`),
    samples: rows.samples.filter(({ key }) => key.includes(`job="${service}"`)).map(({ key, value }) => `${key.split('{')[0]} ${value}`),
  }
}

export function generated(): ReturnType<typeof telemetryOf> {
  const three = <T>(...values: T[]) => [1, 2, 3].flatMap(() => values)
  return {
    spans: three('okey-dokey-0 2  123 child', 'lets-go 3 telemetrygen-server 123 root'),
    traces: 3,
    lines: three('9 the message'),
    samples: ['gen 0', 'gen 1', 'gen 2'],
  }
}

/** The one line per sender. */
export function report(sender: string, what: string): void {
  console.log(`  ${sender}: ${what}`)
}

export const argsOfBlock = (name: string) => argumentsOf(snippet(name)).slice(1)
