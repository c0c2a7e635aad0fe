/**
 * The objectives a company has set itself. There are none by default: what is good enough is a decision, not a measurement.
 */
import { z } from 'zod'

const percent = z.number().gt(0).lt(100)

const objective = z.strictObject({
  service: z.string().min(1).max(200).describe('The services it is for; `*` stands for anything. The first one that fits counts.'),
  availability: percent.optional().describe('Percent of requests that must not fail, 99.9 for example.'),
  latency: z
    .strictObject({
      thresholdMs: z.number().positive().describe('A request that takes longer is too slow.'),
      percent: percent.describe('Percent of requests that must not be too slow.'),
    })
    .optional()
    .describe('How many requests must be quick.'),
  source: z
    .enum(['auto', 'metrics', 'spans'])
    .default('auto')
    .describe('What is counted; auto: request metrics where there are some, else server spans. Never both: a request counts once.'),
})

export const sloConfig = z.strictObject({
  objectives: z.array(objective).max(1000).default([]).describe('Objectives for services. None: nothing is counted.'),
  leastErrors: z
    .int()
    .min(1)
    .default(10)
    .describe('Fewer bad requests than this in the long window say nothing, however few there were in all.'),
  slowBurnIsFelt: z
    .boolean()
    .default(false)
    .describe('Whether a budget that is slowly used up opens an incident, which then lasts as long as the burn: hours or days.'),
  updateEveryMs: z.int().min(60_000).max(3_000_000).default(300_000).describe('How often a burn that goes on is told again.'),
  chartPoints: z.int().min(32).max(1000).default(120).describe('Points of its chart.'),
  maxServices: z.int().min(1).default(2000).describe('Services with an objective per partition; more are refused and counted.'),
  maxSeries: z.int().min(1).default(50_000).describe('Series of requests that are counted per partition; more are refused and counted.'),
  forgetMs: z.int().min(86_400_000).default(2_592_000_000).describe('A service without a request for this long is forgotten.'),
})
export type SloConfig = z.output<typeof sloConfig>
export type Objective = SloConfig['objectives'][number]

/** Whether a service is one of those that a pattern names. */
export function fits(pattern: string, service: string): boolean {
  const parts = pattern.split('*')
  const [first, last] = [parts[0]!, parts.at(-1)!]
  if (parts.length === 1) return service === pattern
  if (service.length < first.length + last.length || !service.startsWith(first) || !service.endsWith(last)) return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = service.indexOf(part, at)
    if (found < 0 || found + part.length > service.length - last.length) return false
    at = found + part.length
  }
  return true
}
