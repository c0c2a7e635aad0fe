/**
 * What a suite is: things to compare, how one of them is measured in a process of its own, and what is said of the results. CPU time of the
 * process is the measure, wall time stands beside it: on a shared machine only the first says something about the program.
 */

export interface Contender {
  readonly name: string
  /** What is counted: `samples`, `requests`. */
  readonly unit: string
  /** Contenders of one task must have seen the same input and found the same in it. */
  readonly task?: string
  /** Flags that its processes run with. */
  readonly flags?: readonly string[]
}

/**
 * What a decoder that makes objects runs best with. A message of 2,000 series is ten megabytes of them, all alive while it is decoded: by default they
 * outlive the young generation, whose halves have 16 MB at most, are copied twice and then collected with the old one.
 * https://nodejs.org/docs/latest-v20.x/api/cli.html#--max-semi-space-sizesize-in-megabytes
 */
export const OBJECT_MAKERS_FLAGS = ['--max-semi-space-size=64']

export interface Measured {
  readonly units: number
  readonly cpuMs: number
  readonly wallMs: number
  /** What was found in the input, as a number that differs when something is missed. */
  readonly found?: number
  /** Further figures, named with their unit. */
  readonly also?: Readonly<Record<string, number>>
}

export interface Scale {
  readonly warmMs: number
  readonly runMs: number
  /** Sizes so small that only the path is tried. */
  readonly quick: boolean
  readonly recording: string
}

/** Of the rounds of one contender, or of the ratios of two. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Results {
  perCpuS(name: string): Spread
  perWallS(name: string): Spread
  also(name: string, figure: string): Spread
  /** How many times as much per CPU-second the first does, by rounds: both were measured one right after the other. */
  ratio(name: string, other: string): Spread
}

export interface Suite {
  contenders(scale: Scale): readonly Contender[]
  /** Called once per process. */
  measure(name: string, scale: Scale): Promise<Measured>
  json(results: Results, scale: Scale): Readonly<Record<string, unknown>>
  /** Sentences below the table. */
  notes(results: Results, scale: Scale): readonly string[]
  /** Why there is nothing to measure, if so. */
  missing?(scale: Scale): string | undefined
}

export function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Adds up the CPU and wall time of pieces of work; what happens between them is not counted. */
export class Stopwatch {
  #cpuMs = 0
  #wallMs = 0

  time<T>(work: () => T): T {
    const startWallMs = performance.now()
    const startCpuMs = cpuMs()
    const result = work()
    this.#cpuMs += cpuMs() - startCpuMs
    this.#wallMs += performance.now() - startWallMs
    return result
  }

  get cpuMs(): number {
    return this.#cpuMs
  }

  get wallMs(): number {
    return this.#wallMs
  }
}

/** Warms up, then repeats for `runMs` of CPU time. `turn` gets its number and answers how many units it did with the given stopwatch. */
export function repeat(scale: Scale, turn: (n: number, watch: Stopwatch) => number): Measured {
  let n = 0
  const spend = (ms: number) => {
    const watch = new Stopwatch()
    let units = 0
    while (watch.cpuMs < ms || units === 0) units += turn(n++, watch)
    return { units, cpuMs: watch.cpuMs, wallMs: watch.wallMs }
  }
  spend(scale.warmMs)
  return spend(scale.runMs)
}

/** Thousands, three digits: 1234567 is `1,230,000`. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3))
}

export function summary({ median, min, max }: Spread): { median: number; min: number; max: number } {
  return { median: rounded(median), min: rounded(min), max: rounded(max) }
}
