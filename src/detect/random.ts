/**
 * Random numbers that repeat: the same seed gives the same sequence on every machine. For training and made-up data, not for secrets.
 */

/** Uniform in [0, 1), 32 bits: mulberry32 (https://gist.github.com/tommyettinger/46a874533244883189143505d203312c, public domain). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Standard normal (Box and Muller). */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** Student's t, scaled to variance 1: what residuals look like where now and then something happens. `freedom` above 2, whole. */
export function heavyTailed(random: () => number, freedom: number): number {
  let squares = 0
  for (let i = 0; i < freedom; i++) squares += normal(random) ** 2
  return (normal(random) / Math.sqrt(squares / freedom)) * Math.sqrt((freedom - 2) / freedom)
}

/** Shuffles in place (Fisher and Yates). */
export function shuffle(values: Uint32Array, random: () => number): void {
  for (let i = values.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const kept = values[i]!
    values[i] = values[j]!
    values[j] = kept
  }
}
