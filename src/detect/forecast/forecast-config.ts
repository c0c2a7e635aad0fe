/**
 * The settings of the forecast detector.
 */
import { z } from 'zod'

/** So little room, as a share of the limit, is none. */
export const FULL_ROOM = 0.003

export const forecastConfig = z.strictObject({
  horizonMs: z
    .int()
    .min(600_000)
    .max(14 * 86_400_000)
    .default(86_400_000)
    .describe('A resource that will be full within this time is told. Nobody is paged for it.'),
  imminentMs: z
    .int()
    .min(60_000)
    .max(14_400_000)
    .default(1_800_000)
    .describe('One that will almost certainly be full within this time is a reason for an incident.'),
  certificateMs: z
    .int()
    .min(3_600_000)
    .default(14 * 86_400_000)
    .describe('A certificate that ends within this time is told; one that is renewed more often, when it is later than usual.'),
  sureness: z
    .number()
    .min(2)
    .max(9)
    .default(4)
    .describe('How many standard errors a rise must differ from none. Higher is quieter and later.'),
  openAfter: z.int().min(1).max(60).default(3).describe('Looks in a row, a minute apart, that make a forecast.'),
  closeAfter: z.int().min(1).max(600).default(15).describe('Looks in a row that do not confirm it and end it.'),
  updateEveryMs: z.int().min(60_000).max(3_000_000).default(900_000).describe('How often a forecast that stands is told again.'),
  chartPoints: z.int().min(32).max(1000).default(120).describe('Points of its chart.'),
  maxResources: z.int().min(1).default(5000).describe('Resources watched per partition; more are refused and counted.'),
  forgetMs: z.int().min(3_600_000).default(93_600_000).describe('A resource that is silent for this long is forgotten.'),
})
export type ForecastConfig = z.output<typeof forecastConfig>
