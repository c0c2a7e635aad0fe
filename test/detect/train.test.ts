import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Autoencoder } from '../../src/detect/service/autoencoder.ts'
import { readModel } from '../../src/detect/service/model-files.ts'
import { lossCurve } from '../../src/detect/service/loss-curve.ts'
import { heavyTailed, normal, seededRandom, shuffle } from '../../src/detect/random.ts'
import { FEATURES, type Feature } from '../../src/detect/residuals.ts'
import { syntheticResiduals } from '../../src/detect/service/synthetic-residuals.ts'
import { loadTensorflow, type Tensorflow } from '../../src/detect/service/tensorflow.ts'
import { trainAutoencoder, type TrainedModel, type TrainingStep } from '../../src/detect/service/train.ts'
import { runTraining } from '../../src/detect/service/training-run.ts'
import { VectorCollector, readVectors } from '../../src/detect/service/vectors.ts'

const WIDTH = FEATURES.length
const silent = { info: () => undefined }
const scratch = mkdtempSync(join(tmpdir(), 'tocsin-train-'))
afterAll(() => rmSync(scratch, { recursive: true }))

describe('training', () => {
  let tensorflow: Tensorflow
  let once: TrainedModel
  const told: TrainingStep[] = []
  const rows = syntheticResiduals(3000, 3)
  const options = () => ({ name: 'small', rows, features: FEATURES, seed: 5, epochs: 12, tensorflow, data: 'made up' })
  beforeAll(async () => {
    tensorflow = await loadTensorflow(silent as never, { backends: ['wasm'] })
    once = await trainAutoencoder({ ...options(), onProgress: (step) => told.push(step) })
  })

  test('lowers the loss, on what it is trained on and on what it is not', () => {
    for (const fit of [1, 2]) {
      const steps = once.history.filter((step) => step.fit === fit)
      expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss * 0.75)
      expect(steps.at(-1)!.validationLoss).toBeLessThan(steps[0]!.validationLoss * 0.75)
    }
    expect(told).toEqual(once.history)
  })

  test('the epoch whose weights are kept is the one with the best validation loss so far', () => {
    for (const fit of [1, 2]) {
      const steps = once.history.filter((step) => step.fit === fit)
      for (const [at, { bestEpoch }] of steps.entries()) {
        const soFar = steps.slice(0, at + 1)
        const least = Math.min(...soFar.map(({ validationLoss }) => validationLoss))
        expect(soFar[bestEpoch - 1]!.validationLoss).toBe(least)
      }
    }
  })

  test('the picture of the losses has a line of each kind per fit, inside its frame', () => {
    const picture = lossCurve(once.history)
    const lines = [...picture.matchAll(/<polyline points="([^"]+)"/g)].map(([, points]) =>
      points!.split(' ').map((point) => point.split(',')),
    )
    expect(lines).toHaveLength(4)
    for (const line of lines) {
      const ys = line.map(([, y]) => Number(y))
      expect(ys.length).toBeGreaterThan(1)
      expect(Math.min(...ys)).toBeGreaterThan(0)
      expect(Math.max(...ys)).toBeLessThan(260)
      // Losses fall, and down is where y grows.
      expect(ys.at(-1)).toBeGreaterThan(ys[0]!)
    }
    expect(picture).toContain(`best in epoch ${once.history.at(-1)!.bestEpoch}`)
  })

  test('is repeatable to the last bit, and another seed is another net', async () => {
    const again = await trainAutoencoder(options())
    expect(again).toEqual(once)
    const other = await trainAutoencoder({ ...options(), seed: 6, epochs: 2 })
    expect(other.model.layers[0]!.kernel).not.toEqual(once.model.layers[0]!.kernel)
  })

  test('leaves no tensor behind', async () => {
    const before = tensorflow.core.memory().numTensors
    await trainAutoencoder({ ...options(), epochs: 1 })
    expect(tensorflow.core.memory().numTensors).toBe(before)
  })

  test('the threshold lies above the 99 % quantile, and that above the median', () => {
    const { median, q99, threshold } = once.model.error
    expect(median).toBeGreaterThan(0)
    expect(q99).toBeGreaterThan(median)
    expect(threshold).toBeGreaterThanOrEqual(q99)
  })

  test('learns what moves together: CPU without traffic is odd, CPU with traffic is not', async () => {
    const features: Feature[] = ['traffic', 'cpu', 'network', 'memory']
    const random = seededRandom(1)
    const tied = new Float32Array(3000 * WIDTH)
    for (let row = 0; row < 3000; row++) {
      const load = heavyTailed(random, 4) * 3
      for (const feature of features)
        tied[row * WIDTH + FEATURES.indexOf(feature)] = (feature === 'memory' ? 0 : load) + 0.3 * normal(random)
    }
    const { model } = await trainAutoencoder({ ...options(), rows: tied, features, hidden: [8, 2], epochs: 30 })
    const autoencoder = new Autoencoder(model)
    const score = (values: Partial<Record<Feature, number>>): number =>
      autoencoder.score(Float32Array.from(FEATURES, (feature) => values[feature] ?? 0.1))
    expect(score({ cpu: 4 })).toBeGreaterThan(2 * score({ cpu: 4, traffic: 4, network: 4 }))
    expect(score({ cpu: 15 })).toBeGreaterThan(model.error.threshold)
    expect(score({ cpu: 4, traffic: 4, network: 4 })).toBeLessThan(model.error.q99)
  })

  test('a few incidents in the history do not become normal: the second fit goes without them', async () => {
    const dirty = rows.slice()
    const incident = [1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007]
    for (const row of incident) for (let i = 0; i < WIDTH; i++) dirty[row * WIDTH + i] = i % 2 === 0 ? 40 : -40
    const { model, rows: counts } = await trainAutoencoder({ ...options(), rows: dirty })
    expect(counts.kept).toBeLessThanOrEqual(Math.ceil((counts.usable - counts.validation) * 0.98))
    const odd = dirty.subarray(1000 * WIDTH, 1001 * WIDTH)
    expect(new Autoencoder(model).score(odd)).toBeGreaterThan(3 * model.error.q99)
  })

  test.each<[what: string, rows: Float32Array]>([
    ['none', new Float32Array(0)],
    ['too few', syntheticResiduals(150, 1)],
    ['rows that say one thing only', Float32Array.from({ length: 500 * WIDTH }, (_, i) => (i % WIDTH === 0 ? 1 : 0))],
    ['rows that are not numbers', new Float32Array(500 * WIDTH).fill(Number.NaN)],
  ])('vectors it cannot train on: %s', async (_what, unusable) => {
    await expect(trainAutoencoder({ ...options(), rows: unusable })).rejects.toThrow(/usable vectors of \d+, at least 200 are needed/)
  })
})

