/**
 * Trains the autoencoder of the service detector: a repeatable run (seeded weights, shuffling and split) that resists a history with
 * incidents in it: after a first fit the worst rows are dropped and it starts again. The threshold comes from rows it has not seen.
 */
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core'
import { PermanentError } from '../../errors.ts'
import { Autoencoder, compress, type AutoencoderModel, type DenseLayer } from './autoencoder.ts'
import { seededRandom, shuffle } from '../random.ts'
import { FEATURES, type Feature } from '../residuals.ts'
import type { Tensorflow } from './tensorflow.ts'

export interface TrainingOptions {
  readonly name: string
  /** Vectors in the order of FEATURES, one after the other; 0 is not observed. */
  readonly rows: Float32Array
  /** What of them the model is to use. */
  readonly features: readonly Feature[]
  readonly seed: number
  readonly tensorflow: Tensorflow
  /** In words, for the card. */
  readonly data: string
  readonly epochs?: number
  readonly batchRows?: number
  /** Units of the hidden layers up to the narrowest; they are mirrored behind it. */
  readonly hidden?: readonly number[]
  readonly learningRate?: number
  /** Share of the inputs that is hidden from the net while it must still reconstruct them. */
  readonly denoise?: number
  /** Share of the rows that is dropped before the second fit. */
  readonly contamination?: number
  readonly validationShare?: number
  /** Epochs without a better validation loss until a fit ends. */
  readonly patience?: number
  /** Of the errors of the validation rows. */
  readonly thresholdQuantile?: number
  readonly onProgress?: (step: TrainingStep) => void
}

export interface TrainingStep {
  readonly fit: 1 | 2
  readonly epoch: number
  readonly loss: number
  readonly validationLoss: number
  /** Of this fit, so far: its weights are the ones that are kept. */
  readonly bestEpoch: number
}

export interface TrainedModel {
  readonly model: AutoencoderModel
  readonly history: readonly TrainingStep[]
  /** Rows that were given, that were usable, and that the second fit was trained on. */
  readonly rows: { readonly given: number; readonly usable: number; readonly kept: number; readonly validation: number }
}

const MIN_ROWS = 200
export const DEFAULT_EPOCHS = 40
export const DEFAULT_HIDDEN: readonly number[] = [8, 3]
/** Neighbours in time are alike: split between training and validation in blocks, not row by row. */
const BLOCK_ROWS = 32
const UNKNOWN_ERROR = { median: 0, q99: 0, threshold: 0 }

/** Throws a PermanentError when there are too few usable rows. */
export async function trainAutoencoder(options: TrainingOptions): Promise<TrainedModel> {
  const { features, rows, seed, name } = options
  const columns = features.map((feature) => FEATURES.indexOf(feature))
  const given = rows.length / FEATURES.length
  const usable = usableRows(rows, columns)
  if (usable.length < MIN_ROWS) {
    throw new PermanentError(
      `training ${name}: ${usable.length} usable vectors of ${given}, at least ${MIN_ROWS} are needed: record for longer, or with more services`,
    )
  }
  const { training, validation } = split(usable, options.validationShare ?? 0.15, seed)
  const history: TrainingStep[] = []
  const fit = (number: 1 | 2, chosen: Uint32Array): Promise<Fitted> => fitOnce(options, columns, chosen, validation, number, history)

  const first = await fit(1, training)
  const kept = withoutWorst(first, options, columns, training, options.contamination ?? 0.02)
  const last = await fit(2, kept)

  const draft = modelOf(options, last, kept.length, UNKNOWN_ERROR)
  const errors = errorsOf(draft, rows, validation).sort()
  const q99 = quantile(errors, 0.99)
  const error = { median: quantile(errors, 0.5), q99, threshold: Math.max(q99, quantile(errors, options.thresholdQuantile ?? 0.999)) }
  return {
    model: { ...draft, error },
    history,
    rows: { given, usable: usable.length, kept: kept.length, validation: validation.length },
  }
}

interface Fitted {
  readonly mean: Float32Array
  readonly deviation: Float32Array
  readonly layers: readonly DenseLayer[]
  readonly loss: number
  readonly validationLoss: number
}

