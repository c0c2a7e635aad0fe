/** The command line used wrongly: the exit code says whose mistake it was, and the first line what to do. */
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SHIPPED_RECORDING } from '../../src/replays.ts'
import { freePorts, temporaryFolder, type TemporaryFolder } from '../support/processes.ts'
import { CLI, startTocsin } from '../support/tocsin.ts'

let folder: TemporaryFolder
let other: Server
let port: string

beforeAll(async () => {
  folder = await temporaryFolder('cli')
  const at = (name: string) => join(folder.path, name)
  other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  port = String((other.address() as AddressInfo).port)
  writeFileSync(at('unknown.yaml'), 'htpp:\n  port: 1\n')
  writeFileSync(at('broken.yaml'), 'http: {\n')
  mkdirSync(at('empty'))
  cpSync(SHIPPED_RECORDING, at('damaged'), { recursive: true })
  truncateSync(at('damaged/payloads-0000.br'), 1_000)
})

afterAll(async () => {
  other.close()
  await folder[Symbol.asyncDispose]()
})

interface Ended {
  readonly code: number
  readonly stderr: string
}

/** `PORT` stands for one that is taken, in messages `HERE` for where it runs. */
function tocsin(args: string): Promise<Ended> {
  const words = args.split(' ').filter((word) => word !== '')
  return new Promise((resolve) => {
    const all = words.map((word) => word.replace('PORT', port))
    const env = { ...process.env, TOCSIN_CONFIG: undefined }
    execFile(process.execPath, [CLI, ...all], { cwd: folder.path, timeout: 30_000, env }, (error, _, stderr) =>
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stderr }),
    )
  })
}

