/**
 * `tocsin dead-letters`: lists, shows and replays what could not be handled. With Kafka it reads the topic; else it asks the running program, or reads
 * the store where none runs. What comes from outside is printed without anything that a terminal would obey.
 */
import { existsSync } from 'node:fs'
import { systemClock } from './app.ts'
import { telemetryFor } from './commands.ts'
import type { Config } from './config.ts'
import { createReplayer, type ReplayFate, type ReplayHow } from './dead-letter-replay.ts'
import { RemoteLetters, replayOne, toJson } from './dead-letters-api.ts'
import { letterText, listText, timeText } from './dead-letter-text.ts'
import { lettersInStore, lettersInTopic, type Letter, type LetterFilter } from './dead-letters.ts'
import { messageOf } from './errors.ts'
import type { Db } from './store/db.ts'
import { openPglite } from './store/pglite.ts'
import { openPostgres } from './store/postgres.ts'
import { createKafkaTransport } from './transport/kafka.ts'
import { topicsWith } from './transport/topics.ts'
import { shown } from './wording.ts'

export interface DeadLettersOptions extends ReplayHow {
  readonly action: 'list' | 'show' | 'replay'
  readonly ids: readonly string[]
  readonly filter: Omit<LetterFilter, 'sinceMs'>
  /** A point in time, or how long ago. */
  readonly since: { readonly atMs: number } | { readonly agoMs: number } | undefined
  /** Those that were replayed before, too. */
  readonly again: boolean
  readonly json: boolean
}

/** What the command needs of wherever the letters are. */
interface Letters extends AsyncDisposable {
  list(filter: LetterFilter): Promise<readonly Letter[]>
  get(id: string): Promise<Letter | undefined>
  all(listed: readonly Letter[]): AsyncIterable<Letter>
  replay(letter: Letter, how: ReplayHow): Promise<ReplayFate>
}

/** Answers the exit code: 1 when something that was asked for was not found or not taken. */
export async function deadLetters(config: Config, options: DeadLettersOptions, print: (text: string) => void): Promise<number> {
  await using letters = config.transport === 'kafka' ? await openTopic(config) : await openHere(config)
  const { since } = options
  const sinceMs = since === undefined ? undefined : 'atMs' in since ? since.atMs : systemClock() - since.agoMs
  const filter = { ...options.filter, sinceMs }
  if (options.action === 'list') {
    const found = await letters.list(filter)
    print(options.json ? `${JSON.stringify(found.map(toJson), null, 2)}\n` : listText(found))
    return 0
  }
  const chosen = options.ids.length > 0 ? byId(letters, options.ids) : letters.all(await letters.list(filter))
  // Awaited here: what is returned unawaited outlives the connection.
  return await (options.action === 'show' ? show(chosen, options, print) : replay(letters, chosen, options, print))
}

async function* byId(letters: Pick<Letters, 'get'>, ids: readonly string[]): AsyncGenerator<Letter> {
  for (const id of ids) {
    const letter = await letters.get(id)
    if (letter === undefined) throw noSuch(id)
    yield letter
  }
}

async function show(chosen: AsyncIterable<Letter>, { json }: DeadLettersOptions, print: (text: string) => void): Promise<number> {
  for await (const letter of chosen) print(json ? `${JSON.stringify(toJson(letter), null, 2)}\n` : letterText(letter))
  return 0
}

async function replay(
  letters: Letters,
  chosen: AsyncIterable<Letter>,
  options: DeadLettersOptions,
  print: (text: string) => void,
): Promise<number> {
  const told: { id: string; taken: boolean; text: string }[] = []
  const tell = (id: string, fate: ReplayFate) => {
    told.push({ id, ...fate })
    if (!options.json) print(`${id}  ${shown(fate.text)}\n`)
  }
  for await (const letter of chosen) {
    const { id } = letter
    if (letter.replayedMs !== undefined && !options.again)
      tell(id, { taken: false, text: `was replayed at ${timeText(letter.replayedMs)} already: --again replays it once more` })
    else tell(id, await letters.replay(letter, { encoding: options.encoding, dryRun: options.dryRun }))
  }
  const taken = told.filter((one) => one.taken).length
  if (options.json) print(`${JSON.stringify(told, null, 2)}\n`)
  else print(`${taken} of ${told.length} dead letters ${options.dryRun ? 'would be taken' : 'taken'}.\n`)
  return taken === told.length ? 0 : 1
}

