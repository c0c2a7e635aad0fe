/**
 * The settings of the span detector: request health per service and operation, and the trace joiner.
 */
import { z } from 'zod'

export const spansConfig = z.strictObject({
  windowMs: z.number().int().min(1000).default(10_000).describe('Requests are counted per window of this length, by their end.'),
  latenessMs: z
    .number()
    .int()
    .min(0)
    .default(8_000)
    .describe('How long after its end a window waits; exporters send every five seconds or so.'),
  warmUpMs: z.number().int().min(0).default(120_000).describe('For this long after its first span a service is only learned, not judged.'),
  minRequests: z
    .number()
    .int()
    .min(1)
    .default(20)
    .describe('With fewer requests than this a window is judged together with those before it.'),
  combineWindows: z.number().int().min(1).max(60).default(6).describe('Windows that are judged together at most.'),
  falseAlarmsPerWeek: z
    .number()
    .positive()
    .default(1)
    .describe(
      'How many false alarms a week one service may raise: sets how surprising errors and slow requests must be, by how many operations and peers are watched.',
    ),
  latencyThreshold: z
    .number()
    .positive()
    .default(5)
    .describe('Standard deviations (of the logarithm) above its level from which p95 or the median is anomalous.'),
  latencyMinRatio: z.number().min(1.01).default(1.4).describe('A latency below this multiple of what was expected is not anomalous.'),
  latencyMinIncreaseMs: z.number().min(0).default(10).describe('Nor is one that grew by less than this.'),
  latencySurprise: z
    .number()
    .positive()
    .default(4)
    .describe(
      'Surprise of the number of slow requests, as −log10 of its probability, that an anomalous p95 has at least: two of thirty are none.',
    ),
  longPollMs: z
    .number()
    .min(100)
    .default(10_000)
    .describe('An operation whose median is usually above this waits on purpose: its latency is nobody’s pain.'),
  errorThreshold: z
    .number()
    .positive()
    .default(4)
    .describe('Surprise of the errors, as −log10 of their probability, that anomalous ones have at least.'),
  errorMinRequests: z.number().int().min(1).default(3).describe('Failed requests below which nothing is anomalous.'),
  errorMinRatio: z.number().min(0).max(1).default(0.01).describe('Share of failed requests below which nothing is anomalous.'),
  trafficThreshold: z
    .number()
    .positive()
    .default(5)
    .describe('Standard deviations from its level from which next to no traffic, or three times as much, is anomalous.'),
  edgeWarmUpMs: z
    .number()
    .int()
    .min(0)
    .default(3_600_000)
    .describe('A service must have been watched for so long before a call to something that it never called is told as new.'),
  maxServices: z
    .number()
    .int()
    .min(1)
    .default(5_000)
    .describe('Services followed per partition; spans of further ones are counted, not looked at.'),
  maxOperations: z
    .number()
    .int()
    .min(1)
    .default(100)
    .describe('Operations followed per service, served and called each; further ones count as "other".'),
  absorbMs: z.number().int().min(60_000).default(21_600_000).describe('What has been different for this long is the new normal.'),
  forgetMs: z.number().int().min(60_000).default(86_400_000).describe('A service or operation without a span for this long is forgotten.'),
  openAfter: z.number().int().min(1).default(2).describe('Anomalous windows in a row that open an anomaly.'),
  closeAfter: z.number().int().min(1).default(3).describe('Normal windows in a row that close it.'),
  updateEveryMs: z.number().int().min(1000).default(60_000).describe('How often an anomaly that goes on is told again.'),
  chartPoints: z.number().int().min(30).max(2000).default(120).describe('Points in the chart of an anomaly.'),
  traceWaitMs: z.number().int().min(0).default(10_000).describe('A trace is joined when nothing of it has come for this long.'),
  traceMaxWaitMs: z.number().int().min(0).default(60_000).describe('And this long after its first span whatever comes.'),
  maxOpenTraces: z.number().int().min(1).default(20_000).describe('Traces that wait at one time; beyond that the oldest is joined early.'),
  maxOpenSpans: z
    .number()
    .int()
    .min(1)
    .default(200_000)
    .describe('Spans that wait at one time; beyond that the oldest traces are joined early.'),
  maxSpansPerTrace: z.number().int().min(1).default(2_000).describe('Spans of one trace that are looked at.'),
  maxPeers: z.number().int().min(1).default(5_000).describe('Addresses remembered with the service that answers there.'),
})
export type SpansConfig = z.infer<typeof spansConfig>
