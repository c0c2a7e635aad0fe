/**
 * A realistic incident in the store, for tests of the pages and for looking at them: a deploy of payments, errors there a minute later,
 * felt at checkout and at the gateway; six anomalies, an alert, notices of which one failed, two suspects.
 */
import type { Alert, Anomaly, Change, Incident, PlannedNotice, Points, TimelineEntry, TimelineKind } from '../../src/model.ts'
import { saveAnomalies } from '../../src/store/anomalies.ts'
import { saveChanges } from '../../src/store/changes.ts'
import type { Db } from '../../src/store/db.ts'
import { saveIncidents } from '../../src/store/incidents.ts'
import { claimNotices, enqueueNotices, settleDead, settleSent } from '../../src/store/outbox.ts'
import { addTimeline, timelineId } from '../../src/store/timeline.ts'

export interface SeededIncident {
  readonly incident: Incident
  readonly anomalies: readonly Anomaly[]
  readonly change: Change
}

const minute = 60_000

/** Seeds it so that it was opened at `openedMs`; `id` makes several of them possible. */
export async function seedIncident(db: Db, openedMs: number, id = '5c1f0e7a9b3d4426aa10'): Promise<SeededIncident> {
  const onsetMs = openedMs - 2 * minute
  const change: Change = {
    kind: 'change',
    id: `${id}-deploy`,
    type: 'deploy',
    service: 'payments',
    version: '2.4.0',
    title: 'New risk rules',
    atMs: onsetMs - 70_000,
    url: 'https://ci.example.com/payments/2.4.0',
  }
  const anomalies = anomaliesOf(id, onsetMs, openedMs)
  const incident = incidentOf(id, openedMs, anomalies, change)
  await db.transaction(async (tx) => {
    await saveIncidents(tx, [incident])
    await saveChanges(tx, [change])
    await saveAnomalies(
      tx,
      anomalies.map((anomaly) => ({ incidentId: id, anomaly })),
    )
    await addTimeline(tx, timelineOf(incident, anomalies, change, onsetMs))
    await enqueueNotices(tx, noticesOf(incident, openedMs))
  })
  await deliver(db)
  return { incident, anomalies, change }
}

/** A smaller one that is over. */
export async function seedResolved(db: Db, openedMs: number, id = '77aa51d0c2fe4b18b0e3'): Promise<Incident> {
  const incident: Incident = {
    id,
    title: 'catalog: p95 latency 1.9 s (normally 85 ms)',
    severity: 'warning',
    status: 'resolved',
    services: ['catalog'],
    impact: 'Users of catalog feel it: p95 latency 1.9 s (normally 85 ms).',
    causes: [
      {
        service: 'catalog-db',
        probability: 0.64,
        evidence: [{ kind: 'slow-callee', points: 2.2, text: 'Calls to it take 1.8 s longer', ref: '' }],
        refutedBy: 'Queries that are fast while catalog waits.',
      },
    ],
    openedMs,
    acknowledgedMs: undefined,
    resolvedMs: openedMs + 17 * minute,
    updatedMs: openedMs + 17 * minute,
  }
  await saveIncidents(db, [incident])
  return incident
}

interface Shape {
  readonly service: string
  readonly subject: string
  readonly symptom: Anomaly['symptom']
  readonly signal: Anomaly['signal']
  readonly unit: string
  readonly normal: number
  readonly worst: number
  readonly noise: number
  readonly lagMs: number
  readonly score: number
  readonly impact: boolean
  readonly detector: string
  readonly evidence: readonly string[]
  readonly overAfterMs?: number
}

