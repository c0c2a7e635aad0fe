import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { PermanentError } from '../../src/errors.ts'
import { Autoencoder, compress, decompress, type Activation, type AutoencoderModel } from '../../src/detect/service/autoencoder.ts'
import { artifactsOf, loadModels, modelFolder, readModel, writeModel } from '../../src/detect/service/model-files.ts'
import { normal, seededRandom } from '../../src/detect/random.ts'
import { FEATURES, type Feature } from '../../src/detect/residuals.ts'
import { syntheticResiduals } from '../../src/detect/service/synthetic-residuals.ts'
import { loadTensorflow, type TensorflowBackend } from '../../src/detect/service/tensorflow.ts'

const WIDTH = FEATURES.length
const silent = { info: () => undefined }
const scratch = mkdtempSync(join(tmpdir(), 'tocsin-model-'))
afterAll(() => rmSync(scratch, { recursive: true }))

function randomModel(
  seed: number,
  sizes: readonly number[],
  activations: readonly Activation[],
  features: readonly Feature[] = FEATURES,
): AutoencoderModel {
  const random = seededRandom(seed)
  const draw = (count: number, scale: number): Float32Array => Float32Array.from({ length: count }, () => normal(random) * scale)
  return {
    name: `random_${seed}`,
    features,
    mean: draw(features.length, 0.2),
    deviation: draw(features.length, 0.3).map((value) => 1 + Math.abs(value)),
    layers: sizes.map((units, index) => {
      const inputs = sizes[index - 1] ?? features.length
      return {
        name: `dense_${index}`,
        inputs,
        units,
        activation: activations[index]!,
        kernel: draw(inputs * units, 1 / Math.sqrt(inputs)),
        bias: draw(units, 0.3),
      }
    }),
    error: { median: 0.5, q99: 1, threshold: 2 },
    training: { data: 'nothing', rows: 0, seed, loss: 0, validationLoss: 0 },
  }
}

function vector(values: Partial<Record<Feature, number>>, rest = 0.3): Float32Array {
  return Float32Array.from(FEATURES, (feature) => values[feature] ?? rest)
}

const nets: readonly [what: string, model: () => AutoencoderModel][] = [
  ['the shipped net', () => readModel(modelFolder('service'))],
  ['random 8-3-8, tanh', () => randomModel(1, [8, 3, 8, WIDTH], ['tanh', 'tanh', 'tanh', 'linear'])],
  ['random 32-8-32, relu', () => randomModel(2, [32, 8, 32, WIDTH], ['relu', 'relu', 'relu', 'linear'])],
  ['one layer, five features', () => randomModel(3, [5], ['linear'], ['cpu', 'traffic', 'memory', 'errors', 'latency'])],
]

async function backends(): Promise<TensorflowBackend[]> {
  const { backend } = await loadTensorflow(silent as never)
  return backend === 'native' ? ['native', 'wasm', 'cpu'] : ['wasm', 'cpu']
}

describe('the forward pass', () => {
  test.each(nets)('%s says what tf.predict says, on every backend, within 1e-5', async (_what, make) => {
    const model = make()
    const width = model.features.length
    const autoencoder = new Autoencoder(model)
    const random = seededRandom(11)
    const rows = 200
    const input = Float32Array.from({ length: rows * width }, () => compress(normal(random) * 10 ** (2 * random() - 0.5)))
    for (const backend of await backends()) {
      const { core, layers } = await loadTensorflow(silent as never, { backends: [backend] })
      const net = await layers.loadLayersModel({ load: async () => artifactsOf(model) })
      const output = net.predict(core.tensor2d(input, [rows, width])) as { data(): Promise<Float32Array> }
      const expected = await output.data()
      let largest = 0
      for (let row = 0; row < rows; row++) {
        const got = autoencoder.forward(input.subarray(row * width, (row + 1) * width))
        for (let i = 0; i < width; i++) largest = Math.max(largest, Math.abs(got[i]! - expected[row * width + i]!))
      }
      expect(largest, backend).toBeLessThan(1e-5)
      expect(largest, `${backend}: two implementations do not agree to the last bit by themselves`).toBeGreaterThan(0)
    }
  })

  test('compressing and back changes nothing, on both sides and far out', () => {
    for (const z of [0, 1e-6, -0.3, 2, -50, 999]) expect(decompress(compress(z))).toBeCloseTo(z, 9)
  })
})

