#!/usr/bin/env node
/**
 * The command line: parses arguments, starts what was asked for, and turns every failure into one clear message and an exit code
 * (0 done, 1 failed, 2 used wrongly).
 */
import { readFileSync } from 'node:fs'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { parse as parseYaml } from 'yaml'
import { ROLES, type Role } from './app.ts'
import { loadConfig, type Config, type Overrides } from './config.ts'
import type { TensorflowBackend } from './detect/service/tensorflow.ts'
import { ConfigError, messageOf } from './errors.ts'
import { shown } from './wording.ts'

const USAGE = `Tocsin: one fault, one page, with the probable cause.

  tocsin run      start it, ready for real senders     [--role ingest,detect,correlate,notify,web]
  tocsin demo     replay the recorded outage and show the incidents   [--json] [--exit] [--recording FOLDER]
  tocsin replay   FOLDER: play a recording through the pipeline, as fast as it can   [--json]
  tocsin record   FOLDER: keep what arrives at the doors, to be replayed
  tocsin train    train the service model   [--recording FOLDER | --vectors FILE] [--out models/NAME] [--seed N]
                  [--hidden 8,3] [--epochs 40] [--backend native|wasm|cpu]
  tocsin evaluate   how well it would have done on your own history: --data FOLDER of CSV files or of a recording, --labels FILE
                  [--delay 7] [--json]
  tocsin explain   ID of an anomaly, or of an incident: how its score came about, made again   [--recording FOLDER] [--json]
  tocsin explain-name   which rule names a service: --metric 'up{job="x"}' | --log '{app="x"}' | --alert '{…}' |
                  --resource service.name=x,k8s.pod.name=y   [--json]
  tocsin dead-letters   what could not be read: list | show ID… | replay ID… | replay --all
                  [--topic T] [--reason R] [--since 2h|2026-11-23T10:00:00Z] [--limit N] [--json];
                  replay: [--encoding E] [--dry-run] [--again]
  tocsin config   check | example | schema
  tocsin version

  --config FILE      read this YAML file (default: the one named by TOCSIN_CONFIG, else none)
  --set KEY=VALUE    set one key, as in --set http.port=8080; may be repeated
  --debug            show the stack of an unexpected error
`

/** Used wrongly: shown with a hint to the usage, exit code 2. */
class UsageError extends Error {
  override readonly name = 'UsageError'
}

const COMMON = {
  config: { type: 'string' },
  set: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' },
  debug: { type: 'boolean' },
} as const

function parse<const T extends NonNullable<ParseArgsConfig['options']>>(args: string[], options: T) {
  try {
    return parseArgs({ args, options: { ...COMMON, ...options }, allowPositionals: true, strict: true })
  } catch (error) {
    // Node goes on about positional arguments; the first sentence says it.
    throw new UsageError(messageOf(error).replace(/\. To specify a positional argument.*$/s, ''), { cause: error })
  }
}

function overridesOf(pairs: readonly string[] = []): Overrides {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw new UsageError(`--set takes KEY=VALUE, not ${JSON.stringify(pair)}`)
      return [pair.slice(0, at), valueOf(pair.slice(0, at), pair.slice(at + 1))]
    }),
  )
}

function valueOf(key: string, text: string): unknown {
  try {
    return parseYaml(text) as unknown
  } catch (error) {
    throw new UsageError(`--set ${key}: ${JSON.stringify(text)} is not YAML: ${messageOf(error).split('\n')[0]}`, { cause: error })
  }
}

function configOf(values: { readonly config?: string | undefined; readonly set?: string[] | undefined }, defaults: Overrides = {}): Config {
  return loadConfig(values.config, { ...defaults, ...overridesOf(values.set) })
}

function rolesOf(text: string | undefined): readonly Role[] {
  if (text === undefined) return ROLES
  const names = text.split(',').map((name) => name.trim())
  for (const name of names) {
    if (!ROLES.includes(name as Role))
      throw new UsageError(`--role: there is no role ${JSON.stringify(name)}; the roles are ${ROLES.join(', ')}`)
  }
  return names as Role[]
}

