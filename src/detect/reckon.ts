/**
 * The arithmetic of scores: each rule as a function that the detectors score by, and `recompute`, which makes a told score again from the
 * numbers that were told with it. One piece of code for both, so that what is decided and what is explained cannot drift apart.
 */
import type { Reckoning } from '../model.ts'
import type { RuleName } from '../reckoning.ts'
import { wilsonLower } from './series/histogram.ts'
import { stabilised } from './level.ts'
import { betaBinomialTail } from './logs/log-chance.ts'
import { betaBinomialSurprise, halfSlowSurprise, slowSurprise } from './spans/span-health.ts'

/** No score is told that is higher. */
export const MAX_SCORE = 1000
/** Weeks that are as good as never. */
const NEVER_WEEKS = 1e9
const WEEK_MS = 604_800_000

/** Which side is bad, as in seasonal.ts. */
const UP = 1
const DOWN = 2

export function deviationScore(z: number, side: number, threshold: number): number {
  return Math.max(0, (side === UP ? z : side === DOWN ? -z : Math.abs(z)) / threshold)
}

/** Of one value: how unlike its recent past it is, and how unlike anything for weeks. */
export function strangeness(onset: number, incident: number): number {
  return onset + Math.log1p(incident)
}

/** How far a value is towards its limit and beyond. */
export function towards(value: number, expected: number, limit: number): number {
  return Math.max(0, (value - expected) / (limit - expected))
}

export function errorRatioScore(failed: number, requests: number, standardErrors: number, leastFailed: number, limit: number): number {
  return (failed >= leastFailed ? wilsonLower(failed, requests, standardErrors) : 0) / limit
}

export function silenceScore(silentMs: number, limitMs: number, most: number): number {
  return Math.min(most, silentMs / limitMs)
}

export function reconstructionLimit(minimum: number, modelThreshold: number, times: number, threshold: number): number {
  return Math.max(minimum, modelThreshold * times * threshold)
}

export function movementLimit(q99: number, times: number, threshold: number): number {
  return Math.max(1, q99 * times) * threshold
}

export function burnScore(failed: number, requests: number, allowed: number, most: number): number {
  return Math.min(most, failed / requests / allowed)
}

export function exhaustionScore(withinMs: number, leftMs: number, leastLeftMs: number, least: number): number {
  return Math.max(least, withinMs / Math.max(leastLeftMs, leftMs))
}

/** `z`: on the scale of `stabilised`. */
export function countZ(lines: number, expected: number, spread: number): number {
  return (stabilised(lines) - stabilised(expected)) / spread
}

export function noveltyScore(lines: number, enough: number): number {
  return 1 + Math.log2(lines / enough) / 4
}

export function errorSurpriseScore(surprise: number, needed: number, most: number): number {
  return Math.min(most, surprise / needed)
}

/** All three must hold: far out, markedly longer, and by an amount that somebody can notice. */
export function slowness(ms: number, usualMs: number, z: number, threshold: number, leastRatio: number, leastIncreaseMs: number): number {
  const byRatio = Math.log(ms / usualMs) / Math.log(leastRatio)
  const byIncrease = leastIncreaseMs > 0 ? (ms - usualMs) / leastIncreaseMs : Infinity
  return Math.max(0, Math.min(z / threshold, byRatio, byIncrease))
}

/** The beta-binomial tail as a score. */
export function shareScore(hits: number, lines: number, hitsBefore: number, missesBefore: number, needed: number): number {
  return (hits === 0 ? 0 : betaBinomialTail(hits, lines, hitsBefore, missesBefore)) / Math.max(1, needed)
}

/** Where a number lies on the scale on which numbers in lines are compared. */
export function logged(value: number): number {
  return Math.sign(value) * Math.log1p(Math.abs(value))
}

type Get = (name: string) => number

