/**
 * Trains the model that is shipped: `npx tsx bench/train-service-model.ts [--out models/service] [--rows 40000] [--seed 7]`.
 * Made-up vectors only; `tocsin train` trains on recordings.
 */
import { parseArgs } from 'node:util'
import { runTraining } from '../src/detect/training-run.ts'

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'models/service' },
    rows: { type: 'string', default: '40000' },
    seed: { type: 'string', default: '7' },
    backend: { type: 'string', default: 'wasm' },
  },
})
const startedMs = performance.now()
await runTraining({
  source: { kind: 'synthetic', rows: Number(values.rows) },
  out: values.out,
  seed: Number(values.seed),
  backends: [values.backend as 'native' | 'wasm' | 'cpu'],
  command: `npx tsx bench/train-service-model.ts --rows ${values.rows} --seed ${values.seed}`,
  log: { info: (_fields: unknown, text?: string) => console.log(text) },
})
console.log(`${((performance.now() - startedMs) / 1000).toFixed(1)} s`)
