/**
 * Stories of a small shop: what detection finds goes in, incidents come out. gateway → checkout → inventory → postgresql,
 * checkout → payments, gateway → catalog → inventory; postgresql says nothing itself.
 */
import { describe, expect, it } from 'vitest'
import type { Anomaly, Finding } from '../../src/model.ts'
import { Correlator } from '../support/correlator.ts'
import {
  alert,
  anomaly,
  cpu,
  deploy,
  ended,
  errors,
  flow,
  latency,
  logBurst,
  MAILROOM,
  MINUTE,
  SECOND,
  START_MS,
  traffic,
  type Troubles,
} from '../support/findings.ts'

/** The fault begins after twenty quiet minutes. */
const FAULT_MS = START_MS + 20 * MINUTE

/** Traffic with trouble from FAULT_MS on for so many minutes, and ten quiet minutes after it. */
function shop(troubles: Troubles, faultMinutes = 5): Finding[] {
  const overMs = FAULT_MS + faultMinutes * MINUTE
  return [...traffic(START_MS, FAULT_MS), ...traffic(FAULT_MS, overMs, troubles), ...traffic(overMs, overMs + 10 * MINUTE)]
}

/** Each anomaly begins, is told again after a minute, and ends with the fault. */
function during(anomalies: readonly Anomaly[], faultMinutes = 5): Finding[] {
  return anomalies.flatMap((one) => [one, { ...one, atMs: one.atMs + MINUTE }, ended(one, FAULT_MS + faultMinutes * MINUTE)])
}

const slowDatabase: Troubles = { postgresql: { calleeMs: 900 } }
const symptomsOfSlowDatabase = [
  latency('gateway', FAULT_MS + 10 * SECOND, 1900),
  latency('catalog', FAULT_MS + 10 * SECOND, 1850),
  latency('checkout', FAULT_MS, 1900),
  latency('inventory', FAULT_MS, 1810),
  latency('postgresql', FAULT_MS, 905, { impact: false, subject: 'SELECT latency p95 (as seen by inventory)', expected: 4 }),
]

const badPayments: Troubles = { payments: { failing: 0.45 } }
const symptomsOfBadPayments = [
  errors('gateway', FAULT_MS + 10 * SECOND, 0.135),
  errors('checkout', FAULT_MS, 0.45),
  errors('payments', FAULT_MS, 0.45),
  logBurst('payments', FAULT_MS),
  logBurst('checkout', FAULT_MS, { subject: 'bursting: charge failed' }),
]

