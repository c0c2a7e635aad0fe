/**
 * The commands that keep running until they are told to stop: `run` and `record`; and `explain-name`, which only answers.
 * SIGTERM and SIGINT stop gracefully; a second one does not wait.
 */
import { pino } from 'pino'
import { startApp, type Role } from './app.ts'
import type { Config } from './config.ts'
import { ConfigError, type ConfigProblem } from './errors.ts'
import type { Door } from './ingest/door.ts'
import { explainName, explanationText, type NamedSignal } from './ingest/naming/explain-name.ts'
import { Naming } from './ingest/naming/naming.ts'
import { createRecorder, type Recorder } from './ingest/recording/recording.ts'
import { Telemetry } from './telemetry.ts'

export function telemetryFor(config: Config): Telemetry {
  return new Telemetry(pino({ level: config.logLevel, name: 'tocsin' }, pino.destination(2)))
}

/** Resolves at the first SIGTERM or SIGINT. The second ends the process at once. */
export function stopRequested(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        resolve(signal)
        process.once(signal, () => process.exit(130))
      })
    }
  })
}

/**
 * Refuses what would start and then lose what it takes: stages of one process that wait for stages of another, with nothing between
 * the two. Throws a ConfigError.
 */
export function checkRoles(config: Config, roles: readonly Role[]): void {
  const problems: ConfigProblem[] = []
  const has = (role: Role) => roles.includes(role)
  const stages = (['ingest', 'detect', 'correlate'] as const).filter((role) => !has(role))
  if (config.transport === 'embedded' && stages.length > 0 && stages.length < 3) {
    problems.push({ path: '--role', message: `needs ${stages.join(' and ')} too, or transport: kafka to reach it in another process` })
  }
  if (config.store === 'embedded' && (has('notify') || has('web')) && !has('correlate')) {
    problems.push({ path: '--role', message: 'needs correlate too, or store: postgres: an embedded store belongs to one process' })
  }
  if (config.transport === 'embedded' && config.ingest.sources.length > 0 && has('ingest')) {
    problems.push({ path: 'ingest.sources', message: 'needs transport: kafka' })
  }
  if (problems.length > 0) throw new ConfigError('the configuration', problems)
}

/** Starting takes as long as Kafka or PostgreSQL are away; who wants to stop does not wait for them. */
const STOP_WHILE_STARTING_MS = 3_000

export async function run(config: Config, roles: readonly Role[]): Promise<void> {
  checkRoles(config, roles)
  const telemetry = telemetryFor(config)
  const stopping = stopRequested()
  const starting = startApp({ config, roles, telemetry })
  let giveUp: NodeJS.Timeout | undefined
  if (typeof (await Promise.race([starting, stopping])) === 'string') {
    telemetry.log.info({ event: 'stopping' }, 'stopping before it has started')
    giveUp = setTimeout(() => process.exit(0), STOP_WHILE_STARTING_MS)
  }
  const app = await starting
  clearTimeout(giveUp)
  telemetry.log.info({ event: 'started', url: app.url, roles, transport: config.transport, store: config.store }, 'Tocsin has started')
  if (roles.includes('ingest')) process.stdout.write(howToConnect(app.url, config, roles.includes('web')))
  const signal = await stopping
  telemetry.log.info({ event: 'stopping', signal }, 'stopping: no new work is taken, what was taken is finished')
  await app.stop()
  telemetry.log.info({ event: 'stopped' }, 'stopped')
  process.exit(0)
}

export async function record(config: Config, folder: string): Promise<void> {
  const telemetry = telemetryFor(config)
  const stopping = stopRequested()
  let recorder: Recorder | undefined
  // Only the doors run, and nobody listens behind them: what arrives is checked, answered and kept.
  const wrapDoor = async (door: Door) => {
    recorder = await createRecorder(folder, door)
    return recorder
  }
  const app = await startApp({ config: { ...config, transport: 'embedded', store: 'embedded' }, roles: ['ingest'], telemetry, wrapDoor })
  process.stdout.write(`Recording what arrives at ${app.url} into ${folder}. Stop with Ctrl-C.\n${howToConnect(app.url, config, false)}`)
  await stopping
  await app.stop()
  await recorder?.close()
  process.exit(0)
}

/** Prints which rule of the configuration names such a row, and which were tried before. */
export function explainNameCommand(
  config: Config,
  signal: NamedSignal,
  pairs: readonly (readonly [name: string, value: string])[],
  asJson: boolean,
): void {
  const row = explainName(new Naming(config.ingest.naming, config.ingest.limits.maxNameChars), signal, pairs)
  process.stdout.write(asJson ? `${JSON.stringify(row, null, 2)}\n` : explanationText(row))
}

/** What to paste into the senders. */
function howToConnect(url: string, config: Config, hasPages: boolean): string {
  const token = config.http.token === '' ? '' : `\nEach sender must show the token of http.token as a bearer token.\n`
  const kafka =
    config.ingest.sources.length > 0
      ? config.ingest.sources.map((source) => source.topic).join(', ')
      : 'none yet: name topics with native payloads under ingest.sources (transport: kafka)'
  return `
${hasPages ? `Incidents       ${url}/\n` : ''}Prometheus      remote_write:  [{ url: ${url}/api/v1/write }]
                alerting:      { alertmanagers: [{ static_configs: [{ targets: [${url.replace(/^https?:\/\//, '')}] }] }] }
Alertmanager    receivers: [{ name: tocsin, webhook_configs: [{ url: ${url}/api/v1/alertmanager }] }]
Loki clients    ${url}/loki/api/v1/push
OpenTelemetry   OTEL_EXPORTER_OTLP_ENDPOINT=${url}  OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
Changes         curl -H 'content-type: application/json' ${url}/api/v1/events \\
                  -d '{"type":"deploy","service":"checkout","version":"1.2.3","title":"checkout 1.2.3"}'
Kafka           ${kafka}
${token}
`
}