/** The default is the shipped model's: `tocsin train` alone makes that one again. */
function seedOf(text = '7'): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--seed takes a whole number, not ${JSON.stringify(text)}`)
  return Number(text)
}

function hiddenOf(text: string): number[] {
  const sizes = text.split(',').map(Number)
  if (!/^\d+(,\d+)*$/.test(text) || sizes.length > 6 || sizes.some((units) => units < 1 || units > 2048))
    throw new UsageError(
      `--hidden takes the units of the hidden layers up to the narrowest, 1 to 2048 each, as in 64,32,8, not ${JSON.stringify(text)}`,
    )
  return sizes
}

function epochsOf(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) < 1)
    throw new UsageError(`--epochs takes a number from 1 to 9999, not ${JSON.stringify(text)}`)
  return Number(text)
}

function backendOf(text: string): TensorflowBackend {
  if (text !== 'native' && text !== 'wasm' && text !== 'cpu')
    throw new UsageError(`--backend takes native, wasm or cpu, not ${JSON.stringify(text)}`)
  return text
}

/** As the KPI set of the AIOps Challenge 2018 has it. */
function delayOf(text = '7'): number {
  if (!/^\d{1,4}$/.test(text)) throw new UsageError(`--delay takes a number of rows from 0 to 9999, not ${JSON.stringify(text)}`)
  return Number(text)
}

function limitOf(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 10_000)
    throw new UsageError(`--limit takes a number from 1 to 10000, not ${JSON.stringify(text)}`)
  return Number(text)
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90m` is so long ago; else a time with its zone. */
function sinceOf(text: string | undefined): { readonly atMs: number } | { readonly agoMs: number } | undefined {
  if (text === undefined) return undefined
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (count !== undefined) return { agoMs: Number(count) * UNITS_MS[unit!]! }
  const atMs = /^\d{4}-\d\d-\d\dT.*(?:Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(atMs))
    throw new UsageError(`--since takes 90s, 15m, 2h, 3d or a time like 2026-11-23T10:00:00Z, not ${JSON.stringify(text)}`)
  return { atMs }
}

async function encodingOf(text: string | undefined) {
  if (text === undefined) return undefined
  const { PAYLOAD_ENCODINGS } = await import('./ingest/config.ts')
  const known = PAYLOAD_ENCODINGS.find((encoding) => encoding === text)
  if (known === undefined) throw new UsageError(`--encoding takes ${PAYLOAD_ENCODINGS.join(', ')}, not ${JSON.stringify(text)}`)
  return known
}

function only(positionals: readonly string[], what: string): string {
  if (positionals.length !== 1) throw new UsageError(`give exactly one ${what}`)
  return positionals[0]!
}

function none(positionals: readonly string[]): void {
  if (positionals.length > 0) throw new UsageError(`there is no use for ${JSON.stringify(positionals[0])} here`)
}

