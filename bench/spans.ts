/**
 * The span detector: spans per CPU-second, beside what it takes to read the records they come in. Each span comes twice, as in a pipeline of
 * one partition: with its service, to be judged, and with its trace, to be joined. Traces of five spans through three services.
 */
import { decodeBatch, encodeBatch } from '../src/codec.ts'
import { spansDetector } from '../src/detect/spans/spans.ts'
import { spansConfig } from '../src/detect/spans/spans-config.ts'
import { ResidualBoard } from '../src/detect/residuals.ts'
import { SpanKind, SpanStatus, type SpanBatch } from '../src/model.ts'
import { repeat, rounded, summary } from './suite.ts'
import type { Contender, Measured, Results, Scale, Suite } from './suite.ts'
import { randomOf, START_MS } from './wire.ts'

const READ = 'read the records'
export const DETECT = 'detect'
/** Making a record takes longer than reading it. */
const READS = 20
const ROUTES = 40
const SPANS_PER_TRACE = 5
/** gateway serves, calls orders, which serves, calls products, which serves. */
const SERVICE_AT = [0, 0, 1, 1, 2]
const KIND_AT = [SpanKind.server, SpanKind.client, SpanKind.server, SpanKind.client, SpanKind.server]

/** What arrives in second number `second`. */
function batchOf(kind: 'spans' | 'links', second: number, traces: number): SpanBatch {
  const random = randomOf(second + 1)
  const rows = traces * SPANS_PER_TRACE
  const place = (row: number) => row % SPANS_PER_TRACE
  const trace = (row: number) => Math.floor(row / SPANS_PER_TRACE)
  const id = (number: number, length: number) => number.toString(16).padStart(length, '0')
  const spanId = (row: number) => id(second * rows + row + 1, 16)
  const length = Array.from({ length: traces }, () => 20 + 100 * random())
  const column = <T>(of: (row: number) => T): T[] => Array.from({ length: rows }, (_, row) => of(row))
  return {
    kind,
    rows,
    sources: ['gateway', 'orders', 'products'].map((service) => ({ service, instance: `${service}-0`, version: '1.4.2' })),
    sourceIndex: Uint32Array.from(column((row) => SERVICE_AT[place(row)]!)),
    operations: Array.from({ length: ROUTES }, (_, i) => `GET /api/v1/resource-${i}`),
    operationIndex: Uint32Array.from(column((row) => (trace(row) * 7) % ROUTES)),
    spanKind: Uint8Array.from(column((row) => KIND_AT[place(row)]!)),
    status: Uint8Array.from(column(() => (random() < 0.005 ? SpanStatus.error : SpanStatus.unset))),
    startMs: Float64Array.from(column((row) => START_MS + second * 1000 + (trace(row) * 800) / traces + place(row))),
    durationMs: Float64Array.from(column((row) => length[trace(row)]! - place(row) * 2)),
    traceId: column((row) => id(second * traces + trace(row) + 1, 32)),
    spanId: column(spanId),
    parentId: column((row) => (place(row) === 0 ? '' : spanId(row - 1))),
    peer: column((row) => (KIND_AT[place(row)] === SpanKind.client ? `${SERVICE_AT[place(row)] === 0 ? 'orders' : 'products'}:8080` : '')),
  }
}

async function measure(name: string, scale: Scale): Promise<Measured> {
  const traces = scale.quick ? 20 : 200
  const detector = spansDetector.create(spansConfig.parse({}), { partition: 0, residuals: new ResidualBoard() })
  return repeat(scale, (second, watch) => {
    const records = (['spans', 'links'] as const).map((kind) => encodeBatch(batchOf(kind, second, traces)))
    if (name === READ) {
      watch.time(() => {
        for (let i = 0; i < READS; i++) for (const record of records) decodeBatch(record)
      })
      return traces * SPANS_PER_TRACE * READS
    } else {
      const batches = records.map(decodeBatch)
      const tick = { kind: 'tick', nowMs: START_MS + (second + 1) * 1000 } as const
      watch.time(() => {
        for (const batch of batches) detector.detect(batch, () => {})
        detector.detect(tick, () => {})
      })
    }
    return traces * SPANS_PER_TRACE
  })
}

function contenders(): Contender[] {
  return [DETECT, READ].map((name) => ({ name, unit: 'spans' }))
}

function json(results: Results): Record<string, unknown> {
  return {
    spansPerCpuS: Math.round(results.perCpuS(DETECT).median),
    readPerCpuS: Math.round(results.perCpuS(READ).median),
    ratio: rounded(results.ratio(DETECT, READ).median),
    ratioOfRounds: summary(results.ratio(DETECT, READ)),
  }
}

function notes(results: Results): string[] {
  return [
    `a span costs ${rounded(1e6 / results.perCpuS(DETECT).median)} µs to judge and join, after ${rounded(1e6 / results.perCpuS(READ).median)} µs to read it twice`,
  ]
}

export const suite: Suite = { contenders, measure, json, notes }
