/**
 * How well causes are found in public fault-injection data: replays cases of the Nezha data set (see nezha-case.ts) through the ordinary
 * pipeline and compares the incidents with the injected fault.
 *   npx tsx bench/nezha.ts --data DIR [--cases N] [--only TEXT] [--recordings DIR] [--cli FILE] [--json]
 * Detected: an incident opened from a minute and a half before the labelled onset (labels are that loose) until a minute after the fault's
 * end. AS@k: the injected service is among the first k causes of the incidents opened then: those of the most severe ones first, of equally severe
 * ones merged by probability. A case in which nothing opened is a miss. False: an incident opened before that. The metrics, logs and traces before
 * the fault are one minute of the same day over and over, so whatever else has changed since that minute begins with the fault
 * and competes with it. Recordings are kept in --recordings and made where they are missing.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { z } from 'zod'

const LABEL_TOLERANCE_MS = 90_000
const FAULT_MS = 180_000
const AFTER_MS = 60_000

/** Whoever is paged looks at the worst first. */
const SEVERITIES = ['critical', 'error', 'warning', 'info'] as const

const casesSchema = z.object({ cases: z.array(z.object({ id: z.string(), inject_type: z.string() })) })
const truthSchema = z.object({ case: z.string(), service: z.string(), type: z.string(), onsetMs: z.number(), recordedFromMs: z.number() })
const resultSchema = z.object({
  incidents: z.array(
    z.object({
      severity: z.enum(['critical', 'error', 'warning', 'info']),
      openedAt: z.string(),
      causes: z.array(z.object({ service: z.string(), probability: z.number() })),
    }),
  ),
})

export interface CaseScore {
  readonly case: string
  readonly type: string
  readonly service: string
  readonly detected: boolean
  /** Seconds from the labelled onset to the first incident; may be negative. */
  readonly delayS: number | null
  /** 1 is best; null where the service is not among the causes. */
  readonly rank: number | null
  /** Incidents of the fault. More than one means that what belongs together was not seen to. */
  readonly incidents: number
  readonly falseIncidents: number
  readonly quietMinutes: number
  readonly causes: readonly string[]
}

export interface Score {
  readonly cases: number
  readonly detected: number
  readonly as1: number
  readonly as3: number
  readonly falseIncidents: number
  readonly quietHours: number
  readonly medianDelayS: number | null
}

type Truth = z.output<typeof truthSchema>
type Result = z.output<typeof resultSchema>

export function scoreCase(truth: Truth, { incidents }: Result): CaseScore {
  const opened = incidents.map((incident) => ({ ...incident, atMs: Date.parse(incident.openedAt) })).sort((a, b) => a.atMs - b.atMs)
  const fromMs = truth.onsetMs - LABEL_TOLERANCE_MS
  const ours = opened.filter(({ atMs }) => atMs >= fromMs && atMs <= truth.onsetMs + FAULT_MS + AFTER_MS)
  const ranked = new Set<string>()
  for (const severity of SEVERITIES) {
    const causes = ours.filter((incident) => incident.severity === severity).flatMap((incident) => incident.causes)
    causes.sort((a, b) => b.probability - a.probability || (a.service < b.service ? -1 : 1))
    for (const { service } of causes) ranked.add(service)
  }
  const rank = [...ranked].indexOf(truth.service) + 1
  return {
    case: truth.case,
    type: truth.type,
    service: truth.service,
    detected: ours.length > 0,
    delayS: ours.length > 0 ? Math.round((ours[0]!.atMs - truth.onsetMs) / 1000) : null,
    rank: rank > 0 ? rank : null,
    incidents: ours.length,
    falseIncidents: opened.filter(({ atMs }) => atMs < fromMs).length,
    quietMinutes: Math.round((fromMs - truth.recordedFromMs) / 60_000),
    causes: [...ranked].slice(0, 5),
  }
}

