import { describe, expect, test } from 'vitest'
import { fastestFirst, loadTensorflow, type TensorflowBackend } from '../../src/detect/service/tensorflow.ts'

function rememberingLog(): { lines: string[]; info: (fields: unknown, text?: string) => void } {
  const lines: string[] = []
  return { lines, info: (_fields, text) => lines.push(text ?? '') }
}

describe('loading TensorFlow.js', () => {
  test('one log line names the backend, and what stood in the way of a better one', async () => {
    const log = rememberingLog()
    const environment: Record<string, string | undefined> = {}
    const { backend, core } = await loadTensorflow(log as never, { environment })
    expect(log.lines).toHaveLength(1)
    expect(log.lines[0]).toContain(`runs on ${backend}`)
    if (backend !== 'native') expect(log.lines[0]).toMatch(/not on native: \S/)
    expect(environment['TF_CPP_MIN_LOG_LEVEL']).toBe('2')
    expect(core.memory().numTensors).toBe(0)
  })

  test('what the operator has set for the native library is left alone', async () => {
    const environment = { TF_CPP_MIN_LOG_LEVEL: '0' }
    await loadTensorflow(rememberingLog() as never, { environment })
    expect(environment.TF_CPP_MIN_LOG_LEVEL).toBe('0')
  })

  test.each<TensorflowBackend>(['wasm', 'cpu'])('%s runs, and again when it has been loaded before', async (backend) => {
    for (let round = 0; round < 2; round++) {
      const log = rememberingLog()
      const { core, backend: got } = await loadTensorflow(log as never, { backends: [backend] })
      expect(got).toBe(backend)
      expect(core.getBackend()).toBe(backend)
      expect(log.lines).toEqual([expect.stringContaining(`runs on ${backend} (first choice)`)])
      const product = core.matMul(
        core.tensor2d([
          [1, 2],
          [3, 4],
        ]),
        core.tensor2d([[5], [6]]),
      )
      expect([...(await product.data())]).toEqual([17, 39])
      core.disposeVariables()
      product.dispose()
    }
  })

  test('the native library goes first where layers are wide enough to keep it busy', () => {
    expect(fastestFirst([8, 3])[0]).toBe('wasm')
    expect(fastestFirst([64, 32, 8])[0]).toBe('wasm')
    expect(fastestFirst([512, 256, 64])[0]).toBe('native')
    expect(fastestFirst([8]).toSorted()).toEqual(fastestFirst([512]).toSorted())
  })

  test('nothing to run on is an error that says so', async () => {
    await expect(loadTensorflow(rememberingLog() as never, { backends: [] })).rejects.toThrow(/found no backend/)
  })
})
