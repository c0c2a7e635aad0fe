/**
 * Made-up histories of something with a limit, as they are met: leaks, steps, floods and sawteeth that fill it up, and everything that looks
 * like it and does not. As shares of the limit; seeded.
 */
import { normal } from '../../src/detect/random.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Share that is used at a time since the start; `lengthMs` is the replay's. */
type Share = (timeMs: number) => number
export interface ResourceKind {
  readonly what: string
  /** Whether it fills up in the end, as a rule. */
  readonly fills: boolean
  /** A heap: full when what is left after a collection is. */
  readonly heap?: boolean
  make(random: () => number, lengthMs: number): Share
}

const turn = (timeMs: number, periodMs: number): number => (timeMs % periodMs) / periodMs
const wave = (timeMs: number): number => Math.sin((2 * Math.PI * timeMs) / DAY_MS)

export const RESOURCE_KINDS: readonly ResourceKind[] = [
  {
    what: 'leak with noise',
    fills: true,
    make(random, lengthMs) {
      const from = 0.2 + 0.3 * random()
      const fillMs = lengthMs * (0.5 + 0.4 * random())
      const noise = 0.003 + 0.01 * random()
      return (timeMs) => from + ((1 - from) * timeMs) / fillMs + noise * normal(random)
    },
  },
  {
    what: 'leak that begins',
    fills: true,
    make(random, lengthMs) {
      const from = 0.2 + 0.3 * random()
      const beginMs = lengthMs * (0.3 + 0.3 * random())
      const lastsMs = HOUR_MS * (2 + 20 * random())
      const noise = 0.003 + 0.005 * random()
      return (timeMs) => from + ((1 - from) * Math.max(0, timeMs - beginMs)) / lastsMs + noise * normal(random)
    },
  },
  {
    what: 'written in steps',
    fills: true,
    make(random, lengthMs) {
      const stepMs = HOUR_MS * (1 + random())
      const steps = Math.floor((lengthMs * (0.4 + 0.4 * random())) / stepMs)
      return (timeMs) => 0.2 + (0.8 * Math.floor(timeMs / stepMs)) / steps + 0.001 * normal(random)
    },
  },
  {
    what: 'accelerating',
    fills: true,
    make(random, lengthMs) {
      const fillMs = lengthMs * (0.5 + 0.4 * random())
      const scaleMs = lengthMs * (0.05 + 0.1 * random())
      return (timeMs) => 0.3 + 0.7 * Math.exp((timeMs - fillMs) / scaleMs) + 0.003 * normal(random)
    },
  },
  {
    what: 'sudden (20 min – 2 h)',
    fills: true,
    make(random, lengthMs) {
      const from = 0.3 + 0.2 * random()
      const beginMs = lengthMs * (0.3 + 0.5 * random())
      const lastsMs = MINUTE_MS * (20 + 100 * random())
      return (timeMs) => from + ((1 - from) * Math.max(0, timeMs - beginMs)) / lastsMs + 0.003 * normal(random)
    },
  },
  {
    what: 'sawtooth, rising floor',
    fills: true,
    make(random, lengthMs) {
      const periodMs = HOUR_MS * (2 + 10 * random())
      const fillMs = lengthMs * (0.5 + 0.4 * random())
      return (timeMs) => 0.2 + (0.5 * timeMs) / fillMs + 0.3 * turn(timeMs, periodMs) + 0.01 * normal(random)
    },
  },
  {
    what: 'days, rising',
    fills: true,
    make(random, lengthMs) {
      const fillMs = lengthMs * (0.5 + 0.4 * random())
      const phaseMs = random() * DAY_MS
      return (timeMs) => 0.3 + (0.5 * timeMs) / fillMs + 0.2 * wave(timeMs - phaseMs) + 0.01 * normal(random)
    },
  },
  {
    what: 'heap that leaks',
    fills: true,
    heap: true,
    make(random, lengthMs) {
      const periodMs = MINUTE_MS * (3 + 20 * random())
      const fillMs = lengthMs * (0.5 + 0.4 * random())
      return (timeMs) => {
        const floor = 0.2 + (0.8 * timeMs) / fillMs
        return floor + Math.max(0, 1 - floor) * 0.9 * turn(timeMs, periodMs) + 0.005 * normal(random)
      }
    },
  },
  {
    what: 'sawtooth',
    fills: false,
    make(random) {
      const periodMs = HOUR_MS * (1 + 30 * random())
      const from = 0.1 + 0.3 * random()
      const height = 0.3 + 0.25 * random()
      return (timeMs) => from + height * turn(timeMs, periodMs) + 0.01 * normal(random)
    },
  },
  {
    what: 'heap that is collected',
    fills: false,
    heap: true,
    make(random) {
      const periodMs = MINUTE_MS * (3 + 20 * random())
      const floor = 0.3 + 0.3 * random()
      return (timeMs) => floor + (1 - floor) * 0.95 * turn(timeMs, periodMs) + 0.005 * normal(random)
    },
  },
  {
    what: 'days',
    fills: false,
    make(random) {
      const phaseMs = random() * DAY_MS
      const level = 0.4 + 0.2 * random()
      const height = 0.1 + 0.2 * random()
      return (timeMs) => level + height * wave(timeMs - phaseMs) + 0.01 * normal(random)
    },
  },
  {
    what: 'working days',
    fills: false,
    make(random) {
      const phaseMs = random() * DAY_MS
      return (timeMs) => {
        const day = Math.floor((timeMs + phaseMs) / DAY_MS) % 7
        return 0.35 + 0.1875 * (day < 5 ? 1 : 0.3) * (1 - Math.cos((2 * Math.PI * (timeMs + phaseMs)) / DAY_MS)) + 0.01 * normal(random)
      }
    },
  },
  {
    what: 'nightly batch to 80 %',
    fills: false,
    make(random) {
      const phaseMs = random() * DAY_MS
      const lastsMs = HOUR_MS * (1 + 2 * random())
      return (timeMs) => {
        const sinceMs = (timeMs + phaseMs) % DAY_MS
        const batch = sinceMs < lastsMs ? (0.6 * sinceMs) / lastsMs : sinceMs < lastsMs + HOUR_MS ? 0.6 : 0
        return 0.2 + batch + 0.005 * normal(random)
      }
    },
  },
  {
    what: 'grows, then does not',
    fills: false,
    make(random, lengthMs) {
      const beginMs = lengthMs * 0.3 * random()
      const lastsMs = lengthMs * (0.1 + 0.3 * random())
      const height = 0.3 + 0.3 * random()
      return (timeMs) => 0.2 + height * Math.min(1, Math.max(0, (timeMs - beginMs) / lastsMs)) + 0.005 * normal(random)
    },
  },
  {
    what: 'cleaned up at 85 %',
    fills: false,
    make(random, lengthMs) {
      const periodMs = lengthMs * (0.3 + 0.2 * random())
      return (timeMs) => 0.4 + 0.45 * turn(timeMs, periodMs) + 0.004 * normal(random)
    },
  },
  {
    what: 'hovers at 60 to 93 %',
    fills: false,
    make(random) {
      const level = 0.6 + 0.33 * random()
      let away = 0
      return () => {
        away = 0.97 * away + 0.01 * normal(random)
        return Math.min(0.99, level + away)
      }
    },
  },
  {
    what: 'random walk',
    fills: false,
    make(random) {
      let level = 0.5
      return () => (level = Math.min(0.95, Math.max(0.1, level + 0.001 * normal(random))))
    },
  },
]
