/**
 * Other people's detectors, run beside ours: AWS' random cut forest from Maven, river and Drain3 from PyPI, Prometheus and VictoriaMetrics when
 * they are installed. They are set up once, below the cache folder; what cannot be had is left out and said.
 */
import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compressSync } from 'snappy'
import type { Measured, Scale } from '../suite.ts'
import { randomOf, SCRAPE_MS, WriteRequest } from '../wire.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tocsin-peers')
const PYTHON = join(CACHE, 'venv/bin/python')
const JARS = join(CACHE, 'jars')

export interface Peer {
  readonly name: string
  readonly unit: string
  /** Why it cannot run here; undefined: it can. */
  prepare(): string | undefined
  measure(scale: Scale, lines: () => string): Promise<Measured> | Measured
}

function failed({ status, error, stderr }: SpawnSyncReturns<string>): string | undefined {
  if (status === 0) return undefined
  return (error?.message ?? stderr.trim().split('\n').at(-1) ?? '') || `exit code ${status}`
}

function run(command: string, args: readonly string[], cwd = CACHE): string | undefined {
  return failed(spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 64 * 2 ** 20 }))
}

let python: { readonly why: string | undefined } | undefined
function preparePython(): string | undefined {
  python ??= { why: installPython() }
  return python.why
}

function installPython(): string | undefined {
  mkdirSync(CACHE, { recursive: true })
  const packages = ['drain3==0.9.11', 'river==0.26.1', 'setuptools<81']
  const stamp = join(CACHE, 'python-packages')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === packages.join()) return undefined
  const why = run('python3', ['-m', 'venv', join(CACHE, 'venv')]) ?? run(PYTHON, ['-m', 'pip', 'install', '--quiet', ...packages])
  if (why === undefined) writeFileSync(stamp, packages.join())
  return why
}

function prepareForest(): string | undefined {
  if (existsSync(join(CACHE, 'RcfPoints.class'))) return undefined
  mkdirSync(JARS, { recursive: true })
  copyFileSync(join(HERE, 'pom.xml'), join(CACHE, 'pom.xml'))
  const copy = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies'
  return (
    run('mvn', ['-q', '-B', copy, `-DoutputDirectory=${JARS}`]) ??
    run('javac', ['-cp', `${JARS}/*`, '-d', CACHE, join(HERE, 'RcfPoints.java')])
  )
}

/** What the last line of its output says. */
function measured(command: string, args: readonly string[]): Measured {
  const startMs = performance.now()
  const result = spawnSync(command, args, { cwd: CACHE, encoding: 'utf8' })
  const why = failed(result)
  if (why !== undefined) throw new Error(`${command} ${args.join(' ')}: ${why}`)
  const { units, cpuMs } = JSON.parse(result.stdout.trim().split('\n').at(-1)!) as { units: number; cpuMs: number }
  return { units, cpuMs, wallMs: performance.now() - startMs }
}

function river(name: string, model: string): Peer {
  return {
    name,
    unit: 'samples',
    prepare: preparePython,
    measure: ({ runMs }) => measured(PYTHON, [join(HERE, 'river_points.py'), model, String(runMs / 1000)]),
  }
}

const HISTORY_SCRAPES = 240
const PEER_SERIES = 1000
const QUERIES = 20
/** What stands in runbooks: how many standard deviations from the mean of the last hour, for every series, once per scrape. */
const Z_SCORE = '(peer_value - avg_over_time(peer_value[1h])) / stddev_over_time(peer_value[1h])'