describe('one fault, one incident', () => {
  it('a slow database is one incident at the gateway with the database as cause', () => {
    const correlator = new Correlator().play([...shop(slowDatabase), ...during(symptomsOfSlowDatabase)], FAULT_MS + 12 * MINUTE)
    const incident = correlator.only
    expect(incident).toMatchObject({ title: 'gateway: p95 latency 1.9 s (normally 85 ms)', severity: 'critical', status: 'resolved' })
    expect(incident.services[0]).toBe('gateway')
    expect(new Set(incident.services)).toEqual(new Set(['gateway', 'catalog', 'checkout', 'inventory']))
    const [first, second] = incident.causes
    expect(first).toMatchObject({ service: 'postgresql' })
    expect(first!.probability).toBeGreaterThan(0.7)
    expect(first!.evidence.map((one) => one.text)).toContain(
      'Calls to it by inventory (7,200 calls) take 904 ms (normally 4 ms): 100 % of the extra time',
    )
    expect(first!.refutedBy).toContain('postgresql')
    expect(second!.service, 'the only one that uses it').toBe('inventory')
  })

  it('errors after a deploy: the deployed service is the cause and the deploy is in the evidence', () => {
    const change = deploy('payments', FAULT_MS - 25 * SECOND)
    const correlator = new Correlator().play([...shop(badPayments), ...during(symptomsOfBadPayments), change], FAULT_MS + 12 * MINUTE)
    const [first] = correlator.only.causes
    expect(first).toMatchObject({ service: 'payments' })
    expect(first!.probability).toBeGreaterThan(0.8)
    expect(first!.evidence).toContainEqual(
      expect.objectContaining({ kind: 'change', ref: change.id, text: 'Deploy of payments 2.4, 25 s before the first symptom' }),
    )
    expect(first!.evidence).toContainEqual(
      expect.objectContaining({
        kind: 'errors-started',
        text: expect.stringMatching(/^100 % of the excess failures started here \(\d+ of \d+\)$/),
      }),
    )
    expect(correlator.entriesOf(correlator.only, 'change').map((entry) => entry.text)).toEqual(['deploy of payments 2.4'])
    expect(correlator.changes).toEqual([change])
  })

  it.each([
    ['of a service without a part in it', 'catalog'],
    ['of a service that only passes the slowness on', 'checkout'],
    ['of the only service that uses the database', 'inventory'],
    ['of the entry', 'gateway'],
  ])('a harmless deploy ten minutes earlier, %s, is not blamed', (_, service) => {
    const change = deploy(service, FAULT_MS - 10 * MINUTE)
    const correlator = new Correlator().play([...shop(slowDatabase), ...during(symptomsOfSlowDatabase), change], FAULT_MS + 12 * MINUTE)
    const { causes } = correlator.only
    expect(causes[0]!.service).toBe('postgresql')
    expect(causes[0]!.probability).toBeGreaterThan(0.65)
    expect(correlator.entriesOf(correlator.only, 'change'), 'it is on the timeline all the same').toHaveLength(1)
  })

  it('a deploy of the service that asks the database, just before the database is slow, makes it a suspect beside the database', () => {
    const change = deploy('inventory', FAULT_MS - 20 * SECOND)
    const { only } = new Correlator().play([...shop(slowDatabase), ...during(symptomsOfSlowDatabase), change], FAULT_MS + 12 * MINUTE)
    const share = new Map(only.causes.map((cause) => [cause.service, cause.probability]))
    expect(share.get('inventory')).toBeGreaterThan(0.2)
    expect(share.get('inventory')! + share.get('postgresql')!).toBeGreaterThan(0.7)
  })

  it('a database that refuses is the cause of the failures its caller reports', () => {
    const symptoms = ['inventory', 'checkout', 'catalog', 'gateway'].map((service) => errors(service, FAULT_MS, 0.6))
    const { only } = new Correlator().play([...shop({ postgresql: { refusing: 0.4 } }), ...during(symptoms)], FAULT_MS + 12 * MINUTE)
    expect(only.causes[0]!.service).toBe('postgresql')
    expect(only.causes[1]!.service).toBe('inventory')
  })

  it('a service whose callers give up on it is the cause, though the failures begin at the callers', () => {
    const symptoms = ['checkout', 'gateway'].map((service) => errors(service, FAULT_MS, 0.3))
    const { only } = new Correlator().play(
      [...shop({ payments: { refusing: 0.4, calleeMs: 2000 } }), ...during(symptoms)],
      FAULT_MS + 12 * MINUTE,
    )
    expect(only.causes[0]!.service).toBe('payments')
    expect(only.causes[0]!.evidence.map((one) => one.text).join()).toContain('Calls to it by checkout fail without it reporting a failure')
  })

  it('a service that itself is slow is the cause, with its processor as evidence', () => {
    const symptoms = [
      latency('gateway', FAULT_MS + 10 * SECOND, 900),
      latency('checkout', FAULT_MS, 950),
      latency('payments', FAULT_MS, 900),
      cpu('payments', FAULT_MS),
    ]
    const { only } = new Correlator().play([...shop({ payments: { selfMs: 800 } }), ...during(symptoms)], FAULT_MS + 12 * MINUTE)
    expect(only.causes[0]!.service).toBe('payments')
    expect(only.causes[0]!.evidence.map((one) => one.kind)).toEqual(expect.arrayContaining(['self-time', 'saturation', 'position']))
  })

  it('time lost on the way to a service points at the way to that service', () => {
    const symptoms = [latency('gateway', FAULT_MS, 700), latency('checkout', FAULT_MS, 700), latency('catalog', FAULT_MS, 700)]
    const { only } = new Correlator().play([...shop({ inventory: { calleeMs: 600 } }), ...during(symptoms)], FAULT_MS + 12 * MINUTE)
    expect(only.causes[0]!.service).toBe('inventory')
    expect(only.causes[0]!.evidence[0]!.kind).toBe('network')
  })

  it('a service that sends metrics but no spans, and the address it is called at, are one suspect', () => {
    const stations = [
      { service: 'checkout', selfMs: 6, calls: [{ callee: 'ledger.prod.svc.cluster.local:8080', perRequest: 1, inferred: true, ms: 5 }] },
    ]
    const flows = (fromMs: number, toMs: number, troubles: Troubles = {}) =>
      traffic(fromMs, toMs, troubles, { stations, entry: 'checkout' })
    const symptoms = [latency('checkout', FAULT_MS, 900), cpu('ledger', FAULT_MS)]
    const { only } = new Correlator().play(
      [
        ...flows(START_MS, FAULT_MS),
        ...flows(FAULT_MS, FAULT_MS + 5 * MINUTE, { 'ledger.prod.svc.cluster.local:8080': { calleeMs: 800 } }),
        ...during(symptoms),
      ],
      FAULT_MS + 5 * MINUTE,
    )
    expect(only.causes.map((cause) => cause.service)).toEqual(['ledger', 'checkout'])
    expect(only.causes[0]!.evidence.map((one) => one.kind)).toEqual(expect.arrayContaining(['slow-callee', 'saturation']))
  })

  it('twenty symptoms, one incident', () => {
    const services = ['gateway', 'checkout', 'catalog', 'inventory', 'payments']
    const measures = ['GET / latency p95', 'POST / latency p95', 'all requests latency p95', 'GET /x latency p95']
    const symptoms = services.flatMap((service, i) =>
      measures.map((subject, j) => latency(service, FAULT_MS + (i * 4 + j) * 3 * SECOND, 1500, { subject })),
    )
    const correlator = new Correlator().play([...shop(slowDatabase), ...during(symptoms)], FAULT_MS + 14 * MINUTE)
    expect(correlator.anomaliesOf(correlator.only)).toHaveLength(20)
    expect(correlator.effects.flatMap((effects) => effects.transitions).filter((one) => one.before === undefined)).toHaveLength(1)
  })

  it('symptoms of siblings join before their common caller says anything, because they call the same thing', () => {
    const symptoms = [latency('catalog', FAULT_MS), latency('checkout', FAULT_MS + 20 * SECOND)]
    const { incidents } = new Correlator().play([...shop(slowDatabase), ...during(symptoms)], FAULT_MS + 12 * MINUTE)
    expect(incidents.map((incident) => incident.services)).toEqual([['catalog', 'checkout']])
  })

  it('without any trace, what begins together belongs together', () => {
    const symptoms = [
      errors('checkout', FAULT_MS, 0.3),
      errors('payments', FAULT_MS + 30 * SECOND, 0.3),
      errors('newsletter', FAULT_MS + 20 * MINUTE, 0.3),
    ]
    const { incidents } = new Correlator().play(
      symptoms.flatMap((one) => [one, ended(one, one.startMs + 4 * MINUTE)]),
      FAULT_MS + 40 * MINUTE,
    )
    expect(incidents.map((incident) => incident.services)).toEqual([['checkout', 'payments'], ['newsletter']])
    expect(
      incidents[0]!.causes.every((cause) => cause.probability < 0.5),
      'thin evidence is humble',
    ).toBe(true)
  })

  it('two unrelated faults, two incidents', () => {
    const mail = traffic(START_MS, FAULT_MS + 15 * MINUTE, {}, { stations: MAILROOM, entry: 'mailer', partition: 1 })
    const symptoms = during([...symptomsOfSlowDatabase, errors('mailer', FAULT_MS + 5 * SECOND, 0.5)])
    const { incidents } = new Correlator().play([...shop(slowDatabase), ...mail, ...symptoms], FAULT_MS + 12 * MINUTE)
    expect(incidents.map((incident) => incident.services.toSorted())).toEqual([['catalog', 'checkout', 'gateway', 'inventory'], ['mailer']])
  })

  it('the next fault, when the last one is over, is another incident', () => {
    const later = FAULT_MS + 20 * MINUTE
    const second = [errors('payments', later, 0.45), errors('checkout', later, 0.45)].flatMap((one) => [
      one,
      ended(one, later + 4 * MINUTE),
    ])
    const flows = [
      ...traffic(START_MS, FAULT_MS),
      ...traffic(FAULT_MS, FAULT_MS + 5 * MINUTE, slowDatabase),
      ...traffic(FAULT_MS + 5 * MINUTE, later),
      ...traffic(later, later + 4 * MINUTE, badPayments),
      ...traffic(later + 4 * MINUTE, later + 12 * MINUTE),
    ]
    const { incidents } = new Correlator().play([...flows, ...during(symptomsOfSlowDatabase), ...second], later + 10 * MINUTE)
    expect(incidents.map((incident) => incident.causes[0]!.service)).toEqual(['postgresql', 'payments'])
    expect(incidents[0]!.id).not.toBe(incidents[1]!.id)
  })
})