function noSuch(id: string): Error {
  return new Error(`there is no dead letter ${JSON.stringify(id)}: \`tocsin dead-letters list\` shows which there are`)
}

/* ---- Where they are. */

async function openTopic(config: Config): Promise<Letters> {
  const telemetry = telemetryFor({ ...config, logLevel: config.logLevel === 'info' ? 'warn' : config.logLevel })
  const transport = createKafkaTransport(config.kafka, { telemetry, clock: systemClock })
  const topics = topicsWith(config.kafka.topicPrefix)
  const box = lettersInTopic(transport, topics.deadLetters)
  const replayer = createReplayer({ transport, topics, config, partitions: config.kafka.partitions, telemetry, clock: systemClock })
  return {
    list: (filter) => box.list(filter),
    get: (id) => box.get(id),
    all: (listed) => box.all(listed),
    replay: (letter, how) => replayOne(letter, how, { box, replayer, clock: systemClock }),
    [Symbol.asyncDispose]: async () => transport[Symbol.asyncDispose](),
  }
}

/** The running program has them, and the embedded store belongs to it alone. */
async function openHere(config: Config): Promise<Letters> {
  const url = urlOf(config)
  const remote = new RemoteLetters(url, config.http.token)
  try {
    await remote.list({ limit: 1 })
    return {
      list: (filter) => remote.list(filter),
      get: (id) => remote.get(id),
      all: (listed) =>
        byId(
          remote,
          listed.map(({ id }) => id),
        ),
      replay: (letter, how) => remote.replay(letter, how),
      [Symbol.asyncDispose]: async () => undefined,
    }
  } catch (error) {
    // Nobody listens there: fetch says so by a TypeError with the reason as its cause.
    if (!(error instanceof TypeError)) throw error
    return openStore(config, url, error)
  }
}

async function openStore(config: Config, url: string, unreachable: Error): Promise<Letters> {
  const why = `${url} (${messageOf(unreachable.cause ?? unreachable)})`
  const nobodyTakes = async () => {
    throw new Error(`nobody would take what is replayed: no Tocsin runs at ${why}. Start it with \`tocsin run\`, then replay.`)
  }
  // Looking makes no folder.
  if (config.store === 'embedded' && !existsSync(config.dataDir))
    return {
      list: async () => [],
      get: async () => undefined,
      all: async function* () {},
      replay: nobodyTakes,
      [Symbol.asyncDispose]: async () => undefined,
    }
  let db: Db
  try {
    db =
      config.store === 'postgres'
        ? await openPostgres({ ...config.postgres, telemetry: telemetryFor(config) })
        : await openPglite({ dataDir: config.dataDir })
  } catch (error) {
    throw new Error(`the dead letters can be had neither from a running Tocsin at ${why} nor from the store: ${messageOf(error)}`, {
      cause: error,
    })
  }
  const box = lettersInStore(db)
  return {
    list: (filter) => box.list(filter),
    get: (id) => box.get(id),
    all: (listed) => box.all(listed),
    replay: nobodyTakes,
    [Symbol.asyncDispose]: async () => db[Symbol.asyncDispose](),
  }
}

/** Where the program that runs with this configuration listens, from this machine. */
export function urlOf({ http }: Config): string {
  if (http.port === 0 && http.publicUrl !== '') return http.publicUrl.replace(/\/+$/, '')
  const host = http.host === '0.0.0.0' ? '127.0.0.1' : http.host === '::' ? '[::1]' : http.host.includes(':') ? `[${http.host}]` : http.host
  return `http://${host}:${http.port}`
}