async function fitOnce(
  options: TrainingOptions,
  columns: readonly number[],
  chosen: Uint32Array,
  validation: Uint32Array,
  fit: 1 | 2,
  history: TrainingStep[],
): Promise<Fitted> {
  const {
    rows,
    tensorflow,
    seed,
    epochs = DEFAULT_EPOCHS,
    batchRows = 128,
    learningRate = 2e-3,
    denoise = 0.1,
    patience = 10,
    onProgress,
  } = options
  const { core } = tensorflow
  const width = columns.length
  const scaling = scalingOf(rows, columns, chosen)
  const all = standardised(rows, columns, scaling)
  const shapes = shapesOf(width, options.hidden ?? DEFAULT_HIDDEN)
  const net = buildNet(tensorflow, shapes, seed)
  const optimizer = core.train.adam(learningRate)
  const variables = net.trainableWeights.map((weight) => weight.read() as Variable)
  const random = seededRandom(seed + fit)
  const order = chosen.slice()
  const steps = epochs * Math.ceil(order.length / batchRows)
  const input = new Float32Array(batchRows * width)
  const target = new Float32Array(batchRows * width)
  const mask = new Float32Array(batchRows * width)
  let best: Fitted | undefined
  let bestEpoch = 0
  try {
    for (let epoch = 1, step = 0; epoch <= epochs && epoch - bestEpoch <= patience; epoch++) {
      shuffle(order, random)
      let loss = 0
      for (let at = 0; at < order.length; at += batchRows, step++) {
        const size = Math.min(batchRows, order.length - at)
        fillBatch(all, order.subarray(at, at + size), { input, target, mask }, denoise, random)
        // Public at run time, protected in its types; the optimizer reads it at every step.
        ;(optimizer as unknown as { learningRate: number }).learningRate = learningRate * oneCycle(step / steps)
        loss += (size / order.length) * trainStep(tensorflow, net, optimizer, variables, size, width, { input, target, mask })
      }
      const layers = await layersOf(net, shapes)
      const validationLoss = mean(rowLosses(layers, options, all, validation))
      if (best === undefined || validationLoss < best.validationLoss) {
        best = { ...scaling, layers, loss, validationLoss }
        bestEpoch = epoch
      }
      const told = { fit, epoch, loss, validationLoss, bestEpoch }
      history.push(told)
      onProgress?.(told)
    }
  } finally {
    net.dispose()
    optimizer.dispose()
  }
  return best!
}

interface BatchArrays {
  readonly input: Float32Array
  readonly target: Float32Array
  /** 1 where the feature was observed: what was not is not reconstructed. */
  readonly mask: Float32Array
}

interface Columns {
  /** Standardised and compressed. */
  readonly u: Float32Array
  readonly observed: Uint8Array
  readonly width: number
}

type Net = ReturnType<Tensorflow['layers']['sequential']>

function trainStep(
  { core }: Tensorflow,
  net: Net,
  optimizer: ReturnType<Tensorflow['core']['train']['adam']>,
  variables: Variable[],
  size: number,
  width: number,
  batch: BatchArrays,
): number {
  return core.tidy(() => {
    const shape: [number, number] = [size, width]
    const input = core.tensor2d(batch.input.subarray(0, size * width), shape)
    const target = core.tensor2d(batch.target.subarray(0, size * width), shape)
    const mask = core.tensor2d(batch.mask.subarray(0, size * width), shape)
    const cost = optimizer.minimize(
      () => {
        const output = net.apply(input, { training: true }) as Tensor
        const wrong = core.mul(mask, core.squaredDifference(output, target))
        return core.div<Scalar>(core.sum(wrong), core.sum(mask))
      },
      true,
      variables,
    )
    return cost!.dataSync()[0]!
  })
}

function buildNet({ layers }: Tensorflow, shapes: readonly LayerShape[], seed: number): Net {
  return layers.sequential({
    layers: shapes.map(({ name, inputs, units, activation }, index) =>
      layers.layers.dense({
        name,
        units,
        activation,
        kernelInitializer: layers.initializers.glorotUniform({ seed: seed * 31 + index + 1 }),
        ...(index === 0 && { inputShape: [inputs] }),
      }),
    ),
  })
}

type LayerShape = Pick<DenseLayer, 'name' | 'inputs' | 'units' | 'activation'>

function shapesOf(width: number, hidden: readonly number[]): LayerShape[] {
  const sizes = [...hidden, ...hidden.slice(0, -1).reverse(), width]
  return sizes.map((units, index) => ({
    name: index < hidden.length ? `encode_${index + 1}` : `decode_${index + 1 - hidden.length}`,
    inputs: sizes[index - 1] ?? width,
    units,
    activation: index === sizes.length - 1 ? 'linear' : 'tanh',
  }))
}

async function layersOf(net: Net, shapes: readonly LayerShape[]): Promise<DenseLayer[]> {
  const weights = await Promise.all(net.getWeights().map(async (weight) => Float32Array.from(await weight.data())))
  return shapes.map((shape, index) => ({ ...shape, kernel: weights[index * 2]!, bias: weights[index * 2 + 1]! }))
}

/** Adam's step size over a fit: up to the full one in three tenths of it, then down along a cosine (https://arxiv.org/abs/1708.07120). */
function oneCycle(progress: number): number {
  return progress < 0.3 ? 0.1 + 0.9 * (progress / 0.3) : 0.01 + 0.99 * 0.5 * (1 + Math.cos((Math.PI * (progress - 0.3)) / 0.7))
}

function fillBatch(all: Columns, chosen: Uint32Array, batch: BatchArrays, denoise: number, random: () => number): void {
  const { width } = all
  for (let r = 0, to = 0; r < chosen.length; r++) {
    for (let i = 0, from = chosen[r]! * width; i < width; i++, from++, to++) {
      batch.target[to] = all.u[from]!
      batch.mask[to] = all.observed[from]!
      batch.input[to] = denoise > 0 && random() < denoise ? 0 : all.u[from]!
    }
  }
}