const shapes: readonly Shape[] = [
  {
    service: 'payments',
    subject: 'POST /charge error ratio',
    symptom: 'errors',
    signal: 'spans',
    unit: 'ratio',
    normal: 0.002,
    worst: 0.41,
    noise: 0.002,
    lagMs: 0,
    score: 18.2,
    impact: true,
    detector: 'spans',
    evidence: [
      '41 % of 1,284 requests failed in the worst minute, 0.2 % is normal',
      '92 % of them failed without a failing call below: they start here',
    ],
  },
  {
    service: 'checkout',
    subject: 'POST /checkout error ratio',
    symptom: 'errors',
    signal: 'spans',
    unit: 'ratio',
    normal: 0.004,
    worst: 0.38,
    noise: 0.003,
    lagMs: 15_000,
    score: 15.4,
    impact: true,
    detector: 'spans',
    evidence: ['38 % of 1,311 requests failed in the worst minute, 0.4 % is normal'],
  },
  {
    service: 'gateway',
    subject: 'http_server_requests_errors_total rate {route="/checkout"}',
    symptom: 'errors',
    signal: 'metrics',
    unit: '/s',
    normal: 0.4,
    worst: 22.6,
    noise: 0.3,
    lagMs: 20_000,
    score: 11.7,
    impact: true,
    detector: 'seasonal',
    evidence: ['22.6 /s observed, 0.4 /s expected at this time of a weekday'],
  },
  {
    service: 'payments',
    subject: 'new log template: RiskRuleError: rule <*> has no threshold',
    symptom: 'log',
    signal: 'logs',
    unit: '/min',
    normal: 0,
    worst: 522,
    noise: 0,
    lagMs: -10_000,
    score: 9.1,
    impact: false,
    detector: 'logs',
    evidence: ['Never seen in 11 days; 522 lines in the worst minute', 'RiskRuleError: rule r-118 has no threshold'],
  },
  {
    service: 'checkout',
    subject: 'POST /checkout latency p95',
    symptom: 'latency',
    signal: 'spans',
    unit: 'ms',
    normal: 182,
    worst: 1460,
    noise: 14,
    lagMs: 40_000,
    score: 6.3,
    impact: true,
    detector: 'spans',
    evidence: ['p95 was 1.46 s over 1,311 requests, 182 ms is normal', 'Retries: 2.7 calls of payments per request, 1.0 is normal'],
  },
  {
    service: 'payments',
    subject: 'process_resident_memory_bytes',
    symptom: 'saturation',
    signal: 'metrics',
    unit: 'bytes',
    normal: 212e6,
    worst: 398e6,
    noise: 4e6,
    lagMs: 60_000,
    score: 2.4,
    impact: false,
    detector: 'seasonal',
    evidence: ['398 MB observed, 212 MB expected'],
    overAfterMs: 5 * minute,
  },
]

function anomaliesOf(id: string, onsetMs: number, openedMs: number): Anomaly[] {
  return shapes.map((shape, index) => {
    const startMs = onsetMs + shape.lagMs
    const { overAfterMs, lagMs: _, normal, worst, noise, ...rest } = shape
    return {
      ...rest,
      kind: 'anomaly',
      id: `${id}-${index}`,
      instance: shape.signal === 'metrics' ? `${shape.service}-6f9c-2` : '',
      direction: 'up',
      startMs,
      endMs: overAfterMs === undefined ? undefined : startMs + overAfterMs,
      atMs: openedMs + 6 * minute,
      observed: worst,
      expected: normal,
      volume: 1284 + index,
      points: pointsOf({ normal, worst, noise, startMs, overAfterMs }, onsetMs - 40 * minute, openedMs + 6 * minute),
      // The last one is as a version told it that did not say how scores come about.
      ...(index < shapes.length - 1 && {
        reckoning: {
          rule: 'deviation',
          inputs: [
            ['observed', worst],
            ['expected', normal],
            ['spread', (worst - normal) / (5 * rest.score)],
            ['side', 1],
            ['threshold', 5],
          ],
          oncePerWeeks: 14,
        },
      }),
    }
  })
}

/** Every 15 s; a wave for the hour, a repeatable noise, a ramp of two minutes into the fault. */
function pointsOf(
  {
    normal,
    worst,
    noise,
    startMs,
    overAfterMs,
  }: { normal: number; worst: number; noise: number; startMs: number; overAfterMs: number | undefined },
  fromMs: number,
  toMs: number,
): Points {
  const timeMs: number[] = []
  const [observed, expected, low, high]: [number[], number[], number[], number[]] = [[], [], [], []]
  for (let t = fromMs; t <= toMs; t += 15_000) {
    const wave = normal * (1 + 0.08 * Math.sin(t / 900_000))
    const wobble = noise * Math.sin(t / 7_000) + noise * 0.6 * Math.cos(t / 3_100)
    const inside = t >= startMs && (overAfterMs === undefined || t < startMs + overAfterMs)
    const rise = inside ? Math.min(1, (t - startMs + 15_000) / (2 * minute)) : 0
    timeMs.push(t)
    observed.push(Math.max(0, wave + wobble + rise * (worst - wave) * (1 - 0.06 * Math.abs(Math.sin(t / 11_000)))))
    expected.push(wave)
    low.push(Math.max(0, wave - 4 * noise))
    high.push(wave + 4 * noise + normal * 0.05)
  }
  return { timeMs, observed, expected, low, high }
}

