/**
 * What comes of forecasts and burning budgets: detection and correlation together. A forecast alone pages nobody; one that is certain and near
 * opens the incident that the failures then join, with the full disk as its cause.
 */
import { describe, expect, it } from 'vitest'
import { ForecastDetector } from '../../src/detect/forecast/forecast.ts'
import { forecastConfig } from '../../src/detect/forecast/forecast-config.ts'
import { SloDetector } from '../../src/detect/forecast/slo.ts'
import { sloConfig } from '../../src/detect/forecast/slo-config.ts'
import type { Detector } from '../../src/detect/detector.ts'
import type { Finding } from '../../src/model.ts'
import { batchOf, seriesOf, type Row } from '../detect/metric-feed.ts'
import { Correlator } from '../support/correlator.ts'
import { errors, logBurst, MINUTE, START_MS, traffic } from '../support/findings.ts'

const HOUR = 60 * MINUTE

/** What a detector says of a sample a minute. */
function said(detector: Detector, fromMs: number, toMs: number, rows: (timeMs: number) => readonly Row[]): Finding[] {
  const findings: Finding[] = []
  for (let timeMs = fromMs; timeMs < toMs; timeMs += MINUTE) {
    detector.detect(batchOf(rows(timeMs)), (finding) => findings.push(finding))
    detector.detect({ kind: 'tick', nowMs: timeMs + 500 }, (finding) => findings.push(finding))
  }
  return findings
}

/** The disk of payments: `used` in percent, by the minutes until START_MS. */
function diskOfPayments(toMs: number, used: (minutes: number) => number): Finding[] {
  const labels = { mountpoint: '/var/lib/payments' }
  const [avail, size] = ['avail', 'size'].map((what) => seriesOf(`node_filesystem_${what}_bytes`, labels, 'payments', 'payments-1'))
  return said(new ForecastDetector(forecastConfig.parse({})), START_MS - 12 * HOUR, toMs, (timeMs) => [
    [avail!, timeMs, (100 - Math.min(100, used((timeMs - START_MS) / MINUTE))) * 1e9],
    [size!, timeMs, 100e9],
  ])
}

describe('a disk that fills', () => {
  it('and is freed in time is foretold and pages nobody', () => {
    const findings = diskOfPayments(START_MS + 3 * HOUR, (minutes) => (minutes < 0 ? 40 : minutes < 120 ? 40 + minutes / 4 : 40))
    expect(findings.length).toBeGreaterThan(1)
    const correlator = new Correlator().play(findings, START_MS + 3 * HOUR)
    expect(correlator.incidents).toEqual([])
  })

  it('opens an incident shortly before it is full, and the failures that follow are part of it', () => {
    const fullMs = START_MS + 120 * MINUTE
    const findings = [
      ...diskOfPayments(fullMs + 5 * MINUTE, (minutes) => (minutes < 0 ? 40 : 40 + minutes / 2)),
      ...traffic(fullMs - 50 * MINUTE, fullMs),
      ...traffic(fullMs, fullMs + 5 * MINUTE, { payments: { failing: 0.5 } }),
      ...['payments', 'checkout', 'gateway'].map((service) => errors(service, fullMs, 0.5)),
      logBurst('payments', fullMs),
    ]
    const { only, anomaliesOf } = bound(new Correlator().play(findings, fullMs + 5 * MINUTE))
    expect((fullMs - only.openedMs) / MINUTE).toBeGreaterThan(5)
    expect((fullMs - only.openedMs) / MINUTE).toBeLessThan(35)
    expect(only.causes[0]).toMatchObject({ service: 'payments' })
    expect(only.causes[0]!.evidence.map(({ kind }) => kind)).toContain('saturation')
    expect(new Set(only.services)).toEqual(new Set(['payments', 'checkout', 'gateway']))
    const told = anomaliesOf.map(({ subject }) => subject.split(':', 1)[0])
    expect(told).toContain('full soon')
    expect(told).toContain('full')
  })
})

describe('a budget that burns', () => {
  const burn = (share: number, hours: number): Finding[] => {
    const detector = new SloDetector(sloConfig.parse({ objectives: [{ service: 'gateway', availability: 99.9 }] }))
    const series = ['200', '500'].map((status) => seriesOf('http_requests_total', { status }, 'gateway', 'gateway-1'))
    return said(detector, START_MS, START_MS + hours * HOUR, (timeMs) => {
      const minutes = (timeMs - START_MS) / MINUTE
      return series.map((of, i): Row => [of, timeMs, minutes * 3000 * (i === 0 ? 1 - share : share)])
    })
  }

  it('fast is an incident, named after what it costs', () => {
    const correlator = new Correlator().play(burn(0.02, 2), START_MS + 2 * HOUR)
    expect(correlator.only.title).toBe('gateway: burn of the budget of 99.9 % availability 20 × (normally 1 ×)')
    expect(correlator.only.severity).toBe('error')
  })

  it('slowly is none', () => {
    const findings = burn(0.002, 8)
    expect(findings.length).toBeGreaterThan(0)
    expect(new Correlator().play(findings, START_MS + 8 * HOUR).incidents).toEqual([])
  })
})

function bound(correlator: Correlator) {
  return { only: correlator.only, anomaliesOf: correlator.anomaliesOf(correlator.only) }
}
