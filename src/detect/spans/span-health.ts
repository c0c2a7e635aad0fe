/**
 * The arithmetic of request health: how surprising a number of errors or of slow requests is, given what was usual and how few requests
 * there were. Pure; no time, no names.
 */
/** Before anything was seen: one error in a hundred requests, held with the weight of fifty. */
const PRIOR_ERRORS = 0.5
const PRIOR_SUCCESSES = 49.5

/**
 * How surprising `errors` or more of `requests` are, as −log10 of the probability, after `usualErrors` of `usualRequests`: the upper
 * tail of the beta-binomial distribution. One of two is nothing; thirty of a hundred after a clean hour is far beyond any threshold.
 * 0 when there are no more errors than expected.
 */
export function errorSurprise(errors: number, requests: number, usualErrors: number, usualRequests: number): number {
  return betaBinomialSurprise(errors, requests, usualErrors + PRIOR_ERRORS, Math.max(0, usualRequests - usualErrors) + PRIOR_SUCCESSES)
}

/** The same for a share that is distributed as a beta of these parameters. */
export function betaBinomialSurprise(errors: number, requests: number, alpha: number, beta: number): number {
  if (errors <= 0 || errors / requests <= alpha / (alpha + beta)) return 0
  const first =
    logGamma(requests + 1) -
    logGamma(errors + 1) -
    logGamma(requests - errors + 1) +
    logGamma(errors + alpha) +
    logGamma(requests - errors + beta) -
    logGamma(requests + alpha + beta) -
    (logGamma(alpha) + logGamma(beta) - logGamma(alpha + beta))
  // Above the mean the terms fall; the sum relative to the first one ends when they no longer count.
  let term = 1
  let sum = 1
  for (let k = errors; k < requests && term > sum * 1e-9; k++) {
    term *= ((requests - k) / (k + 1)) * ((k + alpha) / (requests - k - 1 + beta))
    sum += term
  }
  return Math.max(0, -(first + Math.log(sum)) / Math.LN10)
}

/**
 * How surprising it is that `slow` of `requests` took longer than 95 % usually do, as −log10 of the probability. Two slow ones of thirty
 * move a p95 by any factor and mean nothing.
 */
export function slowSurprise(slow: number, requests: number): number {
  return errorSurprise(slow, requests, 10, 200)
}

/** The same for half of them: where quick and slow operations are mixed, a few more of the slow ones move a median from the one to the other. */
export function halfSlowSurprise(slow: number, requests: number): number {
  return errorSurprise(slow, requests, 100, 200)
}

/** The normal distribution's standard deviations of the same surprise, near enough for a residual. */
export function surpriseZ(surprise: number): number {
  return Math.sqrt(2 * Math.LN10 * surprise)
}

/** Lanczos' approximation (g = 7), good to 1e-13 for x > 0.5. */
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]

export function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x)
  const t = x + 6.5
  let sum = LANCZOS[0]!
  for (let i = 1; i < LANCZOS.length; i++) sum += LANCZOS[i]! / (x - 1 + i)
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum)
}
