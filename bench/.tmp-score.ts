import { loadTensorflow } from '../src/detect/tensorflow.ts'
import { trainAutoencoder } from '../src/detect/train.ts'
import { syntheticResiduals } from '../src/detect/synthetic-residuals.ts'
import { Autoencoder, compress, decompress } from '../src/detect/autoencoder.ts'
import { FEATURES } from '../src/detect/residuals.ts'
import { seededRandom } from '../src/detect/random.ts'
const tensorflow = await loadTensorflow({ info: (...a: unknown[]) => console.log(a[1]) } as never, { backends: ['wasm'] })
const W = 16
const rows = syntheticResiduals(16000, 7)
const test = syntheticResiduals(16000, 99)
const F = (n: string) => FEATURES.indexOf(n as never)
type Br = (x: Float32Array, m: number) => boolean
const add = (o: Record<string, number>): Br => (x, m) => { for (const k of Object.keys(o)) { if (x[F(k)] === 0) return false } ; for (const [k, a] of Object.entries(o)) x[F(k)]! += a * m; return true }
const breaks: Record<string, Br> = {
  cpu: add({ cpu: 1 }), memory: add({ memory: 1 }), traffic: add({ traffic: 1 }), 'traffic-': add({ traffic: -1 }),
  'traffic-cpu+': add({ traffic: -.7, cpu: .7 }), latency: add({ latency: 1 }), 'lat+down': add({ latency: 1, downstream_latency: 1 }),
  'err+log': add({ errors: 1, log_errors: 1 }), 'err all': add({ errors: 1, log_errors: 1, downstream_errors: 1, log_new: .5 }),
  'incident': add({ errors: 1, log_errors: 1, latency: .8, traffic: -.6 }),
}
for (const [contamination, extra] of [[0, {}], [0.02, {}], [0.02, {hidden:[12,4]}],[0.02,{hidden:[12,3]}], [0.02,{denoise:0}]] as [number, object][]) for (const clean of [false, true]) {
const trained = await trainAutoencoder({ ...extra, name: 's', rows, features: FEATURES, seed: 7, tensorflow, data: 'x', epochs: 25, contamination })
const model = clean ? { ...trained.model } : trained.model
if (clean) continue
const ae = new Autoencoder(model)
const u = new Float32Array(W)
const clip = (v: number) => Math.max(-50, Math.min(50, v))
function err(x: Float32Array, kappa: number, K: number, space: string): number {
  const z = new Float32Array(W)
  for (let i = 0; i < W; i++) { z[i] = x[i] === 0 ? 0 : (x[i]! - model.mean[i]!) / model.deviation[i]!; u[i] = compress(z[i]!) }
  const out = ae.forward(u)
  const e: number[] = []
  for (let i = 0; i < W; i++) { if (x[i] === 0) continue
    const d = clip(decompress(out[i]!))
    e.push(space === 'u' ? Math.abs(u[i]! - out[i]!) : Math.abs(clip(z[i]!) - d) * (space === 'dev' ? model.deviation[i]! : 1) / (1 + kappa * Math.abs(d))) }
  e.sort((a, b) => b - a)
  return e.slice(0, K).reduce((s, v) => s + v, 0) / K
}
for (const [space, kappa, K] of [['z', 0, 5], ['z', .5, 5], ['z', 1, 5], ['z', 1, 3],['z',1.5,4]] as [string, number, number][]) {
  const healthy = Float32Array.from({ length: 16000 }, (_, r) => err(test.subarray(r * W, r * W + W), kappa, K, space)).sort()
  const q = healthy[15984]!
  const line = Object.entries(breaks).map(([name, br]) => name + ' ' + [5, 8, 12].map((m) => { let n = 0, hit = 0; for (let r = 0; r < 4000; r++) { const x = test.slice(r * W, r * W + W); if (!br(x, m)) continue; n++; if (err(x, kappa, K, space) > q) hit++ } return (100 * hit / n).toFixed(0) }).join('/'))
  console.log(contamination, extra, space, kappa, K, 'q999', q.toFixed(2), 'q99', healthy[15840]!.toFixed(2), line.join(', '))
}
}
