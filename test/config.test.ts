/** What a person gets to read when the configuration is wrong, and that the documents about it are those of the schema. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configExample, configJsonSchema } from '../src/config-docs.ts'
import { loadConfig, parseConfig } from '../src/config.ts'
import { ConfigError } from '../src/errors.ts'
import { temporaryFolder, type TemporaryFolder } from './support/processes.ts'

const problemsOf = (run: () => unknown) => {
  try {
    run()
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ path, message }) => `${path}: ${message}`)
    throw error
  }
  return []
}

describe('the configuration', () => {
  it('needs nothing: no file is a valid one', () => {
    const config = parseConfig(undefined, {}, {})
    expect(config.transport).toBe('embedded')
    expect(config.http).toMatchObject({ host: '127.0.0.1', port: 4318 })
  })

  it.each([
    ['an unknown key', { trasnport: 'kafka' }, /^trasnport: is not a known key$/],
    ['an unknown key further in', { http: { prot: 1 } }, /^http\.prot: is not a known key$/],
    ['a wrong type', { http: { port: 'many' } }, /^http\.port: .*expected number/],
    ['a number out of range', { http: { port: 70_000 } }, /^http\.port: /],
    ['a value that is none of the choices', { store: 'mysql' }, /^store: .*embedded.*postgres/],
    ['a store without its address', { store: 'postgres' }, /^postgres\.url: is needed/],
    ['an address of something else', { postgres: { url: 'mysql://x' } }, /^postgres\.url: must begin with postgres/],
    ['a channel without its key', { notify: { channels: { pagerduty: {} } } }, /^notify\.channels\.pagerduty\.routingKey: /],
    ['a channel there is not', { notify: { channels: { pagerdutty: {} } } }, /^notify\.channels\.pagerdutty: is not a known key$/],
    ['a setting of a detector', { detect: { detectors: { spans: { windowMs: 1 } } } }, /^detect\.detectors\.spans\.windowMs: /],
    [
      'a time-out that a channel cannot keep',
      {
        notify: {
          channels: { jira: { url: 'https://x.example', token: 't', email: 'e', project: 'P' } },
          delivery: { sendTimeoutMs: 3000 },
        },
      },
      /^notify\.delivery\.sendTimeoutMs: must be at least a second longer than channels\.jira\.settleMs/,
    ],
    ['a source without a topic', { ingest: { sources: [{ signal: 'logs' }] } }, /^ingest\.sources\.0\.topic: /],
    [
      'a variable that is not set',
      { http: { token: '${TOKEN}' } },
      /^http\.token: names the environment variable TOKEN, which is not set$/,
    ],
    ['a word in place of yes or no', { kafka: { ssl: 'yes' } }, /^kafka\.ssl: .*expected boolean.*, or: .*expected object/],
    [
      'a word that is none of the choices',
      { ingest: { grpc: { enabled: 'maybe' } } },
      /^ingest\.grpc\.enabled: .*expected boolean.*"auto"/,
    ],
    [
      'a rule that is none',
      { ingest: { naming: { metricService: [1] } } },
      /^ingest\.naming\.metricService\.0: .*expected string.*expected object/,
    ],
    [
      'a rule that takes what there is not',
      { ingest: { naming: { metricService: [{ from: 'a', take: 'bogus' }] } } },
      /^ingest\.naming\.metricService\.0\.take: .*"workload".*expected object/,
    ],
    ['a list in place of the whole', ['http'], /expected object/],
    ['a word in place of the whole', 'http', /expected object/],
    ['a prototype', JSON.parse('{"__proto__":{"port":1}}') as unknown, /__proto__: is not a known key/],
  ])('%s is named with its path', (_, raw, expected) => {
    expect(problemsOf(() => parseConfig(raw, {}, {})).join('\n')).toMatch(expected)
  })

  it('names every problem, not only the first', () => {
    expect(problemsOf(() => parseConfig({ store: 'x', http: { port: -1, x: 1 } }, {}, {}))).toHaveLength(3)
  })

  it('takes values from the environment, with a fallback', () => {
    const config = parseConfig({ http: { token: '${A}-${B:-two}', publicUrl: '${C:-}' } }, {}, { A: 'one' })
    expect(config.http).toMatchObject({ token: 'one-two', publicUrl: '' })
  })

  it('takes overrides by path, also below keys that are not there', () => {
    expect(parseConfig({}, { 'http.port': 0, 'detect.detectors.spans.windowMs': 5000 }, {}).detect.detectors.spans).toMatchObject({
      windowMs: 5000,
    })
    expect(problemsOf(() => parseConfig({ dataDir: 'x' }, { 'dataDir.y': 1 }, {})).join()).toMatch(
      /cannot be set: dataDir is a plain value/,
    )
    expect(problemsOf(() => parseConfig({}, { '__proto__.port': 1 }, {})).join()).not.toBe('')
    expect(({} as { port?: unknown }).port).toBeUndefined()
  })
})

describe('a configuration file', () => {
  let folder: TemporaryFolder
  beforeAll(async () => {
    folder = await temporaryFolder('config')
  })
  afterAll(() => folder[Symbol.asyncDispose]())

  it.each([
    ['that is not there', undefined, /no-such\.yaml is not valid:\n {2}\(file\): .*ENOENT/],
    ['that is not YAML', 'http: [1, 2', /line \d+: /],
    ['with a key twice', 'store: embedded\nstore: embedded\n', /line 2: .*unique/],
    [
      'with a bomb of aliases',
      'a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n',
      /./,
    ],
  ])('%s gets a clear answer', (_, text, expected) => {
    const file = join(folder.path, text === undefined ? 'no-such.yaml' : 'tocsin.yaml')
    if (text !== undefined) writeFileSync(file, text)
    expect(() => loadConfig(file, {}, {})).toThrow(expected)
  })

  it('may be empty, or leave sections empty', () => {
    const file = join(folder.path, 'empty.yaml')
    writeFileSync(file, 'http:\nnotify:\n  channels:\n')
    expect(loadConfig(file, {}, {}).notify.channels).toEqual({})
  })

  it('is found through TOCSIN_CONFIG', () => {
    const file = join(folder.path, 'by-name.yaml')
    writeFileSync(file, 'logLevel: error\n')
    expect(loadConfig(undefined, {}, { TOCSIN_CONFIG: file }).logLevel).toBe('error')
  })
})

describe('what is written about the configuration', () => {
  const inConfig = (name: string) => readFileSync(new URL(`../config/${name}`, import.meta.url), 'utf8')

  it('config/example.yaml is the one of the schema: npm run build && node dist/cli.js config example > config/example.yaml', () => {
    expect(inConfig('example.yaml')).toBe(configExample())
  })

  it('config/schema.json is the one of the schema: npm run build && node dist/cli.js config schema > config/schema.json', () => {
    expect(JSON.parse(inConfig('schema.json'))).toEqual(JSON.parse(JSON.stringify(configJsonSchema())))
  })

  it('the example is valid and says nothing but the defaults', () => {
    expect(parseConfig(parse(configExample()), {}, {})).toEqual(parseConfig({}, {}, {}))
  })

  it('the files in deploy are valid', () => {
    const file = new URL('../deploy/tocsin.yaml', import.meta.url).pathname
    expect(loadConfig(file, {}, {})).toMatchObject({ transport: 'kafka', store: 'postgres' })
  })

  it('explains every key', () => {
    const unexplained: string[] = []
    interface Node {
      readonly description?: string
      readonly properties?: Readonly<Record<string, Node>>
    }
    const visit = (node: Node, path: string) => {
      for (const [key, child] of Object.entries(node.properties ?? {})) {
        if (child.description === undefined || child.description.length < 8) unexplained.push(path + key)
        visit(child, `${path}${key}.`)
      }
    }
    visit(configJsonSchema() as Node, '')
    expect(unexplained).toEqual([])
  })
})
