/**
 * `tocsin train`: takes vectors from where they are, trains, and writes a model folder with a card that says what was done.
 * The same vectors and seed give the same files, byte for byte, on the same backend; the card carries no date for that reason.
 */
import { writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { lossCurve } from './loss-curve.ts'
import { writeModel } from './model-files.ts'
import { FEATURES } from '../residuals.ts'
import { syntheticResiduals } from './synthetic-residuals.ts'
import { fastestFirst, loadTensorflow, type TensorflowOptions } from './tensorflow.ts'
import { DEFAULT_EPOCHS, DEFAULT_HIDDEN, trainAutoencoder, type TrainedModel, type TrainingStep } from './train.ts'
import { readVectors, type VectorCollector } from './vectors.ts'

export type VectorSource =
  | { readonly kind: 'file'; readonly file: string }
  /** `origin` in words: which recording was replayed. */
  | { readonly kind: 'collected'; readonly vectors: VectorCollector; readonly origin: string }
  | { readonly kind: 'synthetic'; readonly rows: number }

export interface TrainingRun extends TensorflowOptions {
  readonly source: VectorSource
  /** Folder of the model; its last part is the model's name. */
  readonly out: string
  readonly seed: number
  readonly epochs?: number
  /** Units of the hidden layers up to the narrowest. */
  readonly hidden?: readonly number[]
  /** Told after every epoch of both fits, with how many there are at most in one. */
  readonly onProgress?: (step: TrainingStep, epochs: number) => void
  /** What to type to do it again; goes into the card. */
  readonly command: string
  readonly log: Pick<Logger, 'info'>
}

/** Beside the card, which shows it. */
const LOSS_CURVE = 'loss.svg'

/** Throws a PermanentError when there is too little to train on, or a file is damaged. */
export async function runTraining(options: TrainingRun): Promise<TrainedModel> {
  const { source, seed, log, hidden = DEFAULT_HIDDEN, epochs = DEFAULT_EPOCHS } = options
  const rows = await vectorsOf(source, seed)
  const tensorflow = await loadTensorflow(log, { backends: fastestFirst(hidden), ...options })
  const trained = await trainAutoencoder({
    name: basename(resolve(options.out)),
    rows,
    features: FEATURES,
    seed,
    tensorflow,
    data: describe(source, seed),
    epochs,
    hidden,
    onProgress: (step) => options.onProgress?.(step, epochs),
  })
  writeModel(
    options.out,
    trained.model,
    modelCard(trained, { command: options.command, backend: tensorflow.backend, made: source.kind === 'synthetic' }),
  )
  writeFileSync(join(options.out, LOSS_CURVE), lossCurve(trained.history))
  const { error } = trained.model
  log.info(
    { event: 'model_written', folder: options.out, ...trained.rows, ...error },
    `model written to ${options.out}, threshold ${error.threshold.toFixed(2)}`,
  )
  return trained
}

async function vectorsOf(source: VectorSource, seed: number): Promise<Float32Array> {
  if (source.kind === 'file') return readVectors(source.file)
  if (source.kind === 'collected') return source.vectors.rows()
  return syntheticResiduals(source.rows, seed)
}

function describe(source: VectorSource, seed: number): string {
  if (source.kind === 'file') return `vectors in ${basename(source.file)}`
  if (source.kind === 'collected') return `residual vectors of ${source.origin}`
  return `${source.rows} made-up residual vectors (src/detect/service/synthetic-residuals.ts, seed ${seed}); no telemetry of any real system`
}

/** The card as Markdown. */
function modelCard(trained: TrainedModel, { command, backend, made }: { command: string; backend: string; made: boolean }): string {
  const { model, rows, history } = trained
  const told = history.filter((step, at) => step.epoch % 10 === 1 || step.fit !== history[at + 1]?.fit)
  const shape = [model.features.length, ...model.layers.map((layer) => layer.units)].join('-')
  const weights = model.layers.reduce((sum, layer) => sum + layer.kernel.length + layer.bias.length, 0)
  return `# Model \`${model.name}\`

An autoencoder over the residual vector of a service: how far each thing it does is from its own baseline, in deviations. It has learnt
which residuals of a healthy service move together and reports what does not fit. Used by the service detector (\`detect.service.model\`).

## Data
${model.training.data}.
${rows.given} vectors given, ${rows.usable} usable, ${rows.kept} trained on in the second fit (the worst 2 % by loss of the first are dropped, so that incidents
in the history do not become normal), ${rows.validation} held out in blocks for the loss, the early stop and the threshold.
${
  made
    ? `
The vectors are reasoned, not measured: load moves traffic, CPU, network and log volume together, slowness moves latency, downstream latency,
queues and pools, faults move errors and log errors; each with noise that has heavy tails, surges of load, and features that a service does
not send. What your services do differently is in no vector: train on a quiet week of your own when you have one.
`
    : ''
}
## Net
Dense ${shape}, tanh, last layer linear; ${weights} weights. Input and output: sgn(z)·ln(1+|z|) of z = (residual − mean) / deviation; mean and deviation are in
\`model.json\`. Loss: mean squared error over the observed features; Adam, one cycle; a tenth of the inputs hidden. Seed ${model.training.seed}, backend ${backend}.

![Loss by epoch](${LOSS_CURVE})

| fit | epoch | loss | validation |
|---|---|---|---|
${told.map((step) => `| ${step.fit} | ${step.epoch} | ${step.loss.toFixed(4)} | ${step.validationLoss.toFixed(4)} |`).join('\n')}

## Threshold
Reconstruction error of the held-out vectors: median ${model.error.median.toFixed(3)}, 99 % ${model.error.q99.toFixed(3)}; an anomaly begins at **${model.error.threshold.toFixed(3)}** (99.9 %).
Each service moves it between half and eight times that by its own running 99 % quantile.

## Train it again
\`\`\`
${command}
\`\`\`
Your own: record a quiet stretch with incidents few and short, then \`tocsin train --recording FOLDER --out models/NAME\` and set \`detect.service.model: models/NAME\`.
`
}
