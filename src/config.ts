/**
 * The configuration: one YAML file, every key with a default, so that no file at all is a valid one. Each folder brings its own
 * part of the schema; `config/example.yaml` and `config/schema.json` are generated from the whole.
 * `${NAME}` and `${NAME:-fallback}` in a value are replaced from the environment, so that secrets stay out of the file.
 */
import { readFileSync } from 'node:fs'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { correlateConfig } from './correlate/config.ts'
import { detectConfig } from './detect/config.ts'
import { ConfigError, messageOf, type ConfigProblem } from './errors.ts'
import { ingestConfig } from './ingest/config.ts'
import { notifyConfig } from './notify/config.ts'
import { postgresConfig } from './store/config.ts'
import { kafkaConfig } from './transport/config.ts'

const httpConfig = z.strictObject({
  host: z.string().default('127.0.0.1').describe('Address to listen on. 0.0.0.0 opens it to the network: set a token first.'),
  port: z
    .int()
    .min(0)
    .max(65535)
    .default(4318)
    .describe('One port for senders, pages, API and /metrics; 4318 is where OTLP exporters look. 0 takes a free one.'),
  publicUrl: z.string().default('').describe('How people reach the pages, used in links of notices. Empty: the address it listens on.'),
  token: z
    .string()
    .default('')
    .describe('When set, senders and API callers must show it as a bearer token, and browsers as the password of any user.'),
})

export const configSchema = z.strictObject({
  transport: z.enum(['embedded', 'kafka']).default('embedded').describe('What carries batches between the stages: this process, or Kafka.'),
  store: z.enum(['embedded', 'postgres']).default('embedded').describe('Where incidents are kept: PGlite in dataDir, or PostgreSQL.'),
  dataDir: z.string().min(1).default('.tocsin').describe('Folder of the embedded store. One process at a time.'),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info').describe('How much Tocsin says about itself.'),
  http: httpConfig.prefault({}).describe('The one HTTP listener.'),
  kafka: kafkaConfig.prefault({}).describe('Used with transport: kafka.'),
  postgres: postgresConfig.prefault({}).describe('Used with store: postgres.'),
  ingest: ingestConfig.prefault({}).describe('What comes in: limits, names of services, Kafka topics with native payloads.'),
  detect: detectConfig.prefault({}).describe('What counts as unusual.'),
  correlate: correlateConfig.prefault({}).describe('What belongs together, and when it is over.'),
  notify: notifyConfig.prefault({}).describe('Who is told. A channel that is absent is off.'),
})

export type Config = z.output<typeof configSchema>
export type ConfigInput = z.input<typeof configSchema>

/** Values replace those of the file: `{ 'http.port': 0 }`. */
export type Overrides = Readonly<Record<string, unknown>>

/**
 * Reads, substitutes, overrides and checks the given file, else the one that TOCSIN_CONFIG names, else nothing but defaults.
 * Throws a ConfigError that names every problem with its path.
 */
export function loadConfig(chosen: string | undefined, overrides: Overrides = {}, env: NodeJS.ProcessEnv = process.env): Config {
  const file = chosen ?? env['TOCSIN_CONFIG']
  const source = file ?? 'the configuration'
  return parseConfig(file === undefined ? {} : readYaml(file), overrides, env, source)
}

export function parseConfig(
  raw: unknown,
  overrides: Overrides = {},
  env: NodeJS.ProcessEnv = process.env,
  source = 'the configuration',
): Config {
  const problems: ConfigProblem[] = []
  const value = substitute(raw ?? {}, env, '', problems)
  for (const [path, override] of Object.entries(overrides)) setAt(value, path, override, problems)
  if (problems.length > 0) throw new ConfigError(source, problems)
  const parsed = configSchema.safeParse(value)
  if (!parsed.success) throw new ConfigError(source, parsed.error.issues.flatMap(problemsOf))
  const config = parsed.data
  if (config.store === 'postgres' && config.postgres.url === '') {
    throw new ConfigError(source, [{ path: 'postgres.url', message: 'is needed with store: postgres' }])
  }
  return config
}

function readYaml(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(file, [{ path: '(file)', message: messageOf(error) }])
  }
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true })
  if (document.errors.length > 0) {
    throw new ConfigError(
      file,
      document.errors.map((e) => ({ path: `line ${e.linePos?.[0].line ?? '?'}`, message: e.message.split('\n')[0]! })),
    )
  }
  return document.toJS({ maxAliasCount: 100 })
}

function problemsOf(issue: z.core.$ZodIssue): ConfigProblem[] {
  const at = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: at === '' ? key : `${at}.${key}`, message: 'is not a known key' }))
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const choices = issue.errors.map((errors) => errors.map((one) => ({ ...one, path: [...issue.path, ...one.path] })))
    // The one that got further than the others is what was meant; where none did, each says what it takes.
    const meant = choices.find((errors) => errors.some(({ path }) => path.length > issue.path.length))
    if (meant !== undefined) return meant.flatMap(problemsOf)
    return [{ path: at, message: [...new Set(choices.flatMap((errors) => errors.map(({ message }) => message)))].join(', or: ') }]
  }
  return [{ path: at === '' ? '(top level)' : at, message: issue.message }]
}

const VARIABLE = /\$\{([A-Z_a-z][A-Z_a-z0-9]*)(?::-([^}]*))?\}/g

/** A copy without empty keys and with every `${NAME}` replaced; a name that is neither set nor given a fallback is a problem. */
function substitute(value: unknown, env: NodeJS.ProcessEnv, path: string, problems: ConfigProblem[]): unknown {
  if (typeof value === 'string') {
    return value.replace(VARIABLE, (_, name: string, fallback: string | undefined) => {
      const found = env[name] ?? fallback
      if (found === undefined) problems.push({ path, message: `names the environment variable ${name}, which is not set` })
      return found ?? ''
    })
  }
  if (Array.isArray(value)) return value.map((item, i) => substitute(item, env, `${path}.${i}`, problems))
  if (typeof value !== 'object' || value === null) return value
  // A key with nothing after it (all below it is commented out) is a key that is not there.
  const present = Object.entries(value).filter(([, item]) => item !== null)
  return Object.fromEntries(present.map(([key, item]) => [key, substitute(item, env, path === '' ? key : `${path}.${key}`, problems)]))
}

function setAt(target: unknown, path: string, value: unknown, problems: ConfigProblem[]): void {
  const keys = path.split('.')
  let here = target as Record<string, unknown>
  for (const key of keys.slice(0, -1)) {
    const next = Object.hasOwn(here, key) ? here[key] : (here[key] = {})
    if (typeof next !== 'object' || next === null) {
      problems.push({ path, message: `cannot be set: ${key} is a plain value` })
      return
    }
    here = next as Record<string, unknown>
  }
  Object.defineProperty(here, keys.at(-1)!, { value, enumerable: true, configurable: true, writable: true })
}
