/** Dividing a batch by partition: nothing lost, nothing doubled, everything where its service belongs, in the order it came. */
import * as fc from 'fast-check'
import { compressSync } from 'snappy'
import { describe, expect, it } from 'vitest'
import { MAX_ROWS } from '../../src/codec-bytes.ts'
import { halves, rowsOf, splitByPartition, type RowBatch } from '../../src/ingest/split.ts'
import type { MetricBatch, SpanBatch } from '../../src/model.ts'
import { partitionFor } from '../../src/transport/transport.ts'
import { NOW_MS, openDoors, post } from './doors-fixture.ts'
import { encode, field } from './protobuf-oracle.ts'

const SERVICES = ['shop', 'cart', 'mail', 'stock', 'search', 'login', 'pay']

/** Row `i` is of the given service; its value and time are `i`. */
function metricsOf(services: readonly number[]): MetricBatch {
  return {
    kind: 'metrics',
    rows: services.length,
    series: SERVICES.map((service) => ({ key: `up{job="${service}"}`, name: 'up', type: 'gauge', labels: [], service, instance: '' })),
    seriesIndex: Uint32Array.from(services),
    timeMs: Float64Array.from(services, (_, row) => row),
    value: Float64Array.from(services, (_, row) => row),
    stale: new Uint8Array(services.length),
  }
}

function spansOf(services: readonly number[], kind: 'spans' | 'links'): SpanBatch {
  const ids = services.map((_, row) => `trace-${row % 5}`)
  return {
    kind,
    rows: services.length,
    sources: SERVICES.map((service) => ({ service, instance: '', version: '' })),
    sourceIndex: Uint32Array.from(services),
    operations: ['GET', 'PUT'],
    operationIndex: Uint32Array.from(services, (_, row) => row % 2),
    spanKind: new Uint8Array(services.length),
    status: new Uint8Array(services.length),
    startMs: Float64Array.from(services, (_, row) => row),
    durationMs: new Float64Array(services.length),
    traceId: ids,
    spanId: ids,
    parentId: ids,
    peer: ids,
  }
}

const services = fc.array(fc.nat({ max: SERVICES.length - 1 }), { minLength: 1, maxLength: 60 })
const partitions = fc.integer({ min: 1, max: 12 })

/** Row numbers by what they were made of, and where each belongs. */
function rowsIn(batch: RowBatch): { row: number; belongs: string }[] {
  if (batch.kind === 'metrics') return Array.from(batch.value, (row, i) => ({ row, belongs: batch.series[batch.seriesIndex[i]!]!.service }))
  if (batch.kind === 'events' || batch.kind === 'logs') throw new Error('not made here')
  return Array.from(batch.startMs, (row, i) => ({
    row,
    belongs: batch.kind === 'links' ? batch.traceId[i]! : batch.sources[batch.sourceIndex[i]!]!.service,
  }))
}

describe('a batch divided by partition', () => {
  it.each([
    ['metrics', metricsOf],
    ['spans', (list: readonly number[]) => spansOf(list, 'spans')],
    ['links', (list: readonly number[]) => spansOf(list, 'links')],
  ])(
    '%s: each row once, where it belongs, in the order it came, and no table row unused',
    (_kind, make: (list: readonly number[]) => RowBatch) => {
      fc.assert(
        fc.property(services, partitions, (list, count) => {
          const batch = make(list)
          const parts = splitByPartition(batch, count)
          const numbers = parts.map(([partition]) => partition)
          expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
          const back = parts.flatMap(([partition, part]) => {
            const rows = rowsIn(part)
            expect(rows.every(({ belongs }) => partitionFor(belongs, count) === partition)).toBe(true)
            expect(rows.map(({ row }) => row)).toEqual(rows.map(({ row }) => row).sort((a, b) => a - b))
            if (part.kind === 'metrics' && parts.length > 1) expect(part.series.length).toBe(new Set(part.seriesIndex).size)
            return rows
          })
          expect(back.sort((a, b) => a.row - b.row)).toEqual(rowsIn(batch))
        }),
      )
    },
  )

  it('is itself where all of it goes to one partition', () => {
    const batch = metricsOf([2, 2, 2])
    expect(splitByPartition(batch, 8)).toEqual([[partitionFor('mail', 8), batch]])
    expect(splitByPartition(batch, 8)[0]![1]).toBe(batch)
  })

  it('is nothing where it is empty', () => {
    expect(splitByPartition(metricsOf([]), 8)).toEqual([])
  })
})

describe('a batch in halves', () => {
  it('has every row in one of them', () => {
    const [first, second] = halves(metricsOf([0, 1, 2, 3, 4]))!
    expect([rowsOf(first), rowsOf(second)]).toEqual([2, 3])
    expect([...rowsIn(first), ...rowsIn(second)]).toEqual(rowsIn(metricsOf([0, 1, 2, 3, 4])))
  })

  it('is not made of a single row', () => {
    expect(halves(metricsOf([0]))).toBeUndefined()
  })
})

describe('a request of more rows than one record may hold', () => {
  it('goes out in several records, however few bytes they take', async () => {
    const label = field(1, encode('Label', { name: '__name__', value: 'up' }))
    const sample = field(2, encode('Sample', { value: 1, timestamp: NOW_MS }))
    const samples = Buffer.alloc(sample.length * (MAX_ROWS + 1), sample)
    const body = compressSync(Buffer.from(field(1, Buffer.concat([label, samples]))))
    const { door, transport } = openDoors({}, 1)
    const headers = { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' }
    expect((await door.accept(post('/api/v1/write', headers, body))).status).toBe(204)
    expect(transport.of('metrics').map((batch) => batch.rows)).toEqual([MAX_ROWS / 2, MAX_ROWS / 2 + 1])
    expect(transport.published.every(({ record }) => record.value.length < 1_000)).toBe(true)
  })
})
