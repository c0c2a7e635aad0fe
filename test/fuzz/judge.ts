/** Runs one case and says what is wrong with what came of it, or nothing. The rules that hold for every reader are here. */
import { DecodeError } from '../../src/errors.ts'
import { ingestConfig } from '../../src/ingest/config.ts'
import { Tally } from '../../src/ingest/decode-context.ts'
import type { DecodeContext } from '../../src/ingest/decode-context.ts'
import { Naming } from '../../src/ingest/naming/naming.ts'
import { SeriesRegistry } from '../../src/ingest/metrics/series-registry.ts'
import { ServiceRegistry } from '../../src/ingest/service-registry.ts'
import { mutateJson } from './mutate-json.ts'
import { mutateBytes, mutateProtobuf } from './mutate-protobuf.ts'
import { Random } from './random.ts'
import { REFUSED } from './readers.ts'
import type { Reader } from './readers.ts'
import { NOW_MS } from './seeds.ts'

/** Small, so that tables are full soon; of time anything goes. */
const config = ingestConfig.parse({
  limits: { maxAgeMs: 1e15, maxFutureMs: 1e15, maxSeries: 4_000, maxServices: 2_000, maxDecodedBytes: 1 << 22 },
})
const naming = new Naming(config.naming, config.limits.maxNameChars)
const MAX_SYMBOLS = 300
/** What doubles again and again is cut there. */
const MAX_BYTES = 2 ** 20

/** CPU time of a body that cannot be doubted to be too much, beside what any body may take. */
const MAX_US_PER_BYTE = 10
const MAX_MS = 40

export interface Finding {
  readonly what: string
  readonly body: Buffer
}

type Tables = Pick<DecodeContext, 'series' | 'services'>

function newTables(): Tables {
  return { series: new SeriesRegistry(config.limits, MAX_SYMBOLS), services: new ServiceRegistry(config.limits) }
}

function contextWith(tables: Tables): DecodeContext {
  const { alertTimeoutMs, webhookAlertTimeoutMs, limits } = config
  return {
    receivedMs: NOW_MS,
    alertTimeoutMs,
    webhookAlertTimeoutMs,
    limits,
    naming,
    ...tables,
    rejected: new Tally(),
    skipped: new Tally(),
  }
}

/** What a reader made of a body: its lines, or why it refused it. Anything else that it throws comes out. */
function outcome(reader: Reader, body: Buffer, tables: Tables): string[] {
  try {
    return reader.read(body, contextWith(tables))
  } catch (error) {
    if (error instanceof (reader.throws ?? DecodeError)) return [REFUSED, error instanceof DecodeError ? error.reason : '', error.message]
    throw error
  }
}

/** Buckets follow what was observed before, so they are no part of what must come again. */
const lasting = (lines: readonly string[]) => lines.filter((line) => !line.includes('_bucket{')).join('\n')

/** How often something that is not used stands in a body is not kept when it is written anew. */
const rows = (lines: readonly string[]) => lines.filter((line) => !line.startsWith('skipped '))

function difference(found: readonly string[], expected: readonly string[]): string | undefined {
  if (found[0] === REFUSED && expected[0] === REFUSED) return undefined
  const at = Array.from({ length: Math.max(found.length, expected.length) }, (_, i) => i).find((i) => found[i] !== expected[i])
  return at === undefined
    ? undefined
    : `line ${at} of ${found.length} is ${found
        .slice(at, at + 3)
        .join(' / ')
        .slice(0, 300)}, expected ${expected
        .slice(at, at + 3)
        .join(' / ')
        .slice(0, 300)}`
}

export class Judge {
  readonly #reader: Reader
  readonly #good: readonly string[]
  #tables = newTables()
  #cases = 0

  constructor(reader: Reader) {
    this.#reader = reader
    this.#good = reader.seeds.slice(0, 3).map((seed) => lasting(outcome(reader, seed, newTables())))
    // Known before anything else fills the tables.
    this.#remindGood()
  }