/** Rows that are finite and say at least two things: one alone has nothing to fit to. */
function usableRows(rows: Float32Array, columns: readonly number[]): Uint32Array {
  const usable: number[] = []
  for (let row = 0; row + FEATURES.length <= rows.length; row += FEATURES.length) {
    let observed = 0
    for (const column of columns) {
      const value = rows[row + column]!
      observed = Number.isFinite(value) ? observed + (value === 0 ? 0 : 1) : Number.NEGATIVE_INFINITY
    }
    if (observed >= 2) usable.push(row / FEATURES.length)
  }
  return Uint32Array.from(usable)
}

function split(usable: Uint32Array, share: number, seed: number): { training: Uint32Array; validation: Uint32Array } {
  const blocks = Uint32Array.from({ length: Math.ceil(usable.length / BLOCK_ROWS) }, (_, block) => block)
  shuffle(blocks, seededRandom(seed))
  const held = new Set(blocks.subarray(0, Math.max(1, Math.round(blocks.length * share))))
  const isHeld = (at: number): boolean => held.has(Math.floor(at / BLOCK_ROWS))
  return { training: usable.filter((_, at) => !isHeld(at)), validation: usable.filter((_, at) => isHeld(at)) }
}

/** Mean and spread of what was observed. A feature that never was keeps 0 and 1. */
function scalingOf(rows: Float32Array, columns: readonly number[], chosen: Uint32Array): { mean: Float32Array; deviation: Float32Array } {
  const mean = new Float32Array(columns.length)
  const deviation = new Float32Array(columns.length).fill(1)
  for (const [i, column] of columns.entries()) {
    let count = 0
    let sum = 0
    let squares = 0
    for (const row of chosen) {
      const value = rows[row * FEATURES.length + column]!
      if (value === 0) continue
      count++
      sum += value
      squares += value * value
    }
    if (count < 2) continue
    mean[i] = sum / count
    // Residuals come in deviations already: a spread far below 1 is a feature that has hardly been seen.
    deviation[i] = Math.max(0.25, Math.sqrt(Math.max(0, squares / count - (sum / count) ** 2)))
  }
  return { mean, deviation }
}

function standardised(rows: Float32Array, columns: readonly number[], scaling: { mean: Float32Array; deviation: Float32Array }): Columns {
  const width = columns.length
  const count = Math.floor(rows.length / FEATURES.length)
  const u = new Float32Array(count * width)
  const observed = new Uint8Array(count * width)
  for (let row = 0, to = 0; row < count; row++) {
    for (let i = 0; i < width; i++, to++) {
      const value = rows[row * FEATURES.length + columns[i]!]!
      if (value === 0) continue
      observed[to] = 1
      u[to] = compress((value - scaling.mean[i]!) / scaling.deviation[i]!)
    }
  }
  return { u, observed, width }
}

/** Mean squared error of each row, as in training. */
function rowLosses(layers: readonly DenseLayer[], options: TrainingOptions, all: Columns, chosen: Uint32Array): Float64Array {
  const scaling = { mean: new Float32Array(all.width), deviation: new Float32Array(all.width).fill(1) }
  const net = new Autoencoder(modelOf(options, { ...scaling, layers, loss: 0, validationLoss: 0 }, 0, UNKNOWN_ERROR))
  const losses = new Float64Array(chosen.length)
  for (let r = 0; r < chosen.length; r++) {
    const from = chosen[r]! * all.width
    const out = net.forward(all.u.subarray(from, from + all.width))
    let sum = 0
    let count = 0
    for (let i = 0; i < all.width; i++) {
      if (all.observed[from + i] === 0) continue
      sum += (out[i]! - all.u[from + i]!) ** 2
      count++
    }
    losses[r] = sum / count
  }
  return losses
}

/** By the loss, not by the error: the error of a surge that is well understood is still among the large ones, its loss is not. */
function withoutWorst(
  fitted: Fitted,
  options: TrainingOptions,
  columns: readonly number[],
  chosen: Uint32Array,
  share: number,
): Uint32Array {
  const losses = rowLosses(fitted.layers, options, standardised(options.rows, columns, fitted), chosen)
  const limit = quantile(losses.slice().sort(), 1 - share)
  return chosen.filter((_, at) => losses[at]! <= limit)
}

function errorsOf(model: AutoencoderModel, rows: Float32Array, chosen: Uint32Array): Float32Array {
  const net = new Autoencoder(model)
  return Float32Array.from(chosen, (row) => net.score(rows.subarray(row * FEATURES.length, (row + 1) * FEATURES.length)))
}

function modelOf(options: TrainingOptions, fitted: Fitted, rows: number, error: AutoencoderModel['error']): AutoencoderModel {
  const { name, features, seed, data } = options
  const { mean, deviation, layers, loss, validationLoss } = fitted
  return { name, features, mean, deviation, layers, error, training: { data, rows, seed, loss, validationLoss } }
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function quantile(sorted: Float32Array | Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
}
