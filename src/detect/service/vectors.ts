/**
 * The vectors a model is trained on, collected while a recording is replayed and kept as JSON lines that people can read: a first line
 * with the names of the features, then one line per service and window. Memory is bounded: when it is full every second row goes.
 */
import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { PermanentError, messageOf } from '../../errors.ts'
import type { VectorSink } from '../detector.ts'
import { FEATURES } from '../residuals.ts'

const WIDTH = FEATURES.length
/** As on the residual board. */
const LIMIT = 50
const MAX_LINE = 10_000

const headerSchema = z.object({ features: z.array(z.enum(FEATURES)).min(1) })
const rowSchema = z.object({ service: z.string(), timeMs: z.number(), vector: z.array(z.number()) })

/** Hand `sink` to `DetectorContext.vectors`, replay, then train on `rows()`. */
export class VectorCollector {
  readonly sink: VectorSink
  readonly #maxRows: number
  #values = new Float32Array(1024 * WIDTH)
  #services: string[] = []
  #timeMs: number[] = []
  #size = 0
  /** One of so many is kept. */
  #stride = 1
  #offered = 0

  constructor(maxRows = 500_000) {
    this.#maxRows = Math.max(2, maxRows)
    this.sink = (service, timeMs, vector) => this.#add(service, timeMs, vector)
  }

  get size(): number {
    return this.#size
  }

  /** In the order of FEATURES, one vector after the other; a copy. */
  rows(): Float32Array {
    return this.#values.slice(0, this.#size * WIDTH)
  }

  async write(file: string): Promise<void> {
    await writeFile(file, this.#lines())
  }

  *#lines(): Generator<string> {
    yield `${JSON.stringify({ features: FEATURES })}\n`
    for (let row = 0; row < this.#size; row++) {
      const vector = Array.from(this.#values.subarray(row * WIDTH, (row + 1) * WIDTH), (z) => Math.round(z * 1000) / 1000)
      yield `${JSON.stringify({ service: this.#services[row]!, timeMs: this.#timeMs[row]!, vector })}\n`
    }
  }

  #add(service: string, timeMs: number, vector: Float32Array): void {
    if (this.#offered++ % this.#stride !== 0) return
    if (this.#size >= this.#maxRows) this.#thin()
    if ((this.#size + 1) * WIDTH > this.#values.length) {
      const grown = new Float32Array(this.#values.length * 2)
      grown.set(this.#values)
      this.#values = grown
    }
    this.#values.set(vector.subarray(0, WIDTH), this.#size * WIDTH)
    this.#services.push(service)
    this.#timeMs.push(timeMs)
    this.#size++
  }

  #thin(): void {
    const kept = Math.ceil(this.#size / 2)
    for (let row = 1; row < kept; row++) this.#values.copyWithin(row * WIDTH, row * 2 * WIDTH, (row * 2 + 1) * WIDTH)
    this.#services = this.#services.filter((_, row) => row % 2 === 0)
    this.#timeMs = this.#timeMs.filter((_, row) => row % 2 === 0)
    this.#size = kept
    this.#stride *= 2
  }
}

/** The vectors of a file, in today's order of features. Throws a PermanentError that names the line. */
export async function readVectors(file: string): Promise<Float32Array> {
  const collector = new VectorCollector()
  const vector = new Float32Array(WIDTH)
  let columns: number[] | undefined
  let number = 0
  try {
    for await (const line of createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY })) {
      number++
      if (line === '') continue
      if (line.length > MAX_LINE) throw new PermanentError(`is longer than ${MAX_LINE} characters`)
      const value: unknown = JSON.parse(line)
      if (columns === undefined) {
        columns = headerSchema.parse(value).features.map((feature) => FEATURES.indexOf(feature))
        continue
      }
      const row = rowSchema.parse(value)
      if (row.vector.length !== columns.length) throw new PermanentError(`has ${row.vector.length} values for ${columns.length} features`)
      vector.fill(0)
      for (const [i, column] of columns.entries()) vector[column] = Math.max(-LIMIT, Math.min(LIMIT, row.vector[i]!))
      collector.sink(row.service, row.timeMs, vector)
    }
  } catch (error) {
    const what = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw new PermanentError(`vectors ${file}, line ${number}: ${what}`, { cause: error })
  }
  return collector.rows()
}