  /** The body of a case: the same for the same numbers. */
  bodyOf(seed: number, number: number): Buffer {
    const { seeds, form } = this.#reader
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b))
    // Small bodies are as good as large ones and cost less.
    const [one, two] = [random.pick(seeds), random.pick(seeds)]
    const [chosen, other] = one.length > two.length && !random.oneIn(4) ? [two, one] : [one, two]
    if (random.oneIn(500)) return chosen
    if (form === 'protobuf') return random.oneIn(5) ? mutateBytes(chosen, other, random) : mutateProtobuf(chosen, other, random)
    if (form === 'json' && !random.oneIn(5)) {
      try {
        return mutateJson(chosen, other, random).subarray(0, MAX_BYTES)
      } catch (error) {
        // Nested deeper than it can be written.
        if (!(error instanceof RangeError)) throw error
      }
    }
    let body = chosen
    for (let left = 1 + random.below(3); left > 0; left--) body = mutateBytes(body, other, random)
    return body
  }

  async judge(body: Buffer): Promise<Finding | undefined> {
    try {
      const what = await this.#faultOf(body)
      return what === undefined ? undefined : { what, body }
    } catch (error) {
      return { what: `threw ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, body }
    }
  }

  async #faultOf(body: Buffer): Promise<string | undefined> {
    const reader = this.#reader
    const startedMs = performance.now()
    const found = outcome(reader, body, newTables())
    if (performance.now() - startedMs > MAX_MS) {
      const tookMs = this.#leastCpuMs(body)
      if (tookMs > MAX_MS + (body.length * MAX_US_PER_BYTE) / 1000) return `takes ${tookMs.toFixed(0)} ms for ${body.length} bytes`
    }
    const fault = this.#faultOfSame(body, found) ?? (await this.#faultOfExpected(body, found))
    if (fault !== undefined) return fault
    // The same in a process that has seen much else; nothing that it saw may change what good bodies are.
    outcome(reader, body, this.#tables)
    this.#cases++
    if (this.#cases % 997 === 0) this.#tables.series.forgetIdle(NOW_MS + 1e12)
    if (this.#cases % 16 === 0) {
      for (const [i, good] of this.#good.entries()) {
        const now = lasting(outcome(reader, reader.seeds[i]!, this.#tables))
        if (now === good) continue
        const fault_ = difference(now.split('\n'), good.split('\n'))
        this.#tables = newTables()
        this.#remindGood()
        return `after it a good body (${i}) is read differently: ${fault_}`
      }
    }
    return undefined
  }

  #faultOfSame(body: Buffer, found: readonly string[]): string | undefined {
    const same = this.#reader.same?.(body)
    if (same === undefined || isKnownDifference(found)) return undefined
    const other = outcome(this.#reader, same, newTables())
    if (isKnownDifference(other)) return undefined
    const differs = difference(rows(found), rows(other))
    return differs === undefined
      ? undefined
      : `reads otherwise than the same body written anew (${same.toString('base64').slice(0, 2_000)}): ${differs}`
  }

  async #faultOfExpected(body: Buffer, found: readonly string[]): Promise<string | undefined> {
    const pending = this.#reader.expected?.(body)
    const wanted = pending instanceof Promise ? await pending : pending
    if (wanted === undefined) return undefined
    const differs = difference(found, wanted)
    return differs === undefined ? undefined : `is told otherwise by ${this.#reader.against}: ${differs}`
  }

  #leastCpuMs(body: Buffer): number {
    let least = Number.POSITIVE_INFINITY
    for (let run = 0; run < 3; run++) {
      const before = process.cpuUsage()
      outcome(this.#reader, body, newTables())
      const { user, system } = process.cpuUsage(before)
      least = Math.min(least, (user + system) / 1000)
    }
    return least
  }

  #remindGood(): void {
    for (const seed of this.#reader.seeds.slice(0, 3)) outcome(this.#reader, seed, this.#tables)
  }
}

/** Groups ended with proto2; we nest less deep than protobufjs does, and skip no varint of more than ten bytes. */
function isKnownDifference(found: readonly string[]): boolean {
  return found[0] === REFUSED && (found[1] === 'too-deep' || /wire type [34]|longer than ten/.test(found[2] ?? ''))
}
