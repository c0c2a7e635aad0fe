/**
 * `tocsin demo`, `tocsin replay` and `tocsin train`: a recording through the ordinary pipeline, in event time, as fast as this machine can. Everything
 * is embedded and begins empty, notices are rendered as they would be sent and printed instead.
 */
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { ROLES, startApp, type App, type Role } from './app.ts'
import { stopRequested, telemetryFor } from './commands.ts'
import type { Config, Overrides } from './config.ts'
import { readManifest } from './ingest/recording/recording.ts'
import { replay, type ReplayProgress } from './ingest/recording/replay.ts'
import type { VectorSink } from './detect/detector.ts'
import type { TensorflowBackend } from './detect/service/tensorflow.ts'
import type { TrainingStep } from './detect/service/train.ts'
import { runTraining, type VectorSource } from './detect/service/training-run.ts'
import { VectorCollector } from './detect/service/vectors.ts'
import { listIncidents } from './store/incidents.ts'
import { listNotices } from './store/outbox.ts'
import type { Telemetry } from './telemetry.ts'
import { incidentJson, type IncidentJson } from './web/json.ts'

/** The recorded outage of the shop. */
export const SHIPPED_RECORDING = fileURLToPath(new URL('../examples/outage', import.meta.url))

/** A replay touches nothing outside its folder and sends nothing. */
export const REPLAY_DEFAULTS: Overrides = {
  transport: 'embedded',
  store: 'embedded',
  dataDir: '.tocsin/replay',
  logLevel: 'warn',
  'http.port': 0,
  // Nothing is to be taken up again, so nothing need be saved on the way.
  'detect.checkpointMs': 86_400_000,
  // A recording waits for as long as it takes.
  'ingest.limits.maxHandleMs': 86_400_000,
  'notify.dryRun': true,
}

/** The demo shows every channel; the keys are made up and nothing is sent. */
export const DEMO_DEFAULTS: Overrides = {
  ...REPLAY_DEFAULTS,
  dataDir: '.tocsin/demo',
  'notify.channels': {
    pagerduty: { routingKey: '0'.repeat(32) },
    slack: { token: 'xoxb-demo', channel: 'C0INCIDENTS' },
    jira: { url: 'https://example.atlassian.net', email: 'tocsin@example.com', token: 'demo', project: 'OPS' },
  },
}

export interface ReplayResult {
  readonly incidents: readonly IncidentJson[]
  readonly notices: readonly { readonly channel: string; readonly kind: string; readonly reason: string; readonly incident: string }[]
  readonly samples: number
  readonly logs: number
  readonly spans: number
  readonly seconds: number
}

export interface ReplayOptions {
  readonly recording: string
  readonly telemetry: Telemetry
  readonly roles?: readonly Role[]
  readonly print: (text: string) => void
  readonly onProgress?: (progress: ReplayProgress) => void
  readonly vectors?: VectorSink
  readonly signal?: AbortSignal
}

/** Starts an empty Tocsin, plays the recording through its doors and delivers what it decided. The caller stops the app. */
export async function replayRecording(config: Config, options: ReplayOptions): Promise<{ app: App; result: ReplayResult }> {
  const { recording, telemetry, print, onProgress, vectors, signal } = options
  const startMs = performance.now()
  await readManifest(recording) // a wrong folder is told at once, before anything is deleted
  await rm(config.dataDir, { recursive: true, force: true })
  const app = await startApp({ config, roles: options.roles ?? ROLES, telemetry, liveTicks: false, print, ...(vectors && { vectors }) })
  try {
    await replay(recording, app.door!, {
      tickMs: config.ingest.tickMs,
      // Long enough for everything that can end to end.
      tailMs: config.correlate.resolveAfterMs * 4 + 120_000,
      ...(onProgress && { onProgress }),
      ...(signal && { signal }),
    })
    await app.notify?.drain()
    return { app, result: await resultOf(app, telemetry, (performance.now() - startMs) / 1000) }
  } catch (error) {
    await app.stop()
    throw error
  }
}

async function resultOf(app: App, telemetry: Telemetry, seconds: number): Promise<ReplayResult> {
  const incidents = app.db === undefined ? [] : await listIncidents(app.db, { status: 'all', limit: 1_000 })
  const notices = app.db === undefined ? [] : await listNotices(app.db)
  const rows = await rowsByDoor(telemetry)
  const of = (...doors: string[]) => doors.reduce((sum, door) => sum + (rows.get(door) ?? 0), 0)
  return {
    incidents: incidents.map(incidentJson),
    notices: notices.map(({ channel, kind, reason, incidentId }) => ({ channel, kind, reason, incident: incidentId })),
    samples: of('remote-write'),
    logs: of('loki', 'otlp-logs'),
    spans: of('otlp-traces'),
    seconds: Math.round(seconds * 100) / 100,
  }
}

async function rowsByDoor(telemetry: Telemetry): Promise<Map<string, number>> {
  const { values } = (await telemetry.registry.getSingleMetric('tocsin_door_rows_total')?.get()) ?? { values: [] }
  return new Map(values.map(({ labels, value }) => [String(labels['door']), value]))
}

export async function demo(
  config: Config,
  options: { readonly json: boolean; readonly exit: boolean; readonly recording: string | undefined },
): Promise<void> {
  const recording = options.recording ?? SHIPPED_RECORDING
  const stopping = stopRequested()
  const say = (text: string) => process.stderr.write(text)
  say(`Replaying ${recording}\n`)
  const { app, result } = await play(config, recording, options.json)
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else process.stdout.write(summary(result))
  if (!options.exit) {
    say(`\nThe incidents are at ${app.url}/  (Ctrl-C ends it)\n`)
    await stopping
  }
  await app.stop()
  process.exit(0)
}

