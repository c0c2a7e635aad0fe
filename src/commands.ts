/**
 * The commands that keep running until they are told to stop: `run` and `record`. And `train`, which ends by itself.
 * SIGTERM and SIGINT stop gracefully; a second one does not wait.
 */
import { pino } from 'pino'
import { startApp, type Role } from './app.ts'
import type { Config } from './config.ts'
import type { Door } from './ingest/door.ts'
import { createRecorder, type Recorder } from './ingest/recording.ts'
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

export async function run(config: Config, roles: readonly Role[]): Promise<void> {
  const telemetry = telemetryFor(config)
  const stopping = stopRequested()
  const app = await startApp({ config, roles, telemetry })
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

/** What to paste into the senders. */
export function howToConnect(url: string, config: Config, hasPages: boolean): string {
  const token = config.http.token === '' ? '' : `\nEach sender must show the token of http.token as a bearer token.\n`
  const kafka =
    config.ingest.sources.length > 0
      ? config.ingest.sources.map((source) => source.topic).join(', ')
      : 'none yet: name topics with native payloads under ingest.sources (transport: kafka)'
  return `
${hasPages ? `Incidents       ${url}/\n` : ''}Prometheus      remote_write:  [{ url: ${url}/api/v1/write }]
                alerting:      { alertmanagers: [{ static_configs: [{ targets: [${url.replace(/^https?:\/\//, '')}] }] }] }
Loki clients    ${url}/loki/api/v1/push
OpenTelemetry   OTEL_EXPORTER_OTLP_ENDPOINT=${url}  OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
Changes         curl -H 'content-type: application/json' ${url}/api/v1/events \\
                  -d '{"type":"deploy","service":"checkout","version":"1.2.3","title":"checkout 1.2.3"}'
Kafka           ${kafka}
${token}
`
}
