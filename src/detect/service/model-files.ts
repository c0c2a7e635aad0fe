/**
 * A model on disk: `model.json` and `weights.bin` as TensorFlow.js writes them (tf.loadLayersModel reads them, see `artifactsOf`), our
 * own facts under `userDefinedMetadata`, and `card.md` for people. What is read back has been checked to the last number, so that
 * a damaged or foreign file is an error at the start and never a wrong score.
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { basename, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { io } from '@tensorflow/tfjs-core'
import type { Logger } from 'pino'
import { z } from 'zod'
import { PermanentError, messageOf } from '../../errors.ts'
import { Autoencoder, type AutoencoderModel, type DenseLayer } from './autoencoder.ts'
import { FEATURES } from '../residuals.ts'

const VERSION = 1
const MAX_TOPOLOGY_BYTES = 1 << 20
const MAX_WEIGHT_BYTES = 16 << 20
const MAX_UNITS = 4096
/** Where the shipped models are, seen from src/detect and from dist/detect alike. */
const SHIPPED = fileURLToPath(new URL('../../../models/', import.meta.url))

const finite = z.number().refine(Number.isFinite, 'must be finite')
const metadataSchema = z.strictObject({
  version: z.literal(VERSION, { error: `this program reads version ${VERSION}` }),
  features: z
    .array(z.enum(FEATURES))
    .min(1)
    .refine((all) => new Set(all).size === all.length, 'names a feature twice'),
  mean: z.array(finite),
  deviation: z.array(finite.positive()),
  error: z
    .strictObject({ median: finite.nonnegative(), q99: finite.positive(), threshold: finite.positive() })
    .refine((error) => error.median <= error.q99 && error.q99 <= error.threshold, 'must rise from median over q99 to threshold'),
  training: z.strictObject({ data: z.string().max(2000), rows: finite, seed: finite, loss: finite, validationLoss: finite }),
})
const units = z.int().min(1).max(MAX_UNITS)
/** Of the topology only what the forward pass needs; the rest is TensorFlow.js'. */
const fileSchema = z.object({
  format: z.literal('layers-model'),
  modelTopology: z.object({
    class_name: z.literal('Sequential'),
    config: z.object({
      name: z.string().max(200),
      layers: z
        .array(
          z.object({
            class_name: z.literal('Dense'),
            config: z.object({
              name: z.string().max(200),
              units,
              activation: z.enum(['tanh', 'relu', 'linear']),
              use_bias: z.literal(true),
              batch_input_shape: z.tuple([z.null(), units]).optional(),
            }),
          }),
        )
        .min(1)
        .max(32),
    }),
  }),
  weightsManifest: z.tuple([
    z.object({
      paths: z.tuple([z.literal('weights.bin')]),
      weights: z.array(
        z.object({ name: z.string(), shape: z.array(units), dtype: z.literal('float32'), quantization: z.undefined().optional() }),
      ),
    }),
  ]),
  userDefinedMetadata: z.object({ tocsin: metadataSchema }),
})
type ModelFile = z.infer<typeof fileSchema>

/** `name` is a folder: of the shipped models, or a path (with a separator in it, or absolute). */
export function modelFolder(name: string): string {
  return isAbsolute(name) || /[/\\]/.test(name) ? resolve(name) : join(SHIPPED, name)
}

/** What the config of detect says about models. */
export interface ModelUsers {
  readonly off: readonly string[]
  readonly detectors: { readonly service: { readonly model: string } }
}

/** The models that the config asks for, for `DetectorContext.models`. Throws a PermanentError when one cannot be read. */
export function loadModels(config: ModelUsers, log: Pick<Logger, 'info'>): Map<string, Autoencoder> {
  const models = new Map<string, Autoencoder>()
  if (config.off.includes('service')) return models
  const name = config.detectors.service.model
  const folder = modelFolder(name)
  const autoencoder = new Autoencoder(readModel(folder))
  models.set(name, autoencoder)
  const { data, seed } = autoencoder.model.training
  log.info({ event: 'model_loaded', model: name, folder, data, seed }, `model ${name} loaded, trained on ${data}`)
  return models
}

