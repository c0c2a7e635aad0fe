/**
 * TensorFlow.js on the best backend this machine has: the native library, else WASM, else plain JavaScript. Loaded only to train
 * (0.4 s and about 100 MB): scoring never comes here. Says in one log line which backend it runs on and why not on a better one.
 */
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import util from 'node:util'
import type * as Core from '@tensorflow/tfjs-core'
import type * as Layers from '@tensorflow/tfjs-layers'
import type { Logger } from 'pino'
import { PermanentError, messageOf } from '../../errors.ts'

export type TensorflowBackend = 'native' | 'wasm' | 'cpu'

export interface Tensorflow {
  readonly backend: TensorflowBackend
  readonly core: typeof Core
  readonly layers: typeof Layers
}

export interface TensorflowOptions {
  /** Tried in this order; `fastestFirst` says which is best for a net. */
  readonly backends?: readonly TensorflowBackend[]
  /** The process environment, handed in by config: the native library reads TF_CPP_MIN_LOG_LEVEL from it, which is set to '2' here when it is not set. */
  readonly environment?: Record<string, string | undefined>
}

/** A layer of this many units keeps the native library busy. */
const WIDE_UNITS = 256

/**
 * Measured by `npm run test:native`, milliseconds per epoch of 10,000 rows in batches of 128, native and WASM: hidden layers 8-3 405 and 133,
 * 64-32-8 597 and 532, 512-256-64 2556 and 8525. Calling the library costs more than a small layer.
 */
export function fastestFirst(hidden: readonly number[]): readonly TensorflowBackend[] {
  return Math.max(...hidden) >= WIDE_UNITS ? ['native', 'wasm', 'cpu'] : ['wasm', 'native', 'cpu']
}

/** What each backend is called inside TensorFlow.js. */
const ENGINE_NAMES: Readonly<Record<TensorflowBackend, string>> = { native: 'tensorflow', wasm: 'wasm', cpu: 'cpu' }

/** Rejects with a PermanentError when none of the backends can be had. */
export async function loadTensorflow(log: Pick<Logger, 'info'>, options: TensorflowOptions = {}): Promise<Tensorflow> {
  const core = await import('@tensorflow/tfjs-core')
  const layers = await import('@tensorflow/tfjs-layers')
  // Without this the plain backend greets on stderr and recommends the native one.
  core.enableProdMode()
  const passedOver: string[] = []
  for (const backend of options.backends ?? (['native', 'wasm', 'cpu'] as const)) {
    try {
      await register(core, backend, options.environment ?? {})
      if (!(await core.setBackend(ENGINE_NAMES[backend]))) throw new Error('it could not be started')
      await core.ready()
    } catch (error) {
      passedOver.push(`${backend}: ${firstLine(messageOf(error))}`)
      continue
    }
    const why = passedOver.length === 0 ? 'first choice' : `not on ${passedOver.join('; ')}`
    log.info({ event: 'tensorflow_loaded', backend, why }, `TensorFlow.js ${core.version_core} runs on ${backend} (${why})`)
    return { backend, core, layers }
  }
  throw new PermanentError(`TensorFlow.js found no backend: ${passedOver.join('; ')}. Run npm install again and look at what it says.`)
}

async function register(
  core: Tensorflow['core'],
  backend: TensorflowBackend,
  environment: Record<string, string | undefined>,
): Promise<void> {
  switch (backend) {
    case 'native':
      return registerNative(core, environment)
    case 'wasm': {
      const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm')
      // Refused once the backend lives, and then there is nothing to set.
      if (core.findBackend('wasm') === null) {
        setWasmPaths(`${dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm')))}/`)
      }
      return
    }
    case 'cpu':
      await import('@tensorflow/tfjs-backend-cpu')
  }
}

/** An optional dependency: its install script downloads a library, which is often not to be had, and its import then fails in several ways. */
async function registerNative(core: Tensorflow['core'], environment: Record<string, string | undefined>): Promise<void> {
  environment['TF_CPP_MIN_LOG_LEVEL'] ??= '2'
  // tfjs-node 4.22 calls two functions that Node 23 took away: https://nodejs.org/docs/latest-v23.x/api/deprecations.html#DEP0051
  const gone = util as { isNullOrUndefined?: (value: unknown) => boolean; isArray?: (value: unknown) => boolean }
  gone.isNullOrUndefined ??= (value) => value === null || value === undefined
  gone.isArray ??= Array.isArray
  // In a variable so that neither compiler nor linter asks for a package that may be absent.
  const name: string = '@tensorflow/tfjs-node'
  await import(name)
  if (core.findBackend('tensorflow') === null)
    throw new Error('tfjs-node brought its own copy of tfjs-core: install the same version of both')
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!
}