/** An hour of 1,000 series through its remote-write door, then the z-score of all of them again and again: CPU per series and evaluation. */
async function measureQueries(program: string, flags: (folder: string, port: number) => string[], write: string): Promise<Measured> {
  const folder = join(CACHE, `${program}-data`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const config = join(folder, 'empty.yml')
  writeFileSync(config, '')
  const port = await freePort()
  const child = spawn(program, flags(folder, port), { stdio: 'ignore' })
  const url = `http://127.0.0.1:${port}`
  try {
    await until(async () => (await fetch(`${url}/metrics`)).ok)
    const nowMs = Date.now()
    const random = randomOf(1)
    const timeseries = Array.from({ length: PEER_SERIES }, (_, id) => ({
      labels: [
        { name: '__name__', value: 'peer_value' },
        { name: 'id', value: String(id) },
      ],
      samples: Array.from({ length: HISTORY_SCRAPES }, (_at, at) => ({
        value: 100 + random(),
        timestamp: nowMs - (HISTORY_SCRAPES - at) * SCRAPE_MS,
      })),
    }))
    const body = new Uint8Array(compressSync(Buffer.from(WriteRequest.encode(WriteRequest.fromObject({ timeseries })).finish())))
    const answer = await fetch(url + write, {
      method: 'POST',
      headers: { 'content-encoding': 'snappy', 'content-type': 'application/x-protobuf', 'x-prometheus-remote-write-version': '0.1.0' },
      body,
    })
    if (!answer.ok) throw new Error(`${program} answered ${answer.status}: ${await answer.text()}`)
    const query = async () => {
      const response = await fetch(`${url}/api/v1/query?nocache=1&query=${encodeURIComponent(Z_SCORE)}&time=${nowMs / 1000}`)
      return ((await response.json()) as { data: { result: unknown[] } }).data.result.length
    }
    await until(async () => (await query()) === PEER_SERIES)
    const [startMs, startCpuMs] = [performance.now(), cpuMsOf(child.pid!)]
    for (let i = 0; i < QUERIES; i++) await query()
    return { units: QUERIES * PEER_SERIES, cpuMs: cpuMsOf(child.pid!) - startCpuMs, wallMs: performance.now() - startMs }
  } finally {
    child.kill()
    await once(child, 'exit')
  }
}

/** User and system time, from hundredths of a second: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

async function until(done: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      if (await done()) return
    } catch (error) {
      if (tries > 100) throw error
    }
    if (tries > 100) throw new Error('it did not become ready within 20 seconds')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function queries(name: string, program: string, flags: (folder: string, port: number) => string[], write: string): Peer {
  return {
    name,
    unit: 'samples',
    prepare: () => {
      mkdirSync(CACHE, { recursive: true })
      const why = run(program, ['--version'])
      return why === undefined ? undefined : `${program} is not installed: ${why}`
    },
    measure: () => measureQueries(program, flags, write),
  }
}

export const PEERS: readonly Peer[] = [
  {
    name: 'random cut forest',
    unit: 'samples',
    prepare: prepareForest,
    measure: ({ runMs }) => measured('java', ['-XX:+UseSerialGC', '-cp', `${JARS}/*:${CACHE}`, 'RcfPoints', String(runMs / 1000)]),
  },
  river('river half-space trees', 'half-space-trees'),
  river('river Holt-Winters', 'holt-winters'),
  queries(
    'Prometheus z-score',
    'prometheus',
    (folder, port) => [
      `--config.file=${folder}/empty.yml`,
      `--storage.tsdb.path=${folder}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--web.enable-remote-write-receiver',
    ],
    '/api/v1/write',
  ),
  queries(
    'VictoriaMetrics z-score',
    'victoria-metrics',
    (folder, port) => [`-storageDataPath=${folder}`, `-httpListenAddr=127.0.0.1:${port}`, '-search.latencyOffset=0s'],
    '/api/v1/write',
  ),
  {
    name: 'Drain3',
    unit: 'lines',
    prepare: preparePython,
    measure: ({ runMs }, lines) => {
      const file = join(CACHE, 'lines.txt')
      writeFileSync(file, lines())
      return measured(PYTHON, [join(HERE, 'drain3_lines.py'), file, String(runMs / 1000)])
    },
  },
]