/** Throws a PermanentError naming the file and what is wrong with it. */
export function readModel(folder: string): AutoencoderModel {
  const file = join(folder, 'model.json')
  const parsed = fileSchema.safeParse(parseJson(file, readLimited(file, MAX_TOPOLOGY_BYTES)))
  if (!parsed.success) throw new PermanentError(`${file} is not a model that can be read:\n${z.prettifyError(parsed.error)}`)
  const weightFile = join(folder, 'weights.bin')
  return assemble(parsed.data, readLimited(weightFile, MAX_WEIGHT_BYTES), file, weightFile)
}

/** Writes `model.json`, `weights.bin` and `card.md`, each put in place whole; `model.json` last. */
export function writeModel(folder: string, model: AutoencoderModel, card: string): void {
  mkdirSync(folder, { recursive: true })
  const { modelTopology, weightSpecs, weightData, userDefinedMetadata } = artifactsOf(model)
  replaceFile(join(folder, 'weights.bin'), new Uint8Array(weightData))
  replaceFile(join(folder, 'card.md'), card)
  const json = {
    format: 'layers-model',
    generatedBy: 'tocsin',
    convertedBy: null,
    modelTopology,
    weightsManifest: [{ paths: ['weights.bin'], weights: weightSpecs }],
    userDefinedMetadata,
  }
  replaceFile(join(folder, 'model.json'), `${JSON.stringify(json, null, 1)}\n`)
}

interface Artifacts extends io.ModelArtifacts {
  readonly modelTopology: object
  readonly weightSpecs: io.WeightsManifestEntry[]
  readonly weightData: ArrayBuffer
  readonly userDefinedMetadata: { tocsin: z.infer<typeof metadataSchema> }
}

/** The model as TensorFlow.js takes it: `tf.loadLayersModel({ load: async () => artifactsOf(model) })`. */
export function artifactsOf(model: AutoencoderModel): Artifacts {
  const weightSpecs: io.WeightsManifestEntry[] = []
  const parts: Float32Array[] = []
  for (const layer of model.layers) {
    weightSpecs.push({ name: `${layer.name}/kernel`, shape: [layer.inputs, layer.units], dtype: 'float32' })
    weightSpecs.push({ name: `${layer.name}/bias`, shape: [layer.units], dtype: 'float32' })
    parts.push(layer.kernel, layer.bias)
  }
  const layers = model.layers.map(({ name, inputs, units: width, activation }, index) => ({
    class_name: 'Dense',
    config: {
      name,
      units: width,
      activation,
      use_bias: true,
      trainable: true,
      dtype: 'float32',
      ...(index === 0 && { batch_input_shape: [null, inputs] }),
    },
  }))
  return {
    format: 'layers-model',
    generatedBy: 'tocsin',
    modelTopology: {
      class_name: 'Sequential',
      config: { name: model.name, layers },
      keras_version: 'tfjs-layers 4.22.0',
      backend: 'tensor_flow.js',
    },
    weightSpecs,
    weightData: littleEndianFloats(parts),
    userDefinedMetadata: {
      tocsin: {
        version: VERSION,
        features: [...model.features],
        mean: [...model.mean],
        deviation: [...model.deviation],
        error: model.error,
        training: model.training,
      },
    },
  }
}

