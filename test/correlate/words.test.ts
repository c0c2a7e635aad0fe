/** Severity, titles and numbers, by table. */
import { describe, expect, it } from 'vitest'
import { severityOfAnomaly } from '../../src/correlate/severity.ts'
import { anomalyText, impressionOf } from '../../src/correlate/title.ts'
import { emptyTopology, graphOf, learn } from '../../src/correlate/topology.ts'
import { formatDuration, formatNumber, formatPercent, formatValue, listed } from '../../src/correlate/wording.ts'
import { oneLine } from '../../src/wording.ts'
import { alert, anomaly, cpu, errors, flow, latency, START_MS } from '../support/findings.ts'

const graph = graphOf(learn(emptyTopology, [flow(START_MS)], START_MS, { halfLifeMs: 3_600_000, maxEdges: 100 }))

describe('severity', () => {
  it.each([
    ['a tenth of users’ requests fail', errors('gateway', 0, 0.12), true, 'critical'],
    ['one in fifty fails at the entry', errors('gateway', 0, 0.02), true, 'error'],
    ['one in two hundred fails at the entry', errors('gateway', 0, 0.005), true, 'warning'],
    ['most fail somewhere inside', errors('inventory', 0, 0.6), false, 'critical'],
    ['a third fails somewhere inside', errors('inventory', 0, 0.33), false, 'error'],
    ['all of three fail', errors('gateway', 0, 1, { volume: 3 }), true, 'error'],
    ['the entry takes two seconds instead of 85 ms', latency('gateway', 0, 2000), true, 'critical'],
    ['the same in seconds', latency('gateway', 0, 2, { unit: 's', expected: 0.085 }), true, 'critical'],
    ['the entry takes 40 ms instead of 4', latency('gateway', 0, 40, { expected: 4 }), true, 'warning'],
    ['the entry takes 250 ms instead of 85', latency('gateway', 0, 250), true, 'error'],
    ['something inside takes ten seconds', latency('inventory', 0, 10_000), false, 'error'],
    ['percent', errors('gateway', 0, 12, { unit: '%' }), true, 'critical'],
    ['errors per second, far out', errors('gateway', 0, 12, { unit: '/s', score: 30 }), true, 'critical'],
    ['errors per second, a little', errors('gateway', 0, 12, { unit: '/s', score: 1.2 }), true, 'warning'],
    ['nobody feels it', cpu('gateway', 0, { score: 100 }), true, 'info'],
  ])('%s: %#', (_, finding, isEntry, expected) => {
    expect(severityOfAnomaly(finding, isEntry)).toBe(expected)
  })
})

describe('what an incident is called', () => {
  it.each([
    [[errors('checkout', 0, 0.38)], 'checkout: 38 % of requests fail (normally 0.2 %)'],
    [[latency('gateway', 0, 1900)], 'gateway: p95 latency 1.9 s (normally 85 ms)'],
    [[errors('checkout', 0, 0.38), latency('gateway', 0, 1900)], 'gateway: p95 latency 1.9 s (normally 85 ms)'],
    [[errors('checkout', 0, 3, { unit: '/s', subject: 'failed logins', expected: 0.1 })], 'checkout: failed logins 3 /s (normally 0.1 /s)'],
    [[errors('checkout', 0, 0.38, { expected: NaN })], 'checkout: 38 % of requests fail'],
  ])('%#', (anomalies, title) => {
    expect(impressionOf(anomalies, [], graph).title).toBe(title)
  })

  it('says who feels it and who else is affected, worst first', () => {
    const impression = impressionOf(
      [errors('payments', 0, 0.4), errors('gateway', 0, 0.13), errors('checkout', 0, 0.4, { score: 9 }), cpu('inventory', 0)],
      [],
      graph,
    )
    expect(impression.services).toEqual(['gateway', 'checkout', 'payments'])
    expect(impression.impact).toBe(
      'Users of gateway feel it: 13 % of requests fail (normally 0.2 %). Also affected: checkout and payments.',
    )
  })

  it('takes an alert’s word when there is nothing else', () => {
    expect(impressionOf([], [alert('', 0, { summary: '', name: 'DiskFull', severity: 'error' })], graph)).toMatchObject({
      title: 'DiskFull',
      severity: 'error',
      services: [],
    })
  })

  it('lets unfelt anomalies speak for themselves', () => {
    expect(anomalyText(cpu('inventory', 0))).toBe('process_cpu_seconds_total rate was 0.97 cores, expected 0.2.')
    expect(
      anomalyText(anomaly('a', 0, { impact: false, symptom: 'other', subject: 'queue', unit: 'bytes', observed: 5.1e8, expected: 1000 })),
    ).toBe('queue 510 MB (normally 1 kB)')
  })
})

describe('numbers', () => {
  it.each([
    [formatNumber(1234567), '1,234,567'],
    [formatNumber(-1234), '-1,234'],
    [formatNumber(0.0123), '0.012'],
    [formatNumber(12.345), '12'],
    [formatNumber(NaN), 'unknown'],
    [formatNumber(0.00000123), '1.2e-6'],
    [formatPercent(0.38), '38 %'],
    [formatPercent(0.99999), '100 %'],
    [formatDuration(85), '85 ms'],
    [formatDuration(1900), '1.9 s'],
    [formatDuration(119_000), '119 s'],
    [formatDuration(600_000), '10 min'],
    [formatDuration(3 * 3_600_000), '3 h'],
    [formatValue(0.25, 's'), '250 ms'],
    [formatValue(12, '%'), '12 %'],
    [formatValue(1536, 'bytes'), '1.5 kB'],
    [listed(['a']), 'a'],
    [listed(['a', 'b', 'c']), 'a, b and c'],
    [listed(['a', 'b', 'c', 'd', 'e']), 'a, b, c and 2 more'],
    [oneLine('a\u0000b\n c', 10), 'a b  c'],
    [oneLine('😀'.repeat(20), 5), '😀😀😀😀…'],
  ])('%s', (actual, expected) => {
    expect(actual).toBe(expected)
  })
})