describe('the score of the shipped model', () => {
  const shipped = new Autoencoder(readModel(modelFolder('service')))

  test.each([10, 14, 20])('CPU %d deviations up without traffic scores higher than with traffic, network and log volume', (z) => {
    const alone = shipped.score(vector({ cpu: z }))
    expect(alone).toBeGreaterThan(shipped.score(vector({ cpu: z, traffic: z, network: z, log_volume: z })))
  })

  test('the feature that does not fit is blamed, and where the others would have it is told', () => {
    shipped.score(vector({ cpu: 20 }))
    const cpu = shipped.features.indexOf('cpu')
    expect(Math.max(...shipped.contributions)).toBe(shipped.contributions[cpu])
    expect(Math.abs(shipped.suggested[cpu]!)).toBeLessThan(5)
  })

  test('what a service does not send is not held against it', () => {
    shipped.score(vector({ cpu: 12, traffic: 12, memory: 0, log_volume: 0 }))
    for (const feature of ['memory', 'log_volume'] as const) expect(shipped.contributions[shipped.features.indexOf(feature)]).toBe(0)
    expect(shipped.score(new Float32Array(WIDTH))).toBe(0)
  })

  test('its threshold is crossed by about one in a thousand healthy vectors it has not seen', () => {
    const rows = syntheticResiduals(10_000, 4711)
    let above = 0
    for (let row = 0; row < 10_000; row++) {
      if (shipped.score(rows.subarray(row * WIDTH, (row + 1) * WIDTH)) >= shipped.model.error.threshold) above++
    }
    expect(above).toBeGreaterThan(0)
    expect(above).toBeLessThan(40)
  })

  test('a model of some features reads them from their places', () => {
    const model = randomModel(5, [2], ['linear'], ['log_new', 'cpu'])
    const plain = {
      ...model,
      mean: new Float32Array(2),
      deviation: new Float32Array(2).fill(1),
      layers: [{ ...model.layers[0]!, kernel: new Float32Array(4), bias: new Float32Array(2) }],
    }
    const autoencoder = new Autoencoder(plain)
    expect(autoencoder.score(vector({ log_new: 3, cpu: -1 }, 40))).toBe(2)
    expect([...autoencoder.contributions]).toEqual([3, 1])
  })
})