function assemble(file: ModelFile, weights: Uint8Array, path: string, weightPath: string): AutoencoderModel {
  const { features, mean, deviation, error, training } = file.userDefinedMetadata.tocsin
  const { config } = file.modelTopology
  const specs = file.weightsManifest[0].weights
  for (const [what, values] of [
    ['mean', mean],
    ['deviation', deviation],
  ] as const) {
    if (values.length !== features.length)
      throw new PermanentError(`${path}: ${what} has ${values.length} values for ${features.length} features`)
  }
  const read = floatReader(weights)
  const layers: DenseLayer[] = []
  let inputs = features.length
  for (const { config: layer } of config.layers) {
    const declared = layer.batch_input_shape?.[1] ?? inputs
    if (declared !== inputs) throw new PermanentError(`${path}: layer ${layer.name} takes ${declared} inputs, but gets ${inputs}`)
    const shapes = [[inputs, layer.units], [layer.units]]
    const [kernel, bias] = shapes.map((shape, which) => {
      const spec = specs[layers.length * 2 + which]
      const name = `${layer.name}/${which === 0 ? 'kernel' : 'bias'}`
      if (spec?.name !== name || spec.shape.join() !== shape.join()) {
        throw new PermanentError(
          `${path}: weights ${name} of shape ${shape.join('×')} expected, the manifest has ${spec === undefined ? 'none' : `${spec.name} of ${spec.shape.join('×')}`}`,
        )
      }
      return read(
        shape.reduce((product, size) => product * size, 1),
        name,
        weightPath,
      )
    })
    layers.push({ name: layer.name, inputs, units: layer.units, activation: layer.activation, kernel: kernel!, bias: bias! })
    inputs = layer.units
  }
  if (inputs !== features.length) throw new PermanentError(`${path}: the net ends in ${inputs} units for ${features.length} features`)
  if (specs.length !== layers.length * 2)
    throw new PermanentError(`${path}: the manifest names ${specs.length} weights for ${layers.length} layers`)
  const used = layers.reduce((sum, layer) => sum + layer.kernel.length + layer.bias.length, 0) * 4
  if (used !== weights.length)
    throw new PermanentError(`${weightPath} has ${weights.length} bytes, the net needs ${used}: the files are not of one training`)
  return {
    name: config.name,
    features,
    mean: Float32Array.from(mean),
    deviation: Float32Array.from(deviation),
    layers,
    error,
    training,
  }
}

function floatReader(bytes: Uint8Array): (count: number, name: string, path: string) => Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  return (count, name, path) => {
    if (at + count * 4 > bytes.length) {
      throw new PermanentError(`${path} has ${bytes.length} bytes and ends inside ${name}: the files are not of one training`)
    }
    const values = new Float32Array(count)
    for (let i = 0; i < count; i++, at += 4) {
      const value = view.getFloat32(at, true)
      if (!Number.isFinite(value)) throw new PermanentError(`${path}: ${name}[${i}] is ${value}: train the model again`)
      values[i] = value
    }
    return values
  }
}

function littleEndianFloats(parts: readonly Float32Array[]): ArrayBuffer {
  const buffer = new ArrayBuffer(parts.reduce((sum, part) => sum + part.length, 0) * 4)
  const view = new DataView(buffer)
  let at = 0
  for (const part of parts) for (let i = 0; i < part.length; i++, at += 4) view.setFloat32(at, part[i]!, true)
  return buffer
}

function readLimited(path: string, limitBytes: number): Uint8Array {
  let bytes: number
  try {
    bytes = statSync(path).size
    if (bytes <= limitBytes) return readFileSync(path)
  } catch (error) {
    throw new PermanentError(
      `model file ${path} cannot be read (${messageOf(error)}): name a folder that \`tocsin train --out\` has written`,
      { cause: error },
    )
  }
  throw new PermanentError(`model file ${path} has ${bytes} bytes, the limit is ${limitBytes}`)
}

function parseJson(path: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (error) {
    throw new PermanentError(`${path} is not JSON: ${messageOf(error)}`, { cause: error })
  }
}

function replaceFile(path: string, content: string | Uint8Array): void {
  const next = join(path, '..', `.${basename(path)}.next`)
  writeFileSync(next, content)
  renameSync(next, path)
}
