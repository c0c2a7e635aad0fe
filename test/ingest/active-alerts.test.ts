/** What `amtool alert query` gets to see. */
import { describe, expect, it } from 'vitest'
import { ActiveAlerts } from '../../src/ingest/events/active-alerts.ts'
import type { Alert } from '../../src/model.ts'
import { NOW_MS } from './doors-fixture.ts'

const alert = (name: string, parts: Partial<Alert> = {}): Alert => ({
  kind: 'alert',
  id: name,
  name,
  service: 'cart',
  severity: 'warning',
  summary: name,
  labels: [
    ['alertname', name],
    ['service', 'cart'],
  ],
  startMs: NOW_MS,
  endMs: NOW_MS + 1_000,
  atMs: NOW_MS,
  url: '',
  ...parts,
})

function listOf(alerts: readonly Alert[], matchers: readonly string[] = [], nowMs = NOW_MS): string[] | string {
  const active = new ActiveAlerts()
  for (const event of alerts) active.note({ kind: 'events', events: [event] }, NOW_MS)
  const listed = active.list(matchers, nowMs)
  return typeof listed === 'string' ? listed : listed.map(({ labels }) => labels['alertname']!)
}

describe('the alerts that are listed', () => {
  it('have been taken and have not ended', () => {
    expect(listOf([alert('A'), alert('B'), alert('A')])).toEqual(['B', 'A'])
    expect(listOf([alert('A'), alert('A', { endMs: NOW_MS })])).toEqual([])
    expect(listOf([alert('A'), alert('B', { endMs: NOW_MS + 5_000 })], [], NOW_MS + 1_000)).toEqual(['B'])
  })

  it.each<[matchers: string[], names: string[] | string]>([
    [['alertname="A"'], ['A']],
    [['alertname=A', 'service=cart'], ['A']],
    [['alertname!="A"'], ['B']],
    [['team=""'], ['A', 'B']],
    [['alertname="\\"quoted\\""'], []],
    [[' alertname = A '], ['A']],
    [[' alertname = "A" ', 'team='], ['A']],
    [[`a=${' '.repeat(4_000)}"`], `bad matcher format: a=${' '.repeat(98)}`],
    [['alertname=~"(a+)+"'], 'only = and != are understood here, no regular expressions'],
    [['{'], 'bad matcher format: {'],
    [['a="b'], 'bad matcher format: a="b'],
    [[`a="${'x'.repeat(5_000)}`], `bad matcher format: a="${'x'.repeat(97)}`],
  ])('match %j', (matchers, names) => {
    expect(listOf([alert('A'), alert('B')], matchers)).toEqual(names)
  })

  it('are so many and no more, by number and by size', () => {
    const many = listOf(Array.from({ length: 1_500 }, (_, i) => alert(`A${i}`)))
    expect([many.length, many[0], many.at(-1)]).toEqual([1_000, 'A500', 'A1499'])
    const large = Array.from({ length: 30 }, (_, i) =>
      alert(`L${i}`, {
        labels: [
          ['alertname', `L${i}`],
          ['x', 'x'.repeat(400_000)],
        ],
      }),
    )
    expect(listOf(large)).toEqual(['L21', 'L22', 'L23', 'L24', 'L25', 'L26', 'L27', 'L28', 'L29'])
  })
})