function incidentOf(id: string, openedMs: number, anomalies: readonly Anomaly[], change: Change): Incident {
  return {
    id,
    title: 'gateway: 38 % of requests fail (normally 0.4 %)',
    severity: 'critical',
    status: 'open',
    services: ['gateway', 'checkout', 'payments'],
    impact:
      'Users of gateway feel it: 38 % of requests fail (normally 0.4 %); p95 latency 1.5 s (normally 182 ms). Also affected: checkout and payments.',
    causes: [
      {
        service: 'payments',
        probability: 0.78,
        evidence: [
          { kind: 'errors-started', points: 3.1, text: '92 % of the excess failures started here (1,181 of 1,284)', ref: anomalies[0]!.id },
          { kind: 'change', points: 2.4, text: 'deploy of payments 2.4.0: New risk rules, 60 s before the first symptom', ref: change.id },
          {
            kind: 'new-log',
            points: 1.2,
            text: 'A log line never seen before: RiskRuleError: rule r-118 has no threshold',
            ref: anomalies[3]!.id,
          },
          { kind: 'position', points: 1, text: 'It has symptoms and what it calls (payments-db, risk) has none', ref: '' },
          { kind: 'onset', points: 0.6, text: 'First to show anything, 10 s before the others', ref: anomalies[3]!.id },
        ],
        refutedBy: 'The symptoms turn out to be older than the change, or undoing it does not help.',
      },
      {
        service: 'checkout',
        probability: 0.11,
        evidence: [
          { kind: 'self-time', points: 1.3, text: 'Its own time per request rose from 31 ms to 118 ms', ref: anomalies[4]!.id },
          { kind: 'explained', points: -0.7, text: 'Part of this can come from payments below it', ref: '' },
        ],
        refutedBy: 'The time turns out to be spent waiting for something that sends no spans.',
      },
      {
        service: 'gateway',
        probability: 0.03,
        evidence: [{ kind: 'fallback', points: 0.4, text: 'It has symptoms', ref: anomalies[2]!.id }],
        refutedBy: 'A service that gateway calls turns out to have failed before it.',
      },
    ],
    openedMs,
    acknowledgedMs: undefined,
    resolvedMs: undefined,
    updatedMs: openedMs + 6 * minute,
  }
}

function timelineOf(incident: Incident, anomalies: readonly Anomaly[], change: Change, onsetMs: number): TimelineEntry[] {
  const entry = (kind: TimelineKind, atMs: number, service: string, text: string, ref: string): TimelineEntry => {
    const named = { incidentId: incident.id, kind, atMs, ref }
    return { ...named, id: timelineId(named), service, text }
  }
  const alert: Pick<Alert, 'id' | 'startMs'> = { id: `${incident.id}-alert`, startMs: onsetMs + 3 * minute }
  const over = anomalies[5]!
  return [
    entry('change', change.atMs, 'payments', 'deploy of payments 2.4.0: New risk rules', change.id),
    ...anomalies.map((anomaly) =>
      entry('anomaly', anomaly.startMs, anomaly.service, `${anomaly.subject}: ${anomaly.evidence[0] ?? ''}`, anomaly.id),
    ),
    entry('opened', incident.openedMs, 'gateway', incident.title, incident.id),
    entry(
      'cause',
      incident.openedMs,
      'payments',
      'Probable cause: payments (61 %): 92 % of the excess failures started here (402 of 437)',
      'payments',
    ),
    entry('alert', alert.startMs, 'gateway', 'Alert GatewayErrorBudgetBurn (critical): 14.4 × the budget for an hour', alert.id),
    entry('severity', incident.openedMs + 1 * minute, 'gateway', `Severity raised from error to critical: ${incident.title}`, 'critical'),
    entry('recovered', over.endMs!, over.service, `${over.subject} is back to normal after 5 min`, over.id),
  ]
}

function noticesOf(incident: Incident, openedMs: number): PlannedNotice[] {
  const opened = { kind: 'opened', reason: 'New critical incident that users feel: gateway.', atMs: openedMs, incident } as const
  return [
    { ...opened, id: `${incident.id}-n1`, channel: 'pagerduty' },
    { ...opened, id: `${incident.id}-n2`, channel: 'slack' },
    { ...opened, id: `${incident.id}-n3`, channel: 'jira' },
    {
      id: `${incident.id}-n4`,
      channel: 'slack',
      kind: 'escalated',
      reason: 'Severity went from error to critical.',
      atMs: openedMs + minute,
      incident,
    },
  ]
}

async function deliver(db: Db): Promise<void> {
  const owner = 'seed'
  for (let round = 0; round < 2; round++) {
    for (const { id, channel } of await claimNotices(db, { owner, leaseMs: minute, limit: 100 })) {
      if (channel === 'jira') await settleDead(db, { owner, id, error: 'Jira answered 401: the API token has expired.' })
      else await settleSent(db, { owner, id, externalId: `${channel}-1` })
    }
  }
}
