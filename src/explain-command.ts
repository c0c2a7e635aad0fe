/**
 * `tocsin explain`: one anomaly, or all of an incident, with how each score came about, made again. PostgreSQL is read directly; an embedded
 * store belongs to the program that runs, which is asked over HTTP, or is read where none runs. With a recording, it is replayed first: the
 * same recording has the same ids.
 */
import { existsSync } from 'node:fs'
import { z } from 'zod'
import { telemetryFor } from './commands.ts'
import type { Config } from './config.ts'
import { urlOf } from './dead-letters-command.ts'
import { messageOf } from './errors.ts'
import { anomalyLine, anomalyText, check } from './explain-text.ts'
import type { Anomaly } from './model.ts'
import { replayRecording } from './replays.ts'
import { readAnomalies, readAnomaly } from './store/anomalies.ts'
import type { Db, Queryable } from './store/db.ts'
import { readIncident } from './store/incidents.ts'
import { openPglite } from './store/pglite.ts'
import { openPostgres } from './store/postgres.ts'
import { anomalyJson } from './web/json.ts'
import { parseId } from './web/requests.ts'
import { shown } from './wording.ts'

export interface ExplainOptions {
  /** Of an anomaly or of an incident. */
  readonly id: string
  readonly json: boolean
  /** Replay this one, and look there. */
  readonly recording: string | undefined
}

interface Found {
  readonly incidentId: string
  /** The one that was asked for, or all of the incident. */
  readonly anomalies: readonly Anomaly[]
  readonly isIncident: boolean
}

/** Answers the exit code: 1 when a score cannot be made again from its inputs. Throws when there is nothing of that id. */
export async function explain(config: Config, options: ExplainOptions, print: (text: string) => void): Promise<number> {
  const id = parseId(options.id)
  const found = id === undefined ? undefined : await find(config, id, options.recording)
  if (found === undefined)
    throw new Error(
      `there is no anomaly and no incident ${shown(JSON.stringify(options.id.slice(0, 80)))}: the page of an incident and /api/v1/incidents/ID name their anomalies; what was never part of an incident is not kept`,
    )
  const { anomalies, incidentId, isIncident } = found
  if (options.json)
    print(
      `${ascii(JSON.stringify(isIncident ? anomalies.map((one) => jsonOf(one, incidentId)) : jsonOf(anomalies[0]!, incidentId), null, 2))}\n`,
    )
  else if (!isIncident) print(anomalyText(anomalies[0]!, incidentId))
  else {
    for (const anomaly of anomalies) print(anomalyLine(anomaly))
    print(
      `${anomalies.length === 1 ? '1 anomaly' : `${anomalies.length} anomalies`} of incident ${incidentId}. tocsin explain ID shows one of them in full.\n`,
    )
  }
  return anomalies.some((anomaly) => check(anomaly).fate === 'differs') ? 1 : 0
}

function jsonOf(anomaly: Anomaly, incident: string): object {
  const { recomputed, fate } = check(anomaly)
  return { ...anomalyJson(anomaly), incident, recomputed: Number.isNaN(recomputed) ? null : recomputed, fate }
}

/** Inside JSON only strings hold such characters, and there an escape says the same. */
function ascii(json: string): string {
  return json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) =>
    char === '\n' ? char : Array.from({ length: char.length }, (_, i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  )
}

/* ---- Where they are. */

async function find(config: Config, id: string, recording: string | undefined): Promise<Found | undefined> {
  if (recording !== undefined) {
    const { app } = await replayRecording(config, { recording, telemetry: telemetryFor(config), print: () => {} })
    try {
      return app.db === undefined ? undefined : await findIn(app.db, id)
    } finally {
      await app.stop()
    }
  }
  if (config.store === 'postgres') {
    await using db = await openPostgres({ ...config.postgres, telemetry: telemetryFor(config) })
    return await findIn(db, id)
  }
  const url = urlOf(config)
  try {
    return await ask(url, config.http.token, id)
  } catch (error) {
    // Nobody listens there: fetch says so by a TypeError with the reason as its cause.
    if (!(error instanceof TypeError)) throw error
    // Looking makes no folder.
    if (!existsSync(config.dataDir)) return undefined
    await using db = await openFolder(config.dataDir, `${url} (${messageOf(error.cause ?? error)})`)
    return await findIn(db, id)
  }
}

async function openFolder(dataDir: string, why: string): Promise<Db> {
  try {
    return await openPglite({ dataDir })
  } catch (error) {
    throw new Error(`anomalies can be had neither from a running Tocsin at ${why} nor from the store: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

async function findIn(q: Queryable, id: string): Promise<Found | undefined> {
  const one = await readAnomaly(q, id)
  if (one !== undefined) return { incidentId: one.incidentId, anomalies: [one.anomaly], isIncident: false }
  if ((await readIncident(q, id)) === undefined) return undefined
  return { incidentId: id, anomalies: await readAnomalies(q, id), isIncident: true }
}

/** The running program has them. */
async function ask(url: string, token: string, id: string): Promise<Found | undefined> {
  const one = await get(`${url}/api/v1/anomalies/${encodeURIComponent(id)}`, token, 'no anomaly with this id')
  if (one !== undefined) return { incidentId: linkSchema.parse(one).incident, anomalies: [fromJson(one)], isIncident: false }
  const incident = await get(`${url}/api/v1/incidents/${encodeURIComponent(id)}`, token, 'no incident with this id')
  if (incident === undefined) return undefined
  return { incidentId: id, anomalies: caseSchema.parse(incident).anomalies.map(fromJson), isIncident: true }
}

/** Undefined: it says that there is none. */
async function get(url: string, token: string, missing: string): Promise<unknown> {
  const response = await fetch(url, { headers: token === '' ? {} : { authorization: `Bearer ${token}` } })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json') === true
  if (response.status === 404 && isJson && text.includes(missing)) return undefined
  if (!response.ok || !isJson)
    throw new Error(`what runs at ${new URL(url).origin} answers ${response.status}: ${text.slice(0, 200).trim()}`)
  return JSON.parse(text) as unknown
}

/** JSON says null for what is no number. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN)
const time = z.string().transform((iso) => Date.parse(iso))
const column = z.array(number)
const linkSchema = z.object({ incident: z.string() })
const caseSchema = z.object({ anomalies: z.array(z.unknown()) })
const anomalySchema = z.object({
  kind: z.literal('anomaly'),
  id: z.string(),
  detector: z.string(),
  signal: z.enum(['metrics', 'logs', 'spans', 'mixed']),
  service: z.string(),
  instance: z.string(),
  subject: z.string(),
  symptom: z.enum(['errors', 'latency', 'traffic', 'saturation', 'log', 'absence', 'other']),
  direction: z.enum(['up', 'down']),
  startedAt: time,
  endedAt: time.nullable(),
  updatedAt: time,
  score: number,
  observed: number,
  expected: number,
  unit: z.string(),
  volume: number,
  impact: z.boolean(),
  evidence: z.array(z.string()),
  points: z.object({ timeMs: column, observed: column, expected: column, low: column, high: column }),
  reckoning: z.object({ rule: z.string(), inputs: z.array(z.tuple([z.string(), number])), oncePerWeeks: number }).optional(),
})

function fromJson(json: unknown): Anomaly {
  const { startedAt, endedAt, updatedAt, reckoning, ...rest } = anomalySchema.parse(json)
  return { ...rest, startMs: startedAt, endMs: endedAt ?? undefined, atMs: updatedAt, reckoning }
}
