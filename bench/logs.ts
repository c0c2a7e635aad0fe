/** The log detector: lines per CPU-second, beside what it takes to read the record they come in. A thousand lines a second of ten services. */
import { decodeBatch, encodeBatch } from '../src/codec.ts'
import { logsDetector } from '../src/detect/logs/logs.ts'
import { logsConfig } from '../src/detect/logs/logs-config.ts'
import { ResidualBoard } from '../src/detect/residuals.ts'
import type { LogBatch } from '../src/model.ts'
import { repeat, rounded, summary } from './suite.ts'
import type { Contender, Measured, Results, Scale, Suite } from './suite.ts'
import { randomOf, START_MS } from './wire.ts'

const READ = 'read the record'
export const DETECT = 'detect'
/** Making a record takes longer than reading it. */
const READS = 20
const SERVICES = 10
const WORDS = 'order payment cart stock user session cache token queue batch page index row lock lease shard'.split(' ')

/** 200 kinds of line, 20 per service, each with three things in it that change. */
function lineOf(service: number, random: () => number): string {
  const kind = Math.floor(random() ** 2 * 20)
  const [a, b] = [WORDS[(service + kind) % WORDS.length]!, WORDS[(service * 7 + kind * 3) % WORDS.length]!]
  const [id, ms] = [Math.floor(random() * 1e9), (random() * 1000).toFixed(3)]
  return `${a} handler ${kind % 3 === 0 ? 'finished' : 'accepted'} the ${b} ${id.toString(16)} of customer ${id % 9973} in ${ms} ms step-${WORDS[kind % WORDS.length]!}`
}

/** So many lines of all services, for those who read files. */
export function linesOf(lines: number): string[] {
  const random = randomOf(1)
  return Array.from({ length: lines }, (_, row) => lineOf(row % SERVICES, random))
}

/** What arrives in second number `second`. */
function batchOf(second: number, lines: number): LogBatch {
  const random = randomOf(second + 1)
  return {
    kind: 'logs',
    rows: lines,
    sources: Array.from({ length: SERVICES }, (_, i) => ({ service: `service-${i}`, instance: `service-${i}-0`, version: '1.4.2' })),
    sourceIndex: Uint32Array.from({ length: lines }, (_, row) => row % SERVICES),
    timeMs: Float64Array.from({ length: lines }, (_, row) => START_MS + second * 1000 + (row * 1000) / lines),
    severity: Uint8Array.from({ length: lines }, () => (random() < 0.01 ? 17 : 9)),
    body: Array.from({ length: lines }, (_, row) => lineOf(row % SERVICES, random)),
    traceId: Array.from({ length: lines }, () => ''),
  }
}

async function measure(name: string, scale: Scale): Promise<Measured> {
  const lines = scale.quick ? 50 : 1000
  const detector = logsDetector.create(logsConfig.parse({}), { partition: 0, residuals: new ResidualBoard() })
  return repeat(scale, (second, watch) => {
    const record = encodeBatch(batchOf(second, lines))
    if (name === READ) {
      watch.time(() => {
        for (let i = 0; i < READS; i++) decodeBatch(record)
      })
      return lines * READS
    } else {
      const batch = decodeBatch(record)
      const tick = { kind: 'tick', nowMs: START_MS + (second + 1) * 1000 } as const
      watch.time(() => {
        detector.detect(batch, () => {})
        detector.detect(tick, () => {})
      })
    }
    return lines
  })
}

function contenders(): Contender[] {
  return [DETECT, READ].map((name) => ({ name, unit: 'lines' }))
}

function json(results: Results): Record<string, unknown> {
  return {
    linesPerCpuS: Math.round(results.perCpuS(DETECT).median),
    readPerCpuS: Math.round(results.perCpuS(READ).median),
    ratio: rounded(results.ratio(DETECT, READ).median),
    ratioOfRounds: summary(results.ratio(DETECT, READ)),
  }
}

function notes(results: Results): string[] {
  return [
    `a line costs ${rounded(1e6 / results.perCpuS(DETECT).median)} µs to look at, after ${rounded(1e6 / results.perCpuS(READ).median)} µs to read`,
  ]
}

export const suite: Suite = { contenders, measure, json, notes }