describe('used wrongly', () => {
  it.each<[args: string, code: number, message: string]>([
    [
      'frobnicate',
      2,
      'there is no command "frobnicate"; the commands are run, demo, replay, record, train, evaluate, explain, explain-name, dead-letters, config, version',
    ],
    ['run --frob', 2, "Unknown option '--frob'"],
    ['run now', 2, 'there is no use for "now" here'],
    ['version 2', 2, 'there is no use for "2" here'],
    ['run --role cook', 2, '--role: there is no role "cook"; the roles are ingest, detect, correlate, notify, web'],
    ['run --set http.port', 2, '--set takes KEY=VALUE, not "http.port"'],
    ['run --set http.port=[1', 2, '--set http.port: "[1" is not YAML: Flow sequence must end with a ]'],
    ['replay', 2, 'give exactly one FOLDER to replay'],
    ['replay one two', 2, 'give exactly one FOLDER to replay'],
    ['record', 2, 'give exactly one FOLDER to write to'],
    ['train --out model --seed x', 2, '--seed takes a whole number, not "x"'],
    ['evaluate --data empty', 2, 'evaluate needs --data FOLDER and --labels FILE'],
    ['evaluate --data empty --labels l.csv --delay soon', 2, '--delay takes a number of rows from 0 to 9999, not "soon"'],
    ['evaluate --data empty --labels nowhere.csv', 1, '--labels nowhere.csv cannot be read'],
    ['explain-name', 2, 'give exactly one of --metric, --log, --resource, --alert'],
    ['explain-name --log {a="b"} --metric {a="b"}', 2, 'give exactly one of --metric, --log, --resource, --alert'],
    ['explain-name --log {a=b}', 2, '--log: the labels of a stream cannot be read at character 4'],
    ['explain-name --metric up', 2, '--metric: "up" is no NAME=VALUE'],
    ['explain-name --resource a=b,a=c', 2, '--resource: a label is given twice'],
    ['dead-letters burn', 2, 'tocsin dead-letters takes list, show or replay, not "burn"'],
    ['dead-letters list 7', 2, 'there is no use for "7" here'],
    ['dead-letters show', 2, 'give the ID of a dead letter'],
    ['dead-letters replay', 2, 'replay takes the IDs of dead letters, or --all, and not both'],
    ['dead-letters replay 7 --all', 2, 'replay takes the IDs of dead letters, or --all, and not both'],
    ['dead-letters replay 7 --reason empty', 2, '--reason has no use beside an ID'],
    ['dead-letters replay 7 --encoding xml', 2, '--encoding takes otlp_proto, otlp_json, remote_write,'],
    ['dead-letters list --dry-run', 2, '--dry-run is for tocsin dead-letters replay'],
    ['dead-letters list --since yesterday', 2, '--since takes 90s, 15m, 2h, 3d or a time like 2026-11-23T10:00:00Z'],
    ['dead-letters list --limit 0', 2, '--limit takes a number from 1 to 10000, not "0"'],
    ['dead-letters show 7 --set http.port=1', 1, 'there is no dead letter "7"'],
    ['explain-name checkout', 2, 'there is no use for "checkout" here'],
    ['explain-name --alert a=b --config unknown.yaml', 1, 'unknown.yaml is not valid:\n  htpp: is not a known key'],
    ['config frob', 2, 'tocsin config takes check, example or schema, not "frob"'],
    ['config check more', 2, 'there is no use for "more" here'],
    ['run --config nowhere.yaml', 1, 'nowhere.yaml is not valid:\n  (file): ENOENT'],
    ['run --config unknown.yaml', 1, 'unknown.yaml is not valid:\n  htpp: is not a known key'],
    ['config check --config broken.yaml', 1, 'broken.yaml is not valid:\n  line 2: '],
    ['run --set http.port=abc', 1, 'the configuration is not valid:\n  http.port: '],
    ['run --set store=postgres', 1, 'the configuration is not valid:\n  postgres.url: is needed with store: postgres'],
    ['run --role detect', 1, 'the configuration is not valid:\n  --role: needs ingest and correlate too, or transport: kafka'],
    [
      'run --set dataDir=data --set http.port=PORT',
      1,
      'Tocsin cannot listen on 127.0.0.1:PORT: another program listens there: stop it, or set http.port',
    ],
    ['run --set dataDir=broken.yaml --set http.port=0', 1, 'The data folder HERE/broken.yaml cannot be used: '],
    ['replay nowhere', 1, 'nowhere is not a finished recording: ENOENT'],
    ['replay empty', 1, 'empty is not a finished recording: ENOENT'],
    ['replay damaged', 1, 'damaged/payloads-0000.br is damaged: its bytes are not the ones that were recorded'],
    ['record damaged', 1, 'damaged already holds a recording: choose another folder or delete it'],
    ['record broken.yaml', 1, 'a recording cannot be written to broken.yaml: '],
  ])(
    'tocsin %s',
    async (args, code, message) => {
      const ended = await tocsin(args)
      // Before it failed it may have logged what it had started, as JSON lines.
      const text = ended.stderr.replaceAll(/^\{.*\n/gm, '')
      const wanted = `tocsin: ${message.replace('PORT', port).replace('HERE', folder.path)}`
      expect(text.slice(0, wanted.length)).toBe(wanted)
      expect(ended.code).toBe(code)
      expect(text, 'no stack').not.toMatch(/^ {4}at /m)
      if (code === 2) expect(text).toContain('Run tocsin --help')
      const said = text.split('\n')[0]!
      expect(said.indexOf('ENOENT'), 'says it once').toBe(said.lastIndexOf('ENOENT'))
    },
    30_000,
  )
})

it('explains a name by the configuration it is given, for people and for machines', async () => {
  const config = join(folder.path, 'alias.yaml')
  writeFileSync(config, 'ingest: { naming: { aliases: { checkout-svc: checkout } } }\n')
  const args = ['explain-name', '--log', '{job="shop/checkout-svc"}', '--config', config]
  const said = (more: string[]) => promisify(execFile)(process.execPath, [CLI, ...args, ...more], { timeout: 30_000 })
  expect((await said([])).stdout).toMatch(
    /^service {3}checkout\n {2}by {2}job \(job\): "shop\/checkout-svc" gave "checkout-svc"\n {2}as {2}naming\.aliases/,
  )
  expect(JSON.parse((await said(['--json'])).stdout)).toMatchObject({
    signal: 'log',
    service: { name: 'checkout', alias: 'checkout-svc', rule: { from: 'job', take: 'job', gave: 'checkout-svc' } },
  })
}, 30_000)

it('a recording that is not there costs nobody the results of the last one', async () => {
  const results = join(folder.path, 'results')
  mkdirSync(results)
  expect((await tocsin(`replay nowhere --set dataDir=${results}`)).code).toBe(1)
  expect(existsSync(results)).toBe(true)
})

it('a second process on the same data folder is told who has it', async () => {
  const data = join(folder.path, 'shared')
  await using first = await startTocsin(['run', '--set', `dataDir=${data}`], (await freePorts(1))[0]!)
  const second = await tocsin(`run --set dataDir=${data} --set http.port=0`)
  expect(second.code).toBe(1)
  expect(second.stderr).toContain(
    `tocsin: The data folder ${data} is in use by process ${first.pid}: stop that process, or set another data folder.`,
  )
}, 60_000)

it('stops when it is told to while it still waits for Kafka', async () => {
  const args = ['run', '--role', 'ingest', '--set', 'transport=kafka', '--set', `kafka.brokers=[127.0.0.1:${port}]`]
  const child = execFile(process.execPath, [CLI, ...args, '--set', 'http.port=0'], { timeout: 30_000 })
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  await new Promise<void>((resolve) => other.once('connection', () => resolve()))
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 30_000)
