import { beforeAll, describe, expect, test } from 'vitest'
import { Autoencoder, compress, type AutoencoderModel } from '../../src/detect/service/autoencoder.ts'
import { readModel } from '../../src/detect/service/model-files.ts'
import { FEATURES } from '../../src/detect/residuals.ts'
import { syntheticResiduals } from '../../src/detect/service/synthetic-residuals.ts'
import { loadTensorflow, type Tensorflow, type TensorflowBackend } from '../../src/detect/service/tensorflow.ts'
import { trainAutoencoder, type TrainedModel } from '../../src/detect/service/train.ts'

const log = { info: () => undefined } as never
const WIDTH = FEATURES.length
const rows = syntheticResiduals(3000, 3)

function load(backend: TensorflowBackend): Promise<Tensorflow> {
  return loadTensorflow(log, { backends: [backend] })
}

async function trainOn(backend: TensorflowBackend): Promise<TrainedModel> {
  const tensorflow = await load(backend)
  return trainAutoencoder({ name: 'native', rows, features: FEATURES, seed: 5, epochs: 12, tensorflow, data: 'made up' })
}

/** What TensorFlow says of the rows, on the backend that is active. */
async function predict({ core, layers }: Tensorflow, model: AutoencoderModel, inputs: Float32Array): Promise<Float32Array> {
  const net = layers.sequential({
    layers: model.layers.map(({ units, activation, inputs: width }, index) =>
      layers.layers.dense({ units, activation, ...(index === 0 && { inputShape: [width] }) }),
    ),
  })
  const weights = model.layers.flatMap(({ inputs: width, units, kernel, bias }) => [
    core.tensor2d(kernel, [width, units]),
    core.tensor1d(bias),
  ])
  net.setWeights(weights)
  const input = core.tensor2d(inputs, [inputs.length / WIDTH, WIDTH])
  const output = net.predict(input)
  if (Array.isArray(output)) throw new Error('one output was expected')
  const answer = Float32Array.from(await output.data())
  core.dispose([...weights, input, output])
  net.dispose()
  return answer
}

function farthest(a: Float32Array, b: Float32Array): number {
  expect(a).toHaveLength(b.length)
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at]!)), 0)
}

describe('on the native library', () => {
  let trained: TrainedModel
  beforeAll(async () => {
    trained = await trainOn('native')
  })

  test('it is the native backend that runs, not one that stands in for it', async () => {
    const { core, backend } = await load('native')
    expect(backend).toBe('native')
    expect(core.getBackend()).toBe('tensorflow')
  })

  test('training lowers the loss and leaves no tensor behind', async () => {
    for (const fit of [1, 2]) {
      const steps = trained.history.filter((step) => step.fit === fit)
      expect(steps.at(-1)!.validationLoss).toBeLessThan(steps[0]!.validationLoss * 0.75)
    }
    const { core } = await load('native')
    const before = core.memory().numTensors
    await trainOn('native')
    expect(core.memory().numTensors).toBe(before)
  })

  test('what is trained there is as good as what is trained on WASM', async () => {
    const wasm = await trainOn('wasm')
    const [native, other] = [trained.history.at(-1)!.validationLoss, wasm.history.at(-1)!.validationLoss]
    expect(Math.abs(native - other)).toBeLessThan(0.15 * other)
  })

  test.each<TensorflowBackend>(['native', 'wasm', 'cpu'])('%s predicts what our own forward pass says, to 1e-5', async (backend) => {
    const inputs = rows.slice(0, 500 * WIDTH).map(compress)
    for (const model of [trained.model, readModel('models/service')]) {
      const own = new Autoencoder(model)
      const expected = Float32Array.from({ length: inputs.length })
      for (let row = 0; row < 500; row++) expected.set(own.forward(inputs.subarray(row * WIDTH, (row + 1) * WIDTH)), row * WIDTH)
      expect(farthest(await predict(await load(backend), model, inputs), expected)).toBeLessThan(1e-5)
    }
  })

  test('which backend is faster, in milliseconds per epoch of 10,000 rows', async () => {
    for (const { hidden, batchRows } of [
      { hidden: [8, 3], batchRows: 128 },
      { hidden: [8, 3], batchRows: 1024 },
      { hidden: [64, 32, 8], batchRows: 128 },
      { hidden: [512, 256, 64], batchRows: 128 },
    ]) {
      const took: string[] = []
      for (const backend of ['native', 'wasm'] as const) {
        const tensorflow = await load(backend)
        const many = syntheticResiduals(2000, 4)
        const epochs = 4
        const start = performance.now()
        await trainAutoencoder({ name: 'timed', rows: many, features: FEATURES, seed: 1, epochs, hidden, batchRows, tensorflow, data: '' })
        // Two fits of each so many epochs; the rows that are held out are not trained on.
        took.push(`${backend} ${(((performance.now() - start) / (2 * epochs)) * (10_000 / 1700)).toFixed(0)}`)
      }
      console.log(`  ${[WIDTH, ...hidden].join('-')}, batches of ${batchRows}: ${took.join(', ')}`)
      expect(took).toHaveLength(2)
    }
  })
})
