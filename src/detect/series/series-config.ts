/**
 * The settings of the series detector. The defaults fit scrapes of 5 to 60 seconds; faster ones are averaged.
 */
import { z } from 'zod'

export const seriesConfig = z.strictObject({
  warmupMs: z.int().min(0).default(180_000).describe('A series must have been watched for so long before it may be called unusual.'),
  warmupRows: z.int().min(3).default(12).describe('… and have been observed so often.'),
  falseAlarmsPerWeek: z
    .number()
    .positive()
    .default(1)
    .describe('How many false alarms a week one series may raise: sets its threshold from its own tail.'),
  leastZ: z.number().positive().default(4).describe('Never call unusual what is fewer spreads than this from what is expected.'),
  stepMs: z.int().min(0).default(5000).describe('Samples that come faster are averaged over this time.'),
  openAfter: z.int().min(1).max(3).default(3).describe('Observations in a row outside the baseline that make an anomaly.'),
  closeAfter: z.int().min(1).default(5).describe('Observations in a row inside it that end one.'),
  updateEveryMs: z.int().min(1000).default(60_000).describe('How often an anomaly that goes on is told again.'),
  chartPoints: z.int().min(32).max(2000).default(240).describe('Points of an anomaly’s chart.'),
  windowMs: z
    .int()
    .min(1000)
    .default(10_000)
    .describe('Requests are counted over windows of this length for latency quantiles and error ratios.'),
  maxWindowMs: z.int().min(1000).default(60_000).describe('With few requests a window may grow to this length.'),
  leastRequests: z.int().min(1).default(10).describe('Requests a window needs to be judged.'),
  leastErrorRatio: z.number().min(0).max(1).default(0.02).describe('A share of failed requests below this is never unusual.'),
  holdMs: z.int().min(60_000).default(1_800_000).describe('A new level becomes the new normal after this time.'),
  impactHoldMs: z.int().min(60_000).default(14_400_000).describe('The same for latency and errors of requests that are served.'),
  absentAfterIntervals: z.number().min(2).default(5).describe('A service is missing when it is silent for so many of its intervals …'),
  absentAfterMs: z.int().min(1000).default(20_000).describe('… and for at least this long.'),
  maxSeries: z.int().min(1).default(50_000).describe('Series watched per partition; more are refused and counted.'),
  maxSeriesPerService: z.int().min(1).default(5000).describe('Series watched per service; more are refused and counted.'),
  scoreReservoir: z
    .int()
    .min(8)
    .max(256)
    .default(32)
    .describe(
      'How many values and short sequences of a series are kept to tell what is new: memory per series is 28 bytes times this, and 200.',
    ),
  forgetMs: z.int().min(600_000).default(93_600_000).describe('A series that is silent for this long is forgotten.'),
})
export type SeriesConfig = z.output<typeof seriesConfig>
