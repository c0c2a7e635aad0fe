/**
 * The detectors there are. A line here makes one known: its configuration, its place in a checkpoint and its turn follow from it.
 * The order is the order in which they see a batch; the service detector reads what the others wrote and comes last.
 */
import type { DetectorKind } from './detector.ts'
import { forecastDetector } from './forecast/forecast.ts'
import { logsDetector } from './logs/logs.ts'
import { seriesDetector } from './series/series.ts'
import { serviceDetector } from './service/service.ts'
import { sloDetector } from './forecast/slo.ts'
import { spansDetector } from './spans/spans.ts'

const DETECTORS = {
  series: seriesDetector,
  logs: logsDetector,
  spans: spansDetector,
  forecast: forecastDetector,
  slo: sloDetector,
  service: serviceDetector,
} as const

export type DetectorName = keyof typeof DETECTORS
export type DetectorConfigs = { [Name in DetectorName]: (typeof DETECTORS)[Name] extends DetectorKind<infer Config> ? Config : never }

/** The same with their types forgotten: each is only ever given the configuration that its own schema made. */
export function detectorKinds(): readonly (readonly [name: DetectorName, kind: DetectorKind<unknown>])[] {
  return Object.entries(DETECTORS) as unknown as readonly (readonly [DetectorName, DetectorKind<unknown>])[]
}