describe('what pages and what does not', () => {
  it('an anomaly without impact pages nobody', () => {
    const correlator = new Correlator().play(
      [...shop({}), ...during([cpu('inventory', FAULT_MS), logBurst('checkout', FAULT_MS)])],
      FAULT_MS + 10 * MINUTE,
    )
    expect(correlator.incidents).toEqual([])
    expect(correlator.timeline).toEqual([])
  })

  it('work that only piles up pages, and it says where', () => {
    const lag = anomaly('broker', FAULT_MS, {
      symptom: 'saturation',
      subject: 'consumergroup_lag',
      observed: 1800,
      expected: 0.3,
      unit: '',
    })
    const { only } = new Correlator().play([...shop({}), lag], FAULT_MS + 2 * MINUTE)
    expect(only).toMatchObject({
      title: 'broker: consumergroup_lag 1,800 (normally 0.3)',
      impact: 'Work piles up at broker: consumergroup_lag 1,800 (normally 0.3).',
    })
  })

  it('what was unusual before anybody felt it is early evidence', () => {
    const early = cpu('inventory', FAULT_MS - 4 * MINUTE)
    const older = cpu('inventory', FAULT_MS - 30 * MINUTE, { subject: 'process_resident_memory_bytes' })
    const elsewhere = cpu('mailer', FAULT_MS - 4 * MINUTE)
    const mail = traffic(START_MS, FAULT_MS, {}, { stations: MAILROOM, entry: 'mailer', partition: 1 })
    const correlator = new Correlator().play(
      [...shop(slowDatabase), ...mail, older, early, elsewhere, ...during(symptomsOfSlowDatabase)],
      FAULT_MS + 4 * MINUTE,
    )
    const ids = correlator.anomaliesOf(correlator.only).map((one) => one.id)
    expect(ids).toContain(early.id)
    expect(ids).not.toContain(older.id)
    expect(ids).not.toContain(elsewhere.id)
  })

  it('a warning of another system opens an incident and a notice of information does not', () => {
    const quiet = new Correlator().play([...shop({}), alert('checkout', FAULT_MS, { severity: 'info' })], FAULT_MS + 10 * MINUTE)
    expect(quiet.incidents).toEqual([])
    const loud = new Correlator().play([...shop({}), alert('checkout', FAULT_MS)], FAULT_MS + 3 * MINUTE)
    expect(loud.only).toMatchObject({ title: 'checkout: checkout fails too often', severity: 'warning', status: 'open' })
    loud.play([], FAULT_MS + 10 * MINUTE)
    expect(loud.only.status, 'it was not refreshed').toBe('resolved')
    expect(loud.entriesOf(loud.only, 'alert-ended')).toHaveLength(1)
  })

  it('an alert about what is being looked at joins it', () => {
    const firing = alert('gateway', FAULT_MS + 2 * MINUTE, { severity: 'critical', name: 'GatewaySlow', summary: '' })
    const correlator = new Correlator().play([...shop(slowDatabase), ...during(symptomsOfSlowDatabase), firing], FAULT_MS + 12 * MINUTE)
    expect(correlator.only.causes[0]!.service).toBe('postgresql')
    expect(correlator.entriesOf(correlator.only, 'alert')[0]!.text).toBe('Alert GatewaySlow (critical)')
  })

  it('severity goes up as more is felt and never down', () => {
    const correlator = new Correlator().play(
      [...shop(badPayments), errors('payments', FAULT_MS, 0.06), errors('gateway', FAULT_MS + MINUTE, 0.3)],
      FAULT_MS + 3 * MINUTE,
    )
    correlator.play([ended(errors('gateway', FAULT_MS + MINUTE, 0.3), FAULT_MS + 2 * MINUTE)], FAULT_MS + 5 * MINUTE)
    const seen = correlator.effects.flatMap((effects) => effects.transitions).map((one) => one.after.severity)
    expect(seen[0]).toBe('error')
    expect(seen.at(-1)).toBe('critical')
    expect(correlator.entriesOf(correlator.only, 'severity').map((entry) => entry.text)).toEqual([
      'Severity raised from error to critical: gateway: 30 % of requests fail (normally 0.2 %)',
    ])
  })

  it('a handful of requests is not critical, however many of them fail', () => {
    const { only } = new Correlator().play([...shop({}), errors('gateway', FAULT_MS, 1, { volume: 4 })], FAULT_MS + MINUTE)
    expect(only.severity).toBe('error')
  })
})