describe('a training run', () => {
  test('from a file of vectors to a model folder whose card says how it was made', async () => {
    const collector = new VectorCollector()
    const rows = syntheticResiduals(600, 8)
    for (let row = 0; row < 600; row++) collector.sink('shop', row * 60_000, rows.subarray(row * WIDTH, (row + 1) * WIDTH))
    const file = join(scratch, 'week.jsonl')
    await collector.write(file)
    const out = join(scratch, 'mine')
    const run = {
      source: { kind: 'file', file },
      out,
      seed: 2,
      epochs: 3,
      backends: ['wasm'],
      command: 'tocsin train --vectors week.jsonl',
      log: silent as never,
    } as const
    const { model } = await runTraining(run)
    expect(readModel(out)).toEqual({ ...model, mean: expect.anything(), deviation: expect.anything() })
    const card = readFileSync(join(out, 'card.md'), 'utf8')
    for (const told of [
      '# Model `mine`',
      'vectors in week.jsonl',
      'Seed 2',
      'tocsin train --vectors week.jsonl',
      '| 2 | 3 |',
      model.error.threshold.toFixed(3),
    ]) {
      expect(card).toContain(told)
    }
    const bytes = readFileSync(join(out, 'model.json'))
    await runTraining(run)
    expect(readFileSync(join(out, 'model.json'))).toEqual(bytes)
  })
})

describe('collected vectors', () => {
  const numbered = (value: number): Float32Array => new Float32Array(WIDTH).fill(value)

  test('are kept to three decimals and read back in the order of today', async () => {
    const file = join(scratch, 'few.jsonl')
    const collector = new VectorCollector()
    collector.sink('a "quoted"\nservice', 1, numbered(1.23456))
    await collector.write(file)
    expect([...(await readVectors(file))]).toEqual(Array.from({ length: WIDTH }, () => Math.fround(1.235)))
    writeFileSync(file, '{"features":["cpu","traffic"]}\n{"service":"a","timeMs":1,"vector":[7,-900]}\n')
    const row = await readVectors(file)
    expect(row[FEATURES.indexOf('cpu')]).toBe(7)
    expect(row[FEATURES.indexOf('traffic')]).toBe(-50)
    expect(row[FEATURES.indexOf('memory')]).toBe(0)
  })

  test('never take more room than agreed: the older they are the fewer, evenly over time', () => {
    const collector = new VectorCollector(100)
    for (let i = 0; i < 1000; i++) collector.sink('a', i, numbered(i))
    expect(collector.size).toBeLessThanOrEqual(100)
    expect(collector.size).toBeGreaterThan(50)
    const kept = Array.from({ length: collector.size }, (_, row) => collector.rows()[row * WIDTH]!)
    expect(new Set(kept.slice(1).map((value, at) => value - kept[at]!)).size).toBe(1)
  })

  test.each<[what: string, text: string, message: RegExp]>([
    ['a header that is none', '[]\n', /line 1/],
    ['an unknown feature', '{"features":["moon"]}\n', /line 1.*features/s],
    ['a short row', '{"features":["cpu","disk"]}\n{"service":"a","timeMs":1,"vector":[7]}\n', /line 2: has 1 values for 2/],
    ['a row of words', '{"features":["cpu"]}\n{"service":"a","timeMs":1,"vector":["7"]}\n', /line 2/],
    ['half a line', '{"features":["cpu"]}\n{"service":', /line 2/],
  ])('a damaged file names the line: %s', async (_what, text, message) => {
    const file = join(scratch, 'damaged.jsonl')
    writeFileSync(file, text)
    await expect(readVectors(file)).rejects.toThrow(message)
  })

  test('a file that is not there is named', async () => {
    await expect(readVectors(join(scratch, 'nowhere.jsonl'))).rejects.toThrow(/nowhere\.jsonl/)
  })
})

test('seeded numbers have the moments they promise, and a shuffle loses nothing', () => {
  const random = seededRandom(1)
  for (const draw of [() => normal(random), () => heavyTailed(random, 5)]) {
    const values = Array.from({ length: 20_000 }, draw)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    expect(Math.abs(mean)).toBeLessThan(0.03)
    expect(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length).toBeCloseTo(1, 0)
  }
  const numbers = Uint32Array.from({ length: 100 }, (_, i) => i)
  shuffle(numbers, random)
  expect(numbers).not.toEqual(numbers.slice().sort())
  expect([...numbers].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i))
})
