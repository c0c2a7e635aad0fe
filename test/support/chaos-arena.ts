/**
 * Where runs take place: one Kafka and one PostgreSQL for all of them, a topic prefix and a database for each. What the crew knows when a scene begins was
 * learnt once, from the recording up to there, and is copied: the checkpoints in a template database, their positions set to the beginning of a run's
 * empty topics. An undisturbed run of each scene says what must come of it.
 *
 *   const arena = await Arena.open()
 *   const report = await arena.run(planOf(17))   // report.problems is empty, or says what differs
 *   await arena[Symbol.asyncDispose]()
 */
import { Client } from 'pg'
import { differences, disorder, essenceOf, type Outcome } from './chaos-outcome.ts'
import type { Plan } from './chaos-plan.ts'
import { Run, type TakeOver } from './chaos-run.ts'
import { chunksOf, readStream, SCENES, type Chunk, type Scene } from './chaos-stream.ts'
import { startKafka, type RunningKafka } from './kafka.ts'
import { startPostgres, type RunningPostgres } from './postgres.ts'
import { programFolder } from './programs.ts'
import type { TemporaryFolder } from './processes.ts'

export interface Report {
  readonly problems: readonly string[]
  readonly takeOvers: readonly TakeOver[]
  readonly missed: readonly string[]
  readonly seconds: number
}

const QUIET_CREW = { detect: 1, correlate: 1, notify: 1 } as const

export class Arena implements AsyncDisposable {
  readonly #kafka: RunningKafka
  readonly #postgres: RunningPostgres
  readonly #folder: TemporaryFolder
  readonly #stream: readonly Chunk[]
  /** Database with what is known when the scene begins. */
  readonly #templates = new Map<Scene, string>()
  readonly #baselines = new Map<string, Promise<Outcome>>()
  #runs = 0

  private constructor(kafka: RunningKafka, postgres: RunningPostgres, folder: TemporaryFolder, stream: readonly Chunk[]) {
    this.#kafka = kafka
    this.#postgres = postgres
    this.#folder = folder
    this.#stream = stream
  }

  static async open(): Promise<Arena> {
    const opened: AsyncDisposable[] = []
    const keep = async <T extends AsyncDisposable>(what: Promise<T>): Promise<T> => {
      const it = await what
      opened.push(it)
      return it
    }
    try {
      const [kafka, postgres, folder, stream] = await Promise.all([
        keep(startKafka({ properties: 'group.min.session.timeout.ms=1000\ngroup.initial.rebalance.delay.ms=0' })),
        keep(startPostgres()),
        keep(programFolder('chaos')),
        readStream(),
      ])
      const arena = new Arena(kafka, postgres, folder, stream)
      await arena.#learn()
      return arena
    } catch (error) {
      for (const part of opened.reverse()) await part[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Several may be under way at the same time. */
  async run(plan: Plan): Promise<Report> {
    const expected = await this.#baselineOf(plan)
    const startMs = performance.now()
    await using run = await this.#prepare(plan, true)
    let problems: string[]
    try {
      await run.play()
      const outcome = await run.outcome()
      const isTwice = plan.crew.ingest !== undefined
      problems = disorder(outcome)
      problems.push(...(isTwice ? differences(essenceOf(expected), essenceOf(outcome)) : differences(expected, outcome)))
      const deadLetters = await run.deadLetters()
      if (deadLetters > 0) problems.push(`${deadLetters} dead letters`)
      if (plan.crew.ingest !== undefined) {
        const missing = await run.missingRecords()
        if (missing > 0) problems.push(`${missing} records that were acknowledged are not in the topic`)
      }
    } catch (error) {
      problems = [error instanceof Error ? error.message : String(error)]
    }
    return { problems, takeOvers: run.takeOvers, missed: run.missed, seconds: Math.round((performance.now() - startMs) / 100) / 10 }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kafka.stop()
    await this.#postgres.stop()
    await this.#folder[Symbol.asyncDispose]()
  }

  /** The same scene with the same people and no deaths. */
  #baselineOf(plan: Plan): Promise<Outcome> {
    const strikes = plan.strikes.filter(({ strike }) => strike.kind === 'acknowledge')
    const isActedOn = strikes.length > 0
    const key = `${plan.scene} ${isActedOn}`
    let baseline = this.#baselines.get(key)
    if (baseline === undefined) {
      const crew = isActedOn ? { ...QUIET_CREW, web: 1 } : QUIET_CREW
      this.#baselines.set(key, (baseline = this.#undisturbed({ ...plan, crew, strikes })))
    }
    return baseline
  }

  async #undisturbed(plan: Plan): Promise<Outcome> {
    await using run = await this.#prepare(plan, false)
    await run.play()
    const outcome = await run.outcome()
    const problems = disorder(outcome)
    if (problems.length > 0) throw new Error(`undisturbed, the scene ${plan.scene} ends in disorder: ${problems.join('; ')}`)
    if (outcome.pagerduty.length !== 1) throw new Error(`undisturbed, the scene ${plan.scene} pages ${outcome.pagerduty.length} times`)
    return outcome
  }

  async #prepare(plan: Pick<Plan, 'scene' | 'crew' | 'strikes' | 'aheadChunks'>, deadly: boolean): Promise<Run> {
    const { from, to } = SCENES[plan.scene]
    const databaseUrl = await this.#postgres.newDatabase(this.#templates.get(plan.scene))
    return Run.prepare(this.#ground(databaseUrl, chunksOf(this.#stream, Date.parse(from), Date.parse(to))), plan, deadly)
  }

  #ground(databaseUrl: string, chunks: readonly Chunk[]) {
    return {
      kafka: this.#kafka,
      databaseUrl,
      chunks,
      folder: this.#folder.path,
      name: `run${++this.#runs}`,
    }
  }

  async #learn(): Promise<void> {
    let before: string | undefined
    let fromMs = 0
    for (const [scene, { from }] of Object.entries(SCENES) as [Scene, { from: string }][]) {
      const databaseUrl = await this.#postgres.newDatabase(before)
      const untilMs = Date.parse(from)
      const ground = this.#ground(databaseUrl, chunksOf(this.#stream, fromMs, untilMs))
      await using run = await Run.prepare(ground, { crew: QUIET_CREW, strikes: [], aheadChunks: 1_000 })
      await run.play()
      await run.stop()
      const client = new Client({ connectionString: databaseUrl })
      await client.connect()
      await client.query('update checkpoints set next_offset = 0')
      await client.end()
      this.#templates.set(scene, (before = new URL(databaseUrl).pathname.slice(1)))
      fromMs = untilMs
    }
  }
}