describe('when it is over', () => {
  it('is resolved when things are normal again, two minutes after the last symptom', () => {
    const correlator = new Correlator().play(
      [...shop(slowDatabase), ...during(symptomsOfSlowDatabase)],
      FAULT_MS + 5 * MINUTE + 30 * SECOND,
    )
    expect(correlator.only.status).toBe('open')
    correlator.play([], FAULT_MS + 12 * MINUTE)
    expect(correlator.only).toMatchObject({ status: 'resolved', resolvedMs: FAULT_MS + 7 * MINUTE })
    expect(correlator.entriesOf(correlator.only, 'resolved')).toHaveLength(1)
    expect(correlator.entriesOf(correlator.only, 'recovered')).toHaveLength(symptomsOfSlowDatabase.length)
  })

  it('a pool that stays full keeps it open for a while, not for ever', () => {
    const symptoms = [...during(symptomsOfSlowDatabase), cpu('inventory', FAULT_MS)]
    const correlator = new Correlator().play([...shop(slowDatabase), ...symptoms], FAULT_MS + 8 * MINUTE)
    expect(correlator.only.status).toBe('open')
    correlator.play([], FAULT_MS + 10 * MINUTE)
    expect(correlator.only).toMatchObject({ status: 'resolved', resolvedMs: FAULT_MS + 9 * MINUTE })
  })

  it('what merely explains does not keep it open', () => {
    const odd = anomaly('inventory', FAULT_MS, {
      detector: 'service',
      signal: 'mixed',
      symptom: 'other',
      impact: false,
      subject: 'as a whole',
    })
    const symptoms = [...during(symptomsOfSlowDatabase), odd, logBurst('inventory', FAULT_MS)]
    const { only } = new Correlator().play([...shop(slowDatabase), ...symptoms], FAULT_MS + 10 * MINUTE)
    expect(only).toMatchObject({ status: 'resolved', resolvedMs: FAULT_MS + 7 * MINUTE })
  })

  it('flapping stays one incident', () => {
    const bouts = Array.from({ length: 8 }, (_, i) => errors('checkout', FAULT_MS + i * 150 * SECOND, 0.3)).flatMap((one) => [
      one,
      ended(one, one.startMs + 50 * SECOND),
    ])
    const lastMs = FAULT_MS + 7 * 150 * SECOND + 50 * SECOND
    const correlator = new Correlator().play([...traffic(START_MS, lastMs + 15 * MINUTE, {}), ...bouts], lastMs + 4 * MINUTE)
    expect(correlator.only.status, 'it has returned too often to believe two minutes of quiet').toBe('open')
    correlator.play([], lastMs + 12 * MINUTE)
    expect(correlator.only.status).toBe('resolved')
  })

  it('an incident that comes back soon after it was resolved is slower to be called resolved again', () => {
    const first = errors('checkout', FAULT_MS, 0.3)
    const again = errors('checkout', FAULT_MS + 8 * MINUTE, 0.3)
    const bouts = [first, again].flatMap((one) => [one, ended(one, one.startMs + MINUTE)])
    const hurt: Troubles = { checkout: { failing: 0.3 } }
    const flows = [first, again].flatMap((one) => [
      ...traffic(one.startMs - 6 * MINUTE, one.startMs),
      ...traffic(one.startMs, one.startMs + MINUTE, hurt),
    ])
    const { incidents } = new Correlator().play([...flows, ...bouts], FAULT_MS + 20 * MINUTE)
    expect(incidents.map((incident) => (incident.resolvedMs! - incident.openedMs) / MINUTE)).toEqual([
      expect.closeTo(3, 0),
      expect.closeTo(5, 0),
    ])
  })

  it('another fault soon after, with another cause, is not taken for the same coming back', () => {
    const later = FAULT_MS + 12 * MINUTE
    const second = [errors('payments', later, 0.45), errors('checkout', later, 0.45)].flatMap((one) => [
      one,
      ended(one, later + 3 * MINUTE),
    ])
    const flows = [
      ...traffic(START_MS, FAULT_MS),
      ...traffic(FAULT_MS, FAULT_MS + 5 * MINUTE, slowDatabase),
      ...traffic(FAULT_MS + 5 * MINUTE, later),
      ...traffic(later, later + 3 * MINUTE, badPayments),
      ...traffic(later + 3 * MINUTE, later + 12 * MINUTE),
    ]
    const { incidents } = new Correlator().play([...flows, ...during(symptomsOfSlowDatabase), ...second], later + 10 * MINUTE)
    expect(incidents.map((incident) => incident.causes[0]!.service)).toEqual(['postgresql', 'payments'])
    expect(incidents[1]!.resolvedMs).toBe(later + 5 * MINUTE)
  })

  it('a person resolves it, and its symptoms do not page again', () => {
    const correlator = new Correlator().play([...shop(slowDatabase), ...symptomsOfSlowDatabase], FAULT_MS + 2 * MINUTE)
    const acknowledged = correlator.act('acknowledge', correlator.only)
    expect(acknowledged.transitions.map(({ before, after }) => [before!.status, after.status])).toEqual([['open', 'acknowledged']])
    const resolved = correlator.act('resolve', correlator.only)
    expect(resolved.transitions.map(({ before, after }) => [before!.status, after.status])).toEqual([['acknowledged', 'resolved']])
    const late = latency('payments', FAULT_MS + 2 * MINUTE, 500)
    correlator.play([late, ...during(symptomsOfSlowDatabase)], FAULT_MS + 12 * MINUTE)
    expect(correlator.only).toMatchObject({ status: 'resolved' })
    expect(correlator.anomaliesOf(correlator.only).map((one) => one.id)).toContain(late.id)
  })

  it('an action is taken once and an unknown incident is nobody’s', () => {
    const correlator = new Correlator().play([...shop(slowDatabase), ...symptomsOfSlowDatabase], FAULT_MS + 2 * MINUTE)
    const action = {
      kind: 'action',
      seq: 7,
      incidentId: correlator.only.id,
      action: 'acknowledge',
      by: 'ana',
      atMs: FAULT_MS + 2 * MINUTE,
    } as const
    expect(correlator.take([], [action]).transitions).toHaveLength(1)
    expect(correlator.take([], [action]).transitions).toEqual([])
    expect(correlator.take([], [{ ...action, seq: 8, incidentId: 'nobody' }]).transitions).toEqual([])
    expect(correlator.state.lastActionSeq).toBe(8)
  })

  it('an alert that fires again after its incident is over opens another', () => {
    const firing = alert('checkout', FAULT_MS)
    const again = { ...firing, atMs: FAULT_MS + 20 * MINUTE, endMs: FAULT_MS + 24 * MINUTE }
    const { incidents } = new Correlator().play([flow(START_MS), firing, again], FAULT_MS + 40 * MINUTE)
    expect(incidents.map((incident) => incident.status)).toEqual(['resolved', 'resolved'])
  })

  it('an anomaly that nobody speaks of any more is over some time', () => {
    const correlator = new Correlator().play([...shop({}), errors('checkout', FAULT_MS, 0.3)], FAULT_MS + 30 * MINUTE)
    expect(correlator.only.status).toBe('open')
    correlator.play([], FAULT_MS + 90 * MINUTE)
    expect(correlator.only.status).toBe('resolved')
  })
})

describe('hostile names', () => {
  it('clips and cleans what telemetry calls itself', () => {
    const service = `check\u0000out\u202e\n${'x'.repeat(500)}`
    const { only } = new Correlator().play(
      [anomaly(service, FAULT_MS, { subject: 'a\u2028b'.repeat(300), symptom: 'other', unit: 'u'.repeat(99) })],
      FAULT_MS + MINUTE,
    )
    expect(only.title.length).toBeLessThanOrEqual(200)
    expect(only.title).not.toMatch(/\p{Cc}|\p{Cf}|\u2028/u)
  })

  it('takes a service called __proto__ like any other', () => {
    const { only } = new Correlator().play(
      [errors('__proto__', FAULT_MS, 0.3), deploy('constructor', FAULT_MS - MINUTE)],
      FAULT_MS + MINUTE,
    )
    expect(only.services).toEqual(['__proto__'])
  })
})
