/**
 * The rules by which scores come about, in words, and how unlikely something is as a person says it. The arithmetic of the rules is
 * detect's own (detect/reckon.ts); what is here is all that a page needs.
 */
import type { Reckoning } from './model.ts'

export interface RuleText {
  /** What is compared, in a few words. */
  readonly title: string
  /** How the score follows from the inputs, by their names. */
  readonly formula: string
  /** Of what its rarity speaks. */
  readonly of: string
}

const series = 'for this series'
const service = 'in this service'
const requests = 'for these requests'

export const RULES = {
  deviation: {
    title: 'distance from the expected value',
    formula: '(observed − expected) ÷ spread on the side that is bad, ÷ threshold',
    of: series,
  },
  strangeness: {
    title: 'how unlike anything this series did before',
    formula:
      '(onset + ln(1 + incident)) ÷ (threshold + raise); onset: how unlike its recent past, incident: how unlike the last weeks, raise: added by earlier anomalies',
    of: series,
  },
  'sure-quantile': {
    title: 'distance from the expected quantile, even if luck was bad',
    formula: 'the smaller of (observed − expected) ÷ spread ÷ threshold and (surely − expected) ÷ (limit − expected)',
    of: series,
  },
  'error-ratio': {
    title: 'share of failed requests, even if luck was bad',
    formula: 'lower end of Wilson’s interval of failed ÷ requests at so many standard errors, ÷ limit; 0 below the least failed',
    of: series,
  },
  silence: { title: 'how long it has been silent', formula: 'silent for ÷ limit, at most the cap', of: '' },
  'target-down': { title: 'Prometheus cannot scrape it', formula: 'the score of a target that was up and is not', of: '' },
  reconstruction: {
    title: 'error of a model of services in general',
    formula: 'error ÷ the larger of minimum and model threshold × usual level × threshold; the parts say what of it was where',
    of: service,
  },
  movement: {
    title: 'error of a model of this service’s own series',
    formula: 'error ÷ (the larger of 1 and 99 % quantile × usual level) ÷ threshold; the parts say what of it was where',
    of: service,
  },
  burn: { title: 'pace at which the error budget is used up', formula: 'failed ÷ requests ÷ share allowed, at most the cap', of: '' },
  exhaustion: {
    title: 'how soon it is full',
    formula: 'told within ÷ time left, at least the least score; time left is a minute or more',
    of: '',
  },
  expiry: { title: 'how soon it ends', formula: 'told within ÷ the larger of imminent and time left', of: '' },
  burst: {
    title: 'lines above what is usual, on a scale on which luck makes a spread of 1',
    formula: '(2 √(lines + ⅜) − 2 √(expected lines + ⅜)) ÷ spread, the smaller of this and the one before where that is given, ÷ threshold',
    of: service,
  },
  novelty: { title: 'lines of a kind that was never written before', formula: '1 + log₂(lines ÷ lines that are enough) ÷ 4', of: '' },
  'share-shift': {
    title: 'how surprising the share is, given what was seen before',
    formula: '−ln of the beta-binomial probability of so many hits or more, ÷ nats needed; at least the least score',
    of: service,
  },
  'value-shift': {
    title: 'distance of a number in the line from what is usual, on a logarithmic scale',
    formula:
      '(ln(1 + observed) − ln(1 + expected)) ÷ spread, the smaller of this and the one before, ÷ threshold; at least the least score',
    of: service,
  },
  stopped: {
    title: 'a silence longer than any before, on two clocks',
    formula: 'the smaller of windows silent ÷ their limit and other lines meanwhile ÷ their limit; 1 to the cap',
    of: service,
  },
  'error-surprise': {
    title: 'how surprising so many failures are, given what is usual',
    formula: '−log₁₀ of the beta-binomial probability of so many errors or more, ÷ surprise needed, at most the cap',
    of: requests,
  },
  slow: {
    title: 'how much slower, and how surprising so many slow requests are',
    formula:
      'for the p95 and for the median, the smallest of: surprise of so many slow ones ÷ surprise needed, distance in spreads ÷ threshold, ratio, increase; the larger of the two',
    of: requests,
  },
  'few-slow': {
    title: 'nearly all of a few requests are slow',
    formula: 'the smaller of the surprise of so many slow ones ÷ surprise needed and the slowness of the median × strictness',
    of: requests,
  },
  traffic: {
    title: 'requests against what is usual, on a scale on which luck makes a spread of 1',
    formula: '|2 √(requests + ⅜) − 2 √(expected requests + ⅜)| ÷ spread ÷ threshold',
    of: requests,
  },
  'new-call': {
    title: 'calls to something that was never called before',
    formula: '1 when there are calls now and were none before',
    of: '',
  },
  'missing-call': {
    title: 'calls that should have come with the other work and did not',
    formula: '1 when missing calls reach longest silence × times + least',
    of: '',
  },
  'missed-run': { title: 'a run that was due', formula: '1 when lateness is 1 or more', of: '' },
} as const satisfies Readonly<Record<string, RuleText>>

export type RuleName = keyof typeof RULES

/** Undefined: a rule of another version. */
export function ruleText(rule: string): RuleText | undefined {
  return Object.hasOwn(RULES, rule) ? RULES[rule as RuleName] : undefined
}

const WEEKS_PER_YEAR = 52
const MINUTES_PER_WEEK = 10_080

/** `about once in 14 weeks`; '' when it is not known. */
export function often(oncePerWeeks: number): string {
  const weeks = oncePerWeeks
  if (!(weeks > 0)) return ''
  if (weeks * MINUTES_PER_WEEK < 60) return 'many times an hour'
  if (weeks < 1 / 7) return `about ${Math.round(1 / (7 * weeks))} times a day`
  if (weeks < 0.6) return `about ${Math.round(1 / weeks)} times a week`
  if (weeks < 1.5) return 'about once a week'
  if (weeks < WEEKS_PER_YEAR) return `about once in ${Math.round(weeks)} weeks`
  const years = Math.round(weeks / WEEKS_PER_YEAR)
  if (years === 1) return 'about once a year'
  return years < 100 ? `about once in ${years} years` : 'not once in a hundred years'
}

/** `by chance about once in 14 weeks for this series`; '' when nobody knows. */
export function rarityText({ rule, oncePerWeeks }: Reckoning): string {
  const text = often(oncePerWeeks)
  const of = ruleText(rule)?.of ?? ''
  return text === '' ? '' : `by chance ${text}${of === '' ? '' : ` ${of}`}`
}