const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  async run(args) {
    const { values, positionals } = parse(args, { role: { type: 'string' } })
    none(positionals)
    const { run } = await import('./commands.ts')
    await run(configOf(values), rolesOf(values.role))
  },
  async demo(args) {
    const { values, positionals } = parse(args, { json: { type: 'boolean' }, exit: { type: 'boolean' }, recording: { type: 'string' } })
    none(positionals)
    const { demo, DEMO_DEFAULTS } = await import('./replays.ts')
    await demo(configOf(values, DEMO_DEFAULTS), { json: values.json === true, exit: values.exit === true, recording: values.recording })
  },
  async replay(args) {
    const { values, positionals } = parse(args, { json: { type: 'boolean' } })
    const { replayCommand, REPLAY_DEFAULTS } = await import('./replays.ts')
    await replayCommand(configOf(values, REPLAY_DEFAULTS), { json: values.json === true, recording: only(positionals, 'FOLDER to replay') })
  },
  async record(args) {
    const { values, positionals } = parse(args, {})
    const { record } = await import('./commands.ts')
    await record(configOf(values), only(positionals, 'FOLDER to write to'))
  },
  async train(args) {
    const { values, positionals } = parse(args, {
      recording: { type: 'string' },
      vectors: { type: 'string' },
      out: { type: 'string' },
      seed: { type: 'string' },
      hidden: { type: 'string' },
      epochs: { type: 'string' },
      backend: { type: 'string' },
    })
    none(positionals)
    const { train, REPLAY_DEFAULTS } = await import('./replays.ts')
    const { recording, vectors, seed, out, hidden, epochs, backend } = values
    if (recording !== undefined && vectors !== undefined) throw new UsageError('--recording and --vectors: give only one of them')
    if (out === undefined && (recording ?? vectors ?? seed ?? hidden ?? epochs) !== undefined)
      throw new UsageError('say where to write the model with --out models/NAME: models/service is the one that comes with Tocsin')
    await train(configOf(values, { ...REPLAY_DEFAULTS, logLevel: 'info' }), {
      recording,
      vectors,
      out: out ?? 'models/service',
      seed: seedOf(seed),
      ...(hidden !== undefined && { hidden: hiddenOf(hidden) }),
      ...(epochs !== undefined && { epochs: epochsOf(epochs) }),
      ...(backend !== undefined && { backend: backendOf(backend) }),
    })
  },
  async evaluate(args) {
    const text = { type: 'string' } as const
    const { values, positionals } = parse(args, { data: text, labels: text, delay: text, json: { type: 'boolean' } })
    none(positionals)
    const { data, labels } = values
    if (data === undefined || labels === undefined) throw new UsageError('evaluate needs --data FOLDER and --labels FILE')
    const { evaluateCommand } = await import('./evaluate-command.ts')
    const { REPLAY_DEFAULTS } = await import('./replays.ts')
    await evaluateCommand(configOf(values, REPLAY_DEFAULTS), { data, labels, delay: delayOf(values.delay), json: values.json === true })
  },
  async explain(args) {
    const { values, positionals } = parse(args, { recording: { type: 'string' }, json: { type: 'boolean' } })
    const { recording, json = false } = values
    const id = only(positionals, 'ID of an anomaly or an incident')
    const { explain } = await import('./explain-command.ts')
    const { REPLAY_DEFAULTS } = await import('./replays.ts')
    const config = configOf(values, recording === undefined ? { logLevel: 'warn' } : { ...REPLAY_DEFAULTS, dataDir: '.tocsin/explain' })
    process.exitCode = await explain(config, { id, json, recording }, (text) => process.stdout.write(text))
  },
  async 'explain-name'(args) {
    const text = { type: 'string' } as const
    const { values, positionals } = parse(args, { metric: text, log: text, resource: text, alert: text, json: { type: 'boolean' } })
    none(positionals)
    const { explainNameCommand } = await import('./commands.ts')
    const { NAMED_SIGNALS, parseRow } = await import('./ingest/naming/explain-name.ts')
    const [signal, other] = NAMED_SIGNALS.filter((name) => values[name] !== undefined)
    if (signal === undefined || other !== undefined)
      throw new UsageError(`give exactly one of ${NAMED_SIGNALS.map((name) => `--${name}`).join(', ')}`)
    let pairs: [name: string, value: string][]
    try {
      pairs = parseRow(values[signal]!)
    } catch (error) {
      throw new UsageError(`--${signal}: ${messageOf(error)}`, { cause: error })
    }
    explainNameCommand(configOf(values), signal, pairs, values.json === true)
  },
  async 'dead-letters'(args) {
    const [text, flag] = [{ type: 'string' }, { type: 'boolean' }] as const
    const { values, positionals } = parse(args, {
      topic: text,
      reason: text,
      since: text,
      limit: text,
      encoding: text,
      json: flag,
      all: flag,
      again: flag,
      'dry-run': flag,
    })
    const [action = 'list', ...ids] = positionals
    if (action !== 'list' && action !== 'show' && action !== 'replay')
      throw new UsageError(`tocsin dead-letters takes list, show or replay, not ${JSON.stringify(action)}`)
    const { all = false, again = false, json = false, 'dry-run': dryRun = false, topic, reason } = values
    if (action === 'list') none(ids)
    if (action === 'show' && ids.length === 0) throw new UsageError('give the ID of a dead letter: tocsin dead-letters list shows them')
    if (action === 'replay' && ids.length > 0 === all) throw new UsageError('replay takes the IDs of dead letters, or --all, and not both')
    for (const name of ['topic', 'reason', 'since', 'limit'] as const)
      if (values[name] !== undefined && ids.length > 0) throw new UsageError(`--${name} has no use beside an ID`)
    for (const name of ['encoding', 'dry-run', 'again', 'all'] as const)
      if (values[name] !== undefined && action !== 'replay') throw new UsageError(`--${name} is for tocsin dead-letters replay`)
    const filter = { topic, reason, limit: limitOf(values.limit, action === 'list' ? 50 : 10_000) }
    const since = sinceOf(values.since)
    const encoding = await encodingOf(values.encoding)
    const { deadLetters } = await import('./dead-letters-command.ts')
    const options = { action, ids, filter, since, encoding, dryRun, again, json } as const
    process.exitCode = await deadLetters(configOf(values), options, (line) => process.stdout.write(line))
  },
  async config(args) {
    const { values, positionals } = parse(args, {})
    const { configExample, configJsonSchema } = await import('./config-docs.ts')
    const [what = 'check', ...more] = positionals
    none(more)
    if (what === 'example') process.stdout.write(configExample())
    else if (what === 'schema') process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`)
    else if (what === 'check') {
      configOf(values)
      process.stdout.write('The configuration is valid.\n')
    } else throw new UsageError(`tocsin config takes check, example or schema, not ${JSON.stringify(what)}`)
  },
  async version(args) {
    none(parse(args, {}).positionals)
    const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
    process.stdout.write(`${manifest.version}\n`)
  },
}

async function main(argv: string[]): Promise<void> {
  const [name = 'help', ...args] = argv
  if (['help', '--help', '-h'].includes(name) || args.includes('--help') || args.includes('-h')) {
    process.stdout.write(USAGE)
    return
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined)
    throw new UsageError(`there is no command ${JSON.stringify(name)}; the commands are ${Object.keys(COMMANDS).join(', ')}`)
  await command(args)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`tocsin: ${shown(error.message)}\nRun tocsin --help to see how it is used.\n`)
    process.exitCode = 2
  } else {
    process.stderr.write(`tocsin: ${error instanceof ConfigError ? error.message : failureText(error)}\n`)
    process.exitCode = 1
  }
  // A part that was started and failed half-way must not keep the process up.
  setTimeout(() => process.exit(), 5_000).unref()
}

/** The message with what lies under it; the stack only with --debug. */
function failureText(error: unknown): string {
  if (process.argv.includes('--debug') && error instanceof Error) return error.stack ?? error.message
  const text = messageOf(error)
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : ''
  return text.includes(cause) ? text : `${text} (${cause})`
}
