import { loadModels } from '../src/detect/model-files.ts'
import { serviceDetector } from '../src/detect/service.ts'
import { ResidualBoard, FEATURES } from '../src/detect/residuals.ts'
import { syntheticResiduals } from '../src/detect/synthetic-residuals.ts'
const models = loadModels(['service'])
const N = 40000
const rows = syntheticResiduals(N, 1234)
const S = 20, T = N / S
for (const threshold of [0.8, 0.9, 1]) {
const board = new ResidualBoard()
const d = serviceDetector.create(serviceDetector.config.parse({ threshold }), { partition: 0, residuals: board, models })
let opened = new Set<string>()
for (let t = 0; t < T; t++) {
  for (let s = 0; s < S; s++) for (let i = 0; i < 16; i++) { const v = rows[((s * T + t) * 16) + i]!; if (v !== 0) board.observe('s' + s, FEATURES[i]!, v) }
  d.detect({ kind: 'tick', nowMs: (t + 1) * 60000 }, (f) => { if (f.kind === 'anomaly') opened.add(f.id) })
}
console.log(threshold, opened.size, 'anomalies in', (N / 1440).toFixed(1), 'service-days')
}
const m = models.get('service')!
const x = new Float32Array(16).map(() => Math.random() * 4 - 2)
for (let k = 0; k < 3; k++) { const t0 = performance.now(); let s = 0; for (let i = 0; i < 500000; i++) { x[i & 15] = (i % 100) / 25 - 2; s += m.score(x) } console.log('µs per score', (performance.now() - t0) / 500, s > 0) }
const vec = (o: Record<string, number>) => { const v = new Float32Array(16).fill(.3); for (const [k, z] of Object.entries(o)) v[FEATURES.indexOf(k as never)] = z; return v }
for (const z of [4,6,8,12,20]) console.log(z, m.score(vec({ cpu: z })).toFixed(2), m.score(vec({ cpu: z, traffic: z })).toFixed(2), m.score(vec({ cpu: z, traffic: z, network: z, log_volume: z })).toFixed(2))
