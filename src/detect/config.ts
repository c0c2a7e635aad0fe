/**
 * The `detect` part of the configuration: the stage's own keys and a section per registered detector.
 */
import { z } from 'zod'
import { calendarConfig } from './calendar.ts'
import { detectorKinds, type DetectorConfigs, type DetectorName } from './registry.ts'

const SECTIONS: Record<DetectorName, string> = {
  series: 'Metrics: every series against its own seasonal baseline, latency and errors of requests, services that go silent.',
  logs: 'Logs: message templates that are new, that vanish, or that come more often than usual.',
  spans: 'Traces: errors and latency of what each service serves, and who calls whom.',
  forecast: 'What has a limit: when a disk, memory, a pool or a quota will be full, and when a certificate ends.',
  slo: 'Objectives: how fast services use up their error budgets.',
  service: 'A service as a whole: an autoencoder over the residuals of everything it does.',
}

const sections = Object.fromEntries(detectorKinds().map(([name, kind]) => [name, kind.config.prefault({}).describe(SECTIONS[name])]))
/** Built from the registry, so its type has to be stated. */
const detectorsConfig = z.strictObject(sections) as unknown as z.ZodType<DetectorConfigs>

export const detectConfig = z.strictObject({
  checkpointMs: z
    .int()
    .min(1000)
    .default(30_000)
    .describe(
      'How often what was learnt is saved, in event time. A crash forgets up to that much learning when the carrier cannot play it again.',
    ),
  off: z
    .array(z.enum(detectorKinds().map(([name]) => name)))
    .default([])
    .describe('Detectors that do not run.'),
  calendar: calendarConfig.prefault({}).describe('The clock and the days by which people live: what is normal follows them.'),
  detectors: detectorsConfig.prefault({}).describe('A section per detector.'),
})

export type DetectConfig = z.output<typeof detectConfig>
