/**
 * Made-up series in which nothing is ever wrong: every anomaly told of them is a false alarm. Seeded, so that they are the same on every
 * machine; each family breaks another assumption of a detector. Two steps of time, that of a scrape and that of a cloud's own metrics.
 */
import { heavyTailed, normal, seededRandom } from '../../src/detect/random.ts'

export interface Plain {
  readonly family: string
  readonly timeMs: Float64Array
  readonly value: Float64Array
}

const DAY_MS = 86_400_000
const START_MS = Date.UTC(2026, 0, 5)

/** What one series of a family does: called once per step, in order. */
type Process = (timeMs: number, step: number) => number
type Family = (random: () => number, stepMs: number) => Process

const FAMILIES: Readonly<Record<string, Family>> = {
  gaussian: (random) => () => 100 + 10 * normal(random),
  'heavy tails': (random) => () => 100 + 10 * heavyTailed(random, 3),
  lognormal: (random) => () => 20 * Math.exp(0.6 * normal(random)),
  /** Noise that remembers for ten rows. */
  'autoregressive .9': (random) => {
    let x = 0
    return () => 100 + 10 * (x = 0.9 * x + Math.sqrt(1 - 0.81) * normal(random))
  },
  /** … and for a hundred. */
  'autoregressive .99': (random) => {
    let x = 0
    return () => 100 + 10 * (x = 0.99 * x + Math.sqrt(1 - 0.9801) * normal(random))
  },
  'poisson, few': (random) => () => poisson(random, 0.3),
  'poisson, many': (random) => () => poisson(random, 30),
  'a day and a week': (random) => {
    const night = 0.3 + 0.2 * random()
    return (timeMs) => {
      const weekend = [0, 6].includes(new Date(timeMs).getUTCDay()) ? 0.4 : 1
      const day = night + (1 - night) * Math.max(0, Math.sin(((timeMs % DAY_MS) / DAY_MS) * 2 * Math.PI - Math.PI / 2))
      return 1000 * weekend * day * (1 + 0.05 * normal(random))
    }
  },
  /** Requests of people: the spread follows the square root of the level. */
  'a day, counted': (random) => (timeMs) =>
    poisson(random, 40 * (1 + 0.9 * Math.sin(((timeMs % DAY_MS) / DAY_MS) * 2 * Math.PI - Math.PI / 2))),
  quantised: (random) => {
    let x = 0
    return () => 10 * Math.round(5 + (x = 0.95 * x + 0.2 * normal(random)))
  },
  flat: () => () => 42,
  'flat, now and then one': (random) => () => (random() < 0.002 ? 1 : 0),
  'hourly cron': (random, stepMs) => {
    const atMs = Math.floor((random() * 3_600_000) / stepMs) * stepMs
    return (timeMs) => 10 + normal(random) + ((timeMs + 3_600_000 - atMs) % 3_600_000 < Math.max(300_000, 3 * stepMs) ? 60 : 0)
  },
  'nightly backup': (random) => (timeMs) => 50 + 3 * normal(random) + (timeMs % DAY_MS < 1_800_000 ? 200 : 0),
  'bursts at random': (random) => {
    let burst = 0
    return () => {
      if (burst > 0) burst--
      else if (random() < 0.002) burst = 1 + Math.floor(10 * random())
      return 10 + normal(random) + (burst > 0 ? 30 + 20 * random() : 0)
    }
  },
  'random walk': (random) => {
    let x = 1000
    return () => (x += normal(random))
  },
  /** A gauge that is pulled back slowly, such as memory with a cache. */
  'slow gauge': (random) => {
    let x = 0
    return () => 500 + (x = 0.9995 * x + normal(random)) + normal(random)
  },
  saturating: (random) => {
    let x = 0
    return () => Math.min(100, 85 + 8 * (x = 0.97 * x + 0.25 * normal(random)) + 2 * normal(random))
  },
  /** The heap of a collected language. */
  'saw teeth': (random, stepMs) => {
    let x = 100
    return () => {
      x += (0.5 + random()) * (stepMs / 60_000)
      if (x > 200 - 20 * random()) x = 100
      return x
    }
  },
  /** Errors: nearly always none, and then a few at once. */
  'sparse bursts': (random) => {
    let rate = 0
    return () => {
      rate = random() < 0.001 ? 5 : rate * 0.6
      return poisson(random, rate)
    }
  },
  /** Spread that goes up and down by itself. */
  'noise of changing size': (random) => {
    let x = 0
    return () => 100 + 5 * Math.exp((x = 0.995 * x + 0.1 * normal(random))) * normal(random)
  },
}

export const STEPS_MS = [60_000, 300_000] as const

/** `perFamily` series of each, `weeks` long, half of them at each step of time. */
export function* faultFree(perFamily: number, weeks: number): Generator<Plain> {
  for (const [index, [family, make]] of Object.entries(FAMILIES).entries()) {
    for (let i = 0; i < perFamily; i++) {
      const stepMs = STEPS_MS[i % STEPS_MS.length]!
      const of = make(seededRandom(1 + index * 1000 + i), stepMs)
      const rows = Math.floor((weeks * 7 * DAY_MS) / stepMs)
      const timeMs = new Float64Array(rows)
      const value = new Float64Array(rows)
      for (let step = 0; step < rows; step++) {
        timeMs[step] = START_MS + step * stepMs
        value[step] = of(timeMs[step]!, step)
      }
      yield { family, timeMs, value }
    }
  }
}

/** By inversion for few, by the normal approximation for many. */
function poisson(random: () => number, mean: number): number {
  if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)))
  const limit = Math.exp(-mean)
  let count = 0
  for (let product = random(); product > limit; product *= random()) count++
  return count
}