describe('model files', () => {
  test('saved, loaded and saved again they are the same bytes, and score the same', () => {
    const model = randomModel(7, [8, 3, 8, WIDTH], ['tanh', 'relu', 'tanh', 'linear'])
    const [first, second] = [join(scratch, 'first'), join(scratch, 'second')]
    writeModel(first, model, 'a card')
    const loaded = readModel(first)
    writeModel(second, loaded, 'a card')
    expect(readdirSync(first).sort()).toEqual(['card.md', 'model.json', 'weights.bin'])
    for (const file of ['model.json', 'weights.bin']) expect(readFileSync(join(second, file))).toEqual(readFileSync(join(first, file)))
    const row = vector({ cpu: 4, traffic: -2 })
    expect(new Autoencoder(loaded).score(row)).toBe(new Autoencoder(model).score(row))
  })

  test('the config names the models to load', () => {
    const load = (model: string, off: readonly string[] = []) => loadModels({ off, detectors: { service: { model } } }, silent as never)
    expect([...load('service').keys()]).toEqual(['service'])
    expect(load('absent', ['service']).size).toBe(0)
    expect(() => load('./absent')).toThrow(/absent.*cannot be read.*tocsin train/s)
  })

  describe('bad ones are refused with the file and the reason', () => {
    const folder = join(scratch, 'bad')
    const jsonFile = join(folder, 'model.json')
    const weightFile = join(folder, 'weights.bin')
    beforeEach(() => writeModel(folder, randomModel(9, [8, WIDTH], ['tanh', 'linear']), ''))

    // oxlint-disable-next-line typescript/no-explicit-any
    type Json = Record<string, any>
    const edited = (change: (json: Json, tocsin: Json) => void) => () => {
      const json = JSON.parse(readFileSync(jsonFile, 'utf8')) as Json
      change(json, json['userDefinedMetadata'].tocsin)
      writeFileSync(jsonFile, JSON.stringify(json))
    }
    const weight = (at: number, value: number) => () => {
      const bytes = readFileSync(weightFile)
      bytes.writeFloatLE(value, at * 4)
      writeFileSync(weightFile, bytes)
    }
    test.each<[what: string, damage: () => void, message: RegExp]>([
      ['no model.json', () => rmSync(jsonFile), /model\.json cannot be read/],
      ['no weights.bin', () => rmSync(weightFile), /weights\.bin cannot be read/],
      ['not JSON', () => writeFileSync(jsonFile, '{"format":'), /model\.json is not JSON/],
      ['JSON, but no model', () => writeFileSync(jsonFile, '[]'), /model\.json is not a model/],
      ['a model of somebody else', edited((json) => delete json['userDefinedMetadata']), /userDefinedMetadata/],
      ['a newer version', edited((_, tocsin) => (tocsin['version'] = 2)), /reads version 1/],
      ['an unknown feature', edited((_, tocsin) => (tocsin['features'][3] = 'moon')), /features\[3\]/],
      ['a feature twice', edited((_, tocsin) => (tocsin['features'][3] = tocsin['features'][4])), /names a feature twice/],
      ['fewer features than inputs', edited((_, tocsin) => tocsin['features'].pop()), /mean has 16 values for 15 features/],
      [
        'features and scaling cut alike',
        edited((_, t) => [t['features'], t['mean'], t['deviation']].forEach((l) => l.pop())),
        /takes 16 inputs, but gets 15/,
      ],
      ['a deviation of zero', edited((_, tocsin) => (tocsin['deviation'][0] = 0)), /deviation\[0\]/],
      ['a mean that is no number', edited((_, tocsin) => (tocsin['mean'][0] = null)), /mean\[0\]/],
      ['a threshold below the quantile', edited((_, tocsin) => (tocsin['error'].threshold = 0.1)), /must rise/],
      [
        'a layer that is not dense',
        edited((json) => (json['modelTopology'].config.layers[1].class_name = 'LSTM')),
        /layers\[1\]\.class_name/,
      ],
      [
        'an activation it does not know',
        edited((json) => (json['modelTopology'].config.layers[0].config.activation = 'swish')),
        /activation/,
      ],
      ['a layer too wide', edited((json) => (json['modelTopology'].config.layers[0].config.units = 1e9)), /units/],
      ['a net that does not come back', edited((json) => json['modelTopology'].config.layers.pop()), /ends in 8 units for 16 features/],
      [
        'a manifest of other shapes',
        edited((json) => (json['weightsManifest'][0].weights[0].shape = [8, 16])),
        /dense_0\/kernel of shape 16×8 expected.*8×16/,
      ],
      ['weights in another folder', edited((json) => (json['weightsManifest'][0].paths = ['../../etc/passwd'])), /paths/],
      ['quantized weights', edited((json) => (json['weightsManifest'][0].weights[0].quantization = { dtype: 'uint8' })), /quantization/],
      ['weights cut off', () => truncateSync(weightFile, 700), /ends inside dense_1\/kernel/],
      [
        'weights of a larger net',
        () => writeFileSync(weightFile, Buffer.concat([readFileSync(weightFile), Buffer.alloc(4)])),
        /bytes, the net needs/,
      ],
      ['a weight that is not a number', weight(5, Number.NaN), /dense_0\/kernel\[5\] is NaN/],
      ['an infinite weight', weight(16 * 8, Number.POSITIVE_INFINITY), /dense_0\/bias\[0\] is Infinity/],
      ['a topology of 2 MB', () => writeFileSync(jsonFile, ' '.repeat(2 << 20)), /the limit is 1048576/],
      ['weights of 17 MB', () => truncateSync(weightFile, 17 << 20), /the limit is 16777216/],
    ])('%s', (_what, damage, message) => {
      expect(readModel(folder).features).toHaveLength(WIDTH)
      damage()
      let thrown: unknown
      try {
        readModel(folder)
      } catch (error) {
        thrown = error
      }
      expect(thrown).toBeInstanceOf(PermanentError)
      expect((thrown as Error).message).toMatch(message)
      expect((thrown as Error).message).toContain(folder)
    })
  })
})
