/**
 * The correlate part of the configuration: what belongs together, when an incident is over, how far back causes are looked for,
 * and how much is kept. All times are event time.
 */
import { z } from 'zod'

const duration = (fallback: number, text: string) =>
  z
    .int()
    .min(0)
    .max(7 * 24 * 3_600_000)
    .default(fallback)
    .describe(text)
const count = (fallback: number, text: string) => z.int().positive().default(fallback).describe(text)

const correlateLimits = z.strictObject({
  anomalies: count(5_000, 'Anomalies kept at a time; beyond it the oldest that belong to no open incident are forgotten.'),
  alerts: count(5_000, 'Alerts of other systems kept at a time.'),
  changes: count(2_000, 'Changes kept at a time.'),
  incidents: count(500, 'Incidents open at the same time; beyond it new symptoms join the incident that began closest to them.'),
  anomaliesPerIncident: count(300, 'Anomalies told about in one incident; more still count, but are not listed.'),
  changesPerIncident: count(50, 'Changes listed in one incident.'),
  edges: count(10_000, 'Edges of the call graph; beyond it the least used are forgotten.'),
  servicesPerWindow: count(2_000, 'Services in one window of the traffic history.'),
  edgesPerWindow: count(8_000, 'Edges in one window of the traffic history.'),
  pending: count(20_000, 'Findings waiting for the slowest partition; beyond it they are not waited for any longer.'),
})

export const correlateConfig = z.strictObject({
  stepMs: z.int().min(1_000).max(60_000).default(5_000).describe('Findings are reduced in steps of event time this long.'),
  laggardMs: duration(60_000, 'A telemetry partition that is further behind the most advanced one than this is not waited for.'),
  joinGapMs: duration(300_000, 'Symptoms further apart in time than this do not belong to one incident.'),
  coOccurMs: duration(
    120_000,
    'Services without a known path between them, or with only a callee in common, belong together when their symptoms start within this time.',
  ),
  maxHops: z.int().min(0).max(10).default(3).describe('Services further apart in the call graph than this are unrelated.'),
  lookBackMs: duration(600_000, 'Anomalies that began this long before an incident opened are early evidence when they are related.'),
  changeLookBackMs: duration(3_600_000, 'Changes this long before the first symptom are put on the timeline and weighed as a cause.'),
  resolveAfterMs: duration(
    120_000,
    'An incident is resolved when nobody has felt anything for this long. Each return of symptoms after half of it doubles it, up to four times.',
  ),
  lingerMs: duration(
    240_000,
    'Anomalies that nobody feels (a pool still full, a queue still long) keep an incident open at most this long after the last symptom that was felt.',
  ),
  recurrenceMs: duration(
    900_000,
    'An incident that comes back with the same cause within this time after it was resolved is slower to be called resolved again.',
  ),
  staleMs: duration(3_600_000, 'An anomaly that has not been told about for this long counts as over.'),
  keepMs: duration(3_600_000, 'How long what is over is remembered, so that a repeated finding is recognised.'),
  causeEveryMs: duration(10_000, 'Causes of an open incident are weighed anew at most this often.'),
  topologyHalfLifeMs: z.int().min(60_000).default(3_600_000).describe('Calls seen this long ago count half for the call graph.'),
  limits: correlateLimits.prefault({}).describe('How much is kept.'),
})
export type CorrelateConfig = z.output<typeof correlateConfig>
