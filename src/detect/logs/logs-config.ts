/**
 * The settings of the log detector.
 */
import { z } from 'zod'

export const logsConfig = z.strictObject({
  windowMs: z.number().int().min(1000).default(10_000).describe('Lines are counted per window of this length.'),
  latenessMs: z.number().int().min(0).default(5_000).describe('How long after its end a window waits for lines that come late.'),
  warmUpMs: z.number().int().min(0).default(120_000).describe('For this long after its first line a service is only learned, not judged.'),
  maxLineChars: z.number().int().min(64).max(65_536).default(1024).describe('Of a longer line only the beginning is looked at.'),
  maxTemplates: z.number().int().min(100).default(10_000).describe('Log templates kept per partition; beyond that the rarest are dropped.'),
  maxTemplatesPerService: z
    .number()
    .int()
    .min(10)
    .default(500)
    .describe('Log templates followed per service; beyond that the one unseen for longest is dropped.'),
  maxServices: z
    .number()
    .int()
    .min(1)
    .default(5_000)
    .describe('Services followed per partition; lines of further ones are counted, not looked at.'),
  maxNewPerService: z.number().int().min(1).default(5).describe('Log lines of one service that may be anomalies of their own at one time.'),
  newForMs: z.number().int().min(0).default(900_000).describe('For this long a template that appeared after the warm-up counts as new.'),
  newInfoLines: z
    .number()
    .int()
    .min(1)
    .default(20)
    .describe('Lines per window from which a new template without warning severity is worth telling.'),
  falseAlarmsPerWeek: z
    .number()
    .positive()
    .default(1)
    .describe('False log anomalies per service and week that are put up with; thresholds follow from it and from what was learnt.'),
  stoppedAfterMs: z
    .number()
    .int()
    .min(10_000)
    .default(120_000)
    .describe('Nothing has stopped coming that was silent for less; how long it takes beyond that follows from how regular it was.'),
  deployGraceMs: z
    .number()
    .int()
    .min(0)
    .default(1_800_000)
    .describe('For this long after a deploy of a service new lines without error severity and lines that stop are its doing.'),
  maxValuesPerService: z
    .number()
    .int()
    .min(0)
    .default(50)
    .describe('Log templates per service whose numbers (durations, sizes, statuses) are watched: the first that come often.'),
  valueThreshold: z
    .number()
    .positive()
    .default(4)
    .describe('Spreads above its level from which a number inside a template is anomalous; its own tail may ask for more.'),
  burstThreshold: z.number().positive().default(6).describe('Standard deviations above its level from which a known template bursts.'),
  burstMinLines: z.number().int().min(1).default(10).describe('Lines per window below which nothing is a burst.'),
  errorThreshold: z
    .number()
    .positive()
    .default(5)
    .describe('Standard deviations above its level from which the number of error lines is anomalous.'),
  errorMinLines: z.number().int().min(1).default(5).describe('Error lines per window below which their number is not anomalous.'),
  absorbMs: z.number().int().min(60_000).default(21_600_000).describe('What has been different for this long is the new normal.'),
  forgetMs: z.number().int().min(60_000).default(86_400_000).describe('A service without a line for this long is forgotten.'),
  openAfter: z.number().int().min(1).default(1).describe('Anomalous windows in a row that open an anomaly.'),
  closeAfter: z.number().int().min(1).default(3).describe('Normal windows in a row that close it.'),
  updateEveryMs: z.number().int().min(1000).default(60_000).describe('How often an anomaly that goes on is told again.'),
  chartPoints: z.number().int().min(30).max(2000).default(120).describe('Points in the chart of an anomaly.'),
})
export type LogsConfig = z.infer<typeof logsConfig>