export function summarise(scores: readonly CaseScore[]): Score {
  const share = (holds: (score: CaseScore) => boolean): number =>
    scores.length === 0 ? 0 : Math.round((scores.filter(holds).length / scores.length) * 1000) / 1000
  const delays = scores.flatMap(({ delayS }) => delayS ?? []).sort((a, b) => a - b)
  return {
    cases: scores.length,
    detected: share(({ detected }) => detected),
    as1: share(({ rank }) => rank === 1),
    as3: share(({ rank }) => rank !== null && rank <= 3),
    falseIncidents: scores.reduce((sum, score) => sum + score.falseIncidents, 0),
    quietHours: Math.round(scores.reduce((sum, score) => sum + score.quietMinutes, 0) / 6) / 10,
    medianDelayS: delays[Math.floor(delays.length / 2)] ?? null,
  }
}

async function main(): Promise<number> {
  const { values: args } = parseArgs({
    options: {
      data: { type: 'string' },
      cases: { type: 'string' },
      only: { type: 'string', default: '' },
      recordings: { type: 'string' },
      cli: { type: 'string', default: fileURLToPath(new URL('../dist/cli.js', import.meta.url)) },
      json: { type: 'boolean', default: false },
    },
  })
  if (args.data === undefined || !existsSync(args.cli)) {
    console.error(
      args.data === undefined
        ? 'usage: npx tsx bench/nezha.ts --data DIR [--cases N] [--only TEXT] [--recordings DIR] [--cli FILE] [--json]'
        : `${args.cli} does not exist: run \`npm run build\` first`,
    )
    return 2
  }
  const { cases } = casesSchema.parse(JSON.parse(await readFile(join(args.data, 'dev.json'), 'utf8')))
  const chosen = cases
    .filter(({ id, inject_type: type }) => `${id} ${type}`.includes(args.only))
    .slice(0, args.cases === undefined ? undefined : Number(args.cases))
  const scratch = await mkdtemp(join(tmpdir(), 'tocsin-nezha-'))
  const scores: CaseScore[] = []
  try {
    for (const { id } of chosen) {
      const folder = join(args.recordings ?? scratch, id.replaceAll(/[^\w-]/g, '-'))
      if (!existsSync(join(folder, 'truth.json'))) {
        run([
          '--import',
          'tsx',
          fileURLToPath(new URL('nezha-case.ts', import.meta.url)),
          '--data',
          args.data,
          '--case',
          id,
          '--out',
          folder,
        ])
      }
      const printed = run([args.cli, 'replay', folder, '--json', '--set', `dataDir=${join(scratch, 'state')}`])
      const truth = truthSchema.parse(JSON.parse(await readFile(join(folder, 'truth.json'), 'utf8')))
      const score = scoreCase(truth, resultSchema.parse(JSON.parse(printed.trimEnd().split('\n').at(-1)!)))
      scores.push(score)
      if (!args.json) console.log(lineOf(score))
    }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
  const summary = summarise(scores)
  if (args.json) console.log(JSON.stringify({ ...summary, scores }))
  else
    console.log(
      `${summary.cases} cases: detected ${summary.detected}, AS@1 ${summary.as1}, AS@3 ${summary.as3}; ${summary.falseIncidents} false incidents in ${summary.quietHours} quiet hours; first incident ${summary.medianDelayS ?? '–'} s after the labelled onset (median)`,
    )
  return 0
}

function lineOf(score: CaseScore): string {
  const { rank, incidents, delayS, falseIncidents, causes } = score
  const found = incidents === 0 ? 'no incident' : `${incidents} incidents from ${delayS} s, rank ${rank ?? '–'}`
  return `${score.case} ${score.type.padEnd(14)} ${score.service.padEnd(28)} ${found.padEnd(36)} ${falseIncidents} false  ${causes.join(', ')}`
}

function run(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}: ${stderr.slice(-2000)}`)
  return stdout
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main()
