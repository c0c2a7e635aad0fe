import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { Alert, Batch, Change, Finding } from '../../src/model.ts'
import { PermanentError } from '../../src/errors.ts'
import { detectConfig } from '../../src/detect/config.ts'
import { loadModels } from '../../src/detect/service/model-files.ts'
import { mishapText, PartitionDetectors } from '../../src/detect/partition.ts'
import { detectorKinds } from '../../src/detect/registry.ts'
import { batchOf, noise, seriesOf, START_MS, story, type Row } from './metric-feed.ts'

const config = detectConfig.parse({})
const models = loadModels(config, pino({ level: 'silent' }))
const change: Change = { kind: 'change', id: 'c', type: 'deploy', service: 'shop', version: '2', title: 'shop 2', atMs: START_MS, url: '' }
const alert: Alert = {
  kind: 'alert',
  id: 'a',
  name: 'Slow',
  service: 'shop',
  severity: 'warning',
  summary: '',
  labels: [],
  startMs: START_MS,
  endMs: START_MS,
  atMs: START_MS,
  url: '',
}

function feed(detectors: PartitionDetectors, batches: readonly Batch[]): Finding[] {
  const findings: Finding[] = []
  for (const batch of batches) expect(detectors.feed(batch, (finding) => findings.push(finding))).toEqual([])
  return findings
}

/** Metrics, logs and spans of one service with a bad stretch. */
function everything(): Batch[] {
  const z = noise(1)
  const batches: Batch[] = []
  for (const batch of story(260, 5000, (step, timeMs): Row[] => [
    [seriesOf('jobs_queue_depth'), timeMs, 10 + z() + (step >= 150 && step < 190 ? 300 : 0)],
  ])) {
    if (batch.kind === 'tick') {
      const step = (batch.nowMs - START_MS - 500) / 5000
      const bad = step >= 150 && step < 190
      const rows = 20
      const timeMs = Float64Array.from({ length: rows }, (_, i) => batch.nowMs - 500 + i)
      const sources = [{ service: 'shop', instance: 'shop-1', version: '1' }]
      const ids = Array.from({ length: rows }, (_, i) => (step * 100 + i + 1).toString(16).padStart(16, '0'))
      batches.push({
        kind: 'logs',
        rows,
        sources,
        sourceIndex: new Uint32Array(rows),
        timeMs,
        severity: new Uint8Array(rows).fill(bad ? 17 : 9),
        body: Array.from({ length: rows }, (_, i) => (bad ? `could not reach the database after ${i} tries` : `order ${i} taken`)),
        traceId: Array.from({ length: rows }, () => ''),
      })
      for (const kind of ['spans', 'links'] as const) {
        batches.push({
          kind,
          rows,
          sources,
          sourceIndex: new Uint32Array(rows),
          operations: ['POST /buy'],
          operationIndex: new Uint32Array(rows),
          spanKind: new Uint8Array(rows).fill(2),
          status: new Uint8Array(rows).fill(bad ? 2 : 0),
          startMs: timeMs,
          durationMs: Float64Array.from({ length: rows }, () => Math.abs(50 + 5 * z())),
          traceId: ids.map((id) => id + id),
          spanId: ids,
          parentId: Array.from({ length: rows }, () => ''),
          peer: Array.from({ length: rows }, () => ''),
        })
      }
    }
    batches.push(batch)
  }
  return batches
}

test('the service detector comes last: it reads what the others wrote', () => {
  expect(detectorKinds().at(-1)![0]).toBe('service')
})

test('changes and alerts pass through; a tick becomes progress after all that it brought to light', () => {
  const detectors = new PartitionDetectors({ partition: 3, config, models })
  expect(feed(detectors, [{ kind: 'events', events: [change, alert] }])).toEqual([change, alert])
  const findings = feed(detectors, everything())
  expect(new Set(findings.map((finding) => finding.kind))).toContain('anomaly')
  let progressMs = 0
  for (const finding of findings) {
    if (finding.kind === 'progress') {
      expect(finding.partition).toBe(3)
      progressMs = finding.nowMs
    } else if (finding.kind === 'anomaly') expect(finding.atMs).toBeGreaterThan(progressMs - 60_000)
  }
  expect(findings.at(-1)!.kind).toBe('progress')
})

test('all detectors together: restore(snapshot()) goes on identically', () => {
  const batches = everything()
  const whole = new PartitionDetectors({ partition: 0, config, models })
  const expected = feed(whole, batches)
  expect(new Set(expected.flatMap((finding) => (finding.kind === 'anomaly' ? [finding.detector] : []))).size).toBeGreaterThan(1)
  for (const cut of [7, 400, 640, 777, 1000]) {
    const before = new PartitionDetectors({ partition: 0, config, models })
    const findings = feed(before, batches.slice(0, cut))
    const after = new PartitionDetectors({ partition: 0, config, models })
    expect(after.restore(before.snapshot())).toEqual([])
    expect([...findings, ...feed(after, batches.slice(cut))]).toEqual(expected)
  }
})

test('a detector whose section cannot be read starts anew and is told; the others know what they knew', () => {
  const full = new PartitionDetectors({ partition: 0, config, models })
  feed(full, everything())
  const bytes = full.snapshot()
  const at = Buffer.from(bytes.buffer).indexOf('\x06\0\0\0series', 0, 'latin1') + 10
  bytes[at + 4] = 99
  const other = new PartitionDetectors({ partition: 0, config, models })
  expect(other.restore(bytes).map(mishapText)).toEqual([expect.stringMatching(/^series: .*version 99/)])
  const counts = new Map([...other.counts()].map(([detector, name, value]) => [`${detector}.${name}`, value]))
  expect(counts.get('series.series')).toBe(0)
})

test('what is no snapshot at all is a PermanentError', () => {
  expect(() => new PartitionDetectors({ partition: 0, config, models }).restore(Uint8Array.of(1, 5, 0, 0, 0))).toThrow(PermanentError)
})

test('a detector that fails on a batch does not blind the others', () => {
  const detectors = new PartitionDetectors({ partition: 0, config, models })
  const bad = { ...batchOf([[seriesOf('up'), START_MS, 1]]), seriesIndex: Uint32Array.of(9) }
  expect(detectors.feed(bad, () => {}).map((mishap) => mishap.detector)).toEqual(['series'])
})

test('detectors that are off do not run, and need no model', () => {
  const detectors = new PartitionDetectors({ partition: 0, config: detectConfig.parse({ off: ['service', 'series'] }) })
  const findings = feed(
    detectors,
    story(260, 5000, (step, timeMs) => [[seriesOf('jobs_queue_depth'), timeMs, step < 200 ? 1 : 500]]),
  )
  expect(findings.every((finding) => finding.kind === 'progress')).toBe(true)
})

test('unknown keys are errors that name the path', () => {
  const parsed = detectConfig.safeParse({ detectors: { series: { warmup: 3 } } })
  expect(parsed.error?.issues[0]).toMatchObject({ code: 'unrecognized_keys', path: ['detectors', 'series'], keys: ['warmup'] })
})

test('quick settings for a live test', () => {
  const quick = detectConfig.parse({ checkpointMs: 1000, detectors: { series: { warmupMs: 60_000, stepMs: 1000, windowMs: 5000 } } })
  expect(quick.detectors.series.warmupMs).toBe(60_000)
  expect(quick.detectors.series.openAfter).toBe(3)
})
