/**
 * How unlikely something is by chance, in nats (−ln of the probability), and how many nats a service's budget of false alarms asks for. Every
 * kind of anomaly gets an equal part of the budget, and every template and test of a week an equal part of that (Bonferroni).
 */

const WEEK_MS = 604_800_000
/** New, burst, stopped, severity, values. */
const KINDS = 5
/** Above the 90 % quantile a tail is taken as exponential. */
const TAIL_SHARE = 0.1

/** Nats that a test must reach of which there is one per `everyMs`, in each of `templates` templates. */
export function natsFor(everyMs: number, templates: number, falseAlarmsPerWeek: number): number {
  return Math.max(0, Math.log((KINDS * templates * WEEK_MS) / Math.max(1, everyMs) / falseAlarmsPerWeek))
}

/** Before there are exceedances: what a normal distribution has above its 90 % quantile, counted as so many. */
export const TAIL_START = 1.28
export const TAIL_MEAN = 0.47
const TAIL_PRIOR = 20
/** An exceedance teaches no more than one of so many means; one in four hundred of an exponential tail is larger. */
const TAIL_CLIP = 6
const ODD_TEACHES = 0.02
/** From this share of the threshold on an observation may belong to an anomaly. */
export const ODD_SHARE = 0.5

/** How many spreads above its level something must be, whose tail begins at `start` and is `mean` long. */
export function tailThreshold(start: number, mean: number, nats: number): number {
  return start + mean * Math.max(0, nats + Math.log(TAIL_SHARE))
}

/**
 * Moves the running 90 % quantile by one observation. Never below that of a normal distribution: of what comes seldom, one thing at a time is already
 * above the quantile, and would be taken for a long tail.
 */
export function tailStartAfter(start: number, z: number, rate: number, least = TAIL_START): number {
  return Math.max(least, start + rate * (z > start ? 1 - TAIL_SHARE : -TAIL_SHARE))
}

/**
 * The mean length of the tail after one more exceedance, the `count`-th; `score` 1 is the threshold. What comes near it may be how an anomaly begins
 * and teaches little; what was told raises the threshold by a tenth or so. Of exceedances in a row only the first is to be given.
 */
export function tailMeanAfter(mean: number, excess: number, count: number, score: number): number {
  const rate = score >= ODD_SHARE ? ODD_TEACHES : Math.max(0.01, 1 / (count + TAIL_PRIOR))
  return mean + rate * (Math.min(excess, TAIL_CLIP * mean) - mean)
}

/** At least `hits` of `n`, where `a` hits and `b` misses were seen before (beta-binomial: what was learnt is itself uncertain). */
export function betaBinomialTail(hits: number, n: number, a: number, b: number): number {
  if (hits <= (n * a) / (a + b)) return 0
  let sum = 0
  let largest = -Infinity
  for (let k = hits; k <= n; k++) {
    const term =
      lnGamma(n + 1) -
      lnGamma(k + 1) -
      lnGamma(n - k + 1) +
      lnGamma(a + k) +
      lnGamma(b + n - k) -
      lnGamma(a + b + n) +
      lnGamma(a + b) -
      lnGamma(a) -
      lnGamma(b)
    if (term > largest) {
      sum = sum * Math.exp(largest - term) + 1
      largest = term
    } else sum += Math.exp(term - largest)
  }
  return Math.max(0, -(largest + Math.log(sum)))
}

/** Stirling's series, shifted to where it is good to 1e-10 (https://dlmf.nist.gov/5.11#E1). x > 0. */
export function lnGamma(x: number): number {
  let shift = 0
  let y = x
  while (y < 8) shift += Math.log(y++)
  const inverse = 1 / y
  const square = inverse * inverse
  return (
    (y - 0.5) * Math.log(y) -
    y +
    0.5 * Math.log(2 * Math.PI) +
    inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) -
    shift
  )
}
