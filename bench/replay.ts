/**
 * The recorded outage through everything, as `tocsin replay` does it: events per CPU-second of the whole pipeline, beside the doors alone, to
 * see what share is taking in and what is detection, correlation, notices and the embedded database. Starting up is not counted.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuMs, rounded, summary } from './suite.ts'
import type { Contender, Measured, Results, Scale, Suite } from './suite.ts'

const WHOLE = 'whole pipeline'
const DOORS = 'doors alone'

function missing({ recording }: Scale): string | undefined {
  return existsSync(join(recording, 'manifest.json'))
    ? undefined
    : `there is no recording in ${recording}; name one with --recording FOLDER`
}

async function measure(name: string, { recording }: Scale): Promise<Measured> {
  const { REPLAY_DEFAULTS, replayRecording } = await import('../src/replays.ts')
  const { parseConfig } = await import('../src/config.ts')
  const { telemetryFor } = await import('../src/commands.ts')
  const { ROLES } = await import('../src/app.ts')
  const folder = await mkdtemp(join(tmpdir(), 'tocsin-bench-'))
  try {
    const config = parseConfig({}, { ...REPLAY_DEFAULTS, dataDir: join(folder, 'data'), logLevel: 'silent' })
    let startMs: { cpu: number; wall: number; event: number } | undefined
    let eventMs = 0
    const { app, result } = await replayRecording(config, {
      recording,
      telemetry: telemetryFor(config),
      roles: name === WHOLE ? ROLES : ['ingest'],
      print: () => {},
      onProgress: ({ nowMs }) => {
        startMs ??= { cpu: cpuMs(), wall: performance.now(), event: nowMs }
        eventMs = nowMs
      },
    })
    const events = result.samples + result.logs + result.spans
    const spent = { cpuMs: cpuMs() - startMs!.cpu, wallMs: performance.now() - startMs!.wall }
    await app.stop()
    return {
      units: events,
      ...spent,
      also: {
        cpuS: spent.cpuMs / 1000,
        wallS: spent.wallMs / 1000,
        eventS: (eventMs - startMs!.event) / 1000,
        incidents: result.incidents.length,
        rssMb: process.resourceUsage().maxRSS / 1024,
        events,
      },
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function contenders(): Contender[] {
  return [WHOLE, DOORS].map((name) => ({ name, unit: 'events' }))
}

function json(results: Results): Record<string, unknown> {
  const also = (figure: string) => rounded(results.also(WHOLE, figure).median)
  return {
    events: results.also(WHOLE, 'events').median,
    eventsPerCpuS: Math.round(results.perCpuS(WHOLE).median),
    eventsPerWallS: Math.round(results.perWallS(WHOLE).median),
    doorsPerCpuS: Math.round(results.perCpuS(DOORS).median),
    ratio: rounded(results.ratio(WHOLE, DOORS).median),
    ratioOfRounds: summary(results.ratio(WHOLE, DOORS)),
    cpuS: also('cpuS'),
    wallS: also('wallS'),
    recordedS: also('eventS'),
    incidents: results.also(WHOLE, 'incidents').median,
    peakRssMb: also('rssMb'),
  }
}

function notes(results: Results): string[] {
  const also = (figure: string) => rounded(results.also(WHOLE, figure).median)
  return [
    `${results.also(WHOLE, 'events').median} events of ${also('eventS')} s (with the time after the last) in ${also('wallS')} s, ${also('cpuS')} s of CPU; ${also('incidents')} incidents; at most ${also('rssMb')} MB resident`,
  ]
}

export const suite: Suite = { contenders, measure, json, notes, missing }