const SCORES: Readonly<Record<RuleName, (of: Get) => number>> = {
  deviation: (of) => deviationScore((of('observed') - of('expected')) / of('spread'), of('side'), of('threshold')),
  strangeness: (of) => strangeness(of('onset'), of('incident')) / (of('threshold') + of('raise')),
  'sure-quantile': (of) =>
    Math.min(
      deviationScore((of('observed') - of('expected')) / of('spread'), of('side'), of('threshold')),
      towards(of('surely'), of('expected'), of('limit')),
    ),
  'error-ratio': (of) => errorRatioScore(of('failed'), of('requests'), of('standard errors'), of('least failed'), of('limit')),
  silence: (of) => silenceScore(of('silent for (s)'), of('limit (s)'), of('cap')),
  'target-down': (of) => (of('up') > 0 ? 0 : of('score of a target that is down')),
  reconstruction: (of) => of('error') / reconstructionLimit(of('minimum'), of('model threshold'), of('usual level'), of('threshold')),
  movement: (of) => Math.max(0, of('error') / movementLimit(of('99 % quantile'), of('usual level'), of('threshold'))),
  burn: (of) => burnScore(of('failed'), of('requests'), of('share allowed'), of('cap')),
  exhaustion: (of) => exhaustionScore(of('told within (s)'), of('time left (s)'), of('least time left (s)'), of('least score')),
  expiry: (of) => exhaustionScore(of('told within (s)'), of('time left (s)'), of('imminent (s)'), 0),
  burst: (of) => {
    const z = countZ(of('lines'), of('expected lines'), of('spread'))
    const before = of('distance before')
    return Math.max(0, (Number.isNaN(before) ? z : Math.min(z, before)) / of('threshold'))
  },
  novelty: (of) => noveltyScore(of('lines'), of('lines that are enough')),
  'share-shift': (of) =>
    Math.max(
      of('least score'),
      Math.min(of('cap'), shareScore(of('hits'), of('lines'), of('hits before'), of('misses before'), of('nats needed'))),
    ),
  'value-shift': (of) => {
    const z = (logged(of('observed')) - logged(of('expected'))) / of('spread')
    return Math.max(of('least score'), Math.min(z, of('distance before')) / of('threshold'))
  },
  stopped: (of) =>
    Math.max(
      1,
      Math.min(
        of('cap'),
        of('windows silent') / of('windows silent, limit'),
        of('other lines meanwhile') / of('other lines meanwhile, limit'),
      ),
    ),
  'error-surprise': (of) =>
    errorSurpriseScore(
      betaBinomialSurprise(of('errors'), of('requests'), of('errors before'), of('successes before')),
      of('surprise needed'),
      of('cap'),
    ),
  slow: (of) => {
    const slow = (what: string) =>
      slowness(
        of(`${what} (ms)`),
        of(`usual ${what} (ms)`),
        of(`${what} distance`),
        of('threshold'),
        of('least ratio'),
        of('least increase (ms)'),
      )
    const needed = of('surprise needed')
    return Math.max(
      Math.min(slowSurprise(of('slower than usual p95'), of('requests')) / needed, slow('p95')),
      Math.min(halfSlowSurprise(of('slower than usual median'), of('requests')) / needed, slow('median')),
    )
  },
  'few-slow': (of) =>
    Math.min(
      slowSurprise(of('slower than usual p95'), of('requests')) / of('surprise needed'),
      of('strictness') *
        slowness(
          of('median (ms)'),
          of('usual median (ms)'),
          of('median distance'),
          of('threshold'),
          of('least ratio'),
          of('least increase (ms)'),
        ),
    ),
  traffic: (of) => Math.abs(countZ(of('requests'), of('expected requests'), of('spread'))) / of('threshold'),
  'new-call': (of) => (of('calls') > 0 && of('calls before') === 0 ? 1 : 0),
  'missing-call': (of) => (of('missing calls') >= of('longest silence') * of('times') + of('least') ? 1 : 0),
  'missed-run': (of) => (of('lateness') >= 1 ? 1 : 0),
}

/** The score that the rule makes of these inputs; NaN when the rule is not known or inputs are missing. */
export function recompute({ rule, inputs }: Reckoning): number {
  if (!Object.hasOwn(SCORES, rule)) return Number.NaN
  const values = new Map(inputs)
  return Math.min(
    MAX_SCORE,
    SCORES[rule as RuleName]((name) => values.get(name) ?? Number.NaN),
  )
}

/** Whether a stored score is what its inputs make. Sums in another order may differ in the last digits. */
export function agrees(stored: number, recomputed: number): boolean {
  return Math.abs(stored - recomputed) <= 1e-6 * Math.max(1, Math.abs(stored))
}

export function reckoning(rule: RuleName, inputs: Reckoning['inputs'], oncePerWeeks = Number.NaN): Reckoning {
  return { rule, inputs, oncePerWeeks: Math.min(NEVER_WEEKS, oncePerWeeks) }
}

/** Weeks between two of what comes with this probability, given as −log10 of it, in each of so many milliseconds. */
export function weeksOfSurprise(surprise: number, everyMs: number): number {
  return (10 ** Math.min(30, surprise) * everyMs) / WEEK_MS
}

/** Weeks between two of what scores so much where a score of 1 takes `nats` and comes `perWeek` times. */
export function weeksOfScore(score: number, nats: number, perWeek: number): number {
  return Math.exp(Math.min(20, Math.max(0, score - 1) * nats)) / perWeek
}
