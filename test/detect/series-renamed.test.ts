/** The rules that name services change: what is known of a series goes on under its new name. */
import { expect, test } from 'vitest'
import { SeriesDetector } from '../../src/detect/series/series.ts'
import { seriesConfig } from '../../src/detect/series/series-config.ts'
import { ResidualBoard } from '../../src/detect/residuals.ts'
import type { Anomaly, Batch, Finding, Series } from '../../src/model.ts'
import { batchOf, noise, seriesOf, START_MS } from './metric-feed.ts'

const STEP_MS = 5000
const RENAMED_AT = 260
const named = (service: string, name: string): Series => ({ ...seriesOf(name), service, instance: `${service}-1` })

/** A fault from step 280 to 320. `serviceAt` names the service that the series of a step are said to be of. */
function told(serviceAt: (step: number) => readonly string[], isRestarted: boolean): Anomaly[] {
  const z = noise(3)
  const findings: Finding[] = []
  const fresh = () => new SeriesDetector(seriesConfig.parse({}), { partition: 0, residuals: new ResidualBoard() })
  let detector = fresh()
  const feed = (batch: Batch) => detector.detect(batch, (finding) => findings.push(finding))
  for (let step = 0; step < 400; step++) {
    if (isRestarted && step === RENAMED_AT) {
      const bytes = detector.snapshot()
      detector = fresh()
      detector.restore(bytes)
    }
    const timeMs = START_MS + step * STEP_MS
    const value = 10 + z() + (step >= 280 && step < 320 ? 300 : 0)
    for (const [i, service] of serviceAt(step).entries())
      feed(
        batchOf([
          [named(service, 'jobs_queue_depth'), timeMs + i, value],
          [named(service, 'up'), timeMs + i, 1],
        ]),
      )
    feed({ kind: 'tick', nowMs: timeMs + 500 })
  }
  const last = new Map(findings.flatMap((one) => (one.kind === 'anomaly' ? [[one.id, one] as const] : [])))
  return [...last.values()]
}

test.each([true, false])('its anomalies bear the new name and are found as before (detect restarted, too: %s)', (isRestarted) => {
  const expected = told(() => ['shop'], isRestarted)
  const renamed = told((step) => [step < RENAMED_AT ? 'default/shop' : 'shop'], isRestarted)
  expect(expected.length).toBe(1)
  // One more would be the old name, told as absent.
  expect(renamed.map(({ service, subject, instance }) => [service, subject, instance])).toEqual([['shop', 'jobs_queue_depth', 'shop-1']])
  expect(renamed[0]!.endMs).toBe(expected[0]!.endMs)
})

test('of two senders that name it differently at the same time the first is believed', () => {
  const anomalies = told((step) => (step < RENAMED_AT ? ['first'] : ['second', 'first']), false)
  expect(new Set(anomalies.map(({ service }) => service))).toEqual(new Set(['first']))
})
