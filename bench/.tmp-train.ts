import { loadTensorflow } from '../src/detect/tensorflow.ts'
import { trainAutoencoder } from '../src/detect/train.ts'
import { syntheticResiduals } from '../src/detect/synthetic-residuals.ts'
import { Autoencoder } from '../src/detect/autoencoder.ts'
import { FEATURES } from '../src/detect/residuals.ts'
const tensorflow = await loadTensorflow({ info: (...a: unknown[]) => console.log(a[1]) } as never, { backends: (process.argv[2] ?? 'native,wasm,cpu').split(',') as never })
const rows = syntheticResiduals(Number(process.argv[3] ?? 20000), 7)
for (const denoise of [0, 0.1, 0.2]) {
const t = performance.now()
const trained = await trainAutoencoder({ name: 'service', rows, features: FEATURES, seed: 7, tensorflow, data: 'x', denoise })
console.log(denoise, 'seconds', (performance.now() - t) / 1000, trained.rows, trained.model.error)
for (const h of trained.history.filter((_, i) => i % 8 === 0 || i === trained.history.length - 1)) console.log(JSON.stringify(h))
const ae = new Autoencoder(trained.model)
const v = (o: Record<string, number>) => { const x = new Float32Array(16).fill(0.3); for (const [k, z] of Object.entries(o)) x[FEATURES.indexOf(k as never)] = z; return x }
for (const z of [4, 8, 15, 30]) {
  const s = (o: Record<string, number>) => ae.score(v(o)).toFixed(2)
  console.log(z, 'cpu alone', s({ cpu: z }), 'cpu+traffic+net', s({ cpu: z, traffic: z, network: z }), 'load', s({ cpu: z, traffic: z, network: z, log_volume: z }), 'traffic w/o cpu', s({ traffic: z }), 'traffic+net-logs', s({traffic:z, network:z, cpu:z, log_volume:-z/2}), 'errors', s({ errors: z, log_errors: z, downstream_errors: z }), 'errors+logerr', s({ errors: z, log_errors: z }), 'lat+down', s({latency: z, downstream_latency: z}), 'lat', s({latency:z}), 'mem', s({memory:z}))
}
}
