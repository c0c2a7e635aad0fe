/**
 * Real senders as child processes: Prometheus, exporters, a service with instrumentation. They live in a folder that ends
 * what still runs when the test process is gone, however it went.
 */
import { execFile, fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { until } from './kafka.ts'
import { freePorts, temporaryFolder, type TemporaryFolder } from './processes.ts'
import { which } from './services.ts'
import { installShop } from './shop.ts'
import { snippet } from './snippets.ts'

export interface Program extends AsyncDisposable {
  readonly url: string
}

/** Removed with what is in it, after the programs in it were ended. */
export function programFolder(name: string): Promise<TemporaryFolder> {
  return temporaryFolder(name, 'kill -9 $(cat "$dir"/*.pid 2>/dev/null) 2>/dev/null')
}

/** Runs a command to its end and answers what it printed. */
export async function output(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { timeout: 20_000 })
  return stdout
}

/** Runs lines of shell as somebody would who pastes them, in a folder; fails with what they said. */
export async function shell(text: string, cwd: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', text], {
    cwd,
    env: { ...process.env, ...env },
    timeout: 60_000,
  })
  return stdout
}

export interface ProgramOptions {
  readonly folder: string
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly url?: string
  readonly env?: Readonly<Record<string, string>>
  readonly isReady?: () => boolean | Promise<boolean>
}

export interface LoggingProgram extends Program {
  /** What it has said so far. */
  readonly log: () => string
}

/** A program that keeps running, and what it says. */
export async function startProgram({
  folder,
  name,
  command,
  args,
  url = '',
  env,
  isReady = () => true,
}: ProgramOptions): Promise<LoggingProgram> {
  const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  let log = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-500_000)))
  const isAlive = () => {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}:\n${log}`)
    return isReady()
  }
  try {
    const program = await running(child, folder, name, url, isAlive)
    return { ...program, log: () => log }
  } catch (error) {
    throw new Error(`${name} does not start:\n${log}`, { cause: error })
  }
}

export async function startNodeExporter(folder: string): Promise<Program> {
  const [port] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  const child = spawn(which('prometheus-node-exporter')!, [`--web.listen-address=127.0.0.1:${port}`], { stdio: 'ignore' })
  return running(child, folder, 'node-exporter', url, async () => (await fetch(`${url}/metrics`)).ok)
}

export interface PrometheusOptions {
  readonly folder: string
  /** Address by job. */
  readonly scrape: Readonly<Record<string, string>>
  /** Where it remote-writes to. */
  readonly writeTo: readonly string[]
  readonly alertTo: readonly string[]
  readonly rules: readonly object[]
}

interface PrometheusBlock {
  readonly remote_write: readonly object[]
  readonly alerting: { readonly alertmanagers: readonly object[] }
}

/** Scrapes and evaluates every second; what it sends, and where, is the block of docs/SENDERS.md. */
export async function startPrometheus({ folder, scrape, writeTo, alertTo, rules }: PrometheusOptions): Promise<Program> {
  const [port] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  const hosts = (urls: readonly string[]) => [{ targets: urls.map((each) => new URL(each).host) }]
  // JSON is YAML too.
  writeFileSync(join(folder, 'rules.json'), JSON.stringify({ groups: [{ name: 'test', rules }] }))
  const blocks = (targets: readonly string[]) =>
    targets.map((target) => parse(snippet('prometheus', { '127.0.0.1:4318': new URL(target).host })) as PrometheusBlock)
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [join(folder, 'rules.json')],
    scrape_configs: Object.entries(scrape).map(([job, address]) => ({ job_name: job, static_configs: hosts([address]) })),
    remote_write: blocks(writeTo).flatMap((block) =>
      block.remote_write.map((target) => ({ ...target, queue_config: { max_shards: 1, batch_send_deadline: '500ms' } })),
    ),
    alerting: { alertmanagers: blocks(alertTo).flatMap((block) => block.alerting.alertmanagers) },
  }
  writeFileSync(join(folder, 'prometheus.json'), JSON.stringify(config))
  const args = [
    `--config.file=${join(folder, 'prometheus.json')}`,
    `--storage.tsdb.path=${join(folder, 'prometheus')}`,
    '--storage.remote.flush-deadline=1s',
    `--web.listen-address=127.0.0.1:${port}`,
  ]
  const child = spawn(which('prometheus')!, args, { stdio: 'ignore' })
  return running(child, folder, 'prometheus', url, async () => (await fetch(`${url}/-/ready`)).ok)
}

/** Tells its webhook at once, of firing and resolved alerts; its receiver is the block of docs/SENDERS.md. */
export async function startAlertmanager(folder: string, webhookUrl: string): Promise<Program> {
  const [port] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  const target = new URL(webhookUrl)
  const block = parse(snippet('alertmanager', { '127.0.0.1:4318': target.host, '/api/v1/alertmanager': target.pathname })) as {
    route: object
  }
  const config = { ...block, route: { ...block.route, group_wait: '0s', group_interval: '1s', repeat_interval: '4h' } }
  writeFileSync(join(folder, 'alertmanager.json'), JSON.stringify(config))
  const args = [
    `--config.file=${join(folder, 'alertmanager.json')}`,
    `--storage.path=${join(folder, 'alertmanager')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--cluster.listen-address=',
  ]
  const child = spawn(which('prometheus-alertmanager', 'alertmanager')!, args, { stdio: 'ignore' })
  return running(child, folder, 'alertmanager', url, async () => (await fetch(`${url}/-/ready`)).ok)
}

/** See instrumented-service.js. Stopping it sends what it still has. */
export async function startInstrumentedService(folder: string, service: string, targets: readonly string[]): Promise<Program> {
  await installShop()
  const file = fileURLToPath(new URL('instrumented-service.js', import.meta.url))
  const env = { ...process.env, SERVICE: service, TARGETS: targets.join(',') }
  const child = fork(file, [], { env, execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const [first] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [{ url: string } | number | null]
  if (typeof first !== 'object' || first === null) throw new Error(`${service} ended with ${first} before it was ready`)
  return running(child, folder, service, first.url, () => true)
}

async function running(
  child: ChildProcess,
  folder: string,
  name: string,
  url: string,
  isReady: () => boolean | Promise<boolean>,
): Promise<Program> {
  const ended = once(child, 'exit')
  writeFileSync(join(folder, `${name}.pid`), `${child.pid}`)
  const program = {
    url,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      const patience = setTimeout(() => child.kill('SIGKILL'), 8_000)
      await ended
      clearTimeout(patience)
    },
  }
  try {
    await until(`${name} answers at ${url}`, isReady)
  } catch (error) {
    await program[Symbol.asyncDispose]()
    throw error
  }
  return program
}