/** `tocsin train`: on vectors from a file, from a recording, or made up where there is neither. */
export async function train(config: Config, options: TrainOptions): Promise<void> {
  const telemetry = telemetryFor(config)
  const { out, seed, recording, vectors, hidden, epochs, backend } = options
  let source: VectorSource = { kind: 'synthetic', rows: 40_000 }
  if (vectors !== undefined) source = { kind: 'file', file: vectors }
  else if (recording !== undefined) {
    const collector = new VectorCollector()
    const { app } = await replayRecording(config, {
      recording,
      telemetry,
      roles: ['ingest', 'detect'],
      print: () => {},
      vectors: collector.sink,
    })
    await app.stop()
    source = { kind: 'collected', vectors: collector, origin: recording }
  }
  const from = recording !== undefined ? ` --recording ${recording}` : vectors !== undefined ? ` --vectors ${vectors}` : ''
  const settings = `${hidden === undefined ? '' : ` --hidden ${hidden.join(',')}`}${epochs === undefined ? '' : ` --epochs ${epochs}`}`
  const bar = trainingBar(process.stderr)
  await runTraining({
    source,
    out,
    seed,
    command: `tocsin train${from} --out ${out} --seed ${seed}${settings}`,
    log: telemetry.log,
    onProgress: bar,
    ...(hidden && { hidden }),
    ...(epochs !== undefined && { epochs }),
    ...(backend && { backends: [backend] }),
  })
  process.exit(0)
}

/** A line per ten epochs; on a terminal one that is drawn over itself. */
function trainingBar(stream: NodeJS.WriteStream): (step: TrainingStep, epochs: number) => void {
  return ({ fit, epoch, loss, validationLoss, bestEpoch }, epochs) => {
    if (!stream.isTTY && epoch % 10 !== 0) return
    const text = `fit ${fit} of 2, epoch ${epoch} of at most ${epochs}: loss ${loss.toFixed(4)}, validation ${validationLoss.toFixed(4)} (best in epoch ${bestEpoch})`
    stream.write(stream.isTTY ? `\r\u001b[2K${text}${epoch === epochs ? '\n' : ''}` : `${text}\n`)
  }
}

export interface TrainOptions {
  readonly recording: string | undefined
  readonly vectors: string | undefined
  /** Folder of the model. */
  readonly out: string
  readonly seed: number
  /** Units of the hidden layers up to the narrowest. */
  readonly hidden?: readonly number[]
  /** At most so many in each of the two fits. */
  readonly epochs?: number
  /** The only one that will do; left out: the fastest that can be had. */
  readonly backend?: TensorflowBackend
}

export async function replayCommand(config: Config, options: { readonly json: boolean; readonly recording: string }): Promise<void> {
  const { app, result } = await play(config, options.recording, options.json)
  process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : summary(result))
  await app.stop()
  process.exit(0)
}

async function play(config: Config, recording: string, json: boolean): Promise<{ app: App; result: ReplayResult }> {
  const bar = progressBar(process.stderr)
  const printed = (text: string) => {
    bar.clear()
    // With --json the last line of stdout is the result; notices still show, beside it.
    ;(json ? process.stderr : process.stdout).write(text.endsWith('\n') ? text : `${text}\n`)
  }
  try {
    return await replayRecording(config, {
      recording,
      telemetry: telemetryFor(config),
      print: printed,
      onProgress: (progress) => bar.show(progress),
    })
  } finally {
    bar.clear()
  }
}

/** One line that is drawn over itself on a terminal; elsewhere a line per quarter. */
function progressBar(stream: NodeJS.WriteStream): { show(progress: ReplayProgress): void; clear(): void } {
  const width = 30
  let shown = -1
  return {
    show({ requests, totalRequests, nowMs }) {
      const share = requests / Math.max(1, totalRequests)
      const step = Math.floor(share * (stream.isTTY ? 200 : 4))
      if (step === shown) return
      shown = step
      const filled = Math.round(share * width)
      const time = new Date(nowMs).toISOString().slice(11, 19)
      const line = `[${'█'.repeat(filled)}${'·'.repeat(width - filled)}] ${String(Math.round(share * 100)).padStart(3)} %  ${time} UTC  ${requests} requests`
      stream.write(stream.isTTY ? `\r${line}` : `${line}\n`)
    },
    clear() {
      if (stream.isTTY && shown >= 0) stream.write('\r\u001b[2K')
    },
  }
}

function summary(result: ReplayResult): string {
  const lines = ['']
  for (const incident of result.incidents) {
    const time = (iso: string | null) => iso?.slice(11, 19) ?? '?'
    const ended = incident.resolvedAt === null ? 'still open' : `resolved ${time(incident.resolvedAt)}`
    lines.push(`${incident.severity.toUpperCase()}  ${incident.title}`)
    lines.push(`  ${incident.id}  opened ${time(incident.openedAt)}, ${ended} UTC  ${incident.services.join(', ')}`)
    for (const cause of incident.causes.slice(0, 3)) {
      lines.push(`  ${String(Math.round(cause.probability * 100)).padStart(3)} %  ${cause.service}`)
      for (const evidence of cause.evidence.slice(0, 4)) lines.push(`         +${evidence.points.toFixed(1)}  ${evidence.text}`)
    }
    lines.push('')
  }
  const { incidents, notices, samples, logs, spans, seconds } = result
  const counted = (count: number, noun: string) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
  lines.push(
    `${counted(incidents.length, 'incident')}, ${counted(notices.length, 'notice')} from ` +
      `${counted(samples, 'sample')}, ${counted(logs, 'log line')}, ${counted(spans, 'span')} in ${seconds} s`,
  )
  return `${lines.join('\n')}\n`
}
